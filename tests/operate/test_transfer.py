"""An export holds all that a store knows, and an import makes the same store of it again."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import msgpack
import pytest
import trio

from groupd.app import open_hub, open_store
from groupd.cli import files
from groupd.cli.files import export_files, import_files
from groupd.domain.base import GROUP
from groupd.errors import LogCorrupt, LogUnavailable, Rejected
from groupd.storage import transfer
from groupd.storage.audit_port import AuditEntry, DropAudit, PutAudit
from groupd.storage.export_file import EXPORT_VERSION, MAGIC, Counts, ExportWriter
from groupd.storage.port import PutPosition
from groupd.storage.sqlite import SqliteStore
from groupd.storage.transfer import export_to
from groupd.testing.check_log_audit import entry
from tests.operate.rig import (
    account_key,
    all_have_heard,
    an_id,
    contents,
    damage,
    drop_snapshots,
    group_key,
    live_a_little,
    names,
)


async def make(tmp: Path, **options: int) -> list[str]:
    async with open_hub(tmp / "data") as hub:
        return await live_a_little(hub, **options)


async def move(tmp: Path) -> None:
    await export_files(tmp / "data", tmp / "export")
    await import_files(tmp / "export", tmp / "new")


async def test_an_import_is_the_store_that_was_exported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every state hash, chain, cursor and row of the index is the same; in small items, too."""
    monkeypatch.setattr(transfer, "RECORDS_PER_ITEM", 3)
    monkeypatch.setattr(transfer, "CURSORS_PER_ITEM", 1)
    monkeypatch.setattr(transfer, "WRITES_PER_ROUND", 4)
    await make(tmp_path)
    counts = await export_files(tmp_path / "data", tmp_path / "export")
    assert (tmp_path / "export").stat().st_mode & 0o777 == 0o600
    assert await import_files(tmp_path / "export", tmp_path / "new") == counts
    assert names(tmp_path / "new") == ["groupd.sqlite3"]
    assert contents(tmp_path / "new") == contents(tmp_path / "data")
    assert (counts.streams, counts.cursors) == (4, 2)


async def test_it_has_an_id_of_its_own_and_snapshots_of_every_stream(tmp_path: Path) -> None:
    groups = await make(tmp_path)
    drop_snapshots(tmp_path / "data")
    await move(tmp_path)
    old, new = open_store(tmp_path / "data"), open_store(tmp_path / "new")
    assert old.id != new.id
    for key in (*map(group_key, groups), account_key("ann")):
        snapshot, head = new.snapshot(key), new.head(key)
        assert snapshot is not None
        assert head is not None
        assert snapshot.seq == head.seq
        assert old.snapshot(key) is None
    old.close()
    new.close()


async def test_a_request_that_was_answered_before_is_not_done_again(tmp_path: Path) -> None:
    async with open_hub(tmp_path / "data") as hub:
        ann = hub.act_as("ann")
        group = (await ann.create("Tea"))["group"]
        id_ = an_id(hub, 1)
        first = await ann.post(group, text="once", id=id_)
    await move(tmp_path)
    async with open_hub(tmp_path / "new") as hub:
        ann = hub.act_as("ann")
        assert await ann.post(group, text="once", id=id_) == first
        with pytest.raises(Rejected, match="id_reused"):
            await ann.post(group, text="other", id=id_)
        assert (await ann.post(group, text="next"))["seq"] == first["seq"] + 1


async def test_accounts_that_have_not_heard_yet_hear_after_an_import(tmp_path: Path) -> None:
    groups = await make(tmp_path)
    store = open_store(tmp_path / "data")
    position = store.position("accounts")
    assert position
    # As if the server had been killed before it told eve that she was kicked.
    followed = store.followed(0, 100)
    store.commit([PutPosition("accounts", followed[-2].position)])
    store.close()
    await move(tmp_path)
    moved = open_store(tmp_path / "new")
    unheard = moved.followed(moved.position("accounts"), 100)
    assert {item.stream for item in unheard} == {group_key(groups[0])}
    assert moved.position("accounts") > 0, "and not everybody hears all again"
    moved.close()
    before = contents(tmp_path / "new")
    async with open_hub(tmp_path / "new") as hub:
        await all_have_heard(hub)
    assert contents(tmp_path / "new")[:1] == before[:1], "who has heard, hears nothing twice"


async def test_a_deadline_is_kept(tmp_path: Path) -> None:
    async with open_hub(tmp_path / "data") as hub:
        ann, bob = hub.act_as("ann"), hub.act_as("bob")
        group = (await ann.create("Tea", join_policy="approval"))["group"]
        await bob.join(group)
        await all_have_heard(hub)
    await move(tmp_path)
    old, new = open_store(tmp_path / "data"), open_store(tmp_path / "new")
    assert old.next_deadline_ms() == new.next_deadline_ms() is not None
    assert old.head(group_key(group)) == new.head(group_key(group))
    old.close()
    new.close()


def entries_of(data: Path) -> list[AuditEntry]:
    with closing(open_store(data)) as store:
        return [item.entry for item in store.audit.since(0, 1_000)]


async def test_the_audit_goes_along_in_its_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "ENTRIES_PER_ITEM", 2)
    groups = await make(tmp_path, posts=2)
    with closing(open_store(tmp_path / "data")) as store:
        entries = [entry(group_key(groups[0]), seq) for seq in range(1, 6)]
        store.commit([PutAudit(entries), DropAudit(1)])
    counts = await export_files(tmp_path / "data", tmp_path / "export")
    assert counts.audit == 4
    assert await import_files(tmp_path / "export", tmp_path / "new") == counts
    assert entries_of(tmp_path / "new") == entries[1:]


async def test_an_export_of_version_1_which_has_no_audit_is_read(tmp_path: Path) -> None:
    await make(tmp_path, posts=2)
    await export_files(tmp_path / "data", tmp_path / "export")
    parts = items((tmp_path / "export").read_bytes())
    parts[0][1] = 1
    writer = ExportWriter(found := _Bytes())
    for part in parts[:-1]:
        writer.item(*part)
    told = {name: count for name, count in parts[-1][1].items() if name != "audit"}
    writer.item("end", told, writer._hash.digest())
    (tmp_path / "export").write_bytes(found.data)
    await import_files(tmp_path / "export", tmp_path / "new")
    assert contents(tmp_path / "new") == contents(tmp_path / "data")
    assert entries_of(tmp_path / "new") == []


# --- what is refused


async def test_an_export_is_never_written_over_anything(tmp_path: Path) -> None:
    await make(tmp_path, posts=2)
    (tmp_path / "export").write_text("mine")
    with pytest.raises(LogUnavailable, match="is there already"):
        await export_files(tmp_path / "data", tmp_path / "export")
    (tmp_path / "other.partial").write_text("cut short")
    with pytest.raises(LogUnavailable, match=r"other\.partial is there already"):
        await export_files(tmp_path / "data", tmp_path / "other")
    assert (tmp_path / "export").read_text() == "mine"
    assert names(tmp_path) == ["data", "export", "other.partial"]


async def test_what_comes_to_be_there_while_it_is_made_stays(tmp_path: Path) -> None:
    await make(tmp_path, posts=2)
    path = tmp_path / "export"
    with (
        closing(SqliteStore.open_to_read(tmp_path / "data")) as store,
        pytest.raises(LogUnavailable, match=f"^{re.escape(str(path))} is there already"),
    ):
        export_to(
            path, store, reactors=[], time_ms=5, version="1", go_on=lambda: path.touch()
        )  # fmt: skip
    assert path.read_bytes() == b""
    assert names(tmp_path) == ["data", "export"]


async def test_an_import_begins_with_an_empty_directory(tmp_path: Path) -> None:
    await make(tmp_path, posts=2)
    await export_files(tmp_path / "data", tmp_path / "export")
    for there in ("data", "full"):
        (tmp_path / there).mkdir(exist_ok=True)
        (tmp_path / there / "secret").write_text("s")
        before = names(tmp_path / there)
        with pytest.raises(LogUnavailable, match="is not empty"):
            await import_files(tmp_path / "export", tmp_path / there)
        assert names(tmp_path / there) == before
    (tmp_path / "empty").mkdir()
    await import_files(tmp_path / "export", tmp_path / "empty")
    assert contents(tmp_path / "empty") == contents(tmp_path / "data")


def cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


def cut_end(data: bytes) -> bytes:
    return data[:-1]


def flip(data: bytes) -> bytes:
    place = len(data) // 2
    return data[:place] + bytes([data[place] ^ 4]) + data[place + 1 :]


def more(data: bytes) -> bytes:
    return data + b"x"


def items(data: bytes) -> list[list[Any]]:
    found, place = [], len(MAGIC)
    while place < len(data):
        (size,) = struct.unpack_from(">I", data, place)
        found.append(msgpack.unpackb(data[place + 4 : place + 4 + size]))
        place += 4 + size
    return found


def join(parts: list[Any]) -> bytes:
    """Make a file as somebody would who can also hash."""
    writer = ExportWriter(found := _Bytes())
    counts = Counts(**parts[-1][1])
    for part in parts[:-1]:
        writer.item(*part)
    writer.end(counts)
    return found.data


class _Bytes:
    data = b""

    def write(self, data: bytes) -> None:
        self.data += data


def newer(data: bytes) -> bytes:
    parts = items(data)
    parts[0][1] = EXPORT_VERSION + 1
    return join(parts)


def without_a_record(data: bytes) -> bytes:
    parts = items(data)
    next(part for part in parts if part[0] == "records" and len(part[1]) > 5)[1].pop(3)
    parts[-1][1]["records"] -= 1
    return join(parts)


def another_text(data: bytes) -> bytes:
    parts = items(data)
    for part in parts:
        for record in part[1] if part[0] == "records" else ():
            if record[12] and b"message 1" in record[12]:
                record[12] = record[12].replace(b"message 1", b"message X")
    return join(parts)


def without_the_newest(data: bytes) -> bytes:
    parts = items(data)
    [part for part in parts if part[0] == "records"][-1][1].pop()
    parts[-1][1]["records"] -= 1
    return join(parts)


def a_huge_item(data: bytes) -> bytes:
    return MAGIC + b"\xff\xff\xff\xff" + data


def an_unknown_item(data: bytes) -> bytes:
    parts = items(data)
    parts.insert(1, ["surprise", 1])
    return join(parts)


def nonsense(data: bytes) -> bytes:
    parts = items(data)
    next(part for part in parts if part[0] == "records")[1][0] = [1, "x", None]
    return join(parts)


SPOILT: dict[Callable[[bytes], bytes], str] = {
    cut: "cut short",
    cut_end: "cut short",
    flip: "changed after|damaged|cut short|is not what was written|does not continue|follow",
    more: "changed after",
    newer: f"version {EXPORT_VERSION + 1}, and this groupd reads up to {EXPORT_VERSION}",
    without_a_record: "missing",
    another_text: "is not what was written",
    without_the_newest: "does not end where it is told to",
    a_huge_item: "item is too large",
    an_unknown_item: "'surprise'",
    nonsense: "changed after",
    lambda data: b"": "not what groupd export writes",
    lambda data: b"{}" * 50: "not what groupd export writes",
}


@pytest.mark.parametrize("spoil", SPOILT)
async def test_what_is_not_whole_is_refused_and_leaves_nothing(
    tmp_path: Path, spoil: Callable[[bytes], bytes]
) -> None:
    await make(tmp_path)
    await export_files(tmp_path / "data", tmp_path / "export")
    data = (tmp_path / "export").read_bytes()
    assert join(items(data)) == data
    (tmp_path / "export").write_bytes(spoil(data))
    with pytest.raises(LogCorrupt, match=SPOILT[spoil]) as raised:
        await import_files(tmp_path / "export", tmp_path / "new")
    assert str(raised.value).startswith(str(tmp_path / "export"))
    assert names(tmp_path) == ["data", "export"]
    (tmp_path / "new").mkdir()
    with pytest.raises(LogCorrupt):
        await import_files(tmp_path / "export", tmp_path / "new")
    assert names(tmp_path / "new") == []


async def test_each_flipped_bit_is_found(tmp_path: Path) -> None:
    await make(tmp_path, posts=2)
    await export_files(tmp_path / "data", tmp_path / "export")
    data = (tmp_path / "export").read_bytes()
    places = range(0, len(data), max(1, len(data) // 40))
    for place in places:
        spoilt = data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]
        (tmp_path / "export").write_bytes(spoilt)
        with pytest.raises(LogCorrupt):
            await import_files(tmp_path / "export", tmp_path / "new")
    assert not (tmp_path / "new").exists()


async def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(LogUnavailable, match="nowhere"):
        await import_files(tmp_path / "nowhere", tmp_path / "new")
    assert names(tmp_path) == []


async def test_a_damaged_store_is_not_exported(tmp_path: Path) -> None:
    groups = await make(tmp_path)
    damage(tmp_path / "data", group_key(groups[1]), 9)
    with pytest.raises(LogCorrupt, match=rf"{GROUP}//{groups[1]}, record 9: its body"):
        await export_files(tmp_path / "data", tmp_path / "export")
    assert names(tmp_path) == ["data"]


async def test_one_that_is_cancelled_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await make(tmp_path)
    await export_files(tmp_path / "data", tmp_path / "export")
    with trio.CancelScope() as scope:
        scope.cancel()
        await import_files(tmp_path / "export", tmp_path / "new")
    with trio.CancelScope() as scope:
        make_snapshot = files.snapshot_of

        def cancel_first(*arguments: Any) -> Any:
            trio.from_thread.run_sync(scope.cancel)
            return make_snapshot(*arguments)

        monkeypatch.setattr(files, "snapshot_of", cancel_first)
        await import_files(tmp_path / "export", tmp_path / "new")
    assert scope.cancelled_caught
    assert names(tmp_path) == ["data", "export"]
