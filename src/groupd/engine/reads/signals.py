"""Requests that leave nothing behind: what others see of the moment."""

from __future__ import annotations

from groupd.domain.base import Identity, StreamKey
from groupd.domain.projection import Membership
from groupd.domain.queries import Typing
from groupd.engine.directory import Directory
from groupd.engine.peer import Peer, signal_frame
from groupd.engine.reads.common import Result, standing
from groupd.errors import Rejected
from groupd.storage.port import Store


async def typing(
    directory: Directory, caller: Identity, stream: StreamKey, query: Typing, peer: Peer | None
) -> Result:
    """Tell the other members' sessions, where there are not too many."""
    shared = directory.shared

    def look(store: Store) -> tuple[Membership, int, bool]:
        place = standing(store, stream, caller)
        card = store.group(stream.tenant, stream.key)
        others = [] if not place.direct else store.members(stream.tenant, stream.key, "", 2)
        is_blocked = any(
            store.blockers(stream.tenant, caller.user, other.user)
            for other in others
            if other.user != caller.user
        )
        return place, 0 if card is None else card.members, is_blocked

    place, members, is_blocked = await shared.log.read(look)
    if place.dissolved:
        raise Rejected("conflict", "the group is dissolved", reason="state")
    if place.muted_until_ms > shared.ports.clock.now_ms():
        raise Rejected("muted", "an admin has muted you", until_ms=place.muted_until_ms)
    if is_blocked:
        raise Rejected("forbidden", "one of the two has blocked the other", reason="blocked")
    outlet = shared.outlets.get(stream)
    if outlet is not None and members <= shared.rules.limits.typing_members_max:
        own = shared.outlets.roster.peers((caller.tenant, caller.user))
        frame = signal_frame(group=stream.key, user=caller.user, kind="typing")
        outlet.signal(frame, except_=own)
    return {}
