"""Who is in a group: joining it or asking to, and leaving.

What becomes of those who ask stands in ``admission.py``, who is invited in ``invitations.py``; by
which ways and under which rules somebody comes in, in ``entry.py``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import attrs

from groupd.config import CONTENT
from groupd.domain import fields
from groupd.domain.base import (
    Audience,
    Command,
    Context,
    Decision,
    Event,
    Identity,
    Receipt,
    Record,
    Role,
    Rule,
    StreamKey,
    Unchanged,
)
from groupd.domain.group.conditions import MEETS_CONDITION
from groupd.domain.group.entry import (
    COOLDOWN,
    HAS_ROOM,
    JOINED,
    JOINED_QUOTA,
    LINK_WORKS,
    NOT_BANNED,
    PENDING,
    POLICY,
    REQUESTS_MAX,
    Way,
    way_by_invitation,
    way_by_link,
    way_by_policy,
)
from groupd.domain.group.parts import JoinRequest, Member
from groupd.domain.group.roles import after_leaving
from groupd.domain.group.settings import Dissolved
from groupd.domain.group.state import Group
from groupd.domain.links import LinkKeys
from groupd.domain.projection import (
    Change,
    DropMember,
    DropRequest,
    PutCard,
    PutMember,
    PutRequest,
    SetMember,
)
from groupd.errors import Rejected


@attrs.frozen
class Joined(Event):
    """Somebody is a member from now on."""

    kind = "joined"
    followed = True
    lets_in = True
    moves = True

    via: str = fields.stored("via", "")
    """``created``, ``added``, ``invite``, ``approval``, ``search``, ``link`` or ``direct``."""
    name: str = ""
    """The joiner's, from their token; empty for somebody who was added unseen."""
    member: str = fields.stored("user", "")
    """Who joined, where that is not the event's ``user``."""
    role: str = fields.stored("role", "member")
    history: str = fields.stored("history_policy", "all")
    """``joined`` where the member reads from this event on, and nothing before it."""
    link: int | None = None
    channel: str = ""
    sharer: str = fields.stored("user", "")
    """Who made the link, or gave the invitation."""
    muted_until_ms: int = fields.stored("time_ms", 0)
    """Until when they are still muted from an earlier time here."""

    def apply(self, state: Group, record: Record) -> None:
        """Add the member, and count the use of the link. An earlier refusal is forgotten."""
        member = Member(
            role=Role.of(self.role),
            name=self.name,
            joined_ms=record.time_ms,
            joined_seq=record.seq,
            floor=self._floor(record),
            muted_until_ms=self.muted_until_ms,
        )
        state.admit(self.member or record.user, member)
        state.declined.pop(self.member or record.user, None)
        link = state.links.get(self.link) if self.link is not None else None
        if link is not None:
            link.uses += 1

    def _floor(self, record: Record) -> int:
        return record.seq if self.history == "joined" else 1

    def views(self, record: Record) -> Sequence[tuple[str, Audience | None]]:
        """Let the member read from this event on."""
        is_admin = Role.of(self.role) >= Role.ADMIN
        audience = Audience.ADMINS if is_admin else Audience.MEMBERS
        return ((self.member or record.user, audience),)

    def project(self, record: Record) -> Sequence[Change]:
        """List the member, who waits for nothing any more."""
        user = self.member or record.user
        put = PutMember(
            user=user,
            role=Role.of(self.role),
            name=self.name,
            joined_ms=record.time_ms,
            joined_seq=record.seq,
            floor=self._floor(record),
        )
        if not self.muted_until_ms:
            return (DropRequest(user), put)
        muted = SetMember(user, {"muted_until_ms": self.muted_until_ms})
        return (DropRequest(user), put, muted)


@attrs.frozen
class Left(Event):
    """Somebody is no member any more, by their own will."""

    kind = "left"
    followed = True
    moves = True

    owned: bool = False
    """True where it was the owner: then the group has none until an heir accepts it."""

    def apply(self, state: Group, record: Record) -> None:
        """Take the member out."""
        state.drop(record.user)

    def views(self, record: Record) -> Sequence[tuple[str, Audience | None]]:
        """End what the member reads with this event."""
        return ((record.user, None),)

    def project(self, record: Record) -> Sequence[Change]:
        """Take the member off the list, and an owner off the card."""
        gone = DropMember(record.user)
        return (gone, PutCard({"owner": ""})) if self.owned else (gone,)


@attrs.frozen
class Requested(Event):
    """Somebody asks to join, and waits for an admin. Only admins see it."""

    kind = "requested"
    audience = Audience.ADMINS
    followed = True

    name: str = ""
    """The requester's, from their token."""
    message: str = fields.stored("text", "")
    """What they say to the admins."""
    via: str = fields.stored("via", "")
    """How they would join: ``search``, ``link`` or ``invite``."""
    link: int | None = None
    channel: str = ""
    sharer: str = fields.stored("user", "")

    def apply(self, state: Group, record: Record) -> None:
        """Let them wait, behind those who came before."""
        state.invitations.pop(record.user, None)
        state.requests.pop(record.user, None)
        state.requests[record.user] = JoinRequest(
            seq=record.seq,
            at_ms=record.time_ms,
            name=self.name,
            message=self.message,
            via=self.via,
            link=self.link,
            channel=self.channel,
            sharer=self.sharer,
        )

    def project(self, record: Record) -> Sequence[Change]:
        """List the request: it counts as one of the user's groups."""
        return (PutRequest(record.user),)

    def receipt_value(self) -> str:
        """Give what joining answers."""
        return PENDING


@attrs.frozen
class Join(Command):
    """Become a member, by the group's id or by a link's code; or ask to, where admins decide."""

    method = "join"
    cost = 2
    min_role = None
    in_direct = False
    through_account = True
    result: ClassVar = {"status": "join_status", "group": "group", "seq": "seq"}
    rules = (
        LINK_WORKS,
        NOT_BANNED,
        POLICY,
        MEETS_CONDITION,
        JOINED_QUOTA,
        COOLDOWN,
        REQUESTS_MAX,
        HAS_ROOM,
    )

    code: str | None = fields.name(CONTENT.ref_max, default=None)
    message: str = fields.text(CONTENT.message_max, default="", min_chars=0)

    def address(self, group: str | None, caller: Identity) -> StreamKey:
        """Go to the group that is named, or that the code is for."""
        if group is None and self.code is None:
            raise Rejected("bad_request", "group or code is missing", field="group")
        return super().address(group or LinkKeys.group_of(self.code or ""), caller)

    def way(self, state: Group, context: Context) -> Way | None:
        """Give the first way that leads in at once, else the first that there is."""
        invited = way_by_invitation(state, context)
        if invited is not None and invited.status == JOINED:
            return invited
        other = way_by_policy(state)
        if self.code is not None:
            link = state.link_of(self.code, context)
            works = link is not None and link.dead_reason(context.now_ms) is None
            other = way_by_link(link) if link is not None and works else None
        if other is not None and (invited is None or other.status == JOINED):
            return other
        return invited

    def decide(self, state: Group, context: Context) -> Decision:
        """Admit the caller, or let them wait."""
        return enter(state, context, self.way(state, context), self.message)

    def answer(self, receipt: Receipt, context: Context) -> dict[str, Any]:
        """Say whether the caller has joined or waits."""
        return entered(context.stream.key, receipt.seq, receipt.value or JOINED)


def _refuse_owner(state: Group, context: Context, request: Any) -> Rejected | None:
    if context.caller.user != state.owner or context.rules.owner_leaves == "heir":
        return None
    return Rejected(
        "forbidden", "the owner cannot leave; dissolve the group", reason="owner_leaves"
    )


@attrs.frozen
class Leave(Command):
    """Stop being a member. Where an owner may leave, the group is offered to the others in turn."""

    method = "leave"
    in_direct = False
    rules = (
        Rule(
            "owner_leaves",
            "contract",
            _refuse_owner,
            lambda state, context: context.rules.owner_leaves,
        ),
    )

    def decide(self, state: Group, context: Context) -> Decision:
        """Let the caller go. With the last member the group ends."""
        user = context.caller.user
        left = Left(owned=user == state.owner)
        if len(state.members) == 1:
            return [left, Dissolved()]
        return [left, *after_leaving(state, user)]


def enter(state: Group, context: Context, way: Way | None, message: str = "") -> Decision:
    """Decide on somebody who comes in by themselves; the rules have let them."""
    caller, group = context.caller, context.stream.key
    member = state.members.get(caller.user)
    if member is not None:
        return Unchanged(entered(group, member.joined_seq, JOINED))
    waiting = state.requests.get(caller.user)
    if waiting is not None and (way is None or way.status == PENDING):
        return Unchanged(entered(group, waiting.seq, PENDING))
    assert way is not None, "the rules refuse who has no way in"
    how: dict[str, Any] = {
        "via": way.via,
        "link": way.link,
        "channel": way.channel,
        "sharer": way.sharer,
    }
    if way.status == PENDING:
        return [Requested(name=caller.name, message=message, **how)]
    return [
        Joined(
            name=caller.name,
            history=state.settings.history,
            muted_until_ms=state.muted_until_ms(caller.user, context.now_ms),
            **how,
        )
    ]


def entered(group: str, seq: int, status: str | int) -> dict[str, Any]:
    """Make the result of joining, or of asking to, now or before."""
    return {"status": status, "group": group, "seq": seq}
