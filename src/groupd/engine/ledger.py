"""One stream in memory: its state, the end of its hash chain, and how events become records."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Final, TypeVar

import attrs
import msgpack

from groupd.config import Limits
from groupd.domain.base import Event, Fetched, Needs, Person, Receipt, Record, StreamKey
from groupd.domain.catalog import AGGREGATES, EVENTS
from groupd.domain.projection import Change, Spoke
from groupd.domain.stream import Stream
from groupd.storage.port import PutSnapshot, Store
from groupd.wire import codec

T = TypeVar("T")

REPLAY_PAGE: Final = 2_000
"""Records that are read at once."""


@attrs.define
class Ledger:
    """The state of a stream and what is needed to go on writing it.

    ``fetched`` knows recent and fetched messages; ``take`` keeps that true, so that two commands of
    one batch see each other. It is a cache, outside the state hash.
    """

    stream: StreamKey
    state: Stream
    chain: bytes = codec.GENESIS
    fetched: Fetched = attrs.field(factory=Fetched)
    _writer: codec.RecordWriter = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._writer = codec.writer_of(self.stream)

    @classmethod
    def empty(cls, stream: StreamKey) -> Ledger:
        """Give the ledger of a stream that has no record yet."""
        return cls(stream, AGGREGATES[stream.kind].state())

    def write(
        self,
        event: Event,
        user: str,
        request_id: str,
        request_hash: bytes,
        salt: bytes,
        *,
        now_ms: int,
        limits: Limits,
    ) -> tuple[Record, Receipt]:
        """Make the record of an event, and apply it. ``now_ms`` never falls within a stream."""
        state = self.state
        time_ms = now_ms if now_ms > state.time_ms else state.time_ms
        n = state.n + 1 if event.countable else state.n
        forget = state.memory.overdue(time_ms, limits)
        seq, previous = state.seq + 1, self.chain
        record = self._writer.write(
            event, seq, time_ms, user, request_id, n, forget, salt, request_hash, previous
        )
        self.chain = record.chain
        receipt = state.apply(record, event)
        if event.countable:
            self.fetched.recent[seq] = (user, time_ms, event.kind)
        if event.touches:
            event.touch(self.fetched, record)
        return record, receipt

    def replay(self, record: Record) -> None:
        """Apply a stored record."""
        event = codec.decode_event(EVENTS[self.stream.kind], record)
        self.chain = record.chain
        self.state.apply(record, event)
        if event.countable:
            self.fetched.recent[record.seq] = (record.user, record.time_ms, record.kind)
        if event.touches:
            event.touch(self.fetched, record)

    def missing(self, needs: Sequence[Needs]) -> Needs:
        """Give what has to be fetched before these can be decided.

        Cards and reactions are kept true, so what is known of them is not fetched again; all else
        is of other streams and may have changed.
        """
        head, fetched = self.state.seq, self.fetched
        messages = {seq for need in needs for seq in need.messages if seq <= head}
        reactions = {pair for need in needs for pair in need.reactions if pair[0] <= head}
        return Needs(
            messages=tuple(sorted(messages - fetched.messages.keys() - fetched.recent.keys())),
            reactions=tuple(sorted(reactions - fetched.reactions.keys())),
            groups=_distinct(need.groups for need in needs),
            refs=_distinct(need.refs for need in needs),
            users=_distinct(need.users for need in needs),
            memberships=_distinct(need.memberships for need in needs),
            blocks=_distinct(need.blocks for need in needs),
            ties=_distinct(need.ties for need in needs),
        )

    def fetch(self, store: Store, needs: Needs) -> None:
        """Read what ``missing`` has named. Runs where the store runs: between two rounds."""
        fetched, stream, tenant = self.fetched, self.stream, self.stream.tenant
        fetched.messages |= store.messages(stream, needs.messages)
        for user in {user for _seq, user in needs.reactions}:
            seqs = [seq for seq, other in needs.reactions if other == user]
            known = store.reactions_of(stream, user, seqs)
            fetched.reactions |= {(seq, user): dict(known.get(seq, {})) for seq in seqs}
        fetched.groups = {group: store.group(tenant, group) for group in needs.groups}
        fetched.refs = {ref: store.group_of_ref(tenant, ref) for ref in needs.refs}
        fetched.users = {
            user: Person(store.profile(tenant, user), store.holdings(tenant, user))
            for user in needs.users
        }
        fetched.memberships = {
            (group, user): store.membership(tenant, user, group)
            for group, user in needs.memberships
        }
        fetched.blocks = {pair: store.blockers(tenant, *pair) for pair in needs.blocks}
        fetched.ties = {pair: store.ties.get(stream, *pair) for pair in needs.ties}

    def trim(self, cards_max: int) -> None:
        """Drop the oldest of what is known of messages, over the bound, between batches."""
        fetched = self.fetched
        cards, reactions, recent = fetched.messages, fetched.reactions, fetched.recent
        if len(recent) > cards_max:
            # It is in the order of the seqs.
            kept = islice(recent.items(), len(recent) - cards_max // 2, None)
            fetched.recent = dict(kept)
        if len(cards) > cards_max:
            for seq in sorted(cards)[: len(cards) - cards_max // 2]:
                del cards[seq]
        if len(reactions) > cards_max:
            for pair in sorted(reactions)[: len(reactions) - cards_max // 2]:
                del reactions[pair]


def _distinct(needed: Iterable[Sequence[T]]) -> tuple[T, ...]:
    return tuple(dict.fromkeys(item for items in needed for item in items))


def project(stream: StreamKey, record: Record) -> Sequence[Change]:
    """Say what a stored record changes in the index; for rebuilding it."""
    event = codec.decode_event(EVENTS[stream.kind], record)
    changes = event.project(record)
    return [*changes, Spoke(record.user, record.seq)] if event.countable else changes


def snapshot_of(store: Store, stream: StreamKey) -> PutSnapshot:
    """Give the snapshot of a stream by all of its records; raises anything for senseless ones."""
    ledger, more = Ledger.empty(stream), True
    while more:
        piece = store.read(stream, ledger.state.seq, REPLAY_PAGE)
        for record in piece.records:
            ledger.replay(record)
        more = piece.more
        ledger.trim(0)
    state = ledger.state
    return PutSnapshot(stream, state.seq, state.version, msgpack.packb(state.dump()))
