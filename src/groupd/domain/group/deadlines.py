"""What befalls a group at a time that was fixed before: one place for all of its deadlines."""

from __future__ import annotations

from collections.abc import Sequence

from groupd.domain.base import Event
from groupd.domain.group.links import LinkRevoked
from groupd.domain.group.state import Group


def deadline_ms(state: Group) -> int | None:
    """Give the time at which something is due, or None."""
    if state.dissolved:
        return None
    times = [
        link.expires_at_ms
        for link in state.links.values()
        if link.expires_at_ms is not None and not link.revoked
    ]
    return min(times, default=None)


def due(state: Group, now_ms: int) -> Sequence[Event]:
    """Give the events that are due by now: links whose time is over are revoked."""
    if state.dissolved:
        return ()
    return [
        LinkRevoked(link=link.number, reason="expired")
        for link in state.links.values()
        if not link.revoked and link.expires_at_ms is not None and link.expires_at_ms <= now_ms
    ]
