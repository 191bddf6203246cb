"""The port between the engine and whatever keeps its records.

A ``Store`` is synchronous and knows no task and no thread: it commits one *round* (all writes that
were waiting) in one transaction, and answers reads between rounds. ``storage/log.py`` puts an
async front on it, with a writer thread for real files and without one for memory and simulation.
So the logic of a round can be driven step by step by a test.

Records are opaque here except for the columns that reads need, and for ``page``, which splices
the stored bytes to events as ``wire/codec.py`` says. The index (memberships, cards,
mentions, cursors) is written in the same transaction as the records it is made from.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol, TypeAlias

import attrs

from groupd.domain.base import Audience, Card, Record, StreamKey
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
from groupd.errors import LogError
from groupd.storage.audit_port import Audits
from groupd.storage.copy_port import Copy
from groupd.storage.findings import Checks
from groupd.storage.ties import Ties
from groupd.storage.writes import AdvanceCursor as AdvanceCursor
from groupd.storage.writes import Append as Append
from groupd.storage.writes import AppendAll as AppendAll
from groupd.storage.writes import DropPosition as DropPosition
from groupd.storage.writes import PutPosition as PutPosition
from groupd.storage.writes import PutSnapshot as PutSnapshot
from groupd.storage.writes import Register as Register
from groupd.storage.writes import Write as Write

FORMAT = 4
"""The number of the stored format. A store of a higher one is refused; one of format 1 is opened
with new, empty index tables, and ``index_is_stale`` until they have been rebuilt.

1: memberships, cards, mentions. 2: profiles, preferences, blocks, requests, reactions, replies,
edits, recalls, search by name and by place. 3: revocations. 4: the audit, ties."""


Outcome: TypeAlias = LogError | None
"""None: done and durable. LogConflict or LogUnavailable: nothing of this write was done."""


@attrs.frozen
class Head:
    """Where a stream's log ends."""

    seq: int
    n: int
    time_ms: int
    chain: bytes
    deadline_ms: int | None


@attrs.frozen
class Snapshot:
    """A stored state."""

    seq: int
    version: int
    state: bytes


@attrs.frozen
class Slice:
    """A piece of a stream's log. ``more`` says that the direction asked for has further records."""

    records: Sequence[Record]
    more: bool


@attrs.frozen
class Page:
    """Events as a reader sees them, each encoded, in rising order.

    ``more`` says that the range asked for has further ones.
    """

    events: Sequence[bytes]
    more: bool


@attrs.frozen
class Followed:
    """A record with its place in the store's global order."""

    position: int
    stream: StreamKey
    record: Record


class Store(Protocol):
    """Keeps streams of records, their index, and a few registers.

    Any method may raise LogCorrupt or LogBroken. ``commit`` reports what befell each write and
    raises LogBroken only when the outcome of the round is unknown. After one LogBroken every
    method but ``close`` raises it; after ``close`` every other one raises LogUnavailable.
    """

    id: str
    """Made with the store; another one after a restore from backup."""
    index_is_stale: bool
    """True where the index must be rebuilt before anything is read from it or appended."""

    @property
    def audit(self) -> Audits:
        """Give what has been changed with keys."""
        ...

    def commit(self, writes: Sequence[Write]) -> Sequence[Outcome]:
        """Make a round of writes durable, in order, in one transaction.

        Conflicts (a head that is not ``after_seq``, a founding of a stream that exists, a ``ref``
        that another live group of the tenant has) are tested before anything of that write is
        written, against the state that the earlier writes of the round leave. A failed write
        fails alone.
        """
        ...

    def close(self) -> None:
        """Checkpoint and let go of the files. Closing twice is not an error."""
        ...

    def checkpoint(self) -> None:
        """Move what is in a write-ahead log to its final place, and wipe the rest.

        After it no file holds what was erased. Raises LogUnavailable where the disk is full.
        """
        ...

    def begin_copy(self, path: Path) -> Copy:
        """Begin a copy of the whole store in a new file at ``path``.

        What is committed while it is made is in it, too. Raises LogUnavailable where there is
        nothing that could be copied, or no place for it.
        """
        ...

    # --- streams

    def head(self, stream: StreamKey) -> Head | None:
        """Give the end of a stream, or None where it does not exist."""
        ...

    def read(
        self, stream: StreamKey, after: int, limit: int, max_bytes: int | None = None
    ) -> Slice:
        """Give up to ``limit`` records with ``seq > after``, in order.

        With ``max_bytes`` (of headers and bodies), as many as fit, and at least one.
        """
        ...

    def read_back(
        self, stream: StreamKey, before: int, limit: int, floor: int, max_bytes: int | None = None
    ) -> Slice:
        """Give up to ``limit`` records with ``floor <= seq < before``, the newest.

        They are in rising order.
        """
        ...

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
        """Give up to ``limit`` events with ``low <= seq <= high``, the first or the newest ones.

        As many as fit into ``max_bytes`` (of headers and bodies), and at least one. Each is what
        ``codec.shown_map`` gives of its record and ``view``, but no record is built for it.
        """
        ...

    def pick(self, stream: StreamKey, seqs: Sequence[int]) -> Sequence[Record]:
        """Give those of the records that exist, in rising order."""
        ...

    def streams(self, after: StreamKey | None, limit: int) -> Sequence[StreamKey]:
        """List the streams in the order of their keys."""
        ...

    def snapshot(self, stream: StreamKey) -> Snapshot | None:
        """Give the newest stored state."""
        ...

    # --- deadlines and the global order

    def due(self, until_ms: int, limit: int) -> Sequence[StreamKey]:
        """List streams whose deadline is at or before ``until_ms``, the earliest first."""
        ...

    def next_deadline_ms(self) -> int | None:
        """Give the earliest deadline of all."""
        ...

    def position(self, name: str) -> int:
        """Give how far a reactor has come; 0 for a new one."""
        ...

    def positions(self, prefix: str) -> Sequence[tuple[str, int]]:
        """List the reactors whose names begin so, by name, each with how far it has come."""
        ...

    def last_position(self) -> int:
        """Give the place of the newest record in the global order; 0 where there is none."""
        ...

    def followed(self, after: int, limit: int) -> Sequence[Followed]:
        """List records with ``followed`` set, of all streams, in the global order."""
        ...

    def changes(self, after: int, limit: int) -> Sequence[Followed]:
        """List all records of all streams, in the global order."""
        ...

    # --- the index

    def group(self, tenant: str, group: str) -> GroupCard | None:
        """Give a group's card."""
        ...

    def group_of_ref(self, tenant: str, ref: str) -> GroupCard | None:
        """Give the live group that has this ``ref``."""
        ...

    def holdings(self, tenant: str, user: str) -> Holdings:
        """Give what a user owns and is in; see ``Holdings``."""
        ...

    def membership(self, tenant: str, user: str, group: str) -> Membership | None:
        """Give one user's place in one group."""
        ...

    def memberships(self, tenant: str, user: str, after: str, limit: int) -> Sequence[Membership]:
        """List a user's groups that are not dissolved, by group, those ``> after``."""
        ...

    def numbers(self, tenant: str, user: str, upto: Mapping[str, int]) -> Mapping[str, Numbers]:
        """Give the numbers for each group in ``upto`` (group -> head) that the user is in.

        unread = n(head) - n(read) - messages after ``read`` that were recalled, where ``n`` is
        the count in the records (DESIGN section 3.10) and read = max(joined_seq, cursor, own last
        message); mentions are those after the same point, not by the user. Only what is at or
        before the head given counts: a point beyond it is taken as that head.
        """
        ...

    def members(self, tenant: str, group: str, after: str, limit: int) -> Sequence[MemberRow]:
        """List a group's members by user id, those ``> after``."""
        ...

    def acquainted(self, tenant: str, user: str, users: Sequence[str]) -> Sequence[MemberRow]:
        """Give those of ``users`` that share a live group with ``user``, or are that user.

        Name and picture are the profile's; a user without one has the name from their latest
        joining of a group that both are in. All else is empty. By user id.
        """
        ...

    def profile(self, tenant: str, user: str) -> Profile | None:
        """Give a user's profile, or None for one who was never seen."""
        ...

    def revoked_before_ms(self, tenant: str, user: str) -> int:
        """Give before which time a user's tokens are revoked; 0 for none."""
        ...

    def shown(self, tenant: str, user: str) -> Sequence[GroupCard]:
        """List the groups on a user's profile, by group.

        Those that they show, are in, and that are live and discoverable.
        """
        ...

    def blockers(self, tenant: str, user: str, other: str) -> Sequence[str]:
        """Give which of two users have blocked the other, sorted."""
        ...

    def blocks(self, tenant: str, user: str, after: str, limit: int) -> Sequence[str]:
        """List whom a user has blocked, by user id, those ``> after``."""
        ...

    def messages(self, stream: StreamKey, seqs: Sequence[int]) -> Mapping[int, Card]:
        """Give the cards of those of the records that exist, with reactions and replies."""
        ...

    def reactions_of(
        self, stream: StreamKey, user: str, seqs: Sequence[int]
    ) -> Mapping[int, Mapping[str, int]]:
        """Give a user's reactions: message -> reaction -> seq of the event. Without empty ones."""
        ...

    def reactors(
        self, stream: StreamKey, message: int, reaction: str, after: str, limit: int
    ) -> Sequence[str]:
        """List who has reacted so to a message, by user id, those ``> after``."""
        ...

    def replies(self, stream: StreamKey, message: int, after: int, limit: int) -> Sequence[Record]:
        """List the replies to a message, those with ``seq > after``, in order."""
        ...

    def statistics(
        self, tenant: str, group: str, *, active_since_ms: int, from_ms: int, until_ms: int
    ) -> Statistics:
        """Count a group's members and its messages with from_ms <= time_ms < until_ms."""
        ...

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
        """Find live, discoverable groups: by words of their name, category, and place.

        An empty ``query`` or ``category`` asks for nothing; see ``storage/words.py`` for what a
        query matches (one without any word or sign: nothing). Without ``near``, names that equal
        the query come first, then the rest, each by the time of founding, the latest first; with
        it, only groups with a place in the circle, the nearest first; behind some thousands that
        are nearer a store may give nothing more. ``after`` is the last one of the page before (of
        which ``number`` and ``distance_m`` count, and whether its name equals the query); what
        has changed meanwhile is neither doubled nor missed unless it moved itself.
        """
        ...

    @property
    def ties(self) -> Ties:
        """Give what reads what of the host's groups are tied to."""
        ...

    def cursors(self, tenant: str, group: str) -> Mapping[str, int]:
        """Give the read cursors of a group, for export and for tests."""
        ...

    def dump_index(self) -> Iterator[tuple[object, ...]]:
        """Give the whole index as plain rows, to compare two of them. Cursors are not in it.

        Each row begins with the name of its kind and the tenant; all rows of a kind come sorted,
        the kinds in a fixed order: ``card``, ``member``, ``request``, ``mention``, ``spoke``,
        ``reply``, ``edit``, ``recall``, ``reaction``, ``tie``, ``profile``, ``chat``, ``block``,
        ``revocation``, ``word`` (what search by name finds), ``place``.
        """
        ...

    @property
    def checks(self) -> Checks:
        """Give what only a check reads."""
        ...

    def rebuild_index(self, project: Callable[[StreamKey, Record], Sequence[Change]]) -> int:
        """Throw the index away and make it again from all records; gives how many were read."""
        ...
