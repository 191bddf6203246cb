"""The audit: who has changed what with a key of the host's, as a store keeps it beside the logs.

Theory of operation: an entry is written by the append that it tells of, so neither is there without
the other. It is not an event: members would see it, and it is pruned after a time, which no log is.
It names a place in a log and holds nothing of what was said there, since that may be recalled.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import attrs

from groupd.domain.base import StreamKey


@attrs.frozen
class AuditEntry:
    """Somebody has changed something."""

    time_ms: int
    key: str
    """The name of the service key, or ``operator``."""
    user: str
    """As whom it was done; empty for the system."""
    method: str
    """The call."""
    stream: StreamKey
    """What was changed: a group or an account; or a ``consumer`` of the feed, which has no log."""
    seq: int = 0
    """The first of the events in the stream's log that tell of it; 0 where none does."""
    about: str = ""
    """The user whom the call has named, if any: who was banned, invited, and so on."""


@attrs.frozen
class Audited:
    """An entry with its number. These rise with each entry of the store, and never come again."""

    n: int
    entry: AuditEntry


@attrs.frozen
class PutAudit:
    """Entries of what has changed no log. Others come with their ``Append``."""

    entries: Sequence[AuditEntry]


@attrs.frozen
class DropAudit:
    """All entries up to ``n`` go."""

    n: int


class Audits(Protocol):
    """Reads the audit. It belongs to the store's thread."""

    def latest(
        self, tenant: str, stream: StreamKey | None, before: int | None, limit: int
    ) -> Sequence[Audited]:
        """Give up to ``limit`` entries of a tenant, the latest first, those with n < ``before``.

        With ``stream``, of that one alone.
        """
        ...

    def since(self, after: int, limit: int) -> Sequence[Audited]:
        """Give up to ``limit`` entries of all tenants with n > ``after``, in order."""
        ...

    def last_n(self) -> int:
        """Give the number of the latest entry that is there; 0 where there is none."""
        ...
