"""Posts: texts, replies, mentions, and who may say something."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from groupd.config import CONTENT
from groupd.domain.account.blocks import Block, Unblock
from groupd.domain.base import Command
from groupd.domain.group.board import Announce, PinMessage, Unpin
from groupd.domain.group.direct import Direct
from groupd.domain.group.edits import Edit
from groupd.domain.group.membership import Join, Joined
from groupd.domain.group.messages import Post, Posted
from groupd.domain.group.moderation import Mute, MuteAll, SlowMode
from groupd.domain.group.reactions import React, Unreact
from groupd.domain.group.recalls import Recall
from groupd.domain.projection import EVERYBODY, Mention, Reply
from groupd.errors import Rejected
from tests.domain.bench import Table, World, outcome


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
    assert Post.parse({"card": {"type": "poll"}}).text == ""


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


def test_a_reply_is_noted_with_the_message_that_it_answers(table: Table) -> None:
    seq = table.act("mia", Post(text="hi"))["seq"]
    table.act("adam", Post(text="ho", reply_to=seq, mentions=["mia"]))
    record = table.book.records[-1]
    assert list(table.book.event().project(record)) == [
        Mention(("mia",), record.seq),
        Reply(seq, record.seq),
    ]


def test_a_message_that_was_recalled_cannot_be_replied_to(table: Table) -> None:
    seq = table.act("mia", Post(text="hi"))["seq"]
    table.act("mia", Recall(seq))
    assert outcome(table.refuse("mia", Post(text="?", reply_to=seq))) == "conflict: recalled"


@pytest.mark.parametrize(
    "request_for",
    [
        lambda seq: Post(text="?", reply_to=seq),
        lambda seq: Edit(seq, text="?"),
        Recall,
        lambda seq: React(seq, "👍"),
        lambda seq: Unreact(seq, "👍"),
    ],
)
def test_what_was_said_before_a_member_may_read_does_not_exist_for_them(
    world: World, request_for: Callable[[int], Command]
) -> None:
    table = world.found("olga", history="joined")
    before = table.act("olga", Post(text="hi"))["seq"]
    table.act("sam", Join())
    assert table.refuse("sam", request_for(before)).code == "not_found"


def test_of_a_pin_below_their_floor_an_admin_learns_nothing(world: World) -> None:
    table = world.found("olga", history="joined")
    before = table.act("olga", Post(text="hi"))["seq"]
    table.happen(Joined(via="added", member="adam", role="admin", history="joined"))
    assert table.refuse("adam", PinMessage(before)).code == "not_found"


# --- who may say something, and when


def test_a_muted_member_cannot_post_edit_or_react_but_takes_back(table: Table) -> None:
    seq = table.act("mia", Post(text="hi"))["seq"]
    table.act("mia", React(seq, "👍"))
    table.act("adam", Mute("mia", for_ms=1_000))
    for request in (Post(text="hi"), Edit(seq, text="ho"), React(seq, "like")):
        error = table.refuse("mia", request)
        assert (error.code, error.details["until_ms"]) == ("muted", table.world.now_ms + 1_000)
    table.act("mia", Unreact(seq, "👍"))
    table.act("mia", Recall(seq))
    table.world.now_ms += 1_000
    table.act("mia", Post(text="hi"))


def test_where_all_are_muted_only_admins_speak(table: Table) -> None:
    seq = table.act("mia", Post(text="hi"))["seq"]
    table.act("adam", MuteAll())
    for request in (Post(text="hi"), Edit(seq, text="ho"), React(seq, "like")):
        assert outcome(table.refuse("mia", request)) == "forbidden: all_muted"
    table.act("adam", Post(text="hi"))


def test_slow_mode_counts_from_the_last_post_that_was_taken(table: Table) -> None:
    table.act("adam", SlowMode(1_000))
    first = table.act("mia", Post(text="hi"))["seq"]
    table.world.now_ms += 400
    error = table.refuse("mia", Post(text="again"))
    assert (outcome(error), error.details["retry_after_ms"]) == ("rate_limited: slow_mode", 600)
    table.act("mia", Edit(first, text="ho"))
    table.act("mia", React(first, "👍"))
    for _ in range(2):
        table.act("adam", Post(text="admins may"))
    table.world.now_ms += 600
    table.act("mia", Post(text="again"))


def test_a_retry_does_not_start_the_clock_of_slow_mode(table: Table) -> None:
    table.act("adam", SlowMode(1_000))
    request_id = table.world.new_id()
    table.act("mia", Post(text="hi"), request_id)
    table.world.now_ms += 900
    table.act("mia", Post(text="hi"), request_id)
    table.world.now_ms += 100
    table.act("mia", Post(text="again"))


def direct(world: World) -> Table:
    return Table(world, world.act("ann", Direct("bob"))["group"])


def test_in_a_direct_chat_neither_says_anything_while_one_blocks_the_other(world: World) -> None:
    chat = direct(world)
    seq = chat.act("bob", Post(text="hi"))["seq"]
    world.act("ann", Block("bob"))
    for user in ("ann", "bob"):
        for request in (Post(text="hi"), Post(text="hi", reply_to=seq), React(seq, "👍")):
            assert outcome(chat.refuse(user, request)) == "forbidden: blocked"
    assert outcome(chat.refuse("bob", Edit(seq, text="ho"))) == "forbidden: blocked"
    chat.act("bob", Recall(seq))
    world.act("ann", Unblock("bob"))
    chat.act("bob", Post(text="hi"))


def test_in_a_group_a_block_changes_nothing(table: Table) -> None:
    table.world.act("mia", Block("adam"))
    table.act("adam", Post(text="hi"))


def test_a_direct_chat_has_no_board(world: World) -> None:
    chat = direct(world)
    seq = chat.act("bob", Post(text="hi"))["seq"]
    for request in (Announce("hi"), PinMessage(seq), Unpin(seq)):
        assert outcome(chat.refuse("ann", request)) == "forbidden: direct"
    assert outcome(chat.refuse("ann", Post(text="hi", mentions="all"))) == "forbidden: role"


# --- mentions


def test_mentions_are_kept_once_each_in_their_order(table: Table) -> None:
    table.act("mia", Post(text="hi", mentions=["olga", "adam", "olga"]))
    event = table.book.event()
    assert event == Posted(text="hi", mentions=("olga", "adam"))
    record = table.book.records[-1]
    assert list(event.project(record)) == [
        Mention(("olga", "adam"), record.seq),
    ]


def test_mentions_of_strangers_are_dropped(table: Table) -> None:
    table.act("mia", Post(text="hi", mentions=["sam", "adam"]))
    assert table.book.event() == Posted(text="hi", mentions=("adam",))
    table.act("mia", Post(text="hi", mentions=["sam"]))
    assert table.book.event() == Posted(text="hi")
    record = table.book.records[-1]
    assert table.book.event().project(record) == ()


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
