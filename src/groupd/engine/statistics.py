"""What a group comes to: how it is made up, how lively it is, and how much was said yesterday.

Everything is counted from the index when it is asked for. Counting a large group takes long, so
there what was counted is shown for up to ``KEPT_S``; and who asks while it is being counted waits
for that count.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, Final
from zoneinfo import ZoneInfo

import attrs
import trio

from groupd.config import CONTENT
from groupd.domain.base import StreamKey
from groupd.domain.projection import Statistics

KEPT_S: Final = 60.0
"""How old the statistics of a large group may be."""
KEPT_MAX: Final = 1_000
"""Large groups whose statistics are kept."""


@attrs.define(eq=False)
class RecentStatistics:
    """The statistics of large groups, as counted lately. Lives in trio's thread."""

    _kept: dict[StreamKey, tuple[float, Statistics]] = attrs.field(factory=dict)
    _counting: dict[StreamKey, trio.Event] = attrs.field(factory=dict)

    async def get(
        self, stream: StreamKey, count: Callable[[], Awaitable[Statistics]]
    ) -> Statistics:
        """Give what was counted lately, or ``count`` now. Raises what ``count`` raises."""
        while True:
            kept = self._kept.get(stream)
            if kept is not None and trio.current_time() < kept[0] + KEPT_S:
                return kept[1]
            under_way = self._counting.get(stream)
            if under_way is None:
                return await self._count(stream, count)
            # Should that one fail, or be cancelled, it is our turn.
            await under_way.wait()

    async def _count(
        self, stream: StreamKey, count: Callable[[], Awaitable[Statistics]]
    ) -> Statistics:
        done = self._counting[stream] = trio.Event()
        try:
            began = trio.current_time()
            counted = await count()
            self._kept.pop(stream, None)
            self._kept[stream] = (began, counted)
            if len(self._kept) > KEPT_MAX:
                del self._kept[next(iter(self._kept))]
            return counted
        finally:
            del self._counting[stream]
            done.set()


@attrs.frozen
class Day:
    """A day of a group, from one midnight of its time zone to the next."""

    year: int
    """Of today."""
    from_ms: int
    """The beginning of yesterday, which may have 23 or 25 hours."""
    until_ms: int


def yesterday(now_ms: int, time_zone: str) -> Day:
    """Give the day before today."""
    zone = _zone(time_zone)
    today = datetime.fromtimestamp(now_ms / 1_000, zone).date()
    return Day(today.year, _midnight(today - timedelta(days=1), zone), _midnight(today, zone))


def _midnight(day: Any, zone: tzinfo) -> int:
    # Where the clock skips midnight this is the moment at which it does, and where midnight comes
    # twice the first one: ``fold`` 0 means both.
    return round(datetime(day.year, day.month, day.day, tzinfo=zone).timestamp() * 1_000)


def _zone(name: str) -> tzinfo:
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, LookupError):
        return UTC  # Set where it was known, and read on a machine without it.


def shown_statistics(counted: Statistics, year: int) -> Mapping[str, Any]:
    """Give what is shown of them. Of a few people, nothing that would say something of one."""
    few = CONTENT.statistics_members_min
    if counted.members < few:
        return {}
    shown: dict[str, Any] = {
        "messages_yesterday": counted.messages,
        "active": counted.active,
        "women": counted.women,
    }
    if counted.birth_years >= few:
        shown["average_age"] = round(year - counted.birth_year_sum / counted.birth_years, 1)
    return shown
