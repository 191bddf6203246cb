"""Mending one stream by a copy of the store that still has what was written.

A record is good or not whatever else was lost, because the chain of its stream vouches for it. So
what is damaged is taken from the copy, record by record, and the rest stays: also what was written
after the copy was made. Nothing changes unless the whole stream is in order afterwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from groupd.domain.base import Record, StreamKey
from groupd.errors import LogCorrupt
from groupd.storage.port import Head, Store
from groupd.storage.verify import BEGINNING, SLICE, Place, faults


class Mendable(Store, Protocol):
    """A store whose records can be put right by hand."""

    def put_right(self, stream: StreamKey, records: Sequence[Record], head: Head) -> None:
        """Replace records of a stream, and its head, durably; its snapshot goes."""


def mend(store: Mendable, copy: Store, stream: StreamKey) -> Sequence[int]:
    """Put what is damaged of a stream back from a copy; gives the seqs of what was put back.

    Bodies that were erased since the copy was made stay erased. Raises LogCorrupt where the copy
    has not what is missing; then nothing has changed.
    """
    head = store.head(stream)
    if head is None:
        raise LogCorrupt(f"there is no log {'/'.join(stream)}")
    place, mended = BEGINNING, list[Record]()
    while place.seq < head.seq:
        wanted = range(place.seq + 1, min(place.seq + SLICE, head.seq) + 1)
        ours = {record.seq: record for record in store.pick(stream, wanted)}
        theirs = {record.seq: record for record in copy.pick(stream, wanted)}
        for seq in wanted:
            record = _best(stream, place, ours.get(seq), theirs.get(seq))
            if record is None:
                raise LogCorrupt(
                    f"record {seq} of {'/'.join(stream)} is damaged, and the copy has no good one"
                )
            if record != ours.get(seq):
                mended.append(record)
            place = Place(record.seq, record.n, record.time_ms, record.chain)
    found = Head(place.seq, place.n, place.time_ms, place.chain, head.deadline_ms)
    if mended or found != head:
        store.put_right(stream, mended, found)
    return [record.seq for record in mended]


def _best(
    stream: StreamKey, place: Place, ours: Record | None, theirs: Record | None
) -> Record | None:
    """Give the record that follows a place: ours if it is good, else one with the copy's parts."""
    candidates = [ours, theirs]
    if ours is not None and theirs is not None and ours.body is None:
        candidates.insert(1, theirs._replace(body=None, salt=b"", request_hash=b""))
    for record in candidates:
        if record is not None and not any(faults(stream, place, record)):
            return record
    return None
