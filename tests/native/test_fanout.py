"""The compiled loop gives each peer what Python gives it, and a closed socket nothing."""

from __future__ import annotations

import os
import signal
import socket
import weakref
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.protocol import OPEN
from websockets.server import ServerProtocol

from groupd import native
from groupd.domain.base import GROUP, StreamKey
from groupd.engine import peer as peers
from groupd.engine.peer import Peer
from groupd.server.link import SocketLink
from groupd.server.websocket import Framing, WebSocketLink

pytestmark = pytest.mark.skipif(not native.IS_COMPILED, reason="nothing is compiled here")

STREAM = StreamKey(GROUP, "", "G" * 16)


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    one, other = socket.socketpair()
    for end in (one, other):
        end.setblocking(False)
    with one, other:
        yield one, other


def peer_of(send: Any, heard: list[str] | None = None) -> Peer:
    said = [] if heard is None else heard
    return Peer(
        try_send=send,
        wake=lambda: said.append("wake"),
        broken=lambda: said.append("broken"),
        head_of=lambda stream: 7,
        max_bytes=100,
    )


def test_bytes_reach_the_other_end(pair: tuple[socket.socket, socket.socket]) -> None:
    assert native.fanout is not None
    sender = native.fanout.Sender(pair[0])
    assert sender(b"hello") == 5
    native.fanout.push_all({peer_of(sender): 0}, STREAM, b" you")
    assert pair[1].recv(100) == b"hello you"


def test_what_the_kernel_does_not_take_is_kept_for_that_peer(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    assert native.fanout is not None
    heard: list[str] = []
    sender = native.fanout.Sender(pair[0])
    with suppress(BlockingIOError):
        while True:
            sender(b"x" * 50_000)
    slow = peer_of(sender, heard)
    native.fanout.push_all([slow], STREAM, b"chunk")
    assert (slow.waiting_bytes, slow.take(), heard) == (5, b"chunk", ["wake"])


def test_a_part_that_the_kernel_took_is_not_sent_again(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    assert native.fanout is not None
    one, other = pair
    one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
    chunk = bytes(range(256)) * 4_000
    slow = peer_of(native.fanout.Sender(one))
    slow._max_bytes = len(chunk)
    native.fanout.push_all([slow], STREAM, chunk)
    assert 0 < slow.waiting_bytes < len(chunk)
    read, rest = bytearray(), b""
    while len(read) < len(chunk):
        read += other.recv(1_000_000)
        rest = rest or slow.take()
        rest = rest[one.send(rest) :] if rest else rest
    assert read == chunk


def test_a_peer_that_has_gone_is_told_once(pair: tuple[socket.socket, socket.socket]) -> None:
    assert native.fanout is not None
    heard: list[str] = []
    gone = peer_of(native.fanout.Sender(pair[0]), heard)
    pair[1].close()
    for _ in range(2):
        native.fanout.push_all([gone], STREAM, b"chunk")
    assert (heard, gone.closed) == (["broken"], True)


async def test_a_closed_link_does_not_write_to_the_next_socket_of_its_number() -> None:
    one, other = socket.socketpair()
    number = one.fileno()
    link = SocketLink(one, "test")
    send, heard = link.send, list[str]()
    peer = peer_of(send, heard)
    await link.aclose()
    next_one, reader = socket.socketpair()
    with next_one, reader, other:
        assert number in (next_one.fileno(), reader.fileno())
        for end in (next_one, reader):
            end.setblocking(False)
        with pytest.raises(OSError, match="Bad file descriptor"):
            send(b"astray")
        peers.push_all([peer], STREAM, b"astray")
        assert heard == ["broken"]
        for end in (next_one, reader):
            with pytest.raises(BlockingIOError):
                end.recv(1)


def test_a_socket_lives_as_long_as_its_sender(pair: tuple[socket.socket, socket.socket]) -> None:
    assert native.fanout is not None
    one = pair[0].dup()
    alive, sender = weakref.ref(one), native.fanout.Sender(one)
    del one
    still = alive()
    assert still is not None
    with still:
        sender.close()
    del still
    assert alive() is None


STATES = st.sampled_from(["free", "takes nothing", "takes one", "broken", "answering", "closed"])


def scene(states: list[str]) -> tuple[list[Peer], list[list[Any]]]:
    """Make peers in these states, and what each of them hears."""
    made, heard = [], []
    for state in states:
        log: list[Any] = []

        def send(data: bytes, state: str = state, log: list[Any] = log) -> int:
            log.append(data)
            if state == "takes nothing":
                raise BlockingIOError
            if state == "broken":
                raise BrokenPipeError
            return 1 if state == "takes one" else len(data)

        peer = peer_of(send, log)
        if state == "answering":
            peer.answer(b"answer")
        if state == "closed":
            peer.close()
        made.append(peer)
        heard.append(log)
    return made, heard


@given(st.lists(STATES, max_size=6), st.lists(st.binary(min_size=1, max_size=60), max_size=4))
def test_peers_over_other_links_hear_the_same(states: list[str], chunks: list[bytes]) -> None:
    seen = []
    assert native.fanout is not None
    for push_all in (native.fanout.push_all, peers._push_all_in_python):
        made, heard = scene(states)
        for chunk in chunks:
            push_all(made, STREAM, chunk)
        waiting = [(peer.waiting_bytes, peer.closed, peer.lags(STREAM)) for peer in made]
        seen.append((heard, waiting, [peer.take() for peer in made if not peer.closed]))
    assert seen[0] == seen[1]


# --- pages that are shared


def crowd(links: list[tuple[socket.socket, socket.socket]]) -> list[Peer]:
    assert native.fanout is not None
    made = []
    for one, other in links:
        one.setblocking(False)
        other.settimeout(5)
        made.append(peer_of(native.fanout.Sender(one)))
    return made


@pytest.fixture
def hundred() -> Iterator[list[tuple[socket.socket, socket.socket]]]:
    with socket.create_server(("127.0.0.1", 0), backlog=100) as listener, ExitStack() as all_of:
        links = []
        for _ in range(100):
            other = all_of.enter_context(socket.create_connection(listener.getsockname()))
            links.append((all_of.enter_context(listener.accept()[0]), other))
        yield links


def read(other: socket.socket, size: int) -> bytes:
    read = bytearray()
    while len(read) < size:
        read += other.recv(size - len(read))
    return bytes(read)


def test_what_is_unread_stays_what_it_was_however_much_comes_after_it(
    hundred: list[tuple[socket.socket, socket.socket]],
) -> None:
    """The pages of a chunk are let go of and others written, while sockets still hold them."""
    peers_of_all = crowd(hundred)
    chunks = [bytes([number]) * (14_000 + number) for number in range(150)]
    peers_of_all[0]._max_bytes = 3_000_000
    late, hasty = hundred[0][1], [other for _one, other in hundred[1:]]
    for chunk in chunks:
        peers.push_all(peers_of_all, STREAM, chunk)
        for other in hasty:
            assert read(other, len(chunk)) == chunk
    sent = b"".join(chunks)
    taken = len(sent) - peers_of_all[0].waiting_bytes
    assert taken > 1_000_000
    assert read(late, taken) == sent[:taken]


def test_pages_are_shared_only_where_a_broken_pipe_is_an_error(
    hundred: list[tuple[socket.socket, socket.socket]],
) -> None:
    peers_of_all = crowd(hundred)
    chunk = b"x" * 14_000
    hundred[7][1].close()
    before = signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    try:
        for _ in range(3):
            peers.push_all(peers_of_all, STREAM, chunk)
    finally:
        signal.signal(signal.SIGPIPE, before)
    peers.push_all(peers_of_all, STREAM, chunk)
    assert [place for place, peer in enumerate(peers_of_all) if peer.closed] == [7]
    assert read(hundred[8][1], 4 * len(chunk)) == 4 * chunk


def test_a_forked_process_writes_to_pages_of_its_own(
    hundred: list[tuple[socket.socket, socket.socket]],
) -> None:
    peers_of_all = crowd(hundred)
    peers.push_all(peers_of_all, STREAM, b"p" * 14_000)
    child = os.fork()
    if child == 0:
        try:
            peers.push_all(peers_of_all, STREAM, b"c" * 14_000)
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    peers.push_all(peers_of_all, STREAM, b"q" * 14_000)
    for _one, other in hundred:
        assert read(other, 42_000) == b"p" * 14_000 + b"c" * 14_000 + b"q" * 14_000


# --- messages


def websocket(sock: socket.socket) -> WebSocketLink:
    protocol = ServerProtocol(state=OPEN)
    return WebSocketLink(SocketLink(sock, "somebody"), protocol, Framing())


def held_in(sock: socket.socket) -> bytes:
    """Give what the messages hold that have come; all of them are short."""
    data, held = sock.recv(1 << 20), b""
    while data:
        assert data[0] == 0x82
        size, head = data[1], 2
        if size == 126:
            size, head = int.from_bytes(data[2:4]), 4
        held, data = held + data[head : head + size], data[head + size :]
    return held


def test_who_reads_messages_gets_what_the_others_get(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    assert native.fanout is not None
    link = websocket(pair[0])
    assert type(link.send) is native.fanout.MessageSender
    peer = peer_of(link.send)
    native.fanout.push_all({peer: 0}, STREAM, b"one")
    native.fanout.push_all({peer: 0}, STREAM, b"two" * 100)
    assert held_in(pair[1]) == b"one" + b"two" * 100


@given(st.lists(st.tuples(st.integers(1, 3_000), st.integers(0, 4_000)), max_size=30))
def test_messages_stay_whole_however_little_the_kernel_takes(
    rounds: list[tuple[int, int]],
) -> None:
    assert native.fanout is not None
    one, other = socket.socketpair()
    with one, other:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4_608)
        other.setblocking(False)
        link = websocket(one)
        peer = Peer(
            try_send=link.send,
            wake=lambda: None,
            broken=lambda: None,
            head_of=lambda stream: 0,
            max_bytes=1 << 20,
        )
        sent, came, rest = b"", b"", b""
        for number, (size, wanted) in enumerate(rounds):
            chunk = bytes((number,)) * size
            sent += chunk
            native.fanout.push_all({peer: 0}, STREAM, chunk)
            with suppress(BlockingIOError):
                came += other.recv(wanted) if wanted else b""
            # The session's writer, as far as the kernel lets it.
            rest = rest or peer.take()
            while rest and (taken := link.try_send(rest)):
                rest = rest[taken:] or peer.take()
        for _ in range(10_000):
            with suppress(BlockingIOError):
                came += other.recv(65_536)
            rest = rest or peer.take()
            if not rest:
                break
            rest = rest[link.try_send(rest) :]
        with suppress(BlockingIOError):
            came += other.recv(1 << 20)
    held = b""
    while came:
        size, head = came[1], 2
        if size >= 126:
            more = 2 if size == 126 else 8
            size, head = int.from_bytes(came[2 : 2 + more]), 2 + more
        held, came = held + came[head : head + size], came[head + size :]
    assert held == sent


def test_a_message_to_a_socket_that_is_gone_is_given_up(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    assert native.fanout is not None
    heard: list[str] = []
    link = websocket(pair[0])
    peer = peer_of(link.send, heard)
    pair[1].close()
    native.fanout.push_all({peer: 0}, STREAM, b"nobody reads this")
    assert heard == ["broken"]
