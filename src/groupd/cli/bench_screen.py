"""How a load test looks at a terminal: a table that changes while it runs, and what came of it."""

from __future__ import annotations

from typing import Final

import attrs
import trio
from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from groupd.loadtest import LoadTest, Report
from groupd.loadtest.figures import Counts, Figures
from groupd.loadtest.histogram import Histogram
from groupd.loadtest.report import PER_MILLE, in_ms
from groupd.loadtest.run import UNDER_LOAD

EVERY_S: Final = 1.0
LOSSES_EVERY_S: Final = 0.5
"""How often it is looked whether connections are lost."""
REFUSALS_SHOWN: Final = 6


@attrs.frozen
class Moment:
    """What there was at one time."""

    time_s: float
    counts: Counts
    acknowledgement: Histogram
    delivery: Histogram

    @classmethod
    def of(cls, figures: Figures) -> Moment:
        """Take it down."""
        return cls(
            trio.current_time(),
            attrs.evolve(figures.counts),
            figures.acknowledgement.corrected.copy(),
            figures.delivery.corrected.copy(),
        )


async def follow(test: LoadTest, console: Console) -> None:
    """Show each second what has happened in it, until cancelled. Where nobody looks, nothing."""
    if not console.is_terminal:
        return
    before = Moment.of(test.figures)
    # It would draw in a thread of its own.
    with Live(console=console, auto_refresh=False, transient=True) as live:
        while True:
            now = Moment.of(test.figures)
            live.update(now_table(test, before, now), refresh=True)
            before = now
            await trio.sleep(EVERY_S)


async def tell_losses(test: LoadTest, console: Console) -> None:
    """Say when connections are lost, and when all are there again, until cancelled.

    Also where nobody looks: a log of the run has to have it.
    """
    is_whole = True
    while True:
        await trio.sleep(LOSSES_EVERY_S)
        if test.phase not in UNDER_LOAD or is_whole is (test.lost == 0):
            continue
        is_whole = not is_whole
        lost = f"{test.lost:,} of {test.users_count:,} connections are lost; it tries to reconnect"
        said = "all connections are there again" if is_whole else lost
        console.print(f"[yellow]groupd:[/] {said}", highlight=False, soft_wrap=True)


def now_table(test: LoadTest, before: Moment, now: Moment) -> Table:
    """Give what has happened between two moments."""
    seconds = max(1e-9, now.time_s - before.time_s)
    table = Table(title=test.phase, show_header=False)

    def per_s(name: str) -> str:
        count = getattr(now.counts, name) - getattr(before.counts, name)
        return f"{count / seconds:,.0f}/s"

    table.add_row("connections", f"{test.figures.connected:,} of {test.users_count:,}")
    for name in ("due", "sent", "acknowledged", "delivered"):
        table.add_row(name, f"{per_s(name)}, {getattr(now.counts, name):,} in all")
    table.add_row("acknowledged, p99", _p99(now.acknowledgement.since(before.acknowledgement)))
    table.add_row("delivered, p99", _p99(now.delivery.since(before.delivery)))
    table.add_row("refused", _refusals(test.figures))
    table.add_row("reconnects, lagged", f"{now.counts.reconnects:,}, {now.counts.lagged:,}")
    return table


def show(report: Report, console: Console) -> None:
    """Print what a run has come to."""
    mark = " *" if report.is_saturated else ""
    console.print(
        f"[bold]{escape(report.url)}[/]: {report.connections:,} connections, {report.groups:,} "
        f"groups of {report.members:,}, {report.seconds:.1f} s",
        highlight=False,
    )
    table = Table("ms", "", "count", *(f"{name}{mark}" for name in (*PER_MILLE, "max")))
    for column in table.columns:
        column.no_wrap = True
    for column in table.columns[2:]:
        column.justify = "right"
    for name, latency in (
        ("acknowledged", report.figures.acknowledgement),
        ("delivered", report.figures.delivery),
    ):
        table.add_row(f"[bold]{name}[/]", "since due", *_row(latency.corrected))
        table.add_row("", "if waiting", *_row(latency.uncorrected))
    table.add_row("own lag", "since due", *_row(report.figures.lag))
    console.print(table)
    rates = Table(*report.rates, "reconnects", "lagged", title="per second")
    counts = report.figures.counts
    rates.add_row(
        *(f"{each:,.1f}" for each in report.rates.values()),
        f"{counts.reconnects:,} in all",
        f"{counts.lagged:,} in all",
    )
    console.print(rates)
    if report.figures.refusals:
        console.print(f"refused: {_refusals(report.figures)}", highlight=False)
    for note in report.notes():
        console.print(f"[yellow]note:[/] {escape(note)}", highlight=False, soft_wrap=True)
    for problem in report.problems.shown:
        console.print(f"[red]problem:[/] {escape(problem)}", highlight=False, soft_wrap=True)
    style = "bold green" if report.has_passed else "bold red"
    console.print(f"[{style}]{escape(report.verdict())}[/]", highlight=False, soft_wrap=True)


def warn(text: str) -> None:
    """Say something that who runs it has to see to."""
    console = Console(stderr=True, emoji=False)
    console.print(f"[yellow]groupd:[/] {escape(text)}", soft_wrap=True)


def _row(histogram: Histogram) -> list[str]:
    if not histogram.count:
        return ["0", *("-" for _ in PER_MILLE), "-"]
    points = [histogram.percentile(share) for share in PER_MILLE.values()]
    return [f"{histogram.count:,}", *map(in_ms, (*points, histogram.max_us))]


def _p99(histogram: Histogram) -> str:
    return f"{in_ms(histogram.percentile(990))} ms" if histogram.count else "-"


def _refusals(figures: Figures) -> str:
    most = figures.refusals.most_common(REFUSALS_SHOWN)
    return ", ".join(f"{count:,} {kind}" for kind, count in most) or "none"
