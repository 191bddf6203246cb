"""What the store holds in the end, and whether each stream's states agree, for the checker."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from groupd.domain.base import Record, StreamKey
from groupd.engine.hub import Hub
from groupd.engine.ledger import Ledger
from groupd.engine.loading import load
from groupd.storage.log import Log
from groupd.storage.port import Store
from groupd.storage.verify import check_slice
from groupd.testing.history import History
from groupd.wire import codec

PAGE: Final = 500
STREAMS_MAX: Final = 10_000
"""In one run; the rest would not be looked at, so more of them are refused."""


async def dump(hub: Hub, log: Log, history: History, *, cards_max: int) -> list[str]:
    """Write down all logs and states; gives what is wrong with the files themselves."""
    problems: list[str] = []
    streams = await log.read(lambda store: store.streams(None, STREAMS_MAX + 1))
    assert len(streams) <= STREAMS_MAX, "more streams than a run is meant to have"
    for stream in streams:
        records = await log.read(lambda store, stream=stream: list(_records(store, stream)))  # type: ignore[misc]
        history.note("store", "log", stream=list(stream), records=_plain(records))
        replayed = Ledger.empty(stream)
        for record in records:
            replayed.replay(record)
        loaded, _seq = await load(log, stream, cards_max=cards_max)
        state: dict[str, Any] = {
            "stream": list(stream),
            "replayed": replayed.state.hash().hex(),
            "from_snapshot": loaded.state.hash().hex(),
        }
        live = hub.state_of(stream)
        if live is not None and live.seq == replayed.state.seq:
            state["live"] = live.hash().hex()
        history.note("store", "state", **state)
        found, _place = await log.read(
            lambda store, stream=stream: check_slice(store, stream, limit=1_000_000)  # type: ignore[misc]
        )
        problems += [str(problem) for problem in found]
    return problems


def _records(store: Store, stream: StreamKey) -> Iterator[Record]:
    after, more = 0, True
    while more:
        piece = store.read(stream, after, PAGE)
        yield from piece.records
        more = piece.more
        if piece.records:
            after = piece.records[-1].seq


def _plain(records: list[Record]) -> list[dict[str, Any]]:
    return [
        {
            "seq": record.seq,
            "time_ms": record.time_ms,
            "user": record.user,
            "kind": record.kind,
            "id": record.request_id,
            "n": record.n,
            "body": None if record.body is None else codec.decode_entries(record.body),
        }
        for record in records
    ]
