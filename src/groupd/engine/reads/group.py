"""Reads of a group's live state, completed with texts from its log and counts of its index."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from groupd.config import CONTENT
from groupd.domain.base import Identity, Record, StreamKey
from groupd.domain.group.info import Info
from groupd.domain.group.links import OpenLink
from groupd.domain.projection import Statistics
from groupd.engine.directory import Directory
from groupd.engine.peer import Peer
from groupd.engine.reads.common import Result
from groupd.engine.shared import Shared
from groupd.engine.statistics import shown_statistics, yesterday
from groupd.storage.port import Store
from groupd.wire import codec
from groupd.wire.codec import Encoded


async def info(
    directory: Directory, caller: Identity, stream: StreamKey, query: Info, peer: Peer | None
) -> Result:
    """Show a group. The pinned messages and the announcement come with their text."""
    shown = await directory.ask(stream, caller, query)
    published = directory.shared.outlets.settled_seq(stream)
    if published is not None and "head" in shown:
        # Where publishing is detached, the state is ahead of what this session was sent.
        shown["head"] = min(shown["head"], published)
    announcement, pins = shown.get("announcement"), shown.get("pins", ())
    seqs = {pin["seq"] for pin in pins}
    if announcement is not None:
        seqs.add(announcement["seq"])
    if seqs:

        def read(store: Store) -> tuple[Sequence[Record], dict[int, int]]:
            cards = store.messages(stream, sorted(seqs))
            newest = {seq: card.edits[-1] for seq, card in cards.items() if card.edits}
            return store.pick(stream, sorted(seqs.union(newest.values()))), newest

        records, newest = await directory.shared.log.read(read)
        events = {record.seq: Encoded(codec.event_map(record)).decode() for record in records}
        for pin in pins:
            pin["event"] = events[pin["seq"]]
            if pin["seq"] in newest:
                pin["edited"] = events[newest[pin["seq"]]]
        if announcement is not None:
            announcement["text"] = events[announcement["seq"]].get("text", "")
    if "stats" in shown:
        shown["stats"] |= await _statistics(directory.shared, stream, shown["stats"])
    return shown


async def _statistics(
    shared: Shared, stream: StreamKey, stats: Mapping[str, Any]
) -> Mapping[str, Any]:
    """Count what the live state does not know of the group."""
    now_ms = shared.ports.clock.now_ms()
    day = yesterday(now_ms, stats["time_zone"])

    async def count() -> Statistics:
        return await shared.log.read(
            lambda store: store.statistics(
                stream.tenant,
                stream.key,
                active_since_ms=now_ms - CONTENT.active_within_ms,
                from_ms=day.from_ms,
                until_ms=day.until_ms,
            )
        )

    is_large = stats["members"] > shared.rules.limits.statistics_exact_max
    counted = await (shared.statistics.get(stream, count) if is_large else count())
    return shown_statistics(counted, day.year)


async def open_link(
    directory: Directory, caller: Identity, stream: StreamKey, query: OpenLink, peer: Peer | None
) -> Result:
    """Show what a link is for."""
    return await directory.ask(stream, caller, query)
