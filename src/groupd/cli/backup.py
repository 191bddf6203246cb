"""``groupd backup``: the whole store in a new directory, beside a running server or without one.

Who copies has the files: the server, asked over its own socket, or this process where none is
running. Either way the file that grows is on this machine, and says how far it is.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import trio
from rich.console import Console
from rich.filesize import decimal
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn

from groupd.cli.operate import find_operator
from groupd.config import Config
from groupd.domain.queries import OperatorBackup
from groupd.engine.nursery import open_hidden_nursery
from groupd.storage.backup import PARTIAL
from groupd.storage.sqlite import FILE_NAME

LOOK_S = 0.1
"""How often the bar looks at the file."""


async def back_up(config: Config, directory: Path) -> bool:
    """Make a backup, with a progress bar.

    Raises LogUnavailable, or Rejected from a server, where there is something at ``directory``
    already or it cannot be made. Cancelled, a server that has begun goes on to the end.
    """
    console = Console(emoji=False)
    target = Path(await trio.Path(directory).absolute())
    growing = target.with_name(target.name + PARTIAL) / FILE_NAME
    total = size_of(Path(config.data) / FILE_NAME)
    async with (
        find_operator(config) as asked,
        shown_growing(console, "backing up", growing, total=total),
    ):
        made = await asked.ask(OperatorBackup(directory=str(target)))
    console.print(
        f"The backup is in [bold]{escape(str(directory))}[/]: {made['pages']:,} pages, "
        f"{decimal(made['size_bytes'])}.",
        soft_wrap=True,
        highlight=False,
    )
    console.print("It has the groups, and the keys of share links, but not the secret for tokens.")
    return True


@asynccontextmanager
async def shown_growing(
    console: Console, what: str, path: Path, *, total: int | None = None
) -> AsyncIterator[None]:
    """Show how large a file is by now for as long as the block runs, of ``total`` bytes."""
    columns = (TextColumn(what), BarColumn(), DownloadColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=total)

        async def watch() -> None:
            while True:
                progress.update(task, completed=size_of(path))
                await trio.sleep(LOOK_S)

        async with open_hidden_nursery() as nursery:
            nursery.start_soon(watch)
            yield
            nursery.cancel_scope.cancel()


def size_of(path: Path) -> int:
    """Give the size of a file in bytes; 0 where there is none."""
    try:
        return path.stat().st_size
    except OSError:
        return 0
