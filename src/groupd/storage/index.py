"""What all indexes have in common, however they are kept: stored rows, claims, derived numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import attrs

from groupd.domain.base import StreamKey
from groupd.domain.projection import GroupCard, PutCard, PutMember
from groupd.storage.port import Append

KINDS_BY_SEQ: Final = ("mention", "reply", "edit", "recall", "reaction", "tally")
"""Rows of groups that grow with the history. The first value of each is a seq."""
KINDS_BY_USER: Final = ("member", "request", "spoke", "tie")
"""Rows of groups that grow with the members or with the customers. The first value of each is a
user, or what else a tie is to."""
KINDS_OF_GROUPS: Final = ("card", "word", "place", *KINDS_BY_USER, *KINDS_BY_SEQ)
KINDS_OF_ACCOUNTS: Final = ("profile", "chat", "block", "revocation")


@attrs.frozen
class StoredCard:
    """A group's card as it is stored. What no ``PutCard`` has said yet is empty."""

    name: str = ""
    picture: str = ""
    owner: str = ""
    ref: str | None = None
    dissolved: bool = False
    discoverable: bool = False
    category: str = ""
    description: str = ""
    location: Mapping[str, float] | None = None
    join_policy: str = "open"
    created_ms: int = 0
    direct: bool = False

    @property
    def claim(self) -> str | None:
        """Give the ``ref`` that no other live group may have."""
        return None if self.dissolved else self.ref

    @property
    def counts(self) -> bool:
        """Say whether the group takes a place of its owner's and its members' limits."""
        return not self.dissolved and not self.direct

    @property
    def can_be_found(self) -> bool:
        """Say whether a search may give the group."""
        return self.discoverable and self.counts

    @property
    def place(self) -> tuple[float, float] | None:
        """Give latitude and longitude, in degrees."""
        at = self.location
        return (float(at["lat"]), float(at["lon"])) if at is not None else None

    def of(self, group: str, *, head: int, members: int) -> GroupCard:
        """Give the card as readers get it."""
        place = self.place
        return GroupCard(
            group=group,
            name=self.name,
            picture=self.picture,
            owner=self.owner,
            ref=self.ref,
            dissolved=self.dissolved,
            discoverable=self.discoverable,
            head=head,
            category=self.category,
            description=self.description,
            location={"lat": place[0], "lon": place[1]} if place is not None else None,
            join_policy=self.join_policy,
            created_ms=self.created_ms,
            direct=self.direct,
            members=members,
        )

    def row(self) -> tuple[Any, ...]:
        """Give the card as a plain row: the fields in their order, the place as two numbers."""
        return (
            *(self.name, self.picture, self.owner, self.ref, self.dissolved, self.discoverable),
            *(self.category, self.description, *(self.place or (None, None))),
            *(self.join_policy, self.created_ms, self.direct),
        )

    @classmethod
    def of_row(cls, row: Sequence[Any]) -> StoredCard:
        """Make the card of its plain row."""
        name, picture, owner, ref, dissolved, discoverable, *rest = row
        category, description, lat, lon, join_policy, created_ms, direct = rest
        return cls(
            name=name,
            picture=picture,
            owner=owner,
            ref=ref,
            dissolved=bool(dissolved),
            discoverable=bool(discoverable),
            category=category,
            description=description,
            location={"lat": lat, "lon": lon} if lat is not None else None,
            join_policy=join_policy,
            created_ms=created_ms,
            direct=bool(direct),
        )


EMPTY_CARD = StoredCard()


@attrs.frozen
class Member:
    """A member's row as it is stored."""

    role: int
    name: str
    joined_ms: int
    joined_seq: int
    floor: int
    nickname: str = ""
    muted_until_ms: int = 0

    @classmethod
    def of(cls, change: PutMember) -> Member:
        """Give the row of somebody who has just become a member."""
        return cls(change.role, change.name, change.joined_ms, change.joined_seq, change.floor)


def taken_ref(
    appends: Sequence[Append],
    card_of: Callable[[StreamKey], StoredCard | None],
    holder_of: Callable[[str, str], str | None],
) -> str | None:
    """Give a ``ref`` that an append wants and that another live group has, or None.

    ``card_of`` and ``holder_of`` (tenant, ref -> group) tell of the state before the appends.
    """
    holders: dict[tuple[str, str], str | None] = {}
    for append in appends:
        values: dict[str, Any] = {}
        for change in append.changes:
            if type(change) is PutCard:
                values.update(change.values)
        if not values:
            continue
        _kind, tenant, group = append.stream
        before = card_of(append.stream) or EMPTY_CARD
        after = attrs.evolve(before, **values)
        if after.claim == before.claim:
            continue
        if before.claim is not None:
            holders[tenant, before.claim] = None
        if after.claim is not None:
            slot = (tenant, after.claim)
            holder = holders[slot] if slot in holders else holder_of(*slot)
            if holder not in (None, group):
                return after.claim
            holders[slot] = group
    return None


def last_countable(n_at: Callable[[int], int], upto: int) -> int:
    """Give the newest seq up to ``upto`` whose record counts as a message; 0 for none.

    ``n_at`` gives the count up to and with a seq. It never falls, so this is the lowest seq of
    the same count. That is mostly near, so the search doubles its steps back from ``upto``.
    """
    n = n_at(upto)
    if n == 0:
        return 0
    found, step = upto, 1
    while found > step and n_at(found - step) == n:
        found -= step
        step *= 2
    below = max(found - step, 0)
    while found - below > 1:
        middle = (found + below) // 2
        if n_at(middle) == n:
            found = middle
        else:
            below = middle
    return found


def first_since(time_at: Callable[[int], int], *, head: int, since_ms: int) -> int:
    """Give the lowest seq whose record is not before a time; ``head`` + 1 for none.

    ``time_at`` gives the time of a seq. It never falls.
    """
    low, high = 1, head + 1
    while low < high:
        middle = (low + high) // 2
        if time_at(middle) >= since_ms:
            high = middle
        else:
            low = middle + 1
    return low
