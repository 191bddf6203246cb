from __future__ import annotations

import pytest

from bench.words import main


def test_a_tiny_run_times_both_kinds_of_text(capsys: pytest.CaptureFixture[str]) -> None:
    main(sizes=(10,), rounds=1)
    head, row = capsys.readouterr().out.splitlines()
    assert head.split() == ["entries", "made", "in", "Latin", "Chinese"]
    assert row.split()[0] == "10"
    assert row.count(" us") == 2
