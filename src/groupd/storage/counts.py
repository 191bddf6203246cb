"""What a log has counted of its rounds. Written by the one thread that has the store."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import Final

ROUND_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
ROUND_WRITES: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)


class Histogram:
    """How many values fell at or below each of some bounds, and their sum."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        """By the smallest bound that holds the value; the last one is for what is above all."""
        self.sum = 0.0

    def add(self, value: float) -> None:
        """Count a value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value


class RoundCounts:
    """Rounds of writes: how long each took until it was durable, and how many writes it had."""

    __slots__ = ("commit_s", "writes")

    def __init__(self) -> None:
        self.commit_s = Histogram(ROUND_S)
        self.writes = Histogram(ROUND_WRITES)
