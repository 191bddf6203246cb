"""A log that takes virtual time: the store's rounds, without its thread.

What ``storage/log.py`` does in a thread is done here by a task: rounds gather while one is being
written, what a write waits for is drawn, and between the moment when a round is durable and the
moment when anybody hears of it there is time for a crash.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import TypeVar

import trio

from groupd.errors import LogBroken, LogError, LogUnavailable
from groupd.storage.log import CLOSED, IDLE_CHECKPOINT_S, Log, queued, tell
from groupd.storage.port import Store, Write
from groupd.storage.rounds import Done, Job, Rounds

T = TypeVar("T")


class SimLog(Log):
    """A log over an open store, for one task that runs ``run``.

    ``wait_s`` is asked before and after each round how long that takes.
    """

    def __init__(self, store: Store, wait_s: Callable[[], float]) -> None:
        """Take over an open store."""
        self.id = store.id
        self._rounds = Rounds(store)
        self._wait_s = wait_s
        self._closed = False
        self._done: Sequence[Job] = ()
        """Jobs that are done, and of which nobody has heard yet."""
        self._lot = trio.lowlevel.ParkingLot()

    @property
    def is_busy(self) -> bool:
        """Say whether anything was asked for of which nobody has heard yet."""
        return bool(self._rounds.busy or self._done)

    def begin(self, write: Write, done: Done) -> None:
        """Do one write in the next round."""
        if self._closed:
            done(LogUnavailable(CLOSED))
        else:
            self._add(Job(write, done))

    async def read(self, query: Callable[[Store], T]) -> T:
        """Call ``query`` with the store, in its turn."""
        if self._closed:
            raise LogUnavailable(CLOSED)
        return await queued(query, self._add)

    def _add(self, job: Job) -> None:
        self._rounds.add(job)
        self._lot.unpark()

    async def run(self) -> None:
        """Do rounds until cancelled; then what is queued, at once, and refuse what comes.

        Whoever waits for a write hears of it in any case, since that wait cannot be cancelled.
        """
        try:
            while True:
                await self._step()
        finally:
            self._closed = True
            self._tell()
            while self._rounds.busy:
                tell(self._rounds.step())

    async def _step(self) -> None:
        if self._rounds.busy:
            await trio.sleep(self._wait_s())
            self._done = self._rounds.step()
            await trio.sleep(self._wait_s())
            self._tell()
            return
        with trio.move_on_after(IDLE_CHECKPOINT_S) as rest:
            await self._lot.park()
        if rest.cancelled_caught and self._rounds.wants_checkpoint:
            self._rounds.checkpoint()
            if self._rounds.broken is not None:
                raise LogBroken(self._rounds.broken)

    def _tell(self) -> None:
        jobs, self._done = self._done, ()
        tell(jobs)


@asynccontextmanager
async def open_sim_log(store: Store, wait_s: Callable[[], float]) -> AsyncIterator[SimLog]:
    """Run a log for as long as the block runs; at its end everything is written and closed."""
    log = SimLog(store, wait_s)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(log.run)
            yield log
            nursery.cancel_scope.cancel()
    finally:
        # After a crash the disk answers nothing any more.
        with suppress(LogError):
            store.close()
