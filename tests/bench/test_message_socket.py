"""What the load reads of WebSocket is what the messages hold, however the stream is cut."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import suppress
from itertools import chain, repeat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.members import Canon, Failed
from bench.websocket import MessageSocket, member_on

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
        self.reads = 0
        self._sizes = sizes

    def sendall(self, data: bytes) -> None:
        self.sent.append(data)

    def recv(self, size: int) -> bytes:
        piece, self.stream = self.stream[:size], self.stream[size:]
        return piece

    def recv_into(self, room: bytearray, nbytes: int = 0, _flags: int = 0) -> int:
        self.reads += 1
        piece = self.recv(min(nbytes or len(room), next(self._sizes)))
        room[: len(piece)] = piece
        return len(piece)


def read_all(sock: MessageSocket) -> bytes:
    """Read until nothing is left."""
    buffer, read = bytearray(BUFFER_BYTES), b""
    while size := sock.recv_into(buffer):
        read += buffer[:size]
    return read


SIZES = st.sampled_from((0, 1, 2, 3, 125, 126, 127, 300, 2_400, 65_535, 65_536, 70_000))


MESSAGES = given(
    held=st.lists(SIZES.map(lambda size: bytes(index % 251 for index in range(size))), max_size=6),
    pings=st.sets(st.integers(0, 6)),
    cuts=st.lists(st.integers(1, 3_000), max_size=40),
)
"""What messages hold, before which of them there is a ping, and where reads end."""


def stream_of(held: list[bytes], pings: set[int]) -> bytes:
    return b"".join(PING * (place in pings) + frame(message) for place, message in enumerate(held))


@MESSAGES
def test_what_is_read_is_what_the_messages_hold(
    held: list[bytes], pings: set[int], cuts: list[int]
) -> None:
    wire = Wire(chain(cuts, repeat(BUFFER_BYTES)))
    sock = MessageSocket(wire)  # type: ignore[arg-type]
    pings = {place for place in pings if place < len(held)}
    wire.sent.clear()
    wire.stream = stream_of(held, pings)
    assert read_all(sock) == b"".join(held)
    assert wire.sent == [b"\x8a\x80\x00\x00\x00\x00"] * len(pings)


@MESSAGES
def test_a_member_reads_the_same_and_compares_it(
    held: list[bytes], pings: set[int], cuts: list[int]
) -> None:
    wire = Wire(chain(cuts, repeat(BUFFER_BYTES)))
    sock, canon = MessageSocket(wire), Canon()  # type: ignore[arg-type]
    member = member_on("ann", sock, bytearray(BUFFER_BYTES), canon)
    canon.kept += b"".join(held)[:10_000]
    wire.stream = stream_of(held, pings)
    with suppress(Failed):  # The end.
        while True:
            member.read()
    assert member.progress == len(b"".join(held))
    assert canon.kept == b"".join(held)


def test_a_member_notices_what_the_others_have_not_read() -> None:
    wire = Wire(repeat(BUFFER_BYTES))
    sock, canon = MessageSocket(wire), Canon()  # type: ignore[arg-type]
    member = member_on("ann", sock, bytearray(BUFFER_BYTES), canon)
    canon.kept += b"post" * 100
    wire.stream = frame(b"post" * 99 + b"pos!")
    with pytest.raises(Failed, match="other than the rest"):
        member.read()


def test_a_message_of_the_usual_size_is_read_by_one_call() -> None:
    wire = Wire(repeat(BUFFER_BYTES))
    sock, canon = MessageSocket(wire), Canon()  # type: ignore[arg-type]
    member = member_on("ann", sock, bytearray(BUFFER_BYTES), canon)
    canon.kept += b"post" * 100
    wire.stream = frame(b"post" * 100)
    member.read()
    assert (member.progress, wire.reads) == (400, 1)


def test_a_close_is_a_failure() -> None:
    wire = Wire(repeat(BUFFER_BYTES))
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
