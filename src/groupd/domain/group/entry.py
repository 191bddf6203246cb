"""The ways into a group, and the rules for whoever comes in by themselves.

Placement rules:
- A rule stands here if several requests of newcomers share it. What a request alone asks for
  stands beside it: ``membership`` (``join``), ``admission``, ``invitations``.
- Each rule holds for who is a member already, so that joining again is answered ``joined``.
- A rule about how somebody would come in asks the request: ``request.way(state, context)``.

An invitation goes before a link, and a link before the group's join policy.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol

import attrs

from groupd.config import CONTENT
from groupd.domain.base import Context, Request, Rule
from groupd.domain.group.parts import Invitation, Link
from groupd.domain.group.state import Group
from groupd.errors import REASONS, Rejected

JOINED: Final = "joined"
PENDING: Final = "pending"


@attrs.frozen
class Way:
    """How somebody would come in: at once, or after an admin's approval."""

    status: str
    """``joined`` or ``pending``."""
    via: str
    link: int | None = None
    channel: str = ""
    sharer: str = ""


class Entering(Protocol):
    """A request by which its caller comes in."""

    def way(self, state: Group, context: Context) -> Way | None:
        """Give the way that it takes, or None where there is none."""


def way_by_invitation(state: Group, context: Context) -> Way | None:
    """Give the way that the caller's invitation opens."""
    invitation = invitation_of(state, context.caller.user, context.now_ms)
    if invitation is None:
        return None
    return Way(invitation.grants, "invite", sharer=invitation.by)


def way_by_link(link: Link) -> Way:
    """Give the way that a link opens."""
    return Way(link.grants, "link", link=link.number, channel=link.channel, sharer=link.by)


def way_by_policy(state: Group) -> Way | None:
    """Give the way of those who come without invitation or link."""
    status = {"open": JOINED, "approval": PENDING}.get(state.settings.join_policy)
    return None if status is None else Way(status, "search")


def invitation_of(state: Group, user: str, now_ms: int) -> Invitation | None:
    """Give a user's invitation while it lasts; the server takes it away a moment later."""
    invitation = state.invitations.get(user)
    return None if invitation is None or is_over(invitation.at_ms, now_ms) else invitation


def is_over(since_ms: int, now_ms: int) -> bool:
    """Say whether a request or an invitation has waited for as long as it may."""
    return now_ms >= since_ms + CONTENT.request_lasts_ms


def find_link(state: Group, code: str, context: Context) -> Link:
    """Give the link of a code, working or not; raises ``not_found``."""
    found = state.link_of(code, context)
    if found is None:
        raise no_such_link()
    return found


def no_such_link() -> Rejected:
    """Make the error for a wrong code."""
    return Rejected("not_found", "no such link")


def dead_link(reason: str) -> Rejected:
    """Make the error for a link that no longer works."""
    return Rejected("conflict", REASONS[reason], reason=reason)


def refuse_dead(link: Link, now_ms: int) -> None:
    """Raise ``conflict`` where a link no longer works."""
    reason = link.dead_reason(now_ms)
    if reason is not None:
        raise dead_link(reason)


# --- the rules


def _is_inside(state: Group, context: Context) -> bool:
    return context.caller.user in state.members


def _waits(state: Group, context: Context) -> bool:
    return context.caller.user in state.requests


def _has_status(status: str, state: Group, context: Context, request: Entering) -> bool:
    way = request.way(state, context)
    return way is not None and way.status == status


def _refuse_no_link(state: Group, context: Context, request: Request) -> Rejected | None:
    code = getattr(request, "code", None)
    if code is None:
        return None
    link = state.link_of(code, context)
    if link is None:
        return no_such_link()
    reason = link.dead_reason(context.now_ms)
    if reason is None or _is_inside(state, context):
        return None
    invited = way_by_invitation(state, context)
    return None if invited is not None and invited.status == JOINED else dead_link(reason)


def banned(state: Group, user: str, now_ms: int) -> Rejected | None:
    """Give the refusal of somebody who is banned, or None."""
    ban = state.bans.get(user)
    if ban is None or user in state.members or not ban.holds(now_ms):
        return None
    until = {"until_ms": ban.until_ms} if ban.until_ms else {}
    return Rejected("forbidden", f"{user} is banned from this group", reason="banned", **until)


def _refuse_banned(state: Group, context: Context, request: Request) -> Rejected | None:
    return banned(state, context.caller.user, context.now_ms)


def _refuse_policy(state: Group, context: Context, request: Entering) -> Rejected | None:
    if state.settings.join_policy != "invite_only" or getattr(request, "code", None) is not None:
        return None
    if _is_inside(state, context) or _waits(state, context):
        return None
    if request.way(state, context) is not None:
        return None
    return Rejected("forbidden", "this group is joined by invitation or link", reason="invite_only")


def _refuse_quota(state: Group, context: Context, request: Request) -> Rejected | None:
    # An open request to this group is among the groups that are counted.
    if _is_inside(state, context) or _waits(state, context):
        return None
    limit, used = _joined_max(state, context), context.holdings.joined
    if used < limit:
        return None
    return Rejected(
        "quota_exceeded",
        f"the plan {context.caller.plan} has room for {limit} groups and join requests",
        quota="groups_joined",
        limit=limit,
        used=used,
    )


def _joined_max(state: Group, context: Context) -> int:
    return context.rules.plan(context.caller.plan).groups_joined_max


def _refuse_cooldown(state: Group, context: Context, request: Entering) -> Rejected | None:
    refusal = state.declined.get(context.caller.user)
    if refusal is None or context.now_ms >= refusal.until_ms:
        return None
    if _is_inside(state, context) or _waits(state, context):
        return None
    if not _has_status(PENDING, state, context, request):
        return None
    return Rejected(
        "rate_limited",
        "a join request was declined not long ago",
        retry_after_ms=refusal.until_ms - context.now_ms,
        reason="cooldown",
    )


def _refuse_crowd(state: Group, context: Context, request: Entering) -> Rejected | None:
    limit, used = CONTENT.requests_max, len(state.requests)
    if used < limit or _is_inside(state, context) or _waits(state, context):
        return None
    if not _has_status(PENDING, state, context, request):
        return None
    return Rejected(
        "quota_exceeded",
        "as many wait for a decision as may; its admins decide some first",
        quota="requests",
        limit=limit,
        used=used,
    )


def room_where(joins: Callable[[Group, Context, Any], bool]) -> Rule:
    """Make the rule that the group has room, for requests by which somebody would join at once.

    ``joins(state, context, request)`` says whether somebody would who is no member yet.
    """

    def refuse(state: Group, context: Context, request: Any) -> Rejected | None:
        limit = state.rules(context).members_max
        if len(state.members) < limit or not joins(state, context, request):
            return None
        return Rejected("group_full", f"the group has {limit} members already", limit=limit)

    return Rule(
        "members_max", "plan", refuse, lambda state, context: state.rules(context).members_max
    )


def _joins(state: Group, context: Context, request: Entering) -> bool:
    return not _is_inside(state, context) and _has_status(JOINED, state, context, request)


def _refuse_uninviting(state: Group, context: Context, request: Request) -> Rejected | None:
    if state.settings.member_invites or state.is_admin(context.caller.user):
        return None
    return Rejected("forbidden", "members may not invite here", reason="invites_off")


LINK_WORKS: Final = Rule("link", "group", _refuse_no_link)
"""The link by which somebody comes is one, and still works."""
NOT_BANNED: Final = Rule("banned", "group", _refuse_banned)
POLICY: Final = Rule(
    "join_policy", "group", _refuse_policy, lambda state, context: state.settings.join_policy
)
JOINED_QUOTA: Final = Rule("groups_joined_max", "plan", _refuse_quota, _joined_max)
COOLDOWN: Final = Rule(
    "cooldown",
    "contract",
    _refuse_cooldown,
    lambda state, context: context.rules.limits.request_cooldown_ms,
)
"""Who was declined waits for a while before they ask again; joining at once asks nobody."""
REQUESTS_MAX: Final = Rule(
    "requests_max", "contract", _refuse_crowd, lambda state, context: CONTENT.requests_max
)
HAS_ROOM: Final = room_where(_joins)
INVITES_ON: Final = Rule(
    "member_invites",
    "group",
    _refuse_uninviting,
    lambda state, context: state.settings.member_invites,
)
"""Plain members invite and share only where the group lets them."""
