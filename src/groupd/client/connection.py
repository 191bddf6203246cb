"""One connection: requests out, answers matched to them, notifications in order. No reconnecting.

Theory of operation. Two tasks own the link: one reads it, one writes what calls have left for it.
So a call that is cancelled never tears a frame in two: its request has left whole or not at all,
and an answer that comes for it is dropped. The reader never waits for anybody: answers and
notifications are handed on by plain functions.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

import attrs
import trio

from groupd.client.limits import ClientLimits
from groupd.errors import Disconnected, Rejected, RemoteProtocolError
from groupd.wire import rpc

if TYPE_CHECKING:
    from groupd.server.link import Link

log: Final = logging.getLogger(__name__)


@attrs.define(eq=False)
class _Waiter:
    """A request that is under way."""

    then: Callable[[dict[str, Any]], None] | None
    done: trio.Event = attrs.field(factory=trio.Event)
    answer: rpc.Response | None = None


class Connection:
    """A conversation over one link, which it owns. ``run`` must be running for it to get on.

    ``on_notification`` gets the method and params of each notification but ``goodbye``; it is
    called by the reader, must not wait, and may raise RemoteProtocolError.
    """

    def __init__(
        self,
        link: Link,
        frames: rpc.FrameLimits,
        limits: ClientLimits,
        *,
        on_notification: Callable[[str, dict[str, Any]], None],
    ) -> None:
        self._link = link
        self._unframer = rpc.Unframer(frames)
        self._limits = limits
        self._on_notification = on_notification
        self._slots = trio.Semaphore(limits.requests_max)
        self._waiting: dict[int, _Waiter] = {}
        self._outgoing: dict[int, bytes] = {}
        self._something_to_write = trio.Event()
        self._msgid = 0
        self._scope = trio.CancelScope()
        self.closed = trio.Event()
        """Set once no request can be made any more."""
        self.why_closed = "the connection was closed"
        self.goodbye: dict[str, Any] | None = None
        """What the server said before it closed, if it did."""
        self.frame_max_bytes: int | None = None
        """The largest request that the server takes, once it is known."""

    @property
    def is_open(self) -> bool:
        """Whether a request may still be made."""
        return not self.closed.is_set()

    async def run(self) -> None:
        """Read and write until the link is gone or ``close`` is called; then close the link.

        All requests under way raise Disconnected then, also when this is cancelled.
        """
        try:
            with self._scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._write)
                    await self._read()
                    nursery.cancel_scope.cancel()
        finally:
            self.close()
            # Whoever sees that it is closed may cancel this, which would cover up an error of ours.
            # It takes no time.
            with trio.CancelScope(shield=True):
                await self._link.aclose()

    def close(self, why: str | None = None) -> None:
        """End the conversation now; ``run`` closes the link."""
        if not self.is_open:
            return
        self.why_closed = why or self.why_closed
        self.closed.set()
        self._scope.cancel()
        for waiter in self._waiting.values():
            waiter.done.set()
        self._waiting.clear()
        self._outgoing.clear()

    async def request(
        self,
        method: str,
        params: Mapping[str, Any],
        *,
        then: Callable[[dict[str, Any]], None] | None = None,
    ) -> dict[str, Any]:
        """Ask and wait for the result.

        ``then`` is called with it by the reader, before it looks at what the server sent next.
        Cancelled, the request may or may not take effect; the connection stays usable.

        Raises:
            Rejected: the server refuses it.
            Disconnected: the connection was lost first; the request may have taken effect.

        """
        async with self._slots:
            if not self.is_open:
                raise Disconnected(self.why_closed)
            msgid, waiter = self._next_msgid(), _Waiter(then)
            frame = rpc.encode_request(msgid, method, params)
            limit = self.frame_max_bytes
            if limit is not None and len(frame) > limit:
                raise Rejected("too_large", "the request is too large", limit_bytes=limit)
            self._waiting[msgid] = waiter
            self._outgoing[msgid] = frame
            self._something_to_write.set()
            try:
                await waiter.done.wait()
            finally:
                self._waiting.pop(msgid, None)
                self._outgoing.pop(msgid, None)
        answer = waiter.answer
        if answer is None:
            raise Disconnected(self.why_closed)
        if answer.error is not None:
            raise Rejected.from_wire(answer.error)
        assert answer.result is not None
        return answer.result

    def _next_msgid(self) -> int:
        while True:
            self._msgid = (self._msgid + 1) & rpc.MSGID_MAX
            if self._msgid not in self._waiting:
                return self._msgid

    async def _write(self) -> None:
        try:
            while True:
                await self._something_to_write.wait()
                self._something_to_write = trio.Event()
                frames = b"".join(self._outgoing.values())
                self._outgoing.clear()
                if frames:
                    await self._link.send_all(frames)
        except trio.BrokenResourceError as error:
            self.close(f"the connection broke: {error}")

    async def _read(self) -> None:
        try:
            while data := await self._link.receive_some(self._limits.read_size_bytes):
                for message in self._unframer.feed(data):
                    self._handle(message)
                if self._unframer.error is not None:
                    raise self._unframer.error
            self.close("the server closed the connection")
        except trio.BrokenResourceError as error:
            self.close(f"the connection broke: {error}")
        except RemoteProtocolError as error:
            log.warning("the server broke the protocol: %s", error)
            self.close(f"the server broke the protocol: {error}")

    def _handle(self, message: rpc.Message) -> None:
        if isinstance(message, rpc.Response):
            # An answer that nobody waits for is to a call that was cancelled.
            waiter = self._waiting.pop(message.msgid, None)
            if waiter is None:
                return
            try:
                if waiter.then is not None and message.result is not None:
                    waiter.then(message.result)
                waiter.answer = message
            finally:
                waiter.done.set()
        elif isinstance(message, rpc.Notification):
            if message.method == "goodbye":
                log.debug("goodbye from the server: %s", message.params.get("code"))
                self.goodbye = message.params
            else:
                self._on_notification(message.method, message.params)
