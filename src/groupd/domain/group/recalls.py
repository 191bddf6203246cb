"""Recalls: a message is taken back, and its content is erased from the store.

The events of the message and of its edits stay as headers without a body, so that seqs, the hash
chain and the state stay as they are. So nothing that ``apply`` of an erasable event does may
depend on its fields; and what a recall itself changes stands in its own event, which is never
erased.
"""

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
    Role,
    Unchanged,
)
from groupd.domain.group.board import forgotten_unpinnings, take_off
from groupd.domain.group.messages import find_card
from groupd.domain.group.state import Group
from groupd.domain.projection import Change
from groupd.domain.projection import Recall as RecallOf
from groupd.errors import Rejected


@attrs.frozen
class Recalled(Event):
    """A message is taken back: its content is gone, and with it its edits, reactions and pin."""

    kind = "recalled"
    touches = True

    message: int = fields.stored("seq", 0)
    """The message's seq."""
    edits: tuple[int, ...] = fields.stored("list[seq]", ())
    """Seqs of its edits, which are erased, too."""
    dropped: int = 0
    """How many of the oldest unpinned ones are forgotten."""

    def apply(self, state: Group, record: Record) -> None:
        """Take it off the board; no earlier announcement comes back in its place."""
        if self.message in state.pins:
            take_off(state, self.message, record.seq, dropped=self.dropped)
        if state.announcement is not None and state.announcement.seq == self.message:
            state.announcement = None
        if self.message in state.announcements:
            state.announcements.remove(self.message)
        state.memory.erase(self.erases())

    def project(self, record: Record) -> Sequence[Change]:
        """Count it no more."""
        return (RecallOf(self.message, record.seq),)

    def touch(self, fetched: Fetched, record: Record) -> None:
        """Leave nothing of the message but that it was there."""
        card = fetched.message(self.message)
        if card is not None:
            card.recalled = record.seq
            card.edits.clear()
            card.reactions.clear()
        for (message, _user), mine in fetched.reactions.items():
            if message == self.message:
                mine.clear()

    def erases(self) -> Sequence[int]:
        """Erase the message and its edits."""
        return (self.message, *self.edits) if self.message else ()


@attrs.frozen
class Recall(Command):
    """Take a message back: one's own soon after, or as an admin those of lower roles."""

    method = "recall"
    by_system = True

    seq: int = fields.seq()

    def needs(self, state: Group, caller: Identity) -> Needs:
        """Fetch the message."""
        return Needs(messages=(self.seq,))

    def decide(self, state: Group, context: Context) -> Decision:
        """Recall it once."""
        card = find_card(state, context, self.seq)
        if card.recalled:
            return Unchanged({"seq": card.recalled})
        _refuse_unless_may(state, context, card)
        dropped = forgotten_unpinnings(state) if self.seq in state.pins else 0
        return [Recalled(message=self.seq, edits=tuple(card.edits), dropped=dropped)]


def _refuse_unless_may(state: Group, context: Context, card: Card) -> None:
    """Raise ``forbidden`` where the caller may not recall this message, or not any more."""
    role = state.role_of(context.caller.user)
    assert role is not None, "strangers are refused before"
    if card.user == context.caller.user:
        if role < Role.ADMIN and context.now_ms - card.time_ms > CONTENT.recall_within_ms:
            raise Rejected(
                "forbidden",
                "the message is too old to be recalled by its author",
                reason="too_late",
                limit_ms=CONTENT.recall_within_ms,
            )
        return
    if role < Role.ADMIN:
        raise Rejected("forbidden", "only its author or an admin recalls it", reason="author")
    author = state.role_of(card.user)
    # Who has left has no role, and so a lower one.
    if author is not None and author >= role:
        raise Rejected("forbidden", "its author's role is not below yours", reason="rank")
