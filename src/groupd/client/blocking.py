"""The SDK for programs that block: threads, scripts, WSGI.

with groupd.client.blocking.connect("tcp://...", token=token) as client:
    client.post(group, text="hello")
    for event in client.events(): ...

The trio client itself does the work, in a thread of its own; ``thread.py`` says why, and what
holds at the end of the program and after a fork.
"""

from __future__ import annotations

import ssl
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, Future
from contextlib import contextmanager
from typing import Any, Self, TypeAlias, TypeVar

from groupd.client.blocking_calls import BlockingCalls
from groupd.client.client import CLIENT_NAME
from groupd.client.client import Client as TrioClient
from groupd.client.client import connect as connect_on_trio
from groupd.client.events import ClientEvent
from groupd.client.limits import ClientLimits
from groupd.client.ports import Ports
from groupd.client.system import system_ports
from groupd.client.thread import Host, Pull, in_worker_thread
from groupd.domain.base import Request
from groupd.errors import LocalProtocolError

T = TypeVar("T")

Token: TypeAlias = str | Callable[[], str]
"""One token for good, or where to get a fresh one; that is called in a thread, and may block."""


@contextmanager
def connect(
    url: str,
    *,
    token: Token,
    tls: ssl.SSLContext | None = None,
    events: bool = True,
    reconnect: bool = True,
    name: str = CLIENT_NAME,
    limits: ClientLimits | None = None,
    timeout_ms: int | None = None,
    ports: Ports | None = None,
) -> Iterator[Client]:
    """Connect to a server as the user of ``token``, for as long as the block runs.

    See ``groupd.connect`` for the options. ``timeout_ms`` is the longest that this, and each call
    of the client, may take; without it they wait for as long as the server cannot be reached.
    ``ports`` are for tests.

    Resources: the client owns a thread and a connection; both end with the block.

    Errors: as ``groupd.connect``, and TimeoutError.
    """

    def opening() -> Any:
        return connect_on_trio(
            url,
            token=token if isinstance(token, str) else in_worker_thread(token),
            ports=given,
            events=events,
            name=name,
            reconnect=reconnect,
            limits=limits,
        )

    given = ports or system_ports(url, tls)
    host = Host(opening)
    host.start()
    try:
        yield Client(host, _wait(host.ready, timeout_ms), hears=events, timeout_ms=timeout_ms)
    finally:
        host.close()
        host.join()
    # Not where the block has failed: that is the error to see.
    if host.is_here:
        host.ended.result()


class Client(BlockingCalls):
    """A user's side of the conversation. Made by ``connect``.

    It may be used by any number of threads at a time. A call that is given up, by a timeout or
    Ctrl-C, may or may not take effect, and leaves the client as usable as before. A lost
    connection is nothing that a call shows, only a longer wait; ``Disconnected`` means that it was
    lost too often under this call, or that the client has ended. After a fork the child connects
    anew: there every method raises LocalProtocolError.
    """

    def __init__(
        self, host: Host, client: TrioClient, *, hears: bool, timeout_ms: int | None
    ) -> None:
        self._host = host
        self._client = client
        self._hears = hears
        self._timeout_ms = timeout_ms

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

    def server_time_ms(self) -> int:
        """Give the server's time, as well as it is known."""
        return _wait(self._host.do(self._client.server_time_ms), None)

    def until_connected(self, timeout_ms: int | None = None) -> None:
        """Wait until there is a connection. Raises what has ended the client, or TimeoutError."""
        _wait(self._host.submit(self._client.until_connected), timeout_ms)

    def until_disconnected(self, timeout_ms: int | None = None) -> None:
        """Wait until there is none. Raises what has ended the client, or TimeoutError."""
        _wait(self._host.submit(self._client.until_disconnected), timeout_ms)

    def call(
        self,
        request: Request,
        *,
        group: str | None = None,
        id: str | None = None,
        timeout_ms: int | None = None,
    ) -> dict[str, Any]:
        """Have a request served, over as many connections as it takes.

        See ``groupd.client.Client.call``. ``timeout_ms`` takes the place of the client's own.

        Raises:
            Rejected: the server refuses it.
            Disconnected: see the class.
            TimeoutError: there was no answer in time; the request may have taken effect.

        """
        client = self._client
        answer = self._host.submit(lambda: client.call(request, group=group, id=id))
        return _wait(answer, self._timeout_ms if timeout_ms is None else timeout_ms)

    def _ask(self, request: Request, group: str | None, id: str | None) -> dict[str, Any]:
        return self.call(request, group=group, id=id)

    def events(self, *, after: Mapping[str, int] | None = None) -> EventStream:
        """Hear what happens from now on: ``for event in client.events(): ...``.

        See ``groupd.client.Client.events``.
        """
        self._host.check_process()
        if not self._hears:
            raise LocalProtocolError("connected without events")
        return EventStream(Pull(self._host, self._client, after))


class EventStream:
    """An iterator of what a client hears, per log in order, without gaps or doubles.

    It belongs to one thread at a time. It ends when the client does: plainly when the client is
    closed, with the error that ended it otherwise. ``close``, the end of a ``with`` block, or
    dropping the last reference frees it; ``close`` also ends the wait of another thread. Giving up
    by a timeout or Ctrl-C loses nothing.
    """

    def __init__(self, pull: Pull) -> None:
        self._pull = pull
        self._taken: deque[ClientEvent] = deque()
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

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> ClientEvent:
        event = self.next()
        if event is None:
            raise StopIteration
        return event

    def next(self, timeout_ms: int | None = None) -> ClientEvent | None:
        """Wait for the next one and give it; None at the end of the stream.

        Raises:
            TimeoutError: there was none in time. It is not lost when it comes.
            LocalProtocolError: another thread is waiting for the next one.
            GroupdError: what has ended the client.

        """
        if self._reading:
            raise LocalProtocolError("another thread is reading this stream")
        self._reading = True
        try:
            if not self._taken and not self._ended:
                self._fill(timeout_ms)
            return self._taken.popleft() if self._taken else None
        finally:
            self._reading = False

    def _fill(self, timeout_ms: int | None) -> None:
        asked = self._pull.ask()
        if not _is_done(asked, timeout_ms):
            raise TimeoutError(f"no event within {timeout_ms} ms")
        events = self._pull.take()
        if not self._ended:
            self._taken += events
        self._ended = self._ended or not events


def _wait(future: Future[T], timeout_ms: int | None) -> T:
    """Wait for an outcome. Given up, it is cancelled; raises TimeoutError."""
    try:
        is_done = _is_done(future, timeout_ms)
    # Ctrl-C, say: nobody waits for it any more.
    except BaseException:
        future.cancel()
        raise
    # It may be done just now, and then it counts.
    if not is_done and future.cancel():
        raise TimeoutError(f"no answer within {timeout_ms} ms; it may have taken effect")
    return future.result()


def _is_done(future: Future[Any], timeout_ms: int | None) -> bool:
    """Wait for a future to be done, whatever its outcome; give whether it is."""
    try:
        future.exception(None if timeout_ms is None else timeout_ms / 1_000)
    except TimeoutError:
        return False
    # Cancelled by a stream that was closed meanwhile.
    except CancelledError:
        return True
    return True
