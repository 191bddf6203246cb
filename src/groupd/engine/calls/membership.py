"""The calls about coming into a group, and going: joining, requests, invitations, links."""

# `id` is the protocol's word, and permanent.

from __future__ import annotations

from typing import cast

from groupd.config import CONTENT
from groupd.domain.group.admission import Approve, Decline, Requests, Withdraw
from groupd.domain.group.invitations import AcceptInvite, DeclineInvite, Invite
from groupd.domain.group.links import Links, OpenLink, RevokeLink, ShareLink
from groupd.domain.group.membership import Join, Leave
from groupd.domain.group.nicknames import SetNickname
from groupd.domain.queries import Members
from groupd.engine.calls.asker import Asker
from groupd.engine.results import (
    InviteResult,
    JoinResult,
    LinksResult,
    MembersResult,
    OpenLinkResult,
    RequestsResult,
    SeqResult,
    ShareLinkResult,
)


class MembershipCalls(Asker):
    """Calls about coming into a group, and going: joining, requests, invitations, links."""

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

    async def withdraw(self, group: str, *, id: str | None = None) -> SeqResult:
        """Take one's own join request back."""
        request = Withdraw()
        return cast(SeqResult, await self.call(request, group=group, id=id))

    async def leave(self, group: str, *, id: str | None = None) -> SeqResult:
        """Stop being a member."""
        request = Leave()
        return cast(SeqResult, await self.call(request, group=group, id=id))

    async def members(
        self, group: str, *, after: str = "", limit: int = CONTENT.members_page_max
    ) -> MembersResult:
        """List a group's members by user id."""
        request = Members(after=after, limit=limit)
        return cast(MembersResult, await self.call(request, group=group))

    async def set_nickname(
        self, group: str, nickname: str, *, user: str | None = None, id: str | None = None
    ) -> SeqResult:
        """Go by another name in this group. Admins also name members below them."""
        request = SetNickname(nickname=nickname, user=user)
        return cast(SeqResult, await self.call(request, group=group, id=id))

    async def requests(self, group: str, *, after: int = 0, limit: int = 200) -> RequestsResult:
        """List the join requests that wait, the oldest first."""
        request = Requests(after=after, limit=limit)
        return cast(RequestsResult, await self.call(request, group=group))

    async def approve(self, group: str, user: str, *, id: str | None = None) -> SeqResult:
        """Let somebody in who has asked."""
        request = Approve(user=user)
        return cast(SeqResult, await self.call(request, group=group, id=id))

    async def decline(self, group: str, user: str, *, id: str | None = None) -> SeqResult:
        """Refuse somebody who has asked to join. They may ask again after a while."""
        request = Decline(user=user)
        return cast(SeqResult, await self.call(request, group=group, id=id))

    async def invite(self, group: str, user: str, *, id: str | None = None) -> InviteResult:
        """Ask a user into the group; where plan and settings let the caller, add them at once."""
        request = Invite(user=user)
        return cast(InviteResult, await self.call(request, group=group, id=id))

    async def accept_invite(self, group: str, *, id: str | None = None) -> JoinResult:
        """Join a group that one is invited to; or ask to, where its admins decide."""
        request = AcceptInvite()
        return cast(JoinResult, await self.call(request, group=group, id=id))

    async def decline_invite(self, group: str, *, id: str | None = None) -> SeqResult:
        """Say that one does not want to join a group that one is invited to."""
        request = DeclineInvite()
        return cast(SeqResult, await self.call(request, group=group, id=id))

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
        request = OpenLink(code=code)
        return cast(OpenLinkResult, await self.call(request))

    async def links(
        self, group: str, *, before: int | None = None, limit: int = 200
    ) -> LinksResult:
        """List the links that are kept, the newest first. Plain members see their own."""
        request = Links(before=before, limit=limit)
        return cast(LinksResult, await self.call(request, group=group))

    async def revoke_link(self, code: str, *, id: str | None = None) -> SeqResult:
        """End a link. Its maker may, and admins."""
        request = RevokeLink(code=code)
        return cast(SeqResult, await self.call(request, id=id))
