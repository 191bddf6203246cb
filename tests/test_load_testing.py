"""What the page on load testing says, against the code."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from groupd.cli.main import app
from groupd.loadtest import plan
from groupd.loadtest.report import LAG_MAX_US
from groupd.loadtest.text import SIZE_MAX_BYTES, SIZE_MIN_BYTES
from tests.loadtest.test_report import report

PAGE = (Path(__file__).parent.parent / "docs" / "guide" / "load-testing.md").read_text("utf-8")
COMMANDS = [
    line
    for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
    for line in block.replace("\\\n", " ").splitlines()
]


def words_of(command: str) -> list[str]:
    name, *words = shlex.split(command.partition(">")[0])
    assert name == "groupd"
    return words


@pytest.mark.parametrize("command", COMMANDS)
def test_the_commands_of_the_page_can_be_typed(command: str) -> None:
    app.parse_args(words_of(command), exit_on_error=False, print_error=False)


def test_every_option_is_on_the_page() -> None:
    listed = re.findall(r"^\| `--([a-z-]+)` \|", PAGE, re.MULTILINE)
    _, bound, _ = app.parse_args(
        ["bench", "--target", "t", "--tokens", "f", "--rate", "1", "--for", "1s"]
    )
    names = [name.rstrip("_").replace("_", "-") for name in bound.signature.parameters]
    assert sorted(listed) == sorted(names)


def test_the_bounds_of_the_page_are_those_of_the_code() -> None:
    for number in (
        *(plan.USERS_MAX, int(plan.RATE_MAX_PER_S), plan.POSTS_MAX, plan.GROUPS_MAX),
        *(plan.READINGS_MAX, plan.MEMBERS_MAX, plan.CONNECT_RATE_MAX_PER_S, SIZE_MAX_BYTES),
    ):
        assert f"{number:,}" in PAGE
    assert f"{SIZE_MIN_BYTES} to {SIZE_MAX_BYTES:,} bytes" in PAGE
    assert f"{plan.FOR_MAX_MS // 3_600_000} h" in PAGE
    assert f"{LAG_MAX_US // 1_000} ms at p99" in PAGE


def test_every_field_of_the_json_is_on_the_page() -> None:
    fields = set(report().to_plain())
    said = PAGE.partition("## The JSON")[2].partition("\n## ")[0]
    assert fields <= set(re.findall(r"`(\w+)`", said))
