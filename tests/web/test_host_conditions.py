"""What the host is asked, what its answers come to, and what holds without them."""

from __future__ import annotations

import hashlib
import hmac
from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson
import pytest
import trio
from trio.testing import MockClock

from groupd.config import ConditionsConfig
from groupd.domain.answers import Answers
from groupd.domain.base import Identity
from groupd.domain.group.conditions import clause_key
from groupd.errors import ConfigError
from groupd.testing.fakes import fake_ports
from groupd.web.conditions import HostConditions
from tests.engine.rig import hub_on, new_store, outcome

URL: Final = "https://shop.example/conditions"
KEY: Final = bytes(range(32))
BOUGHT: Final[dict[str, Any]] = {"claim": "bought", "has": "tea"}
FAN: Final[dict[str, Any]] = {"claim": "fan_level", "at_least": 3}
SAM: Final = Identity("sam", tenant="red")


class Host:
    """An endpoint that says what it is told to; each answer may take some seconds."""

    def __init__(self, *holds: bool, takes_s: float = 0) -> None:
        self.answer: tuple[int, bytes] | OSError = (200, orjson.dumps({"holds": holds}))
        self.takes_s = takes_s
        self.posts: list[tuple[Mapping[str, str], bytes]] = []
        self.most_at_once = self._at_once = 0

    async def __call__(
        self, url: str, headers: Mapping[str, str], body: bytes
    ) -> tuple[int, bytes]:
        assert url == URL
        self.posts.append((headers, body))
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            await trio.sleep(self.takes_s)
        finally:
            self._at_once -= 1
        if isinstance(self.answer, OSError):
            raise self.answer
        return self.answer


def asking(host: Host, **config: Any) -> HostConditions:
    given = {"url": URL, "secret_file": "a file", **config}
    settings = ConditionsConfig(**given)
    return HostConditions(settings, key=KEY, ports=fake_ports(), question=host)


async def ask(conditions: HostConditions, *clauses: dict[str, Any], user: str = "sam") -> Answers:
    return await conditions.ask(Identity(user, tenant="red"), "G", clauses)


def held(answers: Answers, clauses: Sequence[dict[str, Any]]) -> list[bool | None]:
    return [answers.holds.get(clause_key(clause)) for clause in clauses]


async def test_a_question_is_signed_and_says_who_wants_to_come_in_where(
    autojump_clock: MockClock,
) -> None:
    host = Host(True, False)
    answers = await ask(asking(host), BOUGHT, FAN)
    assert held(answers, [BOUGHT, FAN]) == [True, False]
    assert (answers.by, answers.admits) == ("host", False)
    ((headers, body),) = host.posts
    assert orjson.loads(body) == {
        "tenant": "red",
        "user": "sam",
        "group": "G",
        "clauses": [BOUGHT, FAN],
    }
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = b64encode(hmac.new(KEY, signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"
    assert headers["webhook-id"].startswith("condition/")


@pytest.mark.parametrize("verdict", ["refuse", "admit"])
@pytest.mark.parametrize(
    "answer",
    [
        OSError("refused"),
        (503, b'{"holds": [true]}'),
        (302, b""),
        (200, b""),
        (200, b"[true]"),
        (200, b'{"holds": true}'),
        (200, b'{"holds": [1]}'),
        (200, b'{"holds": []}'),
        (200, b'{"holds": [true, true]}'),
        None,
    ],
)
async def test_what_is_no_answer_leaves_it_to_the_verdict(
    answer: Any, verdict: str, autojump_clock: MockClock
) -> None:
    host = Host(True, takes_s=0 if answer else 1e6)
    host.answer = answer or host.answer
    began = trio.current_time()
    answers = await ask(asking(host, verdict=verdict, deadline_ms=2_000), BOUGHT)
    assert trio.current_time() - began == (0 if answer else 2)
    assert (answers.by, answers.admits) == ("verdict", verdict == "admit")
    assert answers.holds == {}


async def test_an_answer_is_believed_for_a_moment_and_no_longer(autojump_clock: MockClock) -> None:
    host = Host(True)
    conditions = asking(host, cache_ms=5_000)
    assert (await ask(conditions, BOUGHT)).by == "host"
    await trio.sleep(4.9)
    answers = await ask(conditions, BOUGHT)
    assert (answers.by, held(answers, [BOUGHT])) == ("cache", [True])
    assert (await ask(conditions, BOUGHT, user="sue")).by == "host"
    await trio.sleep(0.2)
    host.answer = 200, b'{"holds": [false]}'
    assert held(await ask(conditions, BOUGHT), [BOUGHT]) == [False]
    assert len(host.posts) == 3


async def test_only_what_is_not_known_is_asked(autojump_clock: MockClock) -> None:
    host = Host(True)
    conditions = asking(host)
    await ask(conditions, BOUGHT)
    answers = await ask(conditions, BOUGHT, FAN)
    assert orjson.loads(host.posts[1][1])["clauses"] == [FAN]
    assert (answers.by, held(answers, [BOUGHT, FAN])) == ("host", [True, True])


async def test_no_answer_is_never_believed_later(autojump_clock: MockClock) -> None:
    host = Host(True)
    good, host.answer = host.answer, OSError("down")
    conditions = asking(host)
    assert (await ask(conditions, BOUGHT)).by == "verdict"
    host.answer = good
    assert (await ask(conditions, BOUGHT)).by == "host"


async def test_no_more_answers_are_kept_than_may_be(autojump_clock: MockClock) -> None:
    conditions = asking(Host(True), cache_max=10, cache_ms=60_000)
    for number in range(25):
        await ask(conditions, BOUGHT, user=f"u{number}")
    assert conditions.cached == 10
    assert (await ask(conditions, BOUGHT, user="u24")).by == "cache"
    assert (await ask(conditions, BOUGHT, user="u0")).by == "host"
    await trio.sleep(61)
    await ask(conditions, BOUGHT, user="new")
    assert conditions.cached == 1


async def test_no_more_are_asked_at_once_and_waiting_for_a_turn_counts(
    autojump_clock: MockClock,
) -> None:
    host = Host(True, takes_s=1.5)
    conditions = asking(host, calls_max=3, deadline_ms=2_000)
    by: list[str] = []

    async def one(user: str) -> None:
        by.append((await ask(conditions, BOUGHT, user=user)).by)

    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        for number in range(9):
            nursery.start_soon(one, f"u{number}")
    assert trio.current_time() - began == 2
    assert host.most_at_once == 3
    assert sorted(by) == ["host"] * 3 + ["verdict"] * 6


async def test_a_host_that_is_down_keeps_out_who_needs_it_and_nobody_else(
    autojump_clock: MockClock,
) -> None:
    host = Host(takes_s=1e6)
    async with hub_on(new_store()) as hub:
        hub.asking.ask_host = asking(host, deadline_ms=2_000).ask
        ann = hub.act_as("ann")
        group = (await ann.create("Tea", conditions=BOUGHT))["group"]
        ends: list[tuple[float, str]] = []
        began = trio.current_time()

        async def join(user: str) -> None:
            end = await outcome(hub.act_as(user).join(group))
            ends.append((trio.current_time() - began, end))

        async with trio.open_nursery() as nursery:
            for number in range(100):
                nursery.start_soon(join, f"u{number}")
            await trio.sleep(0.5)
            with trio.fail_after(0.1):
                await ann.post(group, text="still here")
        assert ends == [(2, "forbidden: condition")] * 100
        hub.asking.ask_host = asking(host, verdict="admit").ask
        assert (await hub.act_as("bob").join(group))["status"] == "joined"


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"url": "shop"}, "url"),
        ({"secret_file": None}, "secret_file"),
        ({"verdict": "maybe"}, "verdict"),
    ],
)
def test_a_setting_that_makes_no_sense_is_named(given: dict[str, Any], field: str) -> None:
    with pytest.raises(ConfigError, match=f"^{field}: "):
        ConditionsConfig(**{"url": URL, "secret_file": "a file", **given})


def test_nobody_is_asked_unless_it_is_configured() -> None:
    assert ConditionsConfig().url is None
