"""What a stream publishes, to whom, and where it begins and ends for each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import attrs
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from groupd.config import Limits
from groupd.domain.base import GROUP, Audience, Identity, StreamKey
from groupd.domain.group.board import Acknowledge
from groupd.domain.group.membership import Join, Leave
from groupd.domain.group.messages import Post
from groupd.engine.hub import Hub
from groupd.engine.mail import Entry
from groupd.engine.outlet import GIVE_WAY_S, RETRY_S, Outlet, Outlets
from groupd.engine.publication import Move, Publication
from groupd.engine.roster import Roster
from groupd.storage.log import InlineLog, Log
from groupd.storage.memory import MemoryStore
from tests.engine.rig import (
    Answers,
    FakeSession,
    GateLog,
    Tap,
    frame,
    group_key,
    hub_on,
    new_store,
    play,
    records_of,
    settle,
)

SMALL_BACKLOG: Final = Limits(page_max_bytes=600, backlog_max_bytes=600)
DETACHED: Final = Limits(detach_above=3, detached_slice=2)


async def group_of(hub: Hub, *users: str) -> str:
    """Found a group of olga's, with others in it."""
    return (await hub.act_as("olga").create("Tea", members=users))["group"]


async def session(hub: Hub, user: str, **options: Any) -> FakeSession:
    made = FakeSession(hub, user, **options)
    await made.hello()
    return made


@attrs.define
class Pile:
    """Requests that go into one mailbox at once, and so into one batch."""

    hub: Hub
    group: str
    answers: Answers = attrs.field(factory=Answers)
    count: int = 0

    def add(self, user: str, request: Any, request_id: str = "") -> None:
        # Into the group's mailbox itself, also what would pass through an account on its way.
        entry = Entry(Identity(user), request, request_id, self.answers, self.count)
        self.hub._directory.tell(group_key(self.group), entry)
        self.count += 1


# --- who reads what


async def test_a_leaver_reads_their_leaving_as_the_last_of_the_batch() -> None:
    store = new_store()
    log = GateLog(store)
    async with hub_on(log) as hub:
        group = await group_of(hub, "mia")
        mia, olga = await session(hub, "mia"), await session(hub, "olga")
        log.shut()
        pile = Pile(hub, group)
        pile.add("olga", Post("before"))
        await settle()
        pile.add("olga", Post("in the same batch"))
        pile.add("mia", Leave())
        pile.add("olga", Post("after"))
        log.open()
        await settle()
        assert mia.kinds(group) == ["posted", "posted", "left"]
        assert olga.kinds(group) == ["posted", "posted", "left", "posted"]
        await hub.act_as("olga").post(group, "later")
        assert mia.kinds(group) == ["posted", "posted", "left"]


async def test_a_leaver_whose_backlog_is_full_hears_that_they_lag_and_that_they_left() -> None:
    store = new_store()
    async with hub_on(store, limits=SMALL_BACKLOG) as hub:
        group = await group_of(hub, "mia")
        mia = await session(hub, "mia", takes=lambda size: 0)
        mia.write()
        for number in range(30):
            await hub.act_as("olga").post(group, f"message {number}")
        await hub.act_as("mia").leave(group)
        await hub.act_as("olga").post(group, "a secret")
        events = mia.events(group)
        assert [event["kind"] for event in events][-1] == "left"
        assert "a secret" not in [event.get("text") for event in events]
        lagged = [params for params in mia.pushed("lagged") if params["group"] == group]
        assert lagged == [{"group": group, "head": events[-1]["seq"] - 1}]
        order = [message.params for message in mia.messages if hasattr(message, "params")]
        assert order.index(lagged[0]) < order.index(events[-1])


async def test_a_joiner_reads_from_their_joining_on() -> None:
    store = new_store()
    log = GateLog(store)
    async with hub_on(log) as hub:
        group = await group_of(hub)
        mia = await session(hub, "mia")
        pile = Pile(hub, group)
        pile.add("olga", Post("before"))
        pile.add("mia", Join())
        pile.add("olga", Post("after"))
        await settle()
        assert mia.kinds(group) == ["joined", "posted"]
        await hub.act_as("olga").post(group, "later")
        assert mia.kinds(group) == ["joined", "posted", "posted"]


async def test_who_leaves_and_comes_back_in_one_batch_misses_what_was_between() -> None:
    store = new_store()
    async with hub_on(store) as hub:
        group = await group_of(hub, "mia")
        mia, other = await session(hub, "mia"), await session(hub, "mia")
        pile = Pile(hub, group)
        pile.add("olga", Post("one"))
        pile.add("mia", Leave())
        pile.add("olga", Post("unheard"))
        pile.add("mia", Join())
        pile.add("olga", Post("two"))
        await settle()
        head = records_of(store, group_key(group))[-1].seq
        for each in (mia, other):
            assert each.kinds(group) == ["posted", "left", "joined", "posted"]
            assert each.seqs(group) == [head - 4, head - 3, head - 1, head]


async def test_who_joins_and_leaves_in_one_batch_reads_just_that() -> None:
    async with hub_on() as hub:
        group = await group_of(hub)
        mia = await session(hub, "mia")
        pile = Pile(hub, group)
        for request in (Post("no"), Join(), Post("yes"), Leave(), Post("no")):
            pile.add("olga" if isinstance(request, Post) else "mia", request)
        await settle()
        assert mia.kinds(group) == ["joined", "posted", "left"]
        assert hub.outlets.get(group_key(group)).subscribers == 0  # type: ignore[union-attr]


async def test_what_only_admins_may_read_is_hidden_from_members() -> None:
    async with hub_on() as hub:
        group = await group_of(hub, "mia", "noa")
        olga, noa = await session(hub, "olga"), await session(hub, "noa")
        seq = (await hub.act_as("olga").announce(group, "Meet at six"))["seq"]
        pile = Pile(hub, group)
        pile.add("mia", Acknowledge(seq))
        pile.add("olga", Post("seen"))
        pile.add("noa", Leave())
        await settle()
        assert olga.kinds(group) == ["announced", "acknowledged", "posted", "left"]
        # Also in the cut that a leaver gets.
        assert noa.kinds(group) == ["announced", "hidden", "posted", "left"]
        hidden = noa.events(group)[1]
        assert hidden.keys() == {"group", "seq", "time_ms", "kind"}
        listed = (await hub.act_as("mia").history(group, after=seq))["events"]
        assert listed[0] == hidden


async def test_an_outlet_goes_when_nobody_needs_it() -> None:
    async with hub_on() as hub:
        group = await group_of(hub, "mia")
        mia = await session(hub, "mia")
        await hub.passivate()
        assert hub.outlets.get(group_key(group)) is not None
        mia.part()
        mia.part()
        assert hub.outlets.get(group_key(group)) is None


async def test_a_session_that_parts_is_owed_no_lagged() -> None:
    """The connection may go on as another user's."""
    async with hub_on(limits=SMALL_BACKLOG) as hub:
        group = await group_of(hub, "mia")
        mia = await session(hub, "mia", takes=lambda size: 0)
        mia.write()
        for number in range(30):
            await hub.act_as("olga").post(group, f"message {number}")
        hub.part(mia.peer, mia.caller)
        assert mia.pushed("lagged") == []


# --- very many subscribers


async def crowd(hub: Hub, count: int) -> tuple[str, list[FakeSession]]:
    users = [f"user{number:02}" for number in range(count)]
    group = await group_of(hub, *users)
    return group, [await session(hub, user) for user in users]


async def test_an_answer_does_not_wait_for_a_detached_round() -> None:
    async with hub_on(limits=DETACHED) as hub:
        group, sessions = await crowd(hub, 8)
        pile = Pile(hub, group)
        pile.add("olga", Post("hello"))
        while not pile.answers.came:
            await trio.lowlevel.checkpoint()
        assert pile.answers.flushes
        assert not all(each.seqs(group) for each in sessions)
        await settle()
        assert all(each.kinds(group) == ["posted"] for each in sessions)


def test_detached_rounds_keep_order_and_lose_and_double_nothing() -> None:
    """Posts come at every moment of a round and of the rest after it."""

    async def main() -> None:
        store = new_store()
        limits = Limits(detach_above=3, detached_slice=1)
        async with hub_on(store, limits=limits) as hub:
            group, sessions = await crowd(hub, 5)
            for each in sessions[2:]:
                # A link that takes its time makes the round last, and so the rest after it.
                each._takes = slowly(each)
            first = records_of(store, group_key(group))[-1].seq + 1
            for number in range(40):
                await hub.act_as("olga").post(group, f"message {number}")
                for _ in range(number % 7):
                    await trio.lowlevel.checkpoint()
            await trio.sleep(60)
            head = records_of(store, group_key(group))[-1].seq
            for each in sessions:
                assert each.seqs(group) == list(range(first, head + 1))

    play(main)


def slowly(each: FakeSession) -> Callable[[int], int]:
    clock = trio.lowlevel.current_clock()

    def take(size: int) -> int:
        clock.jump(0.002)  # type: ignore[attr-defined]
        return size

    return take


def plain_outlet(
    nursery: trio.Nursery, *, others_wait: Callable[[], bool] = lambda: False
) -> Outlet:
    return Outlet(
        StreamKey(GROUP, "", "g"),
        0,
        roster=Roster(),
        limits=Limits(detach_above=1, detached_slice=1),
        start_soon=nursery.start_soon,
        others_wait=others_wait,
    )


@settings(max_examples=40, deadline=None)
@given(pauses=st.lists(st.integers(0, 12), min_size=50, max_size=80))
def test_a_round_is_not_overtaken_by_one_that_begins_in_the_rest_after_another(
    pauses: list[int],
) -> None:
    async def main() -> None:
        taps = [Tap(takes_s=0.001) for _ in range(4)]
        async with trio.open_nursery() as nursery:
            outlet = plain_outlet(nursery)
            for tap in taps:
                outlet.subscribe(tap.peer, Audience.MEMBERS)
            for seq, pause in enumerate(pauses, 1):
                outlet.publish(Publication(seq, [frame(seq)]))
                if pause > 4:
                    await trio.sleep(0.004 * (pause - 5))
                for _ in range(pause):
                    await trio.lowlevel.checkpoint()
        everything = b"".join(frame(seq) for seq in range(1, len(pauses) + 1))
        assert [tap.got for tap in taps] == [everything] * 4
        assert outlet.published_seq == len(pauses)

    play(main)


@pytest.mark.parametrize(
    ("waiting", "first_ms", "second_ms"),
    [
        ([False] * 6, [0, 2, 4, 6], [40, 42, 44, 46]),
        # Giving way makes a round longer, but not the rest after it.
        ([True] * 6, [0, 3, 6, 9], [43, 46, 49, 52]),
        ([False, True, False] * 2, [0, 2, 5, 7], [41, 43, 46, 48]),
    ],
)
def test_a_round_rests_between_slices_where_others_wait_for_the_processor(
    waiting: list[bool], first_ms: list[int], second_ms: list[int]
) -> None:
    async def main() -> None:
        taps = [Tap(takes_s=0.002) for _ in range(4)]
        answers, began_s = iter(waiting), trio.current_time()
        async with trio.open_nursery() as nursery:
            outlet = plain_outlet(nursery, others_wait=lambda: next(answers))
            for tap in taps:
                outlet.subscribe(tap.peer, Audience.MEMBERS)
            outlet.publish(Publication(1, [frame(1)]))
            await trio.sleep(0.02)
            outlet.publish(Publication(2, [frame(2)]))
        assert [tap.got for tap in taps] == [frame(1) + frame(2)] * 4
        for tap, *expected_ms in zip(taps, first_ms, second_ms, strict=True):
            seen_ms = [(time_s - began_s) * 1_000 for time_s in tap.times_s]
            assert seen_ms == pytest.approx(expected_ms)

    play(main)


def test_giving_way_makes_a_round_twice_as_long_at_most() -> None:
    async def main() -> None:
        taps = [Tap(takes_s=GIVE_WAY_S / 5) for _ in range(50)]
        async with trio.open_nursery() as nursery:
            outlet = plain_outlet(nursery, others_wait=lambda: True)
            for tap in taps:
                outlet.subscribe(tap.peer, Audience.MEMBERS)
            outlet.publish(Publication(1, [frame(1)]))
        # 49 slices of a fifth of a rest each, and so 10 rests.
        took_s = taps[-1].times_s[0] - taps[0].times_s[0]
        assert took_s / GIVE_WAY_S == pytest.approx(49 / 5 + 10)

    play(main)


class BusyLog(InlineLog):
    """A log that always has something to do, or at times."""

    def __init__(self, store: MemoryStore, draw: Callable[[], bool] = lambda: True) -> None:
        super().__init__(store)
        self._draw = draw

    @property
    def is_busy(self) -> bool:
        return self._draw()


@pytest.mark.parametrize(("make_log", "reached"), [(InlineLog, 8), (BusyLog, 1)])
def test_a_crowd_waits_where_the_log_is_busy(
    make_log: Callable[[MemoryStore], Log], reached: int
) -> None:
    async def main() -> None:
        limits = Limits(detach_above=3, detached_slice=1)
        async with hub_on(make_log(new_store()), limits=limits) as hub:
            group, sessions = await crowd(hub, 8)
            await trio.sleep(1)
            await hub.act_as("olga").post(group, "hello")
            await trio.sleep(0.5 * GIVE_WAY_S)
            assert [bool(each.seqs(group)) for each in sessions].count(True) == reached
            await trio.sleep(1)
            assert all(each.kinds(group) == ["posted"] for each in sessions)

    play(main)


def test_a_round_that_fails_is_run_again_with_what_has_come_since(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real, failures = Outlet._deliver, [RuntimeError("a bug"), RuntimeError("a bug")]

    def deliver(self: Outlet, *args: Any) -> None:
        if failures:
            raise failures.pop()
        real(self, *args)

    async def main() -> None:
        taps = [Tap() for _ in range(4)]
        async with trio.open_nursery() as nursery:
            outlet = plain_outlet(nursery)
            for tap in taps:
                outlet.subscribe(tap.peer, Audience.MEMBERS)
            monkeypatch.setattr(Outlet, "_deliver", deliver)
            outlet.publish(Publication(1, [frame(1)]))
            await trio.sleep(RETRY_S / 2)
            assert (outlet.published_seq, outlet.accepted_seq) == (0, 1)
            outlet.publish(Publication(2, [frame(2)]))
        assert [tap.sends for tap in taps] == [[b"001,002,"]] * 4
        assert (outlet.published_seq, outlet.idle) == (2, False)

    play(main)


def test_who_comes_back_in_the_middle_of_a_round_gets_it_once() -> None:
    async def main() -> None:
        taps = [Tap(takes_s=0.001) for _ in range(4)]
        async with trio.open_nursery() as nursery:
            outlet = plain_outlet(nursery)
            for tap in taps:
                outlet.subscribe(tap.peer, Audience.MEMBERS)
            outlet.publish(Publication(1, [frame(1)]))
            while not taps[1].got:
                await trio.lowlevel.checkpoint()
            for tap in taps:
                outlet.unsubscribe(tap.peer)
                assert outlet.subscribe(tap.peer, Audience.MEMBERS) == 0
                tap.sends.clear()
        assert [tap.got for tap in taps] == [frame(1)] * 4

    play(main)


def test_who_goes_in_the_middle_of_a_round_gets_nothing_more() -> None:
    async def main() -> None:
        taps = [Tap(takes_s=0.001) for _ in range(4)]
        async with trio.open_nursery() as nursery:
            outlet = plain_outlet(nursery)
            for tap in taps[:3]:
                outlet.subscribe(tap.peer, Audience.MEMBERS)
            outlet.publish(Publication(1, [frame(1)]))
            while not taps[0].got:
                await trio.lowlevel.checkpoint()
            outlet.subscribe(taps[3].peer, Audience.MEMBERS)
            outlet.unsubscribe(taps[2].peer)
            outlet.unsubscribe(taps[3].peer)
        assert [tap.got for tap in taps] == [frame(1)] * 2 + [b""] * 2

    play(main)


async def test_an_outlet_goes_also_when_its_last_reader_parted_in_the_middle_of_a_round() -> None:
    async with hub_on(limits=DETACHED) as hub:
        group, sessions = await crowd(hub, 8)
        await hub.act_as("olga").post(group, "hello")
        for each in sessions:
            each.part()
        await hub.passivate()
        await settle()
        assert hub.outlets.get(group_key(group)) is None


async def test_an_outlet_goes_when_all_leave_in_one_detached_round() -> None:
    async with hub_on(limits=DETACHED) as hub:
        group, sessions = await crowd(hub, 8)
        pile = Pile(hub, group)
        for each in sessions:
            pile.add(each.caller.user, Leave())
        while not pile.answers.came:
            await trio.lowlevel.checkpoint()
        await hub.passivate()
        await settle()
        assert [each.kinds(group)[-1] for each in sessions] == ["left"] * 8
        assert hub.outlets.get(group_key(group)) is None


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_readers_come_and_go_in_detached_rounds_and_miss_and_double_nothing(
    data: st.DataObject,
) -> None:
    users = [f"u{number}" for number in range(7)]
    steps = data.draw(
        st.lists(
            st.tuples(
                st.sampled_from(("post", "post", "post", "join", "leave", "open", "renew", "part")),
                st.sampled_from(users),
                st.integers(0, 8),
            ),
            max_size=40,
        )
    )
    chance = data.draw(st.randoms(use_true_random=False))

    async def main() -> None:
        store = new_store()
        log = BusyLog(store, lambda: chance.random() < 0.5)
        async with hub_on(log, limits=DETACHED) as hub:
            group = await group_of(hub, *users[:5])
            sessions = [await session(hub, user) for user in users]
            for each in sessions[::2]:
                each._takes = slowly(each)
            pile = Pile(hub, group)
            everybody = list(sessions)
            for what, user, pause in steps:
                if what == "post":
                    pile.add("olga", Post("hello"))
                elif what == "join":
                    pile.add(user, Join())
                elif what == "leave":
                    pile.add(user, Leave())
                elif what == "open":
                    everybody.append(await session(hub, user))
                elif what == "renew":
                    # As a session does that turns its events off and on again.
                    old = next(each for each in everybody if each.caller.user == user)
                    hub.part(old.peer, old.caller)
                    old.write()
                    old.messages.clear()
                    await old.hello()
                elif what == "part" and len(everybody) > len(users):
                    everybody.pop().part()
                if pause > 4:
                    await trio.sleep((pause - 4) * GIVE_WAY_S / 2)
                    continue
                for _ in range(pause):
                    await trio.lowlevel.checkpoint()
            await trio.sleep(10)
            for each in everybody:
                each.write()
                check_delivery(store, each, group)

    play(main)


def check_delivery(store: Any, each: FakeSession, group: str) -> None:
    """Check that what came is the log's slice for the times of membership, from the head on."""
    greeted = next(m for m in each.messages if not hasattr(m, "method"))
    listed = {entry["group"]: entry["head"] for entry in greeted.result["groups"]}  # type: ignore[union-attr]
    after = listed.get(group)
    expected, inside = [], after is not None
    user = each.caller.user
    got = each.seqs(group)
    start = after if after is not None else (got[0] - 1 if got else 10**9)
    for record in records_of(store, group_key(group)):
        if record.seq <= start:
            continue
        if record.kind == "joined" and record.user == user:
            inside = True
        if inside:
            expected.append(record.seq)
        if record.kind == "left" and record.user == user:
            inside = False
    assert got == expected


# --- publications


@attrs.frozen
class Step:
    """One frame of a publication: its audience, and whose view it changes."""

    is_masked: bool
    moves: dict[str, tuple[Audience | None, bool]]
    """User -> their view after it, and whether it lets them in."""


def publications() -> st.SearchStrategy[list[Step]]:
    views = st.sampled_from((None, Audience.MEMBERS, Audience.ADMINS))
    return st.lists(
        st.builds(
            Step,
            is_masked=st.booleans(),
            moves=st.dictionaries(
                st.sampled_from(("ann", "bob")), st.tuples(views, st.booleans()), max_size=2
            ),
        ),
        min_size=1,
        max_size=8,
    )


def publication_of(frames: list[Step], first: int = 1) -> Publication:
    seqs = range(first, first + len(frames))
    made = Publication(seqs[-1], [b"[%d]" % seq for seq in seqs])
    for index, step in enumerate(frames):
        if step.is_masked:
            made.masked[index] = b"(%d)" % (first + index)
        made.moves += [Move(index, user, *move) for user, move in step.moves.items()]
    return made


def read_by_model(
    frames: list[Step], user: str, view: Audience | None
) -> tuple[bytes, Audience | None]:
    """Go frame by frame: who is let in reads that frame; who is taken out reads it too."""
    got = b""
    for seq, step in enumerate(frames, 1):
        after, lets_in = step.moves.get(user, (view, True))
        if view is None and not lets_in:
            after = None
        # The frame that changes a view is read as it was before, or as of joining.
        reading = view if view is not None else after
        if reading is not None:
            masked = step.is_masked and reading < Audience.ADMINS
            got += (b"(%d)" if masked else b"[%d]") % seq
        view = after
    return got, view


VIEWS: Final = st.sampled_from((None, Audience.MEMBERS, Audience.ADMINS))


@given(frames=publications(), view=VIEWS)
def test_a_cut_is_what_going_frame_by_frame_gives(
    frames: list[Step], view: Audience | None
) -> None:
    assert publication_of(frames).cut("ann", view) == read_by_model(frames, "ann", view)


@given(first=publications(), second=publications(), view=VIEWS)
def test_merged_publications_are_one_of_all_their_frames(
    first: list[Step], second: list[Step], view: Audience | None
) -> None:
    merged = publication_of(first)
    merged.merge(publication_of(second, first=len(first) + 1))
    assert merged == publication_of(first + second)
    one, between = publication_of(first).cut("bob", view)
    two, after = publication_of(second, first=len(first) + 1).cut("bob", between)
    assert merged.cut("bob", view) == (one + two, after)


@given(frames=publications(), view=st.sampled_from(Audience))
def test_a_chunk_shows_each_frame_to_those_who_may_read_it(
    frames: list[Step], view: Audience
) -> None:
    still = [attrs.evolve(step, moves={}) for step in frames]
    assert publication_of(frames).chunk(view) == read_by_model(still, "ann", view)[0]


@pytest.mark.parametrize("view", [Audience.MEMBERS, Audience.ADMINS])
def test_a_chunk_leaves_its_publication_as_it_is(view: Audience) -> None:
    made = publication_of([Step(is_masked=True, moves={})])
    made.chunk(view)
    assert made == publication_of([Step(is_masked=True, moves={})])


def test_a_new_outlet_has_published_all_up_to_its_head() -> None:
    outlets = Outlets(roster=Roster(), limits=Limits(), start_soon=lambda run: None)
    stream = StreamKey(GROUP, "", "g")
    assert outlets.reached(stream) == 0
    outlet = outlets.open(stream, 7)
    assert outlets.open(stream, 9) is outlet
    assert outlets.reached(stream) == outlet.published_seq == 7
