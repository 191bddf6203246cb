"""Who has something to read: one task that watches all connections.

Theory of operation. A task for each connection would wake up for each request: two switches and a
system call of trio's for every read. Here all sockets are in one epoll set of our own, and trio
waits for that set, which is a descriptor like any other. One wake-up then serves every connection
that has become readable meanwhile, by a plain call for each; and what the requests have left in
mailboxes is served in one go at the end of the round (``settle``). So a server under load makes
its own large rounds, with no timer; a few of them follow one another without a turn of trio's.

Where the platform has no epoll, each watched descriptor gets a task that does the same.
"""

from __future__ import annotations

import select
from collections.abc import Callable
from contextlib import suppress
from typing import Final, TypeAlias

import trio

ROUND_MAX: Final = 256
"""Connections that are served in one round."""
ROUNDS_MAX: Final = 4
"""Small rounds in a row before other tasks get their turn, as long as each finds something to read.
While a round publishes, those that it answers mostly ask again; to find that out by way of trio
costs two more system calls and a switch of tasks, 3 % of a post to 200."""
SMALL_MAX: Final = ROUND_MAX // ROUNDS_MAX
"""Connections of a small round. After a larger one others have waited for long enough."""

Ready: TypeAlias = Callable[[], None]
"""Called when a descriptor can be read, or has ended. It reads, and must not raise."""


class Poller:
    """Watches descriptors; ``run`` is its task. ``close`` it when that has ended.

    ``begin`` is called before the first of a round is served, ``settle`` after the last.
    """

    def __init__(
        self,
        *,
        begin: Callable[[], None],
        settle: Callable[[], None],
        has_epoll: bool = hasattr(select, "epoll"),
    ) -> None:
        self._begin = begin
        self._settle = settle
        self._watched: dict[int, Ready] = {}
        self._epoll = select.epoll() if has_epoll else None
        # Without epoll only: who ends the task of each descriptor.
        self._scopes: dict[int, trio.CancelScope] = {}
        self._nursery: trio.Nursery | None = None

    def watch(self, descriptor: int, ready: Ready) -> None:
        """Call ``ready`` in every round in which there is something to read, until ``unwatch``."""
        self._watched[descriptor] = ready
        if self._epoll is not None:
            self._epoll.register(descriptor, select.EPOLLIN)
        elif self._nursery is not None:
            self._start_watching(descriptor)

    def unwatch(self, descriptor: int) -> None:
        """Call nothing more for a descriptor; before it is closed. Repeating it is no error."""
        if self._watched.pop(descriptor, None) is None:
            return
        if self._epoll is not None:
            self._epoll.unregister(descriptor)
        elif descriptor in self._scopes:
            self._scopes.pop(descriptor).cancel()

    async def run(self) -> None:
        """Serve rounds until cancelled."""
        if self._epoll is None:
            await self._run_tasks()
            return
        epoll, watched = self._epoll, self._watched
        while True:
            await trio.lowlevel.wait_readable(epoll.fileno())
            for _ in range(ROUNDS_MAX):
                readable = epoll.poll(0, ROUND_MAX)
                if not readable:
                    break
                self._begin()
                for descriptor, _events in readable:
                    # One that was served earlier in this round may have ended another one.
                    ready = watched.get(descriptor)
                    if ready is not None:
                        ready()
                self._settle()
                if len(readable) > SMALL_MAX:
                    break

    def close(self) -> None:
        """Release the descriptor of the set."""
        if self._epoll is not None:
            self._epoll.close()

    # --- without epoll

    async def _run_tasks(self) -> None:
        async with trio.open_nursery() as self._nursery:
            for descriptor in self._watched:
                self._start_watching(descriptor)
            await trio.sleep_forever()

    def _start_watching(self, descriptor: int) -> None:
        assert self._nursery is not None
        self._scopes[descriptor] = scope = trio.CancelScope()
        self._nursery.start_soon(self._watch_one, descriptor, scope)

    async def _watch_one(self, descriptor: int, scope: trio.CancelScope) -> None:
        with scope, suppress(trio.ClosedResourceError):
            while True:
                await trio.lowlevel.wait_readable(descriptor)
                self._begin()
                self._watched[descriptor]()
                self._settle()
