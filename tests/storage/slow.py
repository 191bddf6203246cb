"""A store whose rounds a test holds up, so that it decides what shares the next one."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import trio
from trio.testing import wait_all_tasks_blocked

from groupd.domain.base import StreamKey
from groupd.storage.log import Log
from groupd.storage.memory import MemoryStore
from groupd.storage.port import Append, Outcome, PutPosition, Store, Write
from groupd.testing.log_samples import append


def one(stream: StreamKey, after: int = 0) -> Append:
    return append(stream, 1, after=after).appends[0]


def group(number: int) -> StreamKey:
    return StreamKey("group", "", f"g{number}")


class SlowStore(MemoryStore):
    """A store whose rounds wait at a gate, as others wait for a disk. It notes what it does."""

    def __init__(self) -> None:
        super().__init__("one")
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()
        self.rounds: list[int] = []
        self.threads: set[int] = {threading.get_ident()}
        self.checkpoints = 0
        self.closed = False
        self.fault: BaseException | None = None

    def commit(self, writes: Sequence[Write]) -> Sequence[Outcome]:
        self.threads.add(threading.get_ident())
        self.rounds.append(len(writes))
        self.entered.set()
        assert self.gate.wait(10)
        if self.fault is not None:
            raise self.fault
        return super().commit(writes)

    def checkpoint(self) -> None:
        self.checkpoints += 1

    def close(self) -> None:
        self.threads.add(threading.get_ident())
        self.closed = True


class Made:
    """Makes one slow store, and keeps it for the test to look at."""

    def __init__(self) -> None:
        self.store: Any = None

    def __call__(self) -> Store:
        self.store = SlowStore()
        return self.store


async def until(event: threading.Event) -> None:
    """Wait for the other thread."""
    assert await trio.to_thread.run_sync(event.wait, 10)


@asynccontextmanager
async def at_the_gate(log: Log, store: Any, work: Callable[[trio.Nursery], None]) -> AsyncIterator:
    """Hold up one round, queue ``work`` behind it, run the block, let go."""
    store.gate.clear()
    store.entered.clear()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(log.write, PutPosition("gate", 1))
        await until(store.entered)
        work(nursery)
        await wait_all_tasks_blocked()
        try:
            yield nursery
        finally:
            store.gate.set()
