"""A store in plain dicts and lists: for tests, for rooms that may go, and as the plainest model.

Nothing survives the process. An append without changes costs a list extension and little else.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

import attrs

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
from groupd.errors import LogConflict, LogUnavailable
from groupd.storage.index import taken_ref
from groupd.storage.memory_checks import MemoryChecks
from groupd.storage.memory_index import MemoryIndex
from groupd.storage.memory_reads import MemoryReads
from groupd.storage.memory_registers import MemoryAudit, MemoryRegisters
from groupd.storage.memory_stream import MemoryStream
from groupd.storage.memory_ties import MemoryTies
from groupd.storage.paging import NO_EVENTS, NO_RECORDS, fitting
from groupd.storage.port import Followed, Head, Outcome, Page, Slice, Snapshot
from groupd.storage.writes import AdvanceCursor, Append, AppendAll, PutSnapshot, Write
from groupd.wire import codec


@attrs.define(eq=False)
class MemoryStore:
    """A ``Store`` that forgets everything when it is closed."""

    id: str
    index_is_stale: bool = attrs.field(default=False, init=False)
    _streams: dict[StreamKey, MemoryStream] = attrs.field(factory=dict, init=False)
    _record_count: int = attrs.field(default=0, init=False)
    _followed: list[tuple[int, StreamKey, int]] = attrs.field(factory=list, init=False)
    """Position, stream, seq."""
    _order: list[tuple[int, StreamKey, int, int]] = attrs.field(factory=list, init=False)
    """Of each append: the position before it, its stream, the seq before it, how many."""
    _deadlines: dict[StreamKey, int] = attrs.field(factory=dict, init=False)
    _registers: MemoryRegisters = attrs.field(factory=MemoryRegisters, init=False)
    _index: MemoryIndex = attrs.field(factory=MemoryIndex, init=False)
    _closed: bool = attrs.field(default=False, init=False)

    @property
    def audit(self) -> MemoryAudit:
        """Give what has been changed with keys."""
        return self._registers.audit

    def close(self) -> None:
        """Refuse everything from now on."""
        self._closed = self.audit.is_closed = True

    def checkpoint(self) -> None:
        """Do nothing: there is no write-ahead log."""
        self._check_open()

    def begin_copy(self, path: Path) -> NoReturn:
        """Refuse: there are no files to copy."""
        raise LogUnavailable("what is kept in memory only cannot be backed up")

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
            case PutSnapshot() | AdvanceCursor():
                stream = self._streams.get(write.stream)
                if stream is None:
                    return LogConflict(f"there is no stream {write.stream}")
                if isinstance(write, PutSnapshot):
                    stream.snapshot = Snapshot(write.seq, write.version, write.state)
                else:
                    stream.cursors[write.user] = max(write.seq, stream.cursors.get(write.user, 0))
            case _:
                self._registers.write(write)
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
            ref = taken_ref(appends, self._index.card_of, self._holder_of)
            if ref is not None:
                return LogConflict(f"another group has the ref {ref!r}")
        for append in appends:
            self._append(append)
        return None

    def _append(self, append: Append) -> None:
        stream = self._streams.get(append.stream)
        if stream is None:
            stream = self._streams[append.stream] = MemoryStream(len(self._streams) + 1)
        stream.records.extend(append.records)
        position = self._record_count
        self._record_count = position + len(append.records)
        if append.records:
            entry = (position, append.stream, append.after_seq, len(append.records))
            self._order.append(entry)
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
        if append.audit:
            self.audit.add(append.audit)
        snapshot = stream.snapshot
        if append.erase and snapshot is not None and snapshot.seq >= min(append.erase):
            stream.snapshot = None
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
        self._check_open()
        found = self._streams.get(stream)
        if found is None:
            return NO_EVENTS
        low, high = max(low, 1), min(high, len(found.records))
        if low > high:
            return NO_EVENTS
        if newest:
            newest_first = reversed(found.records[max(low - 1, high - limit) : high])
            records = fitting(newest_first, max_bytes)[::-1]
        else:
            records = fitting(found.records[low - 1 : min(high, low - 1 + limit)], max_bytes)
        shown = [codec.shown_map(record, view) for record in records]
        return Page(shown, more=len(shown) < high - low + 1)

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
        return self._registers.positions.get(name, 0)

    def positions(self, prefix: str) -> Sequence[tuple[str, int]]:
        """List the reactors whose names begin so, by name."""
        self._check_open()
        known = self._registers.positions.items()
        return sorted(item for item in known if item[0].startswith(prefix))

    def last_position(self) -> int:
        """Give the place of the newest record in the global order."""
        self._check_open()
        return self._record_count

    def changes(self, after: int, limit: int) -> Sequence[Followed]:
        """List all records of all streams, in the global order."""
        self._check_open()
        found: list[Followed] = []
        first = bisect_right(self._order, after, key=lambda entry: entry[0])
        for place in range(max(0, first - 1), len(self._order)):
            before, key, seq, count = self._order[place]
            skipped = max(0, after - before)
            records = self._streams[key].records[seq + skipped : seq + count]
            found += (
                Followed(before + skipped + nth, key, record)
                for nth, record in enumerate(records[: limit - len(found)], 1)
            )
            if len(found) == limit:
                break
        return found

    def followed(self, after: int, limit: int) -> Sequence[Followed]:
        """List followed records of all streams, in the global order."""
        self._check_open()
        first = bisect_right(self._followed, after, key=lambda entry: entry[0])
        return [
            Followed(position, key, self._streams[key].records[seq - 1])
            for position, key, seq in self._followed[first : first + limit]
        ]

    # --- the index

    @property
    def _reads(self) -> MemoryReads:
        self._check_open()
        return MemoryReads(self._streams, self._index)

    def group(self, tenant: str, group: str) -> GroupCard | None:
        """Give a group's card."""
        return self._reads.group(tenant, group)

    def group_of_ref(self, tenant: str, ref: str) -> GroupCard | None:
        """Give the live group that has this ``ref``."""
        return self._reads.group_of_ref(tenant, ref)

    def holdings(self, tenant: str, user: str) -> Holdings:
        """Give what a user owns and is in."""
        return self._reads.holdings(tenant, user)

    def membership(self, tenant: str, user: str, group: str) -> Membership | None:
        """Give one user's place in one group."""
        return self._reads.membership(tenant, user, group)

    def memberships(self, tenant: str, user: str, after: str, limit: int) -> Sequence[Membership]:
        """List a user's live groups, by group."""
        return self._reads.memberships(tenant, user, after, limit)

    def numbers(self, tenant: str, user: str, upto: Mapping[str, int]) -> Mapping[str, Numbers]:
        """Give what is new to a user in each of the groups."""
        return self._reads.numbers(tenant, user, upto)

    def members(self, tenant: str, group: str, after: str, limit: int) -> Sequence[MemberRow]:
        """List a group's members by user id."""
        return self._reads.members(tenant, group, after, limit)

    def acquainted(self, tenant: str, user: str, users: Sequence[str]) -> Sequence[MemberRow]:
        """Give those of ``users`` that share a live group with ``user``, or are that user."""
        return self._reads.acquainted(tenant, user, users)

    def profile(self, tenant: str, user: str) -> Profile | None:
        """Give a user's profile, or None for one who was never seen."""
        return self._reads.profile(tenant, user)

    def revoked_before_ms(self, tenant: str, user: str) -> int:
        """Give before which time a user's tokens are revoked; 0 for none."""
        return self._reads.revoked_before_ms(tenant, user)

    def shown(self, tenant: str, user: str) -> Sequence[GroupCard]:
        """List the groups on a user's profile, by group."""
        return self._reads.shown(tenant, user)

    def blockers(self, tenant: str, user: str, other: str) -> Sequence[str]:
        """Give which of two users have blocked the other, sorted."""
        return self._reads.blockers(tenant, user, other)

    def blocks(self, tenant: str, user: str, after: str, limit: int) -> Sequence[str]:
        """List whom a user has blocked, by user id."""
        return self._reads.blocks(tenant, user, after, limit)

    def messages(self, stream: StreamKey, seqs: Sequence[int]) -> Mapping[int, Card]:
        """Give the cards of those of the records that exist."""
        return self._reads.messages(stream, seqs)

    def reactions_of(
        self, stream: StreamKey, user: str, seqs: Sequence[int]
    ) -> Mapping[int, Mapping[str, int]]:
        """Give a user's reactions: message -> reaction -> seq of the event."""
        return self._reads.reactions_of(stream, user, seqs)

    def reactors(
        self, stream: StreamKey, message: int, reaction: str, after: str, limit: int
    ) -> Sequence[str]:
        """List who has reacted so to a message, by user id."""
        return self._reads.reactors(stream, message, reaction, after, limit)

    def replies(self, stream: StreamKey, message: int, after: int, limit: int) -> Sequence[Record]:
        """List the replies to a message, in order."""
        return self._reads.replies(stream, message, after, limit)

    def statistics(
        self, tenant: str, group: str, *, active_since_ms: int, from_ms: int, until_ms: int
    ) -> Statistics:
        """Count a group's members and its messages in a span of time."""
        return self._reads.statistics(
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
        return self._reads.search(
            tenant, query=query, category=category, near=near, after=after, limit=limit
        )

    def _holder_of(self, tenant: str, ref: str) -> str | None:
        return self._index.holder_of(tenant, ref)

    @property
    def ties(self) -> MemoryTies:
        """Give what ties groups to things of the host's."""
        self._check_open()
        return MemoryTies(self._index)

    def cursors(self, tenant: str, group: str) -> Mapping[str, int]:
        """Give the read cursors of a group."""
        self._check_open()
        stream = self._streams.get(StreamKey(GROUP, tenant, group))
        return dict(stream.cursors) if stream is not None else {}

    def dump_index(self) -> Iterator[tuple[object, ...]]:
        """Give the whole index as sorted plain rows."""
        self._check_open()
        return self._index.dump()

    @property
    def checks(self) -> MemoryChecks:
        """Give what only a check reads."""
        self._check_open()
        return MemoryChecks(self._index)

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
