"""What is typed after a command is read, or the person is told what is expected."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from groupd.cli.chat import typed
from groupd.cli.chat.typed import Unclear, mentions
from groupd.domain.cards import CARDS, check_card


@pytest.mark.parametrize(
    ("read", "text"),
    [
        (typed.number, "x"),
        (typed.number, "0"),
        (typed.number, "9" * 16),
        (typed.number_and_text, "5"),
        (typed.user, ""),
        (typed.user, "bob eve"),
        (typed.duration_ms, "5"),
        (typed.duration_ms, "0s"),
        (typed.duration_ms, "soon"),
        (typed.switch, "maybe"),
        (typed.degrees, "north"),
        (typed.pairs, "name"),
        (typed.pairs, "name='Tea"),
        (typed.yes, "perhaps"),
        (typed.count, "-1"),
        (typed.place, "31.2"),
        (typed.json_map, "[1]"),
        (typed.json_map, "{"),
        (typed.card, ""),
        (typed.card, "title=x"),
        (typed.one_word, "two words"),
    ],
)
def test_what_cannot_be_read_is_unclear(read: Callable[..., Any], text: str) -> None:
    with pytest.raises(Unclear, match=r"xpected|not closed"):
        read(text, "a text") if read in (typed.number_and_text, typed.one_word) else read(text)


def test_times_are_read_with_their_unit() -> None:
    assert [typed.duration_ms(text) for text in ("30s", "10m", "1h", "7d")] == [
        30_000,
        600_000,
        3_600_000,
        604_800_000,
    ]


def test_values_with_blanks_stand_in_quotation_marks() -> None:
    assert typed.pairs("name='Tea lovers' location= x=a=b") == {
        "name": "Tea lovers",
        "location": "",
        "x": "a=b",
    }


def test_a_place_is_taken_away_by_nothing() -> None:
    assert typed.place("31.23,121.47") == {"lat": 31.23, "lon": 121.47}
    assert typed.place("") == {}


EXAMPLES = {"count": "1990", "currency": "CNY", "url": "https://e.org/x", "latitude": "31.2"}


@pytest.mark.parametrize("kind", CARDS)
def test_each_type_of_card_can_be_typed(kind: str) -> None:
    words = [
        f"{name}={EXAMPLES.get(field.type, '12.5' if field.type == 'longitude' else 'tea')}"
        for name, field in CARDS[kind].items()
    ]
    made = typed.card(f"{kind} {' '.join(words)}")
    assert check_card(made, "card")["type"] == kind


def test_a_card_of_ones_own_has_texts() -> None:
    assert typed.card("poll question='Tea or coffee?' n=2") == {
        "type": "poll",
        "question": "Tea or coffee?",
        "n": "2",
    }


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("groupd://join/" + "A" * 36 + "-_", "A" * 36 + "-_"),
        ("https://example.org/j?c=" + "b" * 38 + "&from=qq", "b" * 38),
        ("https://example.org/", "https://example.org/"),
        ("c" * 38, "c" * 38),
        ("0123456789ABCDEF", "0123456789ABCDEF"),
    ],
)
def test_the_code_is_taken_out_of_a_links_url(text: str, code: str) -> None:
    assert typed.code_in(text) == code


def test_a_command_may_have_several_lines() -> None:
    assert typed.halves("announce\nfirst\nsecond") == ("announce", "first\nsecond")
    assert typed.number_and_text("5\nyes\nno", "a text") == (5, "yes\nno")
    assert typed.halves("") == ("", "")


def test_a_text_mentions_whom_it_names() -> None:
    assert mentions("hello @bob, and @老师！ but not a@b") == ["bob", "老师"]
    assert mentions("@all tea at five, @bob") == "all"
    assert mentions("nobody") == []
