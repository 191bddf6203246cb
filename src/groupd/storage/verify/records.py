"""Checking records: each by itself, behind the one before it, and the head behind the last.

Placement rules:
- Nothing that is stored is taken for what it should be, not even its type: a flipped bit makes a
  text of a blob, and SQLite gives what is there.
- A stream is gone through in slices, so that a server can do it between rounds and hold nobody up.
  Every slice gets ahead by one seq at least, or is the last: what stands in the wrong place is a
  problem, never a reason to go back.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, TypeAlias

import attrs
import msgpack

from groupd.domain.base import Record, StreamKey
from groupd.errors import LogCorrupt, Rejected
from groupd.storage.findings import Problem
from groupd.storage.port import Head, Store
from groupd.wire.codec import GENESIS, continues, decode_entries, has_its_body

SLICE: Final = 1_000
"""Records that are checked in one go."""

UNREADABLE_MAX: Final = 64
"""Records in a row that cannot be read, after which the rest of their stream is given up."""

SENSELESS: Final = (
    *(TypeError, ValueError, LookupError, ArithmeticError, AttributeError, AssertionError),
    *(struct.error, msgpack.UnpackException, RecursionError, Rejected, LogCorrupt),
)
"""What bytes that make no sense may raise on their way."""

Take: TypeAlias = Callable[[Record, bool], None]
"""Is given each record that was checked, in order, and whether it is good."""

_TYPES: Final[Sequence[tuple[str, type]]] = (
    *((name, int) for name in ("seq", "time_ms", "audience", "n", "forget")),
    *((name, str) for name in ("kind", "user", "request_id")),
    *((name, bytes) for name in ("header", "salt", "request_hash", "inner", "chain")),
)
_TYPE_NAMES: Final = {int: "a number", str: "a text", bytes: "bytes"}


@attrs.frozen
class Place:
    """How far a stream has been gone through, and what the next record must continue."""

    seq: int = 0
    n: int = 0
    time_ms: int = 0
    chain: bytes | None = GENESIS
    """None where the record before could not be read: nobody knows what follows it."""
    unreadable: int = 0
    """How many records before this place could not be read, in a row."""


BEGINNING: Final = Place()


def check_slice(
    store: Store,
    stream: StreamKey,
    place: Place = BEGINNING,
    limit: int = SLICE,
) -> tuple[Sequence[Problem], Place | None]:
    """Check up to ``limit`` records after ``place``; give the problems and the next place.

    None instead of a place means that the end was reached and agrees with the head, or that the
    problems say otherwise. The chain goes on from what is stored, so that one changed record is
    one problem, or two where it is the chain itself that was changed.
    """
    problems, place, is_end = advance(store, stream, place, limit, lambda record, is_good: None)
    return problems, None if is_end else place


def advance(
    store: Store, stream: StreamKey, place: Place, limit: int, take: Take
) -> tuple[Sequence[Problem], Place, bool]:
    """As ``check_slice``, but always with the place, and whether it is the end as of now."""
    head, problems = read_head(store, stream)
    if head is None:
        return problems, place, True
    records, refusal = _read(store, stream, place.seq, limit)
    began = place
    for record in records:
        what = list(faults(stream, place, record))
        problems += [Problem(stream, _shown_seq(record), each) for each in what]
        place = behind(place, record)
        take(record, not what)
    if refusal is None and len(records) < limit:
        # Fewer than there is room for: there is no more at this moment.
        return [*problems, *_end_problems(stream, head, place)], place, True
    if refusal is None and place.seq > began.seq:
        return problems, place, False
    # Here nothing gets ahead by itself: so one seq is passed over.
    seq = place.seq + 1
    problems.append(Problem(stream, seq, refusal or "the store gives others in its place"))
    if place.seq >= head.seq:
        return problems, place, True
    if place.unreadable >= UNREADABLE_MAX:
        problems.append(Problem(stream, seq, "nor can those behind it, which were not checked"))
        return problems, place, True
    return problems, Place(seq, place.n, place.time_ms, None, place.unreadable + 1), False


def behind(place: Place, record: Record) -> Place:
    """Give the place behind a record, or the same one where the record is not ahead of it."""
    if not _is_ahead(place, record):
        return place
    chain = record.chain if type(record.chain) is bytes else None
    n = record.n if type(record.n) is int else place.n
    time_ms = record.time_ms if type(record.time_ms) is int else place.time_ms
    return Place(record.seq, n, time_ms, chain)


def _is_ahead(place: Place, record: Record) -> bool:
    return type(record.seq) is int and record.seq > place.seq


def _shown_seq(record: Record) -> int:
    return record.seq if type(record.seq) is int and record.seq > 0 else 0


def _read(
    store: Store, stream: StreamKey, after: int, limit: int
) -> tuple[Sequence[Record], str | None]:
    """Give the next records, up to one that cannot be read, and why it cannot."""
    try:
        return store.read(stream, after, limit).records, None
    except SENSELESS:
        pass  # One of them: those before it are good, perhaps.
    records: list[Record] = []
    while len(records) < limit:
        try:
            found = store.read(stream, after, 1).records
        except SENSELESS as error:
            return records, f"cannot be read from the table records: {said(error)}"
        if not found:
            break
        records += found
        if type(found[0].seq) is not int or found[0].seq <= after:
            return records, "the store gives another in its place"
        after = found[0].seq
    return records, None


def said(error: BaseException) -> str:
    """Give what an error says, with its kind where it would say little, and no stored text."""
    if isinstance(error, UnicodeDecodeError):
        return "a text that is not UTF-8"
    return str(error) if isinstance(error, LogCorrupt) else repr(error)


# --- one record


def faults(stream: StreamKey, before: Place, record: Record) -> Iterator[str]:
    """Say what is wrong with one record, behind the place of the one before it."""
    senseless = list(_type_faults(record))
    if senseless:
        yield from senseless
        return
    if not _is_ahead(before, record):
        yield f"it is out of order: it comes behind record {before.seq}"
        return
    follows = record.seq == before.seq + 1
    if not follows:
        yield f"the records from {before.seq + 1} to {record.seq - 1} are missing"
    elif before.chain is not None:
        if record.time_ms < before.time_ms:
            yield f"its time {record.time_ms} is before {before.time_ms}, that of the record before"
        if record.n not in (before.n, before.n + 1):
            yield f"its count {record.n} does not follow {before.n}"
    if not has_its_body(record):
        yield "its body, salt or request hash is not what was written"
    try:
        if follows and before.chain is not None and not continues(record, before.chain):
            yield "it does not continue the chain"
        else:
            yield from _column_faults(stream, record)
    except SENSELESS as error:
        yield f"its header cannot be read: {error!r}"


def _type_faults(record: Record) -> Iterator[str]:
    for name, expected in _TYPES:
        if type(getattr(record, name)) is not expected:
            yield f"its {name} is not {_TYPE_NAMES[expected]}"
    if record.body is not None and type(record.body) is not bytes:
        yield "its body is not bytes"


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


# --- the head


def read_head(store: Store, stream: StreamKey) -> tuple[Head | None, list[Problem]]:
    """Give the head of a stream if it makes sense, or say why it does not."""
    try:
        head = store.head(stream)
    except SENSELESS as error:
        what = f"its head cannot be read from the table streams: {said(error)}"
        return None, [Problem(stream, 0, what)]
    if head is None:
        return None, [Problem(stream, 0, "the stream does not exist")]
    wrong = [
        f"{name} of its head is not {_TYPE_NAMES[expected]}"
        for name, expected in (("seq", int), ("n", int), ("time_ms", int), ("chain", bytes))
        if type(getattr(head, name)) is not expected
    ]
    if type(head.deadline_ms) not in (int, type(None)):
        wrong.append("deadline_ms of its head is not a number")
    return (None if wrong else head), [Problem(stream, 0, what) for what in wrong]


def _end_problems(stream: StreamKey, head: Head, end: Place) -> list[Problem]:
    return [Problem(stream, 0, what) for what in _head_faults(head, end)]


def _head_faults(head: Head, end: Place) -> Iterator[str]:
    if head.seq != end.seq:
        yield f"its head is at {head.seq} and its newest record is {end.seq}"
    elif end.chain is not None:
        for name in ("n", "time_ms", "chain"):
            if getattr(head, name) != getattr(end, name):
                yield f"{name} of its head is not that of its newest record"


# --- all of them


def verify(store: Store, stream: StreamKey) -> Iterator[Problem]:
    """Check the records of a whole stream."""
    place: Place | None = BEGINNING
    while place is not None:
        problems, place = check_slice(store, stream, place)
        yield from problems


def all_streams(store: Store) -> Iterator[StreamKey]:
    """Give all streams in the order of their keys.

    Raises LogCorrupt where they are not in it, for then nobody would know when to end.
    """
    after: StreamKey | None = None
    while page := store.streams(after, SLICE):
        for stream in page:
            if after is not None and not after < stream:
                raise LogCorrupt(f"the streams are out of order behind {'/'.join(after)}")
            yield stream
            after = stream


def all_records(store: Store, stream: StreamKey) -> Iterator[Record]:
    """Give all records of a stream in order.

    Raises LogCorrupt where they are not in it, for then nobody would know when to end.
    """
    after: Any = 0
    while records := store.read(stream, after, SLICE).records:
        for record in records:
            if type(record.seq) is not int or record.seq <= after:
                raise LogCorrupt(f"the records of {'/'.join(stream)} are out of order at {after}")
            yield record
            after = record.seq
