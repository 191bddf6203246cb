"""What a client hears: events of its groups, of its account, and signals, as one stream.

Theory of operation. The connection's reader offers each push to each stream; the ``Cursors`` say
whether it comes next. What does not, or has no room, is left and fetched later by the reader of
the stream, in its own task and only once its buffer is empty. So memory is bounded, the
connection's reader never waits for the application, and an application that is slow, or was cut
off, catches up at its own pace.
"""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Callable, Mapping, Sequence, Set
from typing import Any, Final, Self, TypeAlias

import attrs
import trio

from groupd.client.cursors import ACCOUNT, Cursors
from groupd.config import CONTENT
from groupd.engine.calls import Calls
from groupd.errors import Disconnected, GroupdError, Rejected, RemoteProtocolError

_GROUP_HEADER: Final = frozenset({"group", "seq", "time_ms", "user", "kind", "id"})
_ACCOUNT_HEADER: Final = frozenset({"seq", "time_ms", "kind", "id"})
_SIGNAL_HEADER: Final = frozenset({"group", "user", "kind"})
_LET_IN: Final = ("added", "approved")
"""What the account hears when somebody else has made the user a member. ``at`` is the event."""


@attrs.frozen
class GroupEvent:
    """One record of a group's log. ``(group, seq)`` is its identity."""

    group: str
    seq: int
    time_ms: int
    user: str
    """Who caused it; empty for the server itself, and where that is hidden."""
    kind: str
    id: str | None
    """The id of the request that caused it."""
    fields: Mapping[str, Any]
    """What else the kind says."""

    @classmethod
    def from_wire(cls, event: dict[str, Any]) -> GroupEvent:
        """Read an event as it is pushed, or comes from ``history``."""
        return cls(
            group=_field(event, "group", str),
            seq=_field(event, "seq", int),
            time_ms=_field(event, "time_ms", int),
            user=_field(event, "user", str, ""),
            kind=_field(event, "kind", str),
            id=event.get("id"),
            fields=_rest(event, _GROUP_HEADER),
        )


@attrs.frozen
class AccountEvent:
    """One record of the user's own log."""

    seq: int
    time_ms: int
    kind: str
    id: str | None
    fields: Mapping[str, Any]

    @classmethod
    def from_wire(cls, event: dict[str, Any]) -> AccountEvent:
        """Read an account's event as it is pushed, or comes from ``account_history``."""
        return cls(
            seq=_field(event, "seq", int),
            time_ms=_field(event, "time_ms", int),
            kind=_field(event, "kind", str),
            id=event.get("id"),
            fields=_rest(event, _ACCOUNT_HEADER),
        )


@attrs.frozen
class Signal:
    """Something of the moment, such as ``typing``: in no log, and not repeated if it is missed."""

    group: str
    user: str
    kind: str
    fields: Mapping[str, Any]

    @classmethod
    def from_wire(cls, signal: dict[str, Any]) -> Signal:
        """Read a signal as it is pushed."""
        return cls(
            group=_field(signal, "group", str, ""),
            user=_field(signal, "user", str, ""),
            kind=_field(signal, "kind", str),
            fields=_rest(signal, _SIGNAL_HEADER),
        )


@attrs.frozen
class StoreChanged:
    """The server was restored from a backup: seqs seen before may mean something else now.

    The stream goes on from the heads that its groups have now.
    """

    before: str
    after: str


ClientEvent: TypeAlias = GroupEvent | AccountEvent | Signal | StoreChanged


class EventStream:
    """An asynchronous iterator of what a client hears, per log in order, without gaps or doubles.

    It belongs to one task at a time. It ends when the client does: plainly when the client is
    closed, with the error that ended it otherwise. ``close``, the end of a ``with`` block, or
    dropping the last reference frees it. Cancelling ``__anext__`` loses nothing.
    """

    def __init__(
        self,
        calls: Calls,
        cursors: Cursors,
        *,
        events_max: int,
        wait_ms: Callable[[Rejected], int],
    ) -> None:
        """Begin with ``cursors``; ``wait_ms`` says how long a refusal that will pass may take."""
        self._calls = calls
        self._cursors = cursors
        self._events_max = events_max
        self._wait_ms = wait_ms
        self._buffer: deque[ClientEvent] = deque()
        self._ended = False
        self._error: GroupdError | None = None
        self._reading = False
        self._restarts = 0
        self._news = trio.lowlevel.ParkingLot()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Hear no more. What is buffered is dropped."""
        self.end(None)
        self._buffer.clear()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> ClientEvent:
        """Give the next one, fetching what was missed.

        Raises:
            trio.BusyResourceError: another task is waiting for the next one.
            GroupdError: what has ended the client.

        """
        events = await self.some(1)
        if not events:
            raise StopAsyncIteration
        return events[0]

    async def some(self, count_max: int) -> list[ClientEvent]:
        """Wait for the next one and give it with what follows it already; none at the end.

        Raises what ``__anext__`` does. Cancelled, it loses nothing.
        """
        if self._reading:
            raise trio.BusyResourceError("another task is reading this stream")
        self._reading = True
        try:
            await trio.lowlevel.checkpoint()
            while not self._buffer:
                if self._error is not None:
                    # A copy, since each stream and call raises it.
                    raise copy.copy(self._error) from self._error
                if self._ended:
                    return []
                behind = self._cursors.behind(CONTENT.sync_groups_max)
                if behind:
                    await self._fetch(behind)
                else:
                    await self._news.park()
            count = min(count_max, len(self._buffer))
            return [self._buffer.popleft() for _ in range(count)]
        finally:
            self._reading = False

    # --- what the connection's reader tells

    def push(self, event: GroupEvent | AccountEvent) -> None:
        """Take a push, if it comes next and there is room."""
        log = ACCOUNT if isinstance(event, AccountEvent) else event.group
        if not self._ended and self._cursors.offer(log, event.seq, room=self._has_room):
            self._buffer.append(event)
        if isinstance(event, AccountEvent):
            self._place(event)
        self._news.unpark_all()

    def signal(self, signal: Signal) -> None:
        """Take a signal, if there is room."""
        if not self._ended and self._has_room:
            self._buffer.append(signal)
            self._news.unpark_all()

    def reaches(self, log: str, head: int) -> None:
        """Learn how far a log goes."""
        self._cursors.reaches(log, head)
        self._news.unpark_all()

    def keep_only(self, listed: Set[str]) -> None:
        """Learn in which groups the user still is."""
        self._cursors.keep_only(listed)
        self._news.unpark_all()

    def restart(self, change: StoreChanged, cursors: Cursors) -> None:
        """Go on from other cursors, since the old ones mean nothing any more."""
        self._restarts += 1
        self._cursors = cursors
        if not self._ended:
            self._buffer.append(change)
        self._news.unpark_all()

    def end(self, error: GroupdError | None) -> None:
        """Learn that nothing more comes after what is buffered, and which error is the reason."""
        if not self._ended:
            self._ended, self._error = True, error
            self._news.unpark_all()

    @property
    def _has_room(self) -> bool:
        return len(self._buffer) < self._events_max

    # --- fetching

    async def _fetch(self, behind: dict[str, int]) -> None:
        """Take one page of what is behind. Cancelled, or refused for now, it changes nothing."""
        restarts = self._restarts
        try:
            if ACCOUNT in behind:
                account = await self._calls.account_history(
                    after=behind[ACCOUNT], limit=CONTENT.history_page_max
                )
                if self._restarts == restarts:
                    self._take_account(account["events"], account["head"], more=account["more"])
            else:
                found = await self._calls.sync(behind)
                if self._restarts == restarts:
                    self._take_groups(behind, found["groups"])
        except Disconnected:
            # The connection was lost too often for a call. A stream goes on until the client ends,
            # and by then it has been told why.
            return
        except Rejected as refused:
            # Asked with the seqs of another store.
            if self._restarts != restarts:
                return
            if refused.code not in ("rate_limited", "unavailable"):
                raise
            await trio.sleep(self._wait_ms(refused) / 1_000)

    def _take_account(self, events: Sequence[dict[str, Any]], head: int, *, more: bool) -> None:
        for fields in events:
            event = AccountEvent.from_wire(fields)
            if self._cursors.take(ACCOUNT, event.seq):
                self._buffer.append(event)
            self._place(event)
        self._cursors.fetched(ACCOUNT, head, more=more)

    def _place(self, event: AccountEvent) -> None:
        group, at = event.fields.get("group"), event.fields.get("at")
        if event.kind in _LET_IN and isinstance(group, str) and isinstance(at, int):
            self._cursors.place(group, at)

    def _take_groups(self, asked: Mapping[str, int], pages: Sequence[dict[str, Any]]) -> None:
        for page in pages:
            group = page["group"]
            for fields in page["events"]:
                event = GroupEvent.from_wire(fields)
                if self._cursors.take(group, event.seq):
                    self._buffer.append(event)
            self._cursors.fetched(group, page["head"], more=page["more"])
        for group in asked.keys() - {page["group"] for page in pages}:
            self._cursors.forget(group)


def _field(fields: Mapping[str, Any], name: str, kind: type, default: Any = None) -> Any:
    value = fields.get(name, default)
    if type(value) is not kind:
        raise RemoteProtocolError("bad_request", f"{name}: expected {kind.__name__} in a push")
    return value


def _rest(fields: Mapping[str, Any], header: frozenset[str]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if name not in header}
