"""A server without sockets, and clients that check all that they hear against the schema."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import attrs
import trio

from groupd.config import Config
from groupd.domain.base import Identity
from groupd.domain.links import LinkKeys
from groupd.engine.hub import open_hub
from groupd.engine.nursery import open_hidden_nursery
from groupd.engine.ports import Ports
from groupd.errors import AuthError
from groupd.server.listener import Server
from groupd.storage.log import open_log
from groupd.storage.memory import MemoryStore
from groupd.testing.fakes import FakeClock, fake_ports
from groupd.testing.links import FakeLink, link_pair
from groupd.testing.schema import problems
from groupd.wire.rpc import (
    FrameLimits,
    Notification,
    Response,
    Unframer,
    encode_request,
)
from tests.strategies import uuid7

PROTO: Final = Path(__file__).parents[2] / "proto"
NO_TOKEN: Final = "nonsense"


def believe(token: str, now_ms: int) -> Identity:
    """Take a token for what it says: the user, the plan, and the other claims, with slashes."""
    if token == NO_TOKEN:
        raise AuthError("a token that proves nothing")
    user, plan, others = [*token.split("/", 2), "", ""][:3]
    known = Identity(user=user, name=f"{user} 同学", plan=plan or "ordinary")
    return attrs.evolve(known, **json.loads(others or "{}"))


@attrs.define(eq=False)
class Client:
    """One connection. Every answer and push is held against the schema when it arrives."""

    link: FakeLink
    token: str = ""
    answers: dict[int, Response] = attrs.field(factory=dict)
    asked: dict[int, str] = attrs.field(factory=dict)
    pushes: list[Notification] = attrs.field(factory=list)
    ended: bool = False
    _unframer: Unframer = attrs.field(
        factory=lambda: Unframer(FrameLimits.for_client(Config().limits))
    )

    async def call(self, method: str, params: Mapping[str, Any]) -> Response:
        """Ask, and wait for the answer."""
        msgid = len(self.asked) + 1
        self.asked[msgid] = method
        await self.link.send_all(encode_request(msgid, method, params))
        while msgid not in self.answers:
            await self._hear()
        return self.answers[msgid]

    async def ask(self, method: str, /, **params: Any) -> dict[str, Any]:
        """Ask for something that is granted."""
        answer = await self.call(method, params)
        assert answer.error is None, (method, answer.error)
        assert answer.result is not None
        return answer.result

    async def hear_all(self) -> list[Notification]:
        """Give what was pushed, after all that is under way has arrived."""
        await trio.testing.wait_all_tasks_blocked()
        await self.ask("ping")
        return self.pushes

    async def hear_goodbye(self) -> dict[str, Any]:
        """Read to the end; give the params of the goodbye."""
        while not self.ended:
            await self._hear()
        assert self.pushes[-1].method == "goodbye"
        return self.pushes[-1].params

    async def _hear(self) -> None:
        data = await self.link.receive_some(65_536)
        self.ended = not data
        for message in self._unframer.feed(data):
            if isinstance(message, Response):
                self.answers[message.msgid] = message
                if message.error is not None:
                    assert problems("error", message.error) == []
                else:
                    method = self.asked[message.msgid]
                    assert problems(f"result {method}", message.result) == []
            else:
                assert isinstance(message, Notification)
                assert problems(f"notification {message.method}", message.params) == []
                self.pushes.append(message)
        assert self._unframer.error is None
        assert not self.ended or not self._unframer.partial


@attrs.define(eq=False)
class Rig:
    """A running server."""

    server: Server
    ports: Ports
    _ids: int = 0

    def connect(self, *, is_operator: bool = False) -> Client:
        """Connect, and say nothing yet."""
        theirs, ours = link_pair(peers=("server", "unix" if is_operator else "10.0.0.1"))
        self.server.admit(ours, is_operator=is_operator)
        return Client(theirs)

    async def enter(self, user: str, plan: str = "", **others: Any) -> Client:
        """Connect and say hello; ``others`` are fields of the identity."""
        client = self.connect()
        client.token = f"{user}/{plan}/{json.dumps(others)}"
        await client.ask("hello", token=client.token)
        return client

    async def pass_time(self, time_ms: int) -> None:
        """Let the wall clock go on by so much, and what is due by then happen."""
        clock = self.ports.clock
        assert isinstance(clock, FakeClock)
        clock.jump(time_ms)
        await trio.sleep(2 * Config().limits.deadline_poll_ms / 1_000)

    def new_id(self) -> str:
        self._ids += 1
        return uuid7(self.ports.clock.now_ms(), self._ids)


@asynccontextmanager
async def serving() -> AsyncIterator[Rig]:
    """Run a server with the defaults; wants a clock that jumps."""
    config, ports = Config(), fake_ports()
    async with (
        open_log(lambda: MemoryStore("a-store"), threaded=False) as log,
        open_hub(
            log=log, ports=ports, links=LinkKeys({"k1": bytes(32)}, "k1"), config=config
        ) as hub,
        open_hidden_nursery() as nursery,
    ):
        server = Server(hub, config, verify=believe, nursery=nursery)
        nursery.start_soon(server.run)
        yield Rig(server, ports)
        nursery.cancel_scope.cancel()
