"""Running many seeds in a pool of processes. What comes of one depends on nothing but the seed."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import Final

import attrs

from groupd.testing.simulation.bugs import planted
from groupd.testing.simulation.run import Simulation
from groupd.testing.simulation.scenario import Scenario


@attrs.frozen
class Result:
    """What is left of a run when its history has gone."""

    seed: int
    problems: Sequence[str]
    trace_hash: str
    requests: int
    crashes: int


def results_of(seeds: range, bug: str | None, jobs: int | None) -> Iterator[Result]:
    """Run seeds in so many processes (by default one per core), with a bug planted or none.

    Gives the results as they come; when the iterator is dropped, the processes are ended.
    """
    count = min(jobs or os.cpu_count() or 1, len(seeds))
    if count == 1:
        with planted(bug):
            yield from map(simulated, seeds)
        return
    context = multiprocessing.get_context("spawn")
    with ExitStack() as stack:
        pool = stack.enter_context(context.Pool(count, initializer=plant, initargs=(bug,)))
        yield from pool.imap_unordered(simulated, seeds, chunksize=4)


_PLANTED: Final = ExitStack()
"""Holds a bug for as long as the process lives; let go of, it would be taken out again."""


def plant(bug: str | None) -> None:
    """Plant a bug in a process of the pool."""
    _PLANTED.enter_context(planted(bug))


def simulated(seed: int) -> Result:
    """Run one seed."""
    outcome = Simulation(Scenario.drawn(seed)).run()
    return Result(
        seed, list(outcome.problems), outcome.trace_hash, outcome.requests, outcome.crashes
    )
