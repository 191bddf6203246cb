from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groupd.loadtest.histogram import SUB_BITS, VALUE_MAX, Histogram

VALUES = st.lists(
    st.one_of(st.integers(0, 1_000), st.integers(0, VALUE_MAX)), min_size=1, max_size=200
)
WIDTH = 1 / 2 ** (SUB_BITS - 1)


def of(values: list[int]) -> Histogram:
    made = Histogram()
    for value in values:
        made.record(value)
    return made


@given(VALUES, st.integers(1, 1_000))
def test_a_percentile_is_never_too_low_and_hardly_too_high(values: list[int], share: int) -> None:
    exact = sorted(values)[-(-len(values) * share // 1_000) - 1]
    assert exact <= of(values).percentile(share) <= exact * (1 + WIDTH)


@given(VALUES)
def test_the_largest_value_is_exact(values: list[int]) -> None:
    histogram = of(values)
    assert histogram.percentile(1_000) == histogram.max_us == max(values)
    assert histogram.count == len(values)
    assert histogram.mean_us == sum(values) / len(values)


@given(VALUES, VALUES)
def test_what_is_added_up_is_as_if_it_had_been_counted_together(
    one: list[int], other: list[int]
) -> None:
    added, together = of(one), of(one + other)
    added.add(of(other))
    for share in (1, 500, 900, 990, 999, 1_000):
        assert added.percentile(share) == together.percentile(share)
    assert (added.count, added.total_us) == (together.count, together.total_us)


@given(VALUES, VALUES)
def test_what_has_come_since_a_copy_is_told_apart(one: list[int], other: list[int]) -> None:
    histogram = of(one)
    earlier = histogram.copy()
    for value in other:
        histogram.record(value)
    since = histogram.since(earlier)
    assert since.count == len(other)
    for share in (1, 500, 990, 1_000):
        exact = sorted(other)[-(-len(other) * share // 1_000) - 1]
        assert exact <= since.percentile(share) <= exact * (1 + WIDTH)
    assert earlier.count == len(one)


def test_nothing_has_come_since_now() -> None:
    histogram = of([5])
    assert histogram.since(histogram).count == 0
    assert histogram.since(histogram).max_us == 0


def test_small_values_are_exact() -> None:
    assert [of([value]).percentile(500) for value in range(300)] == list(range(300))
    histogram = of(list(range(2**SUB_BITS)))
    assert [histogram.at_rank(rank + 1) for rank in range(2**SUB_BITS)] == list(range(2**SUB_BITS))


def test_what_is_out_of_range_counts_as_the_nearest() -> None:
    assert of([-5]).percentile(500) == 0
    assert of([VALUE_MAX * 2]).percentile(500) == VALUE_MAX


def test_memory_does_not_grow_with_what_is_counted() -> None:
    few, many = of([1]), of([value * value for value in range(5_000)])
    assert len(few._counts) == len(many._counts)


def test_of_nothing_there_is_no_percentile() -> None:
    with pytest.raises(ValueError, match="rank"):
        Histogram().percentile(500)
    with pytest.raises(ValueError, match="per mille"):
        of([1]).percentile(0)
    with pytest.raises(ValueError, match="per mille"):
        of([1]).percentile(1_001)
