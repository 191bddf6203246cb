"""The one task that wakes streams at their deadlines, also after a restart."""

from __future__ import annotations

from collections.abc import Callable

import structlog
import trio

from groupd.config import Limits
from groupd.domain.base import StreamKey
from groupd.engine.ports import Clock
from groupd.engine.quarantine import Quarantine
from groupd.errors import LogCorrupt, LogUnavailable
from groupd.storage.log import Log

logger = structlog.get_logger()


class Timers:
    """Sleeps until the earliest stored deadline, never longer than a second at a time.

    Never longer, because the wall clock may jump. Streams are woken at a bounded rate, so that
    many deadlines at once do not starve requests. Those in ``quarantine`` are passed over.
    """

    def __init__(
        self, *, log: Log, clock: Clock, limits: Limits, quarantine: Quarantine | None = None
    ) -> None:
        self._log = log
        # Not "or": an empty one is false, and is to be filled later.
        self._quarantine = Quarantine() if quarantine is None else quarantine
        self._clock = clock
        self._limits = limits
        # Nothing is known at first, so the first thing to do is to look.
        self._next_ms: int | None = 0

    def note(self, deadline_ms: int | None) -> None:
        """Hear of a deadline that was stored."""
        if deadline_ms is not None and (self._next_ms is None or deadline_ms < self._next_ms):
            self._next_ms = deadline_ms

    async def run(self, wake: Callable[[StreamKey], None]) -> None:
        """Wake streams; runs until cancelled."""
        while True:
            now_ms = self._clock.now_ms()
            if self._next_ms is not None and self._next_ms <= now_ms:
                await self._wake_due(now_ms, wake)
            await trio.sleep(self._limits.deadline_poll_ms / 1_000)

    async def _wake_due(self, now_ms: int, wake: Callable[[StreamKey], None]) -> None:
        most = self._limits.wakes_per_round_max
        # What is noted while we read counts, whichever of both the store did first.
        known_ms, self._next_ms = self._next_ms, None
        try:
            # A damaged stream stays due, and must take nobody's place.
            count = most + len(self._quarantine)
            due = await self._log.read(lambda store: store.due(now_ms, count))
            # Until a woken stream has written its next deadline it counts as due, and is woken
            # again in the next round: a wake-up can be lost only together with the process.
            self.note(await self._log.read(lambda store: store.next_deadline_ms()))
        except (LogUnavailable, LogCorrupt) as error:
            logger.warning("deadlines_unreadable", error=str(error))
            self.note(known_ms)
            return
        for stream in [stream for stream in due if stream not in self._quarantine][:most]:
            wake(stream)
