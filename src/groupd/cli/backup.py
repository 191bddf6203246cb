"""``groupd backup``: the whole store in a new directory, beside a running server or without one.

Who copies has the files: the server, asked over its own socket, or this process where none is
running. Either way the file that grows is on this machine, and says how far it is.
"""

from __future__ import annotations

from pathlib import Path

import trio
from rich.console import Console
from rich.filesize import decimal
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn

from groupd.cli.operate import find_operator
from groupd.config import Config
from groupd.domain.queries import OperatorBackup
from groupd.storage.backup import FILE_NAME, PARTIAL

LOOK_S = 0.1
"""How often the bar looks at the file."""


async def back_up(config: Config, directory: Path) -> bool:
    """Make a backup, with a progress bar.

    Raises LogUnavailable, or Rejected from a server, where there is something at ``directory``
    already or it cannot be made. Cancelled, a server that has begun goes on to the end.
    """
    console = Console(emoji=False)
    target = Path(await trio.Path(directory).absolute())
    async with find_operator(config) as asked:
        with bar(console, "backing up") as progress:
            task = progress.add_task("", total=size_of(Path(config.data) / FILE_NAME))
            async with trio.open_nursery() as nursery:
                growing = target.with_name(target.name + PARTIAL) / FILE_NAME
                nursery.start_soon(watch_growth, progress, task, growing)
                made = await asked.ask(OperatorBackup(directory=str(target)))
                nursery.cancel_scope.cancel()
    console.print(
        f"The backup is in [bold]{escape(str(directory))}[/]: {made['pages']:,} pages, "
        f"{decimal(made['size_bytes'])}.",
        soft_wrap=True,
        highlight=False,
    )
    console.print("It has the groups, and the keys of share links, but not the secret for tokens.")
    return True


def bar(console: Console, what: str) -> Progress:
    """Give a progress bar in bytes; it goes away when it is done."""
    columns = (TextColumn(what), BarColumn(), DownloadColumn(), TimeElapsedColumn())
    return Progress(*columns, console=console, transient=True)


async def watch_growth(progress: Progress, task: object, path: Path) -> None:
    """Show how large a file is by now, until cancelled."""
    while True:
        progress.update(task, completed=size_of(path))  # type: ignore[arg-type]
        await trio.sleep(LOOK_S)


def size_of(path: Path) -> int:
    """Give the size of a file in bytes; 0 where there is none."""
    try:
        return path.stat().st_size
    except OSError:
        return 0
