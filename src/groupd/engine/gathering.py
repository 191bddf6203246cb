"""When a busy stream sends: small batches that follow one another closely leave together.

Theory of operation. A send costs the kernel nearly the same for one post as for ten, so to hundreds
it pays to send ten at once. A stream is busy as long as one send follows close upon another, or
takes up several batches. After a send it then rests for a time that grows with its subscribers, and
what comes meanwhile is kept. A stream whose posts come one by one, whose log takes its time (which
makes batches of its own), or whose process has time to spare between two sends, never rests.

Placement rules: no time, no task and no reader in here. The outlet asks, and sends.
"""

from __future__ import annotations

from math import inf
from typing import Final

from groupd.config import Limits
from groupd.engine.publication import Publication

CLOSE: Final = 0.25
"""A send is close upon the one before it if less than this part of a rest lies between them."""
CLOSE_MIN: Final = 2
"""So many sends in a row, each close upon the one before, begin the first rest."""
BATCHES_MIN: Final = 3
"""So many batches in one send are worth another rest."""


class Gathering:
    """What is kept for the next send to all subscribers of one stream."""

    __slots__ = (
        "_batches",
        "_close",
        "_ended_s",
        "_limits",
        "_max_bytes",
        "_size_bytes",
        "kept",
        "rests_until_s",
    )

    def __init__(self, limits: Limits) -> None:
        self.rests_until_s = -inf
        """By then what is kept has to be sent."""
        self._limits = limits
        # A session that reads nothing is to hold one batch beside its backlog.
        self._max_bytes = min(limits.gather_max_bytes, limits.batch_max_bytes)
        self.kept: Publication | None = None
        """What waits for the next send, if anything does."""
        # Since the last send.
        self._batches = self._size_bytes = 0
        self._ended_s = -inf
        self._close = 0

    def add(self, publication: Publication, now_s: float) -> Publication | None:
        """Give what has to be sent now, with what was kept in front; None where all can wait.

        Messages can. What changes what somebody may do or read cannot, since answers may show it;
        and much need not, since to send it at once saves as much.
        """
        self._batches += 1
        self._size_bytes += publication.size_bytes
        if self.kept is not None:
            self.kept.merge(publication)
            publication = self.kept
        can_wait = (
            now_s < self.rests_until_s
            and publication.can_wait
            and self._size_bytes < self._max_bytes
        )
        self.kept = publication if can_wait else None
        return None if can_wait else publication

    def take(self) -> Publication | None:
        """Give what was kept, to be sent now."""
        kept, self.kept = self.kept, None
        return kept

    def put_back(self, publication: Publication, *, until_s: float) -> None:
        """Keep what could not be sent, until it is tried again. Nothing was added meanwhile."""
        self.kept, self.rests_until_s = publication, until_s

    def sent(self, subscribers: int, *, began_s: float, ended_s: float) -> None:
        """Note that all were sent everything, and decide whether the stream rests now."""
        limits = self._limits
        rest_us = min(subscribers * limits.gather_us, limits.gather_max_ms * 1_000)
        rest_s = rest_us / 1_000_000
        is_close = began_s - self._ended_s < CLOSE * rest_s
        self._close = self._close + 1 if is_close else 0
        is_busy = self._close >= CLOSE_MIN or self._batches >= BATCHES_MIN
        self.rests_until_s = ended_s + rest_s if is_busy else -inf
        self._batches = self._size_bytes = 0
        self._ended_s = ended_s
