"""A backup is the whole store as of one moment, made while the server goes on."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest
import trio
import trio.lowlevel

from groupd.app import open_hub, open_store
from groupd.cli.files import open_files
from groupd.config import Config
from groupd.errors import LogUnavailable
from groupd.storage import backup
from groupd.storage.backup import Backup, back_up
from groupd.storage.copy_port import Copy
from groupd.storage.log import InlineLog, Log
from groupd.storage.memory import MemoryStore
from groupd.storage.port import FORMAT, Store, Write
from groupd.storage.sqlite_copy import SqliteCopy
from groupd.testing.schema import problems as problems_in
from tests.operate.rig import contents, live_a_little, names
from tests.server.bench import open_bench

T = TypeVar("T")


async def take(log: Log, tmp: Path, name: str = "backup", *, rest_factor: float = 0) -> Backup:
    return await back_up(
        log, tmp / "data", tmp / name, time_ms=5, version="1", rest_factor=rest_factor
    )


async def test_a_backup_has_all_that_the_store_has(tmp_path: Path) -> None:
    async with open_hub(tmp_path / "data") as hub:
        await live_a_little(hub)
        await hub.passivate()
        made = await take(hub.log, tmp_path)
    assert (
        made.pages * 4_096 == made.size_bytes == (tmp_path / "backup/groupd.sqlite3").stat().st_size
    )
    assert contents(tmp_path / "backup") == contents(tmp_path / "data")


async def test_what_is_committed_while_it_is_made_is_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One page a step, and between any two of them another post."""
    monkeypatch.setattr(backup, "PAGES_PER_STEP", 1)
    async with open_hub(tmp_path / "data") as hub:
        groups = await live_a_little(hub)
        ann = hub.act_as("ann")
        steps = 0
        step = SqliteCopy.step

        def counted(self: SqliteCopy, pages: int) -> int:
            nonlocal steps
            steps += 1
            return step(self, pages)

        monkeypatch.setattr(SqliteCopy, "step", counted)

        async def post() -> None:
            while True:
                before = steps
                await ann.post(groups[steps % 2], text="meanwhile")
                while steps == before:
                    await trio.lowlevel.checkpoint()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(post)
            await take(hub.log, tmp_path)
            nursery.cancel_scope.cancel()
        assert steps > 50
    store_hashes, heads, cursors, index = contents(tmp_path / "backup")
    live = contents(tmp_path / "data")[1]
    assert store_hashes
    assert cursors
    assert index
    ahead = [live[key].seq - head.seq for key, head in heads.items()]
    assert all(0 <= count <= 3 for count in ahead), ahead


async def test_it_has_the_keys_of_links_and_not_the_secret(tmp_path: Path) -> None:
    async with open_hub(tmp_path / "data") as hub:
        (tmp_path / "data" / "secret").write_text("s")
        await take(hub.log, tmp_path)
    made = tmp_path / "backup"
    assert names(made) == ["backup.json", "groupd.sqlite3", "link-keys.json"]
    keys = [(directory / "link-keys.json").read_text() for directory in (made, tmp_path / "data")]
    assert keys[0] == keys[1]
    assert {path.stat().st_mode & 0o777 for path in made.iterdir()} == {0o600}
    assert made.stat().st_mode & 0o777 == 0o700
    note = json.loads((made / "backup.json").read_text())
    assert note == {"format": FORMAT, "groupd": "1", "store": note["store"], "time_ms": 5}


async def test_whoever_serves_from_a_backup_has_a_store_of_another_id(tmp_path: Path) -> None:
    async with open_hub(tmp_path / "data") as hub:
        group = (await live_a_little(hub))[0]
        before = hub.log.id
        await take(hub.log, tmp_path)
    async with open_files(Config(data=str(tmp_path / "backup"))) as log:
        assert log.id == before, "to look at it is not to use it"
    async with open_hub(tmp_path / "backup") as hub:
        assert hub.log.id != before
        assert (await hub.act_as("ann").post(group, text="on"))["status"] == "posted"
        mine = hub.log.id
    async with open_hub(tmp_path / "backup") as hub:
        assert hub.log.id == mine, "only once"


@pytest.mark.parametrize("what", ["file", "directory", "link"])
async def test_nothing_is_ever_written_over(tmp_path: Path, what: str) -> None:
    there = tmp_path / "backup"
    {"file": there.touch, "directory": there.mkdir, "link": lambda: there.symlink_to("x")}[what]()
    async with open_hub(tmp_path / "data") as hub:
        with pytest.raises(LogUnavailable, match="never written over"):
            await take(hub.log, tmp_path)
    assert (tmp_path / "backup").is_symlink() or (tmp_path / "backup").exists()
    assert not (tmp_path / "backup.partial").exists()


async def test_a_backup_inside_of_the_data_is_refused(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "data")
    async with open_hub(tmp_path / "data") as hub:
        for name in ("data/backup", "link/backup", "other/../data/backup", "data", "link"):
            with pytest.raises(LogUnavailable, match="inside of the data directory"):
                await take(hub.log, tmp_path, name)
        await take(hub.log, tmp_path, "data.backup")
    assert names(tmp_path) == ["data", "data.backup", "link"]


async def test_one_that_was_cut_short_is_in_the_way_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "backup.partial").mkdir()
    async with open_hub(tmp_path / "data") as hub:
        with pytest.raises(LogUnavailable, match=r"backup\.partial is there already"):
            await take(hub.log, tmp_path)
        with pytest.raises(LogUnavailable, match="no backup can be made"):
            await take(hub.log, tmp_path, "no/such/place")
    assert (tmp_path / "backup.partial").exists()


async def test_one_that_is_cancelled_leaves_nothing_and_the_store_goes_on(tmp_path: Path) -> None:
    async with open_hub(tmp_path / "data") as hub:
        group = (await live_a_little(hub))[0]
        with trio.CancelScope() as scope:

            async def cancel() -> None:
                while not (tmp_path / "backup.partial").exists():
                    await trio.lowlevel.checkpoint()
                scope.cancel()

            async with trio.open_nursery() as nursery:
                nursery.start_soon(cancel)
                await take(hub.log, tmp_path, rest_factor=1_000)
        assert names(tmp_path) == ["data"]
        await hub.act_as("ann").post(group, text="on")
        await take(hub.log, tmp_path)
    assert contents(tmp_path / "backup")[1] == contents(tmp_path / "data")[1]


async def test_where_there_is_no_place_for_it_only_the_backup_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_hub(tmp_path / "data") as hub:
        group = (await live_a_little(hub))[0]

        class Full:
            pages = 0

            def step(self, pages: int) -> int:
                raise LogUnavailable("database or disk is full")

            def close(self) -> None:
                raise LogUnavailable("database or disk is full")

        def begin(path: Path, store: Store) -> Copy:
            return Full()

        with monkeypatch.context() as patched:
            patched.setattr(backup, "_begin", begin)
            with pytest.raises(LogUnavailable, match="full"):
                await take(hub.log, tmp_path)
        assert names(tmp_path) == ["data"]
        await hub.act_as("ann").post(group, text="on")


async def test_the_operator_asks_a_server_for_it_and_is_answered_as_published(
    tmp_path: Path,
) -> None:
    store = open_store(tmp_path / "data")
    async with open_bench(store=store, data=str(tmp_path / "data")) as bench:
        ann = await bench.enter("ann")
        await bench.found(ann)
        operator = bench.connect(address="operator")
        made = await operator.ask("operator_backup", directory=str(tmp_path / "backup"))
        assert problems_in("result operator_backup", made) == []
        refused = await operator.refusal("operator_backup", directory=str(tmp_path / "backup"))
        assert refused.code == "unavailable"
        for directory in (None, 5, "", "relative", "/nul\0"):
            refused = await operator.refusal("operator_backup", directory=directory)
            assert (refused.code, refused.details["field"]) == ("bad_request", "directory")
    assert (tmp_path / "backup" / "groupd.sqlite3").stat().st_size == made["size_bytes"]


async def test_what_is_in_memory_only_cannot_be_backed_up(tmp_path: Path) -> None:
    with pytest.raises(LogUnavailable, match="memory"):
        await take(InlineLog(MemoryStore("s")), tmp_path)
    assert names(tmp_path) == []


class WatchedLog(Log):
    """Notes for how long each read holds up what comes after it, in steps of the copy."""

    def __init__(self, log: Log) -> None:
        self.id, self._log = log.id, log
        self.reads = 0

    def begin(self, write: Write, done: Callable[[BaseException | None], None]) -> None:
        self._log.begin(write, done)

    async def read(self, query: Callable[[Store], T]) -> T:
        self.reads += 1
        return await self._log.read(query)


async def test_rounds_have_their_turn_after_each_bounded_step(tmp_path: Path) -> None:
    async with open_hub(tmp_path / "data") as hub:
        await live_a_little(hub)
        watched = WatchedLog(hub.log)
        made = await take(watched, tmp_path)
    steps = -(-made.pages // backup.PAGES_PER_STEP)
    assert watched.reads >= steps + 2, "each step is a read of its own"
