"""One simulated run: a server with users, faults and crashes, and what the checker says of it.

Everything happens in this process and in virtual time. The same scenario gives the same run, step
by step, in the same version of groupd: ``Outcome.trace_hash`` shows it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Any, Final

import attrs
import trio

from groupd.testing.checker import Violation, check
from groupd.testing.history import History, HistoryError
from groupd.testing.simulation.dump import dump
from groupd.testing.simulation.people import Knowledge, User
from groupd.testing.simulation.recorder import STRAY_ANSWER
from groupd.testing.simulation.scenario import LENGTH_MS, PLAN, PLAN_NAME, USERS, Scenario, Step
from groupd.testing.simulation.schedule import run as run_in_order
from groupd.testing.simulation.world import World, listen_to_logs

HEALING_S: Final = 40.0
"""Virtual time without faults, in which everybody must catch up. After half of it each user says a
last word in each group, which the others must hear."""
STOPPING_S: Final = 60.0
RUN_MAX_S: Final = 240.0
"""Virtual time after which a run that does not end is a finding."""


@attrs.frozen
class Outcome:
    """What a run has come to."""

    scenario: Scenario
    history: History
    problems: Sequence[str]
    """Violated invariants by name, bugs that were logged; empty for a good run."""
    trace_hash: str
    requests: int
    crashes: int

    @property
    def is_good(self) -> bool:
        """Whether every promise was kept."""
        return not self.problems


class Simulation:
    """Runs scenarios. ``trace`` hears each step of the network and the server, for looking on."""

    def __init__(self, scenario: Scenario, *, trace: Callable[[str], None] | None = None) -> None:
        """Prepare a run of a scenario; ``Scenario.drawn(seed)`` makes one."""
        self._scenario = scenario
        self._listener = trace
        self._digest = hashlib.sha256()
        self._history = History(_now_us)

    def run(self) -> Outcome:
        """Run it. Takes some tens of milliseconds of real time."""
        return run_in_order(self._main, seed=self._scenario.seed)

    def _trace(self, text: str) -> None:
        line = f"{trio.current_time():.6f} {text}"
        self._digest.update(line.encode())
        if self._listener is not None:
            self._listener(line)

    async def _main(self) -> Outcome:
        world = World(self._scenario, self._history, self._trace)
        listen_to_logs(world.findings)
        users = self._users(world)
        try:
            with trio.fail_after(RUN_MAX_S):
                await self._play(world, users)
        except trio.TooSlowError:
            world.findings.append("the run did not end")
        except BaseExceptionGroup as group:
            world.findings += [f"raised: {error!r}" for error in _leaves(group)]
        has_log = any(entry.op == "log" for entry in self._history)
        problems = [
            f"stray-answer: {entry.process} got one that it had not asked for"
            for entry in self._history
            if entry.op == STRAY_ANSWER
        ]
        if has_log:
            try:
                problems += [describe(violation) for violation in check(self._history)]
            except HistoryError as error:
                problems.append(f"unreadable: {error}")
        return Outcome(
            self._scenario,
            self._history,
            world.findings + problems,
            self._digest.hexdigest(),
            requests=sum(1 for entry in self._history if entry.type == "invoke"),
            crashes=world.starts - 1,
        )

    def _users(self, world: World) -> list[tuple[User, list[Step]]]:
        knowledge = Knowledge()
        names = list(dict.fromkeys(step.user for step in self._scenario.steps))
        return [
            (
                User(name, world, knowledge),
                [step for step in self._scenario.steps if step.user == name],
            )
            for name in names
        ]

    async def _play(self, world: World, users: list[tuple[User, list[Step]]]) -> None:
        began, knowledge = trio.current_time(), users[0][0].knowledge
        self._note_limits()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(world.network.run)
            nursery.start_soon(world.run)
            async with trio.open_nursery() as clients:
                for user, steps in users:
                    clients.start_soon(user.run, steps)
                visitors = [
                    User(name, world, knowledge, device=2) for name in self._scenario.visitors
                ]
                for visitor in visitors:
                    clients.start_soon(visitor.visit, began + LENGTH_MS / 1_000)
                for at_ms in self._scenario.crashes_ms:
                    await trio.sleep_until(began + at_ms / 1_000)
                    world.crash()
                await trio.sleep_until(began + LENGTH_MS / 1_000)
                self._trace("heal")
                world.heal()
                self._history.note("server", "healed")
                await trio.sleep(HEALING_S / 2)
                for user, _steps in users:
                    clients.start_soon(user.say_last_words)
                await trio.sleep(HEALING_S / 2)
                await self._judge(world, [*(user for user, _steps in users), *visitors])
                clients.cancel_scope.cancel()
            world.stop()
            await trio.sleep(STOPPING_S)
            nursery.cancel_scope.cancel()

    def _note_limits(self) -> None:
        names = ("members_max", "pins_max", "admins_max", "groups_owned_max", "groups_joined_max")
        limits: dict[str, Any] = {name: {PLAN_NAME: getattr(PLAN, name)} for name in names}
        plans = dict.fromkeys(USERS, PLAN_NAME)
        self._history.note("server", "config", plans=plans, **limits)

    async def _judge(self, world: World, users: Sequence[User]) -> None:
        """Write down what is there in the end."""
        hub = world.hub
        if hub is None:
            world.findings.append("the server is not up although everything is mended")
            return
        for user in users:
            if user.sdk is None:
                world.findings.append(f"{user.name} never got in although everything is mended")
        assert world.log is not None
        cards_max = self._scenario.config().limits.cards_max
        world.findings += await dump(hub, world.log, self._history, cards_max=cards_max)
        for user in users:
            world.findings += user.misheard(self._history)


def describe(violation: Violation) -> str:
    """Write a violation in one line, its name first."""
    return f"{violation.invariant}: {violation.where}: {violation.message}"


def _leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    found: list[BaseException] = []
    for error in group.exceptions:
        found += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found


def _now_us() -> int:
    return round(trio.current_time() * 1_000_000)
