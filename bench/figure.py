"""Draws what a delivery costs groupd and the peers, as an SVG: a panel for each scenario.

Bars have one logarithmic scale over all panels, and a figure beside each. Colours follow the
reader's scheme, light or dark; nothing is told by colour alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final
from xml.sax.saxutils import escape

from bench.report import SATURATED, Row
from bench.targets import GROUPD

WIDTH: Final = 860
COLUMNS: Final = 2
PANEL: Final = WIDTH // COLUMNS
BAR: Final = 13
STEP: Final = 19
NAME: Final = 128
"""Room for names, left of the bars."""
VALUE: Final = 56
"""Room for figures, right of the bars."""
HEAD: Final = 56
PANEL_HEAD: Final = 30
PANEL_FOOT: Final = 30
FOOT: Final = 62
MARK: Final = " *"
"""At a figure in whose runs the load generator may have been what limited the throughput."""

REMARK: Final = "The load generator used over 90 % of its core in one round or more."

_STYLE: Final = """\
text { font: 12px system-ui, sans-serif; fill: #1f2328; }
.title { font-size: 16px; font-weight: 600; }
.panel { font-weight: 600; }
.quiet { fill: #59636e; font-size: 11px; }
.grid { stroke: #d1d9e0; }
.peer { fill: #9aa4af; }
.groupd { fill: #0969da; }
@media (prefers-color-scheme: dark) {
  text { fill: #f0f6fc; }
  .quiet { fill: #9198a1; }
  .grid { stroke: #3d444d; }
  .peer { fill: #656c76; }
  .groupd { fill: #4493f8; }
}
"""


def draw(rows: Sequence[Row], *, machine: str, date: str, rounds: int = 1) -> str:
    """Draw the rows that have a CPU time per delivery; raises ValueError where none has."""
    panels: dict[str, list[tuple[float, Row]]] = {}
    for row in rows:
        cost = row.figures.get("cpu_us_per_delivery")
        if cost:
            panels.setdefault(row.scenario.name, []).append((cost, row))
    if not panels:
        raise ValueError("there is nothing to draw")
    costs = [cost for bars in panels.values() for cost, _row in bars]
    scale = Scale(min(costs), max(costs))
    shapes, top = list[str](), HEAD
    names = list(panels)
    for start in range(0, len(names), COLUMNS):
        line = [panels[name] for name in names[start : start + COLUMNS]]
        for column, bars in enumerate(line):
            shapes += _panel(sorted(bars, key=lambda bar: bar[0]), column * PANEL, top, scale)
        top += PANEL_HEAD + max(map(len, line)) * STEP + PANEL_FOOT
    median = f", the median of {rounds} rounds" if rounds > 1 else ""
    text = (
        _text(16, 24, "CPU time of the server for each delivery, in µs", "title"),
        _text(16, 43, "Shorter is better; the scale is logarithmic.", "quiet"),
        _text(16, top + 14, f"{date}{median}; loopback, posts of 100 bytes", "quiet"),
        _text(16, top + 30, machine, "quiet"),
        _text(16, top + 46, f"{MARK.strip()} {REMARK}", "quiet"),
    )
    return "\n".join(
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{top + FOOT}" '
            f'viewBox="0 0 {WIDTH} {top + FOOT}" role="img">',
            "<title>CPU time for each delivery: groupd and others</title>",
            f"<style>\n{_STYLE}</style>",
            *text,
            *shapes,
            "</svg>\n",
        )
    )


class Scale:
    """Where a cost stands on a line: whole decades around all that is drawn."""

    def __init__(self, least: float, most: float) -> None:
        self._low = math.floor(math.log10(least))
        # One decade at least, also where everything costs the same.
        self._high = max(self._low + 1, math.ceil(math.log10(most)))

    def place(self, cost: float) -> float:
        """Give a number from 0 to 1."""
        return (math.log10(cost) - self._low) / (self._high - self._low)

    @property
    def decades(self) -> list[float]:
        """List the costs where lines are drawn."""
        return [10.0**power for power in range(self._low, self._high + 1)]


def _panel(bars: Sequence[tuple[float, Row]], left: float, top: float, scale: Scale) -> list[str]:
    """Draw one scenario's bars, the cheapest first."""
    scenario = bars[0][1].scenario
    zero, length = left + NAME, PANEL - NAME - VALUE
    first, end = top + PANEL_HEAD, top + PANEL_HEAD + len(bars) * STEP
    shapes = [_text(left + 16, top + 16, f"{scenario.name}: {scenario.title}", "panel")]
    for decade in scale.decades:
        x = zero + length * scale.place(decade)
        shapes.append(f'<path class="grid" d="M{x:.1f} {first - 4}V{end}"/>')
        shapes.append(_text(x, end + 13, f"{decade:g}", "quiet", anchor="middle"))
    for place, (cost, row) in enumerate(bars):
        y = first + place * STEP
        width = max(1.0, length * scale.place(cost))
        kind = "groupd" if row.target.name == GROUPD else "peer"
        shapes += [
            _text(zero - 8, y + BAR - 2, row.target.title, anchor="end"),
            f'<rect class="{kind}" x="{zero}" y="{y}" width="{width:.1f}" height="{BAR}" rx="2"/>',
            _text(zero + width + 5, y + BAR - 2, _figure(cost) + MARK * (row.remark == SATURATED)),
        ]
    return shapes


def _figure(cost: float) -> str:
    return f"{cost:.2f}" if cost < 10 else f"{cost:.1f}" if cost < 100 else f"{cost:.0f}"


def _text(x: float, y: float, text: str, kind: str = "", *, anchor: str = "") -> str:
    attributes = f' class="{kind}"' if kind else ""
    attributes += f' text-anchor="{anchor}"' if anchor else ""
    return f'<text x="{x:.1f}" y="{y:.1f}"{attributes}>{escape(text)}</text>'
