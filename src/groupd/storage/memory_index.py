"""The index in plain dicts: for the memory store, and to check any other store's index against."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator

import attrs

from groupd.domain.base import StreamKey
from groupd.domain.projection import (
    EVERYBODY,
    Change,
    DropMember,
    Mention,
    PutCard,
    PutMember,
    Spoke,
)
from groupd.storage.index import EMPTY_CARD, Card


@attrs.define(eq=False)
class GroupIndex:
    """What the index has of one group."""

    card: Card | None = None
    members: dict[str, PutMember] = attrs.field(factory=dict)
    spoke: dict[str, int] = attrs.field(factory=dict)
    """User -> newest message. Stays when they leave: joining again is later than that."""
    mentions: list[tuple[int, str]] = attrs.field(factory=list)
    """Sorted."""

    def mention(self, user: str, seq: int) -> None:
        """Take down a mention; the second one of a message changes nothing."""
        place = bisect_left(self.mentions, (seq, user))
        if self.mentions[place : place + 1] != [(seq, user)]:
            self.mentions.insert(place, (seq, user))

    def erase(self, seq: int) -> None:
        """Forget the mentions of a message."""
        first = bisect_left(self.mentions, (seq, ""))
        end = bisect_left(self.mentions, (seq + 1, ""))
        del self.mentions[first:end]

    def mentioned(self, user: str, after: int, upto: int) -> set[int]:
        """Give the seqs, ``after`` < seq <= ``upto``, of messages that mention a user."""
        first = bisect_left(self.mentions, (after + 1, ""))
        end = bisect_left(self.mentions, (upto + 1, ""))
        return {seq for seq, who in self.mentions[first:end] if who in (user, EVERYBODY)}


@attrs.define(eq=False)
class MemoryIndex:
    """The index of all groups, with the ways in that reads need."""

    groups: dict[StreamKey, GroupIndex] = attrs.field(factory=dict)
    groups_of: dict[tuple[str, str], set[StreamKey]] = attrs.field(factory=dict)
    """(tenant, user) -> the groups they are in."""
    holders: dict[tuple[str, str], StreamKey] = attrs.field(factory=dict)
    """(tenant, ref) -> the live group that has it."""

    def apply(self, stream: StreamKey, changes: Iterable[Change]) -> None:
        """Make the changes, in order."""
        group = self.groups.get(stream)
        if group is None:
            group = self.groups[stream] = GroupIndex()
        for change in changes:
            match change:
                case Spoke():
                    group.spoke[change.user] = change.seq
                case Mention():
                    for user in change.users:
                        group.mention(user, change.seq)
                case PutMember():
                    group.members[change.user] = change
                    self.groups_of.setdefault((stream.tenant, change.user), set()).add(stream)
                case DropMember():
                    if group.members.pop(change.user, None):
                        self.groups_of[stream.tenant, change.user].discard(stream)
                case PutCard():
                    self._put_card(stream, group, change)

    def _put_card(self, stream: StreamKey, group: GroupIndex, change: PutCard) -> None:
        before = group.card or EMPTY_CARD
        group.card = after = attrs.evolve(before, **change.values)
        if before.claim is not None and self.holders.get((stream.tenant, before.claim)) == stream:
            del self.holders[stream.tenant, before.claim]
        if after.claim is not None:
            self.holders[stream.tenant, after.claim] = stream

    def find_holders(self) -> None:
        """Find all holders of refs anew, after groups were read in an order that never was."""
        self.holders = {
            (stream.tenant, group.card.claim): stream
            for stream, group in self.groups.items()
            if group.card is not None and group.card.claim is not None
        }

    def dump(self) -> Iterator[tuple[object, ...]]:
        """Give all rows in the form and order of ``Store.dump_index``."""
        groups = sorted(self.groups.items())
        for (_, tenant, key), group in groups:
            if group.card is not None:
                yield ("card", tenant, key, *attrs.astuple(group.card))
        for (_, tenant, key), group in groups:
            for user, row in sorted(group.members.items()):
                yield (
                    *("member", tenant, key, user, row.role, row.name),
                    *(row.joined_ms, row.joined_seq, row.floor),
                )
        for (_, tenant, key), group in groups:
            for seq, user in group.mentions:
                yield ("mention", tenant, key, seq, user)
        for (_, tenant, key), group in groups:
            for user, seq in sorted(group.spoke.items()):
                yield ("spoke", tenant, key, user, seq)
