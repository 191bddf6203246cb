"""Fuzz by hand: ``python -m tests.fuzz.run --help``.

    python -m tests.fuzz.run                                   200,000 inputs, shared among targets
    python -m tests.fuzz.run frames --executions 2000000       one target, for long
    python -m tests.fuzz.run tokens --seed 7 --number 1234     one input, with its traceback
    python -m tests.fuzz.run tokens --hex 00ff                 these bytes
    python -m tests.fuzz.run --file tests/fuzz/findings/NAME.json    a finding that was kept
    python -m tests.fuzz.run --engine atheris --seconds 60 frames    led by coverage

Findings are shown with how to make them again, and kept in ``findings/``, where the tests replay
them. Exits with 1 where there is any.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Annotated, Final, Literal

import cyclopts
from cyclopts import Parameter
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

from tests.fuzz.loop import FOLDER, Finding, attempt, fuzz, input_of, load, save, shorten
from tests.fuzz.targets import TARGETS

EXECUTIONS_MAX: Final = 10**10
PIECE: Final = 1_000
"""Executions that a process is given at once."""
SHOWN_MAX: Final = 20
"""Different findings after which a target is left alone."""

app = cyclopts.App(name="fuzz", help="Try malformed input on the parts of groupd that take any.")


@app.default
def run(
    target: Annotated[str | None, Parameter(help=f"One of {', '.join(TARGETS)}.")] = None,
    *,
    executions: Annotated[int, Parameter(help="In all, shared among the targets.")] = 200_000,
    seconds: Annotated[float | None, Parameter(help="At most this long for each.")] = None,
    seed: Annotated[int, Parameter(help="Other inputs for another one.")] = 0,
    number: Annotated[int | None, Parameter(help="Only this execution.")] = None,
    hex_: Annotated[str | None, Parameter(name="--hex", help="Only these bytes.")] = None,
    file: Annotated[Path | None, Parameter(help="Only the finding that is kept there.")] = None,
    engine: Annotated[Literal["own", "atheris"], Parameter(help="What chooses inputs.")] = "own",
    jobs: Annotated[int | None, Parameter(help="Processes. [default: one per core]")] = None,
    folder: Annotated[Path, Parameter(name="--findings", help="Where to keep them.")] = FOLDER,
) -> None:
    """Fuzz one target, or all."""
    console = Console()
    if target is not None and target not in TARGETS:
        console.print(f"there is no target {target!r}, only {', '.join(TARGETS)}", style="bold red")
        sys.exit(2)
    if not 1 <= executions <= EXECUTIONS_MAX:
        console.print(f"expected 1 to {EXECUTIONS_MAX:,} executions", style="bold red")
        sys.exit(2)
    names = list(TARGETS) if target is None else [target]
    data = None if hex_ is None else bytes.fromhex(hex_)
    if file is not None:
        finding = load(file)
        target, data = finding.target, finding.data
    elif number is not None and target is not None:
        data = input_of(TARGETS[target], seed, number)
    if data is not None or number is not None:
        if target is None:
            console.print("expected a target beside --number or --hex", style="bold red")
            sys.exit(2)
        assert data is not None
        sys.exit(_once(console, target, data))
    found: dict[tuple[str, str], Finding] = {}
    for name, share in zip(names, shares(executions, len(names)), strict=True):
        if engine == "atheris":
            from tests.fuzz import atheris_engine

            findings = atheris_engine.run(name, executions=share, seconds=seconds, seed=seed)
        else:
            findings = _many(console, name, share, seconds, seed, jobs)
        for finding in findings:
            if finding.key not in found and len(found) < SHOWN_MAX:
                found[finding.key] = finding
                _show(console, finding, folder)
    console.print(f"{len(found)} findings", style="red" if found else "green")
    sys.exit(1 if found else 0)


def shares(whole: int, count: int) -> list[int]:
    """Share a number of executions out as evenly as it goes, and at least one to each."""
    return [max(1, (whole + place) // count) for place in range(count)]


def _once(console: Console, name: str, data: bytes) -> int:
    """Try one input; gives the exit code."""
    console.print(f"{len(data)} bytes: {data.hex()}", soft_wrap=True)
    found = attempt(TARGETS[name], data)
    console.print("nothing is wrong" if found is None else found.details, markup=False)
    return 0 if found is None else 1


def _show(console: Console, finding: Finding, folder: Path) -> None:
    console.print(
        f"\n{finding.target}: {finding.what} ({finding.origin})", style="red", markup=False
    )
    console.print(finding.details, markup=False, highlight=False)
    short = shorten(TARGETS[finding.target], finding)
    path = save(short, folder)
    console.print(short.reproduce().replace("FILE", str(path)), markup=False, soft_wrap=True)
    console.print(f"kept in {path}", markup=False, soft_wrap=True)


def _many(
    console: Console, name: str, executions: int, seconds: float | None, seed: int, jobs: int | None
) -> Iterator[Finding]:
    """Run a target in several processes, with a bar; give what they find."""
    until_s = None if seconds is None else time.monotonic() + seconds
    starts = range(0, executions, PIECE)
    pieces = (range(start, min(start + PIECE, executions)) for start in starts)
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"), TimeRemainingColumn(),
    )  # fmt: skip
    begin = time.monotonic()
    with (
        Progress(*columns, console=console) as progress,
        multiprocessing.Pool(jobs or os.cpu_count()) as pool,
    ):
        task = progress.add_task(name, total=executions, rate="")
        done = 0
        for count, findings in pool.imap_unordered(partial(_piece, name, seed), pieces):
            done += count
            rate = f"{done / (time.monotonic() - begin):,.0f}/s"
            progress.update(task, completed=done, rate=rate)
            yield from findings
            if until_s is not None and time.monotonic() > until_s:
                break


def _piece(name: str, seed: int, numbers: range) -> tuple[int, list[Finding]]:
    """Run some numbers, in a process of the pool; give one finding of each kind."""
    found: dict[tuple[str, str], Finding] = {}
    for finding in fuzz(TARGETS[name], numbers, seed=seed):
        found.setdefault(finding.key, finding)
    return len(numbers), list(found.values())


if __name__ == "__main__":
    app()
