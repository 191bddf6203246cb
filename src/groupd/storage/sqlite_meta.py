"""What a store says of itself: that it is groupd's, its id, its format; and how that rises."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import attrs

from groupd.errors import LogCorrupt
from groupd.storage.port import FORMAT
from groupd.storage.sqlite_file import SqliteFile
from groupd.storage.sqlite_index import SqliteIndex
from groupd.storage.sqlite_schema import APPLICATION_ID, MIGRATIONS, NEW_INDEX_BEFORE, TABLES

_META: Final = "select id, format from meta"
_IS_STALE: Final = "select index_is_stale from meta"


@attrs.frozen
class Meta:
    """What the file's one row of ``meta`` says."""

    id: str
    format: int
    index_is_stale: bool
    """True also where the format is an older one, whose index may lack what this version reads."""


def is_new(file: SqliteFile, path: Path) -> bool:
    """Say whether nothing was ever stored; raises LogCorrupt where somebody else has."""
    application_id = _one(file, "pragma application_id", path)[0]
    table_count = _one(file, "select count(*) from sqlite_schema", path)[0]
    if application_id == APPLICATION_ID:
        return False
    if application_id == 0 and table_count == 0:
        return True
    raise LogCorrupt(f"{path} is not a groupd store")


def read(file: SqliteFile, path: Path) -> Meta:
    """Read it; raises LogCorrupt where it makes no sense or the format is newer than ours."""
    id_, number = _one(file, _META, path)
    if type(id_) is not str or type(number) is not int or number < 1:
        raise LogCorrupt(f"{path}: its format is {number!r}; restore a backup")
    if number > FORMAT:
        raise LogCorrupt(
            f"{path.parent} has format {number} and this groupd reads up to {FORMAT}: "
            "run the newer groupd that wrote it, or restore a backup of this version's"
        )
    return Meta(id_, number, number < FORMAT or _one(file, _IS_STALE, path)[0] == 1)


def _one(file: SqliteFile, sql: str, path: Path) -> tuple[Any, ...]:
    row = file.row(sql)
    if row is None:
        raise LogCorrupt(f"{path}: its only row of meta is missing; restore a backup")
    return row


# --- in a transaction


def create(file: SqliteFile, index: SqliteIndex, id: str) -> None:
    """Make all tables of a new store."""
    for sql in TABLES:
        file.execute(sql)
    index.clear()
    file.execute("insert into meta (one, id, format) values (1, ?, ?)", (id, FORMAT))
    file.execute(f"pragma application_id = {APPLICATION_ID}")


def migrate(file: SqliteFile, index: SqliteIndex, number: int) -> None:
    """Take a file of format ``number`` to this version's. Of an old one the index is stale then."""
    for before in range(number, FORMAT):
        for sql in MIGRATIONS[before]:
            file.execute(sql)
    if number < NEW_INDEX_BEFORE:
        index.clear()
        file.execute("update meta set index_is_stale = 1")
    file.execute("update meta set format = ?", (FORMAT,))
