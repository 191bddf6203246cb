"""The table of threats names tests that there are."""

from __future__ import annotations

import re
from pathlib import Path

import tests.attack

HERE = Path(__file__).parent
ROOT = HERE.parent.parent


def named() -> set[Path]:
    """Give the files that the table names; without a directory they are in this one."""
    words = re.findall(r"``([\w/]+\.py)``", tests.attack.__doc__ or "")
    return {ROOT / word if "/" in word else HERE / word for word in words}


def test_every_file_that_the_table_names_is_there() -> None:
    assert len(named()) > 20
    assert [path for path in named() if not path.is_file()] == []


def test_every_file_of_attacks_is_in_the_table() -> None:
    own = {path for path in HERE.glob("test_*.py") if path != Path(__file__)}
    assert own - named() == set()
