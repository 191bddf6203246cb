"""What a store in memory keeps beside its streams: positions of reactors, and the audit."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import islice

import attrs

from groupd.domain.base import StreamKey
from groupd.errors import LogUnavailable
from groupd.storage.audit_port import Audited, AuditEntry, DropAudit, PutAudit
from groupd.storage.port import DropPosition, PutPosition, Register


@attrs.define(eq=False)
class MemoryAudit:
    """The audit, in the order of its numbers."""

    is_closed: bool = False
    _entries: list[Audited] = attrs.field(factory=list)
    _count: int = 0
    """How many there ever were."""

    def add(self, entries: Sequence[AuditEntry]) -> None:
        """Append entries."""
        self._entries += [Audited(self._count + nth, entry) for nth, entry in enumerate(entries, 1)]
        self._count += len(entries)

    def drop(self, n: int) -> None:
        """Take away all up to a number."""
        del self._entries[: bisect_right(self._entries, n, key=_number)]

    def latest(
        self, tenant: str, stream: StreamKey | None, before: int | None, limit: int
    ) -> Sequence[Audited]:
        """Give entries of a tenant, the latest first."""
        self._check_open()
        end = len(self._entries)
        if before is not None:
            end = bisect_left(self._entries, before, key=_number)
        found = (
            item
            for item in reversed(self._entries[:end])
            if item.entry.stream.tenant == tenant and stream in (None, item.entry.stream)
        )
        return list(islice(found, limit))

    def since(self, after: int, limit: int) -> Sequence[Audited]:
        """Give entries of all tenants, in order."""
        self._check_open()
        first = bisect_right(self._entries, after, key=_number)
        return self._entries[first : first + limit]

    def last_n(self) -> int:
        """Give the number of the latest entry that is there."""
        self._check_open()
        return self._entries[-1].n if self._entries else 0

    def _check_open(self) -> None:
        if self.is_closed:
            raise LogUnavailable("the store is closed")


def _number(item: Audited) -> int:
    return item.n


@attrs.define(eq=False)
class MemoryRegisters:
    """Positions and the audit, and the writes that are about them alone."""

    positions: dict[str, int] = attrs.field(factory=dict)
    audit: MemoryAudit = attrs.field(factory=MemoryAudit)

    def write(self, write: Register) -> None:
        """Do a write; it always succeeds."""
        match write:
            case PutPosition():
                self.positions[write.name] = write.position
            case DropPosition():
                self.positions.pop(write.name, None)
                self.audit.add(write.audit)
            case PutAudit():
                self.audit.add(write.entries)
            case DropAudit():
                self.audit.drop(write.n)
