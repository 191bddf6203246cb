"""Which rows are seen, and that each is as wide as the screen takes it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.panel import Panel
from rich.text import Text

from groupd.cli.chat import layout, paint, words
from groupd.cli.chat.completing import CANDIDATES_MAX, candidates
from groupd.cli.chat.model import Model
from groupd.cli.chat.paint import Line
from groupd.cli.chat.qr import drawn
from tests.cli.test_conversation import GROUP, event, row


def text_of(rows: list[Line]) -> list[str]:
    return ["".join(text for _, text in line) for line in rows]


def model_of(last: int = 0, **fields: Any) -> Model:
    model = Model("ann", {GROUP: "Tea 茶", "other": "Other"})
    model.take_list([row(GROUP), row("other")])
    model.enter(GROUP)
    page = [event(seq, **fields) for seq in range(1, last + 1)]
    model.open.load(page, {}, last, more=False)
    return model


# --- rows


@given(st.text(alphabet="ab 茶，。\n👍é\u0301ｗ", max_size=60), st.integers(2, 20))
def test_no_row_is_too_wide_and_nothing_is_lost(text: str, width: int) -> None:
    rows = text_of(paint.wrap([("", text)], width))
    assert all(paint.width_of(line) <= width for line in rows)
    assert "".join(rows).replace(" ", "") == text.replace("\n", "").replace(" ", "")


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("who is for tea", ["who is", "for tea"]),
        ("abcdefghijkl", ["abcdefgh", "ijkl"]),
        ("今天下午喝茶吗", ["今天下午", "喝茶吗"]),
        # No row begins with a closing sign.
        ("今天下午，喝茶", ["今天下", "午，喝茶"]),
        ("a\nb", ["a", "b"]),
        ("", [""]),
    ],
)
def test_rows_are_broken_where_people_read(text: str, rows: list[str]) -> None:
    assert text_of(paint.wrap([("", text)], 8)) == rows


def test_texts_of_users_are_no_markup_and_no_control() -> None:
    model = model_of(1, text="[red]x[/] \x1b[2J\u202e")
    shown = text_of(layout.seen(model, 80, 5))[-1]
    assert shown.endswith("bob [red]x[/] ␛[2J�")


def test_names_and_announcements_are_no_control_either() -> None:
    model = model_of(1)
    model.names[GROUP] = "Tea \x1b[31m\n2"
    model.open.set_board("a\x1b[2J\nb", [], members=1, head=1)
    shown = text_of(layout.chats(model, 26, 5) + layout.banner(model, 40))
    assert shown[0].startswith(" Tea ␛[31m 2 ")
    assert [line.strip() for line in shown[2:]] == ["Tea ␛[31m 2 · 1 member", "a␛[2J b"]


def test_what_terminals_do_not_agree_on_is_left_out() -> None:
    family = "\N{MAN}\N{ZERO WIDTH JOINER}\N{WOMAN}\N{VARIATION SELECTOR-16}"
    model = model_of(1, text=family)
    assert text_of(layout.seen(model, 80, 5))[-1].endswith("\N{MAN}\N{WOMAN}")


def test_a_message_shows_its_number_its_author_and_what_became_of_it() -> None:
    model = model_of(2)
    model.open.pins = {2}
    model.open.know({"bob": "Robert"})
    said = text_of(layout.seen(model, 80, 9))
    assert said[0].startswith("── 2025-06-1")
    assert said[-1].endswith("   2 Robert text 2 · pinned")


def test_a_new_day_and_what_is_new_are_ruled_off() -> None:
    model = model_of(3)
    model.open.mark = 2
    said = text_of(layout.seen(model, 40, 9))
    assert [line[:6] for line in said if line.startswith("──")] == ["── 202", "── new"]
    assert said[-2].startswith("── new")


def test_a_panel_and_a_picture_keep_their_colours() -> None:
    rows = paint.drawn(Panel(Text("x", "red")), 10)
    assert ("fg:ansired", "x") in rows[1]
    assert paint.drawn(Text("x", "black on white"), 10) == [
        [("fg:ansiblack bg:ansiwhite", "x")],
    ]


def test_a_link_is_drawn_square() -> None:
    rows = drawn("groupd://join/" + "x" * 38).plain.splitlines()
    assert {len(line) for line in rows} == {len(rows[0])}
    assert abs(len(rows) * 2 - len(rows[0])) <= 1
    assert rows[1].startswith("  █")


# --- scrolling


def test_scrolling_shows_each_row_and_ends_at_the_first() -> None:
    model = model_of(30)
    everything = text_of(layout.seen(model, 60, 1_000))
    assert len(everything) == 31
    found = [text_of(layout.seen(model, 60, 10))]
    while not layout.scroll(model, 8, width=60, height=10):
        found.append(text_of(layout.seen(model, 60, 10)))
    found.append(text_of(layout.seen(model, 60, 10)))
    assert found[-1] == everything[:10]
    assert {line for page in found for line in page} == set(everything)
    assert layout.scroll(model, 1, width=60, height=10), "it is the end"
    while not layout.scroll(model, -8, width=60, height=10):
        assert model.open.place is not None
    assert model.open.place is None
    assert text_of(layout.seen(model, 60, 10)) == everything[-10:]


def test_at_the_end_of_what_is_there_it_goes_on_where_it_was() -> None:
    model = model_of(30)
    model.open.newer = True
    layout.scroll(model, 8, width=60, height=10)
    assert layout.scroll(model, -8, width=60, height=10)
    before = text_of(layout.seen(model, 60, 10))
    model.open.load_newer([event(seq) for seq in range(31, 61)], {}, 60, more=False)
    assert text_of(layout.seen(model, 60, 10)) == before


def test_what_is_seen_stays_as_others_talk() -> None:
    model = model_of(30)
    layout.scroll(model, 8, width=60, height=10)
    before = text_of(layout.seen(model, 60, 10))
    model.hear(event(31))
    assert text_of(layout.seen(model, 60, 10)) == before
    assert model.open.place is not None


def test_a_message_longer_than_the_screen_can_be_read_whole() -> None:
    model = model_of(1, text="\n".join(map(str, range(50))))
    found = set(text_of(layout.seen(model, 60, 10)))
    while not layout.scroll(model, 8, width=60, height=10):
        found |= set(text_of(layout.seen(model, 60, 10)))
    found |= set(text_of(layout.seen(model, 60, 10)))
    assert {line.split()[-1] for line in found} >= {str(number) for number in range(50)}


def test_the_cursor_is_always_in_sight() -> None:
    model = model_of(40)
    for step in [-1] * 45 + [1] * 40:
        model.open.select(step)
        layout.reveal(model, width=60, height=10)
        rows = layout.seen(model, 60, 10)
        selected = model.open.selected
        is_marked = any("class:selected" in style for line in rows for style, _ in line)
        assert is_marked is (selected is not None), selected


@given(st.lists(st.integers(-30, 30), max_size=20), st.integers(1, 12), st.integers(1, 40))
def test_no_way_of_scrolling_leaves_the_conversation(
    steps: list[int], height: int, width: int
) -> None:
    model = model_of(12)
    for step in steps:
        layout.scroll(model, step, width=width, height=height)
        assert 0 < len(layout.seen(model, width, height)) <= height


def test_an_empty_conversation_shows_nothing() -> None:
    model = model_of(0)
    assert layout.seen(model, 60, 10) == []
    assert layout.scroll(model, 5, width=60, height=10)
    layout.reveal(model, width=60, height=10)


# --- beside and above


def test_the_list_is_as_wide_as_it_should_be_and_shows_the_open_chat() -> None:
    model = Model("ann", {str(n): f"很长很长很长很长的名字{n}" for n in range(50)})
    model.take_list([row(str(n), unread=n, mentions=n % 2, chat_pinned=n == 3) for n in range(50)])
    model.enter("40")
    rows = text_of(layout.chats(model, 26, 10))
    assert len(rows) == 10
    assert {paint.width_of(line) for line in rows} == {26}
    model.names = {"40": "Forty"}
    assert any("Forty" in line for line in text_of(layout.chats(model, 26, 10)))


def test_the_banner_has_the_announcement_in_two_rows() -> None:
    model = model_of(1)
    model.open.set_board("周五下午品茶 " * 20, [1], members=3, head=1)
    rows = text_of(layout.banner(model, 40))
    assert rows[0].strip() == "Tea 茶 · 3 members · 1 pinned"
    assert len(rows) == 1 + layout.BANNER_ROWS


# --- completing


def completed(model: Model, before: str) -> list[str]:
    return [before[: len(before) - c.length] + c.text for c in candidates(model, before)]


def test_commands_groups_methods_and_people_are_completed() -> None:
    model = model_of(1)
    model.open.know({"ann": "Ann", "u7": "Bob", "bea": "Bea"})
    assert completed(model, "/ann") == ["/announce ", "/announcements"]
    assert completed(model, "/use te") == ["/use Tea 茶"]
    assert completed(model, "/explain pos") == ["/explain post"]
    assert completed(model, "hi @b") == ["hi @u7 ", "hi @bea "]
    assert completed(model, "hi @a") == ["hi @all "]
    assert completed(model, "/kick b") == ["/kick u7 ", "/kick bea "]
    assert completed(model, "a@b") == []
    assert completed(model, "hello") == []


def test_candidates_are_bounded() -> None:
    model = model_of(1)
    model.open.know({f"u{n}": "" for n in range(500)})
    assert len(candidates(model, "@u")) == CANDIDATES_MAX


def test_blanks_of_all_widths_stay_blanks() -> None:
    assert words.safe("a\u00a0b\u3000c\td\x00\x7f\x9b") == "a b\u3000c d␀␡�"
