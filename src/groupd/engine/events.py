"""The pushes of a library caller, who has no socket."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from groupd.engine.greeting import Greeting
from groupd.engine.peer import Peer
from groupd.wire.rpc import Notification, Unframer

if TYPE_CHECKING:
    from groupd.engine.hub import Hub


class Events:
    """The pushes of one library caller, in order. For one task at a time."""

    greeting: Greeting

    def __init__(self, hub: Hub) -> None:
        limits = hub.rules.limits
        self._arrived = trio.Event()
        self._unframer = Unframer(hub.frame_limits)
        self._ready: list[Notification] = []
        self.peer = Peer(
            try_send=_take_nothing,
            wake=self._wake,
            broken=_nothing,
            head_of=hub.outlets.reached,
            max_bytes=limits.backlog_max_bytes,
            backlogs=hub.backlogs,
        )

    def _wake(self) -> None:
        self._arrived.set()

    def __aiter__(self) -> Events:
        return self

    async def __anext__(self) -> Notification:
        """Give the next notification; waits for it."""
        while not self._ready:
            data = self.peer.take()
            if data:
                messages = self._unframer.feed(data)
                self._ready = [item for item in messages if isinstance(item, Notification)][::-1]
                continue
            self._arrived = trio.Event()
            await self._arrived.wait()
        return self._ready.pop()


def _take_nothing(data: bytes) -> int:
    """Be a link that never takes anything: the iterator is the writer."""
    return 0


def _nothing() -> None:
    """Be a link that never breaks."""
