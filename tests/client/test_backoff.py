from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groupd.client.backoff import DRAW_BYTES, Backoff
from groupd.errors import ConfigError

backoffs = st.tuples(st.integers(1, 10_000), st.integers(0, 100_000)).map(
    lambda pair: Backoff(base_ms=pair[0], cap_ms=pair[0] + pair[1])
)
draws = st.binary(min_size=DRAW_BYTES, max_size=DRAW_BYTES)


@given(backoffs, st.integers(1, 10**6), draws)
def test_a_wait_is_never_above_its_ceiling(backoff: Backoff, attempt: int, draw: bytes) -> None:
    ceiling = min(backoff.cap_ms, backoff.base_ms * 2 ** min(attempt - 1, 64))
    assert 0 <= backoff.delay_ms(attempt, draw) <= ceiling


@given(backoffs, st.integers(1, 40))
def test_the_whole_range_is_drawn_from(backoff: Backoff, attempt: int) -> None:
    ceiling = min(backoff.cap_ms, backoff.base_ms * 2 ** (attempt - 1))
    assert backoff.delay_ms(attempt, bytes(DRAW_BYTES)) == 0
    assert backoff.delay_ms(attempt, b"\xff" * DRAW_BYTES) == ceiling


@given(backoffs, st.integers(1, 100), draws, draws)
def test_a_larger_draw_never_waits_less(
    backoff: Backoff, attempt: int, one: bytes, two: bytes
) -> None:
    low, high = sorted((one, two))
    assert backoff.delay_ms(attempt, low) <= backoff.delay_ms(attempt, high)


@pytest.mark.parametrize(("base_ms", "cap_ms"), [(0, 10), (-1, 10), (11, 10)])
def test_limits_that_make_no_sense_are_refused(base_ms: int, cap_ms: int) -> None:
    with pytest.raises(ConfigError, match="base_ms"):
        Backoff(base_ms=base_ms, cap_ms=cap_ms)
