"""What the server says by itself: noted, and handed to the streams that are open.

A client that nobody listens to holds no events, only a head for each group: where a stream that
is opened later begins.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from typing import Any

from groupd.client.cursors import ACCOUNT, Cursors
from groupd.client.events import AccountEvent, EventStream, GroupEvent, Signal, StoreChanged
from groupd.client.uplink import Welcome
from groupd.engine.calls import Calls
from groupd.errors import GroupdError, Rejected, RemoteProtocolError


class Feed:
    """The uplink's listener; see ``Listener`` for when its methods are called."""

    def __init__(
        self, calls: Calls, *, events_max: int, wait_ms: Callable[[Rejected], int]
    ) -> None:
        self._calls = calls
        self._events_max = events_max
        self._wait_ms = wait_ms
        self._streams: weakref.WeakSet[EventStream] = weakref.WeakSet()
        self._heads: dict[str, int] = {ACCOUNT: 0}
        self._groups: dict[str, dict[str, Any]] = {}
        self._heard: set[str] = set()
        self._ended = False
        self._error: GroupdError | None = None
        self.welcome: Welcome | None = None
        """What the last hello was answered."""
        self.chat_list: Sequence[dict[str, Any]] = ()
        """All the groups that were listed then."""

    def open(self, after: dict[str, int]) -> EventStream:
        """Begin a stream: after the seqs given, elsewhere with what comes next."""
        stream = EventStream(
            self._calls,
            Cursors(self._heads | after),
            events_max=self._events_max,
            wait_ms=self._wait_ms,
        )
        for group in after.keys() & self._heads.keys():
            stream.reaches(group, self._heads[group])
        stream.keep_only(self._heads.keys())
        if self._ended:
            stream.end(self._error)
        else:
            self._streams.add(stream)
        return stream

    # --- what the uplink tells

    def welcomed(self, welcome: Welcome) -> None:
        """Take the answer to the hello of a new connection."""
        before, self.welcome = self.welcome, welcome
        self._groups, self._heard = {}, set()
        if before is not None and before.store != welcome.store:
            self._heads = {ACCOUNT: welcome.account_head} | _heads_of(welcome.groups)
            change = StoreChanged(before.store, welcome.store)
            for stream in self._streams:
                stream.restart(change, Cursors(self._heads))
        self._reaches(ACCOUNT, welcome.account_head)

    def listed(self, groups: Sequence[dict[str, Any]]) -> None:
        """Take a page of the groups that the user is in."""
        for group, head in _heads_of(groups).items():
            self._reaches(group, head)
        self._groups |= {entry["group"]: entry for entry in groups}

    def listed_all(self) -> None:
        """Know that there are no more pages: groups neither listed nor heard of are over."""
        self.chat_list = tuple(self._groups.values())
        current = self._groups.keys() | self._heard
        for group in self._heads.keys() - current - {ACCOUNT}:
            del self._heads[group]
        for stream in self._streams:
            stream.keep_only(current)

    def notified(self, method: str, params: dict[str, Any]) -> None:
        """Take a push. Notifications that this version does not know are let pass."""
        if method == "event":
            self._push(GroupEvent.from_wire(params))
        elif method == "account_event":
            self._push(AccountEvent.from_wire(params))
        elif method == "signal":
            signal = Signal.from_wire(params)
            for stream in self._streams:
                stream.signal(signal)
        elif method == "lagged":
            for group, head in _heads_of((params,)).items():
                self._heard.add(group)
                self._reaches(group, head)

    def ended(self, error: GroupdError | None) -> None:
        """Know that there will be no more connections, and which error is the reason."""
        self._ended, self._error = True, error
        for stream in self._streams:
            stream.end(error)

    def _push(self, event: GroupEvent | AccountEvent) -> None:
        log = ACCOUNT if isinstance(event, AccountEvent) else event.group
        self._heard.add(log)
        self._heads[log] = max(event.seq, self._heads.get(log, 0))
        for stream in self._streams:
            stream.push(event)

    def _reaches(self, log: str, head: int) -> None:
        self._heads[log] = max(head, self._heads.get(log, 0))
        for stream in self._streams:
            stream.reaches(log, head)


def _heads_of(entries: Sequence[dict[str, Any]]) -> dict[str, int]:
    try:
        return {entry["group"]: int(entry["head"]) for entry in entries}
    except (LookupError, TypeError, ValueError) as error:
        raise RemoteProtocolError("bad_request", f"a group without its head: {error!r}") from error
