from __future__ import annotations

import uuid

from hypothesis import given
from hypothesis import strategies as st

from groupd.client.ids import DRAW_BYTES, RisingIds
from groupd.domain.fields import request_id_ms

times = st.integers(min_value=0, max_value=2**48 - 1)
draws = st.binary(min_size=DRAW_BYTES, max_size=DRAW_BYTES)


@given(times, draws)
def test_an_id_is_a_uuid_of_version_7_with_the_time_in_it(ms: int, draw: bytes) -> None:
    made = RisingIds().make(ms, draw)
    parsed = uuid.UUID(made)
    assert str(parsed) == made
    assert (parsed.version, parsed.variant) == (7, uuid.RFC_4122)
    assert request_id_ms(made) == ms


@given(st.lists(st.tuples(st.integers(min_value=0, max_value=3), draws), min_size=2))
def test_ids_rise_strictly_whatever_the_clock_and_the_draws_do(
    steps: list[tuple[int, bytes]],
) -> None:
    ids = RisingIds()
    made = [ids.make(ms, draw) for ms, draw in steps]
    assert made == sorted(set(made))


def test_the_largest_draw_leaves_the_counter_room() -> None:
    ids = RisingIds()
    first, second = (ids.make(5, b"\xff" * DRAW_BYTES) for _ in range(2))
    assert first < second
    assert request_id_ms(second) == 5


@given(times, draws, draws)
def test_ids_of_two_clients_differ_where_their_draws_do(ms: int, one: bytes, two: bytes) -> None:
    # The last seven bits of a draw are the counter's room.
    same = int.from_bytes(one) >> 7 == int.from_bytes(two) >> 7
    assert (RisingIds().make(ms, one) == RisingIds().make(ms, two)) is same
