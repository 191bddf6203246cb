"""Connections of the load to the peers: deliveries are counted by a byte, or compared.

What a peer loses is a figure, not a failure: some of them promise no more.
"""

from __future__ import annotations

import socket
import time
from array import array
from collections import deque
from collections.abc import Callable, Iterator

from bench.members import FULL_BYTES, Failed, Posting, Reader
from bench.text import Scanner, text_of


class Counter(Reader):
    """A silent member. Its progress is in deliveries."""

    def __init__(self, user: str, sock: socket.socket, buffer: bytearray, marker: bytes) -> None:
        super().__init__(user, sock, buffer)
        self._marker = marker

    def read(self) -> None:
        """Count what the socket has."""
        size = self._recv_into(self._buffer)
        if not size:
            raise Failed(f"{self.user} was disconnected")
        self.progress += self._buffer.count(self._marker, 0, size)
        if size >= FULL_BYTES:
            self.read_rest()

    def take(self, piece: memoryview) -> None:
        """Count what was read."""
        self.progress += bytes(piece).count(self._marker)


class Watcher(Reader):
    """A silent member that looks for the texts in what it reads, beside what ``inner`` does."""

    def __init__(self, inner: Reader, buffer: bytearray) -> None:
        super().__init__(inner.user, inner.sock, buffer)
        self.numbers: set[int] = set()
        self.took_ns = array("q")
        self._inner = inner
        self._scanner = Scanner()

    def take(self, piece: memoryview) -> None:
        """Check what was read, and note when each post arrived."""
        now_ns = time.monotonic_ns()
        self._inner.take(piece)
        self.progress = self._inner.progress
        for number, sent_ns in self._scanner.feed(piece):
            if number in self.numbers:
                raise Failed(f"{self.user} read post {number} twice")
            self.numbers.add(number)
            self.took_ns.append(now_ns - sent_ns)


class EchoedPoster(Posting):
    """A poster whose own post, coming back, is its acknowledgement."""

    def __init__(
        self,
        inner: Reader,
        buffer: bytearray,
        *,
        place: int,
        mould: Callable[[bytes], bytes],
        numbers: Iterator[int],
    ) -> None:
        super().__init__(inner.user, inner.sock, buffer, numbers)
        self._inner = inner
        self._place = place
        self._mould = mould
        self._scanner = Scanner(place)

    def make(self, number: int, now_ns: int, *, now_ms: int) -> bytes:
        """Encode a post; its text says whose it is."""
        return self._mould(text_of(number, now_ns, self._place))

    def take(self, piece: memoryview) -> None:
        """Find what comes back, and post on."""
        now_ns = time.monotonic_ns()
        self._inner.take(piece)
        self.progress = self._inner.progress
        came = self._scanner.feed(piece)
        self.took_ns.extend(now_ns - sent_ns for _number, sent_ns in came)
        if came and self.refill:
            self.post(len(came))


class AnsweredPoster(Posting):
    """A poster that is answered, in the order of its posts.

    Without ``inner`` nothing is delivered to its connection.
    """

    def __init__(
        self,
        user: str,
        sock: socket.socket,
        buffer: bytearray,
        *,
        inner: Reader | None,
        answer_marker: bytes,
        place: int,
        mould: Callable[[bytes], bytes],
        numbers: Iterator[int],
    ) -> None:
        super().__init__(user, sock, buffer, numbers)
        self._inner = inner
        self._answer_marker = answer_marker
        self._place = place
        self._mould = mould
        self._sent_ns: deque[int] = deque()

    def make(self, number: int, now_ns: int, *, now_ms: int) -> bytes:
        """Encode a post; its answer will come after those of the posts before it."""
        self._sent_ns.append(now_ns)
        return self._mould(text_of(number, now_ns, self._place))

    def take(self, piece: memoryview) -> None:
        """Count answers, and post on."""
        now_ns = time.monotonic_ns()
        if self._inner is not None:
            self._inner.take(piece)
            self.progress = self._inner.progress
        answers = bytes(piece).count(self._answer_marker)
        if answers > len(self._sent_ns):
            raise Failed(f"{self.user} got an answer to nothing")
        for _ in range(answers):
            self.took_ns.append(now_ns - self._sent_ns.popleft())
        if answers and self.refill:
            self.post(answers)
