"""Edits: an author words a message anew.

The earlier forms stay in the log, as everything does; admins and the author list them (``edits``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from groupd.config import CONTENT
from groupd.domain import fields
from groupd.domain.base import (
    Command,
    Context,
    Decision,
    Event,
    Fetched,
    Identity,
    Needs,
    Record,
)
from groupd.domain.group.messages import (
    NOT_BLOCKED,
    accepted_mentions,
    card_field,
    find_message,
    mentions_field,
    pair_of,
    text_field,
)
from groupd.domain.group.moderation import SPEAKING
from groupd.domain.group.state import Group
from groupd.domain.projection import Change
from groupd.domain.projection import Edit as EditOf
from groupd.domain.wording import words_in
from groupd.errors import Rejected


@attrs.frozen
class Edited(Event):
    """A message reads like this from now on. All fields may be erased, together with the message.

    It makes nothing unread, and whom it mentions is not told: who was mentioned counts as of the
    posting, since nobody's badge is to rise for a message that they have read.
    """

    kind = "edited"
    touches = True

    message: int = fields.stored("seq", 0)
    """The message's seq; 0 once this is erased."""
    text: str = fields.stored("text", "")
    card: Mapping[str, Any] | None = fields.stored("card", None)
    mentions: tuple[str, ...] | str = fields.stored('list[user] or "all"', ())

    def project(self, record: Record) -> Sequence[Change]:
        """Put it among the message's edits."""
        return (EditOf(self.message, record.seq),) if self.message else ()

    def touch(self, fetched: Fetched, record: Record) -> None:
        """Put it among the message's edits."""
        card = fetched.message(self.message)
        if card is not None:
            card.edits.append(record.seq)


@attrs.frozen
class Edit(Command):
    """Word a post of one's own anew. What is left out is gone; what it replies to stays."""

    method = "edit"
    rules = (*SPEAKING, NOT_BLOCKED, words_in("text", "card"))

    seq: int = fields.seq()
    text: str = text_field()
    card: Mapping[str, Any] | None = card_field()
    mentions: tuple[str, ...] | str = mentions_field()

    def __attrs_post_init__(self) -> None:
        if not self.text and self.card is None:
            raise fields.refuse("text", "a post needs a text or a card")

    def needs(self, state: Group, caller: Identity) -> Needs:
        """Fetch the message."""
        return Needs(messages=(self.seq,), blocks=pair_of(state))

    def decide(self, state: Group, context: Context) -> Decision:
        """Let the author edit for some time, and some times.

        Content that equals the current one is an edit, too: what was said is in the log alone.
        """
        card = find_message(state, context, self.seq)
        if card.kind != "posted":
            raise Rejected("not_found", f"{self.seq} is no post")
        if card.user != context.caller.user:
            raise Rejected("forbidden", "only its author edits a message", reason="author")
        if context.now_ms - card.time_ms > CONTENT.edit_within_ms:
            raise Rejected(
                "forbidden",
                "the message is too old to be edited",
                reason="too_late",
                limit_ms=CONTENT.edit_within_ms,
            )
        used = len(card.edits)
        if used >= CONTENT.edits_max:
            raise Rejected(
                "quota_exceeded",
                "the message was edited as often as it may be",
                quota="edits",
                limit=CONTENT.edits_max,
                used=used,
            )
        mentions = accepted_mentions(self.mentions, state, context)
        return [Edited(message=self.seq, text=self.text, card=self.card, mentions=mentions)]
