"""Request ids: UUIDv7 (RFC 9562), made by the client once per intent, on the server's clock."""

from __future__ import annotations

from typing import Final

DRAW_BYTES: Final = 10
_RAND_B_BITS: Final = 62
_RAND_B: Final = (1 << _RAND_B_BITS) - 1


class RisingIds:
    """Makes ids that rise strictly, also within a millisecond and when the clock steps back.

    Within a millisecond the random part counts up (RFC 9562 section 6.2, method 2).
    """

    def __init__(self) -> None:
        self._ms = -1
        self._tail = 0

    def make(self, ms: int, draw: bytes) -> str:
        """Give the next id for the time ``ms``; ``draw`` is ``DRAW_BYTES`` random bytes."""
        assert len(draw) == DRAW_BYTES
        if ms > self._ms:
            # 73 of the 74 bits that an id has: the free one leaves the counter room.
            self._ms, self._tail = ms, int.from_bytes(draw) >> 7
        else:
            self._tail += 1
        return uuid7(self._ms, self._tail)


def uuid7(ms: int, tail: int) -> str:
    """Give the UUIDv7 of a time and the 74 bits that follow it, in the 36-character form."""
    rand_a, rand_b = tail >> _RAND_B_BITS, tail & _RAND_B
    digits = f"{ms << 80 | 0x7 << 76 | rand_a << 64 | 0b10 << 62 | rand_b:032x}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
