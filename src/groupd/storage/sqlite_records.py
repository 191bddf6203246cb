"""Records in SQLite: their columns, and how they are written and read."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from groupd.domain.base import Record
from groupd.storage.sqlite_file import Row, SqliteFile

COLUMNS: Final = (
    "r.seq, r.time_ms, r.kind, r.user, r.request_id, r.audience, r.n, r.forget, r.followed, "
    "r.header, r.salt, r.request_hash, r.body, r.inner, r.chain"
)
"""Of ``records r``, in the order of ``Record``."""

_PUT_RECORD: Final = """
    insert into records (
        stream, seq, time_ms, kind, user, request_id, audience, n, forget, followed,
        header, salt, request_hash, body, inner, chain
    ) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""
_ERASE: Final = """
    update records set salt = x'', request_hash = x'', body = null where stream = ? and seq = ?"""
_READ: Final = f"""
    select {COLUMNS} from records r where r.stream = ? and r.seq > ? order by r.seq limit ?"""
_READ_BACK: Final = f"""
    select {COLUMNS} from records r where r.stream = ? and r.seq < ? and r.seq >= ?
    order by r.seq desc limit ?"""
_PICK: Final = f"""
    select {COLUMNS} from records r
    where r.stream = ? and r.seq in (select value from json_each(?)) order by r.seq"""


def record_of(row: Row) -> Record:
    """Make a record of the columns of ``COLUMNS``."""
    values = list(row)
    values[8] = row[8] == 1  # ``followed``: SQLite has no booleans.
    return Record(*values)


def _bindings(stream_id: int, record: Record) -> Row:
    return (
        stream_id,
        record.seq,
        record.time_ms,
        record.kind,
        record.user,
        record.request_id,
        record.audience,
        record.n,
        record.forget,
        record.followed,
        record.header,
        record.salt,
        record.request_hash,
        record.body,
        record.inner,
        record.chain,
    )


class SqliteRecords:
    """Reads and writes the table of records. Streams go by their numbers."""

    def __init__(self, file: SqliteFile) -> None:
        self._file = file

    def put(self, stream_id: int, records: Iterable[Record]) -> None:
        """Write new records."""
        self._file.execute_many(_PUT_RECORD, [_bindings(stream_id, record) for record in records])

    def erase(self, stream_id: int, seqs: Iterable[int]) -> None:
        """Take body, salt and request hash from records."""
        self._file.execute_many(_ERASE, [(stream_id, seq) for seq in seqs])
        self._file.wipe()

    def read(self, stream_id: int, after: int, limit: int = -1) -> Iterator[Record]:
        """Give records after a seq, in order; all of them without a limit."""
        return map(record_of, self._file.rows(_READ, (stream_id, after, limit)))

    def read_back(self, stream_id: int, before: int, floor: int, limit: int) -> Iterator[Record]:
        """Give records before a seq, the newest first."""
        return map(record_of, self._file.rows(_READ_BACK, (stream_id, before, floor, limit)))

    def pick(self, stream_id: int, seqs: Sequence[int]) -> Iterator[Record]:
        """Give those of the records that exist, in rising order."""
        rows = self._file.rows(_PICK, (stream_id, json.dumps(list(seqs))))
        return map(record_of, rows)
