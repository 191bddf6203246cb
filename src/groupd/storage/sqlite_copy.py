"""A copy of an open SQLite file, made in steps between which the file goes on changing.

SQLite's own backup is what keeps it consistent: pages that this connection writes after they were
copied are copied again with the same commit. So the copy is the file as of its last step.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import apsw

from groupd.errors import LogUnavailable

CACHE_KIB: Final = 4_096
"""Pages of the copy that are kept in memory; the rest goes to its file as it comes."""

_SETTINGS: Final[Sequence[str]] = (
    # Whoever asked for the copy makes it durable when it is whole, and throws away a half one.
    "pragma locking_mode = exclusive",
    "pragma journal_mode = off",
    "pragma synchronous = off",
    f"pragma cache_size = -{CACHE_KIB}",
)


class SqliteCopy:
    """A copy under way. For the thread of the connection that it copies."""

    def __init__(self, source: apsw.Connection, path: Path) -> None:
        """Begin a copy in a new file. Raises LogUnavailable where that cannot be made."""
        flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE | apsw.SQLITE_OPEN_EXCLUSIVE
        self._path = path
        self.pages = 0
        try:
            self._target = apsw.Connection(str(path), flags=flags)
        except apsw.Error as error:
            raise self._failed(error) from error
        try:
            for setting in _SETTINGS:
                self._target.execute(setting).fetchall()
            self._backup = self._target.backup("main", source, "main")
        except apsw.Error as error:
            self._target.close(True)
            raise self._failed(error) from error

    def step(self, pages: int) -> int:
        """Copy up to so many pages; gives how many are left, 0 when the copy is whole.

        Raises LogUnavailable where it cannot go on; the store is none the worse for it.
        """
        try:
            is_whole = self._backup.step(pages)
        except apsw.Error as error:
            raise self._failed(error) from error
        self.pages = self._backup.page_count
        return 0 if is_whole else max(1, self._backup.remaining)

    def close(self) -> None:
        """Let go of both files. What is whole by then is in the new file, but not durable yet.

        Raises LogUnavailable where the last of it could not be written. May be repeated.
        """
        try:
            self._backup.close()
            self._target.close()
        except apsw.Error as error:
            raise self._failed(error) from error
        finally:
            self._target.close(True)

    def _failed(self, error: apsw.Error) -> LogUnavailable:
        return LogUnavailable(f"{self._path}: no copy can be made: {error}")
