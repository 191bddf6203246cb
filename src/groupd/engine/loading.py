"""A stream comes into memory: its newest snapshot, and the records after it."""

from __future__ import annotations

from typing import Final

import structlog

from groupd.domain.base import StreamKey
from groupd.domain.catalog import AGGREGATES
from groupd.engine.ledger import Ledger
from groupd.storage.log import Log
from groupd.storage.port import Slice
from groupd.wire import codec

log = structlog.get_logger()

LOAD_PAGE: Final = 2_000
"""Records read at once when a stream is loaded."""


async def load(store: Log, stream: StreamKey, *, cards_max: int) -> tuple[Ledger, int]:
    """Rebuild a ledger from snapshot and log; gives with it the seq of the snapshot, or 0.

    A snapshot of another version, or one that makes no sense, is passed over. Raises
    LogUnavailable, LogBroken, and LogCorrupt or anything else for bytes that make no sense.
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
        piece = await read_after(store, stream, ledger.state.seq, LOAD_PAGE)
        for record in piece.records:
            ledger.replay(record)
        more = piece.more
        ledger.trim(cards_max)
    return ledger, snapshot_seq


async def read_after(store: Log, stream: StreamKey, after: int, limit: int) -> Slice:
    """Read records after a seq."""
    return await store.read(lambda store: store.read(stream, after, limit))
