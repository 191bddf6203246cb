"""The calls about order in a group: roles, handing over, muting and banning."""

# `id` is the protocol's word, and permanent.

from __future__ import annotations

from typing import cast

from groupd.domain.group.moderation import (
    Bans,
    BanUser,
    Kick,
    Mute,
    MuteAll,
    SlowMode,
    Unban,
    Unmute,
)
from groupd.domain.group.roles import AcceptTransfer, DeclineTransfer, SetRole, Transfer
from groupd.engine.calls.asker import Asker
from groupd.engine.results import BansResult, SeqResult


class ModerationCalls(Asker):
    """Calls about order in a group: roles, handing over, muting and banning."""

    async def set_role(
        self, group: str, user: str, *, role: str, id: str | None = None
    ) -> SeqResult:
        """Make a member an admin, or an admin a plain member."""
        request = SetRole(user=user, role=role)
        return cast(SeqResult, await self.call(request, group=group, id=id))

    async def transfer(self, group: str, user: str, *, id: str | None = None) -> SeqResult:
        """Offer the group to a member. It stays the owner's until they accept."""
        request = Transfer(user=user)
        return cast(SeqResult, await self.call(request, group=group, id=id))

    async def accept_transfer(self, group: str, *, id: str | None = None) -> SeqResult:
        """Become the owner of a group that was offered; the former owner becomes an admin."""
        request = AcceptTransfer()
        return cast(SeqResult, await self.call(request, group=group, id=id))

    async def decline_transfer(self, group: str, *, id: str | None = None) -> SeqResult:
        """Decline a group that was offered; the owner takes the offer back by it."""
        request = DeclineTransfer()
        return cast(SeqResult, await self.call(request, group=group, id=id))

    async def kick(
        self, group: str, user: str, *, message: str = "", id: str | None = None
    ) -> SeqResult:
        """Take a member out of the group. They may come back; see ``ban``."""
        request = Kick(user=user, message=message)
        return cast(SeqResult, await self.call(request, group=group, id=id))

    async def ban(
        self,
        group: str,
        user: str,
        *,
        for_ms: int | None = None,
        message: str = "",
        id: str | None = None,
    ) -> SeqResult:
        """Keep somebody out, for some time or for ever; a member is taken out at once."""
        request = BanUser(user=user, for_ms=for_ms, message=message)
        return cast(SeqResult, await self.call(request, group=group, id=id))

    async def unban(self, group: str, user: str, *, id: str | None = None) -> SeqResult:
        """End a ban."""
        request = Unban(user=user)
        return cast(SeqResult, await self.call(request, group=group, id=id))

    async def bans(self, group: str, *, after: str = "", limit: int = 200) -> BansResult:
        """List the bans that hold, by user id."""
        request = Bans(after=after, limit=limit)
        return cast(BansResult, await self.call(request, group=group))

    async def mute(self, group: str, user: str, *, for_ms: int, id: str | None = None) -> SeqResult:
        """Let a member say nothing for some time. They read on."""
        request = Mute(user=user, for_ms=for_ms)
        return cast(SeqResult, await self.call(request, group=group, id=id))

    async def unmute(self, group: str, user: str, *, id: str | None = None) -> SeqResult:
        """Let a muted member speak again."""
        request = Unmute(user=user)
        return cast(SeqResult, await self.call(request, group=group, id=id))

    async def mute_all(self, group: str, *, on: bool = True, id: str | None = None) -> SeqResult:
        """Let only admins speak, or all members again."""
        request = MuteAll(on=on)
        return cast(SeqResult, await self.call(request, group=group, id=id))

    async def slow_mode(self, group: str, interval_ms: int, *, id: str | None = None) -> SeqResult:
        """Let plain members post only once in some time; 0 ends it."""
        request = SlowMode(interval_ms=interval_ms)
        return cast(SeqResult, await self.call(request, group=group, id=id))
