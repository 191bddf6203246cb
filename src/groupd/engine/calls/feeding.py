"""The calls of who follows the change feed: their token says the scope ``feed``."""

from __future__ import annotations

from typing import cast

from groupd.config import CONTENT
from groupd.domain.feeding import Ack, Changes, Consumers, ForgetConsumer
from groupd.engine.calls.asker import Asker
from groupd.engine.results import ChangesResult, ConsumersResult, NothingResult


class FeedCalls(Asker):
    """Calls of who follows the change feed: their token says the scope ``feed``."""

    async def changes(
        self,
        consumer: str,
        *,
        limit: int = CONTENT.history_page_max,
        wait_ms: int = 0,
        begin: str = "oldest",
    ) -> ChangesResult:
        """Read what has happened in all groups and accounts, after a consumer's position.

        The same comes again until ``ack``. With ``wait_ms`` it waits where nothing is new. A
        consumer that is new begins with the ``oldest`` event, or after the ``newest``.
        """
        request = Changes(consumer=consumer, limit=limit, wait_ms=wait_ms, begin=begin)
        return cast(ChangesResult, await self.call(request))

    async def ack(self, consumer: str, *, cursor: str) -> NothingResult:
        """Say that all up to a cursor is done; durable when it is answered."""
        request = Ack(consumer=consumer, cursor=cursor)
        return cast(NothingResult, await self.call(request))

    async def consumers(self) -> ConsumersResult:
        """List the consumers of the caller's tenant, and how far behind each is."""
        request = Consumers()
        return cast(ConsumersResult, await self.call(request))

    async def forget_consumer(self, consumer: str) -> NothingResult:
        """Let there be no such consumer any more. Repeating it is no error."""
        request = ForgetConsumer(consumer=consumer)
        return cast(NothingResult, await self.call(request))
