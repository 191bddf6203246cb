"""A nursery that a caller of a library does not notice."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio


@asynccontextmanager
async def open_hidden_nursery() -> AsyncIterator[trio.Nursery]:
    """Open a nursery whose block raises its one error bare, not in a group.

    Whoever writes ``async with open_hub()`` should be able to catch what their own block raises.
    Several errors at once stay a group; Cancelled beside one that is not gives way to it.
    """
    try:
        async with trio.open_nursery() as nursery:
            yield nursery
    except BaseExceptionGroup as group:
        single = _single(group)
        if single is None:
            raise
        raise single from single.__cause__


def _single(group: BaseExceptionGroup[BaseException]) -> BaseException | None:
    _cancelled, rest = group.split(trio.Cancelled)
    kept: BaseException = group if rest is None else rest
    while isinstance(kept, BaseExceptionGroup):
        if len(kept.exceptions) != 1:
            return None
        kept = kept.exceptions[0]
    return None if isinstance(kept, trio.Cancelled) else kept
