"""A store in plain dicts and lists: for tests, for rooms that may go, and as the plainest model.

Nothing survives the process. An append without changes costs a list extension and little else.
"""

from __future__ import annotations

import itertools
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence

import attrs

from groupd.domain.base import GROUP, Record, StreamKey
from groupd.domain.projection import Change, GroupCard, MemberRow, Membership, Numbers
from groupd.errors import LogConflict, LogUnavailable
from groupd.storage.index import Card, last_countable, taken_ref
from groupd.storage.memory_index import GroupIndex, MemoryIndex
from groupd.storage.paging import NO_RECORDS, fitting
from groupd.storage.port import (
    AdvanceCursor,
    Append,
    AppendAll,
    Followed,
    Head,
    Outcome,
    PutPosition,
    PutSnapshot,
    Slice,
    Snapshot,
    Write,
)


@attrs.define(eq=False)
class _Stream:
    records: list[Record] = attrs.field(factory=list)
    deadline_ms: int | None = None
    snapshot: Snapshot | None = None
    cursors: dict[str, int] = attrs.field(factory=dict)

    def n_at(self, seq: int) -> int:
        return self.records[seq - 1].n if seq > 0 else 0


@attrs.define(eq=False)
class MemoryStore:
    """A ``Store`` that forgets everything when it is closed."""

    id: str
    _streams: dict[StreamKey, _Stream] = attrs.field(factory=dict, init=False)
    _record_count: int = attrs.field(default=0, init=False)
    _followed: list[tuple[int, StreamKey, int]] = attrs.field(factory=list, init=False)
    """Position, stream, seq."""
    _deadlines: dict[StreamKey, int] = attrs.field(factory=dict, init=False)
    _positions: dict[str, int] = attrs.field(factory=dict, init=False)
    _index: MemoryIndex = attrs.field(factory=MemoryIndex, init=False)
    _closed: bool = attrs.field(default=False, init=False)

    def close(self) -> None:
        """Refuse everything from now on."""
        self._closed = True

    def checkpoint(self) -> None:
        """Do nothing: there is no write-ahead log."""
        self._check_open()

    def _check_open(self) -> None:
        if self._closed:
            raise LogUnavailable("the store is closed")

    # --- writing

    def commit(self, writes: Sequence[Write]) -> Sequence[Outcome]:
        """Apply the writes in order."""
        self._check_open()
        return [self._write(write) for write in writes]

    def _write(self, write: Write) -> Outcome:
        match write:
            case AppendAll():
                return self._append_all(write.appends)
            case PutPosition():
                self._positions[write.name] = write.position
                return None
            case PutSnapshot() | AdvanceCursor():
                stream = self._streams.get(write.stream)
                if stream is None:
                    return LogConflict(f"there is no stream {write.stream}")
                if isinstance(write, PutSnapshot):
                    stream.snapshot = Snapshot(write.seq, write.version, write.state)
                else:
                    stream.cursors[write.user] = max(write.seq, stream.cursors.get(write.user, 0))
                return None

    def _append_all(self, appends: Sequence[Append]) -> Outcome:
        wants_changes = False
        for append in appends:
            stream = self._streams.get(append.stream)
            head = len(stream.records) if stream is not None else 0
            if head != append.after_seq:
                return LogConflict(f"{append.stream} is at {head}, not at {append.after_seq}")
            if append.changes:
                wants_changes = True
        if wants_changes:
            ref = taken_ref(appends, self._card_of, self._holder_of)
            if ref is not None:
                return LogConflict(f"another group has the ref {ref!r}")
        for append in appends:
            self._append(append)
        return None

    def _append(self, append: Append) -> None:
        stream = self._streams.get(append.stream)
        if stream is None:
            stream = self._streams[append.stream] = _Stream()
        stream.records.extend(append.records)
        position = self._record_count
        self._record_count = position + len(append.records)
        for record in append.records:
            position += 1
            if record.followed:
                self._followed.append((position, append.stream, record.seq))
        if append.deadline_ms != stream.deadline_ms:
            stream.deadline_ms = append.deadline_ms
            if append.deadline_ms is None:
                del self._deadlines[append.stream]
            else:
                self._deadlines[append.stream] = append.deadline_ms
        if append.changes:
            self._index.apply(append.stream, append.changes)
        for seq in append.erase:
            if 0 < seq <= len(stream.records):
                stream.records[seq - 1] = stream.records[seq - 1]._replace(
                    salt=b"", request_hash=b"", body=None
                )
            if append.stream in self._index.groups:
                self._index.groups[append.stream].erase(seq)

    # --- streams

    def head(self, stream: StreamKey) -> Head | None:
        """Give the end of a stream, or None where it does not exist."""
        self._check_open()
        found = self._streams.get(stream)
        if found is None:
            return None
        last = found.records[-1]
        return Head(last.seq, last.n, last.time_ms, last.chain, found.deadline_ms)

    def read(
        self, stream: StreamKey, after: int, limit: int, max_bytes: int | None = None
    ) -> Slice:
        """Give records after a seq, in order."""
        self._check_open()
        found = self._streams.get(stream)
        if found is None:
            return NO_RECORDS
        after = max(after, 0)
        records = fitting(found.records[after : after + limit], max_bytes)
        return Slice(records, more=after + len(records) < len(found.records))

    def read_back(
        self, stream: StreamKey, before: int, limit: int, floor: int, max_bytes: int | None = None
    ) -> Slice:
        """Give the newest records before a seq, in rising order."""
        self._check_open()
        found = self._streams.get(stream)
        if found is None:
            return NO_RECORDS
        floor = max(floor, 1)
        end = min(before - 1, len(found.records))
        newest_first = reversed(found.records[max(floor - 1, end - limit, 0) : max(end, 0)])
        records = fitting(newest_first, max_bytes)[::-1]
        return Slice(records, more=end - len(records) >= floor)

    def pick(self, stream: StreamKey, seqs: Sequence[int]) -> Sequence[Record]:
        """Give those of the records that exist, in rising order."""
        self._check_open()
        found = self._streams.get(stream)
        if found is None:
            return ()
        count = len(found.records)
        return [found.records[seq - 1] for seq in sorted(set(seqs)) if 0 < seq <= count]

    def streams(self, after: StreamKey | None, limit: int) -> Sequence[StreamKey]:
        """List the streams in the order of their keys."""
        self._check_open()
        return sorted(key for key in self._streams if after is None or key > after)[:limit]

    def snapshot(self, stream: StreamKey) -> Snapshot | None:
        """Give the newest stored state."""
        self._check_open()
        found = self._streams.get(stream)
        return found.snapshot if found is not None else None

    # --- deadlines and the global order

    def due(self, until_ms: int, limit: int) -> Sequence[StreamKey]:
        """List streams whose deadline has come, the earliest first."""
        self._check_open()
        due = [
            (deadline_ms, key)
            for key, deadline_ms in self._deadlines.items()
            if deadline_ms <= until_ms
        ]
        return [key for _deadline_ms, key in sorted(due)[:limit]]

    def next_deadline_ms(self) -> int | None:
        """Give the earliest deadline of all."""
        self._check_open()
        return min(self._deadlines.values(), default=None)

    def position(self, name: str) -> int:
        """Give how far a reactor has come; 0 for a new one."""
        self._check_open()
        return self._positions.get(name, 0)

    def followed(self, after: int, limit: int) -> Sequence[Followed]:
        """List followed records of all streams, in the global order."""
        self._check_open()
        first = bisect_right(self._followed, after, key=lambda entry: entry[0])
        return [
            Followed(position, key, self._streams[key].records[seq - 1])
            for position, key, seq in self._followed[first : first + limit]
        ]

    # --- the index

    def group(self, tenant: str, group: str) -> GroupCard | None:
        """Give a group's card."""
        self._check_open()
        return self._group_card(StreamKey(GROUP, tenant, group))

    def group_of_ref(self, tenant: str, ref: str) -> GroupCard | None:
        """Give the live group that has this ``ref``."""
        self._check_open()
        stream = self._index.holders.get((tenant, ref))
        return self._group_card(stream) if stream is not None else None

    def membership(self, tenant: str, user: str, group: str) -> Membership | None:
        """Give one user's place in one group."""
        self._check_open()
        return self._membership(StreamKey(GROUP, tenant, group), user)

    def memberships(self, tenant: str, user: str, after: str, limit: int) -> Sequence[Membership]:
        """List a user's live groups, by group."""
        self._check_open()
        streams = sorted(self._live_groups(tenant, user))
        rows = (self._membership(stream, user) for stream in streams if stream.key > after)
        return list(itertools.islice(filter(None, rows), limit))

    def numbers(self, tenant: str, user: str, upto: Mapping[str, int]) -> Mapping[str, Numbers]:
        """Give what is new to a user in each of the groups."""
        self._check_open()
        numbers = {}
        for key, head in upto.items():
            group = self._index.groups.get(StreamKey(GROUP, tenant, key))
            if group is not None and user in group.members:
                stream = self._streams[StreamKey(GROUP, tenant, key)]
                numbers[key] = _numbers(stream, group, user, min(head, len(stream.records)))
        return numbers

    def members(self, tenant: str, group: str, after: str, limit: int) -> Sequence[MemberRow]:
        """List a group's members by user id."""
        self._check_open()
        found = self._index.groups.get(StreamKey(GROUP, tenant, group))
        if found is None:
            return ()
        users = sorted(user for user in found.members if user > after)[:limit]
        rows = (found.members[user] for user in users)
        return [MemberRow(row.user, row.name, row.role, row.joined_ms) for row in rows]

    def acquainted(self, tenant: str, user: str, users: Sequence[str]) -> Sequence[MemberRow]:
        """Give those of ``users`` that share a live group with ``user``, or are that user."""
        self._check_open()
        mine = self._live_groups(tenant, user)
        found = []
        for other in sorted(set(users)):
            shared = [
                (self._index.groups[stream].members[other].joined_ms, stream)
                for stream in mine
                if other in self._index.groups[stream].members
            ]
            if shared:
                _joined_ms, latest = max(shared)
                name = self._index.groups[latest].members[other].name
                found.append(MemberRow(other, name, 0, 0))
            elif other == user:
                found.append(MemberRow(other, "", 0, 0))
        return found

    def cursors(self, tenant: str, group: str) -> Mapping[str, int]:
        """Give the read cursors of a group."""
        self._check_open()
        stream = self._streams.get(StreamKey(GROUP, tenant, group))
        return dict(stream.cursors) if stream is not None else {}

    def dump_index(self) -> Iterator[tuple[object, ...]]:
        """Give the whole index as sorted plain rows."""
        self._check_open()
        return self._index.dump()

    def rebuild_index(self, project: Callable[[StreamKey, Record], Sequence[Change]]) -> int:
        """Make the index again from all records."""
        self._check_open()
        index = MemoryIndex()
        for key, stream in self._streams.items():
            for record in stream.records:
                changes = project(key, record)
                if changes:
                    index.apply(key, changes)
        index.find_holders()
        self._index = index
        return self._record_count

    def _card_of(self, stream: StreamKey) -> Card | None:
        group = self._index.groups.get(stream)
        return group.card if group is not None else None

    def _holder_of(self, tenant: str, ref: str) -> str | None:
        stream = self._index.holders.get((tenant, ref))
        return stream.key if stream is not None else None

    def _live_groups(self, tenant: str, user: str) -> list[StreamKey]:
        streams = self._index.groups_of.get((tenant, user), ())
        return [
            stream
            for stream in streams
            if (card := self._index.groups[stream].card) is not None and not card.dissolved
        ]

    def _group_card(self, stream: StreamKey) -> GroupCard | None:
        card = self._card_of(stream)
        if card is None:
            return None
        head = len(self._streams[stream].records)
        return card.of(stream.key, head)

    def _membership(self, stream: StreamKey, user: str) -> Membership | None:
        group = self._index.groups.get(stream)
        if group is None or group.card is None or user not in group.members:
            return None
        row = group.members[user]
        return Membership(
            group=stream.key,
            name=group.card.name,
            picture=group.card.picture,
            role=row.role,
            joined_seq=row.joined_seq,
            floor=row.floor,
            head=len(self._streams[stream].records),
            dissolved=group.card.dissolved,
        )


def _numbers(stream: _Stream, group: GroupIndex, user: str, upto: int) -> Numbers:
    read = max(
        group.members[user].joined_seq, stream.cursors.get(user, 0), group.spoke.get(user, 0)
    )
    read = min(read, upto)
    mentioned = group.mentioned(user, read, upto)
    return Numbers(
        read=read,
        unread=stream.n_at(upto) - stream.n_at(read),
        mentions=sum(stream.records[seq - 1].user != user for seq in mentioned),
        last_seq=last_countable(stream.n_at, upto),
    )
