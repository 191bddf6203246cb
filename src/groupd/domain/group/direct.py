"""Direct chats: a group of two, made by asking for the other, and there once for each pair.

It has no owner, no settings that anybody changes, and takes no place among anybody's groups; a
plan bounds how many of them a user opens. Its id is derived from the pair (``ids.direct_id``), so
both ask the same stream, whose one actor makes it once, however many ask at once.
"""

from __future__ import annotations

from typing import Any, ClassVar, Final

import attrs

from groupd.domain import fields
from groupd.domain.base import (
    GROUP,
    Command,
    Context,
    Decision,
    Identity,
    Needs,
    Receipt,
    Request,
    Rule,
    StreamKey,
    Unchanged,
)
from groupd.domain.group.membership import Joined
from groupd.domain.group.roles import NOT_YOURSELF
from groupd.domain.group.settings import Created
from groupd.domain.group.state import Group
from groupd.domain.ids import direct_id
from groupd.errors import Rejected


def _refuse_blocked(state: Group, context: Context, request: Request) -> Rejected | None:
    other = getattr(request, "user", None) or context.caller.user
    if not context.fetched.blocks.get(pair_of(context.caller.user, other)):
        return None
    return Rejected("forbidden", "one of you has blocked the other", reason="blocked")


NOT_BLOCKED: Final = Rule("not_blocked", "account", _refuse_blocked)
"""Neither has blocked the other, also where the chat is there already."""


def _limit(state: Group, context: Context) -> int:
    return context.rules.plan(context.caller.plan).directs_max


def _refuse_many(state: Group, context: Context, request: Request) -> Rejected | None:
    limit, used = _limit(state, context), context.holdings.directs
    # One that is there already is only looked up. Asked of an account, it would be a new one.
    if used < limit or context.caller.user in getattr(state, "members", ()):
        return None
    return Rejected(
        "quota_exceeded",
        f"the plan {context.caller.plan} has room for {limit} direct chats",
        quota="directs",
        limit=limit,
        used=used,
    )


DIRECTS_MAX: Final = Rule("directs_max", "plan", _refuse_many, _limit)


def pair_of(user: str, other: str) -> tuple[str, str]:
    """Give two users in the order in which a direct chat has them."""
    return (user, other) if user <= other else (other, user)


@attrs.frozen
class Direct(Command):
    """Open the direct chat with another user; it is made when it is first asked for.

    ``seq`` is that of the caller's joining, also where the chat was there before.
    """

    method = "direct"
    cost = 2
    addressed = ""
    min_role = None
    founds = True
    through_account = True
    rules: ClassVar = (NOT_YOURSELF, NOT_BLOCKED, DIRECTS_MAX)
    result: ClassVar = {"group": "group", "seq": "seq"}

    user: str = fields.user()

    def address(self, group: str | None, caller: Identity) -> StreamKey:
        """Go to the one chat of the two."""
        return StreamKey(GROUP, caller.tenant, direct_id(caller.tenant, caller.user, self.user))

    def needs(self, state: Group, caller: Identity) -> Needs:
        """Fetch the other's profile, and whether one has blocked the other."""
        return Needs(users=(self.user,), blocks=(pair_of(caller.user, self.user),))

    def decide(self, state: Group, context: Context) -> Decision:
        """Make the chat once, with both in it."""
        caller = context.caller
        member = state.members.get(caller.user)
        if member is not None:
            return Unchanged({"group": context.stream.key, "seq": member.joined_seq})
        profile = context.fetched.users[self.user].profile
        return [
            Created(
                direct=pair_of(caller.user, self.user),
                discoverable=False,
                member_invites=False,
                join_policy="invite_only",
            ),
            # The caller first: ``answer`` counts on it.
            Joined(via="direct", name=caller.name),
            Joined(via="direct", member=self.user, name="" if profile is None else profile.name),
        ]

    def answer(self, receipt: Receipt, context: Context) -> dict[str, Any]:
        """Give the chat, and the caller's joining, which came right after the founding."""
        return {"group": context.stream.key, "seq": receipt.seq + 1}
