"""A real server: its own process, SQLite on a real disk, loopback sockets."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import trio

from groupd.auth import issue_token
from groupd.domain.base import Identity
from tests.e2e.raw import RawClient, dial, new_id

GROUPD: Final = Path(sys.executable).with_name("groupd")
ROOT: Final = Path(__file__).parent.parent.parent
PATIENCE_S: Final = 60.0
"""How long a start or an end may take on a machine that is busy with other tests."""
HOUR_MS: Final = 3_600_000


def environment() -> dict[str, str]:
    """Give this environment without what would configure a server."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("GROUPD_")}
    return {**kept, "COLUMNS": "200", "TERM": "dumb"}


async def until(condition: Callable[[], bool]) -> None:
    """Wait until something is so that nobody tells us of, because it is in another process."""
    with trio.fail_after(PATIENCE_S):
        while True:
            if condition():
                return
            await trio.sleep(0.01)


class Launcher:
    """The other end of ``launcher.py``. One serves all tests of this Python process."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def _ask(self, **order: Any) -> Any:
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.e2e.launcher"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                cwd=ROOT,
            )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps(order), file=self._process.stdin, flush=True)
        return json.loads(self._process.stdout.readline())

    def start(self, *arguments: str | Path, cwd: Path, out: Path, err: Path) -> int:
        """Start ``groupd`` with these arguments; give its pid."""
        for path in (out, err):
            path.touch()
        pid: int = self._ask(
            arguments=[str(argument) for argument in arguments],
            environment=environment(),
            cwd=str(cwd),
            out=str(out),
            err=str(err),
        )
        return pid

    def exit_code(self, pid: int) -> int | None:
        """Say how a command has ended; None while it runs. Once it has said so, it forgets it."""
        code: int | None = self._ask(pid=pid)
        return code

    async def ended(self, pid: int) -> int:
        codes: list[int] = []

        def has_ended() -> bool:
            code = self.exit_code(pid)
            codes.extend(() if code is None else (code,))
            return bool(codes)

        await until(has_ended)
        return codes[0]

    def close(self) -> None:
        if self._process is not None:
            self._process.communicate()


class Process:
    """A server process. Made by ``serving``, which ends it in any case."""

    def __init__(self, launcher: Launcher, data: Path, pid: int, log: Path) -> None:
        self.data = data
        self.pid = pid
        self.url = ""
        self.exit_code: int | None = None
        self._launcher = launcher
        self._log = log

    async def started(self) -> None:
        def is_serving() -> bool:
            self.exit_code = self._launcher.exit_code(self.pid)
            assert self.exit_code is None, self._log.read_text()
            self.url = next((e["urls"][0] for e in self.log() if e["event"] == "serving"), "")
            return bool(self.url)

        await until(is_serving)

    def log(self) -> list[dict[str, Any]]:
        """Give what it has logged; beside the log, a start shows some lines for people."""
        lines = self._log.read_text().splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.startswith("{") and line[-1] == "\n"]

    def complaints(self) -> list[dict[str, Any]]:
        """Give what it has logged that must not happen."""
        return [entry for entry in self.log() if entry["level"] in ("error", "critical")]

    def token(self, user: str, **claims: Any) -> str:
        identity = Identity(user=user, **{"plan": "", **claims})
        secret = (self.data / "secret").read_text().strip()
        now_ms = time.time_ns() // 1_000_000
        return issue_token(
            secret, identity, now_ms=now_ms, expires_in_ms=HOUR_MS, audience="groupd"
        )

    @asynccontextmanager
    async def enter(self, user: str, **params: Any) -> AsyncIterator[RawClient]:
        """Connect and say hello; the connection is closed at the end of the block."""
        async with dial(self.url) as client:
            await client.hello(self.token(user), **params)
            yield client

    @asynccontextmanager
    async def enter_all(self, users: list[str], **params: Any) -> AsyncIterator[list[RawClient]]:
        async with AsyncExitStack() as stack:
            yield [await stack.enter_async_context(self.enter(user, **params)) for user in users]

    def status_bytes(self, name: str) -> int:
        """Give a size from the kernel's account of the process, such as ``VmRSS``."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) * 1_024
        raise AssertionError(name)

    async def memory_at_rest(self) -> int:
        """Give its memory once it does not change any more for a while."""
        sizes = [0]

        def is_at_rest() -> bool:
            sizes.append(self.status_bytes("VmRSS"))
            return len(sizes) > 20 and len(set(sizes[-20:])) == 1

        await until(is_at_rest)
        return sizes[-1]

    def descriptors(self) -> int:
        return len(list(Path(f"/proc/{self.pid}/fd").iterdir()))

    async def kill(self) -> None:
        """End it as a power failure would, without warning. May be repeated."""
        if self.exit_code is None:
            os.kill(self.pid, signal.SIGKILL)
            self.exit_code = await self._launcher.ended(self.pid)

    async def terminate(self) -> int:
        """Ask it to end; give its exit code."""
        os.kill(self.pid, signal.SIGTERM)
        self.exit_code = await self._launcher.ended(self.pid)
        return self.exit_code


class Groupd:
    """The command ``groupd`` in one test's directory. The fixture ``groupd`` makes it."""

    def __init__(self, launcher: Launcher, directory: Path) -> None:
        self._launcher = launcher
        self.directory = directory

    @asynccontextmanager
    async def serving(self, data: Path | None = None, *options: str) -> AsyncIterator[Process]:
        """Run a server until the end of the block, where it is killed if it still runs."""
        data = data or self.directory / "data"
        log = self.directory / f"log-{new_id(0)}"
        arguments: tuple[str | Path, ...]
        arguments = ("serve", "--data", data, "--listen", "tcp://127.0.0.1:0", *options)
        pid = self._launcher.start(*arguments, cwd=self.directory, out=log, err=log)
        server = Process(self._launcher, data, pid, log)
        try:
            await server.started()
            yield server
        finally:
            with trio.CancelScope(shield=True):
                await server.kill()

    async def run(self, *arguments: str | Path) -> Done:
        """Run a command to its end."""
        name = new_id(0)
        out, err = self.directory / f"out-{name}", self.directory / f"err-{name}"
        pid = self._launcher.start(*arguments, cwd=self.directory, out=out, err=err)
        try:
            code = await self._launcher.ended(pid)
        except trio.TooSlowError:
            os.kill(pid, signal.SIGKILL)
            raise
        return Done(code, out.read_text(), err.read_text())


class Done(NamedTuple):
    """How a command ended."""

    returncode: int
    stdout: str
    stderr: str


def now_id(*, age_ms: int = 0) -> str:
    """Make a request id on this machine's clock, which is the server's too."""
    return new_id(time.time_ns() // 1_000_000 - age_ms)
