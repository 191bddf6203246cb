"""What the engine counts on its way: plain numbers, read by whoever asks for metrics.

Nothing is counted for each delivery: a publication is counted once, times its readers.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from groupd.domain.base import Record


@attrs.define(eq=False)
class Counts:
    """Since the hub was opened, but for ``loading``."""

    posts: int = 0
    """Countable messages that became durable."""
    records: int = 0
    """Records of all kinds, in the logs of groups and accounts."""
    deliveries: int = 0
    """Events, times the sessions that read them, whether sent, kept for later, or missed."""
    delivered_bytes: int = 0
    loading: int = 0
    """Streams that are coming into memory now."""

    def take(self, records: Sequence[Record], counted: int) -> int:
        """Count records of one stream; gives and takes the count of messages that is known."""
        self.records += len(records)
        n = records[-1].n
        self.posts += n - counted
        return n
