"""What the engine counts on its way: plain numbers, read by whoever asks for metrics.

Nothing is counted for each delivery: a publication is counted once, times its readers.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import Final

import attrs
import trio

from groupd.domain.base import Record

WAIT_FIRST_S: Final = 0.000_25
WAIT_FACTOR: Final = 1.25
WAIT_BOUNDS_S: Final = tuple(WAIT_FIRST_S * WAIT_FACTOR**n for n in range(52))
"""Up to 22 s. What is told of a wait is the bound above it, so it is at most a quarter too long."""


@attrs.define(eq=False)
class Counts:
    """Since the hub was opened, but for ``loading``."""

    posts: int = 0
    """Countable messages that became durable."""
    records: int = 0
    """Records of all kinds, in the logs of groups and accounts."""
    deliveries: int = 0
    """Events, times the sessions that read them, whether sent, kept for later, or missed."""
    delivered_bytes: int = 0
    loading: int = 0
    """Streams that are coming into memory now."""
    waits: list[int] = attrs.field(factory=lambda: [0] * (len(WAIT_BOUNDS_S) + 1))
    """Messages by how long they took, by the smallest of ``WAIT_BOUNDS_S`` that holds it."""

    def take(self, records: Sequence[Record], counted: int, since_s: float) -> int:
        """Count records of one stream; gives and takes the count of messages that is known.

        ``since_s`` is when the oldest request of their batch has come, by trio's clock. Its wait is
        taken for all messages of the batch, so none of them has waited longer.
        """
        self.records += len(records)
        n = records[-1].n
        if n > counted:
            self.posts += n - counted
            self.waits[bisect_left(WAIT_BOUNDS_S, trio.current_time() - since_s)] += n - counted
        return n
