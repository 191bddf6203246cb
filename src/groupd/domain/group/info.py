"""What can be seen of a group: the query ``info``."""

from __future__ import annotations

from typing import Any, ClassVar

import attrs

from groupd.domain.base import Context, LiveQuery
from groupd.domain.group.board import shown_board
from groupd.domain.group.links import shown_links
from groupd.domain.group.settings import public_card
from groupd.domain.group.state import Group


@attrs.frozen
class Info(LiveQuery):
    """Look at a group: its card, and for members also what stands on its board."""

    method = "info"
    result: ClassVar = {
        "group": "group",
        "name": "string",
        "picture": "string",
        "category": "string",
        "description": "text",
        "owner": "user",
        "members": "integer",
        "join_policy": "join_policy",
        "created_ms": "time_ms",
        "dissolved": "boolean",
        "location": "location?",
        "members_max": "integer?",
        "plan": "string?",
        "role": "role?",
        "joined_ms": "time_ms?",
        "head": "seq?",
        "floor": "seq?",
        "settings": "settings?",
        "announcement": "announcement?",
        "pins": "list[listed_pin]?",
        "links": "link_counts?",
        "stats": "stats?",
    }

    def ask(self, state: Group, context: Context) -> dict[str, Any]:
        """Give the card, and what a member or an admin sees beside it."""
        shown = public_card(context.stream.key, state)
        member = state.members.get(context.caller.user)
        if member is None:
            return shown
        admin = state.is_admin(context.caller.user)
        settings = state.settings
        shown |= {
            "role": member.role.label,
            "joined_ms": member.joined_ms,
            "head": state.seq,
            "floor": member.floor,
            "plan": state.plan,
            "members_max": state.rules(context).members_max,
            "settings": {
                "member_invites": settings.member_invites,
                "discoverable": settings.discoverable,
                "history": settings.history,
                "time_zone": settings.time_zone,
                "data": dict(settings.data or {}),
            },
            "stats": {"members": len(state.members), "messages": state.n},
            **shown_board(state, admin=admin),
        }
        if admin:
            shown["links"] = shown_links(state)
        if state.ref is not None:
            shown["settings"]["ref"] = state.ref
        return shown
