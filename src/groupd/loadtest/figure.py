"""Draws latencies by percentile, as an SVG. Pure.

The horizontal scale is that of HdrHistogram's plots: each step to the right is ten times rarer, so
that the slowest posts, which people remember, have as much room as all the others.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final
from xml.sax.saxutils import escape

from groupd.loadtest.histogram import Histogram
from groupd.loadtest.report import Report, in_ms

WIDTH: Final = 760
HEIGHT: Final = 400
LEFT: Final = 64
RIGHT: Final = 16
TOP: Final = 62
BOTTOM: Final = 56
STEPS_PER_DECADE: Final = 12
LINES: Final = 5
"""Horizontal ones."""

_STYLE: Final = """\
text { font: 12px system-ui, sans-serif; fill: #1f2328; }
.title { font-size: 15px; font-weight: 600; }
.grid { stroke: #d1d9e0; fill: none; }
.line { fill: none; stroke-width: 2; }
.corrected { stroke: #0969da; }
.uncorrected { stroke: #9a6700; stroke-dasharray: 5 4; }
@media (prefers-color-scheme: dark) {
  text { fill: #f0f6fc; }
  .grid { stroke: #3d444d; }
  .corrected { stroke: #4493f8; }
  .uncorrected { stroke: #d29922; }
}
"""


def draw(report: Report) -> str:
    """Draw how long acknowledgements took; raises ValueError where there was none."""
    latency = report.figures.acknowledgement
    if not latency.corrected.count:
        raise ValueError("there is nothing to draw")
    decades = max(2, math.ceil(math.log10(latency.corrected.count)))
    top_us = max(1, latency.corrected.max_us, latency.uncorrected.max_us)
    wide, high = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM

    def place(decade: float, value_us: float) -> str:
        return f"{LEFT + wide * decade / decades:.1f} {TOP + high * (1 - value_us / top_us):.1f}"

    shapes = [
        _text(16, 24, f"Acknowledgements of {report.url}, in ms", "title"),
        _text(
            16,
            44,
            f"{report.rates['acknowledged']:,.0f} posts/s; solid: from when they were due; "
            "dashed: as a tool shows that waits for answers",
        ),
    ]
    for line in range(LINES + 1):
        value_us = top_us * line / LINES
        shapes.append(f'<path class="grid" d="M{place(0, value_us)}L{place(decades, value_us)}"/>')
        y = TOP + high * (1 - line / LINES) + 4
        shapes.append(_text(LEFT - 8, y, in_ms(value_us), anchor="end"))
    for decade in range(decades + 1):
        shapes.append(f'<path class="grid" d="M{place(decade, 0)}L{place(decade, top_us)}"/>')
        x = LEFT + wide * decade / decades
        shapes.append(_text(x, HEIGHT - BOTTOM + 18, _share(decade), anchor="middle"))
    for name in ("uncorrected", "corrected"):
        points = _points(getattr(latency, name), decades)
        if points:
            path = "L".join(place(decade, value_us) for decade, value_us in points)
            shapes.append(f'<path class="line {name}" d="M{path}"/>')
    if report.is_saturated:
        shapes.append(_text(16, HEIGHT - 12, "* the load generator could not keep up"))
    return "\n".join(
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" '
            f'viewBox="0 0 {WIDTH} {HEIGHT}" role="img">',
            "<title>Latency by percentile</title>",
            f"<style>\n{_STYLE}</style>",
            *shapes,
            "</svg>\n",
        )
    )


def _points(histogram: Histogram, decades: int) -> Sequence[tuple[float, int]]:
    """Give latencies at equal steps of rarity, as far as there are values so rare."""
    points = []
    for step in range(decades * STEPS_PER_DECADE + 1):
        decade = step / STEPS_PER_DECADE
        rank = histogram.count - int(histogram.count * 10**-decade) + 1
        if rank > histogram.count:
            break
        points.append((decade, histogram.at_rank(max(1, rank))))
    return points


def _share(decade: int) -> str:
    """Name a percentile: 0, 90, 99, 99.9 ..."""
    return ("0", "90", "99")[decade] + "%" if decade < 3 else f"99.{'9' * (decade - 2)}%"


def _text(x: float, y: float, text: str, kind: str = "", *, anchor: str = "") -> str:
    attributes = f' class="{kind}"' if kind else ""
    attributes += f' text-anchor="{anchor}"' if anchor else ""
    return f'<text x="{x:.1f}" y="{y:.1f}"{attributes}>{escape(text)}</text>'
