"""Running trio so that a seed decides everything: which task is next, and what time it is.

Trio shuffles the tasks that are ready, on purpose. It has a switch, made for Hypothesis, by which
that order comes from one generator; the switch and the generator are private, so ``run`` tests
that they are there and do what is expected, and says so where they do not.
"""

from __future__ import annotations

import gc
from collections.abc import Awaitable, Callable
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, TypeVar

import trio
import trio.testing

if TYPE_CHECKING:
    from collections.abc import Iterator

T = TypeVar("T")


STEPS_MAX: Final = 3_000_000
"""Steps of all tasks in one run. One that goes on for ever does so without time going on."""


class NotDeterministic(RuntimeError):
    """This version of trio cannot be made to follow a seed."""


class Endless(RuntimeError):
    """A run took more than ``STEPS_MAX`` steps."""


class _Count(trio.abc.Instrument):
    """Ends what does not end by itself."""

    def __init__(self, scope: trio.CancelScope) -> None:
        self._scope = scope
        self._left = STEPS_MAX

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self._left -= 1
        if self._left == 0:
            self._scope.cancel()


def run(main: Callable[[], Awaitable[T]], *, seed: int) -> T:
    """Run ``main`` under trio, on a clock that jumps to whatever is next; gives its result.

    Two runs with one seed take the same steps, as long as ``main`` asks nothing of the machine:
    no time, no randomness, no thread, no socket. Garbage is not collected meanwhile.

    Raises NotDeterministic, Endless, and what ``main`` raises.
    """
    scope = trio.CancelScope()

    async def bounded() -> T:
        with scope:
            return await main()
        raise Endless(f"more than {STEPS_MAX:,} steps")

    # Where everybody waits and nobody has a deadline, the clock would look for one for ever.
    clock = trio.testing.MockClock(autojump_threshold=0)
    with _one_order(seed), _no_collector():
        return trio.run(bounded, clock=clock, instruments=[_Count(scope)])


@contextmanager
def _one_order(seed: int) -> Iterator[None]:
    internals: Any = getattr(getattr(trio, "_core", None), "_run", None)
    switch = "_ALLOW_DETERMINISTIC_SCHEDULING"
    generator: Any = getattr(internals, "_r", None)
    if not hasattr(internals, switch) or not hasattr(generator, "seed"):
        raise NotDeterministic(
            f"trio {trio.__version__} has no {switch} or no generator: simulate with another one"
        )
    before, state = getattr(internals, switch), generator.getstate()
    setattr(internals, switch, True)
    generator.seed(seed)
    try:
        yield
    finally:
        setattr(internals, switch, before)
        generator.setstate(state)


@contextmanager
def _no_collector() -> Iterator[None]:
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
