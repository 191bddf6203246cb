"""Messages as they are now: edits, threads, reactions, and that somebody is typing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from groupd.config import CONTENT, Limits
from groupd.domain.base import Command, Identity, Query
from groupd.domain.group.board import Announce, PinMessage
from groupd.domain.group.edits import Edit
from groupd.domain.group.membership import Join, Leave
from groupd.domain.group.messages import Post, Typing
from groupd.domain.group.reactions import React, Unreact
from groupd.domain.group.recalls import Recall
from groupd.domain.group.roles import SetRole
from groupd.domain.queries import Edits, Messages, Reactors, Thread
from groupd.engine.hub import Hub
from groupd.errors import Rejected
from groupd.storage.memory import MemoryStore
from tests.engine.rig import (
    Answers,
    FakeSession,
    GateLog,
    LateLog,
    group_key,
    hub_on,
    new_store,
    outcome,
    play,
    records_of,
    settle,
)


@attrs.frozen
class Room:
    """A group of olga's, with mia in it."""

    hub: Hub
    group: str

    @classmethod
    async def on(cls, hub: Hub, **settings: Any) -> Room:
        made = await hub.act_as("olga").create("Tea", members=["mia"], **settings)
        return cls(hub, made["group"])

    async def ask(self, user: str, request: Command | Query) -> dict[str, Any]:
        return await self.hub.act_as(user).call(request, group=self.group)

    async def act(self, user: str, command: Command) -> int:
        """Do something; gives its seq."""
        seq: int = (await self.ask(user, command))["seq"]
        return seq

    async def look(self, user: str, *seqs: int) -> list[dict[str, Any]]:
        messages: list[dict[str, Any]] = (await self.ask(user, Messages(seqs)))["messages"]
        return messages


def texts_of(events: list[dict[str, Any]]) -> list[str]:
    return [event.get("text", event["kind"]) for event in events]


# --- messages


async def test_a_message_shows_its_newest_form_reactions_and_replies() -> None:
    async with hub_on() as hub:
        room = await Room.on(hub)
        seq = await room.act("olga", Post(text="one"))
        await room.act("olga", Edit(seq, text="two"))
        edit = await room.act("olga", Edit(seq, text="three"))
        for user, reaction in (("mia", "👍"), ("olga", "👍"), ("mia", "like")):
            await room.act(user, React(seq, reaction))
        await room.act("mia", Post(text="reply", reply_to=seq))
        (shown,) = await room.look("mia", seq)
        event, edited = shown.pop("event"), shown.pop("edited")
        assert (event["seq"], event["text"]) == (seq, "one")
        assert (edited["seq"], edited["text"], edited["message"]) == (edit, "three", seq)
        assert shown == {
            "seq": seq,
            "reactions": {"like": 1, "👍": 2},
            "mine": ["like", "👍"],
            "replies": 1,
        }
        await room.act("mia", Unreact(seq, "like"))
        (shown,) = await room.look("olga", seq)
        assert (shown["reactions"], shown["mine"]) == ({"👍": 2}, ["👍"])


async def test_of_what_was_recalled_only_that_it_was_is_shown() -> None:
    async with hub_on() as hub:
        room = await Room.on(hub)
        seq = await room.act("mia", Post(text="one"))
        reply = await room.act("mia", Post(text="two", reply_to=seq))
        await room.act("mia", Edit(seq, text="three"))
        await room.act("olga", React(seq, "👍"))
        recall = await room.act("olga", Recall(seq))
        (shown,) = await room.look("olga", seq)
        assert shown.pop("event")["kind"] == "erased"
        assert shown == {
            "seq": seq,
            "reactions": {},
            "mine": [],
            "replies": 1,
            "recalled": recall,
        }
        await room.act("mia", Recall(reply))
        (shown,) = await room.look("olga", seq)
        assert shown["replies"] == 0


async def test_what_is_no_message_or_below_the_floor_is_left_out() -> None:
    async with hub_on() as hub:
        room = await Room.on(hub, history="joined")
        before = await room.act("olga", Post(text="before"))
        joined = await room.act("noa", Join())
        after = await room.act("olga", Announce("after"))
        asked = (after, 1, before, joined, after, 99)
        assert [shown["seq"] for shown in await room.look("noa", *asked)] == [after]
        assert [shown["seq"] for shown in await room.look("olga", *asked)] == [before, after]


async def test_an_answer_that_would_be_too_large_is_cut_and_says_so() -> None:
    limits = Limits(page_max_bytes=5_000, backlog_max_bytes=10_000)
    async with hub_on(limits=limits) as hub:
        room = await Room.on(hub)
        seqs = [await room.act("olga", Post(text="x" * 1_000)) for _ in range(9)]
        seqs.append(await room.act("olga", Post(text="字" * CONTENT.text_max)))
        got: list[int] = []
        more = True
        while more:
            answer = await room.ask("mia", Messages([seq for seq in seqs if seq not in got]))
            page = [shown["seq"] for shown in answer["messages"]]
            assert page
            assert len(page) * 1_000 < 5_000
            got += page
            more = answer["more"]
        assert got == seqs


def test_one_to_two_hundred_seqs_are_asked_for_at_once() -> None:
    limit = CONTENT.messages_page_max
    assert Messages([*range(1, limit + 1)]).seqs[-1] == limit
    assert Messages([5, 3, 5]).seqs == (5, 3)
    for wrong in ([], [*range(1, limit + 2)], [0], ["1"], [True], 7, None, {1: 2}):
        with pytest.raises(Rejected, match="seqs"):
            Messages.parse({"seqs": wrong})


# --- threads and edits


async def test_a_thread_is_the_replies_in_their_order_without_recalled_ones() -> None:
    async with hub_on() as hub:
        room = await Room.on(hub)
        card = {"type": "video", "title": "做面", "url": "https://a.example/"}
        seq = await room.act("olga", Post(card=card))
        replies = []
        for number in range(5):
            replies.append(await room.act("mia", Post(text=f"{number}", reply_to=seq)))
            await room.act("olga", Post(text="else"))
        await room.act("mia", Recall(replies.pop(2)))
        page = await room.ask("mia", Thread(seq, limit=3))
        assert texts_of(page["events"]) == ["0", "1", "3"]
        assert (page["more"], page["replies"]) == (True, 4)
        page = await room.ask("mia", Thread(seq, after=page["events"][-1]["seq"], limit=3))
        assert (texts_of(page["events"]), page["more"], page["replies"]) == (["4"], False, 4)


async def test_a_thread_is_cut_by_its_bytes() -> None:
    limits = Limits(page_max_bytes=2_500, backlog_max_bytes=10_000)
    async with hub_on(limits=limits) as hub:
        room = await Room.on(hub)
        seq = await room.act("olga", Post(text="hi"))
        for _ in range(3):
            await room.act("mia", Post(text="x" * 1_000, reply_to=seq))
        page = await room.ask("mia", Thread(seq))
        assert (len(page["events"]), page["more"]) == (2, True)
        page = await room.ask("mia", Thread(seq, after=page["events"][-1]["seq"]))
        assert (len(page["events"]), page["more"]) == (1, False)


async def test_admins_and_the_author_page_what_a_message_was() -> None:
    async with hub_on() as hub:
        room = await Room.on(hub)
        seq = await room.act("mia", Post(text="one"))
        for text in ("two", "three"):
            await room.act("mia", Edit(seq, text=text))
        for user in ("olga", "mia"):
            page = await room.ask(user, Edits(seq))
            assert (texts_of(page["events"]), page["more"]) == (["one", "two", "three"], False)
        page = await room.ask("mia", Edits(seq, after=seq))
        assert texts_of(page["events"]) == ["two", "three"]
        await room.act("noa", Join())
        assert await outcome(room.ask("noa", Edits(seq))) == "forbidden: role"
        await room.act("olga", SetRole("noa", "admin"))
        assert len((await room.ask("noa", Edits(seq)))["events"]) == 3
        await room.act("mia", Recall(seq))
        assert texts_of((await room.ask("olga", Edits(seq)))["events"]) == ["erased"]


# --- reactors


async def test_who_has_reacted_is_paged_by_user() -> None:
    async with hub_on() as hub:
        room = await Room.on(hub)
        seq = await room.act("olga", Post(text="hi"))
        users = [f"u{number}" for number in range(5)]
        for user in users:
            await room.ask(user, Join())
            await room.act(user, React(seq, "👍"))
        await room.act("mia", React(seq, "like"))
        await room.act("u2", Unreact(seq, "👍"))
        page = await room.ask("mia", Reactors(seq, "👍", limit=3))
        assert page == {"users": ["u0", "u1", "u3"], "next": "u3"}
        page = await room.ask("mia", Reactors(seq, "👍", after="u3", limit=3))
        assert page == {"users": ["u4"]}
        assert await room.ask("mia", Reactors(seq, "👎")) == {"users": []}


# --- to whom, and how far


READS: list[Callable[[int], Query]] = [
    lambda seq: Messages([seq]),
    Thread,
    Edits,
    lambda seq: Reactors(seq, "👍"),
    lambda seq: Typing(),
]


@pytest.mark.parametrize("query_for", READS)
async def test_strangers_are_refused(query_for: Callable[[int], Query]) -> None:
    async with hub_on() as hub:
        for discoverable, code in ((True, "forbidden: not_member"), (False, "not_found")):
            room = await Room.on(hub, discoverable=discoverable)
            seq = await room.act("olga", Post(text="hi"))
            await room.act("mia", Leave())
            for user in ("noa", "mia"):
                assert await outcome(room.ask(user, query_for(seq))) == code


@pytest.mark.parametrize("query_for", READS[1:-1])
async def test_what_a_member_may_not_read_is_not_found(query_for: Callable[[int], Query]) -> None:
    async with hub_on() as hub:
        room = await Room.on(hub, history="joined")
        before = await room.act("olga", Post(text="before"))
        joined = await room.act("noa", Join())
        for seq in (before, joined, 99):
            assert await outcome(room.ask("noa", query_for(seq))) == "not_found"


async def test_nothing_is_shown_before_it_is_published() -> None:
    """Counts are those of the published head too: what is pushed later comes on top of them."""
    log = LateLog(new_store())
    async with hub_on(log) as hub, trio.open_nursery() as nursery:
        room = await Room.on(hub)
        seq = await room.act("mia", Post(text="one"))
        await room.act("mia", React(seq, "👍"))
        await room.act("mia", React(seq, "like"))
        reader = FakeSession(hub, "olga")
        await reader.hello()

        async def everything() -> list[Any]:
            queries = [
                *(query(seq) for query in READS[:-1]),
                Reactors(seq, "like"),
                Reactors(seq, "👍", limit=1),
                Reactors(seq, "like", limit=1),
            ]
            return [await room.ask("mia", query) for query in queries]

        before = await everything()
        head = records_of(log.store, group_key(room.group))[-1].seq
        log.is_late = True
        later: list[tuple[str, Command]] = [
            ("mia", Edit(seq, text="two")),
            ("olga", Post(text="reply", reply_to=seq)),
            ("olga", React(seq, "👍")),
            ("olga", React(seq, "!")),
            ("mia", Unreact(seq, "👍")),
            ("mia", Unreact(seq, "like")),
            ("mia", React(seq, "like")),
            ("mia", Unreact(seq, "like")),
        ]
        for user, command in later:
            hub.submit(
                Identity(user), command,
                group=room.group, request_id="", replies=Answers(), tag=0,
            )  # fmt: skip
        await settle()
        assert records_of(log.store, group_key(room.group))[-1].seq == head + len(later)
        assert await everything() == before
        log.say()
        await settle()
        after = await everything()
        assert after[0]["messages"][0]["reactions"] == {"!": 1, "👍": 1}
        assert [page["users"] for page in after[3:5]] == [["olga"], []]
        assert (after[1]["replies"], len(after[2]["events"])) == (1, 2)
        nursery.cancel_scope.cancel()


# --- what the engine remembers of messages


async def test_reactions_to_a_message_of_the_same_batch_are_too_early_and_never_doubled() -> None:
    log = GateLog(new_store())
    async with hub_on(log) as hub:
        room = await Room.on(hub)
        await settle()
        answers = Answers()
        seq = records_of(log.store, group_key(room.group))[-1].seq + 1
        for tag, command in enumerate((Post(text="hi"), React(seq, "👍"), React(seq, "👍"))):
            hub.submit(
                Identity("mia"), command,
                group=room.group, request_id="", replies=answers, tag=tag,
            )  # fmt: skip
        await settle()
        assert answers.codes == ["ok", "not_found", "not_found"]
        assert await room.act("mia", React(seq, "👍")) == await room.act("mia", React(seq, "👍"))
        agree(hub, log.store, room.group)


kinds = st.sampled_from(
    ("post", "reply", "announce", "edit", "react", "react", "unreact", "pin", "recall")
)
steps = st.tuples(
    st.sampled_from(("olga", "mia")), kinds, st.integers(4, 9), st.sampled_from(("👍", "like"))
)


def request_of(kind: str, seq: int, reaction: str) -> Command:
    made: dict[str, Command] = {
        "post": Post(text="hi"),
        "reply": Post(text="hi", reply_to=seq),
        "announce": Announce("hi"),
        "edit": Edit(seq, text="ho"),
        "react": React(seq, reaction),
        "unreact": Unreact(seq, reaction),
        "pin": PinMessage(seq),
        "recall": Recall(seq),
    }
    return made[kind]


@settings(max_examples=100, deadline=None)
@given(
    batches=st.lists(st.lists(steps, max_size=12), max_size=6),
    cards_max=st.sampled_from((2, 1_024)),
    passivate_after=st.sets(st.integers(0, 5)),
)
def test_what_is_remembered_of_messages_is_what_the_store_has(
    batches: list[list[Any]], cards_max: int, passivate_after: set[int]
) -> None:
    """Also where several requests of one batch are about the same, new message."""

    async def main() -> None:
        store = new_store()
        log = GateLog(store)
        async with hub_on(log, limits=Limits(cards_max=cards_max)) as hub:
            room = await Room.on(hub)
            for number, batch in enumerate(batches):
                answers = Answers()
                for tag, (user, *what) in enumerate(batch):
                    hub.submit(
                        Identity(user), request_of(*what),
                        group=room.group, request_id="", replies=answers, tag=tag,
                    )  # fmt: skip
                await settle()
                assert "internal" not in answers.codes
                assert len(answers.came) == len(batch)
                agree(hub, store, room.group)
                if number in passivate_after:
                    await hub.passivate()

    play(main)


def agree(hub: Hub, store: MemoryStore, group: str) -> None:
    """Compare the ledger's cache with the index."""
    stream = group_key(group)
    actor = hub._directory._actors.get(stream)
    if actor is not None:
        fetched = actor._ledger.fetched
        for seq in list(fetched.recent):
            fetched.message(seq)
        stored = store.messages(stream, list(fetched.messages))
        assert {seq: attrs.evolve(card, replies=0) for seq, card in fetched.messages.items()} == {
            seq: attrs.evolve(card, replies=0) for seq, card in stored.items()
        }
        for (seq, user), mine in fetched.reactions.items():
            assert mine == store.reactions_of(stream, user, [seq]).get(seq, {})
