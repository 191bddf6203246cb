"""What the tests of a process that is killed or starved share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.process import Groupd, Launcher


@pytest.fixture(scope="session")
def launcher() -> Iterator[Launcher]:
    """What starts commands; it ends with the tests."""
    launcher = Launcher()
    yield launcher
    launcher.close()


@pytest.fixture
def groupd(launcher: Launcher, tmp_path: Path) -> Groupd:
    """The command, in a directory of this test's own."""
    return Groupd(launcher, tmp_path)
