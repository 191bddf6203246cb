"""Writes down what passes over a client's connection, as the checker reads it.

It listens to the bytes themselves, below the SDK: what is written down is what was really asked and
really pushed, also where the SDK would ask again, or drop what it has seen.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

import trio

from groupd.config import Limits
from groupd.server.link import Link
from groupd.testing.history import History
from groupd.wire import rpc

T = TypeVar("T")

STRAY_ANSWER: Final = "stray_answer"
"""What is noted of an answer to no request."""
_UNKNOWN_OUTCOME: Final = "the connection was lost"


class RecordedLink:
    """A client's link whose requests, answers and pushes go into a history.

    It is the ``Link`` that it wraps, and belongs to whoever holds it, as that one does.
    """

    def __init__(
        self, link: Link, history: History, *, user: str, device: int, connection: int
    ) -> None:
        limits = Limits()
        self.peer = link.peer
        self._link = link
        self._history = history
        self._user = user
        self._process = f"{user}/{device}"
        self._connection = connection
        self._sent = rpc.Unframer(rpc.FrameLimits.for_server(limits))
        self._sent.frame_max_bytes = limits.frame_max_bytes
        self._heard = rpc.Unframer(rpc.FrameLimits.for_client(limits))
        self._open: dict[int, int] = {}
        """Message id -> the number of the invocation in the history."""
        self._is_over = False
        self._note("connected")

    @property
    def send(self) -> Callable[[bytes], int]:
        """See ``Link``."""
        return self.try_send

    def try_send(self, data: bytes) -> int:
        """Send what can leave at once."""
        taken = self._watched(lambda: self._link.try_send(data))
        self._on_sent(bytes(data[:taken]))
        return taken

    async def send_all(self, data: bytes) -> None:
        """Send everything. What was asked counts from the first byte, whatever becomes of it."""
        self._on_sent(data)
        try:
            await self._link.send_all(data)
        except trio.BrokenResourceError:
            self.over()
            raise

    @property
    def has_half(self) -> bool:
        """See ``Link``."""
        return self._link.has_half

    async def receive_some(self, max_bytes: int) -> bytes:
        """Wait for bytes."""
        try:
            data = await self._link.receive_some(max_bytes)
        except trio.BrokenResourceError:
            self.over()
            raise
        self._on_heard(data)
        return data

    def try_receive(self, max_bytes: int) -> bytes | None:
        """Give bytes that are there."""
        data = self._watched(lambda: self._link.try_receive(max_bytes))
        if data is not None:
            self._on_heard(data)
        return data

    def watch(self, ready: Callable[[], None]) -> None:
        """See ``Link``."""
        self._link.watch(ready)

    def unwatch(self) -> None:
        """See ``Link``."""
        self._link.unwatch()

    def send_eof(self, code: str = "") -> None:
        """See ``Link``."""
        self._link.send_eof(code)

    async def aclose(self) -> None:
        """Close; what was not answered may have been done."""
        self.over()
        await self._link.aclose()

    def over(self) -> None:
        """Note that nothing more will be heard on this connection."""
        if self._is_over:
            return
        self._is_over = True
        for invocation in self._open.values():
            self._history.info(invocation, _UNKNOWN_OUTCOME)
        self._open.clear()
        self._note("disconnected")

    # --- what passes

    def _watched(self, call: Callable[[], T]) -> T:
        try:
            return call()
        except trio.BrokenResourceError:
            self.over()
            raise

    def _on_sent(self, data: bytes) -> None:
        for message in self._sent.feed(data):
            if isinstance(message, rpc.Request):
                self._open[message.msgid] = self._history.invoke(
                    self._process,
                    message.method,
                    message.params,
                    user=self._user,
                    connection=self._connection,
                )

    def _on_heard(self, data: bytes) -> None:
        if not data:
            self.over()
        for message in self._heard.feed(data):
            if isinstance(message, rpc.Notification):
                self._on_push(message.method, message.params)
            elif isinstance(message, rpc.Response):
                invocation = self._open.pop(message.msgid, None)
                if invocation is None:
                    self._note(STRAY_ANSWER, msgid=message.msgid)
                elif message.error is not None:
                    self._history.fail(invocation, message.error)
                else:
                    self._history.ok(invocation, message.result or {})

    def _on_push(self, method: str, params: dict[str, Any]) -> None:
        match method:
            case "event" | "account_event":
                self._note(method, event=params)
            case "lagged" | "goodbye":
                self._note(method, **params)

    def _note(self, op: str, **args: Any) -> None:
        self._history.note(self._process, op, connection=self._connection, user=self._user, **args)
