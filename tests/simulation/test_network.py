"""The simulated network: it keeps what ``Link`` promises, and breaks what it is told to break."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from random import Random
from typing import Final

import attrs
import pytest
import trio
from trio.testing import MockClock

from groupd.errors import ConfigError
from groupd.server.link import Link, LinkBroken
from groupd.testing.simulation import network_faults
from groupd.testing.simulation.network import NetworkFaults, SimLink, SimNetwork
from groupd.testing.simulation.schedule import run
from tests.server.bench import settled

URL: Final = "tcp://example:7400"
SEEDS: Final = range(25)
CALM: Final = NetworkFaults()
HOURS_S: Final = 24 * 3_600.0
"""Of virtual time, in which whatever is to end has ended."""


@attrs.define(eq=False)
class Bench:
    """A network that runs, and the server's ends of what was dialled, in their order."""

    network: SimNetwork
    nursery: trio.Nursery
    accepted: list[SimLink] = attrs.field(factory=list)

    def listen(self) -> None:
        self.network.listen(self.accept)

    def accept(self, link: Link) -> None:
        assert isinstance(link, SimLink)
        self.accepted.append(link)

    async def pair(self) -> tuple[SimLink, SimLink]:
        """Dial; give the client's end and the server's."""
        client = await self.network.dial(URL)
        assert isinstance(client, SimLink)
        return client, self.accepted[-1]


@asynccontextmanager
async def open_network(faults: NetworkFaults = CALM, seed: int = 0) -> AsyncIterator[Bench]:
    # What waits for ever is a failure, not a test that never ends.
    with trio.fail_after(10 * HOURS_S):
        async with _open_network(faults, seed) as bench:
            yield bench


@asynccontextmanager
async def _open_network(faults: NetworkFaults, seed: int) -> AsyncIterator[Bench]:
    async with trio.open_nursery() as nursery:
        bench = Bench(SimNetwork(Random(seed), faults), nursery)
        bench.listen()
        nursery.start_soon(bench.network.run)
        yield bench
        nursery.cancel_scope.cancel()


def without_cuts(seed: int) -> NetworkFaults:
    drawn = NetworkFaults.drawn(Random(seed))
    return attrs.evolve(drawn, cut_after_bytes=None, refuse_chance=0, silence_chance=0)


async def send_in_pieces(link: SimLink, data: bytes, draw: Random) -> None:
    """Send by every way there is, in pieces of any size; end by saying so."""
    rest = data
    while rest:
        piece = rest[: draw.randint(1, 2_000)]
        way = draw.randrange(3)
        if way == 0:
            await link.send_all(piece)
            rest = rest[len(piece) :]
        elif way == 1:
            rest = rest[link.try_send(piece) :]
        else:
            try:
                rest = rest[link.send(piece) :]
            except BlockingIOError:
                await trio.sleep(draw.random())
    link.send_eof()


async def read_to_end(link: SimLink, draw: Random | None = None) -> bytes:
    """Read all; gives what came before the end, or before the link broke."""
    read = bytearray()
    try:
        while data := await link.receive_some(draw.randint(1, 5_000) if draw else 65_536):
            read += data
    except LinkBroken:
        pass
    return bytes(read)


async def watch_to_end(link: SimLink) -> bytes:
    """Read all as a session does: called by the network, one read for each call."""
    read, ended = bytearray(), trio.Event()

    def ready() -> None:
        try:
            data = link.try_receive(1_000)
        except LinkBroken:
            data = b""
        if data:
            read.extend(data)
        elif data is not None:
            link.unwatch()
            ended.set()

    link.watch(ready)
    await ended.wait()
    return bytes(read)


async def both(
    first: Callable[[], Awaitable[bytes]], second: Callable[[], Awaitable[bytes]]
) -> list[bytes]:
    results = [b"", b""]

    async def keep(place: int, get: Callable[[], Awaitable[bytes]]) -> None:
        results[place] = await get()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(keep, 0, first)
        nursery.start_soon(keep, 1, second)
    return results


# --- bytes


@pytest.mark.parametrize("seed", SEEDS)
async def test_bytes_arrive_whole_and_in_order_whatever_is_wrong_but_a_cut(
    seed: int, autojump_clock: MockClock
) -> None:
    draw = Random(seed)
    there, back = draw.randbytes(15_000), draw.randbytes(15_000)
    async with open_network(without_cuts(seed), seed) as bench:
        client, server = await bench.pair()
        bench.nursery.start_soon(send_in_pieces, client, there, draw)
        bench.nursery.start_soon(send_in_pieces, server, back, draw)
        with trio.fail_after(HOURS_S):
            got = await both(lambda: read_to_end(client, draw), lambda: watch_to_end(server))
    assert got == [back, there]


async def test_what_is_sent_arrives_in_chunks_and_takes_time(autojump_clock: MockClock) -> None:
    async with open_network(NetworkFaults(chunk_max_bytes=3, latency_ms=(20, 30))) as bench:
        client, server = await bench.pair()
        chunks: list[bytes | None] = []
        server.watch(lambda: chunks.append(server.try_receive(1_000)))
        await client.send_all(bytes(range(100)))
        await trio.sleep(0.019)
        assert chunks == []
        await trio.sleep(0.012)
    assert b"".join(filter(None, chunks)) == bytes(range(100))
    assert {len(chunk or b"") for chunk in chunks} == {1, 2, 3}


async def test_a_reader_that_does_not_read_holds_up_the_sender_in_bounded_memory(
    autojump_clock: MockClock,
) -> None:
    async with open_network(NetworkFaults(capacity_bytes=1_000, chunk_max_bytes=50)) as bench:
        client, server = await bench.pair()
        assert client.try_send(bytes(700)) == 700
        assert client.try_send(bytes(700)) == 300
        assert client.try_send(b"more") == 0
        with pytest.raises(BlockingIOError):
            client.send(b"more")
        assert client.send(b"") == 0
        bench.nursery.start_soon(client.send_all, bytes(5_000))
        await trio.sleep(60)
        assert server.unread_bytes == bench.network.held_bytes == 1_000
        # The other direction is not held up.
        assert server.try_send(bytes(2_000)) == 1_000
        read = 0
        while read < 6_000:
            read += len(await server.receive_some(400))
            assert client.outgoing.held_bytes <= 1_000
        assert server.try_receive(1) is None


async def test_chunks_on_their_way_are_bounded_too(autojump_clock: MockClock) -> None:
    async with open_network(NetworkFaults(capacity_bytes=9_000, chunk_max_bytes=1)) as bench:
        client, server = await bench.pair()
        assert client.try_send(bytes(9_000)) == 1_024
        bench.nursery.start_soon(client.send_all, bytes(5_000))
        await trio.sleep(60)
        assert server.unread_bytes == 6_024


async def test_only_one_task_sends_all(autojump_clock: MockClock) -> None:
    async with open_network(NetworkFaults(capacity_bytes=10)) as bench:
        client, _ = await bench.pair()
        bench.nursery.start_soon(client.send_all, bytes(100))
        await settled()
        with pytest.raises(trio.BusyResourceError):
            await client.send_all(b"x")


async def test_a_receive_that_is_cancelled_has_taken_nothing(autojump_clock: MockClock) -> None:
    async with open_network() as bench:
        client, server = await bench.pair()
        with trio.move_on_after(1) as scope:
            await server.receive_some(10)
        assert scope.cancelled_caught
        await client.send_all(b"hello")
        with trio.CancelScope() as scope:
            scope.cancel()
            await server.receive_some(10)
        await trio.sleep(1)
        assert await server.receive_some(10) == b"hello"


async def test_a_stalled_receiver_gets_everything_later(autojump_clock: MockClock) -> None:
    faults = NetworkFaults(chunk_max_bytes=10, stall_chance=1, stall_ms=(3_000, 3_000))
    async with open_network(faults) as bench:
        client, server = await bench.pair()
        await client.send_all(bytes(11))
        await trio.sleep(2)
        assert 0 < server.unread_bytes < 11
        await trio.sleep(60)
        assert server.unread_bytes == 11
    assert bench.network.counters.stalls >= 2


# --- watching


async def test_whoever_watches_is_called_again_while_there_is_something_to_read(
    autojump_clock: MockClock,
) -> None:
    async with open_network() as bench:
        client, server = await bench.pair()
        calls: list[bytes | None] = []
        ended = trio.Event()

        def read_one() -> None:
            calls.append(server.try_receive(1))
            if calls.count(b"") == 3:
                server.unwatch()
                ended.set()

        server.watch(read_one)
        await client.send_all(b"abc")
        await trio.sleep(1)
        assert calls == [b"a", b"b", b"c"]
        client.send_eof()
        await ended.wait()
        server.unwatch()
        await trio.sleep(1)
        assert calls == [b"a", b"b", b"c", b"", b"", b""]
        # What can be read already is noticed as well, also where that is the end.
        again = trio.Event()

        def ready() -> None:
            again.set()
            server.unwatch()

        server.watch(ready)
        await again.wait()


async def test_a_link_that_another_one_has_ended_is_not_called_in_that_round(
    autojump_clock: MockClock,
) -> None:
    for seed in SEEDS:
        async with open_network(NetworkFaults(latency_ms=(1, 1)), seed) as bench:
            pairs = [await bench.pair() for _ in range(3)]
            calls: list[SimLink] = []

            def ready(mine: SimLink, servers: list[SimLink], calls: list[SimLink]) -> None:
                calls.append(mine)
                for server in servers:
                    server.close() if server is not mine else server.unwatch()

            servers = [server for _, server in pairs]
            for client, server in pairs:
                server.watch(partial(ready, server, servers, calls))
                client.try_send(b"x")
            await trio.sleep(1)
        assert len(calls) == 1


async def test_the_order_within_a_round_is_drawn_from_the_seed(autojump_clock: MockClock) -> None:
    async def order(seed: int) -> list[int]:
        async with open_network(NetworkFaults(latency_ms=(1, 1)), seed) as bench:
            calls: list[int] = []

            def ready(number: int) -> None:
                bench.accepted[number].try_receive(10)
                calls.append(number)

            pairs = [await bench.pair() for _ in range(6)]
            for number, (client, server) in enumerate(pairs):
                server.watch(partial(ready, number))
                client.try_send(b"x")
            await trio.sleep(1)
            return calls

    orders = [await order(seed) for seed in SEEDS]
    assert orders == [await order(seed) for seed in SEEDS]
    assert len({tuple(calls) for calls in orders}) > 5


async def test_nobody_is_called_in_the_middle_of_sending(autojump_clock: MockClock) -> None:
    async with open_network(NetworkFaults(latency_ms=(0, 0))) as bench:
        client, server = await bench.pair()
        calls: list[bytes | None] = []
        server.watch(lambda: calls.append(server.try_receive(10)))
        client.try_send(b"x")
        client.try_send(b"y")
        assert calls == []
        await trio.sleep(0.001)
        assert b"".join(filter(None, calls)) == b"xy"


async def test_a_round_is_begun_and_settled(autojump_clock: MockClock) -> None:
    calls: list[str] = []
    async with open_network() as bench:
        bench.network.unlisten()
        bench.network.listen(
            bench.accept, begin=lambda: calls.append("begin"), settle=lambda: calls.append("settle")
        )
        client, server = await bench.pair()
        server.watch(lambda: calls.append(f"read {server.try_receive(10)!r}"))
        client.try_send(b"x")
        await trio.sleep(1)
    assert calls[:3] == ["begin", "read b'x'", "settle"]


# --- the end of a link


async def test_the_end_comes_after_what_was_sent_and_the_other_way_stays_open(
    autojump_clock: MockClock,
) -> None:
    async with open_network(NetworkFaults(chunk_max_bytes=2)) as bench:
        client, server = await bench.pair()
        client.try_send(b"last words")
        client.send_eof()
        client.send_eof()
        with pytest.raises(LinkBroken):
            client.try_send(b"more")
        with pytest.raises(BrokenPipeError):
            client.send(b"more")
        assert await read_to_end(server) == b"last words"
        assert await server.receive_some(10) == b""
        await server.send_all(b"well read")
        await server.aclose()
        assert await read_to_end(client) == b"well read"
        await client.aclose()
        await trio.sleep(1)
        assert bench.network.links == 0
        assert bench.network.counters.resets == 0


async def test_a_closed_link_can_do_nothing_and_is_closed_also_when_cancelled(
    autojump_clock: MockClock,
) -> None:
    async with open_network() as bench:
        client, server = await bench.pair()
        calls: list[None] = []
        client.watch(lambda: calls.append(None))
        server.try_send(b"x")
        with trio.CancelScope() as scope:
            scope.cancel()
            await client.aclose()
        await client.aclose()
        client.unwatch()
        client.watch(lambda: calls.append(None))
        await trio.sleep(1)
        assert not calls
        for use in (lambda: client.try_send(b"x"), lambda: client.try_receive(1)):
            with pytest.raises(LinkBroken):
                use()
        with pytest.raises(LinkBroken):
            await client.receive_some(1)


async def test_closing_wakes_the_tasks_that_wait_for_the_link(autojump_clock: MockClock) -> None:
    async with open_network(NetworkFaults(capacity_bytes=5)) as bench:
        client, _ = await bench.pair()
        woken: list[str] = []

        async def expect_broken(what: str, wait: Callable[[], Awaitable[object]]) -> None:
            with pytest.raises(LinkBroken):
                await wait()
            woken.append(what)

        bench.nursery.start_soon(expect_broken, "send", lambda: client.send_all(bytes(10)))
        bench.nursery.start_soon(expect_broken, "receive", lambda: client.receive_some(1))
        await settled()
        await client.aclose()
        await settled()
        assert sorted(woken) == ["receive", "send"]


async def test_sending_to_a_link_that_is_closed_resets_it(autojump_clock: MockClock) -> None:
    async with open_network() as bench:
        client, server = await bench.pair()
        await server.aclose()
        assert await client.receive_some(10) == b""
        assert client.try_send(b"who is there?") == 13
        await trio.sleep(1)
        with pytest.raises(LinkBroken):
            client.try_send(b"hello?")
        assert (bench.network.counters.resets, bench.network.links) == (1, 0)


async def test_bytes_unread_at_closing_may_destroy_what_was_sent_last(
    autojump_clock: MockClock,
) -> None:
    async def goodbye(loss_chance: float, seed: int) -> bytes:
        faults = NetworkFaults(loss_chance=loss_chance, chunk_max_bytes=10)
        async with open_network(faults, seed) as bench:
            client, server = await bench.pair()
            await client.send_all(b"unread")
            await trio.sleep(1)
            server.try_send(b"goodbye, and come back soon")
            await server.aclose()
            return await read_to_end(client)

    kept = {await goodbye(0, seed) for seed in SEEDS}
    assert kept == {b"goodbye, and come back soon"}
    lost = {await goodbye(1, seed) for seed in SEEDS}
    assert b"" in lost
    assert all(b"goodbye, and come back soon".startswith(part) for part in lost)


async def test_a_reset_takes_its_time_also_when_what_was_sent_before_it_is_lost(
    autojump_clock: MockClock,
) -> None:
    faults = NetworkFaults(latency_ms=(10, 10), loss_chance=1)
    lost = 0
    for seed in SEEDS:
        async with open_network(faults, seed) as bench:
            client, server = await bench.pair()
            await client.send_all(b"unread")
            await trio.sleep(1)
            server.try_send(b"x")
            await trio.sleep(0.005)
            began = trio.current_time()
            await server.aclose()
            with suppress(LinkBroken):
                while await client.receive_some(10):
                    pass
            assert trio.current_time() - began == pytest.approx(0.010)
            lost += bench.network.counters.bytes == len(b"unread")
    assert 0 < lost < len(SEEDS)


# --- cuts


@pytest.mark.parametrize("seed", SEEDS)
async def test_a_cut_leaves_a_prefix_and_both_sides_learn_of_it(
    seed: int, autojump_clock: MockClock
) -> None:
    draw = Random(seed)
    there, back = draw.randbytes(15_000), draw.randbytes(15_000)
    faults = attrs.evolve(without_cuts(seed), cut_after_bytes=(1, 10_000))

    async def send(link: SimLink, data: bytes) -> None:
        with suppress(LinkBroken):
            await link.send_all(data)

    async with open_network(faults, seed) as bench:
        client, server = await bench.pair()
        bench.nursery.start_soon(send, client, there)
        bench.nursery.start_soon(send, server, back)
        with trio.fail_after(HOURS_S):
            got_back, got_there = await both(
                lambda: read_to_end(client), lambda: watch_to_end(server)
            )
        for link in (client, server):
            with pytest.raises(LinkBroken):
                link.try_send(b"x")
        counters = bench.network.counters
        assert (counters.cuts, bench.network.links) == (1, 0)
    assert there.startswith(got_there)
    assert back.startswith(got_back)
    # What had passed the place of the cut on its way back may still have arrived.
    assert 1 <= counters.bytes <= 10_000 + faults.capacity_bytes
    assert len(got_there) + len(got_back) <= counters.bytes


async def test_a_cut_falls_behind_the_byte_that_was_drawn(autojump_clock: MockClock) -> None:
    async with open_network(NetworkFaults(cut_after_bytes=(10, 10))) as bench:
        client, server = await bench.pair()
        client.try_send(b"0123456789abcdef")
        assert await read_to_end(server) == b"0123456789"


async def test_each_side_may_learn_of_a_cut_much_later_than_the_other(
    autojump_clock: MockClock,
) -> None:
    faults = NetworkFaults(
        cut_after_bytes=(5, 5), half_open_chance=0.5, half_open_ms=(9_000, 10_000)
    )
    learned: list[tuple[bool, bool]] = []
    for seed in SEEDS:
        async with open_network(faults, seed) as bench:
            client, server = await bench.pair()
            client.try_send(b"hello")
            await trio.sleep(8)
            learned.append((bool(client.broken), bool(server.broken)))
            if not client.broken:
                # It can still send into the void, as much as there is room for.
                assert client.try_send(bytes(100_000)) == faults.capacity_bytes - len(b"hello")
                assert client.try_receive(1) is None
            await trio.sleep(3)
            assert client.broken
            assert server.broken
    assert len(set(learned)) == 4


# --- dialling


async def test_a_dial_takes_a_round_trip_and_knows_the_addresses(
    autojump_clock: MockClock,
) -> None:
    async with open_network(NetworkFaults(latency_ms=(10, 10))) as bench:
        began = trio.current_time()
        client, server = await bench.pair()
        assert trio.current_time() - began == pytest.approx(0.020)
        assert (client.peer, server.peer) == ("example", "10.0.0.1")


async def test_a_dial_fails_where_nobody_listens(autojump_clock: MockClock) -> None:
    async with open_network() as bench:
        client, server = await bench.pair()
        bench.network.unlisten()
        bench.network.unlisten()
        with pytest.raises(LinkBroken, match="refused"):
            await bench.network.dial(URL)
        await client.send_all(b"still here")
        assert await server.receive_some(100) == b"still here"
        bench.listen()
        await bench.pair()
        assert (bench.network.counters.dials, bench.network.counters.refusals) == (3, 1)


async def test_a_dial_may_be_refused_or_not_answered(autojump_clock: MockClock) -> None:
    async with open_network(NetworkFaults(refuse_chance=1)) as bench:
        with pytest.raises(LinkBroken, match="refused"):
            await bench.network.dial(URL)
        assert bench.accepted == []
    async with open_network(NetworkFaults(silence_chance=1)) as bench:
        with trio.move_on_after(100) as scope:
            await bench.network.dial(URL)
        assert scope.cancelled_caught
        with pytest.raises(LinkBroken, match="nobody answers"):
            await bench.network.dial(URL)
        assert bench.accepted == []


async def test_a_dial_that_is_cancelled_leaves_no_link(autojump_clock: MockClock) -> None:
    async with open_network(NetworkFaults(latency_ms=(10, 10))) as bench:
        for wait_s in (0.005, 0.015):
            with trio.move_on_after(wait_s):
                await bench.network.dial(URL)
        await trio.sleep(1)
        # The server had the second one already, and sees it end.
        (server,) = bench.accepted
        assert await server.receive_some(10) == b""
        await server.aclose()
        assert bench.network.links == 0


# --- crashes and healing


async def test_a_crash_takes_the_servers_ends_at_once_and_clients_learn_of_it(
    autojump_clock: MockClock,
) -> None:
    faults = NetworkFaults(half_open_chance=0.5, half_open_ms=(5_000, 5_000), chunk_max_bytes=20)
    received: list[bytes] = []
    delays: list[float] = []
    for seed in SEEDS:
        async with open_network(faults, seed) as bench:
            client, server = await bench.pair()
            calls: list[None] = []
            server.watch(lambda calls=calls: calls.append(None))
            client.try_send(b"to a server that will not read it")
            server.try_send(b"from a server that is about to crash")
            began = trio.current_time()
            bench.network.crash_server()
            with pytest.raises(LinkBroken):
                server.try_send(b"x")
            with pytest.raises(LinkBroken):
                server.try_receive(1)
            await server.aclose()
            with pytest.raises(LinkBroken):
                await bench.network.dial(URL)
            bench.listen()
            other, _ = await bench.pair()
            received.append(await read_to_end(client))
            delays.append(trio.current_time() - began)
            assert not calls
            assert not other.broken
            assert bench.network.links == 1
    late = {got for got, delay in zip(received, delays, strict=True) if delay > 1}
    assert len(late) > 2, "what was on its way is lost or not, by chance"
    assert all(b"from a server that is about to crash".startswith(part) for part in received)
    assert min(delays) < 1 < max(delays) < 6


async def test_tasks_of_a_crashed_server_that_wait_for_a_link_are_woken(
    autojump_clock: MockClock,
) -> None:
    async with open_network(NetworkFaults(capacity_bytes=5)) as bench:
        _, server = await bench.pair()

        async def expect_broken(wait: Callable[[], Awaitable[object]]) -> None:
            with pytest.raises(LinkBroken, match="crashed"):
                await wait()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(expect_broken, lambda: server.send_all(bytes(10)))
            nursery.start_soon(expect_broken, lambda: server.receive_some(1))
            await settled()
            bench.network.crash_server()


async def test_a_healed_network_does_nothing_wrong(autojump_clock: MockClock) -> None:
    faults = NetworkFaults(
        capacity_bytes=10,
        cut_after_bytes=(1_000, 1_000),
        half_open_chance=1,
        half_open_ms=(60_000, 60_000),
        stall_chance=0.5,
        stall_ms=(100, 100),
    )
    async with open_network(faults) as bench:
        broken, _ = await bench.pair()
        kept, server = await bench.pair()
        with trio.move_on_after(30):
            bench.nursery.start_soon(read_to_end, bench.accepted[0])
            await broken.send_all(bytes(2_000))
        assert bench.network.counters.cuts == 1
        assert not broken.broken
        bench.nursery.start_soon(kept.send_all, bytes(50_000))
        await settled()
        bench.network.heal()
        await trio.sleep(1)
        assert broken.broken
        assert server.unread_bytes == 50_000
        assert bench.network.counters.cuts == 1


async def test_a_dial_that_nobody_has_answered_is_answered_after_healing(
    autojump_clock: MockClock,
) -> None:
    async with open_network(NetworkFaults(silence_chance=1)) as bench:
        bench.nursery.start_soon(bench.network.dial, URL)
        await trio.sleep(10)
        assert bench.accepted == []
        bench.network.heal()
        await trio.sleep(1)
        assert len(bench.accepted) == 1
        await trio.sleep(200)
        assert bench.network.links == 1


# --- one seed, one run


def traced(seed: int) -> list[str]:
    """Give all that happens while some clients talk to an echo, with its times."""
    trace: list[str] = []

    async def echo(link: SimLink) -> None:
        try:
            while data := await link.receive_some(1_000):
                await link.send_all(data)
        except LinkBroken:
            pass
        await link.aclose()

    async def talk(network: SimNetwork, number: int) -> None:
        draw = Random(number)
        for _ in range(10):
            try:
                link = await network.dial(URL)
                assert isinstance(link, SimLink)
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(send_in_pieces, link, draw.randbytes(500), draw)
                    await read_to_end(link)
            except* LinkBroken:
                pass

    async def main() -> None:
        network = SimNetwork(Random(seed), NetworkFaults.drawn(Random(seed)))
        network.trace = lambda text: trace.append(f"{trio.current_time()!r} {text}")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(network.run)
            network.listen(lambda link: nursery.start_soon(echo, link))
            with trio.move_on_after(60):
                async with trio.open_nursery() as talkers:
                    for number in range(4):
                        talkers.start_soon(talk, network, number)
            nursery.cancel_scope.cancel()

    run(main, seed=seed)
    return trace


def test_two_runs_with_one_seed_are_the_same_and_with_another_they_differ() -> None:
    traces = {seed: traced(seed) for seed in range(4)}
    assert len({tuple(trace) for trace in traces.values()}) == len(traces)
    assert {seed: traced(seed) for seed in traces} == traces


# --- settings


@pytest.mark.parametrize(
    "wrong",
    [
        {"latency_ms": (2.0, 1.0)},
        {"latency_ms": (0.0, network_faults.LATENCY_MAX_MS + 1)},
        {"chunk_max_bytes": 0},
        {"capacity_bytes": network_faults.CAPACITY_MAX_BYTES + 1},
        {"cut_after_bytes": (0, 10)},
        {"stall_chance": 1.1},
        {"refuse_chance": -0.1},
        {"half_open_ms": (0.0, network_faults.HALF_OPEN_MAX_MS + 1)},
    ],
)
def test_settings_out_of_bounds_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        NetworkFaults(**wrong)  # type: ignore[arg-type]


def test_each_fault_is_there_in_some_drawn_runs_and_off_in_others() -> None:
    drawn = [NetworkFaults.drawn(Random(seed)) for seed in range(200)]
    for name in attrs.fields_dict(NetworkFaults):
        if name in ("half_open_ms", "stall_ms"):
            continue  # What they say counts only beside their chance.
        off = sum(getattr(faults, name) == getattr(CALM, name) for faults in drawn)
        assert 60 < off < 140, name
    assert NetworkFaults.drawn(Random(1)) == NetworkFaults.drawn(Random(1))
