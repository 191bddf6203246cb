"""What a user prefers for each of their chats: pinned, not disturbing, marked unread, shown.

It is the user's own and nobody else sees it, but for ``shown``; so it stands in their account, and
all of their devices hear of a change by its event. Being no member any more ends it (``hearing``).
A command that changes nothing answers with the head of the account's log as of the answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Final

import attrs

from groupd.config import CONTENT
from groupd.domain import fields
from groupd.domain.account.state import Account
from groupd.domain.base import (
    ACCOUNT,
    Command,
    Context,
    Decision,
    Event,
    Identity,
    Needs,
    Record,
    Request,
    Rule,
    Unchanged,
)
from groupd.domain.projection import Change, Chat, Membership, PutChat
from groupd.errors import Rejected

PREFERENCES: Final = tuple(field.name for field in attrs.fields(Chat))


@attrs.frozen
class ChatSet(Event):
    """Some of the user's preferences for a group have new values. None: it stays as it is."""

    kind = "chat_set"
    stream_kind = ACCOUNT

    group: str = fields.stored("group", "")
    pinned_ms: int | None = fields.stored("time_ms", None)
    """When it was pinned; 0 where it is not any more."""
    do_not_disturb: bool | None = None
    marked_unread: bool | None = None
    shown: bool | None = None

    def _values(self) -> dict[str, Any]:
        values = {name: getattr(self, name) for name in PREFERENCES}
        return {name: value for name, value in values.items() if value is not None}

    def apply(self, state: Account, record: Record) -> None:
        """Keep them, as far as they differ from what everybody has."""
        chat = attrs.evolve(state.chats.pop(self.group, Chat()), **self._values())
        if chat != Chat():
            state.chats[self.group] = chat

    def project(self, record: Record) -> Sequence[Change]:
        """List them with the membership."""
        return (PutChat(self.group, self._values()),)


# --- the rules


def _place(context: Context, request: Request) -> Membership | None:
    return context.fetched.memberships.get(_pair(context, request))


def _pair(context: Context, request: Request) -> tuple[str, str]:
    return (getattr(request, "group", ""), context.stream.key)


def _refuse_stranger(state: Account, context: Context, request: Request) -> Rejected | None:
    # What was not asked for, as by ``explain``, is not judged.
    is_known = _pair(context, request) in context.fetched.memberships
    place = _place(context, request)
    if not is_known or (place is not None and not place.dissolved):
        return None
    return Rejected("not_found", "you are in no such group")


def _refuse_direct(state: Account, context: Context, request: Request) -> Rejected | None:
    place = _place(context, request)
    if place is None or not place.direct:
        return None
    return Rejected("forbidden", "a direct chat is not shown to others", reason="direct")


def _refuse_pin(state: Account, context: Context, request: Request) -> Rejected | None:
    used = sum(chat.pinned_ms > 0 for chat in state.chats.values())
    is_new = getattr(request, "pinned", True) and not _chat(state, request).pinned_ms
    return _refuse_full("chats_pinned", used, CONTENT.chats_pinned_max) if is_new else None


def _refuse_show(state: Account, context: Context, request: Request) -> Rejected | None:
    used = sum(chat.shown for chat in state.chats.values())
    is_new = getattr(request, "shown", True) and not _chat(state, request).shown
    return _refuse_full("groups_shown", used, CONTENT.groups_shown_max) if is_new else None


def _chat(state: Account, request: Request) -> Chat:
    return state.chats.get(getattr(request, "group", ""), Chat())


def _refuse_full(quota: str, used: int, limit: int) -> Rejected | None:
    if used < limit:
        return None
    return Rejected(
        "quota_exceeded", f"there is room for {limit} groups", quota=quota, limit=limit, used=used
    )


MEMBER: Final = Rule("member", "account", _refuse_stranger)
NOT_DIRECT: Final = Rule("not_direct", "group", _refuse_direct)
CHATS_PINNED_MAX: Final = Rule(
    "chats_pinned_max", "contract", _refuse_pin, lambda state, context: CONTENT.chats_pinned_max
)
GROUPS_SHOWN_MAX: Final = Rule(
    "groups_shown_max", "contract", _refuse_show, lambda state, context: CONTENT.groups_shown_max
)


# --- the commands


class _SetChat(Command):
    """What the commands have in common: they are about one group that the caller is in."""

    addressed = ACCOUNT
    min_role = None
    rules: ClassVar[tuple[Rule, ...]] = (MEMBER,)

    group: str

    def needs(self, state: Account, caller: Identity) -> Needs:
        """Fetch whether the caller is in the group."""
        return Needs(memberships=((self.group, caller.user),))

    def change(self, chat: Chat, context: Context) -> Chat:
        """Give the preferences as they are asked for."""
        raise NotImplementedError

    def decide(self, state: Account, context: Context) -> Decision:
        """Change what differs."""
        before = state.chats.get(self.group, Chat())
        after = self.change(before, context)
        if after == before:
            return Unchanged({"seq": state.seq})
        values = {
            name: getattr(after, name)
            for name in PREFERENCES
            if getattr(after, name) != getattr(before, name)
        }
        return [ChatSet(self.group, **values)]


@attrs.frozen
class PinChat(_SetChat):
    """Pin a group to the top of the caller's own list of chats, or take it off.

    Nobody else sees it. A group that is pinned already keeps its place.
    """

    method = "pin_chat"
    rules: ClassVar[tuple[Rule, ...]] = (MEMBER, CHATS_PINNED_MAX)

    group: str = fields.group()
    pinned: bool = fields.boolean(default=True)

    def change(self, chat: Chat, context: Context) -> Chat:
        """Note when it was pinned: the latest comes first."""
        if not self.pinned:
            return attrs.evolve(chat, pinned_ms=0)
        return chat if chat.pinned_ms else attrs.evolve(chat, pinned_ms=context.now_ms)


@attrs.frozen
class DoNotDisturb(_SetChat):
    """Silence a group for the caller, or let it be heard again.

    Its messages no longer count in the total of ``chats``; mentions still do.
    """

    method = "do_not_disturb"

    group: str = fields.group()
    on: bool = fields.boolean(default=True)

    def change(self, chat: Chat, context: Context) -> Chat:
        """Silence it."""
        return attrs.evolve(chat, do_not_disturb=self.on)


@attrs.frozen
class MarkUnread(_SetChat):
    """Mark a chat as unread, or end that. ``read`` ends it, too.

    It is a reminder beside the counts, and changes none of them.
    """

    method = "mark_unread"

    group: str = fields.group()
    on: bool = fields.boolean(default=True)

    def change(self, chat: Chat, context: Context) -> Chat:
        """Mark it."""
        return attrs.evolve(chat, marked_unread=self.on)


@attrs.frozen
class ShowGroup(_SetChat):
    """Show a group on the caller's profile, or take it off.

    One that is not discoverable may be marked, but nobody sees it there while it stays so.
    """

    method = "show_group"
    rules: ClassVar[tuple[Rule, ...]] = (MEMBER, NOT_DIRECT, GROUPS_SHOWN_MAX)

    group: str = fields.group()
    shown: bool = fields.boolean(default=True)

    def change(self, chat: Chat, context: Context) -> Chat:
        """Show it."""
        return attrs.evolve(chat, shown=self.shown)
