"""Making a failing scenario smaller: fewer steps, fewer crashes, fewer faults, the same violation.

A seed is good for one version of groupd only, since any change may draw otherwise. What is kept is
therefore a scenario, and one that a person can read: steps and crashes are taken out by halves,
quarters and so on (delta debugging: A. Zeller, R. Hildebrandt, "Simplifying and Isolating
Failure-Inducing Input", IEEE TSE 28(2), 2002), then faults are switched off one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

import attrs

from groupd.testing.simulation.disk_faults import DiskFaults
from groupd.testing.simulation.network import NetworkFaults
from groupd.testing.simulation.scenario import Scenario, Step

T = TypeVar("T")

TRIES_MAX: Final = 400
"""Runs that making one scenario smaller may take."""


def shrink(
    scenario: Scenario,
    fails: Callable[[Scenario], bool],
    *,
    tries_max: int = TRIES_MAX,
    tried: Callable[[int, Scenario], None] = lambda count, smallest: None,
) -> Scenario:
    """Give the smallest scenario found that still fails; ``tried`` hears of each run."""
    best, count = scenario, 0

    def attempt(smaller: Scenario) -> bool:
        nonlocal best, count
        if count >= tries_max:
            return False
        count += 1
        is_failing = fails(smaller)
        if is_failing:
            best = smaller
        tried(count, best)
        return is_failing

    def attempt_steps(kept: Sequence[Step]) -> bool:
        # Without any step there are no people, and nobody reads the logs in the end.
        return bool(kept) and attempt(attrs.evolve(best, steps=tuple(kept)))

    _fewer(lambda: best.steps, attempt_steps)
    _fewer(
        lambda: best.crashes_ms, lambda kept: attempt(attrs.evolve(best, crashes_ms=tuple(kept)))
    )
    calm: Any
    for name, calm in (
        ("network", NetworkFaults()),
        ("disk", DiskFaults()),
        ("delay_chance", 0.0),
        ("fsync_ms", (1.0, 1.0)),
        ("limits", {}),
    ):
        if getattr(best, name) != calm:
            attempt(attrs.evolve(best, **{name: calm}))
    for name in list(best.limits):
        limits: dict[str, Any] = {key: best.limits[key] for key in best.limits if key != name}
        attempt(attrs.evolve(best, limits=limits))
    for field in attrs.fields(NetworkFaults):
        calm_value = getattr(NetworkFaults(), field.name)
        if getattr(best.network, field.name) != calm_value:
            attempt(
                attrs.evolve(best, network=attrs.evolve(best.network, **{field.name: calm_value}))
            )
    _fewer(lambda: best.steps, attempt_steps)
    return best


def _fewer(items: Callable[[], Sequence[T]], attempt: Callable[[Sequence[T]], bool]) -> None:
    """Take out pieces, from halves down to single items, for as long as that still fails."""
    size = max(1, len(items()) // 2)
    while items():
        start, has_shrunk = 0, False
        while start < len(items()):
            kept = [*items()[:start], *items()[start + size :]]
            if attempt(kept):
                has_shrunk = True
            else:
                start += size
        if size == 1 and not has_shrunk:
            return
        size = max(1, size // 2)
