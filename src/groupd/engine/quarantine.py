"""Streams whose log makes no sense: set apart, so that they hurt nobody else.

A damaged stream answers every request with the same ``internal`` and its reference, and is logged
once, with the reason. It is not loaded again until the process starts anew, since nobody can mend
files that this process holds. ``groupd check`` says what is wrong; docs/operations.md what to do.

The code is ``internal`` rather than ``unavailable``: the latter tells clients to try again soon.
"""

from __future__ import annotations

from typing import Final

from groupd.domain.base import StreamKey
from groupd.errors import Rejected

QUARANTINED_MAX: Final = 100_000
"""Streams that are known to be damaged. Over it the oldest are forgotten, and found once more."""


class Quarantine:
    """Which streams are set apart, and why: a reference into the log of the process."""

    def __init__(self) -> None:
        self._references: dict[tuple[str, str, str], str] = {}

    def __contains__(self, stream: object) -> bool:
        return stream in self._references

    def __len__(self) -> int:
        return len(self._references)

    def add(self, stream: StreamKey, reference: str) -> Rejected:
        """Set a stream apart; gives the refusal of all that is asked of it."""
        if len(self._references) >= QUARANTINED_MAX:
            del self._references[next(iter(self._references))]
        self._references[stream] = reference
        return _refusal(reference)

    def refusal(self, stream: StreamKey) -> Rejected | None:
        """Give the refusal of what is asked of a stream; None for one that is not set apart."""
        reference = self._references.get(stream)
        return None if reference is None else _refusal(reference)


def _refusal(reference: str) -> Rejected:
    message = "this group's log is damaged; the operator must mend it"
    return Rejected("internal", message, reference=reference)
