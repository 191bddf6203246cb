"""The list of chats: what is new in each, pinned first, on all devices: FEATURES A16, A18.

What it says is never stored: it equals a recount from the raw logs, whatever has happened.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

import attrs
import msgpack
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from groupd.config import Limits
from groupd.domain.account.chats import DoNotDisturb, MarkUnread, PinChat, ShowGroup
from groupd.domain.base import Command, Identity, Record
from groupd.domain.group.direct import Direct
from groupd.domain.group.recalls import Recall
from groupd.domain.group.settings import Update
from groupd.domain.queries import Chats
from groupd.engine.hub import Caller, Hub
from groupd.errors import Rejected
from groupd.storage.memory import MemoryStore
from groupd.testing.fakes import FakeClock
from tests.engine.rig import (
    FakeSession,
    group_key,
    hub_on,
    new_store,
    outcome,
    play,
    records_of,
    settle,
)

USERS: Final = ("olga", "mia", "noa")
GROUPS: Final = 2
COUNTABLE: Final = ("posted", "announced")
GONE: Final = ("left", "kicked", "banned", "dissolved")


async def chats_of(hub: Hub, user: str, **params: Any) -> dict[str, Any]:
    return await hub.act_as(user).call(Chats(**params))


def names(page: dict[str, Any]) -> list[str]:
    return [chat["name"] for chat in page["chats"]]


# --- the recount: from bytes, without the index and without the rules


def body_of(record: Record) -> dict[str, Any]:
    if record.body is None:
        return {}
    body: dict[str, Any] = msgpack.unpackb(bytes([0x80 | record.body[0]]) + record.body[1:])
    return body


@attrs.define
class Recount:
    """One user's chats, as their account's log and the groups' logs have them."""

    store: MemoryStore
    groups: list[str]
    cursors: dict[tuple[str, str], int]

    def chats(self, user: str) -> dict[str, Any]:
        preferences = self.preferences(user)
        lines = {}
        for group in self.groups:
            line = self.line(user, group)
            if line is not None:
                lines[group] = line | preferences.get(group, {})
        order = sorted(
            lines,
            key=lambda g: (-lines[g].get("pinned_ms", 0), -lines[g]["moved_ms"], g),
        )
        loud = [line for line in lines.values() if not line.get("do_not_disturb")]
        return {
            "chats": [
                {
                    "group": group,
                    "head": lines[group]["head"],
                    "read": lines[group]["read"],
                    "unread": lines[group]["unread"],
                    "mentions": lines[group]["mentions"],
                    "last": lines[group]["last"],
                    "chat_pinned": lines[group].get("pinned_ms", 0) > 0,
                    "do_not_disturb": lines[group].get("do_not_disturb", False),
                    "marked_unread": lines[group].get("marked_unread", False),
                }
                for group in order
            ],
            "unread": sum(line["unread"] for line in loud),
            "mentions": sum(line["mentions"] for line in lines.values()),
        }

    def preferences(self, user: str) -> dict[str, dict[str, Any]]:
        found: dict[str, dict[str, Any]] = {}
        for record in records_of(self.store, Identity(user).account):
            body = body_of(record)
            if record.kind == "chat_set":
                found.setdefault(body.pop("group"), {}).update(body)
            elif record.kind in GONE and not body.get("is_back"):
                found.pop(body["group"], None)
        return found

    def line(self, user: str, group: str) -> dict[str, Any] | None:
        records = records_of(self.store, group_key(group))
        joined = floor = own = 0
        recalled = {body_of(record)["message"] for record in records if record.kind == "recalled"}
        for record in records:
            body = body_of(record)
            if record.kind == "dissolved":
                return None
            if record.kind == "joined" and (body.get("member") or record.user) == user:
                joined = record.seq
                floor = joined if body.get("history") == "joined" else 1
            elif record.kind == "left" and record.user == user:
                joined = 0
            elif record.kind in COUNTABLE and record.user == user:
                own = record.seq
        if not joined:
            return None
        read = max(joined, own, self.cursors.get((user, group), 0))
        said = [record for record in records if record.kind in COUNTABLE]
        new = [record for record in said if record.seq > read and record.seq not in recalled]
        seen = [record for record in said if record.seq >= floor]
        mentions = [body_of(record).get("mentions", ()) for record in new if record.user != user]
        return {
            "head": records[-1].seq,
            "read": read,
            "unread": len(new),
            "mentions": sum(who == "all" or user in who for who in mentions),
            "last": seen[-1].seq if seen else None,
            "moved_ms": (seen[-1] if seen else records[joined - 1]).time_ms,
        }


def shown(page: dict[str, Any]) -> dict[str, Any]:
    """Give of an answer what the recount has."""
    of_chat = ("group", "head", "read", "unread", "mentions")
    flags = ("chat_pinned", "do_not_disturb", "marked_unread")
    return {
        "chats": [
            {
                **{key: chat[key] for key in of_chat + flags},
                "last": chat["last"]["seq"] if "last" in chat else None,
            }
            for chat in page["chats"]
        ],
        "unread": page["unread"],
        "mentions": page["mentions"],
    }


@attrs.frozen
class Step:
    what: str
    user: str
    group: int
    seq: int
    flag: bool


OFTEN: Final = ("post", "mention", "read", "pin", "silence", "mark")
SELDOM: Final = ("all", "announce", "recall", "come", "go", "service", "hide", "dissolve")


def steps() -> st.SearchStrategy[list[Step]]:
    step = st.builds(
        Step,
        what=st.sampled_from(OFTEN * 2 + SELDOM),
        user=st.sampled_from(USERS),
        group=st.integers(0, GROUPS - 1),
        seq=st.integers(1, 16),
        flag=st.booleans(),
    )
    return st.lists(step, max_size=30)


@attrs.define
class Party:
    """Three users, two groups, and two sessions of mia's."""

    hub: Hub
    groups: list[str]
    cursors: dict[tuple[str, str], int] = attrs.field(factory=dict)

    async def do(self, step: Step) -> None:
        caller, group = self.hub.act_as(step.user), self.groups[step.group]
        try:
            await self.deeds(caller, group, step)[step.what]()
        except Rejected:
            return
        if step.what == "read":
            place = (step.user, group)
            self.cursors[place] = max(step.seq, self.cursors.get(place, 0))
            page = await chats_of(self.hub, step.user)
            # Reading ends the mark, before it is answered.
            assert not any(c["marked_unread"] for c in page["chats"] if c["group"] == group)

    def deeds(
        self, caller: Caller, group: str, step: Step
    ) -> dict[str, Callable[[], Awaitable[Any]]]:
        def own(command: Command) -> Callable[[], Awaitable[Any]]:
            return lambda: caller.call(command)

        return {
            "post": lambda: caller.post(group, "hello"),
            "mention": lambda: caller.post(group, "you", mentions=USERS[1:]),
            "all": lambda: caller.post(group, "all of you", mentions="all"),
            "announce": lambda: caller.announce(group, "hear"),
            "recall": lambda: caller.call(Recall(step.seq), group=group),
            "read": lambda: caller.read(group, step.seq),
            "come": lambda: caller.join(group),
            "go": lambda: caller.leave(group),
            "service": lambda: caller.pin(group, step.seq),
            "hide": lambda: caller.call(Update(history="joined"), group=group),
            "dissolve": lambda: caller.dissolve(group),
            "pin": own(PinChat(group, pinned=step.flag)),
            "silence": own(DoNotDisturb(group, on=step.flag)),
            "mark": own(MarkUnread(group, on=step.flag)),
        }


@settings(max_examples=60, deadline=None)
@given(steps())
def test_every_list_of_chats_is_what_a_recount_of_the_logs_gives(plan: list[Step]) -> None:
    async def main() -> None:
        store = new_store()
        async with hub_on(store) as hub:
            groups = []
            for number in range(GROUPS):
                made = await hub.act_as("olga").create(f"Group {number}", members=["mia"])
                groups.append(made["group"])
            party, recount = Party(hub, groups), Recount(store, groups, {})
            recount.cursors = party.cursors
            sessions = [FakeSession(hub, "mia") for _ in range(2)]
            await settle()
            heads = [len(records_of(store, Identity("mia").account)) for _ in sessions]
            for session in sessions:
                await session.hello()
            for step in plan:
                clock = hub.ports.clock
                assert isinstance(clock, FakeClock)
                clock.jump(step.seq * 1_000)
                await party.do(step)
                await settle()
                for user in USERS:
                    assert shown(await chats_of(hub, user)) == recount.chats(user)
            for session, head in zip(sessions, heads, strict=True):
                events = session.pushed("account_event")
                logged = records_of(store, Identity("mia").account)[head:]
                assert [event["seq"] for event in events] == [record.seq for record in logged]

    play(main)


# --- the order, and pages


async def test_pinned_ones_come_first_and_then_what_was_said_last() -> None:
    async with hub_on() as hub:
        clock = hub.ports.clock
        assert isinstance(clock, FakeClock)
        groups = {}
        for name in "abcdef":
            clock.jump(1_000)
            made = await hub.act_as(f"owner of {name}").create(name, members=["mia"])
            groups[name] = made["group"]
            if name == "c":
                await hub.act_as("mia").call(PinChat(groups["b"]))
        mia = hub.act_as("mia")
        for name in "ca":
            clock.jump(1_000)
            await hub.act_as(f"owner of {name}").post(groups[name], "hello")
        clock.jump(1_000)
        await mia.call(PinChat(groups["d"]))
        assert names(await chats_of(hub, "mia")) == ["d", "b", "a", "c", "f", "e"]
        await mia.call(PinChat(groups["d"], pinned=False))
        assert names(await chats_of(hub, "mia")) == ["b", "a", "c", "f", "e", "d"]


@pytest.mark.parametrize("limit", [1, 2, 5, 7, 8])
async def test_pages_go_through_all_and_a_chat_that_moves_makes_no_other_be_missed(
    limit: int,
) -> None:
    async with hub_on() as hub:
        clock = hub.ports.clock
        assert isinstance(clock, FakeClock)
        groups = []
        for number in range(7):
            clock.jump(number % 2)  # Some at the same moment.
            owner = hub.act_as(f"owner{number}")
            groups.append((await owner.create(f"{number}", members=["mia"]))["group"])
        first = await chats_of(hub, "mia", limit=limit)
        assert (first["unread"], first["mentions"]) == (0, 0)
        whole = [chat["group"] for chat in (await chats_of(hub, "mia"))["chats"]]
        got = [chat["group"] for chat in first["chats"]]
        moved = whole[-1]
        clock.jump(1_000)
        await hub.act_as(f"owner{groups.index(moved)}").post(moved, "up", mentions=["mia"])
        page = first
        while "next" in page:
            page = await chats_of(hub, "mia", after=page["next"], limit=limit)
            assert 0 <= len(page["chats"]) <= limit
            # The totals are over all chats, whatever the page.
            assert (page["unread"], page["mentions"]) == (1, 1)
            got += [chat["group"] for chat in page["chats"]]
        assert [group for group in got if group != moved] == whole[:-1]
        assert len(got) == len(set(got))


async def test_a_page_is_cut_by_its_bytes() -> None:
    limits = Limits(page_max_bytes=1_000, backlog_max_bytes=1_000)
    async with hub_on(limits=limits) as hub:
        for number in range(4):
            owner = hub.act_as(f"owner{number}")
            group = (await owner.create("Tea", members=["mia"]))["group"]
            await owner.post(group, "x" * 700)
        page, got = await chats_of(hub, "mia"), []
        while True:
            got += [chat["group"] for chat in page["chats"]]
            if "next" not in page:
                break
            page = await chats_of(hub, "mia", after=page["next"])
        assert len(got) == len(set(got)) == 4


@pytest.mark.parametrize(
    "after", ["x", "1:2", "-1:2:abc", "1:2:", "1:" + "9" * 17 + ":a", "中:1:a"]
)
async def test_what_is_no_cursor_is_a_bad_request(after: str) -> None:
    async with hub_on() as hub:
        with pytest.raises(Rejected) as caught:
            await chats_of(hub, "mia", after=after)
        assert (caught.value.code, caught.value.details) == ("bad_request", {"field": "after"})


# --- what counts


async def test_a_silenced_chat_is_outside_the_total_and_its_mentions_are_not() -> None:
    async with hub_on() as hub:
        olga, mia = hub.act_as("olga"), hub.act_as("mia")
        loud = (await olga.create("Loud", members=["mia"]))["group"]
        quiet = (await olga.create("Quiet", members=["mia"]))["group"]
        await mia.call(DoNotDisturb(quiet))
        for group in (loud, quiet):
            await olga.post(group, "hello")
            await olga.post(group, "you", mentions=["mia"])
        page = await chats_of(hub, "mia")
        assert (page["unread"], page["mentions"]) == (2, 2)
        lines = {chat["name"]: chat for chat in page["chats"]}
        assert (lines["Quiet"]["unread"], lines["Quiet"]["mentions"]) == (2, 1)
        assert lines["Quiet"]["do_not_disturb"]
        assert not lines["Loud"]["do_not_disturb"]
        assert (await chats_of(hub, "olga"))["unread"] == 0


async def test_a_mark_is_a_reminder_and_counts_for_nothing() -> None:
    async with hub_on() as hub:
        olga = hub.act_as("olga")
        group = (await olga.create("Tea"))["group"]
        head = (await olga.post(group, "hello"))["seq"]
        await olga.call(MarkUnread(group))
        page = await chats_of(hub, "olga")
        assert (page["chats"][0]["marked_unread"], page["unread"]) == (True, 0)
        session = FakeSession(hub, "olga")
        await session.hello()
        await olga.read(group, head)
        assert not (await chats_of(hub, "olga"))["chats"][0]["marked_unread"]
        (event,) = session.pushed("account_event")
        assert (event["kind"], event["group"], event["marked_unread"]) == ("chat_set", group, False)
        before = (await olga.account_history())["head"]
        await olga.read(group, head)
        assert (await olga.account_history())["head"] == before


async def test_who_waits_for_approval_has_no_chat_yet() -> None:
    async with hub_on() as hub:
        group = (await hub.act_as("olga").create("Tea", join_policy="approval"))["group"]
        await hub.act_as("mia").join(group)
        assert (await chats_of(hub, "mia")) == {"chats": [], "unread": 0, "mentions": 0}
        # And that somebody waits is no message to those who are in.
        assert (await chats_of(hub, "olga"))["unread"] == 0


async def test_who_reads_from_their_joining_on_sees_no_last_message_of_before() -> None:
    async with hub_on() as hub:
        clock = hub.ports.clock
        assert isinstance(clock, FakeClock)
        old = (await hub.act_as("olga").create("Old", history="joined"))["group"]
        await hub.act_as("olga").post(old, "before you came")
        clock.jump(1_000)
        await hub.act_as("noa").create("New", members=["mia"])
        clock.jump(1_000)
        await hub.act_as("mia").join(old)
        page = await chats_of(hub, "mia")
        # What counts for its place is the joining, then, and not what cannot be read.
        assert names(page) == ["Old", "New"]
        assert "last" not in page["chats"][0]


async def test_of_two_who_open_a_direct_chat_at_once_both_get_the_same_one() -> None:
    store = new_store()
    async with hub_on(store) as hub:
        sessions = {user: FakeSession(hub, user) for user in ("ann", "bob")}
        for session in sessions.values():
            await session.hello()
        got: list[dict[str, Any]] = []

        async def open_chat(user: str, other: str) -> None:
            got.append(await hub.act_as(user).call(Direct(other)))

        async with trio.open_nursery() as nursery:
            for _ in range(10):
                nursery.start_soon(open_chat, "ann", "bob")
                nursery.start_soon(open_chat, "bob", "ann")
        (chat,) = {answer["group"] for answer in got}
        assert [record.kind for record in records_of(store, group_key(chat))] == [
            "created",
            "joined",
            "joined",
        ]
        await hub.act_as("ann").post(chat, "hi")
        # Who was first reads from the founding on, and the other from their own joining.
        assert sorted(session.seqs(chat) for session in sessions.values()) == [
            [1, 2, 3, 4],
            [3, 4],
        ]


async def test_a_direct_chat_is_listed_as_the_other_person() -> None:
    async with hub_on() as hub:
        ann = hub.act_as("ann", name="安", picture="https://example.com/a.png")
        bob = hub.act_as("bob", name="Bob")
        chat = (await ann.call(Direct("bob")))["group"]
        assert await bob.call(Direct("ann")) == {"group": chat, "seq": 3}
        await ann.post(chat, "hi")
        (line,) = (await chats_of(hub, "bob"))["chats"]
        assert (line["name"], line["picture"]) == ("安", "https://example.com/a.png")
        assert (line["direct"], line["unread"], line["role"]) == ("ann", 1, "member")
        (line,) = (await bob.groups())["groups"]
        assert (line["name"], line["direct"]) == ("安", "ann")
        (line,) = (await chats_of(hub, "ann"))["chats"]
        assert (line["name"], line["direct"]) == ("Bob", "bob")


async def test_what_one_prefers_is_in_hello_and_groups_too() -> None:
    async with hub_on() as hub:
        group = (await hub.act_as("olga").create("Tea", members=["mia"]))["group"]
        mia = hub.act_as("mia")
        for command in (PinChat(group), DoNotDisturb(group), MarkUnread(group), ShowGroup(group)):
            await mia.call(command)
        flags = ("chat_pinned", "do_not_disturb", "marked_unread")
        (line,) = (await mia.groups())["groups"]
        assert [line[flag] for flag in flags] == [True, True, True]
        assert "shown" not in line
        (line,) = (await hub.act_as("olga").groups())["groups"]
        assert [line[flag] for flag in flags] == [False, False, False]


async def test_a_strangers_preference_is_refused_alike_for_what_is_hidden_and_what_is_not() -> None:
    async with hub_on() as hub:
        olga, eve = hub.act_as("olga"), hub.act_as("eve")
        hidden = (await olga.create("Tea", discoverable=False))["group"]
        known = (await olga.create("Tea"))["group"]
        for group in (hidden, known, "0" * 16):
            assert await outcome(eve.call(PinChat(group))) == "not_found"


async def test_the_last_message_comes_with_its_newest_form() -> None:
    async with hub_on() as hub:
        olga = hub.act_as("olga")
        group = (await olga.create("Tea"))["group"]
        seq = (await olga.post(group, "one"))["seq"]
        (chat,) = (await olga.chats())["chats"]
        assert "edited" not in chat
        for text in ("two", "three"):
            await olga.edit(group, seq, text=text)
        (chat,) = (await olga.chats())["chats"]
        assert (chat["last"]["text"], chat["edited"]["text"]) == ("one", "three")
        await olga.recall(group, seq)
        (chat,) = (await olga.chats())["chats"]
        assert chat["last"]["kind"] == "erased"
        assert "edited" not in chat
