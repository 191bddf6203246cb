"""The change feed: all that happens, in the store's order, for consumers outside.

A consumer has a name and a durable position. It reads from there, does what it has to, and
acknowledges; what it had not acknowledged comes again. So effects are at least once, and each
change is told apart by its stream and seq. Nobody waits for a consumer: it reads the store.

A cursor names the store, since a store that was restored from a backup has another order.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from heapq import nsmallest
from typing import Any, Final

import attrs
import trio

from groupd.config import Limits
from groupd.domain.base import StreamKey
from groupd.domain.feeding import FEED_WAIT_MS, check_consumer
from groupd.domain.fields import refuse
from groupd.errors import Rejected
from groupd.storage.audit_port import AuditEntry
from groupd.storage.log import Log
from groupd.storage.port import DropPosition, Followed, PutPosition, Store
from groupd.wire import codec

_PREFIX: Final = "consumer/"
_CURSOR: Final = re.compile(r"([0-9A-Za-z_-]{1,64})\.([0-9]{1,18})")


@attrs.frozen
class Change:
    """One record of some stream. Its content is shown as to an admin, or to the account's user."""

    stream: StreamKey
    seq: int
    kind: str
    encoded: bytes = attrs.field(repr=False)
    """The event, as clients see it."""

    def event(self) -> dict[str, Any]:
        """Give the event as a map."""
        event: dict[str, Any] = codec.unpack(self.encoded)
        return event


@attrs.frozen
class Changes:
    """A page of the feed, in order. ``cursor`` acknowledges it; None where nothing is new."""

    changes: Sequence[Change]
    cursor: str | None
    more: bool


@attrs.frozen
class Consumer:
    """How far a consumer has come. ``lag`` counts records of the store behind its position."""

    name: str
    cursor: str
    lag: int
    last_error: str | None = None
    """Why it has come no further, where it is one of the server's own."""
    since_ms: int | None = None
    """When the oldest of the records behind its position was written; None where none is."""
    tenant: str = ""

    @property
    def mark(self) -> str:
        """Give its place in the order of ``Feed.all_consumers``."""
        return f"{self.tenant}/{self.name}"

    def shown(self) -> dict[str, Any]:
        """Give it as an answer to its tenant has it."""
        return {
            "name": self.name,
            "cursor": self.cursor,
            "lag": self.lag,
            "last_error": self.last_error,
            "since_ms": self.since_ms,
        }


class Feed:
    """Serves consumers of one store."""

    def __init__(self, *, log: Log, limits: Limits) -> None:
        self._log = log
        self._limits = limits
        self._news = trio.Event()
        self._waiting = 0
        self._is_ending = False
        self._errors: dict[tuple[str, str], str] = {}
        self._held: set[tuple[str, str]] = set()

    def hold(self, tenant: str, consumer: str) -> None:
        """Keep a consumer for whoever calls this: nobody else moves it or takes it away."""
        self._held.add((tenant, consumer))

    def _refuse_held(self, tenant: str, consumer: str) -> None:
        if (tenant, consumer) in self._held:
            raise refuse("consumer", "this one is a webhook's, and only its endpoint moves it")

    def note_error(self, tenant: str, consumer: str, error: str | None) -> None:
        """Note what is wrong with a consumer, for ``consumers`` to show; None for nothing."""
        if error is None:
            self._errors.pop((tenant, consumer), None)
        else:
            self._errors[tenant, consumer] = error

    def rouse(self) -> None:
        """Hear that records were appended. Called for each batch, so it is cheap."""
        if self._waiting:
            self._news.set()
            self._news = trio.Event()

    def end_waiting(self) -> None:
        """Answer those who wait for news with what there is, from now on: the server stops."""
        self._is_ending = True
        self.rouse()

    async def read(
        self,
        tenant: str,
        consumer: str,
        *,
        limit: int | None = None,
        wait_ms: int = 0,
        begin: str = "oldest",
    ) -> Changes:
        """Give what comes after the consumer's position; waits where there is nothing yet.

        A consumer that is new begins with the ``oldest`` record, or after the ``newest``; that is
        durable before anything is given. Raises Rejected, LogUnavailable. Cancelled, nothing
        has moved.
        """
        name = _position_name(tenant, consumer)
        limit = min(limit or self._limits.feed_page, self._limits.feed_page)
        after = await self._place(tenant, name, begin)
        deadline = trio.current_time() + min(wait_ms, FEED_WAIT_MS) / 1_000
        while True:
            self._waiting += 1
            news = self._news
            try:
                found, place, more = await self._scan(tenant, after, limit)
                if found or more or self._is_ending or trio.current_time() >= deadline:
                    cursor = self._cursor(place) if place > after else None
                    return Changes(found, cursor, more)
                with trio.move_on_at(deadline):
                    await news.wait()
            finally:
                self._waiting -= 1

    async def ack(
        self, tenant: str, consumer: str, cursor: str, *, is_holder: bool = False
    ) -> None:
        """Move a consumer's position forward; durable at the end. A lower one changes nothing.

        Raises Rejected, LogUnavailable.
        """
        name, position = _position_name(tenant, consumer), self._position_of(cursor)
        if not is_holder:
            self._refuse_held(tenant, consumer)
        known = dict(await self._log.read(lambda store: store.positions(name)))
        if name not in known:
            raise Rejected("not_found", f"there is no consumer {consumer!r}")
        if position > await self._log.read(lambda store: store.last_position()):
            raise refuse("cursor", "expected one that was given")
        if position > known[name]:
            await self._log.write(PutPosition(name, position))

    async def forget(self, tenant: str, consumer: str, *, audit: Sequence[AuditEntry] = ()) -> None:
        """Let there be no such consumer any more, and the audit say so.

        Repeating it is no error, and leaves no entry. Raises Rejected, LogUnavailable.
        """
        name = _position_name(tenant, consumer)
        self._refuse_held(tenant, consumer)
        if name in dict(await self._log.read(lambda store: store.positions(name))):
            await self._log.write(DropPosition(name, audit))

    async def consumers(self, tenant: str) -> Sequence[Consumer]:
        """List the consumers of a tenant by name."""

        def read(store: Store) -> Sequence[Consumer]:
            known = [(tenant, name, place) for name, place in _known(store, tenant)]
            return self._described(store, known)

        return await self._log.read(read)

    async def all_consumers(self, *, after: str = "", limit: int) -> Sequence[Consumer]:
        """List the consumers of all tenants, by their ``mark``, those behind ``after``."""

        def read(store: Store) -> Sequence[Consumer]:
            known = [each for each in _all_known(store) if f"{each[0]}/{each[1]}" > after]
            return self._described(store, known[:limit])

        return await self._log.read(read)

    async def lags(self, limit: int) -> tuple[int, Sequence[tuple[str, str, int]]]:
        """Count all consumers, and give tenant, name and lag of those that are furthest behind."""

        def read(store: Store) -> tuple[int, Sequence[tuple[str, str, int]]]:
            last, known = store.last_position(), _all_known(store)
            behind = nsmallest(limit, known, key=lambda each: (each[2], each[:2]))
            return len(known), [(tenant, name, last - place) for tenant, name, place in behind]

        return await self._log.read(read)

    def _described(self, store: Store, known: Sequence[tuple[str, str, int]]) -> Sequence[Consumer]:
        last = store.last_position()
        found = []
        for tenant, name, place in known:
            following = store.changes(place, 1) if place < last else ()
            since_ms = following[0].record.time_ms if following else None
            error = self._errors.get((tenant, name))
            found.append(Consumer(name, self._cursor(place), last - place, error, since_ms, tenant))
        return found

    async def _place(self, tenant: str, name: str, begin: str) -> int:
        known = dict(await self._log.read(lambda store: store.positions(name)))
        if name in known:
            return known[name]
        others = len(await self._log.read(partial(_known, tenant=tenant)))
        most = self._limits.feed_consumers_max
        if others >= most:
            raise Rejected(
                "quota_exceeded", "too many consumers", quota="consumers", limit=most, used=others
            )
        last = await self._log.read(lambda store: store.last_position())
        place = last if begin == "newest" else 0
        await self._log.write(PutPosition(name, place))
        return place

    async def _scan(self, tenant: str, after: int, limit: int) -> tuple[list[Change], int, bool]:
        """Give changes of a tenant, how far was looked, and whether there may be more."""
        found: list[Change] = []
        left = self._limits.page_max_bytes
        for _ in range(self._limits.feed_scan_pages):
            page = await self._log.read(partial(_page, after=after, limit=limit))
            for item in page:
                if item.stream.tenant == tenant:
                    change = _change(item)
                    left -= len(change.encoded)
                    if found and left < 0:
                        return found, after, True
                    found.append(change)
                after = item.position
                if len(found) == limit:
                    return found, after, True
            if len(page) < limit:
                return found, after, False
        return found, after, True

    def _cursor(self, position: int) -> str:
        return f"{self._log.id}.{position}"

    def _position_of(self, cursor: Any) -> int:
        match = _CURSOR.fullmatch(cursor) if isinstance(cursor, str) else None
        if match is None:
            raise refuse("cursor", "expected one that was given")
        if match[1] != self._log.id:
            message = "the store was restored since; read again from where its consumer is"
            raise Rejected("conflict", message, reason="state")
        return int(match[2])


class Reading:
    """One consumer's changes, one by one. Made by ``Hub.changes``; for one task at a time."""

    def __init__(self, feed: Feed, tenant: str, consumer: str) -> None:
        self._feed = feed
        self._tenant = tenant
        self._consumer = consumer
        self._left: list[Change] = []
        self._cursor: str | None = None

    def __aiter__(self) -> Reading:
        return self

    async def __anext__(self) -> Change:
        """Give the next change; waits for it. Cancelled, nothing is lost."""
        while not self._left:
            if self._cursor is not None:
                await self._feed.ack(self._tenant, self._consumer, self._cursor)
                self._cursor = None
            page = await self._feed.read(self._tenant, self._consumer, wait_ms=FEED_WAIT_MS)
            self._left, self._cursor = list(reversed(page.changes)), page.cursor
        return self._left.pop()


def _prefix(tenant: str) -> str:
    return f"{_PREFIX}{tenant}/"


def _position_name(tenant: str, consumer: Any) -> str:
    return _prefix(tenant) + check_consumer(consumer, "consumer")


def _known(store: Store, tenant: str) -> Sequence[tuple[str, int]]:
    """List a tenant's consumers. A tenant may have a slash in its name, a consumer has none."""
    prefix = _prefix(tenant)
    named = [(name.removeprefix(prefix), place) for name, place in store.positions(prefix)]
    return [(name, place) for name, place in named if "/" not in name]


def _all_known(store: Store) -> Sequence[tuple[str, str, int]]:
    """List all consumers in the order of tenant and name, each with its place."""
    known = []
    for stored, place in store.positions(_PREFIX):
        tenant, _slash, name = stored.removeprefix(_PREFIX).rpartition("/")
        known.append((tenant, name, place))
    return known


def _page(store: Store, *, after: int, limit: int) -> Sequence[Followed]:
    return store.changes(after, limit)


def _change(item: Followed) -> Change:
    record = item.record
    return Change(item.stream, record.seq, record.kind, codec.event_map(record))
