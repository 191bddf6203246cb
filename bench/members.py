"""Connections of the load to groupd, and how they check what they read.

Pure but for reading and posting: ``Failed`` is raised where what was read is not what the rest of
the group has read.
"""

from __future__ import annotations

import socket
import time
from abc import ABC, abstractmethod
from array import array
from collections.abc import Iterator
from contextlib import suppress
from typing import Final, Protocol

import msgpack

from bench import dialect
from bench.text import read_text

CANON_KEPT_BYTES: Final = 8_388_608
"""Above this, what all members have read is dropped."""
READ_BYTES: Final = 262_144
"""The size of the buffer that all readers share."""
FULL_BYTES: Final = READ_BYTES // 2
"""From here on there may be more than it took: what framed the messages is not in it any more."""
SHOWN_BYTES: Final = 120


class Socket(Protocol):
    """What readers and posters need of a connection: a socket, or ``websocket.MessageSocket``."""

    def fileno(self) -> int:
        """Give the descriptor."""

    def close(self) -> None:
        """Close it."""

    def sendall(self, data: bytes, /) -> None:
        """Send all of it."""

    def recv_into(self, buffer: bytearray, nbytes: int = 0, flags: int = 0, /) -> int:
        """Receive into the beginning of a buffer; 0 at the end."""


class Failed(Exception):
    """The server did not do what it must."""


class Canon:
    """What every member of one group reads."""

    def __init__(self) -> None:
        self.kept = bytearray()
        """What is known, from ``start`` on."""
        self.start = 0

    @property
    def end(self) -> int:
        """Give how much anybody has read."""
        return self.start + len(self.kept)

    def match(self, offset: int, piece: memoryview) -> bool:
        """Say whether what was read at ``offset`` is what others read there, if they have yet."""
        at = offset - self.start
        known = len(self.kept) - at
        if not self.kept.startswith(piece[:known], at):
            return False
        self.kept += piece[known:]
        return True

    @property
    def overfull(self) -> bool:
        """Say whether it is time to ``forget``."""
        return len(self.kept) > CANON_KEPT_BYTES

    def forget(self, offset: int) -> None:
        """Drop what stands before an offset that everybody has reached."""
        del self.kept[: offset - self.start]
        self.start = offset


class Reader(ABC):
    """A connection that the load reads. ``buffer`` is shared: one read at a time."""

    def __init__(self, user: str, sock: Socket, buffer: bytearray) -> None:
        self.user = user
        self.sock = sock
        self.progress = 0
        """How much has been delivered to it, in a unit of the group's own."""
        self._buffer = buffer
        self._view = memoryview(buffer)
        self._recv_into = sock.recv_into

    def read(self) -> None:
        """Take what the socket has; raises Failed where that is wrong, or the end."""
        size = self._recv_into(self._buffer)
        if not size:
            raise Failed(f"{self.user} was disconnected")
        self.take(self._view[:size])
        if size >= FULL_BYTES:
            self.read_rest()

    def read_rest(self) -> None:
        """Take what did not fit the buffer: nobody says a second time that there is more."""
        with suppress(BlockingIOError):
            while size := self._recv_into(self._buffer, 0, socket.MSG_DONTWAIT):
                self.take(self._view[:size])

    def spill(self) -> None:
        """Drop what the socket has."""
        if not self._recv_into(self._buffer):
            raise Failed(f"{self.user} was disconnected")

    @abstractmethod
    def take(self, piece: memoryview) -> None:
        """Take what was read."""


class Comparing(Reader):
    """One that compares what it reads with its group's canon. Its progress is in bytes of that."""

    def __init__(self, user: str, sock: Socket, buffer: bytearray, canon: Canon) -> None:
        super().__init__(user, sock, buffer)
        self.canon = canon

    def take(self, piece: memoryview) -> None:
        """Check what was read."""
        if not self.canon.match(self.progress, piece):
            shown = bytes(piece[:SHOWN_BYTES])
            raise Failed(f"{self.user} read other than the rest of its group: {shown!r}")
        self.progress += len(piece)


class Member(Comparing):
    """A member that does nothing else. Most are, so this is nearly all that the load does."""

    def read(self) -> None:
        """Do what every reader does, in one step where all of it is known."""
        size = self._recv_into(self._buffer)
        canon = self.canon
        if size and canon.kept.startswith(self._view[:size], self.progress - canon.start):
            self.progress += size
        elif size:
            self.take(self._view[:size])
        else:
            raise Failed(f"{self.user} was disconnected")
        if size >= FULL_BYTES:
            self.read_rest()


class Witness(Comparing):
    """A silent member that decodes what it reads."""

    def __init__(self, user: str, sock: Socket, buffer: bytearray, canon: Canon) -> None:
        super().__init__(user, sock, buffer, canon)
        self.seqs: dict[int, int] = {}
        """Number of a post -> its seq."""
        self.took_ns = array("q")
        self._unpacker = msgpack.Unpacker()
        self._last_seq = 0

    def take(self, piece: memoryview) -> None:
        """Check what was read, in bytes and in sense."""
        now_ns = time.monotonic_ns()
        super().take(piece)
        self._unpacker.feed(piece)
        for message in self._unpacker:
            try:
                seq, text = dialect.read_event(message)
            except ValueError as error:
                raise Failed(f"{self.user}: {error}") from error
            if self._last_seq and seq != self._last_seq + 1:
                raise Failed(f"{self.user} read seq {seq} after {self._last_seq}")
            self._last_seq = seq
            number, sent_ns = read_text(text)
            if number in self.seqs:
                raise Failed(f"{self.user} read post {number} twice")
            self.seqs[number] = seq
            self.took_ns.append(now_ns - sent_ns)


class Posting(Reader):
    """What all posters share: posts under way, and the times that they took."""

    def __init__(self, user: str, sock: Socket, buffer: bytearray, numbers: Iterator[int]) -> None:
        super().__init__(user, sock, buffer)
        self.refill = False
        """Whether an acknowledgement is followed by the next post."""
        self.posted = 0
        self.took_ns = array("q")
        """One for each acknowledgement."""
        self._numbers = numbers

    @property
    def unanswered(self) -> int:
        """Count the posts under way."""
        return self.posted - len(self.took_ns)

    def post(self, count: int = 1) -> None:
        """Send posts, in one piece."""
        now_ms = time.time_ns() // 1_000_000
        posts = [
            self.make(next(self._numbers), time.monotonic_ns(), now_ms=now_ms) for _ in range(count)
        ]
        self.posted += count
        self.sock.sendall(b"".join(posts))

    @abstractmethod
    def make(self, number: int, now_ns: int, *, now_ms: int) -> bytes:
        """Encode a post, and remember that it is under way."""


class Poster(Posting):
    """A member that posts."""

    def __init__(
        self,
        user: str,
        sock: Socket,
        buffer: bytearray,
        canon: Canon,
        *,
        mould: dialect.PostMould,
        numbers: Iterator[int],
    ) -> None:
        super().__init__(user, sock, buffer, numbers)
        self.seqs: dict[int, int] = {}
        self._listener = Comparing(user, sock, buffer, canon)
        self._mould = mould
        self._sent_ns: dict[int, int] = {}
        self._scanner = msgpack.Unpacker()
        self._scanned = 0
        """Where in the scanner's stream ``_held`` begins."""
        self._held = b""

    def make(self, number: int, now_ns: int, *, now_ms: int) -> bytes:
        """Encode a post; its answer will name its number."""
        self._sent_ns[number] = now_ns
        return self._mould.make(number, now_ns, now_ms=now_ms)

    def take(self, piece: memoryview) -> None:
        """Part answers from pushes, check both, and post on."""
        now_ns = time.monotonic_ns()
        scanner, held = self._scanner, self._held + piece
        scanner.feed(piece)
        view = memoryview(held)
        start = pushes = answers = 0
        while start < len(held):
            try:
                scanner.skip()
            except msgpack.OutOfData:
                break
            end = scanner.tell() - self._scanned
            if held[start] == dialect.RESPONSE_HEAD:
                self._listener.take(view[pushes:start])
                self._note(held[start:end], now_ns)
                answers += 1
                pushes = end
            start = end
        self._listener.take(view[pushes:start])
        self.progress = self._listener.progress
        self._held = held[start:]
        self._scanned += start
        if answers and self.refill:
            self.post(answers)

    def _note(self, frame: bytes, now_ns: int) -> None:
        try:
            number, result = dialect.read_answer(frame)
        except ValueError as error:
            raise Failed(f"{self.user}: {error}") from error
        sent_ns = self._sent_ns.pop(number, None)
        if sent_ns is None:
            raise Failed(f"{self.user} got an answer twice, or to nothing: {number}")
        self.seqs[number] = result["seq"]
        self.took_ns.append(now_ns - sent_ns)
