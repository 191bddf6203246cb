"""What may be written to a store: the values of a round. A part of ``port.py``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import attrs

from groupd.domain.base import Record, StreamKey
from groupd.domain.projection import Change
from groupd.storage.audit_port import AuditEntry, DropAudit, PutAudit


@attrs.frozen
class Append:
    """New records of one stream, and all that must become true together with them."""

    stream: StreamKey
    after_seq: int
    """The head that the writer has seen; another one is a ``LogConflict``."""
    records: Sequence[Record]
    """Gapless from ``after_seq + 1``."""
    changes: Sequence[Change] = ()
    deadline_ms: int | None = None
    """The stream's next deadline from now on; None for none."""
    erase: Sequence[int] = ()
    """Seqs whose bodies, salts and request hashes go, and with them what the index has of what
    was said there (mentions, the reply, the edit) and a snapshot that has seen one of them."""
    audit: Sequence[AuditEntry] = ()
    """What the audit says of this append."""

    def __attrs_post_init__(self) -> None:
        count = len(self.records)
        # A stream begins with a record, so that every stream there is has a head.
        assert count or self.after_seq, self.stream
        assert not count or (
            self.records[0].seq == self.after_seq + 1
            and self.records[-1].seq == self.after_seq + count
        ), self.stream


@attrs.frozen
class AppendAll:
    """Appends to one or two streams that take effect together or not at all."""

    appends: Sequence[Append]

    def __attrs_post_init__(self) -> None:
        if len(self.appends) > 1:
            streams = {append.stream for append in self.appends}
            assert len(streams) == len(self.appends), streams


@attrs.frozen
class PutSnapshot:
    """The state of a stream as of ``seq``; replaces the one before.

    A LogConflict where there is no such stream.
    """

    stream: StreamKey
    seq: int
    version: int
    state: bytes


@attrs.frozen
class AdvanceCursor:
    """A member has read up to ``seq``. Lower values than the stored one change nothing.

    A LogConflict where there is no such stream.
    """

    stream: StreamKey
    user: str
    seq: int


@attrs.frozen
class PutPosition:
    """The reactor ``name`` has handled all up to ``position``."""

    name: str
    position: int


@attrs.frozen
class DropPosition:
    """There is no such reactor any more. Of one that there is not, nothing is done."""

    name: str
    audit: Sequence[AuditEntry] = ()


Register: TypeAlias = PutPosition | DropPosition | PutAudit | DropAudit
"""A write that is about no stream, and always succeeds."""
Write: TypeAlias = AppendAll | PutSnapshot | AdvanceCursor | Register
