"""Two hundred members of a busy group never read: they cost little, and hold up nobody."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

import trio

from tests.attack.rig import MIB, TRIES, assert_not_starved, configured, p99_ms, post_times
from tests.e2e.process import Groupd, Process, until
from tests.e2e.raw import RawClient, dial

STALLED: Final = 200
FILLING: Final = 160
TEXT: Final = "x" * 5_000
"""``FILLING`` posts of this are more than a Unix socket and a backlog take together."""
GROWTH_MAX_BYTES: Final = 64 * MIB
SAMPLES: Final = 200


def unix_url(groupd: Groupd) -> str:
    """Name a Unix socket: its buffers are small, so that a reader is stalled soon."""
    return f"unix://{groupd.directory / 's'}"


@asynccontextmanager
async def serving(groupd: Groupd) -> AsyncIterator[Process]:
    options = configured(
        groupd, connections_per_address_max=1_000, rate_per_s=100_000, rate_burst=100_000
    )
    async with groupd.serving(None, *options, "--listen", unix_url(groupd)) as server:
        yield server


@asynccontextmanager
async def stalled(
    groupd: Groupd, server: Process, users: Sequence[str]
) -> AsyncIterator[list[RawClient]]:
    """Let users say hello and read nothing any more."""
    async with AsyncExitStack() as stack:
        clients = []
        for user in users:
            client = await stack.enter_async_context(dial(unix_url(groupd)))
            await client.hello(server.token(user))
            clients.append(client)
        yield clients


async def fill(client: RawClient, group: str) -> int:
    """Post more than a stalled reader takes; give the last seq."""
    seq = 0
    for _ in range(FILLING // 8):
        for made in await client.exchange([("post", {"group": group, "text": TEXT})] * 8):
            assert isinstance(made, dict)
            seq = made["seq"]
        client.pushes.clear()
    return seq


async def caught_up(client: RawClient, group: str, seq: int, head: int) -> list[int]:
    """Fetch what was missed, up to ``head``."""
    seqs = []
    while seq < head:
        page = await client.ask("history", group=group, after=seq, limit=500)
        seqs += [event["seq"] for event in page["events"] if event["seq"] <= head]
        assert page["events"], "a page of nothing, though there is more"
        seq = page["events"][-1]["seq"]
    return seqs


async def read_on(client: RawClient) -> None:
    """Be a reader that keeps up, until cancelled."""
    while await client.receive():
        pass


async def read_again(client: RawClient, group: str, *, after: int, head: int) -> int:
    """Read all that had waited for a stalled reader, up to ``lagged``; give the last seq of it."""
    while not any(method == "lagged" for method, _ in client.pushes):
        assert await client.receive()
    waited = [event["seq"] for event in client.events(group)]
    assert waited == list(range(after + 1, after + 1 + len(waited)))
    assert 0 < len(waited) < FILLING
    (lagged,) = (params for method, params in client.pushes if method == "lagged")
    assert lagged == {"group": group, "head": head}
    last: int = waited[-1]
    return last


async def test_two_hundred_stalled_readers_cost_little_hold_up_nobody_and_catch_up(
    groupd: Groupd,
) -> None:
    users = [f"stalled{number}" for number in range(STALLED)]
    async with (
        serving(groupd) as server,
        dial(server.url) as ann,
        server.enter("bob") as bob,
        trio.open_nursery() as nursery,
    ):
        await ann.hello(server.token("ann", plan="wechat"), events=False)
        group = (await ann.ask("create", name="Busy", members=[*users, "bob"]))["group"]
        nursery.start_soon(read_on, bob)
        await fill(ann, group)
        await post_times(ann, group, SAMPLES)
        alone = [p99_ms(await post_times(ann, group, SAMPLES)) for _ in range(TRIES)]
        async with stalled(groupd, server, users) as clients:
            start = clients[0].greeting["groups"][0]["head"]
            before = server.status_bytes("VmRSS")
            await fill(ann, group)
            times = [p99_ms(await post_times(ann, group, SAMPLES)) for _ in range(TRIES)]
            peak = server.status_bytes("VmHWM") - before
            print(f"RSS grew by {peak / MIB:.1f} MB at most")
            assert peak <= GROWTH_MAX_BYTES
            assert_not_starved(alone, times, "p99 of a post beside stalled readers")

            # Who reads hears all of it.
            head = (await ann.ask("post", group=group, text="last"))["seq"]
            await until(lambda: (seen := bob.events(group)) != [] and seen[-1]["seq"] == head)
            seqs = [event["seq"] for event in bob.events(group)]
            assert seqs == list(range(1, head + 1))[-len(seqs) :]
            assert not any(method == "lagged" for method, _ in bob.pushes)
            # Who reads again gets what had waited, hears how far it is by now, and can fetch what
            # is between. From then on they are members like all others.
            last = [await read_again(each, group, after=start, head=head) for each in clients]
            for client, seq in list(zip(clients, last, strict=True))[:: STALLED // 10]:
                missed = await caught_up(client, group, seq, head)
                assert missed == list(range(seq + 1, head + 1))
            live = (await ann.ask("post", group=group, text="live"))["seq"]
            for client in clients:
                assert await client.event("posted", seq=live)
        nursery.cancel_scope.cancel()
    assert not server.complaints()
