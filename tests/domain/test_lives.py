"""Live starts: FEATURES A19. One card, edited once when it is over."""

from __future__ import annotations

from typing import Any

import pytest

from groupd.config import CONTENT
from groupd.domain.base import SERVER
from groupd.domain.cards import CARDS
from groupd.domain.group.edits import Edit, Edited
from groupd.domain.group.lives import LiveEnded, LiveStarted, StartLive, StopLive, live_card
from groupd.domain.group.messages import Posted
from groupd.domain.group.moderation import MuteAll
from groupd.domain.group.recalls import Recall
from groupd.domain.group.settings import Dissolve
from groupd.domain.projection import LIVE, Tie
from groupd.errors import Rejected
from tests.domain.bench import Table, outcome

SAID: dict[str, Any] = {"title": "今晚", "url": "https://a.example/7", "host": "安"}
CARD = live_card("l-7", SAID, "card", started_ms=5)


def start(table: Table) -> dict[str, Any]:
    return table.act(SERVER, StartLive("l-7", CARD))


def stop(table: Table, seq: int, card: Any = CARD) -> dict[str, Any]:
    return table.act(SERVER, StopLive("l-7", seq, card))


def test_the_card_says_that_the_live_is_on() -> None:
    assert CARD == {**SAID, "type": "live", "live": "l-7", "state": "on", "starts_at_ms": 5}
    assert CARD.keys() - {"type"} <= CARDS["live"].keys()


@pytest.mark.parametrize(
    "card",
    [
        None,
        [],
        {},
        {"title": "x"},
        {**SAID, "type": "goods"},
        {**SAID, "url": "javascript:x"},
        {**SAID, "more": "x" * CONTENT.card_max_bytes},
    ],
)
def test_a_card_that_is_none_is_refused_by_its_field(card: Any) -> None:
    with pytest.raises(Rejected) as caught:
        live_card("l-7", card, "card", started_ms=None)
    assert caught.value.code in ("bad_request", "too_large")
    assert "card" in caught.value.message


def test_a_card_is_refused_that_would_be_too_large_when_it_is_over() -> None:
    for size in range(CONTENT.card_max_bytes - 400, CONTENT.card_max_bytes):
        try:
            card = live_card("l", {**SAID, "more": "x" * size}, "card", started_ms=None)
        except Rejected:
            return
        StopLive("l", 1, {**card, "state": "ended", "ended_ms": 2**53 - 1})
    pytest.fail("none was too large")


def test_a_start_posts_one_card_and_again_none(table: Table) -> None:
    first, seq = start(table), table.seq
    assert first == {"status": "on", "seq": seq - 1}
    posted, started = table.book.event(seq - 1), table.book.event(seq)
    assert posted == Posted(card=CARD)
    assert started == LiveStarted("l-7", seq - 1)
    table.world.now_ms += 366 * 86_400_000
    table.restart()
    assert start(table) == first
    assert table.seq == seq


def test_the_system_is_heard_also_where_all_are_muted(table: Table) -> None:
    table.act("olga", MuteAll())
    assert start(table)["status"] == "on"


def test_a_stop_edits_the_card_once(table: Table) -> None:
    seq = start(table)["seq"]
    # Long after the time in which people may edit.
    table.world.now_ms += 2 * CONTENT.edit_within_ms
    assert stop(table, seq) == {"status": "ended", "seq": seq}
    shown = {**CARD, "state": "ended", "ended_ms": table.world.now_ms}
    assert table.book.event(seq + 2) == Edited(message=seq, card=shown)
    assert table.book.event(seq + 3) == LiveEnded("l-7", seq)
    assert stop(table, seq) == {"status": "ended", "seq": seq}
    assert start(table) == {"status": "ended", "seq": seq}
    assert table.seq == seq + 3


def test_a_stop_of_what_is_not_shown_is_refused(table: Table) -> None:
    assert outcome(table.refuse(SERVER, StopLive("l-7", 1, CARD))) == "not_found"
    seq = start(table)["seq"]
    assert outcome(table.refuse(SERVER, StopLive("l-7", seq - 1, CARD))) == "not_found"
    assert outcome(table.refuse(SERVER, StopLive("l-8", seq, CARD))) == "not_found"


def test_nothing_of_a_recalled_card_comes_back(table: Table) -> None:
    seq = start(table)["seq"]
    table.act(SERVER, Recall(seq))
    head = table.seq
    assert start(table) == {"status": "on", "seq": seq}
    assert stop(table, seq) == {"status": "ended", "seq": seq}
    assert table.book.event(head + 1) == LiveEnded("l-7", seq)
    assert table.seq == head + 1


def test_recalling_a_card_after_the_end_takes_the_edit_too(table: Table) -> None:
    seq = start(table)["seq"]
    stop(table, seq)
    table.act(SERVER, Recall(seq))
    assert table.book.event(table.seq).erases() == (seq, seq + 2)


def test_nobody_else_edits_the_card(table: Table) -> None:
    seq = start(table)["seq"]
    assert outcome(table.refuse("olga", Edit(seq, "mine"))) == "forbidden: author"


def test_a_dissolved_group_shows_no_live_any_more(table: Table) -> None:
    seq = start(table)["seq"]
    assert table.world.tie(table.book, LIVE, "l-7") == Tie(seq, "on")
    table.act("olga", Dissolve())
    assert table.world.tie(table.book, LIVE, "l-7") is None
    assert outcome(table.refuse(SERVER, StartLive("l-8", CARD))) == "conflict: state"
