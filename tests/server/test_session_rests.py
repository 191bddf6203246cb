"""Who asks for more than their rate is read from less: refusing is work, too."""

from __future__ import annotations

import trio
from trio.testing import MockClock

from groupd.config import Limits
from tests.e2e.raw import RawClient, codes, request
from tests.server.bench import Bench, open_bench, settled

REST_S = Limits().rest_ms / 1_000
REST_BYTES = Limits().rest_read_bytes
LIMITS = {"rate_per_s": 10, "rate_burst": 20}
PING = request(7, "ping", {})


async def spent(bench: Bench, user: str = "ann") -> RawClient:
    """Enter, and use up one's rate."""
    client = await bench.enter(user)
    outcomes = await client.exchange([("ping", {})] * LIMITS["rate_burst"])
    assert codes(outcomes) == {"ok": LIMITS["rate_burst"]}
    return client


async def test_after_a_refusal_a_session_is_not_read_from_for_a_while(
    autojump_clock: MockClock,
) -> None:
    async with open_bench(limits=LIMITS) as bench:
        ann = await spent(bench)
        assert (await ann.refusal("ping")).code == "rate_limited"
        began = trio.current_time()
        assert (await ann.refusal("ping")).code == "rate_limited"
        assert trio.current_time() - began == REST_S


async def test_of_a_flood_little_is_read_at_once(autojump_clock: MockClock) -> None:
    async with open_bench(limits=LIMITS) as bench:
        ann = await spent(bench)
        assert (await ann.refusal("ping")).code == "rate_limited"
        flood = PING * 2_000
        await ann.send_bytes(flood)
        refused = bench.server.services.refused
        before = refused["rate_limited"]
        await trio.sleep(10.5 * REST_S)
        a_read = REST_BYTES // len(PING) + 1
        assert 0 < refused["rate_limited"] - before <= 10 * a_read


async def test_others_of_the_same_server_are_read_from_meanwhile(autojump_clock: MockClock) -> None:
    async with open_bench(limits=LIMITS) as bench:
        ann, bob = await spent(bench), await bench.enter("bob")
        assert (await ann.refusal("ping")).code == "rate_limited"
        began = trio.current_time()
        assert await bob.ask("ping")
        assert trio.current_time() == began


async def test_who_is_within_their_rate_again_is_read_from_as_before(
    autojump_clock: MockClock,
) -> None:
    async with open_bench(limits=LIMITS) as bench:
        ann = await spent(bench)
        assert (await ann.refusal("ping")).code == "rate_limited"
        await trio.sleep(3)
        began = trio.current_time()
        assert codes(await ann.exchange([("ping", {})] * 20)) == {"ok": 20}
        assert trio.current_time() == began


async def test_what_cannot_be_understood_counts_for_the_rate(autojump_clock: MockClock) -> None:
    async with open_bench(limits=LIMITS) as bench:
        ann = await spent(bench)
        await trio.sleep(1)
        outcomes = await ann.exchange([("post", {"text": 5})] * 6 + [("no such method", {})] * 6)
        assert codes(outcomes) == {"bad_request": 6, "unknown_method": 4, "rate_limited": 2}


async def test_who_is_nobody_yet_and_asks_for_something_is_given_a_rest(
    autojump_clock: MockClock,
) -> None:
    async with open_bench() as bench:
        stranger = bench.connect()
        assert (await stranger.refusal("ping")).code == "unauthenticated"
        began = trio.current_time()
        assert (await stranger.hello(bench.token("ann")))["user"] == "ann"
        assert trio.current_time() - began == REST_S
        began = trio.current_time()
        assert await stranger.ask("ping")
        assert trio.current_time() == began


async def test_a_hello_that_is_refused_is_followed_by_a_rest(autojump_clock: MockClock) -> None:
    async with open_bench(limits={"connections_per_user_max": 1}) as bench:
        await bench.enter("ann")
        second = bench.connect()
        token = bench.token("ann")
        for _ in range(3):
            began = trio.current_time()
            assert (await second.refusal("hello", token=token)).code == "rate_limited"
        assert trio.current_time() - began == REST_S


async def test_a_session_that_ends_in_its_rest_is_gone_for_good(autojump_clock: MockClock) -> None:
    async with open_bench(limits=LIMITS) as bench:
        ann = await spent(bench)
        assert (await ann.refusal("ping")).code == "rate_limited"
        (session,) = bench.server.sessions
        session.say_goodbye("unavailable", "over")
        assert await ann.drain() is not None
        await ann.close()
        await trio.sleep(2 * REST_S)
        await settled()
        assert not bench.server.sessions


async def test_where_too_much_waits_for_all_nobody_is_served_more(
    autojump_clock: MockClock,
) -> None:
    async with open_bench(limits={"backlogs_max_bytes": 1}) as bench:
        ann, bob = await bench.enter("ann"), await bench.enter("bob")
        bench.hub.backlogs.bytes += 2
        refusal = await ann.refusal("ping")
        assert refusal.code == "unavailable"
        assert refusal.details["retry_after_ms"] > 0
        bench.hub.backlogs.bytes -= 2
        assert await bob.ask("ping")
