"""A backend hears of everything, over HTTP, and does each thing once in effect."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from groupd.testing import schema
from tests.engine.rig import settle
from tests.web.rig import Backend, open_backend


async def replies(shop: Backend, done: dict[tuple[str, int], str], *, dies: bool) -> None:
    """Be a consumer: do what is new and acknowledge it, or die before that."""
    while True:
        page = await shop.ok("changes", consumer="orders", limit=3)
        for change in page["changes"]:
            event = change["event"]
            if change["stream"] == "group" and event["kind"] == "posted":
                # What is done is kept under stream and seq, so again is once.
                done[change["group"], event["seq"]] = event["text"]
        if dies or "cursor" not in page:
            return
        await shop.ok("ack", consumer="orders", cursor=page["cursor"])


async def test_each_reply_is_heard_once_in_effect_although_the_consumer_is_killed_twice() -> None:
    async with open_backend() as shop:
        group = (await shop.ok("create", as_="shop", name="Tea", members=["bob"]))["group"]
        done: dict[tuple[str, int], str] = {}
        for number in range(9):
            await shop.ok("post", as_="bob", group=group, text=f"reply {number}")
            if number in (3, 6):
                await replies(shop, done, dies=True)
        await replies(shop, done, dies=False)
        assert list(done.values()) == [f"reply {number}" for number in range(9)]
        await settle()
        await replies(shop, done, dies=False)
        assert len(done) == 9
        (consumer,) = (await shop.ok("consumers"))["consumers"]
        assert (consumer["name"], consumer["lag"]) == ("orders", 0)
        await shop.ok("forget_consumer", consumer="orders")
        assert (await shop.ok("consumers"))["consumers"] == []


async def test_a_change_says_whose_it_is_and_is_the_event_that_clients_see() -> None:
    async with open_backend() as shop:
        group = (await shop.ok("create", as_="ann", name="Tea"))["group"]
        page = await shop.ok("changes", consumer="all")
        shown = {(each["stream"], each.get("user") or each["group"]) for each in page["changes"]}
        assert shown == {("account", "ann"), ("group", group)}
        for each in page["changes"]:
            kind = "event" if each["stream"] == "group" else "account_event"
            assert schema.problems(kind, each["event"]) == []


@pytest.mark.parametrize(
    ("method", "params", "field"),
    [
        ("changes", {}, "consumer"),
        ("changes", {"consumer": 5}, "consumer"),
        ("changes", {"consumer": "a", "limit": 0}, "limit"),
        ("changes", {"consumer": "a", "wait_ms": -1}, "wait_ms"),
        ("changes", {"consumer": "a", "wait_ms": 10**6}, "wait_ms"),
        ("changes", {"consumer": "a", "begin": "middle"}, "begin"),
        ("ack", {"consumer": "a"}, "cursor"),
        ("ack", {"consumer": "a", "cursor": [1]}, "cursor"),
        ("forget_consumer", {"consumer": ""}, "consumer"),
    ],
)
async def test_what_makes_no_sense_is_refused(
    method: str, params: dict[str, Any], field: str
) -> None:
    async with open_backend() as shop:
        answer = await shop.call(method, **params)
        assert (answer.status, answer.body["error"]["field"]) == (400, field)


async def test_the_feed_takes_a_scope_of_its_own() -> None:
    async with open_backend(scopes=("read", "write", "system")) as shop:
        assert (await shop.call("changes", consumer="a")).status == 403


async def test_who_waits_for_news_is_answered_when_the_server_stops(
    autojump_clock: MockClock,
) -> None:
    async with open_backend() as backend, trio.open_nursery() as nursery:
        pages: list[Any] = []

        async def poll() -> None:
            pages.append(await backend.ok("changes", consumer="orders", wait_ms=20_000))

        nursery.start_soon(poll)
        await trio.testing.wait_all_tasks_blocked()
        assert pages == []
        began = trio.current_time()
        backend.hub.feed.end_waiting()
        await trio.testing.wait_all_tasks_blocked()
        assert pages == [{"changes": [], "more": False}]
        assert trio.current_time() == began
