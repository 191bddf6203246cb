"""Plays the dialogues in ``transcripts/``: what they show is what the server does, line by line.

    # Prose, for readers.
    alice connects                             she says hello; `connects quietly`: without events
    alice connects with {"plan": "wechat"}     claims of her token
    alice > post {"group": $tea, ...}          she asks; several in a row are pipelined
    alice < {"seq": 3, ...}                    the answer to the oldest question that is open
    alice <! forbidden {"reason": "role"}      where it is refused; the message is left out
    alice << event {"seq": 3, ...}             the next push to her; each must be written down,
    alice << ...                               or skipped by this: all that has come so far
    alice loses the connection                 what is under way may still happen
    time passes: 25 h                          (ms, s, min, h)

Values are JSON with three more words: ``*`` is any value, ``...`` in a map any further fields, and
``$name`` the value that stood there the first time. A ``$name`` that a question is the first to
use is a new request id.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import attrs
import pytest
from trio.testing import MockClock

from groupd.errors import Rejected
from tests.e2e.raw import RawClient
from tests.server.bench import Bench, open_bench, settled

TRANSCRIPTS: Final = {
    path.stem: path.read_text("utf-8")
    for path in sorted((Path(__file__).parent / "transcripts").glob("*.txt"))
}
UNITS_S: Final = {"ms": 0.001, "s": 1, "min": 60, "h": 3_600}
WEEK_MS: Final = 7 * 24 * 3_600_000
ANY: Final = "\0any"
MORE: Final = "\0more"
_WORD: Final = re.compile(r'"(?:\\.|[^"\\])*"|\$\w+|\*|\.\.\.')
_LINE: Final = re.compile(
    r"(?P<who>\w+) (?P<what>>|<!|<<|<|connects|loses|leaves)(?: (?P<rest>.*))?"
)


def parse(text: str) -> Any:
    """Read a value; ``$name``, ``*`` and ``...`` become strings that begin with a zero byte."""

    def plain(match: re.Match[str]) -> str:
        word = match.group()
        if word.startswith("$"):
            return json.dumps("\0" + word)
        if word == "*":
            return json.dumps(ANY)
        return f"{json.dumps(MORE)}: 0" if word == "..." else word

    return json.loads(_WORD.sub(plain, text))


@attrs.define
class Play:
    """One transcript being played."""

    bench: Bench
    clock: MockClock
    known: dict[str, Any] = attrs.field(factory=dict)
    clients: dict[str, RawClient] = attrs.field(factory=dict)
    open: dict[str, list[int]] = attrs.field(factory=dict)

    async def line(self, line: str) -> None:
        """Do or expect what a line says."""
        if match := re.fullmatch(r"time passes: (\d+) (\w+)", line):
            await settled()
            self.clock.jump(int(match[1]) * UNITS_S[match[2]])
            await settled()
            return
        match = _LINE.fullmatch(line)
        assert match is not None, "not a line of a transcript"
        who, what, rest = match["who"], match["what"], match["rest"] or ""
        if what == "connects":
            await self.connect(who, rest)
        elif what == "loses":
            self.clients.pop(who).link.cut()  # type: ignore[attr-defined]
            self.open[who] = []
            await settled()
        elif what == ">":
            await self.ask(who, rest)
        elif what == "<<":
            await self.push(who, rest)
        else:
            await self.answer(who, rest, refused=what == "<!")

    async def connect(self, who: str, how: str) -> None:
        claims = parse(how.removeprefix("with ")) if how.startswith("with ") else {}
        self.clients[who] = await self.bench.enter(
            who, events=how != "quietly", expires_in_ms=WEEK_MS, **claims
        )
        self.open[who] = []

    async def ask(self, who: str, rest: str) -> None:
        method, _, text = rest.partition(" ")
        params = self.fill(parse(text or "{}"))
        self.open[who].append(await self.clients[who].send(method, **params))
        await settled()

    def fill(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {self.fill(key): self.fill(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.fill(item) for item in value]
        if isinstance(value, str) and value.startswith("\0$"):
            return self.known.setdefault(value, self.bench.id())
        return value

    async def answer(self, who: str, rest: str, *, refused: bool) -> None:
        assert self.open[who], "no question is open"
        msgid = self.open[who].pop(0)
        code, _, text = rest.partition(" ") if refused else ("", "", rest)
        told = await self.clients[who].outcome(msgid)
        if isinstance(told, Rejected):
            assert refused, told
            assert told.code == code
            self.compare(told.details, parse(text or "{}"))
        else:
            assert not refused, f"it was not refused: {told}"
            self.compare(told, parse(text))

    async def push(self, who: str, rest: str) -> None:
        client = self.clients[who]
        if rest == "...":
            await client.ask("ping")
            client.pushes.clear()
            return
        wanted, _, text = rest.partition(" ")
        if wanted == "goodbye":
            await client.drain()
            assert client.goodbye is not None
            self.compare(client.goodbye, parse(text))
            return
        if not client.pushes:
            await client.ask("ping")
        assert client.pushes, "nothing was pushed"
        method, params = client.pushes.pop(0)
        assert method == wanted, (method, params)
        self.compare(params, parse(text))

    def compare(self, told: Any, expected: Any, where: str = "$") -> None:
        """Check a value against its pattern, and learn what it names."""
        if expected == ANY:
            return
        if isinstance(expected, str) and expected.startswith("\0$"):
            assert self.known.setdefault(expected, told) == told, where
        elif isinstance(expected, Mapping):
            assert isinstance(told, Mapping), (where, told)
            for key, value in expected.items():
                if key != MORE:
                    assert key in told, (where, key, told)
                    self.compare(told[key], value, f"{where}.{key}")
            if MORE not in expected:
                assert set(told) == set(expected), (where, told)
        elif isinstance(expected, list):
            assert isinstance(told, list), (where, told)
            assert len(told) == len(expected), (where, told)
            for index, value in enumerate(expected):
                self.compare(told[index], value, f"{where}[{index}]")
        else:
            assert told == expected, where
            assert type(told) is type(expected), where

    async def end(self) -> None:
        """See that nothing was left out."""
        for who, client in self.clients.items():
            assert not self.open[who], f"{who} waits for an answer"
            if client.goodbye is None:
                await client.ask("ping")
            assert not client.pushes, f"{who} was pushed more: {client.pushes}"


@pytest.mark.parametrize("name", TRANSCRIPTS)
async def test_the_dialogue_goes_as_it_is_written(name: str, autojump_clock: MockClock) -> None:
    async with open_bench() as bench:
        play = Play(bench, autojump_clock)
        for number, line in enumerate(TRANSCRIPTS[name].splitlines(), 1):
            if not line.strip() or line.startswith("#"):
                continue
            try:
                await play.line(line.strip())
            except AssertionError as error:
                raise AssertionError(f"{name}, line {number}: {line}: {error}") from error
        await play.end()


async def test_a_transcript_that_is_wrong_is_noticed(autojump_clock: MockClock) -> None:
    wrong = (
        "alice < {}",
        "alice << event {}",
        "alice >> ping",
        "nobody does anything",
    )
    async with open_bench() as bench:
        play = Play(bench, autojump_clock)
        await play.line("alice connects")
        for line in wrong:
            with pytest.raises(AssertionError):
                await play.line(line)
        for answer in (
            '{"time_ms": 5}',
            "{}",
            '{"time_ms": *, "more": *}',
            '{"time_ms": "*"}',
        ):
            await play.line("alice > ping")
            with pytest.raises(AssertionError):
                await play.line(f"alice < {answer}")
        await play.line("alice > ping")
        with pytest.raises(AssertionError, match="waits for an answer"):
            await play.end()
