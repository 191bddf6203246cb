"""Keeps one connection to the server open: dials, says hello, renews the token, dials again.

Theory of operation. ``run`` is a loop over connections, one at a time. Each begins with a token, a
``hello`` and the list of all groups; then calls may use it until it is lost. What the server says
is handed to the listener by the connection's reader, in the order of the wire: so a hello is
known before the pushes that follow it.

What ends the loop is ``final``: a refusal that trying again does not mend, a token that cannot be
had, or ``close``.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Sequence
from typing import Any, Final, NoReturn, Protocol

import attrs
import trio

from groupd.client import backoff
from groupd.client.clock import ServerClock
from groupd.client.connection import Connection
from groupd.client.limits import ClientLimits
from groupd.client.ports import Ports
from groupd.client.tokens import TokenSource, expiry_ms
from groupd.config import Limits
from groupd.domain.queries import Groups, Hello
from groupd.errors import AuthError, Disconnected, GroupdError, Rejected, RemoteProtocolError
from groupd.wire import rpc

log: Final = logging.getLogger(__name__)

_PASSING: Final = frozenset({"unavailable", "rate_limited", "internal"})
"""Codes that a later hello may not meet again."""
_UNREACHABLE: Final = (OSError, trio.BrokenResourceError, trio.TooSlowError)


@attrs.frozen
class Welcome:
    """What the server answers to ``hello``."""

    user: str
    session: str
    server: str
    store: str
    """The store's id: another one means that seqs seen before may not exist."""
    time_ms: int
    limits: dict[str, Any]
    account_head: int
    groups: Sequence[dict[str, Any]]
    """The first page."""
    next: str | None

    @classmethod
    def from_wire(cls, hello: dict[str, Any]) -> Welcome:
        """Read the result of ``hello``; raises RemoteProtocolError."""
        try:
            return cls(
                user=hello["user"],
                session=hello["session"],
                server=hello["server"],
                store=hello["store"],
                time_ms=int(hello["time_ms"]),
                limits=dict(hello["limits"]),
                account_head=int(hello["account"]["head"]),
                groups=hello["groups"],
                next=hello.get("next"),
            )
        except (LookupError, TypeError, ValueError) as error:
            raise RemoteProtocolError("bad_request", f"the answer to hello: {error!r}") from error


class Listener(Protocol):
    """Who is told what the server says. Nothing here may wait; all may raise RemoteProtocolError.

    For each connection: ``welcomed``, ``listed`` for each page of groups, ``listed_all``; pushes
    come from ``welcomed`` on.
    """

    def welcomed(self, welcome: Welcome) -> None:
        """Take the answer to the hello of a new connection."""

    def listed(self, groups: Sequence[dict[str, Any]]) -> None:
        """Take a page of the groups that the user is in."""

    def listed_all(self) -> None:
        """Know that there are no more pages."""

    def notified(self, method: str, params: dict[str, Any]) -> None:
        """Take a push."""

    def ended(self, error: GroupdError | None) -> None:
        """Know that there will be no more connections, and which error is the reason."""


@attrs.frozen
class _Lost:
    """Why a connection is over."""

    cause: GroupdError
    retry_after_ms: int = 0
    """As the server asked."""
    stable: bool = False
    """Whether it held long enough to begin the back-off anew."""


class Uplink:
    """The connection that is open now, and the next one when it is lost. See the module."""

    def __init__(
        self,
        url: str,
        *,
        tokens: TokenSource,
        ports: Ports,
        limits: ClientLimits,
        events: bool,
        name: str,
        reconnect: bool,
        listener: Listener,
        frames: rpc.FrameLimits | None = None,
    ) -> None:
        """Prepare; ``frames`` may be shared by all uplinks of a thread, and is 80 kB otherwise."""
        self.reconnect = reconnect
        self.clock = ServerClock(ports.clock)
        self.tokens = tokens
        self.tokens_accepted = 0
        """How many the server has taken, over all connections."""
        self.final: GroupdError | None = None
        """Why there will be no more connections, once that is so."""
        self._url = url
        self._ports = ports
        self._limits = limits
        self._frames = frames or rpc.FrameLimits.for_client(Limits())
        self._events = events
        self._name = name
        self._listener = listener
        self._token = ""
        self._refusals = 0
        self._renewing = trio.Lock()
        self._connection: Connection | None = None
        self._waiting = trio.lowlevel.ParkingLot()
        self._changes = trio.lowlevel.ParkingLot()

    # --- for those who call

    async def connected(self) -> Connection:
        """Wait for a connection that is open and welcomed, and give it.

        Raises what has ended the client, or Disconnected once it is closed.
        """
        await trio.lowlevel.checkpoint()
        while True:
            if self.final is not None:
                self.raise_final()
            if self._connection is not None and self._connection.is_open:
                return self._connection
            await self._waiting.park()

    async def until(self, *, connected: bool) -> None:
        """Wait until there is a connection that is welcomed, or until there is none.

        Raises what has ended the client, or Disconnected once it is closed.
        """
        await trio.lowlevel.checkpoint()
        while (self._connection is not None) is not connected:
            if self.final is not None:
                self.raise_final()
            await self._changes.park()

    def raise_final(self) -> NoReturn:
        """Raise what has ended the client: a copy, since many callers may meet it."""
        assert self.final is not None
        raise copy.copy(self.final) from self.final

    async def renew(self, *, accepted: int) -> None:
        """Show a fresh token, unless the server has taken one since ``tokens_accepted`` was that.

        If the server refuses it for good, or there is none to be had, the client ends.
        """
        async with self._renewing:
            connection = self._connection
            try:
                while connection is not None and self.tokens_accepted == accepted:
                    try:
                        await self._hello(connection, await self._fresh_token())
                    except Rejected as refusal:
                        if self._is_final(refusal):
                            raise
                        if refusal.code != "unauthenticated":
                            return
            except Disconnected:
                return
            except GroupdError as error:
                self._finish(error)

    # --- the loop

    async def run(self) -> None:
        """Keep connected until that has an end; ``final`` says why. Closes what it has opened."""
        attempt = 0
        try:
            while True:
                lost = await self._serve_one()
                if self.final is not None:
                    break
                if self._is_final(lost.cause) or not (
                    self.reconnect or _asks_for_token(lost.cause)
                ):
                    self._finish(lost.cause)
                    break
                attempt = 1 if lost.stable else attempt + 1
                wait_ms = max(lost.retry_after_ms, self.backoff_ms(attempt))
                log.debug("reconnecting in %d ms: %s", wait_ms, lost.cause)
                await trio.sleep(wait_ms / 1_000)
        finally:
            self.close()

    def close(self) -> None:
        """End the connection and the loop; calls raise Disconnected from now on."""
        self._finish(Disconnected("the client is closed"), failed=False)

    def backoff_ms(self, attempt: int) -> int:
        """Draw how long to wait after ``attempt`` failures in a row."""
        draw = self._ports.randomness.token_bytes(backoff.DRAW_BYTES)
        return self._limits.backoff.delay_ms(attempt, draw)

    def retry_after_ms(self, details: dict[str, Any]) -> int:
        """Read how long the server asks to wait, within bounds; 0 where it does not say."""
        asked = details.get("retry_after_ms")
        return max(0, min(asked, self._limits.retry_after_max_ms)) if type(asked) is int else 0

    def _finish(self, error: GroupdError, *, failed: bool = True) -> None:
        if self.final is not None:
            return
        self.final = error
        if self._connection is not None:
            self._connection.close(str(error))
        self._waiting.unpark_all()
        self._changes.unpark_all()
        self._listener.ended(error if failed else None)

    def _is_final(self, cause: GroupdError) -> bool:
        if _asks_for_token(cause):
            return not self.tokens.renewable or self._refusals > 1
        if isinstance(cause, Rejected):
            return cause.code not in _PASSING and not self.retry_after_ms(cause.details)
        return not isinstance(cause, Disconnected)

    async def _fresh_token(self) -> str:
        """Give a token; raises AuthError, or Disconnected where there may be one the next time."""
        try:
            return await self.tokens.get()
        except AuthError as error:
            # Before the first connection it is a setting that is wrong, mostly.
            if self.tokens_accepted and isinstance(error.__cause__, OSError):
                raise Disconnected(str(error)) from error
            raise

    async def _serve_one(self) -> _Lost:
        """Have one connection, from its token to its end."""
        try:
            token = await self._fresh_token()
            with trio.fail_after(self._limits.dial_timeout_ms / 1_000):
                link = await self._ports.dial(self._url)
        except _UNREACHABLE as error:
            return _Lost(Disconnected(f"cannot reach {self._url}: {error!r}"))
        except GroupdError as error:
            return _Lost(error)
        connection = Connection(
            link, self._frames, self._limits, on_notification=self._listener.notified
        )
        async with trio.open_nursery() as nursery:
            nursery.start_soon(connection.run)
            cause = await self._introduce(connection, token)
            began_s = trio.current_time()
            if cause is None:
                self._connection = connection
                self._waiting.unpark_all()
                self._changes.unpark_all()
                if self.tokens.renewable:
                    nursery.start_soon(self._renew_in_time)
                await connection.closed.wait()
                self._connection = None
                self._changes.unpark_all()
            nursery.cancel_scope.cancel()
        held_ms = (trio.current_time() - began_s) * 1_000
        return self._lost(connection, cause, stable=held_ms >= self._limits.stable_ms)

    def _lost(self, connection: Connection, cause: GroupdError | None, *, stable: bool) -> _Lost:
        goodbye = connection.goodbye or {}
        if isinstance(cause, Rejected):
            return _Lost(cause, self.retry_after_ms(cause.details), stable)
        if cause is not None and goodbye:
            # Instead of an answer to hello: the same to us as a refusal.
            cause = Rejected.from_wire(goodbye)
            self._refusals += _asks_for_token(cause)
        cause = cause or Disconnected(connection.why_closed)
        return _Lost(cause, self.retry_after_ms(goodbye), stable)

    # --- hello

    async def _introduce(self, connection: Connection, token: str) -> GroupdError | None:
        """Say hello and list the groups; give what went wrong."""

        def welcomed(welcome: Welcome) -> None:
            connection.frame_max_bytes = welcome.limits.get("frame_max_bytes")
            self._listener.welcomed(welcome)
            self._listener.listed(welcome.groups)

        try:
            with trio.fail_after(self._limits.hello_timeout_ms / 1_000):
                page = await self._hello(connection, token, welcomed)
                while after := page.get("next"):
                    request = Groups(after=after)
                    page = await connection.request(
                        request.method, request.params(), then=self._take_page
                    )
                self._listener.listed_all()
        except trio.TooSlowError:
            return Disconnected("the server did not answer hello")
        except (Rejected, Disconnected) as error:
            return error
        return None

    def _take_page(self, page: dict[str, Any]) -> None:
        self._listener.listed(page.get("groups", ()))

    async def _hello(
        self,
        connection: Connection,
        token: str,
        welcomed: Callable[[Welcome], None] | None = None,
    ) -> dict[str, Any]:
        """Show a token; ``welcomed`` is called before what the server sends after its answer."""

        def accepted(hello: dict[str, Any]) -> None:
            welcome = Welcome.from_wire(hello)
            self._token, self._refusals = token, 0
            self.tokens_accepted += 1
            self.clock.set(welcome.time_ms)
            if welcomed is not None:
                welcomed(welcome)

        request = Hello(token=token, client=self._name, events=self._events)
        try:
            return await connection.request(request.method, request.params(), then=accepted)
        except Rejected as refusal:
            self._refusals += _asks_for_token(refusal)
            raise

    async def _renew_in_time(self) -> None:
        """Renew the token before it expires, as long as this connection holds."""
        limits = self._limits
        while (expires_ms := expiry_ms(self._token)) is not None:
            accepted = self.tokens_accepted
            left_ms = expires_ms - self.clock.now_ms()
            wait_ms = max(left_ms - limits.renew_before_ms, left_ms // 2, limits.renew_min_ms)
            await trio.sleep(wait_ms / 1_000)
            await self.renew(accepted=accepted)


def _asks_for_token(cause: GroupdError) -> bool:
    return isinstance(cause, Rejected) and cause.code == "unauthenticated"
