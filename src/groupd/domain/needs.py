"""What is fetched before a command is decided: what it needs, and what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import attrs

from groupd.domain.projection import GroupCard, Holdings, Membership, Profile, Tie


@attrs.define
class Card:
    """What a decision needs to know of one older message. Kept outside the state hash."""

    user: str
    time_ms: int
    kind: str
    recalled: int = 0
    """Seq of the event that recalled it; 0 while it stands."""
    edits: list[int] = attrs.field(factory=list)
    """Seqs of the events with its newer forms, oldest first."""
    reactions: dict[str, int] = attrs.field(factory=dict)
    """Reaction -> how many users; never 0."""
    replies: int = 0
    """Messages that reply to it, but recalled ones. No decision asks: ``touch`` passes it over."""


@attrs.frozen
class Needs:
    """What must be fetched before a command can be decided."""

    messages: tuple[int, ...] = ()
    groups: tuple[str, ...] = ()
    refs: tuple[str, ...] = ()
    reactions: tuple[tuple[int, str], ...] = ()
    """(message, user): that user's own reactions to the message."""
    users: tuple[str, ...] = ()
    """Users whose profile and holdings are needed."""
    memberships: tuple[tuple[str, str], ...] = ()
    """(group, user): that user's place in the group."""
    blocks: tuple[tuple[str, str], ...] = ()
    """(user, other): who of the two has blocked the other."""
    ties: tuple[tuple[str, str], ...] = ()
    """(kind, name): what ties the group to something of the host's."""


NOTHING: Final = Needs()


@attrs.frozen
class Person:
    """What is known of another user."""

    profile: Profile | None
    """None for one who was never seen."""
    holdings: Holdings


@attrs.define
class Fetched:
    """What was fetched for a batch of commands.

    Events keep ``messages``, ``reactions`` and ``ties`` true.
    """

    messages: dict[int, Card] = attrs.field(factory=dict)
    recent: dict[int, tuple[str, int, str]] = attrs.field(factory=dict)
    """Messages that are new, and that nobody has asked for yet: user, time and kind of the card.
    Few ever are, so that making the cards of all would be the larger part of keeping them."""
    groups: dict[str, GroupCard | None] = attrs.field(factory=dict)
    refs: dict[str, GroupCard | None] = attrs.field(factory=dict)
    reactions: dict[tuple[int, str], dict[str, int]] = attrs.field(factory=dict)
    """(message, user) -> reaction -> seq of the event."""
    users: dict[str, Person] = attrs.field(factory=dict)
    memberships: dict[tuple[str, str], Membership | None] = attrs.field(factory=dict)
    blocks: dict[tuple[str, str], Sequence[str]] = attrs.field(factory=dict)
    ties: dict[tuple[str, str], Tie | None] = attrs.field(factory=dict)

    def message(self, seq: int) -> Card | None:
        """Give the card of a message, or None where nothing is known of one."""
        if seq in self.recent:
            self.messages[seq] = Card(*self.recent.pop(seq))
        return self.messages.get(seq)

    def retie(self, kind: str, name: str, tie: Tie | None) -> None:
        """Note that a tie has changed, if somebody has asked for it."""
        # What nobody has asked for is not kept: a history has thousands.
        if (kind, name) in self.ties:
            self.ties[kind, name] = tie
