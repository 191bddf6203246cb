"""What an account hears of other streams, so that all of a user's devices learn of it.

A reactor follows the log and sends ``Hear`` to the accounts concerned, at least once and in the
order of the log; the account keeps the seq up to which it has heard of each group, so that a
repeated one changes nothing.
"""

from __future__ import annotations

from typing import Any, ClassVar, Final

import attrs

from groupd.domain import fields
from groupd.domain.account.state import HEARD_MAX, Account
from groupd.domain.base import (
    ACCOUNT,
    SERVER,
    Command,
    Context,
    Decision,
    Event,
    Receipt,
    Record,
    Unchanged,
)
from groupd.domain.group.membership import Joined, Left
from groupd.domain.group.settings import Dissolved


@attrs.frozen
class _Heard(Event):
    """Something happened to the user in a group; ``seq`` there is ``at``."""

    stream_kind: ClassVar[str] = ACCOUNT

    group: str = fields.stored("group", "")
    at: int = fields.stored("seq", 0)
    """The seq of the group's event that this is about."""
    by: str = fields.stored("user", "")

    def apply(self, state: Account, record: Record) -> None:
        """Note how far the account has heard."""
        state.heard[self.group] = max(self.at, state.heard.pop(self.group, 0))
        if len(state.heard) > HEARD_MAX:
            del state.heard[next(iter(state.heard))]


@attrs.frozen
class Added(_Heard):
    """Somebody has put the user into a group."""

    kind = "added"


@attrs.frozen
class HasLeft(_Heard):
    """The user has left a group, on one of their devices."""

    kind = "left"


@attrs.frozen
class HasDissolved(_Heard):
    """A group that the user was in is over."""

    kind = "dissolved"

    def apply(self, state: Account, record: Record) -> None:
        """Free the place that it took in the quota."""
        super().apply(state, record)
        state.owned.pop(self.group, None)


EVERYBODY: Final = None
"""In place of a user: all that are members."""


def heard_by(event: Event, record: Record) -> tuple[str | None, type[_Heard]] | None:
    """Say which account hears of a group's event, and as what."""
    if isinstance(event, Joined) and event.member and event.member != record.user:
        return event.member, Added
    if isinstance(event, Left):
        return record.user, HasLeft
    if isinstance(event, Dissolved):
        return EVERYBODY, HasDissolved
    return None


@attrs.frozen
class Hear(Command):
    """Tell an account of something. The server's own; no client can send it."""

    method = "hear"
    addressed = ACCOUNT
    min_role = None

    event: _Heard

    def decide(self, state: Account, context: Context) -> Decision:
        """Take it in once."""
        if self.event.at <= state.heard.get(self.event.group, 0):
            return Unchanged({})
        return [self.event]

    def answer(self, receipt: Receipt, context: Context) -> dict[str, Any]:
        """Answer nothing."""
        return {}


__all__ = ["EVERYBODY", "SERVER", "Added", "HasDissolved", "HasLeft", "Hear", "heard_by"]
