"""Who ranks how in a group: roles, and handing the group over.

Placement rules:
- Who may do something to whom is a matter of rank. The rules for that stand here, for nicknames and
  moderation as well: ``NOT_YOURSELF``, ``NAMES_MEMBER``, ``BELOW``.
- A group has one owner. It has none only after an owner has left it to an heir; it is then offered
  to the oldest admin, next to the oldest member, to each of them once, until one accepts. Whoever
  joins meanwhile is a candidate, too.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Final

import attrs

from groupd.config import CONTENT
from groupd.domain import fields
from groupd.domain.base import (
    Audience,
    Command,
    Context,
    Decision,
    Event,
    Record,
    Role,
    Rule,
    Unchanged,
)
from groupd.domain.group.parts import Member, Offer
from groupd.domain.group.state import Group
from groupd.domain.projection import Change, PutCard, SetMember
from groupd.errors import Rejected

# --- the rules about whom something is done to: ``request.user``, None where nobody is named


def _refuse_oneself(state: Group, context: Context, request: Any) -> Rejected | None:
    if request.user != context.caller.user:
        return None
    return Rejected("forbidden", "this cannot be done to oneself", reason="yourself")


def _refuse_stranger(state: Group, context: Context, request: Any) -> Rejected | None:
    if request.user is None or request.user in state.members:
        return None
    return Rejected("not_found", "no such member")


def _refuse_same_rank(state: Group, context: Context, request: Any) -> Rejected | None:
    caller, other = context.caller.user, request.user
    rank, other_rank = state.role_of(caller), state.role_of(other)
    if other == caller or rank is None or other_rank is None or other_rank < rank:
        return None
    return Rejected("forbidden", "this takes a role above that of the other member", reason="rank")


def _rank(state: Group, context: Context) -> str | None:
    role = state.role_of(context.caller.user)
    return None if role is None else role.label


NOT_YOURSELF: Final = Rule("not_yourself", "contract", _refuse_oneself)
NAMES_MEMBER: Final = Rule("names_member", "group", _refuse_stranger)
BELOW: Final = Rule("rank", "role", _refuse_same_rank, _rank)
"""Nobody does anything to a member of the same or of a higher rank. A stranger has no rank."""


# --- roles


@attrs.frozen
class RoleSet(Event):
    """A member has another role from now on."""

    kind = "role_set"
    moves = True

    member: str = fields.stored("user", "")
    role: str = fields.stored("role", "member")

    def apply(self, state: Group, record: Record) -> None:
        """Change the role."""
        member = state.members.get(self.member)
        if member is not None:
            _give_role(member, Role.of(self.role), record)

    def views(self, record: Record) -> Sequence[tuple[str, Audience | None]]:
        """Let admins read what only they may, and nobody else."""
        is_admin = Role.of(self.role) >= Role.ADMIN
        return ((self.member, Audience.ADMINS if is_admin else Audience.MEMBERS),)

    def project(self, record: Record) -> Sequence[Change]:
        """Show the role in the list of members."""
        return (SetMember(self.member, {"role": Role.of(self.role)}),)


def _refuse_more_admins(state: Group, context: Context, request: SetRole) -> Rejected | None:
    if request.role != Role.ADMIN.label or state.role_of(request.user) is not Role.MEMBER:
        return None
    limit = state.rules(context).admins_max
    used = sum(member.role is Role.ADMIN for member in state.members.values())
    if used < limit:
        return None
    return Rejected(
        "quota_exceeded",
        f"the group's plan has room for {limit} admins",
        quota="admins",
        limit=limit,
        used=used,
    )


ADMINS_MAX: Final = Rule(
    "admins_max",
    "plan",
    _refuse_more_admins,
    lambda state, context: state.rules(context).admins_max,
)


@attrs.frozen
class SetRole(Command):
    """Make a member an admin, or an admin a plain member."""

    method = "set_role"
    by_system = True
    min_role = Role.OWNER
    in_direct = False
    rules = (NOT_YOURSELF, NAMES_MEMBER, ADMINS_MAX)

    user: str = fields.user()
    role: str = fields.choice(Role.MEMBER.label, Role.ADMIN.label)

    def decide(self, state: Group, context: Context) -> Decision:
        """Change the role, if it is another one."""
        member = state.members[self.user]
        if member.role is Role.of(self.role):
            return Unchanged({"seq": member.role_seq or member.joined_seq})
        return [RoleSet(self.user, self.role)]


# --- handing the group over


@attrs.frozen
class TransferOffered(Event):
    """The group is offered to a member, in place of whoever had the offer before.

    Its ``user`` is the owner. In a group without one it is the user whose leaving or declining
    made it the member's turn, or the server.
    """

    kind = "transfer_offered"
    audience = Audience.ADMINS
    followed = True

    member: str = fields.stored("user", "")

    def apply(self, state: Group, record: Record) -> None:
        """Keep the offer."""
        state.offer = Offer(record.seq, record.time_ms, self.member)


@attrs.frozen
class TransferDeclined(Event):
    """An offer is over: the heir has declined, or the owner has taken it back."""

    kind = "transfer_declined"
    audience = Audience.ADMINS
    followed = True

    member: str = fields.stored("user", "")
    """To whom the group was offered."""

    def apply(self, state: Group, record: Record) -> None:
        """End the offer."""
        _end_offer(state, self.member, record.seq)


@attrs.frozen
class TransferExpired(Event):
    """An offer is over, because nobody has answered it in time."""

    kind = "transfer_expired"
    audience = Audience.ADMINS
    followed = True

    member: str = fields.stored("user", "")
    """To whom the group was offered."""

    def apply(self, state: Group, record: Record) -> None:
        """End the offer."""
        _end_offer(state, self.member, record.seq)


@attrs.frozen
class Transferred(Event):
    """The event's ``user`` owns the group from now on."""

    kind = "transferred"
    followed = True
    moves = True

    former: str = fields.stored("user", "")
    """Who owned it, and is an admin now; empty where nobody did."""

    def apply(self, state: Group, record: Record) -> None:
        """Hand the group over. Nobody could unmute an owner, so a mute ends."""
        former, heir = state.members.get(self.former), state.members.get(record.user)
        if former is not None:
            _give_role(former, Role.ADMIN, record)
        if heir is not None:
            _give_role(heir, Role.OWNER, record)
            heir.muted_until_ms = 0
        state.owner = record.user
        state.offer = None
        state.passed_over.clear()

    def views(self, record: Record) -> Sequence[tuple[str, Audience | None]]:
        """Let both read what only admins may."""
        users = (self.former, record.user) if self.former else (record.user,)
        return tuple((user, Audience.ADMINS) for user in users)

    def project(self, record: Record) -> Sequence[Change]:
        """Show the owner on the card, and both roles in the list of members."""
        heir = SetMember(record.user, {"role": Role.OWNER, "muted_until_ms": 0})
        card = PutCard({"owner": record.user})
        if not self.former:
            return (heir, card)
        return (SetMember(self.former, {"role": Role.ADMIN}), heir, card)


def standing_offer(state: Group, now_ms: int) -> Offer | None:
    """Give the offer that can be accepted now."""
    offer = state.offer
    return offer if offer is not None and now_ms < _ends_ms(offer) else None


def _is_new_owner(state: Group, user: str) -> bool:
    return user == state.owner and state.members[user].role_seq > 0


def _refuse_without_offer(state: Group, context: Context, request: Any) -> Rejected | None:
    caller, offer = context.caller.user, standing_offer(state, context.now_ms)
    if (offer is not None and offer.heir == caller) or _is_new_owner(state, caller):
        return None
    return Rejected("conflict", "the group is not offered to you", reason="state")


def _refuse_heir(state: Group, context: Context, request: Any) -> Rejected | None:
    if context.caller.user == state.owner:
        return None
    limit = context.rules.plan(context.caller.plan).groups_owned_max
    used = len(context.holdings.owned)
    if used < limit:
        return None
    return Rejected(
        "quota_exceeded",
        f"the plan {context.caller.plan} has room for {limit} groups",
        quota="groups_owned",
        limit=limit,
        used=used,
    )


def _refuse_decliner(state: Group, context: Context, request: Any) -> Rejected | None:
    offer = standing_offer(state, context.now_ms)
    if offer is not None and context.caller.user in (offer.heir, state.owner):
        return None
    return Rejected("conflict", "there is no offer to decline", reason="state")


OFFERED: Final = Rule("offered", "group", _refuse_without_offer)
HEIR_QUOTA: Final = Rule(
    "groups_owned_max",
    "plan",
    _refuse_heir,
    lambda state, context: context.rules.plan(context.caller.plan).groups_owned_max,
)
"""Being given groups is no way around the quota for founding them."""
MAY_DECLINE: Final = Rule("may_decline", "group", _refuse_decliner)


@attrs.frozen
class Transfer(Command):
    """Offer the group to a member. It stays the owner's until they accept."""

    method = "transfer"
    cost = 2
    min_role = Role.OWNER
    in_direct = False
    rules = (NOT_YOURSELF, NAMES_MEMBER)

    user: str = fields.user()

    def decide(self, state: Group, context: Context) -> Decision:
        """Offer it, unless it is offered to them already."""
        offer = standing_offer(state, context.now_ms)
        if offer is not None and offer.heir == self.user:
            return Unchanged({"seq": offer.seq})
        if offer is not None:
            # So that the account of whoever had it hears that it is over.
            return [TransferOffered(self.user), TransferDeclined(offer.heir)]
        return [TransferOffered(self.user)]


@attrs.frozen
class AcceptTransfer(Command):
    """Become the owner of a group that was offered; the former owner becomes an admin."""

    method = "accept_transfer"
    cost = 2
    in_direct = False
    through_account = True
    rules = (OFFERED, HEIR_QUOTA)

    def decide(self, state: Group, context: Context) -> Decision:
        """Hand it over. Who has accepted before owns it already."""
        user = context.caller.user
        if user == state.owner:
            return Unchanged({"seq": state.members[user].role_seq})
        return [Transferred(state.owner)]


@attrs.frozen
class DeclineTransfer(Command):
    """Decline a group that was offered; the owner takes the offer back by it."""

    method = "decline_transfer"
    in_direct = False
    rules = (MAY_DECLINE,)

    def decide(self, state: Group, context: Context) -> Decision:
        """End the offer; a group without an owner is offered to the next."""
        offer = state.offer
        assert offer is not None, "a rule has seen to it"
        declined = TransferDeclined(offer.heir)
        return [declined, *([] if state.owner else next_offer(state, (offer.heir,)))]


# --- groups without an owner, and offers that run out


def next_offer(state: Group, without: Collection[str] = ()) -> list[Event]:
    """Give the offer to the oldest admin, or else member, who has not had it; or nothing."""
    candidates = [
        (-member.role, member.joined_seq, user)
        for user, member in state.members.items()
        if user not in state.passed_over and user not in without
    ]
    return [TransferOffered(min(candidates)[-1])] if candidates else []


def after_leaving(state: Group, user: str) -> list[Event]:
    """Give what follows, beside it, when ``user`` is about to be taken out of the group."""
    if state.direct:
        return []
    if user == state.owner:
        # Whom the owner has offered it to keeps the offer.
        return next_offer(state, (user,)) if state.offer is None else []
    was_offered = state.offer is not None and state.offer.heir == user
    return next_offer(state, (user,)) if was_offered and not state.owner else []


def deadline_ms(state: Group) -> int | None:
    """Give the time at which ``due`` has something to say of the offer, or None."""
    if state.dissolved or state.direct:
        return None
    if state.offer is not None:
        return _ends_ms(state.offer)
    if not state.owner and any(user not in state.passed_over for user in state.members):
        return state.time_ms
    return None


def due(state: Group, now_ms: int) -> Sequence[Event]:
    """Give the end of an offer whose time is over, and in an ownerless group the next one."""
    if state.dissolved or state.direct:
        return ()
    offer = state.offer
    if offer is None:
        return () if state.owner else next_offer(state)
    if now_ms < _ends_ms(offer):
        return ()
    return [TransferExpired(offer.heir), *([] if state.owner else next_offer(state, (offer.heir,)))]


def _ends_ms(offer: Offer) -> int:
    return offer.at_ms + CONTENT.request_lasts_ms


def _end_offer(state: Group, heir: str, seq: int) -> None:
    if state.offer is not None and state.offer.heir == heir:
        state.offer = None
    if not state.owner and heir in state.members:
        # Only of members, so that it never outgrows them.
        kept = {user: at for user, at in state.passed_over.items() if user in state.members}
        state.passed_over = {**kept, heir: seq}


def _give_role(member: Member, role: Role, record: Record) -> None:
    member.role = role
    member.role_seq = record.seq
