"""What is counted while a load test runs."""

from __future__ import annotations

from collections import Counter
from typing import Final

import attrs

from groupd.errors import REASONS, Rejected
from groupd.loadtest.histogram import Histogram

DISCONNECTED: Final = "disconnected"
"""Posts whose connection was lost too often, or for good. No code of the wire has this name."""
HELD: Final = "held"
"""Posts that the server keeps back instead of showing them."""


@attrs.define(eq=False)
class Latency:
    """How long something took, in two ways of measuring."""

    corrected: Histogram = attrs.field(factory=Histogram)
    """From when the post was due: all posts."""
    uncorrected: Histogram = attrs.field(factory=Histogram)
    """From when it was sent, and only posts whose sender waited for no other answer then: what a
    tool would show whose users post only after they were answered."""

    def record(self, now_us: int, *, due_us: int, sent_us: int, is_alone: bool) -> None:
        """Count one."""
        self.corrected.record(now_us - due_us)
        if is_alone:
            self.uncorrected.record(now_us - sent_us)


@attrs.define
class Counts:
    """How many there were; a copy tells them as of then."""

    due: int = 0
    """Posts whose time had come."""
    sent: int = 0
    """Of these, those that were handed to a connection."""
    skipped: int = 0
    """Those that were not even tried, since too many were under way."""
    acknowledged: int = 0
    delivered: int = 0
    """Posts of this run that members took, the sender being one of them."""
    fetched: int = 0
    """Of these, those that were not pushed to them in time, and so were fetched."""
    refused: int = 0
    reconnects: int = 0
    lagged: int = 0


@attrs.define(eq=False)
class Figures:
    """Everything that is counted. The tasks of one run write it; whoever shows it reads it."""

    counts: Counts = attrs.field(factory=Counts)
    acknowledgement: Latency = attrs.field(factory=Latency)
    """Until its sender has the answer."""
    delivery: Latency = attrs.field(factory=Latency)
    """Until a member has taken it: one value for each post and member."""
    lag: Histogram = attrs.field(factory=Histogram)
    """How long after it was due the load generator itself came to a post."""
    refusals: Counter[str] = attrs.field(factory=Counter)
    """Kind of refusal -> posts; see ``kind_of``. Kinds are codes and reasons of closed lists."""
    connected: int = 0
    """Connections that are open now."""

    def refuse(self, kind: str) -> None:
        """Count a post that was not taken."""
        self.counts.refused += 1
        self.refusals[kind] += 1


def kind_of(refusal: Rejected) -> str:
    """Give the code of a refusal, with its reason where it is a published one."""
    reason = refusal.details.get("reason")
    is_known = isinstance(reason, str) and reason in REASONS
    return f"{refusal.code}/{reason}" if is_known else refusal.code
