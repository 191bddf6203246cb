"""The SDK for programs on asyncio.

async with groupd.client.aio.connect("tcp://...", token=token) as client:
    await client.post(group, text="hello")
    async for event in client.events(): ...

The trio client itself does the work, in a thread of its own; ``thread.py`` says why, and what
holds at the end of the program and after a fork. The event loop is never blocked.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Self, TypeAlias

from groupd.client.client import CLIENT_NAME
from groupd.client.client import Client as TrioClient
from groupd.client.client import connect as connect_on_trio
from groupd.client.events import ClientEvent
from groupd.client.limits import ClientLimits
from groupd.client.ports import Ports
from groupd.client.system import system_ports
from groupd.client.thread import Host, Pull, outcome
from groupd.domain.base import Request
from groupd.engine.calls import Calls
from groupd.errors import LocalProtocolError

Token: TypeAlias = str | Callable[[], Awaitable[str]]
"""One token for good, or where to get a fresh one; that is awaited on the loop of ``connect``."""


@asynccontextmanager
async def connect(
    url: str,
    *,
    token: Token,
    tls: ssl.SSLContext | None = None,
    events: bool = True,
    reconnect: bool = True,
    name: str = CLIENT_NAME,
    limits: ClientLimits | None = None,
    ports: Ports | None = None,
) -> AsyncIterator[Client]:
    """Connect to a server as the user of ``token``, for as long as the block runs.

    See ``groupd.connect`` for the options and the errors; a deadline is the caller's, by
    ``asyncio.timeout``. ``ports`` are for tests.

    Resources: the client owns a thread and a connection; both end with the block. Cancelled,
    commands that were under way may or may not have taken effect.
    """
    loop = asyncio.get_running_loop()
    given = ports or system_ports(url, tls)

    def opening() -> Any:
        return connect_on_trio(
            url,
            token=token if isinstance(token, str) else _on_loop(loop, token),
            ports=given,
            events=events,
            name=name,
            reconnect=reconnect,
            limits=limits,
        )

    host = Host(opening)
    host.start()
    try:
        yield Client(host, await asyncio.wrap_future(host.ready), hears=events)
    except BaseException:
        # That is the error to see, whatever ended the thread.
        await _end(host)
        raise
    else:
        await _end(host)
        if host.is_here:
            host.ended.result()


async def _end(host: Host) -> None:
    """Close the client and wait for its thread. Cancelled, that ends by itself."""
    host.close()
    if host.is_here:
        await asyncio.wait([asyncio.wrap_future(host.ended)])


class Client(Calls):
    """A user's side of the conversation. Made by ``connect``.

    It belongs to one event loop; any number of its tasks may make calls at a time. One that is
    cancelled may or may not take effect, and leaves the client as usable as before. A lost
    connection is nothing that a call shows, only a longer wait; ``Disconnected`` means that it was
    lost too often under this call, or that the client has ended. After a fork the child connects
    anew: there every method raises LocalProtocolError.
    """

    def __init__(self, host: Host, client: TrioClient, *, hears: bool) -> None:
        self._host = host
        self._client = client
        self._hears = hears

    @property
    def user(self) -> str:
        """The user whom the token speaks for."""
        return self._client.user

    @property
    def session(self) -> str:
        """The server's name for the connection of the moment."""
        return self._client.session

    @property
    def limits(self) -> Mapping[str, Any]:
        """The server's limits."""
        return self._client.limits

    @property
    def chat_list(self) -> Sequence[dict[str, Any]]:
        """The groups that the user is in, as of the last time of connecting; see ``groups``."""
        return self._client.chat_list

    async def server_time_ms(self) -> int:
        """Give the server's time, as well as it is known."""
        return await asyncio.wrap_future(self._host.do(self._client.server_time_ms))

    async def until_connected(self) -> None:
        """Wait until there is a connection. Raises what has ended the client."""
        await asyncio.wrap_future(self._host.submit(self._client.until_connected))

    async def until_disconnected(self) -> None:
        """Wait until there is none, for telling people. Raises what has ended the client."""
        await asyncio.wrap_future(self._host.submit(self._client.until_disconnected))

    async def call(
        self, request: Request, *, group: str | None = None, id: str | None = None
    ) -> dict[str, Any]:
        """Have a request served, over as many connections as it takes.

        See ``groupd.client.Client.call``.

        Raises:
            Rejected: the server refuses it.
            Disconnected: see the class.

        """
        client = self._client
        answer = self._host.submit(lambda: client.call(request, group=group, id=id))
        return await asyncio.wrap_future(answer)

    def events(self, *, after: Mapping[str, int] | None = None) -> EventStream:
        """Hear what happens from now on: ``async for event in client.events(): ...``.

        See ``groupd.client.Client.events``.
        """
        self._host.check_process()
        if not self._hears:
            raise LocalProtocolError("connected without events")
        return EventStream(Pull(self._host, self._client, after))


class EventStream:
    """An asynchronous iterator of what a client hears, per log in order, without gaps or doubles.

    It belongs to one task at a time. It ends when the client does: plainly when the client is
    closed, with the error that ended it otherwise. ``close``, the end of a ``with`` block, or
    dropping the last reference frees it. Cancelling ``__anext__`` loses nothing.
    """

    def __init__(self, pull: Pull) -> None:
        self._pull = pull
        self._taken: deque[ClientEvent] = deque()
        self._asked: asyncio.Future[list[ClientEvent]] | None = None
        self._reading = False
        self._ended = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Hear no more. What is buffered is dropped."""
        self._ended = True
        self._taken.clear()
        self._pull.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> ClientEvent:
        """Give the next one, fetching what was missed.

        Raises:
            LocalProtocolError: another task is waiting for the next one.
            GroupdError: what has ended the client.

        """
        if self._reading:
            raise LocalProtocolError("another task is reading this stream")
        self._reading = True
        try:
            if not self._taken and not self._ended:
                await self._fill()
            if not self._taken:
                raise StopAsyncIteration
            return self._taken.popleft()
        finally:
            self._reading = False

    async def _fill(self) -> None:
        if self._asked is None:
            self._asked = asyncio.wrap_future(self._pull.ask())
            # Asyncio complains of errors that nobody looks at, as nobody does after a last wait.
            self._asked.add_done_callback(_look_at)
        # Unlike awaiting it, this leaves it as it is when cancelled, for the next time.
        await asyncio.wait([self._asked])
        self._asked = None
        events = self._pull.take()
        if not self._ended:
            self._taken += events
        self._ended = self._ended or not events


def _look_at(future: asyncio.Future[Any]) -> None:
    if not future.cancelled():
        future.exception()


def _on_loop(
    loop: asyncio.AbstractEventLoop, token: Callable[[], Awaitable[str]]
) -> Callable[[], Awaitable[str]]:
    """Give, for trio to await, a token that is made on the event loop."""

    async def make() -> str:
        return await token()

    async def get() -> str:
        making = make()
        try:
            future = asyncio.run_coroutine_threadsafe(making, loop)
        except RuntimeError:
            # The loop is closed: the program is at its end.
            making.close()
            raise
        return await outcome(future)

    return get
