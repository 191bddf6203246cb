"""The search in SQLite: names in a full-text index, places in an R*Tree.

A *term* of the full-text index is one of ``words.terms``, led by the number of the tenant: so
SQLite's tokenizer has nothing to decide, and no query ever meets another tenant's groups. Groups
are found in the order of their streams, the newest first, which is the order that the index has
by itself: a page costs what it gives, however much there is.

What is near is sought in growing circles: where groups lie thick, the first one has enough, and
where they are rare, the last one has few.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from groupd.domain.projection import Found, Near
from groupd.storage.globe import boxes, distance_m, haversine_of, haversines
from groupd.storage.index import StoredCard
from groupd.storage.sqlite_file import Row, SqliteFile
from groupd.storage.sqlite_rows import GROUP_CARD, group_card
from groupd.storage.words import Query, split, terms, whole

FIRST_CIRCLE_M: Final = 200.0
FEW: Final = 5_000
"""So many matches are measured one by one; of more, some are near, and circles find them."""

DEEP: Final = 5_000
"""So many groups at the most lie nearer than where a page begins: nobody turns so many pages, and
whoever forges a cursor would have everything measured."""

_NO_NUMBER: Final = 2**63 - 1

_TENANT: Final = "select id from tenants where tenant = ?"
_PUT_TENANT: Final = "insert into tenants (tenant) values (?)"
_DROP_WORDS: Final = "delete from words where rowid = ?"
_PUT_WORDS: Final = "insert into words (rowid, terms) values (?, ?)"
_DROP_PLACE: Final = "delete from places where id = ?"
# Without an extent in the third dimension every box would have the volume 0, and the tree no
# reason to keep near what is near.
_PUT_PLACE: Final = """
    insert into places (
        id, lat_min, lat_max, lon_min, lon_max, tenant_min, tenant_max, lat, lon, tenant
    ) values (?1, ?2, ?2, ?3, ?3, ?4, ?4 + 0.5, ?2, ?3, ?4)"""

_FOUND: Final = f"""
    select w.rowid, {GROUP_CARD}
    from words w
    cross join cards c on c.stream = w.rowid
    cross join streams s on s.id = w.rowid
    where words match ? and w.rowid < ? order by w.rowid desc limit ?"""
_COUNT: Final = "select count(*) from (select 1 from words where words match ? limit ?)"
_PLACES_OF: Final = """
    select w.rowid, c.lat, c.lon from words w cross join cards c on c.stream = w.rowid
    where words match ? and c.lat is not null"""
_PLACES: Final = """
    select id, lat, lon from places
    where lat_max >= ?1 and lat_min <= ?2 and lon_max >= ?3 and lon_min <= ?4
    and tenant_max >= ?5 and tenant_min <= ?5 and tenant = ?5"""
_PLACE_COUNT: Final = f"select count(*) from ({_PLACES} limit ?6)"
_NAME: Final = "select name, category from cards where stream = ?"
_CARDS_AT: Final = f"""
    select c.stream, {GROUP_CARD} from cards c join streams s on s.id = c.stream
    where c.stream in (select value from json_each(?))"""

_WORDS_DUMP: Final = """
    select s.tenant, s.key, w.terms from words w join streams s on s.id = w.rowid
    order by s.kind, s.tenant, s.key"""
# A box that has not its group in it is a place that no search finds.
_PLACES_DUMP: Final = """
    select 'place', s.tenant, s.key, p.lat, p.lon
    from places p join streams s on s.id = p.id
    where p.lat between p.lat_min and p.lat_max and p.lon between p.lon_min and p.lon_max
    order by s.kind, s.tenant, s.key"""

_HEX: Final = "0123456789abcdef"


class SqliteSearch:
    """Reads and writes what is searched. Writes belong in a transaction."""

    def __init__(self, file: SqliteFile) -> None:
        self._file = file

    # --- writing

    def put(self, stream_id: int, tenant: str, before: StoredCard, after: StoredCard) -> None:
        """Follow a card from what it was to what it is."""
        terms_before, terms_after = _terms(before), _terms(after)
        place_before, place_after = _place(before), _place(after)
        if terms_before != terms_after:
            if terms_before:
                self._file.execute(_DROP_WORDS, (stream_id,))
            if terms_after:
                lead = _lead(self._number(tenant))
                text = " ".join(lead + term for term in terms_after)
                self._file.execute(_PUT_WORDS, (stream_id, text))
        if place_before != place_after:
            if place_before is not None:
                self._file.execute(_DROP_PLACE, (stream_id,))
            if place_after is not None:
                bindings = (stream_id, *place_after, self._number(tenant))
                self._file.execute(_PUT_PLACE, bindings)

    def _number(self, tenant: str) -> int:
        number = self._number_of(tenant)
        if number is None:
            self._file.execute(_PUT_TENANT, (tenant,))
            number = self._file.last_row_id()
        return number

    def _number_of(self, tenant: str) -> int | None:
        row = self._file.row(_TENANT, (tenant,))
        return row[0] if row is not None else None

    # --- reading

    def find(
        self,
        tenant: str,
        *,
        query: str,
        category: str,
        near: Near | None,
        after: Found | None,
        limit: int,
    ) -> Sequence[Found]:
        """Find live, discoverable groups."""
        number = self._number_of(tenant)
        wanted = Query.of(query) if query else None
        if number is None or (wanted is not None and not wanted.whole):
            return []
        if near is not None:
            finding = _Nearby(self._file, number, wanted, category, near, after)
            return finding.find(limit)
        matches = _matches(number, wanted, category)
        below = after.number if after is not None else _NO_NUMBER
        if wanted is None:
            return self._latest(matches, below, limit)
        equal = f'"{_lead(number)}y{wanted.whole.encode().hex()}"'
        found: list[Found] = []
        if after is None or whole(after.card.name) == wanted.whole:
            found += self._latest(f"{equal} AND {matches}", below, limit)
            below = _NO_NUMBER
        if len(found) < limit:
            found += self._latest(f"({matches}) NOT {equal}", below, limit - len(found))
        return found

    def _latest(self, matches: str, below: int, limit: int) -> list[Found]:
        rows = self._file.rows(_FOUND, (matches, below, limit))
        return [Found(group_card(row[1:]), row[0]) for row in rows]

    def dump(self) -> Iterator[tuple[object, ...]]:
        """Give all rows in the form and order of ``Store.dump_index``."""
        for tenant, key, text in self._file.rows(_WORDS_DUMP):
            # The number of a tenant is this file's own.
            yield ("word", tenant, key, " ".join(term.lstrip(_HEX) for term in text.split()))
        yield from self._file.rows(_PLACES_DUMP)


class _Nearby:
    """One search for what is near."""

    def __init__(
        self,
        file: SqliteFile,
        number: int,
        wanted: Query | None,
        category: str,
        near: Near,
        after: Found | None,
    ) -> None:
        self._file = file
        self._number = number
        self._wanted = wanted
        self._category = category
        self._near = near
        self._begin = (-1.0, 0)
        self._known: dict[int, bool] = {}
        """Whether a group is wanted, of those that were looked at."""
        if after is not None:
            assert after.distance_m is not None, after
            self._begin = (after.distance_m, -after.number)

    def find(self, limit: int) -> list[Found]:
        """Give the next ones, the nearest first."""
        if self._wanted is not None or self._category:
            matches = _matches(self._number, self._wanted, self._category)
            (count,) = self._file.row(_COUNT, (matches, FEW + 1)) or (0,)
            if count <= FEW:
                rows = self._file.all_rows(_PLACES_OF, (matches,))
                return self._found(self._nearest(rows, self._near.radius_m, limit))
        if self._is_deep():
            return []
        step = FIRST_CIRCLE_M
        while True:
            radius_m = min(max(self._begin[0], 0.0) + step, self._near.radius_m)
            if self._wanted is None and not self._category:
                places = self._nearest(self._around(radius_m), radius_m, limit)
            else:
                places = self._wanted_of(self._inside(self._around(radius_m), radius_m), limit)
            if len(places) == limit or radius_m == self._near.radius_m:
                return self._found(places)
            step *= 2

    def _is_deep(self) -> bool:
        """Say whether this page begins behind more than ``DEEP`` places."""
        count = 0
        for box in boxes(self._near.lat, self._near.lon, max(self._begin[0], 0.0)):
            bindings = (box.lat_min, box.lat_max, box.lon_min, box.lon_max, self._number)
            (found,) = self._file.row(_PLACE_COUNT, (*bindings, DEEP + 1)) or (0,)
            count += found
        return count > DEEP

    def _around(self, radius_m: float) -> Iterator[Row]:
        for box in boxes(self._near.lat, self._near.lon, radius_m):
            bindings = (box.lat_min, box.lat_max, box.lon_min, box.lon_max)
            yield from self._file.all_rows(_PLACES, (*bindings, self._number))

    def _inside(self, rows: Iterable[Row], radius_m: float) -> list[_Place]:
        """Give what is in the circle and after the beginning, in order."""
        lat, lon, begin = self._near.lat, self._near.lon, self._begin
        inside = []
        for number, other_lat, other_lon in rows:
            distance = distance_m(lat, lon, other_lat, other_lon)
            if distance <= radius_m and (distance, -number) > begin:
                inside.append((distance, -number))
        inside.sort()
        return inside

    def _nearest(self, rows: Iterable[Row], radius_m: float, limit: int) -> list[_Place]:
        """Give the first of what ``_inside`` gives, measuring few of the rows.

        Haversines order them but for rounding; so some more are measured than are wanted, and
        where many lie at one distance, all.
        """
        lat, lon, begin_m = self._near.lat, self._near.lon, self._begin[0]
        low, high = haversine_of(max(begin_m - _SLACK_M, 0.0)), haversine_of(radius_m + _SLACK_M)
        kept = [place for place in haversines(lat, lon, rows) if low <= place[0] <= high]
        kept.sort()
        few = kept[: 2 * limit + 16]
        places = self._inside(_rows_of(few), radius_m)
        if len(few) < len(kept):
            is_short = len(places) < limit
            if is_short or few[-1][0] <= haversine_of(places[limit - 1][0] + _SLACK_M):
                places = self._inside(_rows_of(kept), radius_m)
        return places[:limit]

    def _wanted_of(self, inside: list[_Place], limit: int) -> list[_Place]:
        places = []
        for place in inside:
            if self._is_wanted(-place[1]):
                places.append(place)
                if len(places) == limit:
                    break
        return places

    def _is_wanted(self, number: int) -> bool:
        known = self._known.get(number)
        if known is None:
            row = self._file.row(_NAME, (number,))
            assert row is not None
            name, category = row
            known = self._known[number] = (not self._category or category == self._category) and (
                self._wanted is None or self._wanted.matches(split(name))
            )
        return known

    def _found(self, places: list[_Place]) -> list[Found]:
        numbers = json.dumps([-minus_number for _distance, minus_number in places])
        rows = self._file.all_rows(_CARDS_AT, (numbers,))
        cards = {row[0]: group_card(row[1:]) for row in rows}
        return [
            Found(cards[-minus_number], -minus_number, distance)
            for distance, minus_number in places
        ]


def _rows_of(places: Iterable[tuple[float, int, float, float]]) -> Iterator[Row]:
    return ((-minus_number, lat, lon) for _haversine, minus_number, lat, lon in places)


_SLACK_M: Final = 1.0
"""How far a haversine may be off, in metres: far more than it is."""
_Place = tuple[float, int]
"""Distance, and the number with a minus: so they sort as they are found."""


def _terms(card: StoredCard) -> Sequence[str]:
    return terms(card.name, card.category) if card.can_be_found else ()


def _place(card: StoredCard) -> tuple[float, float] | None:
    return card.place if card.can_be_found else None


def _lead(number: int) -> str:
    return f"{number:06x}"


def _matches(number: int, wanted: Query | None, category: str) -> str:
    """Write what is looked for in the language of the full-text index."""
    lead = _lead(number)
    parts = []
    if wanted is not None:
        for phrase in wanted.phrases:
            run = " ".join(f"{lead}x{token.encode().hex()}" for token in phrase)
            parts.append(f'"{run}"')
        parts += [f'"{lead}x{prefix.encode().hex()}" *' for prefix in wanted.prefixes]
    if category:
        parts.append(f'"{lead}z{category.encode().hex()}"')
    return " AND ".join(parts or [f'"{lead}t"'])
