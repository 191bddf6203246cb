"""The host's business, as calls: what groups are bound to, orders, and lives.

None takes an ``id``: each says what is so, and saying it again changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from groupd.domain.base import GROUP, SERVER, Identity, StreamKey
from groupd.domain.catalog import EVENTS
from groupd.domain.fields import clean_group, clean_int, refuse
from groupd.domain.group.bindings import Bind, Bindings, Unbind
from groupd.domain.group.lives import ENDED, StartLive, StopLive, live_card
from groupd.domain.group.messages import Posted
from groupd.domain.group.orders import InviteCustomer
from groupd.domain.projection import BINDING, LIVE, Tie
from groupd.engine.hub import Hub
from groupd.errors import Rejected
from groupd.storage.port import Store
from groupd.web.callers import identity_of
from groupd.web.rounds import as_system, clean_named, groups_meant, in_each, page_of
from groupd.wire.codec import decode_event

# --- bindings


async def bind(hub: Hub, tenant: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
    """Bind a group to something of the host's. What it is bound to already stays so."""
    return await as_system(hub, tenant, _group(params), Bind(clean_named(params, "binding")))


async def unbind(hub: Hub, tenant: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
    """End a binding of a group, if there is one."""
    return await as_system(hub, tenant, _group(params), Unbind(clean_named(params, "binding")))


async def bindings(hub: Hub, tenant: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
    """List what a group is bound to, the oldest binding first."""
    system = Identity(user=SERVER, tenant=tenant)
    return await hub.ask(system, Bindings(), group=_group(params))


async def bound_groups(hub: Hub, tenant: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
    """List the groups that are bound to something, by group id; dissolved ones are not."""
    binding = clean_named(params, "binding")
    found, more = await page_of(hub, tenant, params, kind=BINDING, name=binding)
    return {"groups": [group for group, _tie in found], **more}


def _group(params: Mapping[str, Any]) -> str:
    group = clean_group(params.get("group"), "group")
    if not group:
        raise refuse("group", "is empty")
    return group


# --- orders


async def order_completed(hub: Hub, tenant: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
    """Invite a customer into each group that is bound to what they have ordered, once for ever.

    Gives for each group a ``status`` or an ``error``. Neither this order again nor a later one
    invites them a second time.
    """
    order = clean_named(params, "order")
    groups, more = await groups_meant(hub, tenant, params)
    customer = await identity_of(hub, tenant, params.get("user"), field="user")
    invite = InviteCustomer(customer.user, order)

    async def act(group: str) -> Mapping[str, Any]:
        return await as_system(hub, tenant, group, invite)

    return {"groups": await in_each(hub, groups, act), **more}


# --- lives


async def live_started(hub: Hub, tenant: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
    """Show a live in each group that is bound to whom it is of, as a card, once.

    Doing it again shows it where it is not shown yet, such as in groups that were bound since. A
    live that has ended is a ``conflict``.
    """
    live, binding = clean_named(params, "live"), clean_named(params, "binding")
    started_ms = params.get("started_ms")
    if started_ms is not None:
        started_ms = clean_int(started_ms, "started_ms")
    start = StartLive(live, live_card(live, params.get("card"), "card", started_ms=started_ms))
    first = await hub.log.read(lambda store: store.ties.groups(tenant, LIVE, live, "", 1))
    if first and first[0][1].state == ENDED:
        raise Rejected("conflict", "this live is over", reason="state")
    found, more = await page_of(hub, tenant, params, kind=BINDING, name=binding)

    async def act(group: str) -> Mapping[str, Any]:
        return await as_system(hub, tenant, group, start)

    return {"groups": await in_each(hub, [group for group, _tie in found], act), **more}


async def live_stopped(hub: Hub, tenant: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
    """Show that a live is over, in each group that shows it, once.

    Its card is edited there. Of a live that is shown nowhere, the answer has no groups.
    """
    live = clean_named(params, "live")
    found, more = await page_of(hub, tenant, params, kind=LIVE, name=live)
    shown = dict(found)

    async def act(group: str) -> Mapping[str, Any]:
        tie = shown[group]
        if tie.state == ENDED:
            return {"status": ENDED, "seq": tie.seq}
        stream = StreamKey(GROUP, tenant, group)
        card = await hub.log.read(lambda store: _card_of(store, stream, tie))
        return await as_system(hub, tenant, group, StopLive(live, tie.seq, card))

    return {"groups": await in_each(hub, list(shown), act), **more}


def _card_of(store: Store, stream: StreamKey, tie: Tie) -> Mapping[str, Any] | None:
    """Give the card of a live's message; None where it was recalled."""
    for record in store.pick(stream, [tie.seq]):
        event = None if record.body is None else decode_event(EVENTS[GROUP], record)
        if isinstance(event, Posted) and event.card is not None:
            return dict(event.card)
    return None
