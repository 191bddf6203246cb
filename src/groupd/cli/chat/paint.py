"""Texts as rows of styled pieces, exactly as wide as the screen takes them.

Placement rules: pure. A *piece* is prompt_toolkit's: a style and a text. Text of users comes in as
text and goes out as text; styles are only ever made here, from rich's, never read out of a text.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from typing import Final, TypeAlias

from prompt_toolkit.utils import get_cwidth
from rich.console import Console, RenderableType
from rich.style import Style
from rich.text import Text

Piece: TypeAlias = tuple[str, str]
Line: TypeAlias = list[Piece]

_UNSURE: Final = str.maketrans(
    "", "", "\N{ZERO WIDTH JOINER}\N{VARIATION SELECTOR-15}\N{VARIATION SELECTOR-16}"
)
"""Characters after which terminals do not agree how wide an emoji is: without them they do."""
_NOT_FIRST: Final = frozenset("，。、；：？！）」』”’》】…,.;:?!)]}")
"""Characters that no row begins with."""
_WIDE: Final = 2


def width_of(text: str) -> int:
    """Give how many columns a text takes."""
    return get_cwidth(text)


def plain(text: str) -> str:
    """Give a text, made safe before, without what makes its width unsure."""
    return text.translate(_UNSURE)


def cut(text: str, width: int) -> str:
    """Shorten a text to a width; what was left out shows as a mark."""
    if width_of(text) <= width:
        return text
    kept, used = "", 0
    for c in text:
        used += width_of(c)
        if used > width - 1:
            break
        kept += c
    return kept + "…"


def fitted(text: str, width: int) -> str:
    """Cut a text or fill it up with blanks, to exactly a width."""
    text = cut(text, width)
    return text + " " * (width - width_of(text))


def style_of(style: Style | None) -> str:
    """Give rich's style in prompt_toolkit's words."""
    if style is None:
        return ""
    words = [
        name for name in ("bold", "dim", "italic", "underline", "reverse") if getattr(style, name)
    ]
    for prefix, color in (("fg", style.color), ("bg", style.bgcolor)):
        if color is not None and not color.is_default:
            words.append(f"{prefix}:{_color(color.name)}")
    return " ".join("class:dim" if word == "dim" else word for word in words)


_NAMED: Final = {"bright_white": "ansiwhite", "white": "ansiwhite"}
"""Where the two do not agree. White is the brightest one, since cameras have to read it."""


def _color(name: str) -> str:
    return _NAMED.get(name) or f"ansi{name.replace('_', '')}"


def pieces(markup: str) -> Line:
    """Give a line of rich's markup as pieces."""
    text = Text.from_markup(markup, emoji=False)
    console = _console(80)
    return [
        (style_of(segment.style), plain(segment.text))
        for segment in text.render(console)
        if segment.text
    ]


def drawn(thing: RenderableType, width: int) -> list[Line]:
    """Give a table, a panel or a picture as rows."""
    if isinstance(thing, str):
        return wrap(pieces(thing), width)
    console = _console(width)
    rows = console.render_lines(thing, console.options.update(highlight=False), pad=False)
    return [
        [(style_of(segment.style), plain(segment.text)) for segment in row if segment.text]
        for row in rows
    ]


def _console(width: int) -> Console:
    # It only renders; with colours, so that styles are kept.
    return Console(file=io.StringIO(), width=max(1, width), color_system="standard", emoji=False)


def wrap(line: Iterable[Piece], width: int) -> list[Line]:
    """Break a line into rows of at most ``width`` columns, at blanks and between wide characters.

    Line breaks in it begin new rows. What is too long for a row by itself is broken anywhere.
    """
    cells = [(style, c) for style, text in line for c in text]
    rows: list[list[Piece]] = []
    row: list[Piece] = []
    used = 0
    for style, c in cells:
        if c == "\n":
            rows.append(row)
            row, used = [], 0
            continue
        columns = width_of(c)
        if used + columns > width and row and c == " ":
            # It stands where the row ends, and is not seen there.
            rows.append(row)
            row, used = [], 0
            continue
        while used + columns > width and row:
            at = _last_break(row, c)
            rows.append(_without_end(row[:at]))
            row = row[at:]
            used = sum(width_of(text) for _, text in row)
        row.append((style, c))
        used += columns
    rows.append(row)
    return [_joined(row) for row in rows]


def _last_break(row: list[Piece], following: str) -> int:
    """Give before which cell a row that is full may be broken; its end where nowhere else."""
    after = following
    for at in range(len(row), 0, -1):
        before = row[at - 1][1]
        is_between = before == " " or _WIDE in (width_of(before), width_of(after))
        if is_between and after not in _NOT_FIRST and width_of(after) > 0:
            return at
        after = before
    return len(row)


def _without_end(row: list[Piece]) -> list[Piece]:
    while row and row[-1][1] == " ":
        row = row[:-1]
    return row


def _joined(row: list[Piece]) -> Line:
    joined: Line = []
    for style, text in row:
        if joined and joined[-1][0] == style:
            joined[-1] = (style, joined[-1][1] + text)
        else:
            joined.append((style, text))
    return joined
