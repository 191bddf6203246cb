"""Published keys: when they are fetched, how often at most, and what is believed meanwhile."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import attrs
import pytest
import structlog.testing
import trio
import trio.testing
from joserfc.jwk import ECKey, OKPKey, RSAKey
from trio.testing import MockClock

from groupd.auth import KeyRing, KeyRings
from groupd.auth.key_rings import FETCH_DEADLINE_S, GAP_S, RETRY_S
from groupd.auth.keys import KEYS_MAX, KeySet, published_keys
from groupd.errors import KeysUnavailable
from tests.auth.signing import jwk, jwks

URL = "https://shop.example/keys"
REFRESH_S, KEEP_S = 300.0, 3_600.0
ONE = jwk(OKPKey.generate_key("Ed25519"), kid="one")
TWO = jwk(ECKey.generate_key("P-256"), kid="two")


@attrs.define
class Publisher:
    """Somebody who publishes keys, or something else, or nothing at all."""

    answer: bytes | Exception | None
    """None: it does not answer."""
    takes_s: float = 0.0
    asked_at_s: list[float] = attrs.field(factory=list)

    async def fetch(self, url: str) -> bytes:
        assert url == URL
        self.asked_at_s.append(trio.current_time())
        await trio.sleep(self.takes_s)
        if self.answer is None:
            await trio.sleep_forever()
        if isinstance(self.answer, Exception):
            raise self.answer
        assert self.answer is not None
        return self.answer


@asynccontextmanager
async def running(publisher: Publisher) -> AsyncIterator[KeyRing]:
    """Run a ring, from its first fetch on."""
    ring = KeyRing(KeySet("shop", (), URL), publisher.fetch, refresh_s=REFRESH_S, keep_s=KEEP_S)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ring.run)
        await trio.testing.wait_all_tasks_blocked()
        yield ring
        nursery.cancel_scope.cancel()


def kids(ring: KeyRing) -> Sequence[str | None]:
    return [key.kid for key in ring.keys.fetched]


async def test_keys_are_fetched_at_once_and_then_in_good_time(autojump_clock: MockClock) -> None:
    publisher = Publisher(jwks(ONE))
    async with running(publisher) as ring:
        assert kids(ring) == ["one"]
        await trio.sleep(3 * REFRESH_S + 1)
        assert publisher.asked_at_s == [0, REFRESH_S, 2 * REFRESH_S, 3 * REFRESH_S]
        assert ring.age_s == 1


async def test_a_set_takes_the_place_of_the_one_before(autojump_clock: MockClock) -> None:
    publisher = Publisher(jwks(ONE))
    async with running(publisher) as ring:
        publisher.answer = jwks(TWO)
        await trio.sleep(REFRESH_S + 1)
        assert kids(ring) == ["two"], "what was removed is refused, what is new is accepted"


async def test_an_unknown_key_brings_the_next_fetch_forward(autojump_clock: MockClock) -> None:
    publisher = Publisher(jwks(ONE), takes_s=1.0)
    async with running(publisher) as ring:
        await trio.sleep(100)
        publisher.answer = jwks(ONE, TWO)
        await ring.renew()
        assert kids(ring) == ["one", "two"]
        assert publisher.asked_at_s == [0, 100]
        assert trio.current_time() == 101


async def test_a_flood_of_unknown_keys_is_one_fetch_in_a_while(autojump_clock: MockClock) -> None:
    publisher = Publisher(jwks(ONE), takes_s=1.0)
    async with running(publisher) as ring, trio.open_nursery() as nursery:
        await trio.sleep(100)
        for _ in range(1_000):
            nursery.start_soon(ring.renew)
        await trio.sleep(1.5)
        began = trio.current_time()
        for _ in range(1_000):
            await ring.renew()
        assert trio.current_time() == began, "who comes too soon does not wait either"
        assert publisher.asked_at_s == [0, 100]
        for _ in range(100):
            await trio.sleep(1)
            await ring.renew()
        times = publisher.asked_at_s
        assert all(later - sooner > GAP_S for sooner, later in itertools.pairwise(times))
        assert len(times) <= 2 + 100 / GAP_S


async def test_who_comes_while_keys_are_fetched_waits_for_these(autojump_clock: MockClock) -> None:
    publisher = Publisher(jwks(ONE), takes_s=2.0)
    async with running(publisher) as ring:
        assert kids(ring) == []
        await ring.renew()
        assert kids(ring) == ["one"]
        await trio.sleep(50)
        assert publisher.asked_at_s == [0], "and that asks for no further fetch"


async def test_who_does_not_wait_any_longer_disturbs_nobody(autojump_clock: MockClock) -> None:
    publisher = Publisher(jwks(ONE), takes_s=2.0)
    async with running(publisher) as ring:
        with trio.move_on_after(1):
            await ring.renew()
        assert kids(ring) == []
        await ring.renew()
        assert kids(ring) == ["one"]


async def test_a_dead_url_leaves_the_last_set_for_a_bounded_time(autojump_clock: MockClock) -> None:
    publisher = Publisher(jwks(ONE))
    async with running(publisher) as ring:
        publisher.answer = KeysUnavailable("nobody answers")
        with structlog.testing.capture_logs() as logs:
            await trio.sleep(KEEP_S - 1)
            assert kids(ring) == ["one"]
            assert ring.failures > 0
            await ring.renew()
            await trio.sleep(2)
        assert kids(ring) == []
        assert ring.age_s is None
        assert {entry["event"] for entry in logs} == {"keys_not_fetched", "keys_dropped"}
        assert all(entry["reason"] == "nobody answers" for entry in logs)
        with pytest.raises(KeysUnavailable):
            await ring.renew()
        publisher.answer = jwks(TWO)
        await trio.sleep(REFRESH_S)
        assert (kids(ring), ring.failures) == (["two"], 0)


async def test_after_failures_it_tries_less_and_less_soon(autojump_clock: MockClock) -> None:
    publisher = Publisher(KeysUnavailable("nobody answers"))
    async with running(publisher):
        await trio.sleep(2_000)
    times = publisher.asked_at_s
    pauses = [later - sooner for sooner, later in itertools.pairwise(times)]
    assert pauses[:5] == [RETRY_S * 2**number for number in range(5)]
    assert set(pauses[5:]) == {REFRESH_S}


async def test_a_url_that_never_answers_is_a_dead_one(autojump_clock: MockClock) -> None:
    publisher = Publisher(None)
    async with running(publisher) as ring:
        with pytest.raises(KeysUnavailable):
            await ring.renew()
        assert trio.current_time() == FETCH_DEADLINE_S
        assert ring.failures == 1


@pytest.mark.parametrize(
    "answer",
    [b"", b"{", b"[]", b"5", b'{"keys": 5}', b'{"keys": [5]}', b'{"keys": []}', b"\xff" * 99],
)
async def test_an_answer_that_is_no_set_changes_nothing(
    autojump_clock: MockClock, answer: bytes
) -> None:
    publisher = Publisher(jwks(ONE))
    async with running(publisher) as ring:
        publisher.answer = answer
        await trio.sleep(REFRESH_S + 1)
        assert (kids(ring), ring.failures) == (["one"], 1)


async def test_rings_are_known_by_their_issuer(autojump_clock: MockClock) -> None:
    publishers = [Publisher(jwks(ONE), takes_s=1.0), Publisher(jwks(TWO), takes_s=1.0)]
    sets = [KeySet("shop", (), URL), KeySet("", (), URL)]
    rings = KeyRings(
        [
            KeyRing(keys, publisher.fetch, refresh_s=REFRESH_S, keep_s=KEEP_S)
            for keys, publisher in zip(sets, publishers, strict=True)
        ]
    )
    async with trio.open_nursery() as nursery:
        nursery.start_soon(rings.run)
        await trio.sleep(50)
        await rings.renew("")
        assert [publisher.asked_at_s for publisher in publishers] == [[0], [0, 50]]
        assert [kids(ring) for ring in rings] == [["one"], ["two"]]
        nursery.cancel_scope.cancel()


# --- what is in a set


def test_a_key_that_is_of_no_use_here_makes_the_others_no_worse() -> None:
    private = OKPKey.generate_key("Ed25519")
    entries: list[dict[str, Any]] = [
        {"kty": "oct", "k": "AAAA", "kid": "secret"},
        {"kty": "RSA", "kid": "half"},
        {**private.as_dict(private=True), "kid": "private"},
        jwk(ECKey.generate_key("P-384"), kid="curve"),
        jwk(ECKey.generate_key("P-256"), kid="for encryption", use="enc"),
        {**ONE, "kid": 5},
        {**ONE, "alg": "ES256"},
        {**ONE, "crv": "no such curve"},
        {**ONE, "x": 5},
        {"kty": ["RSA"]},
        {},
        jwk(RSAKey.generate_key(2_048), kid="good"),
        TWO,
    ]
    keys, faults = published_keys(jwks(*entries))
    assert [key.kid for key in keys] == ["good", "two"]
    assert len(faults) == 7
    assert any("private" in fault for fault in faults)


def test_a_set_that_is_too_large_is_not_believed() -> None:
    assert len(published_keys(jwks(*[ONE] * KEYS_MAX))[0]) == KEYS_MAX
    with pytest.raises(KeysUnavailable, match="more than 64 keys"):
        published_keys(jwks(*[ONE] * (KEYS_MAX + 1)))


def test_a_set_without_any_good_key_says_why() -> None:
    with pytest.raises(
        KeysUnavailable, match="no key in the set can check a token: expected a key"
    ):
        published_keys(jwks(jwk(ECKey.generate_key("P-384"))))
