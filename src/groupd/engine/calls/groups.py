"""The calls about a group as a whole: founding, finding, settings, its end."""

# `id` is the protocol's word, and permanent.

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from groupd.domain.account.create import Create
from groupd.domain.group.direct import Direct
from groupd.domain.group.info import Info
from groupd.domain.group.settings import Dissolve, Update
from groupd.domain.queries import Nearby, Search
from groupd.engine.calls.asker import Asker, listed
from groupd.engine.results import CreateResult, InfoResult, SearchResult, SeqResult


class GroupCalls(Asker):
    """Calls about a group as a whole: founding, finding, settings, its end."""

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
        conditions: Mapping[str, Any] | None = None,
        public_stats: bool = False,
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
            members=listed(members, "members"),
            join_policy=join_policy,
            member_invites=member_invites,
            discoverable=discoverable,
            history=history,
            time_zone=time_zone,
            conditions=conditions,
            public_stats=public_stats,
            ref=ref,
            data=data,
        )
        return cast(CreateResult, await self.call(request, id=id))

    async def direct(self, user: str, *, id: str | None = None) -> CreateResult:
        """Open the direct chat with another user; it is made when it is first asked for.

        ``seq`` is that of the caller's joining, also where the chat was there before.
        """
        request = Direct(user=user)
        return cast(CreateResult, await self.call(request, id=id))

    async def info(self, group: str) -> InfoResult:
        """Look at a group: its card, and for members also what stands on its board."""
        request = Info()
        return cast(InfoResult, await self.call(request, group=group))

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
        conditions: Mapping[str, Any] | None = None,
        public_stats: bool | None = None,
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
            conditions=conditions,
            public_stats=public_stats,
            data=data,
        )
        return cast(SeqResult, await self.call(request, group=group, id=id))

    async def dissolve(self, group: str, *, id: str | None = None) -> SeqResult:
        """End the group. It frees its place in the owner's quota."""
        request = Dissolve()
        return cast(SeqResult, await self.call(request, group=group, id=id))

    async def search(
        self,
        *,
        query: str = "",
        category: str = "",
        near: Mapping[str, float] | None = None,
        cursor: str = "",
        limit: int = 20,
    ) -> SearchResult:
        """Find groups: by words of their name, by category, and by place. At least one is given.

        Only groups that are discoverable. Those with just this name come first, then the latest;
        in a circle, the nearest. ``cursor`` is the ``next`` of the page before.
        """
        request = Search(query=query, category=category, near=near, cursor=cursor, limit=limit)
        return cast(SearchResult, await self.call(request))

    async def nearby(
        self, lat: float, *, lon: float, radius_m: int, cursor: str = "", limit: int = 20
    ) -> SearchResult:
        """Find the groups in a circle on the map, the nearest first.

        Groups without a place are never among them.
        """
        request = Nearby(lat=lat, lon=lon, radius_m=radius_m, cursor=cursor, limit=limit)
        return cast(SearchResult, await self.call(request))
