"""Writing rounds to SQLite, with one statement for what many streams have in common.

Placement rules:
- ``SqliteWriter`` runs in a transaction that others begin and commit. It is told when one has
  failed, since what it knows of streams is then no longer so.
- What nearly every append is, a few posts to a stream that exists, is gathered, and written with
  one execution of each statement for the whole round: there the statements themselves are the
  smaller part of the cost. Anything else is written at once, behind what was gathered before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeAlias

from groupd.domain.base import StreamKey
from groupd.domain.projection import Spoke
from groupd.errors import LogConflict
from groupd.storage.audit_port import DropAudit, PutAudit
from groupd.storage.index import taken_ref
from groupd.storage.port import (
    AdvanceCursor,
    Append,
    AppendAll,
    DropPosition,
    Outcome,
    PutPosition,
    PutSnapshot,
    Write,
)
from groupd.storage.sqlite_audit import SqliteAudit, row_of
from groupd.storage.sqlite_file import Row, SqliteFile
from groupd.storage.sqlite_index import SqliteIndex
from groupd.storage.sqlite_records import SqliteRecords

STREAMS_KNOWN_MAX: Final = 20_000
"""Streams whose number and head are kept in memory; over it, all are looked up again."""

_STREAM: Final = "select id, head from streams where kind = ? and tenant = ? and key = ?"
_FOUND: Final = """
    insert into streams (head, n, time_ms, chain, deadline_ms, kind, tenant, key)
    values (?, ?, ?, ?, ?, ?, ?, ?)"""
_ADVANCE: Final = """
    update streams set head = ?, n = ?, time_ms = ?, chain = ?, deadline_ms = ? where id = ?"""
_PUT_DEADLINE: Final = "update streams set deadline_ms = ? where id = ?"
_PUT_SNAPSHOT: Final = """
    insert into snapshots (stream, seq, version, state) values (?, ?, ?, ?)
    on conflict (stream) do update set
        seq = excluded.seq, version = excluded.version, state = excluded.state"""
_DROP_SNAPSHOT: Final = "delete from snapshots where stream = ? and seq >= ?"
_PUT_CURSOR: Final = """
    insert into cursors (stream, user, seq) values (?, ?, ?)
    on conflict (stream, user) do update set seq = excluded.seq where excluded.seq > seq"""
_PUT_POSITION: Final = """
    insert into positions (name, position) values (?, ?)
    on conflict (name) do update set position = excluded.position"""
_DROP_POSITION: Final = "delete from positions where name = ?"

Known: TypeAlias = tuple[int | None, int]
"""The number of a stream and its head; None and 0 where there is no such stream."""
_NO_STREAM: Final[Known] = (None, 0)


class SqliteWriter:
    """Checks each write of a round against those before it, and makes rows of it."""

    def __init__(
        self, file: SqliteFile, records: SqliteRecords, index: SqliteIndex, audit: SqliteAudit
    ) -> None:
        self._file = file
        self._records = records
        self._index = index
        self._audit = audit
        self._known: dict[StreamKey, Known] = {}
        # What is gathered: rows in the order of the statements' parameters.
        self._heads: list[Row] = []
        self._rows: list[Row] = []
        self._spoke: list[Row] = []
        self._audited: list[Row] = []

    def write(self, writes: Sequence[Write]) -> list[Outcome]:
        """Do the writes of a round, in order; says for each whether it was done."""
        if len(self._known) > STREAMS_KNOWN_MAX:
            self._known.clear()
        outcomes = [
            self._append_all(write.appends) if type(write) is AppendAll else self._write(write)
            for write in writes
        ]
        self._flush()
        return outcomes

    def forget(self) -> None:
        """Forget what was gathered, and what is known of streams: the transaction has failed."""
        for gathered in (self._known, self._heads, self._rows, self._spoke, self._audited):
            gathered.clear()

    def _flush(self) -> None:
        if self._heads:
            self._file.execute_many(_ADVANCE, self._heads)
            self._records.put(self._rows)
            self._heads, self._rows = [], []
        if self._spoke:
            self._index.put_spoke(self._spoke)
            self._spoke = []
        if self._audited:
            self._audit.put(self._audited)
            self._audited = []

    def _look_up(self, stream: StreamKey) -> Known:
        row = self._file.row(_STREAM, stream)
        if row is None:
            return _NO_STREAM
        self._known[stream] = known = row[0], row[1]
        return known

    # --- appends

    def _append_all(self, appends: Sequence[Append]) -> Outcome:
        numbers = []
        for append in appends:
            number, head = self._known.get(append.stream) or self._look_up(append.stream)
            if head != append.after_seq:
                return LogConflict(f"{append.stream} is at {head}, not at {append.after_seq}")
            numbers.append(number)
        if len(appends) == 1 and self._gather(appends[0], numbers[0]):
            return None
        self._flush()
        ref = taken_ref(appends, self._index.card, self._index.holder)
        if ref is not None:
            return LogConflict(f"another group has the ref {ref!r}")
        for append, number in zip(appends, numbers, strict=True):
            self._append(append, number)
        return None

    def _gather(self, append: Append, number: int | None) -> bool:
        """Lay an append aside until the end of the round, if it is one of the plain ones."""
        records = append.records
        if number is None or not records or append.erase:
            return False
        spoke: list[Row] = []
        for change in append.changes:
            if type(change) is not Spoke:
                return False
            spoke.append((number, *change))
        last = records[-1]
        self._heads.append((last.seq, last.n, last.time_ms, last.chain, append.deadline_ms, number))
        self._rows += [(number, *record) for record in records]
        self._spoke += spoke
        self._audited += map(row_of, append.audit)
        self._known[append.stream] = number, last.seq
        return True

    def _append(self, append: Append, number: int | None) -> None:
        if append.records:
            last = append.records[-1]
            head = (last.seq, last.n, last.time_ms, last.chain, append.deadline_ms)
            if number is None:
                self._file.execute(_FOUND, (*head, *append.stream))
                number = self._file.last_row_id()
            else:
                self._file.execute(_ADVANCE, (*head, number))
            self._records.put([(number, *record) for record in append.records])
            self._known[append.stream] = number, last.seq
        else:
            assert number is not None
            self._file.execute(_PUT_DEADLINE, (append.deadline_ms, number))
        self._index.append(number, append)
        self._audited += map(row_of, append.audit)
        if append.erase:
            self._file.execute(_DROP_SNAPSHOT, (number, min(append.erase)))
            self._records.erase(number, append.erase)

    # --- registers

    def _write(self, write: Write) -> Outcome:
        match write:
            case PutPosition():
                self._file.execute(_PUT_POSITION, (write.name, write.position))
            case DropPosition():
                self._file.execute(_DROP_POSITION, (write.name,))
                self._audited += map(row_of, write.audit)
            case PutAudit():
                self._audited += map(row_of, write.entries)
            case DropAudit():
                self._flush()  # What comes before it in the round may go with it.
                self._audit.drop(write.n)
            case PutSnapshot() | AdvanceCursor():
                number, _head = self._known.get(write.stream) or self._look_up(write.stream)
                if number is None:
                    return LogConflict(f"there is no stream {write.stream}")
                if isinstance(write, PutSnapshot):
                    bindings = (number, write.seq, write.version, write.state)
                    self._file.execute(_PUT_SNAPSHOT, bindings)
                else:
                    self._file.execute(_PUT_CURSOR, (number, write.user, write.seq))
        return None
