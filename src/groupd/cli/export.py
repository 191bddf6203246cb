"""``groupd export`` and ``groupd import``: all groups in one file, and back.

An export is made of a store that nobody changes. Beside a running server that is a backup, which
the server makes and which goes away again when the file is written.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import trio
from rich.console import Console
from rich.filesize import decimal
from rich.markup import escape

from groupd.cli.backup import shown_growing, size_of
from groupd.cli.files import ask_server, export_files, import_files, is_there
from groupd.cli.operate import expect_store
from groupd.config import Config
from groupd.domain.queries import OperatorBackup
from groupd.errors import LogUnavailable, Rejected
from groupd.storage.backup import PARTIAL
from groupd.storage.sqlite import FILE_NAME

COPY: Final = ".copy"
"""Behind the name of the export: the backup that it is made of, beside a running server."""


async def export(config: Config, file: Path) -> bool:
    """Write all groups to a file, with a progress bar.

    Raises LogUnavailable where there is something of that name or it cannot be written,
    LogCorrupt where a record is not what was written; then there is no such file.
    """
    console = Console(emoji=False)
    path = Path(await trio.Path(file).absolute())
    _expect_nothing(path)
    async with (
        _still_store(config, path) as data,
        shown_growing(console, "exporting", path.with_name(path.name + PARTIAL)),
    ):
        counts = await export_files(data, path)
    console.print(
        f"[bold]{escape(str(file))}[/] has {counts.streams:,} streams, {counts.records:,} records "
        f"and {counts.cursors:,} read cursors in {decimal(size_of(path))}.",
        soft_wrap=True,
        highlight=False,
    )
    return True


def _expect_nothing(path: Path) -> None:
    """Refuse before the work is done, rather than after it."""
    if not is_there(path.parent):
        raise LogUnavailable(f"{path} cannot be written: there is no directory {path.parent}")
    if os.path.lexists(path):
        raise LogUnavailable(f"{path} is there already; an export is never written over anything")


@asynccontextmanager
async def _still_store(config: Config, path: Path) -> AsyncIterator[Path]:
    """Give a directory with a store that does not change meanwhile."""
    async with ask_server(config) as running:
        if running is None:
            expect_store(config)
            yield Path(config.data)
            return
        copy = path.with_name(path.name + COPY)
        try:
            await running.ask(OperatorBackup(directory=str(copy)))
        except Rejected as error:
            raise LogUnavailable(
                f"{path}: an export beside a running server begins with a backup in {copy}, "
                f"which the server could not make: {error.message}"
            ) from error
        try:
            yield copy
        finally:
            shutil.rmtree(copy)


async def import_(config: Config, file: Path) -> bool:
    """Make a new store of an export, with a progress bar; see ``transfer.import_from``."""
    console = Console(emoji=False)
    data = Path(config.data)
    async with shown_growing(console, "importing", data / f"import{PARTIAL}" / FILE_NAME):
        counts = await import_files(file, data)
    console.print(
        f"[bold]{escape(config.data)}[/] has {counts.streams:,} streams, {counts.records:,} "
        f"records and {counts.cursors:,} read cursors now.",
        soft_wrap=True,
        highlight=False,
    )
    console.print("Put the old link-keys.json and secret there, if share links and tokens shall")
    console.print("still be good; then start the server.")
    return True
