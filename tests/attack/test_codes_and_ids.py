"""Nobody finds a group, a link or a session by guessing, nor learns of one from another."""

from __future__ import annotations

import hashlib
import hmac
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any, Final

import pytest
import trio
from trio.testing import MockClock

from groupd.app import link_keys, new_store_id
from groupd.config import Limits
from groupd.domain.base import Context
from groupd.domain.group.state import Group
from groupd.domain.ids import ALPHABET, ID_BYTES
from groupd.domain.links import CODE_LENGTH, GROUP_ID_LENGTH, LinkKeys
from groupd.errors import Rejected
from groupd.system import SystemRandomness, system_ports
from tests.e2e.raw import RawClient, request
from tests.server.bench import open_bench

DRAWN: Final = 4_000
BITS_OF_A_GROUP: Final = 80
BITS_OF_A_CODE: Final = 128
SIX_SIGMA: Final = 6

LIMITS = Limits()


def off_by(counts: Iterable[int], draws: int, choices: int) -> float:
    """Say how far the count that is furthest off is from its mean, in standard deviations."""
    share = 1 / choices
    deviation = math.sqrt(draws * share * (1 - share))
    return max(abs(count - draws * share) for count in counts) / deviation


def assert_spread(names: Sequence[str], alphabet: str) -> None:
    """No two are equal, no place favours a sign, none is like the one before."""
    assert len(set(names)) == len(names)
    for place in range(len(names[0])):
        counts = Counter(name[place] for name in names)
        assert set(counts) <= set(alphabet)
        seen = [counts.get(sign, 0) for sign in alphabet]
        assert off_by(seen, len(names), len(alphabet)) < SIX_SIGMA
    # In order of making: the same place holds the same sign as often as chance has it.
    pairs = (len(names) - 1) * len(names[0])
    same = sum(a == b for one, two in pairwise(names) for a, b in zip(one, two, strict=True))
    assert off_by([same], pairs, len(alphabet)) < SIX_SIGMA
    # Sorted, neighbours part early: nothing but chance makes two begin alike.
    ordered = sorted(names)
    longest = max(
        next(n for n, (a, b) in enumerate(zip(one, two, strict=True)) if a != b)
        for one, two in pairwise(ordered)
    )
    assert len(alphabet) ** longest < len(names) ** 2 * 10_000


# --- how much of each is random


def test_a_groups_id_has_80_random_bits_and_ids_share_nothing() -> None:
    assert GROUP_ID_LENGTH == ID_BYTES
    assert len(set(ALPHABET)) ** ID_BYTES >= 2**BITS_OF_A_GROUP
    # 32 signs out of a byte: each as often as the others.
    assert 256 % len(ALPHABET) == 0
    ports = system_ports()
    assert_spread([ports.new_group() for _ in range(DRAWN)], ALPHABET)


def test_a_sessions_name_and_a_reference_of_the_log_are_drawn_and_share_nothing() -> None:
    """They open nothing: 48 bits, so that two are never taken for one another."""
    ports = system_ports()
    names = [ports.new_reference() for _ in range(DRAWN)]
    assert {len(name) for name in names} == {12}
    assert_spread(names, "0123456789abcdef")
    stores = [new_store_id() for _ in range(DRAWN)]
    assert_spread(stores, "0123456789abcdef")


def test_no_random_bytes_are_given_twice_though_they_are_drawn_by_the_page() -> None:
    randomness = SystemRandomness()
    for count in (1 + ID_BYTES, ID_BYTES, 6, 2, 5_000):
        drawn = [randomness.token_bytes(count) for _ in range(1_000 if count > 2 else 10)]
        assert {len(each) for each in drawn} == {count}
        if count > 2:
            assert len(set(drawn)) == len(drawn)


def test_a_codes_secret_has_128_bits_of_a_key_that_the_operating_system_drew() -> None:
    keys = link_keys(None)
    (key,) = keys.keys.values()
    assert len(key) * 8 >= BITS_OF_A_CODE
    assert link_keys(None).keys != keys.keys
    # 22 signs of base64url hold the 16 bytes.
    assert (CODE_LENGTH - GROUP_ID_LENGTH) * 6 >= BITS_OF_A_CODE
    base64url = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    codes = [keys.code("", "G" * 16, number, keys.current) or "" for number in range(DRAWN)]
    assert {code[:GROUP_ID_LENGTH] for code in codes} == {"G" * 16}
    # The last sign holds two bits only.
    assert_spread([code[GROUP_ID_LENGTH:-1] for code in codes], base64url)
    assert {code[-1] for code in codes} <= set("AQgw")


async def test_groups_that_are_made_one_after_the_other_say_nothing_of_each_other(
    autojump_clock: MockClock,
) -> None:
    """One user with many groups, by their own requests: other users' ids do not follow."""
    async with open_bench(rate_limits=False) as bench:
        ids = []
        for number in range(100):
            client = await bench.enter(f"user{number}", events=False)
            ids += [(await client.ask("create", name="x"))["group"] for _ in range(4)]
            await client.close()
        assert_spread(ids, ALPHABET)


def test_a_link_says_nothing_of_another_one() -> None:
    """Group, number, tenant and key all go into it whole: none is the neighbour of another."""
    keys = LinkKeys({"k1": b"1" * 32, "k2": b"2" * 32}, "k1")
    made = [
        keys.code(tenant, group, number, key)
        for tenant in ("", "a", "a\0b")
        for group in ("A" * 16, "A" * 15 + "B")
        for number in (1, 11, 111)
        for key in ("k1", "k2")
    ]
    tails = [code[GROUP_ID_LENGTH:] for code in made if code is not None]
    assert len(set(tails)) == len(tails) == 36
    message = b"\0".join((b"", b"A" * 16, b"link", b"1"))
    expected = hmac.digest(b"1" * 32, message, hashlib.sha256)[:16]
    assert len(expected) * 8 == BITS_OF_A_CODE


# --- wrong codes


class Watched(str):
    """A code that counts how often it is compared, sign by sign, with another one."""

    __slots__ = ()
    compared: list[str] = []  # noqa: RUF012

    def __eq__(self, other: object) -> bool:
        self.compared.append(str(other))
        return str.__eq__(self, other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = str.__hash__


def with_links(count: int) -> tuple[Group, Context, list[str]]:
    """Make a group with links; give it, what it needs to know, and their codes."""
    from groupd.domain.group.parts import Link

    keys = LinkKeys({"k": b"k" * 32}, "k")
    group = Group()
    for number in range(1, count + 1):
        group.links[number] = Link(
            number=number,
            by="olga",
            key_id="k",
            channel="",
            made_ms=0,
            expires_at_ms=None,
            uses_max=None,
            grants="joined",
        )
    group.links_made = count
    context: Any = type("Here", (), {"links": keys, "stream": ("group", "", "G" * 16)})
    context.stream = type("Stream", (), {"tenant": "", "key": "G" * 16})
    codes = [keys.code("", "G" * 16, number, "k") or "" for number in range(1, count + 1)]
    return group, context, codes


def test_a_wrong_code_is_compared_with_no_right_one() -> None:
    """What is compared are keyed hashes of whole codes, and codes only once these are equal.

    So the time of an answer says nothing of how long a beginning was right. (A comparison that
    takes the same time for all, as ``hmac.compare_digest``, would have to be made with each link.)
    """
    group, context, codes = with_links(100)
    right = codes[41]
    Watched.compared.clear()
    for length in range(GROUP_ID_LENGTH, CODE_LENGTH):
        sign = "A" if right[length] != "A" else "B"
        assert group.link_of(Watched(right[:length] + sign + right[length + 1 :]), context) is None
        assert group.link_of(Watched(right[:length]), context) is None
    assert Watched.compared == []
    found = group.link_of(Watched(right), context)
    assert found is not None
    assert found.number == 42
    assert Watched.compared == [right]


@pytest.mark.parametrize("state", ["open", "hidden"])
async def test_wrong_codes_are_answered_with_the_same_bytes_however_near_they_are(
    autojump_clock: MockClock, state: str
) -> None:
    async with open_bench(rate_limits=False) as bench:
        ann, eve = await bench.enter("ann"), await bench.enter("eve")
        group = (await ann.ask("create", name="Tea", discoverable=state == "open"))["group"]
        right = (await ann.ask("share_link", group=group))["code"]
        for method in ("join", "open_link", "revoke_link"):
            answers = set()
            for length in (*range(GROUP_ID_LENGTH, CODE_LENGTH, 3), CODE_LENGTH - 1):
                sign = "A" if right[length] != "A" else "B"
                answers.add(await wrong(eve, method, right[:length] + sign + right[length + 1 :]))
            assert len(answers) == 1, method
            # Those of another length are no nearer.
            answers.add(await wrong(eve, method, right + "A"))
            answers.add(await wrong(eve, method, right[:-1]))
            assert len(answers) == 1, method
        assert (await eve.refusal("open_link", code=right.swapcase())).code == "not_found"
        assert (await eve.ask("open_link", code=right))["status"] == "joined"


async def wrong(client: RawClient, method: str, code: str) -> bytes:
    await client.send_bytes(request(7, method, {"code": code}))
    answer = await client.link.receive_some(65_536)
    # Whose link it is, or is not, only members are told.
    expected = (
        b"not_member" if method == "revoke_link" and b"not_found" not in answer else b"not_found"
    )
    assert expected in answer
    return answer


async def test_guessing_is_bounded_by_the_rate_and_wakes_nobody(autojump_clock: MockClock) -> None:
    """At 200 units a second: 2^80 ids are out of reach by 17 powers of ten in a year."""
    async with open_bench() as bench:
        eve = await bench.enter("eve")
        awake = bench.hub.awake
        guesses: list[tuple[str, dict[str, Any]]] = [
            ("info", {"group": bench.ports.new_group()}) for _ in range(2_000)
        ]
        began = trio.current_time()
        outcomes = await eve.exchange(guesses)
        codes = Counter(o.code for o in outcomes if isinstance(o, Rejected))
        units = LIMITS.rate_burst + LIMITS.rate_per_s * (trio.current_time() - began)
        assert codes["not_found"] <= units + 1
        assert codes["not_found"] + codes["rate_limited"] == 2_000
        assert bench.hub.awake == awake
