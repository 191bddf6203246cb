"""A damaged stream is set apart: it answers an error, is logged once, and hurts nobody else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import apsw
import pytest
import trio
import trio.testing

from groupd.app import open_hub
from groupd.config import Limits
from groupd.domain.base import Identity, StreamKey
from groupd.domain.links import LinkKeys
from groupd.engine import hub as engine
from groupd.engine.hub import Hub
from groupd.engine.quarantine import QUARANTINED_MAX, Quarantine
from groupd.engine.timers import Timers
from groupd.errors import LogCorrupt, LogUnavailable, Rejected
from groupd.storage.log import InlineLog
from groupd.storage.memory import MemoryStore
from groupd.storage.port import Snapshot
from groupd.testing.fakes import FakeClock, fake_ports
from tests.engine.rig import GateLog
from tests.operate.rig import (
    account_key,
    all_have_heard,
    change,
    damage,
    drop_snapshots,
    flip,
    group_key,
    live_a_little,
)


async def damaged(tmp: Path, column: str = "body", by: Any = flip) -> tuple[str, str]:
    """Make two groups and flip a bit in the newest record of the first."""
    async with open_hub(tmp / "data") as hub:
        groups = await live_a_little(hub)
        ann = hub.act_as("ann")
        seq = (await ann.post(groups[0], text="the newest"))["seq"]
    drop_snapshots(tmp / "data")
    change(tmp / "data", group_key(groups[0]), seq, column, by)
    return groups[0], groups[1]


async def refusal(hub: Hub, group: str) -> Rejected:
    with pytest.raises(Rejected) as raised:
        await hub.act_as("ann").post(group, text="hello")
    return raised.value


@pytest.mark.parametrize("column", ["body", "header", "chain", "inner", "salt"])
async def test_a_flipped_bit_sets_its_group_apart_and_no_other(
    tmp_path: Path, column: str, capsys: pytest.CaptureFixture[str]
) -> None:
    bad, good = await damaged(tmp_path, column)
    capsys.readouterr()
    async with open_hub(tmp_path / "data") as hub:
        first = await refusal(hub, bad)
        assert first.code == "internal"
        assert "damaged" in first.message
        for _ in range(5):
            assert (await refusal(hub, bad)).to_wire() == first.to_wire()
        ann = hub.act_as("ann")
        assert (await ann.post(good, text="on"))["status"] == "posted"
        assert (await ann.create("Another"))["seq"]
        assert len(hub.quarantine) == 1
        assert group_key(bad) in hub.quarantine
        assert not hub.is_awake(group_key(bad))
    logged = capsys.readouterr().out
    assert logged.count("stream_quarantined") == 1, "once, not at each request"
    assert bad in logged
    assert first.details["reference"] in logged


async def test_what_its_members_read_is_refused_too_and_they_still_come_in(tmp_path: Path) -> None:
    bad, good = await damaged(tmp_path)
    async with open_hub(tmp_path / "data") as hub:
        ann = hub.act_as("ann")
        assert {item["group"] for item in (await ann.groups())["groups"]} == {bad, good}
        await refusal(hub, bad)
        for ask in (ann.history, ann.members, ann.info):
            with pytest.raises(Rejected, match="internal"):
                await ask(bad)  # type: ignore[operator]
        caught_up = (await ann.sync({bad: 3, good: 3}))["groups"]
        shown = {item["group"]: item for item in caught_up}
        assert (shown[bad]["head"], shown[bad]["more"], shown[bad]["events"]) == (3, False, [])
        assert len(shown[good]["events"]) > 30
        async with ann.events() as events:
            assert events.greeting


@pytest.mark.parametrize("where", ["a record", "the newest record", "the head"])
async def test_what_is_missing_is_noticed(tmp_path: Path, where: str) -> None:
    async with open_hub(tmp_path / "data") as hub:
        groups = await live_a_little(hub)
    drop_snapshots(tmp_path / "data")
    db = apsw.Connection(str(tmp_path / "data" / "groupd.sqlite3"))
    (stream, head) = db.execute(
        "select id, head from streams where key = ?", (groups[0],)
    ).fetchone()
    if where == "the head":
        db.execute("update streams set head = head - 1 where id = ?", (stream,))
    else:
        seq = 5 if where == "a record" else head
        db.execute("delete from records where stream = ? and seq = ?", (stream, seq))
    db.close()
    async with open_hub(tmp_path / "data") as hub:
        with trio.fail_after(30):
            assert (await refusal(hub, groups[0])).code == "internal"
            assert (await hub.act_as("ann").post(groups[1], text="on"))["status"] == "posted"


async def test_one_that_is_damaged_while_it_is_awake_leaves_and_is_logged_once(
    autojump_clock: trio.testing.MockClock, capsys: pytest.CaptureFixture[str]
) -> None:
    log = GateLog(MemoryStore("s"))
    ports = fake_ports()
    async with engine.open_hub(log=log, ports=ports, links=KEYS) as hub:
        ann = hub.act_as("ann")
        group = (await ann.create("Tea"))["group"]
        await ann.post(group, text="so far")
        await all_have_heard(hub)
        # The append fails, and what is loaded again makes no sense.
        log.failures.append(LogUnavailable("full"))
        log.read_failures.append(LogCorrupt("a page makes no sense"))
        with pytest.raises(Rejected, match="unavailable"):
            await ann.post(group, text="lost")
        await trio.testing.wait_all_tasks_blocked()
        assert (await refusal(hub, group)).code == "internal"
        assert not hub.is_awake(group_key(group))
        await trio.sleep(30)
    assert capsys.readouterr().out.count("stream_quarantined") == 1


KEYS = LinkKeys({"k": b"x" * 32}, "k")


class Counting(MemoryStore):
    """Notes which streams are loaded."""

    def __init__(self, id: str) -> None:
        super().__init__(id)
        self.loads: list[StreamKey] = []

    def snapshot(self, stream: StreamKey) -> Snapshot | None:
        self.loads.append(stream)
        return super().snapshot(stream)


async def test_a_damaged_stream_with_a_deadline_is_not_woken_again_and_again(
    autojump_clock: trio.testing.MockClock, capsys: pytest.CaptureFixture[str]
) -> None:
    store, ports = Counting("s"), fake_ports()
    clock, loads = ports.clock, store.loads
    assert isinstance(clock, FakeClock)
    async with engine.open_hub(log=InlineLog(store), ports=ports, links=KEYS) as hub:
        ann = hub.act_as("ann")
        groups = [(await ann.create(f"{n}", join_policy="approval"))["group"] for n in range(3)]
        for group in groups:
            await hub.act_as("bob").join(group)
        await hub.passivate()
    records = store._streams[group_key(groups[0])].records
    store._streams[group_key(groups[0])].snapshot = None
    records[-1] = records[-1]._replace(body=b"\xc1")
    loads.clear()
    clock.jump(8 * 86_400_000)
    capsys.readouterr()
    async with engine.open_hub(log=InlineLog(store), ports=ports, links=KEYS) as hub:
        await trio.sleep(100)
        # The requests of the others have lapsed when their time came.
        for group in groups[1:]:
            assert (await ann_requests(hub, group)) == []
        assert group_key(groups[0]) in hub.quarantine
    assert loads.count(group_key(groups[0])) == 1
    assert capsys.readouterr().out.count("stream_quarantined") == 1


async def ann_requests(hub: Hub, group: str) -> list[Any]:
    return list((await hub.act_as("ann").requests(group))["requests"])


async def test_many_damaged_streams_that_are_due_take_nobodys_place(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """As many as are woken in a round at most."""
    clock, woken = FakeClock(), list[StreamKey]()

    class Due(MemoryStore):
        def due(self, until_ms: int, limit: int) -> list[StreamKey]:
            return [group_key(str(number)) for number in range(200)][:limit]

        def next_deadline_ms(self) -> int | None:
            return 0

    quarantine = Quarantine()
    for number in range(100):
        quarantine.add(group_key(str(number)), "r")
    log, limits = InlineLog(Due("s")), Limits(wakes_per_round_max=50)
    timers = Timers(log=log, clock=clock, limits=limits, quarantine=quarantine)
    with trio.move_on_after(0.5):
        await timers.run(woken.append)
    assert woken == [group_key(str(number)) for number in range(100, 150)]


async def test_a_damaged_account_is_passed_over_by_the_reactor(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with open_hub(tmp_path / "data") as hub:
        groups = await live_a_little(hub)
    drop_snapshots(tmp_path / "data")
    damage(tmp_path / "data", account_key("eve"), 1)
    capsys.readouterr()
    async with open_hub(tmp_path / "data") as hub:
        ann, eve = hub.act_as("ann"), hub.act_as("eve", name="Eve")
        # What she is told, others are not held up by; nor is what she asks of a healthy group.
        with pytest.raises(Rejected, match="internal"):
            await eve.join(groups[1])
        for number in range(4):
            await ann.invite(groups[number % 2], f"user{number}")
        await ann.kick(groups[0], "bob")
        await all_have_heard(hub)
        assert (await hub.act_as("bob").account_history())["events"]
        with pytest.raises(Rejected, match="internal"):
            await eve.create("Mine")
    logged = capsys.readouterr().out
    assert logged.count("stream_quarantined") == 1
    assert logged.count("effect_given_up") == 0
    assert logged.count("introduction_failed") <= 1


def test_the_quarantine_is_bounded_and_the_newest_is_in_it() -> None:
    quarantine = Quarantine()
    for number in range(QUARANTINED_MAX + 5):
        quarantine.add(group_key(str(number)), "r")
    assert len(quarantine) == QUARANTINED_MAX
    assert group_key(str(QUARANTINED_MAX + 4)) in quarantine
    assert quarantine.refusal(group_key("0")) is None
    assert Identity(user="ann").account not in quarantine
