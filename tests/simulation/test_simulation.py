"""Whole runs: every promise is kept, a seed is a run, and planted bugs are found."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import attrs
import pytest

from groupd.testing.simulation.bugs import BUGS, ELUSIVE, planted
from groupd.testing.simulation.many import simulated
from groupd.testing.simulation.run import Simulation
from groupd.testing.simulation.scenario import Scenario
from groupd.testing.simulation.shrink import shrink

SEEDS: Final = 100
PART: Final = 20
FOUND_WITHIN: Final = 150
"""Seeds in which a planted bug must be found."""
HASH_SEEDS: Final = (1, 2)
SCENARIOS: Final = sorted((Path(__file__).parent / "scenarios").glob("*.json"))
"""Shrunk from runs that failed."""
OF_BUGS: Final = [path for path in SCENARIOS if path.stem in {**BUGS, **ELUSIVE}]
"""Those that failed with a planted bug: they are called like it."""


@pytest.mark.parametrize("first", range(0, SEEDS, PART))
def test_every_promise_is_kept(first: int) -> None:
    for seed in range(first, first + PART):
        result = simulated(seed)
        assert not result.problems, f"python -m groupd.testing.simulation --seed {seed}"


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_what_once_broke_a_promise_does_so_no_more(path: Path) -> None:
    assert not Simulation(Scenario.read(path)).run().problems


@pytest.mark.parametrize("path", OF_BUGS, ids=lambda path: path.stem)
def test_a_few_steps_are_kept_that_show_a_planted_bug(path: Path) -> None:
    again = "it shows it no more: python -m groupd.testing.simulation --bug NAME, --seed, --save"
    with planted(path.stem):
        assert Simulation(Scenario.read(path)).run().problems, again


def test_a_seed_is_a_run_step_by_step() -> None:
    hashes = [simulated(seed).trace_hash for seed in (3, 4, 3, 4)]
    assert hashes[:2] == hashes[2:]
    assert hashes[0] != hashes[1]


def test_a_run_does_not_depend_on_how_python_hashes() -> None:
    code = (
        "from groupd.testing.simulation.many import simulated\n"
        "print(*(simulated(seed).trace_hash for seed in range(10)))"
    )
    traces = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": str(hash_seed)},
            stdout=subprocess.PIPE,
            check=True,
            timeout=120,
        ).stdout
        for hash_seed in HASH_SEEDS
    }
    assert len(traces) == 1


@pytest.mark.parametrize("bug", BUGS)
def test_a_planted_bug_is_found(bug: str) -> None:
    with planted(bug):
        assert any(simulated(seed).problems for seed in range(FOUND_WITHIN))


def test_no_bug_is_left_when_it_is_taken_out() -> None:
    with planted("delivery-skipped"):
        pass
    assert not simulated(0).problems


def test_a_scenario_survives_json() -> None:
    for seed in range(20):
        scenario = Scenario.drawn(seed)
        assert Scenario.from_json(scenario.to_json()) == scenario


def test_a_failing_scenario_is_made_smaller_and_still_fails() -> None:
    with planted("others-erased-too"):
        seed = next(seed for seed in range(FOUND_WITHIN) if simulated(seed).problems)
        scenario = Scenario.drawn(seed)
        smallest = shrink(scenario, lambda one: bool(Simulation(one).run().problems), tries_max=60)
        assert len(smallest.steps) < len(scenario.steps) / 2
        assert Simulation(smallest).run().problems
    assert not Simulation(smallest).run().problems


def test_shrinking_leaves_somebody_who_does_something() -> None:
    smallest = shrink(Scenario.drawn(5), lambda one: True)
    assert len(smallest.steps) == 1
    assert not Simulation(smallest).run().problems


def test_shrinking_ends_with_what_matters() -> None:
    scenario = Scenario.drawn(5)
    wanted = scenario.steps[len(scenario.steps) // 2]
    smallest = shrink(scenario, lambda one: wanted in one.steps)
    assert smallest.steps == (wanted,)
    assert (smallest.crashes_ms, smallest.limits, smallest.delay_chance) == ((), {}, 0.0)
    assert smallest.network == type(smallest.network)()
    assert attrs.evolve(smallest, steps=()).seed == scenario.seed
