"""The web listener: its files, and the way from HTTP into a WebSocket."""

from __future__ import annotations

import pytest
import trio

from groupd.config_web import WebConfig
from groupd.errors import ConfigError
from groupd.server.http import HttpLimits, HttpRequest, HttpServer
from groupd.server.link import Link
from groupd.testing.links import FakeLink, link_pair
from groupd.web.assets import Assets, package_files
from groupd.web.site import SECURITY, Site

ASKED = (
    b"GET /ws HTTP/1.1\r\nHost: groupd.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: groupd\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)


class Door:
    """A site, and the links that it let in."""

    def __init__(self, config: WebConfig | None = None, *, trusted: tuple[str, ...] = ()) -> None:
        self.admitted: list[Link] = []
        self.site = Site(
            config or WebConfig(),
            admit=self.admitted.append,
            frame_max_bytes=65_536,
            assets=Assets(package_files(), SECURITY),
            pages={},
            trusts=lambda address: address in trusted,
        )

    async def ask(self, sent: bytes) -> tuple[str, dict[str, str], FakeLink]:
        """Send a request; give the status line, the headers and the client's end."""
        client, server = link_pair(capacity=1 << 20)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(HttpServer(self.site.handle, HttpLimits()).serve, server)
            await client.send_all(sent)
            head = b""
            while b"\r\n\r\n" not in head:
                head += await client.receive_some(65_536)
            nursery.cancel_scope.cancel()
        first, *lines = head.partition(b"\r\n\r\n")[0].decode().split("\r\n")
        return first, dict(line.split(": ", 1) for line in lines), client


async def test_a_browser_is_let_in_by_the_names_that_headers_have() -> None:
    door = Door()
    status, headers, _ = await door.ask(ASKED + b"\r\n")

    assert status.startswith("HTTP/1.1 101")
    assert headers["sec-websocket-accept"] == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    assert headers["sec-websocket-protocol"] == "groupd"
    assert len(door.admitted) == 1


def test_the_page_of_the_chat_is_told_where_to_sign_in() -> None:
    address = 'https://app.example/in?a=1&b="2"'
    page = package_files(sign_in_url=address)["/chat.html"]
    plain = package_files()["/chat.html"]

    told = '<meta name="groupd-sign-in" content="https://app.example/in?a=1&amp;b=&quot;2&quot;">'
    assert told in page.body.decode().partition("</head>")[0]
    assert page.etag != plain.etag
    assert b"sign-in" not in plain.body


@pytest.mark.parametrize("origin", ["http://groupd.example", "https://groupd.example"])
async def test_pages_of_here_are_let_in(origin: str) -> None:
    status, _, _ = await Door().ask(ASKED + f"Origin: {origin}\r\n\r\n".encode())
    assert status.startswith("HTTP/1.1 101")


async def test_pages_of_elsewhere_are_not_unless_they_are_named() -> None:
    evil = b"Origin: https://evil.example\r\n\r\n"
    door = Door()
    status, _, _ = await door.ask(ASKED + evil)
    assert status.startswith("HTTP/1.1 403")
    assert door.admitted == []
    named = Door(WebConfig(origins=("https://evil.example",)))
    assert (await named.ask(ASKED + evil))[0].startswith("HTTP/1.1 101")


@pytest.mark.parametrize(
    ("path", "content_type"),
    [
        ("/chat", "text/html; charset=utf-8"),
        ("/chat/main.js", "text/javascript; charset=utf-8"),
        ("/chat/chat.css", "text/css; charset=utf-8"),
        ("/client/index.js", "text/javascript; charset=utf-8"),
    ],
)
async def test_the_files_of_the_chat_are_there(path: str, content_type: str) -> None:
    site = Door().site
    answer = await site.handle(HttpRequest("GET", path))
    assert (answer.status, answer.content_type) == (200, content_type)
    assert answer.headers["content_security_policy"] == SECURITY["content_security_policy"]
    # Modules of two versions do not fit: each is asked for anew, and mostly not sent again.
    assert answer.headers["cache_control"] == "no-cache"
    known = {"if-none-match": answer.headers["etag"]}
    assert (await site.handle(HttpRequest("GET", path, headers=known))).status == 304


@pytest.mark.parametrize("path", ["/../secret", "/chat/../../site.py", "/nothing"])
async def test_nothing_else_is(path: str) -> None:
    answer = await Door().site.handle(HttpRequest("GET", path))
    assert answer.status == 404


@pytest.mark.parametrize(
    ("trusted", "forwarded", "peer"),
    [
        ((), "203.0.113.9", "fake-a"),
        (("fake-a",), "203.0.113.9", "203.0.113.9"),
        (("fake-a",), "203.0.113.9, 198.51.100.7", "198.51.100.7"),
        (("fake-a", "10.0.0.1"), "203.0.113.9, 10.0.0.1", "203.0.113.9"),
        (("fake-a",), "2001:db8::1", "2001:db8::1"),
        (("fake-a",), "somebody", "fake-a"),
        (("fake-a",), "", "fake-a"),
    ],
)
async def test_a_connection_is_of_whom_a_trusted_proxy_says(
    trusted: tuple[str, ...], forwarded: str, peer: str
) -> None:
    door = Door(trusted=trusted)
    await door.ask(ASKED + f"X-Forwarded-For: {forwarded}\r\n\r\n".encode())

    assert [link.peer for link in door.admitted] == [peer]


async def test_who_comes_without_a_path_is_shown_the_chat() -> None:
    answer = await Door().site.handle(HttpRequest("GET", "/"))
    assert (answer.status, answer.headers["location"]) == (302, "/chat")


@pytest.mark.parametrize("url", ["https://app.example/in", "http://app.example/?from=chat", "/in"])
def test_a_page_to_sign_in_is_one_of_http_or_a_path(url: str) -> None:
    assert WebConfig(sign_in_url=url).sign_in_url == url


@pytest.mark.parametrize(
    "url",
    [
        *("", "in", "//evil.example/in", "/\\evil.example", "javascript:alert(1)", "https://"),
        *(
            "https://me:secret@app.example/in",
            "https://app.example/#in",
            "ftp://app.example/",
            "/a b",
        ),
    ],
)
def test_anything_else_is_no_page_to_sign_in(url: str) -> None:
    with pytest.raises(ConfigError, match="sign_in_url"):
        WebConfig(sign_in_url=url)
