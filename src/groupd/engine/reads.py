"""The requests that read committed state: one function for each, and ``READS`` names them.

A read asks the store once, for the caller's standing and for the data, so both are of one moment;
it goes no further than what is published, so nothing is seen twice. Events are spliced as they
are stored.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from groupd.config import CONTENT
from groupd.domain.base import GROUP, Audience, Identity, Query, Record, Role, StreamKey
from groupd.domain.group.board import Announcements
from groupd.domain.group.info import Info
from groupd.domain.group.links import OpenLink
from groupd.domain.group.state import not_a_member
from groupd.domain.projection import Membership
from groupd.domain.queries import AccountHistory, Groups, History, Members, Read, Sync, Users
from groupd.engine.directory import Directory
from groupd.engine.greeting import list_groups, view_of
from groupd.engine.peer import Peer, signal_frame
from groupd.errors import Rejected
from groupd.storage.port import AdvanceCursor, Slice, Store
from groupd.wire import codec
from groupd.wire.codec import Encoded

Result = Mapping[str, Any] | Encoded
Reader = Callable[[Directory, Identity, StreamKey, Any, Peer | None], Awaitable[Result]]


# --- a group's log


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
            piece = _forward(store, stream, place, query.after, query.limit, max_bytes)
            records, more = _upto(piece, head)
        else:
            before = head + 1 if query.before is None else min(query.before, head + 1)
            piece = store.read_back(stream, before, query.limit, place.floor, max_bytes)
            records, more = piece.records, piece.more
        return _page(records, view_of(place.role), head=head, floor=place.floor, more=more)

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
                piece = _forward(store, key, place, cursor, limit, left)
                records, more = _upto(piece, head)
            page = _page(
                records, view_of(place.role), head=head, floor=place.floor, more=more, group=group
            )
            left -= len(page)
            pages.append(page)
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


def standing(store: Store, stream: StreamKey, caller: Identity) -> Membership:
    """Give the caller's place in a group; raises ``forbidden``, or ``not_found`` to strangers."""
    place = store.membership(stream.tenant, caller.user, stream.key)
    if place is None:
        card = store.group(stream.tenant, stream.key)
        if card is None or not card.discoverable:
            raise Rejected("not_found", "no such group")
        raise not_a_member()
    return place


def _forward(
    store: Store,
    stream: StreamKey,
    place: Membership,
    after: int,
    limit: int,
    max_bytes: int,
) -> Slice:
    return store.read(stream, max(after, place.floor - 1), limit, max_bytes)


def _upto(piece: Slice, head: int) -> tuple[Sequence[Record], bool]:
    """Cut what is not published yet."""
    records = [record for record in piece.records if record.seq <= head]
    last = records[-1].seq if records else head
    return records, last < head and (piece.more or len(records) < len(piece.records))


def _page(
    records: Sequence[Record],
    view: Audience,
    *,
    head: int,
    floor: int,
    more: bool,
    group: str | None = None,
) -> bytes:
    entries = [] if group is None else [("group", codec.pack(group))]
    entries += [
        ("events", codec.encode_array([codec.shown_map(record, view) for record in records])),
        ("head", codec.pack(head)),
        ("floor", codec.pack(floor)),
        ("more", codec.pack(more)),
    ]
    return codec.encode_map(entries)


# --- a group's live state, completed with texts from its log


async def info(
    directory: Directory, caller: Identity, stream: StreamKey, query: Info, peer: Peer | None
) -> Result:
    """Show a group. The pinned messages and the announcement come with their text."""
    shown = await directory.ask(stream, caller, query)
    announcement, pins = shown.get("announcement"), shown.get("pins", ())
    seqs = {pin["seq"] for pin in pins}
    if announcement is not None:
        seqs.add(announcement["seq"])
    if seqs:
        records = await directory.shared.log.read(lambda store: store.pick(stream, sorted(seqs)))
        events = {record.seq: Encoded(codec.event_map(record)).decode() for record in records}
        for pin in pins:
            pin["event"] = events[pin["seq"]]
        if announcement is not None:
            announcement["text"] = events[announcement["seq"]].get("text", "")
    return shown


async def open_link(
    directory: Directory, caller: Identity, stream: StreamKey, query: OpenLink, peer: Peer | None
) -> Result:
    """Show what a link is for."""
    return await directory.ask(stream, caller, query)


# --- people


async def members(
    directory: Directory, caller: Identity, stream: StreamKey, query: Members, peer: Peer | None
) -> Result:
    """List a group's members."""

    def read(store: Store) -> Result:
        standing(store, stream, caller)
        rows = store.members(stream.tenant, stream.key, query.after, query.limit + 1)
        shown = rows[: query.limit]
        result: dict[str, Any] = {
            "members": [
                {
                    "user": row.user,
                    "name": row.name,
                    "role": Role(row.role).label,
                    "joined_ms": row.joined_ms,
                }
                for row in shown
            ]
        }
        if len(rows) > len(shown):
            result["next"] = shown[-1].user
        return result

    return await directory.shared.log.read(read)


async def users(
    directory: Directory, caller: Identity, stream: StreamKey, query: Users, peer: Peer | None
) -> Result:
    """Show those of some users that the caller shares a group with."""
    rows = await directory.shared.log.read(
        lambda store: store.acquainted(caller.tenant, caller.user, query.users)
    )
    return {"users": [{"user": row.user, "name": row.name, "picture": ""} for row in rows]}


# --- the caller's own


async def groups(
    directory: Directory, caller: Identity, stream: StreamKey, query: Groups, peer: Peer | None
) -> Result:
    """List the caller's groups."""
    places = await directory.shared.log.read(
        lambda store: store.memberships(caller.tenant, caller.user, query.after, query.limit + 1)
    )
    first = places[: query.limit]
    upto = {
        place.group: directory.shared.outlets.published(
            StreamKey(GROUP, caller.tenant, place.group), place.head
        )
        for place in first
    }
    page = await list_groups(directory.shared, caller, first, upto)
    entries = [("groups", page.groups)]
    following = page.next
    if following is None and len(places) > len(first):
        following = first[-1].group
    if following is not None:
        entries.append(("next", codec.pack(following)))
    return Encoded(codec.encode_map(entries))


async def account_history(
    directory: Directory,
    caller: Identity,
    stream: StreamKey,
    query: AccountHistory,
    peer: Peer | None,
) -> Result:
    """Page the caller's own log."""
    published = directory.shared.outlets.published_or_none(stream)

    def read(store: Store) -> bytes:
        end = store.head(stream)
        head = 0 if end is None else end.seq
        if published is not None:
            head = min(head, published)
        piece = store.read(
            stream, query.after, query.limit, directory.shared.rules.limits.page_max_bytes
        )
        records, more = _upto(piece, head)
        return codec.encode_map(
            [
                ("events", codec.encode_array([codec.event_map(record) for record in records])),
                ("head", codec.pack(head)),
                ("more", codec.pack(more)),
            ]
        )

    return Encoded(await directory.shared.log.read(read))


async def read(
    directory: Directory, caller: Identity, stream: StreamKey, query: Read, peer: Peer | None
) -> Result:
    """Move the caller's cursor, and tell their other sessions."""
    published = directory.shared.outlets.published_or_none(stream)

    def place_now(store: Store) -> int:
        place = standing(store, stream, caller)
        return place.head if published is None else min(place.head, published)

    head = await directory.shared.log.read(place_now)
    if query.seq > head:
        raise Rejected("not_found", f"no event {query.seq} yet; the head is {head}")
    await directory.shared.log.write(AdvanceCursor(stream, caller.user, query.seq))
    numbers = await directory.shared.log.read(
        lambda store: store.numbers(stream.tenant, caller.user, {stream.key: head})
    )
    number = numbers.get(stream.key)
    if number is None:
        raise not_a_member()
    frame = signal_frame(group=stream.key, user=caller.user, kind="read", seq=number.read)
    for other in directory.shared.outlets.roster.peers((caller.tenant, caller.user)):
        if other is not peer:
            other.push(stream, frame)
    return {"read": number.read, "unread": number.unread, "mentions": number.mentions}


READS: Final[Mapping[type[Query], Reader]] = MappingProxyType(
    {
        History: history,
        Sync: sync,
        Announcements: announcements,
        Info: info,
        OpenLink: open_link,
        Members: members,
        Users: users,
        Groups: groups,
        AccountHistory: account_history,
        Read: read,
    }
)
"""Query -> who serves it. Those of the session (``hello``, ``ping``) are the server's."""
