"""The front of a store: what the engine awaits, or is called back by.

Placement rules:
- What is done next, and what befell it, is ``rounds.py``'s.
- ``ThreadedLog`` only carries: jobs to the one thread that has the store, and finished jobs back,
  with one wake-up of trio for a whole round or batch.
- ``InlineLog`` is the same front without a thread: for memory, for the simulation, and for tests
  whose clock jumps (a clock jumps while a thread works).

There is no timer in it. While one round is being fsynced, the next one gathers: that is all the
group commit there is.
"""

from __future__ import annotations

import queue
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Final, TypeVar

import attrs
import trio

from groupd.errors import LogBroken, LogUnavailable
from groupd.storage.counts import RoundCounts
from groupd.storage.port import Append, AppendAll, Store, Write
from groupd.storage.rounds import Done, Job, Rounds

T = TypeVar("T")

IDLE_CHECKPOINT_S: Final = 1.0
"""Rest after a write, after which the write-ahead log is moved to its place and what was erased
is wiped. A busy store does so by the size of that log."""
WIPE_WITHIN_S: Final = 1.0
"""How long what was erased may stay in a file, also of a store that never rests."""
CLOSE_MAX_S: Final = 30.0
"""How long closing waits for a disk that does not answer."""

CLOSED: Final = "the log is closed"


class Log(ABC):
    """Where the engine keeps its records."""

    id: str
    """The store's."""
    counts: RoundCounts
    """Of its rounds of writes; nothing is counted where there are none, as in memory."""

    @property
    def is_busy(self) -> bool:
        """Say whether a thread is at work on what was asked for here.

        It needs a core, and Python's lock: who works for long should rest to let it have them.
        """
        return False

    async def append(self, *appends: Append) -> None:
        """Make appends to different streams durable, all of them or none.

        Raises LogConflict or LogUnavailable when nothing was written, LogBroken when nobody knows.
        It is never abandoned: cancellation has no effect before the outcome is known.
        """
        await self.write(AppendAll(appends))

    async def write(self, write: Write) -> None:
        """Do one write. Raises as ``append`` does, and like it is not abandoned."""
        waiter = Waiter()
        self.begin(write, waiter.hear)
        await waiter.outcome()

    @abstractmethod
    def begin(self, write: Write, done: Done) -> None:
        """Hand over one write, and return without waiting for it.

        ``done`` is called exactly once, in trio's thread, perhaps before this returns: with None
        once the write is durable, or with the error that ``write`` would raise, LogUnavailable
        for a closed log among them. Outcomes come in the order of the writes, those of a round in
        one step of trio, in which no task runs. ``done`` must not raise. Where it does, the
        others of its round still hear, and the whole trio program ends with that error.
        """

    @abstractmethod
    async def read(self, query: Callable[[Store], T]) -> T:
        """Call ``query`` with the store, between rounds, and give what it gives.

        It must not keep the store, nor an iterator of it. It may be cancelled: the query is then
        done for nobody, or not at all.
        """

    async def watch(self) -> None:
        """Wait until the store breaks while nobody asks for anything; raises LogBroken then."""
        await trio.sleep_forever()


@attrs.define(eq=False)
class Waiter:
    """A task that waits for an outcome, which may have come already."""

    _is_done: bool = False
    _error: BaseException | None = None
    _task: trio.lowlevel.Task | None = None

    def hear(self, error: BaseException | None) -> None:
        """Take the outcome: None, or what went wrong."""
        self._is_done, self._error = True, error
        if self._task is not None:
            trio.lowlevel.reschedule(self._task)

    async def outcome(
        self, abort: Callable[[Any], trio.lowlevel.Abort] = lambda _: trio.lowlevel.Abort.FAILED
    ) -> None:
        """Raise what went wrong. Where it has come already, the task is not suspended."""
        if not self._is_done:
            self._task = trio.lowlevel.current_task()
            await trio.lowlevel.wait_task_rescheduled(abort)
        if self._error is not None:
            raise self._error


class InlineLog(Log):
    """A log that does everything at once, in the calling task, and never suspends it."""

    def __init__(self, store: Store) -> None:
        """Take over an open store."""
        self.id = store.id
        self.counts = RoundCounts()
        self._store = store
        self._closed = False

    def begin(self, write: Write, done: Done) -> None:
        """Do one write in a round of its own. An error of ``done`` is the caller's."""
        outcome: BaseException | None
        try:
            self._check_open()
            (outcome,) = self._store.commit((write,))
        except BaseException as error:
            outcome = error
        done(outcome)

    async def read(self, query: Callable[[Store], T]) -> T:
        """Call ``query`` with the store."""
        self._check_open()
        return query(self._store)

    def close(self) -> None:
        """Refuse new work and close the store."""
        self._closed = True
        self._store.close()

    def _check_open(self) -> None:
        if self._closed:
            raise LogUnavailable(CLOSED)


async def queued(query: Callable[[Store], T], add: Callable[[Job], None]) -> T:
    """Queue a read by ``add``, and wait for what it gives. Cancelled, nobody waits any more."""
    waiter = Waiter()
    job = Job(query, waiter.hear)

    def abandon(_raise_cancel: Callable[[], Any]) -> trio.lowlevel.Abort:
        job.done, job.abandoned = None, True
        return trio.lowlevel.Abort.SUCCEEDED

    add(job)
    await waiter.outcome(abandon)
    result: T = job.result
    return result


class ThreadedLog(Log):
    """A log whose store lives in one thread of its own: opened, used and closed there."""

    def __init__(self, make_store: Callable[[], Store]) -> None:
        """Prepare; ``open`` starts the thread."""
        self.counts = RoundCounts()
        self._make_store = make_store
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._under_way = 0
        self._closed = False
        self._done = trio.Event()
        self._close_error: BaseException | None = None
        self._watched = Waiter()

    async def open(self) -> None:
        """Start the thread and wait until it has the store.

        Raises what ``make_store`` raises. Cancellation has no effect before that.
        """
        self._token = trio.lowlevel.current_trio_token()
        waiter = Waiter()
        opening = Job(lambda store: store.id, waiter.hear)
        self._under_way = 1
        self._thread = threading.Thread(
            target=self._run, args=(opening,), name="groupd store", daemon=True
        )
        self._thread.start()
        await waiter.outcome()
        self.id = opening.result

    def begin(self, write: Write, done: Done) -> None:
        """Do one write in the next round."""
        if self._closed:
            done(LogUnavailable(CLOSED))
        else:
            self._put(Job(write, done))

    async def read(self, query: Callable[[Store], T]) -> T:
        """Call ``query`` in the store's thread."""
        if self._closed:
            raise LogUnavailable(CLOSED)
        return await queued(query, self._put)

    @property
    def is_busy(self) -> bool:
        """Say whether there is anything of which nobody here has heard yet that it is done."""
        return self._under_way > 0

    def _put(self, job: Job) -> None:
        self._under_way += 1
        self._jobs.put(job)

    async def watch(self) -> None:
        """Wait until a checkpoint has broken the store. For one task."""

        def abandon(_raise_cancel: Callable[[], Any]) -> trio.lowlevel.Abort:
            self._watched = Waiter()
            return trio.lowlevel.Abort.SUCCEEDED

        await self._watched.outcome(abandon)

    async def close(self) -> None:
        """Refuse new work, finish what is queued, close the store, and join the thread.

        Cancellation does not shorten it; a disk that does not answer within ``CLOSE_MAX_S`` is
        left to the end of the process. Raises LogBroken then, or what closing the store raised.
        """
        self._closed = True
        self._jobs.put(None)
        with trio.move_on_after(CLOSE_MAX_S, shield=True):
            await self._done.wait()
            self._thread.join()  # It has nothing left to do but end.
        if not self._done.is_set():
            raise LogBroken(f"the store did not close within {CLOSE_MAX_S} s")
        if self._close_error is not None:
            raise self._close_error

    # --- in the thread

    def _run(self, opening: Job) -> None:
        try:
            store = self._make_store()
            opening.result = store.id
        except BaseException as error:
            opening.error = error
            self._hand_back([opening])
            return
        self._hand_back([opening])
        rounds = Rounds(store, time.monotonic, counts=self.counts)
        # A process that was killed may have left what was erased in the write-ahead log.
        rounds.wants_checkpoint = True
        wiped_at = time.monotonic()
        try:
            while self._gather(rounds):
                self._hand_back(rounds.step())
                now = time.monotonic()
                if rounds.has_erased and now - wiped_at >= WIPE_WITHIN_S:
                    self._checkpoint(rounds)
                    wiped_at = now
            while rounds.busy:
                self._hand_back(rounds.step())
        finally:
            self._close_store(store)

    def _gather(self, rounds: Rounds) -> bool:
        """Move what has come to ``rounds``, waiting if there is nothing; False means the end."""
        while not rounds.busy or not self._jobs.empty():
            try:
                rest_s = IDLE_CHECKPOINT_S if rounds.wants_checkpoint else None
                job = self._jobs.get(timeout=rest_s)
            except queue.Empty:
                self._checkpoint(rounds)
                continue
            if job is None:
                return False
            rounds.add(job)
        return True

    def _checkpoint(self, rounds: Rounds) -> None:
        """Do one. Where it breaks the store, nobody may ask for long: so tell who watches."""
        was_sound = rounds.broken is None
        rounds.checkpoint()
        if was_sound and rounds.broken is not None:
            error = LogBroken(rounds.broken)
            self._call(lambda: self._watched.hear(error))

    def _close_store(self, store: Store) -> None:
        try:
            store.close()
        except BaseException as error:
            self._close_error = error
        self._call(self._done.set)

    def _hand_back(self, jobs: Sequence[Job]) -> None:
        self._call(lambda: self._hear(jobs))

    def _hear(self, jobs: Sequence[Job]) -> None:
        self._under_way -= len(jobs)
        tell(jobs)

    def _call(self, function: Callable[[], object]) -> None:
        with suppress(trio.RunFinishedError):  # Nobody is left to hear it then.
            self._token.run_sync_soon(function)


def tell(jobs: Sequence[Job]) -> None:
    """Let everybody hear; raises the first error of one who should not have raised any."""
    bug: BaseException | None = None
    for job in jobs:
        if job.done is not None:
            try:
                job.done(job.error)
            except BaseException as error:
                bug = bug or error
    if bug is not None:
        raise bug  # Trio lets it end everything.


@asynccontextmanager
async def open_log(make_store: Callable[[], Store], *, threaded: bool) -> AsyncIterator[Log]:
    """Open a store behind a log, and close both at the end of the block.

    Raises what ``make_store`` raises. At the end new work is refused with LogUnavailable, what
    was queued is finished, and the store is closed, also where the block was cancelled.
    """
    if threaded:
        log = ThreadedLog(make_store)
        await log.open()
        try:
            yield log
        finally:
            await log.close()
    else:
        inline = InlineLog(make_store())
        try:
            yield inline
        finally:
            inline.close()
