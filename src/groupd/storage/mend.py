"""Mending one stream by a copy of the store that still has what was written.

A record is good or not whatever else was lost, because the chain of its stream vouches for it. So
what is damaged is taken from the copy, record by record, and the rest stays: also what was written
after the copy was made. Where the log ends, and what the head must be, the records say.

All of it is one transaction, at whose end the stream is checked with the code of ``groupd check``:
nothing changes unless the whole stream is in order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, TypeVar

import attrs

from groupd.domain.base import Record, StreamKey
from groupd.domain.catalog import AGGREGATES, EVENTS
from groupd.errors import LogCorrupt, LogError
from groupd.storage.findings import Problem
from groupd.storage.port import Head, Store
from groupd.storage.verify import BEGINNING, SENSELESS, SLICE, Place, StreamCheck, faults
from groupd.storage.verify.index import Project
from groupd.storage.verify.records import behind, read_head
from groupd.wire import codec

T = TypeVar("T")


class Mender(Protocol):
    """The hand that puts a store right. All but ``attempt`` belongs into one."""

    def attempt(self, work: Callable[[], T]) -> T:
        """Call ``work`` in one durable transaction; nothing has changed where it raises."""
        ...

    def found_again(self, stream: StreamKey, chains: Sequence[bytes]) -> None:
        """Give a stream its row again, and with it the records that have one of these chains."""
        ...

    def put_right(
        self, stream: StreamKey, records: Sequence[Record], head: Head
    ) -> tuple[int, int]:
        """Replace records of a stream, and its head, and drop its snapshot.

        Records and read cursors beyond the head go; gives how many of each.
        """
        ...

    def make_lookups_anew(self) -> None:
        """Make anew by what streams and records are found."""
        ...


class Mendable(Store, Protocol):
    """A store that can be put right by hand."""

    @property
    def mender(self) -> Mender:
        """Give the hand."""
        ...


@attrs.frozen
class Mended:
    """What was put right of a stream."""

    seqs: Sequence[int] = ()
    """Of the records that were put back."""
    head: Sequence[str] = ()
    """The names of the parts of its head that were wrong."""
    surplus: int = 0
    """How many records went that the log never had."""
    cursors: int = 0
    """How many read cursors went that made no sense."""
    others: Sequence[str] = ()
    """What else was wrong and is in order now."""
    left: Sequence[Problem] = ()
    """What is wrong still, with nothing but its index: a mended log says what that must be."""


def mend(store: Mendable, copy: Store, stream: StreamKey, project: Project) -> Mended:
    """Put what is damaged of a stream back from a copy.

    Bodies that were erased since the copy was made stay erased. Raises LogCorrupt where the copy
    has not what is missing, or the stream would not be in order; then nothing has changed.
    """
    mender = store.mender
    try:
        mended = mender.attempt(lambda: _mend(store, copy, stream, project))
    except LogCorrupt as refusal:
        # Perhaps all is there, and only not found.
        try:
            mended = mender.attempt(lambda: _mend_found_anew(store, copy, stream, project))
        except LogError:
            raise refusal from None
    check = StreamCheck(stream, project)
    return attrs.evolve(mended, left=tuple(_all_problems(check, store)))


def _mend_found_anew(store: Mendable, copy: Store, stream: StreamKey, project: Project) -> Mended:
    store.mender.make_lookups_anew()
    return _mend(store, copy, stream, project)


def _mend(store: Mendable, copy: Store, stream: StreamKey, project: Project) -> Mended:
    wrong = _all_problems(StreamCheck(stream, project, compares_index=False), store)
    if not wrong:
        return Mended()
    head, is_there = _head_of(store, stream)
    if not is_there:
        _find_again(store, copy, stream)
    found, records = _gather(store, copy, stream, head)
    surplus, cursors = store.mender.put_right(stream, records, found)
    left = _all_problems(StreamCheck(stream, project, compares_index=False), store)
    if left:
        raise LogCorrupt(
            f"{_shown(stream)} cannot be mended: {left[0].what}"
            + (f" (record {left[0].seq})" if left[0].seq else "")
        )
    parts = [field.name for field in attrs.fields(Head)]
    return Mended(
        seqs=[record.seq for record in records],
        head=[
            part for part in parts if head is None or getattr(head, part) != getattr(found, part)
        ],
        surplus=surplus,
        cursors=cursors,
        others=[problem.what for problem in wrong if "snapshot" in problem.what],
    )


def _all_problems(check: StreamCheck, store: Store) -> Sequence[Problem]:
    while not check.is_done:
        check.step(store)
    return check.problems


def _head_of(store: Store, stream: StreamKey) -> tuple[Head | None, bool]:
    """Give the head of a stream if it makes sense, and whether there is one at all."""
    head, _wrong = read_head(store, stream)
    if head is not None:
        return head, True
    try:
        return None, store.head(stream) is not None
    except SENSELESS:
        return None, True


def _find_again(store: Mendable, copy: Store, stream: StreamKey) -> None:
    theirs = _pick(copy, stream, range(1, SLICE + 1))
    if not theirs:
        raise LogCorrupt(f"there is no log {'/'.join(stream)}, and the copy has none")
    store.mender.found_again(stream, [record.chain for record in theirs.values()])


# --- which records


def _gather(
    store: Store, copy: Store, stream: StreamKey, head: Head | None
) -> tuple[Head, Sequence[Record]]:
    """Give the head that a stream should have, and the records of it that must be put back."""
    place, mended = BEGINNING, list[Record]()
    state = AGGREGATES[stream.kind].state()
    makes_sense = True
    ours: Mapping[int, Record] = {}
    is_end = False
    while not is_end:
        wanted = range(place.seq + 1, place.seq + SLICE + 1)
        ours, theirs = _pick(store, stream, wanted), _pick(copy, stream, wanted)
        for seq in wanted:
            own = ours.get(seq)
            record = _best(stream, place, own, theirs.get(seq))
            is_own = record is not None and own is not None and record.chain == own.chain
            if record is None or (not is_own and _is_at(head, place)):
                is_end = True
                break
            if record != own:
                mended.append(record)
            place = behind(place, record)
            try:
                state.apply(record, codec.decode_event(EVENTS[stream.kind], record))
            except SENSELESS:
                makes_sense = False
    _expect_the_end(store, stream, place, head, is_damaged=place.seq + 1 in ours)
    deadline_ms = None if head is None else head.deadline_ms
    if makes_sense:
        deadline_ms = AGGREGATES[stream.kind].deadline_ms(state)
    assert place.chain is not None
    return Head(place.seq, place.n, place.time_ms, place.chain, deadline_ms), mended


def _is_at(head: Head | None, place: Place) -> bool:
    return head is not None and (head.seq, head.chain) == (place.seq, place.chain)


def _expect_the_end(
    store: Store, stream: StreamKey, place: Place, head: Head | None, *, is_damaged: bool
) -> None:
    """Raise LogCorrupt where the log went on behind the place, and nobody has what came there."""
    if _is_at(head, place):
        return
    seq = place.seq + 1
    if is_damaged:
        raise LogCorrupt(
            f"record {seq} of {_shown(stream)} is damaged, and the copy has no good one"
        )
    # A head with the chain of the last record is that of this log, whatever its number says.
    if head is not None and head.chain == place.chain:
        return
    try:
        further = any(record.seq > place.seq for record in store.read(stream, place.seq, 1).records)
    except SENSELESS:
        further = True
    if further or place.seq == 0 or (head is not None and head.seq > place.seq):
        raise LogCorrupt(
            f"record {seq} of {_shown(stream)} is missing, and the copy has no good one"
        )


def _pick(store: Store, stream: StreamKey, wanted: Sequence[int]) -> Mapping[int, Record]:
    """Give those of the records that there are and that can be read, by seq."""
    try:
        return {record.seq: record for record in store.pick(stream, wanted)}
    except SENSELESS:
        pass
    records: dict[int, Record] = {}
    for seq in wanted:
        try:
            records |= {record.seq: record for record in store.pick(stream, [seq])}
        except SENSELESS:
            continue
    return records


def _best(
    stream: StreamKey, place: Place, ours: Record | None, theirs: Record | None
) -> Record | None:
    """Give the record that follows a place: ours if it is good, else one with the copy's parts."""
    candidates = [ours, theirs]
    if ours is not None and theirs is not None and ours.body is None:
        candidates.insert(1, theirs._replace(body=None, salt=b"", request_hash=b""))
    for record in candidates:
        if record is not None and not any(faults(stream, place, record)):
            return _marked(stream, record)
    return None


def _marked(stream: StreamKey, record: Record) -> Record:
    """Give the record with the mark that its kind has: for that alone no chain vouches."""
    known = EVENTS[stream.kind].get(record.kind)
    return record if known is None else record._replace(followed=known.followed)


def _shown(stream: StreamKey) -> str:
    return "/".join(stream)
