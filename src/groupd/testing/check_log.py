"""The conformance suite of the storage port: what a ``Store`` promises, asserted.

For anybody's backend, in the manner of trio's ``check_one_way_stream``: call it from a test. Each
function below checks one group of promises on a fresh store, and its messages say which is broken.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

from groupd.domain.base import ACCOUNT, GROUP, StreamKey
from groupd.domain.projection import Mention, Near, PutCard, PutProfile
from groupd.errors import GroupdError, LogUnavailable
from groupd.storage.audit_port import DropAudit, PutAudit
from groupd.storage.port import (
    AdvanceCursor,
    DropPosition,
    Head,
    PutPosition,
    PutSnapshot,
    Snapshot,
    Store,
)
from groupd.testing.check_log_audit import AUDIT_CHECKS, entry
from groupd.testing.check_log_index import INDEX_CHECKS
from groupd.testing.log_samples import (
    ANN,
    HALL,
    NOWHERE,
    TENANT,
    YARD,
    append,
    do,
    head_of,
    is_conflict,
    joined,
    member,
    outcome_of,
    sample_records,
)

MakeStore: TypeAlias = Callable[[], Store]
Reopen: TypeAlias = Callable[[Store], Store]


def check_log(make_store: MakeStore, *, reopen: Reopen | None = None) -> None:
    """Check that a storage backend keeps every promise of ``groupd.storage.port``.

    ``make_store`` gives an empty open store at each call. ``reopen`` closes a store and opens it
    again; give it for every backend whose content is meant to outlive that.

    Raises AssertionError with the promise that is broken.
    """
    for check in (*STREAM_CHECKS, *AUDIT_CHECKS, *INDEX_CHECKS):
        store = make_store()
        try:
            check(store)
        finally:
            store.close()
    _check_closing(make_store())
    if reopen is not None:
        _check_reopening(make_store(), reopen)


# --- writing


def _check_founding(store: Store) -> None:
    assert store.id, "a store has an id"
    assert store.head(HALL) is None, "a stream that nothing was appended to has no head"
    assert is_conflict(outcome_of(store, append(HALL, 3, after=2))), (
        "an append after seq 2 to a stream that does not exist is a LogConflict"
    )
    assert store.head(HALL) is None, "a refused append founds no stream"
    do(store, append(HALL, 3, deadline_ms=900))
    last = sample_records(HALL, 3)[-1]
    assert store.head(HALL) == Head(3, last.n, last.time_ms, last.chain, 900), (
        "the head tells of the newest record, and the deadline"
    )
    assert is_conflict(outcome_of(store, append(HALL, 1))), (
        "founding a stream that exists is a LogConflict"
    )
    assert store.read(HALL, 0, 10).records == sample_records(HALL, 3), (
        "records are read as they were written, and a refused append leaves them alone"
    )
    assert all(record.followed is False for record in store.read(HALL, 0, 10).records), (
        "followed is read as a bool"
    )


def _check_conflicts_fail_alone(store: Store) -> None:
    outcomes = store.commit(
        [
            append(HALL, 2),
            append(HALL, 2),
            append(YARD, 1, after=5),
            append(HALL, 1, after=2),
            PutSnapshot(NOWHERE, 1, 1, b""),
            AdvanceCursor(NOWHERE, "ann", 1),
            append(YARD, 1),
        ]
    )
    assert len(outcomes) == 7, "commit gives one outcome for each write"
    failed = [index for index, outcome in enumerate(outcomes) if is_conflict(outcome)]
    assert failed == [1, 2, 4, 5], (
        "in a round each write meets the state that earlier ones left, and a LogConflict fails "
        "its own write only"
    )
    assert all(outcome is None for outcome in outcomes if not is_conflict(outcome)), (
        "a write without conflict succeeds"
    )
    assert (head_of(store, HALL), head_of(store, YARD)) == (3, 1), "the other writes took effect"


def _check_two_streams_are_atomic(store: Store) -> None:
    do(store, joined(append(ANN, 1), append(HALL, 1)))
    assert (head_of(store, ANN), head_of(store, HALL)) == (1, 1), "both streams were appended to"
    outcome = outcome_of(store, joined(append(ANN, 1, after=1), append(HALL, 1)))
    assert is_conflict(outcome), "an append to two streams fails when either has moved on"
    assert head_of(store, ANN) == 1, "and then nothing of it is written, on either stream"
    first = append(HALL, 1, after=1, changes=[PutCard({"ref": "a"})])
    second = append(YARD, 1, changes=[PutCard({"ref": "a"})])
    outcome = outcome_of(store, joined(first, second))
    assert is_conflict(outcome), "two appends of one write cannot both take a ref"
    assert head_of(store, HALL) == 1, "and then nothing of it is written"
    assert store.head(YARD) is None, "and no stream is founded"


def _check_erasing(store: Store) -> None:
    do(
        store,
        append(HALL, 3, changes=[member("ann"), member("bo"), Mention(("bo",), 2)]),
        append(HALL, 1, after=3, erase=[2, 77]),
    )
    before = sample_records(HALL, 4)
    erased = before[1]._replace(salt=b"", request_hash=b"", body=None)
    assert store.read(HALL, 0, 10).records == [before[0], erased, *before[2:]], (
        "erasing takes body, salt and request hash, leaves header, inner and chain, and touches "
        "no other record; a seq that does not exist is passed over"
    )
    assert store.pick(HALL, [2]) == [erased], "every way of reading shows it erased"
    assert store.numbers(TENANT, "bo", {"hall": 4})["hall"].mentions == 0, (
        "the mentions of an erased message are gone, as they are after a rebuild"
    )
    do(store, append(HALL, 0, after=4, erase=[1, 3]))
    assert [record.body for record in store.read(HALL, 0, 3).records] == [None] * 3, (
        "an append without records can erase"
    )
    assert head_of(store, HALL) == 4, "and leaves the head where it is"
    do(store, PutSnapshot(HALL, 3, 1, b"state"), append(HALL, 0, after=4, erase=[4]))
    assert store.snapshot(HALL) is not None, "a snapshot from before what is erased stays"
    do(store, append(HALL, 0, after=4, erase=[3]))
    assert store.snapshot(HALL) is None, (
        "a snapshot that may hold a hash of what is erased goes in the same transaction"
    )
    store.checkpoint()
    assert head_of(store, HALL) == 4, "a checkpoint changes nothing that can be read"


# --- reading


def _check_reading(store: Store) -> None:
    do(store, append(YARD, 4), append(HALL, 9), append(YARD, 1, after=4))
    records = sample_records(HALL, 9)
    for after in range(-1, 11):
        for limit in (1, 3, 20):
            piece = store.read(HALL, after, limit)
            expected = records[max(after, 0) : max(after, 0) + limit]
            assert list(piece.records) == expected, (
                f"read(after={after}, limit={limit}) gives the next records, in order"
            )
            assert piece.more == (max(after, 0) + len(expected) < 9), (
                f"read(after={after}, limit={limit}) says whether there is more"
            )
    for before in range(13):
        for floor in (-1, 1, 4, 9, 12):
            for limit in (1, 3, 20):
                piece = store.read_back(HALL, before, limit, floor)
                readable = [record for record in records if floor <= record.seq < before]
                call = f"read_back(before={before}, limit={limit}, floor={floor})"
                assert list(piece.records) == readable[-limit:], (
                    f"{call} gives the newest records before, in rising order"
                )
                assert piece.more == (len(readable) > limit), f"{call} says whether there is more"
    assert not store.read(NOWHERE, 0, 5).records, "a stream that does not exist has no records"
    assert not store.read_back(NOWHERE, 9, 5, 1).more, "and no more of them"
    assert list(store.pick(HALL, [7, 2, 99, 0, 2])) == [records[1], records[6]], (
        "pick gives what exists of the seqs, once each, in rising order"
    )
    assert list(store.pick(NOWHERE, [1])) == [], "pick finds nothing where there is no stream"


def _check_sizes(store: Store) -> None:
    do(store, append(HALL, 9))
    records = sample_records(HALL, 9)
    two = sum(len(record.header) + len(record.body or b"") for record in records[:2])
    for max_bytes, count in ((1, 1), (two - 1, 1), (two, 2), (two + 1, 2), (10**6, 5)):
        piece = store.read(HALL, 0, 5, max_bytes)
        assert list(piece.records) == records[:count], (
            "read gives as many records as fit into max_bytes of headers and bodies, at least one"
        )
        assert piece.more, "and says that there is more"
    last_two = sum(len(record.header) + len(record.body or b"") for record in records[-2:])
    for max_bytes, count in ((1, 1), (last_two, 2), (10**6, 5)):
        piece = store.read_back(HALL, 10, 5, 1, max_bytes)
        assert list(piece.records) == records[-count:], (
            "read_back gives the newest records that fit into max_bytes, at least one"
        )
        assert piece.more, "and says that there is more"


def _check_order_of_streams(store: Store) -> None:
    keys = [
        StreamKey(kind, tenant, key)
        for kind in (GROUP, ACCOUNT)
        for tenant in ("", "b", "a")
        for key in ("z", "B", "群", "a", "\U0001f600")
    ]
    do(store, *(append(key, 1) for key in keys))
    ordered = sorted(keys)
    assert list(store.streams(None, 100)) == ordered, (
        "streams are listed in the order of their keys, by code points"
    )
    assert list(store.streams(ordered[3], 4)) == ordered[4:8], "a page begins after the last one"
    assert list(store.streams(ordered[-1], 4)) == [], "after the last stream comes none"


def _check_snapshots(store: Store) -> None:
    do(store, append(HALL, 3))
    assert store.snapshot(HALL) is None, "a stream begins without a snapshot"
    assert store.snapshot(NOWHERE) is None, "a stream that does not exist has no snapshot"
    do(store, PutSnapshot(HALL, 2, 1, b"two"), PutSnapshot(HALL, 3, 2, bytes(100_000)))
    assert store.snapshot(HALL) == Snapshot(3, 2, bytes(100_000)), "a snapshot replaces the last"


def _check_deadlines(store: Store) -> None:
    assert store.next_deadline_ms() is None, "no stream, no deadline"
    do(
        store,
        append(HALL, 1, deadline_ms=300),
        append(YARD, 1, deadline_ms=100),
        append(ANN, 1),
    )
    assert store.next_deadline_ms() == 100, "the next deadline is the earliest"
    assert list(store.due(99, 10)) == [], "nothing is due before its time"
    assert list(store.due(100, 10)) == [YARD], "a stream is due at its deadline"
    assert list(store.due(999, 10)) == [YARD, HALL], "the earliest is listed first"
    assert list(store.due(999, 1)) == [YARD], "no more are listed than asked for"
    do(store, append(YARD, 1, after=1), append(HALL, 0, after=1, deadline_ms=400))
    assert list(store.due(999, 10)) == [HALL], "an append without a deadline takes it away"
    assert store.next_deadline_ms() == 400, "an append without records can move a deadline"


def _check_global_order(store: Store) -> None:
    assert store.position("reactor") == 0, "a new reactor begins at 0"
    do(store, append(HALL, 2, followed=True))
    do(
        store,
        append(YARD, 2),
        append(ANN, 1, followed=True),
        append(HALL, 1, after=2),
    )
    do(store, append(HALL, 1, after=3, followed=True))
    found = store.followed(0, 100)
    assert [(entry.stream, entry.record.seq) for entry in found] == [
        (HALL, 1),
        (HALL, 2),
        (ANN, 1),
        (HALL, 4),
    ], "followed gives the followed records of all streams in the order of writing"
    assert all(entry.record.followed for entry in found), "and no others"
    positions = [entry.position for entry in found]
    assert positions == sorted(set(positions)), "positions rise"
    assert positions[0] > 0, "and begin above 0"
    assert list(store.followed(positions[1], 1)) == [found[2]], "a page begins after a position"
    do(store, PutPosition("reactor", positions[1]), PutPosition("other", 7))
    assert store.position("reactor") == positions[1], "a reactor's position is kept"
    order = store.changes(0, 100)
    assert [(entry.stream, entry.record.seq) for entry in order] == [
        (HALL, 1),
        (HALL, 2),
        (YARD, 1),
        (YARD, 2),
        (ANN, 1),
        (HALL, 3),
        (HALL, 4),
    ], "changes gives all records of all streams in the order of writing"
    assert [entry for entry in order if entry.record.followed] == list(found), "at one place each"
    for place in range(len(order)):
        page = store.changes(order[place].position, 2)
        assert list(page) == list(order[place + 1 : place + 3]), "changes is read in pages"
    assert store.last_position() == order[-1].position, "last_position is that of the newest"
    do(store, PutPosition("consumer/b", 1), PutPosition("consumer/a", 2))
    assert list(store.positions("consumer/")) == [("consumer/a", 2), ("consumer/b", 1)], (
        "positions lists those whose names begin so"
    )
    do(store, DropPosition("consumer/a"), DropPosition("nobody"))
    assert list(store.positions("consumer/")) == [("consumer/b", 1)], "one is dropped"


# --- closing


def _check_closing(store: Store) -> None:
    do(store, append(HALL, 1))
    store.close()
    store.close()
    for use in (lambda: store.head(HALL), lambda: store.streams(None, 1), store.checkpoint):
        error = _error_of(use)
        assert isinstance(error, LogUnavailable), f"a closed store is LogUnavailable, not {error!r}"
    try:
        outcomes = store.commit([append(HALL, 1, after=1)])
    except LogUnavailable:
        return
    assert all(isinstance(outcome, LogUnavailable) for outcome in outcomes), (
        "a closed store writes nothing"
    )


def _check_reopening(store: Store, reopen: Reopen) -> None:
    card = {"ref": "a", "name": "Hall", "discoverable": True, "location": {"lat": 1.0, "lon": 2.0}}
    do(
        store,
        append(HALL, 5, changes=[PutCard(card), member("ann")], deadline_ms=70),
        append(ANN, 2, followed=True, changes=[PutProfile("Ann", "", "", "", None)]),
        append(HALL, 1, after=5, erase=[3]),
        PutSnapshot(HALL, 4, 1, b"state"),
        AdvanceCursor(HALL, "ann", 2),
        PutPosition("reactor", 6),
        PutAudit([entry(HALL, 1), entry(ANN, 2)]),
        DropAudit(1),
    )

    def content(store: Store) -> list[object]:
        return [
            store.id,
            store.streams(None, 10),
            store.head(HALL),
            store.read(HALL, 0, 10),
            store.read(ANN, 0, 10),
            store.snapshot(HALL),
            store.due(100, 10),
            store.cursors(TENANT, "hall"),
            store.position("reactor"),
            store.audit.since(0, 10),
            store.followed(0, 10),
            store.group_of_ref(TENANT, "a"),
            list(store.dump_index()),
            store.index_is_stale,
            list(
                store.search(
                    TENANT,
                    query="hall",
                    category="",
                    near=Near(1.0, 2.0, 9),
                    after=None,
                    limit=9,
                )
            ),
        ]

    before = content(store)
    store = reopen(store)
    try:
        for kept, expected in zip(content(store), before, strict=True):
            assert kept == expected, f"after reopening there is {kept} where {expected} was"
        do(store, append(HALL, 1, after=6), append(ANN, 1, after=2, followed=True))
        positions = [entry.position for entry in store.followed(0, 10)]
        assert positions == sorted(set(positions)), "positions rise across a reopening"
    finally:
        store.close()


def _error_of(use: Callable[[], object]) -> GroupdError | None:
    try:
        use()
    except GroupdError as error:
        return error
    return None


STREAM_CHECKS: Final[Sequence[Callable[[Store], None]]] = (
    _check_founding,
    _check_conflicts_fail_alone,
    _check_two_streams_are_atomic,
    _check_erasing,
    _check_reading,
    _check_sizes,
    _check_order_of_streams,
    _check_snapshots,
    _check_deadlines,
    _check_global_order,
)
