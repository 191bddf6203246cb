from __future__ import annotations

from itertools import islice, pairwise

import pytest

from groupd.loadtest.schedule import ARRIVALS, draws, due_times


def test_constant_arrivals_are_at_equal_distances_and_do_not_drift() -> None:
    times = list(due_times(300, 10_000, arrivals="constant", seed=1))
    assert len(times) == 3_000
    assert times[0] == 0
    assert times[300] == 1_000_000
    assert {after - before for before, after in pairwise(times)} == {3_333, 3_334}


def test_a_rate_below_one_a_second_is_a_rate() -> None:
    assert list(due_times(0.5, 5_000, arrivals="constant", seed=1)) == [0, 2_000_000, 4_000_000]


def test_poisson_arrivals_have_the_rate_and_the_spread_of_chance() -> None:
    times = list(due_times(1_000, 20_000, arrivals="poisson", seed=7))
    # 20,000 expected, with a standard deviation of 141.
    assert abs(len(times) - 20_000) < 5 * 141
    gaps = [after - before for before, after in pairwise(times)]
    mean = sum(gaps) / len(gaps)
    variance = sum((gap - mean) ** 2 for gap in gaps) / len(gaps)
    # Of exponential gaps the deviation is the mean.
    assert 0.95 < variance**0.5 / mean < 1.05


@pytest.mark.parametrize("arrivals", ARRIVALS)
def test_times_rise_and_end_before_the_end(arrivals: str) -> None:
    times = list(due_times(500, 3_000, arrivals=arrivals, seed=3))
    assert times == sorted(times)
    assert times[-1] < 3_000_000


def test_the_same_seed_gives_the_same_times_and_another_one_others() -> None:
    one, same, other = (
        list(due_times(100, 5_000, arrivals="poisson", seed=seed)) for seed in (1, 1, 2)
    )
    assert one == same != other


def test_draws_are_spread_between_0_and_1() -> None:
    drawn = list(islice(draws(5), 5_000))
    assert 0 < min(drawn) < 0.01
    assert 0.99 < max(drawn) < 1
    assert abs(sum(drawn) / len(drawn) - 0.5) < 0.02
