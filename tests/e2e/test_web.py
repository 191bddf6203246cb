"""The web listener of a real server: people who speak WebSocket talk with people who speak TCP."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import attrs
import pytest
import trio
from websockets.client import ClientProtocol
from websockets.frames import CloseCode
from websockets.protocol import OPEN
from websockets.uri import parse_uri

from groupd import app, client
from groupd.client import Client, GroupEvent
from groupd.client.system import system_ports
from groupd.server.certificates import client_context
from groupd.server.link import Link
from groupd.server.tls import connect_link
from groupd.server.websocket import WebSocketLink
from tests.certificates import authority, make_certificate
from tests.e2e.process import Groupd, Process, until
from tests.server.browser import Masking

REQUEST = (
    "GET /ws HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{more}\r\n"
)


@attrs.frozen
class Web:
    process: Process
    url: str
    context: ssl.SSLContext | None = None

    @property
    def netloc(self) -> str:
        return urlsplit(self.url).netloc

    async def link(self) -> Link:
        """Connect, without a word."""
        scheme = "tls" if self.context else "tcp"
        return await connect_link(f"{scheme}://{self.netloc}", self.context)

    async def ask(self, text: str) -> tuple[Link, bytes]:
        """Send what asks for something over HTTP; give the answer's head and what follows."""
        link = await self.link()
        await link.send_all(text.encode())
        answer = b""
        while b"\r\n\r\n" not in answer:
            piece = await link.receive_some(65_536)
            assert piece, answer
            answer += piece
        return link, answer

    async def get(self, path: str) -> bytes:
        link, answer = await self.ask(f"GET {path} HTTP/1.1\r\nHost: {self.netloc}\r\n\r\n")
        await link.aclose()
        return answer

    async def websocket(self) -> WebSocketLink:
        """Connect and agree on WebSocket."""
        link, answer = await self.ask(REQUEST.format(host=self.netloc, more=""))
        assert answer.startswith(b"HTTP/1.1 101 "), answer
        protocol = ClientProtocol(parse_uri("ws://x/ws"), state=OPEN, max_size=None)
        rest = answer.partition(b"\r\n\r\n")[2]
        return WebSocketLink(link, protocol, Masking(protocol), rest)

    @asynccontextmanager
    async def enter(self, user: str) -> AsyncIterator[Client]:
        """Speak as the SDK does, over WebSocket."""
        ports = attrs.evolve(system_ports(self.process.url), dial=lambda _url: self.websocket())
        async with client.connect(
            self.process.url, token=self.process.token(user), ports=ports, reconnect=False
        ) as entered:
            yield entered


@pytest.fixture(params=["http", "https"])
async def web(groupd: Groupd, request: pytest.FixtureRequest) -> AsyncIterator[Web]:
    options = ["--web", f"{request.param}://127.0.0.1:0"]
    context = None
    if request.param == "https":
        files = make_certificate(groupd.directory)
        options += ["--tls-cert", str(files.certificate), "--tls-key", str(files.key)]
        context = client_context(authority(files))
    async with groupd.serving(None, *options) as process:
        url = next(entry["web"] for entry in process.log() if entry["event"] == "serving")
        yield Web(process, url, context)
        assert not process.complaints()


async def test_people_at_websockets_and_at_tcp_read_the_same(web: Web) -> None:
    async with (
        web.enter("alice") as alice,
        app.connect(web.process.url, token=web.process.token("bob")) as bob,
    ):
        group = (await alice.create("西湖"))["group"]
        await bob.join(code=(await alice.share_link(group))["code"])
        streams = alice.events(), bob.events()
        await alice.post(group, text="从浏览器")
        await bob.post(group, text="from a terminal")
        heard = [[await _next_text(stream) for _ in range(2)] for stream in streams]
        assert heard[0] == heard[1] == ["从浏览器", "from a terminal"]


async def _next_text(stream: client.EventStream) -> str:
    while True:
        event = await anext(stream)
        if isinstance(event, GroupEvent) and event.kind == "posted":
            return str(event.fields["text"])


async def test_the_share_page_and_files_are_there_beside_it(web: Web) -> None:
    assert b" 404 " in (await web.get("/g/" + "A" * 38)).partition(b"\r\n")[0]
    page = await web.get("/share.css")
    assert page.startswith(b"HTTP/1.1 200 ")
    assert b"content-security-policy: default-src 'none'" in page
    assert b"/etc/passwd" not in await web.get("/../../../etc/passwd")


async def test_pages_of_elsewhere_may_not_open_a_websocket(web: Web) -> None:
    for origin, status in (
        ("https://evil.example", b"403"),
        (f"http://{web.netloc}", b"101"),
        (f"https://{web.netloc}", b"101"),
    ):
        asked = REQUEST.format(host=web.netloc, more=f"Origin: {origin}\r\n")
        link, answer = await web.ask(asked)
        assert answer.split()[1] == status
        await link.aclose()


async def test_what_is_not_the_protocol_is_told_so_by_goodbye_and_close_code(web: Web) -> None:
    link, answer = await web.ask(REQUEST.format(host=web.netloc, more=""))
    read = answer.partition(b"\r\n\r\n")[2]
    # A masked message of one byte that begins no MessagePack.
    await link.send_all(b"\x82\x81" + bytes(4) + b"\xc1")
    while piece := await link.receive_some(65_536):
        read += piece
    assert b"goodbye" in read
    assert read.endswith(b"\x88\x02" + CloseCode.INVALID_DATA.to_bytes(2))
    await link.aclose()


async def test_a_stopping_server_says_goodbye_and_closes(web: Web) -> None:
    link = await web.websocket()
    await web.process.terminate()
    said = b""
    while piece := await link.receive_some(65_536):
        said += piece
    assert b"goodbye" in said
    await link.aclose()


async def test_connections_that_are_gone_are_forgotten(web: Web) -> None:
    before = web.process.descriptors()
    links = [await web.websocket() for _ in range(20)]
    assert web.process.descriptors() >= before + 20
    for link in links:
        await link.aclose()
    await until(lambda: web.process.descriptors() <= before)


async def test_what_is_no_frame_ends_the_connection_and_nothing_else(web: Web) -> None:
    good = await web.websocket()
    link, _answer = await web.ask(REQUEST.format(host=web.netloc, more=""))
    await link.send_all(b"\xff" * 1_000)
    while await link.receive_some(65_536):
        pass
    await link.aclose()
    await good.send_all(b"\x94\x00\x01\xa4ping\x91\x80")
    with trio.fail_after(10):
        assert await good.receive_some(65_536)
    await good.aclose()
