"""A terminal for the full screen: asyncio runs prompt_toolkit, and trio as its guest.

prompt_toolkit is written for asyncio; everything else here for trio. In trio's guest mode both run
in one thread, taking turns: so the model needs no locks, keys call plain functions of the chat, and
the client is the one that every trio program has. ``client.aio`` would put the client in a thread
of its own, and the chat's loop on both libraries.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, TypeAlias

import trio

from groupd.cli.chat.view import View

Work: TypeAlias = Callable[[Callable[[View], None]], Awaitable[None]]
"""Runs on trio; calls what it is given with a view, once there is something to draw."""


def run(work: Work) -> None:
    """Run ``work``, and the screen that it makes, until both have ended. Raises what it raises."""
    # What a library would print must not come between the lines of the screen.
    logging.getLogger().addHandler(logging.NullHandler())
    asyncio.run(beside(work))


async def beside(work: Work, *, clock: trio.abc.Clock | None = None) -> None:
    """Run ``work`` on trio beside the event loop that awaits this."""
    loop = asyncio.get_running_loop()
    views: asyncio.Future[View] = loop.create_future()
    ended: asyncio.Future[Any] = loop.create_future()
    scope = trio.CancelScope()

    async def guest() -> None:
        with scope:
            await work(views.set_result)

    trio.lowlevel.start_guest_run(
        guest,
        run_sync_soon_threadsafe=loop.call_soon_threadsafe,
        run_sync_soon_not_threadsafe=loop.call_soon,
        done_callback=ended.set_result,
        host_uses_signal_set_wakeup_fd=True,
        clock=clock,
    )
    try:
        await asyncio.wait([views, ended], return_when=asyncio.FIRST_COMPLETED)
        if views.done():
            await _show(views.result())
    finally:
        # Whatever ended the screen: trio must be through before its host is.
        if not ended.done():
            scope.cancel()
        result = await _always(ended)
    result.unwrap()


async def _show(view: View) -> None:
    """Run the screen until it is closed; a terminal that goes away closes it, too."""
    if view.is_closed:
        return
    loop = asyncio.get_running_loop()
    # Ended by it at once, the terminal would be left as a screen without a program.
    loop.add_signal_handler(signal.SIGTERM, view.close)
    try:
        with suppress(EOFError):
            await view.app.run_async()
    finally:
        loop.remove_signal_handler(signal.SIGTERM)


async def _always(future: asyncio.Future[Any]) -> Any:
    """Wait for a future however often the waiting is cancelled."""
    while not future.done():
        with suppress(asyncio.CancelledError):
            await asyncio.wait([future])
    return future.result()
