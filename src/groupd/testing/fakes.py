"""Stand-ins for the outside world: a clock and randomness that a test decides, and a slow log.

Each fits the port of the same shape, so a hub cannot tell. With trio's ``MockClock`` nothing here
takes real time, and the same seed gives the same run.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Final, TypeVar

import trio

from groupd.engine.ports import Ports
from groupd.errors import LogError
from groupd.storage.log import Log
from groupd.storage.port import Store, Write
from groupd.storage.rounds import Done

T = TypeVar("T")

START_MS: Final = 1_750_000_000_000
"""What a fake clock shows first: a day in June 2025."""
CHECKPOINTS_MAX: Final = 8
"""Delays of up to so many steps are checkpoints; longer ones pass on trio's clock."""


class FakeClock:
    """A wall clock that goes as trio's does, and jumps only when told to."""

    def __init__(self, start_ms: int = START_MS) -> None:
        self._shown_ms = start_ms
        self._began: float | None = None

    def now_ms(self) -> int:
        """Give milliseconds since the epoch."""
        now = trio.current_time()
        if self._began is None:
            self._began = now
        return self._shown_ms + round((now - self._began) * 1_000)

    def jump(self, by_ms: int) -> None:
        """Be set to another time, as wall clocks sometimes are; also backward."""
        self._shown_ms += by_ms


class SeededRandomness:
    """Bytes that look random and are the same for the same seed."""

    def __init__(self, seed: int = 0) -> None:
        self._seed = seed
        self._count = 0

    def token_bytes(self, count: int) -> bytes:
        """Give the next ``count`` bytes."""
        self._count += 1
        mark = f"{self._seed} {self._count}".encode()
        return hashlib.shake_128(mark).digest(count)


def fake_ports(seed: int = 0) -> Ports:
    """Give a clock that follows trio's and randomness made of ``seed``."""
    return Ports(clock=FakeClock(), randomness=SeededRandomness(seed))


class SlowLog(Log):
    """Another log that takes its time before and after each read and each write.

    ``delay`` is asked before and after: it gives how many steps to wait. A few are checkpoints,
    where other tasks run; more than ``CHECKPOINTS_MAX`` are so many milliseconds.
    """

    def __init__(self, log: Log, delay: Callable[[], int]) -> None:
        """Slow down ``log``; whoever opened it closes it."""
        self.id = log.id
        self.counts = log.counts
        self._log = log
        self._delay = delay

    def begin(self, write: Write, done: Done) -> None:
        """Do one write, late."""
        # A task of the system: like a disk, it goes on whoever is cancelled.
        trio.lowlevel.spawn_system_task(self._write, write, done)

    async def _write(self, write: Write, done: Done) -> None:
        error: BaseException | None = None
        await self._wait()
        try:
            await self._log.write(write)
        except LogError as failure:
            error = failure
        await self._wait()
        done(error)

    async def read(self, query: Callable[[Store], T]) -> T:
        """Call ``query`` with the store, and give what it gave, late."""
        await self._wait()
        result = await self._log.read(query)
        await self._wait()
        return result

    async def _wait(self) -> None:
        steps = self._delay()
        if steps > CHECKPOINTS_MAX:
            await trio.sleep(steps / 1_000)
            return
        for _ in range(steps):
            await trio.lowlevel.checkpoint()
