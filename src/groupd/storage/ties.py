"""The part of the port that reads what of the host's groups are tied to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from groupd.domain.base import StreamKey
from groupd.domain.projection import Tie


class Ties(Protocol):
    """Reads the ties of groups. A tie has a kind and a name, and a group one of each at most."""

    def get(self, stream: StreamKey, kind: str, name: str) -> Tie | None:
        """Give a group's tie of a name, or None."""
        ...

    def groups(
        self, tenant: str, kind: str, name: str, after: str, limit: int
    ) -> Sequence[tuple[str, Tie]]:
        """List the groups that have such a tie, by group, those ``> after``, each with it."""
        ...
