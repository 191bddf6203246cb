"""The receipts of a stream: compiled and in Python they are one thing."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from groupd import native
from groupd.domain.base import Receipt
from groupd.domain.receipts import _ReceiptsInPython
from tests.strategies import NOW_MS, uuid7

KINDS = [
    pytest.param(_ReceiptsInPython, id="python"),
    pytest.param(
        native.receipts and native.receipts.Receipts,
        id="compiled",
        marks=pytest.mark.skipif(not native.IS_COMPILED, reason="nothing is compiled here"),
    ),
]
each_kind = pytest.mark.parametrize("kind", KINDS)
HASH = b"h" * 16


def some(kind: Any, count: int) -> Any:
    made = kind()
    for number in range(count):
        made.add("ann", uuid7(NOW_MS, number), Receipt(HASH, number, NOW_MS + number, None))
    return made


@each_kind
def test_a_receipt_is_found_by_its_user_and_id_in_either_case(kind: Any) -> None:
    receipts, request_id = kind(), uuid7(NOW_MS, 0xABCDEF)
    receipts.add("ann", request_id.upper(), Receipt(HASH, 7, NOW_MS, "G"))
    assert receipts.find("ann", request_id) == Receipt(HASH, 7, NOW_MS, "G")
    assert type(receipts.find("ann", request_id)) is Receipt
    assert receipts.find("bob", request_id) is None
    assert receipts.find("ann", uuid7(NOW_MS, 1)) is None
    assert receipts.find("ann", "no id") is None
    assert list(receipts) == [("ann", request_id, Receipt(HASH, 7, NOW_MS, "G"))]


@each_kind
@pytest.mark.parametrize("value", [None, "", "名字", 0, -1, 2**63 - 1])
def test_what_an_event_adds_is_kept(kind: Any, value: Any) -> None:
    receipts = kind()
    receipts.add("ann", uuid7(NOW_MS), Receipt(b"", 1, NOW_MS, value))
    for kept in (receipts, kind.load(msgpack.unpackb(msgpack.packb(receipts.dump(erasable=True))))):
        assert kept.find("ann", uuid7(NOW_MS)) == Receipt(b"", 1, NOW_MS, value)


@each_kind
def test_what_is_no_id_cannot_be_added(kind: Any) -> None:
    receipts = kind()
    with pytest.raises(ValueError, match="'no id' is no request id"):
        receipts.add("ann", "no id", Receipt(HASH, 1, NOW_MS, None))
    assert not receipts
    assert receipts == kind()


@each_kind
def test_nothing_can_be_taken_out_of_none(kind: Any) -> None:
    with pytest.raises(IndexError):
        kind().drop()
    with pytest.raises(IndexError):
        kind().time_ms(0)


@each_kind
def test_a_number_that_is_too_large_leaves_all_as_it_was(kind: Any) -> None:
    if kind is _ReceiptsInPython:
        pytest.skip("Python's have no end")
    receipts = some(kind, 3)
    with pytest.raises(OverflowError):
        receipts.add("bob", uuid7(NOW_MS), Receipt(HASH, 1, NOW_MS, 2**63))
    with pytest.raises(TypeError):
        receipts.add("bob", uuid7(NOW_MS), Receipt(HASH, 1, NOW_MS, 1.5))
    wrong: list[Any] = [b"short", None]
    for request_hash in wrong:
        with pytest.raises(ValueError, match="a request hash has 16 bytes, or none"):
            receipts.add("bob", uuid7(NOW_MS), Receipt(request_hash, 1, NOW_MS, None))
    assert receipts == some(kind, 3)


@each_kind
def test_columns_of_other_lengths_are_refused(kind: Any) -> None:
    plain = some(kind, 3).dump(erasable=True)
    for column in (4, 5, 6):
        with pytest.raises(ValueError, match="zip"):
            kind.load([*plain[:column], plain[column][:-1], *plain[column + 1 :]])
    for column in (1, 2, 3):
        with pytest.raises(ValueError, match="the columns are not of one length"):
            kind.load([*plain[:column], plain[column][:-1], *plain[column + 1 :]])


@each_kind
def test_20_000_come_and_go(kind: Any) -> None:
    receipts = some(kind, 20_000)
    for number in range(20_000, 25_000):
        assert receipts.drop() == ("ann", NOW_MS)
        receipts.add("ann", uuid7(NOW_MS, number), Receipt(HASH, number, NOW_MS, number))
    assert len(receipts) == 20_000
    assert [row[2].seq for row in receipts] == list(range(5_000, 25_000))
    assert all(receipts.find(*row[:2]) == row[2] for row in receipts)
    assert all(receipts.find("ann", uuid7(NOW_MS, number)) is None for number in range(5_000))


class Counting(deque[Any]):
    """Counts what is looked at from the newest on."""

    looked_at = 0

    def __reversed__(self) -> Iterator[Any]:
        for key in super().__reversed__():
            self.looked_at += 1
            yield key


@pytest.mark.parametrize(("seq", "looked_at"), [(999, 2), (994, 7), (-1, 0)])
def test_erasing_what_was_said_just_now_looks_at_few_and_what_is_forgotten_at_none(
    seq: int, looked_at: int
) -> None:
    receipts = some(_ReceiptsInPython, 1_000)
    counting = receipts._order = Counting(receipts._order)
    receipts.erase((seq,))
    assert counting.looked_at == looked_at


USERS = st.sampled_from(["ann", "bob", "名", ""])
IDS = st.integers(0, 12).map(lambda number: uuid7(NOW_MS + number % 3, number))
STEPS = st.one_of(
    st.tuples(
        st.just("add"),
        USERS,
        IDS | IDS.map(str.upper),
        st.builds(
            Receipt,
            st.sampled_from([b"", HASH, b"k" * 16]),
            st.integers(0, 30),
            st.integers(0, 2**53),
            st.none() | st.integers(-5, 2**40) | st.text(max_size=3),
        ),
    ),
    st.tuples(st.just("find"), USERS, IDS | st.text(max_size=3)),
    st.tuples(st.just("drop")),
    st.tuples(st.just("erase"), st.frozensets(st.integers(0, 30), max_size=3)),
    st.tuples(st.just("time_ms"), st.integers(0, 3)),
)


@pytest.mark.skipif(not native.IS_COMPILED, reason="nothing is compiled here")
@given(st.lists(STEPS, max_size=60))
def test_both_kinds_do_the_same(steps: list[Any]) -> None:
    assert native.receipts is not None
    compiled, plain = native.receipts.Receipts(), _ReceiptsInPython()
    for name, *given_ in steps:
        if (name == "drop" and not plain) or (name == "time_ms" and given_[0] >= len(plain)):
            continue
        assert getattr(compiled, name)(*given_) == getattr(plain, name)(*given_)
        assert len(compiled) == len(plain)
    assert list(compiled) == list(plain)
    for erasable in (True, False):
        assert compiled.dump(erasable=erasable) == plain.dump(erasable=erasable)
    dumped = plain.dump(erasable=True)
    assert list(native.receipts.Receipts.load(dumped)) == list(_ReceiptsInPython.load(dumped))
    assert native.receipts.Receipts.load(dumped) == compiled
