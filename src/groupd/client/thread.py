"""The trio client in a thread of its own, for programs that are not trio's.

Why a thread, and not a core without I/O under three drivers. What can be a plain function in the
SDK is one already: framing, cursors, ids, back-off, limits, how events are read. What is left is
waiting: dial and hello under deadlines, one writer and one reader, a call that is asked again on
the next connection, a stream that fetches what it missed. Turned into states and actions all of
that would be written anew, and would have to be driven three times and proven three times. Here
it runs as it is, so that what the simulation has shown of it holds for every program. The price
is a thread for each client, and two handovers for each call: 0.1 ms on trio become 0.2 to 0.4 ms,
beside a server in memory. A stream hands over many events at a time, at 0.01 ms each.

Placement rules: nothing here knows how the other side waits. ``blocking.py`` waits for a
``Future``, ``aio.py`` awaits one.

Theory of operation. The thread runs trio, there the client, and in its nursery a task for each
job. A job is handed over with trio's own ``run_sync_soon``, in the order of asking; its answer is
a ``Future``, and cancelling that one cancels the task. Nothing is shared but these.

- *The end of the program.* The thread is a daemon, so a program that forgets its client can end;
  an exit handler closes the client first, so the thread does not run into an interpreter that is
  being taken down.
- *Fork.* A child has no such thread, and must not touch what its parent's waits on. Whatever is
  asked there raises LocalProtocolError. Its copy of the connection is closed when it ends.
"""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import CancelledError, Future
from contextlib import AbstractAsyncContextManager
from typing import Any, Final, Generic, TypeVar

import attrs
import trio

from groupd.client.client import Client
from groupd.client.events import ClientEvent, EventStream
from groupd.errors import Disconnected, GroupdError, LocalProtocolError

T = TypeVar("T")

HANDOVER_MAX: Final = 64
"""Events that a stream hands to the other thread at a time, and holds there at most."""
EXIT_TIMEOUT_S: Final = 5.0
"""How long the end of a program waits for a client that it has forgotten."""

_CLOSED: Final = "the client is closed"


@attrs.frozen(eq=False)
class _Job(Generic[T]):
    """Something to do in the thread, and where its outcome goes."""

    work: Callable[[], Awaitable[T]]
    future: Future[T] = attrs.field(factory=Future)
    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)


class Host:
    """A thread with a client in it. ``start`` it once; ``close`` it, whatever came of that.

    All methods may be called from any thread but the host's own, and none of them waits but
    ``join``.
    """

    def __init__(self, opening: Callable[[], AbstractAsyncContextManager[Client]]) -> None:
        self._opening = opening
        self._process = os.getpid()
        self._thread = threading.Thread(target=self._run, name="groupd-client", daemon=True)
        self._token: trio.lowlevel.TrioToken | None = None
        self._scope = trio.CancelScope()
        self._nursery: trio.Nursery | None = None
        self._closing = False
        self.ready: Future[Client] = Future()
        """The client, once it is connected, or why it could not be."""
        self.ended: Future[None] = Future()
        """That the thread is done, or the bug that ended it."""

    # --- for the other threads

    @property
    def is_closing(self) -> bool:
        """Whether ``close`` was called."""
        return self._closing

    @property
    def is_here(self) -> bool:
        """Whether this is the process that the thread runs in, and not a child forked since."""
        return os.getpid() == self._process

    def start(self) -> None:
        """Begin to connect; ``ready`` says what comes of it."""
        self._thread.start()
        atexit.register(self._exit)

    def check_process(self) -> None:
        """Raise LocalProtocolError in a child that was forked since ``start``."""
        if not self.is_here:
            raise LocalProtocolError("this client is another process's: connect after the fork")

    def submit(self, work: Callable[[], Awaitable[T]]) -> Future[T]:
        """Have ``work`` done by a task in the thread; cancelling the future cancels the task.

        The future gets what it raises, or Disconnected where the client is closed first.
        """
        self.check_process()
        job = _Job(work)
        job.future.add_done_callback(lambda future: self._on_done(job))
        if not self.soon(lambda: self._begin(job)):
            settle(job.future, Disconnected(_CLOSED))
        return job.future

    def do(self, work: Callable[[], T]) -> Future[T]:
        """Call ``work`` in the thread. It must not wait."""
        self.check_process()
        future: Future[T] = Future()

        def call() -> None:
            try:
                result = work()
            # It goes to whoever asked, in their thread.
            except Exception as error:
                settle(future, error)
            else:
                settle(future, None, result)

        if not self.soon(call):
            settle(future, Disconnected(_CLOSED))
        return future

    def soon(self, function: Callable[[], object]) -> bool:
        """Call something in the thread, which must not raise; give whether it will be called.

        Before the thread has begun, once it has ended, and in a forked child it is not.
        """
        if self._token is None or not self.is_here:
            return False
        try:
            self._token.run_sync_soon(function)
        except trio.RunFinishedError:
            return False
        return True

    def close(self) -> None:
        """Begin to end the client; ``ended`` says when that is done. May be repeated.

        In a forked child this does nothing: the client goes on in the parent.
        """
        # In this order: the thread sets its token first, and looks at this after.
        self._closing = True
        self.soon(self._scope.cancel)

    def join(self, timeout_s: float | None = None) -> None:
        """Wait for the thread. In a forked child there is none."""
        if self.is_here:
            self._thread.join(timeout_s)

    def _exit(self) -> None:
        self.close()
        self.join(EXIT_TIMEOUT_S)

    def _on_done(self, job: _Job[Any]) -> None:
        if job.future.cancelled():
            self.soon(job.scope.cancel)

    # --- in the thread

    def _run(self) -> None:
        error: BaseException | None = None
        try:
            trio.run(self._serve)
        # The last line of the thread: whatever it is goes to who waits for the client.
        except BaseException as caught:
            error = caught
        atexit.unregister(self._exit)
        if not self.ready.done():
            settle(self.ready, error or Disconnected(_CLOSED))
            error = None
        settle(self.ended, error)

    async def _serve(self) -> None:
        self._token = trio.lowlevel.current_trio_token()
        if self._closing:
            self._scope.cancel()
        with self._scope:
            async with self._opening() as client:
                try:
                    async with trio.open_nursery() as nursery:
                        self._nursery = nursery
                        settle(self.ready, None, client)
                        await trio.sleep_forever()
                finally:
                    self._nursery = None

    def _begin(self, job: _Job[Any]) -> None:
        if self._nursery is None:
            settle(job.future, Disconnected(_CLOSED))
        elif not job.future.cancelled():
            self._nursery.start_soon(self._work, job)

    async def _work(self, job: _Job[Any]) -> None:
        try:
            with job.scope:
                result = await job.work()
                settle(job.future, None, result)
        # It goes to whoever asked, in their thread.
        except Exception as error:
            settle(job.future, error)
        finally:
            # Cancelled with the whole client.
            if not job.future.done():
                settle(job.future, Disconnected(_CLOSED))


def settle(future: Future[T], error: BaseException | None, result: Any = None) -> None:
    """Give a future its outcome, unless whoever waited has cancelled it."""
    if future.set_running_or_notify_cancel():
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)


class Pull:
    """A stream of events in the thread, taken from outside, some at a time.

    Nothing is read ahead but what was asked for: an application that is slow leaves its events in
    the stream, which is bounded and misses nothing. What was asked for and not waited for to its
    end stays, and is given the next time; so neither a timeout nor a cancelled task loses events.
    Dropping the last reference closes it.
    """

    def __init__(self, host: Host, client: Client, after: Mapping[str, int] | None) -> None:
        self._host = host
        self._asked: Future[list[ClientEvent]] | None = None
        self._closed = True
        # In the order of asking: what the caller does next happens after the stream's beginning.
        self._opening: Future[EventStream] = host.do(lambda: client.events(after=after))
        self._closed = False

    def __del__(self) -> None:
        self.close()

    def ask(self) -> Future[list[ClientEvent]]:
        """Give the future of the next events: none at the end. To be followed by ``take``."""
        if self._asked is None:
            opening = self._opening

            async def some() -> list[ClientEvent]:
                return await opening.result().some(HANDOVER_MAX)

            self._asked = self._host.submit(some)
        return self._asked

    def take(self) -> list[ClientEvent]:
        """Take what the future of ``ask`` holds; raises what has ended the client."""
        asked, self._asked = self._asked, None
        assert asked is not None
        try:
            return asked.result()
        except (GroupdError, CancelledError):
            # As in the thread itself: where the client is closed, a stream ends plainly.
            if self._closed or self._host.is_closing:
                return []
            raise

    def close(self) -> None:
        """Hear no more. May be repeated."""
        # In a forked child the lock of a future may be held for ever.
        if self._closed or not self._host.is_here:
            return
        self._closed = True
        if self._asked is not None:
            self._asked.cancel()
        opening = self._opening

        def close() -> None:
            if opening.done() and not opening.cancelled() and opening.exception() is None:
                opening.result().close()

        self._host.soon(close)


def in_worker_thread(function: Callable[[], T]) -> Callable[[], Awaitable[T]]:
    """Make a plain function, which may take its time, one for trio to await."""

    async def call() -> T:
        return await trio.to_thread.run_sync(function, abandon_on_cancel=True)

    return call


async def outcome(future: Future[T]) -> T:
    """Wait in trio for a future of another thread. Cancelled, it cancels that."""
    token, done = trio.lowlevel.current_trio_token(), trio.Event()

    def tell(_: object) -> None:
        try:
            token.run_sync_soon(done.set)
        except trio.RunFinishedError:
            return

    future.add_done_callback(tell)
    try:
        await done.wait()
    except trio.Cancelled:
        future.cancel()
        raise
    return future.result()
