"""The stores answer alike, whatever is written to them: memory is the model of SQLite."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs
from hypothesis import given, settings
from hypothesis import strategies as st

from groupd.domain.base import Record, StreamKey
from groupd.domain.projection import (
    Change,
    Edit,
    Found,
    Mention,
    Near,
    PutCard,
    React,
    Recall,
    Reply,
    Spoke,
)
from groupd.storage.memory import MemoryStore
from groupd.storage.port import AppendAll, Store, Write
from groupd.storage.sqlite import SqliteStore
from groupd.storage.verify import verify_index
from tests.storage.strategies import (
    ACCOUNTS,
    CATEGORIES,
    GROUPS,
    QUERIES,
    REACTIONS,
    REFS,
    USERS,
    Draft,
    DraftAppend,
    resolve,
    rounds,
)

SEARCHES = [
    (query, category, near)
    for query in ("", *QUERIES)
    for category in ("", CATEGORIES[1])
    for near in (None, Near(0.0, 0.0005, 100), Near(89.9, 179.9, 100_000))
]


def everything(store: Store) -> dict[str, Any]:
    """Ask a store all that can be asked."""
    answers: dict[str, Any] = {
        "due": sorted(store.due(5, 99)),
        "next_deadline_ms": store.next_deadline_ms(),
        "positions": [store.position(name) for name in ("one", "two")],
        "audit": [list(store.audit.since(after, 3)) for after in (0, 2, 5)],
        "last_n": store.audit.last_n(),
        "followed": [list(store.followed(after, 3)) for after in (0, 2, 5)],
        "index": list(store.dump_index()),
        "streams": [list(store.streams(after, 4)) for after in (None, GROUPS[1])],
    }
    for user in USERS:
        answers[f"blocks of {user}"] = [
            list(store.blocks("", user, "", 1)),
            [list(store.blockers("", user, other)) for other in USERS],
        ]
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
            store.messages(stream, range(9)),
            [store.reactions_of(stream, user, range(9)) for user in USERS],
            [list(store.reactors(stream, 1, reaction, "ann", 1)) for reaction in REACTIONS],
            [list(store.replies(stream, message, 2, 2)) for message in (1, 2, 3, 4)],
        ]
    for tenant in ("", "other"):
        keys = [stream.key for stream in GROUPS if stream.tenant == tenant]
        answers[f"refs of {tenant!r}"] = [store.group_of_ref(tenant, ref) for ref in REFS if ref]
        for key in keys:
            answers[f"{key} of {tenant!r}"] = [
                store.group(tenant, key),
                list(store.members(tenant, key, "ann", 9)),
                store.cursors(tenant, key),
                [
                    store.statistics(
                        tenant, key, active_since_ms=since, from_ms=since, until_ms=until
                    )
                    for since in (0, 3, 9)
                    for until in (2, 5, 99)
                ],
            ]
        answers[f"audit of {tenant!r}"] = [
            list(store.audit.latest(tenant, stream, before, 3))
            for stream in (None, GROUPS[0], ACCOUNTS[0])
            for before in (None, 4)
        ]
        for user in USERS:
            answers[f"{user} of {tenant!r}"] = [
                [store.membership(tenant, user, key) for key in keys],
                list(store.memberships(tenant, user, "", 2)),
                [store.numbers(tenant, user, dict.fromkeys(keys, upto)) for upto in (0, 2, 99)],
                list(store.acquainted(tenant, user, USERS)),
                store.holdings(tenant, user),
                store.profile(tenant, user),
                list(store.shown(tenant, user)),
            ]
        answers[f"search in {tenant!r}"] = [
            (search, pages_of(store, tenant, *search)) for search in SEARCHES
        ]
    return answers


def pages_of(
    store: Store, tenant: str, query: str, category: str, near: Near | None
) -> Sequence[Found]:
    """Search, two at a time."""
    found: list[Found] = []
    while page := store.search(
        tenant,
        query=query,
        category=category,
        near=near,
        after=found[-1] if found else None,
        limit=2,
    ):
        found += page
        assert len({one.number for one in found}) == len(found)
    return found


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


def test_a_ref_that_another_append_had_for_a_moment_is_still_its_holders() -> None:
    hall, yard = GROUPS[0], GROUPS[1]
    moment = DraftAppend(hall, 0, (), [PutCard({"ref": "a"}), PutCard({"ref": None})], None, ())
    keeper = DraftAppend(yard, 0, (), [PutCard({"ref": "a"})], None, ())
    with tempfile.TemporaryDirectory() as directory:
        sqlite = SqliteStore.open(Path(directory), new_id=lambda: "one")
        for store in (MemoryStore("one"), sqlite):
            play([[(keeper, moment)]], store)
            card = store.group_of_ref("", "a")
            assert card is not None
            assert card.group == yard.key
        sqlite.close()


@given(rounds)
@settings(deadline=None, max_examples=60)
def test_a_rebuilt_index_is_the_live_one(rounds: Sequence[Sequence[Draft]]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        sqlite = SqliteStore.open(Path(directory), new_id=lambda: "one")
        for store in (MemoryStore("one"), sqlite):
            made: dict[tuple[StreamKey, int], list[Change]] = {}

            def project(stream: StreamKey, record: Record) -> Sequence[Change]:
                changes = made.get((stream, record.seq), [])  # noqa: B023
                if record.body is not None:
                    return changes
                return [
                    change for change in changes if not isinstance(change, Mention | Reply | Edit)
                ]

            for drafts in rounds:
                for draft in drafts:
                    write, said = said_in_records(resolve(draft, store))
                    if store.commit([write])[0] is None:
                        made.update(said)
            live = everything(store)
            assert verify_index(store, project) == []
            store.rebuild_index(project)
            rebuilt = everything(store)
            for question, answer in live.items():
                assert rebuilt[question] == answer, question
        sqlite.close()


def said_in_records(write: Write) -> tuple[Write, dict[tuple[StreamKey, int], list[Change]]]:
    """Let the changes of appends come from their records, as all true ones do."""
    said: dict[tuple[StreamKey, int], list[Change]] = {}
    if not isinstance(write, AppendAll):
        return write, said
    appends = []
    for append in write.appends:
        seqs = [record.seq for record in append.records]
        for place, change in enumerate(append.changes if seqs else ()):
            seq = seqs[place % len(seqs)]
            if isinstance(change, Mention | Reply | Edit | Recall | React):
                change = attrs.evolve(change, seq=seq)
            elif isinstance(change, Spoke):
                change = change._replace(seq=seq)
            said.setdefault((append.stream, seq), []).append(change)
        changes = [change for seq in seqs for change in said.get((append.stream, seq), ())]
        appends.append(attrs.evolve(append, changes=changes))
    return AppendAll(appends), said


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


@given(rounds)
@settings(deadline=None, max_examples=100)
def test_a_round_on_disk_comes_to_the_same_as_its_writes_one_by_one(
    rounds: Sequence[Sequence[Draft]],
) -> None:
    with tempfile.TemporaryDirectory() as directory:
        memory = MemoryStore("one")
        sqlite = SqliteStore.open(Path(directory), new_id=lambda: "one")
        for drafts in rounds:
            writes, alone = [], []
            for draft in drafts:
                # Each as of the writes before it, so that a stream may have several in a round.
                writes.append(resolve(draft, memory))
                alone.append(type(memory.commit([writes[-1]])[0]))
            assert [type(outcome) for outcome in sqlite.commit(writes)] == alone
        expected, answers = everything(memory), everything(sqlite)
        sqlite.close()
    for question, answer in expected.items():
        assert answers[question] == answer, question
