"""What can be seen of a group: the query ``info``."""

from __future__ import annotations

from typing import Any, ClassVar

import attrs

from groupd.domain.base import SERVER, Context, LiveQuery
from groupd.domain.group.board import shown_board
from groupd.domain.group.links import shown_links
from groupd.domain.group.parts import Member
from groupd.domain.group.roles import standing_offer
from groupd.domain.group.settings import CARD, public_card, shown_settings
from groupd.domain.group.state import Group


@attrs.frozen
class Info(LiveQuery):
    """Look at a group: its card, and for members also what stands on its board."""

    method = "info"
    by_system = True
    result: ClassVar = {
        **CARD,
        "members_max": "integer?",
        "plan": "string?",
        "role": "role?",
        "joined_ms": "time_ms?",
        "head": "seq?",
        "floor": "seq?",
        "nickname": "string?",
        "muted_until_ms": "time_ms?",
        "all_muted": "boolean?",
        "slow_mode_ms": "integer?",
        "direct": "list[user]?",
        "settings": "settings?",
        "announcement": "announcement?",
        "pins": "list[listed_pin]?",
        "links": "link_counts?",
        "requests": "integer?",
        "offer": "offer?",
        "stats": "stats?",
    }

    def ask(self, state: Group, context: Context) -> dict[str, Any]:
        """Give the card, and what a member or an admin sees beside it."""
        shown = public_card(context.stream.key, state)
        counts = {"members": len(state.members), "messages": state.n}
        # Which day "yesterday" is, depends on the time zone.
        stats = {"stats": {**counts, "time_zone": state.settings.time_zone}}
        member = state.members.get(context.caller.user)
        if member is None and context.caller.user != SERVER:
            return {**shown, **stats} if state.settings.public_stats else shown
        admin = state.is_admin(context.caller.user)
        shown |= {
            "head": state.seq,
            "plan": state.plan,
            "members_max": state.rules(context).members_max,
            "all_muted": state.all_muted,
            "slow_mode_ms": state.slow_mode_ms,
            "settings": shown_settings(state),
            **stats,
            **({} if member is None else _place(member, context.now_ms)),
            **shown_board(state, admin=admin),
        }
        if state.direct:
            shown["direct"] = list(state.direct)
        if admin:
            shown |= {"links": shown_links(state), "requests": len(state.requests)}
        offer = standing_offer(state, context.now_ms)
        if offer is not None and (admin or offer.heir == context.caller.user):
            shown["offer"] = {"user": offer.heir, "at_ms": offer.at_ms}
        return shown


def _place(member: Member, now_ms: int) -> dict[str, Any]:
    """Give the caller's own place in the group."""
    shown: dict[str, Any] = {
        "role": member.role.label,
        "joined_ms": member.joined_ms,
        "floor": member.floor,
    }
    if member.nickname:
        shown["nickname"] = member.nickname
    if now_ms < member.muted_until_ms:
        shown["muted_until_ms"] = member.muted_until_ms
    return shown
