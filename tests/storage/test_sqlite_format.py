"""A file of format 1 is taken over, and its index made anew."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import apsw
import pytest

from groupd.cli import operate
from groupd.cli.backup import back_up
from groupd.config import Config
from groupd.domain.base import Record, StreamKey
from groupd.domain.projection import (
    Change,
    PutCard,
    PutProfile,
    PutRevocation,
    PutTie,
    React,
    Spoke,
    Tie,
)
from groupd.errors import LogUnavailable
from groupd.storage.port import FORMAT, AdvanceCursor, PutPosition, PutSnapshot
from groupd.storage.sqlite import FILE_NAME, SqliteStore
from groupd.testing.check_log_audit import entry, noted
from groupd.testing.log_samples import (
    ANN,
    HALL,
    TENANT,
    append,
    do,
    member,
    sample_records,
)

FORMAT_1: Final = (
    """
    create table meta (
        one integer primary key check (one = 1),
        id text not null,
        format integer not null
    )""",
    """
    create table streams (
        id integer primary key,
        kind text not null,
        tenant text not null,
        key text not null,
        head integer not null,
        n integer not null,
        time_ms integer not null,
        chain blob not null,
        deadline_ms integer,
        unique (kind, tenant, key)
    )""",
    """
    create index streams_by_deadline on streams (deadline_ms, kind, tenant, key)
    where deadline_ms is not null""",
    """
    create table records (
        position integer primary key,
        stream integer not null,
        seq integer not null,
        time_ms integer not null,
        kind text not null,
        user text not null,
        request_id text not null,
        audience integer not null,
        n integer not null,
        forget integer not null,
        followed integer not null,
        inner blob not null,
        chain blob not null,
        salt blob not null,
        request_hash blob not null,
        header blob not null,
        body blob,
        unique (stream, seq)
    )""",
    "create index records_followed on records (position) where followed = 1",
    """
    create table snapshots (
        stream integer primary key,
        seq integer not null,
        version integer not null,
        state blob not null
    )""",
    """
    create table cursors (
        stream integer not null,
        user text not null,
        seq integer not null,
        primary key (stream, user)
    ) without rowid""",
    """
    create table positions (
        name text primary key,
        position integer not null
    ) without rowid""",
    """
    create table cards (
        stream integer primary key,
        tenant text not null,
        name text not null,
        picture text not null,
        owner text not null,
        ref text,
        dissolved integer not null,
        discoverable integer not null
    )""",
    """
    create unique index cards_by_ref on cards (tenant, ref)
    where ref is not null and dissolved = 0""",
    """
    create table members (
        stream integer not null,
        user text not null,
        tenant text not null,
        key text not null,
        role integer not null,
        name text not null,
        joined_ms integer not null,
        joined_seq integer not null,
        floor integer not null,
        primary key (stream, user)
    ) without rowid""",
    "create unique index members_by_user on members (tenant, user, key)",
    """
    create table spoke (
        stream integer not null,
        user text not null,
        seq integer not null,
        primary key (stream, user)
    ) without rowid""",
    """
    create table mentions (
        stream integer not null,
        user text not null,
        seq integer not null,
        primary key (stream, user, seq)
    ) without rowid""",
    "create index mentions_by_seq on mentions (stream, seq)",
    "insert into meta (one, id, format) values (1, 'one', 1)",
    "pragma application_id = 1735553124",
)
"""What format 1 was, for ever."""

KEPT: Final = ("streams", "records", "snapshots", "cursors", "positions")


def project(stream: StreamKey, record: Record) -> Sequence[Change]:
    if stream == ANN:
        return [PutProfile("Anna", "", "ordinary", "", None)]
    if record.seq == 1:
        return [PutCard({"name": "Hall", "discoverable": True}), member("ann")]
    return [Spoke("ann", record.seq), React(1, "ann", "+", record.seq)]


@pytest.fixture
def old(tmp_path: Path) -> Iterator[Path]:
    """Make a directory with a file of format 1, its tables filled by this version."""
    new = SqliteStore.open(tmp_path / "new", new_id=lambda: "one")
    do(
        new,
        append(HALL, 3, deadline_ms=9),
        append(ANN, 1, followed=True),
        PutSnapshot(HALL, 2, 1, b"state"),
        AdvanceCursor(HALL, "ann", 2),
        PutPosition("reactor", 4),
    )
    new.close()
    directory = tmp_path / "old"
    directory.mkdir()
    with apsw.Connection(str(directory / FILE_NAME)) as file:
        for sql in FORMAT_1:
            file.execute(sql)
        file.execute("attach ? as new", (str(tmp_path / "new" / FILE_NAME),))
        for table in KEPT:
            file.execute(f"insert into {table} select * from new.{table}")
        file.execute("insert into cards values (1, 'tenant', 'Old', '', 'ann', 'a', 0, 1)")
        file.execute("insert into members values (1, 'bo', 'tenant', 'hall', 1, 'Bo', 1, 1, 1)")
        file.execute("insert into mentions values (1, 'ann', 2)")
    file.close()
    return directory


def format_of(directory: Path) -> int:
    with apsw.Connection(str(directory / FILE_NAME)) as file:
        number: int = file.execute("select format from meta").fetchone()[0]
    file.close()
    return number


def test_an_older_file_keeps_its_records_and_gets_an_empty_index(old: Path) -> None:
    store = SqliteStore.open(old, new_id=lambda: "two")
    assert store.index_is_stale
    assert (store.id, list(store.dump_index())) == ("one", [])
    assert list(store.read(HALL, 0, 9).records) == sample_records(HALL, 3)
    assert store.snapshot(HALL) is not None
    assert store.cursors(TENANT, "hall") == {"ann": 2}
    assert (store.position("reactor"), store.next_deadline_ms()) == (4, 9)
    assert [entry.stream for entry in store.followed(0, 9)] == [ANN]
    store.close()


def test_an_older_file_that_is_only_looked_at_stays_as_it_is(old: Path) -> None:
    before = (old / FILE_NAME).read_bytes()
    store = SqliteStore.open_to_read(old)
    assert (store.id, store.index_is_stale) == ("one", True)
    assert list(store.read(HALL, 0, 9).records) == sample_records(HALL, 3)
    assert store.cursors(TENANT, "hall") == {"ann": 2}
    assert [entry.stream for entry in store.followed(0, 9)] == [ANN]
    store.close()
    assert (old / FILE_NAME).read_bytes() == before


async def test_it_can_be_backed_up_and_check_says_what_it_wants(old: Path, tmp_path: Path) -> None:
    config = Config(data=str(old))
    with pytest.raises(LogUnavailable, match=r"older groupd's.*--rebuild-index"):
        await operate.check(config, rebuild_index=False)
    assert await back_up(config, tmp_path / "backup")
    assert format_of(tmp_path / "backup") == format_of(old) == 1


def test_its_index_is_made_anew_from_the_records(old: Path) -> None:
    store = SqliteStore.open(old, new_id=lambda: "two")
    assert store.rebuild_index(project) == 4
    assert store.index_is_stale is False
    card = store.group(TENANT, "hall")
    assert card is not None
    assert (card.name, card.ref, card.members, card.head) == ("Hall", None, 1, 3)
    assert [row.name for row in store.members(TENANT, "hall", "", 9)] == ["Anna"]
    found = store.search(TENANT, query="hall", category="", near=None, after=None, limit=9)
    assert [one.card.group for one in found] == ["hall"]
    do(store, append(HALL, 1, after=3, changes=[PutCard({"ref": "a"})]))
    store.close()
    again = SqliteStore.open(old, new_id=lambda: "two")
    assert again.index_is_stale is False
    assert again.group_of_ref(TENANT, "a") is not None
    again.close()
    assert format_of(old) == FORMAT


def test_a_file_that_was_not_rebuilt_yet_stays_stale(old: Path) -> None:
    for _ in range(3):
        store = SqliteStore.open(old, new_id=lambda: "two")
        assert store.index_is_stale
        store.close()
    assert format_of(old) == FORMAT, "and an older groupd must not open it"


def test_a_rebuild_that_fails_leaves_it_stale(old: Path) -> None:
    store = SqliteStore.open(old, new_id=lambda: "two")

    def fail(_stream: StreamKey, _record: Record) -> Sequence[Change]:
        raise apsw.FullError("no page left")

    with pytest.raises(LogUnavailable):
        store.rebuild_index(fail)
    assert store.index_is_stale
    store.close()
    again = SqliteStore.open(old, new_id=lambda: "two")
    assert again.index_is_stale
    again.close()


def test_a_new_file_is_not_stale(tmp_path: Path) -> None:
    for _ in range(2):
        store = SqliteStore.open(tmp_path, new_id=lambda: "one")
        assert store.index_is_stale is False
        store.close()


def test_a_file_of_format_3_keeps_its_index_and_can_hold_ties(tmp_path: Path) -> None:
    store = SqliteStore.open(tmp_path, new_id=lambda: "one")
    do(store, append(HALL, 1, changes=[PutCard({"name": "Hall"}), PutTie("binding", "shop", 1)]))
    store.close()
    with apsw.Connection(str(tmp_path / FILE_NAME)) as file:
        made = file.execute("select sql from sqlite_schema where tbl_name = 'ties'").fetchall()
        file.execute("drop table ties")
        file.execute("drop table audit")
        file.execute("update meta set format = 3")
    file.close()
    store = SqliteStore.open(tmp_path, new_id=lambda: "two")
    assert (store.id, store.index_is_stale) == ("one", False)
    assert store.ties.groups(TENANT, "binding", "shop", "", 9) == []
    do(store, append(HALL, 1, after=1, changes=[PutTie("binding", "shop", 2)]))
    assert store.ties.groups(TENANT, "binding", "shop", "", 9) == [("hall", Tie(2))]
    store.close()
    assert format_of(tmp_path) == FORMAT
    with apsw.Connection(str(tmp_path / FILE_NAME)) as file:
        again = file.execute("select sql from sqlite_schema where tbl_name = 'ties'").fetchall()
    file.close()
    assert again == made, "the table and the index that a new store has"


def test_a_file_of_format_2_keeps_its_index_and_can_hold_revocations(tmp_path: Path) -> None:
    store = SqliteStore.open(tmp_path, new_id=lambda: "one")
    do(store, append(HALL, 1, changes=[PutCard({"name": "Hall"})]))
    store.close()
    make_older(tmp_path, 2, "revocations", "audit", "ties")
    store = SqliteStore.open(tmp_path, new_id=lambda: "two")
    assert (store.id, store.index_is_stale) == ("one", False)
    assert store.group(TENANT, "hall") is not None
    do(store, append(ANN, 1, changes=[PutRevocation(7)]))
    assert store.revoked_before_ms(TENANT, "ann") == 7
    store.close()
    assert format_of(tmp_path) == FORMAT


def make_older(directory: Path, number: int, *without: str) -> None:
    """Make of a file of this format one that an older groupd has left."""
    with apsw.Connection(str(directory / FILE_NAME)) as file:
        for table in without:
            file.execute(f"drop table {table}")
        file.execute("update meta set format = ?", (number,))
    file.close()


def test_a_file_of_format_3_keeps_its_index_and_can_hold_an_audit(tmp_path: Path) -> None:
    store = SqliteStore.open(tmp_path, new_id=lambda: "one")
    do(store, append(HALL, 1, changes=[PutCard({"name": "Hall"})]))
    store.close()
    make_older(tmp_path, 3, "audit", "ties")
    reading = SqliteStore.open_to_read(tmp_path)
    assert (reading.audit.last_n(), reading.audit.since(0, 9)) == (0, ())
    assert reading.audit.latest(TENANT, None, None, 9) == ()
    reading.close()
    assert format_of(tmp_path) == 3, "what is only looked at stays as it is"
    store = SqliteStore.open(tmp_path, new_id=lambda: "two")
    assert (store.id, store.index_is_stale) == ("one", False)
    do(store, noted(append(HALL, 1, after=1), entry(HALL, 2)))
    assert [item.entry for item in store.audit.since(0, 9)] == [entry(HALL, 2)]
    assert [item.entry for item in store.audit.latest(TENANT, HALL, None, 9)] == [entry(HALL, 2)]
    store.close()
    assert format_of(tmp_path) == FORMAT
