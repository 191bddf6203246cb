"""Latencies counted in buckets: any number of them, in one bounded piece of memory.

Theory of operation. Up to ``2 ** SUB_BITS`` microseconds each value has a bucket of its own. From
there on each doubling is cut into ``2 ** (SUB_BITS - 1)`` buckets of equal width, so that a bucket
is never wider than 1/128 of what it holds: a percentile is at most 0.8 % too high, and never too
low. The idea of such buckets is that of G. Tene's HdrHistogram.
"""

from __future__ import annotations

from array import array
from typing import Final

SUB_BITS: Final = 8
VALUE_MAX: Final = 2**37 - 1
"""In microseconds: a day and a half. What is longer counts as this."""

_HALF: Final = 1 << (SUB_BITS - 1)
_BUCKETS: Final = (VALUE_MAX.bit_length() - SUB_BITS + 2) * _HALF
"""About 4,000: 32 kB."""


class Histogram:
    """Counts of values, in microseconds."""

    __slots__ = ("_counts", "count", "max_us", "total_us")

    def __init__(self) -> None:
        self._counts = array("Q", bytes(8 * _BUCKETS))
        self.count = 0
        self.total_us = 0
        self.max_us = 0
        """The largest value, exactly."""

    def record(self, value_us: int) -> None:
        """Count a value; below 0 it counts as 0."""
        value = min(max(0, value_us), VALUE_MAX)
        self._counts[_bucket_of(value)] += 1
        self.count += 1
        self.total_us += value
        if value > self.max_us:
            self.max_us = value

    def add(self, other: Histogram) -> None:
        """Count all that another one has counted."""
        for place, count in enumerate(other._counts):
            if count:
                self._counts[place] += count
        self.count += other.count
        self.total_us += other.total_us
        self.max_us = max(self.max_us, other.max_us)

    def copy(self) -> Histogram:
        """Give another one with the same counts."""
        made = Histogram()
        made._counts = self._counts[:]
        made.count, made.total_us, made.max_us = self.count, self.total_us, self.max_us
        return made

    def since(self, earlier: Histogram) -> Histogram:
        """Give what was counted after ``earlier`` was copied from this one.

        Its ``max_us`` is the upper end of a bucket, since the exact one is not known.
        """
        made = Histogram()
        last = -1
        for place, count in enumerate(self._counts):
            rest = count - earlier._counts[place]
            if rest:
                made._counts[place], last = rest, place
        made.count = self.count - earlier.count
        made.total_us = self.total_us - earlier.total_us
        if last >= 0:
            made.max_us = min(_last_of(last), self.max_us)
        return made

    def percentile(self, per_mille: int) -> int:
        """Give a value that at least ``per_mille`` of 1,000 values do not exceed, in microseconds.

        It is the upper end of that value's bucket. Raises ValueError where nothing was counted.
        """
        if not 0 < per_mille <= 1_000:
            raise ValueError(f"expected 1 to 1,000 per mille, got {per_mille}")
        return self.at_rank(-(-self.count * per_mille // 1_000))

    def at_rank(self, rank: int) -> int:
        """Give the value of this rank, the smallest having rank 1; see ``percentile``."""
        if not 1 <= rank <= self.count:
            raise ValueError(f"expected a rank from 1 to {self.count}, got {rank}")
        passed = 0
        for place, count in enumerate(self._counts):
            passed += count
            if passed >= rank:
                return min(_last_of(place), self.max_us)
        raise AssertionError("fewer values than were counted")

    @property
    def mean_us(self) -> float:
        """Give the mean; 0 where nothing was counted."""
        return self.total_us / self.count if self.count else 0.0


def _bucket_of(value: int) -> int:
    shift = value.bit_length() - SUB_BITS
    return value if shift <= 0 else shift * _HALF + (value >> shift)


def _last_of(bucket: int) -> int:
    """Give the largest value of a bucket."""
    if bucket < 2 * _HALF:
        return bucket
    shift = bucket // _HALF - 1
    return ((bucket - shift * _HALF + 1) << shift) - 1
