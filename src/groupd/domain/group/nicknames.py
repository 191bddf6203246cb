"""What members are called in a group, where that is not their own name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import attrs

from groupd.config import CONTENT
from groupd.domain import fields
from groupd.domain.base import Command, Context, Decision, Event, Record, Role, Rule, Unchanged
from groupd.domain.group.moderation import SPEAKING
from groupd.domain.group.roles import BELOW, NAMES_MEMBER
from groupd.domain.group.state import Group
from groupd.domain.projection import Change, SetMember
from groupd.domain.wording import words_in
from groupd.errors import Rejected


@attrs.frozen
class Nicknamed(Event):
    """A member goes by another name in this group from now on, or by their own again."""

    kind = "nicknamed"

    member: str = fields.stored("user", "")
    """Whose nickname it is, where that is not the event's ``user``."""
    nickname: str = ""

    def apply(self, state: Group, record: Record) -> None:
        """Set the nickname."""
        member = state.members.get(self.member or record.user)
        if member is not None:
            member.nickname = self.nickname
            member.nickname_seq = record.seq

    def project(self, record: Record) -> Sequence[Change]:
        """Show it in the list of members."""
        return (SetMember(self.member or record.user, {"nickname": self.nickname}),)


def _refuse_naming(state: Group, context: Context, request: SetNickname) -> Rejected | None:
    caller = context.caller.user
    if request.user in (None, caller) or state.is_admin(caller):
        return None
    return Rejected(
        "forbidden",
        "only admins name other members",
        reason="role",
        required=Role.ADMIN.label,
    )


def _only_of_oneself(rule: Rule) -> Rule:
    """Let a rule hold for those who name somebody else."""

    def refuse(state: Group, context: Context, request: SetNickname) -> Rejected | None:
        if request.user not in (None, context.caller.user):
            return None
        return rule.refuse(state, context, request)

    return attrs.evolve(rule, refuse=refuse)


SAYS_SO: Final = tuple(map(_only_of_oneself, SPEAKING))
"""A nickname is told to everybody, so who may not speak does not change their own."""
NAMES_ONESELF: Final = Rule("names_oneself", "role", _refuse_naming)


@attrs.frozen
class SetNickname(Command):
    """Go by another name in this group. Admins also name members below them."""

    method = "set_nickname"
    in_direct = False
    rules = (NAMES_ONESELF, NAMES_MEMBER, BELOW, *SAYS_SO, words_in("nickname"))

    nickname: str = fields.name(CONTENT.nickname_max, min_chars=0)
    user: str | None = fields.user(default=None)

    def decide(self, state: Group, context: Context) -> Decision:
        """Set the nickname, if it is another one; an empty one takes it away."""
        user = self.user or context.caller.user
        member = state.members[user]
        if member.nickname == self.nickname:
            return Unchanged({"seq": member.nickname_seq or member.joined_seq})
        named = "" if user == context.caller.user else user
        return [Nicknamed(named, self.nickname)]
