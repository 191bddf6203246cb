"""Accounts hear of what befalls their user elsewhere: in order, and in the end exactly once."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any, Final, TypeVar

import pytest
import trio
from trio.testing import MockClock

from groupd.config import Limits
from groupd.domain.base import Identity
from groupd.domain.catalog import EVENTS
from groupd.engine.reactors import RETRY_S, SAVE_S, AccountReactor
from groupd.errors import LogUnavailable
from groupd.storage.log import InlineLog, Log
from groupd.storage.memory import MemoryStore
from groupd.storage.port import PutPosition, Store, Write
from groupd.storage.rounds import Done
from groupd.testing.fakes import fake_ports
from groupd.wire import codec
from tests.engine.rig import (
    FakeSession,
    GateLog,
    group_key,
    hub_on,
    kinds_of,
    new_store,
    play,
    records_of,
    settle,
)

T = TypeVar("T")
NAME: Final = AccountReactor.name


def heard(store: MemoryStore, user: str) -> list[tuple[str, str, int]]:
    """Give what an account has heard: kind, group, and the seq there."""
    stream = Identity(user).account
    found = []
    for record in records_of(store, stream):
        if record.kind in ("added", "left", "dissolved"):
            event: Any = codec.decode_event(EVENTS["account"], record)
            found.append((record.kind, event.group, event.at))
    return found


async def test_an_account_hears_of_being_added_of_leaving_and_of_the_end() -> None:
    store = new_store()
    async with hub_on(store) as hub:
        olga, mia = hub.act_as("olga"), hub.act_as("mia")
        session = FakeSession(hub, "mia")
        await session.hello()
        one = (await olga.create("One", members=["mia", "noa"]))["group"]
        await mia.leave(one)
        joined = (await mia.join(one))["seq"]
        await olga.dissolve(one)
        await settle(60)
        assert heard(store, "mia") == [
            ("added", one, 3),
            ("left", one, joined - 1),
            ("dissolved", one, joined + 1),
        ]
        assert heard(store, "noa") == [("added", one, 4), ("dissolved", one, joined + 1)]
        assert heard(store, "olga") == [("dissolved", one, joined + 1)]
        assert [event["kind"] for event in session.pushed("account_event")] == [
            "added",
            "left",
            "dissolved",
        ]
        # Their own joining is nothing that somebody else did to them.
        assert "joined" not in kinds_of(store, Identity("mia").account)


async def test_the_position_is_kept_across_a_restart() -> None:
    store = new_store()
    async with hub_on(store) as hub:
        await hub.act_as("olga").create("Tea", members=["mia"])
        await settle()
    position = store.position(NAME)
    assert position == store.followed(0, 99)[-1].position
    before = records_of(store, Identity("mia").account)
    async with hub_on(store):
        await settle()
    assert records_of(store, Identity("mia").account) == before
    assert store.position(NAME) == position


async def test_the_news_of_a_second_are_one_write_of_the_position(
    autojump_clock: MockClock,
) -> None:
    store = new_store()
    log = GateLog(store)
    async with hub_on(log) as hub:
        await trio.sleep(2 * SAVE_S)
        for number in range(10):
            await hub.act_as(f"olga{number}").create("Tea", members=["mia"])
            await settle()
        await trio.sleep(2 * SAVE_S)
        assert hub.reactor_position == store.position(NAME) > 0
        assert 1 <= len(log.positions) <= 2


class Crash(BaseException):
    """The process ends here."""


class CrashingLog(Log):
    """Ends the process at one of its calls, before or after the store has done it."""

    def __init__(self, store: MemoryStore, at: int) -> None:
        self._log = InlineLog(store)
        self.id = self._log.id
        self._left = at

    def _pass(self) -> None:
        self._left -= 1
        if self._left == 0:
            raise Crash

    def begin(self, write: Write, done: Done) -> None:
        def pass_on(error: BaseException | None) -> None:
            self._pass()
            done(error)

        self._pass()
        self._log.begin(write, pass_on)

    async def read(self, query: Callable[[Store], T]) -> T:
        self._pass()
        await trio.lowlevel.checkpoint()
        return await self._log.read(query)


def test_each_thing_is_heard_exactly_once_whenever_the_process_ends() -> None:
    """One hub does what is heard of; others follow until they crash, and the last one does not."""

    async def main(at: int) -> bool:
        store = new_store()
        async with hub_on(GateLog(store)) as hub:
            hub._followers.cancel()
            await settle()
            olga, mia = hub.act_as("olga"), hub.act_as("mia")
            one = (await olga.create("One", members=["mia", "noa", "pia"]))["group"]
            two = (await olga.create("Two", members=["mia"]))["group"]
            await mia.leave(one)
            await mia.join(one)
            await olga.dissolve(one)
            head = records_of(store, group_key(one))[-1].seq
        limits = Limits(reactor_page=3)
        crashed = False
        for crash_at in (at, at // 2 + 1):
            try:
                log = CrashingLog(store, crash_at)
                async with hub_on(log, ports=fake_ports(crash_at), limits=limits):
                    await trio.sleep(5)
            except Crash:
                crashed = True
        async with hub_on(store, ports=fake_ports(99), limits=limits):
            await trio.sleep(5)
        assert heard(store, "mia") == [
            ("added", one, 3),
            ("added", two, 3),
            ("left", one, head - 2),
            ("dissolved", one, head),
        ]
        assert heard(store, "noa") == [("added", one, 4), ("dissolved", one, head)]
        assert heard(store, "pia") == [("added", one, 5), ("dissolved", one, head)]
        assert heard(store, "olga") == [("dissolved", one, head)]
        assert store.position(NAME) == store.followed(0, 99)[-1].position
        return crashed

    for at in count(1):
        if not play(lambda at=at: main(at)):
            assert at > 30  # So many moments there were to crash at.
            return


async def test_a_page_that_was_not_finished_is_begun_again() -> None:
    store = new_store()
    log = GateLog(store)
    async with hub_on(log) as hub:
        await settle()
        log.failures.append(LogUnavailable("once"))
        # The first append is refused to olga, the next one is hers, then comes mia's account.
        with pytest.raises(Exception, match="unavailable"):
            await hub.act_as("olga").create("Tea", members=["mia"])
        group = (await hub.act_as("olga").create("Tea", members=["mia"]))["group"]
        await settle()
        assert heard(store, "mia") == [("added", group, 3)]


def test_what_an_account_cannot_take_yet_is_told_again() -> None:
    async def main() -> None:
        store = new_store()
        log = GateLog(store)
        async with hub_on(log) as hub:
            made = await hub.act_as("olga").create("Tea", members=["mia", "noa"])
            log.failures += [LogUnavailable("full")] * 3
            await trio.sleep(5 * RETRY_S)
            assert heard(store, "mia") == [("added", made["group"], 3)]
            assert heard(store, "noa") == [("added", made["group"], 4)]

    play(main)


def test_a_log_that_cannot_be_read_for_a_while_delays_the_reactor_only() -> None:
    async def main() -> None:
        store = new_store()
        log = GateLog(store)
        async with hub_on(log) as hub:
            made = await hub.act_as("olga").create("Tea", members=["mia"])
            log.read_failures += [LogUnavailable("not now")] * 2
            await trio.sleep(5 * RETRY_S)
            assert heard(store, "mia") == [("added", made["group"], 3)]

    play(main)


def test_all_of_a_large_group_hear_of_its_end_page_by_page() -> None:
    async def main() -> None:
        store = new_store()
        users = [f"user{number:03}" for number in range(299)]
        limits = Limits(reactor_page=100)
        async with hub_on(store, limits=limits) as hub:
            circle = hub.act_as("olga", plan="circle")
            group = (await circle.create("Circle", members=users))["group"]
            seq = (await circle.dissolve(group))["seq"]
            await trio.sleep(5)
            for user in users:
                assert heard(store, user)[1:] == [("dissolved", group, seq)]
            assert heard(store, "olga") == [("dissolved", group, seq)]

    play(main)


def test_news_that_come_while_the_reactor_works_are_not_slept_through() -> None:
    async def main() -> None:
        store = new_store()
        async with hub_on(store) as hub:
            groups = []
            for number in range(20):
                made = await hub.act_as(f"olga{number}").create("Tea", members=["mia"])
                groups.append(made["group"])
                for _ in range(number % 5):
                    await trio.lowlevel.checkpoint()
            await settle(200)
            assert heard(store, "mia") == [("added", group, 3) for group in groups]

    play(main)


async def test_an_account_that_cannot_be_read_keeps_nobody_else_from_hearing() -> None:
    store = new_store()
    async with hub_on(store) as hub:
        olga = hub.act_as("olga")
        await olga.create("One", members=["mia"])
        await settle()
        await hub.passivate()
        mias = store._streams[Identity("mia").account]
        mias.snapshot = None
        mias.records[0] = mias.records[0]._replace(body=b"\xff\xc1")
        group = (await olga.create("Two", members=["mia", "noa"]))["group"]
        await settle()
        assert heard(store, "noa") == [("added", group, 4)]
        later = (await olga.create("Three", members=["noa"]))["group"]
        await settle()
        assert heard(store, "noa")[-1] == ("added", later, 3)


async def test_a_record_that_makes_no_sense_is_passed_over() -> None:
    store = new_store()
    async with hub_on(store) as hub:
        one = (await hub.act_as("olga").create("One", members=["mia"]))["group"]
        await settle()
    # The reactor begins again, and meets a damaged record on its way.
    store.commit([PutPosition(NAME, 0)])
    records = store._streams[group_key(one)].records
    records[2] = records[2]._replace(body=b"\xff\xc1")
    async with hub_on(store) as hub:
        two = (await hub.act_as("olga").create("Two", members=["noa"]))["group"]
        await settle()
        assert heard(store, "noa") == [("added", two, 3)]


async def test_those_whom_one_founding_concerns_hear_of_it_at_once() -> None:
    """One after the other they would keep everybody else waiting."""
    log = GateLog(new_store())
    async with hub_on(log) as hub:
        log.appends.clear()
        members = [f"u{number}" for number in range(50)]
        await hub.act_as("olga").create("Big", members=members)
        await settle()
        accounts = [w.appends[0].stream.key for w in log.appends if len(w.appends) == 1]
        assert sorted(accounts) == sorted(members)
