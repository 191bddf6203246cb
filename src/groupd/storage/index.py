"""What all indexes have in common, however they are kept: cards, claims, and derived numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import attrs

from groupd.domain.base import StreamKey
from groupd.domain.projection import (
    Change,
    DropMember,
    GroupCard,
    Mention,
    PutCard,
    PutMember,
    Spoke,
)
from groupd.storage.port import Append


@attrs.frozen
class Card:
    """A group's card as it is stored. What no ``PutCard`` has said yet is empty."""

    name: str = ""
    picture: str = ""
    owner: str = ""
    ref: str | None = None
    dissolved: bool = False
    discoverable: bool = False

    @property
    def claim(self) -> str | None:
        """Give the ``ref`` that no other live group may have."""
        return None if self.dissolved else self.ref

    def of(self, group: str, head: int) -> GroupCard:
        """Give the card as readers get it."""
        return GroupCard(
            group=group,
            name=self.name,
            picture=self.picture,
            owner=self.owner,
            ref=self.ref,
            dissolved=self.dissolved,
            discoverable=self.discoverable,
            head=head,
        )


EMPTY_CARD = Card()


def taken_ref(
    appends: Sequence[Append],
    card_of: Callable[[StreamKey], Card | None],
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


@attrs.define
class Fold:
    """Changes in their order, brought down to what is left to write."""

    members: dict[str, PutMember | None] = attrs.field(factory=dict)
    """None for those who are no members any more."""
    card: dict[str, Any] | None = None
    """None where nothing says that there is one."""
    spoke: dict[str, int] = attrs.field(factory=dict)
    mentions: set[tuple[int, str]] = attrs.field(factory=set)

    def add(self, changes: Iterable[Change]) -> None:
        """Take in more changes, in their order."""
        for change in changes:
            match change:
                case Spoke():
                    self.spoke[change.user] = change.seq
                case Mention():
                    self.mentions.update((change.seq, user) for user in change.users)
                case PutMember():
                    self.members[change.user] = change
                case DropMember():
                    self.members[change.user] = None
                case PutCard():
                    self.card = {**(self.card or {}), **change.values}


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
