from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.filling import OWNER, Group, commit, fill, group_key
from bench.store import (
    AppendCost,
    ReadCost,
    RestartCost,
    Shape,
    main,
    measure_appends,
    measure_history,
    measure_restart,
    table_of,
)
from groupd.engine.ledger import Ledger, project
from groupd.errors import LogConflict
from groupd.storage.memory import MemoryStore
from groupd.storage.verify import verify, verify_index


def test_groups_are_written_as_actors_would_write_them() -> None:
    store = MemoryStore("one")
    group = Group(7)
    commit(store, [group.found()])
    commit(store, [group.post(30)])

    key = group_key(7)
    ledger = Ledger.empty(key)
    for record in store.read(key, 0, 99).records:
        ledger.replay(record)

    assert ledger.state.seq == 32
    assert list(verify(store, key)) == []
    assert verify_index(store, project) == []
    place = store.membership("", OWNER, key.key)
    assert place is not None
    assert place.head == 32


def test_a_round_that_fails_is_not_measured() -> None:
    store = MemoryStore("one")
    founding = Group(1).found()
    commit(store, [founding])

    with pytest.raises(LogConflict):
        commit(store, [founding])


def test_a_filled_store_has_what_was_asked_for_and_owners_with_a_few_groups_each() -> None:
    store, rounds = MemoryStore("one"), []

    fill(store, groups=40, messages=1_000, advance=rounds.append)

    heads = [store.head(group_key(number)) for number in range(40)]
    assert sum(head.seq - 2 for head in heads if head is not None) == sum(rounds) >= 1_000
    assert len(store.memberships("", OWNER, "", 99)) == 20
    assert store.followed(store.position("accounts"), 9) == []


def test_appends_of_every_shape_are_measured() -> None:
    cost = measure_appends(MemoryStore("one"), "memory", Shape(3, 2), records=12)

    assert (cost.store, cost.rounds) == ("memory", 2)
    assert cost.cpu_s > 0
    assert cost.row()[:2] == ("3 x 2", "memory")


def test_history_is_measured_of_pages_that_are_full(tmp_path: Path) -> None:
    costs = measure_history(tmp_path, 32)

    assert [cost.count for cost in costs] == [32] * 5
    assert all(cost.cpu_s > 0 for cost in costs)


def test_a_server_answers_on_a_store_whose_process_was_killed(tmp_path: Path) -> None:
    cost = measure_restart(tmp_path, groups=30, messages=300)

    assert cost.wal_bytes > 0, "the store was not closed"
    assert cost.wall_s > 0


def test_costs_are_shown_by_the_round_the_append_and_the_record() -> None:
    cost = AppendCost("sqlite", Shape(20, 2), rounds=10, cpu_s=0.004, wall_s=0.02)

    assert cost.row() == ("20 x 2", "sqlite", "20,000", "2.00", "400", "20.0", "10.00")
    read = ReadCost("newest", 100, cpu_s=0.01, wall_s=0.02)
    assert read.row() == ("newest", "5,000", "200", "100")
    restart = RestartCost("all", 1.5, 1.25, 340_000_000, 8_000_000)
    assert restart.row() == ("all", "1.50", "1.25", "340.0", "8.0")
    for one in (cost, read, restart):
        assert table_of([one]).row_count == 1


def test_every_row_becomes_a_line_of_json(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"

    main(messages=0, records=10, reads=1, json=out)

    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert {line["what"] for line in lines} == {"appends", "history of 100 events", "restart"}
    assert all(line["wall_s"] > 0 for line in lines)
