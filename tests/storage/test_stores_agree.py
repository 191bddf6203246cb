"""The stores answer alike, whatever is written to them: memory is the model of SQLite."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from groupd.storage.memory import MemoryStore
from groupd.storage.port import Store
from groupd.storage.sqlite import SqliteStore
from tests.storage.strategies import (
    ACCOUNTS,
    GROUPS,
    REFS,
    USERS,
    Draft,
    resolve,
    rounds,
)


def everything(store: Store) -> dict[str, Any]:
    """Ask a store all that can be asked."""
    answers: dict[str, Any] = {
        "due": sorted(store.due(5, 99)),
        "next_deadline_ms": store.next_deadline_ms(),
        "positions": [store.position(name) for name in ("one", "two")],
        "followed": [list(store.followed(after, 3)) for after in (0, 2, 5)],
        "index": list(store.dump_index()),
        "streams": [list(store.streams(after, 4)) for after in (None, GROUPS[1])],
    }
    for stream in (*GROUPS, *ACCOUNTS):
        pieces = [store.read(stream, after, 3, size) for after in (0, 4) for size in (None, 30)]
        pieces += [
            store.read_back(stream, before, 3, floor, size)
            for before in (3, 99)
            for floor in (0, 2)
            for size in (None, 30)
        ]
        answers[str(stream)] = [
            store.head(stream),
            [(list(piece.records), piece.more) for piece in pieces],
            list(store.pick(stream, [3, 1, 40])),
            store.snapshot(stream),
        ]
    for tenant in ("", "other"):
        keys = [stream.key for stream in GROUPS if stream.tenant == tenant]
        answers[f"refs of {tenant!r}"] = [store.group_of_ref(tenant, ref) for ref in REFS if ref]
        for key in keys:
            answers[f"{key} of {tenant!r}"] = [
                store.group(tenant, key),
                list(store.members(tenant, key, "ann", 9)),
                store.cursors(tenant, key),
            ]
        for user in USERS:
            answers[f"{user} of {tenant!r}"] = [
                [store.membership(tenant, user, key) for key in keys],
                list(store.memberships(tenant, user, "", 2)),
                [store.numbers(tenant, user, dict.fromkeys(keys, upto)) for upto in (0, 2, 99)],
                list(store.acquainted(tenant, user, USERS)),
            ]
    return answers


def play(rounds: Sequence[Sequence[Draft]], *stores: Store) -> None:
    """Write the rounds to all stores, each as a writer would who knows the first."""
    for drafts in rounds:
        writes = [resolve(draft, stores[0]) for draft in drafts]
        outcomes = [[type(outcome) for outcome in store.commit(writes)] for store in stores]
        assert all(others == outcomes[0] for others in outcomes)


@given(rounds)
@settings(deadline=None, max_examples=60)
def test_sqlite_answers_what_memory_answers(rounds: Sequence[Sequence[Draft]]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        memory = MemoryStore("one")
        sqlite = SqliteStore.open(Path(directory), new_id=lambda: "one")
        play(rounds, memory, sqlite)
        expected = everything(memory)
        answers = everything(sqlite)
        sqlite.close()
        reopened = SqliteStore.open(Path(directory), new_id=lambda: "other")
        kept = everything(reopened)
        reopened.close()
    for question, answer in expected.items():
        assert answers[question] == answer, question
        assert kept[question] == answer, f"{question}, after opening again"


@given(rounds, st.integers(0, 3))
@settings(deadline=None, max_examples=60)
def test_a_round_comes_to_the_same_as_its_writes_one_by_one(
    rounds: Sequence[Sequence[Draft]], size: int
) -> None:
    in_rounds, one_by_one = MemoryStore("one"), MemoryStore("one")
    for drafts in rounds:
        writes = [resolve(draft, in_rounds) for draft in drafts]
        outcomes = [type(outcome) for outcome in in_rounds.commit(writes)]
        alone = [type(one_by_one.commit([write])[0]) for write in writes]
        assert outcomes == alone
    assert everything(in_rounds) == everything(one_by_one)
