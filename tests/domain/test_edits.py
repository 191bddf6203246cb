"""Edits: by authors, for some time, and some times (FEATURES A17)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groupd.config import CONTENT
from groupd.domain.base import Card, Fetched
from groupd.domain.group.board import Announce
from groupd.domain.group.edits import Edit, Edited
from groupd.domain.group.membership import Leave
from groupd.domain.group.messages import Post
from groupd.domain.group.recalls import Recall
from groupd.domain.projection import Edit as EditOf
from groupd.errors import Rejected
from tests.domain.bench import Table, World, outcome

CARD = {"type": "link", "url": "https://example.com/"}


def posted(table: Table) -> int:
    seq: int = table.act("mia", Post(text="hi"))["seq"]
    return seq


def test_an_edit_is_an_event_of_its_own_and_makes_nothing_unread(table: Table) -> None:
    seq, n = posted(table), table.state.n
    answer = table.act("mia", Edit(seq, text="ho", card=CARD, mentions=["adam", "sam"]))
    assert answer == {"seq": table.seq}
    event = table.book.event()
    assert event == Edited(message=seq, text="ho", card=CARD, mentions=("adam",))
    assert table.state.n == n
    assert list(event.project(table.book.records[-1])) == [EditOf(seq, table.seq)]


def test_the_same_content_again_is_an_edit_too(table: Table) -> None:
    seq = posted(table)
    seqs = [table.act("mia", Edit(seq, text="hi"))["seq"] for _ in range(2)]
    assert seqs == [table.seq - 1, table.seq]


def test_a_retry_of_an_edit_is_none(table: Table) -> None:
    seq, request_id = posted(table), table.world.new_id()
    first = table.act("mia", Edit(seq, text="ho"), request_id)
    head = table.seq
    assert table.act("mia", Edit(seq, text="ho"), request_id) == first
    assert table.seq == head


def test_only_its_author_edits_a_message(table: Table) -> None:
    seq = posted(table)
    for user in ("adam", "olga"):
        assert outcome(table.refuse(user, Edit(seq, text="ho"))) == "forbidden: author"
    table.act("mia", Leave())
    assert outcome(table.refuse("mia", Edit(seq, text="ho"))) == "forbidden: not_member"


def test_a_message_is_edited_for_fifteen_minutes(table: Table) -> None:
    assert CONTENT.edit_within_ms == 15 * 60_000
    seq = posted(table)
    table.world.now_ms += CONTENT.edit_within_ms
    table.act("mia", Edit(seq, text="ho"))
    table.world.now_ms += 1
    error = table.refuse("mia", Edit(seq, text="ha"))
    assert outcome(error) == "forbidden: too_late"
    assert error.details["limit_ms"] == CONTENT.edit_within_ms


def test_a_message_is_edited_so_many_times(table: Table) -> None:
    seq = posted(table)
    for number in range(CONTENT.edits_max):
        table.act("mia", Edit(seq, text=f"{number}"))
    error = table.refuse("mia", Edit(seq, text="ho"))
    assert error.code == "quota_exceeded"
    limit = CONTENT.edits_max
    assert error.details == {"quota": "edits", "limit": limit, "used": limit}


def test_only_posts_that_stand_are_edited(table: Table) -> None:
    said = table.act("olga", Announce("周六停业"))["seq"]
    for seq in (1, said, table.seq + 1):
        assert table.refuse("olga", Edit(seq, text="ho")).code == "not_found"
    seq = posted(table)
    table.act("mia", Recall(seq))
    assert outcome(table.refuse("mia", Edit(seq, text="ho"))) == "conflict: recalled"


def test_an_edit_cannot_be_edited(table: Table) -> None:
    edit = table.act("mia", Edit(posted(table), text="ho"))["seq"]
    assert table.refuse("mia", Edit(edit, text="ha")).code == "not_found"


def test_an_edit_mentions_all_only_where_an_admin_makes_it(table: Table) -> None:
    seq = posted(table)
    error = table.refuse("mia", Edit(seq, text="ho", mentions="all"))
    assert outcome(error) == "forbidden: role"
    own = table.act("adam", Post(text="hi"))["seq"]
    table.act("adam", Edit(own, text="ho", mentions="all"))
    event = table.book.event()
    # Nobody is told again: only the index of edits changes.
    assert list(event.project(table.book.records[-1])) == [EditOf(own, table.seq)]


def test_an_edit_needs_what_a_post_needs() -> None:
    for params in ({"seq": 1}, {"seq": 1, "text": " "}, {"seq": 1, "card": {}}, {"text": "hi"}):
        with pytest.raises(Rejected, match="bad_request"):
            Edit.parse(params)


def test_an_erased_edit_is_about_nothing(table: Table) -> None:
    seq = posted(table)
    edit = table.act("mia", Edit(seq, text="ho"))["seq"]
    table.act("mia", Recall(seq))
    event = table.book.event(edit)
    assert event == Edited()
    assert event.project(table.book.records[edit - 1]) == ()
    fetched = Fetched(messages={seq: Card("mia", 1, "posted")})
    event.touch(fetched, table.book.records[edit - 1])
    assert fetched.messages[seq].edits == []


@given(
    st.lists(
        st.tuples(
            st.sampled_from(("olga", "adam", "mia")),
            st.integers(3, 12),
            st.sampled_from((0, 1, 60_000, CONTENT.edit_within_ms)),
        ),
        max_size=20,
    )
)
def test_whoever_tries_edits_are_made_by_authors_in_time(
    tries: list[tuple[str, int, int]],
) -> None:
    table = World().found("olga", members=["adam", "mia"])
    for number, (user, seq, pass_ms) in enumerate(tries):
        table.world.now_ms += pass_ms
        if number % 2:
            table.act(user, Post(text="hi"))
        else:
            try:
                table.act(user, Edit(seq, text="ho"))
            except Rejected:
                continue
    records = table.book.records
    edits = [(record, table.book.event(record.seq)) for record in records]
    for record, event in edits:
        if isinstance(event, Edited):
            about = records[event.message - 1]
            assert (about.kind, about.user) == ("posted", record.user)
            assert record.time_ms - about.time_ms <= CONTENT.edit_within_ms
