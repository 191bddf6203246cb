"""Recalls: who may take back what, and what is left of it (FEATURES A17)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from groupd.config import CONTENT
from groupd.domain.base import Command, Role
from groupd.domain.group.board import (
    Acknowledge,
    Announce,
    Announcements,
    PinMessage,
    Unpin,
)
from groupd.domain.group.direct import Direct
from groupd.domain.group.edits import Edit
from groupd.domain.group.info import Info
from groupd.domain.group.membership import Leave
from groupd.domain.group.messages import Post
from groupd.domain.group.reactions import React
from groupd.domain.group.recalls import Recall, Recalled
from groupd.domain.group.roles import SetRole
from groupd.domain.projection import Recall as RecallOf
from groupd.errors import Rejected
from groupd.wire import codec
from tests.domain.bench import Table, World, outcome, verify_chain


def said(table: Table, user: str = "mia", text: str = "hi") -> int:
    seq: int = table.act(user, Post(text=text))["seq"]
    return seq


def shown(table: Table, seq: int) -> Any:
    return codec.unpack(codec.event_map(table.book.records[seq - 1]))


# --- who, and when


def test_an_author_recalls_within_two_minutes(table: Table) -> None:
    assert CONTENT.recall_within_ms == 2 * 60_000
    first, second = said(table), said(table)
    table.world.now_ms += CONTENT.recall_within_ms
    assert table.act("mia", Recall(first)) == {"seq": table.seq}
    table.world.now_ms += 1
    error = table.refuse("mia", Recall(second))
    assert outcome(error) == "forbidden: too_late"
    assert error.details["limit_ms"] == CONTENT.recall_within_ms


WHO_RECALLS_WHOSE = """
        olga    adam    ada     mia     gone
olga    ok      ok      ok      ok      ok
adam    rank    ok      rank    ok      ok
ada     rank    rank    ok      ok      ok
mia     author  author  author  late    author
"""
"""Of messages that are a day old; ``gone`` was an admin, and has left."""


def test_admins_recall_at_any_time_their_own_and_those_of_lower_roles(table: Table) -> None:
    table.admit("ada", Role.ADMIN)
    table.admit("gone", Role.ADMIN)
    header, *rows = [line.split() for line in WHO_RECALLS_WHOSE.splitlines() if line]
    seqs = {(row[0], author): said(table, author) for row in rows for author in header}
    table.act("gone", Leave())
    table.world.now_ms += 86_400_000
    words = {
        "rank": "forbidden: rank",
        "author": "forbidden: author",
        "late": "forbidden: too_late",
    }
    for caller, *cells in rows:
        for author, expected in zip(header, cells, strict=True):
            request = Recall(seqs[caller, author])
            if expected == "ok":
                table.act(caller, request)
            else:
                assert outcome(table.refuse(caller, request)) == words[expected], (caller, author)


def test_the_role_that_the_author_has_now_counts(table: Table) -> None:
    seq = said(table, "adam")
    table.admit("ada", Role.ADMIN)
    assert outcome(table.refuse("ada", Recall(seq))) == "forbidden: rank"
    table.act("olga", SetRole("adam", "member"))
    table.act("ada", Recall(seq))


def test_in_a_direct_chat_each_recalls_their_own(world: World) -> None:
    table = Table(world, world.act("mia", Direct("noa"))["group"])
    seq = said(table)
    assert outcome(table.refuse("noa", Recall(seq))) == "forbidden: author"
    table.act("mia", Recall(seq))


def test_a_second_recall_gives_the_first_ones_seq_whoever_asks_and_whenever(
    table: Table,
) -> None:
    seq = said(table)
    first = table.act("adam", Recall(seq))
    table.world.now_ms += 86_400_000
    head = table.seq
    for user in ("adam", "olga", "mia"):
        assert table.act(user, Recall(seq)) == first
    assert table.seq == head


def test_only_messages_are_recalled(table: Table) -> None:
    seq = said(table)
    table.act("mia", Edit(seq, text="ho"))
    recall = table.act("olga", Recall(seq))["seq"]
    for other in (1, seq + 1, recall, table.seq + 1):
        assert table.refuse("olga", Recall(other)).code == "not_found"


# --- what is left


def test_the_content_of_a_message_and_of_its_edits_is_gone_and_the_seqs_stay(
    table: Table,
) -> None:
    seq = said(table, text="secret")
    edit = table.act("mia", Edit(seq, text="other secret"))["seq"]
    table.act("adam", Recall(seq))
    assert table.book.event() == Recalled(message=seq, edits=(edit,))
    for place in (seq, edit):
        assert shown(table, place).keys() == {"group", "seq", "time_ms", "user", "kind"}
        assert shown(table, place)["kind"] == "erased"
    assert "secret" not in repr(table.book.records)
    assert list(table.book.event().project(table.book.records[-1])) == [RecallOf(seq, table.seq)]


def test_what_was_recalled_takes_no_reaction_reply_or_pin(table: Table) -> None:
    seq = said(table)
    table.act("mia", React(seq, "👍"))
    table.act("mia", Recall(seq))
    for request in (React(seq, "👍"), Post(text="?", reply_to=seq), PinMessage(seq)):
        assert outcome(table.refuse("adam", request)) == "conflict: recalled"
    card = table.world.messages(table.book).messages[seq]
    assert (card.recalled, card.reactions, card.edits) == (table.seq, {}, [])


def test_a_pin_of_it_is_dropped_and_unpinning_it_answers(table: Table) -> None:
    seq, other = said(table), said(table)
    for message in (seq, other):
        table.act("adam", PinMessage(message))
    recall = table.act("mia", Recall(seq))
    assert [pin["seq"] for pin in table.act("mia", Info())["pins"]] == [other]
    assert table.act("adam", Unpin(seq)) == recall


def test_of_unpinnings_by_recall_too_the_newest_hundred_are_remembered(table: Table) -> None:
    seqs = [said(table) for _ in range(CONTENT.unpinned_kept_max + 1)]
    for seq in seqs:
        table.act("adam", PinMessage(seq))
        table.act("adam", Recall(seq))
    assert list(table.state.unpinned) == seqs[1:]
    assert table.book.event() == Recalled(message=seqs[-1], dropped=1)


def test_a_recalled_announcement_is_listed_no_more_and_none_comes_back(table: Table) -> None:
    first, second, third = (table.act("olga", Announce(text))["seq"] for text in "一二三")
    table.act("mia", Acknowledge(third))
    table.act("olga", Recall(third))
    assert "announcement" not in table.act("olga", Info())
    assert table.act("mia", Announcements())["announcements"] == [second, first]
    assert table.refuse("mia", Acknowledge(third)).code == "not_found"
    table.act("olga", Recall(first))
    assert table.act("mia", Announcements())["announcements"] == [second]
    fourth = table.act("olga", Announce("四"))["seq"]
    assert table.act("mia", Announcements())["announcements"] == [fourth, second]


def test_an_admin_recalls_no_announcement_of_the_owner(table: Table) -> None:
    seq = table.act("olga", Announce("一"))["seq"]
    assert outcome(table.refuse("adam", Recall(seq))) == "forbidden: rank"


def test_a_retry_of_what_was_recalled_gets_its_first_answer(table: Table) -> None:
    posting, editing = table.world.new_id(), table.world.new_id()
    first = table.act("mia", Post(text="hi"), posting)
    edited = table.act("mia", Edit(first["seq"], text="ho"), editing)
    table.act("mia", Recall(first["seq"]), table.world.new_id())
    head = table.seq
    assert table.act("mia", Post(text="hi"), posting) == first
    assert table.act("mia", Edit(first["seq"], text="ho"), editing) == edited
    assert table.seq == head


def test_the_request_hashes_of_what_was_recalled_are_in_no_snapshot(table: Table) -> None:
    requests: list[Command] = [Post(text="yes"), Post(text="no")]
    seqs = [table.act("mia", request, table.world.new_id())["seq"] for request in requests]
    edit = Edit(seqs[0], text="maybe")
    table.act("mia", edit, table.world.new_id())
    hashes = [codec.request_hash(request) for request in (requests[0], edit, requests[1])]
    packed = codec.pack(table.state.dump())
    assert [one in packed for one in hashes] == [True, True, True]
    table.act("mia", Recall(seqs[0]))
    packed = codec.pack(table.state.dump())
    assert [one in packed for one in hashes] == [False, False, True]


# --- whatever is recalled

Step = tuple[str, Callable[[int], Command], int]

steps = st.lists(
    st.tuples(
        st.sampled_from(("olga", "adam", "mia")),
        st.sampled_from(
            (
                lambda seq: Post(text="hi"),
                lambda seq: Post(text="hi", reply_to=seq),
                lambda seq: Announce("hi"),
                lambda seq: Edit(seq, text="ho"),
                lambda seq: React(seq, "👍"),
                PinMessage,
                Unpin,
                Acknowledge,
                Recall,
                Recall,
            )
        ),
        st.integers(3, 14),
    ),
    max_size=30,
)


@settings(max_examples=150)
@given(steps=steps, restart_at=st.sets(st.integers(1, 30)), with_ids=st.booleans())
def test_recalling_changes_neither_the_chain_nor_what_a_replay_gives(
    steps: list[Step], restart_at: set[int], with_ids: bool
) -> None:
    """Announcements, too: none is brought back, doubled or lost by a replay of erased events."""
    table = World().found("olga", members=["mia"])
    table.admit("adam", Role.ADMIN)
    for user, request_for, seq in steps:
        try:
            table.act(user, request_for(seq), table.world.new_id() if with_ids else "")
        except Rejected:
            continue
        state = table.state
        listed = [*state.announcements, *([state.announcement.seq] if state.announcement else [])]
        for message in (*listed, *state.pins):
            assert table.book.records[message - 1].body is not None
    verify_chain(table.book.records)
    replayed = table.book.replayed(restart_at=restart_at)
    assert replayed == table.state
    assert replayed.hash() == table.state.hash()


@pytest.mark.parametrize("count", [0, 1, 99, 100, 101, 105])
def test_any_number_of_announcements_replays_after_all_were_erased(
    table: Table, count: int
) -> None:
    seqs = [table.act("olga", Announce("hi"))["seq"] for _ in range(count)]
    before = table.act("mia", Announcements(limit=101))["announcements"]
    assert before == seqs[::-1][:101]
    for seq in seqs[: count // 2]:
        table.act("olga", Recall(seq))
    assert table.book.replayed() == table.state
