"""The memory of requests: compiled and in Python it is one thing."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from groupd import native
from groupd.config import Limits
from groupd.domain import exactly_once
from groupd.domain.base import Receipt
from groupd.domain.exactly_once import _MemoryInPython
from groupd.domain.receipts import Receipts
from groupd.errors import Rejected
from tests.strategies import NOW_MS, uuid7

pytestmark = pytest.mark.skipif(not native.IS_COMPILED, reason="nothing is compiled here")

HASH, OTHER = b"h" * 16, b"o" * 16
LIMITS = attrs.evolve(Limits(), ids_max=4, ids_window_ms=10, ids_ahead_ms=2)
ROOMY = attrs.evolve(LIMITS, ids_max=1_000)
USERS = st.sampled_from(["ann", "bob", "cy", "名"])
AGES_MS = st.integers(-4, 14)
IDS = st.tuples(AGES_MS, st.integers(0, 2)).map(lambda drawn: uuid7(NOW_MS - drawn[0], drawn[1]))
GIVEN_IDS = IDS | IDS | IDS.map(str.upper) | st.text(max_size=3)
TIMES = st.integers(NOW_MS - 5, NOW_MS + 12)
STEPS = st.one_of(
    st.tuples(
        st.just("recall"),
        USERS,
        GIVEN_IDS,
        st.sampled_from([HASH, OTHER, b""]),
        TIMES,
        st.just(LIMITS),
    ),
    st.tuples(
        st.just("remember"),
        USERS,
        GIVEN_IDS,
        st.builds(
            Receipt,
            st.sampled_from([HASH, OTHER, b""]),
            st.integers(0, 9),
            TIMES,
            st.none() | st.text(max_size=3),
        ),
    ),
    st.tuples(st.just("forget"), st.integers(-1, 3)),
)


def outcome(memory: Any, name: str, given_: list[Any]) -> Any:
    """Do a step, and give all that one can see of it."""
    try:
        made = getattr(memory, name)(*given_)
    except Rejected as refusal:
        made = (refusal.code, refusal.message, refusal.details)
    except ValueError as error:
        made = str(error)
    return made, list(memory.forgotten.items()), memory.forgotten_ms, list(memory.receipts)


@given(
    steps=st.lists(STEPS, min_size=10, max_size=60),
    forgotten=st.dictionaries(USERS, TIMES, max_size=2),
    forgotten_ms=st.just(0) | TIMES,
    users_max=st.integers(1, 4),
)
def test_both_kinds_do_the_same(
    steps: list[Any], forgotten: dict[str, int], forgotten_ms: int, users_max: int
) -> None:
    assert native.receipts is not None
    kinds = (native.receipts.Memory, _MemoryInPython)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exactly_once, "FORGOTTEN_USERS_MAX", users_max)
        compiled, plain = (kind(Receipts(), OrderedDict(forgotten), forgotten_ms) for kind in kinds)
        for name, *given_ in steps:
            assert outcome(compiled, name, given_) == outcome(plain, name, given_)
            # Just before, and just when, each of the oldest three is overdue.
            for _user, _id, receipt in list(plain.receipts)[:3]:
                for now_ms in (receipt.time_ms + 9, receipt.time_ms + 10):
                    for limits in (LIMITS, ROOMY):
                        due = plain.overdue(now_ms, limits)
                        assert compiled.overdue(now_ms, limits) == due


@pytest.mark.parametrize(
    "given_",
    [
        (None, uuid7(NOW_MS), HASH, NOW_MS, LIMITS),
        ("ann", None, HASH, NOW_MS, LIMITS),
        ("ann", uuid7(NOW_MS), None, NOW_MS, LIMITS),
        ("ann", uuid7(NOW_MS), "hash", NOW_MS, LIMITS),
    ],
)
def test_what_is_of_another_type_is_refused(given_: tuple[Any, ...]) -> None:
    assert native.receipts is not None
    with pytest.raises(TypeError):
        native.receipts.Memory().recall(*given_)


def test_one_that_was_not_initialised_is_empty() -> None:
    assert native.receipts is not None
    bare = native.receipts.Memory.__new__(native.receipts.Memory)
    assert bare.recall("ann", uuid7(NOW_MS), HASH, NOW_MS, LIMITS) is None
    bare.forget(1)
    assert (len(bare.receipts), bare.forgotten, bare.forgotten_ms) == (0, {}, 0)
