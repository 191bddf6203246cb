"""Backups: a whole data directory copied beside a server that goes on, and taken into use again.

Placement rules and theory of operation:
- A store copies itself step by step between its rounds (``Store.begin_copy``). Here is everything
  around that: the directory, the other files, what is durable when, and what a failure leaves.
- A backup is made under another name, fsynced, and then renamed: where the name is, all of it is.
- ``NOTE_FILE`` marks a backup. Whoever takes a data directory with one into use gives its store a
  new id first (``adopt``), so that clients learn that what they have seen may not be there.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Final, Protocol

import attrs
import trio

from groupd.errors import LogError, LogUnavailable
from groupd.storage.copy_port import Copy
from groupd.storage.log import Log
from groupd.storage.port import FORMAT, Store
from groupd.storage.sqlite import FILE_NAME

OTHER_FILES: Final = ("link-keys.json",)
"""What else of a data directory belongs to its groups. The secret for tokens does not."""
NOTE_FILE: Final = "backup.json"
PARTIAL: Final = ".partial"
"""Behind the name of what is not whole yet."""
PAGES_PER_STEP: Final = 64
"""Pages of 4 kB that are copied in one go: that long a round of writes may have to wait."""
PAGES_PER_SYNC: Final = 2_048
"""Pages after which the copy is made durable as far as it goes. Else the disk would get all of
them at once in the end, and the fsyncs of the store would wait behind them."""
REST_FACTOR: Final = 1.0
"""How many times as long as a step the rest after it is."""


@attrs.frozen
class Backup:
    """A backup that is whole and durable."""

    directory: Path
    pages: int
    size_bytes: int
    """Of the store's file."""


class Named(Protocol):
    """A store that can take another id."""

    def rename(self, id: str) -> None:
        """Give the store another id, durably."""


async def back_up(
    log: Log, data: Path, target: Path, *, time_ms: int, version: str, rest_factor: float
) -> Backup:
    """Copy the store behind ``log``, and the other files of ``data``, to the new directory.

    Rounds of writes go on in between, and what they commit is in the copy. ``rest_factor`` says
    how long to rest between two steps, as a multiple of a step; 0 where nobody is held up.

    Raises LogUnavailable where there is something at ``target`` already, where that is inside of
    ``data``, or where the copy cannot be made; then, and when it is cancelled, nothing of it is
    left.
    """
    partial_ = target.with_name(target.name + PARTIAL)
    _make_directory(data, target, partial_)
    try:
        with trio.CancelScope(shield=True):  # A copy that is begun must be closed by somebody.
            copy = await log.read(partial(_begin, partial_ / FILE_NAME))
        try:
            await _copy_pages(log, copy, partial_ / FILE_NAME, rest_factor)
        finally:
            with trio.CancelScope(shield=True):
                await _close(log, copy)
        note = {"format": FORMAT, "groupd": version, "store": log.id, "time_ms": time_ms}
        await trio.to_thread.run_sync(_conclude, data, partial_, target, note)
    except OSError as error:
        raise LogUnavailable(f"{target}: no backup can be made: {error}") from error
    finally:
        # Renamed, it is not there any more.
        shutil.rmtree(partial_, ignore_errors=True)
    size_bytes = (target / FILE_NAME).stat().st_size
    return Backup(target, copy.pages, size_bytes)


def _make_directory(data: Path, target: Path, partial_: Path) -> None:
    """Make the directory to work in; raises LogUnavailable where something is in the way."""
    if target.resolve().is_relative_to(data.resolve()):
        raise LogUnavailable(
            f"{target} is inside of the data directory, and would be lost with it; "
            "name another place"
        )
    if os.path.lexists(target):
        raise LogUnavailable(f"{target} is there already; a backup is never written over anything")
    try:
        partial_.mkdir(mode=0o700)
    except FileExistsError:
        raise LogUnavailable(
            f"{partial_} is there already: another backup is being made, or was cut short; "
            "where none is being made, remove it"
        ) from None
    except OSError as error:
        raise LogUnavailable(f"{target}: no backup can be made: {error}") from error


def _begin(path: Path, store: Store) -> Copy:
    return store.begin_copy(path)


async def _copy_pages(log: Log, copy: Copy, path: Path, rest_factor: float) -> None:
    unsynced = 0
    while True:
        began = trio.current_time()
        left = await log.read(lambda _store: copy.step(PAGES_PER_STEP))
        if not left:
            return
        unsynced += PAGES_PER_STEP
        if unsynced >= PAGES_PER_SYNC:
            await trio.to_thread.run_sync(sync, path)
            unsynced = 0
        elif rest_factor:
            await trio.sleep((trio.current_time() - began) * rest_factor)


async def _close(log: Log, copy: Copy) -> None:
    # Where the log is closed by now, so are its files, and the copy with them.
    with suppress(LogError):
        await log.read(lambda _store: copy.close())


def _conclude(data: Path, partial_: Path, target: Path, note: dict[str, Any]) -> None:
    """Add the other files, make all of it durable, and give it its name."""
    for name in OTHER_FILES:
        with suppress(FileNotFoundError):
            shutil.copyfile(data / name, partial_ / name)
    (partial_ / NOTE_FILE).write_text(json.dumps(note, indent=2) + "\n")
    for path in partial_.iterdir():
        path.chmod(0o600)
        sync(path)
    sync(partial_)
    # A directory is never renamed onto a file, nor onto a directory that has something in it.
    partial_.rename(target)
    sync(target.parent)


def sync(path: Path) -> None:
    """Make a file, or the names in a directory, durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def adopt(directory: Path, store: Named, *, new_id: Callable[[], str]) -> bool:
    """Give the store of a restored directory an id of its own; says whether it was a backup.

    Raises LogUnavailable or LogBroken as a write does.
    """
    note = directory / NOTE_FILE
    if not note.exists():
        return False
    store.rename(new_id())
    # Behind the id: cut short in between, it is only renamed once more.
    note.unlink()
    sync(directory)
    return True
