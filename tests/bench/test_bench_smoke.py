"""Every scenario at a tiny size, with a real server."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.report import remark
from bench.runner import Run, run_scenario
from bench.scenarios import SCENARIOS
from bench.targets import GROUPD, Target

MEMORY = Target(GROUPD, "memory")
SECONDS = 0.4
MEMBERS = 6
CROWD = 12

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/stat").exists(), reason="the server's CPU time is read from /proc"
)


def tiny(name: str, target: Target = MEMORY) -> Run:
    return run_scenario(SCENARIOS[name].resized(MEMBERS, CROWD), target, seconds=SECONDS)


@pytest.mark.parametrize(("name", "store"), [("a", "memory"), ("b", "durable")])
def test_every_post_is_delivered_to_every_member(name: str, store: str) -> None:
    run = tiny(name, Target(GROUPD, store))

    assert run.outcome.problems == []
    assert run.outcome.posts > 0
    assert run.outcome.deliveries_total == run.outcome.posts_total * run.scenario.members
    assert run.outcome.delivery is not None
    assert run.outcome.lost == 0
    assert remark(run.outcome) != "FAILED"


def test_a_circle_is_served_beside_a_group_that_chats() -> None:
    run = tiny("f")

    assert run.outcome.problems == []
    assert run.outcome.p99_ratio is not None


def test_a_crowd_that_comes_back_reads_what_it_missed() -> None:
    run = tiny("r")

    assert run.outcome.problems == []
    assert run.outcome.caught_up_s > 0
    assert run.outcome.rss_peak_bytes > 0


def test_idle_connections_and_groups_are_counted() -> None:
    run = tiny("g")

    assert run.outcome.problems == []
    assert run.outcome.connections == CROWD
    assert run.outcome.groups == CROWD
    assert run.outcome.deliveries_per_s is None


def test_a_peer_is_measured_with_the_same_load() -> None:
    target = Target("reference")
    assert target.peer is not None
    if reason := target.peer.missing():
        pytest.skip(reason)

    run = tiny("a", target)

    assert run.outcome.problems == []
    assert run.outcome.posts > 0
    assert run.outcome.lost == 0
