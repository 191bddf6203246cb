"""More connections than there is room for: who is in goes on, and later others come in again."""

from __future__ import annotations

import resource
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import trio

from groupd.server.link import LinkBroken
from tests.attack.rig import configured, connect_from, operator_of
from tests.e2e.process import Groupd, Launcher, Process, until
from tests.e2e.raw import RawClient, request

FEW_DESCRIPTORS: Final = 200
RESERVE: Final = 64
"""What ``app.py`` leaves for files, listeners and those who are turned away."""


@asynccontextmanager
async def flood(server: Process, address: str, count: int) -> AsyncIterator[list[RawClient]]:
    """Open so many connections from one address, and close them at the end of the block."""
    clients = []
    try:
        for _ in range(count):
            clients.append(connect_from(address, server.url))  # noqa: PERF401 - all are closed
        yield clients
    finally:
        with trio.CancelScope(shield=True):
            for client in clients:
                await client.close()


async def turned_away(clients: Sequence[RawClient]) -> list[RawClient]:
    """Give those that were said goodbye to, after the others have had an answer."""
    away = []
    ping = request(1, "ping", {})
    for client in clients:
        try:
            await client.send_bytes(ping)
            outcome = await client.outcome(1)
            assert "unauthenticated" in str(outcome)
        except (EOFError, LinkBroken):
            await client.drain()
            away.append(client)
    return away


def assert_told_when_to_come_back(clients: Sequence[RawClient]) -> None:
    """Each has a goodbye with its code and a time of its own, so that not all come at once."""
    times = set()
    for client in clients:
        # Bytes that the server has not read when it closes may destroy its last word.
        if client.goodbye is not None:
            assert client.goodbye["code"] == "rate_limited"
            assert 1 <= client.goodbye["retry_after_ms"] <= 2_000
            times.add(client.goodbye["retry_after_ms"])
    assert len(times) > len(clients) / 2


async def test_who_is_in_goes_on_and_the_operator_gets_in_while_others_flood(
    groupd: Groupd,
) -> None:
    options = configured(groupd, connections_per_address_max=20, connections_max=60)
    async with groupd.serving(None, *options) as server, server.enter_all(["ann", "bob"]) as inside:
        ann, bob = inside
        group = (await ann.ask("create", name="Tea", members=["bob"]))["group"]
        start = server.descriptors()
        async with (
            flood(server, "127.0.0.2", 100) as second,
            flood(server, "127.0.0.3", 20) as third,
            flood(server, "127.0.0.4", 40) as fourth,
        ):
            # Silent ones, so that nothing of theirs is unread when they are turned away.
            for client in (*second[20:], *fourth[18:]):
                assert await client.drain() is not None
            assert_told_when_to_come_back(second[20:])
            assert_told_when_to_come_back(fourth[18:])
            assert await turned_away([*second[:20], *third, *fourth[:18]]) == []
            # All 60 are taken now. Nobody else comes in, but for the operator.
            late = connect_from("127.0.0.5", server.url)
            assert (await late.drain() or {})["code"] == "rate_limited"
            await late.close()
            async with operator_of(server) as operator:
                assert (await operator.ask("operator_check"))["problems"] == []
                assert (await operator.ask("operator_log", group=group))["head"] >= 2
            assert (await groupd.run("check", "--data", server.data)).returncode == 0
            posted = await ann.ask("post", group=group, text="still here")
            assert (await bob.event("posted"))["seq"] == posted["seq"]
        await until(lambda: server.descriptors() <= start)
        async with server.enter("cat") as cat:
            assert await cat.ask("ping")
        codes = Counter(e["code"] for e in server.log() if e["event"] == "goodbye")
        assert set(codes) <= {"rate_limited", "bad_request"}
        assert not server.complaints()


async def test_those_who_knock_on_and_on_do_not_keep_others_out(groupd: Groupd) -> None:
    """One address comes again whenever it was turned away; another one comes in at once."""
    options = configured(groupd, connections_per_address_max=5)
    async with groupd.serving(None, *options) as server, flood(server, "127.0.0.2", 5) as first:
        assert await turned_away(first) == []
        over = trio.Event()
        knocks = 0

        async def knock() -> None:
            nonlocal knocks
            while not over.is_set():
                client = connect_from("127.0.0.2", server.url)
                assert await client.drain() is not None
                await client.close()
                knocks += 1

        async with trio.open_nursery() as nursery:
            for _ in range(4):
                nursery.start_soon(knock)
            for number in range(20):
                async with server.enter(f"user{number}") as client:
                    assert await client.ask("ping")
            over.set()
        assert knocks > 20
        assert not server.complaints()


async def test_connections_cannot_use_up_the_descriptors(tmp_path: Path) -> None:
    """A process that may have few descriptors takes fewer connections, and keeps a reserve."""
    launcher = Launcher()
    try:
        groupd = Groupd(launcher, tmp_path)
        assert (await groupd.run("--version")).returncode == 0
        assert launcher._process is not None
        # What the launcher starts from now on has its limit.
        few = (FEW_DESCRIPTORS, FEW_DESCRIPTORS)
        resource.prlimit(launcher._process.pid, resource.RLIMIT_NOFILE, few)
        async with (
            groupd.serving(None, "--no-rate-limits") as server,
            server.enter_all(["ann", "bob"]) as (ann, bob),
        ):
            group = (await ann.ask("create", name="Tea", members=["bob"]))["group"]
            room = FEW_DESCRIPTORS - RESERVE - 2
            async with flood(server, "127.0.0.2", 2 * FEW_DESCRIPTORS) as clients:
                for client in clients[room:]:
                    assert await client.drain() is not None
                assert_told_when_to_come_back(clients[room:])
                assert await turned_away(clients[:room]) == []
                assert server.descriptors() < FEW_DESCRIPTORS
                posted = await ann.ask("post", group=group, text="still here")
                assert (await bob.event("posted"))["seq"] == posted["seq"]
                async with operator_of(server) as operator:
                    assert (await operator.ask("operator_check"))["problems"] == []
            await until(lambda: server.descriptors() < FEW_DESCRIPTORS - room)
            async with server.enter("cat") as cat:
                assert await cat.ask("ping")
            assert not server.complaints()
    finally:
        launcher.close()


async def test_a_machine_that_has_run_out_of_descriptors_goes_on_with_those_who_are_in(
    groupd: Groupd,
) -> None:
    """Where something else takes them, those who come wait in the kernel until there are some."""
    async with (
        groupd.serving(None, "--no-rate-limits") as server,
        server.enter_all(["ann", "bob"]) as (ann, bob),
        operator_of(server) as operator,
    ):
        group = (await ann.ask("create", name="Tea", members=["bob"]))["group"]
        assert await operator.ask("operator_check")
        plenty = resource.prlimit(server.pid, resource.RLIMIT_NOFILE)
        few = server.descriptors() + 4
        resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (few, plenty[1]))
        async with flood(server, "127.0.0.2", 40) as clients:
            await until(lambda: server.descriptors() >= few)
            for number in range(20):
                posted = await ann.ask("post", group=group, text=f"{number}")
                assert (await bob.event("posted"))["seq"] == posted["seq"]
            page = await bob.ask("history", group=group, limit=20)
            assert len(page["events"]) == 20
            assert (await operator.ask("operator_check"))["problems"] == []
            resource.prlimit(server.pid, resource.RLIMIT_NOFILE, plenty)
            # Now all who have waited are served.
            assert await turned_away(clients) == []
        assert not server.complaints()
