"""The port between a backup and the store that is copied."""

from __future__ import annotations

from typing import Protocol


class Copy(Protocol):
    """A copy of a store that is being made. It belongs to the store's thread."""

    pages: int
    """How many there are in all, as of the last step."""

    def step(self, pages: int) -> int:
        """Copy up to so many pages, and give how many are left; 0 when the copy is whole.

        Raises LogUnavailable where it cannot go on; the store is none the worse for it.
        """
        ...

    def close(self) -> None:
        """Let go of the files, whole or not. What is whole is not durable yet. May be repeated."""
        ...
