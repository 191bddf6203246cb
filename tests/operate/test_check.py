"""Whatever single value of a store is changed, `check` ends, says where, and goes on elsewhere."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import apsw
import pytest
import trio
from trio.testing import MockClock

from groupd.app import open_hub, open_store
from groupd.cli.files import mend_files
from groupd.config import Config
from groupd.domain.base import SERVER, Identity, StreamKey
from groupd.domain.group.messages import Post
from groupd.domain.queries import OperatorCheck
from groupd.engine.ledger import project
from groupd.errors import LogCorrupt, LogUnavailable
from groupd.server import operator
from groupd.storage.backup import back_up
from groupd.storage.log import InlineLog
from groupd.storage.mend import Mended
from groupd.storage.port import Append, AppendAll, Slice, Store
from groupd.storage.verify import StoreCheck, StreamCheck, check_store
from tests.operate.rig import FILE, account_key, group_key, live_a_little

ENDS_WITHIN_S = 20
"""Of the real clock: for a check that would go on for ever."""

GROUP_ID = "(select id from streams where key = ?1)"


class Made:
    """A store with two groups, and a backup of it that lacks the newest post of each."""

    def __init__(self, root: Path, groups: Sequence[str]) -> None:
        self.data, self.backup = root / "data", root / "backup"
        self.group, self.other = groups

    def sql(self, *statements: str) -> None:
        """Change what is stored behind the store's back; ``?1`` is the first group."""
        db = apsw.Connection(str(self.data / FILE))
        for statement in statements:
            db.execute(statement, (self.group,) if "?1" in statement else ())
        db.close()

    def check(self) -> dict[StreamKey, list[tuple[int, str]]]:
        """Give what a check finds, by stream."""
        store = open_store(self.data)
        try:
            found: dict[StreamKey, list[tuple[int, str]]] = {}
            for problem in check_store(store, project):
                found.setdefault(problem.stream, []).append((problem.seq, problem.what))
            return found
        finally:
            store.close()

    async def mend(self) -> Mended:
        return await mend_files(self.data, group_key(self.group), self.backup)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Made:
    root = tmp_path_factory.mktemp("store")

    async def make() -> list[str]:
        async with open_hub(root / "data") as hub:
            groups = await live_a_little(hub, posts=6)
            await back_up(hub.log, root / "data", root / "backup", time_ms=1, version="1",
                          rest_factor=0)  # fmt: skip
            ann = hub.act_as("ann")
            for group in groups:
                await ann.post(group, text="later", mentions=["bob"])
        return groups

    return Made(root, trio.run(make))


@pytest.fixture
def made(original: Made, tmp_path: Path) -> Made:
    shutil.copytree(original.data, tmp_path / "data")
    shutil.copytree(original.backup, tmp_path / "backup")
    return Made(tmp_path, (original.group, original.other))


async def test_users_whose_ids_sort_before_numbers_are_found_in_the_index(tmp_path: Path) -> None:
    # To SQLite a number beside a text is a text, and "+" and "" come before "-".
    phone = "+8613800000000"
    async with open_hub(tmp_path) as hub:
        owner = hub.act_as(phone)
        group = (await owner.create("Tea", members=["!", "ann"]))["group"]
        await owner.post(group, text="早", mentions=["ann"])
        await hub.act_as("ann").post(group, text="hi")
        await hub.ask(Identity(SERVER), Post(text="from the app itself"), group=group)
    store = open_store(tmp_path)
    try:
        assert not list(check_store(store, project))
        rows = store.checks.index_rows(group_key(group), "spoke")
        assert {row[0] for row in rows} == {"", phone, "ann"}
    finally:
        store.close()


@pytest.fixture
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have pieces that a small store has several of."""
    monkeypatch.setattr("groupd.storage.verify.index.WINDOW", 1)


def test_what_nobody_has_changed_is_well(made: Made) -> None:
    assert made.check() == {}


RECORD = f"where stream = {GROUP_ID} and seq = 5"

DAMAGES: Sequence[tuple[str, int, str]] = [
    # what was changed, where it is found, and what is said
    *(
        (f"update records set {column} = 'abc' {RECORD}", 5, f"its {column} is not bytes")
        for column in ("header", "salt", "request_hash", "inner", "chain", "body")
    ),
    (f"update records set header = cast(x'ff' as text) {RECORD}", 5, "cannot be read"),
    (f"update records set body = 7 {RECORD}", 5, "its body is not bytes"),
    (f"update records set header = x'' {RECORD}", 5, "it does not continue the chain"),
    (f"update records set n = 'x' {RECORD}", 5, "its n is not a number"),
    (f"update records set n = -1 {RECORD}", 5, "its count -1"),
    (f"update records set forget = x'00' {RECORD}", 5, "its forget is not a number"),
    (f"update records set time_ms = 'x' {RECORD}", 5, "its time_ms is not a number"),
    (f"update records set user = x'ff' {RECORD}", 5, "its user is not a text"),
    (f"update records set kind = cast(x'ff' as text) {RECORD}", 5, "cannot be read"),
    (f"update records set followed = 1 {RECORD}", 5, "it is marked as if a 'posted' were followed"),
    (f"update records set seq = 99 {RECORD}", 6, "the records from 5 to 5 are missing"),
    (f"update records set seq = 99 {RECORD}", 0, "its head is at"),
    (f"update records set seq = 'x' {RECORD}", 6, "the records from 5 to 5 are missing"),
    (f"delete from records {RECORD}", 6, "the records from 5 to 5 are missing"),
    ("update streams set head = 5 where key = ?1", 0, "its head is at 5"),
    ("update streams set head = 99 where key = ?1", 0, "its head is at 99"),
    ("update streams set head = 'x' where key = ?1", 0, "seq of its head is not a number"),
    ("update streams set n = n + 1 where key = ?1", 0, "n of its head"),
    ("update streams set time_ms = 1 where key = ?1", 0, "time_ms of its head"),
    ("update streams set chain = 'x' where key = ?1", 0, "chain of its head is not bytes"),
    ("update streams set deadline_ms = 7 where key = ?1", 0, "deadline_ms of its head is 7"),
    (f"update snapshots set state = x'01' where stream = {GROUP_ID}", 0, "its snapshot"),
    (f"update snapshots set seq = 99 where stream = {GROUP_ID}", 0, "its snapshot is of record 99"),
    (f"update cursors set seq = 99 where stream = {GROUP_ID}", 0, "the read cursor of 'bob' is at"),
    (f"update cursors set seq = 'x' where stream = {GROUP_ID}", 0, "the read cursor of 'bob'"),
    (f"update members set key = 'x' where stream = {GROUP_ID}", 0, "is not in the index"),
    (f"update tallies set count = 7 where stream = {GROUP_ID}", 0, "tally"),
    (f"update cards set members = 7 where stream = {GROUP_ID}", 0, "card"),
    (f"update mentions set seq = -3 where stream = {GROUP_ID}", 0, "no record makes it"),
    (f"update mentions set seq = 99999 where stream = {GROUP_ID}", 0, "no record makes it"),
]


@pytest.mark.parametrize(("sql", "seq", "said"), DAMAGES)
def test_a_changed_value_is_a_problem_of_its_stream_at_its_seq(
    made: Made, sql: str, seq: int, said: str, small_steps: None
) -> None:
    if "snapshots" in sql:
        make_snapshots(made)
    made.sql(sql)
    found = made.check()
    assert set(found) == {group_key(made.group)}
    assert any(at == seq and said in what for at, what in found[group_key(made.group)]), found


def make_snapshots(made: Made) -> None:
    """Let there be one of the first group, as of its head."""
    from groupd.engine.ledger import snapshot_of

    store = open_store(made.data)
    assert store.commit([snapshot_of(store, group_key(made.group))]) == [None]
    store.close()
    assert made.check() == {}


def test_two_damaged_streams_are_both_found_and_the_rest_is_checked(made: Made) -> None:
    made.sql(
        f"update records set body = 'abc' {RECORD}",
        "update records set n = 'x' where seq = 2 and stream = (select id from streams "
        "where key = 'ann')",
    )
    assert set(made.check()) == {group_key(made.group), account_key("ann")}


def page_of(made: Made, index: str) -> tuple[int, int]:
    """Give where in the file the only page of an index begins and ends."""
    db = apsw.Connection(str(made.data / FILE))
    ((root,),) = db.execute("select rootpage from sqlite_schema where name = ?", (index,))
    ((size,),) = db.execute("pragma page_size")
    db.execute("pragma wal_checkpoint(truncate)").fetchall()
    db.close()
    return (root - 1) * size, root * size


def flip_in_index(made: Made, seq: int, wrong: int) -> None:
    """Change the seq of one entry of the index by which records are found; the table stays."""
    first, end = page_of(made, "sqlite_autoindex_records_1")
    db = apsw.Connection(str(made.data / FILE))
    ((number,),) = db.execute("select id from streams where key = ?", (made.group,))
    ((position,),) = db.execute(
        "select position from records where stream = ? and seq = ?", (number, seq)
    )
    db.close()
    path = made.data / FILE
    data = bytearray(path.read_bytes())
    # A record of three integers of one byte: its size, the size of its head, their types.
    entry = bytes((7, 4, 1, 1, 1, number, seq, position))
    if position > 127:
        entry = bytes((8, 4, 1, 1, 2, number, seq)) + position.to_bytes(2, "big")
    at = data.index(entry, first, end)
    data[at + 6] = wrong
    path.write_bytes(data)


async def test_an_entry_of_the_lookup_that_leads_back_does_not_keep_a_check_from_ending(
    made: Made,
) -> None:
    flip_in_index(made, 9, 1)
    with trio.fail_after(ENDS_WITHIN_S):
        found = await trio.to_thread.run_sync(made.check, abandon_on_cancel=True)
    said = found[group_key(made.group)]
    assert any(seq == 1 and "out of order" in what for seq, what in said)
    mended = await made.mend()
    assert mended.left == ()
    assert made.check() == {}


class GoesBack:
    """A store whose every read gives the first record again."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def read(
        self, stream: StreamKey, after: int, limit: int, max_bytes: int | None = None
    ) -> Slice:
        return Slice(self._store.read(stream, 0, 1).records * limit, more=True)


async def test_a_store_that_always_gives_the_same_is_checked_to_an_end(
    made: Made, autojump_clock: MockClock
) -> None:
    store = open_store(made.data)
    log = InlineLog(GoesBack(store))  # type: ignore[arg-type]
    answer = await operator.serve(log, Config(), OperatorCheck(), now_ms=1, rests=True)
    assert isinstance(answer, dict)
    said = {tuple(problem["stream"]): problem["what"] for problem in answer["problems"]}
    assert {tuple(group_key(made.group)), tuple(group_key(made.other))} <= said.keys()
    store.close()


# --- what belongs to nothing


def test_a_group_that_is_gone_is_missed(made: Made) -> None:
    made.sql("delete from streams where key = ?1")
    said = [what for _seq, what in made.check()[group_key(made.group)]]
    assert any("records are there" in what for what in said)
    assert any("the table members" in what for what in said)


def test_an_account_that_is_gone_is_missed(made: Made) -> None:
    made.sql("delete from streams where key = 'ann'")
    said = [what for _seq, what in made.check()[account_key("ann")]]
    assert any("records are there of" in what for what in said)


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("update positions set position = 99999", "the reactor 'accounts' is at 99999"),
        ("update positions set position = 'x'", "the reactor 'accounts' is at 'x'"),
        ("insert into cursors values (77, 'ann', 1)", "the table cursors has rows of stream 77"),
        ("insert into mentions values (77, 'ann', 1)", "the table mentions has rows of stream 77"),
        ("insert into snapshots values (77, 1, 1, x'')", "the table snapshots has rows"),
    ],
)
def test_what_hangs_on_nothing_is_found(made: Made, sql: str, said: str) -> None:
    made.sql(sql)
    ((stream, found),) = made.check().items()
    assert stream == StreamKey("", "", "")
    assert any(said in what for _seq, what in found)


def test_a_lookup_that_misses_a_row_is_found_where_no_server_runs(made: Made) -> None:
    path = made.data / FILE
    first, end = page_of(made, "members_by_user")
    data = bytearray(path.read_bytes())
    data[data.index(b"bob", first, end)] ^= 1
    path.write_bytes(data)
    ((stream, said),) = made.check().items()
    assert stream == StreamKey("", "", "")
    assert any("members_by_user" in what for _seq, what in said)


# --- beside writers


def test_writers_between_two_reads_make_no_false_alarm(made: Made, small_steps: None) -> None:
    store = open_store(made.data)
    other = open_store(made.backup)
    # The backup lacks the last records; they are appended one by one while it is checked.
    late = {
        key: store.read(key, other.head(key).seq, 100).records  # type: ignore[union-attr]
        for key in map(group_key, (made.group, made.other))
    }
    assert all(late.values())
    check = StoreCheck(None, project)
    for number, read in enumerate(check.reads()):
        read(other)
        for key, records in late.items():
            if number % 5 == 4 and records:
                head = store.head(key)
                assert head is not None
                changes = [change for record in records[:1] for change in project(key, record)]
                append = Append(key, records[0].seq - 1, records[:1], changes, head.deadline_ms)
                assert other.commit([AppendAll((append,))]) == [None]
                late[key] = records[1:]
    assert check.problems == []
    assert not any(late.values())
    store.close()
    other.close()


async def test_what_is_recalled_between_two_reads_makes_no_false_alarm(
    tmp_path: Path, small_steps: None
) -> None:
    async with open_hub(tmp_path / "data") as hub:
        ann = hub.act_as("ann")
        group = (await ann.create("Tea"))["group"]
        said = [(await ann.post(group, text="x", mentions=["bob"]))["seq"] for _ in range(20)]
        await ann.edit(group, said[3], text="y")
        check = StreamCheck(group_key(group), project, records_per_step=1)
        while not check.is_done:
            await hub.log.read(check.step)
            # More than one step takes in, right before the piece that shows the last of them.
            piece = check._piece
            kind = "mention" if len(said) > 10 else "recall"
            if piece is not None and piece.kind == kind and piece.upto in said[:1]:
                for seq in [*said[-2:], said[0]]:
                    await ann.recall(group, seq)
                said = said[1:-2]
        assert len(said) <= 2
        assert list(check.problems) == []


async def test_no_read_of_a_check_has_more_than_a_slice(made: Made) -> None:
    store = open_store(made.data)
    sizes = []

    class Counting(GoesBack):
        def read(self, *arguments: Any, **named: Any) -> Slice:
            piece = self._store.read(*arguments, **named)
            sizes.append(len(piece.records))
            return piece

    check = StreamCheck(group_key(made.group), project, records_per_step=4)
    reads = 0
    while not check.is_done:
        check.step(Counting(store))  # type: ignore[arg-type]
        reads += 1
    assert max(sizes) <= 4
    assert reads > 10
    assert list(check.problems) == []
    store.close()


# --- mending


async def test_a_head_that_is_wrong_is_put_right_and_said(made: Made) -> None:
    whole: Callable[[], Any] = made.check
    for sql, part in (
        ("update streams set head = 5 where key = ?1", "seq"),
        ("update streams set head = 99 where key = ?1", "seq"),
        ("update streams set head = 1048586 where key = ?1", "seq"),
        ("update streams set n = 'x' where key = ?1", "n"),
        ("update streams set time_ms = 1 where key = ?1", "time_ms"),
        ("update streams set chain = 'x' where key = ?1", "chain"),
        ("update streams set deadline_ms = 7 where key = ?1", "deadline_ms"),
    ):
        made.sql(sql)
        assert whole()
        mended = await made.mend()
        assert (mended.seqs, part in mended.head) == ([], True), sql
        assert whole() == {}


@pytest.mark.parametrize(
    "sql",
    [
        f"update records set seq = 99 {RECORD}",
        f"update records set seq = 'x' {RECORD}",
        f"update records set kind = cast(x'ff' as text) {RECORD}",
        f"update records set chain = cast(chain as text) {RECORD}",
        f"update records set followed = 1 {RECORD}",
        f"update cursors set seq = 99 where stream = {GROUP_ID}",
        "delete from streams where key = ?1",
        "update streams set key = 'elsewhere' where key = ?1",
        "update streams set head = 'x', chain = 7 where key = ?1",
    ],
)
async def test_what_is_said_to_be_mended_is(made: Made, sql: str) -> None:
    before = made.check()
    assert before == {}
    made.sql(sql)
    assert made.check()
    mended = await made.mend()
    assert mended != Mended()
    assert mended.left == ()
    assert made.check() == {}


async def test_newest_records_that_nobody_has_are_not_given_up_in_silence(made: Made) -> None:
    made.sql(
        "delete from records where position = "
        f"(select max(position) from records where stream = {GROUP_ID})"
    )
    with pytest.raises(LogCorrupt, match="is missing, and the copy has no good one"):
        await made.mend()


async def test_a_damaged_index_is_left_and_said(made: Made) -> None:
    made.sql(f"update members set nickname = 'x' where stream = {GROUP_ID}")
    mended = await made.mend()
    assert (mended.seqs, mended.head) == ((), ())
    assert any("member" in problem.what for problem in mended.left)


async def test_a_backup_that_is_the_directory_itself_is_refused(made: Made) -> None:
    with pytest.raises(LogUnavailable, match="is what shall be mended itself"):
        await mend_files(made.data, group_key(made.group), made.data / ".." / "data")
