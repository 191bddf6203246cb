"""What only the store on disk promises: its file, its lock, and what a bad disk does to it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import apsw
import pytest

from groupd.errors import LogBroken, LogCorrupt, LogUnavailable
from groupd.storage import sqlite_file
from groupd.storage.port import FORMAT, Append, AppendAll
from groupd.storage.sqlite import FILE_NAME, SqliteStore
from groupd.testing.log_samples import (
    HALL,
    YARD,
    append,
    do,
    head_of,
    is_conflict,
    outcome_of,
    sample_records,
)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    with_file = SqliteStore.open(tmp_path, new_id=lambda: "one")
    yield with_file
    with_file.close()


def files_of(directory: Path) -> bytes:
    return b"".join(file.read_bytes() for file in directory.iterdir())


# --- opening


def test_a_new_store_gets_an_id_and_keeps_it(tmp_path: Path) -> None:
    SqliteStore.open(tmp_path / "data", new_id=lambda: "one").close()
    again = SqliteStore.open(tmp_path / "data", new_id=lambda: "two")
    assert again.id == "one"
    again.close()


def test_a_second_opener_is_refused_at_once(tmp_path: Path, store: SqliteStore) -> None:
    with pytest.raises(LogUnavailable, match="in use by another groupd process"):
        SqliteStore.open(tmp_path, new_id=lambda: "two")
    do(store, append(HALL, 1))


def test_a_second_process_is_refused_at_once(tmp_path: Path, store: SqliteStore) -> None:
    program = """
        import sys
        from pathlib import Path
        from groupd.errors import LogUnavailable
        from groupd.storage.sqlite import SqliteStore
        try:
            SqliteStore.open(Path(sys.argv[1]), new_id=lambda: "two")
        except LogUnavailable as error:
            print(error)
    """
    do(store, append(HALL, 1))
    told = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert f"{tmp_path} is in use by another groupd process" in told.stdout
    do(store, append(HALL, 1, after=1))


def test_a_closed_store_can_be_opened_again(tmp_path: Path) -> None:
    for seq in range(3):
        store = SqliteStore.open(tmp_path, new_id=lambda: "one")
        do(store, append(HALL, 1, after=seq))
        store.close()


def test_a_newer_format_is_refused_and_left_alone(tmp_path: Path) -> None:
    SqliteStore.open(tmp_path, new_id=lambda: "one").close()
    with apsw.Connection(str(tmp_path / FILE_NAME)) as file:
        file.execute("update meta set format = ?", (FORMAT + 1,))
    file.close()
    before = (tmp_path / FILE_NAME).read_bytes()
    for _ in range(2):
        with pytest.raises(LogCorrupt, match=f"format {FORMAT + 1}.*run the newer groupd"):
            SqliteStore.open(tmp_path, new_id=lambda: "two")
    assert (tmp_path / FILE_NAME).read_bytes() == before


def test_a_file_of_something_else_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_bytes(b"certainly no database, and long enough to be looked at")
    before = files_of(tmp_path)
    with pytest.raises(LogCorrupt, match="is not a groupd store"):
        SqliteStore.open(tmp_path, new_id=lambda: "two")
    assert files_of(tmp_path) == before


def test_a_database_of_something_else_is_refused_and_left_alone(tmp_path: Path) -> None:
    with apsw.Connection(str(tmp_path / FILE_NAME)) as file:
        file.execute("create table recipes (name)")
    file.close()
    before = files_of(tmp_path)
    with pytest.raises(LogCorrupt, match="is not a groupd store"):
        SqliteStore.open(tmp_path, new_id=lambda: "two")
    assert files_of(tmp_path) == before


def test_a_creation_that_was_cut_short_is_done_again(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).touch()
    store = SqliteStore.open(tmp_path, new_id=lambda: "one")
    do(store, append(HALL, 1))
    store.close()


def test_a_directory_that_cannot_be_made_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(LogUnavailable, match="cannot be made"):
        SqliteStore.open(tmp_path / "file" / "data", new_id=lambda: "one")


def test_a_setting_that_does_not_take_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_file, "_SETTINGS", (("journal_mode", "off", "wal"),))
    with pytest.raises(LogUnavailable, match="journal_mode is 'off' instead of 'wal'"):
        SqliteStore.open(tmp_path, new_id=lambda: "one")


# --- reading alone


def test_to_look_at_a_store_changes_nothing_of_it(tmp_path: Path) -> None:
    store = SqliteStore.open(tmp_path, new_id=lambda: "one")
    do(store, append(HALL, 1))
    store.close()
    before = {
        path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in tmp_path.iterdir()
    }
    seen = SqliteStore.open_to_read(tmp_path)
    assert (seen.id, seen.index_is_stale, seen.streams(None, 9)) == ("one", False, [HALL])
    seen.checkpoint()
    seen.close()
    after = {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in tmp_path.iterdir()}
    assert after == before


def test_what_a_killed_server_wrote_last_is_seen(tmp_path: Path) -> None:
    store = SqliteStore.open(tmp_path / "data", new_id=lambda: "one")
    do(store, append(HALL, 1))
    shutil.copytree(tmp_path / "data", tmp_path / "killed")
    store.close()
    seen = SqliteStore.open_to_read(tmp_path / "killed")
    assert seen.streams(None, 9) == [HALL]
    seen.close()


def test_several_look_at_a_store_but_not_while_another_has_it(tmp_path: Path) -> None:
    store = SqliteStore.open(tmp_path, new_id=lambda: "one")
    with pytest.raises(LogUnavailable, match="in use by another groupd process"):
        SqliteStore.open_to_read(tmp_path)
    store.close()
    one, other = SqliteStore.open_to_read(tmp_path), SqliteStore.open_to_read(tmp_path)
    with pytest.raises(LogUnavailable, match="in use by another groupd process"):
        SqliteStore.open(tmp_path, new_id=lambda: "two")
    one.close()
    other.close()
    SqliteStore.open(tmp_path, new_id=lambda: "two").close()


def test_to_look_at_what_is_no_store_makes_none(tmp_path: Path) -> None:
    with pytest.raises(LogUnavailable, match="No such file"):
        SqliteStore.open_to_read(tmp_path)
    (tmp_path / FILE_NAME).touch()
    with pytest.raises(LogUnavailable, match="there is no store"):
        SqliteStore.open_to_read(tmp_path)
    (tmp_path / FILE_NAME).write_bytes(b"x" * 5_000)
    with pytest.raises(LogCorrupt, match="is not a groupd store"):
        SqliteStore.open_to_read(tmp_path)


def test_a_path_with_signs_of_a_url_is_read_like_another(tmp_path: Path) -> None:
    data = tmp_path / "50% off? yes#1 茶"
    SqliteStore.open(data, new_id=lambda: "one").close()
    seen = SqliteStore.open_to_read(data)
    assert seen.id == "one"
    seen.close()


# --- what is on the disk


def test_no_plan_depends_on_values_so_that_no_query_is_prepared_twice(store: SqliteStore) -> None:
    connection = store._file._connection
    assert connection.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, -1) == 1


def test_a_commit_is_on_the_disk_without_closing(tmp_path: Path, store: SqliteStore) -> None:
    do(store, append(HALL, 3))
    copy = tmp_path / "copy"
    copy.mkdir()
    for file in tmp_path.iterdir():
        if file.is_file():
            (copy / file.name).write_bytes(file.read_bytes())
    restored = SqliteStore.open(copy, new_id=lambda: "two")
    assert list(restored.read(HALL, 0, 9).records) == sample_records(HALL, 3)
    restored.close()


def test_erased_bytes_are_in_no_file_after_a_checkpoint(tmp_path: Path, store: SqliteStore) -> None:
    words = [b"many words " * length for length in (10, 1_000)]
    records = [
        record._replace(body=b"%d " % record.seq + words[record.seq % 2])
        for record in sample_records(HALL, 100)
    ]
    do(store, AppendAll((Append(HALL, 0, records),)))
    store.checkpoint()
    assert words[0] in files_of(tmp_path)
    do(store, append(HALL, 1, after=100, erase=range(1, 101)))
    store.checkpoint()
    assert b"many words" not in files_of(tmp_path)
    chains = [record.chain for record in sample_records(HALL, 101)]
    assert [record.chain for record in store.read(HALL, 0, 200).records] == chains


def test_a_busy_store_checkpoints_by_itself(
    tmp_path: Path, store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_file, "WAL_PAGES_MAX", 50)
    for seq in range(200):
        do(store, append(HALL, 1, after=seq))
    assert (tmp_path / f"{FILE_NAME}-wal").stat().st_size < 100 * 4_096


def test_a_busy_store_wipes_what_was_erased(
    tmp_path: Path, store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = sample_records(HALL, 3)[1].body
    assert body is not None
    do(store, append(HALL, 3))
    do(store, append(HALL, 1, after=3, erase=[2]))
    assert body in files_of(tmp_path)
    monkeypatch.setattr(sqlite_file, "WAL_PAGES_MAX", 1)
    do(store, append(YARD, 1))
    assert body not in files_of(tmp_path)


def test_the_write_ahead_log_is_cut_only_where_something_was_erased(
    tmp_path: Path, store: SqliteStore
) -> None:
    def size() -> int:
        return (tmp_path / f"{FILE_NAME}-wal").stat().st_size

    do(store, append(HALL, 9))
    grown = size()
    store.checkpoint()
    assert size() == grown, "it is written over, which is cheaper than to let it grow again"
    do(store, append(HALL, 1, after=9, erase=[2]))
    store.checkpoint()
    assert size() == 0


def test_what_was_erased_before_a_crash_is_wiped_after_it(tmp_path: Path) -> None:
    store = SqliteStore.open(tmp_path, new_id=lambda: "one")
    body = sample_records(HALL, 3)[1].body
    assert body is not None
    do(store, append(HALL, 3))
    do(store, append(HALL, 1, after=3, erase=[2]))
    store._file.abandon()
    assert body in files_of(tmp_path)
    again = SqliteStore.open(tmp_path, new_id=lambda: "two")
    again.checkpoint()
    assert body not in files_of(tmp_path)
    again.close()


def test_an_iterator_left_open_does_not_hurt_a_commit(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_file, "WAL_PAGES_MAX", 1)
    do(store, append(HALL, 1, changes=()), append(YARD, 1))
    rows = store._file.rows("select seq from records")
    assert next(rows) == (1,)
    do(store, append(HALL, 1, after=1))
    assert list(rows)
    do(store, append(HALL, 1, after=2))


# --- a full disk


def fill(store: SqliteStore) -> None:
    """Let the file grow no further."""
    connection = store._file._connection
    connection.pragma("max_page_count", connection.pragma("page_count"))


def empty(store: SqliteStore) -> None:
    store._file._connection.pragma("max_page_count", 1_000_000)


def test_on_a_full_disk_nothing_of_the_round_is_written_and_reads_go_on(
    store: SqliteStore,
) -> None:
    do(store, append(HALL, 3))
    fill(store)
    outcomes = store.commit([append(YARD, 1), append(HALL, 9, after=9), append(HALL, 500, after=3)])
    assert [type(outcome) for outcome in outcomes] == [LogUnavailable] * 3
    assert len({id(outcome) for outcome in outcomes}) == 3
    assert store.head(YARD) is None
    assert list(store.read(HALL, 0, 9).records) == sample_records(HALL, 3)
    empty(store)
    do(store, append(YARD, 1), append(HALL, 500, after=3))
    assert head_of(store, HALL) == 503


def test_a_rebuild_on_a_full_disk_leaves_the_index_alone(store: SqliteStore) -> None:
    do(store, append(HALL, 1, changes=[]))
    before = list(store.dump_index())
    fill(store)

    def project(_stream: object, _record: object) -> list[object]:
        raise apsw.FullError("no page left")

    with pytest.raises(LogUnavailable):
        store.rebuild_index(project)  # type: ignore[arg-type]
    assert list(store.dump_index()) == before
    empty(store)
    do(store, append(HALL, 1, after=1))


# --- a bad disk


class BadFile(apsw.VFSFile):
    """A file that fails as its disk says."""

    def __init__(self, disk: BadDisk, name: object, flags: list[int]) -> None:
        super().__init__("", name, flags)  # type: ignore[arg-type]
        self.disk = disk
        self.is_wal = bool(flags[0] & apsw.SQLITE_OPEN_WAL)

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802
        if self.is_wal and self.disk.error is not None:
            raise self.disk.error("injected")
        super().xWrite(data, offset)

    def xSync(self, flags: int) -> None:  # noqa: N802
        if self.is_wal and self.disk.sync_fails:
            raise apsw.IOError("injected")
        super().xSync(flags)

    def xRead(self, amount: int, offset: int) -> bytes:  # noqa: N802
        if self.disk.reads_fail:
            raise apsw.IOError("injected")
        return super().xRead(amount, offset)


class BadDisk(apsw.VFS):
    def __init__(self) -> None:
        self.name = f"bad-disk-{id(self)}"
        self.error: type[apsw.Error] | None = None
        self.sync_fails = False
        self.reads_fail = False
        super().__init__(self.name, "")

    def xOpen(self, name: object, flags: list[int]) -> BadFile:  # type: ignore[override]  # noqa: N802
        return BadFile(self, name, flags)


@pytest.fixture
def disk() -> Iterator[BadDisk]:
    disk = BadDisk()
    yield disk
    disk.unregister()


@pytest.fixture
def on_bad_disk(tmp_path: Path, disk: BadDisk) -> Iterator[SqliteStore]:
    store = SqliteStore.open(tmp_path, new_id=lambda: "one", vfs=disk.name)
    do(store, append(HALL, 3))
    yield store
    store.close()


def test_a_write_that_meets_a_full_disk_is_unavailable_and_later_ones_succeed(
    disk: BadDisk, on_bad_disk: SqliteStore
) -> None:
    disk.error = apsw.FullError
    for _ in range(3):
        assert isinstance(outcome_of(on_bad_disk, append(HALL, 1, after=3)), LogUnavailable)
        assert head_of(on_bad_disk, HALL) == 3
    disk.error = None
    do(on_bad_disk, append(HALL, 1, after=3))
    assert head_of(on_bad_disk, HALL) == 4


@pytest.mark.parametrize("fault", ["write", "sync"])
def test_after_a_failed_write_or_fsync_nothing_is_trusted_any_more(
    disk: BadDisk, on_bad_disk: SqliteStore, fault: str
) -> None:
    if fault == "write":
        disk.error = apsw.IOError
    else:
        disk.sync_fails = True
    with pytest.raises(LogBroken):
        on_bad_disk.commit([append(HALL, 1, after=3)])
    disk.error, disk.sync_fails = None, False
    with pytest.raises(LogBroken):
        on_bad_disk.commit([append(HALL, 1, after=3)])
    with pytest.raises(LogBroken):
        on_bad_disk.head(HALL)
    with pytest.raises(LogBroken):
        on_bad_disk.checkpoint()


def test_after_a_crash_all_that_was_answered_is_there(
    tmp_path: Path, disk: BadDisk, on_bad_disk: SqliteStore
) -> None:
    disk.error = apsw.IOError
    with pytest.raises(LogBroken):
        on_bad_disk.commit([append(HALL, 1, after=3)])
    on_bad_disk.close()
    disk.error = None
    again = SqliteStore.open(tmp_path, new_id=lambda: "two", vfs=disk.name)
    assert list(again.read(HALL, 0, 9).records) == sample_records(HALL, 3)
    do(again, append(HALL, 1, after=3))
    again.close()


def test_no_error_of_the_library_leaks_out(disk: BadDisk, on_bad_disk: SqliteStore) -> None:
    on_bad_disk._file._connection.cache_flush()
    on_bad_disk._file._connection.release_memory()
    disk.reads_fail = True
    with pytest.raises(LogBroken):
        on_bad_disk.read(HALL, 0, 9)
    disk.reads_fail = False


def test_a_page_of_nonsense_is_corrupt_and_the_rest_is_read(tmp_path: Path) -> None:
    store = SqliteStore.open(tmp_path, new_id=lambda: "one")
    do(store, append(HALL, 200), append(YARD, 3))
    (root,) = store._file.row("select rootpage from sqlite_schema where name = 'snapshots'") or ()
    store.close()
    with (tmp_path / FILE_NAME).open("r+b") as file:
        file.seek((root - 1) * 4_096)
        file.write(os.urandom(4_096))
    store = SqliteStore.open(tmp_path, new_id=lambda: "two")
    with pytest.raises(LogCorrupt):
        store.snapshot(HALL)
    assert list(store.read(YARD, 0, 9).records) == sample_records(YARD, 3)
    do(store, append(YARD, 1, after=3))
    store.close()


# --- bugs


def test_a_bug_in_a_write_rolls_the_round_back_and_is_not_taken_for_a_bad_disk(
    store: SqliteStore,
) -> None:
    with pytest.raises(UnicodeEncodeError):
        store.commit([append(YARD, 1), append(HALL._replace(key="\ud800"), 1)])
    assert store.head(YARD) is None
    do(store, append(YARD, 1))
    assert is_conflict(outcome_of(store, append(YARD, 1)))


def test_a_write_ahead_log_that_cannot_be_synced_is_not_read(
    tmp_path: Path, store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a failed fsync has left reads well, out of the cache, and may not be on the disk."""
    do(store, append(HALL, 1))
    store._file.abandon()
    synced = []

    def fail(descriptor: int) -> None:
        synced.append(Path(f"/proc/self/fd/{descriptor}").readlink())
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(LogUnavailable, match=r"groupd\.sqlite3-wal cannot be synced"):
        SqliteStore.open(tmp_path, new_id=lambda: "two")
    assert synced == [tmp_path / f"{FILE_NAME}-wal"]


def test_a_text_that_is_none_is_corruption_and_not_a_bug(tmp_path: Path) -> None:
    """SQLite hands it out, and only decoding it fails."""
    with closing(SqliteStore.open(tmp_path, new_id=lambda: "one")) as store:
        records = sample_records(HALL, 1, followed=True)
        do(store, AppendAll([Append(HALL, 0, records, deadline_ms=5)]))
    with closing(apsw.Connection(str(tmp_path / FILE_NAME))) as file:
        file.execute("update streams set key = cast(x'ff41' as text)")
        file.execute("update records set user = cast(x'ff41' as text)")
    with closing(SqliteStore.open(tmp_path, new_id=lambda: "one")) as store:
        for read in (lambda: store.due(10, 10), lambda: store.followed(0, 10)):
            with pytest.raises(LogCorrupt, match="a text that is stored is none"):
                read()
