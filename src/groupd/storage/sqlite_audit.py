"""The audit in SQLite: one table, read by its numbers, by tenant, and by stream."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from groupd.domain.base import StreamKey
from groupd.storage.audit_port import Audited, AuditEntry
from groupd.storage.sqlite_file import Row, SqliteFile

_COLUMNS: Final = "n, time_ms, by_key, as_user, method, kind, tenant, key, seq, about"
_PUT: Final = """
    insert into audit (time_ms, by_key, as_user, method, kind, tenant, key, seq, about)
    values (?, ?, ?, ?, ?, ?, ?, ?, ?)"""
_DROP: Final = "delete from audit where n <= ?"
_OF_TENANT: Final = f"""
    select {_COLUMNS} from audit where tenant = ? and n < ? order by n desc limit ?"""
_OF_STREAM: Final = f"""
    select {_COLUMNS} from audit where kind = ? and tenant = ? and key = ? and n < ?
    order by n desc limit ?"""
_SINCE: Final = f"select {_COLUMNS} from audit where n > ? order by n limit ?"
_LAST: Final = "select max(n) from audit"
_IS_THERE: Final = "select 1 from sqlite_schema where type = 'table' and name = 'audit'"
_HIGHEST: Final = 2**63 - 1


def row_of(entry: AuditEntry) -> Row:
    """Give the columns of an entry, in the order of the statement."""
    return (
        *(entry.time_ms, entry.key, entry.user, entry.method),
        *(*entry.stream, entry.seq, entry.about),
    )


class SqliteAudit:
    """Reads and writes the table. Writes are parts of a transaction of others."""

    def __init__(self, file: SqliteFile) -> None:
        self._file = file
        self._is_there = False

    def put(self, rows: Sequence[Row]) -> None:
        """Append entries. A row is what ``row_of`` gives."""
        self._file.execute_many(_PUT, rows)

    def drop(self, n: int) -> None:
        """Take away all up to a number."""
        self._file.execute(_DROP, (n,))

    def latest(
        self, tenant: str, stream: StreamKey | None, before: int | None, limit: int
    ) -> Sequence[Audited]:
        """Give entries of a tenant, the latest first."""
        highest = _HIGHEST if before is None else before
        if stream is None:
            return self._rows(_OF_TENANT, (tenant, highest, limit))
        if stream.tenant != tenant:
            return ()
        return self._rows(_OF_STREAM, (*stream, highest, limit))

    def since(self, after: int, limit: int) -> Sequence[Audited]:
        """Give entries of all tenants, in order."""
        return self._rows(_SINCE, (after, limit))

    def last_n(self) -> int:
        """Give the number of the latest entry that is there."""
        row = self._file.row(_LAST) if self._has_table() else None
        return 0 if row is None else row[0] or 0

    def _rows(self, sql: str, bindings: Row) -> Sequence[Audited]:
        if not self._has_table():
            return ()
        return [
            Audited(n, AuditEntry(time_ms, key, user, method, StreamKey(*stream), seq, about))
            for n, time_ms, key, user, method, *stream, seq, about in self._file.all_rows(
                sql, bindings
            )
        ]

    def _has_table(self) -> bool:
        """Say whether there is the table: a file of an older format that is only read has none."""
        self._is_there = self._is_there or self._file.row(_IS_THERE) is not None
        return self._is_there
