"""Checking what else is stored of a stream: its deadline, its snapshot, its read cursors.

They are compared with the state that comes of the records, which is made on the way.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import attrs

from groupd.domain.base import GROUP, Record, StreamKey
from groupd.domain.catalog import AGGREGATES, EVENTS
from groupd.domain.stream import Stream
from groupd.storage.port import Head, Snapshot, Store
from groupd.storage.verify.records import SENSELESS, said
from groupd.wire import codec


@attrs.define
class StateCheck:
    """Replays a stream beside the check of its records.

    ``snapshot`` is compared with the state as of its seq. One that is stored meanwhile is not:
    it was made a moment ago, from the state that the server has.
    """

    stream: StreamKey
    state: Stream
    snapshot: Snapshot | None
    _said_of_snapshot: str | None = None

    @classmethod
    def begin(cls, store: Store, stream: StreamKey) -> tuple[StateCheck | None, list[str]]:
        """Begin with no record; gives None where there can be no state, and what is wrong."""
        aggregate = AGGREGATES.get(stream.kind)
        if aggregate is None:
            return None, [f"there is no kind of log {stream.kind!r}"]
        snapshot, wrong = None, []
        try:
            snapshot = store.snapshot(stream)
        except SENSELESS as error:
            wrong.append(f"its snapshot cannot be read from the table snapshots: {said(error)}")
        return cls(stream, aggregate.state(), snapshot), wrong

    def take(self, record: Record) -> str | None:
        """Apply a record. Raises one of ``SENSELESS`` where it cannot be; says what is odd."""
        kinds = EVENTS[self.stream.kind]
        event = codec.decode_event(kinds, record)
        self.state.apply(record, event)
        if self.snapshot is not None and record.seq == self.snapshot.seq:
            self._said_of_snapshot = _snapshot_fault(self.state, self.snapshot)
        known = kinds.get(record.kind)
        if known is not None and record.followed != known.followed:
            return f"it is marked as if a {record.kind!r} were " + (
                "followed" if record.followed else "not followed"
            )
        return None

    @property
    def seq(self) -> int:
        """Give how far the records were applied."""
        return self.state.seq

    @property
    def deadline_ms(self) -> int | None:
        """Give the next deadline of the state."""
        return AGGREGATES[self.stream.kind].deadline_ms(self.state)

    def faults(self, head: Head) -> Iterator[str]:
        """Say what does not fit the state, once it is that of the head."""
        deadline_ms = self.deadline_ms
        if head.deadline_ms != deadline_ms:
            yield f"deadline_ms of its head is {head.deadline_ms}, and its state says {deadline_ms}"
        if self._said_of_snapshot is not None:
            yield self._said_of_snapshot
        snapshot = self.snapshot
        if snapshot is not None and not _is_between(snapshot.seq, 1, head.seq):
            yield f"its snapshot is of record {snapshot.seq!r}, and its head is at {head.seq}"


def _snapshot_fault(state: Stream, snapshot: Snapshot) -> str | None:
    if snapshot.version != state.version:
        # One of another groupd's is not read, and replaced by the next.
        return None if type(snapshot.version) is int else "its snapshot has no version"
    try:
        stored = type(state).load(codec.unpack(snapshot.state))
        if stored.hash() == state.hash():
            return None
    except SENSELESS as error:
        return f"its snapshot, of record {snapshot.seq}, cannot be read: {error!r}"
    return f"its snapshot is not the state as of record {snapshot.seq}"


def cursor_faults(store: Store, stream: StreamKey, head: Head) -> Iterator[str]:
    """Say which read cursors of a group make no sense."""
    if stream.kind != GROUP:
        return
    try:
        cursors = store.cursors(stream.tenant, stream.key)
    except SENSELESS as error:
        yield f"its read cursors cannot be read from the table cursors: {said(error)}"
        return
    for user, seq in cursors.items():
        if not is_cursor(user, seq, head.seq):
            yield f"the read cursor of {user!r} is at {seq!r}, and its head is at {head.seq}"


def is_cursor(user: Any, seq: Any, head: int) -> bool:
    """Say whether a read cursor can be one."""
    return type(user) is str and _is_between(seq, 0, head)


def _is_between(value: Any, low: int, high: int) -> bool:
    return type(value) is int and low <= value <= high
