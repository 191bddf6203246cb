"""Whom a user does not want to hear from: no direct chat of the two begins or goes on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Final

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
    Record,
    Request,
    Rule,
    Unchanged,
)
from groupd.domain.group.roles import NOT_YOURSELF
from groupd.domain.projection import Change, DropBlock, PutBlock
from groupd.errors import Rejected


@attrs.frozen
class Blocked(Event):
    """The user has blocked another."""

    kind = "blocked"
    stream_kind = ACCOUNT

    other: str = fields.stored("user", "")

    def apply(self, state: Account, record: Record) -> None:
        """Block them."""
        state.blocked[self.other] = record.seq

    def project(self, record: Record) -> Sequence[Change]:
        """Block them for the direct chat, which has an actor of its own."""
        return (PutBlock(self.other),)


@attrs.frozen
class Unblocked(Event):
    """The user has ended a block."""

    kind = "unblocked"
    stream_kind = ACCOUNT

    other: str = fields.stored("user", "")

    def apply(self, state: Account, record: Record) -> None:
        """End it."""
        state.blocked.pop(self.other, None)

    def project(self, record: Record) -> Sequence[Change]:
        """End it for the direct chat."""
        return (DropBlock(self.other),)


def _refuse_full(state: Account, context: Context, request: Request) -> Rejected | None:
    used, limit = len(state.blocked), CONTENT.blocks_max
    if used < limit or getattr(request, "user", None) in state.blocked:
        return None
    return Rejected(
        "quota_exceeded", f"at most {limit} blocks", quota="blocks", limit=limit, used=used
    )


BLOCKS_MAX: Final = Rule(
    "blocks_max", "contract", _refuse_full, lambda state, context: CONTENT.blocks_max
)


@attrs.frozen
class Block(Command):
    """Block another user: neither of the two can open a direct chat with the other.

    They are not told. Groups that both are in stay as they are.
    """

    method = "block"
    addressed = ACCOUNT
    min_role = None
    rules: ClassVar = (NOT_YOURSELF, BLOCKS_MAX)

    user: str = fields.user()

    def decide(self, state: Account, context: Context) -> Decision:
        """Block them once."""
        seq = state.blocked.get(self.user)
        return [Blocked(self.user)] if seq is None else Unchanged({"seq": seq})


@attrs.frozen
class Unblock(Command):
    """End a block. Where there is none, the answer has the head of the account's log."""

    method = "unblock"
    addressed = ACCOUNT
    min_role = None

    user: str = fields.user()

    def decide(self, state: Account, context: Context) -> Decision:
        """End it."""
        return (
            [Unblocked(self.user)] if self.user in state.blocked else Unchanged({"seq": state.seq})
        )
