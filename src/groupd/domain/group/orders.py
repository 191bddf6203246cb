"""Customers: who has ordered what a group is bound to is invited, once and never again.

That a customer was dealt with is an event, and a row of the index made from it (``CUSTOMER``). It
stays whatever becomes of them, so nobody is asked twice: not by an order that is told of again,
years later too, and not by another one after they have declined or left. Group and customer are all
that counts; the order is kept to give a repeated one its first answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Final

import attrs

from groupd.config import CONTENT
from groupd.domain import fields
from groupd.domain.base import (
    Audience,
    Command,
    Context,
    Decision,
    Event,
    Fetched,
    Identity,
    Needs,
    Receipt,
    Record,
    Role,
    Rule,
    Unchanged,
)
from groupd.domain.group.entry import JOINED, PENDING, banned, invitation_of
from groupd.domain.group.invitations import INVITED, Invited
from groupd.domain.group.state import Group
from groupd.domain.projection import CUSTOMER, Change, PutTie, Tie
from groupd.errors import Rejected

BEFORE: Final = "before"
"""What becomes of a later order: an earlier one has done all that there is to do."""


@attrs.frozen
class Ordered(Event):
    """A customer has ordered for the first time since the group was bound."""

    kind = "ordered"
    audience = Audience.ADMINS
    touches = True

    member: str = fields.stored("user", "")
    """The customer."""
    order: str = ""
    """The host's id of the order."""
    status: str = fields.stored("invite_status", INVITED)
    """``invited``; ``joined`` where they were a member, ``pending`` where they had asked."""

    def project(self, record: Record) -> Sequence[Change]:
        """Remember the customer for good."""
        return (PutTie(CUSTOMER, self.member, record.seq, state=self.status, note=self.order),)

    def touch(self, fetched: Fetched, record: Record) -> None:
        """Let the next order of this batch see it."""
        fetched.retie(CUSTOMER, self.member, Tie(record.seq, self.status, self.order))

    def receipt_value(self) -> str:
        """Give what the order has come to."""
        return self.status


def _is_known(context: Context, request: Any) -> bool:
    return context.fetched.ties.get((CUSTOMER, request.user)) is not None


def _is_inside(state: Group, user: str) -> bool:
    return user in state.members or user in state.requests


def _refuse_banned(state: Group, context: Context, request: Any) -> Rejected | None:
    if _is_known(context, request):
        return None
    return banned(state, request.user, context.now_ms)


def _refuse_full(state: Group, context: Context, request: Any) -> Rejected | None:
    limit = state.rules(context).members_max
    if len(state.members) < limit or request.user in state.members or _is_known(context, request):
        return None
    return Rejected("group_full", f"the group has {limit} members already", limit=limit)


def _refuse_crowd(state: Group, context: Context, request: Any) -> Rejected | None:
    limit, used, user = CONTENT.invitations_max, len(state.invitations), request.user
    has_place = _is_inside(state, user) or user in state.invitations
    if used < limit or has_place or _is_known(context, request):
        return None
    return Rejected(
        "quota_exceeded",
        "as many are invited as may be at a time",
        quota="invitations",
        limit=limit,
        used=used,
    )


@attrs.frozen
class InviteCustomer(Command):
    """Invite somebody who has ordered, unless they were dealt with before.

    The host's own; no client can send it. They are never added unasked: who buys something has
    not said that they want to talk.
    """

    method = "invite_customer"
    by_system = True
    min_role = Role.OWNER
    in_direct = False
    result: ClassVar = {"status": "string", "seq": "seq"}
    rules = (
        Rule("target_banned", "group", _refuse_banned),
        Rule("members_max", "plan", _refuse_full),
        Rule("invitations_max", "contract", _refuse_crowd),
    )

    user: str = fields.user()
    order: str = fields.name(CONTENT.ref_max)

    def needs(self, state: Group, caller: Identity) -> Needs:
        """Fetch what an earlier order has come to."""
        return Needs(ties=((CUSTOMER, self.user),))

    def decide(self, state: Group, context: Context) -> Decision:
        """Invite whoever is neither in nor about to be, and remember the customer."""
        user = self.user
        known = context.fetched.ties.get((CUSTOMER, user))
        if known is not None:
            status = known.state if known.note == self.order else BEFORE
            return Unchanged({"status": status, "seq": known.seq})
        if _is_inside(state, user):
            status = JOINED if user in state.members else PENDING
            return [Ordered(user, self.order, status)]
        ordered = Ordered(user, self.order, INVITED)
        earlier = invitation_of(state, user, context.now_ms)
        if earlier is not None and earlier.grants == JOINED:
            return [ordered]
        return [ordered, Invited(member=user, grants=JOINED)]

    def answer(self, receipt: Receipt, context: Context) -> dict[str, Any]:
        """Say what the order has come to."""
        return {"status": receipt.value or INVITED, "seq": receipt.seq}
