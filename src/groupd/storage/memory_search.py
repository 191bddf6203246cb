"""The search in memory: every group is looked at."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import attrs

from groupd.domain.projection import Found, Near
from groupd.storage.globe import distance_m
from groupd.storage.words import Query, split, whole


def find(
    groups: Iterable[Found],
    *,
    query: str,
    category: str,
    near: Near | None,
    after: Found | None,
    limit: int,
) -> Sequence[Found]:
    """Give those of the groups that are searched for, as ``Store.search`` does."""
    wanted = Query.of(query)

    def order(found: Found) -> tuple[float, int]:
        if near is not None:
            assert found.distance_m is not None, found
            return (found.distance_m, -found.number)
        return (query != "" and whole(found.card.name) != wanted.whole, -found.number)

    matching = []
    for group in groups:
        card, found = group.card, group
        if query and not wanted.matches(split(card.name)):
            continue
        if category and card.category != category:
            continue
        if near is not None:
            if card.location is None:
                continue
            away = distance_m(near.lat, near.lon, card.location["lat"], card.location["lon"])
            if away > near.radius_m:
                continue
            found = attrs.evolve(group, distance_m=away)
        if after is None or order(found) > order(after):
            matching.append(found)
    return sorted(matching, key=order)[:limit]
