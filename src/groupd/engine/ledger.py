"""One stream in memory: its state, the end of its hash chain, and how events become records."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from groupd.config import Limits
from groupd.domain.base import GROUP, Card, Event, Fetched, Needs, Record, StreamKey
from groupd.domain.catalog import AGGREGATES, EVENTS
from groupd.domain.projection import Change
from groupd.domain.stream import Stream
from groupd.wire import codec


@attrs.define
class Ledger:
    """The state of a stream and what is needed to go on writing it.

    ``fetched.messages`` holds cards of recent and of fetched messages; ``take`` keeps it true, so
    that two commands of one batch see each other. It is a cache, outside the state hash.
    """

    stream: StreamKey
    state: Stream
    chain: bytes = codec.GENESIS
    fetched: Fetched = attrs.field(factory=Fetched)
    _header: codec.HeaderCodec = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._header = codec.HeaderCodec(self.stream)

    @classmethod
    def empty(cls, stream: StreamKey) -> Ledger:
        """Give the ledger of a stream that has no record yet."""
        return cls(stream, AGGREGATES[stream.kind].state())

    def write(
        self,
        event: Event,
        *,
        user: str,
        request_id: str,
        request_hash: bytes,
        salt: bytes,
        now_ms: int,
        limits: Limits,
    ) -> Record:
        """Make the record of an event, and apply it. ``now_ms`` never falls within a stream."""
        state = self.state
        seq = state.seq + 1
        time_ms = max(now_ms, state.time_ms)
        n = state.n + 1 if event.countable else state.n
        forget = state.memory.overdue(time_ms, limits)
        header = self._header.encode(seq, time_ms, user, event.kind, request_id)
        body = codec.encode_body(event)
        inner = codec.inner_hash(salt, request_hash, body)
        self.chain = codec.chain_hash(
            self.chain, header, audience=event.audience, n=n, forget=forget, inner=inner
        )
        # By position, in the order of the fields: names cost twice as much here.
        record = Record(
            seq,
            time_ms,
            event.kind,
            user,
            request_id,
            event.audience,
            n,
            forget,
            event.followed,
            header,
            salt,
            request_hash,
            body,
            inner,
            self.chain,
        )
        self._take(record, event)
        return record

    def replay(self, record: Record) -> None:
        """Apply a stored record."""
        self.chain = record.chain
        self._take(record, codec.decode_event(EVENTS[self.stream.kind], record))

    def _take(self, record: Record, event: Event) -> None:
        self.state.apply(record, event)
        if event.countable:
            self.fetched.messages[record.seq] = Card(record.user, record.time_ms, record.kind)

    def missing(self, needs: Sequence[Needs]) -> Needs:
        """Give what has to be fetched before these can be decided."""
        head, known = self.state.seq, self.fetched.messages
        messages = {seq for need in needs for seq in need.messages if seq <= head} - known.keys()
        return Needs(
            messages=tuple(sorted(messages)),
            groups=tuple(dict.fromkeys(group for need in needs for group in need.groups)),
            refs=tuple(dict.fromkeys(ref for need in needs for ref in need.refs)),
        )

    def learn(self, records: Sequence[Record]) -> None:
        """Keep the cards of messages that were fetched."""
        for record in records:
            self.fetched.messages[record.seq] = Card(
                record.user, record.time_ms, record.kind, recalled=record.body is None
            )

    def trim(self, cards_max: int) -> None:
        """Drop the oldest cards over the bound, between batches."""
        cards = self.fetched.messages
        if len(cards) > cards_max:
            for seq in sorted(cards)[: len(cards) - cards_max // 2]:
                del cards[seq]


def project(stream: StreamKey, record: Record) -> Sequence[Change]:
    """Say what a stored record changes in the index; for rebuilding it."""
    if stream.kind != GROUP:
        return ()
    return codec.decode_event(EVENTS[stream.kind], record).project(record)
