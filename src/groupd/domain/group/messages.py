"""What members say: posts. And how a request finds the message that it is about.

A message is changed by later events, never in place: see ``edits``, ``recalls``, ``reactions``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final

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
    Identity,
    LiveQuery,
    Needs,
    Receipt,
    Record,
    Request,
    Role,
    Rule,
)
from groupd.domain.cards import check_card
from groupd.domain.group.moderation import SLOW_MODE, SPEAKING
from groupd.domain.group.state import ALIVE, Group
from groupd.domain.projection import EVERYBODY, Change, Mention, Reply
from groupd.domain.wording import words_in
from groupd.errors import Rejected

MESSAGE_KINDS: Final = ("posted", "announced")
"""Kinds that can be pinned, replied to, reacted to and recalled."""


@attrs.frozen
class Posted(Event):
    """A message. All its fields may be erased, so all have defaults and no state is made of them.

    Clients show a card of a type that they do not know as a link.
    """

    kind = "posted"
    countable = can_wait = True

    text: str = fields.stored("text", "")
    card: Mapping[str, Any] | None = fields.stored("card", None)
    reply_to: int = fields.stored("seq", 0)
    mentions: tuple[str, ...] | str = fields.stored('list[user] or "all"', ())

    def apply(self, state: Group, record: Record) -> None:
        """Note when the member spoke."""
        member = state.members.get(record.user)
        if member is not None:
            member.spoke_ms = record.time_ms

    def project(self, record: Record) -> Sequence[Change]:
        """Note who is mentioned, and what it replies to."""
        if not self.mentions and not self.reply_to:
            return ()
        changes: list[Change] = []
        if self.mentions:
            users = (EVERYBODY,) if isinstance(self.mentions, str) else self.mentions
            changes.append(Mention(users, record.seq))
        if self.reply_to:
            changes.append(Reply(self.reply_to, record.seq))
        return changes


def check_mentions(value: Any, field: str) -> tuple[str, ...] | str:
    """Check ``mentions``: users, or the word ``all``."""
    if value == "all":
        return "all"
    if not isinstance(value, list | tuple):
        raise fields.refuse(field, 'expected a list of user ids, or "all"')
    if len(value) > CONTENT.mentions_max:
        raise fields.refuse(field, f"expected at most {CONTENT.mentions_max} users")
    return tuple(dict.fromkeys(fields.clean_user(user, field) for user in value))


def text_field() -> Any:
    """Make the field for what a message says."""
    return fields.text(CONTENT.text_max, default="")


def card_field() -> Any:
    """Make the field for a message's card."""
    return fields.custom(check_card, "card", default=None, max_bytes=CONTENT.card_max_bytes)


def mentions_field() -> Any:
    """Make the field for whom a message mentions."""
    return fields.custom(
        check_mentions, 'list[user] or "all"', default=(), max=CONTENT.mentions_max
    )


# --- rules


def _refuse_blocked(state: Group, context: Context, request: Request) -> Rejected | None:
    if not state.direct or not context.fetched.blocks.get(pair_of(state)[0]):
        return None
    return Rejected("forbidden", "one of the two has blocked the other", reason="blocked")


NOT_BLOCKED: Final = Rule("not_blocked", "account", _refuse_blocked)
"""In a direct chat, neither has blocked the other. Its requests need ``pair_of`` as ``blocks``."""


def pair_of(state: Group) -> tuple[tuple[str, str], ...]:
    """Give the two of a direct chat as one pair; nothing for a group."""
    if not state.direct:
        return ()
    one, other = state.direct
    return ((one, other),)


@attrs.frozen
class Typing(LiveQuery):
    """Let the others see that the caller is typing. Nothing is kept of it.

    In a large group nobody is told.
    """

    method = "typing"
    min_role = Role.MEMBER
    rules = (ALIVE, *SPEAKING, NOT_BLOCKED)
    result: ClassVar[Mapping[str, str]] = {}

    def needs(self, state: Group, caller: Identity) -> Needs:
        """Fetch, in a direct chat, who blocks whom."""
        return Needs(blocks=pair_of(state)) if state.direct else NOTHING

    def ask(self, state: Group, context: Context) -> dict[str, Any]:
        """Give how many there are to be told; the reader tells them."""
        return {"members": len(state.members)}


@attrs.frozen
class Post(Command):
    """Say something to all members."""

    method = "post"
    by_system = True
    result: ClassVar = {"status": "post_status", "seq": "seq?", "time_ms": "time_ms"}
    rules = (*SPEAKING, SLOW_MODE, NOT_BLOCKED, words_in("text", "card"))

    text: str = text_field()
    card: Mapping[str, Any] | None = card_field()
    reply_to: int | None = fields.seq(default=None)
    mentions: tuple[str, ...] | str = mentions_field()

    def __attrs_post_init__(self) -> None:
        if not self.text and self.card is None:
            raise fields.refuse("text", "a post needs a text or a card")

    def needs(self, state: Group, caller: Identity) -> Needs:
        """Fetch the message that this replies to; in a direct chat, also who blocks whom."""
        if self.reply_to is None and not state.direct:
            return NOTHING
        messages = () if self.reply_to is None else (self.reply_to,)
        return Needs(messages=messages, blocks=pair_of(state))

    def decide(self, state: Group, context: Context) -> Decision:
        """Take the post; only an admin may mention all. Mentions of strangers are dropped."""
        mentions = self.mentions and accepted_mentions(self.mentions, state, context)
        if self.reply_to is not None:
            find_message(state, context, self.reply_to)
        return [Posted(self.text, self.card, self.reply_to or 0, mentions)]

    def answer(self, receipt: Receipt, context: Context) -> dict[str, Any]:
        """Give the message's place and time."""
        return {"status": "posted", "seq": receipt.seq, "time_ms": receipt.time_ms}


def accepted_mentions(
    mentions: tuple[str, ...] | str, state: Group, context: Context
) -> tuple[str, ...] | str:
    """Give the mentions of members, or of all where an admin asks; raises ``forbidden``."""
    if isinstance(mentions, str):
        if not state.is_admin(context.caller.user):
            raise Rejected("forbidden", "only admins mention all", reason="role", required="admin")
        return mentions
    return tuple(user for user in mentions if user in state.members) if mentions else mentions


# --- finding the message that a request is about


def find_card(state: Group, context: Context, seq: int) -> Card:
    """Give the card of the message ``seq``, recalled or not; raises ``not_found``.

    What a member may not read does not exist for them.
    """
    card = context.fetched.message(seq)
    if card is None or card.kind not in MESSAGE_KINDS or seq < state.floor_of(context.caller.user):
        raise Rejected("not_found", f"no message {seq}")
    return card


def find_message(state: Group, context: Context, seq: int) -> Card:
    """Give the card of the message ``seq``; raises ``not_found``, or ``conflict`` once recalled."""
    card = find_card(state, context, seq)
    if card.recalled:
        raise Rejected("conflict", f"message {seq} was recalled", reason="recalled")
    return card
