"""``groupd demo``: what it is given. ``demo/`` does it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import trio
from cyclopts import Parameter
from rich.console import Console

from groupd.cli import demo as demo_
from groupd.telemetry import configure_logging
from groupd.testing.conversations import conversations


def demo(
    *,
    web: Annotated[
        str | None,
        Parameter(help="http://HOST:PORT for browsers; a free port of this machine by default."),
    ] = None,
    data: Annotated[
        Path | None,
        Parameter(help="A new directory that keeps the groups; a temporary one by default."),
    ] = None,
) -> None:
    """Run a server on which people talk, and print where to look: chat, console, share page.

    Ctrl-C ends it, and removes what it has made, unless --data says where to keep it.
    """
    configure_logging("warning")
    console = Console(emoji=False)

    def tell(addresses: demo_.Addresses) -> None:
        demo_.show(addresses, console)

    try:
        talk = conversations()
    except ModuleNotFoundError:
        talk = iter(())  # Then only what was made up for it is said.
    trio.run(lambda: demo_.run(web=web, data=data, speed=1.0, tell=tell, talk=talk))
    console.print("The demo is over.")
