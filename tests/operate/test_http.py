"""The small HTTP server: what is asked, what is answered, and what it does not put up with."""

from __future__ import annotations

import contextlib
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import h11
import pytest
import trio
import trio.testing

from groupd.server.addresses import listener_url, open_listeners
from groupd.server.http import HttpLimits, HttpRequest, HttpResponse, HttpServer, plain
from groupd.server.link import LinkBroken, connect_socket
from groupd.testing.links import FakeLink, link_pair

LIMITS = HttpLimits(connections_max=2, body_max_bytes=100, head_max_bytes=1_000, requests_max=3)
GET = b"GET /a/b?c=d HTTP/1.1\r\nHost: x\r\nX-Two: 2\r\n\r\n"


async def echo(request: HttpRequest) -> HttpResponse:
    if request.path == "/bug":
        raise KeyError("a bug")
    if request.path == "/slow":
        await trio.sleep(60)
    if request.path == "/while":
        await trio.sleep(7)
    shown = f"{request.method} {request.path} {request.query} {request.headers.get('x-two')} "
    return HttpResponse(200, shown.encode() + request.body)


@asynccontextmanager
async def connected(limits: HttpLimits = LIMITS) -> AsyncIterator[FakeLink]:
    """Give a client's end; the connection has ended by the end of the block."""
    server = HttpServer(echo, limits)
    theirs, ours = link_pair(peers=("server", "10.0.0.1"))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server.serve, ours)
        yield theirs
        await theirs.aclose()
        with trio.fail_after(100):
            while server.connections:  # noqa: ASYNC110
                await trio.sleep(0.01)


class Answer:
    def __init__(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.status, self.body, self.headers = status, body, headers


async def answer(link: FakeLink, parser: h11.Connection) -> Answer | None:
    """Read one response; None where the connection ends before it."""
    status, body, headers = 0, b"", dict[str, str]()
    while True:
        event = parser.next_event()
        if event is h11.NEED_DATA:
            parser.receive_data(await link.receive_some(1_000))
        elif isinstance(event, h11.Response):
            status = event.status_code
            headers = {name.decode(): value.decode() for name, value in event.headers}
        elif isinstance(event, h11.Data):
            body += event.data
        elif isinstance(event, h11.EndOfMessage):
            return Answer(status, body, headers)
        elif isinstance(event, h11.ConnectionClosed):
            return None


def client(method: str = "GET") -> h11.Connection:
    parser = h11.Connection(h11.CLIENT)
    parser.send(h11.Request(method=method, target="/", headers=[("host", "x")]))
    parser.send(h11.EndOfMessage())
    return parser


async def ask(link: FakeLink, data: bytes, method: str = "GET") -> Answer | None:
    await link.send_all(data)
    return await answer(link, client(method))


async def test_a_request_is_answered_and_the_connection_stays(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with connected() as link:
        for _ in range(2):
            got = await ask(link, GET)
            assert got is not None
            assert (got.status, got.body) == (200, b"GET /a/b c=d 2 ")
            assert got.headers["content-length"] == "15"
            assert got.headers["cache-control"] == "no-store"


async def test_a_request_may_come_byte_by_byte_and_several_at_once(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with connected() as link:
        for byte in GET:
            await link.send_all(bytes([byte]))
        got = await answer(link, client())
        assert got is not None
        assert got.status == 200
        await link.send_all(GET + GET)
        data = b""
        while data.count(b"HTTP/1.1 200") < 2:
            data += await link.receive_some(1_000)


async def test_a_body_comes_whole_and_only_within_its_limit(
    autojump_clock: trio.testing.MockClock,
) -> None:
    post = b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n"
    async with connected() as link:
        await link.send_all(post % 100)
        assert (await link.receive_some(1_000)).startswith(b"HTTP/1.1 100 ")
        got = await ask(link, b"x" * 100)
        assert got is not None
        assert got.body.endswith(b"x" * 100)
    chunked = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with connected() as link:
        got = await ask(link, chunked + b"60\r\n" + b"x" * 96 + b"\r\n60\r\n" + b"x" * 96 + b"\r\n")
        assert got is not None
        assert got.status == 413
        assert await link.receive_some(10) == b""


async def test_head_has_no_body(autojump_clock: trio.testing.MockClock) -> None:
    async with connected() as link:
        got = await ask(link, GET.replace(b"GET", b"HEAD"), "HEAD")
        assert got is not None
        assert (got.status, got.body) == (200, b"")
        assert int(got.headers["content-length"]) > 0


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"\x94\x00\x01\xa5hello\x90" + b"\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 2_000, 431),
        (b"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: nonsense\r\n\r\n", 501),
    ],
)
async def test_what_is_no_request_is_refused_and_ends_the_connection(
    autojump_clock: trio.testing.MockClock, data: bytes, status: int
) -> None:
    async with connected() as link:
        got = await ask(link, data)
        assert got is not None
        assert got.status == status
        assert await link.receive_some(10) == b""


async def test_a_bug_in_the_handler_is_logged_and_answered(
    autojump_clock: trio.testing.MockClock, capsys: pytest.CaptureFixture[str]
) -> None:
    async with connected() as link:
        got = await ask(link, GET.replace(b"/a/b", b"/bug"))
        assert got is not None
        assert (got.status, got.body) == (500, b"a bug; it was logged\n")
        got = await ask(link, GET)
        assert got is not None
        assert got.status == 200
    assert "http_failed" in capsys.readouterr().out


@pytest.mark.parametrize("sent", [b"", b"GET / HT", b"POST / HTTP/1.1\r\nHost: x\r\n"])
async def test_who_is_slow_to_ask_is_let_go(
    autojump_clock: trio.testing.MockClock, sent: bytes
) -> None:
    async with connected() as link:
        began = trio.current_time()
        got = await ask(link, sent) if sent else await answer(link, client())
        assert got is not None
        assert got.status == 408
        assert trio.current_time() - began == pytest.approx(10, abs=0.1)


async def test_what_a_connection_was_idle_for_is_not_taken_from_its_next_request(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with connected() as link:
        for _ in range(2):
            await trio.sleep(7)
            got = await ask(link, GET.replace(b"/a/b", b"/while"))
            assert got is not None
            assert got.status == 200


async def test_a_handler_that_takes_too_long_is_ended(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with connected() as link:
        got = await ask(link, GET.replace(b"/a/b", b"/slow"))
        assert got is None or got.status == 408


async def test_who_does_not_read_the_answer_is_let_go(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async def flood(request: HttpRequest) -> HttpResponse:
        return plain(200, "x" * 1_000_000)

    server = HttpServer(flood, LIMITS)
    theirs, ours = link_pair(peers=("server", "10.0.0.1"))
    ours.capacity = 1_000
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server.serve, ours)
        await theirs.send_all(GET)
        await trio.sleep(11)
        assert server.connections == 0


async def test_a_connection_is_closed_after_its_last_request(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with connected() as link:
        for _ in range(LIMITS.requests_max):
            assert await ask(link, GET) is not None
        assert await link.receive_some(10) == b""


async def test_above_its_limit_a_connection_is_closed_at_once() -> None:
    server = HttpServer(echo, LIMITS)
    listeners = open_listeners("tcp://127.0.0.1:0", 10)
    url = listener_url(listeners[0])
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server.listen, listeners)
        links = [await connect_socket(url) for _ in range(LIMITS.connections_max + 1)]
        with trio.fail_after(30):
            assert await links[-1].receive_some(10) == b""
            await links[0].send_all(GET)
            assert (await links[0].receive_some(1_000)).startswith(b"HTTP/1.1 200")
        for link in links:
            await link.aclose()
        nursery.cancel_scope.cancel()
    assert server.connections == 0


@pytest.mark.parametrize("seed", range(20))
async def test_no_bytes_are_a_bug(
    autojump_clock: trio.testing.MockClock, seed: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whole requests with some bytes changed, left out or put in."""
    chance = random.Random(seed)
    post = b"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"
    chunked = (
        b"PUT /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n"
    )
    for _ in range(25):
        data = bytearray(chance.choice((GET, post, chunked)) * 2)
        for _change in range(chance.randint(0, 4)):
            at = chance.randrange(len(data))
            data[at : at + chance.randint(0, 2)] = chance.randbytes(chance.randint(0, 2))
        async with connected() as link:
            await link.send_all(bytes(data))
            link.send_eof()
            with contextlib.suppress(LinkBroken):
                while await link.receive_some(1_000):
                    pass
    assert "http_failed" not in capsys.readouterr().out


async def test_an_upgrade_is_not_agreed_to(autojump_clock: trio.testing.MockClock) -> None:
    async with connected() as link:
        upgrade = GET[:-2] + b"Connection: upgrade\r\nUpgrade: websocket\r\n\r\n"
        got = await ask(link, upgrade)
        assert got is not None
        assert got.status == 200


async def test_who_sends_too_much_can_read_that_it_was_too_much(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with connected() as link:
        await link.send_all(
            b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\n\r\n" + bytes(60_000)
        )
        got = await answer(link, h11.Connection(h11.CLIENT))
        assert got is not None
        assert (got.status, got.headers["connection"]) == (413, "close")
        # It goes on sending, as a client does that reads afterwards: nothing breaks.
        await link.send_all(bytes(140_000))


async def test_a_stopping_server_answers_what_was_asked_and_takes_nothing_more(
    autojump_clock: trio.testing.MockClock,
) -> None:
    server = HttpServer(echo, LIMITS)
    client, ours = link_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server.serve, ours)
        await client.send_all(GET.replace(b"/a/b?c=d", b"/while"))
        await trio.testing.wait_all_tasks_blocked()
        began = trio.current_time()
        await server.drain(60)
        assert trio.current_time() - began == pytest.approx(7)
        parser = h11.Connection(h11.CLIENT)
        got = await answer(client, parser)
        assert got is not None
        assert got.status == 200
        assert await answer(client, parser) is None


async def test_a_stopping_server_does_not_wait_for_ever(
    autojump_clock: trio.testing.MockClock,
) -> None:
    server = HttpServer(echo, LIMITS)
    client, ours = link_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server.serve, ours)
        await client.send_all(GET.replace(b"/a/b?c=d", b"/slow"))
        await trio.testing.wait_all_tasks_blocked()
        began = trio.current_time()
        await server.drain(3)
        assert trio.current_time() - began == pytest.approx(3)
        nursery.cancel_scope.cancel()
