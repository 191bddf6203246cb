"""How a user's groups are listed: each with what is new in it, and its last message.

A direct chat is listed under the other user's name and picture, as a person.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs

from groupd.config import CONTENT
from groupd.domain.base import GROUP, Audience, Identity, Record, Role, StreamKey
from groupd.domain.projection import MemberRow, Membership, Numbers
from groupd.engine.shared import Shared
from groupd.storage.port import Store
from groupd.wire import codec


@attrs.frozen
class Page:
    """Some of a user's groups, encoded, and the group with which the page ends."""

    groups: bytes
    next: str | None
    """Where the next page begins; None where this is the last one."""


@attrs.frozen
class Line:
    """What is said of one group."""

    place: Membership
    head: int
    number: Numbers
    last: Record | None
    edited: Record | None
    """The newest form of the last message, where it was edited."""
    other: MemberRow | None
    """Of a direct chat, the other user."""


def view_of(role: int) -> Audience:
    """Give what a member of this role reads."""
    return Audience.ADMINS if role >= Role.ADMIN else Audience.MEMBERS


def stream_of(caller: Identity, place: Membership) -> StreamKey:
    """Give the stream of a group that the caller is in."""
    return StreamKey(GROUP, caller.tenant, place.group)


def read_places(store: Store, caller: Identity) -> list[Membership]:
    """Give all groups of the caller that are not dissolved, by group."""
    page = CONTENT.groups_page_max
    places: list[Membership] = []
    more = True
    while more:
        after = places[-1].group if places else ""
        rows = store.memberships(caller.tenant, caller.user, after, page)
        places += rows
        more = len(rows) == page
    return places


def read_lines(
    store: Store,
    caller: Identity,
    places: Sequence[Membership],
    numbers: Mapping[str, Numbers],
    upto: Mapping[str, int],
) -> list[Line]:
    """Complete those of the places that have numbers: who has none has left in the meantime."""
    lines = []
    for place in places:
        number = numbers.get(place.group)
        if number is None:
            continue
        last = edited = other = None
        if number.last_seq >= max(1, place.floor):
            records = store.pick(stream_of(caller, place), (number.last_seq, number.last_edit))
            last, *edits = records
            edited = edits[-1] if edits else None
            if not all(map(codec.is_whole, records)):
                # It would make the list of all groups unreadable. A check will say more.
                last = edited = None
        if place.direct:
            rows = store.members(caller.tenant, place.group, "", CONTENT.members_page_max)
            other = next((row for row in rows if row.user != caller.user), None)
        lines.append(Line(place, upto[place.group], number, last, edited, other))
    return lines


def encode_lines(shared: Shared, lines: Sequence[Line]) -> list[bytes]:
    """Encode as many of the lines as fit one answer, and at least one."""
    now_ms = shared.ports.clock.now_ms()
    items: list[bytes] = []
    size = 0
    for line in lines:
        item = _encode(line, now_ms)
        size += len(item)
        if items and size > shared.rules.limits.page_max_bytes:
            break
        items.append(item)
    return items


async def list_groups(
    shared: Shared, caller: Identity, places: Sequence[Membership], upto: Mapping[str, int]
) -> Page:
    """Encode the first page of some groups, each as of the seq in ``upto``."""
    first = places[: CONTENT.groups_page_max]

    def read(store: Store) -> list[Line]:
        wanted = {place.group: upto[place.group] for place in first}
        numbers = store.numbers(caller.tenant, caller.user, wanted)
        return read_lines(store, caller, first, numbers, upto)

    lines = await shared.log.read(read)
    items = encode_lines(shared, lines)
    reached = lines[len(items) - 1].place if len(items) < len(lines) else None
    if reached is None and len(first) < len(places):
        reached = first[-1]
    return Page(codec.encode_array(items), None if reached is None else reached.group)


def _encode(line: Line, now_ms: int) -> bytes:
    place, number, other = line.place, line.number, line.other
    values = {
        "group": place.group,
        "name": place.name if other is None else other.name,
        "picture": place.picture if other is None else other.picture,
        "role": Role(place.role).label,
        "head": line.head,
        "read": number.read,
        "unread": number.unread,
        "mentions": number.mentions,
        "do_not_disturb": place.chat.do_not_disturb,
        "chat_pinned": place.chat.pinned_ms > 0,
        "marked_unread": place.chat.marked_unread,
    }
    if now_ms < place.muted_until_ms:
        values["muted_until_ms"] = place.muted_until_ms
    if other is not None:
        values["direct"] = other.user
    entries = [(key, codec.pack(value)) for key, value in values.items()]
    if line.last is not None:
        entries.append(("last", codec.shown_map(line.last, view_of(place.role))))
    if line.edited is not None:
        entries.append(("edited", codec.shown_map(line.edited, view_of(place.role))))
    return codec.encode_map(entries)
