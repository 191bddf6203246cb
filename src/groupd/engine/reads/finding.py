"""Finding groups that one is not in: by name, by category, and by place.

What is found comes from the index alone, which has no undiscoverable group to give; no actor is
woken for it.
"""

from __future__ import annotations

import re
from typing import Any, Final

from groupd.domain.base import Identity, StreamKey
from groupd.domain.fields import INT_MAX, refuse
from groupd.domain.projection import Found, GroupCard, Near
from groupd.domain.queries import Nearby, Search
from groupd.engine.directory import Directory
from groupd.engine.peer import Peer
from groupd.engine.reads.common import Result
from groupd.storage.port import Store

_CURSOR: Final = re.compile(r"(\d{1,16}):(\d{1,9}(?:\.\d{1,20})?(?:e-\d{1,3})?)?:(.*)", re.ASCII)
"""What a search goes on after: the store's number, the distance in metres, the name."""


async def search(
    directory: Directory, caller: Identity, stream: StreamKey, query: Search, peer: Peer | None
) -> Result:
    """Find groups by words of their name, category and place."""
    known = directory.shared.rules.categories
    if query.category and known and query.category not in known:
        raise refuse("category", f"expected one of {', '.join(known)}")
    near = None
    if query.near is not None:
        near = Near(query.near["lat"], query.near["lon"], int(query.near["radius_m"]))
    return await _find(
        directory,
        caller,
        query=query.query,
        category=query.category,
        near=near,
        cursor=query.cursor,
        limit=query.limit,
    )


async def nearby(
    directory: Directory, caller: Identity, stream: StreamKey, query: Nearby, peer: Peer | None
) -> Result:
    """Find the groups in a circle."""
    near = Near(query.lat, query.lon, query.radius_m)
    return await _find(
        directory,
        caller,
        query="",
        category="",
        near=near,
        cursor=query.cursor,
        limit=query.limit,
    )


async def _find(
    directory: Directory,
    caller: Identity,
    *,
    query: str,
    category: str,
    near: Near | None,
    cursor: str,
    limit: int,
) -> Result:
    after = _found_at(cursor, near) if cursor else None

    def read(store: Store) -> list[Found]:
        found = store.search(
            caller.tenant,
            query=query,
            category=category,
            near=near,
            after=after,
            limit=limit + 1,
        )
        return list(found)

    found = await directory.shared.log.read(read)
    shown = found[:limit]
    result: dict[str, Any] = {"groups": [_shown(each) for each in shown]}
    if len(found) > limit:
        result["next"] = _cursor(shown[-1])
    return result


def card_of(card: GroupCard) -> dict[str, Any]:
    """Give what anybody may see of a group that they can find."""
    shown: dict[str, Any] = {
        "group": card.group,
        "name": card.name,
        "picture": card.picture,
        "category": card.category,
        "description": card.description,
        "owner": card.owner,
        "members": card.members,
        "join_policy": card.join_policy,
        "created_ms": card.created_ms,
    }
    if card.location is not None:
        shown["location"] = dict(card.location)
    return shown


def _shown(found: Found) -> dict[str, Any]:
    shown = card_of(found.card)
    if found.distance_m is not None:
        shown["distance_m"] = round(found.distance_m)
    return shown


# --- where a page ends


def _cursor(found: Found) -> str:
    distance = "" if found.distance_m is None else repr(found.distance_m)
    return f"{found.number}:{distance}:{found.card.name}"


def _found_at(cursor: str, near: Near | None) -> Found:
    """Give what a search goes on after; raises ``bad_request``."""
    parts = _CURSOR.fullmatch(cursor)
    if parts is None or int(parts[1]) > INT_MAX or (parts[2] is None) is not (near is None):
        raise refuse("cursor", "expected the `next` of a page of this search")
    card = GroupCard(
        group="",
        name=parts[3],
        picture="",
        owner="",
        ref=None,
        dissolved=False,
        discoverable=True,
        head=0,
    )
    return Found(card, int(parts[1]), None if parts[2] is None else float(parts[2]))
