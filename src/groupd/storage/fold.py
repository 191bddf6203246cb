"""Many changes of one stream, brought down to what is left to write.

Placement rules:
- A fold knows nothing of what is stored already: it holds for any state before it.
- Writing it, in the order of its fields, comes to the same as the changes one by one.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import attrs

from groupd.domain.projection import (
    Change,
    DropBlock,
    DropChat,
    DropMember,
    DropRequest,
    DropTie,
    DropTies,
    Edit,
    Mention,
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
from groupd.storage.index import Member


@attrs.define
class GroupFold:
    """What is left to write of changes to one group."""

    members: dict[str, Member | None] = attrs.field(factory=dict)
    """New rows, with nothing left of an old one; None for those who are no members any more."""
    set_members: dict[str, dict[str, Any]] = attrs.field(factory=dict)
    """Fields of rows that are not among ``members``."""
    requests: dict[str, bool] = attrs.field(factory=dict)
    """User -> whether they wait for a decision."""
    card: dict[str, Any] | None = None
    """None where nothing says that there is one."""
    spoke: dict[str, int] = attrs.field(factory=dict)
    mentions: set[tuple[int, str]] = attrs.field(factory=set)
    replies: set[tuple[int, int]] = attrs.field(factory=set)
    """(message, seq), as in ``edits``."""
    edits: set[tuple[int, int]] = attrs.field(factory=set)
    recalls: dict[int, int] = attrs.field(factory=dict)
    """Message -> seq of the event, for those that were not recalled before."""
    unreacted: set[tuple[int, str, str]] = attrs.field(factory=set)
    """(message, reaction, user): gone, before ``reacted`` comes."""
    reacted: dict[int, dict[tuple[str, str], int]] = attrs.field(factory=dict)
    """Message -> (reaction, user) -> seq, where the user has not reacted so yet and the message
    was not recalled before."""
    dropped_ties: set[str] = attrs.field(factory=set)
    """Kinds of which no tie is left, before ``ties`` comes."""
    ties: dict[tuple[str, str], Tie | None] = attrs.field(factory=dict)
    """(kind, name) -> the tie; None where it is gone."""

    def add(self, changes: Iterable[Change]) -> None:
        """Take in more changes, in their order."""
        for change in changes:
            match change:
                case Spoke():
                    self.spoke[change.user] = change.seq
                case Mention():
                    self.mentions.update((change.seq, user) for user in change.users)
                case Reply():
                    self.replies.add((change.message, change.seq))
                case Edit():
                    self.edits.add((change.message, change.seq))
                case PutMember():
                    self.members[change.user] = Member.of(change)
                    self.set_members.pop(change.user, None)
                case SetMember():
                    self._set_member(change)
                case DropMember():
                    self.members[change.user] = None
                    self.set_members.pop(change.user, None)
                case PutRequest() | DropRequest():
                    self.requests[change.user] = type(change) is PutRequest
                case PutCard():
                    self.card = {**(self.card or {}), **change.values}
                case React() | Unreact() | Recall():
                    self._react(change)
                case PutTie() | DropTie() | DropTies():
                    self._tie(change)

    def _set_member(self, change: SetMember) -> None:
        user = change.user
        if user not in self.members:
            self.set_members[user] = {**self.set_members.get(user, {}), **change.values}
        elif (row := self.members[user]) is not None:
            self.members[user] = attrs.evolve(row, **change.values)

    def _tie(self, change: PutTie | DropTie | DropTies) -> None:
        match change:
            case PutTie():
                tie = Tie(change.seq, change.state, change.note)
                self.ties[change.kind, change.name] = tie
            case DropTie():
                self.ties[change.kind, change.name] = None
            case DropTies():
                self.dropped_ties.update(change.kinds)
                kept = self.ties.items()
                self.ties = {key: tie for key, tie in kept if key[0] not in change.kinds}

    def _react(self, change: React | Unreact | Recall) -> None:
        message = change.message
        match change:
            case Recall():
                self.recalls.setdefault(message, change.seq)
                self.reacted.pop(message, None)
            case React():
                if message not in self.recalls:
                    to_it = self.reacted.setdefault(message, {})
                    to_it.setdefault((change.reaction, change.user), change.seq)
            case Unreact():
                self.unreacted.add((message, change.reaction, change.user))
                self.reacted.get(message, {}).pop((change.reaction, change.user), None)


@attrs.define
class AccountFold:
    """What is left to write of changes to one account."""

    profile: PutProfile | None = None
    dropped_chats: set[str] = attrs.field(factory=set)
    """Gone, before ``chats`` comes."""
    chats: dict[str, dict[str, Any]] = attrs.field(factory=dict)
    """Group -> fields that have a value from now on."""
    blocks: dict[str, bool] = attrs.field(factory=dict)
    """User -> whether they are blocked."""
    revoked_before_ms: int = 0

    def add(self, changes: Iterable[Change]) -> None:
        """Take in more changes, in their order."""
        for change in changes:
            match change:
                case PutProfile():
                    self.profile = change
                case PutChat():
                    group = change.group
                    self.chats[group] = {**self.chats.get(group, {}), **change.values}
                case DropChat():
                    self.dropped_chats.add(change.group)
                    self.chats.pop(change.group, None)
                case PutBlock() | DropBlock():
                    self.blocks[change.user] = type(change) is PutBlock
                case PutRevocation():
                    self.revoked_before_ms = max(self.revoked_before_ms, change.before_ms)
