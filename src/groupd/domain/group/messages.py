"""What members say: posts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import attrs

from groupd.config import CONTENT
from groupd.domain import fields
from groupd.domain.base import (
    NOTHING,
    Card,
    Command,
    Context,
    Decision,
    Event,
    Needs,
    Receipt,
    Record,
)
from groupd.domain.group.state import Group
from groupd.domain.projection import EVERYBODY, Change, Mention, Spoke
from groupd.errors import Rejected


@attrs.frozen
class Posted(Event):
    """A message. All its fields may be erased, so all have defaults."""

    kind = "posted"
    countable = True

    text: str = fields.stored("text", "")
    card: Mapping[str, Any] | None = fields.stored("card", None)
    reply_to: int = fields.stored("seq", 0)
    mentions: tuple[str, ...] | str = fields.stored('list[user] or "all"', ())

    def project(self, record: Record) -> Sequence[Change]:
        """Note who spoke, and who is mentioned."""
        spoke = Spoke(record.user, record.seq)
        if not self.mentions:
            return (spoke,)
        users = (EVERYBODY,) if isinstance(self.mentions, str) else self.mentions
        return (spoke, Mention(users, record.seq))


def check_mentions(value: Any, field: str) -> tuple[str, ...] | str:
    """Check ``mentions``: users, or the word ``all``."""
    if value == "all":
        return "all"
    if not isinstance(value, list | tuple):
        raise fields.refuse(field, 'expected a list of user ids, or "all"')
    if len(value) > CONTENT.mentions_max:
        raise fields.refuse(field, f"expected at most {CONTENT.mentions_max} users")
    return tuple(dict.fromkeys(fields.clean_user(user, field) for user in value))


def check_card(value: Any, field: str) -> dict[str, Any]:
    """Check a card: a map of the host's own with a ``type``."""
    if not isinstance(value, dict):
        raise fields.refuse(field, "expected a map")
    kind = value.get("type")
    if type(kind) is not str or not 1 <= len(kind) <= CONTENT.channel_max:
        raise fields.refuse(field, "expected a `type`, a short string")
    checked: dict[str, Any] = fields.clean_value(value, field)
    if fields.size_of(checked) > CONTENT.card_max_bytes:
        limit = CONTENT.card_max_bytes
        raise Rejected("too_large", f"{field}: expected at most {limit} bytes", limit_bytes=limit)
    return checked


@attrs.frozen
class Post(Command):
    """Say something to all members."""

    method = "post"
    result: ClassVar = {"status": "post_status", "seq": "seq?", "time_ms": "time_ms"}

    text: str = fields.text(CONTENT.text_max, default="")
    card: Mapping[str, Any] | None = fields.custom(
        check_card, "card", default=None, max_bytes=CONTENT.card_max_bytes
    )
    reply_to: int | None = fields.seq(default=None)
    mentions: tuple[str, ...] | str = fields.custom(
        check_mentions, 'list[user] or "all"', default=(), max=CONTENT.mentions_max
    )

    def __attrs_post_init__(self) -> None:
        if not self.text and self.card is None:
            raise fields.refuse("text", "a post needs a text or a card")

    def needs(self, state: Group) -> Needs:
        """Fetch the message that this replies to."""
        return NOTHING if self.reply_to is None else Needs(messages=(self.reply_to,))

    def decide(self, state: Group, context: Context) -> Decision:
        """Take the post; only an admin may mention all. Mentions of strangers are dropped."""
        mentions = self.mentions
        if mentions == "all":
            if not state.is_admin(context.caller.user):
                raise Rejected(
                    "forbidden", "only admins mention all", reason="role", required="admin"
                )
        elif mentions:
            mentions = tuple(user for user in mentions if user in state.members)
        if self.reply_to is not None:
            refuse_unless_message(context, self.reply_to)
        return [
            Posted(text=self.text, card=self.card, reply_to=self.reply_to or 0, mentions=mentions)
        ]

    def answer(self, receipt: Receipt, context: Context) -> dict[str, Any]:
        """Give the message's place and time."""
        return {"status": "posted", "seq": receipt.seq, "time_ms": receipt.time_ms}


def refuse_unless_message(context: Context, seq: int) -> Card:
    """Give the card of the message ``seq``; raises ``not_found`` where it is none."""
    card = context.message(seq)
    if card is None or card.kind not in MESSAGE_KINDS:
        raise Rejected("not_found", f"no message {seq}")
    return card


MESSAGE_KINDS = ("posted", "announced")
"""Kinds that can be pinned and replied to."""
