"""Plays the dialogues in ``transcripts/``: what they show is what the server does, line by line.

    # Prose, for readers.
    the server has {"plans": {...}}            settings of the server; stands before all else
    alice connects                             she says hello; `connects quietly`: without events
    alice connects with {"plan": "wechat"}     what her token says
    phone connects as alice                    on another device, or in another app (`tenant`)
    alice > post {"group": $tea, ...}          she asks; several in a row are pipelined
    alice < {"seq": 3, ...}                    the answer to the oldest question that is open
    alice <! forbidden {"reason": "role"}      where it is refused; the message is left out
    alice << event {"seq": 3, ...}             the next push to her; each must be written down,
    alice << ...                               or skipped by this: all that has come so far
    alice loses the connection                 what is under way may still happen
    alice leaves                               what she was pushed and has not read is gone
    time passes: 25 h                          (ms, s, min, h)

Values are JSON with three more words: ``*`` is any value, ``...`` in a map any further fields, and
``$name`` the value that stood there the first time. A ``$name`` that a question is the first to
use is a new request id.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import attrs
import pytest
from trio.testing import MockClock

from groupd.config import PLANS, Plan
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
_CONNECTS: Final = re.compile(
    r"(?P<quietly>quietly)? ?(?:as (?P<user>\w+))? ?(?:with (?P<claims>.*))?"
)
_SETTINGS: Final = "the server has "


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


def settings(lines: Sequence[str]) -> dict[str, Any]:
    """Read the settings of the server; plans differ from the ordinary one by what is written."""
    written = (line for line in lines if line.startswith(_SETTINGS))
    found: dict[str, Any] = json.loads(next(written, _SETTINGS + "{}").removeprefix(_SETTINGS))
    if "plans" in found:
        made = {name: Plan(**values) for name, values in found["plans"].items()}
        found["plans"] = {**PLANS, **made}
    return found


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
        elif what == "leaves":
            assert not self.open[who], f"{who} waits for an answer"
            await self.clients.pop(who).close()
            await settled()
        elif what == ">":
            await self.ask(who, rest)
        elif what == "<<":
            await self.push(who, rest)
        else:
            await self.answer(who, rest, refused=what == "<!")

    async def connect(self, who: str, how: str) -> None:
        match = _CONNECTS.fullmatch(how)
        assert match is not None, "not a way to connect"
        claims = {"expires_in_ms": WEEK_MS, **parse(match["claims"] or "{}")}
        user, events = match["user"] or who, not match["quietly"]
        self.clients[who] = await self.bench.enter(user, events=events, **claims)
        self.open[who] = []

    async def ask(self, who: str, rest: str) -> None:
        method, _, text = rest.partition(" ")
        params = self.fill(parse(text or "{}"))
        # Not by `send`, since a parameter may be called `method`.
        msgid, data = self.clients[who].frame(method, params)
        await self.clients[who].send_bytes(data)
        self.open[who].append(msgid)
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
    lines = [line.strip() for line in TRANSCRIPTS[name].splitlines()]
    async with open_bench(**settings(lines)) as bench:
        play = Play(bench, autojump_clock)
        for number, line in enumerate(lines, 1):
            if not line or line.startswith(("#", _SETTINGS)):
                continue
            try:
                await play.line(line)
            except AssertionError as error:
                raise AssertionError(f"{name}, line {number}: {line}: {error}") from error
        await play.end()


async def test_a_transcript_that_is_wrong_is_noticed(autojump_clock: MockClock) -> None:
    wrong = (
        "alice < {}",
        "alice << event {}",
        "alice >> ping",
        "nobody does anything",
        "bob connects somehow",
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
            await play.line("alice leaves")
        with pytest.raises(AssertionError, match="waits for an answer"):
            await play.end()
