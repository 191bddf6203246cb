"""Many members in one call: what a backend does when it moves a shop's customers into a group."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Final

import trio

from groupd.domain.base import SERVER, Identity
from groupd.domain.fields import clean_group, refuse
from groupd.domain.group.invitations import INVITED, AcceptInvite, Invite
from groupd.engine.hub import Hub
from groupd.engine.mail import unavailable
from groupd.errors import LogUnavailable, Rejected
from groupd.server.methods import ID_LENGTH
from groupd.web.callers import identity_of

MEMBERS_MAX: Final = 500
"""In one call."""
AT_ONCE: Final = 16
"""Of them that are under way at the same time."""


async def add_members(hub: Hub, tenant: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
    """Add many users to a group on the word of the host, each with the profile that is given.

    ``members`` are user ids or maps as in ``as``. Gives, in their order, what became of each: a
    ``status``, or the ``error`` that was theirs alone; the group's limits and everybody's own hold.
    With ``id``, doing it again adds nobody twice, and goes on where it was cut off.

    Raises Rejected where nothing could be begun.
    """
    group, request_id = clean_group(params.get("group"), "group"), params.get("id")
    if request_id is not None and (type(request_id) is not str or len(request_id) != ID_LENGTH):
        raise refuse("id", "expected a UUIDv7 in its 36-character form")
    members = params.get("members")
    if not isinstance(members, list) or not 1 <= len(members) <= MEMBERS_MAX:
        raise refuse("members", f"expected a list of 1 to {MEMBERS_MAX} users")
    outcomes: list[Mapping[str, Any]] = [{}] * len(members)
    turns = trio.CapacityLimiter(AT_ONCE)

    async def add(place: int, member: Any) -> None:
        async with turns:
            outcomes[place] = await _add(hub, tenant, group, member, request_id)

    async with trio.open_nursery() as nursery:
        for place, member in enumerate(members):
            nursery.start_soon(add, place, member)
    return {"group": group, "members": outcomes}


async def _add(
    hub: Hub, tenant: str, group: str, member: Any, request_id: str | None
) -> Mapping[str, Any]:
    shown = member.get("user") if isinstance(member, Mapping) else member
    try:
        caller = await identity_of(hub, tenant, member)
        system = Identity(user=SERVER, tenant=tenant)
        own_id = "" if request_id is None else _id_for(request_id, caller.user)
        answer = await hub.ask(
            system, Invite.parse({"user": caller.user}), group=group, request_id=own_id
        )
        if answer["status"] == INVITED:
            # The host says that they want to: it speaks for them everywhere else, too.
            answer = await hub.ask(caller, AcceptInvite.parse({}), group=group, request_id=own_id)
        return {"user": caller.user, "status": answer["status"]}
    except Rejected as error:
        return {"user": shown, "error": error.to_wire()}
    except LogUnavailable as error:
        return {"user": shown, "error": unavailable(str(error)).to_wire()}


def _id_for(request_id: str, user: str) -> str:
    """Give the id of one member's part: with the time of the whole, and always the same one."""
    drawn = hashlib.sha256(f"{request_id.lower()} {user}".encode()).hexdigest()
    return f"{request_id[:15]}{drawn[:3]}-8{drawn[3:6]}-{drawn[6:18]}"
