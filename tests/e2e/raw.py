"""A client that says exactly what a test wants it to say, and keeps all that it is told."""

from __future__ import annotations

import itertools
import ssl
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import msgpack
import trio

from groupd.client.ids import uuid7
from groupd.errors import Rejected
from groupd.server.link import Link, LinkBroken
from groupd.server.tls import connect_link

Map: TypeAlias = dict[str, Any]
Push: TypeAlias = tuple[str, Map]

PATIENCE_S = 30.0
_tails = itertools.count(1)


def new_id(time_ms: int) -> str:
    """Make a request id as a client would: unlike any other of this process."""
    return uuid7(time_ms, next(_tails))


def request(msgid: int, method: str, params: Map) -> bytes:
    frame: bytes = msgpack.packb([0, msgid, method, [params]])
    return frame


class RawClient:
    """One connection. For one task at a time; nothing runs in the background.

    ``answers`` holds what came for each msgid and was not taken yet, ``pushes`` the notifications
    in order. ``goodbye`` is the last word of the server, if it had one.
    """

    def __init__(self, link: Link, *, patience_s: float = PATIENCE_S) -> None:
        self.link = link
        self.answers: dict[int, list[Any]] = {}
        self.pushes: list[Push] = []
        self.goodbye: Map | None = None
        self.ended = False
        self.greeting: Map = {}
        self._patience_s = patience_s
        self._msgids = itertools.count(1)
        self._unpacker = msgpack.Unpacker(strict_map_key=True, max_buffer_size=2**26)

    # --- sending

    async def send_bytes(self, data: bytes) -> None:
        with trio.fail_after(self._patience_s):
            await self.link.send_all(data)

    def frame(self, method: str, params: Map) -> tuple[int, bytes]:
        msgid = next(self._msgids)
        return msgid, request(msgid, method, params)

    async def send(self, method: str, /, **params: Any) -> int:
        """Send a request and do not wait for its answer; give its msgid."""
        msgid, data = self.frame(method, params)
        await self.send_bytes(data)
        return msgid

    # --- receiving

    async def receive(self) -> bool:
        """Read once; gives False at the end of the stream, a reset included."""
        if self.ended:
            return False
        try:
            with trio.fail_after(self._patience_s):
                data = await self.link.receive_some(65_536)
        except LinkBroken:
            data = b""
        if not data:
            self.ended = True
            return False
        self._unpacker.feed(data)
        for message in self._unpacker:
            self._take(message)
        return True

    def _take(self, message: Any) -> None:
        if message[0] == 1:
            _, msgid, error, result = message
            assert msgid not in self.answers, "two answers to one request"
            assert (error is None) != (result is None)
            self.answers[msgid] = [error, result]
        else:
            kind, method, (params,) = message
            assert kind == 2
            if method == "goodbye":
                assert self.goodbye is None, "two goodbyes"
                self.goodbye = params
            else:
                self.pushes.append((method, params))

    async def answer(self, msgid: int) -> Map:
        """Wait for an answer; raises Rejected, or EOFError where the connection ends first."""
        while msgid not in self.answers:
            if not await self.receive():
                raise EOFError(f"no answer to {msgid}; goodbye: {self.goodbye}")
        error, result = self.answers.pop(msgid)
        if error is not None:
            raise Rejected.from_wire(error)
        found: Map = result
        return found

    async def outcome(self, msgid: int) -> Map | Rejected:
        """Wait for an answer; give the result or the refusal."""
        try:
            return await self.answer(msgid)
        except Rejected as refusal:
            return refusal

    async def ask(self, method: str, /, **params: Any) -> Map:
        return await self.answer(await self.send(method, **params))

    async def refusal(self, method: str, /, **params: Any) -> Rejected:
        """Ask for what must be refused; give the refusal."""
        outcome = await self.outcome(await self.send(method, **params))
        assert isinstance(outcome, Rejected), f"{method} was not refused: {outcome}"
        return outcome

    async def hello(self, token: str, **params: Any) -> Map:
        self.greeting = await self.ask("hello", token=token, **params)
        return self.greeting

    async def exchange(self, requests: Iterable[tuple[str, Map]]) -> list[Map | Rejected]:
        """Pipeline requests, reading meanwhile; give the outcomes in the order of asking."""
        framed = [self.frame(method, params) for method, params in requests]
        outcomes: list[Map | Rejected] = []
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.send_bytes, b"".join(data for _, data in framed))
            for msgid, _ in framed:
                outcomes.append(await self.outcome(msgid))
        return outcomes

    async def push(self, fits: Callable[[str, Map], bool] = lambda method, params: True) -> Push:
        """Wait for a push that fits; take it and those before it."""
        while True:
            for index, (method, params) in enumerate(self.pushes):
                if fits(method, params):
                    del self.pushes[: index + 1]
                    return method, params
            if not await self.receive():
                raise EOFError(f"no such push; goodbye: {self.goodbye}")

    async def event(self, kind: str, **fields: Any) -> Map:
        """Wait for an event; what came before it is dropped."""

        def fits(method: str, params: Map) -> bool:
            wanted = {"kind": kind, **fields}
            return method == "event" and all(params.get(k) == v for k, v in wanted.items())

        return (await self.push(fits))[1]

    async def drain(self) -> Map | None:
        """Read to the end of the stream; give the goodbye."""
        while await self.receive():
            pass
        return self.goodbye

    def events(self, group: str) -> list[Map]:
        """Give the events of a group among the pushes that have come."""
        return [p for method, p in self.pushes if method == "event" and p["group"] == group]

    # --- ending

    async def close(self) -> None:
        self.ended = True
        await self.link.aclose()


@asynccontextmanager
async def dial(
    url: str, *, tls: ssl.SSLContext | None = None, **options: Any
) -> AsyncIterator[RawClient]:
    """Connect to a server; the connection is closed at the end of the block."""
    client = RawClient(await connect_link(url, tls), **options)
    try:
        yield client
    finally:
        with trio.CancelScope(shield=True):
            await client.close()


def codes(outcomes: Iterable[Map | Rejected]) -> dict[str, int]:
    """Count outcomes by their code; ``ok`` is a result."""
    counts: dict[str, int] = {}
    for outcome in outcomes:
        code = outcome.code if isinstance(outcome, Rejected) else "ok"
        counts[code] = counts.get(code, 0) + 1
    return counts
