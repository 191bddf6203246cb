"""Keeping order in a group: who may speak and how often, and who has to go.

Placement rules:
- Whom something may be done to is a matter of rank: see ``roles``.
- ``SPEAKING`` and ``SLOW_MODE`` are rules of the requests that they are for, in ``messages``.
- A mute and a ban end by the clock alone: no event says so, and nothing has to run.
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
    LiveQuery,
    Record,
    Request,
    Role,
    Rule,
    Unchanged,
)
from groupd.domain.group.parts import Ban
from groupd.domain.group.roles import BELOW, NAMES_MEMBER, NOT_YOURSELF, after_leaving
from groupd.domain.group.state import Group
from groupd.domain.projection import Change, DropMember, DropRequest, SetMember
from groupd.errors import Rejected

# --- the rules for speaking, shared by all that says something


def _refuse_muted(state: Group, context: Context, request: Request) -> Rejected | None:
    member = state.members.get(context.caller.user)
    if member is None or member.muted_until_ms <= context.now_ms:
        return None
    return Rejected("muted", "an admin has muted you", until_ms=member.muted_until_ms)


def _muted_until_ms(state: Group, context: Context) -> int:
    member = state.members.get(context.caller.user)
    return 0 if member is None else member.muted_until_ms


def _refuse_all_muted(state: Group, context: Context, request: Request) -> Rejected | None:
    if not state.all_muted or state.role_of(context.caller.user) is not Role.MEMBER:
        return None
    return Rejected("forbidden", "only admins may speak in this group now", reason="all_muted")


def _refuse_too_soon(state: Group, context: Context, request: Request) -> Rejected | None:
    if not state.slow_mode_ms:
        return None
    member = state.members.get(context.caller.user)
    if member is None or member.role is not Role.MEMBER or not member.spoke_ms:
        return None
    wait_ms = member.spoke_ms + state.slow_mode_ms - context.now_ms
    if wait_ms <= 0:
        return None
    return Rejected(
        "rate_limited",
        f"each member may speak once in {state.slow_mode_ms} ms here",
        retry_after_ms=wait_ms,
        reason="slow_mode",
    )


MUTED: Final = Rule("muted", "group", _refuse_muted, _muted_until_ms)
ALL_MUTED: Final = Rule(
    "all_muted", "group", _refuse_all_muted, lambda state, context: state.all_muted
)
SPEAKING: Final[tuple[Rule, ...]] = (MUTED, ALL_MUTED)
"""What must hold for all that others are to notice: posts, edits and reactions."""
SLOW_MODE: Final = Rule(
    "slow_mode", "group", _refuse_too_soon, lambda state, context: state.slow_mode_ms
)
"""How often a plain member may post. ``Member.spoke_ms`` starts the clock."""


# --- out of the group


@attrs.frozen
class Kicked(Event):
    """Somebody was taken out of the group. They may come back."""

    kind = "kicked"
    followed = True
    moves = True

    member: str = fields.stored("user", "")
    message: str = fields.stored("text", "")
    """What they are told."""

    def apply(self, state: Group, record: Record) -> None:
        """Take the member out."""
        state.drop(self.member)

    def views(self, record: Record) -> Sequence[tuple[str, Audience | None]]:
        """End what the member reads with this event."""
        return ((self.member, None),)

    def project(self, record: Record) -> Sequence[Change]:
        """Take the member off the list."""
        return (DropMember(self.member),)


@attrs.frozen
class Banned(Event):
    """Somebody may not be a member, and is none from now on."""

    kind = "banned"
    followed = True
    moves = True

    member: str = fields.stored("user", "")
    """Who is banned; also somebody who was no member."""
    until_ms: int = fields.stored("time_ms", 0)
    """0 for ever."""
    message: str = fields.stored("text", "")
    """What they are told."""
    dropped: tuple[str, ...] = fields.stored("list[user]", ())
    """Those whose ban is over and not kept any longer."""

    def apply(self, state: Group, record: Record) -> None:
        """Keep the ban, and take them out, wherever they are."""
        for user in self.dropped:
            state.bans.pop(user, None)
        state.bans.pop(self.member, None)
        state.bans[self.member] = Ban(record.seq, record.user, record.time_ms, self.until_ms)
        state.requests.pop(self.member, None)
        state.invitations.pop(self.member, None)
        state.drop(self.member)

    def views(self, record: Record) -> Sequence[tuple[str, Audience | None]]:
        """End what they read with this event."""
        return ((self.member, None),)

    def project(self, record: Record) -> Sequence[Change]:
        """Take them off the lists of members and of those who wait."""
        return (DropRequest(self.member), DropMember(self.member))


@attrs.frozen
class Unbanned(Event):
    """Somebody may be a member again."""

    kind = "unbanned"
    audience = Audience.ADMINS

    member: str = fields.stored("user", "")

    def apply(self, state: Group, record: Record) -> None:
        """Forget the ban."""
        state.bans.pop(self.member, None)


@attrs.frozen
class Kick(Command):
    """Take a member out of the group. They may come back; see ``ban``."""

    method = "kick"
    by_system = True
    min_role = Role.ADMIN
    in_direct = False
    rules = (NOT_YOURSELF, NAMES_MEMBER, BELOW)

    user: str = fields.user()
    message: str = fields.text(CONTENT.message_max, default="", min_chars=0)

    def decide(self, state: Group, context: Context) -> Decision:
        """Take them out; what was theirs to decide passes on."""
        return [Kicked(self.user, self.message), *after_leaving(state, self.user)]


def _held(state: Group, now_ms: int) -> int:
    return sum(ban.holds(now_ms) for ban in state.bans.values())


def _refuse_more_bans(state: Group, context: Context, request: BanUser) -> Rejected | None:
    ban = state.bans.get(request.user)
    used = _held(state, context.now_ms)
    if used < CONTENT.bans_max or (ban is not None and ban.holds(context.now_ms)):
        return None
    return Rejected(
        "quota_exceeded",
        "the group has as many bans as it may; end some",
        quota="bans",
        limit=CONTENT.bans_max,
        used=used,
    )


BANS_MAX: Final = Rule(
    "bans_max", "contract", _refuse_more_bans, lambda state, context: CONTENT.bans_max
)


@attrs.frozen
class BanUser(Command):
    """Keep somebody out of the group, for some time or for ever; a member is taken out at once."""

    method = "ban"
    by_system = True
    min_role = Role.ADMIN
    in_direct = False
    rules = (NOT_YOURSELF, BELOW, BANS_MAX)

    user: str = fields.user()
    for_ms: int | None = fields.integer(low=1, high=CONTENT.mute_max_ms, default=None)
    message: str = fields.text(CONTENT.message_max, default="", min_chars=0)

    def decide(self, state: Group, context: Context) -> Decision:
        """Ban them. Banning again changes the time, and one that is over makes room."""
        until_ms = 0 if self.for_ms is None else context.now_ms + self.for_ms
        ban, is_member = state.bans.get(self.user), self.user in state.members
        if ban is not None and ban.until_ms == until_ms and not is_member:
            return Unchanged({"seq": ban.seq})
        over = [
            user
            for user, old in state.bans.items()
            if user != self.user and not old.holds(context.now_ms)
        ]
        excess = len(state.bans) + (ban is None) - CONTENT.bans_max
        banned = Banned(self.user, until_ms, self.message, tuple(over[: max(0, excess)]))
        return [banned, *(after_leaving(state, self.user) if is_member else [])]


@attrs.frozen
class Unban(Command):
    """End a ban."""

    method = "unban"
    by_system = True
    min_role = Role.ADMIN
    in_direct = False

    user: str = fields.user()

    def decide(self, state: Group, context: Context) -> Decision:
        """End it, if it holds."""
        ban = state.bans.get(self.user)
        if ban is None or not ban.holds(context.now_ms):
            raise Rejected("not_found", "this user is not banned")
        return [Unbanned(self.user)]


@attrs.frozen
class Bans(LiveQuery):
    """List the bans that hold, by user id."""

    method = "bans"
    cost = 2
    min_role = Role.ADMIN
    in_direct = False
    by_system = True
    result: ClassVar = {"bans": "list[ban]", "next": "user?"}

    after: str = fields.user(default="")
    limit: int = fields.integer(
        low=1, high=CONTENT.members_page_max, default=CONTENT.members_page_max
    )

    def ask(self, state: Group, context: Context) -> dict[str, Any]:
        """Give one page; ``next`` is there where more follow."""
        following = sorted(
            user
            for user, ban in state.bans.items()
            if user > self.after and ban.holds(context.now_ms)
        )
        users = following[: self.limit]
        page: dict[str, Any] = {"bans": [_shown(user, state.bans[user]) for user in users]}
        if len(following) > len(users):
            page["next"] = users[-1]
        return page


def _shown(user: str, ban: Ban) -> dict[str, Any]:
    shown: dict[str, Any] = {"user": user, "by": ban.by, "at_ms": ban.at_ms}
    if ban.until_ms:
        shown["until_ms"] = ban.until_ms
    return shown


# --- silence


@attrs.frozen
class Muted(Event):
    """A member may not speak for some time."""

    kind = "muted"

    member: str = fields.stored("user", "")
    until_ms: int = fields.stored("time_ms", 0)

    def apply(self, state: Group, record: Record) -> None:
        """Note until when."""
        _set_mute(state, self.member, self.until_ms, record)

    def project(self, record: Record) -> Sequence[Change]:
        """Show it in the list of members."""
        return (SetMember(self.member, {"muted_until_ms": self.until_ms}),)


@attrs.frozen
class Unmuted(Event):
    """A member may speak again, before their time is over."""

    kind = "unmuted"

    member: str = fields.stored("user", "")

    def apply(self, state: Group, record: Record) -> None:
        """End the mute."""
        _set_mute(state, self.member, 0, record)

    def project(self, record: Record) -> Sequence[Change]:
        """Show it in the list of members."""
        return (SetMember(self.member, {"muted_until_ms": 0}),)


def _set_mute(state: Group, user: str, until_ms: int, record: Record) -> None:
    member = state.members.get(user)
    if member is not None:
        member.muted_until_ms = until_ms
        member.muted_seq = record.seq


@attrs.frozen
class AllMuted(Event):
    """Only admins may speak from now on, or all members again."""

    kind = "all_muted"

    on: bool = False

    def apply(self, state: Group, record: Record) -> None:
        """Silence the group, or end that."""
        state.all_muted = self.on
        state.all_muted_seq = record.seq


@attrs.frozen
class SlowModeSet(Event):
    """Plain members may post once in this time from now on."""

    kind = "slow_mode_set"

    interval_ms: int = 0
    """0 for as often as they like."""

    def apply(self, state: Group, record: Record) -> None:
        """Set the pace."""
        state.slow_mode_ms = self.interval_ms
        state.slow_mode_seq = record.seq


@attrs.frozen
class Mute(Command):
    """Let a member say nothing for some time. They read on."""

    method = "mute"
    by_system = True
    min_role = Role.ADMIN
    in_direct = False
    rules = (NOT_YOURSELF, NAMES_MEMBER, BELOW)

    user: str = fields.user()
    for_ms: int = fields.integer(low=1, high=CONTENT.mute_max_ms)

    def decide(self, state: Group, context: Context) -> Decision:
        """Mute them from now on; muting again changes the time."""
        member, until_ms = state.members[self.user], context.now_ms + self.for_ms
        if member.muted_until_ms == until_ms:
            return Unchanged({"seq": member.muted_seq})
        return [Muted(self.user, until_ms)]


@attrs.frozen
class Unmute(Command):
    """Let a muted member speak again."""

    method = "unmute"
    by_system = True
    min_role = Role.ADMIN
    in_direct = False
    rules = (NOT_YOURSELF, NAMES_MEMBER, BELOW)

    user: str = fields.user()

    def decide(self, state: Group, context: Context) -> Decision:
        """End the mute, unless they may speak already."""
        member = state.members[self.user]
        if member.muted_until_ms <= context.now_ms:
            return Unchanged({"seq": member.muted_seq or member.joined_seq})
        return [Unmuted(self.user)]


@attrs.frozen
class MuteAll(Command):
    """Let only admins speak, or all members again."""

    method = "mute_all"
    by_system = True
    min_role = Role.ADMIN
    in_direct = False

    on: bool = fields.boolean(default=True)

    def decide(self, state: Group, context: Context) -> Decision:
        """Switch it. A group begins with all speaking."""
        if state.all_muted is self.on:
            return Unchanged({"seq": state.all_muted_seq or FIRST_SEQ})
        return [AllMuted(self.on)]


@attrs.frozen
class SlowMode(Command):
    """Let plain members post only once in some time; 0 ends it."""

    method = "slow_mode"
    by_system = True
    min_role = Role.ADMIN
    in_direct = False

    interval_ms: int = fields.integer(low=0, high=CONTENT.slow_mode_max_ms)

    def decide(self, state: Group, context: Context) -> Decision:
        """Set the pace. A group begins without one."""
        if state.slow_mode_ms == self.interval_ms:
            return Unchanged({"seq": state.slow_mode_seq or FIRST_SEQ})
        return [SlowModeSet(self.interval_ms)]


FIRST_SEQ: Final = 1
"""Where a group begins: the seq of what is so from the start."""
