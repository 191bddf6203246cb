"""The texts of posts: each says its number, when it was sent, and by which poster.

All have the same length, so a stream of them can be compared and searched cheaply. They hold
digits, lower-case letters, spaces, commas and full stops, which every protocol can carry.
"""

from __future__ import annotations

from typing import Final

TEXT_BYTES: Final = 100

_NUMBER: Final = slice(0, 10)
_SENT_NS: Final = slice(11, 31)
_POSTER_AT: Final = 31
_FILLING_AT: Final = 37
_FILLING: Final = b" the quick brown fox jumps over the lazy dog, and then once more".ljust(
    TEXT_BYTES - _FILLING_AT, b"."
)[: TEXT_BYTES - _FILLING_AT]


def text_of(number: int, sent_ns: int, poster: int = 0) -> bytes:
    """Write the text of a post; ``poster`` is below 10,000."""
    return b"%010d %020d p%04d%b" % (number, sent_ns, poster, _FILLING)


def read_text(text: str | bytes | bytearray) -> tuple[int, int]:
    """Give a post's number and the time at which it was sent; ValueError where it is no text."""
    return int(text[_NUMBER]), int(text[_SENT_NS])


class Scanner:
    """Finds texts in a stream that is read piece by piece: all, or those of one poster."""

    def __init__(self, poster: int | None = None) -> None:
        if poster is None:
            self._sign, self._at = _FILLING[: len(_FILLING) // 2], _FILLING_AT
        else:
            self._sign, self._at = b" p%04d " % poster, _POSTER_AT
        self._kept_max = self._at + len(self._sign) - 1
        self._held = b""

    def feed(self, piece: memoryview) -> list[tuple[int, int]]:
        """Give number and time of each text whose sign is complete by now."""
        data = self._held + piece
        sign, at = self._sign, self._at
        found = []
        done = 0
        place = data.find(sign)
        while place >= 0:
            found.append(read_text(data[place - at : place]))
            done = place + len(sign)
            place = data.find(sign, done)
        self._held = data[max(done, len(data) - self._kept_max) :]
        return found
