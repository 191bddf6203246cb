"""Reading in SQLite what of the host's groups are tied to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from groupd.domain.base import StreamKey
from groupd.domain.projection import Tie
from groupd.storage.sqlite_file import SqliteFile

_GET: Final = """
    select seq, state, note from ties
    where tenant = ? and kind = ? and name = ? and key = ?"""
_GROUPS: Final = """
    select key, seq, state, note from ties
    where tenant = ? and kind = ? and name = ? and key > ? order by key limit ?"""


class SqliteTies:
    """Reads the table of ties; see ``Ties``."""

    def __init__(self, file: SqliteFile) -> None:
        self._file = file

    def get(self, stream: StreamKey, kind: str, name: str) -> Tie | None:
        """Give a group's tie of a name, or None."""
        row = self._file.row(_GET, (stream.tenant, kind, name, stream.key))
        return None if row is None else Tie(*row)

    def groups(
        self, tenant: str, kind: str, name: str, after: str, limit: int
    ) -> Sequence[tuple[str, Tie]]:
        """List the groups that have such a tie, by group."""
        rows = self._file.all_rows(_GROUPS, (tenant, kind, name, after, limit))
        return [(key, Tie(*tie)) for key, *tie in rows]
