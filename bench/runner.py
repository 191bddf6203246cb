"""Runs a scenario on a target: a fresh server on one core, the load generator on another."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import attrs

from bench import circle
from bench.entering import ARRIVE_MAX_S
from bench.fanout import DRAIN_MAX_S
from bench.figures import Outcome
from bench.load import Job
from bench.scenarios import CIRCLE, CROWD_GROUP, IDLE, STORM, Scenario
from bench.server import BenchError, cores
from bench.targets import Reached, Target
from groupd.app import make_token
from groupd.config import Config, Plan
from groupd.domain.base import Identity

WARMUP_SHARE: Final = 0.2
"""Of the measured seconds, before them."""
SETUP_MAX_S: Final = 60 + 2 * ARRIVE_MAX_S
"""How long connecting, and what else is not posting, may take."""
TOKEN_MS: Final = 3_600_000
LARGE_PLAN: Final = "circle"
"""For groups of more members than the default plan allows."""
IDLE_GROUP: Final = 10
"""Members of a group that nobody talks in."""

People = list[list[tuple[str, str]]]
"""Groups of users and their tokens, the owners first."""


@attrs.frozen
class Run:
    """One scenario on one target, and what came of it."""

    scenario: Scenario
    target: Target
    outcome: Outcome
    round: int = 1


def run_scenario(
    scenario: Scenario,
    target: Target,
    *,
    seconds: float,
    with_ids: bool = True,
    number: int = 1,
) -> Run:
    """Measure one scenario; raises BenchError where that could not be done."""
    server_core, load_core = cores()
    with target.running(core=server_core) as server:
        warmup_s = seconds * WARMUP_SHARE
        groups, crowd, guests = _people(scenario, target, server, seconds + warmup_s)
        job = Job(
            scenario=scenario,
            peer=target.name if target.peer else None,
            port=server.port,
            pids=list(server.pids),
            core=load_core,
            groups=groups,
            crowd=crowd,
            guests=guests,
            warmup_s=warmup_s,
            seconds=seconds,
            with_ids=with_ids,
            certificate=str(server.certificate) if server.certificate else None,
            websocket=target.websocket,
        )
        outcome = _perform(job)
    return Run(scenario, target, outcome, number)


def _people(
    scenario: Scenario, target: Target, server: Reached, lasting_s: float
) -> tuple[People, People, list[tuple[str, str]]]:
    """Name the users: of the measured groups, of the crowd's groups, and of none yet."""
    config = Config(data=str(server.data))

    def somebody(user: str, plan: str = "ordinary") -> tuple[str, str]:
        # The peers ask for no proof.
        if target.peer is not None:
            return user, ""
        return user, make_token(config, Identity(user, plan=plan), expires_in_ms=TOKEN_MS)

    def group(sign: str, number: int, members: int) -> list[tuple[str, str]]:
        plan = "ordinary" if members <= Plan().members_max else LARGE_PLAN
        return [somebody(f"{sign}{number:02}m{place:03}", plan) for place in range(members)]

    def groups(sign: str, total: int, size: int) -> People:
        sizes = [min(size, total - start) for start in range(0, total, size)]
        return [group(sign, number, members) for number, members in enumerate(sizes)]

    if scenario.kind == IDLE:
        return groups("u", scenario.crowd, scenario.members), _idle_groups(scenario, somebody), []
    measured = [group("u", number, scenario.members) for number in range(scenario.groups)]
    if scenario.kind == CIRCLE:
        ring = groups("c", scenario.crowd, scenario.crowd)
        guests = circle.guests_needed(lasting_s)
        return measured, ring, [somebody(f"guest{number:05}") for number in range(guests)]
    if scenario.kind == STORM:
        return measured, groups("c", scenario.crowd, CROWD_GROUP), []
    return measured, [], []


def _idle_groups(scenario: Scenario, somebody: Callable[[str], tuple[str, str]]) -> People:
    """Name groups of a few members; everybody owns as many as they may, and is in some."""
    each = Plan().groups_owned_max
    people = [somebody(f"w{number:05}") for number in range(-(-scenario.idle_groups // each))]
    everybody = people + [
        somebody(f"x{number:05}") for number in range(max(0, IDLE_GROUP - len(people)))
    ]
    groups = []
    for number in range(scenario.idle_groups):
        owner = number // each
        others = [
            everybody[(owner + 1 + number + place) % len(everybody)]
            for place in range(IDLE_GROUP - 1)
        ]
        groups.append([everybody[owner], *(one for one in others if one != everybody[owner])])
    return groups


def _perform(job: Job) -> Outcome:
    """Have the load generator do a job, in a process of its own."""
    try:
        done = subprocess.run(
            [sys.executable, "-m", "bench.load"],
            input=json.dumps(attrs.asdict(job)).encode(),
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parent.parent,
            timeout=SETUP_MAX_S + 3 * (job.warmup_s + job.seconds) + DRAIN_MAX_S,
            check=True,
        )
    except subprocess.SubprocessError as error:
        raise BenchError(f"the load generator did not finish: {error}") from error
    return Outcome.from_plain(json.loads(done.stdout))
