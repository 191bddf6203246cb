"""What peers owe by a certain time: one task for all connections, and nothing per read.

Theory of operation. A deadline is looked at when it has come, not moved whenever it changes: each
entry says when to ask its owner, who answers when to be asked again, or None. So a client that
sends in halves costs one entry for as long as it does, however many reads that takes.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from itertools import count
from typing import TypeAlias

import trio

Review: TypeAlias = Callable[[], float | None]
"""Called when a deadline has come: gives when to be asked again, on trio's clock, or None. Must
not raise."""


class Deadlines:
    """Whom to ask when; ``run`` is its task. At most two entries of each connection are here."""

    def __init__(self) -> None:
        self._entries: list[tuple[float, int, Review]] = []
        self._numbers = count()
        self._earlier = trio.Event()

    def add(self, at_s: float, review: Review) -> None:
        """Ask ``review`` at a time of trio's clock."""
        if not self._entries or at_s < self._entries[0][0]:
            self._earlier.set()
        # Numbered, because functions have no order.
        heapq.heappush(self._entries, (at_s, next(self._numbers), review))

    async def run(self) -> None:
        """Ask whose time has come, until cancelled."""
        while True:
            self._earlier = trio.Event()
            until_s = self._entries[0][0] if self._entries else float("inf")
            with trio.move_on_at(until_s):
                await self._earlier.wait()
            now_s = trio.current_time()
            while self._entries and self._entries[0][0] <= now_s:
                self._ask(heapq.heappop(self._entries)[-1])

    def _ask(self, review: Review) -> None:
        # Not a part of the loop, which would go on referring to the session that it asked last.
        again_s = review()
        if again_s is not None:
            self.add(again_s, review)
