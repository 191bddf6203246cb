"""The state of a user's account.

Placement rules:
- What is limited for each user (groups owned, groups joined) passes through here, because a limit
  has one owner: the account's actor serves one such request at a time.
- What a user prefers for themselves (``chats.py``), whom they have blocked (``blocks.py``), who
  they are (``profile.py``) and which of their tokens are refused (``revocation.py``) is state
  here, so that it is the same for all of their devices.
- What happens in a group is that group's; the account only hears of it, by a reactor
  (``hearing.py``).
"""

from __future__ import annotations

from typing import Any, ClassVar, Final, Self

import attrs

from groupd.domain import fields
from groupd.domain.base import ACCOUNT, Event, Record
from groupd.domain.exactly_once import RequestMemory
from groupd.domain.projection import Chat, Profile
from groupd.domain.stream import Stream

HEARD_MAX: Final = 1_000
"""Groups whose hearing is remembered. Fixed, since ``apply`` depends on it; a repeated hearing
comes within moments, not after a thousand other groups."""


@attrs.define
class Account(Stream):
    """An account. It needs no founding: every user has one from the start, empty."""

    kind: ClassVar[str] = ACCOUNT
    version: ClassVar[int] = 4

    owned: dict[str, str | None] = attrs.field(factory=dict)
    """Group -> its ``ref``: the groups that count against the quota."""
    heard: dict[str, int] = attrs.field(factory=dict)
    """Group -> the seq up to which the account has heard of it; the latest ``HEARD_MAX``."""

    chats: dict[str, Chat] = attrs.field(factory=dict)
    """Group -> the user's own preferences for it; absent where nothing differs from ``Chat()``."""
    blocked: dict[str, int] = attrs.field(factory=dict)
    """User -> seq of the event that blocked them."""
    profile: Profile | None = None
    """As the user's token last had it; None before they were seen."""
    revoked_before_ms: int = 0
    """Tokens that were issued before this time are refused; 0 where there is no such time."""

    def dump(self, *, erasable: bool = True) -> Any:
        """Give the state as plain values."""
        return [
            [self.seq, self.n, self.time_ms, self.memory.dump(erasable=erasable)],
            list(self.owned.items()),
            list(self.heard.items()),
            [[group, *attrs.astuple(chat)] for group, chat in self.chats.items()],
            list(self.blocked.items()),
            None if self.profile is None else list(attrs.astuple(self.profile)),
            self.revoked_before_ms,
        ]

    @classmethod
    def load(cls, plain: Any) -> Self:
        """Rebuild an account from ``dump``."""
        head, owned, heard, chats, blocked, profile, revoked_before_ms = plain
        return cls(
            seq=head[0],
            n=head[1],
            time_ms=head[2],
            memory=RequestMemory.load(head[3]),
            owned=dict(owned),
            heard=dict(heard),
            chats={row[0]: Chat(*row[1:]) for row in chats},
            blocked=dict(blocked),
            profile=None if profile is None else Profile(*profile),
            revoked_before_ms=revoked_before_ms,
        )


@attrs.frozen
class Owned(Event):
    """The user owns one more group."""

    kind = "owned"
    stream_kind = ACCOUNT

    group: str = fields.stored("group", "")
    ref: str | None = None

    def apply(self, state: Account, record: Record) -> None:
        """Count it."""
        state.owned[self.group] = self.ref

    def receipt_value(self) -> str:
        """Give the group that ``create`` answers with."""
        return self.group


@attrs.frozen
class Disowned(Event):
    """A group does not count any more: it is dissolved, or somebody else's."""

    kind = "disowned"
    stream_kind = ACCOUNT

    group: str = fields.stored("group", "")

    def apply(self, state: Account, record: Record) -> None:
        """Free its place."""
        state.owned.pop(self.group, None)
