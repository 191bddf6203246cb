"""Followers of the log that cause effects elsewhere.

A reactor has a name and a durable position in the store's global order. It reads the records that
are marked ``followed``, causes the effects of each, and then stores its position: so effects are
at least once, and their receivers tell repeated ones by stream and seq.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Container, Mapping, Sequence
from contextlib import aclosing
from functools import partial
from math import inf
from typing import Final, TypeAlias

import structlog
import trio

from groupd.config import Limits
from groupd.domain.account.hearing import Hear, Hearers, heard_by
from groupd.domain.base import SERVER, Identity, StreamKey
from groupd.domain.catalog import EVENTS
from groupd.domain.projection import MemberRow
from groupd.engine.mail import Entry
from groupd.engine.waiting import Waiter
from groupd.errors import LogCorrupt, LogUnavailable, Rejected
from groupd.storage.log import Log
from groupd.storage.port import Followed, PutPosition, Store
from groupd.wire import codec

logger = structlog.get_logger()
Tell: TypeAlias = Callable[[StreamKey, Entry], None]
RETRY_S: Final = 1.0
"""How long a reactor waits after an effect was refused."""
SAVE_S: Final = 1.0
"""How far a stored position may lie behind: one write, and one fsync, for the news of so long."""


class AccountReactor:
    """Lets accounts hear of what befalls their user in groups: added, kicked, dissolved, ..."""

    name: Final = "accounts"

    def __init__(self, *, log: Log, limits: Limits, quarantine: Container[object] = ()) -> None:
        """``quarantine`` has the accounts that are damaged: they hear nothing."""
        self._log = log
        self._quarantine = quarantine
        self._limits = limits
        self._news = trio.Event()
        self.position = self._saved = 0
        """Up to which place in the global order all effects are durable. What is stored may lie
        ``SAVE_S`` behind that, so after a crash the last of them are caused again."""

    def rouse(self) -> None:
        """Hear that followed records were appended."""
        self._news.set()

    async def run(self, tell: Tell) -> None:
        """Follow the log and ``tell`` accounts; runs until cancelled."""
        is_placed, saved_s = False, trio.current_time()
        while True:
            news = self._news
            try:
                if not is_placed:
                    self._saved = await self._log.read(lambda store: store.position(self.name))
                    self.position, is_placed = self._saved, True
                found = await self._log.read(self._next)
                await self._react(found, tell)
                if found:
                    self.position = found[-1].position
                if trio.current_time() >= saved_s + SAVE_S:
                    await self.save()
                    saved_s = trio.current_time()
            except (LogUnavailable, LogCorrupt) as error:
                logger.warning("reactor_waits", reactor=self.name, error=str(error))
                await trio.sleep(RETRY_S)
                continue
            if found:
                continue
            with trio.move_on_at(saved_s + SAVE_S if self.position > self._saved else inf):
                await news.wait()
                self._news = trio.Event()

    async def save(self) -> None:
        """Store the position, if there is more to say; raises LogUnavailable.

        Not beside ``run``, but when that has ended.
        """
        if self.position > self._saved:
            position = self.position
            await self._log.write(PutPosition(self.name, position))
            self._saved = position

    def _next(self, store: Store) -> Sequence[Followed]:
        return store.followed(self.position, self._limits.reactor_page)

    async def _react(self, found: Sequence[Followed], tell: Tell) -> None:
        """Tell each account in the order of the log, and different accounts at once.

        So a group that is founded with many members holds up nobody else's news.
        """
        wave: dict[StreamKey, Hear] = {}
        for item in found:
            for user, make in self._heard(item):
                hear = partial(
                    Hear, make(group=item.stream.key, at=item.record.seq, by=item.record.user)
                )
                async with aclosing(self._concerned(item.stream, user)) as pages:
                    async for users in pages:
                        accounts = {
                            Identity(user=user, tenant=item.stream.tenant).account: hear(user)
                            for user in users
                        }
                        if not wave.keys().isdisjoint(accounts):
                            await self._tell_all(wave, tell)
                            wave = {}
                        wave |= accounts
                        if len(wave) >= self._limits.reactor_page:
                            await self._tell_all(wave, tell)
                            wave = {}
        await self._tell_all(wave, tell)

    def _heard(self, item: Followed) -> Hearers:
        """Give who hears of a record; nobody, where it makes no sense any more."""
        try:
            event = codec.decode_event(EVENTS[item.stream.kind], item.record)
            return tuple(heard_by(event, item.record))
        except Exception:
            # One damaged record must not keep everybody else from hearing.
            logger.exception("record_corrupt", stream=tuple(item.stream), seq=item.record.seq)
            return ()

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

    async def _tell_all(self, news: Mapping[StreamKey, Hear], tell: Tell) -> None:
        """Tell all, each until they have heard; an account that cannot be read is passed over."""
        waiting = {key: hear for key, hear in news.items() if key not in self._quarantine}
        while waiting:
            waiter = Waiter(len(waiting))
            for tag, (account, hear) in enumerate(waiting.items()):
                caller = Identity(user=SERVER, tenant=account.tenant)
                tell(account, Entry(caller, hear, "", waiter, tag))
            answers = await waiter.answers()
            again: dict[StreamKey, Hear] = {}
            for (account, hear), answer in zip(waiting.items(), answers, strict=True):
                if not isinstance(answer, Rejected):
                    continue
                if answer.code == "internal":
                    logger.error("effect_given_up", account=tuple(account), error=str(answer))
                    continue
                logger.warning("effect_refused", account=tuple(account), error=str(answer))
                again[account] = hear
            waiting = again
            if waiting:
                await trio.sleep(RETRY_S)
