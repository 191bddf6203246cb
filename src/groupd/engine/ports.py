"""What the engine needs of the outside world and does not reach for itself.

``app.py`` supplies the real ones; tests and the simulation supply their own.
"""

from __future__ import annotations

from typing import Protocol

import attrs

from groupd.domain.ids import ID_BYTES, group_id


class Clock(Protocol):
    """The wall clock. Durations are measured on trio's clock instead."""

    def now_ms(self) -> int:
        """Give milliseconds since the epoch. May jump, also backward."""
        ...


class Randomness(Protocol):
    """A source of bytes that nobody can guess."""

    def token_bytes(self, count: int) -> bytes:
        """Give ``count`` random bytes."""
        ...


@attrs.frozen
class Ports:
    """The ports of one process."""

    clock: Clock
    randomness: Randomness

    def new_group(self) -> str:
        """Draw a group id."""
        return group_id(self.randomness.token_bytes(ID_BYTES))

    def new_reference(self) -> str:
        """Draw a name for something that is logged."""
        return self.randomness.token_bytes(6).hex()
