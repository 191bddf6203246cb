"""The members of a group as the load generator plays them, and how they check what they read.

Pure but for the posters' sending: what was read comes in, and ``Failed`` is raised where it is not
what the rest of the group has read.
"""

from __future__ import annotations

import socket
import time
from array import array
from collections.abc import Iterator
from typing import Final

import msgpack

from bench import dialect

CANON_KEPT_BYTES: Final = 8_388_608
"""Above this, what all members have read is dropped."""
SHOWN_BYTES: Final = 120


class Failed(Exception):
    """The server did not do what it must."""


class Canon:
    """What every member of one group reads."""

    def __init__(self) -> None:
        self.end = 0
        self._kept = bytearray()

    def match(self, offset: int, piece: memoryview) -> bool:
        """Say whether what was read at ``offset`` is what others read there, if they have yet."""
        at = offset - (self.end - len(self._kept))
        known = len(self._kept) - at
        if len(piece) <= known:
            return self._kept.startswith(piece, at)
        if known and not self._kept.startswith(piece[:known], at):
            return False
        self._kept += piece[known:]
        self.end += len(piece) - known
        return True

    @property
    def overfull(self) -> bool:
        """Say whether it is time to ``forget``."""
        return len(self._kept) > CANON_KEPT_BYTES

    def forget(self, offset: int) -> None:
        """Drop what stands before an offset that everybody has reached."""
        del self._kept[: offset - (self.end - len(self._kept))]


class Member:
    """A connection that only reads, and compares."""

    def __init__(self, user: str, sock: socket.socket, canon: Canon) -> None:
        self.user = user
        self.sock = sock
        self.canon = canon
        self.offset = 0
        """How much of the canon it has read."""

    def take(self, piece: memoryview) -> None:
        """Check what was read."""
        if not self.canon.match(self.offset, piece):
            shown = bytes(piece[:SHOWN_BYTES])
            raise Failed(f"{self.user} read other than the rest of its group: {shown!r}")
        self.offset += len(piece)


class Witness(Member):
    """A silent member that decodes what it reads."""

    def __init__(self, user: str, sock: socket.socket, canon: Canon) -> None:
        super().__init__(user, sock, canon)
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
            number, sent_ns = dialect.read_text(text)
            if number in self.seqs:
                raise Failed(f"{self.user} read post {number} twice")
            self.seqs[number] = seq
            self.took_ns.append(now_ns - sent_ns)


class Poster(Member):
    """A member that posts."""

    def __init__(
        self,
        user: str,
        sock: socket.socket,
        canon: Canon,
        *,
        mould: dialect.PostMould,
        numbers: Iterator[int],
    ) -> None:
        super().__init__(user, sock, canon)
        self.refill = False
        """Whether an answer is followed by the next post."""
        self.seqs: dict[int, int] = {}
        self.took_ns = array("q")
        self._mould = mould
        self._numbers = numbers
        self._sent_ns: dict[int, int] = {}
        self._scanner = msgpack.Unpacker()
        self._scanned = 0
        """Where in the scanner's stream ``_held`` begins."""
        self._held = b""

    @property
    def unanswered(self) -> int:
        """Count the posts under way."""
        return len(self._sent_ns)

    def post(self, count: int = 1) -> None:
        """Send posts, in one piece."""
        posts = []
        now_ms = time.time_ns() // 1_000_000
        for _ in range(count):
            number, now_ns = next(self._numbers), time.monotonic_ns()
            self._sent_ns[number] = now_ns
            posts.append(self._mould.make(number, now_ns, now_ms=now_ms))
        self.sock.sendall(b"".join(posts))

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
                super().take(view[pushes:start])
                self._note(held[start:end], now_ns)
                answers += 1
                pushes = end
            start = end
        super().take(view[pushes:start])
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
