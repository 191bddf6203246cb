"""Reading the ties of a memory store: what of the host's groups are tied to."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from groupd.domain.base import StreamKey
from groupd.domain.projection import Tie
from groupd.storage.memory_index import MemoryIndex


@attrs.frozen(eq=False)
class MemoryTies:
    """Answers what a store is asked of ties; see ``Ties``."""

    _index: MemoryIndex

    def get(self, stream: StreamKey, kind: str, name: str) -> Tie | None:
        """Give a group's tie of a name, or None."""
        group = self._index.groups.get(stream)
        return None if group is None else group.ties.get((name, kind))

    def groups(
        self, tenant: str, kind: str, name: str, after: str, limit: int
    ) -> Sequence[tuple[str, Tie]]:
        """List the groups that have such a tie, by group."""
        streams = self._index.tied.get((tenant, kind, name), ())
        found = sorted(stream for stream in streams if stream.key > after)[:limit]
        ties = [self._index.groups[stream].ties[name, kind] for stream in found]
        return [(stream.key, tie) for stream, tie in zip(found, ties, strict=True)]
