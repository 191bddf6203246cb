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

import attrs

from groupd.domain.base import Audience, Identity
from groupd.domain.projection import Membership
from groupd.engine.listing import Page, list_groups, read_places, stream_of, view_of
from groupd.engine.outlet import Outlet
from groupd.engine.peer import Peer
from groupd.engine.shared import Shared
from groupd.storage.port import Store


@attrs.frozen
class Greeting:
    """What ``hello`` answers about groups and account."""

    page: Page
    account_head: int


async def greet(shared: Shared, peer: Peer, caller: Identity) -> Greeting:
    """Subscribe a session to all that its user reads.

    The caller has called ``peer.hold`` and owns the peer: it calls ``Hub.part`` in any case.
    """
    roster, outlets = shared.outlets.roster, shared.outlets
    user = (caller.tenant, caller.user)
    news = roster.watch(peer)
    roster.add(user, peer)
    try:
        while True:
            dropped = outlets.dropped
            places, account_head = await _read_places(shared, caller)
            streams = [caller.account, *(stream_of(caller, place) for place in places)]
            if outlets.dropped == dropped or all(map(outlets.get, streams)):
                break
            # An outlet went while we read: the heads may be older than what it had published.
    finally:
        roster.unwatch(peer)
    account = outlets.open(caller.account, account_head)
    account_head = account.subscribe(peer, Audience.MEMBERS)
    upto = {}
    for place in places:
        stream = stream_of(caller, place)
        outlet = outlets.open(stream, place.head)
        # The role that was read may have changed since.
        view = news.get(stream, view_of(place.role))
        if _waits_for_push(outlet, peer, place) or view is None:
            outlets.tidy(outlet)
        else:
            upto[place.group] = outlet.subscribe(peer, view)
    listed = [place for place in places if place.group in upto]
    page = await list_groups(shared, caller, listed, upto)
    return Greeting(page, account_head)


async def relist(shared: Shared, peer: Peer, caller: Identity) -> Greeting:
    """Give the same answer to a session that is subscribed already, or that wants no events."""
    places, account_head = await _read_places(shared, caller)
    account_head = shared.outlets.published(caller.account, account_head)
    upto = {
        place.group: shared.outlets.published(stream_of(caller, place), place.head)
        for place in places
    }
    # The heads are as of now, so what was pushed before now goes before the answer.
    peer.hold()
    listed = [place for place in places if upto[place.group] >= place.joined_seq]
    page = await list_groups(shared, caller, listed, upto)
    return Greeting(page, account_head)


def _waits_for_push(outlet: Outlet, peer: Peer, place: Membership) -> bool:
    """Say whether the joining itself is still to come as a push, so that it is not listed."""
    return outlet.is_subscribed(peer) or place.joined_seq > outlet.published_seq


async def _read_places(shared: Shared, caller: Identity) -> tuple[list[Membership], int]:
    def read(store: Store) -> tuple[list[Membership], int]:
        head = store.head(caller.account)
        return read_places(store, caller), 0 if head is None else head.seq

    return await shared.log.read(read)
