"""A damaged stream is put back from a backup, and what was written after the backup stays."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import apsw
import pytest

from groupd.app import open_hub, open_store
from groupd.cli.files import mend_files
from groupd.errors import LogCorrupt
from groupd.storage.backup import back_up
from groupd.storage.mend import Mended
from tests.operate.rig import (
    FILE,
    change,
    contents,
    damage,
    flip,
    group_key,
    live_a_little,
    problems,
)


async def make(tmp: Path) -> tuple[str, str]:
    """Make a store, a backup of it, and then more in the store; gives its two groups."""
    async with open_hub(tmp / "data") as hub:
        groups = await live_a_little(hub)
        await back_up(hub.log, tmp / "data", tmp / "backup", time_ms=1, version="1", rest_factor=0)
        ann = hub.act_as("ann")
        for group in groups:
            later = (await ann.post(group, text="later"))["seq"]
            await ann.recall(group, later - 0)
            await ann.post(group, text="last")
    return groups[0], groups[1]


def found(data: Path) -> Sequence[str]:
    store = open_store(data)
    try:
        return problems(store)
    finally:
        store.close()


DAMAGES: Sequence[tuple[str, Any]] = [
    ("body", flip),
    ("salt", flip),
    ("header", flip),
    ("inner", flip),
    ("chain", flip),
    ("user", lambda value: "eve"),
    ("audience", lambda value: 1),
    ("n", lambda value: value + 1),
]


@pytest.mark.parametrize(("column", "by"), DAMAGES, ids=[column for column, _by in DAMAGES])
async def test_what_was_changed_is_as_it_was(tmp_path: Path, column: str, by: Any) -> None:
    group, _other = await make(tmp_path)
    before = contents(tmp_path / "data")
    change(tmp_path / "data", group_key(group), 9, column, by)
    assert found(tmp_path / "data")
    assert (await mend_files(tmp_path / "data", group_key(group), tmp_path / "backup")).seqs == [9]
    assert contents(tmp_path / "data") == before


async def test_what_is_gone_comes_back_and_so_does_a_head(tmp_path: Path) -> None:
    group, _other = await make(tmp_path)
    before = contents(tmp_path / "data")
    db = apsw.Connection(str(tmp_path / "data" / FILE))
    db.execute(
        "delete from records where seq = 5 and stream = (select id from streams where key = ?)",
        (group,),
    )
    db.execute("update streams set chain = x'00' where key = ?", (group,))
    db.close()
    assert found(tmp_path / "data")
    assert (await mend_files(tmp_path / "data", group_key(group), tmp_path / "backup")).seqs == [5]
    assert contents(tmp_path / "data") == before


async def test_what_was_erased_since_stays_erased(tmp_path: Path) -> None:
    async with open_hub(tmp_path / "data") as hub:
        group = (await live_a_little(hub))[0]
        ann = hub.act_as("ann")
        secret = (await ann.post(group, text="a secret"))["seq"]
        await back_up(
            hub.log, tmp_path / "data", tmp_path / "backup", time_ms=1, version="1", rest_factor=0
        )
        await ann.recall(group, secret)
    before = contents(tmp_path / "data")
    change(tmp_path / "data", group_key(group), secret, "header", flip)
    await mend_files(tmp_path / "data", group_key(group), tmp_path / "backup")
    assert contents(tmp_path / "data") == before
    assert b"a secret" not in (tmp_path / "data" / FILE).read_bytes()


async def test_where_the_backup_has_it_not_nothing_is_changed(tmp_path: Path) -> None:
    group, other = await make(tmp_path)
    store = open_store(tmp_path / "data")
    head = store.head(group_key(group))
    assert head is not None
    store.close()
    damage(tmp_path / "data", group_key(group), 9)
    damage(tmp_path / "data", group_key(group), head.seq)
    before = found(tmp_path / "data")
    with pytest.raises(LogCorrupt, match=rf"record {head.seq} of group//{group} is damaged"):
        await mend_files(tmp_path / "data", group_key(group), tmp_path / "backup")
    assert found(tmp_path / "data") == before
    with pytest.raises(LogCorrupt, match="there is no log group//nowhere"):
        await mend_files(tmp_path / "data", group_key("nowhere"), tmp_path / "backup")
    assert (await mend_files(tmp_path / "data", group_key(other), tmp_path / "backup")) == Mended()
