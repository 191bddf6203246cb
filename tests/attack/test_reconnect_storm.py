"""A thousand sessions are cut off and come back at once: nobody misses anything, nothing stays."""

from __future__ import annotations

import socket
import struct
from contextlib import AsyncExitStack
from typing import Final

import trio

from groupd.server.link import SocketLink, connect_socket
from tests.attack.rig import MIB, configured, many_descriptors
from tests.e2e.process import Groupd, Process, until
from tests.e2e.raw import RawClient

GROUPS: Final = 10
EACH: Final = 100
"""Members of each group that are cut off."""
POSTS: Final = 10
"""In each group before, and as many while nobody is there."""
STORM_POSTS_MAX: Final = 200
LEFT_MAX_BYTES: Final = 24 * MIB
"""What a second thousand of sessions may leave behind after the first: room for an allocator."""


class Member:
    """A user who remembers, over their connections, what they have seen of their group."""

    def __init__(self, user: str, group: str) -> None:
        self.user = user
        self.group = group
        self.start = 0
        self.times_come = 0
        self.seqs: list[int] = []
        self.client: RawClient | None = None

    async def come(self, server: Process, token: str) -> None:
        """Connect, and fetch what was missed."""
        self.client = client = RawClient(await connect_socket(server.url))
        greeting = await client.hello(token)
        (listed,) = greeting["groups"]
        if self.times_come == 0:
            self.start = listed["head"]
        self.times_come += 1
        seq = self.seqs[-1] if self.seqs else self.start
        while seq < listed["head"]:
            page = await client.ask("history", group=self.group, after=seq)
            # What is pushed meanwhile begins behind the head.
            missed = [e["seq"] for e in page["events"] if e["seq"] <= listed["head"]]
            self.seqs += missed
            seq = missed[-1]

    async def read_to(self, head: int) -> None:
        """Read until the event ``head`` has come."""
        assert self.client is not None
        while not self.seqs or self.seqs[-1] < head:
            assert await self.client.receive(), self.client.goodbye
            self.take()

    def take(self) -> None:
        """Count what has been pushed; what history has given already is left out."""
        assert self.client is not None
        for method, params in self.client.pushes:
            assert method == "event", (method, params)
            self.seqs.append(params["seq"])
        self.client.pushes.clear()

    async def drop(self) -> None:
        """Be cut off, as by a reset."""
        assert self.client is not None
        link = self.client.link
        assert isinstance(link, SocketLink)
        link._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        await self.client.close()


async def test_a_thousand_sessions_come_back_at_once_and_miss_nothing(groupd: Groupd) -> None:
    options = configured(groupd, connections_per_address_max=3_000)
    names = [[f"u{g}-{n}" for n in range(EACH)] for g in range(GROUPS)]
    async with groupd.serving(None, *options) as server, AsyncExitStack() as stack:
        stack.enter_context(many_descriptors(4_096))
        start = server.descriptors()
        owners = [
            await stack.enter_async_context(server.enter(f"owner{g}", events=False))
            for g in range(GROUPS)
        ]
        groups = [
            (await owner.ask("create", name="Tea", members=users))["group"]
            for owner, users in zip(owners, names, strict=True)
        ]
        members = [Member(user, groups[g]) for g in range(GROUPS) for user in names[g]]
        tokens = {member.user: server.token(member.user) for member in members}
        heads: dict[str, int] = {}

        async def post_everywhere() -> None:
            for owner, group in zip(owners, groups, strict=True):
                heads[group] = (await owner.ask("post", group=group, text="x" * 50))["seq"]

        async def post_in_the_storm(*, task_status: trio.TaskStatus[None]) -> None:
            await post_everywhere()
            task_status.started()
            for _ in range(STORM_POSTS_MAX):
                await post_everywhere()
                await trio.sleep(0.01)

        async def all_come() -> float:
            began = trio.current_time()
            async with trio.open_nursery() as nursery:
                for member in members:
                    nursery.start_soon(member.come, server, tokens[member.user])
            return trio.current_time() - began

        await all_come()
        for _ in range(POSTS):
            await post_everywhere()
        for member in members:
            await member.read_to(heads[member.group])
        before = await server.memory_at_rest()

        for member in members:
            await member.drop()
        for _ in range(POSTS):
            await post_everywhere()
        async with trio.open_nursery() as nursery:
            await nursery.start(post_in_the_storm)
            took_s = await all_come()
            nursery.cancel_scope.cancel()
        await post_everywhere()
        for member in members:
            await member.read_to(heads[member.group])
            expected = range(member.start + 1, heads[member.group] + 1)
            assert member.seqs == list(expected), member.user
        left = await server.memory_at_rest() - before
        print(f"{len(members)} came back in {took_s:.1f} s; RSS grew by {left / MIB:.1f} MB")
        assert left <= LEFT_MAX_BYTES
        for member in members:
            await member.drop()
        await until(lambda: server.descriptors() <= start + GROUPS)
        assert await owners[0].ask("ping")
    assert not server.complaints()
