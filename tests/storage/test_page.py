"""Pages of events: spliced from stored bytes, and the same as made of records one by one."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from groupd.domain.base import GROUP, Audience, Record, StreamKey
from groupd.domain.group.messages import Posted
from groupd.storage.memory import MemoryStore
from groupd.storage.port import Append, AppendAll, Page, Store
from groupd.storage.sqlite import SqliteStore
from groupd.wire import codec

HALL = StreamKey(GROUP, "", "hall")
NOWHERE = StreamKey(GROUP, "", "nowhere")
FAR = 2**63 - 1
"""The highest seq that a request can name."""


def record(seq: int, *, text: str, audience: Audience, request_id: str) -> Record:
    """Make a record whose bytes are such as a server writes; of its hashes nothing is asked."""
    header = codec.RecordWriter(HALL).header(seq, 1_000 + seq, "ann", "posted", request_id)
    body = codec.encode_body(Posted(text=text))
    private = (audience, seq, 0, False, header, b"salt", b"hash", body, b"inner", b"chain")
    return Record(seq, 1_000 + seq, "posted", "ann", request_id, *private)


def expected(
    records: Sequence[Record],
    *,
    low: int,
    high: int,
    newest: bool,
    limit: int,
    max_bytes: int,
    view: Audience,
) -> Page:
    """Give the page as its definition has it."""
    asked = [record for record in records if low <= record.seq <= high]
    taken: list[Record] = []
    for one in (asked[::-1] if newest else asked)[:limit]:
        size = sum(len(each.header) + len(each.body or b"") for each in (*taken, one))
        if taken and size > max_bytes:
            break
        taken.append(one)
    shown = [codec.shown_map(one, view) for one in sorted(taken, key=lambda one: one.seq)]
    return Page(shown, more=len(taken) < len(asked))


@st.composite
def logs(draw: st.DrawFn) -> list[Record]:
    count = draw(st.integers(1, 12))
    return [
        record(
            seq,
            text=draw(st.text(max_size=20)),
            audience=draw(st.sampled_from(Audience)),
            request_id=draw(st.sampled_from(("", "one"))),
        )
        for seq in range(1, count + 1)
    ]


questions = st.fixed_dictionaries(
    {
        "low": st.integers(0, 14) | st.just(FAR),
        "high": st.integers(-1, 14) | st.just(FAR),
        "newest": st.booleans(),
        "limit": st.integers(1, 13),
        "max_bytes": st.integers(0, 600),
        "view": st.sampled_from(Audience),
    }
)


@given(logs(), st.sets(st.integers(1, 12)), st.lists(questions, min_size=1, max_size=8))
@settings(deadline=None, max_examples=80)
def test_a_page_is_what_its_records_show_one_by_one(
    log: list[Record], erased: set[int], asked: list[dict[str, int]]
) -> None:
    with tempfile.TemporaryDirectory() as directory:
        sqlite = SqliteStore.open(Path(directory), new_id=lambda: "one")
        for store in (MemoryStore("one"), sqlite):
            erase = sorted(seq for seq in erased if seq <= len(log))
            writes = (Append(HALL, 0, log), Append(HALL, len(log), (), erase=erase))
            assert store.commit([AppendAll((write,)) for write in writes]) == [None, None]
            kept = store.read(HALL, 0, 99).records
            for question in asked:
                page = store.page(HALL, **question)  # type: ignore[arg-type]
                wanted = expected(kept, **question)  # type: ignore[arg-type]
                assert (list(page.events), page.more) == (list(wanted.events), wanted.more)
        sqlite.close()


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    makers: dict[str, Callable[[], Store]] = {
        "memory": lambda: MemoryStore("one"),
        "sqlite": lambda: SqliteStore.open(tmp_path, new_id=lambda: "one"),
    }
    store = makers[request.param]()
    yield store
    store.close()


def three_in(store: Store) -> list[Record]:
    log = [
        record(seq, text="x" * seq, audience=Audience.MEMBERS, request_id="") for seq in (1, 2, 3)
    ]
    assert store.commit([AppendAll((Append(HALL, 0, log),))]) == [None]
    return log


def page(store: Store, stream: StreamKey = HALL, **asked: Any) -> Page:
    wide = {"low": 1, "high": 9, "newest": False, "limit": 9, "max_bytes": 9_999}
    return store.page(stream, **{**wide, **asked}, view=Audience.ADMINS)


@pytest.mark.parametrize("newest", [True, False])
def test_events_that_fit_exactly_are_in_the_page(store: Store, newest: bool) -> None:
    log = three_in(store)
    two = log[1:] if newest else log[:2]
    size = sum(len(one.header) + len(one.body or b"") for one in two)
    fitting = page(store, newest=newest, max_bytes=size)
    assert (list(fitting.events), fitting.more) == ([codec.event_map(one) for one in two], True)
    assert len(page(store, newest=newest, max_bytes=size - 1).events) == 1


@pytest.mark.parametrize("newest", [True, False])
@pytest.mark.parametrize(("low", "high"), [(1, 0), (1, -1), (3, 2), (4, 9), (FAR + 1, FAR)])
def test_a_range_of_nothing_has_an_empty_page(
    store: Store, low: int, high: int, newest: bool
) -> None:
    three_in(store)
    nothing = page(store, low=low, high=high, newest=newest)
    assert (list(nothing.events), nothing.more) == ([], False)


def test_a_stream_that_is_not_there_has_an_empty_page(store: Store) -> None:
    nothing = page(store, NOWHERE)
    assert (list(nothing.events), nothing.more) == ([], False)
