"""The part of ``check_log`` about the audit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import attrs

from groupd.domain.base import StreamKey
from groupd.domain.projection import PutCard
from groupd.storage.audit_port import AuditEntry, DropAudit, PutAudit
from groupd.storage.port import AppendAll, DropPosition, PutPosition, Store
from groupd.testing.log_samples import (
    ANN,
    HALL,
    TENANT,
    YARD,
    append,
    do,
    head_of,
    is_conflict,
    joined,
    outcome_of,
)


def entry(stream: StreamKey, seq: int = 0, *, about: str = "", time_ms: int = 1_000) -> AuditEntry:
    """Make an entry of somebody's."""
    return AuditEntry(
        time_ms=time_ms,
        key="shop",
        user="" if seq % 2 else "ann",
        method="post",
        stream=stream,
        seq=seq,
        about=about,
    )


def noted(write: AppendAll, *entries: AuditEntry) -> AppendAll:
    """Give an append whose first part has these entries."""
    first, *rest = write.appends
    return AppendAll((attrs.evolve(first, audit=entries), *rest))


def _audit_of(store: Store) -> list[AuditEntry]:
    return [item.entry for item in store.audit.since(0, 100)]


def _check_an_entry_comes_with_its_append(store: Store) -> None:
    assert store.audit.last_n() == 0, "a new store has an empty audit"
    one, two, three = entry(HALL, 1), entry(HALL, 2, about="bo"), entry(HALL, 3)
    do(store, noted(append(HALL, 1), one))
    do(store, noted(append(HALL, 2, after=1), two, three))
    assert _audit_of(store) == [one, two, three], "an append brings its entries, in order"
    refused = outcome_of(store, noted(append(HALL, 1, after=1), entry(HALL, 2)))
    assert is_conflict(refused), "an append after another head is a LogConflict"
    outcomes = store.commit(
        [
            noted(append(HALL, 1, after=9), entry(HALL, 10)),
            noted(append(HALL, 1, after=3, changes=[PutCard({"ref": "a"})]), entry(HALL, 4)),
            noted(append(YARD, 1, changes=[PutCard({"ref": "a"})]), entry(YARD, 1)),
            noted(append(HALL, 1, after=4), entry(HALL, 5)),
        ]
    )
    assert [is_conflict(outcome) for outcome in outcomes] == [True, False, True, False], (
        "an append with entries conflicts as any other does"
    )
    assert [each.seq for each in _audit_of(store)] == [1, 2, 3, 4, 5], (
        "a write that fails leaves no entry, and the others of its round leave theirs, in order"
    )
    pair = joined(append(ANN, 1), append(YARD, 1, after=3))
    assert is_conflict(outcome_of(store, noted(pair, entry(ANN, 1)))), "one of two that misses"
    assert len(_audit_of(store)) == 5, "and where one of two appends fails, neither has an entry"
    do(store, noted(append(HALL, 0, after=head_of(store, HALL), erase=[1]), entry(HALL, 6)))
    assert len(_audit_of(store)) == 6, "an append without records may have one"


def _check_entries_without_an_append(store: Store) -> None:
    gone = entry(StreamKey("consumer", TENANT, "orders"))
    do(store, PutPosition("consumer/orders", 3), PutAudit([entry(ANN), entry(HALL)]))
    do(store, DropPosition("consumer/orders", [gone]))
    assert _audit_of(store) == [entry(ANN), entry(HALL), gone], (
        "entries may come by themselves, and with the end of a position"
    )
    assert store.head(HALL) is None, "they found no stream"


def _check_reading_the_audit(store: Store) -> None:
    other = StreamKey(HALL.kind, "other", HALL.key)
    streams = [HALL, YARD, other, ANN, HALL, other, HALL]
    do(store, PutAudit([entry(stream, seq) for seq, stream in enumerate(streams, 1)]))
    items = store.audit.since(0, 100)
    numbers = [item.n for item in items]
    assert numbers == sorted(set(numbers)), "numbers rise"
    assert numbers[0] > 0, "and begin above 0"
    assert store.audit.last_n() == numbers[-1], "last_n is that of the latest"
    assert list(store.audit.since(numbers[2], 2)) == list(items[3:5]), "since goes on in pages"

    def seqs(stream: StreamKey | None, before: int | None = None, limit: int = 9) -> list[int]:
        found = store.audit.latest(TENANT, stream, before, limit)
        return [item.entry.seq for item in found]

    assert seqs(None) == [7, 5, 4, 2, 1], "latest gives a tenant's own, the latest first"
    assert seqs(HALL) == [7, 5, 1], "or those of one stream"
    assert seqs(None, numbers[4]) == [4, 2, 1], "before a number, which is left out itself"
    assert seqs(HALL, numbers[6], 1) == [5], "no more than asked for"
    assert seqs(other) == [], "and nothing of another tenant's"


def _check_dropping_the_audit(store: Store) -> None:
    do(store, PutAudit([entry(HALL, seq) for seq in range(1, 5)]))
    numbers = [item.n for item in store.audit.since(0, 100)]
    do(store, DropAudit(numbers[1]))
    assert [item.n for item in store.audit.since(0, 100)] == numbers[2:], (
        "entries go up to a number, and with it"
    )
    do(store, DropAudit(numbers[-1]), PutAudit([entry(HALL, 9)]))
    (left,) = store.audit.since(0, 100)
    assert left.n > numbers[-1], "a number never comes again, also where all others went"
    assert [item.entry.seq for item in store.audit.latest(TENANT, HALL, None, 9)] == [9], (
        "and what went is found in no way"
    )


AUDIT_CHECKS: Final[Sequence[Callable[[Store], None]]] = (
    _check_an_entry_comes_with_its_append,
    _check_entries_without_an_append,
    _check_reading_the_audit,
    _check_dropping_the_audit,
)
