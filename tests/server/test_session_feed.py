"""The change feed over a connection: for tokens that may, and beside whatever else is asked."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock

from groupd.errors import LogUnavailable, Rejected
from groupd.server.polls import POLLS_MAX
from groupd.storage.memory import MemoryStore
from tests.e2e.raw import RawClient
from tests.engine.rig import hub_on
from tests.server.bench import Bench, open_bench, settled


async def follower(bench: Bench, **claims: Any) -> RawClient:
    return await bench.enter("backend", scope="profile feed", **claims)


async def test_a_backend_reads_acknowledges_and_forgets(autojump_clock: MockClock) -> None:
    async with open_bench() as bench:
        ann, backend = await bench.enter("ann"), await follower(bench)
        group = await bench.found(ann)
        await ann.ask("post", group=group, text="早")
        page = await backend.ask("changes", consumer="orders")
        last = page["changes"][-1]
        assert (last["stream"], last["group"]) == ("group", group)
        assert (last["event"]["kind"], last["event"]["text"]) == ("posted", "早")
        assert {each["user"] for each in page["changes"] if each["stream"] == "account"} >= {"ann"}
        assert await backend.ask("changes", consumer="orders") == page
        await backend.ask("ack", consumer="orders", cursor=page["cursor"])
        assert await backend.ask("changes", consumer="orders") == {"changes": [], "more": False}
        (listed,) = (await backend.ask("consumers"))["consumers"]
        assert (listed["name"], listed["lag"], listed["cursor"]) == ("orders", 0, page["cursor"])
        await backend.ask("forget_consumer", consumer="orders")
        assert await backend.ask("consumers") == {"consumers": []}


async def test_it_is_not_for_users(autojump_clock: MockClock) -> None:
    async with open_bench() as bench:
        for scope in ("", "feeder", "profile"):
            user = await bench.enter("ann", scope=scope)
            for method, params in (
                ("changes", {"consumer": "a"}),
                ("ack", {"consumer": "a", "cursor": "x.1"}),
                ("consumers", {}),
                ("forget_consumer", {"consumer": "a"}),
            ):
                refusal = await user.refusal(method, **params)
                assert (refusal.code, refusal.details["required"]) == ("forbidden", "feed")
        operator = bench.connect(address="operator")
        assert (await operator.refusal("consumers")).code == "unauthenticated"
    async with hub_on() as hub:
        with pytest.raises(Rejected, match="scope"):
            await hub.act_as("ann").changes("a")
        assert (await hub.act_as("ann", scope="feed").consumers())["consumers"] == []


async def test_it_ends_at_the_tenant(autojump_clock: MockClock) -> None:
    async with open_bench() as bench:
        await bench.found(await bench.enter("ann", tenant="blue"))
        red, blue = await follower(bench, tenant="red"), await follower(bench, tenant="blue")
        seen = (await blue.ask("changes", consumer="all"))["changes"]
        assert [each["event"]["kind"] for each in seen if each["stream"] == "group"] == [
            "created",
            "joined",
        ]
        assert [each["user"] for each in (await red.ask("changes", consumer="all"))["changes"]] == [
            "backend"
        ]
        assert len((await red.ask("consumers"))["consumers"]) == 1


async def test_a_call_that_waits_hears_of_news_and_holds_up_nothing(
    autojump_clock: MockClock,
) -> None:
    async with open_bench() as bench:
        backend = await follower(bench)
        group = await bench.found(backend)
        await backend.ask("changes", consumer="orders", begin="newest")
        began = trio.current_time()
        waiting = await backend.send("changes", consumer="orders", wait_ms=20_000)
        assert (await backend.ask("history", group=group))["head"] == 2
        await backend.ask("ping")
        assert waiting not in backend.answers
        await trio.sleep(3)
        await backend.ask("post", group=group, text="news")
        page = await backend.answer(waiting)
        assert [each["event"]["text"] for each in page["changes"]] == ["news"]
        assert trio.current_time() - began < 4
        await backend.ask("ack", consumer="orders", cursor=page["cursor"])
        assert (await backend.ask("changes", consumer="orders", wait_ms=2_000))["changes"] == []
        assert trio.current_time() - began >= 5


async def test_no_more_than_some_wait_at_once(autojump_clock: MockClock) -> None:
    async with open_bench() as bench:
        backend = await follower(bench)
        await backend.ask("changes", consumer="orders", begin="newest")
        waiting = [
            await backend.send("changes", consumer="orders", wait_ms=9_000)
            for _ in range(POLLS_MAX)
        ]
        refusal = await backend.refusal("changes", consumer="orders", wait_ms=9_000)
        assert (refusal.code, refusal.details["retry_after_ms"]) == ("rate_limited", 1_000)
        assert [(await backend.answer(msgid))["changes"] for msgid in waiting] == [[]] * POLLS_MAX
        await backend.ask("changes", consumer="orders")


async def test_at_the_end_of_the_session_what_waits_is_answered_before_the_goodbye(
    autojump_clock: MockClock,
) -> None:
    async with open_bench() as bench:
        stopped, cut = await follower(bench), await follower(bench, name="other")
        for client in (stopped, cut):
            await client.ask("changes", consumer="orders", begin="newest")
        sent = [
            await each.send("changes", consumer="orders", wait_ms=20_000) for each in (stopped, cut)
        ]
        await settled()
        began = trio.current_time()
        operator = bench.connect(address="operator")
        await operator.ask("operator_disconnect", user="backend")
        for client, msgid in zip((stopped, cut), sent, strict=True):
            assert await client.answer(msgid) == {"changes": [], "more": False}
            assert (await client.drain() or {})["code"] == "unauthenticated"
        assert trio.current_time() - began < 1
        await trio.sleep(60)
        assert bench.remains()["sessions"] == 1


async def test_who_becomes_somebody_else_waits_no_longer(autojump_clock: MockClock) -> None:
    async with open_bench() as bench:
        backend = await follower(bench)
        await backend.ask("changes", consumer="orders", begin="newest")
        waiting = await backend.send("changes", consumer="orders", wait_ms=20_000)
        await backend.hello(bench.token("ann"))
        assert await backend.answer(waiting) == {"changes": [], "more": False}


async def test_who_goes_away_while_a_call_waits_leaves_nothing(autojump_clock: MockClock) -> None:
    async with open_bench() as bench:
        backend = await follower(bench)
        await backend.ask("changes", consumer="orders", begin="newest")
        await backend.send("changes", consumer="orders", wait_ms=20_000)
        await settled()
        await backend.close()
        await trio.sleep(600)
        assert bench.remains()["sessions"] == 0


class FailingStore(MemoryStore):
    fails = False

    def changes(self, after: int, limit: int) -> Any:
        if self.fails:
            raise LogUnavailable("the disk does not answer")
        return super().changes(after, limit)


async def test_what_cannot_be_read_is_unavailable(autojump_clock: MockClock) -> None:
    store = FailingStore("store")
    async with open_bench(store=store) as bench:
        backend = await follower(bench)
        await backend.ask("changes", consumer="orders")
        store.fails = True
        assert (await backend.refusal("changes", consumer="orders")).code == "unavailable"
        store.fails = False
        await backend.ask("changes", consumer="orders")
