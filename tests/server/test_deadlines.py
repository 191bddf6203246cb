"""A deadline is looked at when it has come; whoever asks for another one is asked again."""

from __future__ import annotations

from collections.abc import Callable

import trio
from trio.testing import MockClock

from groupd.server.deadlines import Deadlines


def told(times: list[float], *again_s: float) -> Callable[[], float | None]:
    """Note when it is asked, and ask to be asked again at these times."""
    rest = list(again_s)

    def review() -> float | None:
        times.append(trio.current_time())
        return rest.pop(0) if rest else None

    return review


async def test_each_is_asked_when_its_time_has_come(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    deadlines, began_s = Deadlines(), trio.current_time()
    nursery.start_soon(deadlines.run)
    late: list[float] = []
    soon: list[float] = []
    deadlines.add(began_s + 10, told(late))
    await trio.sleep(1)
    # Earlier than what is waited for already.
    deadlines.add(began_s + 2, told(soon, began_s + 5, began_s + 11))
    await trio.sleep(30)
    assert [time - began_s for time in soon] == [2, 5, 11]
    assert [time - began_s for time in late] == [10]


async def test_a_time_that_has_passed_is_asked_for_at_once(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    deadlines = Deadlines()
    nursery.start_soon(deadlines.run)
    times: list[float] = []
    now_s = trio.current_time()
    deadlines.add(now_s - 1, told(times, now_s - 1, now_s))
    await trio.sleep(0.001)
    assert times == [now_s] * 3
