"""The change feed: everything, in order, from where a consumer was, until it is acknowledged."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from groupd.config import Limits
from groupd.domain.base import ACCOUNT, GROUP
from groupd.domain.feeding import FEED_WAIT_MS
from groupd.engine.feed import Change
from groupd.engine.hub import Hub
from groupd.errors import Rejected
from tests.engine.rig import hub_on, new_store, settle


async def group_of(hub: Hub, user: str = "ann", tenant: str = "") -> str:
    return str((await hub.act_as(user, tenant=tenant).create("Tea"))["group"])


def short(changes: list[Change]) -> list[tuple[str, str, int]]:
    return [(change.stream.kind, change.kind, change.seq) for change in changes]


async def test_a_consumer_gets_the_events_of_groups_and_accounts_in_the_stores_order() -> None:
    async with hub_on(new_store()) as hub:
        group = await group_of(hub)
        await hub.act_as("ann").post(group, text="one")
        await settle()
        page = await hub.feed.read("", "mailer")
        assert short(list(page.changes)) == [
            (ACCOUNT, "owned", 1),
            (GROUP, "created", 1),
            (GROUP, "joined", 2),
            (GROUP, "posted", 3),
        ]
        event = page.changes[-1].event()
        assert (event["group"], event["user"], event["text"]) == (group, "ann", "one")
        assert not page.more


async def test_what_is_not_acknowledged_comes_again_and_what_is_does_not() -> None:
    store = new_store()
    async with hub_on(store) as hub:
        group = await group_of(hub)
        page = await hub.feed.read("", "mailer")
        assert await hub.feed.read("", "mailer") == page
        assert page.cursor is not None
        await hub.feed.ack("", "mailer", page.cursor)
        assert (await hub.feed.read("", "mailer")).changes == []
        await hub.act_as("ann").post(group, text="two")
    async with hub_on(store) as hub:
        (change,) = (await hub.feed.read("", "mailer")).changes
        assert change.event()["text"] == "two"
        await hub.feed.ack("", "mailer", page.cursor)
        assert (await hub.feed.read("", "mailer")).changes == [change], "never backwards"


async def test_consumers_go_each_at_their_own_pace_and_their_lag_is_known() -> None:
    async with hub_on(new_store()) as hub:
        await group_of(hub)
        page = await hub.feed.read("", "fast")
        await hub.feed.read("", "slow")
        assert page.cursor is not None
        await hub.feed.ack("", "fast", page.cursor)
        fast, slow = await hub.feed.consumers("")
        assert (fast.name, fast.lag) == ("fast", 0)
        assert (slow.name, slow.lag) == ("slow", len(page.changes))
        await hub.feed.forget("", "slow")
        assert [each.name for each in await hub.feed.consumers("")] == ["fast"]


async def test_one_that_waits_is_told_at_once(autojump_clock: MockClock) -> None:
    async with hub_on(new_store()) as hub:
        group = await group_of(hub)
        began = trio.current_time()
        await hub.feed.read("", "mailer", begin="newest")
        assert trio.current_time() == began
        got: list[Change] = []

        async def listen() -> None:
            page = await hub.feed.read("", "mailer", wait_ms=FEED_WAIT_MS)
            got.extend(page.changes)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(listen)
            await trio.sleep(5)
            assert not got
            await hub.act_as("ann").post(group, text="news")
        assert trio.current_time() == began + 5
        assert got[-1].event()["text"] == "news"


async def test_one_that_waits_for_nothing_gets_nothing_in_time(autojump_clock: MockClock) -> None:
    async with hub_on(new_store()) as hub:
        await group_of(hub)
        await hub.feed.read("", "mailer", begin="newest")
        await settle()
        began = trio.current_time()
        page = await hub.feed.read("", "mailer", wait_ms=1_500)
        assert (page.changes, page.more) == ([], False)
        assert trio.current_time() == began + 1.5


async def test_of_other_tenants_nothing_is_given_and_they_are_passed_over() -> None:
    limits = Limits(feed_page=3, feed_scan_pages=2)
    async with hub_on(new_store(), limits=limits) as hub:
        for number in range(6):
            await group_of(hub, f"ann{number}", tenant="other")
        mine = await group_of(hub, tenant="mine")
        seen: list[Change] = []
        for _ in range(50):
            page = await hub.feed.read("mine", "mailer")
            seen += page.changes
            if page.cursor is None:
                break
            await hub.feed.ack("mine", "mailer", page.cursor)
        assert {change.stream.key for change in seen} == {"ann", mine}
        assert not page.more


async def test_a_tenant_with_a_slash_is_another_tenant() -> None:
    async with hub_on(new_store()) as hub:
        await hub.feed.read("a/b", "mailer")
        assert await hub.feed.consumers("a") == []


@pytest.mark.parametrize("name", ["", "a b", "a/b", "x" * 65, "茶", None, 5, ".a"])
async def test_a_consumer_has_a_plain_name(name: str) -> None:
    async with hub_on(new_store()) as hub:
        with pytest.raises(Rejected, match="consumer: expected"):
            await hub.feed.read("", name)


@pytest.mark.parametrize("cursor", ["", "5", "other.5", "one.99999", "one.x", None, 7, "a.b.c"])
async def test_a_cursor_is_one_that_was_given(cursor: str) -> None:
    async with hub_on(new_store()) as hub:
        await group_of(hub)
        await hub.feed.read("", "mailer")
        known = await hub.feed.consumers("")
        with pytest.raises(Rejected, match=r"bad_request|conflict"):
            await hub.feed.ack("", "mailer", cursor)
        assert await hub.feed.consumers("") == known


async def test_nobody_acknowledges_for_a_consumer_that_is_not_there() -> None:
    async with hub_on(new_store()) as hub:
        await group_of(hub)
        page = await hub.feed.read("", "mailer")
        assert page.cursor is not None
        with pytest.raises(Rejected, match="not_found"):
            await hub.feed.ack("", "other", page.cursor)


async def test_consumers_are_so_many_at_most() -> None:
    async with hub_on(new_store(), limits=Limits(feed_consumers_max=2)) as hub:
        for name in ("a", "b"):
            await hub.feed.read("", name)
        with pytest.raises(Rejected, match="quota_exceeded"):
            await hub.feed.read("", "c")
        await hub.feed.read("", "a")


async def test_an_embedding_program_iterates_and_goes_on_where_it_was_left() -> None:
    store = new_store()
    seen = []
    async with hub_on(store) as hub:
        group = await group_of(hub)
        async for change in hub.changes("mailer"):
            seen.append((change.stream, change.seq))
            if change.kind == "joined":
                break
        await hub.act_as("ann").post(group, text="later")
    async with hub_on(store) as hub:
        async for change in hub.changes("mailer"):
            seen.append((change.stream, change.seq))
            if change.kind == "posted":
                break
    assert len(seen) > len(set(seen)), "the page that was under way comes again"
    assert [seq for stream, seq in dict.fromkeys(seen) if stream.kind == GROUP] == [1, 2, 3]
