"""Connections that begin something and never go on with it: all are let go, and cost little."""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from typing import Final, TypeAlias

import trio

from groupd.server.certificates import client_context
from groupd.server.link import Link, LinkBroken, connect_socket
from groupd.server.tls import secure
from tests.attack.rig import configured, many_descriptors
from tests.certificates import HOSTS, authority, make_certificate
from tests.e2e.process import Groupd, until
from tests.e2e.raw import RawClient, request
from tests.e2e.test_bad_input import undisturbed

MANY: Final = 200
FEWER: Final = 50
"""Of those that take the client as much work as the server."""
BEFORE_HELLO_MAX_BYTES: Final = 65_536
"""What one connection may cost before it has said hello."""
AFTER_HELLO_MAX_BYTES: Final = 524_288
DEADLINE_MS: Final = 8_000
HALF_A_HELLO: Final = request(1, "hello", {"token": "x" * 4_000})[:-20]
HALF_A_POST: Final = request(2, "post", {"group": "x", "text": "x" * 60_000})[:-20]

Begin: TypeAlias = Callable[[], Awaitable[Link]]


def client_hello(context: ssl.SSLContext) -> bytes:
    """Give the first bytes of a handshake."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname=HOSTS[0])
    with suppress(ssl.SSLWantReadError):
        tls.do_handshake()
    return outgoing.read()


async def said(url: str, data: bytes) -> Link:
    link = await connect_socket(url)
    if data:
        await link.send_all(data)
    return link


async def last_word(link: Link) -> bytes:
    """Read until the server has ended it; give what it has said."""
    heard = b""
    with suppress(LinkBroken):
        while data := await link.receive_some(65_536):
            heard += data
    await link.aclose()
    return heard


async def test_who_begins_and_never_goes_on_is_let_go_in_time_and_costs_little(
    groupd: Groupd,
) -> None:
    files = make_certificate(groupd.directory)
    context = client_context(authority(files))
    hello = client_hello(context)
    options = (
        *configured(
            groupd,
            hello_deadline_ms=DEADLINE_MS,
            half_frame_deadline_ms=DEADLINE_MS,
            connections_per_address_max=3_000,
            connections_per_user_max=1_000,
        ),
        *("--listen", "tls://127.0.0.1:0"),
        *("--tls-cert", str(files.certificate), "--tls-key", str(files.key)),
    )
    async with groupd.serving(None, *options) as server, AsyncExitStack() as stack:
        stack.enter_context(many_descriptors(4_096))
        tcp, tls = next(entry["urls"] for entry in server.log() if entry["event"] == "serving")

        async def shaken() -> Link:
            return await secure(await connect_socket(tls), context, host=HOSTS[0])

        token = server.token("eve")

        async def known() -> Link:
            client = RawClient(await connect_socket(tcp))
            await client.hello(token, events=False)
            await client.send_bytes(HALF_A_POST)
            return client.link

        kinds: dict[str, tuple[int, Begin]] = {
            "nothing": (MANY, lambda: said(tcp, b"")),
            "half a hello": (MANY, lambda: said(tcp, HALF_A_HELLO)),
            "no handshake": (MANY, lambda: said(tls, b"")),
            "half a handshake": (MANY, lambda: said(tls, hello[: len(hello) // 2])),
            "a handshake without its end": (MANY, lambda: said(tls, hello)),
            "a handshake and nothing": (FEWER, shaken),
            "half a frame": (FEWER, known),
        }
        await stack.enter_async_context(undisturbed(server))
        for _count, begin in kinds.values():
            await (await begin()).aclose()
        start = server.descriptors()
        began = trio.current_time()
        links: list[tuple[str, Link]] = []
        for kind, (count, begin) in kinds.items():
            before = server.status_bytes("VmRSS")
            for _ in range(count):
                links.append((kind, await begin()))
                stack.push_async_callback(links[-1][1].aclose)
            # Of those that were tried before, some may have been counted at the start.
            held = start + len(links) - len(kinds)
            await until(lambda held=held: server.descriptors() >= held)  # type: ignore[misc]
            each = (server.status_bytes("VmRSS") - before) / count
            print(f"{kind}: {each / 1_024:.1f} kB each")
            known_already = kind == "half a frame"
            assert each <= (AFTER_HELLO_MAX_BYTES if known_already else BEFORE_HELLO_MAX_BYTES), (
                kind
            )
        print(f"{len(links)} were begun in {trio.current_time() - began:.1f} s")

        # Now nobody says anything more, and the server does not wait for ever.
        heard: dict[str, set[bytes]] = {kind: set() for kind in kinds}

        async def listen(kind: str, link: Link) -> None:
            heard[kind].add(await last_word(link))

        with trio.fail_after(DEADLINE_MS / 1_000 + 20):
            async with trio.open_nursery() as nursery:
                for kind, link in links:
                    nursery.start_soon(listen, kind, link)
        assert trio.current_time() - began >= DEADLINE_MS / 1_000 * 0.9
        for kind in ("nothing", "half a hello", "a handshake and nothing", "half a frame"):
            # Each says another time to come back at.
            for word in heard[kind]:
                assert b"goodbye" in word, kind
                assert b"bad_request" in word, kind
        # Without a session there is nobody to say goodbye to.
        assert heard["no handshake"] == heard["half a handshake"] == {b""}
        await until(lambda: server.descriptors() <= start)
    assert not server.complaints()
