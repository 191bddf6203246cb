"""What an operator with a token, or on the socket, asks of a running server and does to it.

Placement rules:
- Who is an operator, and of which tenant, is ``domain/operating.py``'s; what an operator's act does
  to a group is decided by the group (``domain/group/operated.py``).
- What goes through everything there is (a search) goes in slices, rests after each as long as that
  took, and gives up its place after ``SCANNED_MAX``: the caller asks on from there.
- Each act is told of in one place, ``_note``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final, TypeAlias, TypeVar
from unicodedata import normalize

import structlog
import trio

from groupd.domain.base import ACCOUNT, GROUP, Identity, Role, StreamKey
from groupd.domain.console import (
    OperatorExplain,
    OperatorFigures,
    OperatorGroups,
    OperatorUser,
    OperatorUsers,
)
from groupd.domain.fields import clean_user
from groupd.domain.group.operated import OperatorBan, OperatorDissolve, OperatorGroup
from groupd.domain.operating import Authority
from groupd.domain.policy import Explain
from groupd.domain.projection import GroupCard, Profile
from groupd.domain.watching import OPERATOR
from groupd.engine.mail import Behalf
from groupd.engine.reads.finding import card_of
from groupd.engine.reads.people import shown_member
from groupd.errors import Rejected
from groupd.server.services import Services
from groupd.storage.port import Store

log = structlog.get_logger()

T = TypeVar("T")

SLICE: Final = 200
"""Groups or users that one read of the store looks at."""
SCANNED_MAX: Final = 10_000
"""Of them that one request looks at."""

ConsoleRequest: TypeAlias = (
    OperatorFigures
    | OperatorGroups
    | OperatorGroup
    | OperatorUsers
    | OperatorUser
    | OperatorExplain
    | OperatorBan
    | OperatorDissolve
)
REQUESTS: Final = (
    *(OperatorFigures, OperatorGroups, OperatorGroup, OperatorUsers, OperatorUser),
    *(OperatorExplain, OperatorBan, OperatorDissolve),
)


async def serve(
    services: Services,
    authority: Authority,
    request: ConsoleRequest,
    *,
    group: str | None = None,
    request_id: str = "",
) -> Mapping[str, Any]:
    """Serve a request of an operator's; raises Rejected, LogUnavailable.

    Cancelled, an act may still take effect.
    """
    if isinstance(request, OperatorFigures):
        return _figures(services, authority, request)
    tenant = authority.tenant_of(request.tenant)
    match request:
        case OperatorGroups():
            return await _find_groups(services, tenant, request)
        case OperatorUsers():
            return await _find_users(services, tenant, request)
        case OperatorUser():
            return await _user(services, tenant, request)
        case OperatorExplain():
            return await _explain(services, tenant, request)
        case OperatorGroup():
            return await _group(services, authority.as_system(tenant), request, group)
        case OperatorBan() | OperatorDissolve():
            # The audit's entry goes with the append; who of the operators says the event there.
            hub = services.hub.on_behalf(Behalf(OPERATOR, request.method))
            answer = await hub.ask(
                authority.as_system(tenant), request, group=group, request_id=request_id
            )
            _note(authority, tenant, group, request, answer)
            return answer


def _note(
    authority: Authority,
    tenant: str,
    group: str | None,
    request: OperatorBan | OperatorDissolve,
    answer: Mapping[str, Any],
) -> None:
    """Tell that an operator has done something.

    The record that lasts, with the reason, is the event ``operated`` in the group's log, and an
    entry of the audit.
    """
    log.info(
        "operator_act",
        operator=authority.name,
        method=request.method,
        tenant=tenant,
        group=group,
        user=getattr(request, "user", None),
        seq=answer["seq"],
    )


def _figures(
    services: Services, authority: Authority, request: OperatorFigures
) -> Mapping[str, Any]:
    shown = services.figures.shown(request.after_ms)
    shown |= {
        "server": services.name,
        "users": sum(bool(seat.sitters) for seat in services.seats.values()),
    }
    if authority.tenant is not None:
        shown["tenant"] = authority.tenant
    return shown


# --- searching


def _folded(text: str) -> str:
    """Give a text as it is compared: in one form, without upper case."""
    return normalize("NFKC", text).casefold()


async def _scan(
    services: Services,
    place: StreamKey,
    limit: int,
    look: Callable[[Store, StreamKey], T | None],
) -> tuple[list[T], str | None]:
    """Look at the streams after a place, of its kind and tenant, until ``limit`` have matched.

    Gives what ``look`` gives of those, and the key to go on after; None where there are no more.
    """
    found: list[T] = []
    scanned = 0

    def read(after: StreamKey, store: Store) -> tuple[StreamKey, bool]:
        streams = store.streams(after, SLICE)
        for stream in streams:
            if stream[:2] != place[:2]:
                return after, False
            match = look(store, stream)
            after = stream
            if match is not None:
                found.append(match)
                if len(found) == limit:
                    return after, True
        return after, len(streams) == SLICE

    after, has_more = place, True
    while has_more and len(found) < limit and scanned < SCANNED_MAX:
        began = trio.current_time()
        after, has_more = await services.hub.log.read(partial(read, after))
        scanned += SLICE
        await trio.sleep(trio.current_time() - began)
    return found, after.key if has_more else None


async def _find_groups(
    services: Services, tenant: str, request: OperatorGroups
) -> Mapping[str, Any]:
    hub, query, wanted = services.hub, request.query, _folded(request.query)

    def look(store: Store, stream: StreamKey) -> GroupCard | None:
        card = store.group(tenant, stream.key)
        if card is None or card.group == query:
            return card if not query else None
        texts = (card.name, card.owner, card.ref or "", *((card.group,) if wanted else ()))
        return card if any(wanted in _folded(text) for text in texts) else None

    first = None
    if query and not request.after:
        first = await hub.log.read(lambda store: store.group(tenant, query))
    found, following = await _scan(
        services, StreamKey(GROUP, tenant, request.after), request.limit, look
    )
    cards = found if first is None else [first, *found]
    result: dict[str, Any] = {"groups": [_shown_group(services, tenant, card) for card in cards]}
    if following is not None:
        result["next"] = following
    return result


def _shown_group(services: Services, tenant: str, card: GroupCard) -> dict[str, Any]:
    shown = card_of(card)
    shown |= {
        "dissolved": card.dissolved,
        "discoverable": card.discoverable,
        "direct": card.direct,
        "head": card.head,
        "awake": services.hub.is_awake(StreamKey(GROUP, tenant, card.group)),
    }
    if card.ref is not None:
        shown["ref"] = card.ref
    return shown


async def _find_users(services: Services, tenant: str, request: OperatorUsers) -> Mapping[str, Any]:
    query, wanted = request.query, _folded(request.query)

    def look(store: Store, stream: StreamKey) -> tuple[str, Profile] | None:
        if query and stream.key == query:
            return None
        profile = store.profile(tenant, stream.key) or Profile()
        texts = (stream.key, profile.name)
        return (stream.key, profile) if any(wanted in _folded(text) for text in texts) else None

    found, following = await _scan(
        services, StreamKey(ACCOUNT, tenant, request.after), request.limit, look
    )
    if query and not request.after:
        first = await _if_known(services, tenant, query)
        found = found if first is None else [first, *found]
    result: dict[str, Any] = {
        "users": [_shown_user(services, tenant, user, profile) for user, profile in found]
    }
    if following is not None:
        result["next"] = following
    return result


async def _if_known(services: Services, tenant: str, user: str) -> tuple[str, Profile] | None:
    """Give a user of whom anything is known; None for one of whom nothing is."""
    try:
        clean_user(user, "query")
    except Rejected:
        return None

    def read(store: Store) -> tuple[Profile | None, bool]:
        profile = store.profile(tenant, user)
        account = store.head(StreamKey(ACCOUNT, tenant, user))
        return profile, account is not None or bool(store.memberships(tenant, user, "", 1))

    profile, is_known = await services.hub.log.read(read)
    if profile is None and not is_known and not _sessions(services, tenant, user):
        return None
    return user, profile or Profile()


def _sessions(services: Services, tenant: str, user: str) -> int:
    seat = services.seats.get((tenant, user))
    return 0 if seat is None else len(seat.sitters)


def _shown_user(services: Services, tenant: str, user: str, profile: Profile) -> dict[str, Any]:
    return {
        "user": user,
        "name": profile.name,
        "picture": profile.picture,
        "plan": profile.plan or services.hub.rules.default_plan,
        "sessions": _sessions(services, tenant, user),
    }


# --- one group, one user


async def _group(
    services: Services, caller: Identity, request: OperatorGroup, group: str | None
) -> Mapping[str, Any]:
    hub = services.hub
    shown = dict(await hub.ask(caller, request, group=group))
    stream = request.address(group, caller)
    rows = await hub.log.read(
        lambda store: store.members(stream.tenant, stream.key, request.after, request.limit + 1)
    )
    listed, now_ms = rows[: request.limit], hub.ports.clock.now_ms()
    shown["listed"] = [shown_member(row, now_ms) for row in listed]
    if len(rows) > len(listed):
        shown["next"] = listed[-1].user
    return shown


async def _user(services: Services, tenant: str, request: OperatorUser) -> Mapping[str, Any]:
    user = request.user
    known = await _if_known(services, tenant, user)
    if known is None:
        raise Rejected("not_found", "nothing is known of such a user")

    def read(store: Store) -> dict[str, Any]:
        held = store.holdings(tenant, user)
        places = store.memberships(tenant, user, request.after, request.limit + 1)
        listed = places[: request.limit]
        found: dict[str, Any] = {
            "owned": list(held.owned),
            "joined": held.joined,
            "directs": held.directs,
            "groups": [
                {
                    "group": place.group,
                    "name": place.name,
                    "role": Role(place.role).label,
                    "direct": place.direct,
                }
                for place in listed
            ],
        }
        if len(places) > len(listed):
            found["next"] = listed[-1].group
        before_ms = store.revoked_before_ms(tenant, user)
        return found | ({"revoked_before_ms": before_ms} if before_ms else {})

    return {**_shown_user(services, tenant, *known), **await services.hub.log.read(read)}


async def _explain(services: Services, tenant: str, request: OperatorExplain) -> Mapping[str, Any]:
    hub, user = services.hub, request.user
    known = await hub.log.read(lambda store: store.profile(tenant, user)) or Profile()
    plan = known.plan if known.plan in hub.rules.plans else hub.rules.default_plan
    caller = Identity(
        user=user,
        tenant=tenant,
        name=known.name,
        plan=plan,
        gender=known.gender,
        birth_year=known.birth_year,
    )
    return await hub.ask(caller, Explain(request.asked, request.given), group=request.group or None)
