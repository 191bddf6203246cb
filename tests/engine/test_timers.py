"""Streams are woken at their deadlines: also after a restart, and whatever the wall clock does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

import trio

from groupd.config import Limits
from groupd.domain.catalog import EVENTS
from groupd.domain.group.links import LinkRevoked
from groupd.engine.hub import Hub
from groupd.engine.ports import Ports
from groupd.engine.quarantine import Quarantine
from groupd.engine.timers import Timers
from groupd.errors import LogUnavailable
from groupd.storage.log import InlineLog
from groupd.storage.memory import MemoryStore
from groupd.storage.port import Store
from groupd.testing.fakes import FakeClock, SeededRandomness, SlowLog
from groupd.wire import codec
from tests.engine.rig import (
    FakeSession,
    GateLog,
    group_key,
    hub_on,
    new_store,
    outcome,
    play,
    records_of,
)

T = TypeVar("T")
HOUR_MS: Final = 3_600_000
POLL_S: Final = Limits().deadline_poll_ms / 1_000


def ports_with(clock: FakeClock) -> Ports:
    return Ports(clock=clock, randomness=SeededRandomness())


async def linked(hub: Hub, *, expires_in_ms: int = HOUR_MS) -> str:
    olga = hub.act_as("olga")
    group = (await olga.create("Tea"))["group"]
    await olga.share_link(group, expires_in_ms=expires_in_ms)
    return group


def expiries(store: MemoryStore, group: str) -> list[tuple[int, str, int]]:
    """Give link, reason and time of all revocations."""
    found = []
    for record in records_of(store, group_key(group)):
        event = codec.decode_event(EVENTS["group"], record)
        if isinstance(event, LinkRevoked):
            found.append((event.link, event.reason, record.time_ms))
    return found


def test_a_link_expires_at_its_time_and_everybody_sees_it() -> None:
    async def main() -> None:
        store, clock = new_store(), FakeClock()
        async with hub_on(store, ports=ports_with(clock)) as hub:
            due_ms = clock.now_ms() + HOUR_MS
            group = await linked(hub)
            session = FakeSession(hub, "olga")
            await session.hello()
            await trio.sleep(HOUR_MS / 1_000 - 1)
            assert expiries(store, group) == []
            await trio.sleep(1 + POLL_S)
            ((link, reason, time_ms),) = expiries(store, group)
            assert (link, reason) == (1, "expired")
            assert due_ms <= time_ms <= due_ms + 1_000 * POLL_S
            assert session.events(group)[-1]["reason"] == "expired"
            assert session.events(group)[-1]["user"] == ""
            await trio.sleep(10)
            assert len(expiries(store, group)) == 1

    play(main)


def test_a_link_of_a_group_that_has_left_memory_expires_too() -> None:
    async def main() -> None:
        store = new_store()
        async with hub_on(store) as hub:
            group = await linked(hub)
            await hub.passivate()
            await trio.sleep(HOUR_MS / 1_000 + POLL_S)
            assert len(expiries(store, group)) == 1
            assert hub.is_awake(group_key(group))

    play(main)


def test_a_link_that_expired_while_nobody_was_there_is_revoked_after_the_restart() -> None:
    async def main() -> None:
        store, clock = new_store(), FakeClock()
        async with hub_on(store, ports=ports_with(clock)) as hub:
            group = await linked(hub)
        await trio.sleep(2 * HOUR_MS / 1_000)
        async with hub_on(store, ports=ports_with(clock)):
            assert expiries(store, group) == []
            await trio.sleep(POLL_S)
            assert len(expiries(store, group)) == 1

    play(main)


def test_a_wall_clock_that_jumps_forward_makes_links_expire_within_a_second() -> None:
    async def main() -> None:
        store, clock = new_store(), FakeClock()
        async with hub_on(store, ports=ports_with(clock)) as hub:
            group = await linked(hub)
            await trio.sleep(5)
            clock.jump(HOUR_MS)
            await trio.sleep(1.01 * POLL_S)
            assert len(expiries(store, group)) == 1

    play(main)


def test_a_wall_clock_that_jumps_back_makes_nothing_happen_too_early() -> None:
    async def main() -> None:
        store, clock = new_store(), FakeClock()
        async with hub_on(store, ports=ports_with(clock)) as hub:
            group = await linked(hub)
            clock.jump(-HOUR_MS)
            await trio.sleep(1.5 * HOUR_MS / 1_000)
            assert expiries(store, group) == []
            times = [record.time_ms for record in records_of(store, group_key(group))]
            await hub.act_as("olga").post(group, "no time falls within a group")
            await trio.sleep(0.5 * HOUR_MS / 1_000 + POLL_S)
            assert len(expiries(store, group)) == 1
            times = [record.time_ms for record in records_of(store, group_key(group))]
            assert times == sorted(times)

    play(main)


def test_of_many_deadlines_at_once_a_bounded_number_is_served_in_a_round() -> None:
    async def main() -> None:
        store = new_store()
        limits = Limits(wakes_per_round_max=10, actor_idle_ms=10_000_000)
        async with hub_on(store, limits=limits) as hub:
            groups = []
            for number in range(35):
                olga = hub.act_as(f"olga{number}")
                group = (await olga.create("Tea"))["group"]
                await olga.share_link(group, expires_in_ms=HOUR_MS)
                groups.append(group)
            await hub.passivate()
            await trio.sleep(HOUR_MS / 1_000 - 0.5)
            served = []
            for _ in range(5):
                await trio.sleep(POLL_S)
                served.append(sum(len(expiries(store, group)) for group in groups))
            assert served == [10, 20, 30, 35, 35]

    play(main)


def test_a_deadline_is_kept_where_the_log_cannot_take_it_yet() -> None:
    async def main() -> None:
        store = new_store()
        log = GateLog(store)
        async with hub_on(log) as hub:
            group = await linked(hub)
            log.failures += [LogUnavailable("full")] * 3
            await trio.sleep(HOUR_MS / 1_000 + POLL_S)
            assert expiries(store, group) == []
            await trio.sleep(10 * POLL_S)
            assert len(expiries(store, group)) == 1

    play(main)


def test_a_log_that_cannot_be_read_for_a_while_delays_the_timers_only() -> None:
    async def main() -> None:
        store = new_store()
        async with hub_on(store) as hub:
            group = await linked(hub)
        log = GateLog(store)
        async with hub_on(log):
            await trio.sleep(HOUR_MS / 1_000 - 1)
            log.read_failures += [LogUnavailable("not now")] * 2
            await trio.sleep(1 + 5 * POLL_S)
            assert len(expiries(store, group)) == 1

    play(main)


def test_the_earlier_of_two_deadlines_comes_first_whichever_was_set_first() -> None:
    async def main() -> None:
        store = new_store()
        async with hub_on(store) as hub:
            late = await linked(hub, expires_in_ms=2 * HOUR_MS)
            early = await linked(hub, expires_in_ms=HOUR_MS)
            await trio.sleep(HOUR_MS / 1_000 + POLL_S)
            assert (len(expiries(store, early)), len(expiries(store, late))) == (1, 0)
            await trio.sleep(HOUR_MS / 1_000 + POLL_S)
            assert (len(expiries(store, early)), len(expiries(store, late))) == (1, 1)

    play(main)


def test_the_deadline_of_a_dissolved_group_wakes_nobody() -> None:
    async def main() -> None:
        store = new_store()
        async with hub_on(store) as hub:
            group = await linked(hub)
            await hub.act_as("olga").dissolve(group)
            await hub.passivate()
            await trio.sleep(2 * HOUR_MS / 1_000)
            assert expiries(store, group) == []
            assert not hub.is_awake(group_key(group))

    play(main)


class LateReads(SlowLog):
    """Gives the answers of reads some time after they were true."""

    def __init__(self, store: MemoryStore) -> None:
        super().__init__(InlineLog(store), lambda: 0)
        self.late_s = 0.0

    async def read(self, query: Callable[[Store], T]) -> T:
        result = await super().read(query)
        await trio.sleep(self.late_s)
        return result


def test_a_deadline_that_is_stored_while_the_timers_read_is_not_forgotten() -> None:
    async def main() -> None:
        store, clock = new_store(), FakeClock()
        log = LateReads(store)
        async with hub_on(log, ports=ports_with(clock)) as hub:
            first = await linked(hub, expires_in_ms=10_000)
            second = (await hub.act_as("olga").create("Tea"))["group"]
            await trio.sleep(8)
            log.late_s = 1.5
            for _ in range(8):
                # At every moment of the timers' reading.
                await hub.act_as("olga").share_link(second, expires_in_ms=60_000)
                await trio.sleep(0.7)
            log.late_s = 0
            await trio.sleep(70)
            assert len(expiries(store, first)) == 1
            assert len(expiries(store, second)) == 8

    play(main)


def test_what_is_noted_during_a_read_is_kept_beside_what_was_read() -> None:
    async def main() -> None:
        woken: list[Any] = []
        store, clock = new_store(), FakeClock()
        log = LateReads(store)
        timers = Timers(log=log, clock=clock, limits=Limits())
        log.late_s = 0.4
        async with trio.open_nursery() as nursery:
            nursery.start_soon(timers.run, woken.append)
            await trio.sleep(0.6)
            timers.note(clock.now_ms() + 5_000)
            await trio.sleep(1)
            assert timers._next_ms is not None
            nursery.cancel_scope.cancel()

    play(main)


def test_a_link_whose_time_is_over_is_refused_even_before_the_timer_came() -> None:
    async def main() -> None:
        store, clock = new_store(), FakeClock()
        limits = Limits(deadline_poll_ms=100_000_000)
        async with hub_on(store, ports=ports_with(clock), limits=limits) as hub:
            olga = hub.act_as("olga")
            group = (await olga.create("Tea"))["group"]
            code = (await olga.share_link(group, expires_in_ms=HOUR_MS))["code"]
            clock.jump(HOUR_MS)
            joining = hub.act_as("mia").join(code=code)
            assert await outcome(joining) == "conflict: link_expired"

    play(main)


def test_a_damaged_stream_takes_nobodys_place_whenever_it_is_found() -> None:
    async def main() -> None:
        store, clock, woken = new_store(), FakeClock(), list[str]()
        async with hub_on(store, ports=ports_with(clock)) as hub:
            groups = [await linked(hub, expires_in_ms=minutes * 60_000) for minutes in (1, 2)]
        await trio.sleep(HOUR_MS / 1_000)
        quarantine = Quarantine()
        limits = Limits(wakes_per_round_max=1)
        log = InlineLog(store)
        timers = Timers(log=log, clock=clock, limits=limits, quarantine=quarantine)
        quarantine.add(group_key(groups[0]), "found later")
        with trio.move_on_after(POLL_S):
            await timers.run(lambda stream: woken.append(stream.key))
        assert set(woken) == {groups[1]}

    play(main)
