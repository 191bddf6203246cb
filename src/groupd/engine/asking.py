"""Asking the host before somebody comes in, where a group's condition needs more than claims.

Whoever joins has their request held back here while the host is asked, in a task of its own: so
neither the group nor the account waits for anybody outside, and one slow answer delays nobody
else. Then it goes on its way, with the answers. A session waits for such a request before it reads
on, so nothing of its user's can overtake it.

There are as many of these tasks as requests that come in: one for each session, and those that
backends and library callers wait for. How long each may take is for whoever is asked to bound.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeAlias

import structlog
import trio

from groupd.domain.answers import Answers
from groupd.domain.base import Identity, StreamKey
from groupd.domain.group.host_answers import Unanswered, asks_condition
from groupd.engine.directory import Directory
from groupd.engine.mail import Entry
from groupd.errors import Rejected

logger = structlog.get_logger()

AskHost: TypeAlias = Callable[[Identity, str, Sequence[Mapping[str, Any]]], Awaitable[Answers]]
"""Asks which of some clauses a user meets who wants to come into a group. It has a deadline, and
raises nothing: where the host does not answer, the answers say what holds then."""


class Asking:
    """Holds back requests whose entry condition the host is asked about.

    ``ask_host`` is set by whoever knows the host; without it nobody is asked.
    """

    def __init__(self, directory: Directory, *, start_soon: Callable[..., None]) -> None:
        self._directory = directory
        self._start_soon = start_soon
        self.ask_host: AskHost | None = None
        self.under_way = 0
        """Requests that are held back now."""
        self._settled = trio.Event()

    def takes(self, entry: Entry, account: StreamKey) -> bool:
        """Take a request on its way to an account, if its group may have a condition to ask for.

        It is told on a moment later.
        """
        if self.ask_host is None or not asks_condition(entry.request):
            return False
        self.under_way += 1
        self._start_soon(self._hold, entry, account, self.ask_host)
        return True

    async def _hold(self, entry: Entry, account: StreamKey, ask_host: AskHost) -> None:
        try:
            entry.answers = await self._answers(entry, ask_host)
        finally:
            self.under_way -= 1
        self._directory.tell(account, entry)
        if not self.under_way:
            self._settled.set()
            self._settled = trio.Event()

    async def settle(self, within_s: float) -> None:
        """Wait until none is held back any more, but no longer than that."""
        with trio.move_on_after(within_s):
            while self.under_way:
                await self._settled.wait()

    async def _answers(self, entry: Entry, ask_host: AskHost) -> Answers:
        """Give what the host says. What goes wrong here is as if it had said nothing."""
        group, caller = entry.onward, entry.caller
        assert group is not None, "only what is on its way to a group is held back"
        try:
            found = await self._directory.ask(group, caller, Unanswered(entry.request))
            if found["clauses"]:
                return await ask_host(caller, group.key, found["clauses"])
        except Rejected:
            pass  # The group says so itself, and better, when it gets the request.
        except Exception:
            logger.exception("asking_failed", group=group.key)
        # What turns out to need the host after all was not answered.
        return Answers(admits=False)
