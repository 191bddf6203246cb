"""A connection of the load that speaks WebSocket: what the messages hold, as if it were a socket.

Nothing is checked that a browser would not check, and little that it would: whoever reads compares
the bytes with what others have read. What is sent is masked with zeros, as which it stays the same.
"""

from __future__ import annotations

import socket
from typing import Final

from bench.members import FULL_BYTES, Canon, Failed, Member, Socket

PART_MAX_BYTES: Final = 60_000
"""Of a message that is sent: a larger one goes in several frames, since the server bounds each."""
ANSWER_MAX_BYTES: Final = 8_192
"""Of the answer to the request that begins it."""
_REQUEST: Final = (
    b"GET /ws HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
_PONG: Final = b"\x8a\x80\x00\x00\x00\x00"
HEAD_MAX_BYTES: Final = 14
"""Of a frame: two, eight for the length, four for a mask."""
USUAL: Final = (0x82, 0x7E)
"""How a message of 126 bytes to 64 KiB begins; its length follows, in two bytes."""
USUAL_BYTES: Final = 4
"""Of the head of such a message."""
_CLOSE: Final = 8
_PING: Final = 9


class MessageSocket:
    """A socket whose bytes travel in messages of WebSocket. Owns the one below."""

    def __init__(self, sock: socket.socket) -> None:
        """Agree on it; raises Failed where the server does not."""
        self._below = sock
        self.recv_raw = sock.recv_into
        """Receives heads and all, for who calls ``unwrap``."""
        self._left = 0
        # The beginning of a frame whose length has not come whole.
        self._head = b""
        sock.sendall(_REQUEST)
        answer = b""
        # Nothing follows the answer before the first request.
        while not answer.endswith(b"\r\n\r\n") and len(answer) < ANSWER_MAX_BYTES:
            piece = sock.recv(ANSWER_MAX_BYTES)
            if not piece:
                break
            answer += piece
        if not answer.startswith(b"HTTP/1.1 101 "):
            raise Failed(f"the server does not speak WebSocket: {answer[:100]!r}")

    def fileno(self) -> int:
        """Give the descriptor."""
        return self._below.fileno()

    def close(self) -> None:
        """Close the socket below."""
        self._below.close()

    def sendall(self, data: bytes) -> None:
        """Send bytes as one message."""
        parts, first = [], 0x02
        for start in range(0, len(data), PART_MAX_BYTES):
            part = data[start : start + PART_MAX_BYTES]
            is_last = start + len(part) == len(data)
            size = len(part)
            length = bytes((0x80 | size,)) if size < 126 else b"\xfe" + size.to_bytes(2)
            parts += [bytes((first | 0x80 * is_last,)), length, bytes(4), part]
            first = 0x00
        self._below.sendall(b"".join(parts))

    def recv_into(self, buffer: bytearray, nbytes: int = 0, flags: int = 0) -> int:
        """Receive what is in messages into the beginning of a buffer; 0 at the end."""
        # A head that has come before is put in front of what is read.
        most = (nbytes or len(buffer)) - HEAD_MAX_BYTES
        while True:
            size = self._below.recv_into(buffer, most, flags)
            kept = self.unwrap(buffer, size)
            if kept or not size:
                return kept

    @property
    def is_between(self) -> bool:
        """Say whether what comes next begins with a frame."""
        return not (self._left or self._head)

    def unwrap(self, buffer: bytearray, size: int) -> int:
        """Leave only what frames hold of a read; give how much that is, which may be nothing."""
        at = kept = 0
        if self._head:
            # It has come in two reads: so seldom that it may be copied.
            joined = self._head + bytes(buffer[:size])
            self._head = b""
            size = len(joined)
            buffer[:size] = joined
        while at < size:
            if not self._left:
                head = self._length(buffer, at, size)
                if not head:
                    self._head = bytes(buffer[at:size])
                    break
                at += head
                continue
            piece = min(self._left, size - at)
            if at != kept:
                buffer[kept : kept + piece] = buffer[at : at + piece]
            kept, at = kept + piece, at + piece
            self._left -= piece
        return kept

    def _length(self, buffer: bytearray, at: int, size: int) -> int:
        """Read how long a frame is; give the bytes that say so, 0 where they are not all there."""
        if size - at < 2:
            return 0
        kind, short = buffer[at] & 0x0F, buffer[at + 1]
        if kind == _CLOSE:
            raise Failed("the server has closed the WebSocket")
        more = {126: 2, 127: 8}.get(short, 0)
        if size - at < 2 + more:
            return 0
        self._left = int.from_bytes(buffer[at + 2 : at + 2 + more]) if more else short
        if kind == _PING:
            # The server's are empty.
            self._below.sendall(_PONG)
        return 2 + more


class MessageMember(Member):
    """A member over WebSocket. Most of the load is this, so it must not cost more than over TCP.

    Nearly every read is one message of the usual size; it is compared where it lies.
    """

    def __init__(self, user: str, sock: MessageSocket, buffer: bytearray, canon: Canon) -> None:
        super().__init__(user, sock, buffer, canon)
        self._messages = sock
        self._recv_raw = sock.recv_raw

    def read(self) -> None:
        """Do what every reader does, in one step where all of it is known."""
        messages, canon, buffer = self._messages, self.canon, self._buffer
        if not messages.is_between:
            super().read()
            return
        size = self._recv_raw(buffer)
        held = size - USUAL_BYTES
        if (
            buffer[3] | buffer[2] << 8 == held
            and buffer[1] == USUAL[1]
            and buffer[0] == USUAL[0]
            and canon.kept.startswith(self._view[USUAL_BYTES:size], self.progress - canon.start)
        ):
            self.progress += held
        elif size:
            self.take(self._view[: messages.unwrap(buffer, size)])
        else:
            raise Failed(f"{self.user} was disconnected")
        if size >= FULL_BYTES:
            self.read_rest()


def member_on(user: str, sock: Socket, buffer: bytearray, canon: Canon) -> Member:
    """Make the member that a connection is for."""
    if isinstance(sock, MessageSocket):
        return MessageMember(user, sock, buffer, canon)
    return Member(user, sock, buffer, canon)
