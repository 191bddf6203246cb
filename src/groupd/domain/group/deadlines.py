"""What befalls a group at a time that was fixed before: one place for all of its deadlines.

Each file whose state has times of its own gives ``deadline_ms`` and ``due`` for it.
"""

from __future__ import annotations

from collections.abc import Sequence

from groupd.domain.base import Event
from groupd.domain.group import admission, invitations, links, roles
from groupd.domain.group.state import Group


def deadline_ms(state: Group) -> int | None:
    """Give the time at which something is due, or None."""
    if state.dissolved:
        return None
    earliest = None
    for part in (links, admission, invitations, roles):
        time_ms = part.deadline_ms(state)
        if time_ms is not None and (earliest is None or time_ms < earliest):
            earliest = time_ms
    return earliest


def due(state: Group, now_ms: int) -> Sequence[Event]:
    """Give the events that are due by now, those of each file in turn."""
    if state.dissolved:
        return ()
    return [
        *links.due(state, now_ms),
        *admission.due(state, now_ms),
        *invitations.due(state, now_ms),
        *roles.due(state, now_ms),
    ]
