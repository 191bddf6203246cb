"""What all links of a simulated network share: the order of what happens, the draws, the counters.

Placement rules:
- Nothing here knows what a link carries or who dials whom.
- All that happens by itself is called from ``run``, one thing after the other: so there is one
  order, and the seed and trio's clock decide it.

Theory of operation. ``run`` goes in rounds, as the server's poller does. First everything that is
due happens: each direction of a link delivers at most one chunk in a round, so that its reader sees
the chunks. Then each watched link that can be read is called once, in an order that is drawn. While
something is left to do, other tasks get one step between two rounds; else it sleeps until something
is due.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from random import Random
from typing import Final, Protocol

import attrs
import trio

from groupd.testing.simulation.network_faults import NetworkFaults

ROUNDS_MAX: Final = 20_000
"""Rounds in one moment of virtual time. More of them are somebody who is called and never reads."""
EVENTS_MAX: Final = 100_000
"""What may be due at some time: about one thing for each direction of a link, and each dial."""


def ignore(*_: object) -> None:
    """Be a hook that nobody has set."""


@attrs.define
class NetworkCounters:
    """What has happened so far."""

    dials: int = 0
    refusals: int = 0
    """Dials that were answered with a refusal."""
    silences: int = 0
    """Dials that were not answered."""
    bytes: int = 0
    """Delivered, in both directions."""
    chunks: int = 0
    cuts: int = 0
    resets: int = 0
    """Links that were closed with unread bytes, or were sent some after that."""
    stalls: int = 0
    crashes: int = 0


class Watched(Protocol):
    """A link, as it is seen here."""

    @property
    def is_due(self) -> bool:
        """Whether it is watched and can be read."""

    def call(self) -> None:
        """Call whoever watches; only while it is due."""


class Medium:
    """Draws, counts, and lets things happen at their times. ``run`` is its one task."""

    def __init__(self, randomness: Random, faults: NetworkFaults) -> None:
        self.randomness = randomness
        self.faults = faults
        self.counters = NetworkCounters()
        self.trace: Callable[[str], None] = ignore
        self.begin: Callable[[], None] = ignore
        """Called before the links of a round are; see ``SimNetwork.listen``."""
        self.settle: Callable[[], None] = ignore
        """Called after the links of a round were."""
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0
        self._due: dict[Watched, None] = {}
        self._rest = trio.CancelScope()

    # --- draws

    def chance(self, of: float) -> bool:
        """Draw whether something happens. Nothing is drawn for what never does."""
        return of > 0 and self.randomness.random() < of

    def seconds(self, range_ms: tuple[float, float]) -> float:
        """Draw a time from a range in milliseconds; give seconds."""
        low, high = range_ms
        return (low + (high - low) * self.randomness.random()) / 1_000

    def latency_s(self) -> float:
        """Draw how long one way takes."""
        return self.seconds(self.faults.latency_ms)

    # --- what happens

    def at(self, when_s: float, happen: Callable[[], None]) -> None:
        """Have something happen at a time of trio's clock. It must not raise."""
        assert len(self._events) < EVENTS_MAX, "more is due than a network is meant to hold"
        self._count += 1
        heapq.heappush(self._events, (when_s, self._count, happen))
        self._rest.deadline = min(self._rest.deadline, when_s)

    def after(self, delay_s: float, happen: Callable[[], None]) -> None:
        """Have something happen a while from now."""
        self.at(trio.current_time() + delay_s, happen)

    def note_due(self, link: Watched) -> None:
        """Call whoever watches a link, in every round as long as it can be read."""
        if link.is_due:
            self._due[link] = None
            self._rest.deadline = min(self._rest.deadline, trio.current_time())

    async def run(self) -> None:
        """Let things happen until cancelled."""
        moment_s, rounds = -1.0, 0
        while True:
            now_s = trio.current_time()
            rounds = rounds + 1 if now_s == moment_s else 0
            moment_s = now_s
            assert rounds < ROUNDS_MAX, "a link is called again and again, and nobody reads it"
            self._happen(now_s)
            self._serve()
            next_s = self._events[0][0] if self._events else float("inf")
            if self._due or next_s <= now_s:
                await trio.lowlevel.checkpoint()
            else:
                with trio.CancelScope(deadline=next_s) as self._rest:
                    await trio.sleep_forever()

    def _happen(self, now_s: float) -> None:
        """Let all happen that is due by now, but not what that has brought about."""
        due = []
        while self._events and self._events[0][0] <= now_s:
            due.append(heapq.heappop(self._events)[2])
        for happen in due:
            happen()

    def _serve(self) -> None:
        """Call those who watch a link that can be read."""
        if not self._due:
            return
        links = list(self._due)
        self._due.clear()
        self.randomness.shuffle(links)
        self.begin()
        for link in links:
            # One that was called earlier in this round may have ended another one.
            if link.is_due:
                link.call()
                self.note_due(link)
        self.settle()
