"""Links of a simulated network: both ends of each, what is between them, and how it breaks.

Placement rules:
- Who dials and who listens stands in ``network.py``; when things happen, in ``medium.py``.
- The two ends know of each other only by what arrives. A cut, a reset and a crash act on a
  ``Path``, and each end learns of them at its own time.

Theory of operation. A ``Direction`` takes what there is room for, splits it into chunks, and gives
each a time to arrive; none overtakes another. Room is what the sender may have on its way or
unread. On a direction that is dead nothing arrives any more; a sender who does not know yet can
still fill it, as a real kernel takes bytes for a peer that has vanished.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from enum import Enum
from functools import partial
from typing import Final, TypeAlias
from zlib import crc32

import attrs
import trio

from groupd.server.link import LinkBroken
from groupd.testing.simulation.medium import Medium

CHUNKS_MAX: Final = 1_024
"""On their way in one direction. A sender of very small chunks waits for them to arrive."""


class Mark(Enum):
    """What is sent instead of bytes."""

    END = "end"
    RESET = "reset"


Chunk: TypeAlias = bytes | Mark


@attrs.define(eq=False)
class Direction:
    """One way of a path: what is on its way, and what has arrived and is not read yet."""

    path: Path
    sender: SimLink
    receiver: SimLink
    name: str
    arrived: bytearray = attrs.field(factory=bytearray)
    is_ended: bool = False
    """The sender has said that no more will come."""
    has_ended: bool = False
    """The receiver has learned that."""
    is_dead: bool = False
    """Nothing more gets onto it."""
    _chunks: deque[tuple[float, Chunk]] = attrs.field(factory=deque)
    _underway_bytes: int = 0
    _stalled_until_s: float = 0.0
    _is_scheduled: bool = False

    @property
    def held_bytes(self) -> int:
        """How many bytes are on their way or unread."""
        return self._underway_bytes + len(self.arrived)

    def take(self, data: bytes | memoryview) -> int:
        """Send what there is room for; give how many bytes that was."""
        faults, draw = self.path.medium.faults, self.path.medium.randomness
        taken = bytes(data[: max(0, faults.capacity_bytes - self.held_bytes)])
        if self.is_dead:
            self._underway_bytes += len(taken)
            return len(taken)
        start = 0
        while start < len(taken) and len(self._chunks) < CHUNKS_MAX:
            end = min(len(taken), start + draw.randint(1, faults.chunk_max_bytes))
            self._send_on(taken[start:end])
            start = end
        self._underway_bytes += start
        return start

    def end(self, mark: Mark) -> None:
        """Let a mark follow what was sent."""
        self.is_ended = True
        if not self.is_dead:
            self._send_on(mark)

    def lose_last(self) -> None:
        """Lose a drawn part of what is on its way: what was sent last."""
        kept = self.path.medium.randomness.randint(0, len(self._chunks))
        while len(self._chunks) > kept:
            # They count as on their way still: nobody tells the sender.
            self._chunks.pop()

    def lose_all(self) -> None:
        """Lose everything that is on its way."""
        self._chunks.clear()

    def _send_on(self, chunk: Chunk) -> None:
        # One that is ready before an earlier one has arrived waits behind it.
        due_s = trio.current_time() + self.path.medium.latency_s()
        self._chunks.append((due_s, chunk))
        self._schedule()

    def _deliver(self) -> None:
        """Let one chunk arrive, if it is time and the receiver is not stalled."""
        self._is_scheduled = False
        if not self._chunks:
            return  # What was on its way is lost.
        medium, now_s = self.path.medium, trio.current_time()
        if max(self._chunks[0][0], self._stalled_until_s) <= now_s:
            _, chunk = self._chunks.popleft()
            if isinstance(chunk, Mark):
                self._arrive_mark(chunk)
            else:
                self._underway_bytes -= len(chunk)
                self.path.arrive(self, chunk)
                if medium.chance(medium.faults.stall_chance):
                    self._stall(now_s)
            if len(self._chunks) == CHUNKS_MAX - 1:
                self.sender.rouse_writer()
        self._schedule()

    def _schedule(self) -> None:
        """Have the next chunk arrive at its time."""
        if self._chunks and not self._is_scheduled:
            self._is_scheduled = True
            due_s = max(self._chunks[0][0], self._stalled_until_s, trio.current_time())
            self.path.medium.at(due_s, self._deliver)

    def _arrive_mark(self, mark: Mark) -> None:
        self.path.medium.trace(f"{self.name} {mark.value}")
        if mark is Mark.RESET:
            self.receiver.learn("the peer has reset the connection")
        elif not self.receiver.broken:
            self.has_ended = True
            self.receiver.rouse_reader()

    def _stall(self, now_s: float) -> None:
        medium = self.path.medium
        medium.counters.stalls += 1
        self._stalled_until_s = now_s + medium.seconds(medium.faults.stall_ms)
        medium.trace(f"{self.name} stalls until {self._stalled_until_s:.6f}")


class Path:
    """What is between two ends: both directions, and what becomes of them.

    ``forget`` is called once neither end can be used any more.
    """

    def __init__(
        self,
        medium: Medium,
        number: int,
        *,
        client_address: str,
        server_address: str,
        forget: Callable[[Path], None],
    ) -> None:
        self.medium = medium
        self.number = number
        self._forget = forget
        limits = medium.faults.cut_after_bytes
        self._cut_left_bytes = None if limits is None else medium.randomness.randint(*limits)
        self.client = SimLink(self, server_address)
        self.server = SimLink(self, client_address)
        self._there = Direction(self, self.client, self.server, f"{number}>")
        self._back = Direction(self, self.server, self.client, f"{number}<")
        self.client.join(outgoing=self._there, incoming=self._back)
        self.server.join(outgoing=self._back, incoming=self._there)

    @property
    def held_bytes(self) -> int:
        """How many bytes are on their way or unread, in both directions."""
        return self._there.held_bytes + self._back.held_bytes

    def arrive(self, direction: Direction, chunk: bytes) -> None:
        """Hand a chunk to its receiver; cut the path where it is to be cut."""
        is_last = False
        if self._cut_left_bytes is not None:
            is_last = len(chunk) >= self._cut_left_bytes
            chunk = chunk[: self._cut_left_bytes]
            self._cut_left_bytes -= len(chunk)
        medium, receiver = self.medium, direction.receiver
        medium.counters.bytes += len(chunk)
        medium.counters.chunks += 1
        medium.trace(f"{direction.name} {len(chunk)} {crc32(chunk):08x}")
        if receiver.is_closed:
            self._reset_from(receiver)
        elif not receiver.broken:
            direction.arrived += chunk
            receiver.rouse_reader()
        if is_last:
            self._cut(direction)

    def close(self, link: SimLink, *, has_unread: bool) -> None:
        """Tell the other end that this one is closed, as far as anything still gets there."""
        if has_unread:
            if self.medium.chance(self.medium.faults.loss_chance):
                link.outgoing.lose_last()
            self._reset_from(link)
        elif not link.outgoing.is_ended:
            link.outgoing.end(Mark.END)

    def crash(self) -> None:
        """Take the server's end away, as when its machine loses power."""
        self._there.is_dead = self._back.is_dead = True
        self._there.lose_all()
        self._back.lose_last()
        self.server.vanish("the server has crashed")
        self._inform(self.client, "the server is gone")

    def heal(self) -> None:
        """Do nothing wrong from now on. An end that is dead learns of it soon."""
        self._cut_left_bytes = None
        for link, incoming in ((self.client, self._back), (self.server, self._there)):
            link.rouse_writer()
            if incoming.is_dead:
                self._inform(link, "the connection was cut")

    def check_over(self) -> None:
        """Forget the path once both ends are done with it."""
        if self.client.broken and self.server.broken:
            self._forget(self)

    def _reset_from(self, closed: SimLink) -> None:
        """Answer bytes that nobody will read any more."""
        if not closed.incoming.is_dead:
            self.medium.counters.resets += 1
            closed.incoming.is_dead = True
            closed.incoming.lose_all()
            closed.outgoing.end(Mark.RESET)

    def _cut(self, direction: Direction) -> None:
        """Break the path behind the last byte of a direction, at both ends in time."""
        self.medium.counters.cuts += 1
        self.medium.trace(f"{direction.name} cut")
        self._cut_left_bytes = None
        self._there.is_dead = self._back.is_dead = True
        direction.lose_all()
        (self._back if direction is self._there else self._there).lose_last()
        for link in (self.client, self.server):
            self._inform(link, "the connection was cut")

    def _inform(self, link: SimLink, reason: str) -> None:
        """Let an end learn that the path is broken: after the way there, or much later."""
        medium = self.medium
        is_late = medium.chance(medium.faults.half_open_chance)
        delay_s = medium.seconds(medium.faults.half_open_ms) if is_late else medium.latency_s()
        medium.after(delay_s, partial(link.learn, reason))


class SimLink:
    """One end of a path. See ``groupd.server.link.Link``, which it is one of."""

    __slots__ = (
        "_is_sending", "_path", "_readers", "_ready", "_writers",
        "broken", "incoming", "is_closed", "outgoing", "peer",
    )  # fmt: skip
    incoming: Direction
    outgoing: Direction
    has_half = False

    def __init__(self, path: Path, peer: str) -> None:
        self.peer = peer
        self.broken = ""
        """Why this end cannot be used any more, once it knows."""
        self.is_closed = False
        self._path = path
        self._ready: Callable[[], None] | None = None
        self._readers = trio.lowlevel.ParkingLot()
        self._writers = trio.lowlevel.ParkingLot()
        self._is_sending = False

    @property
    def unread_bytes(self) -> int:
        """How many bytes have arrived here and are not read."""
        return len(self.incoming.arrived)

    # --- what ``Link`` promises

    def try_send(self, data: bytes | memoryview) -> int:
        """Send what there is room for. See ``Link``."""
        if self.broken or self.outgoing.is_ended:
            raise LinkBroken(self.broken or "sending after the end")
        return self.outgoing.take(data)

    @property
    def send(self) -> Callable[[bytes], int]:
        """Give what sends and fails as a socket's own ``send`` does. See ``Link``."""
        return self._send

    def _send(self, data: bytes) -> int:
        if self.broken or self.outgoing.is_ended:
            raise BrokenPipeError(self.broken or "sending after the end")
        taken = self.outgoing.take(data)
        if data and not taken:
            raise BlockingIOError("there is no room")
        return taken

    async def send_all(self, data: bytes) -> None:
        """Send everything. See ``Link``."""
        if self._is_sending:
            raise trio.BusyResourceError("another task is sending")
        self._is_sending = True
        try:
            await trio.lowlevel.checkpoint()
            rest = memoryview(data)
            while rest := rest[self.try_send(rest) :]:
                await self._writers.park()
        finally:
            self._is_sending = False

    async def receive_some(self, max_bytes: int) -> bytes:
        """Wait for bytes and give them. See ``Link``."""
        await trio.lowlevel.checkpoint()
        while (data := self.try_receive(max_bytes)) is None:
            await self._readers.park()
        return data

    def try_receive(self, max_bytes: int) -> bytes | None:
        """Give bytes that are there. See ``Link``."""
        assert max_bytes > 0
        arrived = self.incoming.arrived
        if arrived:
            data = bytes(arrived[:max_bytes])
            del arrived[:max_bytes]
            self.incoming.sender.rouse_writer()
            return data
        if self.broken:
            raise LinkBroken(self.broken)
        return b"" if self.incoming.has_ended else None

    def watch(self, ready: Callable[[], None]) -> None:
        """Call ``ready`` while there is something to read. See ``Link``."""
        if not self.is_closed:
            self._ready = ready
            self._path.medium.note_due(self)

    def unwatch(self) -> None:
        """Call nothing more. See ``Link``."""
        self._ready = None

    def send_eof(self, code: str = "") -> None:
        """Tell the other end that no more will come. See ``Link``."""
        if not (self.broken or self.outgoing.is_ended):
            self.outgoing.end(Mark.END)

    async def aclose(self) -> None:
        """Close this end. See ``Link``."""
        self.close()
        await trio.lowlevel.checkpoint()

    # --- for the network

    def join(self, *, outgoing: Direction, incoming: Direction) -> None:
        """Become the end of two directions."""
        self.outgoing, self.incoming = outgoing, incoming

    def close(self) -> None:
        """Close this end at once. What was sent is still on its way."""
        if self.is_closed:
            return
        was_broken, has_unread = bool(self.broken), bool(self.incoming.arrived)
        self.vanish("this link is closed")
        if not was_broken:
            self._path.close(self, has_unread=has_unread)

    def vanish(self, reason: str) -> None:
        """Be of no use from now on, and hear nothing more."""
        self.is_closed, self.broken = True, reason
        self._ready = None
        self.incoming.arrived.clear()
        self.rouse_reader()
        self.rouse_writer()
        self._path.check_over()

    def learn(self, reason: str) -> None:
        """Notice that the path is broken."""
        if self.broken:
            return
        self.broken = reason
        medium = self._path.medium
        medium.trace(f"{self.outgoing.name} broken: {reason}")
        if self.incoming.arrived and medium.chance(medium.faults.loss_chance):
            self.incoming.arrived.clear()
        self.rouse_reader()
        self.rouse_writer()
        self._path.check_over()

    @property
    def is_due(self) -> bool:
        """Whether it is watched and can be read."""
        return self._ready is not None and bool(
            self.incoming.arrived or self.incoming.has_ended or self.broken
        )

    def call(self) -> None:
        """Call whoever watches."""
        assert self._ready is not None
        self._ready()

    def rouse_reader(self) -> None:
        """Wake who waits for something to read."""
        self._readers.unpark_all()
        self._path.medium.note_due(self)

    def rouse_writer(self) -> None:
        """Wake who waits for room."""
        self._writers.unpark_all()
