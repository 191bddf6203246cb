"""Tokens that are revoked while they are used, and tokens whose key nobody knows yet."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import trio
from joserfc.jwk import OKPKey
from trio.testing import MockClock

from groupd.config import AuthConfig
from groupd.errors import KeysUnavailable
from groupd.storage.memory import MemoryStore
from tests.auth.signing import jwk, jwks, signed
from tests.e2e.raw import RawClient
from tests.server.bench import MINUTE_MS, SECRET, Bench, open_bench, settled


async def goodbye_of(client: RawClient) -> str:
    """Wait for the end of a session; gives the goodbye's code and message."""
    goodbye = await client.drain()
    assert goodbye is not None
    return f"{goodbye['code']}: {goodbye['message']}"


REVOKED = "unauthenticated: the token was revoked"
ENDED = "unauthenticated: an operator has ended the session"


# --- revoking


async def test_revoking_ends_all_sessions_of_the_user_within_a_second(
    autojump_clock: MockClock,
) -> None:
    async with open_bench() as bench:
        await trio.sleep(5)
        anns = [await bench.enter("ann") for _ in range(3)]
        bob, other = await bench.enter("bob"), await bench.enter("ann", tenant="shop")
        await trio.sleep(1)
        began = trio.current_time()
        answer = await bench.connect(address="operator").ask("operator_revoke", user="ann")
        assert answer == {"before_ms": bench.ports.clock.now_ms(), "sessions": 3}
        assert [await goodbye_of(ann) for ann in anns] == [REVOKED] * 3
        assert trio.current_time() - began <= 1
        for client in (bob, other):
            await client.ask("ping")


async def test_a_revoked_token_is_refused_and_a_newer_one_is_not(
    autojump_clock: MockClock,
) -> None:
    async with open_bench() as bench:
        old = bench.token("ann")
        await trio.sleep(10)
        await bench.connect(address="operator").ask("operator_revoke", user="ann")
        client = bench.connect()
        refusal = await client.refusal("hello", token=old)
        assert (refusal.code, refusal.message) == ("unauthenticated", "the token was revoked")
        await trio.sleep(1)
        await client.hello(bench.token("ann"))
        await client.ask("create", name="Tea")


async def test_tokens_from_after_the_time_go_on(autojump_clock: MockClock) -> None:
    async with open_bench() as bench:
        old = await bench.enter("ann")
        await trio.sleep(10)
        new = await bench.enter("ann")
        operator = bench.connect(address="operator")
        before_ms = bench.ports.clock.now_ms() - 5_000
        answer = await operator.ask("operator_revoke", user="ann", before_ms=before_ms)
        assert answer == {"before_ms": before_ms, "sessions": 1}
        assert await goodbye_of(old) == REVOKED
        await new.ask("ping")
        again = await operator.ask("operator_revoke", user="ann", before_ms=before_ms - 1)
        assert again == {"before_ms": before_ms, "sessions": 0}, "and nothing is taken back"


async def test_a_session_that_was_renewed_goes_by_its_newer_token(
    autojump_clock: MockClock,
) -> None:
    async with open_bench() as bench:
        ann = await bench.enter("ann")
        await trio.sleep(10)
        before_ms = bench.ports.clock.now_ms() - 5_000
        await ann.hello(bench.token("ann"))
        operator = bench.connect(address="operator")
        await operator.ask("operator_revoke", user="ann", before_ms=before_ms)
        await ann.ask("ping")


async def test_a_revoked_token_does_not_renew_and_harms_no_session(
    autojump_clock: MockClock,
) -> None:
    async with open_bench() as bench:
        old = bench.token("ann")
        await trio.sleep(10)
        ann = await bench.enter("ann")
        operator = bench.connect(address="operator")
        before_ms = bench.ports.clock.now_ms() - 5_000
        await operator.ask("operator_revoke", user="ann", before_ms=before_ms)
        assert (await ann.refusal("hello", token=old)).code == "unauthenticated"
        await ann.ask("create", name="Tea")


async def test_revoking_somebody_who_was_never_here_counts_from_their_first_hello(
    autojump_clock: MockClock,
) -> None:
    async with open_bench() as bench:
        old = bench.token("zoe")
        await trio.sleep(10)
        operator = bench.connect(address="operator")
        assert (await operator.ask("operator_revoke", user="zoe"))["sessions"] == 0
        assert (await bench.connect().refusal("hello", token=old)).code == "unauthenticated"


class KeptStore(MemoryStore):
    """A store that another server can go on with."""

    def close(self) -> None:
        pass


async def test_it_survives_a_restart(autojump_clock: MockClock) -> None:
    store = KeptStore("store")
    async with open_bench(store=store) as bench:
        old = bench.token("ann")
        await trio.sleep(10)
        await bench.connect(address="operator").ask("operator_revoke", user="ann")
    async with open_bench(store=store) as bench:
        assert (await bench.connect().refusal("hello", token=old)).code == "unauthenticated"


async def test_the_user_reads_of_it_in_their_own_log(autojump_clock: MockClock) -> None:
    async with open_bench() as bench:
        await bench.enter("ann")
        await trio.sleep(10)
        operator = bench.connect(address="operator")
        before_ms = (await operator.ask("operator_revoke", user="ann"))["before_ms"]
        await trio.sleep(1)
        ann = await bench.enter("ann")
        events = (await ann.ask("account_history"))["events"]
        assert events[-1]["kind"] == "revoked"
        assert events[-1]["before_ms"] == before_ms
        assert events[-1].get("user", "") == ""


class Pace:
    """How slow the store is at the moment; see ``SlowLog``."""

    def __init__(self) -> None:
        self.now = 0

    def __call__(self) -> int:
        return self.now


@pytest.mark.parametrize("lead", range(12))
async def test_a_hello_that_is_under_way_is_not_let_in(
    autojump_clock: MockClock, lead: int
) -> None:
    """However far it has come: before, while and after the store is asked."""
    pace = Pace()
    async with open_bench(delay=pace) as bench:
        token = bench.token("ann")
        await trio.sleep(10)
        client, operator = bench.connect(), bench.connect(address="operator")
        pace.now = 1
        await client.send("hello", token=token)
        for _ in range(lead):
            await trio.lowlevel.checkpoint()
        await operator.ask("operator_revoke", user="ann")
        pace.now = 0
        await trio.sleep(1)
        assert bench.hub.outlets.roster._peers == {}
        # To a client that does not hang up, it is closed after a while.
        await trio.sleep(3)
        assert not [session for session in bench.server.sessions if session.caller is not None]


async def test_a_hello_that_was_told_of_no_revocation_is_ended_by_one(
    autojump_clock: MockClock,
) -> None:
    """The store answers before it is revoked, and the answer arrives after."""
    delays: list[int] = []
    async with open_bench(delay=lambda: delays.pop() if delays else 0) as bench:
        token = bench.token("ann")
        await trio.sleep(10)
        client = bench.connect()
        delays += [500, 0]
        await client.send("hello", token=token)
        await settled()
        answer = await bench.connect(address="operator").ask("operator_revoke", user="ann")
        assert answer["sessions"] == 1
        assert await goodbye_of(client) == REVOKED
        assert bench.hub.outlets.roster._peers == {}


async def test_whoever_asked_may_be_gone_by_then(autojump_clock: MockClock) -> None:
    pace = Pace()
    async with open_bench(delay=pace) as bench:
        ann = await bench.enter("ann")
        await trio.sleep(10)
        operator = bench.connect(address="operator")
        pace.now = 100
        await operator.send("operator_revoke", user="ann")
        await settled()
        await operator.close()
        assert await goodbye_of(ann) == REVOKED


@pytest.mark.parametrize("method", ["groups", "post"])
async def test_a_session_that_waits_for_a_slow_store_ends_all_the_same(
    autojump_clock: MockClock, method: str
) -> None:
    pace = Pace()
    async with open_bench(delay=pace) as bench:
        ann = await bench.enter("ann")
        group = await bench.found(ann)
        pace.now = 60_000
        await ann.send(method, group=group, text="x")
        await settled()
        began = trio.current_time()
        operator = bench.connect(address="operator")
        asked = await operator.send("operator_disconnect", user="ann")
        assert await goodbye_of(ann) == ENDED
        assert trio.current_time() - began <= 1
        # The answer waits for the audit, and with it for the store.
        pace.now = 0
        await trio.sleep(200)
        assert await operator.answer(asked) == {"sessions": 1}


async def test_a_session_that_is_ending_slowly_ends_at_once_then(autojump_clock: MockClock) -> None:
    pace = Pace()
    async with open_bench(delay=pace) as bench:
        ann = await bench.enter("ann")
        group = await bench.found(ann)
        pace.now = 60_000
        await ann.send("post", group=group, text="x")
        await ann.send_bytes(b"\xc1")
        await trio.sleep(3)
        assert len(bench.server.sessions) == 1
        began = trio.current_time()
        await bench.connect(address="operator").send("operator_disconnect", user="ann")
        assert (await goodbye_of(ann)).startswith("bad_request")
        assert trio.current_time() - began <= 1
        pace.now = 0


# --- disconnecting


async def test_who_was_disconnected_hears_nothing_more_and_may_come_again(
    autojump_clock: MockClock,
) -> None:
    async with open_bench() as bench:
        ann, bob = await bench.enter("ann"), await bench.enter("bob")
        other = await bench.enter("ann", tenant="shop")
        group = await bench.found(ann, bob)
        operator = bench.connect(address="operator")
        assert await operator.ask("operator_disconnect", user="ann") == {"sessions": 1}
        await bob.ask("post", group=group, text="is she gone?")
        assert await goodbye_of(ann) == ENDED
        assert ann.pushes == []
        await other.ask("ping")
        await bench.enter("ann")
        assert await operator.ask("operator_disconnect", user="zoe") == {"sessions": 0}


async def test_nothing_is_left_of_sessions_that_were_ended(autojump_clock: MockClock) -> None:
    async with open_bench(limits={"actor_idle_ms": 1_000}) as bench:
        for _ in range(3):
            await bench.enter("ann")
        operator = bench.connect(address="operator")
        await operator.ask("operator_disconnect", user="ann")
        await operator.close()
        for client in bench.clients:
            await client.close()
        await trio.sleep(60)
        assert set(bench.remains().values()) == {0}


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({}, "user"),
        ({"user": ""}, "user"),
        ({"user": "x" * 65}, "user"),
        ({"user": "ann", "before_ms": 0}, "before_ms"),
        ({"user": "ann", "before_ms": "now"}, "before_ms"),
        ({"user": "ann", "before_ms": 2**52}, "before_ms"),
        ({"user": "ann", "tenant": 5}, "tenant"),
    ],
)
async def test_nonsense_is_refused_and_ends_nobody(
    autojump_clock: MockClock, params: dict[str, Any], field: str
) -> None:
    async with open_bench() as bench:
        ann = await bench.enter("ann")
        refusal = await bench.connect(address="operator").refusal("operator_revoke", **params)
        assert (refusal.code, refusal.details) == ("bad_request", {"field": field})
        await ann.ask("ping")


# --- keys that are published

URL = "https://shop.example/keys"
KEY = OKPKey.generate_key("Ed25519")
NEW = OKPKey.generate_key("Ed25519")


class Publisher:
    """Somebody who publishes keys, after a while; counts how often."""

    def __init__(self) -> None:
        self.answer: bytes | Exception = jwks(jwk(KEY, kid="one"))
        self.asked = 0

    async def fetch(self, url: str) -> bytes:
        assert url == URL
        self.asked += 1
        await trio.sleep(0.5)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def signer(bench: Bench) -> Callable[..., str]:
    def sign(user: str, key: OKPKey = KEY, kid: str = "one") -> str:
        expires_s = (bench.ports.clock.now_ms() + MINUTE_MS) // 1_000
        return signed(key, {"sub": user, "aud": "groupd", "exp": expires_s}, kid=kid)

    return sign


async def test_a_hello_with_a_key_that_is_new_waits_for_it(autojump_clock: MockClock) -> None:
    publisher = Publisher()
    async with open_bench(auth=AuthConfig(jwks_url=URL), fetch=publisher.fetch) as bench:
        sign = signer(bench)
        assert (await bench.connect().hello(sign("ann")))["user"] == "ann"
        publisher.answer = jwks(jwk(NEW, kid="two"))
        await trio.sleep(60)
        assert (await bench.connect().hello(sign("bob", NEW, "two")))["user"] == "bob"
        refusal = await bench.connect().refusal("hello", token=sign("ann"))
        assert refusal.code == "unauthenticated", "a key that was removed is refused"
        assert publisher.asked == 2


async def test_a_flood_of_unknown_keys_is_refused_with_few_fetches(
    autojump_clock: MockClock,
) -> None:
    publisher = Publisher()
    async with open_bench(auth=AuthConfig(jwks_url=URL), fetch=publisher.fetch) as bench:
        sign = signer(bench)
        await trio.sleep(60)

        async def attack(number: int) -> None:
            for attempt in range(2):
                token = sign("eve", NEW, f"{number} {attempt}")
                refusal = await bench.connect().refusal("hello", token=token)
                assert refusal.code == "unauthenticated"

        async with trio.open_nursery() as nursery:
            for number in range(200):
                nursery.start_soon(attack, number)
        assert publisher.asked == 2
        assert (await bench.connect().hello(sign("ann")))["user"] == "ann"


async def test_without_the_keys_nobody_is_called_a_liar(autojump_clock: MockClock) -> None:
    publisher = Publisher()
    publisher.answer = KeysUnavailable("nobody answers")
    async with open_bench(auth=AuthConfig(jwks_url=URL), fetch=publisher.fetch) as bench:
        client = bench.connect()
        for _ in range(5):  # More often than a token may fail.
            refusal = await client.refusal("hello", token=signer(bench)("ann"))
            assert refusal.code == "unavailable"
            assert refusal.details["retry_after_ms"] > 0
        assert publisher.asked == 1


async def test_a_secret_beside_a_dead_url_works_as_ever(autojump_clock: MockClock) -> None:
    publisher = Publisher()
    publisher.answer = KeysUnavailable("nobody answers")
    auth = AuthConfig(secret=SECRET, jwks_url=URL)
    async with open_bench(auth=auth, fetch=publisher.fetch) as bench:
        await bench.enter("ann")
