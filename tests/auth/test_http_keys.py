"""Fetching keys over HTTP: from whom, how much, and what an answer must be. On real sockets."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import attrs
import pytest
import trio
from joserfc.jwk import OKPKey

from groupd.auth import TokenVerifier
from groupd.auth.http_keys import http_fetch, http_key_rings
from groupd.auth.key_rings import ANSWER_MAX_BYTES
from groupd.config import AuthConfig
from groupd.errors import KeysUnavailable
from groupd.server.addresses import listener_url, open_listeners
from groupd.server.certificates import client_context, server_context
from groupd.server.http import HttpLimits, HttpRequest, HttpResponse, HttpServer
from tests.auth.signing import NOW_MS, jwk, jwks, signed
from tests.certificates import authority, make_certificate

KEY = OKPKey.generate_key("Ed25519")
KEYS = jwks(jwk(KEY, kid="one"))


@attrs.define
class Publisher:
    """What answers at ``/keys``, and what was asked there."""

    response: HttpResponse = attrs.field(factory=lambda: HttpResponse(200, KEYS))
    asked: list[HttpRequest] = attrs.field(factory=list)
    url: str = ""

    async def handle(self, request: HttpRequest) -> HttpResponse:
        self.asked.append(request)
        return self.response if request.path == "/keys" else HttpResponse(404, b"")


@asynccontextmanager
async def publishing() -> AsyncIterator[Publisher]:
    publisher = Publisher()
    listeners = open_listeners("tcp://127.0.0.1:0", 4)
    publisher.url = listener_url(listeners[0]).replace("tcp://", "http://") + "/keys"
    async with trio.open_nursery() as nursery:
        nursery.start_soon(HttpServer(publisher.handle, HttpLimits()).listen, listeners)
        with trio.fail_after(20):
            yield publisher
        nursery.cancel_scope.cancel()


def fetcher() -> Callable[[str], Awaitable[bytes]]:
    return http_fetch(ssl.create_default_context())


async def refused(url: str, fetch: Callable[[str], Awaitable[bytes]] | None = None) -> str:
    with pytest.raises(KeysUnavailable) as caught:
        await (fetch or fetcher())(url)
    return str(caught.value)


async def test_what_is_published_is_fetched() -> None:
    async with publishing() as publisher:
        assert await fetcher()(publisher.url) == KEYS
        (request,) = publisher.asked
        assert (request.method, request.path) == ("GET", "/keys")
        assert request.headers["accept-encoding"] == "identity"


async def test_nothing_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    async with publishing() as publisher:
        assert await fetcher()(publisher.url) == KEYS


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(status: int) -> None:
    async with publishing() as publisher, publishing() as other:
        where = {"location": other.url}
        publisher.response = HttpResponse(status, b"", headers=where)
        assert "redirect" in await refused(publisher.url)
        assert (len(publisher.asked), other.asked) == (1, [])


@pytest.mark.parametrize("status", [204, 400, 404, 500, 503])
async def test_another_status_is_no_answer(status: int) -> None:
    async with publishing() as publisher:
        publisher.response = HttpResponse(status, b"" if status == 204 else KEYS)
        assert str(status) in await refused(publisher.url)


async def test_an_answer_has_a_largest_size() -> None:
    async with publishing() as publisher:
        publisher.response = HttpResponse(200, b" " * ANSWER_MAX_BYTES)
        assert len(await fetcher()(publisher.url)) == ANSWER_MAX_BYTES
        publisher.response = HttpResponse(200, b" " * (ANSWER_MAX_BYTES + 1))
        assert "longer than" in await refused(publisher.url)


async def test_what_came_compressed_is_not_unpacked() -> None:
    async with publishing() as publisher:
        headers = {"content-encoding": "gzip"}
        publisher.response = HttpResponse(200, b"\x1f\x8b packed", headers=headers)
        assert await fetcher()(publisher.url) == b"\x1f\x8b packed"


async def test_nobody_there_is_an_answer_too() -> None:
    assert "ConnectError" in await refused("http://127.0.0.1:1/keys")


async def test_somebody_who_speaks_no_http_is_nobody() -> None:
    listeners = open_listeners("tcp://127.0.0.1:0", 4)
    listener = listeners[0]
    url = listener_url(listener).replace("tcp://", "http://")

    async def babble() -> None:
        await trio.lowlevel.wait_readable(listener)
        connection, _address = listener.accept()
        with connection:
            connection.send(b"\x00\x01 what?\r\n\r\n")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(babble)
        assert "Error" in await refused(url)
    listener.close()


async def test_over_https_the_publisher_must_be_who_was_named(tmp_path: Path) -> None:
    files = make_certificate(tmp_path)
    shown = server_context(files)

    async def serve(stream: trio.SocketStream) -> None:
        secured = trio.SSLStream(stream, shown, server_side=True, https_compatible=True)
        try:
            await secured.receive_some(4_096)
            head = f"HTTP/1.1 200 OK\r\ncontent-length: {len(KEYS)}\r\n\r\n".encode()
            await secured.send_all(head + KEYS)
        except trio.BrokenResourceError:
            pass
        finally:
            await trio.aclose_forcefully(secured)

    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        port = listeners[0].socket.getsockname()[1]
        nursery.start_soon(trio.serve_listeners, serve, listeners)
        trusting = http_fetch(client_context(authority(files)))
        assert await trusting(f"https://127.0.0.1:{port}/keys") == KEYS
        assert "certificate" in (await refused(f"https://127.0.0.1:{port}/keys")).lower()
        nursery.cancel_scope.cancel()


async def test_rings_fetch_what_a_verifier_wants() -> None:
    async with publishing() as publisher, trio.open_nursery() as nursery:
        config = AuthConfig(jwks_url=publisher.url)
        verifier = TokenVerifier(config, token_max_bytes=4_096)
        rings = http_key_rings(verifier.published, config, ssl.create_default_context)
        nursery.start_soon(rings.run)
        await rings.renew("")
        assert verifier.verify(signed(KEY, kid="one"), NOW_MS).user == "ann"
        nursery.cancel_scope.cancel()


def test_where_nothing_is_published_nobody_is_trusted() -> None:
    def trust() -> ssl.SSLContext:
        raise AssertionError("reading authorities takes time")

    assert list(http_key_rings([], AuthConfig(), trust)) == []
