"""The receiving end of one session: answers and pushes, in order, in bounded memory.

Theory of operation: as long as nothing waits, a push is one call of the link's ``try_send`` with
bytes that all members share. What the kernel does not take is kept here, and the session's writer
sends it. Over the bound, the session gets no more of that stream; when all else has left, one
``lagged`` says how far the stream is by then, and pushes go on after it. Answers are never dropped:
a session that owes too much is not read from instead (``congested``).

Nothing here awaits, and nothing raises: publishing must not depend on a reader.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection
from typing import Any, Final

import attrs
import trio

from groupd import native
from groupd.domain.base import GROUP, StreamKey
from groupd.wire import rpc

BROKEN: Final = (OSError, trio.BrokenResourceError, trio.ClosedResourceError)
"""What ``try_send`` raises when the other side is gone."""
PIECE_BYTES: Final = 65_536
"""What ``take`` joins at most: one comfortable send."""
FAREWELLS_MAX: Final = 256
"""Streams that may be owed a farewell or a ``lagged`` when one more farewell is noted."""


@attrs.define(eq=False)
class Backlogs:
    """What waits for all sessions of a process together."""

    max_bytes: int
    """Over it no session's backlog grows but by answers, and nobody is served more of those."""
    bytes: int = 0

    @property
    def are_full(self) -> bool:
        """Say whether no more is to be kept."""
        return self.bytes > self.max_bytes


class Peer:
    """One session's way out.

    ``try_send`` takes what it can without waiting and says how much; for none it may raise
    ``BlockingIOError``, as a socket's own ``send`` does. ``wake`` is called when
    something begins to wait; ``head_of`` gives how far a stream is published. ``broken`` is called
    once, when ``try_send`` raises one of ``BROKEN``.
    """

    __slots__ = (
        "_all",
        "_backlog",
        "_broken",
        "_busy",
        "_front",
        "_head_of",
        "_held",
        "_lagging",
        "_max_bytes",
        "_try_send",
        "_wake",
        "_writing",
        "closed",
        "streams",
        "waiting_bytes",
    )

    def __init__(
        self,
        *,
        try_send: Callable[[bytes], int],
        wake: Callable[[], None],
        broken: Callable[[], None],
        head_of: Callable[[StreamKey], int],
        max_bytes: int,
        backlogs: Backlogs | None = None,
    ) -> None:
        """``backlogs`` is shared with the other sessions; without it, this one is alone."""
        self._all = Backlogs(max_bytes) if backlogs is None else backlogs
        self._try_send = try_send
        self._wake = wake
        self._broken = broken
        self._head_of = head_of
        self._max_bytes = max_bytes
        self._backlog: deque[bytes] = deque()
        self._front: list[bytes] = []
        self._lagging: dict[StreamKey, bytes] = {}
        # What is said in place of what is dropped; b"" for ``lagged`` with the head as of then.
        # What has come since ``hold``, while that lasts. The backlog may leave meanwhile.
        self._held: list[bytes] | None = None
        # From the first byte that waits until ``take`` finds nothing more: a writer may be in the
        # middle of a send although the backlog is empty.
        self._writing = False
        self._busy = False
        self.closed = False
        self.waiting_bytes = 0
        self.streams: set[StreamKey] = set()
        """What it is subscribed to; kept by the outlets."""

    # --- pushes

    def push(self, stream: StreamKey, chunk: bytes) -> None:
        """Send the frames of a batch, or keep them, or note that the session lags."""
        if self._busy:
            self._push_busy(stream, chunk)
            return
        self._push_elsewhere(chunk)

    def _push_elsewhere(self, chunk: bytes) -> None:
        try:
            taken = self._try_send(chunk)
        except BlockingIOError:
            taken = 0
        except BROKEN:
            self._give_up()
            return
        if taken != len(chunk):
            self._keep(chunk[taken:] if taken else chunk)

    def _push_busy(self, stream: StreamKey, chunk: bytes) -> None:
        if self.closed:
            return
        if stream in self._lagging:
            self._lagging[stream] = b""
        elif self._front and not self._writing and self._held is None:
            # The answers ride in front of the chunk, in the same send.
            self._front.append(chunk)
            self.flush()
        elif self.waiting_bytes + len(chunk) > self._max_bytes or self._all.are_full:
            self._lagging[stream] = b""
        else:
            self._keep(chunk)

    def forget(self, stream: StreamKey) -> None:
        """Owe nothing more for a stream that the session does not read any longer."""
        self._lagging.pop(stream, None)

    def lags(self, stream: StreamKey) -> bool:
        """Say whether the session has missed something of a stream and was not told yet."""
        return stream in self._lagging

    @property
    def is_lagging(self) -> bool:
        """Say whether the session has missed something and was not told yet."""
        return bool(self._lagging)

    def forget_with(self, stream: StreamKey, farewell: bytes) -> None:
        """Owe only ``farewell`` for a stream that the session has missed the end of."""
        if not self.closed and len(self._lagging) < FAREWELLS_MAX:
            self._lagging[stream] = farewell

    # --- answers

    def answer(self, data: bytes) -> None:
        """Queue an answer. It leaves with the next push or at ``flush``, never before others."""
        if self.closed:
            return
        if self._writing or self._held is not None:
            self._keep(data)
        else:
            self._front.append(data)
            self._busy = True

    def flush(self) -> None:
        """Send what ``answer`` has queued."""
        if not self._front:
            return
        data = b"".join(self._front)
        self._front.clear()
        try:
            taken = self._try_send(data)
        except BlockingIOError:
            taken = 0
        except BROKEN:
            self._give_up()
            return
        if taken != len(data):
            self._keep(data[taken:])
        self._settle()

    # --- holding: pushes wait behind an answer that takes time to make

    def hold(self) -> None:
        """Keep back all that comes from now on. Held already: what came before now may leave."""
        self.flush()
        if self.closed:
            return
        if self._held:
            self._backlog.extend(self._held)
            self._start_writing()
        self._held, self._busy = [], True

    def release(self, first: bytes) -> None:
        """Send ``first`` and then what was kept back."""
        held, self._held = self._held or (), None
        if self.closed:
            return
        if first:
            self._backlog.append(first)
            self._count(len(first))
        self._backlog.extend(held)
        if self._backlog or self._lagging:
            self._start_writing()
        else:
            self._settle()

    # --- the writer's side

    def take(self) -> bytes:
        """Give the next bytes to send; b"" when all is sent and pushes go direct again.

        The caller sends all of them before it calls again. When the backlog has drained, this
        is where ``lagged`` is said.
        """
        if not self._backlog and self._lagging and self._held is None:
            for stream, farewell in self._lagging.items():
                self._backlog.append(farewell or lagged_frame(stream, self._head_of(stream)))
            self._count(sum(map(len, self._backlog)) - self.waiting_bytes)
            self._lagging.clear()
        pieces, size = [], 0
        while self._backlog and size < PIECE_BYTES:
            pieces.append(self._backlog.popleft())
            size += len(pieces[-1])
        self._count(-size)
        if not pieces:
            self._writing = False
            self._settle()
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def close(self) -> None:
        """Drop everything; later pushes and answers go nowhere, and nobody is called any more."""
        self.closed = self._busy = True
        # They lead to the session, which leads here: no cycle is to be left (``garbage.py``).
        self._wake = self._broken = _call_nobody
        self._try_send = _take_all
        self._held = None
        self._backlog.clear()
        self._front.clear()
        self._lagging.clear()
        self._count(-self.waiting_bytes)

    def _count(self, bytes_: int) -> None:
        self.waiting_bytes += bytes_
        self._all.bytes += bytes_

    def _keep(self, data: bytes) -> None:
        self._count(len(data))
        self._busy = True
        if self._held is not None:
            self._held.append(data)
            return
        self._backlog.append(data)
        self._start_writing()

    def _start_writing(self) -> None:
        if not self._writing:
            self._writing = self._busy = True
            self._wake()

    def _settle(self) -> None:
        self._busy = (
            self.closed
            or self._held is not None
            or self._writing
            or bool(self._front or self._backlog or self._lagging)
        )

    def _give_up(self) -> None:
        if not self.closed:
            broken = self._broken
            self.close()
            broken()


def _call_nobody() -> None:
    """Be a callback of a peer that is closed."""


def _take_all(data: bytes) -> int:
    """Be the link of a peer that is closed."""
    return len(data)


def _push_all_in_python(peers: Collection[Peer], stream: StreamKey, chunk: bytes) -> None:
    """Give the same frames to many: ``Peer.push`` for each of them.

    The one loop that runs for each delivery. What a call of Python's costs for each of 200 members
    is a tenth of an isolated post, so there is none in it but the kernel's ``send``.
    """
    size = len(chunk)
    for peer in peers:
        if peer._busy:
            peer._push_busy(stream, chunk)
            continue
        try:
            taken = peer._try_send(chunk)
        except BlockingIOError:
            taken = 0
        except BROKEN:
            peer._give_up()
            continue
        if taken != size:
            peer._keep(chunk[taken:] if taken else chunk)


push_all: Final[Callable[[Collection[Peer], StreamKey, bytes], None]] = (
    _push_all_in_python if native.fanout is None else native.fanout.push_all
)


def lagged_frame(stream: StreamKey, head: int) -> bytes:
    """Encode ``lagged``; the account's own log has the group ``""``."""
    group = stream.key if stream.kind == GROUP else ""
    return rpc.encode_notification("lagged", {"group": group, "head": head})


def signal_frame(**fields: Any) -> bytes:
    """Encode a ``signal``."""
    return rpc.encode_notification("signal", fields)


def goodbye_frame(code: str, message: str, retry_after_ms: int | None = None) -> bytes:
    """Encode a ``goodbye``."""
    params: dict[str, Any] = {"code": code, "message": message}
    if retry_after_ms is not None:
        params["retry_after_ms"] = retry_after_ms
    return rpc.encode_notification("goodbye", params)
