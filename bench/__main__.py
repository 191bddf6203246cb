"""The command line: ``python -m bench --help``."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

import cyclopts
from cyclopts import Parameter
from rich.console import Console

from bench.figure import draw
from bench.figures import Outcome
from bench.peers import PEERS
from bench.report import WIDE, json_line, rows_of, table_of
from bench.runner import Run, run_scenario
from bench.scenarios import DEFAULT, SCENARIOS, WITH_PEERS, Scenario
from bench.server import BenchError
from bench.targets import GROUPD, Target, crowd_max, groupd_targets, machine, peer_targets

SECONDS_MAX: Final = 600
ROUNDS_MAX: Final = 100

app = cyclopts.App(name="bench", help=__doc__)


@app.default
def bench(
    *,
    scenario: Annotated[
        tuple[str, ...],
        Parameter(
            negative="",
            help=f"One of {', '.join(SCENARIOS)}; may be repeated. "
            f"[{', '.join(DEFAULT)}; with peers {', '.join(WITH_PEERS)}]",
        ),
    ] = (),
    peers: Annotated[
        bool, Parameter(negative="", help="Beside groupd, every peer found installed.")
    ] = False,
    peer: Annotated[
        tuple[str, ...],
        Parameter(negative="", help=f"A peer: {', '.join(PEERS)}; may be repeated."),
    ] = (),
    seconds: Annotated[float, Parameter(help="How long each is measured.")] = 3.0,
    rounds: Annotated[int, Parameter(help="How often all is repeated; the median is shown.")] = 1,
    members: Annotated[int | None, Parameter(help="Of each group, 2 to 1,000.")] = None,
    crowd: Annotated[int | None, Parameter(help="At most so many in f, r and g.")] = None,
    durable: Annotated[
        bool | None, Parameter(negative="--memory", help="One kind of store only. [both]")
    ] = None,
    tls: Annotated[bool, Parameter(negative="", help="groupd over TLS too.")] = False,
    websocket: Annotated[bool, Parameter(negative="", help="groupd over WebSocket too.")] = False,
    ids: Annotated[
        bool, Parameter(negative="--no-ids", help="Whether posts carry request ids.")
    ] = True,
    json: Annotated[
        Path | None, Parameter(help="Write a line of JSON for each run into this file.")
    ] = None,
    svg: Annotated[Path | None, Parameter(help="Draw CPU per delivery into this file.")] = None,
) -> None:
    """Measure what fan-out costs. Exits with 1 where groupd delivered something wrong."""
    console = Console(stderr=True)
    try:
        names = scenario or (WITH_PEERS if peers or peer else DEFAULT)
        chosen = [_scenario(name, members, crowd) for name in names]
        if not 0 < seconds <= SECONDS_MAX:
            raise ValueError(f"expected 0 to {SECONDS_MAX} seconds, got {seconds}")
        if not 1 <= rounds <= ROUNDS_MAX:
            raise ValueError(f"expected 1 to {ROUNDS_MAX} rounds, got {rounds}")
        if unknown := [name for name in peer if name not in PEERS]:
            raise ValueError(f"there is no peer {unknown[0]!r}, only {', '.join(PEERS)}")
    except ValueError as error:
        console.print(f"bench: {error}", style="bold red", markup=False)
        sys.exit(2)
    # So that the servers are stopped, too.
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(128 + signal.SIGTERM))
    for small in (one for one in chosen if one.crowd > crowd_max()):
        console.print(f"{small.name}: descriptors allow only {crowd_max():,} of {small.crowd:,}")
    chosen = [one.resized(crowd=crowd_max()) if one.crowd else one for one in chosen]
    targets = groupd_targets(
        memory=not durable, durable=durable is not False, tls=tls, websocket=websocket
    )
    found, absent = peer_targets(list(PEERS) if peers else peer)
    for reason in absent:
        console.print(reason, style="yellow", markup=False)
    here, date = machine(), time.strftime("%Y-%m-%d")
    runs: list[Run] = []
    for number in range(1, rounds + 1):
        for one in chosen:
            for target in [target for target in (*targets, *found) if target.takes(one)]:
                of = f"round {number} of {rounds}, " if rounds > 1 else ""
                console.print(f"{of}{one.name}: {one.title}, {target.title} ...")
                runs.append(_run(one, target, seconds=seconds, with_ids=ids, number=number))
                for problem in runs[-1].outcome.problems:
                    console.print(f"  {problem}", style="bold red", markup=False)
    output = Console()
    if not output.is_terminal:
        output = Console(width=max(output.width, WIDE))
    output.print(table_of(runs, rounds=rounds, width=output.width))
    _write(runs, json, svg, machine=here, date=date, rounds=rounds)
    if any(run.outcome.problems for run in runs if run.target.peer is None):
        sys.exit(1)


def _scenario(name: str, members: int | None, crowd: int | None) -> Scenario:
    if name not in SCENARIOS:
        raise ValueError(f"there is no scenario {name!r}, only {', '.join(SCENARIOS)}")
    return SCENARIOS[name].resized(members, crowd)


def _run(scenario: Scenario, target: Target, *, seconds: float, with_ids: bool, number: int) -> Run:
    """Measure; what could not be measured is a failed run, so that the others are not lost."""
    try:
        return run_scenario(scenario, target, seconds=seconds, with_ids=with_ids, number=number)
    except BenchError as error:
        return Run(scenario, target, Outcome(problems=[str(error)]), number)


def _write(
    runs: Sequence[Run],
    json: Path | None,
    svg: Path | None,
    *,
    machine: str,
    date: str,
    rounds: int,
) -> None:
    for path in filter(None, (json, svg)):
        path.parent.mkdir(parents=True, exist_ok=True)
    if json is not None:
        json.write_text("".join(json_line(run, machine=machine, date=date) + "\n" for run in runs))
    if svg is not None:
        where = f"groupd {Target(GROUPD).version} on {machine}"
        svg.write_text(draw(rows_of(runs), machine=where, date=date, rounds=rounds))


if __name__ == "__main__":
    app()
