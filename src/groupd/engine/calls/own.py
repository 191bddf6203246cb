"""The calls about the caller's own: their list of chats, their profile, whom they have blocked."""

# `id` is the protocol's word, and permanent.

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from groupd.config import CONTENT
from groupd.domain.account.blocks import Block, Unblock
from groupd.domain.account.chats import DoNotDisturb, MarkUnread, PinChat, ShowGroup
from groupd.domain.policy import Explain
from groupd.domain.queries import AccountHistory, Blocks, Chats, Groups, Ping, Profile, Sync, Users
from groupd.engine.calls.asker import Asker, listed
from groupd.engine.results import (
    AccountHistoryResult,
    BlocksResult,
    ChatsResult,
    ExplainResult,
    GroupsResult,
    PingResult,
    ProfileResult,
    SeqResult,
    SyncResult,
    UsersResult,
)


class OwnCalls(Asker):
    """Calls about the caller's own: their list of chats, their profile, whom they have blocked."""

    async def ping(self) -> PingResult:
        """Ask for the server's time."""
        request = Ping()
        return cast(PingResult, await self.call(request))

    async def groups(
        self, *, after: str = "", limit: int = CONTENT.groups_page_max
    ) -> GroupsResult:
        """List the groups that the caller is in, by group id."""
        request = Groups(after=after, limit=limit)
        return cast(GroupsResult, await self.call(request))

    async def chats(self, *, after: str = "", limit: int = CONTENT.chats_page_max) -> ChatsResult:
        """List the caller's chats as an app shows them: pinned ones first, then the latest.

        ``unread`` counts over all of them but those with ``do_not_disturb``, ``mentions`` over all;
        a chat that is marked unread adds to neither. ``after`` is the ``next`` of the page before:
        a chat that has not moved meanwhile is neither missed nor given twice.
        """
        request = Chats(after=after, limit=limit)
        return cast(ChatsResult, await self.call(request))

    async def sync(
        self, cursors: Mapping[str, int], *, limit_bytes: int | None = None
    ) -> SyncResult:
        """Catch up many groups: give what came after each cursor (group -> seq)."""
        request = Sync(cursors=dict(cursors), limit_bytes=limit_bytes)
        return cast(SyncResult, await self.call(request))

    async def account_history(
        self, *, after: int = 0, limit: int = CONTENT.history_page
    ) -> AccountHistoryResult:
        """Page the caller's own log."""
        request = AccountHistory(after=after, limit=limit)
        return cast(AccountHistoryResult, await self.call(request))

    async def pin_chat(
        self, group: str, *, pinned: bool = True, id: str | None = None
    ) -> SeqResult:
        """Pin a group to the top of the caller's own list of chats, or take it off.

        Nobody else sees it. A group that is pinned already keeps its place.
        """
        request = PinChat(group=group, pinned=pinned)
        return cast(SeqResult, await self.call(request, id=id))

    async def do_not_disturb(
        self, group: str, *, on: bool = True, id: str | None = None
    ) -> SeqResult:
        """Silence a group for the caller, or let it be heard again.

        Its messages no longer count in the total of ``chats``; mentions still do.
        """
        request = DoNotDisturb(group=group, on=on)
        return cast(SeqResult, await self.call(request, id=id))

    async def mark_unread(self, group: str, *, on: bool = True, id: str | None = None) -> SeqResult:
        """Mark a chat as unread, or end that. ``read`` ends it, too.

        It is a reminder beside the counts, and changes none of them.
        """
        request = MarkUnread(group=group, on=on)
        return cast(SeqResult, await self.call(request, id=id))

    async def show_group(
        self, group: str, *, shown: bool = True, id: str | None = None
    ) -> SeqResult:
        """Show a group on the caller's profile, or take it off.

        One that is not discoverable may be marked, but nobody sees it there while it stays so.
        """
        request = ShowGroup(group=group, shown=shown)
        return cast(SeqResult, await self.call(request, id=id))

    async def users(self, users: Sequence[str]) -> UsersResult:
        """Look at users that the caller shares a group with."""
        request = Users(users=listed(users, "users"))
        return cast(UsersResult, await self.call(request))

    async def profile(self, user: str) -> ProfileResult:
        """Look at any user, and at the groups that they show to everybody.

        Somebody of whom nothing is known is ``not_found``.
        """
        request = Profile(user=user)
        return cast(ProfileResult, await self.call(request))

    async def block(self, user: str, *, id: str | None = None) -> SeqResult:
        """Block another user: neither of the two can open a direct chat with the other.

        They are not told. Groups that both are in stay as they are.
        """
        request = Block(user=user)
        return cast(SeqResult, await self.call(request, id=id))

    async def unblock(self, user: str, *, id: str | None = None) -> SeqResult:
        """End a block. Where there is none, the answer has the head of the account's log."""
        request = Unblock(user=user)
        return cast(SeqResult, await self.call(request, id=id))

    async def blocks(self, *, after: str = "", limit: int = 200) -> BlocksResult:
        """List whom the caller has blocked, by user id."""
        request = Blocks(after=after, limit=limit)
        return cast(BlocksResult, await self.call(request))

    async def explain(
        self, method: str, *, group: str | None = None, params: Mapping[str, Any] | None = None
    ) -> ExplainResult:
        """Ask which rules stand between the caller and a method, and what each of them says.

        ``params`` are those that the call would have; without them, rules that depend on them are
        judged as for a call that names nothing.
        """
        request = Explain.parse({"method": method, "params": params})
        return cast(ExplainResult, await self.call(request, group=group))
