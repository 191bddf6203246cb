"""What a group comes to equals a recount from its log: FEATURES A12."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

import attrs
import msgpack
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from groupd.config import Limits
from groupd.domain.base import Identity, StreamKey
from groupd.domain.group.recalls import Recall
from groupd.domain.group.settings import Update
from groupd.domain.projection import Statistics
from groupd.engine.hub import Hub
from groupd.engine.statistics import (
    KEPT_MAX,
    KEPT_S,
    RecentStatistics,
    shown_statistics,
    yesterday,
)
from groupd.errors import LogUnavailable, Rejected
from groupd.storage.memory import MemoryStore
from groupd.testing.fakes import FakeClock
from tests.engine.rig import group_key, hub_on, new_store, play, records_of

HOUR_MS: Final = 3_600_000
DAY_MS: Final = 24 * HOUR_MS
ZONES: Final = ("UTC", "Asia/Shanghai", "America/New_York", "Pacific/Kiritimati", "Asia/Kathmandu")

PEOPLE: Final[dict[str, dict[str, Any]]] = {
    "olga": {"gender": "female", "birth_year": 1980},
    "mia": {"gender": "female", "birth_year": 1991},
    "noa": {"gender": "male", "birth_year": 2000},
    "pia": {"gender": "female"},
    "quin": {"birth_year": 1975},
    "rosa": {"gender": "female", "birth_year": 1968},
    "sam": {"gender": "male", "birth_year": 1999},
}


def caller_of(hub: Hub, user: str) -> Any:
    return hub.act_as(user, **PEOPLE[user])


async def stats_of(hub: Hub, group: str, user: str = "olga") -> dict[str, Any]:
    shown: dict[str, Any] = (await hub.act_as(user).info(group))["stats"]
    return shown


# --- the recount


def recounted(store: MemoryStore, group: str, now_ms: int, time_zone: str) -> dict[str, Any]:
    """Count from the bytes of the logs alone."""
    zone = ZoneInfo(time_zone)
    today = datetime.fromtimestamp(now_ms / 1_000, zone).date()
    members: set[str] = set()
    recalled, said = set(), []
    for record in records_of(store, group_key(group)):
        body = (
            {}
            if record.body is None
            else msgpack.unpackb(bytes([0x80 | record.body[0]]) + record.body[1:])
        )
        if record.kind == "joined":
            members.add(body.get("member") or record.user)
        elif record.kind == "left":
            members.discard(record.user)
        elif record.kind == "recalled":
            recalled.add(body["message"])
        elif record.kind in ("posted", "announced"):
            day = datetime.fromtimestamp(record.time_ms / 1_000, zone).date()
            said.append((record.seq, record.user, record.time_ms, day))
    week_ago = now_ms - 7 * DAY_MS
    lately = {user for _seq, user, time_ms, _day in said if time_ms >= week_ago}
    profiles = [profile_in(store, user) for user in members]
    ages = [today.year - p["birth_year"] for p in profiles if "birth_year" in p]
    expected: dict[str, Any] = {
        "members": len(members),
        "messages": len(said),
        "time_zone": time_zone,
    }
    if len(members) < 5:
        return expected
    expected["messages_yesterday"] = sum(
        day == today - timedelta(days=1) and seq not in recalled
        for seq, _user, _time_ms, day in said
    )
    expected["active"] = len(lately & members)
    expected["women"] = sum(p.get("gender") == "female" for p in profiles)
    if len(ages) >= 5:
        expected["average_age"] = pytest.approx(sum(ages) / len(ages), abs=0.0501)
    return expected


def profile_in(store: MemoryStore, user: str) -> dict[str, Any]:
    profile: dict[str, Any] = {}
    for record in records_of(store, Identity(user).account):
        if record.kind == "profiled" and record.body is not None:
            profile = msgpack.unpackb(bytes([0x80 | record.body[0]]) + record.body[1:])
    return profile


@attrs.frozen
class Step:
    what: str
    user: str
    seq: int
    pass_ms: int


def steps() -> st.SearchStrategy[list[Step]]:
    step = st.builds(
        Step,
        what=st.sampled_from(("post", "post", "post", "join", "join", "leave", "recall", "zone")),
        user=st.sampled_from(tuple(PEOPLE)),
        seq=st.integers(1, 20),
        pass_ms=st.sampled_from((0, 1, 60_000, HOUR_MS, 7 * HOUR_MS, 23 * HOUR_MS, 3 * DAY_MS)),
    )
    return st.lists(step, max_size=25)


@settings(max_examples=80, deadline=None)
@given(
    plan=steps(),
    zone=st.sampled_from(ZONES),
    # Also over the nights in which the clocks of New York change, and over the end of a year.
    ahead_days=st.sampled_from((0, 138, 139, 200, 267, 268)),
    kept_exact=st.booleans(),
)
def test_the_statistics_are_what_a_recount_of_the_log_gives(
    plan: list[Step], zone: str, ahead_days: int, kept_exact: bool
) -> None:
    async def main() -> None:
        store = new_store()
        # A large group is counted once a minute; so there a minute passes before each look.
        limits = Limits(statistics_exact_max=1_000 if kept_exact else 1)
        async with hub_on(store, limits=limits) as hub:
            clock = hub.ports.clock
            assert isinstance(clock, FakeClock)
            clock.jump(ahead_days * DAY_MS)
            made = await caller_of(hub, "olga").create("Tea", members=["mia"], time_zone=zone)
            group, now_in = made["group"], zone
            await caller_of(hub, "mia").groups()
            for step in plan:
                clock.jump(step.pass_ms)
                if step.what == "zone":
                    now_in = ZONES[step.seq % len(ZONES)]
                await do(hub, group, step)
                if not kept_exact:
                    await trio.sleep(KEPT_S)
                expected = recounted(store, group, clock.now_ms(), now_in)
                assert await stats_of(hub, group) == expected

    play(main)


async def do(hub: Hub, group: str, step: Step) -> None:
    caller = caller_of(hub, step.user)
    try:
        match step.what:
            case "post":
                await caller.post(group, "hello")
            case "join":
                await caller.join(group)
            case "leave":
                await caller.leave(group)
            case "recall":
                await caller.call(Recall(step.seq), group=group)
            case "zone":
                zone = ZONES[step.seq % len(ZONES)]
                await hub.act_as("olga").call(Update(time_zone=zone), group=group)
    except Rejected:
        pass


# --- who sees what


async def test_strangers_see_them_where_the_owner_allows_and_a_link_never_shows_them() -> None:
    async with hub_on() as hub:
        olga, eve = hub.act_as("olga"), hub.act_as("eve")
        group = (await olga.create("Tea", time_zone="Asia/Shanghai"))["group"]
        assert "stats" not in await eve.info(group)
        await olga.call(Update(public_stats=True), group=group)
        assert await stats_of(hub, group, "eve") == await stats_of(hub, group)
        code = (await olga.share_link(group))["code"]
        assert "stats" not in (await eve.open_link(code))["group"]
        await olga.update(group, discoverable=False)
        with pytest.raises(Rejected):
            await eve.info(group)


def test_below_five_nothing_is_shown_that_would_say_something_of_one() -> None:
    def of(members: int, birth_years: int) -> set[str]:
        counted = Statistics(members, 1, 2, birth_years, 1990 * birth_years, 3)
        return set(shown_statistics(counted, 2025))

    counts = {"messages_yesterday", "active", "women"}
    assert of(4, 4) == set()
    assert of(5, 4) == counts
    assert of(5, 5) == counts | {"average_age"}


def test_an_average_has_one_decimal() -> None:
    counted = Statistics(6, 0, 0, 6, 1990 * 6 + 5, 0)
    assert shown_statistics(counted, 2025)["average_age"] == 34.2


# --- days


@pytest.mark.parametrize(
    ("zone", "now", "hours"),
    [
        ("UTC", "2025-06-15T12:00+00:00", 24),
        ("America/New_York", "2025-03-10T12:00-04:00", 23),
        ("America/New_York", "2025-11-03T12:00-05:00", 25),
        ("Africa/Cairo", "2025-04-26T12:00+03:00", 23),  # Here midnight itself is skipped.
        ("Africa/Cairo", "2025-11-01T12:00+02:00", 24),
        ("no such zone", "2025-06-15T12:00+00:00", 24),
    ],
)
def test_yesterday_has_as_many_hours_as_its_clocks_say(zone: str, now: str, hours: int) -> None:
    day = yesterday(round(datetime.fromisoformat(now).timestamp() * 1_000), zone)
    assert day.until_ms - day.from_ms == hours * HOUR_MS


@given(now_ms=st.integers(0, 4_000_000_000_000), zone=st.sampled_from(ZONES))
def test_yesterday_is_all_moments_of_the_date_before_and_no_other(now_ms: int, zone: str) -> None:
    day, clock = yesterday(now_ms, zone), ZoneInfo(zone)

    def date_of(at_ms: int) -> Any:
        return datetime.fromtimestamp(at_ms / 1_000, clock).date()

    before = date_of(now_ms) - timedelta(days=1)
    assert date_of(day.from_ms) == date_of(day.until_ms - 1) == before
    assert date_of(day.from_ms - 1) < before < date_of(day.until_ms)
    assert day.year == date_of(now_ms).year


# --- large groups


def stream(number: int = 0) -> StreamKey:
    return group_key(f"{number:016}")


@attrs.define
class Counter:
    """Counts slowly, and how often it was asked to."""

    asked: int = 0
    fails: int = 0

    async def __call__(self) -> Statistics:
        self.asked += 1
        asked = self.asked
        await trio.sleep(1)
        if asked <= self.fails:
            raise LogUnavailable("not now")
        return Statistics(asked, 0, 0, 0, 0, 0)


def test_a_large_group_is_counted_once_a_minute_and_for_all_who_ask() -> None:
    async def main() -> None:
        recent, count, got = RecentStatistics(), Counter(), []

        async def ask() -> None:
            got.append((await recent.get(stream(), count)).members)

        async with trio.open_nursery() as nursery:
            for _ in range(20):
                nursery.start_soon(ask)
        await trio.sleep(KEPT_S - 1.5)
        await ask()
        assert (got, count.asked) == ([1] * 21, 1)
        await trio.sleep(1)
        await ask()
        assert (got[-1], count.asked) == (2, 2)

    play(main)


def test_where_a_count_fails_or_is_given_up_the_next_who_waits_counts() -> None:
    async def main() -> None:
        recent, count, got = RecentStatistics(), Counter(fails=1), []

        async def ask(give_up_s: float) -> None:
            with trio.move_on_after(give_up_s):
                try:
                    got.append((await recent.get(stream(), count)).members)
                except LogUnavailable:
                    got.append(0)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask, 9)
            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(ask, 1.5)
            await trio.sleep(1.2)  # The first has failed, and the second counts.
            nursery.start_soon(ask, 9)
        assert got == [0, 3]

    play(main)


def test_so_many_large_groups_are_remembered_and_the_oldest_goes() -> None:
    async def main() -> None:
        recent, count = RecentStatistics(), Counter()
        async with trio.open_nursery() as nursery:
            for number in range(KEPT_MAX + 1):
                nursery.start_soon(recent.get, stream(number), count)
        assert len(recent._kept) == KEPT_MAX

    play(main)


async def test_a_group_that_is_not_large_is_always_counted_anew() -> None:
    async with hub_on(limits=Limits(statistics_exact_max=5)) as hub:
        olga = hub.act_as("olga")
        group = (await olga.create("Tea", members=["mia", "a", "b", "c"]))["group"]
        assert (await stats_of(hub, group))["active"] == 0
        await olga.post(group, "hello")
        assert (await stats_of(hub, group))["active"] == 1
        await hub.act_as("noa").join(group)
        assert (await stats_of(hub, group))["active"] == 1
        await hub.act_as("mia").post(group, "hello")
        # Six are large here, and it was counted just now.
        assert (await stats_of(hub, group))["active"] == 1
