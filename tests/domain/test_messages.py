"""Posts: texts, cards, replies, mentions."""

from __future__ import annotations

from typing import Any

import pytest

from groupd.config import CONTENT
from groupd.domain.group.board import Announce
from groupd.domain.group.membership import Join
from groupd.domain.group.messages import Post, Posted
from groupd.domain.projection import EVERYBODY, Mention, Spoke
from groupd.errors import Rejected
from tests.domain.bench import Table, erased, outcome


def bad(**params: Any) -> str:
    with pytest.raises(Rejected) as caught:
        Post.parse(params)
    assert caught.value.code == "bad_request", caught.value
    return str(caught.value.details["field"])


def test_a_post_is_answered_with_its_place_and_time(table: Table) -> None:
    answer = table.act("mia", Post(text="大家好"))
    assert answer == {"status": "posted", "seq": table.seq, "time_ms": table.world.now_ms}
    assert table.book.event() == Posted(text="大家好")


def test_posts_and_announcements_count_as_messages_and_nothing_else_does(table: Table) -> None:
    assert table.state.n == 0
    table.act("mia", Post(text="hi"))
    table.act("olga", Announce("周六停业"))
    table.act("sam", Join())
    assert table.state.n == 2
    assert table.book.records[-1].n == 2


def test_a_post_needs_a_text_or_a_card() -> None:
    assert bad() == "text"
    assert bad(text="") == "text"
    assert bad(text=" \n\u3000") == "text"
    assert Post.parse({"card": {"type": "live"}}).text == ""


def test_a_text_keeps_its_white_space_and_comes_in_nfc(table: Table) -> None:
    table.act("mia", Post(text=" e\u0301\n\tb "))
    assert table.book.event() == Posted(text=" é\n\tb ")


def test_a_text_of_five_thousand_characters_is_taken_and_one_more_is_not() -> None:
    assert Post(text="字" * CONTENT.text_max)
    assert bad(text="字" * (CONTENT.text_max + 1)) == "text"


# --- reply_to


def test_a_reply_refers_to_a_post_or_an_announcement(table: Table) -> None:
    said = table.act("olga", Announce("周六停业"))["seq"]
    posted = table.act("mia", Post(text="为什么?", reply_to=said))["seq"]
    table.act("olga", Post(text="盘点", reply_to=posted))
    assert table.book.event() == Posted(text="盘点", reply_to=posted)


def test_what_is_no_message_cannot_be_replied_to(table: Table) -> None:
    for seq in (1, table.seq, table.seq + 1, 2**53 - 1):
        assert outcome(table.refuse("mia", Post(text="?", reply_to=seq))) == "not_found"
    assert bad(text="?", reply_to=0) == "reply_to"


def test_a_message_whose_content_is_gone_cannot_be_replied_to(table: Table) -> None:
    seq = table.act("mia", Post(text="hi"))["seq"]
    table.book.records[seq - 1] = erased(table.book.records[seq - 1])
    assert table.refuse("mia", Post(text="?", reply_to=seq)).code == "not_found"


# --- mentions


def test_mentions_are_kept_once_each_in_their_order(table: Table) -> None:
    table.act("mia", Post(text="hi", mentions=["olga", "adam", "olga"]))
    event = table.book.event()
    assert event == Posted(text="hi", mentions=("olga", "adam"))
    record = table.book.records[-1]
    assert event.project(record) == (
        Spoke("mia", record.seq),
        Mention(("olga", "adam"), record.seq),
    )


def test_mentions_of_strangers_are_dropped(table: Table) -> None:
    table.act("mia", Post(text="hi", mentions=["sam", "adam"]))
    assert table.book.event() == Posted(text="hi", mentions=("adam",))
    table.act("mia", Post(text="hi", mentions=["sam"]))
    assert table.book.event() == Posted(text="hi")
    record = table.book.records[-1]
    assert table.book.event().project(record) == (Spoke("mia", record.seq),)


def test_only_admins_mention_all(table: Table) -> None:
    error = table.refuse("mia", Post(text="hi", mentions="all"))
    assert outcome(error) == "forbidden: role"
    assert error.details["required"] == "admin"
    for user in ("adam", "olga"):
        table.act(user, Post(text="hi", mentions="all"))
        record = table.book.records[-1]
        assert Mention((EVERYBODY,), record.seq) in table.book.event().project(record)


def test_mentions_are_users_or_the_word_all() -> None:
    many = [f"u{number}" for number in range(CONTENT.mentions_max + 1)]
    assert Post(text="hi", mentions=many[1:])
    wrong: list[Any] = ["everybody", "*", ["*"], [1], {"all": 1}, many, 7, [""], ["x" * 65]]
    for mentions in wrong:
        assert bad(text="hi", mentions=mentions) == "mentions"


# --- cards


def test_a_card_is_kept_as_it_was_sent(table: Table) -> None:
    card = {"type": "goods", "price": 9_900, "tags": ["新", {"x": None}], "ok": True, "f": 0.5}
    table.act("mia", Post(card=card))
    event = table.book.event()
    assert isinstance(event, Posted)
    assert event.card == {**card, "tags": ("新", {"x": None})}


def test_a_card_needs_a_type_that_is_a_short_string() -> None:
    wrong: list[Any] = [{}, {"type": ""}, {"type": 1}, {"type": "x" * 33}, [], "goods", {"a": 1}]
    for card in wrong:
        assert bad(card=card) == "card"


def test_a_card_over_its_limit_is_too_large() -> None:
    with pytest.raises(Rejected) as caught:
        Post(card={"type": "file", "x": "y" * CONTENT.card_max_bytes})
    assert caught.value.code == "too_large"
    assert caught.value.details == {"limit_bytes": CONTENT.card_max_bytes}
