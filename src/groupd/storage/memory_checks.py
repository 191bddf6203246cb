"""What only a check reads of the memory store."""

from __future__ import annotations

from collections.abc import Sequence

from groupd.domain.base import StreamKey
from groupd.storage.findings import Bound, Loose, Problem
from groupd.storage.memory_index import MemoryIndex, Row


class MemoryChecks:
    """Reads for checks. In memory nothing can hang on no stream, and there are no files."""

    def __init__(self, index: MemoryIndex) -> None:
        self._index = index

    def index_rows(
        self, stream: StreamKey, kind: str, after: Bound = None, upto: Bound = None
    ) -> Sequence[Row]:
        """Give the rows of one kind that the index has of one stream."""
        return self._index.rows(stream, kind, after, upto)

    def loose_ends(self, after: Loose | None, limit: int) -> tuple[Sequence[Problem], Loose | None]:
        """Find nothing."""
        return (), None

    def file_faults(self) -> Sequence[str]:
        """Say nothing."""
        return ()
