"""Reads a guide and plays it: files are written, commands typed, what one sees is compared.

What a guide's blocks mean, by their language:

- ``python`` and ``toml``: a file. Its first line is a comment with its name: ``# bot.py``.
- ``shell``: typed, in one directory, as bash does and until the first error; variables that are
  exported stay. ``shell background`` is left running until the guide is over.
- ``text``: what one sees of the command before it, line by line and in order; between these may
  be others. ``...`` stands for anything in a line. What a command in the background says is waited
  for.

Ports of 127.0.0.1 from 7000 to 7999 are others when it is played, and free.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import attrs

ROOT: Final = Path(__file__).parent.parent.parent
GUIDES: Final = ROOT / "docs" / "guide"
LANGUAGES: Final = ("python", "toml", "shell", "text")
PATIENCE_S: Final = 60.0
"""For one command, on a machine that is busy with other tests."""
LOOK_S: Final = 0.05
"""Between two looks at what another process has said."""

_BLOCK: Final = re.compile(r"^```(\w+)(?: (\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_NAME: Final = re.compile(r"# ([\w-]+\.(?:py|toml))\n")
_PORT: Final = re.compile(r"(?:(?<=127\.0\.0\.1:)|(?<=127\.0\.0\.1\", ))7\d{3}\b")


@attrs.frozen
class Block:
    """One block of code of a guide."""

    language: str
    mark: str
    """The word behind the language, or nothing."""
    text: str

    @property
    def file(self) -> str:
        """The name of the file that this is; empty for what is typed or seen."""
        if self.language not in ("python", "toml"):
            return ""
        found = _NAME.match(self.text)
        assert found is not None, f"its first line does not name a file: {self.text[:60]!r}"
        return found[1]


def blocks_of(text: str) -> list[Block]:
    """Give the blocks of a guide in their order."""
    found = [Block(*(part or "" for part in parts)) for parts in _BLOCK.findall(text)]
    assert len(found) * 2 == len(re.findall(r"^\s*```", text, re.MULTILINE)), "a block has no end"
    return found


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
    return port


def misses(expected: str, seen: str) -> str | None:
    """Give the first line that should be seen and is not, or None."""
    lines = iter(seen.splitlines())
    for wanted in filter(str.strip, expected.splitlines()):
        pattern = re.compile(".*".join(map(re.escape, wanted.rstrip().split("..."))))
        if not any(pattern.fullmatch(line.rstrip()) for line in lines):
            return wanted
    return None


@attrs.define(eq=False)
class Running:
    """A command in the background, and where what it says is written to."""

    process: subprocess.Popen[bytes]
    log: Path


@attrs.define(eq=False)
class Player:
    """Plays one guide in a directory of its own. ``close`` ends what still runs."""

    directory: Path
    _ports: dict[str, int] = attrs.field(factory=dict)
    _running: list[Running] = attrs.field(factory=list)
    _seen: str = ""
    """What the last command has said, where that has ended."""
    _last: Running | None = None

    def play(self, block: Block) -> None:
        """Do what a block says; raises AssertionError where it does not come out so."""
        text = _PORT.sub(self._port, block.text)
        if block.file:
            (self.directory / block.file).write_text(text, "utf-8")
        elif block.language == "shell":
            if block.mark == "background":
                self._start(text)
            else:
                self._run(text)
        else:
            self._expect(text)

    def close(self) -> None:
        """End the commands in the background, the last one first."""
        for running in reversed(self._running):
            running.process.terminate()
        for running in self._running:
            running.process.wait(PATIENCE_S)

    def _port(self, found: re.Match[str]) -> str:
        return str(self._ports.setdefault(found[0], free_port()))

    def _environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if "GROUPD" not in name}
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        return {**kept, "PATH": path, "PYTHONUNBUFFERED": "1", "COLUMNS": "200", "TERM": "dumb"}

    def _bash(self, command: str) -> list[str]:
        """Give what types a command with the variables that were exported before."""
        before = "set -euo pipefail; if [ -e .exported ]; then . ./.exported; fi"
        return ["bash", "-c", f"{before}\n{command}"]

    def _run(self, command: str) -> None:
        done = subprocess.run(
            self._bash(f"{command}\nexport -p >.exported"),
            cwd=self.directory,
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        self._seen, self._last = done.stdout, None
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{self._said()}"

    def _start(self, command: str) -> None:
        log = self.directory / f"background-{len(self._running)}"
        with log.open("wb") as file:
            process = subprocess.Popen(
                self._bash(f"exec {command}"),
                cwd=self.directory,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
            )
        self._last = Running(process, log)
        self._running.append(self._last)

    def _expect(self, expected: str) -> None:
        running = self._last
        if running is None:
            missed = misses(expected, self._seen)
            assert missed is None, f"expected {missed!r} in\n{self._seen}"
            return
        deadline = time.monotonic() + PATIENCE_S
        while (missed := misses(expected, running.log.read_text())) is not None:
            is_over = running.process.poll() is not None or time.monotonic() > deadline
            assert not is_over, f"expected {missed!r} in\n{running.log.read_text()}"
            time.sleep(LOOK_S)

    def _said(self) -> str:
        return "\n".join(each.log.read_text() for each in self._running)


def lacking(blocks: list[Block]) -> str:
    """Name a program that the commands of a guide want and that is not here; empty for none."""
    typed = " ".join(block.text for block in blocks if block.language == "shell")
    wanted = ["bash", *(name for name in ("curl", "openssl") if re.search(rf"\b{name}\b", typed))]
    return next((name for name in wanted if shutil.which(name) is None), "")


def files_never_used(blocks: list[Block]) -> Iterator[str]:
    """Name the files of a guide that no later command and no other file has to do with."""
    for number, block in enumerate(blocks):
        if block.file:
            word = block.file.removesuffix(".py")
            others = [each for each in blocks if each is not block and each.language != "text"]
            later = [each.text for each in blocks[number + 1 :] if each.language == "shell"]
            used = any(block.file in text for text in later) or any(
                f"from {word} import" in each.text for each in others
            )
            if not used:
                yield block.file
