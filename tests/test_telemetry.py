"""What is logged can be read by a machine or a person, and not written by a stranger."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
import structlog

from groupd.errors import ConfigError
from groupd.telemetry import configure_logging

ATTACKS = [
    "ann\n2025-01-01T00:00:00Z [info     ] login user=root",
    "\x1b[2J\x1b]0;owned\x07",
    "\r\x08\x7f\x00",
    "\x9b31m",
    "a\u2028b\u2029c\x85d",
    "\u202etxet",
    "\ud800",
]


class Terminal(io.TextIOWrapper):
    """A stream that keeps what is written and says whether somebody watches."""

    def __init__(self, *, watched: bool) -> None:
        super().__init__(io.BytesIO(), encoding="utf-8", newline="")
        self.watched = watched

    def isatty(self) -> bool:
        return self.watched

    def text(self) -> str:
        self.flush()
        buffer = self.buffer
        assert isinstance(buffer, io.BytesIO)
        return buffer.getvalue().decode()


@pytest.fixture(autouse=True)
def _reset() -> Iterator[None]:
    yield
    structlog.reset_defaults()


def logged(
    monkeypatch: pytest.MonkeyPatch, *, watched: bool, level: str = "info", **options: Any
) -> Terminal:
    terminal = Terminal(watched=watched)
    monkeypatch.setattr(sys, "stderr", terminal)
    configure_logging(level, **options)
    return terminal


def test_a_file_gets_lines_of_json(monkeypatch: pytest.MonkeyPatch) -> None:
    output = logged(monkeypatch, watched=False)
    structlog.get_logger().info("request", method="post", took_us=31, user="安", code=None)
    (line,) = output.text().splitlines()
    entry = json.loads(line)
    assert datetime.fromisoformat(entry.pop("timestamp")).utcoffset() == timedelta(0)
    assert entry == {
        "event": "request", "level": "info", "method": "post", "took_us": 31, "user": "安",
        "code": None,
    }  # fmt: skip


def test_a_terminal_gets_readable_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    output = logged(monkeypatch, watched=True)
    structlog.get_logger().info("listening", address="tcp://127.0.0.1:7400")
    assert "listening" in output.text()
    assert "tcp://127.0.0.1:7400" in output.text()
    assert not output.text().startswith("{")


def test_json_may_be_asked_for_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    output = logged(monkeypatch, watched=True, json=True)
    structlog.get_logger().info("listening")
    assert json.loads(output.text())["event"] == "listening"


def test_what_is_below_the_level_is_not_logged(monkeypatch: pytest.MonkeyPatch) -> None:
    output = logged(monkeypatch, watched=False, level="warning")
    structlog.get_logger().info("no")
    structlog.get_logger().warning("yes")
    assert [json.loads(line)["event"] for line in output.text().splitlines()] == ["yes"]


def test_an_unknown_level_is_a_configuration_error() -> None:
    with pytest.raises(ConfigError, match="log_level: expected one of debug, info"):
        configure_logging("loud", json=True)


@pytest.mark.parametrize("as_json", [True, False])
@pytest.mark.parametrize("attack", ATTACKS)
def test_a_value_from_the_network_writes_no_line_and_no_escape(
    monkeypatch: pytest.MonkeyPatch, attack: str, as_json: bool
) -> None:
    output = logged(monkeypatch, watched=False, json=as_json)
    log = structlog.get_logger()
    log.info("request", user=attack)
    log.info("request", **{attack: 1})
    log.info("request", nested={"users": [attack], attack: (attack.encode("utf-8", "replace"),)})
    log.info(attack)
    log.info("request", other=ValueError(attack))
    lines = output.text().split("\n")
    assert len(lines) == 6
    assert all(line.isprintable() for line in lines)


@pytest.mark.parametrize("as_json", [True, False])
@pytest.mark.parametrize("attack", ATTACKS)
def test_the_message_of_an_exception_forges_no_entry(
    monkeypatch: pytest.MonkeyPatch, attack: str, as_json: bool
) -> None:
    output = logged(monkeypatch, watched=False, json=as_json)
    try:
        raise ValueError(attack)
    except ValueError:
        structlog.get_logger().exception("crashed", reference="r1")
    first, *rest = output.text().removesuffix("\n").split("\n")
    assert "crashed" in first
    assert "ValueError" in output.text()
    assert all(line.startswith("  | ") for line in rest)
    assert all(line.isprintable() for line in (first, *rest))


@pytest.mark.parametrize("as_json", [True, False])
def test_any_value_can_be_logged(monkeypatch: pytest.MonkeyPatch, as_json: bool) -> None:
    output = logged(monkeypatch, watched=False, json=as_json)
    deep: list[Any] = []
    deep.append(deep)
    values = [2**70, -(2**70), 1.5, float("nan"), b"\x00", {1: object()}, deep, {"a"}]
    for value in values:
        structlog.get_logger().info("odd", value=value)
    assert output.text().count("odd") == len(values)
