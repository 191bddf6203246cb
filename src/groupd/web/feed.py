"""The change feed over HTTP: ``changes``, ``ack``, ``consumers``, ``forget_consumer``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from groupd.domain.base import ACCOUNT
from groupd.domain.feeding import BEGINNINGS, FEED_WAIT_MS
from groupd.domain.fields import clean_int, refuse
from groupd.engine.audit import CONSUMER
from groupd.engine.feed import Change
from groupd.engine.hub import Hub
from groupd.web.audit import entries


async def changes(hub: Hub, tenant: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
    """Give what has happened after a consumer's position, in the store's order.

    The same comes again until ``ack``. With ``wait_ms``, waits so long where there is nothing yet.
    """
    limit, wait_ms = params.get("limit"), params.get("wait_ms")
    begin = params.get("begin") or BEGINNINGS[0]
    if begin not in BEGINNINGS:
        raise refuse("begin", f"expected {' or '.join(BEGINNINGS)}")
    page = await hub.feed.read(
        tenant,
        params.get("consumer", ""),
        limit=None if limit is None else clean_int(limit, "limit", low=1),
        wait_ms=0 if wait_ms is None else clean_int(wait_ms, "wait_ms", high=FEED_WAIT_MS),
        begin=begin,
    )
    shown = {"changes": [_shown(change) for change in page.changes], "more": page.more}
    return shown if page.cursor is None else {**shown, "cursor": page.cursor}


async def ack(hub: Hub, tenant: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
    """Say that all up to a cursor is done; durable when it is answered."""
    await hub.feed.ack(tenant, params.get("consumer", ""), params.get("cursor", ""))
    return {}


async def consumers(hub: Hub, tenant: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
    """List the consumers of the tenant, and how far behind each is."""
    return {"consumers": [each.shown() for each in await hub.feed.consumers(tenant)]}


async def forget_consumer(hub: Hub, tenant: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
    """Let there be no such consumer any more."""
    consumer = params.get("consumer", "")
    await hub.feed.forget(tenant, consumer, audit=entries(hub, CONSUMER, tenant, consumer))
    return {}


def _shown(change: Change) -> Mapping[str, Any]:
    whose = "user" if change.stream.kind == ACCOUNT else "group"
    return {"stream": change.stream.kind, whose: change.stream.key, "event": change.event()}
