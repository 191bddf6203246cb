"""Distances, and that a box has all of its circle in it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groupd.storage.globe import (
    EARTH_RADIUS_M,
    Box,
    boxes,
    distance_m,
    haversine_of,
    haversines,
)

lats = st.floats(-90.0, 90.0)
lons = st.floats(-180.0, 180.0)
QUARTER_M = EARTH_RADIUS_M * 3.141592653589793 / 2


@pytest.mark.parametrize(
    ("one", "other", "metres"),
    [
        ((0.0, 0.0), (0.0, 0.0), 0.0),
        ((0.0, 0.0), (0.0, 90.0), QUARTER_M),
        ((0.0, 0.0), (90.0, 12.0), QUARTER_M),
        ((0.0, 0.0), (0.0, 180.0), 2 * QUARTER_M),
        ((0.0, 180.0), (0.0, -180.0), 0.0),
        ((90.0, 10.0), (90.0, -170.0), 0.0),
        # Hangzhou to Shanghai, by any table.
        ((30.2741, 120.1551), (31.2304, 121.4737), 164_800.0),
    ],
)
def test_distances_are_those_of_the_sphere(
    one: tuple[float, float], other: tuple[float, float], metres: float
) -> None:
    assert distance_m(*one, *other) == pytest.approx(metres, rel=2e-3, abs=1e-6)


@given(lats, lons, lats, lons)
def test_a_distance_is_the_same_from_both_ends(
    lat: float, lon: float, other_lat: float, other_lon: float
) -> None:
    there = distance_m(lat, lon, other_lat, other_lon)
    assert there == pytest.approx(distance_m(other_lat, other_lon, lat, lon), abs=1e-6)
    assert 0.0 <= there <= 2 * QUARTER_M + 1


def holds(box: Box, lat: float, lon: float) -> bool:
    return box.lat_min <= lat <= box.lat_max and box.lon_min <= lon <= box.lon_max


@given(lats, lons, st.floats(0.0, 200_000.0), st.floats(-2.0, 2.0), st.floats(-1.0, 1.0))
def test_what_is_in_a_circle_is_in_one_of_its_boxes(
    lat: float, lon: float, radius_m: float, north: float, east: float
) -> None:
    other_lat = max(-90.0, min(90.0, lat + north))
    other_lon = (lon + east * (3.0 if abs(lat) < 70 else 180.0) + 180.0) % 360.0 - 180.0
    inside = [box for box in boxes(lat, lon, radius_m) if holds(box, other_lat, other_lon)]
    if distance_m(lat, lon, other_lat, other_lon) <= radius_m:
        assert len(inside) == 1


@given(lats, lons, st.floats(0.0, 100_000.0))
def test_boxes_lie_on_the_map_and_do_not_overlap(lat: float, lon: float, radius_m: float) -> None:
    made = boxes(lat, lon, radius_m)
    for box in made:
        assert -180.0 <= box.lon_min <= box.lon_max <= 180.0
        assert box.lat_min <= lat <= box.lat_max
    if len(made) == 2:
        assert made[0].lon_max < made[1].lon_min or made[1].lon_max < made[0].lon_min


def test_a_small_circle_has_a_small_box() -> None:
    (box,) = boxes(30.0, 120.0, 1_000)
    assert box.lat_max - box.lat_min < 0.02
    assert box.lon_max - box.lon_min < 0.022


@given(lats, lons, lats, lons)
def test_haversines_rise_with_the_distance_to_within_a_metre(
    lat: float, lon: float, other_lat: float, other_lon: float
) -> None:
    ((haversine, minus_number, *place),) = haversines(lat, lon, [(7, other_lat, other_lon)])
    assert (minus_number, place) == (-7, [other_lat, other_lon])
    metres = distance_m(lat, lon, other_lat, other_lon)
    if metres < QUARTER_M:
        assert haversine_of(max(metres - 1, 0.0)) <= haversine <= haversine_of(metres + 1)
