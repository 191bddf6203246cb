"""A small HTTP/1.1 server over links: reads requests within limits, and writes what is answered.

Placement rules:
- What is asked for and what that means is the handler's; here are bytes, limits and deadlines.
- h11 is the protocol, and nothing else imports it. It does no I/O; the links do.
- A response is whole before it is sent, so that its length is known and an error can still take
  its place.
"""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Final, TypeAlias

import attrs
import h11
import structlog
import trio

from groupd.server.addresses import Listener, accept, close_listener
from groupd.server.link import Link, LinkBroken, SocketLink
from groupd.server.poller import Poller
from groupd.server.tls import secure

log = structlog.get_logger()

READ_BYTES: Final = 8_192
LINGER_S: Final = 2.0
LINGER_MAX_BYTES: Final = 4 << 20
"""How long, and how much, is read on from somebody whose request was refused."""
TEXT: Final = "text/plain; charset=utf-8"


@attrs.frozen
class HttpLimits:
    """The bounds of one such server."""

    connections_max: int = 32
    """Above it, a new connection is closed at once."""
    head_max_bytes: int = 16_384
    """A request's line and headers."""
    body_max_bytes: int = 65_536
    request_deadline_ms: int = 10_000
    """From the head of a request until its response has left; also how long a connection may be
    idle, with the head that ends that."""
    requests_max: int = 1_000
    """On one connection, which is closed then."""


@attrs.frozen
class HttpRequest:
    """A whole request."""

    method: str
    path: str
    """Without the query."""
    query: str = ""
    headers: Mapping[str, str] = attrs.field(factory=dict)
    """Names in lower case; of a repeated one, the last."""
    body: bytes = b""


@attrs.frozen
class HttpResponse:
    """A whole response."""

    status: int
    body: bytes
    content_type: str = TEXT
    headers: Mapping[str, str] = attrs.field(factory=dict)
    take_over: Callable[[Link, bytes], None] | None = None
    """With status 101: who has the link from then on, and what has come after the request. It must
    not raise; ``Link.aclose`` is for it to call."""


Handler: TypeAlias = Callable[[HttpRequest], Awaitable[HttpResponse]]
"""Answers a request. What it raises is logged, and answered with 500."""


@attrs.define(eq=False)
class _Busy:
    """What is being answered on all connections of a server."""

    requests: int = 0
    is_ending: bool = False
    """Whether a connection ends with the answer that is under way."""
    changed: trio.Event = attrs.field(factory=trio.Event)

    def count(self, change: int) -> None:
        """Note that a request has come, or was answered."""
        self.requests += change
        if not self.requests:
            self.changed.set()
            self.changed = trio.Event()


class _TooLarge(Exception):
    """A body is over the limit."""


def plain(status: int, text: str, **headers: str) -> HttpResponse:
    """Make a response of one line of text."""
    return HttpResponse(status, f"{text}\n".encode(), headers=headers)


class HttpServer:
    """Serves requests on its listeners, each connection in a task, until cancelled.

    ``tls`` gives what is shown to whoever connects now, where it is HTTPS; ``poller`` is for who
    takes links over.
    """

    def __init__(
        self,
        handle: Handler,
        limits: HttpLimits,
        *,
        tls: Callable[[], ssl.SSLContext | None] = lambda: None,
        poller: Poller | None = None,
        refusal: Callable[[int, str], HttpResponse] | None = None,
    ) -> None:
        self._handle = handle
        self._limits = limits
        self._tls = tls
        self._poller = poller
        self._refusal = refusal or plain
        self._busy = _Busy()
        self._listeners: list[Listener] = []
        self.connections = 0

    async def listen(self, listeners: Sequence[Listener]) -> None:
        """Accept on these sockets until cancelled or drained; owns them from here on."""
        self._listeners += listeners
        try:
            async with trio.open_nursery() as nursery:
                for listener in listeners:
                    nursery.start_soon(self._accept_loop, listener, nursery)
        finally:
            for listener in listeners:
                close_listener(listener)

    async def drain(self, within_s: float) -> None:
        """Accept nobody any more, and wait until what was asked is answered, or for that long."""
        self._busy.is_ending = True
        for listener in self._listeners:
            close_listener(listener)
        with trio.move_on_after(within_s):
            while self._busy.requests:
                await self._busy.changed.wait()

    async def _accept_loop(self, listener: Listener, nursery: trio.Nursery) -> None:
        while True:
            try:
                sock, address = await accept(listener)
            except trio.ClosedResourceError:
                return  # ``drain`` has closed it.
            link = SocketLink(sock, address, self._poller)
            if self.connections >= self._limits.connections_max:
                await link.aclose()
                continue
            nursery.start_soon(self.serve, link)

    async def serve(self, link: Link) -> None:
        """Serve one connection to its end; the link is closed then, or somebody else's."""
        self.connections += 1
        is_ours = True
        try:
            context = self._tls()
            if context is not None:
                with trio.fail_after(self._limits.request_deadline_ms / 1_000):
                    link = await secure(link, context)
            connection = _Connection(link, self._handle, self._limits, self._refusal, self._busy)
            is_ours = await connection.run()
            if connection.has_complained:
                await _linger(link)
        except (LinkBroken, trio.TooSlowError):
            pass  # Nobody is there to be answered, or does not speak TLS.
        except Exception:
            # A bug here must not end what is served beside it.
            log.exception("http_failed", peer=link.peer)
        finally:
            self.connections -= 1
            if is_ours:
                with trio.CancelScope(shield=True):
                    await link.aclose()


async def _linger(link: Link) -> None:
    """Let a peer read its refusal: closing while it still sends would take that back."""
    link.send_eof()
    left = LINGER_MAX_BYTES
    with trio.move_on_after(LINGER_S):
        while left > 0 and (piece := await link.receive_some(READ_BYTES)):
            left -= len(piece)


class _Connection:
    """One connection's requests, in their order."""

    def __init__(
        self,
        link: Link,
        handle: Handler,
        limits: HttpLimits,
        refusal: Callable[[int, str], HttpResponse],
        busy: _Busy,
    ) -> None:
        self._busy = busy
        self.has_complained = False
        """Whether something was refused that has not been read to its end."""
        self._refusal = refusal
        self._link = link
        self._handle = handle
        self._limits = limits
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=limits.head_max_bytes)

    async def run(self) -> bool:
        """Serve until the peer or a limit ends it; says whether the link is still ours."""
        for _ in range(self._limits.requests_max):
            # Once for idling and for a request's head, and from then on once for all the rest.
            with trio.move_on_after(self._limits.request_deadline_ms / 1_000) as scope:
                if not await self._serve_one(scope):
                    return self._http.our_state is not h11.SWITCHED_PROTOCOL
                self._http.start_next_cycle()
            if scope.cancelled_caught:
                # Somebody who is slow gets a word if it leaves at once.
                self._complain(408, "too slow")
                break
        return True

    async def _serve_one(self, scope: trio.CancelScope) -> bool:
        """Serve a request; says whether another one may follow."""
        try:
            request = await self._receive(scope)
        except h11.RemoteProtocolError as error:
            self._complain(error.error_status_hint, "this is not an HTTP/1.1 request")
            return False
        except _TooLarge:
            self._complain(413, "the body is too large")
            return False
        if request is None:
            return False
        self._busy.count(1)
        try:
            return await self._answer(request)
        finally:
            self._busy.count(-1)

    async def _answer(self, request: HttpRequest) -> bool:
        try:
            response = await self._handle(request)
        except Exception:
            log.exception("http_failed", path=request.path, peer=self._link.peer)
            response = plain(500, "a bug; it was logged")
        if response.take_over is not None:
            await self._hand_over(response, response.take_over)
            return False
        await self._link.send_all(self._encode(response, is_head=request.method == "HEAD"))
        is_done = self._http.our_state is h11.DONE and self._http.their_state is h11.DONE
        return is_done and not self._busy.is_ending

    async def _hand_over(
        self, response: HttpResponse, take_over: Callable[[Link, bytes], None]
    ) -> None:
        """Agree to another protocol, and let somebody else speak it."""
        headers = [(name.replace("_", "-"), value) for name, value in response.headers.items()]
        agreed = h11.InformationalResponse(status_code=response.status, headers=headers)
        await self._link.send_all(self._http.send(agreed) or b"")
        early, _ = self._http.trailing_data
        take_over(self._link, early)

    async def _receive(self, scope: trio.CancelScope) -> HttpRequest | None:
        """Read a request; None where the peer sends no further one."""
        head: h11.Request | None = None
        body = b""
        while True:
            event = self._http.next_event()
            if event is h11.NEED_DATA:
                if self._http.they_are_waiting_for_100_continue:
                    go_on = h11.InformationalResponse(status_code=100, headers=[])
                    await self._link.send_all(self._http.send(go_on) or b"")
                self._http.receive_data(await self._link.receive_some(READ_BYTES))
            elif isinstance(event, h11.Request):
                head = event
                scope.deadline = trio.current_time() + self._limits.request_deadline_ms / 1_000
            elif isinstance(event, h11.Data):
                body += event.data
                if len(body) > self._limits.body_max_bytes:
                    raise _TooLarge
            elif isinstance(event, h11.EndOfMessage):
                assert head is not None
                return _request_of(head, body)
            else:  # ConnectionClosed, or PAUSED by an upgrade that nobody has agreed to.
                return None

    def _encode(self, response: HttpResponse, *, is_head: bool = False) -> bytes:
        headers = {
            "content-type": response.content_type,
            "content-length": str(len(response.body)),
            "cache-control": "no-store",
            **{name.replace("_", "-"): value for name, value in response.headers.items()},
        }
        head = h11.Response(status_code=response.status, headers=list(headers.items()))
        data = self._http.send(head) or b""
        if not is_head:
            data += self._http.send(h11.Data(data=response.body)) or b""
        return data + (self._http.send(h11.EndOfMessage()) or b"")

    def _complain(self, status: int, text: str) -> None:
        """Say what is wrong, if that leaves at once; the connection ends anyway."""
        if self._http.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            with suppress(LinkBroken, h11.LocalProtocolError):
                response = self._refusal(status, text)
                headers = {**response.headers, "connection": "close"}
                self._link.try_send(self._encode(attrs.evolve(response, headers=headers)))
                self.has_complained = True


def _request_of(head: h11.Request, body: bytes) -> HttpRequest:
    path, _, query = head.target.decode("latin-1").partition("?")
    return HttpRequest(
        method=head.method.decode("ascii"),
        path=path,
        query=query,
        headers={name.decode("latin-1"): value.decode("latin-1") for name, value in head.headers},
        body=body,
    )
