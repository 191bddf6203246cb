"""The announcement and the pin board: FEATURES A6 and A7."""

from __future__ import annotations

import pytest

from groupd.config import CONTENT, Plan
from groupd.domain.base import Audience
from groupd.domain.group.board import (
    ANNOUNCEMENTS_KEPT,
    Acknowledge,
    Acknowledged,
    Announce,
    Announced,
    Announcements,
    PinMessage,
    Pinned,
    Unpin,
    Unpinned,
)
from groupd.domain.group.info import Info
from groupd.domain.group.membership import Join, Leave
from groupd.domain.group.messages import Post
from groupd.domain.group.settings import Update
from groupd.errors import Rejected
from tests.domain.bench import Table, outcome


def announced(table: Table, text: str = "周六停业") -> int:
    seq: int = table.act("olga", Announce(text))["seq"]
    return seq


def posted(table: Table, count: int) -> list[int]:
    return [table.act("mia", Post(text=f"{number}"))["seq"] for number in range(count)]


def pins(table: Table) -> list[int]:
    return [pin["seq"] for pin in table.act("mia", Info())["pins"]]


# --- the announcement


def test_the_current_announcement_is_in_info_for_those_who_join_later(table: Table) -> None:
    assert "announcement" not in table.act("mia", Info())
    seq = announced(table)
    table.act("sam", Join())
    shown = table.act("sam", Info())["announcement"]
    assert shown == {"seq": seq, "user": "olga", "time_ms": table.world.now_ms}


def test_a_new_announcement_replaces_the_current_one_and_keeps_it_listed(table: Table) -> None:
    seqs = [announced(table, text) for text in ("一", "二", "三")]
    assert table.act("mia", Info())["announcement"]["seq"] == seqs[2]
    assert table.act("mia", Announcements())["announcements"] == seqs[::-1]
    assert table.act("mia", Announcements(limit=2))["announcements"] == seqs[:0:-1]


def test_of_earlier_announcements_the_newest_hundred_are_kept(table: Table) -> None:
    seqs = [announced(table) for _ in range(CONTENT.announcements_kept_max + 5)]
    assert table.state.announcements == seqs[4:-1]
    assert len(table.state.announcements) == CONTENT.announcements_kept_max


def test_how_many_are_kept_is_what_the_contract_says() -> None:
    assert CONTENT.announcements_kept_max == ANNOUNCEMENTS_KEPT


def test_how_many_are_kept_does_not_depend_on_what_an_earlier_version_wrote(table: Table) -> None:
    first = announced(table)
    table.happen(Announced("二", dropped=1), "olga")
    assert table.state.announcements == [first]


def test_strangers_list_no_announcements(table: Table) -> None:
    announced(table)
    assert outcome(table.refuse("sam", Announcements())) == "forbidden: not_member"


def test_an_announcement_is_a_message_of_its_author(table: Table) -> None:
    announced(table)
    assert table.book.event() == Announced("周六停业")
    assert table.book.event().countable
    assert table.book.records[-1].user == "olga"


def test_an_announcement_has_one_to_two_thousand_characters() -> None:
    assert Announce("字" * CONTENT.announcement_max)
    for text in ("", "  ", "字" * (CONTENT.announcement_max + 1)):
        with pytest.raises(Rejected):
            Announce(text)


# --- acknowledgements


def test_acknowledgements_are_counted_once_for_each_member(table: Table) -> None:
    seq = announced(table)
    first = table.act("mia", Acknowledge(seq))
    head = table.seq
    assert table.act("mia", Acknowledge(seq)) == first
    assert table.seq == head
    table.act("adam", Acknowledge(seq))
    for user in ("olga", "adam"):
        assert table.act(user, Info())["announcement"]["acknowledged"] == 2
    assert "acknowledged" not in table.act("mia", Info())["announcement"]


def test_only_admins_read_who_has_acknowledged(table: Table) -> None:
    seq = announced(table)
    table.act("mia", Acknowledge(seq))
    assert table.book.event() == Acknowledged(seq)
    assert table.book.records[-1].audience == Audience.ADMINS


def test_a_new_announcement_starts_without_acknowledgements(table: Table) -> None:
    old = announced(table)
    table.act("mia", Acknowledge(old))
    new = announced(table)
    assert table.act("olga", Info())["announcement"]["acknowledged"] == 0
    table.act("mia", Acknowledge(new))
    assert table.act("olga", Info())["announcement"]["acknowledged"] == 1


def test_a_replaced_announcement_takes_no_acknowledgement(table: Table) -> None:
    old = announced(table)
    announced(table)
    assert outcome(table.refuse("mia", Acknowledge(old))) == "conflict: state"


def test_what_is_no_announcement_cannot_be_acknowledged(table: Table) -> None:
    assert table.refuse("mia", Acknowledge(1)).code == "not_found"
    announced(table)
    (seq,) = posted(table, 1)
    assert table.refuse("mia", Acknowledge(seq)).code == "not_found"


def test_who_leaves_is_not_counted_any_more(table: Table) -> None:
    seq = announced(table)
    table.act("mia", Acknowledge(seq))
    table.act("mia", Leave())
    assert table.act("olga", Info())["announcement"]["acknowledged"] == 0


# --- pins


def test_the_board_is_in_the_order_of_pinning(table: Table) -> None:
    first, second, third = posted(table, 3)
    for seq in (third, first, second):
        table.act("adam", PinMessage(seq))
    assert pins(table) == [third, first, second]
    table.act("adam", Unpin(first))
    table.act("adam", PinMessage(first))
    assert pins(table) == [third, second, first]


def test_a_pin_says_by_whom_and_when(table: Table) -> None:
    (seq,) = posted(table, 1)
    table.world.now_ms += 5
    table.act("adam", PinMessage(seq))
    shown = table.act("mia", Info())["pins"]
    assert shown == [{"seq": seq, "user": "adam", "time_ms": table.world.now_ms}]


def test_pinning_twice_gives_the_first_pinnings_seq_and_no_event(table: Table) -> None:
    (seq,) = posted(table, 1)
    first = table.act("adam", PinMessage(seq))
    assert table.book.event() == Pinned(seq)
    head = table.seq
    assert table.act("olga", PinMessage(seq)) == first == {"seq": head}
    assert table.seq == head


def test_the_board_holds_as_many_as_the_plan_says(table: Table) -> None:
    table.world.plans = {"ordinary": Plan(pins_max=2)}
    first, second, third = posted(table, 3)
    table.act("adam", PinMessage(first))
    table.act("adam", PinMessage(second))
    error = table.refuse("adam", PinMessage(third))
    assert error.code == "quota_exceeded"
    assert error.details == {"quota": "pins", "limit": 2, "used": 2}
    table.act("adam", PinMessage(first))
    table.act("adam", Unpin(first))
    table.act("adam", PinMessage(third))
    assert pins(table) == [second, third]


def test_only_messages_are_pinned(table: Table) -> None:
    for seq in (1, table.seq, table.seq + 1):
        assert table.refuse("adam", PinMessage(seq)).code == "not_found"
    table.act("adam", PinMessage(announced(table)))


def test_unpinning_twice_gives_the_first_unpinnings_seq_and_no_event(table: Table) -> None:
    (seq,) = posted(table, 1)
    table.act("adam", PinMessage(seq))
    first = table.act("adam", Unpin(seq))
    assert table.book.event() == Unpinned(seq)
    head = table.seq
    assert table.act("olga", Unpin(seq)) == first == {"seq": head}
    assert table.seq == head
    assert pins(table) == []


def test_what_was_unpinned_and_pinned_again_is_unpinned_anew(table: Table) -> None:
    (seq,) = posted(table, 1)
    table.act("adam", PinMessage(seq))
    first = table.act("adam", Unpin(seq))
    table.act("adam", PinMessage(seq))
    assert not table.state.unpinned
    assert table.act("adam", Unpin(seq))["seq"] > first["seq"]


def test_what_was_never_pinned_cannot_be_unpinned(table: Table) -> None:
    (seq,) = posted(table, 1)
    assert table.refuse("adam", Unpin(seq)).code == "not_found"


def test_of_unpinnings_the_newest_hundred_are_remembered(table: Table) -> None:
    seqs = posted(table, CONTENT.unpinned_kept_max + 1)
    for seq in seqs:
        table.act("adam", PinMessage(seq))
        table.act("adam", Unpin(seq))
    assert list(table.state.unpinned) == seqs[1:]
    assert table.refuse("adam", Unpin(seqs[0])).code == "not_found"


def test_who_reads_from_their_joining_on_gets_no_earlier_announcement(table: Table) -> None:
    table.act("olga", Update(history="joined"))
    seqs = [table.act("olga", Announce(f"{number}"))["seq"] for number in range(3)]
    table.act("sam", Join())
    assert table.act("sam", Announcements())["announcements"] == [seqs[-1]]
    assert table.act("mia", Announcements())["announcements"] == seqs[::-1]
    later = table.act("olga", Announce("more"))["seq"]
    assert table.act("sam", Announcements())["announcements"] == [later]
