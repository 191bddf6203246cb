"""The calls that a user can make, one method for each method of the protocol, written once.

Two callers give them their transport: the SDK's ``Client`` over a connection, the hub's ``Caller``
without one. A call builds the request class, which checks the parameters, so a wrong one raises
Rejected ``bad_request`` here and never travels.

Two methods of the catalog have no call: ``hello`` is the transport's own, and the operator's are
no user's.
"""

# `id` is the protocol's word, and permanent.

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, cast

from groupd.config import CONTENT
from groupd.domain.account.create import Create
from groupd.domain.base import Request
from groupd.domain.fields import refuse
from groupd.domain.group.board import Acknowledge, Announce, Announcements, PinMessage, Unpin
from groupd.domain.group.info import Info
from groupd.domain.group.links import OpenLink, RevokeLink, ShareLink
from groupd.domain.group.membership import Join, Leave
from groupd.domain.group.messages import Post
from groupd.domain.group.settings import Dissolve, Update
from groupd.domain.queries import (
    AccountHistory,
    Groups,
    History,
    Members,
    Ping,
    Read,
    Sync,
    Users,
)
from groupd.engine.results import (
    AccountHistoryResult,
    AnnouncementsResult,
    CreateResult,
    GroupsResult,
    HistoryResult,
    InfoResult,
    JoinResult,
    MembersResult,
    OpenLinkResult,
    PingResult,
    PostResult,
    ReadResult,
    SeqResult,
    ShareLinkResult,
    SyncResult,
    UsersResult,
)


class Calls(ABC):
    """The protocol's methods as typed calls.

    The group comes first where a call has one, then what the call is about; the rest goes by
    name. What is left out keeps its default. ``id`` names an intent: the same id again gives the
    first result and changes nothing. All raise Rejected.
    """

    @abstractmethod
    async def call(
        self, request: Request, *, group: str | None = None, id: str | None = None
    ) -> dict[str, Any]:
        """Have ``request`` served, in ``group`` where it is addressed to one; give its result."""

    # --- the caller's own

    async def ping(self) -> PingResult:
        """Ask for the server's time."""
        return cast(PingResult, await self.call(Ping()))

    async def groups(
        self, *, after: str = "", limit: int = CONTENT.groups_page_max
    ) -> GroupsResult:
        """List the groups that the caller is in, by group id."""
        return cast(GroupsResult, await self.call(Groups(after=after, limit=limit)))

    async def sync(
        self, cursors: Mapping[str, int], *, limit_bytes: int | None = None
    ) -> SyncResult:
        """Catch up many groups: give what came after each cursor (group -> seq)."""
        return cast(SyncResult, await self.call(Sync(dict(cursors), limit_bytes=limit_bytes)))

    async def users(self, users: Sequence[str]) -> UsersResult:
        """Look at users that the caller shares a group with."""
        return cast(UsersResult, await self.call(Users(_list(users, "users"))))

    async def account_history(
        self, *, after: int = 0, limit: int = CONTENT.history_page
    ) -> AccountHistoryResult:
        """Page the caller's own log."""
        request = AccountHistory(after=after, limit=limit)
        return cast(AccountHistoryResult, await self.call(request))

    # --- a group as a whole

    async def create(
        self,
        name: str,
        *,
        picture: str = "",
        category: str = "",
        description: str = "",
        location: Mapping[str, float] | None = None,
        members: Sequence[str] = (),
        join_policy: str = "open",
        member_invites: bool = True,
        discoverable: bool = True,
        history: str = "all",
        time_zone: str = "UTC",
        ref: str | None = None,
        data: Mapping[str, Any] | None = None,
        id: str | None = None,
    ) -> CreateResult:
        """Found a group. Its caller is the owner; ``members`` are added at once."""
        request = Create(
            name=name,
            picture=picture,
            category=category,
            description=description,
            location=location,
            members=_list(members, "members"),
            join_policy=join_policy,
            member_invites=member_invites,
            discoverable=discoverable,
            history=history,
            time_zone=time_zone,
            ref=ref,
            data=data,
        )
        return cast(CreateResult, await self.call(request, id=id))

    async def info(self, group: str) -> InfoResult:
        """Look at a group: its card, and for members also what stands on its board."""
        return cast(InfoResult, await self.call(Info(), group=group))

    async def update(
        self,
        group: str,
        *,
        name: str | None = None,
        picture: str | None = None,
        category: str | None = None,
        description: str | None = None,
        location: Mapping[str, float] | None = None,
        join_policy: str | None = None,
        member_invites: bool | None = None,
        discoverable: bool | None = None,
        history: str | None = None,
        time_zone: str | None = None,
        data: Mapping[str, Any] | None = None,
        id: str | None = None,
    ) -> SeqResult:
        """Change settings. An empty ``location`` takes the old one away."""
        request = Update(
            name=name,
            picture=picture,
            category=category,
            description=description,
            location=location,
            join_policy=join_policy,
            member_invites=member_invites,
            discoverable=discoverable,
            history=history,
            time_zone=time_zone,
            data=data,
        )
        return cast(SeqResult, await self.call(request, group=group, id=id))

    async def dissolve(self, group: str, *, id: str | None = None) -> SeqResult:
        """End the group. It frees its place in the owner's quota."""
        return cast(SeqResult, await self.call(Dissolve(), group=group, id=id))

    # --- its members

    async def join(
        self,
        group: str | None = None,
        *,
        code: str | None = None,
        message: str = "",
        id: str | None = None,
    ) -> JoinResult:
        """Become a member, by the group's id or by a link's code."""
        request = Join(code=code, message=message)
        return cast(JoinResult, await self.call(request, group=group, id=id))

    async def leave(self, group: str, *, id: str | None = None) -> SeqResult:
        """Stop being a member."""
        return cast(SeqResult, await self.call(Leave(), group=group, id=id))

    async def members(
        self, group: str, *, after: str = "", limit: int = CONTENT.members_page_max
    ) -> MembersResult:
        """List a group's members by user id."""
        request = Members(after=after, limit=limit)
        return cast(MembersResult, await self.call(request, group=group))

    # --- what is said

    async def post(
        self,
        group: str,
        text: str = "",
        *,
        card: Mapping[str, Any] | None = None,
        reply_to: int | None = None,
        mentions: Sequence[str] = (),
        id: str | None = None,
    ) -> PostResult:
        """Say something to all members. ``mentions`` are users, or the word ``all``."""
        named = mentions if isinstance(mentions, str) else tuple(mentions)
        request = Post(text=text, card=card, reply_to=reply_to, mentions=named)
        return cast(PostResult, await self.call(request, group=group, id=id))

    async def history(
        self,
        group: str,
        *,
        after: int | None = None,
        before: int | None = None,
        limit: int = CONTENT.history_page,
    ) -> HistoryResult:
        """Page a group's log, forward with ``after`` or backward with ``before``.

        With neither, the newest events; the events of a page are always in rising order.
        """
        request = History(after=after, before=before, limit=limit)
        return cast(HistoryResult, await self.call(request, group=group))

    async def read(self, group: str, seq: int) -> ReadResult:
        """Move the caller's read cursor forward. It never moves back."""
        return cast(ReadResult, await self.call(Read(seq), group=group))

    # --- what stands at the top

    async def announce(self, group: str, text: str, *, id: str | None = None) -> SeqResult:
        """Say something that stays at the top, until the next one."""
        return cast(SeqResult, await self.call(Announce(text), group=group, id=id))

    async def acknowledge(self, group: str, seq: int, *, id: str | None = None) -> SeqResult:
        """Confirm that one has seen the announcement ``seq``."""
        return cast(SeqResult, await self.call(Acknowledge(seq), group=group, id=id))

    async def announcements(
        self, group: str, *, limit: int = CONTENT.history_page
    ) -> AnnouncementsResult:
        """List the announcements that are kept, the current one first."""
        request = Announcements(limit=limit)
        return cast(AnnouncementsResult, await self.call(request, group=group))

    async def pin(self, group: str, seq: int, *, id: str | None = None) -> SeqResult:
        """Put the message ``seq`` on the group's pin board."""
        return cast(SeqResult, await self.call(PinMessage(seq), group=group, id=id))

    async def unpin(self, group: str, seq: int, *, id: str | None = None) -> SeqResult:
        """Take the message ``seq`` off the pin board."""
        return cast(SeqResult, await self.call(Unpin(seq), group=group, id=id))

    # --- links

    async def share_link(
        self,
        group: str,
        *,
        channel: str = "",
        expires_in_ms: int | None = None,
        uses_max: int | None = None,
        approval: bool = False,
        id: str | None = None,
    ) -> ShareLinkResult:
        """Make a link by which others can join."""
        request = ShareLink(
            channel=channel, expires_in_ms=expires_in_ms, uses_max=uses_max, approval=approval
        )
        return cast(ShareLinkResult, await self.call(request, group=group, id=id))

    async def open_link(self, code: str) -> OpenLinkResult:
        """Look at what a link is for, before joining by it."""
        return cast(OpenLinkResult, await self.call(OpenLink(code)))

    async def revoke_link(self, code: str, *, id: str | None = None) -> SeqResult:
        """End a link. Its maker may, and admins."""
        return cast(SeqResult, await self.call(RevokeLink(code), id=id))


def _list(users: Sequence[str], field: str) -> tuple[str, ...]:
    """Give the users as a request takes them. One string is a sequence too, of letters."""
    if isinstance(users, str):
        raise refuse(field, "expected a list of user ids, got one string")
    return tuple(users)
