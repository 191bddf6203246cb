"""The healthy clients of a live server: they chat, and notice whatever goes wrong with it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import attrs
import trio

from tests.e2e.process import Process, now_id
from tests.e2e.raw import RawClient

COUNT: Final = 20
PAUSE_S: Final = 0.1
"""Between two posts of one client."""
POSTS_MIN: Final = 5
"""Posts of each, however short the attack is."""
MEMBERS: Final = tuple(f"healthy{number}" for number in range(COUNT))


@attrs.define(eq=False)
class Chat:
    """A group of healthy clients, and what they have posted."""

    group: str
    clients: list[RawClient]
    acknowledged: dict[int, tuple[str, str]] = attrs.field(factory=dict)
    """seq -> request id and text of a post, as its author was told."""
    took_s: list[float] = attrs.field(factory=list)
    """How long each post waited for its answer."""

    async def _chat(self, number: int, over: trio.Event) -> None:
        client, count = self.clients[number], 0
        while not over.is_set() or count < POSTS_MIN:
            count += 1
            request_id, text = now_id(), f"{number} says {count}"
            begin = trio.current_time()
            answer = await client.ask("post", group=self.group, text=text, id=request_id)
            self.took_s.append(trio.current_time() - begin)
            assert answer["seq"] not in self.acknowledged, "two posts with one seq"
            self.acknowledged[answer["seq"]] = (request_id, text)
            await trio.sleep(PAUSE_S)

    async def check(self) -> None:
        """Read to the end, and check that each has got every event once and in order."""
        head = max(self.acknowledged)
        for client in self.clients:
            while not (events := client.events(self.group)) or events[-1]["seq"] < head:
                assert await client.receive(), f"disconnected: {client.goodbye}"
            assert client.goodbye is None
            assert not client.ended
            seqs = [event["seq"] for event in events]
            assert seqs == list(range(seqs[0], head + 1)), "an event is missing, or came twice"
            assert seqs[0] <= min(self.acknowledged)
            posted = {
                e["seq"]: (e.get("id"), e.get("text")) for e in events if e["kind"] == "posted"
            }
            assert posted == self.acknowledged, "what was pushed is not what was acknowledged"
            assert not [push for push in client.pushes if push[0] == "lagged"]

    def slowest_ms(self, share: float) -> float:
        """Give the time within which this share of all posts was answered."""
        times = sorted(self.took_s)
        return times[min(len(times) - 1, int(share * len(times)))] * 1_000


@asynccontextmanager
async def chatting(server: Process) -> AsyncIterator[Chat]:
    """Let the healthy clients chat for as long as the block runs; then check what they got."""
    async with server.enter_all(list(MEMBERS)) as clients:
        found: dict[str, Any] = await clients[0].ask(
            "create",
            name="Calm",
            members=list(MEMBERS[1:]),
            join_policy="invite_only",
            member_invites=False,
            discoverable=False,
        )
        chat = Chat(found["group"], clients)
        over = trio.Event()
        async with trio.open_nursery() as nursery:
            for number in range(COUNT):
                nursery.start_soon(chat._chat, number, over)
            yield chat
            over.set()
        await chat.check()
