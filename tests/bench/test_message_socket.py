"""What the load reads of WebSocket is what the messages hold, however the stream is cut."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.members import Failed
from bench.websocket import HEAD_MAX_BYTES, MessageSocket

BUFFER_BYTES = 100_000
PING = b"\x89\x00"
CLOSE = b"\x88\x02\x03\xe8"


def frame(held: bytes, *, first: int = 0x82) -> bytes:
    """Frame as a server does: unmasked, with the shortest length."""
    size = len(held)
    if size < 126:
        return bytes((first, size)) + held
    if size < 65_536:
        return bytes((first, 126)) + size.to_bytes(2, "big") + held
    return bytes((first, 127)) + size.to_bytes(8, "big") + held


class Wire:
    """A socket that gives the bytes it was told to, in pieces of the sizes it was told to."""

    def __init__(self, sizes: Iterator[int]) -> None:
        self.stream = b"HTTP/1.1 101 Switching Protocols\r\n\r\n"
        self.sent: list[bytes] = []
        self._sizes = sizes

    def sendall(self, data: bytes) -> None:
        self.sent.append(data)

    def recv(self, size: int) -> bytes:
        piece, self.stream = self.stream[:size], self.stream[size:]
        return piece

    def recv_into(self, room: memoryview, nbytes: int, flags: int) -> int:
        return self.recvmsg_into((room,), nbytes, flags)[0]

    def recvmsg_into(
        self, rooms: tuple[bytearray | memoryview, ...], _ancillary: int, _flags: int
    ) -> tuple[int]:
        taken, most = 0, next(self._sizes)
        for room in rooms:
            piece = self.recv(min(len(room), most - taken))
            room[: len(piece)] = piece
            taken += len(piece)
        return (taken,)


def read_all(sock: MessageSocket) -> bytes:
    """Read until nothing is left."""
    buffer, read = bytearray(BUFFER_BYTES), b""
    while size := sock.recv_into(buffer):
        read += buffer[:size]
    return read


SIZES = st.sampled_from((0, 1, 2, 3, 125, 126, 127, 300, 2_400, 65_535, 65_536, 70_000))


@given(
    held=st.lists(SIZES.map(lambda size: bytes(index % 251 for index in range(size))), max_size=6),
    pings=st.sets(st.integers(0, 6)),
    cuts=st.lists(st.integers(1, 3_000), max_size=40),
)
def test_what_is_read_is_what_the_messages_hold(
    held: list[bytes], pings: set[int], cuts: list[int]
) -> None:
    def sizes() -> Iterator[int]:
        yield from cuts
        while True:
            yield BUFFER_BYTES + HEAD_MAX_BYTES

    wire = Wire(sizes())
    sock = MessageSocket(wire)  # type: ignore[arg-type]
    pings = {place for place in pings if place < len(held)}
    wire.sent.clear()
    wire.stream = b"".join(
        PING * (place in pings) + frame(message) for place, message in enumerate(held)
    )
    assert read_all(sock) == b"".join(held)
    assert wire.sent == [b"\x8a\x80\x00\x00\x00\x00"] * len(pings)


def test_a_message_of_the_usual_size_is_read_by_one_call() -> None:
    wire = Wire(iter((BUFFER_BYTES,)))
    sock = MessageSocket(wire)  # type: ignore[arg-type]
    wire.stream, buffer = frame(b"post" * 100), bytearray(BUFFER_BYTES)
    assert bytes(buffer[: sock.recv_into(buffer)]) == b"post" * 100


def test_a_close_is_a_failure() -> None:
    wire = Wire(iter((BUFFER_BYTES,)))
    sock = MessageSocket(wire)  # type: ignore[arg-type]
    wire.stream = CLOSE
    with pytest.raises(Failed):
        sock.recv_into(bytearray(BUFFER_BYTES))


def test_a_real_socket_reads_the_same() -> None:
    here, there = socket.socketpair()
    with here, there:
        there.sendall(b"HTTP/1.1 101 Switching Protocols\r\n\r\n")
        sock = MessageSocket(here)
        there.sendall(frame(b"a" * 500) + frame(b"b") + PING + frame(b"c" * 70_000))
        there.shutdown(socket.SHUT_WR)
        assert read_all(sock) == b"a" * 500 + b"b" + b"c" * 70_000
