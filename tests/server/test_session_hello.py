"""Who a connection speaks for: ``hello``, again, as somebody else, too late, and not at all."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock

from groupd.config import PLANS, Plan
from groupd.domain.catalog import REQUESTS
from groupd.errors import CODES, LogUnavailable, Rejected
from groupd.storage.memory import MemoryStore
from tests.e2e.raw import RawClient, codes
from tests.server.bench import MINUTE_MS, open_bench, settled


async def test_everything_before_hello_is_unauthenticated(autojump_clock: MockClock) -> None:
    async with open_bench() as bench:
        client = bench.connect()
        for method in (*sorted(set(REQUESTS) - {"hello"}), "no_such_method", ""):
            assert (await client.refusal(method, group="G")).code == "unauthenticated"
        assert (await client.hello(bench.token("ann")))["user"] == "ann"


async def test_hello_tells_what_a_client_needs(autojump_clock: MockClock) -> None:
    async with open_bench() as bench:
        client = bench.connect()
        told = await client.hello(bench.token("ann"), client="raw/1")
        assert told["user"] == "ann"
        assert told["protocol"] == 1
        assert told["store"] == "store"
        assert abs(told["time_ms"] - bench.ports.clock.now_ms()) < 1_000
        assert told["groups"] == []
        # Her token names her, and her account has taken that down.
        assert told["account"] == {"head": 1}
        assert told["categories"] == []
        assert told["limits"]["plan"]["groups_owned_max"] == 4
        assert "next" not in told
        assert len({told["session"], (await bench.enter("ann")).greeting["session"]}) == 2


async def test_the_first_request_has_a_deadline(autojump_clock: MockClock) -> None:
    async with open_bench() as bench:
        silent, talkative = bench.connect(), bench.connect()
        began = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(silent.drain)
            # Requests that are refused do not put the deadline off.
            while not talkative.ended:
                await trio.sleep(0.9)
                try:
                    assert (await talkative.refusal("ping")).code == "unauthenticated"
                except (EOFError, trio.BrokenResourceError):
                    await talkative.drain()
        assert trio.current_time() - began < 13
        for client in (silent, talkative):
            assert client.goodbye is not None
            assert client.goodbye["code"] == "bad_request"


async def test_requests_may_be_pipelined_behind_hello(autojump_clock: MockClock) -> None:
    async with open_bench() as bench:
        client = bench.connect()
        outcomes = await client.exchange(
            [
                ("ping", {}),
                ("hello", {"token": bench.token("ann")}),
                ("create", {"name": "Tea"}),
                ("groups", {}),
                ("ping", {}),
            ]
        )
        assert [isinstance(outcome, Rejected) for outcome in outcomes] == [True] + [False] * 4
        assert codes(outcomes) == {"unauthenticated": 1, "ok": 4}


async def test_all_in_one_segment_or_byte_by_byte_is_the_same(autojump_clock: MockClock) -> None:
    async with open_bench() as bench:
        client = bench.connect()
        hello, first = client.frame("hello", {"token": bench.token("ann")})
        ping, second = client.frame("ping", {})
        for byte in first + second:
            await client.send_bytes(bytes([byte]))
            await settled()
        assert (await client.answer(hello))["user"] == "ann"
        assert await client.answer(ping)


async def test_hello_again_renews_the_token(autojump_clock: MockClock) -> None:
    async with open_bench() as bench:
        ann = await bench.enter("ann", expires_in_ms=2 * MINUTE_MS)
        bob = await bench.enter("bob")
        group = await bench.found(bob, ann)
        await trio.sleep(100)
        told = await ann.hello(bench.token("ann", expires_in_ms=60 * MINUTE_MS))
        assert [entry["group"] for entry in told["groups"]] == [group]
        await trio.sleep(60)
        # The first token is over by now. The session has gone on, and missed and doubled nothing.
        await bob.ask("post", group=group, text="still there?")
        assert (await ann.event("posted"))["text"] == "still there?"
        await ann.ask("post", group=group, text="yes")
        assert (await ann.event("posted"))["text"] == "yes"


async def test_a_renewal_gives_the_same_session_and_no_second_subscription(
    autojump_clock: MockClock,
) -> None:
    async with open_bench() as bench:
        ann = await bench.enter("ann")
        first = ann.greeting["session"]
        group = await bench.found(ann)
        for _ in range(3):
            assert (await ann.hello(bench.token("ann")))["session"] == first
        await ann.ask("post", group=group, text="once")
        await ann.ask("ping")
        assert [event["text"] for event in ann.events(group)] == ["once"]


async def test_hello_may_turn_events_off_and_on(autojump_clock: MockClock) -> None:
    async with open_bench() as bench:
        ann = await bench.enter("ann")
        group = await bench.found(ann)
        await ann.hello(bench.token("ann"), events=False)
        await ann.ask("post", group=group, text="unheard")
        told = await ann.hello(bench.token("ann"), events=True)
        assert told["groups"][0]["last"]["text"] == "unheard"
        await ann.ask("post", group=group, text="heard")
        await ann.ask("ping")
        assert [event["text"] for event in ann.events(group)] == ["heard"]


async def test_hello_as_somebody_else_switches_the_session(autojump_clock: MockClock) -> None:
    async with open_bench() as bench:
        ann, bob, shared = await bench.enter("ann"), await bench.enter("bob"), bench.connect()
        of_ann, of_bob = await bench.found(ann), await bench.found(bob)
        assert (await shared.hello(bench.token("ann")))["groups"][0]["group"] == of_ann
        assert (await shared.hello(bench.token("bob")))["groups"][0]["group"] == of_bob
        await ann.ask("post", group=of_ann, text="for ann alone")
        await bob.ask("post", group=of_bob, text="for bob")
        await shared.event("posted")
        assert not shared.events(of_ann)
        assert (await shared.refusal("history", group=of_ann)).code == "forbidden"
        await shared.ask("post", group=of_bob, text="as bob")
        assert (await bob.event("posted", text="as bob"))["user"] == "bob"


async def test_a_request_under_way_counts_for_whom_it_was_made(autojump_clock: MockClock) -> None:
    async with open_bench(delay=lambda: 50) as bench:
        ann, shared = await bench.enter("ann"), bench.connect()
        group = await bench.found(ann)
        outcomes = await shared.exchange(
            [
                item
                for number in range(20)
                for item in (
                    ("hello", {"token": bench.token(f"user{number}")}),
                    ("join", {"group": group}),
                )
            ]
        )
        assert codes(outcomes) == {"ok": 40}
        members = (await ann.ask("members", group=group))["members"]
        assert {row["user"] for row in members} == {"ann", *(f"user{n}" for n in range(20))}
        await ann.ask("post", group=group, text="hello all")
        await shared.event("posted")
        # The last one's subscription is the only one that is left.
        posted = [e for e in shared.events(group) if e["kind"] == "posted"]
        assert not posted


async def test_whoever_is_switched_away_from_gets_nothing_later(autojump_clock: MockClock) -> None:
    async with open_bench() as bench:
        ann, shared = await bench.enter("ann"), bench.connect()
        group = await bench.found(ann)
        await shared.hello(bench.token("ann"))
        await shared.hello(bench.token("eve"))
        shared.pushes.clear()
        for number in range(5):
            await ann.ask("post", group=group, text=f"secret {number}")
        await shared.ask("ping")
        assert shared.pushes == []


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "\N{GRINNING FACE}", "a." * 1_000])
async def test_three_failed_hellos_end_the_connection(
    autojump_clock: MockClock, token: str
) -> None:
    async with open_bench() as bench:
        client = bench.connect()
        for _ in range(2):
            refusal = await client.refusal("hello", token=token)
            assert refusal.code == ("unauthenticated" if token else "bad_request")
        if not token:
            return  # What is not even a token is no attempt.
        await client.send("hello", token=token)
        goodbye = await client.drain()
        assert goodbye is not None
        assert goodbye["code"] == "unauthenticated"


async def test_a_failed_renewal_leaves_the_session_as_it_was(autojump_clock: MockClock) -> None:
    async with open_bench() as bench:
        ann = await bench.enter("ann")
        group = await bench.found(ann)
        assert (await ann.refusal("hello", token="a.b.c")).code == "unauthenticated"
        await ann.ask("post", group=group, text="still ann")
        assert (await ann.event("posted"))["user"] == "ann"


async def test_an_expired_token_is_told_at_once_and_ends_the_session_soon(
    autojump_clock: MockClock,
) -> None:
    async with open_bench() as bench:
        ann = await bench.enter("ann", expires_in_ms=7_000)
        group = await bench.found(ann)
        # The host's clock may be off by the leeway: until then the token is believed.
        await trio.sleep(16.5)
        await ann.ask("post", group=group, text="in time")
        await trio.sleep(1)
        refusal = await ann.refusal("post", group=group, text="late")
        assert refusal.code == "unauthenticated"
        # After the grace, and then when it is looked at next.
        await trio.sleep(25)
        goodbye = await ann.drain()
        assert goodbye is not None
        assert (goodbye["code"], goodbye["message"]) == ("unauthenticated", "the token has expired")
        assert 17 + 30 <= trio.current_time() <= 17 + 30 + 5


async def test_within_the_grace_an_expired_session_hears_events_and_may_renew(
    autojump_clock: MockClock,
) -> None:
    async with open_bench() as bench:
        ann, bob = await bench.enter("ann", expires_in_ms=7_000), await bench.enter("bob")
        group = await bench.found(ann, bob)
        await trio.sleep(40)
        await bob.ask("post", group=group, text="still there?")
        assert (await ann.event("posted"))["text"] == "still there?"
        assert (await ann.refusal("post", group=group, text="no")).code == "unauthenticated"
        await ann.hello(bench.token("ann"))
        await ann.ask("post", group=group, text="yes")
        await trio.sleep(60)
        await ann.ask("ping")


async def test_an_expired_session_may_still_renew(autojump_clock: MockClock) -> None:
    async with open_bench(limits={"sweep_ms": 60_000}) as bench:
        ann = await bench.enter("ann", expires_in_ms=1_000)
        await trio.sleep(30)
        assert (await ann.refusal("groups")).code == "unauthenticated"
        await ann.hello(bench.token("ann"))
        assert await ann.ask("groups") == {"groups": []}


async def test_in_one_read_a_renewal_counts_for_what_comes_after_it(
    autojump_clock: MockClock,
) -> None:
    async with open_bench(limits={"sweep_ms": 60_000}) as bench:
        ann = await bench.enter("ann", expires_in_ms=1_000)
        group = await bench.found(ann)
        await trio.sleep(30)
        post: dict[str, Any] = {"group": group, "text": "hi"}
        asked = [("post", post), ("hello", {"token": bench.token("ann")}), ("post", post)]
        late, *others = await ann.exchange(asked)
        assert codes([late]) == {"unauthenticated": 1}
        assert codes(others) == {"ok": 2}


async def test_a_token_that_ends_while_a_request_waits_is_not_taken_for_those_behind_it(
    autojump_clock: MockClock,
) -> None:
    delay_ms = 0
    async with open_bench(delay=lambda: delay_ms) as bench:
        ann = await bench.enter("ann", expires_in_ms=5_000)
        group = await bench.found(ann)
        delay_ms = 10_000
        asked = [("history", {"group": group}), ("post", {"group": group, "text": "hi"})]
        read, late = await ann.exchange(asked)
        assert codes([read]) == {"ok": 1}
        assert codes([late]) == {"unauthenticated": 1}


async def test_a_plan_that_nobody_configured_is_refused(autojump_clock: MockClock) -> None:
    async with open_bench(plans={**PLANS, "gold": Plan(groups_owned_max=1)}) as bench:
        client = bench.connect()
        refusal = await client.refusal("hello", token=bench.token("ann", plan="silver"))
        assert (refusal.code, refusal.details["field"]) == ("bad_request", "token")
        assert (await client.refusal("ping")).code == "unauthenticated"
        told = await client.hello(bench.token("ann", plan="gold"))
        assert told["limits"]["plan"]["groups_owned_max"] == 1


async def test_tenants_do_not_see_each_other(autojump_clock: MockClock) -> None:
    async with open_bench() as bench:
        here = await bench.enter("ann", tenant="shop")
        there = await bench.enter("ann", tenant="bank")
        group = await bench.found(here)
        assert (await there.refusal("info", group=group)).code == "not_found"
        assert (await there.refusal("join", group=group)).code == "not_found"
        assert (await there.ask("groups"))["groups"] == []


class FlakyStore(MemoryStore):
    """A store whose reads fail while it is told so."""

    failing = False

    def memberships(self, *args: Any) -> Any:
        if self.failing:
            raise LogUnavailable("the store rests")
        return super().memberships(*args)


async def test_a_hello_that_the_store_failed_can_be_said_again(autojump_clock: MockClock) -> None:
    store = FlakyStore("store")
    async with open_bench(store=store) as bench:
        bob = await bench.enter("bob")
        ann = await bench.enter("ann")
        group = await bench.found(bob, ann)
        late = bench.connect()
        store.failing = True
        refusal = await late.refusal("hello", token=bench.token("ann"))
        assert refusal.code == "unavailable"
        assert refusal.details["retry_after_ms"] > 0
        store.failing = False
        assert (await late.hello(bench.token("ann")))["groups"][0]["group"] == group
        # It is a first hello for all that: the session must be subscribed by it.
        await bob.ask("post", group=group, text="are you there?")
        assert (await late.event("posted"))["text"] == "are you there?"


async def test_an_answer_does_not_tear_what_was_half_sent(autojump_clock: MockClock) -> None:
    """What the kernel took only in part goes on before the answer to a hello."""
    async with open_bench() as bench:
        ann = await bench.enter("ann")
        group = await bench.found(ann)
        for capacity in range(40, 140, 7):
            narrow = bench.connect(capacity=capacity)
            await narrow.hello(bench.token("ann"))
            frames = [
                *(narrow.frame("ping", {}) for _ in range(20)),
                narrow.frame("hello", {"token": bench.token("ann")}),
                narrow.frame("history", {"group": group}),
            ]
            await narrow.send_bytes(b"".join(data for _, data in frames))
            await settled()
            for msgid, _ in frames:
                await narrow.answer(msgid)
            await narrow.close()


async def test_every_code_that_is_told_is_a_published_one(autojump_clock: MockClock) -> None:
    async with open_bench() as bench:
        client = await bench.enter("ann")
        for method in REQUESTS:
            for params in ({}, {"group": "G" * 16}, {"group": 5}, {"code": "x"}, {"id": 3}):
                outcome = await self_or_refusal(client, method, params)
                if isinstance(outcome, Rejected):
                    assert outcome.code in CODES
                    assert set(CODES[outcome.code]) <= set(outcome.details), outcome
                    assert outcome.code != "internal", outcome


async def self_or_refusal(client: RawClient, method: str, params: dict[str, Any]) -> Any:
    try:
        return await client.ask(method, **params)
    except Rejected as refusal:
        return refusal
