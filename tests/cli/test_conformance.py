"""``groupd conformance``, on a port, beside a client."""

from __future__ import annotations

import io
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
import trio
from rich.console import Console

import groupd
from groupd.cli import conformance
from groupd.client import GroupEvent
from groupd.errors import ConfigError

PATIENCE_S = 60
SOME = ("greeting", "gap", "lagged")


class Screen(io.StringIO):
    """What is printed, and when the last of the first lines is there."""

    def __init__(self) -> None:
        super().__init__()
        self.told = trio.Event()

    def write(self, text: str) -> int:
        count = super().write(text)
        if "\ntoken " in self.getvalue():
            self.told.set()
        return count


async def client(screen: Screen, *, shows_all: bool = True) -> None:
    await screen.told.wait()
    words = dict(line.split(maxsplit=1) for line in screen.getvalue().splitlines()[:3])

    def get() -> str:
        with urllib.request.urlopen(words["tokens"], timeout=PATIENCE_S) as answer:
            return str(answer.read().decode().strip())

    async def token() -> str:
        return await trio.to_thread.run_sync(get)

    async with groupd.connect(words["server"], token=token) as connected:
        heard = connected.events()
        await connected.post(connected.chat_list[0]["group"], text="ready")
        async for event in heard:
            if not isinstance(event, GroupEvent) or event.user != "mei":
                continue
            if shows_all or event.fields["text"] != "hello again":
                await connected.post(event.group, text=f"heard {event.seq}")


async def judge(console: Console, screen: Screen, *, shows_all: bool = True) -> bool:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lambda: client(screen, shows_all=shows_all))
        with trio.fail_after(PATIENCE_S):
            names, timeout_ms = (SOME, PATIENCE_S * 1_000) if shows_all else (SOME[:1], 1_000)
            right = await conformance.run(names, timeout_ms=timeout_ms, console=console)
        nursery.cancel_scope.cancel()
    return right


async def test_a_right_client_is_told_so_in_plain_lines() -> None:
    screen = Screen()
    assert await judge(Console(file=screen), screen)
    lines = screen.getvalue().splitlines()
    assert lines[3:] == ["right  greeting", "right  gap", "right  lagged", "3 right, 0 wrong"]


async def test_a_wrong_client_is_told_what_was_expected() -> None:
    screen = Screen()
    assert not await judge(Console(file=screen), screen, shows_all=False)
    assert "wrong  greeting: expected heard " in screen.getvalue()
    assert "0 right, 1 wrong" in screen.getvalue()


async def test_on_a_terminal_it_is_a_table() -> None:
    screen = Screen()
    assert await judge(Console(file=screen, force_terminal=True, width=120), screen)
    assert "a push whose predecessor never came" in screen.getvalue()
    assert screen.getvalue().count("right") >= 3


async def test_a_scenario_that_there_is_not_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"expected one of greeting, .*, got 'nope'"):
        await conformance.run(["nope"], timeout_ms=1, console=Console(file=io.StringIO()))


def test_the_exit_code_says_it_when_nobody_comes() -> None:
    groupd_ = str(Path(sys.executable).with_name("groupd"))
    done = subprocess.run(
        [groupd_, "conformance", "--scenario", "greeting", "--timeout", "1s"],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert "wrong  greeting: expected a connection and a hello; got nothing" in done.stdout
