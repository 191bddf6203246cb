"""Tokens of a user that are believed no longer.

It stands in the user's own log because it is about one user, must outlive a restart, a backup and
an export, and has to be in order with nothing else. The index has the newest time of each user, so
that a ``hello`` need not wake their account.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import attrs

from groupd.domain import fields
from groupd.domain.account.state import Account
from groupd.domain.base import (
    ACCOUNT,
    Command,
    Context,
    Decision,
    Event,
    Identity,
    Receipt,
    Record,
    Unchanged,
)
from groupd.domain.projection import Change, PutRevocation


def is_revoked(caller: Identity, before_ms: int) -> bool:
    """Say whether a token is refused whose user's tokens were revoked up to a time; 0 for never.

    One that does not say when it was issued is refused once there is any such time.
    """
    return bool(before_ms) and (caller.issued_ms is None or caller.issued_ms < before_ms)


@attrs.frozen
class Revoked(Event):
    """Tokens of the user that were issued before a time are not believed any more."""

    kind = "revoked"
    stream_kind = ACCOUNT

    before_ms: int = fields.stored("time_ms", 0)

    def apply(self, state: Account, record: Record) -> None:
        """Believe none of them again."""
        state.revoked_before_ms = max(state.revoked_before_ms, self.before_ms)

    def project(self, record: Record) -> Sequence[Change]:
        """Say so to who asks at a ``hello``."""
        return (PutRevocation(self.before_ms),)

    def receipt_value(self) -> int:
        """Give the time that the answer has."""
        return self.before_ms


@attrs.frozen
class Revoke(Command):
    """Believe no token of the account's user that was issued before a time, by default now.

    The server's own; no client can send it. A time that is not later than an earlier one changes
    nothing: what was revoked stays so.
    """

    method = "revoke"
    addressed = ACCOUNT
    min_role = None
    result: ClassVar = {"before_ms": "time_ms"}

    before_ms: int | None = None

    def decide(self, state: Account, context: Context) -> Decision:
        """Take it where it is later."""
        latest_ms = context.now_ms + context.rules.limits.ids_ahead_ms
        before_ms = context.now_ms if self.before_ms is None else self.before_ms
        if before_ms > latest_ms:
            # Mostly a wrong unit, and it could never be taken back.
            raise fields.refuse("before_ms", "expected milliseconds since 1970, not in the future")
        if before_ms <= state.revoked_before_ms:
            return Unchanged({"before_ms": state.revoked_before_ms})
        return [Revoked(before_ms)]

    def answer(self, receipt: Receipt, context: Context) -> dict[str, Any]:
        """Answer with the time that holds."""
        return {"before_ms": receipt.value}
