"""A changed record is found, and so is an index that does not agree with the records."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from groupd.domain.base import GROUP, Record, StreamKey
from groupd.domain.projection import (
    Change,
    PutBlock,
    PutCard,
    PutChat,
    PutProfile,
    PutRevocation,
    PutTie,
    Spoke,
)
from groupd.storage.findings import Problem
from groupd.storage.memory import MemoryStore
from groupd.storage.port import Append, AppendAll, Store
from groupd.storage.sqlite import SqliteStore
from groupd.storage.verify import BEGINNING, check_slice, verify, verify_index
from groupd.testing.log_samples import ANN, HALL, YARD, append, do, head_of, member
from groupd.wire.codec import GENESIS, RecordWriter, chain_hash, inner_hash

STREAM = StreamKey(GROUP, "", "chained")


def chained(count: int) -> list[Record]:
    """Make records as the engine does, with true hashes."""
    codec = RecordWriter(STREAM)
    records: list[Record] = []
    chain = GENESIS
    for seq in range(1, count + 1):
        request_id = f"id-{seq}" if seq % 2 else ""
        header = codec.header(seq, 1_000 + seq, "ann", "posted", request_id)
        body, salt, request_hash = b"\x01\xa4text\xa2hi", bytes([seq] * 16), b"h" * 16
        inner = inner_hash(salt, request_hash, body)
        chain = chain_hash(chain, header, audience=0, n=seq, forget=0, inner=inner)
        records.append(
            Record(
                *(seq, 1_000 + seq, "posted", "ann", request_id, 0, seq, 0, False),
                *(header, salt, request_hash, body, inner, chain),
            )
        )
    return records


@pytest.fixture
def store() -> MemoryStore:
    store = MemoryStore("one")
    do(store, AppendAll((Append(STREAM, 0, chained(20)),)))
    return store


def spoil(store: MemoryStore, seq: int, **changes: Any) -> None:
    records = store._streams[STREAM].records
    records[seq - 1] = records[seq - 1]._replace(**changes)


def found(store: Store) -> list[tuple[int, str]]:
    return [(problem.seq, problem.what) for problem in verify(store, STREAM)]


def test_what_was_written_is_in_order(store: MemoryStore) -> None:
    assert found(store) == []


def test_an_erased_record_is_in_order(store: MemoryStore) -> None:
    do(store, AppendAll((Append(STREAM, 20, (), erase=[3, 4]),)))
    assert store.pick(STREAM, [3])[0].body is None
    assert found(store) == []


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"body": b"\x01\xa4text\xa2ho"}, "body"),
        ({"salt": b"x" * 16}, "salt"),
        ({"request_hash": b"x" * 16}, "request hash"),
        ({"header": b"\x01" + b"x" * 50}, "chain"),
        ({"audience": 1}, "chain"),
        ({"forget": 1}, "chain"),
        ({"user": "bo"}, "user is 'bo' beside its header and 'ann' in it"),
        ({"kind": "joined"}, "kind is 'joined'"),
        ({"request_id": "x"}, "id is 'x'"),
    ],
)
def test_one_changed_value_is_one_problem_with_its_seq(
    store: MemoryStore, changes: dict[str, Any], what: str
) -> None:
    spoil(store, 7, **changes)
    ((seq, said),) = found(store)
    assert seq == 7
    assert what in said


def test_a_request_id_that_the_header_has_not_is_found(store: MemoryStore) -> None:
    spoil(store, 8, request_id="x")
    assert found(store) == [(8, "it has a request id beside its header and none in it")]


def test_a_changed_inner_hash_is_found_although_the_body_is_gone(store: MemoryStore) -> None:
    spoil(store, 7, body=None, inner=b"x" * 32)
    assert found(store) == [(7, "it does not continue the chain")]


def test_a_changed_chain_is_found_where_it_is_and_once_more_behind(store: MemoryStore) -> None:
    spoil(store, 7, chain=b"x" * 32)
    assert [seq for seq, _what in found(store)] == [7, 8]


def test_a_time_that_falls_is_found(store: MemoryStore) -> None:
    spoil(store, 7, time_ms=1)
    assert (7, "its time 1 is before 1006, that of the record before") in found(store)


def test_a_count_that_jumps_is_found(store: MemoryStore) -> None:
    spoil(store, 7, n=9)
    assert (7, "its count 9 does not follow 6") in found(store)


def test_a_stream_that_does_not_exist_is_a_problem(store: MemoryStore) -> None:
    assert [problem.what for problem in verify(store, HALL)] == ["the stream does not exist"]


@pytest.fixture
def on_disk(tmp_path: Path) -> Iterator[SqliteStore]:
    store = SqliteStore.open(tmp_path, new_id=lambda: "one")
    do(store, AppendAll((Append(STREAM, 0, chained(20)),)))
    yield store
    store.close()


@pytest.mark.parametrize(
    ("sql", "seq", "what"),
    [
        ("update records set body = x'01a4' where seq = 5", 5, "its body"),
        ("delete from records where seq = 5", 6, "the records from 5 to 5 are missing"),
        ("delete from records where seq > 15", 0, "its head is at 20 and its newest record is 15"),
        ("delete from records", 0, "its head is at 20 and its newest record is 0"),
        ("update streams set n = 19", 0, "n of its head"),
        ("update streams set time_ms = 1", 0, "time_ms of its head"),
        ("update streams set chain = x'00'", 0, "chain of its head"),
        ("update streams set head = 19", 0, "its head is at 19 and its newest record is 20"),
    ],
)
def test_a_change_behind_the_back_of_the_store_is_found(
    on_disk: SqliteStore, sql: str, seq: int, what: str
) -> None:
    assert found(on_disk) == []
    on_disk._file.transact(lambda: on_disk._file.execute(sql))
    ((where, said),) = found(on_disk)
    assert where == seq
    assert said.startswith(what)


def test_a_flipped_byte_in_the_file_is_found_with_its_seq(tmp_path: Path) -> None:
    store = SqliteStore.open(tmp_path, new_id=lambda: "one")
    records = chained(20)
    records_with_mark = records[12]
    do(store, AppendAll((Append(STREAM, 0, records),)))
    store.close()
    (file,) = tmp_path.glob("*.sqlite3")
    data = bytearray(file.read_bytes())
    place = data.index(records_with_mark.salt)
    data[place] ^= 1
    file.write_bytes(data)
    store = SqliteStore.open(tmp_path, new_id=lambda: "two")
    assert [seq for seq, _what in found(store)] == [13]
    store.close()


def test_slices_find_what_the_whole_finds(store: MemoryStore) -> None:
    spoil(store, 7, body=b"x")
    spoil(store, 12, header=b"x")
    problems: list[Problem] = []
    place = BEGINNING
    slices = 0
    while place is not None:
        more, place = check_slice(store, STREAM, place, limit=3)  # type: ignore[assignment]
        problems += more
        slices += 1
    assert slices == 7
    assert problems == list(verify(store, STREAM))


def test_records_appended_between_slices_are_checked_too(store: MemoryStore) -> None:
    problems, place = check_slice(store, STREAM, limit=10)
    do(store, AppendAll((Append(STREAM, 20, chained(25)[20:]),)))
    while place is not None:
        more, place = check_slice(store, STREAM, place, limit=10)
        problems = [*problems, *more]
    assert problems == []
    assert head_of(store, STREAM) == 25


# --- the index


def project(stream: StreamKey, record: Record) -> Sequence[Change]:
    if record.seq == 1:
        return [PutCard({"name": stream.key}), member("ann")]
    return [Spoke("ann", record.seq)]


def indexed(store: Store) -> Store:
    for stream in (HALL, YARD):
        records = append(stream, 3).appends[0].records
        changes = [change for record in records for change in project(stream, record)]
        do(store, AppendAll((Append(stream, 0, records, changes),)))
    return store


def test_an_index_that_agrees_is_in_order(on_disk: SqliteStore) -> None:
    indexed(on_disk)
    do(on_disk, append(StreamKey(GROUP, "", "quiet"), 1))

    def project_some(stream: StreamKey, record: Record) -> Sequence[Change]:
        return project(stream, record) if stream in (HALL, YARD) else ()

    assert verify_index(on_disk, project_some) == []


@pytest.mark.parametrize(
    ("sql", "what"),
    [
        ("update members set name = 'x' where key = 'yard'", {"no record makes it", "not in"}),
        ("delete from spoke where stream = 2", {"not in"}),
        ("insert into mentions values (2, 'bo', 1)", {"no record makes it"}),
        ("update cards set dissolved = 1 where name = 'yard'", {"no record makes it", "not in"}),
    ],
)
def test_a_row_that_differs_is_found_with_its_group(
    tmp_path: Path, sql: str, what: set[str]
) -> None:
    store = SqliteStore.open(tmp_path, new_id=lambda: "one")
    indexed(store)
    store._file.transact(lambda: store._file.execute(sql))
    problems = verify_index(store, project)
    assert {problem.stream for problem in problems} == {YARD}
    for words in what:
        assert any(words in problem.what for problem in problems)
    assert len(problems) == len(what)
    store.rebuild_index(project)
    assert verify_index(store, project) == []
    store.close()


def test_a_row_of_an_account_or_of_the_search_is_found_with_whose_it_is(tmp_path: Path) -> None:
    store = SqliteStore.open(tmp_path, new_id=lambda: "one")
    place = {"lat": 1.0, "lon": 2.0}
    made: dict[StreamKey, list[Change]] = {
        ANN: [
            PutProfile("Ann", "", "", "", None),
            PutBlock("bo"),
            PutChat("hall", {}),
            PutRevocation(7),
        ],
        HALL: [
            PutCard({"name": "Hall", "discoverable": True, "location": place}),
            PutTie("binding", "shop", 1),
        ],
    }
    for stream, changes in made.items():
        do(store, append(stream, 1, changes=changes))
    assert verify_index(store, lambda stream, _record: made[stream]) == []
    for sql, stream, kind in (
        ("update profiles set name = 'x'", ANN, "profile"),
        ("update blocks set other = 'x'", ANN, "block"),
        ("update chats set pinned_ms = 1", ANN, "chat"),
        ("update revocations set before_ms = 1", ANN, "revocation"),
        ("update ties set seq = 2", HALL, "tie"),
        ("update ties set key = 'x'", HALL, "tie"),
        ("update ties set tenant = 'x'", HALL, "tie"),
        ("update words set terms = '000001t'", HALL, "word"),
        ("update places set lat_max = 50, lat_min = 50", HALL, "place"),
    ):
        store._file.transact(lambda sql=sql: store._file.execute(sql))  # type: ignore[misc]
        problems = verify_index(store, lambda stream, _record: made[stream])
        assert {problem.stream for problem in problems} == {stream}
        assert all(problem.what.startswith(kind) for problem in problems)
        store.rebuild_index(lambda stream, _record: made[stream])
        assert verify_index(store, lambda stream, _record: made[stream]) == []
    store.close()
