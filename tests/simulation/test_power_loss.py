"""The real store on a simulated disk: what was acknowledged outlives whatever the disk does."""

from __future__ import annotations

import functools
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import attrs
import pytest

from groupd.domain.base import GROUP, Record, StreamKey
from groupd.errors import LogBroken, LogError, LogUnavailable
from groupd.storage import sqlite_file
from groupd.storage.port import Append, AppendAll
from groupd.storage.sqlite import SqliteStore
from groupd.storage.verify import all_streams, verify
from groupd.testing.log_samples import head_of, member
from groupd.testing.simulation.disk import DiskFaults, DiskStep, SimDisk
from groupd.testing.simulation.vfs import SimVfs
from groupd.wire.codec import GENESIS, RecordWriter, chain_hash, inner_hash

SEEDS: Final = 240
LIVES_MAX: Final = 3
"""Of a server on one disk, before it is looked at for the last time."""
ROUNDS_MAX: Final = 12
RECORDS_MAX: Final = 500
"""Of one stream, at most."""
APPENDS_MAX: Final = 50
"""Until a disk must be full."""

DIRECTORY: Final = Path("data")
STREAMS: Final = tuple(StreamKey(GROUP, "tenant", name) for name in ("hall", "yard", "shed"))


@functools.cache
def true_records(stream: StreamKey) -> Sequence[Record]:
    """Make records as the engine does, with true hashes: some with a body of several pages."""
    writer = RecordWriter(stream)
    records: list[Record] = []
    chain = GENESIS
    for seq in range(1, RECORDS_MAX + 1):
        request_id = f"{stream.key} {seq}"
        header = writer.header(seq, 1_000 + seq, "ann", "posted", request_id)
        body = bytes([seq % 256]) * (9_000 if seq % 10 == 0 else 60)
        salt, request_hash = seq.to_bytes(16, "big"), b"h" * 16
        inner = inner_hash(salt, request_hash, body)
        chain = chain_hash(chain, header, audience=0, n=seq, forget=0, inner=inner)
        records.append(
            Record(
                *(seq, 1_000 + seq, "posted", "ann", request_id, 0, seq, 0, False),
                *(header, salt, request_hash, body, inner, chain),
            )
        )
    return records


def name_of_member(seq: int) -> str:
    return f"user-{seq:04}"


@attrs.define
class Writer:
    """Appends to streams, and knows what was acknowledged.

    Each append brings a member into the index, named after its last record. A round that was not
    answered leaves ``tried``: its streams may end at either head, all of them at the same.
    """

    draw: random.Random
    heads: dict[StreamKey, int] = attrs.field(factory=dict)
    tried: dict[StreamKey, int] = attrs.field(factory=dict)
    acknowledged: int = 0

    def append(self, store: SqliteStore) -> None:
        """Do one round of one write; raises what befell it."""
        streams = self.draw.sample(STREAMS, self.draw.randrange(1, 3))
        appends, self.tried = [], {}
        for stream in streams:
            after = self.heads.get(stream, 0)
            until = after + self.draw.randrange(1, 6)
            records = true_records(stream)[after:until]
            appends.append(Append(stream, after, records, [member(name_of_member(until))]))
            self.tried[stream] = until
        (outcome,) = store.commit([AppendAll(tuple(appends))])
        if outcome is not None:
            raise outcome
        self.heads.update(self.tried)
        self.acknowledged += len(self.tried)
        self.tried = {}

    def check(self, store: SqliteStore) -> None:
        """Compare a store that was opened again with what it must hold, and go on from there."""
        assert [row[0] for row in store._file.rows("pragma integrity_check")] == ["ok"]
        streams = list(all_streams(store))
        found = {stream: head_of(store, stream) for stream in streams}
        assert found in (self.heads, {**self.heads, **self.tried})
        for stream in streams:
            assert list(verify(store, stream)) == []
            assert (
                store.read(stream, 0, RECORDS_MAX).records == true_records(stream)[: found[stream]]
            )
            members = store.members(stream.tenant, stream.key, "", RECORDS_MAX)
            assert not members or members[-1].user == name_of_member(found[stream])
        self.heads, self.tried = found, {}


@contextmanager
def vfs_over(disk: SimDisk) -> Iterator[str]:
    vfs = SimVfs(disk, f"sim-{id(disk)}")
    vfs.seed_sqlite()
    try:
        yield vfs.name
    finally:
        vfs.close()


def open_on(name: str) -> SqliteStore:
    return SqliteStore.open(DIRECTORY, new_id=lambda: "one", vfs=name)


# --- power


def live(disk: SimDisk, vfs: str, writer: Writer) -> None:
    """Open the store, check it, and write until the power fails or enough is done."""
    draw = writer.draw
    try:
        store = open_on(vfs)
    except LogError:
        return
    try:
        if not disk.powersafe_overwrite:
            store.checkpoint()
        writer.check(store)
        for _ in range(draw.randrange(1, ROUNDS_MAX)):
            writer.append(store)
            if draw.randrange(4) == 0:
                if draw.randrange(2):
                    store._file.wipe()
                store.checkpoint()
    except LogError:
        pass
    finally:
        disk.freeze()
        with suppress(LogError):
            store.close()


def lose_power(seed: int, *, powersafe_overwrite: bool = True) -> Writer:
    """Let the power fail at some steps; give what was written, or fail with what is wrong."""
    draw = random.Random(seed)
    disk = SimDisk(random.Random(-seed), powersafe_overwrite=powersafe_overwrite)
    writer = Writer(draw)
    with vfs_over(disk) as vfs:
        for _ in range(LIVES_MAX):
            step = 1 + draw.randrange(draw.choice((100, 300, 1_000)))
            disk.inject(DiskFaults(power_off_step=step, short_reads=seed % 4 == 0))
            live(disk, vfs, writer)
            disk.crash()
        disk.heal()
        store = open_on(vfs)
        writer.check(store)
        store.close()
    return writer


@pytest.mark.parametrize("first", range(0, SEEDS, SEEDS // 3))
def test_what_was_acknowledged_outlives_a_power_failure_at_any_step(first: int) -> None:
    acknowledged = [lose_power(seed).acknowledged for seed in range(first, first + SEEDS // 3)]
    assert sum(acknowledged) > SEEDS, "so many that the test is about something"


def test_without_powersafe_overwrite_a_checkpoint_after_opening_is_enough() -> None:
    # Recovery may leave the end of the write-ahead log within a sector, and the next append
    # goes there. Without the checkpoint seeds 291 and 419 lost what was acknowledged.
    for seed in (*range(260, 300), *range(400, 420)):
        lose_power(seed, powersafe_overwrite=False)


def test_the_disk_is_cruel_enough_to_find_a_commit_that_is_not_synced(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    weaker = {"synchronous": ("synchronous", "normal", 1)}
    settings = tuple(weaker.get(row[0], row) for row in sqlite_file._SETTINGS)
    monkeypatch.setattr(sqlite_file, "_SETTINGS", settings)
    losses = 0
    for seed in range(20):
        try:
            lose_power(seed)
        except AssertionError:
            losses += 1
    assert losses >= 5


def test_one_seed_is_one_run() -> None:
    def run() -> tuple[Writer, bytes]:
        disk = SimDisk(random.Random(7), DiskFaults(power_off_step=400))
        writer = Writer(random.Random(7))
        with vfs_over(disk) as vfs:
            live(disk, vfs, writer)
            disk.crash()
            return writer, b"".join(disk.open(name).durable() for name in disk.names())

    (first, first_bytes), (second, second_bytes) = run(), run()
    assert first.heads == second.heads
    assert first_bytes == second_bytes


# --- errors


def use(vfs: str, writer: Writer) -> None:
    """Use a store in all ways; raises the LogError that ends it."""
    store = open_on(vfs)
    try:
        writer.check(store)
        for number in range(4):
            try:
                writer.append(store)
            except LogUnavailable:
                # It says that nothing was written.
                writer.tried = {}
            if number % 2:
                with suppress(LogUnavailable):
                    store.checkpoint()
            for stream, head in writer.heads.items():
                assert head_of(store, stream) == head
                after = max(0, head - 5)
                assert store.read(stream, after, 9).records == true_records(stream)[after:head]
    finally:
        store.close()


def steps_of_use() -> int:
    """Count the steps where nothing fails."""
    disk = SimDisk(random.Random(1))
    with vfs_over(disk) as vfs:
        use(vfs, Writer(random.Random(1)))
    return disk.counts.total


def fail_at(step: int, *, lasts: bool, power_fails: bool) -> str:
    """Let one step fail, or all from there on; give the name of the error that ended it."""
    disk = SimDisk(random.Random(step), DiskFaults(error_step=step, error_lasts=lasts))
    writer = Writer(random.Random(1))
    ended = ""
    with vfs_over(disk) as vfs:
        try:
            use(vfs, writer)
        except (LogUnavailable, LogBroken) as error:
            ended = type(error).__name__
        disk.heal()
        if power_fails:
            disk.crash()
        store = open_on(vfs)
        writer.check(store)
        writer.append(store)
        writer.check(store)
        store.close()
    return ended


@pytest.mark.parametrize("lasts", [False, True])
def test_an_error_at_any_step_is_told_and_loses_nothing_that_was_acknowledged(lasts: bool) -> None:
    ended = {
        fail_at(step, lasts=lasts, power_fails=bool(step % 2))
        for step in range(1, steps_of_use() + 1)
    }
    assert {"LogUnavailable", "LogBroken"} <= ended


# --- a full disk


@pytest.mark.parametrize("room_bytes", range(0, 40_000, 2_500))
def test_on_a_full_disk_appends_are_refused_reads_go_on_and_room_mends_it(room_bytes: int) -> None:
    disk = SimDisk(random.Random(room_bytes))
    writer = Writer(random.Random(room_bytes))
    refused = 0
    with vfs_over(disk) as vfs:
        store = open_on(vfs)
        writer.append(store)
        used_bytes = sum(disk.open(name).size() for name in disk.names())
        disk.inject(DiskFaults(size_max_bytes=used_bytes + room_bytes))
        for _ in range(APPENDS_MAX):
            try:
                writer.append(store)
            except LogUnavailable:
                refused += 1
                writer.tried = {}
            if refused == 3:
                break
            for stream, head in writer.heads.items():
                assert store.read(stream, 0, RECORDS_MAX).records == true_records(stream)[:head]
        assert refused == 3
        with suppress(LogUnavailable):
            store.checkpoint()
        writer.check(store)
        disk.heal()
        writer.append(store)
        store.checkpoint()
        writer.append(store)
        disk.freeze()
        with suppress(LogError):
            store.close()
        disk.crash()
        store = open_on(vfs)
        writer.check(store)
        store.close()


def test_a_store_cannot_be_made_on_a_full_disk_and_can_when_there_is_room() -> None:
    disk = SimDisk(random.Random(1), DiskFaults(size_max_bytes=20_000))
    with vfs_over(disk) as vfs:
        with pytest.raises(LogUnavailable):
            open_on(vfs)
        disk.heal()
        use(vfs, Writer(random.Random(1)))


# --- two processes


def test_a_second_process_is_refused_until_the_first_has_gone() -> None:
    disk = SimDisk(random.Random(1))
    second = SimVfs(disk, "second process")
    with vfs_over(disk) as first:
        store = open_on(first)
        with pytest.raises(LogUnavailable, match="in use by another groupd process"):
            open_on(second.name)
        store.close()
        open_on(second.name).close()
    second.close()


def test_a_store_that_was_closed_is_there_when_it_is_opened_again() -> None:
    disk = SimDisk(random.Random(1))
    writer = Writer(random.Random(1))
    for _ in range(3):
        with vfs_over(disk) as vfs:
            use(vfs, writer)
    assert writer.acknowledged >= 12


def fail_a_sync(number: int, *, checkpoints: bool) -> bool:
    """Fail one fsync, start again on what the kernel has, and lose the power after that.

    Gives whether there was such an fsync.
    """
    disk = SimDisk(
        random.Random(number), DiskFaults(error_step=number, error_kinds=(DiskStep.SYNC,))
    )
    writer = Writer(random.Random(1))
    with vfs_over(disk) as vfs:
        try:
            use(vfs, writer)
        except LogError:
            pass
        else:
            return False
        disk.heal()
        disk.restart()
        store = open_on(vfs)
        writer.check(store)  # What is found counts: a retry would be answered with it.
        if checkpoints:
            store.checkpoint()
        disk.freeze()
        with suppress(LogError):
            store.close()
        disk.crash()
        store = open_on(vfs)
        writer.check(store)
        store.close()
    return True


@pytest.mark.parametrize("checkpoints", [False, True])
def test_what_is_read_after_a_failed_fsync_outlives_a_power_failure(checkpoints: bool) -> None:
    """The kernel takes what it could not write for written: reading it back proves nothing."""
    assert sum(fail_a_sync(number, checkpoints=checkpoints) for number in range(1, 60)) > 10
