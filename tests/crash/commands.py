"""The command ``groupd`` in its own process: under a tracer, in a namespace, or forked.

Border: how a process is started and how it has ended. What it says to clients is ``clients.py``'s,
what a wrapper does to it ``strace.py``'s and ``namespace.py``'s.
"""

from __future__ import annotations

import subprocess
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import trio

from tests.e2e.process import GROUPD, Groupd, Launcher, Process, environment, until
from tests.e2e.raw import new_id

WELL: Final = "All is well"
GREETING_END: Final = "Ctrl-C stops the server."
"""The end of what a server says to people when it starts."""


class Wrapped(Launcher):
    """Starts commands under a wrapper, such as a tracer, that becomes the command in the end.

    It has the methods of ``Launcher``, which forks instead and is faster. The owner calls
    ``close``, which kills what still runs.
    """

    def __init__(self, prefix: Sequence[str | Path]) -> None:
        super().__init__()
        self._prefix = [str(word) for word in prefix]
        self._running: dict[int, subprocess.Popen[bytes]] = {}

    def start(self, *arguments: str | Path, cwd: Path, out: Path, err: Path) -> int:
        """Start ``groupd`` with these arguments; give its pid."""
        with out.open("ab") as to_out, err.open("ab") as to_err:
            process = subprocess.Popen(
                [*self._prefix, str(GROUPD), *map(str, arguments)],
                stdin=subprocess.DEVNULL,
                stdout=to_out,
                stderr=to_err,
                cwd=cwd,
                env=environment(),
            )
        self._running[process.pid] = process
        return process.pid

    def exit_code(self, pid: int) -> int | None:
        """Say how a command has ended; None while it runs. Once it has said so, it forgets it."""
        code = self._running[pid].poll()
        if code is not None:
            del self._running[pid]
        return code

    def close(self) -> None:
        """Kill what still runs."""
        for process in self._running.values():
            process.kill()
            process.wait()
        self._running.clear()


class Server(Process):
    """A server that was started and may not serve yet. Made by ``starting``, which ends it."""

    def __init__(self, launcher: Launcher, data: Path, pid: int, log: Path) -> None:
        super().__init__(launcher, data, pid, log)
        self._said = log

    def last_words(self) -> list[str]:
        """Give the lines that it has said to people after its greeting, beside its log."""
        said = self._said.read_text().rpartition(GREETING_END)[2]
        return [line for line in said.splitlines() if line.strip() and not line.startswith("{")]

    def has_traceback(self) -> bool:
        """Say whether it has shown where in the code it was, which tells an operator nothing."""
        return "Traceback" in self._said.read_text()

    async def serves(self) -> bool:
        """Wait until it serves, or has ended; say which."""

        def is_known() -> bool:
            if self.exit_code is None:
                self.exit_code = self._launcher.exit_code(self.pid)
            self.url = next((e["urls"][0] for e in self.log() if e["event"] == "serving"), "")
            return bool(self.url) or self.exit_code is not None

        await until(is_known)
        return self.exit_code is None

    async def ends(self) -> int:
        """Wait until it has ended by itself; give its exit code."""
        if self.exit_code is None:
            self.exit_code = await self._launcher.ended(self.pid)
        return self.exit_code


@asynccontextmanager
async def starting(
    launcher: Launcher, data: Path, directory: Path, *options: str, seen_as: Path | None = None
) -> AsyncIterator[Server]:
    """Start a server; it is killed at the end of the block.

    ``directory`` is where its output lies. ``seen_as`` is the path of its data for this process,
    where that is another one than for the server.
    """
    log = directory / f"log-{new_id(0)}"
    arguments = ("serve", "--data", data, "--listen", "tcp://127.0.0.1:0", "--no-rate-limits")
    pid = launcher.start(*arguments, *options, cwd=directory, out=log, err=log)
    server = Server(launcher, seen_as or data, pid, log)
    try:
        yield server
    finally:
        with trio.CancelScope(shield=True):
            await server.kill()


async def check(launcher: Launcher, data: Path, directory: Path) -> str:
    """Run ``groupd check``; give what is wrong, or nothing."""
    done = await Groupd(launcher, directory).run("check", "--data", data)
    return "" if done.returncode == 0 and WELL in done.stdout else done.stdout + done.stderr
