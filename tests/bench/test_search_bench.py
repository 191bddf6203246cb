from __future__ import annotations

import random
from pathlib import Path

from rich.console import Console

from bench.search import KINDS, TENANT, Timing, fill, name_of, row_of, run, table_of
from groupd.storage.memory import MemoryStore


def test_a_tiny_run_asks_every_kind_of_question(tmp_path: Path) -> None:
    console = Console(quiet=True)

    timings = list(run(tmp_path, groups=300, count=4, console=console))

    assert [timing.title for timing in timings] == [kind.title for kind in KINDS]
    assert all(len(timing.ascending) >= 4 for timing in timings)
    assert sum(timing.found > 0 for timing in timings) > len(KINDS) / 2
    console.print(table_of(timings))


def test_every_group_can_be_found() -> None:
    store = MemoryStore("one")
    rounds: list[int] = []

    fill(store, 2_500, rounds.append)

    assert rounds == [2_000, 500]
    page = store.search(TENANT, query="", category="", near=None, after=None, limit=9_999)
    assert len(page) == 2_500


def test_names_are_of_both_languages() -> None:
    chance = random.Random(1)

    names = [name_of(chance) for _ in range(100)]

    assert 50 < sum(not name.isascii() for name in names) < 90
    assert len(set(names)) > 80


def test_a_row_says_where_the_target_is_missed() -> None:
    quick = Timing("quick", [1_000_000] * 98 + [2_000_000, 9_000_000], found=200)
    slow = Timing("slow", [1_000_000] * 90 + [6_000_000] * 10, found=0)

    assert row_of(quick) == ("quick", "2.0", "1.00", "2.00", "9.00", "")
    assert row_of(slow)[3:] == ("6.00", "6.00", "> 5")
