"""Runs a scenario: a fresh server on one core, the load generator on another."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Final

import attrs

from bench.figures import Outcome
from bench.load import DRAIN_MAX_S, Job
from bench.scenarios import Scenario
from bench.server import BenchError, RunningServer, cores, running_server
from groupd.app import make_token
from groupd.config import Config, Plan
from groupd.domain.base import Identity

WARMUP_SHARE: Final = 0.2
"""Of the measured seconds, before them."""
SETUP_MAX_S: Final = 60
"""How long connecting, and what else is not posting, may take."""
TOKEN_MS: Final = 3_600_000
LARGE_PLAN: Final = "wechat"
"""For groups of more members than the default plan allows."""


@attrs.frozen
class Run:
    """One scenario on one kind of store, and what came of it."""

    scenario: Scenario
    store: str
    outcome: Outcome


def run_scenario(scenario: Scenario, *, memory: bool, seconds: float, with_ids: bool = True) -> Run:
    """Measure one scenario; raises BenchError where that could not be done."""
    server_core, load_core = cores()
    with running_server(memory=memory, core=server_core) as server:
        job = Job(
            scenario=scenario,
            port=server.port,
            server_pid=server.pid,
            core=load_core,
            tokens=_tokens(scenario, server),
            warmup_s=seconds * WARMUP_SHARE,
            seconds=seconds,
            with_ids=with_ids,
        )
        outcome = _perform(job)
    return Run(scenario, "memory" if memory else "durable", outcome)


def _tokens(scenario: Scenario, server: RunningServer) -> list[list[tuple[str, str]]]:
    """Issue the tokens of every group's members, with the server's own secret."""
    config = Config(data=str(server.data))
    plan = "ordinary" if scenario.members <= Plan().members_max else LARGE_PLAN

    def token(user: str) -> tuple[str, str]:
        return user, make_token(config, Identity(user, plan=plan), expires_in_ms=TOKEN_MS)

    return [
        [token(f"user-{group:03}-{place:03}") for place in range(scenario.members)]
        for group in range(scenario.groups)
    ]


def _perform(job: Job) -> Outcome:
    """Have the load generator do a job, in a process of its own."""
    try:
        done = subprocess.run(
            [sys.executable, "-m", "bench.load"],
            input=json.dumps(attrs.asdict(job)).encode(),
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parent.parent,
            timeout=SETUP_MAX_S + job.warmup_s + job.seconds + DRAIN_MAX_S,
            check=True,
        )
    except subprocess.SubprocessError as error:
        raise BenchError(f"the load generator did not finish: {error}") from error
    return Outcome.from_plain(json.loads(done.stdout))
