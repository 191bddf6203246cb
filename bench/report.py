"""What is shown of the runs: a table for people, lines of JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any, Final, NamedTuple

import attrs
from rich.console import JustifyMethod
from rich.table import Table

from bench.figures import DERIVED, Latency, Outcome
from bench.runner import Run
from bench.scenarios import Scenario
from bench.targets import GROUPD, Target

SATURATED_SHARE: Final = 0.9
"""Of a core; above it the load generator may be what limits the throughput."""

SATURATED: Final = "load saturated"

CPU: Final = "cpu_us_per_delivery"
P99: Final = "p99_us"
"""What is compared, by its name in ``Row.by_round``."""


@attrs.frozen
class Row:
    """One scenario on one target, over all rounds: of each figure the median."""

    scenario: Scenario
    target: Target
    figures: dict[str, float]
    """By name; those that a scenario has not are missing. All, where a run was wrong."""
    delivery: Latency | None
    acknowledgement: Latency | None
    lost: int
    remark: str
    by_round: Mapping[int, Mapping[str, float]] = attrs.field(factory=dict)
    """What is compared. Of one round alone: the machine's speed changes from round to round, and
    for both sides."""


def remark(outcome: Outcome) -> str:
    """Say in a word or two how far a run can be trusted."""
    if outcome.problems:
        return "FAILED"
    share = outcome.load_share
    if share is not None and share > SATURATED_SHARE:
        return SATURATED
    return "ok"


def rows_of(runs: Sequence[Run]) -> list[Row]:
    """Put the rounds of each scenario and target together, in the order of the first."""
    together: dict[tuple[str, Target], list[Run]] = {}
    for run in runs:
        together.setdefault((run.scenario.name, run.target), []).append(run)
    order = list(dict.fromkeys(run.scenario.name for run in runs))
    rows = [_row(rounds) for rounds in together.values()]
    return sorted(rows, key=lambda row: order.index(row.scenario.name))


def _row(rounds: Sequence[Run]) -> Row:
    scenario, target = rounds[0].scenario, rounds[0].target
    outcomes = [run.outcome for run in rounds]
    remarks = [remark(outcome) for outcome in outcomes]
    if "FAILED" in remarks:
        return Row(scenario, target, {}, None, None, 0, "FAILED")
    figures: dict[str, float] = {}
    for name in (*DERIVED, "caught_up_s", "rss_peak_bytes"):
        values = [value for outcome in outcomes if (value := getattr(outcome, name))]
        if values:
            figures[name] = median(values)
    return Row(
        scenario,
        target,
        figures,
        _median([outcome.delivery for outcome in outcomes]),
        _median([outcome.acknowledgement for outcome in outcomes]),
        max(outcome.lost for outcome in outcomes),
        max(remarks, key=lambda one: one != "ok"),
        {run.round: _compared(run.outcome) for run in rounds},
    )


def _compared(outcome: Outcome) -> Mapping[str, float]:
    figures = {
        CPU: outcome.cpu_us_per_delivery,
        P99: None if outcome.delivery is None else outcome.delivery.p99_us,
    }
    return {name: value for name, value in figures.items() if value}


def _median(latencies: Sequence[Latency | None]) -> Latency | None:
    known = [latency for latency in latencies if latency is not None]
    if not known:
        return None
    return Latency(
        min(latency.count for latency in known),
        median(latency.p50_us for latency in known),
        median(latency.p99_us for latency in known),
        median(latency.p99_9_us for latency in known),
    )


# --- the table


class Column(NamedTuple):
    """A column of the table."""

    heading: str
    side: JustifyMethod = "right"
    is_always: bool = False
    """Whether it is shown where there is little room, too."""
    is_fixed: bool = False
    """Whether it is never broken."""


COLUMNS: Final = (
    Column("scenario", "left", is_always=True, is_fixed=True),
    Column("server", "left", is_always=True, is_fixed=True),
    Column("", "left", is_always=True, is_fixed=True),
    Column("deliveries/s"),
    Column("posts/s"),
    Column("CPU µs /delivery", is_always=True),
    Column("CPU µs /post"),
    Column("groupd ÷ it", is_always=True),
    Column("delivery ms p50 / p99 / p99.9", is_always=True, is_fixed=True),
    Column("groupd ÷ it, p99"),
    Column("answer ms p50 / p99"),
    Column("server CPU"),
    Column("load CPU"),
    Column("further", "left", is_always=True),
)
WIDE: Final = 240
"""Characters in which no cell of all these columns is broken."""


def table_of(runs: Sequence[Run], *, rounds: int = 1, width: int = WIDE) -> Table:
    """Lay the runs out as a table, each scenario's targets beside groupd in memory.

    ``width`` is how many characters there is room for.
    """
    table = Table(title="groupd fan-out", title_justify="left", caption_justify="left")
    captions = []
    if rounds > 1:
        captions.append(
            f"Of each figure the median of {rounds} rounds; a ratio is the median of those within "
            "each round, with the lowest and the highest."
        )
    rows = rows_of(runs)
    cells = [cells_of(row, rows) for row in rows]
    is_narrow = width < WIDE
    chosen = [
        (place, column)
        for place, column in enumerate(COLUMNS)
        if (column.is_always or not is_narrow)
        and (column.heading != "further" or any(line[place] for line in cells))
    ]
    if is_narrow:
        captions.append(f"In {WIDE} columns, or not in a terminal, there is more of it.")
    table.caption = "\n".join(captions) or None
    for _place, column in chosen:
        table.add_column(column.heading, justify=column.side, no_wrap=column.is_fixed)
    scenario = ""
    for row, line in zip(rows, cells, strict=True):
        if scenario and scenario != row.scenario.name:
            table.add_section()
        scenario = row.scenario.name
        table.add_row(*(line[place] for place, _column in chosen))
    return table


def cells_of(row: Row, rows: Sequence[Row]) -> tuple[str, ...]:
    """Write a row; of a failed one, no figure is shown."""
    scenario = row.scenario
    title = f"{scenario.name}: {scenario.groups} x {scenario.members}"
    if row.remark == "FAILED":
        return (title, row.target.title, row.remark, *[""] * (len(COLUMNS) - 3))
    figures, memory = row.figures, groupd_row(scenario, rows)
    return (
        title,
        row.target.title,
        row.remark,
        _number(figures.get("deliveries_per_s"), "{:,.0f}"),
        _number(figures.get("posts_per_s"), "{:,.0f}"),
        _number(figures.get("cpu_us_per_delivery"), "{:.2f}"),
        _number(figures.get("cpu_us_per_post"), "{:.1f}"),
        _ratio(row, memory, CPU),
        _latency(row.delivery),
        _ratio(row, memory, P99),
        _latency(row.acknowledgement, tail=False),
        _number(figures.get("server_share"), "{:.0%}"),
        _number(figures.get("load_share"), "{:.0%}"),
        _further(row),
    )


def groupd_row(scenario: Scenario, rows: Sequence[Row]) -> Row | None:
    """Give what others are compared with: groupd in memory over plain TCP, in the same runs."""
    for row in rows:
        if row.scenario.name == scenario.name and row.target == Target(GROUPD, "memory"):
            return row
    return None


def _ratio(row: Row, memory: Row | None, name: str) -> str:
    """Write groupd's share of a peer's figure; of another kind of groupd, how many times."""
    if memory is None or row.target == memory.target:
        return ""
    is_groupd = row.target.peer is None
    ratios = []
    for number, its in row.by_round.items():
        mine = memory.by_round.get(number, {})
        if name in its and name in mine:
            ratios.append(its[name] / mine[name] if is_groupd else mine[name] / its[name])
    if not ratios:
        return ""
    middle, low, high = (_share(value) for value in (median(ratios), min(ratios), max(ratios)))
    spread = f" ({low}-{high})" if len(ratios) > 1 else ""
    return f"{middle}{' x memory' if is_groupd else ''}{spread}"


def _share(value: float) -> str:
    return f"{value:.2f}" if value > 0.1 else f"{value:.3f}"


def _further(row: Row) -> str:
    texts = (
        ("bytes_per_connection", 1e-3, "{:.1f} kB/connection"),
        ("bytes_per_group", 1e-3, "{:.1f} kB/group"),
        ("p99_ratio", 1, "p99 {:.2f} times that without"),
        ("p99_alone_us", 1e-3, "which is {:.2f} ms"),
        ("caught_up_s", 1, "caught up in {:.1f} s"),
        ("rss_peak_bytes", 1e-6, "peak {:.0f} MB"),
    )
    shown = [
        form.format(row.figures[name] * factor)
        for name, factor, form in texts
        if name in row.figures
    ]
    if row.lost:
        shown.append(f"{row.lost} deliveries lost")
    return ", ".join(shown)


def _number(value: float | None, form: str) -> str:
    return "" if value is None else form.format(value)


def _latency(latency: Latency | None, *, tail: bool = True) -> str:
    if latency is None:
        return ""
    points = [latency.p50_us, latency.p99_us, *([latency.p99_9_us] if tail else [])]
    return " / ".join(f"{point / 1_000:.2f}" for point in points)


# --- lines of JSON


def json_line(run: Run, *, machine: str, date: str) -> str:
    """Write all that is known of a run in one line."""
    line: dict[str, Any] = {
        "scenario": attrs.asdict(run.scenario),
        "server": run.target.name,
        "store": run.target.store,
        "tls": run.target.tls,
        "websocket": run.target.websocket,
        "version": run.target.version,
        "round": run.round,
        "machine": machine,
        "date": date,
        "remark": remark(run.outcome),
        **attrs.asdict(run.outcome),
        **{name: getattr(run.outcome, name) for name in DERIVED},
    }
    return json.dumps(line, ensure_ascii=False)
