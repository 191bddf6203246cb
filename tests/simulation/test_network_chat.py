"""A whole server and its clients across the simulated network, and what is wrong there."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random
from typing import Final

import attrs
import pytest
import trio

from groupd.client import Backoff, Client, ClientLimits, GroupEvent, Ports, connect
from groupd.engine.ports import Ports as EnginePorts
from groupd.storage.memory import MemoryStore
from groupd.testing.fakes import SeededRandomness, fake_ports
from groupd.testing.simulation.network import NetworkFaults, SimNetwork
from groupd.testing.simulation.schedule import run
from tests.server.bench import open_bench, token_of

URL: Final = "tcp://sim:1"
USERS: Final = ("ann", "bob", "cleo")
QUICK: Final = ClientLimits(
    backoff=Backoff(base_ms=5, cap_ms=200),
    dial_timeout_ms=2_000,
    hello_timeout_ms=5_000,
    sends_max=1_000,
)
POSTS: Final = 15
HEALED_AFTER_S: Final = 60.0
AFTER_HEALING_S: Final = 40.0
"""In which everybody must have heard everything; see RELIABILITY.md."""


@attrs.define(eq=False)
class Chat:
    """A server, a network, and what its users have heard: (seq, text) of posts, in their order."""

    ports: EnginePorts
    network: SimNetwork
    heard: dict[str, list[tuple[int, str]]] = attrs.field(factory=dict)
    posted: dict[str, int] = attrs.field(factory=dict)
    """text -> the seq that its author was answered."""

    @asynccontextmanager
    async def client(self, user: str) -> AsyncIterator[Client]:
        clock, seed = self.ports.clock, USERS.index(user)
        ports = Ports(clock, SeededRandomness(seed), self.network.dial)
        token = token_of(user, now_ms=clock.now_ms())
        async with connect(URL, token=token, ports=ports, limits=QUICK) as client:
            yield client

    async def listen(self, client: Client, group: str) -> None:
        heard = self.heard.setdefault(client.user, [])
        async for event in client.events(after={group: 0}):
            if isinstance(event, GroupEvent) and event.kind == "posted":
                heard.append((event.seq, event.fields["text"]))

    async def talk(self, client: Client, group: str, draw: Random) -> None:
        for number in range(POSTS):
            text = f"{client.user} {number} " + "x" * draw.randint(0, 200)
            self.posted[text] = (await client.post(group, text))["seq"]
            await trio.sleep(draw.random() * 0.5)


@asynccontextmanager
async def open_chat(faults: NetworkFaults, seed: int) -> AsyncIterator[Chat]:
    async with open_bench(rate_limits=False) as bench, trio.open_nursery() as nursery:
        network = SimNetwork(Random(seed), faults)
        nursery.start_soon(network.run)
        network.listen(bench.server.admit, begin=bench.hub.turns.hold, settle=bench.hub.turns.take)
        yield Chat(bench.ports, network)
        nursery.cancel_scope.cancel()


def talked(faults: NetworkFaults, seed: int, *, trace: list[str] | None = None) -> Chat:
    """Have three people talk across a bad network, which is mended in the end."""
    chats: list[Chat] = []

    async def main() -> None:
        with trio.fail_after(3_600):
            async with open_chat(faults, seed) as chat:
                chats.append(chat)
                if trace is not None:
                    chat.network.trace = trace.append
                await converse(chat, Random(seed))

    run(main, seed=seed)
    return chats[0]


async def converse(chat: Chat, draw: Random) -> None:
    group: list[str] = []
    founded, talking = trio.Event(), []

    async def take_part(user: str) -> None:
        async with chat.client(user) as client, trio.open_nursery() as nursery:
            if user == "ann":
                group.append((await client.create("Tea", members=["bob"]))["group"])
                founded.set()
            await founded.wait()
            if user == "cleo":
                await client.join(group[0])
            nursery.start_soon(chat.listen, client, group[0])
            await chat.talk(client, group[0], draw)
            talking.remove(user)
            await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        for user in USERS:
            talking.append(user)
            nursery.start_soon(take_part, user)
        await trio.sleep(HEALED_AFTER_S)
        chat.network.heal()
        await trio.sleep(AFTER_HEALING_S)
        assert talking == []
        nursery.cancel_scope.cancel()


def assert_all_is_heard_once_and_in_order(chat: Chat) -> None:
    right = sorted((seq, text) for text, seq in chat.posted.items())
    assert len(right) == 3 * POSTS
    for user in USERS:
        assert chat.heard[user] == right, user
    assert chat.network.held_bytes == 0


def test_people_chat_across_a_good_network() -> None:
    chat = talked(NetworkFaults(), seed=0)
    assert_all_is_heard_once_and_in_order(chat)
    assert (chat.network.counters.cuts, chat.network.counters.dials) == (0, 3)


@pytest.mark.parametrize("seed", range(4))
def test_whoever_is_cut_off_every_few_hundred_bytes_hears_everything_once(seed: int) -> None:
    faults = NetworkFaults(
        cut_after_bytes=(300, 6_000),
        half_open_chance=0.3,
        half_open_ms=(0.0, 3_000.0),
        loss_chance=0.5,
        chunk_max_bytes=200,
    )
    chat = talked(faults, seed)
    assert_all_is_heard_once_and_in_order(chat)
    assert chat.network.counters.cuts > 10


@pytest.mark.parametrize("seed", range(12))
def test_everybody_hears_everything_once_whatever_is_wrong(seed: int) -> None:
    assert_all_is_heard_once_and_in_order(talked(NetworkFaults.drawn(Random(seed)), seed))


@pytest.mark.parametrize("seed", [1, 7])
def test_a_chat_is_the_same_when_it_is_run_again(seed: int) -> None:
    traces: list[list[str]] = [[], []]
    for trace in traces:
        talked(NetworkFaults.drawn(Random(seed)), seed, trace=trace)
    assert traces[0] == traces[1]
    assert len(traces[0]) > 300


class KeptStore(MemoryStore):
    """A store that outlives the server, as a disk does."""

    def close(self) -> None:
        """Keep everything."""


def test_people_go_on_chatting_while_the_server_crashes_again_and_again() -> None:
    async def main() -> None:
        store, draw = KeptStore("store"), Random(0)
        network = SimNetwork(Random(0), NetworkFaults(latency_ms=(1.0, 20.0), chunk_max_bytes=50))
        crash = trio.CancelScope()

        async def keep_up() -> None:
            while True:
                nonlocal crash
                with trio.CancelScope() as crash:
                    async with open_bench(store=store, rate_limits=False) as bench:
                        network.listen(bench.server.admit)
                        await trio.sleep_forever()
                await trio.sleep(draw.random() * 0.1)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(network.run)
            nursery.start_soon(keep_up)
            chat = Chat(fake_ports(), network)
            nursery.start_soon(converse, chat, draw)
            for _ in range(20):
                await trio.sleep(0.1 + draw.random() * 0.5)
                network.crash_server()
                crash.cancel()
            await trio.sleep(HEALED_AFTER_S + AFTER_HEALING_S)
            assert_all_is_heard_once_and_in_order(chat)
            assert network.counters.crashes == 20
            assert network.links == 0
            nursery.cancel_scope.cancel()

    run(main, seed=0)
