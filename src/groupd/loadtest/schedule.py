"""When posts are due: fixed before the first one leaves, whatever the server does.

Pure. Times are whole microseconds from the beginning.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from itertools import count
from typing import Final

ARRIVALS: Final = ("constant", "poisson")
"""At equal distances; or as many people come who do not know of one another."""

_PAGE: Final = 512
_WORD_BYTES: Final = 8


def due_times(rate_per_s: float, for_ms: int, *, arrivals: str, seed: int) -> Iterator[int]:
    """Give when each post is due, in rising order, all below ``for_ms``.

    ``constant`` begins at 0 and does not drift. ``poisson`` has exponential gaps drawn from the
    seed, so the same seed gives the same times; the count is then about ``rate_per_s * for_ms``.
    """
    assert arrivals in ARRIVALS
    end_us = for_ms * 1_000
    if arrivals == "constant":
        for number in count():
            due_us = int(number * 1e6 / rate_per_s)
            if due_us >= end_us:
                return
            yield due_us
    at_us = 0.0
    for draw in draws(seed):
        at_us -= math.log(draw) * 1e6 / rate_per_s
        if at_us >= end_us:
            return
        yield int(at_us)


def draws(seed: int) -> Iterator[float]:
    """Draw numbers between 0 and 1, both left out, without an end; the same for the same seed."""
    for page in count():
        data = hashlib.shake_128(f"{seed} {page}".encode()).digest(_PAGE * _WORD_BYTES)
        for start in range(0, len(data), _WORD_BYTES):
            word = int.from_bytes(data[start : start + _WORD_BYTES])
            yield ((word >> 11) + 0.5) / 2**53
