"""The store on disk: one SQLite file, one transaction per round, fsynced before it is answered.

Reading order: ``sqlite_schema.py`` says what lies where, ``sqlite_file.py`` what a transaction and
an error are, ``sqlite_lock.py`` who may have it, ``sqlite_meta.py`` how it begins,
``sqlite_records.py`` keeps the records and ``sqlite_index.py`` the index, and this file is the
``Store`` on top.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, Self

from groupd.domain.base import GROUP, Audience, Card, Record, StreamKey
from groupd.domain.projection import (
    Change,
    Found,
    GroupCard,
    Holdings,
    MemberRow,
    Membership,
    Near,
    Numbers,
    Profile,
    Statistics,
)
from groupd.errors import LogUnavailable
from groupd.storage import sqlite_meta
from groupd.storage import sqlite_statements as sql
from groupd.storage.paging import NO_EVENTS, NO_RECORDS, fitting
from groupd.storage.port import (
    FORMAT,
    Followed,
    Head,
    Outcome,
    Page,
    Slice,
    Snapshot,
    Write,
)
from groupd.storage.sqlite_audit import SqliteAudit
from groupd.storage.sqlite_checks import SqliteChecks
from groupd.storage.sqlite_copy import SqliteCopy
from groupd.storage.sqlite_file import SqliteFile
from groupd.storage.sqlite_groups import SqliteGroups
from groupd.storage.sqlite_index import SqliteIndex
from groupd.storage.sqlite_mend import SqliteMender
from groupd.storage.sqlite_messages import SqliteMessages
from groupd.storage.sqlite_records import SqliteRecords, record_of
from groupd.storage.sqlite_search import SqliteSearch
from groupd.storage.sqlite_ties import SqliteTies
from groupd.storage.sqlite_writer import SqliteWriter

FILE_NAME: Final = "groupd.sqlite3"

_WRITES_FIRST: Final = (
    "what was written last must come into the file before it can be read, "
    "so copy the directory to where you can write"
)


class SqliteStore:
    """A ``Store`` in ``groupd.sqlite3`` under a data directory. For one thread at a time."""

    id: str
    index_is_stale: bool

    def __init__(self, file: SqliteFile) -> None:
        """Take an open file; ``open`` is the way in."""
        self._file = file
        self._records = SqliteRecords(file)
        self._index = SqliteIndex(file)
        self.audit = SqliteAudit(file)
        self._writer = SqliteWriter(file, self._records, self._index, self.audit)
        self._groups = SqliteGroups(file)
        self._messages = SqliteMessages(file)
        self._search = SqliteSearch(file)
        self.checks = SqliteChecks(file)
        self.ties = SqliteTies(file)
        self.mender = SqliteMender(file, self._records, self._writer)

    @classmethod
    def open(cls, directory: Path, *, new_id: Callable[[], str], vfs: str | None = None) -> Self:
        """Open the store of a data directory, or make one; ``new_id`` names a new one.

        A file of an older format is brought to this one, with an index that is stale until
        ``rebuild_index``, however often it is opened in between.

        Raises LogUnavailable where another process has it or it cannot be reached, LogCorrupt
        where the file is not ours or of a newer format. ``vfs`` names an SQLite VFS.
        """
        if vfs is None:
            try:
                directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            except OSError as error:
                raise LogUnavailable(f"{directory} cannot be made: {error}") from error
        path = directory / FILE_NAME
        file = SqliteFile(path, vfs=vfs)
        store = cls(file)
        try:
            is_new = sqlite_meta.is_new(file, path)
            file.configure()
            if is_new:
                file.transact(lambda: sqlite_meta.create(file, store._index, new_id()))
                file.checkpoint()
            # SQLite passes over an error when it syncs the name of a new write-ahead log.
            file.sync_directory()
            number = store._read_meta(path)
            if number < FORMAT:
                file.transact(lambda: sqlite_meta.migrate(file, store._index, number))
                store._read_meta(path)
        except BaseException:
            file.abandon()
            raise
        return store

    @classmethod
    def open_to_read(cls, directory: Path) -> Self:
        """Open the store of a data directory to look at it, also on read-only media.

        It is left as it is, but that what a killed server has left in the write-ahead log comes
        into the file; for that the directory must be writable. A file of an older format keeps
        it: its index is stale, and all else can be read, since columns are only added.

        Raises LogUnavailable where there is none, where another process is writing to it or it
        cannot be reached, LogCorrupt where the file is not ours or of a newer format.
        """
        path = directory / FILE_NAME
        file = SqliteFile(path, is_immutable=True)
        if file.has_write_ahead_log():
            file.abandon()
            try:
                file = SqliteFile(path)
            except LogUnavailable as error:
                raise LogUnavailable(f"{error}; {_WRITES_FIRST}") from error
        store = cls(file)
        try:
            if sqlite_meta.is_new(file, path):
                raise LogUnavailable(f"{directory}: there is no store")
            file.configure()
            store._read_meta(path)
        except BaseException:
            file.abandon()
            raise
        return store

    def _read_meta(self, path: Path) -> int:
        meta = sqlite_meta.read(self._file, path)
        self.id, self.index_is_stale = meta.id, meta.index_is_stale
        return meta.format

    def close(self) -> None:
        """Checkpoint and let go of the files."""
        self._file.close()

    def checkpoint(self) -> None:
        """Move the write-ahead log into the file and cut it to nothing."""
        self._file.checkpoint()

    def begin_copy(self, path: Path) -> SqliteCopy:
        """Begin a copy of the whole store in a new file."""
        return self._file.begin_copy(path)

    def rename(self, id: str) -> None:
        """Give the store another id, durably."""
        self._file.transact(lambda: self._file.execute("update meta set id = ?", (id,)))
        self.id = id

    # --- writing

    def commit(self, writes: Sequence[Write]) -> Sequence[Outcome]:
        """Make a round durable in one transaction."""
        try:
            return self._file.transact(lambda: self._writer.write(writes))
        except BaseException as error:
            self._writer.forget()
            if isinstance(error, LogUnavailable):
                return [LogUnavailable(*error.args) for _write in writes]
            raise

    # --- streams

    def head(self, stream: StreamKey) -> Head | None:
        """Give the end of a stream, or None where it does not exist."""
        row = self._file.row(sql.HEAD, stream)
        return Head(*row) if row is not None else None

    def read(
        self, stream: StreamKey, after: int, limit: int, max_bytes: int | None = None
    ) -> Slice:
        """Give records after a seq, in order."""
        row = self._file.row(sql.STREAM, stream)
        if row is None:
            return NO_RECORDS
        records = fitting(self._records.read(row[0], after, limit), max_bytes)
        last = records[-1].seq if records else max(after, 0)
        # A damaged head is no reason not to read: whoever checks or mends needs the records.
        return Slice(records, more=type(row[1]) is int and last < row[1])

    def read_back(
        self, stream: StreamKey, before: int, limit: int, floor: int, max_bytes: int | None = None
    ) -> Slice:
        """Give the newest records before a seq, in rising order."""
        row = self._file.row(sql.STREAM, stream)
        if row is None:
            return NO_RECORDS
        stream_id, head = row
        newest_first = self._records.read_back(stream_id, before, floor, limit)
        records = fitting(newest_first, max_bytes)[::-1]
        first = records[0].seq if records else min(before, head + 1)
        return Slice(records, more=first > max(floor, 1))

    def page(
        self,
        stream: StreamKey,
        *,
        low: int,
        high: int,
        newest: bool,
        limit: int,
        max_bytes: int,
        view: Audience,
    ) -> Page:
        """Give events of a range, the first or the newest ones."""
        row = self._file.row(sql.STREAM, stream)
        if row is None:
            return NO_EVENTS
        stream_id, head = row
        low, high = max(low, 1), min(high, head)
        if low > high:
            return NO_EVENTS
        events = self._records.page(stream_id, low, high, limit, newest, max_bytes, view)
        return Page(events, more=len(events) < high - low + 1)

    def pick(self, stream: StreamKey, seqs: Sequence[int]) -> Sequence[Record]:
        """Give those of the records that exist, in rising order."""
        row = self._file.row(sql.STREAM, stream)
        return list(self._records.pick(row[0], seqs)) if row is not None else ()

    def streams(self, after: StreamKey | None, limit: int) -> Sequence[StreamKey]:
        """List the streams in the order of their keys."""
        rows = self._file.rows(sql.STREAMS, (*(after or ("", "", "")), limit))
        return [StreamKey(*row) for row in rows]

    def snapshot(self, stream: StreamKey) -> Snapshot | None:
        """Give the newest stored state."""
        row = self._file.row(sql.SNAPSHOT, stream)
        return Snapshot(*row) if row is not None else None

    # --- deadlines and the global order

    def due(self, until_ms: int, limit: int) -> Sequence[StreamKey]:
        """List streams whose deadline has come, the earliest first."""
        return [StreamKey(*row) for row in self._file.rows(sql.DUE, (until_ms, limit))]

    def next_deadline_ms(self) -> int | None:
        """Give the earliest deadline of all."""
        row = self._file.row(sql.NEXT_DEADLINE)
        return row[0] if row is not None else None

    def position(self, name: str) -> int:
        """Give how far a reactor has come; 0 for a new one."""
        row = self._file.row(sql.POSITION, (name,))
        return row[0] if row is not None else 0

    def positions(self, prefix: str) -> Sequence[tuple[str, int]]:
        """List the reactors whose names begin so, by name."""
        rows = self._file.all_rows(sql.POSITIONS, (len(prefix), prefix))
        return [(name, position) for name, position in rows]

    def last_position(self) -> int:
        """Give the place of the newest record in the global order."""
        row = self._file.row(sql.LAST_POSITION)
        return 0 if row is None else row[0] or 0

    def followed(self, after: int, limit: int) -> Sequence[Followed]:
        """List followed records of all streams, in the global order."""
        return self._in_order(sql.FOLLOWED, after, limit)

    def changes(self, after: int, limit: int) -> Sequence[Followed]:
        """List all records of all streams, in the global order."""
        return self._in_order(sql.CHANGES, after, limit)

    def _in_order(self, sql: str, after: int, limit: int) -> Sequence[Followed]:
        return [
            Followed(row[0], StreamKey(*row[1:4]), record_of(row[4:]))
            for row in self._file.rows(sql, (after, limit))
        ]

    # --- the index

    def group(self, tenant: str, group: str) -> GroupCard | None:
        """Give a group's card."""
        return self._groups.group(tenant, group)

    def group_of_ref(self, tenant: str, ref: str) -> GroupCard | None:
        """Give the live group that has this ``ref``."""
        return self._groups.group_of_ref(tenant, ref)

    def holdings(self, tenant: str, user: str) -> Holdings:
        """Give what a user owns and is in."""
        return self._groups.holdings(tenant, user)

    def membership(self, tenant: str, user: str, group: str) -> Membership | None:
        """Give one user's place in one group."""
        return self._groups.membership(tenant, user, group)

    def memberships(self, tenant: str, user: str, after: str, limit: int) -> Sequence[Membership]:
        """List a user's live groups, by group."""
        return self._groups.memberships(tenant, user, after, limit)

    def numbers(self, tenant: str, user: str, upto: Mapping[str, int]) -> Mapping[str, Numbers]:
        """Give what is new to a user in each of the groups."""
        return self._messages.numbers(tenant, user, upto)

    def members(self, tenant: str, group: str, after: str, limit: int) -> Sequence[MemberRow]:
        """List a group's members by user id."""
        return self._groups.members(tenant, group, after, limit)

    def acquainted(self, tenant: str, user: str, users: Sequence[str]) -> Sequence[MemberRow]:
        """Give those of ``users`` that share a live group with ``user``, or are that user."""
        return self._groups.acquainted(tenant, user, users)

    def profile(self, tenant: str, user: str) -> Profile | None:
        """Give a user's profile, or None for one who was never seen."""
        return self._groups.profile(tenant, user)

    def revoked_before_ms(self, tenant: str, user: str) -> int:
        """Give before which time a user's tokens are revoked; 0 for none."""
        return self._groups.revoked_before_ms(tenant, user)

    def shown(self, tenant: str, user: str) -> Sequence[GroupCard]:
        """List the groups on a user's profile, by group."""
        return self._groups.shown(tenant, user)

    def blockers(self, tenant: str, user: str, other: str) -> Sequence[str]:
        """Give which of two users have blocked the other, sorted."""
        return self._groups.blockers(tenant, user, other)

    def blocks(self, tenant: str, user: str, after: str, limit: int) -> Sequence[str]:
        """List whom a user has blocked, by user id."""
        return self._groups.blocks(tenant, user, after, limit)

    def messages(self, stream: StreamKey, seqs: Sequence[int]) -> Mapping[int, Card]:
        """Give the cards of those of the records that exist."""
        return self._messages.messages(stream, seqs)

    def reactions_of(
        self, stream: StreamKey, user: str, seqs: Sequence[int]
    ) -> Mapping[int, Mapping[str, int]]:
        """Give a user's reactions: message -> reaction -> seq of the event."""
        return self._messages.reactions_of(stream, user, seqs)

    def reactors(
        self, stream: StreamKey, message: int, reaction: str, after: str, limit: int
    ) -> Sequence[str]:
        """List who has reacted so to a message, by user id."""
        return self._messages.reactors(stream, message, reaction, after, limit)

    def replies(self, stream: StreamKey, message: int, after: int, limit: int) -> Sequence[Record]:
        """List the replies to a message, in order."""
        return self._messages.replies(stream, message, after, limit)

    def statistics(
        self, tenant: str, group: str, *, active_since_ms: int, from_ms: int, until_ms: int
    ) -> Statistics:
        """Count a group's members and its messages in a span of time."""
        return self._messages.statistics(
            tenant,
            group,
            active_since_ms=active_since_ms,
            from_ms=from_ms,
            until_ms=until_ms,
        )

    def search(
        self,
        tenant: str,
        *,
        query: str,
        category: str,
        near: Near | None,
        after: Found | None,
        limit: int,
    ) -> Sequence[Found]:
        """Find live, discoverable groups: by words of their name, category, and place."""
        return self._search.find(
            tenant, query=query, category=category, near=near, after=after, limit=limit
        )

    def cursors(self, tenant: str, group: str) -> Mapping[str, int]:
        """Give the read cursors of a group."""
        return dict(self._file.rows(sql.CURSORS, (GROUP, tenant, group)))

    def dump_index(self) -> Iterator[tuple[object, ...]]:
        """Give the whole index as plain rows."""
        return self._index.dump()

    def rebuild_index(self, project: Callable[[StreamKey, Record], Sequence[Change]]) -> int:
        """Make the index again from all records, in one transaction."""
        count = self._file.transact(lambda: self._rebuild(project))
        self.index_is_stale = False
        return count

    def _rebuild(self, project: Callable[[StreamKey, Record], Sequence[Change]]) -> int:
        self._index.clear()
        count = 0

        def changes(stream_id: int, stream: StreamKey) -> Iterator[Change]:
            nonlocal count
            for record in self._records.read(stream_id, 0):
                yield from project(stream, record)
                count += 1

        streams = list(self._file.rows("select id, kind, tenant, key from streams order by id"))
        for stream_id, *key in streams:
            # Only what a stream comes to is written: a ref that it had for a while may be
            # another group's by now.
            stream = StreamKey(*key)
            self._index.apply(stream_id, stream, changes(stream_id, stream))
        self._file.execute("update meta set index_is_stale = 0")
        return count
