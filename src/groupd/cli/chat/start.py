"""How a chat begins: whether somebody answers, and whether there is a screen to have."""

from __future__ import annotations

import os
import ssl
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import trio
from rich.console import Console

from groupd import app as composition
from groupd.cli.chat import terminal
from groupd.cli.chat.full import chat_full
from groupd.cli.chat.lines import chat_on
from groupd.cli.chat.view import View
from groupd.client import Client
from groupd.config import is_tls
from groupd.errors import ConfigError
from groupd.server.certificates import client_context

_PLAIN_TERMINALS: Final = ("dumb", "unknown", "")
"""Values of TERM that say that there are only lines."""


def start(server: str, *, token: str, ca: Path | None, plain: bool) -> None:
    """Chat until the person leaves: on the full screen, or where there is none, in lines.

    Raises ConfigError and Disconnected where there is no such server, Rejected where it does not
    take the token.
    """
    if ca is not None and not is_tls(server):
        raise ConfigError(f"--ca: expected a server tls://HOST:PORT with it, got {server!r}")
    tls = client_context(ca) if is_tls(server) else None
    console = Console()

    async def lines() -> None:
        async with _reach(console, server, token=token, tls=tls) as client:
            await chat_on(client, composition.read_line, console)

    async def full(ready: Callable[[View], None]) -> None:
        async with _reach(console, server, token=token, tls=tls) as client:
            await chat_full(client, ready)

    if plain or not has_screen():
        trio.run(lines)
    else:
        terminal.run(full)


def has_screen() -> bool:
    """Say whether a person sits at a terminal that has a screen."""
    is_plain = os.environ.get("TERM", "") in _PLAIN_TERMINALS
    return sys.stdin.isatty() and sys.stdout.isatty() and not is_plain


@asynccontextmanager
async def _reach(
    console: Console, server: str, *, token: str, tls: ssl.SSLContext | None
) -> AsyncIterator[Client]:
    """Connect, and show meanwhile that it takes a while."""
    status = console.status(f"connecting to {server}")
    status.start()
    try:
        await composition.expect_server(server, tls)
        async with composition.connect(server, token=token, tls=tls) as client:
            status.stop()
            yield client
    finally:
        status.stop()
