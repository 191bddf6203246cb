"""The scripted server: it finds nothing in the project's own client, and each fault of others."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import trio
from trio.testing import MockClock

from groupd.client import GroupEvent, Ports, connect
from groupd.errors import GroupdError
from groupd.testing.conformance import SCENARIOS, ScriptedServer, Verdict, play
from groupd.testing.conformance.scenarios import Scenario
from groupd.testing.fakes import FakeClock, SeededRandomness
from groupd.testing.links import FakeLink, link_pair
from tests.testing.little_clients import WRONG, LittleClient

TIMEOUT_S = 60.0


class Theatre:
    """A scripted server, and where a client dials it."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self.stage = ScriptedServer(clock=FakeClock(), timeout_s=TIMEOUT_S)
        self._nursery = nursery

    async def dial(self, url: str = "") -> FakeLink:
        await trio.lowlevel.checkpoint()
        ours, theirs = link_pair(capacity=1 << 20)
        self._nursery.start_soon(self.stage.serve, theirs)
        return ours

    async def token(self) -> str:
        await trio.lowlevel.checkpoint()
        return self.stage.new_token()

    async def own_client(self) -> None:
        """Do what the page for client authors asks for, with the project's own client."""
        ports = Ports(clock=FakeClock(), randomness=SeededRandomness(1), dial=self.dial)
        async with connect("tcp://fake:1", token=self.token, ports=ports) as client:
            heard = client.events()
            await client.post(client.chat_list[0]["group"], text="ready")
            async for event in heard:
                if not isinstance(event, GroupEvent) or event.user == client.user:
                    continue
                if event.kind == "posted":
                    try:
                        await client.post(event.group, text=f"heard {event.seq}")
                    except GroupdError:
                        continue

    async def judge(
        self, client: LittleClient | None, scenarios: Sequence[type[Scenario]]
    ) -> list[Verdict]:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.own_client if client is None else client.run)
            verdicts = await play(self.stage, scenarios)
            nursery.cancel_scope.cancel()
        return verdicts


@pytest.fixture
def theatre(nursery: trio.Nursery) -> Theatre:
    return Theatre(nursery)


def wrongs(verdicts: Sequence[Verdict]) -> dict[str, str]:
    return {each.name: str(each.wrong) for each in verdicts if not each.is_right}


async def test_the_own_client_does_all_right(theatre: Theatre, autojump_clock: MockClock) -> None:
    verdicts = await theatre.judge(None, SCENARIOS)
    assert wrongs(verdicts) == {}
    assert [each.name for each in verdicts] == [each.name for each in SCENARIOS]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
async def test_each_scenario_can_be_the_first(
    theatre: Theatre, autojump_clock: MockClock, scenario: type[Scenario]
) -> None:
    assert wrongs(await theatre.judge(None, [scenario])) == {}


async def test_a_little_client_does_all_right(theatre: Theatre, autojump_clock: MockClock) -> None:
    client = LittleClient(theatre.dial, theatre.token)
    assert wrongs(await theatre.judge(client, SCENARIOS)) == {}


@pytest.mark.parametrize(("wrong", "name", "words"), WRONG, ids=lambda value: str(value)[:40])
async def test_a_wrong_client_is_told_what_is_wrong(
    theatre: Theatre,
    autojump_clock: MockClock,
    wrong: type[LittleClient],
    name: str,
    words: str,
) -> None:
    scenarios = [each for each in SCENARIOS if each.name == name]
    verdicts = await theatre.judge(wrong(theatre.dial, theatre.token), scenarios)
    assert words in wrongs(verdicts).get(name, "all was right")


async def test_that_nobody_comes_is_waited_for_once(
    theatre: Theatre, autojump_clock: MockClock
) -> None:
    verdicts = await play(theatre.stage, SCENARIOS)
    assert wrongs(verdicts).keys() == {each.name for each in SCENARIOS}
    assert str(verdicts[0].wrong) == (
        "expected a connection and a hello; got nothing (no connection)"
    )
    # The first is waited for.
    assert trio.current_time() < 2 * TIMEOUT_S


def test_every_scenario_has_a_client_that_fails_it() -> None:
    assert {name for _, name, _ in WRONG} == {each.name for each in SCENARIOS}
