"""Links: what every kind promises, what sockets add, and how they come to be."""

from __future__ import annotations

import errno
import socket
import stat
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import trio
import trio.testing

from groupd.config import Config, HostConfig
from groupd.doors import open_doors
from groupd.errors import ConfigError
from groupd.server.addresses import (
    ACCEPT_BACKOFF_S,
    accept,
    close_listener,
    listener_url,
    open_listeners,
)
from groupd.server.layer import LayeredLink
from groupd.server.link import Link, LinkBroken, SocketLink, connect_socket
from groupd.server.websocket import WebSocketLink
from groupd.testing.links import link_pair
from tests.server.browser import websockets
from tests.server.conftest import Contexts, secured

Pair: TypeAlias = tuple[Link, Link]
BACKLOG = 16
BLOCK = b"0123456789abcdef" * 4_096


async def connected(url: str) -> tuple[SocketLink, SocketLink]:
    """Give the two ends of a connection through a listener."""
    listener, *others = open_listeners(url, BACKLOG)
    try:
        client = await connect_socket(listener_url(listener))
        return client, SocketLink(*await accept(listener))
    finally:
        for each in (listener, *others):
            close_listener(each)


KINDS = (
    *("fake", "unix", "tcp", "tls over tcp", "tls over fake"),
    *(
        "browser's over tcp",
        "browser's over fake",
        "to a browser over tcp",
        "to a browser over fake",
    ),
)


@pytest.fixture(params=KINDS)
async def pair(
    request: pytest.FixtureRequest, tmp_path: Path, tls_contexts: Contexts
) -> AsyncIterator[Pair]:
    a: Link
    b: Link
    if request.param.endswith("fake"):
        a, b = link_pair(capacity=2 * len(BLOCK))
    else:
        url = "tcp://127.0.0.1:0" if request.param.endswith("tcp") else f"unix://{tmp_path}/s"
        a, b = await connected(url)
    if request.param.startswith("tls"):
        a, b = await secured(a, b, tls_contexts)
    elif request.param.startswith("browser's"):
        a, b = websockets(a, b)
    elif request.param.startswith("to a browser"):
        b, a = websockets(b, a)
    yield a, b
    await a.aclose()
    await b.aclose()


@pytest.fixture
async def tcp_pair() -> AsyncIterator[tuple[SocketLink, SocketLink]]:
    a, b = await connected("tcp://127.0.0.1:0")
    yield a, b
    await a.aclose()
    await b.aclose()


def rest_after(total: int) -> bytes:
    """Give what is left of the block in whose middle sending has stopped."""
    return BLOCK[total % len(BLOCK) :]


def fill(link: Link) -> int:
    """Send blocks until nothing more is taken; give how much was."""
    total = 0
    while sent := link.try_send(rest_after(total)):
        total += sent
    return total


async def read_all(link: Link) -> bytes:
    received = bytearray()
    while data := await link.receive_some(65_536):
        received += data
    return bytes(received)


async def read_exactly(link: Link, count: int) -> bytes:
    received = b""
    while len(received) < count:
        received += await link.receive_some(count - len(received))
    return received


# --- what every link promises


async def test_what_is_sent_arrives_whole_and_in_order(pair: Pair) -> None:
    a, b = pair
    received: list[bytes] = []

    async def read() -> None:
        received.append(await read_all(b))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        assert a.try_send(b"first ") == 6
        await a.send_all(BLOCK * 20)
        await a.send_all(b"")
        await a.send_all(b" last")
        a.send_eof()
    assert received == [b"first " + BLOCK * 20 + b" last"]


async def test_a_full_link_takes_part_of_the_bytes_and_then_none(pair: Pair) -> None:
    a, b = pair
    taken = fill(a)
    rest = rest_after(taken)
    assert taken > 0
    assert a.try_send(rest) == 0
    # Nothing was lost or invented on the way.
    blocks = BLOCK * (taken // len(BLOCK) + 1)
    assert await read_exactly(b, taken) == blocks[:taken]
    assert a.try_send(rest) == len(rest)
    assert await read_exactly(b, len(rest)) == rest


async def test_send_all_waits_for_a_slow_reader(pair: Pair) -> None:
    a, b = pair
    taken = fill(a)
    rest = rest_after(taken)
    sent = trio.Event()

    async def send() -> None:
        await a.send_all(rest)
        sent.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(send)
        await trio.testing.wait_all_tasks_blocked()
        assert not sent.is_set()
        assert (await read_exactly(b, taken + len(rest))).endswith(rest)
        await sent.wait()


async def test_no_more_is_received_than_was_asked_for(pair: Pair) -> None:
    a, b = pair
    if isinstance(b, LayeredLink):
        pytest.skip("a record or a frame is read whole")
    await a.send_all(b"abc")
    assert await b.receive_some(2) == b"ab"
    assert await b.receive_some(2) == b"c"


async def test_reading_and_sending_let_other_tasks_run_even_when_they_need_not_wait(
    pair: Pair,
) -> None:
    a, b = pair
    with trio.testing.assert_checkpoints():
        await a.send_all(b"abc")
    with trio.testing.assert_checkpoints():
        await b.receive_some(1)


async def test_a_cancelled_read_has_taken_nothing(pair: Pair) -> None:
    a, b = pair
    await a.send_all(b"abc")
    with trio.CancelScope() as scope:
        scope.cancel()
        await b.receive_some(10)
    assert scope.cancelled_caught
    assert await b.receive_some(10) == b"abc"


async def test_the_end_is_read_after_what_was_sent_and_again_on_every_read(pair: Pair) -> None:
    a, b = pair
    await a.send_all(b"abc")
    await a.aclose()
    assert await b.receive_some(10) == b"abc"
    assert await b.receive_some(10) == b""
    assert await b.receive_some(10) == b""


async def test_after_send_eof_the_other_direction_still_works(pair: Pair) -> None:
    a, b = pair
    if isinstance(a, WebSocketLink):
        pytest.skip("a WebSocket ends in both directions. RFC 6455, section 5.5.1")
    a.send_eof()
    a.send_eof()
    assert await b.receive_some(10) == b""
    await b.send_all(b"last word")
    assert await a.receive_some(10) == b"last word"
    with pytest.raises(LinkBroken):
        a.try_send(b"x")


async def test_sending_to_a_peer_that_has_closed_breaks(pair: Pair) -> None:
    a, b = pair
    await b.aclose()
    with pytest.raises(LinkBroken):  # noqa: PT012 - the first may still leave
        while True:
            await a.send_all(b"x")
    with pytest.raises(LinkBroken):
        a.try_send(b"x")


async def test_a_closed_link_does_nothing_any_more(pair: Pair) -> None:
    a, _ = pair
    await a.aclose()
    with pytest.raises(LinkBroken):
        a.try_send(b"x")
    with pytest.raises(LinkBroken):
        await a.send_all(b"x")
    with pytest.raises(LinkBroken):
        await a.receive_some(1)
    a.send_eof()
    await a.aclose()


async def test_closing_happens_even_when_it_is_cancelled(pair: Pair) -> None:
    a, b = pair
    with trio.CancelScope() as scope:
        scope.cancel()
        await a.aclose()
    assert scope.cancelled_caught
    assert await b.receive_some(1) == b""
    with pytest.raises(LinkBroken):
        a.try_send(b"x")


async def test_closing_wakes_the_tasks_that_read_and_send(pair: Pair) -> None:
    a, _ = pair
    fill(a)
    broken: list[str] = []

    async def expect_broken(name: str, do: Callable[[], Any]) -> None:
        with pytest.raises(LinkBroken):
            await do()
        broken.append(name)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(expect_broken, "read", lambda: a.receive_some(1))
        nursery.start_soon(expect_broken, "send", lambda: a.send_all(b"x"))
        await trio.testing.wait_all_tasks_blocked()
        await a.aclose()
    assert sorted(broken) == ["read", "send"]


# --- fakes


async def test_a_fake_takes_as_much_as_its_capacity(autojump_clock: trio.testing.MockClock) -> None:
    a, b = link_pair(capacity=5)
    assert a.try_send(b"1234567") == 5
    assert a.try_send(b"67") == 0
    assert b.unread_bytes == 5
    a.capacity = 6
    assert a.try_send(b"67") == 1
    a.capacity = 0
    assert a.try_send(BLOCK) == 0
    assert await b.receive_some(10) == b"123456"
    assert a.try_send(b"7") == 0
    with trio.move_on_after(60) as scope:
        await a.send_all(b"7")
    assert scope.cancelled_caught
    assert b.try_send(b"12345") == 5

    async with trio.open_nursery() as nursery:
        nursery.start_soon(a.send_all, b"7")
        await trio.testing.wait_all_tasks_blocked()
        a.capacity = 1
    assert await b.receive_some(10) == b"7"


async def test_a_cut_fake_is_broken_at_both_ends() -> None:
    a, b = link_pair()
    await a.send_all(b"lost")
    a.cut()
    for link in (a, b):
        with pytest.raises(LinkBroken):
            link.try_send(b"x")
        with pytest.raises(LinkBroken):
            await link.receive_some(1)
        await link.aclose()


async def test_fakes_show_the_names_they_were_given() -> None:
    a, b = link_pair(peers=("alice", "server"))
    assert (a.peer, b.peer) == ("server", "alice")


# --- sockets


async def test_a_reset_breaks_the_link(tcp_pair: tuple[SocketLink, SocketLink]) -> None:
    a, b = tcp_pair
    b._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    await b.aclose()
    with pytest.raises(LinkBroken, match="reset"):
        await a.receive_some(1)
    with pytest.raises(LinkBroken):
        a.try_send(b"x")


async def test_tcp_sends_at_once_and_notices_peers_that_vanish(
    tcp_pair: tuple[SocketLink, SocketLink],
) -> None:
    for link in tcp_pair:
        sock = link._socket
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) != 0
        for option, value in [
            ("TCP_NODELAY", 1),
            ("TCP_KEEPIDLE", 60),
            ("TCP_KEEPINTVL", 15),
            ("TCP_KEEPCNT", 4),
            ("TCP_USER_TIMEOUT", 60_000),
        ]:
            if hasattr(socket, option):
                assert sock.getsockopt(socket.IPPROTO_TCP, getattr(socket, option)) == value


async def test_two_tasks_in_send_all_are_told_apart_from_a_broken_link(
    tcp_pair: tuple[SocketLink, SocketLink],
) -> None:
    a, _ = tcp_pair
    fill(a)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(a.send_all, b"x")
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(trio.BusyResourceError):
            await a.send_all(b"y")
        nursery.cancel_scope.cancel()


async def test_a_peer_is_named_by_its_address(tmp_path: Path) -> None:
    for url, peer in [("tcp://127.0.0.1:0", "127.0.0.1"), (f"unix://{tmp_path}/s", "unix")]:
        a, b = await connected(url)
        assert (a.peer, b.peer) == (peer, peer)
        await a.aclose()
        await b.aclose()


# --- URLs and listeners

WRONG_URLS = [
    "", "tcp", "tcp://", "tcp://:7400", "tcp://localhost", "tcp://localhost:", "tcp://localhost:x",
    "tcp://localhost:65536", "tcp://localhost:-1", "tcp://localhost:7400/path", "tcp://a@b:1",
    "tcp://localhost:7400?x", "tcp://[::1:7400", "udp://localhost:7400", "http://localhost:7400",
    "localhost:7400", "unix:", "unix://", "unix:///", "unix://relative", "unix:/one/slash",
]  # fmt: skip


@pytest.mark.parametrize("url", WRONG_URLS)
async def test_a_wrong_url_is_answered_with_the_right_form(url: str) -> None:
    with pytest.raises(
        ConfigError, match=r"expected tcp://HOST:PORT, tls://HOST:PORT or unix:///PATH, got"
    ):
        open_listeners(url, BACKLOG)
    with pytest.raises(
        ConfigError, match=r"expected tcp://HOST:PORT, tls://HOST:PORT or unix:///PATH, got"
    ):
        await connect_socket(url)


async def test_port_0_becomes_one_free_port_for_all_addresses_that_are_this_machine_s(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    addresses = ["127.0.0.1", "192.0.2.1", "127.0.0.2", "127.0.0.1"]
    found = [(socket.AF_INET, socket.SOCK_STREAM, 0, "", (host, 0)) for host in addresses]
    with monkeypatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
        listeners = open_listeners("tcp://many-homed:0", BACKLOG)
    port = listeners[0].getsockname()[1]
    assert port != 0
    assert [*map(listener_url, listeners)] == [f"tcp://127.0.0.{n}:{port}" for n in (1, 2)]
    for listener in listeners:
        client = await connect_socket(listener_url(listener))
        server = SocketLink(*await accept(listener))
        await client.send_all(b"hi")
        assert await server.receive_some(10) == b"hi"
        await client.aclose()
        await server.aclose()
        close_listener(listener)
        close_listener(listener)


def test_an_ipv6_address_is_written_in_brackets() -> None:
    try:
        (listener,) = open_listeners("tcp://[::1]:0", BACKLOG)
    except ConfigError:
        pytest.skip("this machine has no IPv6")
    port = listener.getsockname()[1]
    assert listener_url(listener) == f"tcp://[::1]:{port}"
    listener.close()


def test_an_address_of_another_machine_is_a_wrong_setting() -> None:
    with pytest.raises(ConfigError, match="cannot listen there"):
        open_listeners("tcp://192.0.2.1:0", BACKLOG)


def test_a_taken_port_of_a_door_is_named_as_it_was_written() -> None:
    (taken,) = open_listeners("tcp://127.0.0.1:0", BACKLOG)
    url = f"http://127.0.0.1:{taken.getsockname()[1]}"
    with taken, ExitStack() as undo, pytest.raises(ConfigError, match=f"^{url}: cannot listen"):
        open_doors(Config(host=HostConfig(listen=url)), undo)


async def test_a_port_in_use_is_a_wrong_setting() -> None:
    (listener,) = open_listeners("tcp://127.0.0.1:0", BACKLOG)
    with pytest.raises(ConfigError, match="in use"):
        open_listeners(listener_url(listener), BACKLOG)
    close_listener(listener)


async def test_one_address_in_use_is_enough_to_refuse_the_host(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (listener,) = open_listeners("tcp://127.0.0.1:0", BACKLOG)
    port = listener.getsockname()[1]
    addresses = [("127.0.0.2", port), ("127.0.0.1", port)]
    found = [(socket.AF_INET, socket.SOCK_STREAM, 0, "", address) for address in addresses]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    with pytest.raises(ConfigError, match="in use"):
        open_listeners(f"tcp://many-homed:{port}", BACKLOG)
    close_listener(listener)


async def test_a_unix_socket_is_for_its_user_alone_and_goes_with_its_server(tmp_path: Path) -> None:
    path = tmp_path / "s"
    (listener,) = open_listeners(f"unix://{path}", BACKLOG)
    assert listener_url(listener) == f"unix://{path}"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    close_listener(listener)
    assert not path.exists()
    close_listener(listener)


async def test_the_socket_file_of_a_dead_server_is_replaced(tmp_path: Path) -> None:
    url = f"unix://{tmp_path}/s"
    (dead,) = open_listeners(url, BACKLOG)
    dead.close()
    with pytest.raises(LinkBroken):
        await connect_socket(url)
    a, b = await connected(url)
    await a.aclose()
    await b.aclose()


async def test_the_socket_of_a_living_server_is_left_alone(tmp_path: Path) -> None:
    url = f"unix://{tmp_path}/s"
    (alive,) = open_listeners(url, 1)
    clients = []
    for _ in range(5):
        with pytest.raises(ConfigError, match="another server is listening"):
            open_listeners(url, BACKLOG)
        # Also when its backlog is full.
        clients.append(socket.socket(socket.AF_UNIX))
        clients[-1].setblocking(False)
        clients[-1].connect_ex(f"{tmp_path}/s")
    for client in clients:
        client.close()
    close_listener(alive)


def test_a_file_that_is_no_socket_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "s"
    path.write_text("precious")
    with pytest.raises(ConfigError, match="not a socket"):
        open_listeners(f"unix://{path}", BACKLOG)
    assert path.read_text() == "precious"


def test_a_path_that_cannot_be_is_a_wrong_setting(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot listen there: No such file"):
        open_listeners(f"unix://{tmp_path}/missing/s", BACKLOG)
    with pytest.raises(ConfigError, match="too long"):
        open_listeners(f"unix://{tmp_path}/{'x' * 200}", BACKLOG)


async def test_where_nobody_listens_a_client_finds_a_broken_link(tmp_path: Path) -> None:
    (listener,) = open_listeners("tcp://127.0.0.1:0", BACKLOG)
    url = listener_url(listener)
    close_listener(listener)
    for unreachable in (url, f"unix://{tmp_path}/s"):
        with pytest.raises(LinkBroken, match=unreachable):
            await connect_socket(unreachable)


# --- accepting


class FailingListener(socket.socket):
    """A listener whose first accepts fail with the errors it is given."""

    errors: tuple[int, ...] = ()

    def accept(self) -> tuple[socket.socket, Any]:
        if self.errors:
            first, *rest = self.errors
            self.errors = tuple(rest)
            raise OSError(first, errno.errorcode[first])
        return super().accept()


@pytest.fixture
async def failing_listener() -> AsyncIterator[FailingListener]:
    with FailingListener() as listener:
        listener.setblocking(False)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener


async def test_connections_lost_before_they_are_accepted_are_passed_over(
    failing_listener: FailingListener, autojump_clock: trio.testing.MockClock
) -> None:
    failing_listener.errors = (errno.ECONNABORTED, errno.EPROTO, errno.EAGAIN)
    client = await connect_socket(listener_url(failing_listener))
    start = trio.current_time()
    sock, peer = await accept(failing_listener)
    assert trio.current_time() == start
    assert peer == "127.0.0.1"
    sock.close()
    await client.aclose()


@pytest.mark.parametrize("error", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM])
async def test_accepting_rests_while_the_machine_has_run_out(
    failing_listener: FailingListener, autojump_clock: trio.testing.MockClock, error: int
) -> None:
    failing_listener.errors = (error, error, error)
    client = await connect_socket(listener_url(failing_listener))
    start = trio.current_time()
    sock, _ = await accept(failing_listener)
    assert trio.current_time() - start == pytest.approx(3 * ACCEPT_BACKOFF_S)
    sock.close()
    await client.aclose()


async def test_any_other_error_of_accept_is_not_hidden(failing_listener: FailingListener) -> None:
    failing_listener.errors = (errno.EINVAL,)
    client = await connect_socket(listener_url(failing_listener))
    with pytest.raises(OSError, match="EINVAL"):
        await accept(failing_listener)
    await client.aclose()


async def test_closing_a_listener_wakes_the_task_that_accepts() -> None:
    (listener,) = open_listeners("tcp://127.0.0.1:0", BACKLOG)
    async with trio.open_nursery() as nursery:

        async def expect_closed() -> None:
            with pytest.raises(trio.ClosedResourceError):
                await accept(listener)

        nursery.start_soon(expect_closed)
        await trio.testing.wait_all_tasks_blocked()
        close_listener(listener)
