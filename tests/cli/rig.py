"""People at terminals, in one process with the server they talk to."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import attrs
import trio
from rich.console import Console

from groupd.cli.chat import chat_on
from groupd.client import Ports, connect
from groupd.testing.links import FakeLink
from tests.server.bench import Bench, open_bench, settled

WIDTH = 160


@attrs.define(eq=False)
class Person:
    """Somebody at a terminal: types lines, and reads what is printed."""

    user: str
    lines: trio.MemorySendChannel[str]
    screen: io.StringIO
    links: list[FakeLink]
    has_left: trio.Event = attrs.field(factory=trio.Event)
    _seen: int = 0

    async def types(self, *lines: str) -> str:
        """Type lines, wait until nothing moves any more, and give what was printed since."""
        for line in lines:
            await self.lines.send(line)
            await settled()
        return self.reads()

    def reads(self) -> str:
        """Give what was printed since it was last read."""
        text = self.screen.getvalue()[self._seen :]
        self._seen += len(text)
        return text


@attrs.define(eq=False)
class Room:
    """A server, and the terminals at it."""

    bench: Bench
    _nursery: trio.Nursery

    async def seat(self, user: str, **claims: Any) -> Person:
        """Begin to chat as somebody."""
        send, receive = trio.open_memory_channel[str](0)
        person = Person(user, send, io.StringIO(), [])
        self._nursery.start_soon(self._chat, person, receive, self.bench.token(user, **claims))
        await settled()
        return person

    async def _chat(
        self, person: Person, lines: trio.MemoryReceiveChannel[str], token: str
    ) -> None:
        async def dial(url: str) -> FakeLink:
            await trio.lowlevel.checkpoint()
            person.links.append(self.bench.link())
            return person.links[-1]

        async def read_line() -> str | None:
            return await anext(lines, None)

        given = self.bench.ports
        ports = Ports(clock=given.clock, randomness=given.randomness, dial=dial)
        async with connect("tcp://fake:1", token=token, ports=ports) as client:
            await chat_on(client, read_line, Console(file=person.screen, width=WIDTH))
        person.has_left.set()


@asynccontextmanager
async def open_room(**settings: Any) -> AsyncIterator[Room]:
    """Run a server that people may sit down at."""
    async with open_bench(**settings) as bench, trio.open_nursery() as nursery:
        yield Room(bench, nursery)
        nursery.cancel_scope.cancel()
