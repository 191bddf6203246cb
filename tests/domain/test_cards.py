"""Cards: FEATURES A13."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given

from groupd.config import CONTENT
from groupd.domain.cards import CARDS, CHECKS, TITLE_MAX, URL_MAX, check_card, summary
from groupd.domain.fields import size_of
from groupd.domain.group.messages import Post, Posted
from groupd.errors import Rejected
from tests import strategies
from tests.domain.bench import Table
from tests.strategies import tuples_in

URL = "https://example.com/"
WHOLE: dict[str, dict[str, Any]] = {
    "video": {"title": "做面", "url": URL, "cover": URL, "duration_ms": 61_000},
    "live": {"title": "今晚", "url": URL, "cover": URL, "host": "王芳", "starts_at_ms": 1,
             "live": "l-7", "state": "on", "ended_ms": 2},
    "goods": {
        "title": "茶", "price": 9_900, "currency": "CNY", "url": URL, "picture": URL,
        "original_price": 12_900,
    },
    "link": {"url": URL, "title": "Tea", "description": "a\nb", "picture": URL},
    "image": {"url": URL, "width": 640, "height": 480, "thumbnail": URL},
    "file": {"name": "表.xlsx", "url": URL, "size_bytes": 0, "media_type": "text/csv"},
    "place": {"name": "茶馆", "lat": 31.2, "lon": -121.5, "address": "一号路"},
}  # fmt: skip


def refused(card: Any) -> Rejected:
    with pytest.raises(Rejected) as caught:
        Post.parse({"card": card})
    assert caught.value.code == "bad_request", caught.value
    assert caught.value.details == {"field": "card"}
    return caught.value


def test_every_type_is_taken_with_all_its_fields() -> None:
    assert WHOLE.keys() == CARDS.keys()
    for kind, parts in WHOLE.items():
        assert parts.keys() == CARDS[kind].keys()
        card = {"type": kind, **parts}
        assert check_card(card, "card") == card


@pytest.mark.parametrize("kind", CARDS)
def test_each_required_field_is_required_and_the_others_are_not(kind: str) -> None:
    needed = {name: WHOLE[kind][name] for name, part in CARDS[kind].items() if part.required}
    assert needed
    assert check_card({"type": kind, **needed}, "card") == {"type": kind, **needed}
    for name in needed:
        left = {key: value for key, value in needed.items() if key != name}
        for card in ({"type": kind, **left}, {"type": kind, **left, name: None}):
            assert f"{name} is missing" in refused(card).message


@pytest.mark.parametrize("kind", CARDS)
def test_a_wrong_field_is_named(kind: str) -> None:
    for name in CARDS[kind]:
        for wrong in ({}, [], True, 10**400, "\x00", "x" * (URL_MAX + 1)):
            error = refused({"type": kind, **WHOLE[kind], name: wrong})
            if wrong != 10**400:
                assert f"card.{name}: " in error.message


@pytest.mark.parametrize(
    "url",
    [
        "https://a.example/x?y=1&z=王#w", "HTTP://a.example", "kwai://live/7", "tel:+8610",
        "weixin://dl/business/?t=x", "a+b.c-1:x", "https://a.example/javascript:x",
        "https:" + "x" * (URL_MAX - 6),
    ],
)  # fmt: skip
def test_a_url_may_have_any_scheme_of_an_app(url: str) -> None:
    assert check_card({"type": "link", "url": url}, "card")["url"] == url


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)", "JaVaScRiPt:alert(1)", "data:text/html,x", "vbscript:x",
        "java\tscript:x", "java\nscript:x", " javascript:x", "\x01javascript:x", "\u200bdata:x",
        "", "x", "//a.example", "/a", "https:", "https:// a", "https://a\n", "1a:x", ":x",
        "https://a\u202eb", "https://a\u00a0b", "https:" + "x" * (URL_MAX - 5),
    ],
)  # fmt: skip
def test_what_is_no_url_or_is_a_program_is_refused(url: str) -> None:
    assert "card.url" in refused({"type": "link", "url": url}).message


@pytest.mark.parametrize(
    ("kind", "name", "wrong"),
    [
        ("goods", "price", 1.5), ("goods", "price", -1), ("goods", "price", "99"),
        ("goods", "currency", "cny"), ("goods", "currency", "RMB¥"), ("goods", "currency", ""),
        ("place", "lat", 90.1), ("place", "lon", -181), ("place", "lat", True),
        ("video", "title", " \n"), ("video", "title", "a\nb"), ("video", "title", "a\u202eb"),
        ("video", "title", "x" * (TITLE_MAX + 1)),
        ("link", "description", "x" * (CONTENT.description_max + 1)),
    ],
)  # fmt: skip
def test_prices_are_integers_places_lie_on_the_earth_and_titles_are_one_line(
    kind: str, name: str, wrong: Any
) -> None:
    assert f"card.{name}" in refused({"type": kind, **WHOLE[kind], name: wrong}).message


def test_texts_in_cards_come_in_nfc() -> None:
    card = check_card({"type": "video", "title": " e\u0301 ", "url": URL}, "card")
    assert card["title"] == "é"


def test_a_field_of_a_newer_client_is_kept_as_it_came(table: Table) -> None:
    card = {"type": "link", "url": URL, "tags": ["新", {"x": None}], "ok": True, "f": 0.5}
    table.act("mia", Post(card=card))
    event = table.book.event()
    assert isinstance(event, Posted)
    assert event.card == {**card, "tags": ("新", {"x": None})}


def test_a_card_of_an_unknown_type_is_kept_as_it_came(table: Table) -> None:
    card = {"type": "poll", "title": 7, "url": None, "options": ["a", "b"]}
    table.act("mia", Post(card=card))
    event = table.book.event()
    assert isinstance(event, Posted)
    assert event.card == {**card, "options": ("a", "b")}


def test_a_card_needs_a_type_that_is_a_short_string() -> None:
    wrong: list[Any] = [{}, {"type": ""}, {"type": 1}, {"type": "x" * 33}, [], "goods", {"a": 1}]
    for card in wrong:
        refused(card)


@pytest.mark.parametrize("card", [{"type": "poll"}, {"type": "link", "url": URL}])
def test_a_card_over_its_limit_is_too_large(card: dict[str, Any]) -> None:
    with pytest.raises(Rejected) as caught:
        Post(card={**card, "x": "y" * CONTENT.card_max_bytes})
    assert caught.value.code == "too_large"
    assert caught.value.details == {"limit_bytes": CONTENT.card_max_bytes}


def test_every_field_has_a_check() -> None:
    used = {part.type for parts in CARDS.values() for part in parts.values()}
    assert used == CHECKS.keys()
    assert all("type" not in parts for parts in CARDS.values())


@given(strategies.cards())
def test_a_card_that_was_checked_passes_again_unchanged(card: dict[str, Any]) -> None:
    checked = check_card(card, "card")
    assert check_card(checked, "card") == checked
    assert checked.keys() == card.keys()
    assert size_of(checked) <= CONTENT.card_max_bytes
    more = {name for name in card if name not in CARDS.get(card["type"], {})}
    assert {name: checked[name] for name in more} == tuples_in({n: card[n] for n in more})


@given(strategies.junk())
def test_junk_in_a_card_is_refused_or_taken_but_never_a_bug(value: Any) -> None:
    for card in (value, *({"type": kind, **WHOLE[kind], "title": value} for kind in CARDS)):
        with suppress(Rejected):
            line = summary(check_card(card, "card"))
            assert line.isprintable()
            assert 1 <= len(line) <= TITLE_MAX


@pytest.mark.parametrize(
    ("card", "line"),
    [
        ({"type": "goods", "title": "茶", "url": URL}, "茶"),
        ({"type": "place", "name": "茶馆"}, "茶馆"),
        ({"type": "image", "url": URL}, URL),
        ({"type": "poll", "question": "?"}, "poll"),
        ({"type": "poll", "title": 7, "name": " ", "url": URL}, URL),
        ({"type": "poll", "title": "a\x1b[2J\nb\u202ec"}, "a [2J b c"),
        ({"type": "poll", "title": "x" * 999}, "x" * TITLE_MAX),
        ({"type": "\n"}, "?"),
    ],
)
def test_any_card_is_shown_as_one_line(card: dict[str, Any], line: str) -> None:
    assert summary(card) == line


@pytest.mark.parametrize("url", ["javascript:alert(1)", "\nDATA:text/html,x"])
def test_a_card_of_an_unknown_type_is_no_way_around_the_check_of_urls(url: str) -> None:
    with pytest.raises(Rejected) as caught:
        check_card({"type": "unknown", "url": url}, "card")
    assert caught.value.details == {"field": "card"}
    assert check_card({"type": "unknown", "url": "app:7"}, "card")["url"] == "app:7"
