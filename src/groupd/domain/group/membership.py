"""Who is in a group: joining, leaving, and what becomes of both."""

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
    StreamKey,
    Unchanged,
)
from groupd.domain.group.state import Group, Link, Member
from groupd.domain.links import LinkKeys
from groupd.domain.projection import Change, DropMember, PutMember
from groupd.errors import Rejected


@attrs.frozen
class Joined(Event):
    """Somebody is a member from now on."""

    kind = "joined"
    followed = True

    via: str = fields.stored("via", "")
    """``created``, ``added``, ``invite``, ``approval``, ``search`` or ``link``."""
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

    def apply(self, state: Group, record: Record) -> None:
        """Add the member, and count the use of the link."""
        state.members[self.member or record.user] = Member(
            role=Role.of(self.role),
            name=self.name,
            joined_ms=record.time_ms,
            joined_seq=record.seq,
            floor=self._floor(record),
        )
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
        """List the member."""
        return (
            PutMember(
                user=self.member or record.user,
                role=Role.of(self.role),
                name=self.name,
                joined_ms=record.time_ms,
                joined_seq=record.seq,
                floor=self._floor(record),
            ),
        )


@attrs.frozen
class Left(Event):
    """Somebody is no member any more, by their own will."""

    kind = "left"
    followed = True

    def apply(self, state: Group, record: Record) -> None:
        """Take the member out."""
        state.members.pop(record.user, None)
        if state.announcement is not None:
            state.announcement.acknowledged.pop(record.user, None)

    def views(self, record: Record) -> Sequence[tuple[str, Audience | None]]:
        """End what the member reads with this event."""
        return ((record.user, None),)

    def project(self, record: Record) -> Sequence[Change]:
        """Take the member off the list."""
        return (DropMember(record.user),)


@attrs.frozen
class Join(Command):
    """Become a member, by the group's id or by a link's code."""

    method = "join"
    cost = 2
    min_role = None
    result: ClassVar = {"status": "join_status", "group": "group", "seq": "seq?"}

    code: str | None = fields.name(CONTENT.ref_max, default=None)
    message: str = fields.text(CONTENT.message_max, default="", min_chars=0)

    def address(self, group: str | None, caller: Identity) -> StreamKey:
        """Go to the group that is named, or that the code is for."""
        if group is None and self.code is None:
            raise Rejected("bad_request", "group or code is missing", field="group")
        return super().address(group or LinkKeys.group_of(self.code or ""), caller)

    def decide(self, state: Group, context: Context) -> Decision:
        """Admit the caller, unless the group is full or does not take them in this way."""
        link = None if self.code is None else find_link(state, self.code, context)
        user = context.caller.user
        member = state.members.get(user)
        if member is not None:
            return Unchanged(joined(context.stream.key, member.joined_seq))
        if link is not None:
            refuse_dead(link, context.now_ms)
        elif state.settings.join_policy != "open":
            raise Rejected(
                "forbidden", "this group is joined by invitation or link", reason="invite_only"
            )
        refuse_full(state, context)
        history = state.settings.history
        if link is None:
            return [Joined(via="search", name=context.caller.name, history=history)]
        return [
            Joined(
                via="link",
                name=context.caller.name,
                history=history,
                link=link.number,
                channel=link.channel,
                sharer=link.by,
            )
        ]

    def answer(self, receipt: Receipt, context: Context) -> dict[str, Any]:
        """Say that the caller has joined."""
        return joined(context.stream.key, receipt.seq)


@attrs.frozen
class Leave(Command):
    """Stop being a member."""

    method = "leave"

    def decide(self, state: Group, context: Context) -> Decision:
        """Let anybody go but the owner."""
        if context.caller.user == state.owner:
            raise Rejected(
                "forbidden", "the owner cannot leave; dissolve the group", reason="owner_leaves"
            )
        return [Left()]


def joined(group: str, seq: int) -> dict[str, Any]:
    """Make the result of a joining that succeeded, now or before."""
    return {"status": "joined", "group": group, "seq": seq}


def refuse_full(state: Group, context: Context) -> None:
    """Raise ``group_full`` where the plan's cap is reached."""
    limit = state.rules(context).members_max
    if len(state.members) >= limit:
        raise Rejected("group_full", f"the group has {limit} members already", limit=limit)


def find_link(state: Group, code: str, context: Context) -> Link:
    """Give the link of a code, working or not; raises ``not_found``."""
    found = state.link_of(code, context)
    if found is None:
        raise Rejected("not_found", "no such link")
    return found


def refuse_dead(link: Link, now_ms: int) -> None:
    """Raise ``conflict`` where a link no longer works."""
    reason = link.dead_reason(now_ms)
    if reason is not None:
        raise Rejected("conflict", f"this link no longer works: {reason}", reason=reason)
