"""A simulated disk keeps what was synced, is cruel to the rest, and fails as it is told to."""

from __future__ import annotations

import errno
import random
from collections.abc import Callable, Iterator
from contextlib import suppress

import apsw
import pytest

from groupd.testing.simulation import disk as disk_module
from groupd.testing.simulation.disk import (
    SECTOR_BYTES,
    DiskFaults,
    DiskFile,
    DiskStep,
    SimDisk,
)
from groupd.testing.simulation.vfs import SimVfs

OLD, NEW = b"o" * SECTOR_BYTES, b"n" * SECTOR_BYTES
SEEDS = range(200)


def disk_of(seed: int, *, powersafe_overwrite: bool = True) -> SimDisk:
    return SimDisk(random.Random(seed), powersafe_overwrite=powersafe_overwrite)


def file_on(disk: SimDisk, content: bytes = b"") -> DiskFile:
    """Make a file whose name and content are durable."""
    file = disk.open("file", create=True)
    if content:
        file.write(0, content)
    file.sync()
    disk.sync_directory()
    return file


def after_crash(disk: SimDisk) -> bytes:
    disk.crash()
    file = disk.open("file")
    assert file.durable() == file.read(offset=0, size=1_000_000), "one view"
    return file.durable()


def outcomes(work: Callable[[SimDisk], None], **how: bool) -> set[bytes]:
    """Give what is left in the file after the same work and a crash, over many seeds."""
    found = set()
    for seed in SEEDS:
        disk = disk_of(seed, **how)
        work(disk)
        found.add(after_crash(disk))
    return found


# --- the two views


def test_what_was_written_is_read_and_is_durable_after_a_sync() -> None:
    file = file_on(disk_of(1), OLD)
    file.write(100, b"new")
    assert file.read(offset=98, size=6) == b"oonewo"
    assert file.durable() == OLD
    file.sync()
    assert file.durable() == OLD[:100] + b"new" + OLD[103:]


def test_a_hole_reads_as_zeros_and_the_end_gives_what_there_is() -> None:
    file = file_on(disk_of(1))
    file.write(4, b"end")
    assert file.read(offset=0, size=99) == b"\0\0\0\0end"
    assert file.read(offset=7, size=1) == b""
    file.truncate(9)
    assert (file.size(), file.read(offset=5, size=9)) == (9, b"nd\0\0")


def test_what_was_synced_outlives_every_crash() -> None:
    def work(disk: SimDisk) -> None:
        file = file_on(disk, OLD)
        file.write(SECTOR_BYTES, NEW)
        file.sync()

    assert outcomes(work) == {OLD + NEW}


def test_an_unsynced_write_comes_or_not_or_is_torn() -> None:
    found = outcomes(lambda disk: file_on(disk, OLD).write(0, NEW))
    assert {OLD, NEW} < found
    halves = [left for left in found if set(left) == set(b"on")]
    assert any(left.startswith(b"n") for left in halves)
    assert any(left.startswith(b"o") for left in halves)
    assert bytes(SECTOR_BYTES) in found
    assert any(set(left) - set(b"on\0") for left in found), "nonsense"


def test_sectors_come_in_any_order() -> None:
    def work(disk: SimDisk) -> None:
        file = file_on(disk, OLD * 3)
        for number in range(3):
            file.write(number * SECTOR_BYTES, NEW)

    found = outcomes(work)
    assert {OLD + OLD + NEW, NEW + OLD + NEW, NEW + NEW + OLD, OLD * 3, NEW * 3} <= found


def test_any_state_that_a_sector_went_through_may_stay() -> None:
    def work(disk: SimDisk) -> None:
        file = file_on(disk, OLD)
        for letter in b"abc":
            file.write(0, bytes([letter]) * SECTOR_BYTES)
        file.write(SECTOR_BYTES, NEW)

    assert {bytes([letter]) * SECTOR_BYTES + NEW for letter in b"oabc"} <= outcomes(work)


def test_bytes_that_were_not_written_stay_where_overwriting_is_safe_only() -> None:
    def work(disk: SimDisk) -> None:
        file_on(disk, OLD).write(100, b"new")

    assert all(left[:100] + left[103:] == OLD[3:] for left in outcomes(work))
    unsafe = outcomes(work, powersafe_overwrite=False)
    assert any(left[:100] != OLD[:100] for left in unsafe)


def test_a_file_may_have_grown_without_its_data() -> None:
    found = outcomes(lambda disk: file_on(disk, OLD).write(SECTOR_BYTES, NEW))
    assert {len(left) for left in found} == {SECTOR_BYTES, 2 * SECTOR_BYTES}
    assert all(left.startswith(OLD) for left in found)
    ends = {left[SECTOR_BYTES:] for left in found}
    assert {b"", NEW, bytes(SECTOR_BYTES)} < ends


def test_old_blocks_may_come_back_where_a_file_was_cut_and_grew_again() -> None:
    def work(disk: SimDisk) -> None:
        file = file_on(disk, OLD * 2)
        file.truncate(0)
        file.sync()
        file.write(SECTOR_BYTES, NEW)

    assert any(left.endswith(OLD) for left in outcomes(work))


def test_a_truncation_comes_or_not_and_what_follows_it_does_not_come_without_it() -> None:
    def work(disk: SimDisk) -> None:
        file = file_on(disk, OLD * 2)
        file.truncate(0)
        file.write(0, NEW)

    found = outcomes(work)
    assert {OLD * 2, b"", NEW} <= found
    assert all(left == OLD * 2 or len(left) <= SECTOR_BYTES for left in found)


def test_one_seed_gives_one_outcome() -> None:
    def left(seed: int) -> bytes:
        disk = disk_of(seed)
        file_on(disk, OLD * 9).write(3, NEW * 5)
        return after_crash(disk)

    assert [left(seed) for seed in SEEDS] == [left(seed) for seed in SEEDS]


def test_the_oldest_writes_are_written_back_when_there_are_too_many(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(disk_module, "UNSYNCED_MAX", 2)
    file = file_on(disk_of(1), b"....")
    for number in range(4):
        file.write(number, b"x")
    assert file.durable() == b"xx.."


# --- names


def test_a_new_name_is_durable_after_a_sync_of_the_directory_only() -> None:
    def names(*, sync: bool) -> set[tuple[str, ...]]:
        found = set()
        for seed in SEEDS:
            disk = disk_of(seed)
            disk.open("file", create=True).sync()
            if sync:
                disk.sync_directory()
            disk.crash()
            found.add(tuple(disk.names()))
        return found

    assert names(sync=False) == {(), ("file",)}
    assert names(sync=True) == {("file",)}


def test_a_deleted_file_may_come_back_with_its_content_until_the_directory_is_synced() -> None:
    found = set()
    for seed in SEEDS:
        disk = disk_of(seed)
        file_on(disk, OLD)
        disk.delete("file")
        assert not disk.exists("file")
        disk.crash()
        found.add(after_crash(disk) if disk.exists("file") else None)
    assert found == {OLD, None}


def test_a_file_that_is_not_there_is_not_found() -> None:
    disk = disk_of(1)
    for work in (disk.open, disk.delete):
        with pytest.raises(FileNotFoundError):
            work("nothing")


# --- power


def test_a_frozen_disk_refuses_everything_and_changes_nothing() -> None:
    disk = disk_of(1)
    file = file_on(disk, OLD)
    disk.freeze()
    for work in (
        lambda: file.write(0, NEW),
        lambda: file.read(offset=0, size=1),
        lambda: file.truncate(0),
        lambda: file.sync(),
        lambda: file.size(),
        lambda: file.lock(),
        lambda: disk.open("file"),
        lambda: disk.open("other", create=True),
        lambda: disk.delete("file"),
        lambda: disk.exists("file"),
        lambda: disk.sync_directory(),
    ):
        with pytest.raises(OSError, match="power") as caught:
            work()
        assert caught.value.errno == errno.EIO
    assert after_crash(disk) == OLD


def test_a_file_that_was_open_is_dead_after_a_crash() -> None:
    disk = disk_of(1)
    file = file_on(disk, OLD)
    assert file.lock()
    disk.crash()
    with pytest.raises(OSError, match="power"):
        file.write(0, NEW)
    again = disk.open("file")
    assert again.lock(), "nobody has it any more"
    file.unlock()
    assert not disk.open("file").lock(), "the dead one cannot let go of it"


def test_the_power_fails_in_the_middle_of_a_step() -> None:
    found = set()
    for seed in SEEDS:
        disk = disk_of(seed)
        file = file_on(disk, OLD * 2)
        disk.inject(DiskFaults(power_off_step=2))
        assert file.read(offset=0, size=1) == b"o"
        with pytest.raises(OSError, match="the power failed"):
            file.write(0, NEW * 2)
        with pytest.raises(OSError, match="the power is off"):
            file.sync()
        found.add(after_crash(disk))
    assert OLD * 2 in found
    assert any(left.startswith(NEW) for left in found)


# --- errors


def steps_of(disk: SimDisk) -> Iterator[tuple[DiskStep, Callable[[], object]]]:
    file = file_on(disk, OLD)
    yield DiskStep.OPEN, lambda: disk.open("file")
    yield DiskStep.READ, lambda: file.read(offset=0, size=1)
    yield DiskStep.WRITE, lambda: file.write(0, NEW)
    yield DiskStep.TRUNCATE, lambda: file.truncate(9)
    yield DiskStep.SYNC, lambda: file.sync()
    yield DiskStep.SYNC, lambda: disk.sync_directory()
    yield DiskStep.DELETE, lambda: disk.delete("file")


@pytest.mark.parametrize("number", range(7))
def test_a_step_of_each_kind_fails_once_and_is_counted(number: int) -> None:
    disk = disk_of(1)
    steps = list(steps_of(disk))
    kind, work = steps[number]
    before = disk.counts.steps[kind]
    disk.inject(DiskFaults(error_step=1, error_kinds=(kind,)))
    for other, do in steps:
        if other != kind:
            do()
            break
    with pytest.raises(OSError, match=f"{kind.value} failed") as caught:
        work()
    assert caught.value.errno == errno.EIO
    assert disk.counts.steps[kind] == before + 1
    if kind is not DiskStep.DELETE:
        work()


def test_the_error_comes_at_its_step_and_stays_where_it_is_to() -> None:
    disk = disk_of(1)
    file = file_on(disk, OLD)
    disk.inject(DiskFaults(error_step=3, error_lasts=True))
    file.read(offset=0, size=1)
    file.read(offset=0, size=1)
    for _ in range(3):
        with pytest.raises(OSError, match="read failed"):
            file.read(offset=0, size=1)
    disk.heal()
    assert file.read(offset=0, size=1) == b"o"


def test_a_write_that_fails_may_have_been_done_in_part() -> None:
    found = set()
    for seed in SEEDS:
        disk = disk_of(seed)
        file = file_on(disk, b"....")
        disk.inject(DiskFaults(error_step=1))
        with pytest.raises(OSError, match="write failed"):
            file.write(0, b"nnnn")
        found.add(file.read(offset=0, size=4))
    assert found == {b"....", b"n...", b"nn..", b"nnn.", b"nnnn"}


def test_what_a_failed_sync_has_not_written_no_later_sync_writes() -> None:
    losses = 0
    for seed in SEEDS:
        disk = disk_of(seed)
        file = file_on(disk, OLD)
        file.write(0, NEW)
        disk.inject(DiskFaults(error_step=1))
        with pytest.raises(OSError, match="sync failed"):
            file.sync()
        file.sync()
        assert file.read(offset=0, size=SECTOR_BYTES) == NEW, "the cache has it still"
        losses += file.durable() != NEW
        assert after_crash(disk) == file.durable()
    assert 0 < losses < len(SEEDS)


def test_a_lying_disk_loses_what_it_said_was_synced() -> None:
    def work(disk: SimDisk) -> None:
        file = file_on(disk, OLD)
        disk.inject(DiskFaults(lies_about_sync=True))
        file.write(0, NEW)
        file.sync()

    assert {OLD, NEW} <= outcomes(work)


def test_a_short_read_gives_at_least_a_byte() -> None:
    disk = disk_of(1)
    file = file_on(disk, OLD)
    disk.inject(DiskFaults(short_reads=True))
    sizes = {len(file.read(offset=0, size=10)) for _ in range(200)}
    assert sizes == set(range(1, 11))


def test_faults_are_plain_values_also_after_they_were_stored() -> None:
    faults = DiskFaults(error_step=1, error_kinds=("write", "sync"))
    assert faults.error_kinds == (DiskStep.WRITE, DiskStep.SYNC)
    with pytest.raises(ValueError, match="smell"):
        DiskFaults(error_kinds=("smell",))


# --- a full disk


def test_a_full_disk_takes_what_fits_and_the_rest_when_there_is_room() -> None:
    disk = disk_of(1)
    file = file_on(disk, b"1234")
    other = disk.open("other", create=True)
    disk.inject(DiskFaults(size_max_bytes=10))
    with pytest.raises(OSError, match="full") as caught:
        other.write(0, b"abcdefgh")
    assert caught.value.errno == errno.ENOSPC
    assert other.read(offset=0, size=99) == b"abcdef"
    file.write(0, b"9876")
    with pytest.raises(OSError, match="full"):
        file.write(3, b"xy")
    with pytest.raises(OSError, match="full"):
        file.truncate(5)
    disk.delete("other")
    file.write(4, b"xy")
    disk.inject(DiskFaults(size_max_bytes=5))
    file.write(0, b"still")
    disk.inject(DiskFaults(size_max_bytes=12))
    file.truncate(12)
    assert file.size() == 12


# --- through SQLite


@pytest.fixture
def disk() -> SimDisk:
    return disk_of(1)


@pytest.fixture
def vfs(disk: SimDisk) -> Iterator[SimVfs]:
    vfs = SimVfs(disk, "sim-test", now_ms=lambda: 1_750_000_000_123)
    yield vfs
    vfs.close()


@pytest.fixture
def connection(vfs: SimVfs) -> Iterator[apsw.Connection]:
    connection = apsw.Connection("file", vfs=vfs.name)
    connection.execute("pragma journal_mode = truncate")
    connection.execute("create table t (x)")
    yield connection
    connection.close()


def test_a_name_is_taken_once_and_free_after_closing(disk: SimDisk, vfs: SimVfs) -> None:
    with pytest.raises(ValueError, match="already"):
        SimVfs(disk, vfs.name)
    vfs.close()
    SimVfs(disk, vfs.name).close()
    assert vfs.name not in apsw.vfs_names()


@pytest.mark.parametrize(
    ("kind", "sql", "code"),
    [
        (DiskStep.WRITE, "insert into t values (1)", apsw.SQLITE_IOERR_WRITE),
        (DiskStep.SYNC, "insert into t values (1)", apsw.SQLITE_IOERR_FSYNC),
        (DiskStep.READ, "select * from t", apsw.SQLITE_IOERR_READ),
        (DiskStep.TRUNCATE, "insert into t values (1)", apsw.SQLITE_IOERR_TRUNCATE),
    ],
)
def test_an_error_has_the_code_that_sqlite_gives_it(
    disk: SimDisk, connection: apsw.Connection, kind: DiskStep, sql: str, code: int
) -> None:
    connection.cache_flush()
    connection.release_memory()
    disk.inject(DiskFaults(error_step=1, error_kinds=(kind,)))
    with pytest.raises(apsw.IOError) as caught:
        connection.execute(sql).fetchall()
    assert caught.value.extendedresult == code


def test_an_error_of_opening_or_deleting_has_its_code_too(disk: SimDisk, vfs: SimVfs) -> None:
    with pytest.raises(apsw.CantOpenError):
        apsw.Connection("nothing", vfs=vfs.name, flags=apsw.SQLITE_OPEN_READWRITE)
    with pytest.raises(apsw.IOError) as caught:
        vfs.xDelete("nothing", False)
    assert caught.value.extendedresult == apsw.SQLITE_IOERR_DELETE_NOENT
    disk.open("file", create=True)
    disk.inject(DiskFaults(error_step=1, error_kinds=(DiskStep.DELETE, DiskStep.OPEN)))
    with pytest.raises(apsw.IOError) as caught:
        vfs.xDelete("file", False)
    assert caught.value.extendedresult == apsw.SQLITE_IOERR_DELETE


def test_a_disk_without_room_is_full(disk: SimDisk, connection: apsw.Connection) -> None:
    disk.inject(DiskFaults(size_max_bytes=8_192))
    with pytest.raises(apsw.FullError):
        connection.execute("insert into t values (zeroblob(9000))")
    disk.heal()
    connection.execute("insert into t values (zeroblob(9000))")


def test_short_reads_are_gone_on_with(disk: SimDisk, vfs: SimVfs) -> None:
    first = apsw.Connection("file", vfs=vfs.name)
    first.execute("create table t (x); insert into t values (zeroblob(9000))")
    first.close()
    disk.inject(DiskFaults(short_reads=True))
    second = apsw.Connection("file", vfs=vfs.name)
    assert second.execute("select length(x) from t").fetchall() == [(9_000,)]
    assert second.execute("pragma integrity_check").fetchall() == [("ok",)]
    second.close()


def update_and_crash(disk: SimDisk, vfs: SimVfs, synchronous: str) -> tuple[int, int]:
    """Let the power fail in many transactions; count those undone, and updates that were lost."""

    def connect() -> apsw.Connection:
        connection = apsw.Connection("file", vfs=vfs.name)
        connection.execute(f"pragma synchronous = {synchronous}")
        return connection

    connection = connect()
    connection.execute("pragma synchronous = extra; create table t (x); insert into t values (0)")
    connection.execute(f"pragma synchronous = {synchronous}")
    kept = undone = lost = 0
    for number in range(1, 101):
        disk.inject(DiskFaults(power_off_step=1 + number % 30))
        with suppress(apsw.IOError, apsw.CantOpenError):
            connection.execute("update t set x = ?", (number,))
            kept = number
        disk.freeze()
        with suppress(apsw.IOError):
            connection.close()
        disk.crash()
        disk.heal()
        undone += disk.exists("file-journal")
        connection = connect()
        ((found,),) = connection.execute("select x from t").fetchall()
        lost += found not in (kept, number)
        kept = found
    connection.close()
    return undone, lost


def test_a_journal_that_a_crash_has_left_is_rolled_back(disk: SimDisk, vfs: SimVfs) -> None:
    undone, lost = update_and_crash(disk, vfs, "extra")
    assert undone > 10
    assert lost == 0


def test_a_journal_comes_back_where_its_deletion_was_not_synced(disk: SimDisk, vfs: SimVfs) -> None:
    # The manual of SQLite says so of synchronous=FULL without a write-ahead log.
    assert update_and_crash(disk, vfs, "full")[1] > 0


def test_a_second_connection_is_told_that_the_file_is_busy(
    vfs: SimVfs, connection: apsw.Connection
) -> None:
    second = apsw.Connection("file", vfs=vfs.name)
    connection.execute("begin immediate")
    with pytest.raises(apsw.BusyError):
        second.execute("select * from t").fetchall()
    connection.execute("rollback")
    assert second.execute("select * from t").fetchall() == []
    second.close()


def test_the_clock_and_the_randomness_are_those_given(disk: SimDisk) -> None:
    vfs = SimVfs(disk, "sim-chance", randomness=random.Random(5), now_ms=lambda: 1_500)
    assert vfs.xRandomness(8) == random.Random(5).randbytes(8)
    assert vfs.xSleep(1_000_000) == 1_000_000
    connection = apsw.Connection("file", vfs=vfs.name)
    shown = connection.execute("select strftime('%Y-%m-%d %H:%M:%f', 'now')").fetchall()
    assert shown == [("1970-01-01 00:00:01.500",)]
    connection.close()
    vfs.close()


def test_the_random_numbers_of_sqlite_can_be_begun_anew(disk: SimDisk) -> None:
    def numbers() -> bytes:
        vfs = SimVfs(disk, "sim-chance", randomness=random.Random(5))
        vfs.seed_sqlite()
        assert apsw.vfs_names()[0] != vfs.name
        vfs.close()
        return apsw.randomness(8)

    assert numbers() == numbers()


def test_temporary_files_are_in_memory_and_do_not_touch_the_disk(
    disk: SimDisk, connection: apsw.Connection
) -> None:
    connection.execute("pragma temp_store = file; pragma cache_size = 1")
    connection.execute("create temp table many (x)")
    disk.freeze()
    connection.execute("insert into many values (zeroblob(200000)), (zeroblob(200000))")
    assert connection.execute("select count(*) from many").fetchall() == [(2,)]
    disk.is_off = False
