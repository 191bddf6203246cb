"""What the host has to be asked before somebody comes in: found here, asked in the engine.

Placement rules: nothing here asks anybody. ``Unanswered`` is put to the group before the request
itself, by the engine; what comes of asking is ``Context.answers`` when the request is decided.
"""

from __future__ import annotations

from typing import Any, ClassVar

import attrs

from groupd.domain.base import Context, LiveQuery, Request
from groupd.domain.catalog import REQUESTS
from groupd.domain.group.conditions import MEETS_CONDITION, unanswered
from groupd.domain.group.state import Group
from groupd.domain.policy import Explain


def asks_condition(request: Request) -> bool:
    """Say whether an entry condition is looked at for a request, or for what it explains."""
    return MEETS_CONDITION in _asked_of(request).rules


def _asked_of(request: Request) -> type[Request]:
    if isinstance(request, Explain):
        return REQUESTS.get(request.asked, Explain)
    return type(request)


@attrs.frozen
class Unanswered(LiveQuery):
    """Which clauses of the entry condition no claim of the caller's answers.

    The server's own; no client can send it. None, where the request is refused before the
    condition is looked at, or where the caller is inside.
    """

    method = "unanswered"
    in_direct = False
    result: ClassVar = {"clauses": "list[map]"}

    request: Request

    @property
    def code(self) -> str | None:
        """Give the code by which the caller comes: by a right one, a hidden group is seen."""
        code: str | None = getattr(self.request, "code", None)
        return code

    def ask(self, state: Group, context: Context) -> dict[str, Any]:
        """Give the clauses."""
        condition, request = state.settings.conditions, self.request
        if condition is None or context.caller.user in state.members or state.dissolved:
            return {"clauses": []}
        if not isinstance(request, Explain):
            for rule in state.rules_of(type(request)):
                if rule is MEETS_CONDITION:
                    break
                if rule.refuse(state, context, request) is not None:
                    return {"clauses": []}
        return {"clauses": unanswered(condition, context.caller)}
