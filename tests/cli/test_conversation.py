"""What is kept of a conversation, as events and pages come in."""

from __future__ import annotations

from typing import Any

import pytest

from groupd.cli.chat.conversation import Conversation, Told
from groupd.cli.chat.model import Model
from groupd.client import GroupEvent

GROUP = "0123456789ABCDEF"


def event(seq: int, kind: str = "posted", user: str = "bob", **fields: Any) -> GroupEvent:
    if kind == "posted":
        fields.setdefault("text", f"text {seq}")
    return GroupEvent(GROUP, seq, 1_750_000_000_000 + seq, user, kind, None, fields)


def events(first: int, last: int) -> list[GroupEvent]:
    return [event(seq) for seq in range(first, last + 1)]


def wire(found: GroupEvent, **more: Any) -> dict[str, Any]:
    header = {"group": GROUP, "seq": found.seq, "time_ms": found.time_ms, "user": found.user}
    return {"seq": found.seq, "event": header | {"kind": found.kind} | found.fields} | more


def seqs(shown: Conversation) -> list[int]:
    return [entry.key[0] for entry in shown.entries]


def loaded(first: int, last: int, *, entries_max: int = 1_000) -> Conversation:
    shown = Conversation(GROUP, "ann", entries_max=entries_max)
    shown.load(events(first, last), {}, last, more=first > 1)
    return shown


def test_events_that_a_page_had_already_are_not_shown_twice() -> None:
    shown = loaded(1, 5)
    for seq in (4, 5, 6, 6):
        shown.hear(event(seq))
    assert seqs(shown) == [1, 2, 3, 4, 5, 6]


def test_what_happens_while_a_page_is_on_its_way_stays() -> None:
    shown = Conversation(GROUP, "ann")
    for found in events(4, 8):
        shown.hear(found)
    shown.load(events(2, 6), {}, 6, more=True)
    assert seqs(shown) == [2, 3, 4, 5, 6, 7, 8]
    assert (shown.low, shown.high, shown.older, shown.newer) == (2, 8, True, False)


def test_scrolling_back_drops_what_is_newest_and_scrolling_on_brings_it_again() -> None:
    shown = loaded(81, 100, entries_max=30)
    shown.load_older(events(61, 80), {}, more=True)
    assert (shown.low, shown.high, len(shown.entries)) == (61, 90, 30)
    assert shown.newer
    # It is not next to what is shown, so it only counts.
    shown.hear(event(101))
    assert (shown.high, shown.head) == (90, 101)
    shown.load_newer(events(91, 100), {}, 100, more=False)
    assert shown.newer, "101 was not kept"
    shown.load_newer([event(101)], {}, 101, more=False)
    assert not shown.newer
    assert seqs(shown) == list(range(72, 102))
    assert (shown.low, shown.older) == (72, True)


def test_what_is_kept_is_bounded_as_people_talk() -> None:
    shown = loaded(1, 3, entries_max=10)
    for seq in range(4, 50):
        shown.hear(event(seq))
    assert seqs(shown) == list(range(40, 50))
    assert (shown.low, shown.older) == (40, True)


def test_a_page_that_is_older_than_what_was_heard_and_not_kept_is_not_the_end() -> None:
    shown = loaded(81, 100, entries_max=30)
    shown.load_older(events(61, 80), {}, more=True)
    shown.hear(event(101))
    shown.load(events(91, 100), {}, 100, more=True)
    assert (shown.high, shown.newer) == (100, True)
    shown.load(events(91, 101), {}, 101, more=True)
    assert (shown.high, shown.newer) == (101, False)


def test_notes_stand_where_they_were_made() -> None:
    shown = loaded(1, 2)
    shown.note("first")
    shown.note("second")
    shown.hear(event(3))
    shown.note("third")
    assert [entry.key for entry in shown.entries] == [
        (1, 0),
        (2, 0),
        (2, 1),
        (2, 2),
        (3, 0),
        (3, 3),
    ]
    shown.load(events(1, 3), {}, 3, more=False)
    assert len(shown.entries) == 6


def test_notes_made_while_the_first_page_is_on_its_way_stand_after_it() -> None:
    shown = Conversation(GROUP, "ann")
    shown.note("founded")
    shown.load(events(5, 6), {}, 6, more=True)
    assert seqs(shown) == [5, 6, 6]


def test_a_message_that_something_happens_to_is_asked_for_again() -> None:
    shown = loaded(1, 3)
    shown.hear(event(4, "reacted", message=2, reaction="👍"))
    shown.hear(event(5, reply_to=3))
    shown.hear(event(6, "edited", message=99))
    assert list(shown.stale) == [2, 3]
    assert shown.take_stale(1) == [2]
    shown.hear(event(7, "reacted", message=2, reaction="👍", user="eve"))
    assert seqs(shown) == [1, 2, 3, 5]
    shown.refresh([2], {2: wire(event(2), reactions={"👍": 1}, mine=["👍"], replies=0)})
    told = shown.find(2)
    assert told is not None
    assert told.note == "👍 1 (you)"
    assert list(shown.stale) == [3, 2], "it was asked for before that happened"


def test_what_is_recalled_goes_at_once() -> None:
    shown = loaded(1, 3)
    shown.hear(event(4, "recalled", message=2))
    told = shown.find(2)
    assert told is not None
    assert (told.event.kind, told.event.fields) == ("erased", {})


def test_what_is_not_there_any_more_when_asked_for_is_erased() -> None:
    shown = loaded(1, 3)
    shown.refresh([2], {})
    told = shown.find(2)
    assert told is not None
    assert told.event.kind == "erased"


def test_the_cursor_goes_over_messages_and_leaves_at_the_end() -> None:
    shown = Conversation(GROUP, "ann")
    page = [event(1), event(2, "joined"), event(3)]
    shown.load(page, {}, 3, more=False)
    moves = []
    for step in (-1, -1, -1, 1, 1):
        shown.select(step)
        moves.append(shown.selected)
    assert moves == [3, 1, 1, 3, None]


@pytest.mark.parametrize("mentions", [["ann"], "all"])
def test_a_mention_of_the_person_is_seen(mentions: Any) -> None:
    shown = loaded(1, 1)
    shown.hear(event(2, mentions=mentions))
    told = shown.entries[-1]
    assert isinstance(told, Told)
    assert told.is_mention


def test_the_board_is_that_of_the_card_and_of_what_has_happened_since() -> None:
    shown = loaded(1, 3)
    shown.set_board("tea", [1], members=2, head=4)
    shown.hear(event(4, "unpinned", message=1))
    assert shown.pins == {1}, "the card knew of it, and it was pinned again since"
    shown.hear(event(5, "pinned", message=2))
    shown.hear(event(6, "announced", text="coffee"))
    assert (shown.pins, shown.announcement) == ({1, 2}, "coffee")
    shown.set_board("tea", [1], members=2, head=4)


def test_members_are_counted_from_the_card_on() -> None:
    shown = loaded(1, 3)
    shown.set_board("", [], members=3, head=4)
    for found in (
        event(4, "joined"),
        event(5, "joined", user="eve"),
        event(5, "joined", user="eve"),
    ):
        shown.hear(found)
    assert shown.members == 4
    shown.hear(event(6, "kicked", member="eve"))
    assert shown.members == 3


def test_who_is_typing_is_forgotten_when_they_speak_or_stop() -> None:
    shown = loaded(1, 1)
    shown.sees_typing("bob", 10.0)
    shown.sees_typing("eve", 12.0)
    shown.sees_typing("ann", 12.0)
    assert shown.still_typing(12.0) == ["bob", "eve"]
    shown.hear(event(2, user="eve"))
    assert shown.still_typing(12.0) == ["bob"]
    assert shown.still_typing(16.5) == []


def test_what_is_new_is_marked_until_the_person_speaks() -> None:
    shown = loaded(1, 3)
    shown.hear(event(4, user="ann"))
    assert shown.mark is None
    shown.hear(event(5))
    shown.hear(event(6))
    assert shown.mark == 4
    shown.hear(event(7, user="ann"))
    assert shown.mark is None


# --- the list of chats


def row(group: str, **more: Any) -> dict[str, Any]:
    plain = {"unread": 0, "mentions": 0, "read": 0, "head": 0, "chat_pinned": False}
    return plain | {"group": group, "do_not_disturb": False, "marked_unread": False} | more


def test_unread_messages_are_counted_once() -> None:
    model = Model("ann", {})
    model.take_list([row("other"), row(GROUP, unread=1, head=5, read=3)])
    for found in (event(5), event(6, mentions=["ann"]), event(7, "joined"), event(8, user="ann")):
        model.hear(found)
        if found.seq == 6:
            assert (model.rows[GROUP].unread, model.rows[GROUP].mentions) == (2, 1)
    assert (model.rows[GROUP].unread, model.rows[GROUP].mentions) == (0, 0)
    assert [found.group for found in model.listed()] == [GROUP, "other"]


def test_what_happens_while_the_list_is_on_its_way_is_counted_whether_it_is_in_it() -> None:
    model = Model("ann", {})
    model.take_list([row(GROUP)])
    model.ask_list()
    model.hear(event(1))
    model.hear(event(2))
    model.take_list([row(GROUP, unread=1, head=1)])
    assert model.rows[GROUP].unread == 2


def test_pinned_chats_stay_above_the_latest() -> None:
    model = Model("ann", {})
    model.take_list([row("top", chat_pinned=True), row("other"), row(GROUP)])
    model.hear(event(1))
    assert [found.group for found in model.listed()] == ["top", GROUP, "other"]
    assert [model.beside(1), model.beside(-1)] == ["top", "other"]
    assert model.beside(1, "top") == GROUP


def test_a_group_opens_with_what_is_unread_marked() -> None:
    model = Model("ann", {})
    model.take_list([row(GROUP, unread=2, read=7, head=9)])
    model.enter(GROUP)
    assert (model.open.mark, model.open.read) == (7, 7)
    model.read(GROUP, {"read": 9, "unread": 0, "mentions": 0})
    assert (model.open.read, model.rows[GROUP].unread) == (9, 0)


def test_a_name_that_could_be_anothers_comes_with_the_id() -> None:
    model = Model("ann", {})
    model.enter(GROUP)
    model.open.know({"u1": "Bob", "u2": "Bob", "u3": "u1", "u4": "Eve", "eve": "", "x": "A\x1b[2J"})
    said = {user: model.who(user) for user in ("u1", "u2", "u3", "u4", "eve", "x", "gone")}
    assert said == {
        "u1": "Bob (u1)",
        "u2": "Bob (u2)",
        "u3": "u1 (u3)",
        "u4": "Eve",
        "eve": "eve",
        "x": "A␛[2J",
        "gone": "gone",
    }


def test_the_status_says_how_things_stand() -> None:
    model = Model("ann", {}, is_connected=False, waiting=["hello", "/like"])
    model.open.sees_typing("bob", 0.0)
    assert model.status(1.0) == "ann · reconnecting ... · 2 lines to be sent · bob is typing"
    for user in ("a", "b", "c"):
        model.open.sees_typing(user, 1.0)
    assert model.status(1.0).endswith("bob, a, b and 1 others are typing")
