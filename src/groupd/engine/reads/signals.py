"""Requests that leave nothing behind: what others see of the moment."""

from __future__ import annotations

from groupd.domain.base import Identity, StreamKey
from groupd.domain.group.messages import Typing
from groupd.engine.directory import Directory
from groupd.engine.peer import Peer, signal_frame
from groupd.engine.reads.common import Result


async def typing(
    directory: Directory, caller: Identity, stream: StreamKey, query: Typing, peer: Peer | None
) -> Result:
    """Tell the other members' sessions, where there are not too many."""
    shared = directory.shared
    members = (await directory.ask(stream, caller, query))["members"]
    outlet = shared.outlets.get(stream)
    if outlet is not None and members <= shared.rules.limits.typing_members_max:
        own = shared.outlets.roster.peers((caller.tenant, caller.user))
        frame = signal_frame(group=stream.key, user=caller.user, kind="typing")
        outlet.signal(frame, except_=own)
    return {}
