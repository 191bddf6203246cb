"""Reactions: sets of members, and their sizes (FEATURES A13, A17)."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from groupd.config import CONTENT
from groupd.domain.base import Card, Command, Role
from groupd.domain.group.board import Announce
from groupd.domain.group.membership import Leave
from groupd.domain.group.messages import Post
from groupd.domain.group.reactions import React, Reacted, Unreact, Unreacted
from groupd.domain.group.recalls import Recall, Recalled
from groupd.domain.projection import React as ReactTo
from groupd.domain.projection import Unreact as UnreactTo
from groupd.errors import Rejected
from tests.domain.bench import Book, Table, World, outcome


def said(table: Table) -> int:
    seq: int = table.act("mia", Post(card={"type": "link", "url": "https://a.example/"}))["seq"]
    return seq


def card(table: Table, seq: int) -> Card:
    return table.world.messages(table.book).messages[seq]


def test_a_like_is_one_per_member_and_doing_it_twice_is_no_error(table: Table) -> None:
    seq = said(table)
    first = table.act("mia", React(seq, "like"))
    head = table.seq
    assert table.act("mia", React(seq, "like")) == first == {"seq": head}
    assert table.seq == head
    table.act("adam", React(seq, "like"))
    assert card(table, seq).reactions == {"like": 2}


def test_a_reaction_is_put_into_the_set_and_taken_out(table: Table) -> None:
    seq = said(table)
    table.act("mia", React(seq, "👍"))
    record, event = table.book.records[-1], table.book.event()
    assert event == Reacted(seq, "👍")
    assert list(event.project(record)) == [ReactTo(seq, "mia", "👍", record.seq)]
    table.act("mia", Unreact(seq, "👍"))
    record, event = table.book.records[-1], table.book.event()
    assert event == Unreacted(seq, "👍")
    assert list(event.project(record)) == [UnreactTo(seq, "mia", "👍")]
    assert card(table, seq).reactions == {}
    table.act("mia", React(seq, "👍"))
    assert card(table, seq).reactions == {"👍": 1}


def test_a_member_may_react_in_several_ways(table: Table) -> None:
    seq = said(table)
    for reaction in ("👍", "like", "👩‍👩‍👧"):
        table.act("mia", React(seq, reaction))
    assert card(table, seq).reactions == {"👍": 1, "like": 1, "👩‍👩‍👧": 1}


def test_what_is_not_there_cannot_be_taken_back(table: Table) -> None:
    seq = said(table)
    table.act("adam", React(seq, "👍"))
    for request in (Unreact(seq, "👍"), Unreact(seq, "like"), Unreact(seq + 5, "👍")):
        assert table.refuse("mia", request).code == "not_found"


def test_a_message_has_so_many_different_reactions_each_of_any_number(table: Table) -> None:
    seq = said(table)
    for number in range(CONTENT.reactions_per_message_max):
        table.act("mia", React(seq, f"r{number}"))
    error = table.refuse("adam", React(seq, "one more"))
    limit = CONTENT.reactions_per_message_max
    assert error.code == "quota_exceeded"
    assert error.details == {"quota": "reactions", "limit": limit, "used": limit}
    table.act("adam", React(seq, "r0"))
    table.act("mia", Unreact(seq, "r1"))
    table.act("adam", React(seq, "one more"))


def test_a_reaction_is_a_short_line_in_nfc(table: Table) -> None:
    seq = said(table)
    table.act("mia", React(seq, " e\u0301 "))
    assert table.book.event() == Reacted(seq, "é")
    for wrong in ("", " ", "x" * (CONTENT.reaction_max + 1), "a\nb", "\u202e", 7, None):
        with pytest.raises(Rejected, match="bad_request"):
            React.parse({"seq": seq, "reaction": wrong})


def test_announcements_take_reactions_and_other_events_do_not(table: Table) -> None:
    table.act("mia", React(table.act("olga", Announce("hi"))["seq"], "👍"))
    for seq in (1, table.seq, table.seq + 1):
        assert table.refuse("mia", React(seq, "👍")).code == "not_found"


def test_who_leaves_leaves_their_reactions(table: Table) -> None:
    seq = said(table)
    table.act("mia", React(seq, "👍"))
    table.act("mia", Leave())
    assert card(table, seq).reactions == {"👍": 1}
    assert outcome(table.refuse("mia", Unreact(seq, "👍"))) == "forbidden: not_member"


# --- whatever is done

USERS = ("olga", "adam", "mia")
steps = st.lists(
    st.tuples(
        st.sampled_from(USERS),
        st.sampled_from(("post", "react", "react", "react", "unreact", "unreact", "recall")),
        st.integers(4, 9),
        st.sampled_from(("👍", "like")),
    ),
    max_size=40,
)


def request_of(name: str, seq: int, reaction: str) -> Command:
    made: dict[str, Command] = {
        "post": Post(text="hi"),
        "react": React(seq, reaction),
        "unreact": Unreact(seq, reaction),
        "recall": Recall(seq),
    }
    return made[name]


def recounted(book: Book) -> dict[int, dict[str, set[str]]]:
    """Give message -> reaction -> who, counted from the log alone."""
    sets: dict[int, dict[str, set[str]]] = {}
    for record in book.records:
        event = book.event(record.seq)
        if isinstance(event, Reacted):
            who = sets.setdefault(event.message, {}).setdefault(event.reaction, set())
            assert record.user not in who
            who.add(record.user)
        elif isinstance(event, Unreacted):
            sets[event.message][event.reaction].remove(record.user)
        elif isinstance(event, Recalled):
            sets.pop(event.message, None)
    return sets


@settings(max_examples=150)
@given(steps)
def test_counts_equal_set_sizes(steps: Sequence[tuple[str, str, int, str]]) -> None:
    table = World().found("olga", members=["mia"])
    table.admit("adam", Role.ADMIN)
    for _ in range(3):
        said(table)
    for user, name, seq, reaction in steps:
        request = request_of(name, seq, reaction)
        with suppress(Rejected):
            table.act(user, request)
    sets = recounted(table.book)
    known = table.world.messages(table.book, USERS)
    for seq, message in known.messages.items():
        expected = {name: who for name, who in sets.get(seq, {}).items() if who}
        assert message.reactions == {name: len(who) for name, who in expected.items()}
        for user in USERS:
            mine = {name for name, who in expected.items() if user in who}
            assert known.reactions[seq, user].keys() == mine
