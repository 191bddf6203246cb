"""What an operator of the server sees of a group, and does to it.

Placement rules:
- An operator acts as the server: the events have no user. Who it was and why stands in an event of
  its own, ``operated``, before what was done, in the same append: neither is there without the
  other. Admins may read it, since the group is theirs; to other members it is ``hidden``.
- Whom an operator may ban is the rule of ``ban``, by the server: not the owner.
"""

from __future__ import annotations

from typing import Any, ClassVar, Final

import attrs

from groupd.config import CONTENT
from groupd.domain import fields
from groupd.domain.base import (
    SERVER,
    Audience,
    Command,
    Context,
    Decision,
    Event,
    LiveQuery,
    Request,
    Rule,
    Unchanged,
)
from groupd.domain.group.links import shown_links
from groupd.domain.group.moderation import BANS_MAX, BanUser
from groupd.domain.group.roles import BELOW
from groupd.domain.group.settings import CARD, Dissolved, public_card, shown_settings
from groupd.domain.group.state import Group
from groupd.errors import Rejected


def _refuse_others(state: Group, context: Context, request: Request) -> Rejected | None:
    if context.caller.user == SERVER:
        return None
    return Rejected("not_found", "no such group")


BY_SERVER: Final = Rule("by_server", "contract", _refuse_others, bars=True)
"""Only the server itself asks these, for an operator. Nobody else comes so far: their methods are
unknown to users. So it stands here for programs that embed a hub."""


@attrs.frozen
class Operated(Event):
    """An operator of the server does something to the group: what, the next event says."""

    kind = "operated"
    audience = Audience.ADMINS

    act: str = ""
    member: str = fields.stored('user or ""', "")
    """Whom it is done to; empty for the group."""
    reason: str = fields.stored("text", "")
    operator: str = ""
    """Who does it."""


@attrs.frozen
class OperatorBan(Command):
    """Keep a user out of any group, with a reason that is kept; a member is taken out at once."""

    method = "operator_ban"
    operator = True
    cost = 2
    min_role = None
    in_direct = False
    rules = (BY_SERVER, BELOW, BANS_MAX)

    user: str = fields.user()
    reason: str = fields.text(CONTENT.message_max)
    tenant: str = fields.tenant()
    for_ms: int | None = fields.integer(low=1, high=CONTENT.mute_max_ms, default=None)
    message: str = fields.text(CONTENT.message_max, default="", min_chars=0)

    def decide(self, state: Group, context: Context) -> Decision:
        """Say who does it and why, and ban them."""
        banned = BanUser(self.user, self.for_ms, self.message).decide(state, context)
        if isinstance(banned, Unchanged):
            return banned
        return [Operated("ban", self.user, self.reason, context.caller.name), *banned]


@attrs.frozen
class OperatorDissolve(Command):
    """End any group, with a reason that is kept."""

    method = "operator_dissolve"
    operator = True
    cost = 2
    min_role = None
    in_direct = False
    rules = (BY_SERVER,)

    reason: str = fields.text(CONTENT.message_max)
    tenant: str = fields.tenant()

    def decide(self, state: Group, context: Context) -> Decision:
        """Say who does it and why, and end it."""
        return [Operated("dissolve", "", self.reason, context.caller.name), Dissolved()]


@attrs.frozen
class OperatorGroup(LiveQuery):
    """Look at any group but a direct chat: its settings, its state, and a page of its members."""

    method = "operator_group"
    operator = True
    cost = 3
    rules = (BY_SERVER,)
    result: ClassVar = {
        **CARD,
        "members_max": "integer",
        "plan": "string",
        "head": "seq",
        "messages": "integer",
        "all_muted": "boolean",
        "slow_mode_ms": "integer",
        "settings": "settings",
        "announcement": "seq?",
        "pins": "list[seq]",
        "links": "link_counts",
        "requests": "integer",
        "invitations": "integer",
        "bans": "integer",
        "listed": "list[member]",
        "next": "user?",
    }

    tenant: str = fields.tenant()
    after: str = fields.user(default="")
    limit: int = fields.integer(
        low=1, high=CONTENT.members_page_max, default=CONTENT.members_page_max
    )

    def ask(self, state: Group, context: Context) -> dict[str, Any]:
        """Give all but the members, who are read from the index."""
        now_ms = context.now_ms
        shown = {
            **public_card(context.stream.key, state),
            "members_max": state.rules(context).members_max,
            "plan": state.plan,
            "head": state.seq,
            "messages": state.n,
            "all_muted": state.all_muted,
            "slow_mode_ms": state.slow_mode_ms,
            "settings": shown_settings(state),
            "pins": list(state.pins),
            "links": shown_links(state),
            "requests": len(state.requests),
            "invitations": len(state.invitations),
            "bans": sum(ban.holds(now_ms) for ban in state.bans.values()),
        }
        if state.announcement is not None:
            shown["announcement"] = state.announcement.seq
        return shown
