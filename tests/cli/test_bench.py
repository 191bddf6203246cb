"""``groupd bench`` as it is typed and shown; what it measures is tested in ``tests/loadtest``."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
import trio
from rich.console import Console
from trio.testing import MockClock

from groupd.cli import bench_screen as screen
from groupd.cli.main import app
from groupd.errors import ConfigError, Disconnected, Rejected
from tests.loadtest.fake import FakeServer, tokens_of

TOKENS = tokens_of(4)


def run(*words: str) -> None:
    app(["bench", *words], exit_on_error=False, print_error=False, result_action="return_value")


@pytest.fixture
def tokens(tmp_path: Path) -> str:
    path = tmp_path / "tokens"
    path.write_text(TOKENS)
    return str(path)


def typed(tokens: str, **options: str) -> list[str]:
    given = {"target": "tcp://127.0.0.1:1", "token_file": tokens, "rate": "10", "for": "1s"}
    given |= options
    given["tokens"] = given.pop("token_file")
    return [word for name, value in given.items() for word in (f"--{name}", value)]


BAD: dict[str, tuple[dict[str, str], type[Exception], str]] = {
    "a file that is not there": ({"token_file": "nowhere"}, ConfigError, "nowhere: No such file"),
    "a file that is a directory": ({"token_file": "."}, ConfigError, "--tokens: .: Is a directory"),
    "another scheme": ({"target": "http://localhost:1"}, ConfigError, "expected tcp://HOST:PORT"),
    "a target of nobody": ({}, Disconnected, "nobody answers there; is the server running"),
    "a rate of nothing": ({"rate": "0"}, ConfigError, "--rate: expected 0.1"),
    "a run without an end": ({"for": "2d"}, ConfigError, "--for: expected"),
    "texts too short": ({"size": "8"}, ConfigError, "--size: expected 64"),
    "more members than tokens": ({"members": "9"}, ConfigError, "need as many tokens"),
    "both kinds of group": ({"groups": "2", "group": "G"}, ConfigError, "one of the two"),
    "an authority without TLS": ({"ca": "x.pem"}, ConfigError, "--ca: expected a target tls://"),
    "a result that cannot be kept": (
        {"json": "no/where"},
        ConfigError,
        "--json: no/where: No such",
    ),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_input_is_one_clear_error(what: str, tokens: str) -> None:
    options, error, words = BAD[what]
    with pytest.raises(error, match=re.escape(words)):
        run(*typed(tokens, **options))


def test_a_file_of_something_else_is_refused_by_its_line(tmp_path: Path) -> None:
    path = tmp_path / "tokens"
    path.write_text("not a token")
    with pytest.raises(ConfigError, match="tokens, line 1: expected a token"):
        run(*typed(str(path)))
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="expected text"):
        run(*typed(str(path)))


async def test_what_is_going_on_is_a_table(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    server = FakeServer(nursery)
    server.refuse_post = lambda number: (
        Rejected("unavailable", "full", retry_after_ms=5) if number == 3 else None
    )
    test = server.test(TOKENS, rate_per_s=20.0, for_ms=5_000)
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=100)
    async with trio.open_nursery() as inner:
        inner.start_soon(screen.follow, test, console)
        report = await test.run()
        inner.cancel_scope.cancel()
    live = out.getvalue()
    assert "posting" in live
    assert "4 of 4" in live
    assert "20/s" in live
    assert "80/s" in live
    assert "1 unavailable" in live
    shown = io.StringIO()
    screen.show(report, Console(file=shown, width=120))
    text = shown.getvalue()
    assert "correct: each of 99 acknowledged posts reached each of 4 members" in text
    for word in ("p99.9", "since due", "own lag", "refused: 1 unavailable"):
        assert word in text


async def test_lost_connections_are_said_at_once_also_where_nobody_looks(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    server = FakeServer(nursery)
    test = server.test(TOKENS, rate_per_s=20.0, for_ms=10_000)
    out = io.StringIO()
    async with trio.open_nursery() as inner:
        inner.start_soon(screen.tell_losses, test, Console(file=out))
        inner.start_soon(test.run)
        await server.until_posting(test)
        await trio.sleep(2)
        assert out.getvalue() == ""
        server.die()
        await trio.sleep(1)
        assert out.getvalue() == ("groupd: 4 of 4 connections are lost; it tries to reconnect\n")
        server.is_gone = False
        await trio.sleep(7)
        assert out.getvalue().endswith("\ngroupd: all connections are there again\n")
        inner.cancel_scope.cancel()


async def test_where_nobody_looks_nothing_is_shown(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    out = io.StringIO()
    await screen.follow(FakeServer(nursery).test(TOKENS), Console(file=out))
    assert out.getvalue() == ""
