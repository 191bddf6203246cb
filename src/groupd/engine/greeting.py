"""How a session comes to its events without a gap and without a double.

Naive: read the memberships, then subscribe. What is posted in between is lost. So:

1. The session is counted under its user first: from now on, a joining that is published
   subscribes it, and one that is taken away is noted.
2. The memberships are read from committed state.
3. In one synchronous step it is subscribed to all of them, and learns how far each is published.
   Its pushes wait behind the answer (``Peer.hold``).
4. The numbers are read as of exactly those seqs, and the answer is made.

No actor is activated for this.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs

from groupd.config import CONTENT
from groupd.domain.base import GROUP, Audience, Identity, Record, Role, StreamKey
from groupd.domain.projection import Membership, Numbers
from groupd.engine.outlet import Outlet
from groupd.engine.peer import Peer
from groupd.engine.shared import Shared
from groupd.storage.port import Store
from groupd.wire import codec


@attrs.frozen
class Page:
    """Some of a user's groups, encoded, and where the next page begins."""

    groups: bytes
    next: str | None


@attrs.frozen
class Greeting:
    """What ``hello`` answers about groups and account."""

    page: Page
    account_head: int


def view_of(role: int) -> Audience:
    """Give what a member of this role reads."""
    return Audience.ADMINS if role >= Role.ADMIN else Audience.MEMBERS


async def greet(shared: Shared, peer: Peer, caller: Identity) -> Greeting:
    """Subscribe a session to all that its user reads.

    The caller has called ``peer.hold`` and owns the peer: it calls ``Hub.part`` in any case.
    """
    roster, outlets = shared.outlets.roster, shared.outlets
    user = (caller.tenant, caller.user)
    taken = roster.watch(peer)
    roster.add(user, peer)
    try:
        while True:
            dropped = outlets.dropped
            places, account_head = await _read_places(shared, caller)
            streams = [caller.account, *(_stream(caller, place) for place in places)]
            if outlets.dropped == dropped or all(map(outlets.get, streams)):
                break
            # An outlet went while we read: the heads may be older than what it had published.
    finally:
        roster.unwatch(peer)
    account = outlets.open(caller.account, account_head)
    account_head = account.subscribe(peer, Audience.MEMBERS)
    upto = {}
    for place in places:
        stream = _stream(caller, place)
        outlet = outlets.open(stream, place.head)
        if _waits_for_push(outlet, peer, place) or stream in taken:
            outlets.tidy(outlet)
        else:
            upto[place.group] = outlet.subscribe(peer, view_of(place.role))
    listed = [place for place in places if place.group in upto]
    page = await list_groups(shared, caller, listed, upto)
    return Greeting(page, account_head)


async def relist(shared: Shared, peer: Peer, caller: Identity) -> Greeting:
    """Give the same answer to a session that is subscribed already, or that wants no events."""
    places, account_head = await _read_places(shared, caller)
    # The heads are as of now, so what was pushed before now goes before the answer.
    peer.hold()
    account = shared.outlets.get(caller.account)
    upto = {
        place.group: shared.outlets.published(_stream(caller, place), place.head)
        for place in places
    }
    listed = [place for place in places if upto[place.group] >= place.joined_seq]
    page = await list_groups(shared, caller, listed, upto)
    return Greeting(page, account_head if account is None else account.published_seq)


def _waits_for_push(outlet: Outlet, peer: Peer, place: Membership) -> bool:
    """Say whether the joining itself is still to come as a push, so that it is not listed."""
    return outlet.is_subscribed(peer) or place.joined_seq > outlet.published_seq


async def _read_places(shared: Shared, caller: Identity) -> tuple[list[Membership], int]:
    page = CONTENT.groups_page_max

    def read(store: Store) -> tuple[list[Membership], int]:
        places: list[Membership] = []
        more = True
        while more:
            after = places[-1].group if places else ""
            rows = store.memberships(caller.tenant, caller.user, after, page)
            places += rows
            more = len(rows) == page
        head = store.head(caller.account)
        return places, 0 if head is None else head.seq

    return await shared.log.read(read)


async def list_groups(
    shared: Shared, caller: Identity, places: Sequence[Membership], upto: Mapping[str, int]
) -> Page:
    """Encode the first page of some groups, each as of the seq in ``upto``."""
    limits = shared.rules.limits
    first = places[: CONTENT.groups_page_max]

    def read(store: Store) -> tuple[Mapping[str, Numbers], dict[str, Record]]:
        wanted = {place.group: upto[place.group] for place in first}
        numbers = store.numbers(caller.tenant, caller.user, wanted)
        lasts = {}
        for place in first:
            number = numbers.get(place.group)
            if number is not None and number.last_seq >= max(1, place.floor):
                stream = _stream(caller, place)
                lasts[place.group] = store.pick(stream, (number.last_seq,))[0]
        return numbers, lasts

    numbers, lasts = await shared.log.read(read)
    items: list[bytes] = []
    size, reached = 0, ""
    for place in first:
        number = numbers.get(place.group)
        if number is None:
            reached = place.group  # Left in the meantime.
            continue
        item = _encode(place, upto[place.group], number, lasts.get(place.group))
        if items and size + len(item) > limits.page_max_bytes:
            break
        items.append(item)
        size += len(item)
        reached = place.group
    is_last = not places or reached == places[-1].group
    return Page(codec.encode_array(items), None if is_last else reached)


def _encode(place: Membership, head: int, number: Numbers, last: Record | None) -> bytes:
    values = {
        "group": place.group,
        "name": place.name,
        "picture": place.picture,
        "role": Role(place.role).label,
        "head": head,
        "read": number.read,
        "unread": number.unread,
        "mentions": number.mentions,
        "do_not_disturb": False,
        "chat_pinned": False,
    }
    entries = [(key, codec.pack(value)) for key, value in values.items()]
    if last is not None:
        entries.append(("last", codec.shown_map(last, view_of(place.role))))
    return codec.encode_map(entries)


def _stream(caller: Identity, place: Membership) -> StreamKey:
    return StreamKey(GROUP, caller.tenant, place.group)
