"""Join requests that wait: admins approve or decline, the requester withdraws, time runs out.

A request ends once. It is made in ``membership.py`` (``requested``); its ends are ``joined``,
``declined``, ``withdrawn`` and ``request_expired``. Several admins may decide at once: the group
takes one after the other, so the first has decided, and the next is told so.
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
    Role,
    Rule,
)
from groupd.domain.group.entry import dead_link, is_over, room_where
from groupd.domain.group.membership import Joined
from groupd.domain.group.parts import JoinRequest, Refusal
from groupd.domain.group.state import Group
from groupd.domain.projection import Change, DropRequest
from groupd.errors import Rejected


class _Ended(Event):
    """A join request is over, without a joining."""

    audience = Audience.ADMINS

    def ends(self, record: Record) -> str:
        """Give the user whose request it was."""
        return record.user

    def apply(self, state: Group, record: Record) -> None:
        """Let them wait no longer."""
        state.requests.pop(self.ends(record), None)

    def project(self, record: Record) -> Sequence[Change]:
        """Take the request off the list."""
        return (DropRequest(self.ends(record)),)


@attrs.frozen
class Declined(_Ended):
    """An admin has declined a join request."""

    kind = "declined"
    followed = True

    member: str = fields.stored("user", "")
    """Who had asked."""
    until_ms: int = fields.stored("time_ms", 0)
    """When they may ask again."""
    dropped: int = 0
    """How many of the oldest refusals are forgotten."""

    def ends(self, record: Record) -> str:
        """Give the user whose request it was."""
        return self.member

    def apply(self, state: Group, record: Record) -> None:
        """Let them wait no longer, and remember the refusal."""
        super().apply(state, record)
        state.declined.pop(self.member, None)
        for user in list(state.declined)[: self.dropped]:
            del state.declined[user]
        state.declined[self.member] = Refusal(record.seq, self.until_ms)


@attrs.frozen
class Withdrawn(_Ended):
    """Somebody does not want to join any more."""

    kind = "withdrawn"
    followed = True


@attrs.frozen
class RequestExpired(_Ended):
    """Nobody has decided on a join request in time."""

    kind = "request_expired"
    followed = True

    member: str = fields.stored("user", "")
    """Who had asked."""

    def ends(self, record: Record) -> str:
        """Give the user whose request it was."""
        return self.member


# --- deciding


def _is_approved(state: Group, context: Context, request: Any) -> bool:
    return request.user in state.requests


def _refuse_used_up(state: Group, context: Context, request: Any) -> Rejected | None:
    waiting = state.requests.get(request.user) if state.is_admin(context.caller.user) else None
    link = None if waiting is None or waiting.link is None else state.links.get(waiting.link)
    if link is None or link.uses_max is None or link.uses < link.uses_max:
        return None
    return dead_link("link_used_up")


HAS_ROOM_FOR_THEM: Final = room_where(_is_approved)
"""Cap and approval: where the group is full by now, the request stays."""
LINK_NOT_USED_UP: Final = Rule("link", "group", _refuse_used_up)
"""A use counts when it succeeds, so the link may be used up by now. One that was revoked or has
expired since still counts for those who came by it before."""


def open_request(state: Group, user: str, context: Context) -> JoinRequest:
    """Give the join request of a user that can be decided.

    Raises ``conflict`` where it was decided before or its time is over, ``not_found`` where there
    is none.
    """
    waiting = state.requests.get(user)
    if waiting is None:
        if user in state.members or user in state.declined:
            raise Rejected("conflict", "this was decided before", reason="decided")
        raise Rejected("not_found", "nobody of this name waits")
    if is_over(waiting.at_ms, context.now_ms):
        raise Rejected("conflict", "the request has waited too long", reason="state")
    return waiting


def admitted(state: Group, user: str, waiting: JoinRequest, *, now_ms: int) -> Joined:
    """Make the event by which an admin lets somebody in who has asked."""
    return Joined(
        via="approval",
        name=waiting.name,
        member=user,
        history=state.settings.history,
        link=waiting.link,
        channel=waiting.channel,
        sharer=waiting.sharer,
        muted_until_ms=state.muted_until_ms(user, now_ms),
    )


@attrs.frozen
class Approve(Command):
    """Let somebody in who has asked."""

    method = "approve"
    by_system = True
    min_role = Role.ADMIN
    in_direct = False
    rules = (HAS_ROOM_FOR_THEM, LINK_NOT_USED_UP)

    user: str = fields.user()

    def decide(self, state: Group, context: Context) -> Decision:
        """Admit them, if nobody has decided before."""
        waiting = open_request(state, self.user, context)
        return [admitted(state, self.user, waiting, now_ms=context.now_ms)]


@attrs.frozen
class Decline(Command):
    """Refuse somebody who has asked to join. They may ask again after a while."""

    method = "decline"
    by_system = True
    min_role = Role.ADMIN
    in_direct = False

    user: str = fields.user()

    def decide(self, state: Group, context: Context) -> Decision:
        """Refuse them, if nobody has decided before."""
        open_request(state, self.user, context)
        kept = len(state.declined) + (self.user not in state.declined)
        return [
            Declined(
                member=self.user,
                until_ms=context.now_ms + context.rules.limits.request_cooldown_ms,
                dropped=max(0, kept - CONTENT.declined_kept_max),
            )
        ]


def _refuse_who_waits_not(state: Group, context: Context, request: Any) -> Rejected | None:
    if context.caller.user in state.requests:
        return None
    return Rejected("not_found", "no join request of the caller's waits")


@attrs.frozen
class Withdraw(Command):
    """Take one's own join request back."""

    method = "withdraw"
    min_role = None
    in_direct = False
    rules = (Rule("waits", "group", _refuse_who_waits_not),)

    def decide(self, state: Group, context: Context) -> Decision:
        """Take it back while it waits."""
        return [Withdrawn()]


@attrs.frozen
class Requests(LiveQuery):
    """List the join requests that wait, the oldest first."""

    method = "requests"
    cost = 2
    min_role = Role.ADMIN
    in_direct = False
    by_system = True
    result: ClassVar = {"requests": "list[listed_request]", "next": "seq?"}

    after: int = fields.seq(default=0, low=0)
    limit: int = fields.integer(
        low=1, high=CONTENT.members_page_max, default=CONTENT.members_page_max
    )

    def ask(self, state: Group, context: Context) -> dict[str, Any]:
        """Give a page: those whose ``seq`` is above ``after``; ``next`` is the next ``after``."""
        found = [
            (user, waiting) for user, waiting in state.requests.items() if waiting.seq > self.after
        ]
        shown = found[: self.limit]
        result: dict[str, Any] = {"requests": [_listed(user, waiting) for user, waiting in shown]}
        if len(found) > len(shown):
            result["next"] = shown[-1][1].seq
        return result


def _listed(user: str, waiting: JoinRequest) -> dict[str, Any]:
    listed: dict[str, Any] = {
        "user": user,
        "name": waiting.name,
        "message": waiting.message,
        "seq": waiting.seq,
        "at_ms": waiting.at_ms,
        "expires_ms": waiting.at_ms + CONTENT.request_lasts_ms,
        "via": waiting.via,
        "channel": waiting.channel,
        "sharer": waiting.sharer,
    }
    if waiting.link is not None:
        listed["link"] = waiting.link
    return listed


# --- time


def deadline_ms(state: Group) -> int | None:
    """Give the time at which the oldest request has waited too long, or None."""
    oldest = next(iter(state.requests.values()), None)
    return None if oldest is None else oldest.at_ms + CONTENT.request_lasts_ms


def due(state: Group, now_ms: int) -> Sequence[Event]:
    """Give the ends of the requests that have waited too long."""
    return [
        RequestExpired(member=user)
        for user, waiting in state.requests.items()
        if is_over(waiting.at_ms, now_ms)
    ]
