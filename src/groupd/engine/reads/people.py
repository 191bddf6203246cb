"""Reads about people: a group's members, users, profiles, and whom one has blocked."""

from __future__ import annotations

from typing import Any

from groupd.domain.base import Identity, Role, StreamKey
from groupd.domain.projection import MemberRow
from groupd.domain.queries import Blocks, Members, Profile, Users
from groupd.engine.directory import Directory
from groupd.engine.peer import Peer
from groupd.engine.reads.common import Result, standing
from groupd.engine.reads.finding import card_of
from groupd.errors import Rejected
from groupd.storage.port import Store


async def members(
    directory: Directory, caller: Identity, stream: StreamKey, query: Members, peer: Peer | None
) -> Result:
    """List a group's members."""
    now_ms = directory.shared.ports.clock.now_ms()

    def read(store: Store) -> Result:
        standing(store, stream, caller)
        rows = store.members(stream.tenant, stream.key, query.after, query.limit + 1)
        shown = rows[: query.limit]
        result: dict[str, Any] = {"members": [shown_member(row, now_ms) for row in shown]}
        if len(rows) > len(shown):
            result["next"] = shown[-1].user
        return result

    return await directory.shared.log.read(read)


def shown_member(row: MemberRow, now_ms: int) -> dict[str, Any]:
    """Give one line of a list of members."""
    shown: dict[str, Any] = {
        "user": row.user,
        "name": row.name,
        "picture": row.picture,
        "role": Role(row.role).label,
        "joined_ms": row.joined_ms,
    }
    if row.nickname:
        shown["nickname"] = row.nickname
    if now_ms < row.muted_until_ms:
        shown["muted_until_ms"] = row.muted_until_ms
    return shown


async def users(
    directory: Directory, caller: Identity, stream: StreamKey, query: Users, peer: Peer | None
) -> Result:
    """Show those of some users that the caller shares a group with."""
    rows = await directory.shared.log.read(
        lambda store: store.acquainted(caller.tenant, caller.user, query.users)
    )
    return {"users": [_person(row.user, row.name, row.picture) for row in rows]}


async def profile(
    directory: Directory, caller: Identity, stream: StreamKey, query: Profile, peer: Peer | None
) -> Result:
    """Show any user, with the groups that they show to everybody."""

    def read(store: Store) -> Result:
        known = store.profile(caller.tenant, query.user)
        shown = store.shown(caller.tenant, query.user)
        if known is None and not shown:
            raise Rejected("not_found", "no such user")
        name, picture = ("", "") if known is None else (known.name, known.picture)
        groups = [card_of(card) for card in shown]
        return {**_person(query.user, name, picture), "groups": groups}

    return await directory.shared.log.read(read)


async def blocks(
    directory: Directory, caller: Identity, stream: StreamKey, query: Blocks, peer: Peer | None
) -> Result:
    """List whom the caller has blocked."""

    def read(store: Store) -> Result:
        found = store.blocks(caller.tenant, caller.user, query.after, query.limit + 1)
        people = []
        for user in found[: query.limit]:
            known = store.profile(caller.tenant, user)
            name, picture = ("", "") if known is None else (known.name, known.picture)
            people.append(_person(user, name, picture))
        result: dict[str, Any] = {"users": people}
        if len(found) > query.limit:
            result["next"] = found[query.limit - 1]
        return result

    return await directory.shared.log.read(read)


def _person(user: str, name: str, picture: str) -> dict[str, str]:
    return {"user": user, "name": name, "picture": picture}
