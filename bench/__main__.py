"""The command line: ``python -m bench --help``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Final

import cyclopts
from cyclopts import Parameter
from rich.console import Console

from bench.report import json_line, table_of
from bench.runner import Run, run_scenario
from bench.scenarios import DEFAULT, SCENARIOS, Scenario
from bench.server import BenchError

WIDTH_MIN: Final = 170
"""So that no cell of the table is broken where the output is no terminal."""

app = cyclopts.App(name="bench", help=__doc__)


@app.default
def bench(
    *,
    scenario: Annotated[
        tuple[str, ...],
        Parameter(negative="", help=f"One of {', '.join(SCENARIOS)}; may be repeated."),
    ] = DEFAULT,
    seconds: Annotated[float, Parameter(help="How long each is measured.")] = 5.0,
    members: Annotated[int | None, Parameter(help="Of each group, 2 to 500.")] = None,
    durable: Annotated[
        bool | None, Parameter(negative="--memory", help="One kind of store only. [both]")
    ] = None,
    ids: Annotated[
        bool, Parameter(negative="--no-ids", help="Whether posts carry request ids.")
    ] = True,
    json: Annotated[
        Path | None, Parameter(help="Write a line of JSON for each run into this file.")
    ] = None,
) -> None:
    """Measure what fan-out costs. Exits with 1 where a delivery was wrong."""
    console = Console(stderr=True)
    try:
        chosen = [_scenario(name, members) for name in scenario]
        if not 0 < seconds <= 600:
            raise ValueError(f"expected 0 to 600 seconds, got {seconds}")
    except ValueError as error:
        console.print(f"bench: {error}", style="bold red")
        sys.exit(2)
    runs: list[Run] = []
    for memory in (True, False) if durable is None else (not durable,):
        for one in chosen:
            console.print(f"{one.name}: {one.title}, {'memory' if memory else 'durable'} ...")
            try:
                run = run_scenario(one, memory=memory, seconds=seconds, with_ids=ids)
            except BenchError as error:
                console.print(f"bench: {error}", style="bold red", markup=False)
                sys.exit(1)
            runs.append(run)
            for problem in run.outcome.problems:
                console.print(f"  {problem}", style="bold red", markup=False)
    output = Console()
    if not output.is_terminal:
        output = Console(width=max(output.width, WIDTH_MIN))
    output.print(table_of(runs))
    if json is not None:
        json.write_text("".join(json_line(run) + "\n" for run in runs))
    if any(run.outcome.problems for run in runs):
        sys.exit(1)


def _scenario(name: str, members: int | None) -> Scenario:
    if name not in SCENARIOS:
        raise ValueError(f"there is no scenario {name!r}, only {', '.join(SCENARIOS)}")
    return SCENARIOS[name] if members is None else SCENARIOS[name].resized(members)


if __name__ == "__main__":
    app()
