"""Share links: a group's own way to grow, counted by channel and by sharer."""

from __future__ import annotations

from typing import Any, ClassVar

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
    StreamKey,
)
from groupd.domain.group.membership import find_link, refuse_dead
from groupd.domain.group.settings import public_card
from groupd.domain.group.state import Group, Link
from groupd.domain.links import LinkKeys
from groupd.errors import Rejected


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
            grants="joined",
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
        if link is not None:
            link.revoked = True


def check_approval(value: Any, field: str) -> bool:
    """Refuse links by approval: their decisions do not exist yet."""
    if value is not False:
        raise fields.refuse(field, "links by approval are not supported by this version")
    return False


@attrs.frozen
class ShareLink(Command):
    """Make a link by which others can join."""

    method = "share_link"
    cost = 2
    result: ClassVar = {"code": "code", "url": "string"}

    channel: str = fields.name(CONTENT.channel_max, default="")
    expires_in_ms: int | None = fields.integer(low=1, high=10 * 366 * 86_400_000, default=None)
    uses_max: int | None = fields.integer(low=1, high=CONTENT.link_uses_max, default=None)
    approval: bool = fields.custom(check_approval, "boolean", default=False)

    def decide(self, state: Group, context: Context) -> Decision:
        """Make the link, if the caller may invite and the plan has room for it."""
        if not state.settings.member_invites and not state.is_admin(context.caller.user):
            raise Rejected("forbidden", "members may not invite here", reason="invites_off")
        limit = state.rules(context).links_max
        used = sum(1 for _ in state.live_links(context.now_ms))
        if used >= limit:
            raise Rejected(
                "quota_exceeded",
                "the group has as many working links as its plan allows; revoke some",
                quota="links",
                limit=limit,
                used=used,
            )
        excess = max(0, len(state.links) + 1 - CONTENT.links_kept_max)
        dead = [n for n, link in state.links.items() if link.dead_reason(context.now_ms)]
        expires = None if self.expires_in_ms is None else context.now_ms + self.expires_in_ms
        return [
            LinkMade(
                link=state.links_made + 1,
                key_id=context.links.current,
                channel=self.channel,
                expires_at_ms=expires,
                uses_max=self.uses_max,
                dropped=tuple(dead[:excess]),
            )
        ]

    def answer(self, receipt: Receipt, context: Context) -> dict[str, Any]:
        """Derive the code; a retry gets the same one."""
        number, key_id = str(receipt.value).split(" ", 1)
        code = context.links.code(context.stream.tenant, context.stream.key, int(number), key_id)
        if code is None:
            raise Rejected("conflict", "the link's key was retired", reason="link_revoked")
        return {"code": code, "url": context.rules.link_url.replace("{code}", code)}


@attrs.frozen
class RevokeLink(Command):
    """End a link. Its maker may, and admins."""

    method = "revoke_link"
    addressed = "code"

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

        ``status`` is ``joined`` (joining will do that), ``member`` (nothing to do), ``group_full``
        or ``state`` (the group is dissolved). A link that works no more raises ``conflict``.
        """
        link = find_link(state, self.code, context)
        refuse_dead(link, context.now_ms)
        shown: dict[str, Any] = {
            "group": public_card(context.stream.key, state),
            "channel": link.channel,
            "sharer": link.by,
            "status": link.grants,
        }
        limit = state.rules(context).members_max
        if state.dissolved:
            shown["status"] = "state"
        elif context.caller.user in state.members:
            shown["status"] = "member"
        elif len(state.members) >= limit:
            shown |= {"status": "group_full", "limit": limit}
        return shown


def shown_links(state: Group) -> dict[str, Any]:
    """Count the joins by channel and by sharer, over the links that are kept."""
    channels: dict[str, int] = {}
    sharers: dict[str, int] = {}
    for link in state.links.values():
        if link.uses:
            channels[link.channel] = channels.get(link.channel, 0) + link.uses
            sharers[link.by] = sharers.get(link.by, 0) + link.uses
    return {"joins_by_channel": channels, "joins_by_sharer": sharers}
