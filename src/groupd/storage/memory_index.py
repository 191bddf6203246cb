"""The index in plain dicts: for the memory store, and to check any other store's index against."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final, TypeAlias

import attrs

from groupd.domain.base import ACCOUNT, StreamKey
from groupd.domain.projection import (
    EVERYBODY,
    Change,
    Chat,
    DropBlock,
    DropChat,
    DropMember,
    DropRequest,
    DropTie,
    DropTies,
    Edit,
    Mention,
    Profile,
    PutBlock,
    PutCard,
    PutChat,
    PutMember,
    PutProfile,
    PutRequest,
    PutRevocation,
    PutTie,
    React,
    Recall,
    Reply,
    SetMember,
    Spoke,
    Tie,
    Unreact,
)
from groupd.storage.findings import Bound
from groupd.storage.index import EMPTY_CARD, KINDS_BY_SEQ, KINDS_BY_USER, Member, StoredCard
from groupd.storage.words import terms

Row: TypeAlias = tuple[Any, ...]


@attrs.define(eq=False)
class GroupIndex:
    """What the index has of one group."""

    card: StoredCard | None = None
    members: dict[str, Member] = attrs.field(factory=dict)
    requests: set[str] = attrs.field(factory=set)
    """Users who wait for a decision."""
    spoke: dict[str, int] = attrs.field(factory=dict)
    """User -> newest message. Stays when they leave: joining again is later than that."""
    mentions: list[tuple[int, str]] = attrs.field(factory=list)
    """Sorted."""
    replies: dict[int, list[int]] = attrs.field(factory=dict)
    """Message -> seqs of replies, sorted; ``edits`` likewise."""
    edits: dict[int, list[int]] = attrs.field(factory=dict)
    recalls: dict[int, int] = attrs.field(factory=dict)
    """Message -> seq of the event."""
    reactions: dict[int, dict[str, dict[str, int]]] = attrs.field(factory=dict)
    """Message -> reaction -> user -> seq of the event; nothing of it is empty."""
    ties: dict[tuple[str, str], Tie] = attrs.field(factory=dict)
    """(name, kind) -> the tie."""

    def mention(self, user: str, seq: int) -> None:
        """Take down a mention; the second one of a message changes nothing."""
        place = bisect_left(self.mentions, (seq, user))
        if self.mentions[place : place + 1] != [(seq, user)]:
            self.mentions.insert(place, (seq, user))

    def erase(self, seq: int) -> None:
        """Forget what was said in a message: whom it mentions, what it answers or words anew."""
        first = bisect_left(self.mentions, (seq, ""))
        end = bisect_left(self.mentions, (seq + 1, ""))
        del self.mentions[first:end]
        for about in (self.replies, self.edits):
            for message in [message for message, seqs in about.items() if seq in seqs]:
                about[message].remove(seq)
                if not about[message]:
                    del about[message]

    def mentioned(self, user: str, after: int, upto: int) -> set[int]:
        """Give the seqs, ``after`` < seq <= ``upto``, of messages that mention a user."""
        first = bisect_left(self.mentions, (after + 1, ""))
        end = bisect_left(self.mentions, (upto + 1, ""))
        return {seq for seq, who in self.mentions[first:end] if who in (user, EVERYBODY)}

    def react(self, change: React) -> None:
        """Take down a reaction to a message that stands."""
        if change.message not in self.recalls:
            to_it = self.reactions.setdefault(change.message, {})
            to_it.setdefault(change.reaction, {}).setdefault(change.user, change.seq)

    def rows_by_seq(self, kind: str, after: int, upto: int | None) -> list[Row]:
        """Give the rows of a kind of ``KINDS_BY_SEQ`` with after < first value <= upto."""
        if kind == "mention":
            first = bisect_left(self.mentions, (after + 1, ""))
            end = len(self.mentions)
            if upto is not None:
                end = bisect_left(self.mentions, (upto + 1, ""))
            return list(self.mentions[first:end])
        kinds: dict[str, Any] = {
            "reply": self.replies,
            "edit": self.edits,
            "recall": self.recalls,
        }
        by_seq: dict[int, Any] = kinds.get(kind, self.reactions)
        seqs: Iterable[int] = by_seq
        if upto is not None and upto - after < len(by_seq):
            seqs = range(after + 1, upto + 1)
        within = [
            seq for seq in seqs if seq in by_seq and seq > after and (upto is None or seq <= upto)
        ]
        if kind == "recall":
            return [(seq, by_seq[seq]) for seq in within]
        if kind in ("reply", "edit"):
            return [(seq, other) for seq in within for other in by_seq[seq]]
        if kind == "tally":
            return [
                (seq, reaction, len(users))
                for seq in within
                for reaction, users in by_seq[seq].items()
            ]
        return [
            (seq, reaction, user, number)
            for seq in within
            for reaction, users in by_seq[seq].items()
            for user, number in users.items()
        ]

    def rows_by_user(self, kind: str, after: str | None, upto: str | None) -> list[Row]:
        """Give the rows of a kind of ``KINDS_BY_USER`` with after < user <= upto."""
        if kind == "tie":
            return [
                row
                for row in _ties(self)
                if (after is None or row[0] > after) and (upto is None or row[0] <= upto)
            ]
        kinds: dict[str, Iterable[str]] = {"member": self.members, "request": self.requests}
        within = [
            user
            for user in kinds.get(kind, self.spoke)
            if (after is None or user > after) and (upto is None or user <= upto)
        ]
        if kind == "member":
            return [(user, *_values_of(self.members[user])) for user in within]
        return [(user,) if kind == "request" else (user, self.spoke[user]) for user in within]

    def unreact(self, change: Unreact) -> None:
        """Forget a reaction."""
        to_it = self.reactions.get(change.message, {})
        users = to_it.get(change.reaction, {})
        if users.pop(change.user, None) is not None and not users:
            del to_it[change.reaction]
            if not to_it:
                del self.reactions[change.message]


@attrs.define(eq=False)
class AccountIndex:
    """What the index has of one account."""

    profile: Profile | None = None
    chats: dict[str, Chat] = attrs.field(factory=dict)
    blocks: set[str] = attrs.field(factory=set)
    revoked_before_ms: int = 0

    def apply(self, change: Change) -> None:
        """Make one change."""
        match change:
            case PutProfile():
                self.profile = Profile(*attrs.astuple(change))
            case PutChat():
                chat = self.chats.get(change.group, Chat())
                self.chats[change.group] = attrs.evolve(chat, **change.values)
            case DropChat():
                self.chats.pop(change.group, None)
            case PutBlock():
                self.blocks.add(change.user)
            case DropBlock():
                self.blocks.discard(change.user)
            case PutRevocation():
                self.revoked_before_ms = max(self.revoked_before_ms, change.before_ms)


@attrs.define(eq=False)
class MemoryIndex:
    """The index of all groups and accounts, with the ways in that reads need."""

    groups: dict[StreamKey, GroupIndex] = attrs.field(factory=dict)
    accounts: dict[tuple[str, str], AccountIndex] = attrs.field(factory=dict)
    """By tenant and user."""
    groups_of: dict[tuple[str, str], set[StreamKey]] = attrs.field(factory=dict)
    """(tenant, user) -> the groups they are in."""
    requests_of: dict[tuple[str, str], set[StreamKey]] = attrs.field(factory=dict)
    """(tenant, user) -> the groups where they wait for a decision."""
    owned_by: dict[tuple[str, str], set[StreamKey]] = attrs.field(factory=dict)
    """(tenant, owner) -> their groups, with those that are dissolved."""
    holders: dict[tuple[str, str], StreamKey] = attrs.field(factory=dict)
    """(tenant, ref) -> the live group that has it."""
    tied: dict[tuple[str, str, str], set[StreamKey]] = attrs.field(factory=dict)
    """(tenant, kind, name) -> the groups that have such a tie."""

    def apply(self, stream: StreamKey, changes: Iterable[Change]) -> None:
        """Make the changes, in order."""
        if stream.kind == ACCOUNT:
            account = self.accounts.setdefault((stream.tenant, stream.key), AccountIndex())
            for change in changes:
                account.apply(change)
            return
        group = self.groups.get(stream)
        if group is None:
            group = self.groups[stream] = GroupIndex()
        for change in changes:
            self._apply(stream, group, change)

    def _apply(self, stream: StreamKey, group: GroupIndex, change: Change) -> None:
        match change:
            case Spoke():
                group.spoke[change.user] = change.seq
            case Mention():
                for user in change.users:
                    group.mention(user, change.seq)
            case PutMember() | SetMember() | DropMember() | PutRequest() | DropRequest():
                self._apply_to_people(stream, group, change)
            case PutCard():
                self._put_card(stream, group, change)
            case Reply() | Edit():
                about = group.replies if type(change) is Reply else group.edits
                seqs = about.setdefault(change.message, [])
                if change.seq not in seqs:
                    insort(seqs, change.seq)
            case Recall():
                group.recalls.setdefault(change.message, change.seq)
                group.reactions.pop(change.message, None)
            case React():
                group.react(change)
            case Unreact():
                group.unreact(change)
            case PutTie() | DropTie() | DropTies():
                self._tie(stream, group, change)

    def _apply_to_people(
        self,
        stream: StreamKey,
        group: GroupIndex,
        change: PutMember | SetMember | DropMember | PutRequest | DropRequest,
    ) -> None:
        user = change.user
        who = (stream.tenant, user)
        match change:
            case PutMember():
                group.members[user] = Member.of(change)
                self.groups_of.setdefault(who, set()).add(stream)
            case SetMember():
                if user in group.members:
                    group.members[user] = attrs.evolve(group.members[user], **change.values)
            case DropMember():
                if group.members.pop(user, None):
                    self.groups_of[who].discard(stream)
            case PutRequest():
                group.requests.add(user)
                self.requests_of.setdefault(who, set()).add(stream)
            case DropRequest():
                group.requests.discard(user)
                self.requests_of.get(who, set()).discard(stream)

    def _tie(
        self, stream: StreamKey, group: GroupIndex, change: PutTie | DropTie | DropTies
    ) -> None:
        match change:
            case PutTie():
                tie = Tie(change.seq, change.state, change.note)
                group.ties[change.name, change.kind] = tie
                to_it = (stream.tenant, change.kind, change.name)
                self.tied.setdefault(to_it, set()).add(stream)
            case DropTie():
                self._untie(stream, group, change.kind, change.name)
            case DropTies():
                for name, kind in [key for key in group.ties if key[1] in change.kinds]:
                    self._untie(stream, group, kind, name)

    def _untie(self, stream: StreamKey, group: GroupIndex, kind: str, name: str) -> None:
        if group.ties.pop((name, kind), None) is not None:
            self.tied[stream.tenant, kind, name].discard(stream)

    def _put_card(self, stream: StreamKey, group: GroupIndex, change: PutCard) -> None:
        before = group.card or EMPTY_CARD
        group.card = after = attrs.evolve(before, **change.values)
        if before.claim is not None and self.holders.get((stream.tenant, before.claim)) == stream:
            del self.holders[stream.tenant, before.claim]
        if after.claim is not None:
            # Another may have it still where an append wants it for a moment only.
            self.holders.setdefault((stream.tenant, after.claim), stream)
        self.owned_by.get((stream.tenant, before.owner), set()).discard(stream)
        self.owned_by.setdefault((stream.tenant, after.owner), set()).add(stream)

    def card_of(self, stream: StreamKey) -> StoredCard | None:
        """Give a group's card as it is stored."""
        group = self.groups.get(stream)
        return group.card if group is not None else None

    def holder_of(self, tenant: str, ref: str) -> str | None:
        """Give the live group that has this ``ref``."""
        stream = self.holders.get((tenant, ref))
        return stream.key if stream is not None else None

    def find_holders(self) -> None:
        """Find all holders of refs anew, after groups were read in an order that never was."""
        self.holders = {
            (stream.tenant, group.card.claim): stream
            for stream, group in self.groups.items()
            if group.card is not None and group.card.claim is not None
        }

    def rows(
        self, stream: StreamKey, kind: str, after: Bound = None, upto: Bound = None
    ) -> list[Row]:
        """Give the rows of one kind of one stream; see ``Checks.index_rows``."""
        if stream.kind == ACCOUNT:
            account = self.accounts.get((stream.tenant, stream.key))
            return list(dict(_ROWS_OF_ACCOUNTS)[kind](account)) if account is not None else []
        group = self.groups.get(stream)
        if group is None:
            return []
        if kind in ("word", "place"):
            card = group.card
            if card is None or not card.can_be_found:
                return []
            if kind == "word":
                return [(" ".join(terms(card.name, card.category)),)]
            return [card.place] if card.place is not None else []
        if kind in KINDS_BY_SEQ:
            assert not isinstance(after, str), after
            assert not isinstance(upto, str), upto
            return group.rows_by_seq(kind, 0 if after is None else after, upto)
        if kind in KINDS_BY_USER:
            assert not isinstance(after, int), after
            assert not isinstance(upto, int), upto
            return group.rows_by_user(kind, after, upto)
        return list(dict(_ROWS_OF_GROUPS)[kind](group))

    def dump(self) -> Iterator[Row]:
        """Give all rows in the form and order of ``Store.dump_index``."""
        groups = sorted(self.groups.items())
        for kind, rows_of in _ROWS_OF_GROUPS:
            for (_kind, tenant, key), group in groups:
                for row in rows_of(group):
                    yield (kind, tenant, key, *row)
        accounts = sorted(self.accounts.items())
        for kind, rows_of_account in _ROWS_OF_ACCOUNTS:
            for (tenant, user), account in accounts:
                for row in rows_of_account(account):
                    yield (kind, tenant, user, *row)
        found = [
            (stream, group.card)
            for stream, group in groups
            if group.card is not None and group.card.can_be_found
        ]
        for (_kind, tenant, key), card in found:
            yield ("word", tenant, key, " ".join(terms(card.name, card.category)))
        for (_kind, tenant, key), card in found:
            if card.place is not None:
                yield ("place", tenant, key, *card.place)


def _cards(group: GroupIndex) -> Iterator[Row]:
    if group.card is not None:
        yield (*group.card.row(), len(group.members))


def _values_of(row: Member) -> Row:
    # A tenth of what ``attrs.astuple`` takes, which looks into each value.
    return (
        *(row.role, row.name, row.joined_ms, row.joined_seq, row.floor),
        *(row.nickname, row.muted_until_ms),
    )


def _members(group: GroupIndex) -> Iterator[Row]:
    return ((user, *_values_of(row)) for user, row in sorted(group.members.items()))


def _about(seqs_of: dict[int, list[int]]) -> Iterator[tuple[int, int]]:
    return ((message, seq) for message, seqs in sorted(seqs_of.items()) for seq in seqs)


def _reactions(group: GroupIndex) -> Iterator[Row]:
    for message, to_it in sorted(group.reactions.items()):
        for reaction, users in sorted(to_it.items()):
            for user, seq in sorted(users.items()):
                yield (message, reaction, user, seq)


def _ties(group: GroupIndex) -> Iterator[Row]:
    for (name, kind), tie in sorted(group.ties.items()):
        yield (name, kind, tie.seq, tie.state, tie.note)


def _profiles(account: AccountIndex) -> Iterator[Row]:
    if account.profile is not None:
        yield attrs.astuple(account.profile)


def _revocations(account: AccountIndex) -> Iterator[Row]:
    if account.revoked_before_ms:
        yield (account.revoked_before_ms,)


_ROWS_OF_GROUPS: Final[Sequence[tuple[str, Callable[[GroupIndex], Iterable[Row]]]]] = (
    ("card", _cards),
    ("member", _members),
    ("request", lambda group: ((user,) for user in sorted(group.requests))),
    ("mention", lambda group: group.mentions),
    ("spoke", lambda group: sorted(group.spoke.items())),
    ("reply", lambda group: _about(group.replies)),
    ("edit", lambda group: _about(group.edits)),
    ("recall", lambda group: sorted(group.recalls.items())),
    ("reaction", _reactions),
    ("tie", _ties),
)
_ROWS_OF_ACCOUNTS: Final[Sequence[tuple[str, Callable[[AccountIndex], Iterable[Row]]]]] = (
    ("profile", _profiles),
    (
        "chat",
        lambda account: (
            (group, *attrs.astuple(chat)) for group, chat in sorted(account.chats.items())
        ),
    ),
    ("block", lambda account: ((user,) for user in sorted(account.blocks))),
    ("revocation", _revocations),
)
