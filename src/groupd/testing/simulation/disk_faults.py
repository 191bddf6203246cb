"""What a simulated disk does wrong, as plain values, and what it counts."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

import attrs


class DiskStep(StrEnum):
    """The kinds of I/O that are counted, and can fail."""

    OPEN = "open"
    READ = "read"
    WRITE = "write"
    TRUNCATE = "truncate"
    SYNC = "sync"
    DELETE = "delete"


def _steps(kinds: Iterable[str]) -> tuple[DiskStep, ...]:
    return tuple(map(DiskStep, kinds))


@attrs.frozen
class DiskFaults:
    """What goes wrong, as plain values. Steps count from 1, since the faults were injected."""

    error_step: int | None = None
    """The step that fails with EIO, counted among those of ``error_kinds``."""
    error_kinds: tuple[DiskStep, ...] = attrs.field(default=tuple(DiskStep), converter=_steps)
    error_lasts: bool = False
    """True: every later step of these kinds fails too. False: it is this one only."""
    power_off_step: int | None = None
    """The power fails in the middle of this step, counted among all."""
    size_max_bytes: int | None = None
    """Room for all files together; a write that needs more does what fits and raises ENOSPC."""
    short_reads: bool = False
    """A read may give fewer bytes than there are, at least one."""
    lies_about_sync: bool = False
    """A sync does nothing and says that it did. No honest disk does; it is for planted bugs."""


@attrs.define
class DiskCounts:
    """What a disk has done since it was made; what failed is counted too."""

    steps: dict[DiskStep, int] = attrs.field(factory=lambda: dict.fromkeys(DiskStep, 0))
    bytes_read: int = 0
    bytes_written: int = 0

    @property
    def total(self) -> int:
        """Give the number of all steps."""
        return sum(self.steps.values())
