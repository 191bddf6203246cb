"""What only the search in SQLite does: its two ways to what is near, and whom it never meets."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from groupd.domain.base import GROUP, StreamKey
from groupd.domain.projection import Found, Near, PutCard
from groupd.storage import sqlite_search
from groupd.storage.memory import MemoryStore
from groupd.storage.port import Store
from groupd.storage.sqlite import SqliteStore
from groupd.testing.log_samples import append, do

NAMES = ("Hall", "Hall Run", "西湖", "西湖 Run", "湖")


def fill(store: Store) -> Store:
    """Found 400 groups of two tenants around the date line near a pole, and in a town."""
    chance = random.Random(1)
    for number in range(400):
        lat, lon = (88.0, 180.0) if number % 2 else (30.0, 120.0)
        lat += chance.uniform(-0.01, 0.01)
        lon += chance.uniform(-0.2, 0.2)
        card = {
            "name": chance.choice(NAMES),
            "discoverable": True,
            "category": chance.choice(("fun", "")),
            "location": {"lat": lat, "lon": lon if lon <= 180 else lon - 360},
        }
        stream = StreamKey(GROUP, chance.choice(("one", "other")), f"{number}")
        do(store, append(stream, 1, changes=[PutCard(card)]))
    return store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    store = SqliteStore.open(tmp_path, new_id=lambda: "one")
    fill(store)
    yield store
    store.close()


def pages(store: Store, **wanted: Any) -> Sequence[Found]:
    found: list[Found] = []
    while page := store.search(
        **{"tenant": "one", "query": "", "category": "", **wanted},
        after=found[-1] if found else None,
        limit=9,
    ):
        found += page
        assert len({one.number for one in found}) == len(found)
    return found


@pytest.mark.parametrize("few", [0, 30, 5_000])
@pytest.mark.parametrize("centre", [(88.0, 179.99), (30.0, 120.0), (89.9999, 0.0)])
def test_what_is_near_is_the_same_on_every_way_to_it(
    store: SqliteStore,
    monkeypatch: pytest.MonkeyPatch,
    few: int,
    centre: tuple[float, float],
) -> None:
    monkeypatch.setattr(sqlite_search, "FEW", few)
    model = fill(MemoryStore("one"))
    for radius_m in (300, 1_100, 223_000):
        near = Near(*centre, radius_m)
        for query in ("", "hall", "西湖"):
            for category in ("", "fun"):
                wanted = {"query": query, "category": category, "near": near}
                assert pages(store, **wanted) == pages(model, **wanted)


def test_a_query_never_meets_the_groups_of_another_tenant(store: SqliteStore) -> None:
    """Whoever asks, only their own rows of the index are read."""
    read = []
    rows = store._file.rows

    def listen(sql: str, bindings: Sequence[Any] = ()) -> Iterator[tuple[Any, ...]]:
        for row in rows(sql, bindings):
            read.append(row[0])
            yield row

    store._file.rows = listen  # type: ignore[method-assign]
    mine = {found.number for found in pages(store, near=None)}
    for query, near in (
        ("r", None),
        ("", Near(30.0, 120.0, 50_000)),
        ("h", Near(88.0, 180.0, 999)),
    ):
        pages(store, query=query, near=near)
    assert 0 < len(mine) < 400
    assert set(read) <= mine


def test_tenants_are_apart_however_many_there_are(tmp_path: Path) -> None:
    """The boxes of places are rounded to 32 bits, which no longer tell such numbers apart."""
    store = SqliteStore.open(tmp_path, new_id=lambda: "one")
    insert = "insert into tenants values (?, 'the last of many')"
    store._file.transact(lambda: store._file.execute(insert, (2**25,)))
    card = {"name": "Hall", "discoverable": True, "location": {"lat": 1.0, "lon": 2.0}}
    for tenant in "abcdef":
        do(store, append(StreamKey(GROUP, tenant, f"of {tenant}"), 1, changes=[PutCard(card)]))
    for tenant in "abcdef":
        for wanted in ({"near": Near(1.0, 2.0, 9)}, {"query": "hall", "near": None}):
            found = pages(store, tenant=tenant, **wanted)
            assert [one.card.group for one in found] == [f"of {tenant}"]
    store.close()


def test_groups_of_another_tenant_in_the_same_place_cost_nothing(tmp_path: Path) -> None:
    store = SqliteStore.open(tmp_path, new_id=lambda: "one")
    card = {"name": "Hall", "discoverable": True, "location": {"lat": 1.0, "lon": 2.0}}
    for number in range(300):
        stream = StreamKey(GROUP, "other" if number else "one", f"{number}")
        do(store, append(stream, 1, changes=[PutCard(card)]))
    steps = 0

    def step() -> bool:
        nonlocal steps
        steps += 1
        return False

    store._file._connection.set_progress_handler(step, 1)
    assert len(pages(store, tenant="one", near=Near(1.0, 2.0, 200))) == 1
    assert steps < 500
    store._file._connection.set_progress_handler(None)
    store.close()


def test_near_groups_are_looked_at_and_far_ones_not(store: SqliteStore) -> None:
    """A circle that is large enough for all costs no more than what it gives."""
    read = 0
    rows = store._file.rows

    def count(sql: str, bindings: Sequence[Any] = ()) -> Iterator[tuple[Any, ...]]:
        nonlocal read
        for row in rows(sql, bindings):
            read += 1
            yield row

    everything = Near(30.0, 120.0, 10_000_000)
    store._file.rows = count  # type: ignore[method-assign]
    found = store.search("one", query="", category="", near=everything, after=None, limit=3)
    assert len(found) == 3
    assert read < 60


def test_a_name_is_data_and_never_a_query_language(store: SqliteStore) -> None:
    for query in ('"', "hall*", "NOT", "a AND", "terms : t", "(", "^hall", "hall NEAR(", "\x00"):
        pages(store, query=query, near=None)
    assert pages(store, query="terms:t", near=None) == []


def test_a_page_behind_very_many_is_the_end(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    near = Near(30.0, 120.0, 50_000)
    everything = pages(store, near=near)
    monkeypatch.setattr(sqlite_search, "DEEP", 20)
    some = pages(store, near=near)
    assert 9 < len(some) < len(everything)
    assert some == everything[: len(some)]


def test_of_many_at_one_place_the_latest_come_first(tmp_path: Path) -> None:
    """More than are measured at first, so that all of them must be."""
    stores: list[Store] = [SqliteStore.open(tmp_path, new_id=lambda: "one"), MemoryStore("one")]
    for store in stores:
        for number in range(120):
            card = {"name": "g", "discoverable": True, "location": {"lat": 30.0, "lon": 120.0}}
            do(store, append(StreamKey(GROUP, "one", f"{number:03}"), 1, changes=[PutCard(card)]))
    near = Near(30.0001, 120.0001, 1_000)
    one, other = ([found.card.group for found in pages(store, near=near)] for store in stores)
    assert one == other == [f"{number:03}" for number in range(119, -1, -1)]
    stores[0].close()
