"""Reads of the caller's own: their groups, their chats, their log, how far they have read."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final, NamedTuple

from groupd.domain.account.chats import MarkUnread
from groupd.domain.base import GROUP, SERVER, Audience, Identity, StreamKey
from groupd.domain.fields import INT_MAX, refuse
from groupd.domain.group.state import not_a_member
from groupd.domain.projection import Membership, Numbers
from groupd.domain.queries import AccountHistory, Chats, Groups, Read
from groupd.engine.directory import Directory
from groupd.engine.listing import (
    encode_lines,
    list_groups,
    read_lines,
    read_places,
    stream_of,
)
from groupd.engine.mail import Entry
from groupd.engine.peer import Peer, signal_frame
from groupd.engine.reads.common import Result, standing
from groupd.engine.waiting import Waiter
from groupd.errors import Rejected
from groupd.storage.port import AdvanceCursor, Store
from groupd.wire import codec
from groupd.wire.codec import Encoded


async def groups(
    directory: Directory, caller: Identity, stream: StreamKey, query: Groups, peer: Peer | None
) -> Result:
    """List the caller's groups."""
    places = await directory.shared.log.read(
        lambda store: store.memberships(caller.tenant, caller.user, query.after, query.limit + 1)
    )
    first = places[: query.limit]
    published = {
        place.group: directory.shared.outlets.published(
            StreamKey(GROUP, caller.tenant, place.group), place.head
        )
        for place in first
    }
    listed = await list_groups(directory.shared, caller, first, published)
    entries = [("groups", listed.groups)]
    following = listed.next
    if following is None and len(places) > len(first):
        following = first[-1].group
    if following is not None:
        entries.append(("next", codec.pack(following)))
    return Encoded(codec.encode_map(entries))


class _Place(NamedTuple):
    """Where a chat stands in the list: a smaller one comes first. Also what ``next`` says."""

    unpinned_ms: int
    """Minus the time at which it was pinned; 0 comes after all that are."""
    quiet_ms: int
    """Minus the time of its last message, or of the user's joining where there is none."""
    group: str

    def cursor(self) -> str:
        return f"{-self.unpinned_ms}:{-self.quiet_ms}:{self.group}"

    @classmethod
    def of(cls, cursor: str) -> _Place:
        found = _CURSOR.fullmatch(cursor)
        if found is None:
            raise refuse("after", "expected the `next` of a page of chats")
        return cls(-int(found[1]), -int(found[2]), found[3])


SLICE: Final = 50
"""Chats that are read at once."""
_CURSOR: Final = re.compile(r"(\d{1,16}):(\d{1,16}):([0-9A-Za-z_-]{1,64})", re.ASCII)
_TOP: Final = _Place(-INT_MAX, -INT_MAX, "")


async def chats(
    directory: Directory, caller: Identity, stream: StreamKey, query: Chats, peer: Peer | None
) -> Result:
    """List the caller's chats in the order of an app, with the totals over all of them."""
    shared = directory.shared
    after = _Place.of(query.after) if query.after else _TOP
    places = await shared.log.read(lambda store: read_places(store, caller))
    # As of what is published; a joining that is not comes as a push later.
    heads = {
        place.group: shared.outlets.published(stream_of(caller, place), place.head)
        for place in places
    }
    places = [place for place in places if place.joined_seq <= heads[place.group]]
    numbers: dict[str, Numbers] = {}
    by_order: dict[_Place, Membership] = {}
    # In pieces, so that a long list holds up nobody's posts.
    for start in range(0, len(places), SLICE):
        look = partial(_look, caller=caller, places=places[start : start + SLICE], heads=heads)
        some, ordered = await shared.log.read(look)
        numbers |= some
        by_order |= ordered
    order = sorted(place for place in by_order if place > after)[: query.limit + 1]
    shown = [by_order[place] for place in order]
    lines = await shared.log.read(lambda store: read_lines(store, caller, shown, numbers, heads))
    items = encode_lines(shared, lines[: query.limit])
    loud = [place for place in places if not place.chat.do_not_disturb]
    entries = [
        ("chats", codec.encode_array(items)),
        ("unread", codec.pack(sum(numbers[p.group].unread for p in loud if p.group in numbers))),
        ("mentions", codec.pack(sum(number.mentions for number in numbers.values()))),
    ]
    if len(items) < len(order):
        entries.append(("next", codec.pack(order[len(items) - 1].cursor())))
    return Encoded(codec.encode_map(entries))


def _look(
    store: Store, *, caller: Identity, places: Sequence[Membership], heads: Mapping[str, int]
) -> tuple[Mapping[str, Numbers], Mapping[_Place, Membership]]:
    """Read the numbers of some of the chats, and where in the list they stand."""
    wanted = {place.group: heads[place.group] for place in places}
    numbers = store.numbers(caller.tenant, caller.user, wanted)
    ordered = {
        _order(store, caller, place, numbers[place.group]): place
        for place in places
        if place.group in numbers
    }
    return numbers, ordered


def _order(store: Store, caller: Identity, place: Membership, number: Numbers) -> _Place:
    seq = number.last_seq if number.last_seq >= place.floor else place.joined_seq
    (record,) = store.pick(stream_of(caller, place), (max(1, seq),))
    return _Place(-place.chat.pinned_ms, -record.time_ms, place.group)


async def account_history(
    directory: Directory,
    caller: Identity,
    stream: StreamKey,
    query: AccountHistory,
    peer: Peer | None,
) -> Result:
    """Page the caller's own log."""
    published = directory.shared.outlets.settled_seq(stream)

    def read(store: Store) -> bytes:
        end = store.head(stream)
        head = 0 if end is None else end.seq
        if published is not None:
            head = min(head, published)
        page = store.page(
            stream,
            low=query.after + 1,
            high=head,
            newest=False,
            limit=query.limit,
            max_bytes=directory.shared.rules.limits.page_max_bytes,
            view=Audience.ADMINS,  # Their own account hides nothing from its user.
        )
        return codec.encode_map(
            [
                ("events", codec.encode_array(page.events)),
                ("head", codec.pack(head)),
                ("more", codec.pack(page.more)),
            ]
        )

    return Encoded(await directory.shared.log.read(read))


async def read(
    directory: Directory, caller: Identity, stream: StreamKey, query: Read, peer: Peer | None
) -> Result:
    """Move the caller's cursor, and tell their other sessions."""
    if caller.user == SERVER:
        raise not_a_member()  # It reads as an owner does, and has nothing to keep.
    published = directory.shared.outlets.settled_seq(stream)

    place = await directory.shared.log.read(lambda store: standing(store, stream, caller))
    head = place.head if published is None else min(place.head, published)
    if query.seq > head:
        raise Rejected("not_found", f"no event {query.seq} yet; the head is {head}")
    await directory.shared.log.write(AdvanceCursor(stream, caller.user, query.seq))
    numbers = await directory.shared.log.read(
        lambda store: store.numbers(stream.tenant, caller.user, {stream.key: head})
    )
    number = numbers.get(stream.key)
    if number is None:
        raise not_a_member()
    if place.chat.marked_unread and not place.dissolved:
        await _end_mark(directory, caller, stream.key)
    frame = signal_frame(group=stream.key, user=caller.user, kind="read", seq=number.read)
    for other in directory.shared.outlets.roster.peers((caller.tenant, caller.user)):
        if other is not peer:
            other.push(stream, frame)
    return {"read": number.read, "unread": number.unread, "mentions": number.mentions}


async def _end_mark(directory: Directory, caller: Identity, group: str) -> None:
    """Let the caller's account take the mark off the chat, and with it their other devices."""
    waiter = Waiter()
    request = MarkUnread(group, on=False)
    directory.tell(caller.account, Entry(caller, request, "", waiter, 0))
    await waiter.wait()
