"""What a client does when all goes well, and when the server or the network does not."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any, Final

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from groupd.client import Backoff, ClientLimits
from groupd.domain.fields import request_id_ms
from groupd.domain.queries import Ping
from groupd.errors import AuthError, ConfigError, Disconnected, LocalProtocolError, Rejected
from groupd.server.link import LinkBroken
from groupd.version import VERSION
from groupd.wire import rpc
from tests.client.fake_server import NOW_MS, SILENCE, CountingRandomness, FakeServer, Visit

NOBODY: Final = LinkBroken("nobody is there")


def jwt(*, expires_ms: int) -> str:
    payload = base64.urlsafe_b64encode(json.dumps({"exp": expires_ms // 1_000}).encode())
    return f"head.{payload.decode().rstrip('=')}.signature"


def in_turn(*answers: Any) -> Callable[[Visit, rpc.Request], Any]:
    """Make a handler that gives these answers, and the last one from then on."""
    left = list(answers)
    return lambda visit, request: left.pop(0) if len(left) > 1 else left[0]


def lose(visit: Visit, request: rpc.Request) -> None:
    """Handle a request by losing the connection before the answer."""
    visit.cut()


class Tokens:
    """A token callable that counts, and gives the tokens in turn."""

    def __init__(self, *tokens: str) -> None:
        self.asked = 0
        self._tokens = tokens

    async def __call__(self) -> str:
        await trio.lowlevel.checkpoint()
        self.asked += 1
        return self._tokens[min(self.asked, len(self._tokens)) - 1]


# --- hello


async def test_hello_comes_before_anything_else(
    server: FakeServer, autojump_clock: MockClock
) -> None:
    async with server.connect(token="the-token", name="bot/1") as client:
        await client.ping()
    assert [request.method for request in server.requests] == ["hello", "ping"]
    assert server.sent("hello") == [{"token": "the-token", "client": "bot/1"}]


async def test_a_client_tells_its_version(server: FakeServer) -> None:
    async with server.connect():
        pass
    assert server.sent("hello")[0]["client"] == f"groupd-python/{VERSION}"


async def test_a_client_knows_what_hello_said(
    server: FakeServer, autojump_clock: MockClock
) -> None:
    server.log("tea", push=False)
    async with server.connect() as client:
        assert (client.user, client.session) == ("ann", "session-0")
        assert client.limits == {"frame_max_bytes": 65_536}
        assert client.chat_list == ({"group": "tea", "head": 1},)


async def test_all_pages_of_the_chat_list_are_there(
    server: FakeServer, autojump_clock: MockClock
) -> None:
    server.page = 2
    server.logs.update({name: [] for name in "abcde"})
    async with server.connect() as client:
        assert [entry["group"] for entry in client.chat_list] == list("abcde")
    assert server.sent("groups") == [{"after": "b"}, {"after": "d"}]


async def test_the_link_is_closed_at_the_end_of_the_block(
    server: FakeServer, autojump_clock: MockClock
) -> None:
    async with server.connect():
        assert not server.visit.over
    await wait_all_tasks_blocked()
    assert server.visit.over


async def test_the_end_of_the_block_waits_for_no_server(
    server: FakeServer, autojump_clock: MockClock
) -> None:
    async with server.connect():
        server.dial_error = NOBODY
        server.visit.cut()
        await wait_all_tasks_blocked()
        ended = trio.current_time()
    assert trio.current_time() == ended


async def test_what_the_block_raises_comes_out_as_it_is(
    server: FakeServer, autojump_clock: MockClock
) -> None:
    with pytest.raises(ZeroDivisionError):
        async with server.connect():
            raise ZeroDivisionError


async def test_a_client_that_is_closed_says_so(
    server: FakeServer, autojump_clock: MockClock
) -> None:
    async with server.connect() as client:
        pass
    with pytest.raises(Disconnected, match="the client is closed"):
        await client.ping()


@pytest.mark.parametrize("code", ["forbidden", "bad_request", "unauthenticated"])
async def test_a_hello_refused_for_good_ends_the_client(
    server: FakeServer, autojump_clock: MockClock, code: str
) -> None:
    server.handlers["hello"] = in_turn(Rejected(code, "no"))
    with pytest.raises(Rejected, match=code):
        async with server.connect():
            pass
    assert len(server.dials) == 1


@pytest.mark.parametrize("code", ["rate_limited", "unavailable"])
async def test_a_hello_refused_for_now_is_said_again(
    server: FakeServer, autojump_clock: MockClock, code: str
) -> None:
    refusal = Rejected(code, "later", retry_after_ms=40_000)
    server.handlers["hello"] = lambda visit, request: (
        refusal if visit.number == 0 else server._hello(visit, request)
    )
    async with server.connect() as client:
        assert client.session == "session-1"
    assert server.dials[1] - server.dials[0] >= 40


async def test_a_goodbye_instead_of_an_answer_is_a_refusal(
    server: FakeServer, autojump_clock: MockClock
) -> None:
    def part(visit: Visit, request: rpc.Request) -> None:
        visit.push("goodbye", code="unauthenticated", message="enough")
        visit.link.send_eof()

    server.handlers["hello"] = part
    with pytest.raises(Rejected, match="unauthenticated: enough"):
        async with server.connect():
            pass


async def test_a_goodbye_that_says_when_to_come_back_is_not_the_end(
    server: FakeServer, autojump_clock: MockClock
) -> None:
    """Over a slow network a hello may come too late, and in time the next time."""

    def part(visit: Visit, request: rpc.Request) -> Any:
        if visit.number:
            return server._hello(visit, request)
        visit.push("goodbye", code="bad_request", message="overdue", retry_after_ms=1_500)
        visit.link.send_eof()
        return SILENCE

    server.handlers["hello"] = part
    async with server.connect() as client:
        assert client.session == "session-1"
    assert server.dials[1] - server.dials[0] >= 1.5


async def test_a_server_that_does_not_answer_hello_is_left(
    server: FakeServer, autojump_clock: MockClock
) -> None:
    server.handlers["hello"] = lambda visit, request: (
        SILENCE if visit.number == 0 else server._hello(visit, request)
    )
    async with server.connect() as client:
        assert client.session == "session-1"


async def test_a_url_that_is_none_is_an_error_at_once(
    server: FakeServer, autojump_clock: MockClock
) -> None:
    server.dial_error = ConfigError("no URL")
    with pytest.raises(ConfigError):
        async with server.connect():
            pass


# --- calls


async def test_calls_are_pipelined_and_answers_matched_in_any_order(
    server: FakeServer, autojump_clock: MockClock
) -> None:
    waiting: list[rpc.Request] = []

    def info(visit: Visit, request: rpc.Request) -> None:
        waiting.append(request)
        if len(waiting) == 3:
            for one in reversed(waiting):
                visit.answer(one, {"group": one.params["group"]})

    server.handlers["info"] = info
    answers: dict[str, Any] = {}

    async with server.connect() as client, trio.open_nursery() as nursery:

        async def ask(group: str) -> None:
            answers[group] = (await client.info(group))["group"]

        for group in ("a", "b", "c"):
            nursery.start_soon(ask, group)
    assert answers == {"a": "a", "b": "b", "c": "c"}


async def test_more_calls_than_may_be_under_way_wait_for_their_turn(
    server: FakeServer, autojump_clock: MockClock
) -> None:
    server.handlers["info"] = in_turn(SILENCE)
    limits = ClientLimits(requests_max=2)
    async with server.connect(limits=limits) as client, trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(client.info, "tea")
        await wait_all_tasks_blocked()
        assert len(server.sent("info")) == 2
        nursery.cancel_scope.cancel()


async def test_a_refusal_is_raised_with_its_details(
    server: FakeServer, autojump_clock: MockClock
) -> None:
    server.handlers["info"] = in_turn(Rejected("group_full", "no room", limit=3))
    async with server.connect() as client:
        with pytest.raises(Rejected) as caught:
            await client.info("tea")
    assert (caught.value.code, caught.value.details) == ("group_full", {"limit": 3})


async def test_a_code_of_a_newer_server_is_understood_as_internal(
    server: FakeServer, autojump_clock: MockClock
) -> None:
    def info(visit: Visit, request: rpc.Request) -> None:
        visit.send(rpc.encode_error(request.msgid, {"code": "too_new", "message": "?"}))

    server.handlers["info"] = info
    async with server.connect() as client:
        with pytest.raises(Rejected) as caught:
            await client.info("tea")
    assert caught.value.details["unknown_code"] == "too_new"


async def test_a_cancelled_call_leaves_the_connection_usable(
    server: FakeServer, autojump_clock: MockClock
) -> None:
    late: list[rpc.Request] = []

    def info(visit: Visit, request: rpc.Request) -> dict[str, Any] | None:
        if not late:
            late.append(request)
            return SILENCE
        visit.answer(late[0], {"group": "late"})
        return {"group": "in time"}

    server.handlers["info"] = info
    async with server.connect() as client:
        with trio.move_on_after(1):
            await client.info("tea")
        assert (await client.info("tea"))["group"] == "in time"
    assert len(server.visits) == 1


async def test_a_call_cancelled_before_it_left_never_leaves(
    server: FakeServer, autojump_clock: MockClock
) -> None:
    async with server.connect() as client, trio.open_nursery() as nursery:
        ours = server.visit.client_link
        ours.capacity = 0
        nursery.start_soon(client.ping)
        await wait_all_tasks_blocked()
        with trio.move_on_after(1):
            await client.info("tea")
        ours.capacity = 1_000
    assert len(server.sent("ping")) == 1
    assert server.sent("info") == []


async def test_a_request_too_large_for_the_server_does_not_travel(
    server: FakeServer, autojump_clock: MockClock
) -> None:
    server.frame_max_bytes = 1_000
    async with server.connect() as client:
        with pytest.raises(Rejected, match="too_large"):
            await client.post("tea", "x" * 1_000)
    assert server.sent("post") == []


async def test_an_id_for_a_query_is_a_mistake(
    server: FakeServer, autojump_clock: MockClock
) -> None:
    async with server.connect() as client:
        with pytest.raises(LocalProtocolError):
            await client.call(Ping(), id="x")


# --- ids


async def test_every_command_gets_an_id_on_the_servers_clock(
    server: FakeServer, autojump_clock: MockClock
) -> None:
    server.logs["tea"] = []
    async with server.connect() as client:
        await client.post("tea", "one")
        await trio.sleep(90)
        await client.post("tea", "two")
    first, second = (params["id"] for params in server.sent("post"))
    assert request_id_ms(first) == NOW_MS
    assert request_id_ms(second) == NOW_MS + 90_000


async def test_ids_rise_strictly_within_a_millisecond(
    server: FakeServer, autojump_clock: MockClock
) -> None:
    server.logs["tea"] = []
    server.randomness = CountingRandomness(255)
    async with server.connect() as client:
        for _ in range(20):
            await client.post("tea", "x")
    ids = [params["id"] for params in server.sent("post")]
    assert ids == sorted(set(ids))


async def test_an_id_that_is_given_is_kept(server: FakeServer, autojump_clock: MockClock) -> None:
    server.logs["tea"] = []
    async with server.connect() as client:
        await client.post("tea", "x", id="my-own")
    assert server.sent("post")[0]["id"] == "my-own"


async def test_time_that_the_machine_slept_through_counts(
    server: FakeServer, autojump_clock: MockClock
) -> None:
    async with server.connect() as client:
        server.clock.now += 3_600_000
        assert client.server_time_ms() == NOW_MS + 3_600_000


async def test_a_stale_id_of_its_own_is_made_again_on_the_time_of_the_refusal(
    server: FakeServer, autojump_clock: MockClock
) -> None:
    later = NOW_MS + 10_000_000
    refusal = Rejected("stale_id", "old", time_ms=later, oldest_ms=later - 1)
    server.handlers["leave"] = in_turn(refusal, {"seq": 1})
    async with server.connect() as client:
        await client.leave("tea")
        first, second = (params["id"] for params in server.sent("leave"))
        assert request_id_ms(first) == NOW_MS
        assert request_id_ms(second) == later


async def test_a_stale_id_in_doubt_is_raised(server: FakeServer, autojump_clock: MockClock) -> None:
    """The first send may have taken effect, so another id might do it twice."""
    refusal = Rejected("stale_id", "old", time_ms=NOW_MS, oldest_ms=NOW_MS)
    server.handlers["leave"] = lambda visit, request: (
        lose(visit, request) if visit.number == 0 else refusal
    )
    async with server.connect() as client:
        with pytest.raises(Rejected, match="stale_id"):
            await client.leave("tea")
    assert len(server.sent("leave")) == 2


# --- lost connections


async def test_a_command_whose_reply_was_lost_is_sent_again_with_the_same_id(
    server: FakeServer, autojump_clock: MockClock
) -> None:
    server.handlers["leave"] = lambda visit, request: (
        lose(visit, request) if visit.number == 0 else {"seq": 7}
    )
    async with server.connect() as client:
        assert await client.leave("tea") == {"seq": 7}
    first, second = server.sent("leave")
    assert first == second
    assert len(server.visits) == 2


async def test_a_query_is_asked_again(server: FakeServer, autojump_clock: MockClock) -> None:
    server.handlers["info"] = lambda visit, request: (
        lose(visit, request) if visit.number == 0 else {"group": "tea"}
    )
    async with server.connect() as client:
        assert (await client.info("tea"))["group"] == "tea"


async def test_a_call_made_while_there_is_no_connection_waits_for_one(
    server: FakeServer, autojump_clock: MockClock
) -> None:
    async with server.connect() as client:
        server.dial_error = NOBODY
        server.visit.cut()
        await wait_all_tasks_blocked()
        with trio.move_on_after(600) as scope:
            await client.ping()
        assert scope.cancelled_caught
        server.dial_error = None
        assert await client.ping() == {"time_ms": NOW_MS}


async def test_a_request_that_kills_every_connection_is_given_up(
    server: FakeServer, autojump_clock: MockClock
) -> None:
    server.handlers["info"] = lose
    async with server.connect(limits=ClientLimits(sends_max=3)) as client:
        with pytest.raises(Disconnected):
            await client.info("tea")
        assert len(server.sent("info")) == 3
        await client.ping()


async def test_one_can_wait_for_the_connection_to_be_lost_and_back(
    server: FakeServer, autojump_clock: MockClock
) -> None:
    async with server.connect() as client:
        await client.until_connected()
        with trio.move_on_after(100) as scope:
            await client.until_disconnected()
        assert scope.cancelled_caught
        server.dial_error = NOBODY
        server.visit.cut()
        await client.until_disconnected()
        await client.until_disconnected()
        with trio.move_on_after(100) as scope:
            await client.until_connected()
        assert scope.cancelled_caught
        server.dial_error = None
        await client.until_connected()
    with pytest.raises(Disconnected):
        await client.until_connected()


async def test_without_reconnect_a_lost_connection_is_raised(
    server: FakeServer, autojump_clock: MockClock
) -> None:
    server.handlers["info"] = lose
    async with server.connect(reconnect=False) as client:
        with pytest.raises(Disconnected):
            await client.info("tea")
        with pytest.raises(Disconnected):
            await client.ping()
    assert len(server.visits) == 1


async def test_without_reconnect_a_server_that_is_not_there_is_raised(
    server: FakeServer, autojump_clock: MockClock
) -> None:
    server.dial_error = NOBODY
    with pytest.raises(Disconnected, match="cannot reach"):
        async with server.connect(reconnect=False):
            pass


async def test_bytes_that_are_not_the_protocol_end_the_connection_only(
    server: FakeServer, autojump_clock: MockClock
) -> None:
    async with server.connect() as client:
        server.visit.send(b"\xc1")
        await wait_all_tasks_blocked()
        await client.ping()
    assert len(server.visits) == 2


async def test_waits_between_tries_grow_to_the_cap_and_stay_there(
    server: FakeServer, autojump_clock: MockClock
) -> None:
    server.dial_error = NOBODY
    server.randomness = CountingRandomness(255)
    limits = ClientLimits(backoff=Backoff(base_ms=1_000, cap_ms=8_000))
    with trio.move_on_after(60):
        async with server.connect(limits=limits):
            pass
    waits = [round(b - a) for a, b in zip(server.dials, server.dials[1:], strict=False)]
    assert waits[:6] == [1, 2, 4, 8, 8, 8]


async def test_a_connection_that_held_begins_the_back_off_anew(
    server: FakeServer, autojump_clock: MockClock
) -> None:
    server.randomness = CountingRandomness(255)
    async with server.connect() as client:
        for held_s in (1, 1, 60, 1):
            await trio.sleep(held_s)
            server.visit.cut()
            await wait_all_tasks_blocked()
            await client.ping()
    between = [b - a for a, b in zip(server.dials, server.dials[1:], strict=False)]
    assert [round(s) for s in between] == [1 + 1, 1 + 2, 60 + 1, 1 + 2]


async def test_a_goodbye_says_how_long_to_stay_away(
    server: FakeServer, autojump_clock: MockClock
) -> None:
    async with server.connect() as client:
        server.visit.push("goodbye", code="unavailable", message="restart", retry_after_ms=45_000)
        server.visit.link.send_eof()
        await client.ping()
    assert server.dials[1] - server.dials[0] >= 45


async def test_no_server_can_keep_a_client_away_for_ever(
    server: FakeServer, autojump_clock: MockClock
) -> None:
    async with server.connect() as client:
        server.visit.push("goodbye", code="unavailable", message="", retry_after_ms=10**15)
        server.visit.link.send_eof()
        await client.ping()
    assert server.dials[1] - server.dials[0] <= 400


# --- refusals that pass


async def test_unavailable_is_tried_again_with_the_same_id(
    server: FakeServer, autojump_clock: MockClock
) -> None:
    refusal = Rejected("unavailable", "wait", retry_after_ms=5_000)
    server.handlers["leave"] = in_turn(refusal, refusal, {"seq": 3})
    async with server.connect() as client:
        began = trio.current_time()
        assert await client.leave("tea") == {"seq": 3}
        assert trio.current_time() - began >= 10
    assert len({params["id"] for params in server.sent("leave")}) == 1


async def test_unavailable_for_too_long_is_raised(
    server: FakeServer, autojump_clock: MockClock
) -> None:
    server.handlers["leave"] = in_turn(Rejected("unavailable", "wait", retry_after_ms=1))
    limits = ClientLimits(unavailable_retries_max=2)
    async with server.connect(limits=limits) as client:
        with pytest.raises(Rejected, match="unavailable"):
            await client.leave("tea")
    assert len(server.sent("leave")) == 3


async def test_rate_limited_is_raised_at_once(
    server: FakeServer, autojump_clock: MockClock
) -> None:
    server.handlers["leave"] = in_turn(Rejected("rate_limited", "slow", retry_after_ms=1))
    async with server.connect() as client:
        with pytest.raises(Rejected, match="rate_limited"):
            await client.leave("tea")
    assert len(server.sent("leave")) == 1


# --- tokens


async def test_the_token_is_asked_for_each_connection(
    server: FakeServer, autojump_clock: MockClock
) -> None:
    tokens = Tokens("one", "two")
    async with server.connect(token=tokens) as client:
        server.visit.cut()
        await wait_all_tasks_blocked()
        await client.ping()
    assert [hello["token"] for hello in server.sent("hello")] == ["one", "two"]


async def test_a_token_is_renewed_shortly_before_it_expires(
    server: FakeServer, autojump_clock: MockClock
) -> None:
    first = jwt(expires_ms=NOW_MS + 600_000)
    tokens = Tokens(first, jwt(expires_ms=NOW_MS + 10_000_000))
    async with server.connect(token=tokens):
        await trio.sleep(539)
        assert len(server.sent("hello")) == 1
        await trio.sleep(2)
        assert len(server.sent("hello")) == 2
        await trio.sleep(3_600)
        assert tokens.asked == 2
    assert len(server.visits) == 1


async def test_a_short_token_is_renewed_at_half_of_its_time(
    server: FakeServer, autojump_clock: MockClock
) -> None:
    tokens = Tokens(jwt(expires_ms=NOW_MS + 40_000), "without an expiry")
    async with server.connect(token=tokens):
        await trio.sleep(19)
        assert tokens.asked == 1
        await trio.sleep(2)
        assert tokens.asked == 2


async def test_the_same_old_token_again_and_again_does_not_make_a_busy_loop(
    server: FakeServer, autojump_clock: MockClock
) -> None:
    tokens = Tokens(jwt(expires_ms=NOW_MS - 1_000))
    async with server.connect(token=tokens):
        await trio.sleep(10.5)
    assert tokens.asked <= 12


async def test_a_call_that_meets_an_expired_token_gets_a_fresh_one(
    server: FakeServer, autojump_clock: MockClock
) -> None:
    server.handlers["info"] = in_turn(Rejected("unauthenticated", "expired"), {"group": "tea"})
    async with server.connect(token=Tokens("one", "two")) as client:
        assert (await client.info("tea"))["group"] == "tea"
    assert [hello["token"] for hello in server.sent("hello")] == ["one", "two"]


async def test_a_call_refused_with_a_fresh_token_too_is_raised(
    server: FakeServer, autojump_clock: MockClock
) -> None:
    server.handlers["info"] = in_turn(Rejected("unauthenticated", "expired"))
    async with server.connect(token=Tokens("one", "two", "three")) as client:
        with pytest.raises(Rejected, match="unauthenticated"):
            await client.info("tea")
    assert len(server.sent("info")) == 2


async def test_many_calls_that_meet_an_expired_token_renew_it_once(
    server: FakeServer, autojump_clock: MockClock
) -> None:
    def info(visit: Visit, request: rpc.Request) -> dict[str, Any] | Rejected:
        fresh = visit.hello is not None and visit.hello.params["token"] == "two"
        return {"group": "tea"} if fresh else Rejected("unauthenticated", "expired")

    server.handlers["info"] = info
    tokens = Tokens("one", "two", "three")
    async with server.connect(token=tokens) as client, trio.open_nursery() as nursery:
        for _ in range(10):
            nursery.start_soon(client.info, "tea")
    assert tokens.asked == 2


async def test_an_expired_token_without_a_callable_is_raised(
    server: FakeServer, autojump_clock: MockClock
) -> None:
    server.handlers["info"] = in_turn(Rejected("unauthenticated", "expired"))
    async with server.connect() as client:
        with pytest.raises(Rejected, match="unauthenticated"):
            await client.info("tea")
    assert len(server.sent("hello")) == 1


async def test_a_token_refused_once_is_replaced(
    server: FakeServer, autojump_clock: MockClock
) -> None:
    server.handlers["hello"] = lambda visit, request: (
        Rejected("unauthenticated", "revoked")
        if request.params["token"] == "one"
        else server._hello(visit, request)
    )
    async with server.connect(token=Tokens("one", "two")) as client:
        await client.ping()


async def test_refusals_far_apart_do_not_end_the_client(
    server: FakeServer, autojump_clock: MockClock
) -> None:
    server.handlers["hello"] = lambda visit, request: (
        Rejected("unauthenticated", "revoked")
        if request.params["token"] in ("one", "three")
        else server._hello(visit, request)
    )
    async with server.connect(token=Tokens("one", "two", "three", "four")) as client:
        server.visit.cut()
        await wait_all_tasks_blocked()
        await client.ping()
    assert len(server.sent("hello")) == 4


async def test_tokens_refused_twice_in_a_row_end_the_client(
    server: FakeServer, autojump_clock: MockClock
) -> None:
    server.handlers["hello"] = in_turn(Rejected("unauthenticated", "revoked"))
    tokens = Tokens("one", "two", "three")
    with pytest.raises(Rejected, match="unauthenticated: revoked"):
        async with server.connect(token=tokens):
            pass
    assert tokens.asked == 2


async def test_a_client_whose_tokens_are_refused_later_tells_every_caller(
    server: FakeServer, autojump_clock: MockClock
) -> None:
    async with server.connect(token=Tokens("one", "two", "three")) as client:
        server.handlers["hello"] = in_turn(Rejected("unauthenticated", "revoked"))
        server.handlers["info"] = in_turn(Rejected("unauthenticated", "expired"))
        for _ in range(2):
            with pytest.raises(Rejected, match="unauthenticated: revoked"):
                await client.info("tea")
        with pytest.raises(Rejected, match="unauthenticated: revoked"):
            async for _event in client.events():
                pass


async def test_what_the_token_callable_raises_ends_the_client(
    server: FakeServer, autojump_clock: MockClock
) -> None:
    async def token() -> str:
        raise OSError("the host application is down")

    with pytest.raises(AuthError, match="the host application is down") as caught:
        async with server.connect(token=token):
            pass
    assert isinstance(caught.value.__cause__, AuthError)
    assert server.dials == []


async def test_a_token_that_cannot_be_had_for_a_while_is_asked_for_again(
    server: FakeServer, autojump_clock: MockClock
) -> None:
    faults: list[Exception] = []

    async def token() -> str:
        if faults:
            raise faults.pop()
        return "good"

    async with server.connect(token=token) as client:
        faults += [ConnectionRefusedError("the host application is down")] * 5
        server.visit.cut()
        server.handlers["info"] = in_turn({"name": "Tea"})
        assert (await client.info("tea"))["name"] == "Tea"
        assert not faults


async def test_a_bug_in_the_reader_is_not_taken_for_a_lost_connection(
    server: FakeServer, autojump_clock: MockClock
) -> None:
    def bug(method: str, params: dict[str, Any]) -> None:
        raise ZeroDivisionError

    async def meet_it() -> None:
        async with server.connect() as client:
            connection = client._uplink._connection
            assert connection is not None
            connection._on_notification = bug
            server.visit.push("event")
            await client.until_disconnected()
            await trio.sleep(60)

    # Whether the error or the end of the connection was seen first was a matter of chance.
    for _ in range(20):
        with pytest.raises(ZeroDivisionError):
            await meet_it()
