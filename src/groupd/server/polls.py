"""The calls of a connection that wait for news of the feed, beside whatever else it asks.

A session waits for a read before it goes on, and this one may take twenty seconds. So each has a
task of its own, and the session goes on at once. When it ends, its calls are answered that nothing
is new: nobody has taken anything from the feed by that.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, Protocol, TypeAlias

import trio

from groupd.engine.mail import RETRY_AFTER_MS
from groupd.errors import LogBroken, Rejected
from groupd.wire import rpc
from groupd.wire.codec import Encoded

POLLS_MAX: Final = 4
"""Such calls that one connection has under way."""

Read: TypeAlias = Callable[[], Awaitable[Mapping[str, Any] | Encoded]]


class Answering(Protocol):
    """The session, as its polls see it. They keep it only for as long as they wait."""

    def answer(self, msgid: int, result: Mapping[str, Any] | Encoded) -> None:
        """Answer a request."""

    def refuse_for(self, message: rpc.Request, error: Exception) -> None:
        """Answer a request with what went wrong."""

    def flush(self) -> None:
        """Send what has been answered."""


class Polls:
    """Those of one connection that wait."""

    def __init__(self, start_soon: Callable[..., None]) -> None:
        self._start_soon = start_soon
        self._waiting: dict[trio.CancelScope, rpc.Request] = {}

    def begin(self, line: Answering, message: rpc.Request, read: Read) -> None:
        """Have a call read in a task of its own; raises Rejected where too many do already."""
        if len(self._waiting) >= POLLS_MAX:
            raise Rejected(
                "rate_limited",
                f"at most {POLLS_MAX} such calls of a connection wait at once",
                retry_after_ms=RETRY_AFTER_MS,
            )
        scope = trio.CancelScope()
        self._waiting[scope] = message
        self._start_soon(self._run, scope, line, read)

    async def _run(self, scope: trio.CancelScope, line: Answering, read: Read) -> None:
        result: Mapping[str, Any] | Encoded = {}
        failure: Exception | None = None
        with scope:
            try:
                result = await read()
            except LogBroken:
                raise
            except Exception as error:
                failure = error
        message = self._waiting.pop(scope, None)
        if message is None:
            return  # It was answered by ``end``.
        if failure is not None:
            line.refuse_for(message, failure)
        else:
            line.answer(message.msgid, result)
        line.flush()

    def end(self, line: Answering) -> None:
        """Answer all that wait, with nothing. May be repeated."""
        waiting, self._waiting = self._waiting, {}
        for scope, message in waiting.items():
            scope.cancel()
            line.answer(message.msgid, {"changes": [], "more": False})
