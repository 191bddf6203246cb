"""What is shown of the runs: a table for people, lines of JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

import attrs
from rich.table import Table

from bench.figures import DERIVED, Latency
from bench.runner import Run

SATURATED_SHARE: Final = 0.9
"""Of a core; above it the load generator may be what limits the throughput."""


def remark(run: Run) -> str:
    """Say in a word or two how far a run can be trusted."""
    if run.outcome.problems:
        return "FAILED"
    share = run.outcome.load_share
    if share is not None and share > SATURATED_SHARE:
        return "load saturated"
    return "ok"


def table_of(runs: Sequence[Run]) -> Table:
    """Lay the runs out as a table."""
    table = Table(title="groupd fan-out", title_justify="left")
    for heading in ("scenario", "store"):
        table.add_column(heading, no_wrap=True)
    for heading in (
        "deliveries/s",
        "CPU µs /delivery",
        "CPU µs /post",
        "delivery ms p50 / p99 / p99.9",
        "answer ms p50 / p99 / p99.9",
        "server CPU",
        "load CPU",
        "kB /connection",
    ):
        table.add_column(heading, justify="right")
    table.add_column("")
    for run in runs:
        table.add_row(*row_of(run))
    return table


def row_of(run: Run) -> tuple[str, ...]:
    """Write the cells of a run; of a failed one, no figure is shown."""
    outcome, scenario = run.outcome, run.scenario
    title = f"{scenario.name}: {scenario.groups} x {scenario.members}"
    if outcome.problems:
        return (title, run.store, *[""] * 8, remark(run))
    per_connection = outcome.bytes_per_connection
    return (
        title,
        run.store,
        _number(outcome.deliveries_per_s, "{:,.0f}"),
        _number(outcome.cpu_us_per_delivery, "{:.2f}"),
        _number(outcome.cpu_us_per_post, "{:.1f}"),
        _latency(outcome.delivery),
        _latency(outcome.acknowledgement),
        _number(outcome.server_share, "{:.0%}"),
        _number(outcome.load_share, "{:.0%}"),
        _number(None if per_connection is None else per_connection / 1_000, "{:.1f}"),
        remark(run),
    )


def json_line(run: Run) -> str:
    """Write all that is known of a run in one line."""
    outcome = attrs.asdict(run.outcome)
    derived = {name: getattr(run.outcome, name) for name in DERIVED}
    line: dict[str, Any] = {
        "scenario": attrs.asdict(run.scenario),
        "store": run.store,
        "remark": remark(run),
        **outcome,
        **derived,
    }
    return json.dumps(line)


def _number(value: float | None, form: str) -> str:
    return "" if value is None else form.format(value)


def _latency(latency: Latency | None) -> str:
    if latency is None:
        return ""
    points = (latency.p50_us, latency.p99_us, latency.p99_9_us)
    return " / ".join(f"{point / 1_000:.2f}" for point in points)
