"""The machine's own clock and randomness, behind the ports by which all else has them."""

from __future__ import annotations

import os
import time
from typing import Final

from groupd.engine.ports import Ports

RANDOM_PAGE_BYTES: Final = 4_096


class SystemClock:
    """The machine's wall clock."""

    def now_ms(self) -> int:
        """Give milliseconds since the epoch."""
        return time.time_ns() // 1_000_000


class SystemRandomness:
    """The machine's randomness, drawn a page at a time: a system call costs more than the bytes."""

    def __init__(self) -> None:
        self._pieces: dict[int, list[bytes]] = {}

    def token_bytes(self, count: int) -> bytes:
        """Give ``count`` bytes that nobody can guess, and nobody gets again."""
        pieces = self._pieces.get(count)
        if not pieces:
            page = os.urandom(max(count, RANDOM_PAGE_BYTES // count * count))
            pieces = [page[start : start + count] for start in range(0, len(page), count)]
            self._pieces[count] = pieces
        return pieces.pop()


def system_ports() -> Ports:
    """Give the real clock and randomness."""
    return Ports(clock=SystemClock(), randomness=SystemRandomness())
