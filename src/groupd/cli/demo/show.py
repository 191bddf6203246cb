"""The demo as a whole: a server with a store of its own, the people on it, and what is printed."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import Final

import attrs
import trio
from rich.console import Console
from rich.markup import escape
from rich.panel import Panel

from groupd import app as composition
from groupd.cli.demo import door
from groupd.cli.demo.scenes import FRIEND, NAMES, NEWCOMERS, YOU
from groupd.cli.demo.stage import open_stage
from groupd.client import Client
from groupd.config import Config
from groupd.config_web import SHARE_PATH, WebConfig
from groupd.domain.base import Identity
from groupd.domain.operating import OPERATOR
from groupd.errors import ConfigError
from groupd.server.addresses import close_listener, listener_url, open_listeners, own_address
from groupd.testing.conversations import Conversation

ANYWHERE: Final = "127.0.0.1:0"
"""A free port of this machine."""
TOKEN_MS: Final = 12 * 3_600_000
NEWCOMER: Final = next(iter(NEWCOMERS))
"""Whom the printed share link is for."""
WILDCARDS: Final = ("0.0.0.0", "[::]")
"""Hosts that mean every address of the machine, and are none to go to."""
WATCHER: Final = "operator"
"""Whom the console's token is for."""


@attrs.frozen
class Addresses:
    """Where to look."""

    chat: str
    friend: str
    """For a second window: somebody else."""
    console: str
    share: str
    """Into a group of yours, as somebody new: who asks to join there waits for you to approve."""
    server: str
    """For programs that speak TCP."""


async def run(
    *,
    web: str | None,
    data: Path | None,
    speed: float,
    tell: Callable[[Addresses], None],
    stop: trio.Event | None = None,
    handle_signals: bool = True,
    talk: Iterable[Conversation] = (),
) -> None:
    """Run the demo until SIGINT, SIGTERM or ``stop``; what it has made goes with it.

    ``tell`` is called once, when there is something to see. ``web`` is where browsers come to, by
    default a free port of this machine. With ``data`` the groups are kept there, else nowhere; it
    must be empty, or not there yet. ``talk`` is what people say before and after the scenes.

    Raises ConfigError, LogUnavailable.
    """
    with _place(data) as folder:
        url = web or _free_url()
        config = Config(
            listen=(f"tcp://{ANYWHERE}",),
            data=str(folder),
            # What is shared has the host by which somebody came, where there are several.
            web=WebConfig(
                listen=url, public_url=None if _is_anywhere(url) else url, sign_in_url=door.PATH
            ),
        )
        running: list[composition.Running] = []
        is_up = trio.Event()

        def announce(server: composition.Running) -> None:
            running.append(server)
            is_up.set()

        async with trio.open_nursery() as nursery:

            async def play() -> None:
                await is_up.wait()
                await _play(running[0], speed, tell, iter(talk))

            nursery.start_soon(play)
            await composition.serve(
                config,
                announce=announce,
                stop=stop,
                handle_signals=handle_signals,
                pages={door.PATH: door.door(lambda user: _token(running[0].config, user))},
            )
            nursery.cancel_scope.cancel()


async def _play(
    running: composition.Running,
    speed: float,
    tell: Callable[[Addresses], None],
    talk: Iterator[Conversation],
) -> None:
    config, server = running.config, running.urls[0]
    connect = partial(_connect, config, server)
    async with open_stage(connect, speed=speed, talk=talk) as stage:
        base = _base(config.web.public_url or str(running.web))
        tell(
            Addresses(
                chat=f"{base}/chat#token={_token(config, YOU)}",
                friend=f"{base}/chat#token={_token(config, FRIEND)}",
                console=f"{base}/console#token={_token(config, WATCHER, scope=OPERATOR)}",
                share=f"{base}{SHARE_PATH}{stage.code}#token={_token(config, NEWCOMER)}",
                server=server,
            )
        )
        await stage.play()


def _connect(config: Config, server: str, user: str) -> AbstractAsyncContextManager[Client]:
    return composition.connect(server, token=_token(config, user), name="groupd-demo/1")


def _token(config: Config, user: str, *, scope: str = "") -> str:
    names = {**NAMES, **NEWCOMERS}
    identity = Identity(user=user, name=names.get(user, user), plan="", scope=scope)
    return composition.make_token(config, identity, expires_in_ms=TOKEN_MS)


def _is_anywhere(url: str) -> bool:
    return any(url.startswith(f"http://{host}:") for host in WILDCARDS)


def _base(url: str) -> str:
    """Give where browsers go to: of all addresses, the one that others in the network know."""
    for host in WILDCARDS:
        if url.startswith(f"http://{host}:"):
            return url.replace(host, own_address(), 1)
    return url


def _free_url() -> str:
    """Give a URL at which nobody listens; what is printed must be known before anybody does."""
    (listener,) = open_listeners(f"tcp://{ANYWHERE}", 1)
    try:
        return f"http://{listener_url(listener).partition('://')[2]}"
    finally:
        close_listener(listener)


@contextmanager
def _place(data: Path | None) -> Iterator[Path]:
    """Give where the store is to be: a directory of the demo's own, or the one that is named."""
    if data is None:
        with tempfile.TemporaryDirectory(prefix="groupd-demo-") as folder:
            yield Path(folder)
        return
    if data.is_dir() and any(data.iterdir()):
        raise ConfigError(f"--data: {data} is not empty; name a directory that is not there yet")
    yield data


def show(addresses: Addresses, console: Console) -> None:
    """Print where to look. Addresses stand on lines of their own, however long, to be copied."""
    text = "Four groups are talking, and somebody waits for your approval."
    console.print(Panel.fit(text, title="groupd demo", border_style="green"))
    for title, url in (
        ("The chat, as you:", addresses.chat),
        ("A second window, as somebody else:", addresses.friend),
        ("The operator's console:", addresses.console),
        (
            "A share link into your group, for somebody new to approve:",
            addresses.share,
        ),
    ):
        console.print(f"\n[bold]{title}[/]")
        console.print(escape(url), soft_wrap=True, highlight=False, style="cyan")
    again = "groupd demo --web http://0.0.0.0:7480, or make demo ADDRESS=http://0.0.0.0:7480"
    console.print(f"\n[dim]For phones in the same network: {again}[/]", soft_wrap=True)
    console.print(f"[dim]Programs connect to {escape(addresses.server)}. Ctrl-C ends it.[/]")
