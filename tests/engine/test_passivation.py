"""Idle streams leave memory, and come back as they were."""

from __future__ import annotations

from typing import Any, Final

import attrs
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from groupd.config import Limits
from groupd.domain.base import Command, Identity, StreamKey
from groupd.domain.catalog import AGGREGATES
from groupd.domain.group.state import Group
from groupd.engine.hub import Hub
from groupd.engine.ledger import Ledger
from groupd.engine.ports import Ports
from groupd.errors import LogUnavailable, Rejected
from groupd.storage.memory import MemoryStore
from groupd.storage.port import PutSnapshot, Write
from groupd.testing.fakes import FakeClock, SeededRandomness
from groupd.wire import codec
from tests.engine.rig import (
    FakeSession,
    GateLog,
    group_key,
    hub_on,
    new_store,
    play,
    records_of,
    settle,
)
from tests.strategies import NOW_MS, Step, dialogues, uuid7

IDLE_S: Final = Limits().actor_idle_ms / 1_000


def replayed(store: MemoryStore, stream: StreamKey) -> Ledger:
    """Rebuild a stream from nothing but its records."""
    ledger = Ledger.empty(stream)
    for record in records_of(store, stream):
        ledger.replay(record)
    return ledger


def state_of(hub: Hub, stream: StreamKey) -> Any:
    return hub._directory._actors[stream]._ledger.state


def snapshot_state(store: MemoryStore, stream: StreamKey) -> Any:
    snapshot = store.snapshot(stream)
    assert snapshot is not None
    return AGGREGATES[stream.kind].state.load(codec.unpack(snapshot.state))


def test_an_idle_stream_leaves_with_a_snapshot_and_a_busy_one_stays() -> None:
    async def main() -> None:
        store = new_store()
        async with hub_on(store) as hub:
            idle = (await hub.act_as("olga").create("Tea"))["group"]
            busy = (await hub.act_as("olga").create("Coffee"))["group"]
            await hub.act_as("olga").post(idle, "hello")
            for _ in range(10):
                await hub.act_as("olga").post(busy, "hello")
                await trio.sleep(IDLE_S / 5)
            assert not hub.is_awake(group_key(idle))
            assert hub.is_awake(group_key(busy))
            snapshot = store.snapshot(group_key(idle))
            assert snapshot is not None
            assert snapshot.seq == records_of(store, group_key(idle))[-1].seq

    play(main)


async def test_after_passivation_nothing_is_left_in_memory() -> None:
    store = new_store()
    async with hub_on(store) as hub:
        group = (await hub.act_as("olga").create("Tea", members=["mia"]))["group"]
        session = FakeSession(hub, "mia")
        await session.hello()
        await hub.act_as("mia").post(group, "hello")
        session.part()
        await hub.passivate()
        assert hub.awake == 0
        assert not hub._directory._actors
        assert not hub.outlets._outlets
        assert not hub.outlets.roster._peers
        assert not hub.outlets.roster._news
        assert session.peer.streams == set()


async def test_questions_about_what_does_not_exist_leave_nothing_in_memory() -> None:
    store = new_store()
    async with hub_on(store) as hub:
        for number in range(20):
            with pytest.raises(Rejected, match="not_found"):
                await hub.act_as("eve").info(f"NO SUCH GROUP {number:02}")
        await settle()
        assert (hub.awake, len(hub.outlets._outlets)) == (0, 0)
        assert store.streams(None, 9) == []


class SnapshotGate(GateLog):
    """A log whose snapshots take their time."""

    def __init__(self, store: MemoryStore) -> None:
        super().__init__(store)
        self.snapshots = 0
        self.gate = trio.Event()
        self.gate.set()

    async def write(self, write: Write) -> None:
        if isinstance(write, PutSnapshot):
            self.snapshots += 1
            await self.gate.wait()
        await super().write(write)


def test_mail_that_comes_during_the_snapshot_keeps_the_stream_awake() -> None:
    async def main() -> None:
        store = new_store()
        log = SnapshotGate(store)
        async with hub_on(log) as hub:
            group = (await hub.act_as("olga").create("Tea"))["group"]
            await hub.act_as("olga").post(group, "one")
            log.gate = trio.Event()
            await trio.sleep(1.5 * IDLE_S)
            assert log.snapshots
            async with trio.open_nursery() as nursery:
                nursery.start_soon(hub.act_as("olga").post, group, "two")
                await settle()
                log.gate.set()
            await settle()
            assert hub.is_awake(group_key(group))
            assert [record.kind for record in records_of(store, group_key(group))][-2:] == [
                "posted",
                "posted",
            ]
            await trio.sleep(2 * IDLE_S)
            assert not hub.is_awake(group_key(group))

    play(main)


async def test_passivating_ends_also_where_mail_came_in_between() -> None:
    store = new_store()
    log = SnapshotGate(store)
    async with hub_on(log) as hub:
        group = (await hub.act_as("olga").create("Tea", members=["mia"]))["group"]
        log.gate = trio.Event()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(hub.passivate)
            await settle()
            nursery.start_soon(hub.act_as("mia").post, group, "to one that slept")
            nursery.start_soon(hub.act_as("olga").create, "to one that leaves")
            await settle()
            log.gate.set()
        assert hub.awake == 0


async def test_a_hub_closes_also_where_mail_comes_while_it_does() -> None:
    store = new_store()
    log = SnapshotGate(store)
    async with trio.open_nursery() as nursery, hub_on(log) as hub:
        group = (await hub.act_as("olga").create("Tea"))["group"]
        await hub.act_as("olga").post(group, "one")
        log.gate = trio.Event()

        async def post_late() -> None:
            while not log.snapshots:
                await trio.lowlevel.checkpoint()
            posting = hub.act_as("olga").post(group, "two")
            nursery.start_soon(lambda: posting)
            await settle()
            log.gate.set()

        nursery.start_soon(post_late)
    assert records_of(store, group_key(group))[-1].seq == 4


async def test_a_snapshot_that_cannot_be_written_only_makes_the_next_start_longer() -> None:
    class Full(GateLog):
        async def write(self, write: Write) -> None:
            if isinstance(write, PutSnapshot):
                raise LogUnavailable("full")
            await super().write(write)

    store = new_store()
    async with hub_on(Full(store)) as hub:
        group = (await hub.act_as("olga").create("Tea"))["group"]
        await hub.act_as("olga").post(group, "hello")
        await hub.passivate()
        assert store.snapshot(group_key(group)) is None
        assert (await hub.act_as("olga").info(group))["stats"]["messages"] == 1


async def test_a_snapshot_of_another_version_is_not_read_and_is_replaced() -> None:
    store = new_store()
    stream = await made_group(store)
    kept = store._streams[stream]
    snapshot = store.snapshot(stream)
    assert snapshot is not None
    kept.snapshot = attrs.evolve(snapshot, version=snapshot.version + 1, state=b"\xc1")
    async with hub_on(store) as hub:
        assert (await hub.act_as("olga").info(stream.key))["name"] == "Tea"
        assert state_of(hub, stream).hash() == replayed(store, stream).state.hash()
    assert store.snapshot(stream) == snapshot


async def made_group(store: MemoryStore) -> StreamKey:
    async with hub_on(store) as hub:
        group = (await hub.act_as("olga").create("Tea", members=["mia"]))["group"]
        await hub.act_as("mia").post(group, "hello", id=uuid7(NOW_MS, 1))
    return group_key(group)


async def test_a_stream_that_has_not_changed_is_not_snapshotted_again() -> None:
    store = new_store()
    stream = await made_group(store)
    log = SnapshotGate(store)
    async with hub_on(log) as hub:
        await hub.act_as("olga").info(stream.key)
        await hub.passivate()
        assert log.snapshots == 0


async def test_a_busy_stream_is_snapshotted_now_and_then() -> None:
    store = new_store()
    log = SnapshotGate(store)
    async with hub_on(log, limits=Limits(snapshot_every=10)) as hub:
        group = (await hub.act_as("olga").create("Tea"))["group"]
        for _ in range(35):
            await hub.act_as("olga").post(group, "hello")
        assert log.snapshots == 3


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_snapshot_and_tail_are_the_full_replay(data: st.DataObject) -> None:
    """Whatever was said, and whenever the stream left memory in between."""
    group_box: list[str] = []
    todo = data.draw(dialogues(st.just("x" * 38), max_size=20))
    leaving = data.draw(st.sets(st.integers(0, 20)))

    async def main() -> None:
        store, clock = new_store(), FakeClock(NOW_MS)
        ports = Ports(clock=clock, randomness=SeededRandomness())
        async with hub_on(store, ports=ports) as hub:
            made = await hub.act_as("ann").create("Tea", members=["bob"])
            group_box.append(made["group"])
            stream = group_key(made["group"])
            for number, step in enumerate(todo):
                await say(hub, made["group"], step)
                clock.jump(step.pass_ms)
                if number in leaving:
                    await hub.passivate()
                    if store.snapshot(stream) is not None:
                        full = replayed(store, stream).state
                        assert snapshot_state(store, stream) == full
            await hub.act_as("ann").info(made["group"])
            live, full_ledger = hub._directory._actors[stream]._ledger, replayed(store, stream)
            assert live.state == full_ledger.state
            assert live.chain == full_ledger.chain
            assert isinstance(live.state, Group)
            assert live.state.hash() == full_ledger.state.hash()

    play(main)


async def say(hub: Hub, group: str, step: Step) -> None:
    command: Command = step.command
    request_id = None
    if step.id_ago_ms is not None:
        request_id = uuid7(NOW_MS - step.id_ago_ms, step.id_tail)
    try:
        where = group if command.addressed == "group" else None
        await hub.act_as(step.user).call(command, group=where, id=request_id)
    except Rejected:
        pass


async def test_accounts_come_back_as_they_were_too() -> None:
    store = new_store()
    async with hub_on(store) as hub:
        olga = hub.act_as("olga")
        for number in range(3):
            await olga.create("Tea", ref=f"ref {number}", members=["mia"])
            await hub.passivate()
        account = Identity("olga").account
        assert snapshot_state(store, account) == replayed(store, account).state
        await olga.create("The last one")
        with pytest.raises(Rejected, match="quota_exceeded"):
            await olga.create("More")


async def test_cards_of_older_messages_are_fetched_again_after_passivation() -> None:
    async with hub_on(limits=Limits(cards_max=4)) as hub:
        olga = hub.act_as("olga")
        group = (await olga.create("Tea"))["group"]
        seqs = [(await olga.post(group, f"{number}"))["seq"] for number in range(30)]
        await hub.passivate()
        for seq in (seqs[0], seqs[-1], seqs[15]):
            assert (await olga.post(group, "reply", reply_to=seq))["status"] == "posted"
        with pytest.raises(Rejected, match="no message 1"):
            await olga.post(group, "reply", reply_to=1)
