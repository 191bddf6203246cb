"""Export and import: all streams of a store in one file, in a form that outlives store formats.

Placement rules and theory of operation:
- Both go through the ``Store`` port and hold one page of records at a time. They are synchronous,
  for the thread that has the store.
- What the file looks like stands in ``export_file.py``.
- What can be made from the records (index, snapshots) is not in the file. Nor are secrets.
- A reactor's position is a place in the store's global order, and an import makes another order.
  So the streams that a reactor has not finished with are written last, behind a mark; what it has
  heard already of them it hears again, which changes nothing.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, Final, Self, TypeAlias

import attrs

from groupd.domain.base import GROUP, Record, StreamKey
from groupd.domain.projection import Change
from groupd.errors import LogCorrupt, LogUnavailable
from groupd.storage.audit_port import AuditEntry, PutAudit
from groupd.storage.backup import PARTIAL, sync
from groupd.storage.export_file import (
    EXPORT_VERSION,
    ITEM_BYTES,
    Counts,
    ExportReader,
    ExportWriter,
)
from groupd.storage.port import (
    FORMAT,
    AdvanceCursor,
    Append,
    AppendAll,
    PutPosition,
    PutSnapshot,
    Store,
    Write,
)
from groupd.storage.sqlite import FILE_NAME
from groupd.storage.verify import BEGINNING, SENSELESS, SLICE, Place, all_streams, faults

RECORDS_PER_ITEM: Final = 500
CURSORS_PER_ITEM: Final = 5_000
ENTRIES_PER_ITEM: Final = 500
UNSETTLED_MAX: Final = 100_000
"""Streams that a reactor has not finished with; were there more, it would begin anew."""
SNAPSHOT_BYTES_PER_ROUND: Final = 4 * ITEM_BYTES
WRITES_PER_ROUND: Final = 500
RECORDS_PER_ROUND: Final = 4_000

GoOn: TypeAlias = Callable[[], None]
"""Called between two items; raises what shall end the work."""
Project: TypeAlias = Callable[[StreamKey, Record], Sequence[Change]]
MakeSnapshot: TypeAlias = Callable[[Store, StreamKey], PutSnapshot]


# --- export


def export_to(
    path: Path, store: Store, *, reactors: Sequence[str], time_ms: int, version: str, go_on: GoOn
) -> Counts:
    """Write all of a store that nobody changes to a new file; it is durable at the end.

    Raises LogUnavailable where there is something at ``path`` or it cannot be written, and
    LogCorrupt where a record is not what was written. Then nothing of the file is left.
    """
    partial = path.with_name(path.name + PARTIAL)
    if os.path.lexists(path):
        raise _is_there(path)
    try:
        with open(partial, "xb", opener=_open_private) as file:
            try:
                counts = _export(store, file, reactors, time_ms, version, go_on)
                file.flush()
                os.fsync(file.fileno())
                # Unlike a renaming, it fails where something has come to be there.
                try:
                    os.link(partial, path)
                except FileExistsError:
                    raise _is_there(path) from None
            finally:
                partial.unlink()
        sync(path.parent)
    except FileExistsError as error:
        raise LogUnavailable(
            f"{error.filename} is there already: another export is being made, or was cut short; "
            "where none is being made, remove it"
        ) from None
    except OSError as error:
        raise LogUnavailable(f"{path}: it cannot be written: {error}") from error
    return counts


def _is_there(path: Path) -> LogUnavailable:
    return LogUnavailable(f"{path} is there already; an export is never written over anything")


def _open_private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _export(
    store: Store,
    file: BinaryIO,
    reactors: Sequence[str],
    time_ms: int,
    version: str,
    go_on: GoOn,
) -> Counts:
    writer, counts = ExportWriter(file), Counts()
    note = {"store": store.id, "format": FORMAT, "groupd": version, "time_ms": time_ms}
    writer.item("header", EXPORT_VERSION, note)
    unsettled = _unsettled(store, reactors)
    for is_last in (False, True):
        for stream in all_streams(store):
            if is_last == (unsettled is None or stream in unsettled):
                _export_stream(store, stream, writer, counts, go_on)
        if not is_last:
            for name in reactors:
                writer.item("settled", name)
    _export_audit(store, writer, counts, go_on)
    writer.end(counts)
    return counts


def _unsettled(store: Store, reactors: Sequence[str]) -> set[StreamKey] | None:
    """Give the streams that some reactor has not finished with; None for all of them."""
    found: set[StreamKey] = set()
    for name in reactors:
        position = store.position(name)
        while page := store.followed(position, SLICE):
            position = page[-1].position
            found.update(item.stream for item in page)
            if len(found) > UNSETTLED_MAX:
                return None
    return found


def _export_stream(
    store: Store, stream: StreamKey, writer: ExportWriter, counts: Counts, go_on: GoOn
) -> None:
    head = store.head(stream)
    assert head is not None, stream
    writer.item("stream", *stream, head.seq, head.chain, head.deadline_ms)
    place = BEGINNING
    while place.seq < head.seq:
        go_on()
        records = store.read(stream, place.seq, RECORDS_PER_ITEM, ITEM_BYTES).records
        if not records:
            raise LogCorrupt(f"{_shown(stream)}: the records after {place.seq} are missing")
        for record in records:
            place = _checked(stream, place, record)
        writer.item("records", records)
        counts.records += len(records)
    if place.chain != head.chain:
        raise LogCorrupt(f"{_shown(stream)}: its head is not that of its newest record")
    if stream.kind == GROUP:
        cursors = iter(sorted(store.cursors(stream.tenant, stream.key).items()))
        while page := list(islice(cursors, CURSORS_PER_ITEM)):
            writer.item("cursors", page)
            counts.cursors += len(page)
    counts.streams += 1


def _export_audit(store: Store, writer: ExportWriter, counts: Counts, go_on: GoOn) -> None:
    """Write the audit in its order. Its numbers are not in the file: an import makes others."""
    after = 0
    while page := store.audit.since(after, ENTRIES_PER_ITEM):
        go_on()
        after = page[-1].n
        writer.item("audit", [attrs.astuple(item.entry, recurse=False) for item in page])
        counts.audit += len(page)


def _checked(stream: StreamKey, place: Place, record: Record) -> Place:
    """Give the place behind a record; raises LogCorrupt where it is not what was written."""
    for what in faults(stream, place, record):
        raise LogCorrupt(f"{_shown(stream)}, record {record.seq}: {what}")
    return Place(record.seq, record.n, record.time_ms, record.chain)


def _shown(stream: StreamKey) -> str:
    return f"the log {'/'.join(stream)}"


# --- import


@attrs.define(eq=False)
class _Importer:
    """Makes writes of items, and commits them in rounds."""

    store: Store
    counts: Counts = attrs.field(factory=Counts)
    _stream: StreamKey | None = None
    _place: Place = BEGINNING
    _end: tuple[int, bytes] = (0, b"")
    _deadline_ms: int | None = None
    _writes: list[Write] = attrs.field(factory=list)
    _waiting_records: int = 0

    @classmethod
    def into(cls, store: Store) -> Self:
        return cls(store)

    def take(self, tag: str, values: list[Any]) -> None:
        """Take in one item; raises LogCorrupt where it does not follow."""
        match tag:
            case "stream":
                self._finish_stream()
                kind, tenant, key, head, chain, self._deadline_ms = values
                self._stream, self._place = StreamKey(kind, tenant, key), BEGINNING
                self._end = (head, chain)
                self.counts.streams += 1
            case "records":
                self._take_records([Record(*fields) for fields in values[0]])
            case "cursors":
                assert self._stream is not None
                for user, seq in values[0]:
                    self._put(AdvanceCursor(self._stream, user, seq))
                    self.counts.cursors += 1
            case "settled":
                self._finish_stream()
                self.flush()
                self._put(PutPosition(values[0], _last_followed(self.store)))
            case "audit":
                self._finish_stream()
                entries = [_entry_of(*fields) for fields in values[0]]
                self._waiting_records += len(entries)
                self._put(PutAudit(entries))
                self.counts.audit += len(entries)
            case _:
                raise LogCorrupt(f"it has an item {tag!r}, which this groupd does not know")

    def finish(self) -> None:
        """Commit what is left."""
        self._finish_stream()
        self.flush()

    def _take_records(self, records: list[Record]) -> None:
        stream, after = self._stream, self._place.seq
        assert stream is not None
        for record in records:
            self._place = _checked(stream, self._place, record)
        append = Append(stream, after, records, deadline_ms=self._deadline_ms)
        self._waiting_records += len(records)
        self.counts.records += len(records)
        self._put(AppendAll((append,)))

    def _finish_stream(self) -> None:
        if self._stream is not None and (self._place.seq, self._place.chain) != self._end:
            raise LogCorrupt(f"{_shown(self._stream)} does not end where it is told to")
        self._stream = None

    def _put(self, write: Write) -> None:
        self._writes.append(write)
        if len(self._writes) >= WRITES_PER_ROUND or self._waiting_records >= RECORDS_PER_ROUND:
            self.flush()

    def flush(self) -> None:
        """Commit what waits, in one round."""
        writes, self._writes, self._waiting_records = self._writes, [], 0
        commit(self.store, writes)


def _entry_of(
    time_ms: int, key: str, user: str, method: str, stream: Sequence[str], *rest: Any
) -> AuditEntry:
    return AuditEntry(time_ms, key, user, method, StreamKey(*stream), *rest)


def commit(store: Store, writes: Sequence[Write]) -> None:
    """Do a round of writes; raises the first error of any."""
    for outcome in store.commit(writes) if writes else ():
        if outcome is not None:
            raise outcome


def _last_followed(store: Store) -> int:
    position = 0
    while page := store.followed(position, SLICE):
        position = page[-1].position
    return position


def import_from(
    path: Path,
    data: Path,
    *,
    open_store: Callable[[Path], Store],
    project: Project,
    make_snapshot: MakeSnapshot,
    go_on: GoOn,
) -> Counts:
    """Make a store in the empty data directory of what was exported; it is durable at the end.

    ``open_store`` opens a new one in a directory, ``make_snapshot`` gives the state that a stream
    has by its records, and ``project`` what a record says to the index.

    Raises LogUnavailable where the directory is not empty or cannot be written, LogCorrupt where
    the file is not whole, was changed, or is of a newer version. Then it is as empty as before.
    """
    try:
        is_new = not data.exists()
        if not is_new and any(data.iterdir()):
            raise LogUnavailable(f"{data} is not empty; an import begins with an empty directory")
        with path.open("rb") as file:
            data.mkdir(mode=0o700, parents=True, exist_ok=True)
            working = data / f"import{PARTIAL}"
            try:
                counts = _import(file, working, open_store, project, make_snapshot, go_on)
                (working / FILE_NAME).rename(data / FILE_NAME)
                sync(data)
            except BaseException:
                shutil.rmtree(working, ignore_errors=True)
                if is_new:
                    with suppress(OSError):
                        data.rmdir()
                raise
            shutil.rmtree(working, ignore_errors=True)
    except LogCorrupt as error:
        raise LogCorrupt(f"{path}: {error}") from error
    except SENSELESS as error:
        raise LogCorrupt(f"{path}: it was changed after it was written: {error!r}") from error
    except OSError as error:
        raise LogUnavailable(f"{path}: it cannot be imported: {error}") from error
    return counts


def _import(
    file: BinaryIO,
    working: Path,
    open_store: Callable[[Path], Store],
    project: Project,
    make_snapshot: MakeSnapshot,
    go_on: GoOn,
) -> Counts:
    reader = ExportReader(file)
    reader.begin()
    store = open_store(working)
    try:
        importer = _Importer.into(store)
        for tag, values in reader.items():
            go_on()
            importer.take(tag, values)
        importer.finish()
        _make_snapshots(store, make_snapshot, go_on)
        store.rebuild_index(project)
        # So that all of it is in the one file that gets its name.
        store.checkpoint()
    finally:
        store.close()
    return importer.counts


def _make_snapshots(store: Store, make_snapshot: MakeSnapshot, go_on: GoOn) -> None:
    """Store the state of every stream, which also shows that its records make sense."""
    waiting: list[Write] = []
    waiting_bytes = 0
    for stream in all_streams(store):
        go_on()
        snapshot = make_snapshot(store, stream)
        waiting.append(snapshot)
        waiting_bytes += len(snapshot.state)
        if len(waiting) >= WRITES_PER_ROUND or waiting_bytes >= SNAPSHOT_BYTES_PER_ROUND:
            commit(store, waiting)
            waiting, waiting_bytes = [], 0
    commit(store, waiting)
