"""Long work on files that no server is using, in a thread of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import trio

T = TypeVar("T")


async def in_thread(work: Callable[[Callable[[], None]], T]) -> T:
    """Call ``work`` in a thread and give what it gives.

    What it is given it calls now and then, which raises where this was cancelled. Cancellation has
    no effect before that.
    """
    return await trio.to_thread.run_sync(work, trio.from_thread.check_cancelled)
