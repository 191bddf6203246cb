"""A small server in memory that keeps the protocol, and misbehaves as a test tells it."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, Final

import attrs
import trio

from groupd.client import Client, ClientLimits, Ports, Token, connect
from groupd.errors import Rejected
from groupd.server.link import LinkBroken
from groupd.testing.links import FakeLink, link_pair
from groupd.wire import rpc

NOW_MS: Final = 1_750_000_000_000
URL: Final = "tcp://fake:1"
SILENCE: Final = None
"""What a handler gives for no answer at all."""

Handler = Callable[["Visit", rpc.Request], dict[str, Any] | Rejected | None]


class FixedClock:
    """A wall clock that stands still until a test moves it."""

    now = 0

    def now_ms(self) -> int:
        return self.now


class CountingRandomness:
    """Bytes that differ and can be foretold. ``byte`` makes them all alike."""

    def __init__(self, byte: int | None = None) -> None:
        self._byte = byte
        self._numbers = itertools.count(1)

    def token_bytes(self, count: int) -> bytes:
        if self._byte is not None:
            return bytes([self._byte]) * count
        return (next(self._numbers) * 0x9E3779B97F4A7C15 % (1 << 8 * count)).to_bytes(count)


@attrs.define(eq=False)
class Visit:
    """One connection, on the server's side."""

    link: FakeLink
    client_link: FakeLink
    number: int
    limits: rpc.FrameLimits
    hello: rpc.Request | None = None
    over: bool = False

    def send(self, data: bytes) -> None:
        assert self.link.try_send(data) == len(data), "the client does not read"

    def push(self, method: str, **params: Any) -> None:
        self.send(rpc.encode_notification(method, params))

    def answer(self, request: rpc.Request, result: dict[str, Any] | Rejected) -> None:
        if isinstance(result, Rejected):
            self.send(rpc.encode_error(request.msgid, result.to_wire()))
        else:
            self.send(rpc.encode_response(request.msgid, result))

    def cut(self) -> None:
        """Lose the connection, and what is on its way."""
        self.link.cut()


@attrs.define(eq=False)
class FakeServer:
    """Answers ``hello``, ``groups``, ``sync`` and ``account_history`` from its logs.

    ``handlers`` say what comes to all else, and may take the place of these.
    """

    nursery: trio.Nursery
    user: str = "ann"
    store: str = "store-1"
    time_ms: int = NOW_MS
    logs: dict[str, list[dict[str, Any]]] = attrs.field(factory=dict)
    account: list[dict[str, Any]] = attrs.field(factory=list)
    handlers: dict[str, Handler] = attrs.field(factory=dict)
    page: int = 100
    visits: list[Visit] = attrs.field(factory=list)
    requests: list[rpc.Request] = attrs.field(factory=list)
    dials: list[float] = attrs.field(factory=list)
    """When the client tried to connect, on trio's clock."""
    dial_error: Exception | None = None
    """What the client meets instead of a connection."""
    frame_max_bytes: int = 65_536
    clock: FixedClock = attrs.field(factory=FixedClock)
    randomness: CountingRandomness = attrs.field(factory=CountingRandomness)

    # --- the client's end

    def connect(
        self, *, token: Token = "token", limits: ClientLimits | None = None, **more: Any
    ) -> AbstractAsyncContextManager[Client]:
        """Give ``groupd.client.connect`` to this server."""
        ports = Ports(clock=self.clock, randomness=self.randomness, dial=self.dial)
        return connect(URL, token=token, ports=ports, limits=limits, **more)

    async def dial(self, url: str) -> FakeLink:
        await trio.lowlevel.checkpoint()
        self.dials.append(trio.current_time())
        if self.dial_error is not None:
            raise self.dial_error
        ours, theirs = link_pair(capacity=1 << 24)
        visit = Visit(theirs, ours, len(self.visits), rpc.FrameLimits(1 << 20, 1 << 10, 1 << 10))
        self.visits.append(visit)
        self.nursery.start_soon(self._serve, visit)
        return ours

    # --- the server's end

    @property
    def visit(self) -> Visit:
        """The connection of the moment."""
        return self.visits[-1]

    def sent(self, method: str) -> list[dict[str, Any]]:
        """Give the params of all requests of a method, over all connections."""
        return [request.params for request in self.requests if request.method == method]

    async def _serve(self, visit: Visit) -> None:
        unframer = rpc.Unframer(visit.limits)
        try:
            while data := await visit.link.receive_some(65_536):
                for request in unframer.feed(data):
                    assert isinstance(request, rpc.Request)
                    self.requests.append(request)
                    handler = self.handlers.get(request.method) or getattr(
                        self, f"_{request.method}", None
                    )
                    assert handler is not None, f"nobody handles {request.method}"
                    result = handler(visit, request)
                    if result is not SILENCE:
                        visit.answer(request, result)
                assert unframer.error is None
        except LinkBroken:
            pass
        finally:
            visit.over = True
            await visit.link.aclose()

    # --- events

    def log(self, group: str, *, push: bool = True, kind: str = "posted", **fields: Any) -> int:
        """Add an event to a group's log; push it, or let it be missed."""
        events = self.logs.setdefault(group, [])
        seq = len(events) + 1
        event = {"group": group, "seq": seq, "time_ms": self.time_ms, "user": "bob", "kind": kind}
        events.append(event | fields)
        if push:
            self.visit.push("event", **events[-1])
        return seq

    def log_account(self, kind: str, *, push: bool = True, **fields: Any) -> int:
        """Add an event to the user's own log."""
        seq = len(self.account) + 1
        self.account.append({"seq": seq, "time_ms": self.time_ms, "kind": kind} | fields)
        if push:
            self.visit.push("account_event", **self.account[-1])
        return seq

    def lag(self, group: str) -> None:
        """Say that the session has missed events of a group."""
        self.visit.push("lagged", group=group, head=len(self.logs[group]))

    # --- what it serves

    def _listing(self, after: str) -> dict[str, Any]:
        names = sorted(name for name in self.logs if name > after)
        page = [{"group": name, "head": len(self.logs[name])} for name in names[: self.page]]
        return {"groups": page} | ({"next": names[self.page - 1]} if len(names) > self.page else {})

    def _hello(self, visit: Visit, request: rpc.Request) -> dict[str, Any]:
        visit.hello = request
        return {
            "user": self.user,
            "session": f"session-{visit.number}",
            "server": "fake",
            "protocol": 1,
            "store": self.store,
            "time_ms": self.time_ms,
            "limits": {"frame_max_bytes": self.frame_max_bytes},
            "account": {"head": len(self.account)},
            **self._listing(""),
        }

    def _groups(self, visit: Visit, request: rpc.Request) -> dict[str, Any]:
        return self._listing(request.params["after"])

    def _sync(self, visit: Visit, request: rpc.Request) -> dict[str, Any]:
        pages = []
        for group, cursor in request.params["cursors"].items():
            log = self.logs.get(group)
            if log is not None:
                events = log[cursor : cursor + self.page]
                head = len(log)
                more = cursor + len(events) < head
                pages.append(
                    {"group": group, "events": events, "head": head, "floor": 1, "more": more}
                )
        return {"groups": pages}

    def _account_history(self, visit: Visit, request: rpc.Request) -> dict[str, Any]:
        after = request.params.get("after", 0)
        events = self.account[after : after + self.page]
        head = len(self.account)
        return {"events": events, "head": head, "more": after + len(events) < head}

    def _ping(self, visit: Visit, request: rpc.Request) -> dict[str, Any]:
        return {"time_ms": self.time_ms}

    def _post(self, visit: Visit, request: rpc.Request) -> dict[str, Any]:
        params = request.params
        seq = self.log(params["group"], user=self.user, text=params["text"], id=params["id"])
        return {"status": "posted", "seq": seq, "time_ms": self.time_ms}
