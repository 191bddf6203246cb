"""Posting at a given pace, and what is counted meanwhile."""

from __future__ import annotations

import time
from array import array
from collections.abc import Sequence
from itertools import chain
from typing import Final, Protocol

import attrs

from bench.connections import TICK_S, Connections, Pace, at_ease
from bench.figures import Latency, Outcome
from bench.groups import Group
from bench.scenarios import Scenario
from bench.server import cpu_s_of

DRAIN_MAX_S: Final = 20.0
STALLED_S: Final = 3.0
"""Silence after which what has not come is lost."""


class _Noting(Protocol):
    took_ns: array[int]


@attrs.frozen
class Mark:
    """The counters at one moment."""

    time_s: float
    server_cpu_s: float
    load_cpu_s: float
    progress: list[int]
    """Of each group."""
    acknowledged: list[int]
    """How many answers each poster has noted."""
    watched: list[int]
    """How many posts each watcher has noted."""


class FanOut:
    """The groups in which there is posting."""

    def __init__(
        self,
        connections: Connections,
        groups: Sequence[Group],
        scenario: Scenario,
        pids: Sequence[int],
    ) -> None:
        self._connections = connections
        self._groups = groups
        self._scenario = scenario
        self._pids = pids
        self._posters = [poster for group in groups for poster in group.posters]
        self._watchers = [watcher for group in groups for watcher in group.watchers]
        for group in groups:
            connections.tidy_by(group.tidy)

    def begin(self) -> Pace:
        """Give what posts when it is time; or let answers be followed by posts from now on."""
        if not self._scenario.posts_per_s:
            for poster in self._posters:
                poster.refill = True
                poster.post(self._scenario.in_flight)
            return at_ease
        interval_s = 1 / self._scenario.posts_per_s
        due_s, turn = time.monotonic(), 0

        def post_if_due() -> float:
            nonlocal due_s, turn
            rest_s = due_s - time.monotonic()
            if rest_s <= 0:
                self._posters[turn % len(self._posters)].post()
                due_s += interval_s
                turn += 1
            return max(0.0, min(rest_s, TICK_S))

        return post_if_due

    def mark(self) -> Mark:
        """Take down the counters."""
        return Mark(
            time_s=time.monotonic(),
            server_cpu_s=cpu_s_of(self._pids),
            load_cpu_s=time.process_time(),
            progress=[group.progress for group in self._groups],
            acknowledged=[len(poster.took_ns) for poster in self._posters],
            watched=[len(watcher.took_ns) for watcher in self._watchers],
        )

    def drain(self) -> None:
        """Post no more, and wait for everything that is under way, or until nothing comes."""
        for poster in self._posters:
            poster.refill = False
        deadline = time.monotonic() + DRAIN_MAX_S
        before = -1
        while before != (now := sum(group.progress for group in self._groups)):
            before = now
            silent_s = min(deadline, time.monotonic() + STALLED_S)
            self._connections.serve(silent_s, until=self._is_drained)
            if self._is_drained():
                return

    def delivery(self, before: Mark, after: Mark) -> Latency | None:
        """Sum up how long deliveries took between two marks."""
        return _between(self._watchers, before.watched, after.watched)

    def outcome(self, before: Mark, after: Mark) -> Outcome:
        """Sum up what was between two marks, and what is wrong with all of it."""
        deliveries = [
            (end - start) / group.unit
            for group, start, end in zip(self._groups, before.progress, after.progress, strict=True)
        ]
        return Outcome(
            problems=[problem for group in self._groups for problem in group.problems()],
            posts_total=sum(group.posted for group in self._groups),
            deliveries_total=sum(round(group.progress / group.unit) for group in self._groups),
            seconds=after.time_s - before.time_s,
            posts=sum(after.acknowledged) - sum(before.acknowledged),
            deliveries=round(sum(deliveries)),
            server_cpu_s=after.server_cpu_s - before.server_cpu_s,
            load_cpu_s=after.load_cpu_s - before.load_cpu_s,
            acknowledgement=_between(self._posters, before.acknowledged, after.acknowledged),
            delivery=self.delivery(before, after),
            lost=sum(group.lost for group in self._groups),
        )

    def _is_drained(self) -> bool:
        return all(group.is_drained() for group in self._groups)


def run(fan_out: FanOut, connections: Connections, *, warmup_s: float, seconds: float) -> Outcome:
    """Post, measure, drain, check."""
    pace = fan_out.begin()
    connections.serve(time.monotonic() + warmup_s, pace)
    before = fan_out.mark()
    connections.serve(before.time_s + seconds, pace)
    after = fan_out.mark()
    fan_out.drain()
    return fan_out.outcome(before, after)


def _between(noters: Sequence[_Noting], starts: list[int], ends: list[int]) -> Latency | None:
    """Sum up what was noted between two marks."""
    times = [
        noter.took_ns[start:end] for noter, start, end in zip(noters, starts, ends, strict=True)
    ]
    return Latency.of(list(chain.from_iterable(times)))
