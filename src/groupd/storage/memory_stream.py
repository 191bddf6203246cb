"""One stream in memory."""

from __future__ import annotations

import attrs

from groupd.domain.base import Record
from groupd.storage.memory_rows import Rows
from groupd.storage.port import Snapshot


@attrs.define(eq=False)
class MemoryStream:
    """Its records, and the registers beside them."""

    number: int
    """Streams are numbered in the order of their founding."""
    records: Rows = attrs.field(factory=Rows)
    deadline_ms: int | None = None
    snapshot: Snapshot | None = None
    cursors: dict[str, int] = attrs.field(factory=dict)

    def record(self, seq: int) -> Record | None:
        """Give the record with a seq, or None where there is none."""
        return self.records[seq - 1] if 0 < seq <= len(self.records) else None

    def n_at(self, seq: int) -> int:
        """Give how many messages there are up to and with a seq."""
        return self.records[seq - 1].n if seq > 0 else 0

    def time_at(self, seq: int) -> int:
        """Give the time of the record with a seq."""
        return self.records[seq - 1].time_ms
