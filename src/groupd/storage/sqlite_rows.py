"""The columns that several queries share, and what is made of them."""

from __future__ import annotations

from typing import Final

from groupd.domain.projection import GroupCard
from groupd.storage.index import StoredCard
from groupd.storage.sqlite_file import Row

CARD: Final = (
    "c.name, c.picture, c.owner, c.ref, c.dissolved, c.discoverable, c.category, c.description, "
    "c.lat, c.lon, c.join_policy, c.created_ms, c.direct"
)
"""In the order of ``StoredCard.row``."""

GROUP_CARD: Final = f"s.key, s.head, c.members, {CARD}"
"""Of ``streams s`` and ``cards c``."""


def group_card(row: Row) -> GroupCard:
    """Make a card of the columns of ``GROUP_CARD``."""
    return StoredCard.of_row(row[3:]).of(row[0], head=row[1], members=row[2])
