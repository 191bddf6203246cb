"""How a server ends: what is under way is answered, everybody is told, and nothing stays open."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from groupd.domain.base import GROUP, StreamKey
from groupd.server.addresses import listener_url, open_listeners
from groupd.server.link import LinkBroken, connect_socket
from groupd.storage.memory import MemoryStore
from tests.e2e.raw import RawClient
from tests.server.bench import Bench, open_bench, settled


async def test_everybody_is_told_and_requests_under_way_are_answered(
    autojump_clock: MockClock,
) -> None:
    async with open_bench(delay=lambda: 300) as bench:
        ann, bob, stranger = await bench.enter("ann"), await bench.enter("bob"), bench.connect()
        group = await bench.found(ann, bob)
        posts = [await ann.send("post", group=group, text=f"{n}") for n in range(30)]
        await settled()
        bench.nursery.start_soon(bench.server.stop)
        await settled()
        for client in (ann, bob, stranger):
            goodbye = await client.drain()
            assert goodbye is not None
            assert goodbye["code"] == "unavailable"
            assert 0 < goodbye["retry_after_ms"] <= 6_000
            await client.close()
        seqs = [(await ann.answer(msgid))["seq"] for msgid in posts]
        assert seqs == list(range(seqs[0], seqs[0] + 30))
        await settled()
        assert not bench.server.sessions


async def test_a_stop_waits_although_everybody_had_left_once_before(
    autojump_clock: MockClock,
) -> None:
    async with open_bench(delay=lambda: 300) as bench:
        early = await bench.enter("early")
        await early.close()
        await settled()
        assert not bench.server.sessions
        ann = await bench.enter("ann")
        founding = await ann.send("create", name="Tea")
        await settled()
        stopped = trio.Event()

        async def stop() -> None:
            await bench.server.stop()
            stopped.set()

        bench.nursery.start_soon(stop)
        await settled()
        assert not stopped.is_set()
        goodbye = await ann.drain()
        assert await ann.answer(founding)
        assert goodbye is not None
        await ann.close()
        await stopped.wait()


async def test_a_read_under_way_is_answered_too(autojump_clock: MockClock) -> None:
    async with open_bench(delay=lambda: 300) as bench:
        ann = await bench.enter("ann")
        group = await bench.found(ann)
        asked = await ann.send("history", group=group)
        await settled()
        bench.nursery.start_soon(bench.server.stop)
        assert await ann.drain() is not None
        assert (await ann.answer(asked))["head"] == 2


async def test_reconnects_are_spread(autojump_clock: MockClock) -> None:
    async with open_bench() as bench:
        clients = [await bench.enter(f"user{n}") for n in range(50)]
        bench.nursery.start_soon(bench.server.stop)
        waits = set()
        for client in clients:
            goodbye = await client.drain()
            assert goodbye is not None
            waits.add(goodbye["retry_after_ms"])
        assert len(waits) > 40


async def test_whoever_comes_while_it_stops_is_turned_away(autojump_clock: MockClock) -> None:
    async with open_bench(delay=lambda: 500) as bench:
        ann = await bench.enter("ann")
        await ann.send("create", name="Tea")
        await settled()
        bench.nursery.start_soon(bench.server.stop)
        await settled()
        late = bench.connect()
        goodbye = await late.drain()
        assert goodbye is not None
        assert goodbye["code"] == "unavailable"
        assert goodbye["retry_after_ms"] > 0


async def test_a_client_that_never_reads_does_not_hold_up_the_end(
    autojump_clock: MockClock,
) -> None:
    async with open_bench() as bench:
        ann, slow = await bench.enter("ann"), await bench.enter("slow")
        group = await bench.found(ann, slow)
        for _ in range(50):
            await ann.ask("post", group=group, text="x" * 4_000)
        began = trio.current_time()
        bench.nursery.start_soon(ann.drain)
        await bench.server.stop()
        assert trio.current_time() - began < 5


async def test_a_store_that_hangs_does_not_hold_up_the_end_for_ever(
    autojump_clock: MockClock,
) -> None:
    slow = 0
    async with open_bench(delay=lambda: slow) as bench:
        ann = await bench.enter("ann")
        slow = 50_000
        await ann.send("create", name="Tea")
        await settled()
        began = trio.current_time()
        bench.nursery.start_soon(ann.drain)
        await bench.server.stop()
        assert trio.current_time() - began <= 21
        slow = 0


async def test_the_listener_is_closed_at_once(autojump_clock: MockClock) -> None:
    async with open_bench() as bench:
        listeners = open_listeners("tcp://127.0.0.1:0", 16)
        url = listener_url(listeners[0])
        bench.nursery.start_soon(bench.server.listen, listeners)
        await settled()
        client = RawClient(await connect_socket(url))
        await client.hello(bench.token("ann"))
        bench.nursery.start_soon(bench.server.stop)
        assert await client.drain() is not None
        with pytest.raises(LinkBroken):
            await connect_socket(url)
        await client.close()


async def test_each_actor_leaves_a_snapshot(autojump_clock: MockClock) -> None:
    store = KeptStore("store")
    group = ""
    async with open_bench(store=store) as bench:
        ann = await bench.enter("ann")
        group = await bench.found(ann)
        await ann.ask("post", group=group, text="x")
        assert store.snapshot(StreamKey(GROUP, "", group)) is None
        bench.nursery.start_soon(bench.server.stop)
        await ann.drain()
        await ann.close()
    snapshot = store.snapshot(StreamKey(GROUP, "", group))
    assert snapshot is not None
    assert snapshot.seq == 3


class KeptStore(MemoryStore):
    """A store that can still be looked at when the server has closed it."""

    def close(self) -> None:
        pass


async def test_a_goodbye_arrives_although_more_was_on_its_way(autojump_clock: MockClock) -> None:
    """Over real sockets: unread bytes at closing would reset the connection."""
    async with open_bench(limits={"connections_per_address_max": 1}) as bench:
        await over_tcp(bench)


async def over_tcp(bench: Bench) -> None:
    listeners = open_listeners("tcp://127.0.0.1:0", 16)
    url = listener_url(listeners[0])
    bench.nursery.start_soon(bench.server.listen, listeners)
    first = RawClient(await connect_socket(url))
    await first.hello(bench.token("ann"))
    turned_away = RawClient(await connect_socket(url))
    await turned_away.send("hello", token=bench.token("bob"))
    goodbye = await turned_away.drain()
    assert goodbye is not None
    assert goodbye["code"] == "rate_limited"
    await first.send_bytes(b"\xc1" + bytes(60_000))
    goodbye = await first.drain()
    assert goodbye is not None
    assert goodbye["code"] == "bad_request"
    await first.close()
    await turned_away.close()
