"""What is done next with a store, and what befell it.

Placement rule: synchronous, without a task or a thread: ``log.py`` carries jobs here and outcomes
back, and tests go step by step.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias

import attrs

from groupd.errors import LogBroken, LogUnavailable
from groupd.storage.counts import RoundCounts
from groupd.storage.port import AppendAll, Store, Write

Done: TypeAlias = Callable[[BaseException | None], None]
"""Hears what befell a write or a read: None, or why it was not done."""

ROUND_MAX: Final = 512
"""Writes that share one transaction at most."""
READS_MAX: Final = 32
"""Reads between two rounds at most, while writes are waiting."""
READS_S: Final = 0.005
"""How long reads may go on while writes are waiting; the one that has begun is finished."""


@attrs.define(eq=False)
class Job:
    """Something that somebody waits for."""

    work: Write | Callable[[Store], Any]
    done: Done | None = None
    """None once nobody waits any more. Belongs to trio's thread."""
    result: Any = None
    error: BaseException | None = None
    abandoned: bool = False
    """True for a read that nobody waits for any more: it need not be done."""


@attrs.define(eq=False)
class Rounds:
    """What waits for a store, and the order in which it is done."""

    store: Store
    clock: Callable[[], float] = lambda: 0.0
    """In seconds; one that stands still lets a batch of reads take as long as it takes."""
    _writes: deque[Job] = attrs.field(factory=deque, init=False)
    _reads: deque[Job] = attrs.field(factory=deque, init=False)
    _read_next: bool = attrs.field(default=True, init=False)
    broken: str | None = attrs.field(default=None, init=False)
    """Why nothing can be trusted any more; None as long as all is well."""
    counts: RoundCounts = attrs.field(factory=RoundCounts)
    wants_checkpoint: bool = attrs.field(default=False, init=False)
    """True where something was written since the last checkpoint."""
    has_erased: bool = attrs.field(default=False, init=False)
    """True where something was erased since then, and may still be in a file."""

    @property
    def busy(self) -> bool:
        """Say whether anything is waiting."""
        return bool(self._writes or self._reads)

    def add(self, job: Job) -> None:
        """Queue a job behind those of its kind."""
        (self._reads if callable(job.work) else self._writes).append(job)

    def step(self) -> Sequence[Job]:
        """Do a batch of reads or a round of writes, whichever was not done last; give its jobs.

        So neither kind starves the other.
        """
        if self._reads and (self._read_next or not self._writes):
            self._read_next = False
            jobs: list[Job] = []
            began = self.clock()
            while self._reads and len(jobs) < READS_MAX:
                jobs.append(self._reads.popleft())
                self._read(jobs[-1])
                if self._writes and self.clock() - began >= READS_S:
                    break
        else:
            self._read_next = True
            jobs = [self._writes.popleft() for _ in range(min(ROUND_MAX, len(self._writes)))]
            self._commit(jobs)
        return jobs

    def _commit(self, jobs: Sequence[Job]) -> None:
        if self.broken is None:
            self.wants_checkpoint = True
            self.has_erased |= any(_erases(job.work) for job in jobs)
            began = self.clock()
            try:
                outcomes = self.store.commit([job.work for job in jobs])  # type: ignore[misc]
                for job, outcome in zip(jobs, outcomes, strict=True):
                    job.error = outcome
                self.counts.commit_s.add(self.clock() - began)
                self.counts.writes.add(len(jobs))
            except BaseException as error:
                # Whatever it was, the waiting tasks must hear of it, and none may go on.
                self._break(error)
        if self.broken is not None:
            for job in jobs:
                job.error = LogBroken(self.broken)

    def _read(self, job: Job) -> None:
        assert callable(job.work)
        if job.abandoned:
            return
        if self.broken is not None:
            job.error = LogBroken(self.broken)
            return
        try:
            job.result = job.work(self.store)
        except BaseException as error:
            # It is the caller's query, and the error belongs to the caller.
            job.error = error
            if isinstance(error, LogBroken):
                self._break(error)

    def checkpoint(self) -> None:
        """Move everything to its final place, and wipe what was erased."""
        self.wants_checkpoint = False
        if self.broken is None:
            try:
                self.store.checkpoint()
                self.has_erased = False
            except LogUnavailable:
                self.wants_checkpoint = True  # The disk is full; the next time, perhaps.
            except LogBroken as error:
                self._break(error)

    def _break(self, error: BaseException) -> None:
        self.broken = str(error) if isinstance(error, LogBroken) else repr(error)


def _erases(work: object) -> bool:
    return isinstance(work, AppendAll) and any(append.erase for append in work.appends)
