"""Sessions behind a proxy: whose address counts, and what becomes of proxies that say nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from structlog.testing import capture_logs
from trio.testing import MockClock

from groupd.server.link import LinkBroken
from groupd.server.tls import secure
from groupd.testing.links import FakeLink, link_pair
from tests.certificates import HOSTS
from tests.e2e.raw import RawClient
from tests.server.bench import Bench, open_bench, settled
from tests.server.conftest import Contexts
from tests.server.headers import header, local, tcp, unix

PROXY = "10.0.0.9"
CLIENT = "203.0.113.7"


@pytest.fixture
def logged() -> Iterator[list[Any]]:
    with capture_logs() as lines:
        yield lines


def loud(logged: list[Any]) -> list[Any]:
    """Give what is in the log as it is by default."""
    return [line for line in logged if line["log_level"] != "debug"]


@asynccontextmanager
async def behind_a_proxy(**options: Any) -> AsyncIterator[Bench]:
    async with open_bench(trusted_proxies=("10.0.0.0/28",), **options) as bench:
        yield bench


def dialled(
    bench: Bench, said: bytes = b"", *, address: str = PROXY, contexts: Contexts | None = None
) -> FakeLink:
    """Connect and say something first."""
    theirs, ours = link_pair(peers=(address, "server"))
    bench.server.meet(ours, None if contexts is None else contexts.server)
    if said:
        assert theirs.try_send(said) == len(said)
    return theirs


def connected(bench: Bench, said: bytes, **options: Any) -> RawClient:
    client = RawClient(dialled(bench, said, **options))
    bench.clients.append(client)
    return client


async def ended(link: FakeLink) -> bool:
    try:
        return await link.receive_some(100) == b""
    except LinkBroken:
        return True


# --- whose address it is


async def test_a_session_has_the_address_of_its_client(
    autojump_clock: MockClock, logged: list[Any]
) -> None:
    async with behind_a_proxy() as bench:
        client = connected(bench, tcp(CLIENT))
        assert (await client.hello(bench.token("ann")))["user"] == "ann"
        assert bench.server._addresses == {CLIENT: 1}
        assert [line["peer"] for line in logged if line["event"] == "hello"] == [CLIENT]
        await client.close()
        await settled()
        assert bench.remains()["addresses"] == 0


async def test_a_header_may_come_byte_by_byte_and_with_the_first_request(
    autojump_clock: MockClock,
) -> None:
    async with behind_a_proxy() as bench:
        client = RawClient(dialled(bench))
        msgid, frame = client.frame("hello", {"token": bench.token("ann")})
        said = tcp(CLIENT, extensions=b"\x04\x00\x03abc")
        for byte in said:
            client.link.try_send(bytes([byte]))
            await settled()
        client.link.try_send(frame)
        assert (await client.answer(msgid))["user"] == "ann"
        other = connected(bench, tcp(CLIENT) + frame)
        assert (await other.answer(msgid))["user"] == "ann"
        await client.close()


async def test_the_limit_of_an_address_is_that_of_the_client_and_never_of_the_proxy(
    autojump_clock: MockClock,
) -> None:
    async with behind_a_proxy(limits={"connections_per_address_max": 2}) as bench:
        for number in range(8):
            client = connected(bench, tcp(f"203.0.113.{number}"))
            await client.hello(bench.token(f"user{number}"))
        await connected(bench, tcp("203.0.113.1")).hello(bench.token("user1"))
        goodbye = await connected(bench, tcp("203.0.113.1")).drain()
        assert goodbye is not None
        assert goodbye["code"] == "rate_limited"


async def test_a_client_that_has_an_address_in_a_trusted_network_is_counted_as_well(
    autojump_clock: MockClock,
) -> None:
    async with behind_a_proxy(limits={"connections_per_address_max": 1}) as bench:
        await connected(bench, tcp(PROXY)).hello(bench.token("ann"))
        goodbye = await connected(bench, tcp(PROXY)).drain()
        assert goodbye is not None
        assert goodbye["code"] == "rate_limited"


async def test_clients_of_the_proxys_unix_socket_are_let_in(autojump_clock: MockClock) -> None:
    async with behind_a_proxy(limits={"connections_per_address_max": 1}) as bench:
        for user in ("ann", "bob"):
            await connected(bench, unix()).hello(bench.token(user))


async def test_tls_comes_behind_the_header(
    autojump_clock: MockClock, tls_contexts: Contexts
) -> None:
    async with behind_a_proxy() as bench:
        below = dialled(bench, tcp(CLIENT), contexts=tls_contexts)
        client = RawClient(await secure(below, tls_contexts.client, host=HOSTS[0]))
        bench.clients.append(client)
        assert (await client.hello(bench.token("ann")))["user"] == "ann"
        assert bench.server._addresses == {CLIENT: 1}


# --- who may not say so


async def test_nobody_else_can_forge_an_address(
    autojump_clock: MockClock, tls_contexts: Contexts, logged: list[Any]
) -> None:
    async with behind_a_proxy() as bench:
        client = connected(bench, tcp(CLIENT), address="10.0.0.99")
        goodbye = await client.drain()
        assert goodbye is not None
        assert goodbye["code"] == "bad_request"
        assert CLIENT not in str(logged)
        over_tls = dialled(bench, tcp(CLIENT), address="10.0.0.99", contexts=tls_contexts)
        await RawClient(over_tls).drain()
        assert [line["peer"] for line in logged if line["event"] == "handshake_failed"] == [
            "10.0.0.99"
        ]


async def test_a_client_behind_the_proxy_cannot_forge_one_either(
    autojump_clock: MockClock,
) -> None:
    async with behind_a_proxy() as bench:
        client = connected(bench, tcp(CLIENT) + tcp("198.51.100.1"))
        goodbye = await client.drain()
        assert goodbye is not None
        assert goodbye["code"] == "bad_request"


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (b"\x94\x00\x01\xa4ping\x91\x80 and more", "something else"),
        (b"PROXY TCP4 203.0.113.7 192.0.2.1 5 6\r\n", "version 1"),
        (header(1, 0x11, bytes(3)), "too short"),
        (header(1, 0x11, bytes(9_000)), "longer than"),
    ],
)
async def test_a_proxy_without_a_header_is_told_and_logged(
    autojump_clock: MockClock, logged: list[Any], said: bytes, why: str
) -> None:
    async with behind_a_proxy() as bench:
        client = connected(bench, said)
        goodbye = await client.drain()
        assert goodbye is not None
        assert goodbye["code"] in ("bad_request", "too_large")
        assert why in goodbye["message"]
        await client.close()
        await settled()
        (line,) = loud(logged)
        assert (line["event"], line["peer"]) == ("proxy_refused", PROXY)
        assert why in line["reason"]
        assert bench.server.turned_away == 1
        assert bench.server._arriving == 0


async def test_over_tls_it_is_closed_without_a_word(
    autojump_clock: MockClock, tls_contexts: Contexts, logged: list[Any]
) -> None:
    async with behind_a_proxy() as bench:
        with pytest.raises(LinkBroken):
            await secure(dialled(bench, contexts=tls_contexts), tls_contexts.client, host=HOSTS[0])
        await settled()
        assert [line["event"] for line in loud(logged)] == ["proxy_refused"]


async def test_a_header_that_does_not_come_is_not_waited_for(
    autojump_clock: MockClock, logged: list[Any]
) -> None:
    async with behind_a_proxy() as bench:
        links = dialled(bench), dialled(bench, tcp(CLIENT)[:20])
        start = trio.current_time()
        for link in links:
            assert await ended(link)
        waited_ms = (trio.current_time() - start) * 1_000
        assert waited_ms == pytest.approx(bench.server.services.limits.hello_deadline_ms)
        await settled()
        assert ["overdue" in line["reason"] for line in loud(logged)] == [True, True]


async def test_a_header_cut_short_is_logged(autojump_clock: MockClock, logged: list[Any]) -> None:
    async with behind_a_proxy() as bench:
        await dialled(bench, tcp(CLIENT)[:20]).aclose()
        await settled()
        assert ["in the middle" in line["reason"] for line in loud(logged)] == [True]


# --- proxies that only look whether somebody is there


async def test_looking_whether_somebody_is_there_leaves_no_line_in_the_log(
    autojump_clock: MockClock, tls_contexts: Contexts, logged: list[Any]
) -> None:
    async with behind_a_proxy(limits={"connections_per_address_max": 1}) as bench:
        for contexts in (None, tls_contexts):
            for said in (b"", local(), local(bytes(40), family=0x11)):
                closed = dialled(bench, said, contexts=contexts)
                await settled()
                await closed.aclose()
                cut = dialled(bench, said, contexts=contexts)
                await settled()
                cut.cut()
                dialled(bench, said, contexts=contexts).send_eof()
        await settled()
        assert loud(logged) == []
        assert bench.remains()["sessions"] == 0
        assert bench.remains()["addresses"] == 0
        assert bench.server._arriving == 0


async def test_what_a_proxy_does_for_itself_counts_against_no_address(
    autojump_clock: MockClock,
) -> None:
    async with behind_a_proxy(limits={"connections_per_address_max": 1}) as bench:
        for user in ("ann", "bob", "eve"):
            await connected(bench, local()).hello(bench.token(user))


# --- the server's own bounds


async def test_who_has_not_said_for_whom_takes_a_place(autojump_clock: MockClock) -> None:
    async with behind_a_proxy(limits={"connections_max": 2}) as bench:
        first, second = dialled(bench), dialled(bench)
        assert await ended(dialled(bench))
        assert bench.server.turned_away == 1
        first.try_send(tcp(CLIENT))
        await settled()
        await second.aclose()
        await settled()
        await connected(bench, tcp(CLIENT)).hello(bench.token("ann"))


async def test_a_stopping_server_says_so_also_behind_a_proxy(autojump_clock: MockClock) -> None:
    async with behind_a_proxy() as bench:
        client = RawClient(dialled(bench))
        await settled()
        await bench.server.stop()
        client.link.try_send(tcp(CLIENT))
        goodbye = await client.drain()
        assert goodbye is not None
        assert goodbye["code"] == "unavailable"
        await client.close()
        assert await ended(dialled(bench))


async def test_a_server_that_is_cancelled_closes_who_has_not_said_for_whom(
    autojump_clock: MockClock,
) -> None:
    async with behind_a_proxy() as bench:
        link = dialled(bench)
        await settled()
    with trio.fail_after(1):
        assert await ended(link)
