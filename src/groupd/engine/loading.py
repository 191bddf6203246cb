"""A stream comes into memory: its newest snapshot, the records after it, what was not published."""

from __future__ import annotations

from typing import Final

import structlog

from groupd.domain.base import Record, StreamKey
from groupd.domain.catalog import AGGREGATES, EVENTS
from groupd.engine.batch import publication_of
from groupd.engine.ledger import Ledger
from groupd.engine.outlet import Outlet
from groupd.errors import LogCorrupt
from groupd.storage.log import Log
from groupd.storage.port import Head, Slice
from groupd.wire import codec

log = structlog.get_logger()

LOAD_PAGE: Final = 2_000
"""Records read at once when a stream is loaded."""
VERIFIED_MAX: Final = 64
"""The newest records of a stream whose hashes are compared when it is loaded. Comparing one costs
about a fifth of loading it, so all of them is for ``groupd check``."""
NO_HEAD: Final = Head(0, 0, 0, codec.GENESIS, None)
"""Of a stream that does not exist yet."""


async def load(store: Log, stream: StreamKey, *, cards_max: int) -> tuple[Ledger, int]:
    """Rebuild a ledger from snapshot and log; gives with it the seq of the snapshot, or 0.

    A snapshot of another version, or one that makes no sense, is passed over. Of what comes after
    it, the newest records are held against their hashes, and all against the head of the stream.

    Raises LogUnavailable, LogBroken, and LogCorrupt or anything else for bytes that make no sense.
    """
    state_class = AGGREGATES[stream.kind].state
    ledger = Ledger.empty(stream)
    snapshot = await store.read(lambda store: store.snapshot(stream))
    if snapshot is not None and snapshot.version == state_class.version:
        last = (await read_after(store, stream, snapshot.seq - 1, 1)).records
        try:
            ledger.state = state_class.load(codec.unpack(snapshot.state))
            ledger.chain = last[0].chain
        except Exception:
            log.exception("snapshot_unreadable", stream=tuple(stream))
            ledger = Ledger.empty(stream)
    snapshot_seq = ledger.state.seq
    more = True
    while more:
        piece, head = await _read_with_head(store, stream, ledger.state.seq)
        for record in piece.records:
            if record.seq != ledger.state.seq + 1:
                raise LogCorrupt(f"the records after {ledger.state.seq} are missing")
            if record.seq > head.seq - VERIFIED_MAX:
                _verify(record, ledger.chain)
            ledger.replay(record)
        more = piece.more
        if more and not piece.records:
            raise LogCorrupt(f"the records after {ledger.state.seq} are missing")
        ledger.trim(cards_max)
    if (head.seq, head.chain) != (ledger.state.seq, ledger.chain):
        raise LogCorrupt("the head is not that of the newest record")
    return ledger, snapshot_seq


async def publish_missed(store: Log, outlet: Outlet, head: int, *, at_once: int) -> None:
    """Publish what is in the log and was not published, after a failure between the two.

    Reads ``at_once`` records at a time. Raises as ``load`` does.
    """
    stream, kinds = outlet.stream, EVENTS[outlet.stream.kind]
    while outlet.accepted_seq < head:
        after = outlet.accepted_seq
        records = (await read_after(store, stream, after, at_once)).records
        if outlet.accepted_seq == after:
            events = [codec.decode_event(kinds, record) for record in records]
            outlet.publish(publication_of(stream, records, events))


def _verify(record: Record, previous: bytes) -> None:
    """Raise LogCorrupt where a record is not what was written behind ``previous``."""
    if not codec.has_its_body(record):
        raise LogCorrupt(f"record {record.seq}: its body is not what was written")
    if not codec.continues(record, previous):
        raise LogCorrupt(f"record {record.seq}: it does not continue the chain")


async def _read_with_head(store: Log, stream: StreamKey, after: int) -> tuple[Slice, Head]:
    """Read records after a seq and, of the same moment, where the stream ends."""
    piece, head = await store.read(
        lambda store: (store.read(stream, after, LOAD_PAGE), store.head(stream))
    )
    return piece, head or NO_HEAD


async def read_after(store: Log, stream: StreamKey, after: int, limit: int) -> Slice:
    """Read records after a seq."""
    return await store.read(lambda store: store.read(stream, after, limit))
