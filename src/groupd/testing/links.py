"""Links without a network: two ends in memory, with kernel buffers as small as a test wants.

They need no descriptor and no real time, so they also work under a clock that jumps.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import attrs
import trio

from groupd.server.link import LinkBroken

CAPACITY_BYTES: Final = 65_536


def link_pair(
    *, capacity: int = CAPACITY_BYTES, peers: tuple[str, str] = ("fake-a", "fake-b")
) -> tuple[FakeLink, FakeLink]:
    """Make the two ends of one link; the first one's ``peer`` is the second of ``peers``.

    ``capacity`` is how many sent bytes may be unread, in each direction. Each end's own can be
    changed at any time.
    """
    there, back = _Pipe(capacity), _Pipe(capacity)
    return FakeLink(peers[1], outgoing=there, incoming=back), FakeLink(
        peers[0], outgoing=back, incoming=there
    )


@attrs.define(eq=False)
class _Pipe:
    """One direction: what was sent and is not read yet."""

    capacity: int
    unread: bytearray = attrs.field(factory=bytearray)
    ended: bool = False
    broken: str = ""
    changed: trio.lowlevel.ParkingLot = attrs.field(factory=trio.lowlevel.ParkingLot)
    ready: Callable[[], None] | None = None
    """Who is called while there is something to read."""
    _is_called: bool = False

    @property
    def readable(self) -> bool:
        return bool(self.unread or self.ended or self.broken)

    def end(self) -> None:
        self.ended = True
        self.change()

    def break_off(self, reason: str) -> None:
        self.broken = self.broken or reason
        self.unread.clear()
        self.change()

    def change(self) -> None:
        """Wake whoever waits for this, and let whoever watches be called."""
        self.changed.unpark_all()
        if self.ready is not None and self.readable and not self._is_called:
            self._is_called = True
            trio.lowlevel.spawn_system_task(self._call)

    async def _call(self) -> None:
        # A task, as the poller is one: nobody is called in the middle of somebody's sending.
        while self.ready is not None and self.readable:
            self.ready()
            await trio.lowlevel.checkpoint()
        self._is_called = False


class FakeLink:
    """One end of a pair. See ``groupd.server.link.Link``, which it is one of."""

    has_half = False

    def __init__(self, peer: str, *, outgoing: _Pipe, incoming: _Pipe) -> None:
        self.peer = peer
        self._outgoing = outgoing
        self._incoming = incoming

    @property
    def capacity(self) -> int:
        """How many bytes sent from here the other end may leave unread; with 0 none are taken."""
        return self._outgoing.capacity

    @capacity.setter
    def capacity(self, value: int) -> None:
        self._outgoing.capacity = value
        self._outgoing.changed.unpark_all()

    @property
    def unread_bytes(self) -> int:
        """How many bytes from the other end wait to be read here."""
        return len(self._incoming.unread)

    def cut(self) -> None:
        """Break both directions at once, as a reset does; what was unread is lost."""
        self._outgoing.break_off("the link was cut")
        self._incoming.break_off("the link was cut")

    def try_send(self, data: bytes | memoryview) -> int:
        """Send what there is room for. See ``Link``."""
        pipe = self._outgoing
        if pipe.broken or pipe.ended:
            raise LinkBroken(pipe.broken or "sending after the end")
        taken = data[: max(0, pipe.capacity - len(pipe.unread))]
        if taken:
            pipe.unread += taken
            pipe.change()
        return len(taken)

    @property
    def send(self) -> Callable[[bytes], int]:
        """Give ``try_send``. See ``Link``."""
        return self.try_send

    async def send_all(self, data: bytes) -> None:
        """Send everything. See ``Link``."""
        await trio.lowlevel.checkpoint()
        rest = memoryview(data)
        while rest := rest[self.try_send(rest) :]:
            await self._outgoing.changed.park()

    async def receive_some(self, max_bytes: int) -> bytes:
        """Wait for bytes and give them. See ``Link``."""
        await trio.lowlevel.checkpoint()
        while (data := self.try_receive(max_bytes)) is None:
            await self._incoming.changed.park()
        return data

    def try_receive(self, max_bytes: int) -> bytes | None:
        """Give bytes that are there. See ``Link``."""
        pipe = self._incoming
        if pipe.broken:
            raise LinkBroken(pipe.broken)
        if not pipe.readable:
            return None
        data = bytes(pipe.unread[:max_bytes])
        del pipe.unread[:max_bytes]
        pipe.changed.unpark_all()
        return data

    def watch(self, ready: Callable[[], None]) -> None:
        """Call ``ready`` while there is something to read. See ``Link``."""
        self._incoming.ready = ready
        self._incoming.change()

    def unwatch(self) -> None:
        """Call nothing more. See ``Link``."""
        self._incoming.ready = None

    def send_eof(self, code: str = "") -> None:
        """Tell the other end that no more will come. See ``Link``."""
        self._outgoing.end()

    async def aclose(self) -> None:
        """Close this end; the other one reads what was sent, then the end. See ``Link``."""
        self.unwatch()
        self._outgoing.end()
        self._incoming.break_off("this link is closed")
        await trio.lowlevel.checkpoint()
