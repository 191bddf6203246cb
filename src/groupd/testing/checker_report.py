"""What a check says: violations, collected up to a limit, and how two values are compared.

The checks proper are in the other ``checker_*`` modules; this one knows nothing of a history.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from unicodedata import normalize

import attrs

PER_INVARIANT_MAX: Final = 100
"""Violations of one invariant that are kept; one more says that there are others."""


@attrs.frozen
class Violation:
    """An invariant that does not hold."""

    invariant: str
    """Its stable name: see the table of ``groupd.testing.checker``."""
    where: str
    """A group, user or connection."""
    message: str
    """What is wrong, with the seqs, users and ids to look at."""
    entries: tuple[int, ...] = ()
    """Numbers of the entries of the history that show it; empty where the log alone does."""


@attrs.define
class Report:
    """Collects violations."""

    violations: list[Violation] = attrs.field(factory=list)
    _counts: dict[str, int] = attrs.field(factory=dict)

    def add(self, invariant: str, where: str, message: str, *entries: int) -> None:
        """Note a violation, unless there are enough of its kind."""
        count = self._counts[invariant] = self._counts.get(invariant, 0) + 1
        if count == PER_INVARIANT_MAX:
            message = f"{message}; and there are more, which are not listed"
        if count <= PER_INVARIANT_MAX:
            self.violations.append(Violation(invariant, where, message, entries))


def same(one: Any, other: Any) -> bool:
    """Tell whether two decoded values are one: tuples and lists are alike, true is not 1."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other) and isinstance(one, bool) is isinstance(other, bool)


def said_alike(one: Any, other: Any) -> bool:
    """Compare what was asked for with what was stored: texts in NFC, and as if trimmed.

    The server trims some fields of cards, and stores all texts in NFC.
    """
    return same(_plain(one), _plain(other))


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return normalize("NFC", value).strip()
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
