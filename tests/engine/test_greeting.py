"""A session comes to its events without a gap and without a double, whatever happens meanwhile."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle
from typing import Any, Final

import attrs
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from groupd.config import CONTENT, Limits
from groupd.domain.base import GROUP, Audience, StreamKey
from groupd.domain.catalog import EVENTS
from groupd.engine import listing
from groupd.engine.hub import Hub
from groupd.errors import LogUnavailable, Rejected
from groupd.storage.log import InlineLog
from groupd.storage.memory import MemoryStore
from groupd.testing.fakes import SlowLog
from groupd.wire import codec, rpc
from tests.engine.rig import (
    EVERYTHING,
    FakeSession,
    GateLog,
    LateLog,
    group_key,
    hub_on,
    new_store,
    play,
    records_of,
    settle,
)

USERS: Final = ("mia", "noa")
GROUPS: Final = 3
"""Groups that are there from the start; mia is in the first of them, noa in the first two."""


@attrs.frozen
class Step:
    what: str
    user: str
    group: int
    pause: int
    """Steps to wait before it: up to 8 checkpoints, or else milliseconds."""


OFTEN: Final = (
    *("post", "join", "leave", "hello", "hello", "again", "found", "passivate"),
    *("promote", "demote", "kick"),
)
RARELY: Final = ("dissolve", "part", "off and on")


def steps() -> st.SearchStrategy[list[Step]]:
    step = st.builds(
        Step,
        what=st.sampled_from(OFTEN * 3 + RARELY),
        user=st.sampled_from(USERS),
        group=st.integers(0, GROUPS - 1),
        pause=st.integers(0, 10),
    )
    return st.lists(step, max_size=25)


DELAYS: Final = st.lists(st.integers(0, 12), min_size=1, max_size=12)


@attrs.define
class Play:
    """A hub, its sessions, and what befalls them."""

    hub: Hub
    store: MemoryStore
    groups: list[str] = attrs.field(factory=list)
    sessions: list[FakeSession] = attrs.field(factory=list)
    gone: list[FakeSession] = attrs.field(factory=list)
    busy: set[FakeSession] = attrs.field(factory=set)
    later: dict[FakeSession, dict[str, int]] = attrs.field(factory=dict)
    """What a session was told of groups that are not on the first page."""

    async def prepare(self) -> None:
        olga = self.hub.act_as("olga")
        for number in range(GROUPS):
            members = [user for index, user in enumerate(USERS) if number <= index]
            made = await olga.create(f"Group {number}", members=members)
            self.groups.append(made["group"])

    async def do(self, step: Step) -> None:
        group, user = self.groups[step.group], step.user
        caller = self.hub.act_as(user)
        try:
            match step.what:
                case "post":
                    await self.hub.act_as("olga").post(group, "hello")
                case "join":
                    await caller.join(group)
                case "leave":
                    await caller.leave(group)
                case "dissolve":
                    await self.hub.act_as("olga").dissolve(group)
                case "found":
                    other = USERS[USERS.index(user) - 1]
                    await self.hub.act_as(user).create("New", members=[other])
                case "promote":
                    await self.hub.act_as("olga").set_role(group, user, role="admin")
                case "demote":
                    await self.hub.act_as("olga").set_role(group, user, role="member")
                case "kick":
                    await self.hub.act_as("olga").kick(group, user)
                case "passivate":
                    await self.hub.passivate()
                case "hello":
                    session = FakeSession(self.hub, user)
                    self.sessions.append(session)
                    await self.greet(session)
                case _:
                    await self.go_on(step)
        except Rejected:
            pass  # Not a member, say. What counts is what the log has.

    async def go_on(self, step: Step) -> None:
        """Do something with a session that is there; it does one thing at a time."""
        mine = [each for each in self.sessions if each.caller.user == step.user]
        free = [each for each in mine if each not in self.busy]
        if not free:
            return
        session = free[0]
        if step.what == "again":
            await self.greet(session, again=True)
        elif step.what == "part":
            self.sessions.remove(session)
            self.gone.append(session)
            session.part()
        else:
            # Turning events off and on: what came before does not matter any more.
            self.hub.part(session.peer, session.caller)
            session.write()
            session.messages.clear()
            await self.greet(session)

    async def greet(self, session: FakeSession, *, again: bool = False) -> None:
        self.busy.add(session)
        await session.hello(again=again)
        session.write()
        after = answers_of(session)[-1]["next"]
        caller = self.hub.act_as(session.caller.user)
        told = self.later.setdefault(session, {})
        if not again:
            told.clear()
        while after is not None and not again:
            page = await caller.groups(after=after, limit=listing.CONTENT.groups_page_max)
            told |= {entry["group"]: entry["head"] for entry in page["groups"]}
            after = page.get("next")
        self.busy.discard(session)


def answers_of(session: FakeSession) -> list[dict[str, Any]]:
    return [m.result or {} for m in session.messages if isinstance(m, rpc.Response)]


def heads_of(answer: dict[str, Any]) -> dict[str, int]:
    return {entry["group"]: entry["head"] for entry in answer["groups"]}


def intervals_of(store: MemoryStore, stream: StreamKey, user: str) -> list[list[int]]:
    """Give the seqs that a member reads live, one list for each time of membership."""
    intervals: list[list[int]] = []
    inside = False
    for record in records_of(store, stream):
        event = codec.decode_event(EVENTS[GROUP], record)
        views = dict(event.views(record))
        if views.get(user) is not None and not inside:
            intervals.append([])
            inside = True
        if inside:
            intervals[-1].append(record.seq)
        if user in views and views[user] is None:
            inside = False
    return intervals


def is_member(store: MemoryStore, stream: StreamKey, user: str) -> bool:
    place = store.membership("", user, stream.key)
    return place is not None and not place.dissolved


def check_session(play: Play, session: FakeSession) -> None:
    session.write()
    store, user = play.store, session.caller.user
    first, *others = answers_of(session)
    told = heads_of(first)
    later = play.later[session]
    for stream in store.streams(None, EVERYTHING):
        if stream.kind != GROUP:
            continue
        got = session.seqs(stream.key)
        intervals = intervals_of(store, stream, user)
        readable = [seq for interval in intervals for seq in interval]
        assert got == readable[len(readable) - len(got) :], (stream, user)
        if stream.key in told:
            assert got == [seq for seq in readable if seq > told[stream.key]], (stream, user)
        elif stream.key in later:
            assert len(got) >= sum(seq > later[stream.key] for seq in readable)
        elif got:
            # Not listed, so it begins with a joining; or it was over before the answer was made.
            begun = next(seqs for seqs in intervals if got[0] in seqs)
            assert got[0] == begun[0] or begun[-1] in ends(store, stream), (stream, user)
        else:
            assert not is_member(store, stream, user), (stream, user)
    for answer in others:
        check_again(session, answer)


def ends(store: MemoryStore, stream: StreamKey) -> set[int]:
    kinds = ("left", "kicked", "dissolved")
    return {record.seq for record in records_of(store, stream) if record.kind in kinds}


def check_again(session: FakeSession, answer: dict[str, Any]) -> None:
    """Check that a repeated answer stands where its heads say, between the pushes."""
    heads, is_after = heads_of(answer), False
    for message in session.messages:
        if isinstance(message, rpc.Response):
            is_after = is_after or message.result is answer
        elif isinstance(message, rpc.Notification) and message.method == "event":
            head = heads.get(message.params["group"])
            if head is not None:
                assert (message.params["seq"] > head) == is_after, (message, head)


def check_account(play: Play, session: FakeSession) -> None:
    stream = session.caller.account
    head = answers_of(session)[0]["account"]
    end = play.store.head(stream)
    got = [params["seq"] for params in session.pushed("account_event")]
    assert got == list(range(head + 1, (end.seq if end else 0) + 1))


def run_play(todo: Sequence[Step], delays: Sequence[int], *, limits: Limits | None = None) -> None:
    async def main() -> None:
        store = new_store()
        turns = cycle(delays)
        is_slow = False
        log = SlowLog(InlineLog(store), lambda: next(turns) if is_slow else 0)
        async with hub_on(log, limits=limits) as hub:
            game = Play(hub, store)
            await game.prepare()
            await hub.passivate()
            is_slow = True
            async with trio.open_nursery() as nursery:
                for step in todo:
                    if step.pause > 8:
                        await trio.sleep(step.pause / 1_000)
                    for _ in range(step.pause):
                        await trio.lowlevel.checkpoint()
                    nursery.start_soon(game.do, step)
            await trio.sleep(100)
            for session in game.sessions:
                check_session(game, session)
                check_account(game, session)
            for session in game.sessions:
                session.part()
            await hub.passivate()
            assert not hub.outlets._outlets
            assert not hub.outlets.roster._peers
            assert not hub.outlets.roster._news

    play(main)


@settings(max_examples=200, deadline=None)
@given(todo=steps(), delays=DELAYS)
def test_a_session_misses_nothing_and_doubles_nothing(todo: list[Step], delays: list[int]) -> None:
    run_play(todo, delays)


@settings(max_examples=60, deadline=None)
@given(todo=steps(), delays=DELAYS)
def test_also_where_publishing_is_detached(todo: list[Step], delays: list[int]) -> None:
    run_play(todo, delays, limits=Limits(detach_above=1, detached_slice=1))


@settings(max_examples=60, deadline=None)
@given(todo=steps(), delays=DELAYS)
def test_also_where_the_groups_take_several_pages(todo: list[Step], delays: list[int]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(listing, "CONTENT", attrs.evolve(CONTENT, groups_page_max=1))
        run_play(todo, delays)


# --- the hard moments, one by one


async def test_a_group_that_is_founded_while_its_member_is_greeted_is_told_once() -> None:
    """Its records are committed, so the greeting reads them, and are not published yet."""
    store = new_store()
    log = LateLog(store)
    async with hub_on(log) as hub, trio.open_nursery() as nursery:
        log.is_late = True
        nursery.start_soon(hub.act_as("olga").create, "Tea")
        while not store.streams(None, 9):
            await trio.lowlevel.checkpoint()
        session = FakeSession(hub, "olga")
        await session.hello()
        log.say()
        await settle()
        session.write()
        (answer,) = answers_of(session)
        (group,) = {params["group"] for params in session.pushed("event")}
        assert heads_of(answer) == {}
        assert session.kinds(group) == ["created", "joined"]


async def test_a_founding_that_fails_leaves_no_outlet() -> None:
    store = new_store()
    log = GateLog(store)
    async with hub_on(log) as hub:
        log.failures.append(LogUnavailable("full"))
        with pytest.raises(Rejected, match="unavailable"):
            await hub.act_as("olga").create("Tea")
        await hub.passivate()
        assert not hub.outlets._outlets


async def test_an_outlet_that_goes_while_a_greeting_reads_makes_it_read_again() -> None:
    """What it had published since is in no push any more, so the head must be newer."""
    log = LateLog(new_store())
    async with hub_on(log) as hub, trio.open_nursery() as nursery:
        group = (await hub.act_as("olga").create("Tea", members=["mia"]))["group"]
        await settle()
        await hub.passivate()
        session = FakeSession(hub, "mia")
        late = log.delay_a_read()
        nursery.start_soon(session.hello)
        await settle()
        await hub.act_as("olga").post(group, "in between")
        await hub.passivate()
        late.set()
        await settle()
        session.write()
        assert heads_of(answers_of(session)[0]) == {group: 4}
        await hub.act_as("olga").post(group, "afterwards")
        assert session.seqs(group) == [5]


async def test_who_leaves_while_they_are_greeted_is_not_subscribed() -> None:
    log = LateLog(new_store())
    async with hub_on(log) as hub, trio.open_nursery() as nursery:
        group = (await hub.act_as("olga").create("Tea", members=["mia"]))["group"]
        await settle()
        session = FakeSession(hub, "mia")
        late = log.delay_a_read()
        nursery.start_soon(session.hello)
        await settle()
        await hub.act_as("mia").leave(group)
        late.set()
        await settle()
        await hub.act_as("olga").post(group, "not for mia")
        session.write()
        assert heads_of(answers_of(session)[0]) == {}
        assert session.seqs(group) == []


async def test_a_repeated_answer_comes_after_the_pushes_that_its_heads_include() -> None:
    log = LateLog(new_store())
    async with hub_on(log) as hub, trio.open_nursery() as nursery:
        group = (await hub.act_as("olga").create("Tea", members=["mia"]))["group"]
        await settle()
        session = FakeSession(hub, "mia")
        await session.hello()
        session.write()
        session.messages.clear()
        late = log.delay_a_read(skip=1)  # The first is about who they are.
        nursery.start_soon(lambda: session.hello(again=True))
        await settle()
        await hub.act_as("olga").post(group, "in between")
        late.set()
        late = log.delay_a_read()
        await settle()
        await hub.act_as("olga").post(group, "after the heads were taken")
        late.set()
        await settle()
        session.write()
        assert heads_of(answers_of(session)[0]) == {group: 4}
        assert session.seqs(group) == [4, 5]
        check_again(session, answers_of(session)[0])


async def test_a_repeated_answer_leaves_out_what_comes_as_a_push() -> None:
    log = LateLog(new_store())
    async with hub_on(log) as hub, trio.open_nursery() as nursery:
        group = (await hub.act_as("olga").create("Tea"))["group"]
        await settle()
        session = FakeSession(hub, "mia")
        await session.hello()
        log.is_late = True
        nursery.start_soon(hub.act_as("mia").join, group)
        while records_of(log.store, group_key(group))[-1].kind == "created":
            await trio.lowlevel.checkpoint()
        await settle()
        await session.hello(again=True)
        log.say()
        await settle()
        session.write()
        assert [heads_of(answer) for answer in answers_of(session)] == [{}, {}]
        assert session.seqs(group) == [3]


@pytest.mark.parametrize("is_slow", [False, True])
async def test_a_founding_whose_group_is_asked_for_before_it_is_published(is_slow: bool) -> None:
    """Its actor publishes what it finds unpublished, and the founder nothing twice."""
    log = LateLog(new_store())
    async with hub_on(log) as hub, trio.open_nursery() as nursery:
        session = FakeSession(hub, "olga")
        await session.hello()
        log.is_late = True
        nursery.start_soon(hub.act_as("olga").create, "Tea")
        while not (streams := log.store.streams(StreamKey(GROUP, "", ""), 9)):
            await trio.lowlevel.checkpoint()
        group = streams[0].key
        # The actor reads snapshot and log, and then what is to be published.
        late = log.delay_a_read(skip=2)
        if not is_slow:
            late.set()
        nursery.start_soon(hub.act_as("mia").info, group)
        await settle()
        log.say()
        await settle()
        late.set()
        await settle()
        assert session.seqs(group) == [1, 2]
        outlet = hub.outlets.get(group_key(group))
        assert outlet is not None
        assert outlet.published_seq == 2


async def test_strangers_asking_for_groups_that_do_not_exist_do_not_hold_up_a_greeting() -> None:
    """Each such question opens an outlet and lets it go again."""
    store = new_store()
    slow = SlowLog(InlineLog(store), lambda: 3)
    async with hub_on(slow) as hub:
        await hub.act_as("olga").create("Tea", members=["mia"])
        await hub.passivate()

        async def ask(task: int) -> None:
            for _ in range(task):  # So that at every moment one of them is told.
                await trio.lowlevel.checkpoint()
            while True:
                with pytest.raises(Rejected, match="not_found"):
                    await hub.act_as("eve").info(f"NO SUCH GROUP {task:02}")

        async with trio.open_nursery() as nursery:
            for task in range(50):
                nursery.start_soon(ask, task)
            await settle(60)
            reads = 0
            session = FakeSession(hub, "mia")

            async def count() -> None:
                nonlocal reads
                while True:
                    reads += 1
                    await trio.lowlevel.checkpoint()

            nursery.start_soon(count)
            await session.hello()
            nursery.cancel_scope.cancel()
        # Two reads, each with three checkpoints before and after.
        assert reads < 30


async def test_a_greeting_activates_no_actor() -> None:
    store = new_store()
    async with hub_on(store) as hub:
        group = (await hub.act_as("olga").create("Tea", members=["mia"]))["group"]
        await hub.passivate()
        session = FakeSession(hub, "mia")
        await session.hello()
        session.write()
        assert hub.awake == 0
        assert heads_of(answers_of(session)[0]) == {group: 3}


async def test_a_greeting_that_is_cancelled_leaves_nothing_behind() -> None:
    store = new_store()
    for moment in range(12):
        async with hub_on(SlowLog(InlineLog(store), lambda: 2)) as hub:
            await hub.act_as("olga").create("Tea", members=["mia"], ref="tea")
            await hub.passivate()
            session = FakeSession(hub, "mia")
            with trio.CancelScope() as scope:

                async def cancel(scope: trio.CancelScope, steps: int) -> None:
                    for _ in range(steps):
                        await trio.lowlevel.checkpoint()
                    scope.cancel()

                async with trio.open_nursery() as nursery:
                    nursery.start_soon(cancel, scope, moment)
                    await session.hello()
            session.part()
            assert not hub.outlets._outlets
            assert not hub.outlets.roster._peers
            assert not hub.outlets.roster._news


async def test_the_first_page_goes_on_where_all_of_its_groups_were_left_meanwhile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(listing, "CONTENT", attrs.evolve(CONTENT, groups_page_max=2))
    store = new_store()
    async with hub_on(store) as hub:
        groups = sorted(
            [(await hub.act_as("olga").create("Tea", members=["mia"]))["group"] for _ in range(4)]
        )
        places = store.memberships("", "mia", "", 9)
        for group in groups[:2]:
            await hub.act_as("mia").leave(group)
        upto = {place.group: place.head for place in places}
        mia = hub.act_as("mia").identity
        page = await listing.list_groups(hub._shared, mia, places, upto)
        assert page.next == groups[1]


async def test_heads_and_numbers_are_as_of_what_is_published() -> None:
    store = new_store()
    log = LateLog(store)
    async with hub_on(log) as hub, trio.open_nursery() as nursery:
        group = (await hub.act_as("olga").create("Tea", members=["mia"]))["group"]
        await hub.act_as("olga").post(group, "one")
        log.is_late = True
        nursery.start_soon(hub.act_as("olga").post, group, "two")
        while records_of(store, group_key(group))[-1].seq < 5:
            await trio.lowlevel.checkpoint()
        session = FakeSession(hub, "mia")
        await session.hello()
        listed = await hub.act_as("mia").groups()
        session.write()
        (entry,) = answers_of(session)[0]["groups"]
        assert entry == listed["groups"][0]
        assert (entry["head"], entry["unread"], entry["last"]["text"]) == (4, 1, "one")
        log.say()
        await settle()
        assert session.seqs(group) == [5]


async def test_admins_read_as_admins_from_the_first_push_on() -> None:
    async with hub_on() as hub:
        group = (await hub.act_as("olga").create("Tea", members=["mia"]))["group"]
        session = FakeSession(hub, "olga")
        await session.hello()
        outlet = hub.outlets.get(group_key(group))
        assert outlet is not None
        assert outlet._views[session.peer] is Audience.ADMINS


@pytest.mark.parametrize("role", ["admin", "member"])
async def test_a_role_that_changes_while_its_member_is_greeted_is_the_one_that_counts(
    role: str,
) -> None:
    """The memberships were read with the old role, and the change is published before they come."""
    log = LateLog(new_store())
    async with hub_on(log) as hub, trio.open_nursery() as nursery:
        olga = hub.act_as("olga")
        group = (await olga.create("Tea", members=["mia", "noa"]))["group"]
        if role == "member":
            await olga.set_role(group, "mia", role="admin")
        session = FakeSession(hub, "mia")
        # The first read of a greeting is of the profile, the second one of the memberships.
        late = log.delay_a_read(skip=1)
        nursery.start_soon(session.hello)
        await settle()
        await olga.set_role(group, "mia", role=role)
        late.set()
        await settle()
        seq = (await olga.announce(group, "Meet at six"))["seq"]
        await hub.act_as("noa").acknowledge(group, seq)
        await settle()
        session.write()
        (answer,) = answers_of(session)
        (head,) = heads_of(answer).values()
        assert session.seqs(group) == list(range(head + 1, seq + 2))
        seen = "acknowledged" if role == "admin" else "hidden"
        assert session.kinds(group)[-2:] == ["announced", seen]
