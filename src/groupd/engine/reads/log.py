"""Reads of a group's log: pages of it, and single messages."""

from __future__ import annotations

from groupd.config import CONTENT
from groupd.domain.base import GROUP, Identity, StreamKey
from groupd.domain.group.board import Announcements
from groupd.domain.queries import History, Sync
from groupd.engine.directory import Directory
from groupd.engine.listing import view_of
from groupd.engine.peer import Peer
from groupd.engine.reads.common import Result, page_of, standing
from groupd.storage.port import Page, Store
from groupd.wire import codec
from groupd.wire.codec import Encoded


async def history(
    directory: Directory, caller: Identity, stream: StreamKey, query: History, peer: Peer | None
) -> Result:
    """Page a group's log."""
    published = directory.shared.outlets.settled_seq(stream)
    max_bytes = directory.shared.rules.limits.page_max_bytes

    def read(store: Store) -> bytes:
        place = standing(store, stream, caller)
        head = place.head if published is None else min(place.head, published)
        low, high = place.floor, head
        if query.after is not None:
            low = max(low, query.after + 1)
        elif query.before is not None:
            high = min(high, query.before - 1)
        page = store.page(
            stream,
            low=low,
            high=high,
            newest=query.after is None,
            limit=query.limit,
            max_bytes=max_bytes,
            view=view_of(place.role),
        )
        return page_of(page, head=head, floor=place.floor)

    return Encoded(await directory.shared.log.read(read))


async def sync(
    directory: Directory, caller: Identity, stream: StreamKey, query: Sync, peer: Peer | None
) -> Result:
    """Catch up many groups. Those that the caller is not in (any more) are left out."""
    streams = {group: StreamKey(GROUP, caller.tenant, group) for group in query.cursors}
    published = {group: directory.shared.outlets.settled_seq(key) for group, key in streams.items()}
    quarantine = directory.shared.quarantine
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
            if key in quarantine:
                # Up to date, as far as anybody can tell: only what asks for more is refused.
                head = min(cursor, head)
            page = Page((), more=cursor < head)
            if left > 0 and page.more:
                page = store.page(
                    key,
                    low=max(place.floor, cursor + 1),
                    high=head,
                    newest=False,
                    limit=CONTENT.sync_page_max,
                    max_bytes=left,
                    view=view_of(place.role),
                )
            shown = page_of(page, head=head, floor=place.floor, group=group)
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
