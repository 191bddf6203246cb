"""What the load sends, and how it checks what it reads."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import count
from pathlib import Path

import pytest

from bench.connections import Connections
from bench.counted import AnsweredPoster, Counter, EchoedPoster, Watcher
from bench.dialect import PostMould
from bench.groups import Group, watched_places
from bench.members import Canon, Failed, Member
from bench.scenarios import CROWD_MAX, SCENARIOS
from bench.server import make_certificate
from bench.text import TEXT_BYTES, Scanner, read_text, text_of
from groupd.config import Limits
from groupd.server.methods import understand
from groupd.wire.rpc import FrameLimits, Request, Unframer

MARKER = b"*"


@pytest.fixture
def sock() -> Iterator[socket.socket]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours


def delivered(*texts: bytes) -> memoryview:
    return memoryview(b"".join(MARKER + text for text in texts))


# --- what it sends


@pytest.mark.parametrize("with_ids", [True, False])
def test_a_moulded_post_is_one_that_the_server_understands(with_ids: bool) -> None:
    post = PostMould("g" * 16, with_ids=with_ids).make(7, 123, now_ms=1_700_000_000_000)

    (message,) = Unframer(FrameLimits.for_server(Limits())).feed(post)
    assert isinstance(message, Request)
    call = understand(message, operator=False)
    assert (message.msgid, message.method, call.group) == (7, "post", "g" * 16)
    assert call.request.params() == {"text": text_of(7, 123).decode()}
    assert bool(call.request_id) is with_ids


def test_a_text_has_its_length_and_says_its_number_and_time() -> None:
    text = text_of(42, 10**18)

    assert len(text) == TEXT_BYTES
    assert read_text(text.decode()) == (42, 10**18)


# --- how it finds texts


@pytest.mark.parametrize("size", [1, 7, 50, 1_000])
def test_texts_are_found_however_the_stream_is_cut(size: int) -> None:
    stream = bytes(delivered(*(text_of(number, number * 10, number % 2) for number in range(9))))
    everybody, own = Scanner(), Scanner(1)
    found, found_own = [], []

    for start in range(0, len(stream), size):
        found += everybody.feed(memoryview(stream)[start : start + size])
        found_own += own.feed(memoryview(stream)[start : start + size])

    assert found == [(number, number * 10) for number in range(9)]
    assert found_own == [(number, number * 10) for number in (1, 3, 5, 7)]


# --- how it compares


def test_the_canon_is_what_the_first_reader_read() -> None:
    canon = Canon()

    assert canon.match(0, memoryview(b"abcdef"))
    assert canon.match(0, memoryview(b"abc"))
    assert canon.match(3, memoryview(b"defgh"))
    assert not canon.match(6, memoryview(b"gX"))
    assert not canon.match(7, memoryview(b"Xi"))
    assert canon.end == 8


def test_the_canon_goes_on_after_forgetting() -> None:
    canon = Canon()
    canon.match(0, memoryview(b"abcdef"))

    canon.forget(4)

    assert canon.end == 6
    assert canon.match(4, memoryview(b"efgh"))
    assert not canon.match(5, memoryview(b"X"))


def test_a_member_reads_what_the_others_read_or_fails() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        canon = Canon()
        canon.match(0, memoryview(b"abcdef"))
        member = Member("ann", ours, bytearray(16), canon)

        theirs.sendall(b"abcd")
        member.read()
        assert member.progress == 4
        theirs.sendall(b"efgh")
        member.read()
        assert (member.progress, canon.end) == (8, 8)
        theirs.sendall(b"i")
        canon.match(8, memoryview(b"x"))
        with pytest.raises(Failed, match="ann read other"):
            member.read()
        theirs.close()
        with pytest.raises(Failed, match="ann was disconnected"):
            member.read()


# --- how it counts


def test_a_counter_counts_markers() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        counter = Counter("ann", ours, bytearray(512), MARKER)
        theirs.sendall(delivered(text_of(1, 0), text_of(2, 0)))

        counter.read()

        assert counter.progress == 2


def test_a_watcher_fails_at_a_post_that_comes_twice(sock: socket.socket) -> None:
    watcher = Watcher(Counter("ann", sock, bytearray(1), MARKER), bytearray(1))
    watcher.take(delivered(text_of(1, 0)))

    with pytest.raises(Failed, match="post 1 twice"):
        watcher.take(delivered(text_of(1, 0)))


def test_a_posters_own_echo_is_its_answer(sock: socket.socket) -> None:
    inner = Counter("ann", sock, bytearray(1), MARKER)
    poster = EchoedPoster(inner, bytearray(1), place=3, mould=bytes, numbers=count(1))
    poster.post(2)

    poster.take(delivered(text_of(9, 0, 4), text_of(1, 0, 3)))

    assert (poster.unanswered, poster.progress) == (1, 2)


def answered_poster(sock: socket.socket, inner: Counter | None = None) -> AnsweredPoster:
    return AnsweredPoster(
        *("ann", sock, bytearray(1)),
        inner=inner,
        answer_marker=b":",
        place=0,
        mould=bytes,
        numbers=count(1),
    )


def test_an_answered_poster_posts_on_when_it_is_to(sock: socket.socket) -> None:
    poster = answered_poster(sock)
    poster.post()
    poster.refill = True

    poster.take(memoryview(b":1\r\n"))

    assert (poster.posted, poster.unanswered) == (2, 1)


def test_an_answer_to_nothing_fails(sock: socket.socket) -> None:
    with pytest.raises(Failed, match="to nothing"):
        answered_poster(sock).take(memoryview(b":1\r\n"))


def test_what_a_peer_has_lost_is_counted(sock: socket.socket) -> None:
    poster = answered_poster(sock)
    witness = Watcher(Counter("bob", sock, bytearray(1), MARKER), bytearray(1))
    silent = Counter("cid", sock, bytearray(1), MARKER)
    group = Group([witness, silent], [poster], [witness], canon=None, receivers=2)
    poster.post(2)
    poster.take(memoryview(b"::"))
    witness.take(delivered(text_of(1, 0), text_of(2, 0)))
    silent.take(delivered(text_of(1, 0)))

    assert group.lost == 1
    assert not group.is_drained()
    silent.take(delivered(text_of(2, 0)))
    assert group.lost == 0
    assert group.is_drained()


@pytest.mark.parametrize(
    ("members", "posters", "expected"),
    [(2, 1, {1}), (10, 5, {9}), (50, 10, {19, 29, 39, 49}), (1_000, 0, {*range(99, 1_000, 100)})],
)
def test_watchers_are_spread_over_the_silent_members(
    members: int, posters: int, expected: set[int]
) -> None:
    assert watched_places(members, posters) == expected


# --- what is measured


def test_resizing_leaves_half_of_the_members_silent() -> None:
    resized = SCENARIOS["a"].resized(10)

    assert (resized.members, resized.posters) == (10, 5)


@pytest.mark.parametrize("members", [1, 1_001])
def test_a_group_has_two_to_1000_members(members: int) -> None:
    with pytest.raises(ValueError, match="members"):
        SCENARIOS["a"].resized(members)


def test_a_crowd_is_never_larger_than_the_scenario_says() -> None:
    assert SCENARIOS["r"].resized(crowd=CROWD_MAX).crowd == SCENARIOS["r"].crowd
    with pytest.raises(ValueError, match="crowd"):
        SCENARIOS["r"].resized(crowd=1)


# --- how it reads TLS


def test_deliveries_are_counted_over_tls(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path)
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    server.load_cert_chain(certificate, key)
    client.load_verify_locations(certificate)
    with (
        ExitStack() as stack,
        socket.create_server(("127.0.0.1", 0)) as listener,
        ThreadPoolExecutor() as pool,
    ):
        accepting = pool.submit(lambda: server.wrap_socket(listener.accept()[0], server_side=True))
        connections = Connections(listener.getsockname()[1], stack, tls=client)
        reached = list[Counter]()
        connections.reach(
            lambda sock: reached.append(Counter("ann", sock, connections.buffer, MARKER))
        )
        connections.serve(time.monotonic() + 10, until=lambda: bool(reached))
        (counter,) = reached
        connections.add(counter)
        with accepting.result() as theirs:
            theirs.sendall(delivered(text_of(1, 0)))
            theirs.sendall(delivered(text_of(2, 0)))
            connections.serve(time.monotonic() + 10, until=lambda: counter.progress == 2)

    assert counter.progress == 2


def test_others_are_read_while_a_handshake_is_under_way(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path)
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    server.load_cert_chain(certificate, key)
    client.load_verify_locations(certificate)
    reached: list[Counter] = []
    with (
        ExitStack() as stack,
        socket.create_server(("127.0.0.1", 0)) as listener,
        ThreadPoolExecutor() as pool,
    ):
        connections = Connections(listener.getsockname()[1], stack, tls=client)
        crowd = connections.crowd()

        def reach(user: str) -> None:
            crowd.reach(lambda sock: reached.append(Counter(user, sock, crowd.buffer, MARKER)))

        listener.settimeout(10)
        # Nobody answers the first one's hello before the second has been served.
        reach("ann")
        silent = stack.enter_context(listener.accept()[0])
        silent.settimeout(10)
        reach("bob")
        accepting = pool.submit(lambda: server.wrap_socket(listener.accept()[0], server_side=True))
        connections.serve(time.monotonic() + 10, until=lambda: bool(reached))
        (bob,) = reached
        crowd.add(bob)
        theirs = stack.enter_context(accepting.result())
        theirs.sendall(delivered(text_of(1, 0)))
        connections.serve(time.monotonic() + 10, until=lambda: bob.progress == 1)
        accepting = pool.submit(lambda: server.wrap_socket(silent, server_side=True))
        connections.serve(time.monotonic() + 10, until=lambda: len(reached) == 2)
        stack.enter_context(accepting.result())

    assert [counter.user for counter in reached] == ["bob", "ann"]


def test_a_crowd_is_read_by_slices_beside_the_others() -> None:
    with ExitStack() as stack, socket.create_server(("127.0.0.1", 0)) as listener:
        connections = Connections(listener.getsockname()[1], stack)
        crowd = connections.crowd()
        reached = list[Counter]()
        crowd.reach(lambda sock: reached.append(Counter("ann", sock, crowd.buffer, MARKER)))
        (counter,) = reached
        crowd.add(counter)
        with listener.accept()[0] as theirs:
            theirs.sendall(delivered(text_of(1, 0)))
            connections.serve(time.monotonic() + 10, until=lambda: counter.progress == 1)

    assert counter.progress == 1
