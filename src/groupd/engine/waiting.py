"""Where answers go when a task waits for them: library callers and reactors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import trio

from groupd.errors import Rejected


class Waiter:
    """Collects the answers of ``count`` requests, tagged 0 to ``count - 1``."""

    def __init__(self, count: int = 1) -> None:
        self._answers: list[Mapping[str, Any] | Rejected | None] = [None] * count
        self._open = count
        self._done = trio.Event()

    def respond(self, tag: int, result: Mapping[str, Any]) -> None:
        """Take a result."""
        self._take(tag, result)

    def refuse(self, tag: int, error: Rejected) -> None:
        """Take a refusal."""
        self._take(tag, error)

    def flush(self) -> None:
        """Do nothing: ``wait`` returns as soon as all are there."""

    def _take(self, tag: int, answer: Mapping[str, Any] | Rejected) -> None:
        self._answers[tag] = answer
        self._open -= 1
        if self._open == 0:
            self._done.set()

    async def wait(self) -> Mapping[str, Any]:
        """Wait for the only answer; raises it if it is a refusal.

        Cancelling this does not call the request back: it may still take effect.
        """
        await self._done.wait()
        answer = self._answers[0]
        if isinstance(answer, Rejected):
            raise answer
        assert answer is not None
        return answer

    async def answers(self) -> list[Mapping[str, Any] | Rejected]:
        """Wait for all; give each result or refusal, by tag."""
        if self._open:
            await self._done.wait()
        return [answer for answer in self._answers if answer is not None]
