"""The part of ``check_log`` about the search: by name, by category, by place."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from groupd.domain.base import GROUP, StreamKey
from groupd.domain.projection import Found, Near, PutCard
from groupd.storage.port import Store
from groupd.testing.log_samples import TENANT, append, do, head_of, member

EQUATOR_DEGREE_M: Final = 111_195
"""Of a sphere with the Earth's mean radius; rounded up."""


def _put(store: Store, group: str, **values: Any) -> None:
    """Found a group that can be found, or change its card."""
    _put_in(store, StreamKey(GROUP, TENANT, group), values)


def _put_in(store: Store, stream: StreamKey, values: dict[str, Any]) -> None:
    changes = [PutCard({"discoverable": True, **values})]
    do(store, append(stream, 1, after=head_of(store, stream), changes=changes))


def _names(store: Store, names: Sequence[str]) -> None:
    """Found a group for each name; it is called by its place in the row."""
    for number, name in enumerate(names, 1):
        _put(store, f"{number}", name=name)


def _pages(
    store: Store,
    query: str = "",
    *,
    category: str = "",
    near: Near | None = None,
    size: int = 99,
    tenant: str = TENANT,
) -> list[Found]:
    """Search page by page."""
    found: list[Found] = []
    while page := store.search(
        tenant,
        query=query,
        category=category,
        near=near,
        after=found[-1] if found else None,
        limit=size,
    ):
        assert len(page) <= size, "a page is no longer than asked for"
        found += page
        assert len({one.number for one in found}) == len(found), "pages double nothing"
    return found


def _keys(found: Sequence[Found]) -> list[str]:
    return [one.card.group for one in found]


def _check_words(store: Store) -> None:
    names = [
        "杭州西湖徒步",
        "西安湖边",
        "Running Shanghai",
        "Café Run 5公里",
        "湖西",
        "!?",
        "Run西湖run",
    ]
    _names(store, names)
    for query, expected in (
        ("西湖", "71"),
        ("西", "7521"),
        ("湖西", "5"),
        ("西 湖", "7521"),
        ("徒步 杭州", "1"),
        ("run", "743"),
        ("RUN", "743"),
        ("sha run", "3"),
        ("unning", ""),
        ("cafe", "4"),
        ("CAFÉ 公里 5", "4"),
        ("5公里run", "4"),
        ("running shanghai tower", ""),
        ("西湖run", "7"),
        ("*", ""),
        ('"西湖" OR -run', ""),
        ("   ", ""),
    ):
        assert "".join(_keys(_pages(store, query))) == expected, (
            f"the query {query!r} finds what has all of its words and runs of signs: see "
            "groupd.storage.words"
        )
    (found,) = _pages(store, "sha run")
    assert found.card == store.group(TENANT, "3"), "what is found is the whole card"
    assert found.distance_m is None, "without a distance"


def _check_order(store: Store) -> None:
    _names(store, ["Hall", "Hall Two", "HALL!", "The Hall", "hall", "Hallway", "Yard"])
    for size in (1, 2, 3, 99):
        assert "".join(_keys(_pages(store, "hall", size=size))) == "531642", (
            "names that equal the query come first, then the rest, each the newest first; pages "
            "double and miss nothing"
        )
        assert "".join(_keys(_pages(store, size=size))) == "7654321", (
            "where nothing is asked for, all come, the newest first"
        )
    numbers = [found.number for found in _pages(store)]
    assert numbers == sorted(numbers, reverse=True), "the number of an older group is lower"
    first = store.search(TENANT, query="hall", category="", near=None, after=None, limit=2)
    _put(store, "8", name="hall")
    rest = store.search(TENANT, query="hall", category="", near=None, after=first[-1], limit=9)
    assert "".join(_keys(rest)) == "1642", "a group that is founded meanwhile moves no page"


def _check_categories(store: Store) -> None:
    for number in range(1, 7):
        _put(store, f"{number}", name=f"Hall {number}", category="fun" if number % 2 else "sport")
    _put(store, "7", name="Yard")
    assert "".join(_keys(_pages(store, category="fun", size=2))) == "531", (
        "a category has its groups, the newest first"
    )
    assert _keys(_pages(store, "hall 2", category="fun")) == [], "both must hold"
    assert _keys(_pages(store, "hall", category="sport")) == ["6", "4", "2"], "and can"
    assert _keys(_pages(store, category="fu")) == [], "a category is meant whole"
    _put(store, "1", category="sport")
    _put(store, "3", name="Yard")
    assert _keys(_pages(store, category="fun")) == ["5", "3"], "a group can change its category"
    assert _keys(_pages(store, "hall", category="fun")) == ["5"], "and its name"
    assert _keys(_pages(store, "yard")) == ["7", "3"], "and is found by the new one"


def _check_what_can_be_found(store: Store) -> None:
    here: dict[str, Any] = {
        "location": {"lat": 10.0, "lon": 10.0},
        "name": "Hall",
        "category": "fun",
    }
    near = Near(10.0, 10.0, 100)

    def all_ways() -> list[list[str]]:
        return [
            _keys(found)
            for found in (
                _pages(store, "hall"),
                _pages(store, category="fun"),
                _pages(store, near=near),
                _pages(store, "hall", category="fun", near=near),
                _pages(store),
            )
        ]

    _put(store, "hall", **here)
    _put_in(store, StreamKey(GROUP, "another", "foreign"), here)
    assert all_ways() == [["hall"]] * 5, "no search leaves its tenant"
    assert _keys(_pages(store, "hall", tenant="another")) == ["foreign"], "nor misses it"
    assert _pages(store, "hall", tenant="nobody") == [], "a tenant without groups finds nothing"
    for name, value in (("dissolved", True), ("discoverable", False), ("direct", True)):
        _put(store, "hall", **{name: value})
        assert all_ways() == [[]] * 5, f"a group with {name}={value} is not found"
        _put(store, "hall", dissolved=False, direct=False)
        assert all_ways() == [["hall"]] * 5, "and one that is none of it is found again"
    do(store, append(StreamKey(GROUP, TENANT, "plain"), 1, changes=[PutCard(here)]))
    do(store, append(StreamKey(GROUP, TENANT, "bare"), 1, changes=[member("ann")]))
    assert all_ways() == [["hall"]] * 5, "nor is one that was never made discoverable"


def _check_places(store: Store) -> None:
    def keys(lat: float, lon: float, radius_m: int) -> str:
        return "".join(_keys(_pages(store, near=Near(lat, lon, radius_m), size=2)))

    for group, lat, lon in (
        ("a", 0.0, 0.0),
        ("b", 0.0, 1.0),
        ("c", 0.0, 1.0),
        ("d", 0.5, 0.0),
        ("e", 0.0, 180.0),
        ("f", 0.0, -179.5),
        ("g", 90.0, 33.0),
        ("h", 89.9, -100.0),
        ("i", -90.0, 0.0),
    ):
        _put(store, group, name="Hall", location={"lat": lat, "lon": lon})
    _put(store, "nowhere", name="Hall")
    assert keys(0.0, 0.0, 2 * EQUATOR_DEGREE_M) == "adcb", (
        "the nearest comes first, of two equally near the newer; what has no place is not near"
    )
    assert keys(0.0, 0.0, EQUATOR_DEGREE_M - 1) == "ad", "and nothing from outside the circle"
    assert keys(0.0, 0.0, 0) == "a", "the edge is inside"
    for lon in (179.9, 180.0, -180.0, -179.9):
        assert sorted(keys(0.0, lon, EQUATOR_DEGREE_M)) == ["e", "f"], (
            f"a circle at {lon} reaches across the date line"
        )
    assert keys(89.95, 80.0, 20_000) == "gh", "a circle may have a pole in it"
    assert keys(90.0, -5.0, 12_000) == "gh", "and be around one"
    assert keys(-89.95, 170.0, 20_000) == "i", "either of them"
    found = _pages(store, near=Near(0.0, 0.0, EQUATOR_DEGREE_M))
    distances = [one.distance_m or 0.0 for one in found]
    assert distances[0] == 0.0, "what is found says how far it is"
    assert abs(distances[1] - EQUATOR_DEGREE_M / 2) < 1, "in metres, on the great circle"
    assert _keys(_pages(store, "yard", near=Near(0.0, 0.0, 100))) == [], "a name must match too"
    _put(store, "b", location=None)
    _put(store, "c", location={"lat": 20.0, "lon": 20.0})
    assert keys(0.0, 0.0, 2 * EQUATOR_DEGREE_M) == "ad", "a group can move, and leave the map"
    assert keys(20.0, 20.0, 1) == "c", "and is found where it is now"


def _check_many_places(store: Store) -> None:
    town = {
        f"{number:03}": {"lat": 30.0 + number % 20 / 1_000, "lon": 120.0 + number // 20 / 1_000}
        for number in range(300)
    }
    for group, location in town.items():
        name = "Hall" if int(group) % 7 == 0 else "Yard"
        _put(store, group, name=name, category="fun" if int(group) % 2 else "", location=location)
    for radius_m in (50, 500, 100_000):
        near = Near(30.01, 120.004, radius_m)
        at_once = _pages(store, near=near, size=999)
        distances = [found.distance_m or 0.0 for found in at_once]
        assert distances == sorted(distances), "the nearest comes first, however many there are"
        assert _pages(store, near=near, size=7) == at_once, "pages double and miss nothing"
        halls = [one for one in at_once if one.card.name == "Hall" and one.card.category]
        assert _pages(store, "hall", category="fun", near=near, size=2) == halls, (
            "names and categories sort out, and leave the order"
        )
    assert len(_pages(store, near=Near(30.01, 120.004, 100_000))) == 300, "all of them are there"


SEARCH_CHECKS: Final[Sequence[Callable[[Store], None]]] = (
    _check_words,
    _check_order,
    _check_categories,
    _check_what_can_be_found,
    _check_places,
    _check_many_places,
)
