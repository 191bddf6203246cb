"""Records in SQLite: their columns, and how they are written and read."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from groupd.domain.base import Audience, Record
from groupd.storage.sqlite_file import Row, SqliteFile
from groupd.wire import codec

COLUMNS: Final = (
    "r.seq, r.time_ms, r.kind, r.user, r.request_id, r.audience, r.n, r.forget, r.followed, "
    "r.header, r.salt, r.request_hash, r.body, r.inner, r.chain"
)
"""Of ``records r``, in the order of ``Record``."""

# In the order of ``Record``, behind the stream.
_PUT_RECORD: Final = """
    insert into records (
        stream, seq, time_ms, kind, user, request_id, audience, n, forget, followed,
        header, salt, request_hash, body, inner, chain
    ) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""
# A record keeps its place in the global order.
_PUT_RIGHT: Final = f"""{_PUT_RECORD}
    on conflict (stream, seq) do update set
        time_ms = excluded.time_ms, kind = excluded.kind, user = excluded.user,
        request_id = excluded.request_id, audience = excluded.audience, n = excluded.n,
        forget = excluded.forget, followed = excluded.followed, header = excluded.header,
        salt = excluded.salt, request_hash = excluded.request_hash, body = excluded.body,
        inner = excluded.inner, chain = excluded.chain"""
_ERASE: Final = """
    update records set salt = x'', request_hash = x'', body = null where stream = ? and seq = ?"""
_READ: Final = f"""
    select {COLUMNS} from records r where r.stream = ? and r.seq > ? order by r.seq limit ?"""
_READ_BACK: Final = f"""
    select {COLUMNS} from records r where r.stream = ? and r.seq < ? and r.seq >= ?
    order by r.seq desc limit ?"""
_PAGE: Final = """
    select seq, header, body, audience from records where stream = ? and seq between ? and ?
    order by seq {} limit ?"""
_FIRST, _NEWEST = _PAGE.format("asc"), _PAGE.format("desc")
_PICK: Final = f"""
    select {COLUMNS} from records r
    where r.stream = ? and r.seq in (select value from json_each(?)) order by r.seq"""


def record_of(row: Row) -> Record:
    """Make a record of the columns of ``COLUMNS``."""
    values = list(row)
    values[8] = row[8] == 1  # ``followed``: SQLite has no booleans.
    return Record(*values)


class SqliteRecords:
    """Reads and writes the table of records. Streams go by their numbers."""

    def __init__(self, file: SqliteFile) -> None:
        self._file = file

    def put(self, rows: Sequence[Row]) -> None:
        """Write new records. A row is the number of the stream, and then the record."""
        self._file.execute_many(_PUT_RECORD, rows)

    def replace(self, rows: Sequence[Row]) -> None:
        """Write records again. A row is as in ``put``."""
        self._file.execute_many(_PUT_RIGHT, rows)

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

    def page(
        self,
        stream_id: int,
        low: int,
        high: int,
        limit: int,
        newest: bool,
        max_bytes: int,
        view: Audience,
    ) -> Sequence[bytes]:
        """Give events of a range as a reader sees them, in rising order."""
        rows = self._file.rows(_NEWEST if newest else _FIRST, (stream_id, low, high, limit))
        events: list[bytes] = []
        masked: dict[int, int] = {}
        size = 0
        for seq, header, body, audience in rows:
            size += len(header) + len(body or b"")
            if size > max_bytes and events:
                break
            if body is None or audience > view:
                masked[seq] = len(events)
                events.append(b"")
            else:
                # As ``codec.event_map`` does; a record for each would double the cost.
                events.append(codec.map_head(header[0] + body[0]) + header[1:] + body[1:])
        for record in self.pick(stream_id, list(masked)) if masked else ():
            events[masked[record.seq]] = codec.shown_map(record, view)
        return events[::-1] if newest else events

    def pick(self, stream_id: int, seqs: Sequence[int]) -> Iterator[Record]:
        """Give those of the records that exist, in rising order."""
        rows = self._file.rows(_PICK, (stream_id, json.dumps(list(seqs))))
        return map(record_of, rows)
