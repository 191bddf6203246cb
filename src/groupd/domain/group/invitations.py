"""Invitations: a user is asked to come in, and accepts or declines; or is added at once.

A small group may be joined by being invited, as people expect of a chat among friends; from the
plan's ``direct_add_below`` members on, whoever is invited decides for themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Final

import attrs

from groupd.config import CONTENT
from groupd.domain import fields
from groupd.domain.base import (
    ACCOUNT,
    Audience,
    Command,
    Context,
    Decision,
    Event,
    Identity,
    Needs,
    Receipt,
    Record,
    Rule,
    StreamKey,
    Unchanged,
)
from groupd.domain.group.admission import LINK_NOT_USED_UP, admitted, open_request
from groupd.domain.group.conditions import MEETS_CONDITION
from groupd.domain.group.entry import (
    COOLDOWN,
    HAS_ROOM,
    INVITES_ON,
    JOINED,
    JOINED_QUOTA,
    NOT_BANNED,
    PENDING,
    REQUESTS_MAX,
    Way,
    banned,
    invitation_of,
    is_over,
    room_where,
    way_by_invitation,
)
from groupd.domain.group.membership import Joined, enter, entered
from groupd.domain.group.parts import Invitation
from groupd.domain.group.state import Group
from groupd.errors import Rejected

INVITED: Final = "invited"


@attrs.frozen
class Invited(Event):
    """Somebody may join, if they want to. Only admins see it, and who is invited hears of it."""

    kind = "invited"
    audience = Audience.ADMINS
    followed = True

    member: str = fields.stored("user", "")
    """Who is invited."""
    grants: str = fields.stored("join_status", JOINED)
    """What accepting gives: ``joined``, or ``pending`` where admins decide afterwards."""

    def apply(self, state: Group, record: Record) -> None:
        """Note the invitation, in place of an earlier one."""
        state.invitations.pop(self.member, None)
        state.invitations[self.member] = Invitation(
            record.seq, record.time_ms, record.user, self.grants
        )

    def receipt_value(self) -> str:
        """Give what inviting answers."""
        return INVITED


@attrs.frozen
class InviteDeclined(Event):
    """Somebody who is invited does not want to join."""

    kind = "invite_declined"
    audience = Audience.ADMINS
    followed = True

    def apply(self, state: Group, record: Record) -> None:
        """Take the invitation away."""
        state.invitations.pop(record.user, None)


@attrs.frozen
class InviteExpired(Event):
    """Somebody who is invited has not answered in time."""

    kind = "invite_expired"
    audience = Audience.ADMINS
    followed = True

    member: str = fields.stored("user", "")
    """Who was invited."""

    def apply(self, state: Group, record: Record) -> None:
        """Take the invitation away."""
        state.invitations.pop(self.member, None)


# --- inviting


def _granted(state: Group, context: Context) -> str:
    """Say what an invitation of the caller's gives: no more than they may give themselves."""
    by_policy = PENDING if state.settings.join_policy == "approval" else JOINED
    return JOINED if state.is_admin(context.caller.user) else by_policy


def _approves(state: Group, context: Context, request: Any) -> bool:
    return request.user in state.requests and state.is_admin(context.caller.user)


def _adds(state: Group, context: Context, request: Any) -> bool:
    """Say whether the invited user is added without being asked."""
    user = request.user
    person = context.fetched.users.get(user)
    if user in state.members or person is None:
        return False
    settings = state.settings
    may_admit = settings.join_policy != "approval" and not settings.conditions
    if not (may_admit or state.is_admin(context.caller.user)):
        return False
    plan = context.rules.plan("" if person.profile is None else person.profile.plan)
    has_room = context.holdings.joined < plan.groups_joined_max
    return has_room and len(state.members) < state.rules(context).direct_add_below


def _joins(state: Group, context: Context, request: Any) -> bool:
    return _approves(state, context, request) or _adds(state, context, request)


def _refuse_banned(state: Group, context: Context, request: Any) -> Rejected | None:
    return banned(state, request.user, context.now_ms)


def _refuse_blocked(state: Group, context: Context, request: Any) -> Rejected | None:
    blockers = context.fetched.blocks.get((context.caller.user, request.user), ())
    if request.user in state.members or request.user not in blockers:
        return None
    return Rejected("forbidden", f"{request.user} has blocked the caller", reason="blocked")


def _refuse_crowd(state: Group, context: Context, request: Any) -> Rejected | None:
    limit, used, user = CONTENT.invitations_max, len(state.invitations), request.user
    has_place = user in state.members or user in state.requests or user in state.invitations
    if used < limit or has_place or _adds(state, context, request):
        return None
    return Rejected(
        "quota_exceeded",
        "as many are invited as may be at a time",
        quota="invitations",
        limit=limit,
        used=used,
    )


@attrs.frozen
class Invite(Command):
    """Ask a user into the group; where plan and settings let the caller, add them at once."""

    method = "invite"
    by_system = True
    cost = 2
    in_direct = False
    through_account = True
    result: ClassVar = {"status": "invite_status", "seq": "seq"}
    rules = (
        INVITES_ON,
        Rule("target_banned", "group", _refuse_banned),
        Rule("not_blocked", "account", _refuse_blocked),
        LINK_NOT_USED_UP,
        room_where(_joins),
        Rule(
            "invitations_max",
            "contract",
            _refuse_crowd,
            lambda state, context: CONTENT.invitations_max,
        ),
    )

    user: str = fields.user()

    def counted(self, caller: Identity) -> StreamKey:
        """Pass through the account of the invited: adding them takes one of their places."""
        return StreamKey(ACCOUNT, caller.tenant, self.user)

    def needs(self, state: Group, caller: Identity) -> Needs:
        """Fetch the user's profile, and whether they have blocked the caller."""
        return Needs(users=(self.user,), blocks=((caller.user, self.user),))

    def decide(self, state: Group, context: Context) -> Decision:
        """Approve, add or invite them; who is in, has asked or is invited stays so."""
        user = self.user
        member, waiting = state.members.get(user), state.requests.get(user)
        if member is not None:
            return Unchanged({"status": JOINED, "seq": member.joined_seq})
        if _approves(state, context, self):
            asked = open_request(state, user, context)
            return [admitted(state, user, asked, now_ms=context.now_ms)]
        if _adds(state, context, self):
            profile = context.fetched.users[user].profile
            name = "" if profile is None else profile.name
            return [
                Joined(
                    via="added",
                    name=name,
                    member=user,
                    history=state.settings.history,
                    muted_until_ms=state.muted_until_ms(user, context.now_ms),
                )
            ]
        if waiting is not None:
            # As good as invited. That they have asked is for admins to know.
            return Unchanged({"status": INVITED, "seq": waiting.seq})
        grants = _granted(state, context)
        earlier = invitation_of(state, user, context.now_ms)
        if earlier is not None and earlier.grants in (JOINED, grants):
            return Unchanged({"status": INVITED, "seq": earlier.seq})
        return [Invited(member=user, grants=grants)]

    def answer(self, receipt: Receipt, context: Context) -> dict[str, Any]:
        """Say whether the user is in or invited."""
        return {"status": receipt.value or JOINED, "seq": receipt.seq}


# --- answering


def _refuse_uninvited(state: Group, context: Context, request: Any) -> Rejected | None:
    user = context.caller.user
    # Who has accepted before is inside, or waits.
    if user in state.members or user in state.requests:
        return None
    if invitation_of(state, user, context.now_ms) is not None:
        return None
    return _not_invited()


def _refuse_without_invitation(state: Group, context: Context, request: Any) -> Rejected | None:
    return None if context.caller.user in state.invitations else _not_invited()


def _not_invited() -> Rejected:
    return Rejected("forbidden", "there is no invitation of the caller", reason="not_invited")


@attrs.frozen
class AcceptInvite(Command):
    """Join a group that one is invited to; or ask to, where its admins decide."""

    method = "accept_invite"
    cost = 2
    min_role = None
    in_direct = False
    through_account = True
    result: ClassVar = {"status": "join_status", "group": "group", "seq": "seq"}
    rules = (
        Rule("invited", "group", _refuse_uninvited),
        NOT_BANNED,
        MEETS_CONDITION,
        JOINED_QUOTA,
        COOLDOWN,
        REQUESTS_MAX,
        HAS_ROOM,
    )

    def way(self, state: Group, context: Context) -> Way | None:
        """Give the way that the invitation opens."""
        return way_by_invitation(state, context)

    def decide(self, state: Group, context: Context) -> Decision:
        """Admit the caller, or let them wait."""
        return enter(state, context, self.way(state, context))

    def answer(self, receipt: Receipt, context: Context) -> dict[str, Any]:
        """Say whether the caller has joined or waits."""
        return entered(context.stream.key, receipt.seq, receipt.value or JOINED)


@attrs.frozen
class DeclineInvite(Command):
    """Say that one does not want to join a group that one is invited to."""

    method = "decline_invite"
    min_role = None
    in_direct = False
    rules = (Rule("invited", "group", _refuse_without_invitation),)

    def decide(self, state: Group, context: Context) -> Decision:
        """End the invitation."""
        return [InviteDeclined()]


# --- time


def deadline_ms(state: Group) -> int | None:
    """Give the time at which the oldest invitation is over, or None."""
    oldest = next(iter(state.invitations.values()), None)
    return None if oldest is None else oldest.at_ms + CONTENT.request_lasts_ms


def due(state: Group, now_ms: int) -> Sequence[Event]:
    """Give the ends of the invitations whose time is over."""
    return [
        InviteExpired(member=user)
        for user, invitation in state.invitations.items()
        if is_over(invitation.at_ms, now_ms)
    ]
