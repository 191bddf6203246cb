"""One connection of a client that is put to the test, and what it asks there."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias

import attrs
import trio

from groupd.errors import Rejected
from groupd.server.link import Link, LinkBroken
from groupd.wire import rpc


class Wrong(Exception):
    """The client did something wrong."""

    def __init__(self, *, expected: str, got: str) -> None:
        super().__init__(expected, got)
        self.expected = expected
        self.got = got

    def __str__(self) -> str:
        return f"expected {self.expected}; got {self.got}"


@attrs.frozen
class Asked:
    """A request of the client's."""

    visit: Visit
    msgid: int
    method: str
    params: Mapping[str, Any]
    at_s: float


@attrs.define(eq=False)
class Visit:
    """One connection of the client."""

    link: Link
    number: int
    began_s: float
    is_welcome: bool = False
    """Whether its hello was accepted and answered."""
    refusals: int = 0
    """How many of its hellos were refused."""
    is_over: bool = False
    ended_s: float = 0.0
    _sending: trio.Lock = attrs.field(factory=trio.Lock)

    async def send(self, data: bytes) -> None:
        """Send bytes as they are; to a connection that is gone, nothing."""
        async with self._sending:
            try:
                await self.link.send_all(data)
            except LinkBroken:
                return

    async def push(self, method: str, **params: Any) -> None:
        """Send a notification."""
        await self.send(rpc.encode_notification(method, params))

    async def answer(self, asked: Asked, result: Mapping[str, Any] | Rejected) -> None:
        """Answer a request."""
        if isinstance(result, Rejected):
            await self.send(rpc.encode_error(asked.msgid, result.to_wire()))
        else:
            await self.send(rpc.encode_response(asked.msgid, result))

    async def goodbye(self, code: str, message: str, **more: Any) -> None:
        """Say goodbye and close."""
        await self.push("goodbye", code=code, message=message, **more)
        await self.cut()

    async def cut(self) -> None:
        """Close at once."""
        self.is_over, self.ended_s = True, trio.current_time()
        await self.link.aclose()


Hook: TypeAlias = Callable[[Asked], Awaitable[bool]]
"""Serves a request in its own way; gives whether it did."""
