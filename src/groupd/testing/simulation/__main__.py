"""Simulate many seeds: ``python -m groupd.testing.simulation --help``."""

from __future__ import annotations

import sys
import time
from collections import Counter
from pathlib import Path
from typing import Annotated, Final

import cyclopts
from cyclopts import Parameter
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from groupd.testing.simulation.bugs import BUGS, ELUSIVE, planted
from groupd.testing.simulation.many import Result, results_of
from groupd.testing.simulation.run import Simulation
from groupd.testing.simulation.scenario import Scenario
from groupd.testing.simulation.shrink import shrink

SEEDS_MAX: Final = 10_000_000
SHOWN_MAX: Final = 10
"""Failing seeds that are shown with their problems."""
PROBLEMS_MAX: Final = 5
"""Problems shown of each."""
COMMAND: Final = "python -m groupd.testing.simulation"

app = cyclopts.App(name="simulation", help="Run groupd in simulations, seed by seed.")


@app.default
def simulate(
    *,
    seeds: Annotated[int, Parameter(help="How many.")] = 200,
    start: Annotated[int, Parameter(help="The first one.")] = 0,
    seed: Annotated[int | None, Parameter(help="Only this one, with all its problems.")] = None,
    scenario: Annotated[Path | None, Parameter(help="Run a stored scenario instead.")] = None,
    bug: Annotated[str | None, Parameter(help=f"Plant one: {', '.join(BUGS)}.")] = None,
    trace: Annotated[bool, Parameter(negative="", help="Print each step of a single run.")] = False,
    history: Annotated[Path | None, Parameter(help="Write a single run's history here.")] = None,
    save: Annotated[
        Path | None, Parameter(help="Shrink what fails, and store it as this scenario.")
    ] = None,
    jobs: Annotated[int | None, Parameter(help="Processes. [default: one per core]")] = None,
    until_found: Annotated[bool, Parameter(negative="", help="Stop at the first failure.")] = False,
) -> None:
    """Simulate. Exits with 1 where a promise was broken, with 2 where a bug was not found."""
    console = Console()
    if bug is not None and bug not in {**BUGS, **ELUSIVE}:
        console.print(f"there is no bug {bug!r}, only {', '.join(BUGS)}", style="bold red")
        sys.exit(2)
    if scenario is not None or seed is not None:
        chosen = Scenario.drawn(seed or 0) if scenario is None else Scenario.read(scenario)
        sys.exit(_one(console, chosen, bug, trace=trace, history=history, save=save))
    if not 1 <= seeds <= SEEDS_MAX:
        console.print(f"expected 1 to {SEEDS_MAX:,} seeds, got {seeds}", style="bold red")
        sys.exit(2)
    failed = _many(console, range(start, start + seeds), bug, jobs, until_found=until_found)
    if bug is not None:
        sys.exit(0 if failed else 2)
    sys.exit(1 if failed else 0)


def _one(
    console: Console,
    scenario: Scenario,
    bug: str | None,
    *,
    trace: bool,
    history: Path | None,
    save: Path | None,
) -> int:
    """Run one scenario and show it all; gives the exit code."""
    with planted(bug):
        listener = (lambda line: print(line)) if trace else None
        outcome = Simulation(scenario, trace=listener).run()
        if history is not None:
            outcome.history.to_jsonl(history)
        for problem in outcome.problems:
            console.print(problem, style="red", markup=False)
        console.print(
            f"{outcome.requests} requests, {outcome.crashes} crashes, "
            f"trace {outcome.trace_hash[:16]}",
            markup=False,
        )
        if outcome.is_good:
            console.print("All promises were kept.", style="green")
            return 0
        if save is not None:
            _save(console, scenario, outcome.problems[0], save)
    return 1


def _save(console: Console, scenario: Scenario, problem: str, path: Path) -> None:
    """Shrink a scenario to what still breaks the same promise, and store it."""
    name = name_of(problem)

    def fails(smaller: Scenario) -> bool:
        return any(name_of(one) == name for one in Simulation(smaller).run().problems)

    with console.status("shrinking ...") as status:
        smallest = shrink(
            scenario,
            fails,
            tried=lambda count, best: status.update(
                f"shrinking: {len(best.steps)} steps, {len(best.crashes_ms)} crashes, run {count}"
            ),
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(smallest.to_json(), "utf-8")
    console.print(f"{path}: {len(smallest.steps)} steps that break {name!r}", markup=False)


def name_of(problem: str) -> str:
    """Give the name of the promise that a problem is about."""
    return problem.split(":", 1)[0]


# --- many


def _many(
    console: Console, seeds: range, bug: str | None, jobs: int | None, *, until_found: bool
) -> list[Result]:
    """Run seeds in processes, with a progress bar; gives those that failed."""
    failed: list[Result] = []
    requests = crashes = count = 0
    began = time.monotonic()
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
    ) as progress:
        bar = progress.add_task("seeds", total=len(seeds))
        for result in results_of(seeds, bug, jobs):
            count += 1
            requests += result.requests
            crashes += result.crashes
            if result.problems:
                failed.append(result)
                progress.update(bar, description=f"seeds, {len(failed)} failed")
                if until_found:
                    break
            progress.advance(bar)
    took_s = time.monotonic() - began
    failed.sort(key=lambda result: result.seed)
    _show(console, failed, bug)
    console.print(
        f"{count:,} seeds, {requests:,} requests, {crashes:,} crashes in {took_s:.1f} s "
        f"({requests / took_s:,.0f} requests/s): {len(failed):,} failed",
        markup=False,
    )
    return failed


def _show(console: Console, failed: list[Result], bug: str | None) -> None:
    if not failed:
        return
    names = Counter(name_of(problem) for result in failed for problem in result.problems)
    table = Table(title="broken promises", title_justify="left")
    table.add_column("promise")
    table.add_column("times", justify="right")
    for name, count in names.most_common():
        table.add_row(name, f"{count:,}")
    console.print(table)
    flag = "" if bug is None else f" --bug {bug}"
    for result in failed[:SHOWN_MAX]:
        console.print(f"seed {result.seed}: {COMMAND} --seed {result.seed}{flag}", markup=False)
        for problem in result.problems[:PROBLEMS_MAX]:
            console.print(f"  {problem}", style="red", markup=False)
    if len(failed) > SHOWN_MAX:
        rest = ", ".join(str(result.seed) for result in failed[SHOWN_MAX : SHOWN_MAX + 50])
        console.print(f"and the seeds {rest}", markup=False)


if __name__ == "__main__":
    app()
