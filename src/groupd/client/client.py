"""The SDK: ``connect`` gives a ``Client``, which calls, hears events and survives lost connections.

Theory of operation. The ``Uplink`` keeps a connection open; ``call`` uses the one of the moment
and asks again on the next one when it is lost, with the same request id, so that a command is done
exactly once however often it was sent. What the connection's reader hears goes to the
open streams (``Feed``).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import attrs
import trio

from groupd.client import ids
from groupd.client.events import EventStream
from groupd.client.feed import Feed
from groupd.client.limits import ClientLimits
from groupd.client.ports import Ports
from groupd.client.tokens import Token, TokenSource
from groupd.client.uplink import Uplink, Welcome
from groupd.domain.base import Request
from groupd.engine.calls import Calls
from groupd.engine.nursery import open_hidden_nursery
from groupd.errors import Disconnected, LocalProtocolError, Rejected

CLIENT_NAME: Final = "groupd-python/0.1.0"


@asynccontextmanager
async def connect(
    url: str,
    *,
    token: Token,
    ports: Ports,
    events: bool = True,
    name: str = CLIENT_NAME,
    reconnect: bool = True,
    limits: ClientLimits | None = None,
) -> AsyncIterator[Client]:
    """Connect to a server as the user of ``token``, for as long as the block runs.

    ``token`` is a JWT, or an async callable that gives a fresh one: it is asked for each
    connection, shortly before the last one expires, and when the server refuses one. It should
    try again by itself where that may help: what it raises ends the client. Without ``events``
    the server pushes nothing. With ``reconnect``, this and all calls wait for as long as the
    server cannot be reached: a deadline is the caller's, by ``trio.fail_after``.

    Resources: the client owns its connection and the tasks that serve it; both end with the
    block. Cancelled, commands that were under way may or may not have taken effect.

    Errors: raises what ends the client before it begins: Rejected (the token, say), AuthError
    (from the callable), ConfigError (the URL, or a server that cannot be trusted), or without
    ``reconnect`` Disconnected. What ends it later is raised by the next call, and by the streams
    of events.
    """
    client = Client(
        url,
        token=TokenSource(token),
        ports=ports,
        limits=limits or ClientLimits(),
        events=events,
        name=name,
        reconnect=reconnect,
    )
    # Hidden: that there is a nursery is not the caller's concern.
    async with open_hidden_nursery() as nursery:
        nursery.start_soon(client._uplink.run)
        try:
            await client._uplink.connected()
            yield client
        finally:
            client._uplink.close()
            nursery.cancel_scope.cancel()


@attrs.define
class _Intent:
    """One command or question, on its way to an answer."""

    method: str
    params: dict[str, Any]
    restamps: bool
    """Whether the client made its id, and may make another while nothing can have been done."""
    losses: int = 0
    unavailable: int = 0
    renewed: bool = False


class Client(Calls):
    """A user's side of the conversation. Made by ``connect``.

    Calls may be made by any number of tasks at a time. One that is cancelled may or may not take
    effect, and leaves the client as usable as before. A lost connection is nothing that a call
    shows, only a longer wait; ``Disconnected`` means that it was lost too often under this call,
    or that the client has ended.
    """

    def __init__(
        self,
        url: str,
        *,
        token: TokenSource,
        ports: Ports,
        limits: ClientLimits,
        events: bool,
        name: str,
        reconnect: bool,
    ) -> None:
        self._ports = ports
        self._client_limits = limits
        self._hears = events
        self._ids = ids.RisingIds()
        self._feed = Feed(self, events_max=limits.events_max, wait_ms=self._wait_ms)
        self._uplink = Uplink(
            url,
            tokens=token,
            ports=ports,
            limits=limits,
            events=events,
            name=name,
            reconnect=reconnect,
            listener=self._feed,
        )

    # --- what hello said

    @property
    def user(self) -> str:
        """The user whom the token speaks for."""
        return self._welcomed.user

    @property
    def session(self) -> str:
        """The server's name for the connection of the moment."""
        return self._welcomed.session

    @property
    def limits(self) -> Mapping[str, Any]:
        """The server's limits."""
        return self._welcomed.limits

    @property
    def chat_list(self) -> Sequence[dict[str, Any]]:
        """The groups that the user is in, as of the last time of connecting; see ``groups``."""
        return self._feed.chat_list

    def server_time_ms(self) -> int:
        """Give the server's time, as well as it is known."""
        return self._uplink.clock.now_ms()

    async def until_connected(self) -> None:
        """Wait until there is a connection. Raises what has ended the client."""
        await self._uplink.until(connected=True)

    async def until_disconnected(self) -> None:
        """Wait until there is no connection, as while it is being made anew.

        Calls need not ask: they wait for the next one by themselves. It is for telling people.
        Raises what has ended the client.
        """
        await self._uplink.until(connected=False)

    @property
    def _welcomed(self) -> Welcome:
        welcome = self._feed.welcome
        assert welcome is not None, "connect() gives a client only after its hello"
        return welcome

    # --- calls

    async def call(
        self, request: Request, *, group: str | None = None, id: str | None = None
    ) -> dict[str, Any]:
        """Have a request served, over as many connections as it takes.

        A command gets an id, if it has none, and keeps it. ``unavailable`` is tried again for
        ``ClientLimits.unavailable_retries_max`` times, ``rate_limited`` is not.

        Raises:
            Rejected: the server refuses it.
            Disconnected: see the class.

        """
        if id is not None and not request.takes_id:
            raise LocalProtocolError(f"{request.method} takes no id")
        params = request.params()
        if group is not None:
            params["group"] = group
        if request.takes_id:
            params["id"] = id or self._new_id()
        intent = _Intent(request.method, params, restamps=request.takes_id and id is None)
        while True:
            connection = await self._uplink.connected()
            accepted = self._uplink.tokens_accepted
            try:
                return await connection.request(intent.method, intent.params)
            except Disconnected:
                intent.losses += 1
                if not self._uplink.reconnect or intent.losses >= self._client_limits.sends_max:
                    raise
            except Rejected as refused:
                await self._prepare_again(intent, refused, accepted=accepted)

    async def _prepare_again(self, intent: _Intent, refused: Rejected, *, accepted: int) -> None:
        """Get ready for asking again; raises ``refused`` where that would not help."""
        limits, in_doubt = self._client_limits, bool(intent.losses or intent.unavailable)
        if refused.code == "unavailable" and intent.unavailable < limits.unavailable_retries_max:
            intent.unavailable += 1
            await trio.sleep(self._wait_ms(refused, intent.unavailable) / 1_000)
        elif refused.code == "unauthenticated" and self._renewable(intent):
            intent.renewed = True
            await self._uplink.renew(accepted=accepted)
        elif refused.code == "stale_id" and intent.restamps and not in_doubt:
            # The first send was refused, so nothing was done: a new id is no second intent.
            intent.restamps = False
            self._uplink.clock.set(refused.details.get("time_ms", 0))
            self._ids = ids.RisingIds()
            intent.params["id"] = self._new_id()
        else:
            raise refused

    def _renewable(self, intent: _Intent) -> bool:
        return self._uplink.tokens.renewable and not intent.renewed

    def _wait_ms(self, refused: Rejected, attempt: int = 1) -> int:
        return self._uplink.retry_after_ms(refused.details) or self._uplink.backoff_ms(attempt)

    def _new_id(self) -> str:
        draw = self._ports.randomness.token_bytes(ids.DRAW_BYTES)
        return self._ids.make(self.server_time_ms(), draw)

    # --- events

    def events(self, *, after: Mapping[str, int] | None = None) -> EventStream:
        """Hear what happens from now on: ``async for event in client.events(): ...``.

        ``after`` maps groups to the seqs from which to go on there instead, such as those that
        the application saw before it was restarted. A stream holds at most
        ``ClientLimits.events_max`` pushes, or a page of what it has to fetch, and misses nothing
        of a group or of the account while it is read slowly. Signals that find no room are lost.
        """
        if not self._hears:
            raise LocalProtocolError("connected without events")
        return self._feed.open(dict(after or {}))
