"""kill -9 at any moment: what was acknowledged is there once, where it was said to be."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from groupd import native
from tests.crash.kill_loop import kill_loop
from tests.e2e.process import Launcher

CYCLES: Final = 100 if native.IS_COMPILED else 20
"""Here, where the suite runs twice; ``make kill`` does as many as it is told."""


async def test_nothing_acknowledged_is_lost_doubled_or_reordered_by_a_kill(
    launcher: Launcher, tmp_path: Path
) -> None:
    tally = await kill_loop(launcher, tmp_path, cycles=CYCLES, seed="test")
    assert tally.wrong == []
    assert tally.cycles == CYCLES
    # It has really spoken, and really been cut off.
    assert tally.acknowledged > 10 * CYCLES
    assert tally.pushed >= tally.acknowledged / 2
    assert tally.given_up > 0
