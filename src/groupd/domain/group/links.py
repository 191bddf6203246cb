"""Share links: a group's own way to grow, counted by channel and by sharer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final

import attrs

from groupd.config import CONTENT
from groupd.domain import fields
from groupd.domain.base import (
    GROUP,
    Command,
    Context,
    Decision,
    Event,
    Identity,
    LiveQuery,
    Receipt,
    Record,
    Role,
    Rule,
    StreamKey,
)
from groupd.domain.group.conditions import WORDS as CONDITION_WORDS
from groupd.domain.group.conditions import clause_text
from groupd.domain.group.entry import (
    INVITES_ON,
    JOINED,
    PENDING,
    banned,
    find_link,
    refuse_dead,
)
from groupd.domain.group.parts import Link
from groupd.domain.group.settings import public_card
from groupd.domain.group.state import Group
from groupd.domain.links import LinkKeys
from groupd.errors import Rejected

EXPIRED: Final = "expired"
"""Why a link works no more whose time was over."""


@attrs.frozen
class LinkMade(Event):
    """There is a new share link. Its code is not in here: it is the secret of those who hold it."""

    kind = "link_made"

    link: int = 0
    """Its number in the group."""
    key_id: str = ""
    """Which of the server's keys its code is made with."""
    channel: str = ""
    expires_at_ms: int | None = fields.stored("time_ms", None)
    uses_max: int | None = None
    dropped: tuple[int, ...] = ()
    """Numbers of dead links that are not kept any longer."""
    grants: str = fields.stored("join_status", JOINED)
    """What joining by it gives: ``joined``, or ``pending`` where admins decide afterwards."""

    def apply(self, state: Group, record: Record) -> None:
        """Keep the link."""
        for number in self.dropped:
            state.links.pop(number, None)
        state.links_made = self.link
        state.links[self.link] = Link(
            number=self.link,
            by=record.user,
            key_id=self.key_id,
            channel=self.channel,
            made_ms=record.time_ms,
            expires_at_ms=self.expires_at_ms,
            uses_max=self.uses_max,
            grants=self.grants,
        )

    def receipt_value(self) -> str:
        """Give what the code is derived from."""
        return f"{self.link} {self.key_id}"


@attrs.frozen
class LinkRevoked(Event):
    """A link works no more."""

    kind = "link_revoked"

    link: int = 0
    reason: str = ""
    """``expired`` where the server did it."""

    def apply(self, state: Group, record: Record) -> None:
        """Mark it; it stays listed."""
        link = state.links.get(self.link)
        if link is None:
            return
        if self.reason == EXPIRED:
            link.expired = True
        else:
            link.revoked = True


def _refuse_many(state: Group, context: Context, request: Any) -> Rejected | None:
    limit = state.rules(context).links_max
    used = sum(1 for _ in state.live_links(context.now_ms))
    if used < limit:
        return None
    return Rejected(
        "quota_exceeded",
        "the group has as many working links as its plan allows; revoke some",
        quota="links",
        limit=limit,
        used=used,
    )


LINKS_MAX: Final = Rule(
    "links_max", "plan", _refuse_many, lambda state, context: state.rules(context).links_max
)


@attrs.frozen
class ShareLink(Command):
    """Make a link by which others can join, at once or by approval."""

    method = "share_link"
    cost = 2
    in_direct = False
    result: ClassVar = {"code": "code", "url": "string"}
    rules = (INVITES_ON, LINKS_MAX)

    channel: str = fields.name(CONTENT.channel_max, default="")
    expires_in_ms: int | None = fields.integer(low=1, high=10 * 366 * 86_400_000, default=None)
    uses_max: int | None = fields.integer(low=1, high=CONTENT.link_uses_max, default=None)
    approval: bool = fields.boolean(default=False)

    def decide(self, state: Group, context: Context) -> Decision:
        """Make the link. It grants no more than its maker may grant."""
        is_asked = state.settings.join_policy == "approval"
        by_approval = self.approval or (is_asked and not state.is_admin(context.caller.user))
        expires = None if self.expires_in_ms is None else context.now_ms + self.expires_in_ms
        return [
            LinkMade(
                link=state.links_made + 1,
                key_id=context.links.current,
                channel=self.channel,
                expires_at_ms=expires,
                uses_max=self.uses_max,
                dropped=_dropped(state, context.now_ms),
                grants=PENDING if by_approval else JOINED,
            )
        ]

    def answer(self, receipt: Receipt, context: Context) -> dict[str, Any]:
        """Derive the code; a retry gets the same one."""
        number, key_id = str(receipt.value).split(" ", 1)
        code = context.links.code(context.stream.tenant, context.stream.key, int(number), key_id)
        if code is None:
            raise Rejected("conflict", "the link's key was retired", reason="link_revoked")
        return {"code": code, "url": context.rules.link_url.replace("{code}", code)}


def _dropped(state: Group, now_ms: int) -> tuple[int, ...]:
    """Give the numbers of the oldest dead links that make room for one more.

    One by which somebody has come who still waits is kept beyond the bound, since its uses are
    counted when they are approved; so at most as many are kept besides as requests may wait.
    """
    excess = len(state.links) + 1 - CONTENT.links_kept_max
    if excess <= 0:
        return ()
    waited_for = {waiting.link for waiting in state.requests.values()}
    dead = [
        number
        for number, link in state.links.items()
        if link.dead_reason(now_ms) is not None and number not in waited_for
    ]
    return tuple(dead[:excess])


@attrs.frozen
class RevokeLink(Command):
    """End a link. Its maker may, and admins."""

    method = "revoke_link"
    addressed = "code"
    in_direct = False

    code: str = fields.name(CONTENT.ref_max)

    def address(self, group: str | None, caller: Identity) -> StreamKey:
        """Go to the group that the code is for."""
        return StreamKey(GROUP, caller.tenant, LinkKeys.group_of(self.code))

    def decide(self, state: Group, context: Context) -> Decision:
        """Revoke it once."""
        link = find_link(state, self.code, context)
        if link.by != context.caller.user and not state.is_admin(context.caller.user):
            raise Rejected(
                "forbidden",
                "only the link's maker and admins revoke it",
                reason="role",
                required=Role.ADMIN.label,
            )
        if link.revoked:
            raise Rejected("conflict", "the link was revoked before", reason="link_revoked")
        return [LinkRevoked(link=link.number)]


@attrs.frozen
class OpenLink(LiveQuery):
    """Look at what a link is for, before joining by it."""

    method = "open_link"
    addressed = "code"
    in_direct = False
    result: ClassVar = {
        "group": "group_card",
        "channel": "string",
        "sharer": "user",
        "status": "link_status",
        "limit": "integer?",
    }

    code: str = fields.name(CONTENT.ref_max)

    def address(self, group: str | None, caller: Identity) -> StreamKey:
        """Go to the group that the code is for."""
        return StreamKey(GROUP, caller.tenant, LinkKeys.group_of(self.code))

    def ask(self, state: Group, context: Context) -> dict[str, Any]:
        """Give the group's card and what joining would do now.

        ``status`` is ``joined`` or ``pending`` (joining will do that), ``member`` (nothing to do),
        ``banned``, ``group_full`` or ``state`` (the group is dissolved). A link that works no more
        raises ``conflict``.
        """
        link = find_link(state, self.code, context)
        refuse_dead(link, context.now_ms)
        user, limit = context.caller.user, state.rules(context).members_max
        shown: dict[str, Any] = {
            "group": public_card(context.stream.key, state),
            "channel": link.channel,
            "sharer": link.by,
            "status": link.grants,
        }
        if state.dissolved:
            shown["status"] = "state"
        elif user in state.members:
            shown["status"] = "member"
        elif banned(state, user, context.now_ms) is not None:
            shown["status"] = "banned"
        elif link.grants == JOINED and len(state.members) >= limit:
            shown |= {"status": "group_full", "limit": limit}
        return shown


@attrs.frozen
class OpenLinkInWords(OpenLink):
    """As ``open_link``, for a page that the server makes: in the words of a language.

    It is no method: a card on the wire has the condition in English, and its parts are not shown,
    since what a label stands for may be the owner's secret.
    """

    words: Mapping[str, str] = CONDITION_WORDS

    def ask(self, state: Group, context: Context) -> dict[str, Any]:
        """Give what ``open_link`` gives."""
        shown = super().ask(state, context)
        if state.settings.conditions is not None:
            shown["group"]["condition"] = clause_text(state.settings.conditions, words=self.words)
        return shown


@attrs.frozen
class Links(LiveQuery):
    """List the links that are kept, the newest first. Plain members see their own."""

    method = "links"
    cost = 2
    min_role = Role.MEMBER
    in_direct = False
    by_system = True
    result: ClassVar = {"links": "list[listed_link]", "next": "integer?"}

    before: int | None = fields.integer(low=1, default=None)
    limit: int = fields.integer(
        low=1, high=CONTENT.members_page_max, default=CONTENT.members_page_max
    )

    def ask(self, state: Group, context: Context) -> dict[str, Any]:
        """Give a page: numbers below ``before``; ``next`` is the next page's ``before``."""
        caller = context.caller.user
        admin = state.is_admin(caller)
        # By number, which is also the order in which they were made.
        found = [
            link
            for link in reversed(state.links.values())
            if (admin or link.by == caller) and (self.before is None or link.number < self.before)
        ]
        shown = found[: self.limit]
        result: dict[str, Any] = {"links": [_listed(link, context) for link in shown]}
        if len(found) > len(shown):
            result["next"] = shown[-1].number
        return result


def _listed(link: Link, context: Context) -> dict[str, Any]:
    stream = context.stream
    code = context.links.code(stream.tenant, stream.key, link.number, link.key_id)
    listed: dict[str, Any] = {
        "number": link.number,
        "channel": link.channel,
        "by": link.by,
        "made_ms": link.made_ms,
        "uses": link.uses,
        "approval": link.grants == PENDING,
        "revoked": link.revoked,
    }
    if code is not None:
        listed |= {"code": code, "url": context.rules.link_url.replace("{code}", code)}
    if link.expires_at_ms is not None:
        listed["expires_at_ms"] = link.expires_at_ms
    if link.uses_max is not None:
        listed["uses_max"] = link.uses_max
    dead = link.dead_reason(context.now_ms)
    if code is None or dead is not None:
        listed["dead"] = dead or "link_revoked"
    return listed


def shown_links(state: Group) -> dict[str, Any]:
    """Count the joins by channel and by sharer, over the links that are kept."""
    channels: dict[str, int] = {}
    sharers: dict[str, int] = {}
    for link in state.links.values():
        if link.uses:
            channels[link.channel] = channels.get(link.channel, 0) + link.uses
            sharers[link.by] = sharers.get(link.by, 0) + link.uses
    return {"joins_by_channel": channels, "joins_by_sharer": sharers}


# --- time


def deadline_ms(state: Group) -> int | None:
    """Give the time at which the first of the links expires, or None."""
    if not state.links:
        return None
    times = [
        link.expires_at_ms
        for link in state.links.values()
        if link.expires_at_ms is not None and not link.has_ended
    ]
    return min(times, default=None)


def due(state: Group, now_ms: int) -> Sequence[Event]:
    """Give the ends of the links whose time is over."""
    return [
        LinkRevoked(link=link.number, reason=EXPIRED)
        for link in state.links.values()
        if not link.has_ended and link.expires_at_ms is not None and link.expires_at_ms <= now_ms
    ]
