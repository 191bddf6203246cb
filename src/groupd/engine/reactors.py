"""Followers of the log that cause effects elsewhere.

A reactor has a name and a durable position in the store's global order. It reads the records that
are marked ``followed``, causes the effects of each, and then stores its position: so effects are
at least once, and their receivers tell repeated ones by stream and seq.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from functools import partial
from typing import Final, TypeAlias

import structlog
import trio

from groupd.config import Limits
from groupd.domain.account.hearing import Hear, heard_by
from groupd.domain.base import SERVER, Identity, StreamKey
from groupd.domain.catalog import EVENTS
from groupd.domain.projection import MemberRow
from groupd.engine.mail import Entry
from groupd.engine.waiting import Waiter
from groupd.errors import LogUnavailable
from groupd.storage.log import Log
from groupd.storage.port import Followed, PutPosition, Store
from groupd.wire import codec

logger = structlog.get_logger()
Tell: TypeAlias = Callable[[StreamKey, Entry], None]
RETRY_S: Final = 1.0
"""How long a reactor waits after an effect was refused."""


class AccountReactor:
    """Lets accounts hear of what befalls their user in groups: added, kicked, dissolved, ..."""

    name: Final = "accounts"

    def __init__(self, *, log: Log, limits: Limits) -> None:
        self._log = log
        self._limits = limits
        self._news = trio.Event()
        self.position = 0
        """Up to which place in the global order all effects are durable."""

    def rouse(self) -> None:
        """Hear that followed records were appended."""
        self._news.set()

    async def run(self, tell: Tell) -> None:
        """Follow the log and ``tell`` accounts; runs until cancelled."""
        self.position = await self._log.read(lambda store: store.position(self.name))
        while True:
            news = self._news
            try:
                found = await self._log.read(self._next)
                for item in found:
                    await self._react(item, tell)
                if found:
                    await self._log.write(PutPosition(self.name, found[-1].position))
                    self.position = found[-1].position
                    continue
            except LogUnavailable:
                await trio.sleep(RETRY_S)
                continue
            await news.wait()
            self._news = trio.Event()

    def _next(self, store: Store) -> Sequence[Followed]:
        return store.followed(self.position, self._limits.reactor_page)

    async def _react(self, item: Followed, tell: Tell) -> None:
        event, record = codec.decode_event(EVENTS[item.stream.kind], item.record), item.record
        for user, make in heard_by(event, record):
            hear = partial(Hear, make(group=item.stream.key, at=record.seq, by=record.user))
            async with aclosing(self._concerned(item.stream, user)) as pages:
                async for users in pages:
                    await self._tell_all(item.stream.tenant, users, hear, tell)

    async def _concerned(
        self, stream: StreamKey, user: str | None
    ) -> AsyncGenerator[Sequence[str], None]:
        """Give the users in pages: the one that is named, or all members."""
        if user is not None:
            yield (user,)
            return
        limit, after = self._limits.reactor_page, ""
        while True:
            rows = await self._members(stream, after, limit)
            if rows:
                yield [row.user for row in rows]
                after = rows[-1].user
            if len(rows) < limit:
                return

    async def _members(self, stream: StreamKey, after: str, limit: int) -> Sequence[MemberRow]:
        return await self._log.read(
            lambda store: store.members(stream.tenant, stream.key, after, limit)
        )

    async def _tell_all(
        self, tenant: str, users: Sequence[str], hear: Callable[[str], Hear], tell: Tell
    ) -> None:
        while True:
            waiter = Waiter(len(users))
            for tag, user in enumerate(users):
                account = Identity(user=user, tenant=tenant).account
                caller = Identity(user=SERVER, tenant=tenant)
                tell(account, Entry(caller, hear(user), "", waiter, tag))
            refusals = await waiter.refusals()
            if not refusals:
                return
            logger.warning("effect_refused", reactor=self.name, error=str(refusals[0]))
            await trio.sleep(RETRY_S)
