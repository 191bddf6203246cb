"""Sessions over TLS: how they come to be or do not, and that they are sessions like any other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import trio
from structlog.testing import capture_logs
from trio.testing import MockClock

from groupd.server.link import LinkBroken
from groupd.server.tls import secure
from groupd.testing.links import CAPACITY_BYTES, FakeLink, link_pair
from tests.certificates import HOSTS
from tests.e2e.raw import RawClient
from tests.server.bench import Bench, open_bench, settled
from tests.server.conftest import Contexts


def dialled(
    bench: Bench, contexts: Contexts, *, address: str = "10.0.0.1", capacity: int = CAPACITY_BYTES
) -> FakeLink:
    """Connect, and say nothing yet; the server may leave ``capacity`` bytes unread."""
    theirs, ours = link_pair(peers=(address, "server"))
    ours.capacity = capacity
    bench.server.admit_tls(ours, contexts.server)
    return theirs


async def entered(
    bench: Bench, contexts: Contexts, user: str, **options: Any
) -> tuple[RawClient, FakeLink]:
    """Connect and say hello over TLS; give the link below as well."""
    below = dialled(bench, contexts, **options)
    client = RawClient(await secure(below, contexts.client, host=HOSTS[0]))
    bench.clients.append(client)
    await client.hello(bench.token(user))
    return client, below


@pytest.fixture
def logged() -> Iterator[list[Any]]:
    with capture_logs() as lines:
        yield lines


def failures(logged: list[Any]) -> list[str]:
    return [line["reason"] for line in logged if line["event"] == "handshake_failed"]


async def test_members_over_tls_and_without_are_in_one_group(
    autojump_clock: MockClock, tls_contexts: Contexts
) -> None:
    async with open_bench() as bench:
        ann, _ = await entered(bench, tls_contexts, "ann")
        bob = await bench.enter("bob")
        group = await bench.found(ann, bob)
        await ann.ask("post", group=group, text="hello")
        assert (await bob.event("posted"))["text"] == "hello"
        await bob.ask("post", group=group, text="x" * 5_000)
        assert (await ann.event("posted", text="x" * 5_000))["user"] == "bob"


async def test_a_reader_that_is_too_slow_lags_and_recovers(
    autojump_clock: MockClock, tls_contexts: Contexts
) -> None:
    async with open_bench() as bench:
        ann = await bench.enter("ann")
        bob, below = await entered(bench, tls_contexts, "bob")
        group = await bench.found(ann, bob)
        texts = [f"{n} {'x' * 4_990}" for n in range(150)]
        seqs = [(await ann.ask("post", group=group, text=text))["seq"] for text in texts]
        await settled()
        assert below.unread_bytes == CAPACITY_BYTES
        while bob.pushes[-1:] != [("lagged", {"group": group, "head": seqs[-1]})]:
            assert await bob.receive()
        heard = [event["text"] for event in bob.events(group)]
        assert 0 < len(heard) < len(texts)
        assert heard == texts[: len(heard)]
        await ann.ask("post", group=group, text="live again")
        assert await bob.event("posted", text="live again")
        page = await bob.ask("history", group=group, after=seqs[len(heard) - 1], limit=5)
        assert [event["text"] for event in page["events"]] == texts[len(heard) :][:5]


async def test_a_client_that_dies_leaves_nothing_behind(
    autojump_clock: MockClock, tls_contexts: Contexts
) -> None:
    async with open_bench() as bench:
        ann = await bench.enter("ann")
        bob, below = await entered(bench, tls_contexts, "bob")
        group = await bench.found(ann, bob)
        below.cut()
        await ann.ask("post", group=group, text="hello")
        await settled()
        assert len(bench.server.sessions) == 1
        assert bench.remains()["addresses"] == 1


async def test_requests_that_come_with_the_handshake_are_answered(
    autojump_clock: MockClock, tls_contexts: Contexts
) -> None:
    async with open_bench() as bench:
        client = RawClient(
            await secure(dialled(bench, tls_contexts), tls_contexts.client, host=HOSTS[0])
        )
        bench.clients.append(client)
        # Before the server had its turn.
        hello, frame = client.frame("hello", {"token": bench.token("ann")})
        create, more = client.frame("create", {"name": "Tea"})
        assert client.link.try_send(frame + more)
        assert (await client.answer(hello))["user"] == "ann"
        assert (await client.answer(create))["group"]


async def test_a_handshake_that_never_comes_is_ended(
    autojump_clock: MockClock, tls_contexts: Contexts, logged: list[Any]
) -> None:
    async with open_bench() as bench:
        silent = dialled(bench, tls_contexts)
        halting = dialled(bench, tls_contexts)
        halting.try_send(b"\x16\x03\x01\x02\x00\x01")
        start = trio.current_time()
        for link in (silent, halting):
            assert await link.receive_some(100) == b""
        waited_ms = (trio.current_time() - start) * 1_000
        assert waited_ms == pytest.approx(bench.server.services.limits.hello_deadline_ms)
        assert failures(logged) == ["the TLS handshake is overdue"] * 2
        assert bench.remains()["addresses"] == 0


async def test_after_the_handshake_hello_is_awaited_as_ever(
    autojump_clock: MockClock, tls_contexts: Contexts
) -> None:
    async with open_bench() as bench:
        link = await secure(dialled(bench, tls_contexts), tls_contexts.client, host=HOSTS[0])
        goodbye = await RawClient(link).drain()
        assert goodbye is not None
        assert goodbye["code"] == "bad_request"
        await link.aclose()


async def test_a_client_without_tls_is_told_in_words_that_it_can_read(
    autojump_clock: MockClock, tls_contexts: Contexts, logged: list[Any]
) -> None:
    async with open_bench() as bench:
        client = RawClient(dialled(bench, tls_contexts))
        await client.send("hello", token="t")
        goodbye = await client.drain()
        assert goodbye is not None
        assert goodbye["code"] == "bad_request"
        assert "tls://" in goodbye["message"]
        assert failures(logged) == ["the other side does not speak TLS"]


async def test_a_client_with_tls_where_there_is_none_is_told_too(
    autojump_clock: MockClock, tls_contexts: Contexts
) -> None:
    async with open_bench() as bench:
        with pytest.raises(LinkBroken, match="does not speak TLS"):
            await secure(bench.link(), tls_contexts.client, host=HOSTS[0])


async def test_a_handshake_under_way_takes_a_place(
    autojump_clock: MockClock, tls_contexts: Contexts
) -> None:
    async with open_bench(limits={"connections_max": 3}) as bench:
        first, second = (dialled(bench, tls_contexts, address=f"10.0.0.{n}") for n in (1, 2))
        await bench.enter("ann")
        turned_away = dialled(bench, tls_contexts)
        assert await turned_away.receive_some(100) == b""
        assert (await bench.connect().drain() or {})["code"] == "rate_limited"
        # It keeps its place when it becomes a session, and leaves it when it fails.
        await secure(first, tls_contexts.client, host=HOSTS[0])
        await second.aclose()
        await settled()
        await bench.enter("bob")


async def test_handshakes_of_one_address_are_counted(
    autojump_clock: MockClock, tls_contexts: Contexts
) -> None:
    async with open_bench(limits={"connections_per_address_max": 1}) as bench:
        first = dialled(bench, tls_contexts)
        assert await dialled(bench, tls_contexts).receive_some(100) == b""
        await first.aclose()
        await settled()
        client, _ = await entered(bench, tls_contexts, "ann")
        assert await dialled(bench, tls_contexts).receive_some(100) == b""
        await client.close()
        await settled()
        await entered(bench, tls_contexts, "ann")


async def test_a_stopping_server_says_goodbye_also_to_who_has_just_come(
    autojump_clock: MockClock, tls_contexts: Contexts
) -> None:
    async with open_bench(delay=lambda: 300) as bench:
        ann, _ = await entered(bench, tls_contexts, "ann")
        asked = await ann.send("create", name="Tea")
        below = dialled(bench, tls_contexts)
        await settled()
        bench.nursery.start_soon(bench.server.stop)
        await settled()
        late = RawClient(await secure(below, tls_contexts.client, host=HOSTS[0]))
        for client in (late, ann):
            goodbye = await client.drain()
            assert goodbye is not None
            assert goodbye["code"] == "unavailable"
            await client.close()
        assert await ann.answer(asked)


async def test_a_server_that_is_cancelled_closes_what_is_in_the_middle_of_a_handshake(
    autojump_clock: MockClock, tls_contexts: Contexts
) -> None:
    async with open_bench() as bench:
        below = dialled(bench, tls_contexts)
        await settled()
    with trio.fail_after(1):
        assert await below.receive_some(100) == b""
