"""How long to wait before the next try."""

from __future__ import annotations

from typing import Final

import attrs

from groupd.errors import ConfigError

DRAW_BYTES: Final = 8
_DOUBLINGS_MAX: Final = 32


@attrs.frozen
class Backoff:
    """Exponential back-off with full jitter, so that clients cut off together do not return so.

    M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
    """

    base_ms: int = 1_000
    """The longest first wait."""
    cap_ms: int = 30_000
    """The longest wait."""

    def __attrs_post_init__(self) -> None:
        if not 0 < self.base_ms <= self.cap_ms:
            raise ConfigError("backoff: expected 0 < base_ms <= cap_ms")

    def delay_ms(self, attempt: int, draw: bytes) -> int:
        """Give the wait before the try after ``attempt`` failures in a row, counted from 1.

        ``draw`` is random; the wait is uniform from 0 to ``base_ms`` doubled for each failure
        after the first, or to ``cap_ms``.
        """
        assert attempt >= 1
        ceiling = min(self.cap_ms, self.base_ms << min(attempt - 1, _DOUBLINGS_MAX))
        return int.from_bytes(draw) * (ceiling + 1) >> 8 * len(draw)
