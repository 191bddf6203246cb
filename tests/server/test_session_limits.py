"""What a connection may send, how much, how fast, and how many of them there may be."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgpack
import pytest
import trio
from trio.testing import MockClock

from groupd.config import Limits
from groupd.errors import Rejected
from groupd.testing.links import link_pair
from groupd.wire.rpc import MSGID_MAX
from tests.e2e.raw import RawClient, codes, request
from tests.server.bench import Bench, Metered, open_bench, settled
from tests.server.browser import websockets

LIMITS = Limits()


def padded(method: str, size: int, *, msgid: int = 1, **params: Any) -> bytes:
    """Make a request of exactly ``size`` bytes."""
    bare = request(msgid, method, {**params, "pad": ""})
    for length in range(max(0, size - len(bare) - 5), size):
        frame = request(msgid, method, {**params, "pad": "x" * length})
        if len(frame) == size:
            return frame
    raise AssertionError("no such size")


async def farewell(client: RawClient) -> Any:
    goodbye = await client.drain()
    assert goodbye is not None, "closed without a word"
    return goodbye


# --- frames


async def test_a_frame_of_the_limit_passes_and_one_byte_more_does_not(
    autojump_clock: MockClock,
) -> None:
    async with open_bench() as bench:
        for size, ended in ((4_096, False), (4_097, True)):
            stranger = bench.connect()
            await stranger.send_bytes(padded("ping", size))
            if ended:
                assert (await farewell(stranger))["code"] == "too_large"
            else:
                with pytest.raises(Rejected, match="unauthenticated"):
                    await stranger.answer(1)
        for size, ended in ((65_536, False), (65_537, True)):
            ann = await bench.enter("ann")
            await ann.send_bytes(padded("ping", size, msgid=77))
            if ended:
                assert (await farewell(ann))["code"] == "too_large"
            else:
                assert await ann.answer(77)


async def test_a_frame_that_is_too_large_ends_before_it_is_complete(
    autojump_clock: MockClock,
) -> None:
    async with open_bench() as bench:
        ann = await bench.enter("ann")
        await ann.send_bytes(padded("ping", 200_000)[:70_000])
        assert (await farewell(ann))["code"] == "too_large"


async def test_what_came_before_nonsense_is_answered(autojump_clock: MockClock) -> None:
    async with open_bench() as bench:
        ann = await bench.enter("ann")
        first, frame = ann.frame("ping", {})
        await ann.send_bytes(frame + b"\xc1 and so on")
        assert (await farewell(ann))["code"] == "bad_request"
        assert await ann.answer(first)


BAD = {
    "a byte that is never used": b"\xc1",
    "an integer": b"\x05",
    "text": b"GET / HTTP/1.1\r\n\r\n",
    "nil": b"\xc0",
    "a map": msgpack.packb({"method": "ping"}),
    "an empty array": b"\x90",
    "an array in place of params": msgpack.packb([0, 1, "ping", [[]]]),
    "params without their array": msgpack.packb([0, 1, "ping", {}]),
    "two params": msgpack.packb([0, 1, "ping", [{}, {}]]),
    "no params at all": msgpack.packb([0, 1, "ping"]),
    "one thing too many": msgpack.packb([0, 1, "ping", [{}], 1]),
    "an unknown type": msgpack.packb([3, 1, "ping", [{}]]),
    "a type that is false": msgpack.packb([False, 1, "ping", [{}]]),
    "a negative msgid": msgpack.packb([0, -1, "ping", [{}]]),
    "a msgid too large": msgpack.packb([0, MSGID_MAX + 1, "ping", [{}]]),
    "a msgid that is true": msgpack.packb([0, True, "ping", [{}]]),
    "a msgid of text": msgpack.packb([0, "1", "ping", [{}]]),
    "a msgid that is a float": msgpack.packb([0, 1.0, "ping", [{}]]),
    "a method of bytes": msgpack.packb([0, 1, b"ping", [{}]]),
    "keys that are no strings": msgpack.packb([0, 1, "ping", [{1: 2}]]),
    "keys of bytes": b"\x94\x00\x01\xa4ping\x91\x81\xc4\x00\x01",
    "a key twice": b"\x94\x00\x01\xa4ping\x91\x82\xa1a\x01\xa1a\x02",
    "strings that are no UTF-8": b"\x94\x00\x01\xa4ping\x91\x81\xa1a\xa2\xff\xfe",
    "a lone surrogate": b"\x94\x00\x01\xa4ping\x91\x81\xa1a\xa3\xed\xa0\x80",
    "an extension": msgpack.packb([0, 1, "ping", [{"a": msgpack.ExtType(5, b"x")}]]),
    "a timestamp": msgpack.packb([0, 1, "ping", [{"a": msgpack.Timestamp(5)}]]),
    "binary": msgpack.packb([0, 1, "ping", [{"a": b"x"}]]),
    "an array of too many": msgpack.packb([0, 1, "ping", [{"a": [0] * 1_025}]]),
    "a map of too many": msgpack.packb([0, 1, "ping", [{str(n): n for n in range(129)}]]),
    "a nest too deep": b"\x94\x00\x01\xa4ping\x91\x81\xa1a" + b"\x91" * 3_000 + b"\xc0",
    "a response": msgpack.packb([1, 1, None, {}]),
}


@pytest.mark.parametrize("what", BAD)
async def test_what_is_not_the_protocol_gets_one_goodbye(
    autojump_clock: MockClock, what: str
) -> None:
    async with open_bench() as bench:
        ann = await bench.enter("ann")
        for client in (bench.connect(), ann):
            await client.send_bytes(BAD[what])
            assert (await farewell(client))["code"] == "bad_request"
            assert client.answers == {}
        # Nor does the session outlive a client that does not close.
        await trio.sleep(LIMITS.close_grace_ms / 1_000 + 1)
        assert not bench.server.sessions


async def test_the_head_of_a_bomb_is_refused_within_the_limits(autojump_clock: MockClock) -> None:
    heads = {
        "array": b"\xdd\xff\xff\xff\xff",
        "map": b"\xdf\xff\xff\xff\xff",
        "text": b"\xdb\xff\xff\xff\xff",
        "binary": b"\xc6\xff\xff\xff\xff",
        "extension": b"\xc9\xff\xff\xff\xff\x01",
        "nested": b"\xdd\x00\x01\x00\x00" * 800,
    }
    async with open_bench() as bench:
        for head in heads.values():
            client = bench.connect()
            await client.send_bytes(head + bytes(8_000))
            assert (await farewell(client))["code"] in ("bad_request", "too_large")


async def seconds_of_dripping(
    ann: RawClient, frame: bytes, send: Callable[[bytes], Awaitable[None]]
) -> float:
    """Send all but the end of a frame, byte by byte, until there is a goodbye; say how long."""
    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ann.drain)
        # A drip does not put it off.
        for byte in frame[:-1]:
            if ann.ended:
                break
            await send(bytes([byte]))
            await trio.sleep(0.5)
    assert ann.goodbye is not None
    assert ann.goodbye["code"] == "bad_request"
    return trio.current_time() - began


def ending_within(frames: list[bytes]) -> list[bytes]:
    """Cut a stream so that each piece but the last ends in the middle of a frame's second half."""
    stream, pieces = b"".join(frames), []
    start = end = 0
    for frame in frames:
        pieces.append(stream[start : end + len(frame) - 3])
        start, end = end + len(frame) - 3, end + len(frame)
    return [*pieces, stream[start:]]


async def test_half_a_frame_has_a_deadline(autojump_clock: MockClock) -> None:
    async with open_bench() as bench:
        ann = await bench.enter("ann")
        _, frame = ann.frame("ping", {"pad": "x" * 200})
        assert 9 < await seconds_of_dripping(ann, frame, ann.send_bytes) < 11


async def test_half_a_frame_of_websocket_has_the_same(autojump_clock: MockClock) -> None:
    async with open_bench() as bench:
        below, ours = link_pair()
        browser, link = websockets(below, ours)
        bench.server.admit(link)
        ann = RawClient(browser)
        await ann.hello(bench.token("ann"))
        _, frame = ann.frame("ping", {"pad": "x" * 80})
        # From the first byte behind the head, of which each came by itself here.
        assert 9 < await seconds_of_dripping(ann, browser.wrap(frame), below.send_all) < 15


async def test_messages_of_websocket_that_come_whole_are_never_late(
    autojump_clock: MockClock,
) -> None:
    async with open_bench() as bench:
        below, ours = link_pair()
        browser, link = websockets(below, ours)
        bench.server.admit(link)
        ann = RawClient(browser)
        await ann.hello(bench.token("ann"))
        messages = [browser.wrap(request(1_000 + n, "ping", {})) for n in range(60)]
        for piece in ending_within(messages):
            await below.send_all(piece)
            await trio.sleep(0.4)
        for n in range(60):
            assert await ann.answer(1_000 + n)
        await trio.sleep(30)
        assert await ann.ask("ping")


async def test_a_client_that_goes_on_sending_is_never_taken_for_slow(
    autojump_clock: MockClock,
) -> None:
    """Each read ends within a frame, for longer than half a frame may take."""
    async with open_bench() as bench:
        ann = await bench.enter("ann")
        for piece in ending_within([request(1_000 + n, "ping", {}) for n in range(60)]):
            await ann.send_bytes(piece)
            await trio.sleep(0.4)
        for n in range(60):
            assert await ann.answer(1_000 + n)


async def test_waiting_for_the_store_is_not_the_clients_half_frame(
    autojump_clock: MockClock,
) -> None:
    slow = 0

    def delay() -> int:
        return slow

    async with open_bench(delay=delay) as bench:
        ann = await bench.enter("ann")
        group = await bench.found(ann)
        slow = 8_000
        _, first = ann.frame("history", {"group": group})
        rest, second = ann.frame("ping", {})
        await ann.send_bytes(first + second[:3])
        await trio.sleep(15)
        await ann.send_bytes(second[3:])
        assert await ann.answer(rest)


# --- what is said in them


async def test_notifications_of_clients_are_ignored(autojump_clock: MockClock) -> None:
    async with open_bench() as bench:
        ann = await bench.enter("ann")
        for method in ("event", "goodbye", "hello", "nvim_error_event", "", "\N{SNOWMAN}"):
            for params in ([{"code": "x"}], [], [0, "Invalid method: event"]):
                await ann.send_bytes(msgpack.packb([2, method, params]))
        assert await ann.ask("ping")
        assert ann.pushes == []


async def test_an_unknown_method_is_said_to_be_one(autojump_clock: MockClock) -> None:
    async with open_bench() as bench:
        ann = await bench.enter("ann")
        for method in ("", "Ping", "ping ", "hear", "wake", "__init__", "x" * 4_000, "\0"):
            assert (await ann.refusal(method)).code == "unknown_method"
        assert await ann.ask("ping")


async def test_unknown_params_are_ignored_and_nil_is_not_given(autojump_clock: MockClock) -> None:
    async with open_bench() as bench:
        ann = await bench.enter("ann")
        made = await ann.ask("create", name="Tea", colour="green", ref=None, id=None, seq=[1])
        assert made["seq"] == 1


@pytest.mark.parametrize(
    "id_",
    [
        "",
        5,
        True,
        [],
        {},
        "x" * 36,
        "0197a0f0-0000-4000-8000-000000000000",  # A UUID of another version.
        "0197a0f0-0000-7000-0000-000000000000",  # Of another variant.
        "0197a0f0000070008000000000000000",
        "{0197a0f0-0000-7000-8000-00000000000}",
        "0197a0f0-0000-7000-8000-00000000000\n",
        "0197a0f0-0000-7000-8000-0000000000\N{DIGIT ZERO}\N{ARABIC-INDIC DIGIT ZERO}",
    ],
)
async def test_a_malformed_id_is_refused_and_changes_nothing(
    autojump_clock: MockClock, id_: Any
) -> None:
    async with open_bench() as bench:
        ann = await bench.enter("ann")
        group = await bench.found(ann)
        for method, params in (
            ("post", {"group": group, "text": "x"}),
            ("create", {"name": "x"}),
            ("share_link", {"group": group}),
        ):
            refusal = await ann.refusal(method, **params, id=id_)
            assert (refusal.code, refusal.details.get("field")) == ("bad_request", "id")
        assert (await ann.ask("history", group=group))["head"] == 2


@pytest.mark.parametrize("group", [5, True, [], {}, "x" * 129, "a\nb", "", "\0", "no such group"])
async def test_a_malformed_group_is_refused(autojump_clock: MockClock, group: Any) -> None:
    async with open_bench() as bench:
        ann = await bench.enter("ann")
        awake = bench.hub.awake
        for method, params in (
            ("post", {"text": "x"}),
            ("join", {}),
            ("info", {}),
            ("history", {}),
            ("members", {}),
            ("read", {"seq": 1}),
            ("dissolve", {}),
        ):
            refusal = await ann.refusal(method, group=group, **params)
            assert refusal.code in ("bad_request", "not_found"), method
        await settled()
        assert bench.hub.awake == awake


# --- connections


async def test_an_address_has_so_many_connections(autojump_clock: MockClock) -> None:
    async with open_bench(limits={"connections_per_address_max": 3}) as bench:
        for _ in range(3):
            bench.connect(address="10.0.0.1")
        goodbye = await farewell(bench.connect(address="10.0.0.1"))
        assert goodbye["code"] == "rate_limited"
        assert goodbye["retry_after_ms"] > 0
        bench.connect(address="10.0.0.2")
        await bench.clients[0].close()
        await settled()
        again = bench.connect(address="10.0.0.1")
        assert (await again.hello(bench.token("ann")))["user"] == "ann"


async def test_all_addresses_together_have_so_many(autojump_clock: MockClock) -> None:
    async with open_bench(limits={"connections_max": 5}, rate_limits=False) as bench:
        for number in range(5):
            bench.connect(address=f"10.0.0.{number}")
        assert (await farewell(bench.connect(address="10.0.1.1")))["code"] == "rate_limited"
        assert len(bench.server.sessions) == 5
        # The operator gets in even so, or nobody could look at what is going on.
        operator = bench.connect(address="operator")
        assert (await operator.ask("operator_check"))["problems"] == []


async def test_there_is_room_by_the_time_that_a_connection_is_seen_to_end(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_bench() as bench:
        at_the_end = []
        close = Metered.aclose

        async def aclose(link: Metered) -> None:
            at_the_end.append(len(bench.server.sessions))
            await close(link)

        monkeypatch.setattr(Metered, "aclose", aclose)
        await bench.connect().close()
        await settled()
        assert at_the_end == [0]


async def test_a_user_has_so_many_sessions(autojump_clock: MockClock) -> None:
    async with open_bench(limits={"connections_per_user_max": 2}) as bench:
        first = await bench.enter("ann")
        await bench.enter("ann", address="10.0.0.2")
        third = bench.connect(address="10.0.0.3")
        refusal = await third.refusal("hello", token=bench.token("ann"))
        assert (refusal.code, refusal.details["reason"]) == ("rate_limited", "connections")
        assert refusal.details["retry_after_ms"] > 0
        # It is not the connection's fault: it may be somebody else's.
        assert (await third.hello(bench.token("bob")))["user"] == "bob"
        refusal = await third.refusal("hello", token=bench.token("ann"))
        assert refusal.code == "rate_limited"
        assert (await third.ask("groups"))["groups"] == []
        await bench.enter("ann", tenant="another")
        await first.close()
        await settled()
        assert (await third.hello(bench.token("ann")))["user"] == "ann"


async def test_a_thousand_users_of_one_address_get_in_and_one_user_a_thousand_times_does_not(
    autojump_clock: MockClock,
) -> None:
    # Behind the address of a provider, a school or a company; all limits are the defaults.
    async with open_bench() as bench:
        for number in range(1_000):
            await bench.enter(f"user{number}", address="203.0.113.7")
        token, refusals = bench.token("eve"), []
        for number in range(1_000):
            client = bench.connect(address=f"198.51.{number // 250}.{number % 250}")
            try:
                await client.hello(token)
            except Rejected as refusal:
                refusals.append((refusal.code, refusal.details["reason"]))
        refused = 1_000 - LIMITS.connections_per_user_max
        assert refusals == [("rate_limited", "connections")] * refused


def test_one_address_leaves_most_of_the_server_to_others() -> None:
    assert LIMITS.connections_per_address_max * 2 < LIMITS.connections_max
    assert LIMITS.connections_per_user_max * 100 < LIMITS.connections_per_address_max


async def test_renewing_takes_no_further_seat(autojump_clock: MockClock) -> None:
    async with open_bench(limits={"connections_per_user_max": 1}) as bench:
        ann = await bench.enter("ann")
        for events in (True, False, True, True):
            await ann.hello(bench.token("ann"), events=events)
        await ann.close()
        await settled()
        await bench.enter("ann")


async def test_no_rate_limits_lifts_the_numbers_of_connections(autojump_clock: MockClock) -> None:
    limits = {"connections_per_user_max": 1, "connections_per_address_max": 1}
    async with open_bench(limits=limits, rate_limits=False) as bench:
        for _ in range(5):
            await bench.enter("ann")


# --- rates


async def test_over_its_rate_a_user_is_told_exactly_how_long_to_wait(
    autojump_clock: MockClock,
) -> None:
    async with open_bench(limits={"rate_per_s": 10, "rate_burst": 20}) as bench:
        ann = await bench.enter("ann")
        assert codes(await ann.exchange([("ping", {})] * 25)) == {"ok": 20, "rate_limited": 5}
        for method, cost in (("ping", 1), ("groups", 8), ("create", 5)):
            await trio.sleep(100)
            await ann.exchange([("ping", {})] * 20)
            params = {"name": "x"} if method == "create" else {}
            refusal = await ann.refusal(method, **params)
            wait_ms = refusal.details["retry_after_ms"]
            assert refusal.code == "rate_limited"
            assert abs(wait_ms - cost * 100) <= 2
            await trio.sleep((wait_ms - 3) / 1_000)
            assert (await ann.refusal(method, **params)).code == "rate_limited"
            await trio.sleep(0.003)
            await ann.ask(method, **params)


async def test_the_rate_is_shared_by_a_users_sessions_and_by_nobody_else(
    autojump_clock: MockClock,
) -> None:
    async with open_bench(limits={"rate_per_s": 10, "rate_burst": 20}) as bench:
        first, second = await bench.enter("ann"), await bench.enter("ann")
        bob = await bench.enter("bob")
        await first.exchange([("ping", {})] * 20)
        assert (await second.refusal("ping")).code == "rate_limited"
        assert codes(await bob.exchange([("ping", {})] * 20)) == {"ok": 20}


async def test_reconnecting_does_not_refill_the_bucket(autojump_clock: MockClock) -> None:
    async with open_bench(limits={"rate_per_s": 1, "rate_burst": 20}) as bench:
        ann = await bench.enter("ann")
        await ann.exchange([("ping", {})] * 20)
        await ann.close()
        await trio.sleep(8)  # Past the sweep, which forgets who has rested.
        ann = await bench.enter("ann")
        assert (await ann.exchange([("ping", {})] * 10)).count({}) == 0
        assert (await ann.refusal("ping")).code == "rate_limited"


async def test_saying_hello_over_and_over_is_charged(autojump_clock: MockClock) -> None:
    async with open_bench(limits={"rate_per_s": 1, "rate_burst": 20}) as bench:
        ann = await bench.enter("ann")
        token = bench.token("ann")
        outcomes = await ann.exchange([("hello", {"token": token})] * 6)
        assert codes(outcomes) == {"ok": 4, "rate_limited": 2}


async def test_no_rate_limits_lifts_the_rates(autojump_clock: MockClock) -> None:
    async with open_bench(limits={"rate_per_s": 1, "rate_burst": 20}, rate_limits=False) as bench:
        ann = await bench.enter("ann")
        assert codes(await ann.exchange([("ping", {})] * 500)) == {"ok": 500}


async def test_quotas_hold_without_rate_limits(autojump_clock: MockClock) -> None:
    async with open_bench(rate_limits=False) as bench:
        ann = await bench.enter("ann")
        outcomes = await ann.exchange([("create", {"name": "x"})] * 50)
        assert codes(outcomes) == {"ok": 4, "quota_exceeded": 46}


# --- breaking off


async def test_a_session_that_breaks_off_at_any_byte_leaves_nothing_behind(
    autojump_clock: MockClock,
) -> None:
    async with open_bench(rate_limits=False) as bench:
        bob = await bench.enter("bob")
        group = await bench.found(bob)
        ann = bench.connect()
        script = b"".join(
            ann.frame(method, params)[1]
            for method, params in (
                ("hello", {"token": bench.token("ann")}),
                ("join", {"group": group}),
                ("post", {"group": group, "text": "x"}),
                ("history", {"group": group}),
                ("hello", {"token": bench.token("eve")}),
                ("create", {"name": "y"}),
                ("leave", {"group": group}),
            )
        )
        await ann.close()
        for end in range(0, len(script) + 1, 11):
            for how in ("cut", "close", "stall"):
                link = bench.link()
                if how == "stall":
                    link.capacity = len(script)
                await link.send_all(script[:end])
                if end % 2:
                    await settled()
                if how == "cut":
                    link.cut()
                await link.aclose()
        await bob.close()
        await forgotten(bench)


async def test_many_goings_and_comings_leave_nothing_behind(autojump_clock: MockClock) -> None:
    async with open_bench(rate_limits=False, delay=lambda: 3) as bench:
        ann = await bench.enter("ann")
        group = await bench.found(ann)

        async def visit(number: int) -> None:
            user = f"user{number % 7}"
            link = bench.link(address=f"10.0.0.{number % 5}")
            client = RawClient(link)
            await client.send("hello", token=bench.token(user))
            await client.send("join", group=group)
            await client.send("leave", group=group)
            if number % 3 == 0:
                await client.send("hello", token=bench.token(f"other{number}"))
            for _ in range(number % 11):
                await trio.lowlevel.checkpoint()
            link.cut() if number % 2 else await client.close()

        async with trio.open_nursery() as nursery:
            for number in range(200):
                nursery.start_soon(visit, number)
        await ann.close()
        await forgotten(bench)


async def forgotten(bench: Bench) -> None:
    """Let idle actors leave and the sweep forget; then nothing may be left of anybody."""
    await trio.sleep(200)
    assert bench.remains() == dict.fromkeys(bench.remains(), 0)
