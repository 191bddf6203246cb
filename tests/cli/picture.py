"""Draws docs/chat.svg: the full screen in the middle of a conversation.

python -m tests.cli.picture docs/chat.svg
"""

from __future__ import annotations

import asyncio
import sys
from html import escape
from itertools import groupby
from pathlib import Path
from typing import Final

import pyte

from groupd.cli.chat.paint import width_of
from tests.cli.cinema import UP, Cinema, play
from tests.cli.test_full_screen import tea

CELL, LINE, MARGIN = 8.4, 18, 12
INK, PAPER = "#d8dee9", "#1e222a"
COLORS: Final = {
    "red": "#e06c75",
    "green": "#98c379",
    "brown": "#e5c07b",
    "blue": "#61afef",
    "magenta": "#c678dd",
    "cyan": "#56b6c2",
    "brightblack": "#7f8796",
}


def drawn(screen: pyte.Screen) -> str:
    """Draw what is on a screen."""
    width, height = screen.columns * CELL + 2 * MARGIN, screen.lines * LINE + 2 * MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" '
        f'font-family="monospace" font-size="14">',
        f'<rect width="100%" height="100%" rx="8" fill="{PAPER}"/>',
    ]
    for y in range(screen.lines):
        row = screen.buffer[y]
        cells = [(x, row[x]) for x in range(screen.columns)]
        for style, run in groupby(cells, key=lambda cell: cell[1][1:]):
            parts += _run(list(run), pyte.screens.Char(" ", *style), y)
    return "\n".join([*parts, "</svg>\n"])


def _run(run: list[tuple[int, pyte.screens.Char]], style: pyte.screens.Char, y: int) -> list[str]:
    ink, paper = COLORS.get(style.fg, INK), COLORS.get(style.bg, PAPER)
    if style.reverse:
        ink, paper = paper, ink
    x, top = MARGIN + run[0][0] * CELL, MARGIN + y * LINE
    length = len(run) * CELL
    text = "".join(char.data for _, char in run)
    parts = []
    if paper != PAPER:
        parts.append(
            f'<rect x="{x:.1f}" y="{top}" width="{length:.1f}" height="{LINE}" fill="{paper}"/>'
        )
    if text.strip():
        # Blanks at the ends would be left out, and the rest be stretched.
        x += (len(text) - len(text.lstrip())) * CELL
        length = width_of(text.strip()) * CELL
        shown = text.strip().replace(" ", "\N{NO-BREAK SPACE}")
        weight = ' font-weight="bold"' if style.bold else ""
        parts.append(
            f'<text x="{x:.1f}" y="{top + 14}" fill="{ink}"{weight} textLength="{length:.1f}" '
            f'lengthAdjust="spacingAndGlyphs">{escape(shown)}</text>'
        )
    return parts


async def scene(cinema: Cinema) -> str:
    """Let three people talk, and draw what Alice sees."""
    alice, bob, carol = await tea(cinema, "bob", "carol")
    bob.enters("/create 周五品茶 Friday tasting", "/invite alice")
    await alice.sees("周五品茶")
    alice.enters("/announce Tasting on Friday at five, 老地方见")
    await carol.sees("Tasting on Friday")
    bob.enters("/use Tea")
    await bob.sees("announces")
    bob.enters("乌龙还是龙井？ Oolong or Longjing?")
    await carol.sees("Longjing")
    carol.enters("/reply 6 Oolong! @alice", "/react 6 🍵")
    await alice.sees("Oolong!", "🍵 1")
    alice.enters("Longjing for me", "see you on Friday 👍")
    await bob.sees("see you")
    bob.enters("/use 周五")
    await bob.sees("has founded the group")
    bob.enters("@alice who brings the cups?")
    await alice.sees("@1 ")
    cinema.pass_time(10)
    carol.types("I wi")
    await alice.sees("carol is typing")
    alice.types(UP + UP)
    await alice.sees("/reply TEXT")
    return drawn(alice.screen.screen)


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(asyncio.run(play(scene)), encoding="utf-8")
