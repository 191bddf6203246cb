"""Putting SQLite rows of one stream right by hand, for ``mend.py``."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

import apsw
import attrs

from groupd.domain.base import Record, StreamKey
from groupd.errors import LogBroken, LogCorrupt
from groupd.storage.port import Head
from groupd.storage.sqlite_file import SqliteFile
from groupd.storage.sqlite_records import SqliteRecords
from groupd.storage.sqlite_writer import SqliteWriter

T = TypeVar("T")

_STREAM: Final = "select id from streams where kind = ? and tenant = ? and key = ?"
_OF_CHAINS: Final = """
    select r.stream, exists (select 1 from streams s where s.id = r.stream)
    from records r where hex(r.chain) in (select value from json_each(?)) limit 1"""
_UNUSED: Final = """
    select 1 + max(
        coalesce((select max(id) from streams), 0), coalesce((select max(stream) from records), 0)
    )"""
_FOUND_AGAIN: Final = """
    insert into streams (id, kind, tenant, key, head, n, time_ms, chain)
    values (?, ?, ?, ?, 0, 0, 0, x'')"""
_RENAME: Final = "update streams set kind = ?, tenant = ?, key = ? where id = ?"
_PUT_HEAD: Final = """
    update streams set head = ?, n = ?, time_ms = ?, chain = ?, deadline_ms = ? where id = ?"""
_DROP_SURPLUS: Final = """
    delete from records
    where stream = ? and (typeof(seq) <> 'integer' or seq < 1 or seq > ?)"""
_DROP_CURSORS: Final = """
    delete from cursors where stream = ?
    and (typeof(user) <> 'text' or typeof(seq) <> 'integer' or seq < 0 or seq > ?)"""
_DROP_SNAPSHOT: Final = "delete from snapshots where stream = ?"


class _Undone(Exception):
    """Ends a transaction without a trace. It never leaves this file."""


class SqliteMender:
    """Changes what nobody else ever does; see ``mend.Mender``."""

    def __init__(self, file: SqliteFile, records: SqliteRecords, writer: SqliteWriter) -> None:
        self._file = file
        self._records = records
        self._writer = writer

    def attempt(self, work: Callable[[], T]) -> T:
        """Call ``work`` in one durable transaction; where it raises, nothing has changed."""
        refusal: LogCorrupt | None = None

        def guarded() -> T:
            nonlocal refusal
            try:
                return work()
            except LogCorrupt as error:
                # As it is, it would break the file: what it met is not known to be this stream's.
                refusal = error
                raise _Undone from error

        try:
            return self._file.transact(guarded)
        except _Undone:
            assert refusal is not None
            raise refusal from None
        except LogBroken as error:
            if isinstance(error.__cause__, apsw.CorruptError):
                # The transaction ends with the connection, and nothing of it is left.
                raise LogCorrupt(
                    f"{error.__cause__}: the file is damaged beyond this log; restore a backup"
                ) from error
            raise
        finally:
            self._writer.forget()

    def found_again(self, stream: StreamKey, chains: Sequence[bytes]) -> None:
        """Give a stream its row again, and with it the records that have one of these chains."""
        wanted = json.dumps([chain.hex().upper() for chain in chains])
        row = self._file.row(_OF_CHAINS, (wanted,))
        if row is not None and row[1]:
            # Its row is there, under a name that is not its own.
            self._file.execute(_RENAME, (*stream, row[0]))
        else:
            number = row or self._file.row(_UNUSED)
            assert number is not None
            self._file.execute(_FOUND_AGAIN, (number[0], *stream))

    def put_right(
        self, stream: StreamKey, records: Sequence[Record], head: Head
    ) -> tuple[int, int]:
        """Replace records of a stream, and its head, and drop its snapshot.

        Records and read cursors beyond the head go; gives how many of each.
        """
        row = self._file.row(_STREAM, stream)
        assert row is not None
        number = row[0]
        self._file.execute(_PUT_HEAD, (*attrs.astuple(head), number))
        surplus = self._file.execute_many(_DROP_SURPLUS, [(number, head.seq)])
        self._records.replace([(number, *record) for record in records])
        cursors = self._file.execute_many(_DROP_CURSORS, [(number, head.seq)])
        self._file.execute(_DROP_SNAPSHOT, (number,))
        return surplus, cursors

    def make_lookups_anew(self) -> None:
        """Make anew by what streams and records are found."""
        for table in ("streams", "records"):
            self._file.execute(f"reindex {table}")
