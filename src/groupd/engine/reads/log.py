"""Reads of a group's log: pages of it, and single messages."""

from __future__ import annotations

from collections.abc import Sequence

from groupd.config import CONTENT
from groupd.domain.base import GROUP, Identity, Record, StreamKey
from groupd.domain.group.board import Announcements
from groupd.domain.queries import History, Sync
from groupd.engine.directory import Directory
from groupd.engine.listing import view_of
from groupd.engine.peer import Peer
from groupd.engine.reads.common import Result, forward, page, standing, upto
from groupd.storage.port import Store
from groupd.wire import codec
from groupd.wire.codec import Encoded


async def history(
    directory: Directory, caller: Identity, stream: StreamKey, query: History, peer: Peer | None
) -> Result:
    """Page a group's log."""
    published = directory.shared.outlets.published_or_none(stream)
    max_bytes = directory.shared.rules.limits.page_max_bytes

    def read(store: Store) -> bytes:
        place = standing(store, stream, caller)
        head = place.head if published is None else min(place.head, published)
        if query.after is not None:
            piece = forward(store, stream, place, query.after, query.limit, max_bytes)
            records, more = upto(piece, head)
        else:
            before = head + 1 if query.before is None else min(query.before, head + 1)
            piece = store.read_back(stream, before, query.limit, place.floor, max_bytes)
            records, more = piece.records, piece.more
        return page(records, view_of(place.role), head=head, floor=place.floor, more=more)

    return Encoded(await directory.shared.log.read(read))


async def sync(
    directory: Directory, caller: Identity, stream: StreamKey, query: Sync, peer: Peer | None
) -> Result:
    """Catch up many groups. Those that the caller is not in (any more) are left out."""
    streams = {group: StreamKey(GROUP, caller.tenant, group) for group in query.cursors}
    published = {
        group: directory.shared.outlets.published_or_none(key) for group, key in streams.items()
    }
    budget = min(
        query.limit_bytes or directory.shared.rules.limits.page_max_bytes,
        directory.shared.rules.limits.page_max_bytes,
    )

    def read(store: Store) -> bytes:
        pages, left = [], budget
        for group, cursor in query.cursors.items():
            key, known = streams[group], published[group]
            place = store.membership(caller.tenant, caller.user, group)
            if place is None:
                continue
            head = place.head if known is None else min(place.head, known)
            records: Sequence[Record] = ()
            more = cursor < head
            if left > 0 and more:
                limit = CONTENT.sync_page_max
                piece = forward(store, key, place, cursor, limit, left)
                records, more = upto(piece, head)
            shown = page(
                records, view_of(place.role), head=head, floor=place.floor, more=more, group=group
            )
            left -= len(shown)
            pages.append(shown)
        return codec.encode_map([("groups", codec.encode_array(pages))])

    return Encoded(await directory.shared.log.read(read))


async def announcements(
    directory: Directory,
    caller: Identity,
    stream: StreamKey,
    query: Announcements,
    peer: Peer | None,
) -> Result:
    """List the announcements that are kept."""
    seqs = (await directory.ask(stream, caller, query))["announcements"]
    records = await directory.shared.log.read(lambda store: store.pick(stream, sorted(seqs)))
    shown = [codec.event_map(record) for record in reversed(records)]
    return Encoded(codec.encode_map([("announcements", codec.encode_array(shown))]))
