"""Reactions: for each message and each reaction, the set of those who have reacted so."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from groupd.config import CONTENT
from groupd.domain import fields
from groupd.domain.base import (
    Card,
    Command,
    Context,
    Decision,
    Event,
    Fetched,
    Identity,
    Needs,
    Record,
    Unchanged,
)
from groupd.domain.group.messages import NOT_BLOCKED, find_message, pair_of
from groupd.domain.group.moderation import SPEAKING
from groupd.domain.group.state import Group
from groupd.domain.projection import Change
from groupd.domain.projection import React as ReactTo
from groupd.domain.projection import Unreact as UnreactTo
from groupd.errors import Rejected


@attrs.frozen
class Reacted(Event):
    """A member has reacted to a message."""

    kind = "reacted"
    touches = can_wait = True

    message: int = fields.stored("seq", 0)
    """The message's seq."""
    reaction: str = fields.stored("string", "")

    def project(self, record: Record) -> Sequence[Change]:
        """Put the member into the set."""
        return (ReactTo(self.message, record.user, self.reaction, record.seq),)

    def touch(self, fetched: Fetched, record: Record) -> None:
        """Put the member into the set."""
        card = fetched.message(self.message)
        if card is not None:
            card.reactions[self.reaction] = card.reactions.get(self.reaction, 0) + 1
        mine = fetched.reactions.get((self.message, record.user))
        if mine is not None:
            mine[self.reaction] = record.seq


@attrs.frozen
class Unreacted(Event):
    """A member has taken a reaction back."""

    kind = "unreacted"
    touches = can_wait = True

    message: int = fields.stored("seq", 0)
    """The message's seq."""
    reaction: str = fields.stored("string", "")

    def project(self, record: Record) -> Sequence[Change]:
        """Take the member out of the set."""
        return (UnreactTo(self.message, record.user, self.reaction),)

    def touch(self, fetched: Fetched, record: Record) -> None:
        """Take the member out of the set; an empty one is none."""
        card = fetched.message(self.message)
        if card is not None:
            left = card.reactions.pop(self.reaction, 0) - 1
            if left > 0:
                card.reactions[self.reaction] = left
        mine = fetched.reactions.get((self.message, record.user))
        if mine is not None:
            mine.pop(self.reaction, None)


def _known(context: Context, seq: int) -> dict[str, int]:
    """Give the caller's own reactions to a message; raises ``not_found``.

    They are not known of a message that came after the caller had asked: it has come into being
    in the batch that this request is decided in, when nobody could have seen it.
    """
    mine = context.fetched.reactions.get((seq, context.caller.user))
    if mine is None:
        raise Rejected("not_found", f"no message {seq}")
    return mine


@attrs.frozen
class React(Command):
    """React to a message: with an emoji, or with a word such as "like"."""

    method = "react"
    rules = (*SPEAKING, NOT_BLOCKED)

    seq: int = fields.seq()
    reaction: str = fields.name(CONTENT.reaction_max)

    def needs(self, state: Group, caller: Identity) -> Needs:
        """Fetch the message, and how the caller has reacted to it."""
        mine = ((self.seq, caller.user),)
        return Needs(messages=(self.seq,), reactions=mine, blocks=pair_of(state))

    def decide(self, state: Group, context: Context) -> Decision:
        """Take each reaction of a member once; doing it twice is not an error."""
        card = find_message(state, context, self.seq)
        done = _known(context, self.seq).get(self.reaction)
        if done is not None:
            return Unchanged({"seq": done})
        self._refuse_full(card)
        return [Reacted(self.seq, self.reaction)]

    def _refuse_full(self, card: Card) -> None:
        used = len(card.reactions)
        if self.reaction not in card.reactions and used >= CONTENT.reactions_per_message_max:
            raise Rejected(
                "quota_exceeded",
                "the message has as many different reactions as it may have",
                quota="reactions",
                limit=CONTENT.reactions_per_message_max,
                used=used,
            )


@attrs.frozen
class Unreact(Command):
    """Take a reaction back. Also who may not speak now may do so."""

    method = "unreact"

    seq: int = fields.seq()
    reaction: str = fields.name(CONTENT.reaction_max)

    def needs(self, state: Group, caller: Identity) -> Needs:
        """Fetch the message, and how the caller has reacted to it."""
        return Needs(messages=(self.seq,), reactions=((self.seq, caller.user),))

    def decide(self, state: Group, context: Context) -> Decision:
        """Take it back, if it is there."""
        find_message(state, context, self.seq)
        if self.reaction not in _known(context, self.seq):
            raise Rejected("not_found", "you have not reacted so to this message")
        return [Unreacted(self.seq, self.reaction)]
