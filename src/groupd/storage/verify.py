"""Finding what a disk, a bug or a hand has changed in stored records.

A stream is gone through in slices, so that a server can do it between rounds and hold nobody up:
``check_slice`` says what is wrong in one slice and gives the place where the next one begins.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

import attrs

from groupd.domain.base import ACCOUNT, GROUP, Record, StreamKey
from groupd.domain.projection import Change
from groupd.storage.memory_index import MemoryIndex
from groupd.storage.port import Head, Problem, Store
from groupd.wire.codec import GENESIS, continues, decode_entries, has_its_body

SLICE: Final = 1_000
"""Records that are checked in one go."""

_OF_ACCOUNTS: Final = ("profile", "chat", "block", "revocation")
"""Rows of the index whose key is a user."""


@attrs.frozen
class Place:
    """How far a stream has been gone through, and what the next record must continue."""

    seq: int = 0
    n: int = 0
    time_ms: int = 0
    chain: bytes = GENESIS


BEGINNING: Final = Place()


def check_slice(
    store: Store, stream: StreamKey, place: Place = BEGINNING, limit: int = SLICE
) -> tuple[Sequence[Problem], Place | None]:
    """Check up to ``limit`` records after ``place``; give the problems and the next place.

    None instead of a place means that the end was reached and agrees with the head, or that the
    problems say otherwise. The chain goes on from what is stored, so that one changed record is
    one problem, or two where it is the chain itself that was changed.
    """
    head = store.head(stream)
    if head is None:
        return [Problem(stream, 0, "the stream does not exist")], None
    records = store.read(stream, place.seq, limit).records
    problems = []
    for record in records:
        problems += [Problem(stream, record.seq, what) for what in faults(stream, place, record)]
        place = Place(record.seq, record.n, record.time_ms, record.chain)
    if records and place.seq < head.seq:
        return problems, place
    problems += [Problem(stream, 0, what) for what in _head_faults(head, place)]
    return problems, None


def faults(stream: StreamKey, before: Place, record: Record) -> Iterator[str]:
    """Say what is wrong with one record, behind the place of the one before it."""
    if record.seq != before.seq + 1:
        yield f"the records from {before.seq + 1} to {record.seq - 1} are missing"
        return
    if record.time_ms < before.time_ms:
        yield f"its time {record.time_ms} is before {before.time_ms}, that of the record before"
    if record.n not in (before.n, before.n + 1):
        yield f"its count {record.n} does not follow {before.n}"
    if not has_its_body(record):
        yield "its body, salt or request hash is not what was written"
    if not continues(record, before.chain):
        yield "it does not continue the chain"
    else:
        yield from _column_faults(stream, record)


def _column_faults(stream: StreamKey, record: Record) -> Iterator[str]:
    """Compare what is stored beside the header with the header, which the chain vouches for."""
    header = decode_entries(record.header)
    beside = {
        "group": stream.key,
        "seq": record.seq,
        "time_ms": record.time_ms,
        "user": record.user,
        "kind": record.kind,
        "id": record.request_id,
    }
    for name, value in header.items():
        if name in beside and beside[name] != value:
            yield f"{name} is {beside[name]!r} beside its header and {value!r} in it"
    if record.request_id and "id" not in header:
        yield "it has a request id beside its header and none in it"


def _head_faults(head: Head, end: Place) -> Iterator[str]:
    if head.seq != end.seq:
        yield f"its head is at {head.seq} and its newest record is {end.seq}"
    else:
        for name in ("n", "time_ms", "chain"):
            if getattr(head, name) != getattr(end, name):
                yield f"{name} of its head is not that of its newest record"


def verify(store: Store, stream: StreamKey) -> Iterator[Problem]:
    """Check a whole stream."""
    place: Place | None = BEGINNING
    while place is not None:
        problems, place = check_slice(store, stream, place)
        yield from problems


def verify_index(
    store: Store, project: Callable[[StreamKey, Record], Sequence[Change]]
) -> Sequence[Problem]:
    """Make a second index from all records and say where the store's own one differs.

    The store must not change meanwhile: a server holds its writers up for as long as this takes.
    """
    index = MemoryIndex()
    for stream in all_streams(store):
        for record in all_records(store, stream):
            changes = project(stream, record)
            if changes:
                index.apply(stream, changes)
    made = set(index.dump())
    stored = set(store.dump_index())
    return [
        *(_index_problem(row, "is in the index, and no record makes it") for row in stored - made),
        *(_index_problem(row, "is not in the index") for row in made - stored),
    ]


def _index_problem(row: tuple[object, ...], what: str) -> Problem:
    row_kind, tenant, key, *rest = row
    kind = ACCOUNT if row_kind in _OF_ACCOUNTS else GROUP
    return Problem(StreamKey(kind, str(tenant), str(key)), 0, f"{row_kind} {rest} {what}")


def all_streams(store: Store) -> Iterator[StreamKey]:
    """Give all streams in the order of their keys."""
    after = None
    while page := store.streams(after, SLICE):
        yield from page
        after = page[-1]


def all_records(store: Store, stream: StreamKey) -> Iterator[Record]:
    """Give all records of a stream in order."""
    after = 0
    while records := store.read(stream, after, SLICE).records:
        yield from records
        after = records[-1].seq
