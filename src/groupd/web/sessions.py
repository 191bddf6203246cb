"""A user's sessions and tokens, ended by a backend: ``revoke`` and ``disconnect``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from groupd.domain.sessions import OperatorDisconnect, OperatorRevoke
from groupd.engine.hub import Hub
from groupd.server import operator
from groupd.server.operator import Cut


async def revoke(hub: Hub, tenant: str, params: Mapping[str, Any], cut: Cut) -> Mapping[str, Any]:
    """Refuse a user's tokens from before a time, by default now, and end the sessions with one.

    For good, and durable when it is answered. A time that is not later than an earlier one changes
    nothing.
    """
    asked = OperatorRevoke.parse({**params, "tenant": ""})
    return await operator.revoke(hub, tenant, asked.user, asked.before_ms, cut)


async def disconnect(
    hub: Hub, tenant: str, params: Mapping[str, Any], cut: Cut
) -> Mapping[str, Any]:
    """End all sessions of a user; they may come again, with any token that is good."""
    asked = OperatorDisconnect.parse({**params, "tenant": ""})
    return await operator.disconnect(hub, tenant, asked.user, cut)


def cut_nobody(tenant: str, user: str, message: str, *, before_ms: int | None = None) -> int:
    """Be a ``Cut`` where nobody has a session."""
    return 0
