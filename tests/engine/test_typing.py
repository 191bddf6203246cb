"""That somebody is typing: who sees it, and that nothing is kept of it."""

from __future__ import annotations

from typing import Any

from groupd.config import Limits
from groupd.domain.account.blocks import Block
from groupd.domain.group.direct import Direct
from groupd.domain.group.messages import Typing
from groupd.domain.group.moderation import Mute
from groupd.engine.hub import Hub
from groupd.engine.ports import Ports
from groupd.testing.fakes import FakeClock, SeededRandomness
from tests.engine.rig import FakeSession, group_key, hub_on, new_store, outcome, records_of


async def tea(hub: Hub) -> str:
    """Found a group of olga's, with mia in it."""
    return (await hub.act_as("olga").create("Tea", members=["mia"]))["group"]


async def type_as(hub: Hub, user: str, group: str) -> dict[str, Any]:
    return await hub.act_as(user).call(Typing(), group=group)


async def session_of(hub: Hub, user: str, **takes: Any) -> FakeSession:
    """Give a session to which all has been sent."""
    session = FakeSession(hub, user, **takes)
    await session.hello()
    session.write()
    return session


async def test_typing_reaches_the_others_and_leaves_nothing_behind() -> None:
    store = new_store()
    async with hub_on(store) as hub:
        group = await tea(hub)
        sessions = [await session_of(hub, user) for user in ("olga", "mia", "mia", "noa")]
        before = len(records_of(store, group_key(group)))
        assert await type_as(hub, "mia", group) == {}
        olga, mine, also_mine, stranger = (session.pushed("signal") for session in sessions)
        assert olga == [{"group": group, "user": "mia", "kind": "typing"}]
        assert mine == also_mine == stranger == []
        assert len(records_of(store, group_key(group))) == before


async def test_typing_where_nobody_reads_is_no_error() -> None:
    async with hub_on() as hub:
        group = await tea(hub)
        assert await type_as(hub, "mia", group) == {}


async def test_in_a_large_group_typing_is_passed_on_to_nobody() -> None:
    async with hub_on(limits=Limits(typing_members_max=2)) as hub:
        group = await tea(hub)
        olga = await session_of(hub, "olga")
        await type_as(hub, "mia", group)
        await hub.act_as("noa").join(group)
        await type_as(hub, "mia", group)
        assert len(olga.pushed("signal")) == 1


async def test_who_is_muted_blocked_or_in_a_dissolved_group_types_to_nobody() -> None:
    clock = FakeClock()
    async with hub_on(ports=Ports(clock, SeededRandomness(0))) as hub:
        group = await tea(hub)
        olga = await session_of(hub, "olga")
        await hub.act_as("olga").call(Mute("mia", for_ms=1_000), group=group)
        assert await outcome(type_as(hub, "mia", group)) == "muted"
        clock.jump(1_000)
        assert await outcome(type_as(hub, "mia", group)) == "ok"
        await hub.act_as("olga").dissolve(group)
        assert await outcome(type_as(hub, "mia", group)) == "conflict: state"
        made = await hub.act_as("mia").call(Direct("olga"))
        chat = made["group"]
        assert await outcome(type_as(hub, "mia", chat)) == "ok"
        await hub.act_as("olga").call(Block("mia"))
        for user in ("mia", "olga"):
            assert await outcome(type_as(hub, user, chat)) == "forbidden: blocked"
        assert len(olga.pushed("signal")) == 2


async def test_a_session_that_is_behind_misses_typing_and_no_event() -> None:
    limits = Limits(page_max_bytes=600, backlog_max_bytes=600)
    async with hub_on(limits=limits) as hub:
        group = await tea(hub)
        space = 0
        slow = await session_of(hub, "olga", takes=lambda size: min(size, space))
        await hub.act_as("mia").post(group, "one")
        for _ in range(50):
            await type_as(hub, "mia", group)
        await hub.act_as("mia").post(group, "two")
        assert [event["text"] for event in slow.events(group)] == ["one", "two"]
        assert slow.pushed("lagged") == slow.pushed("signal") == []
