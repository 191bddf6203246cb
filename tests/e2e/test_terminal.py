"""``groupd chat`` at a real terminal: a pty, and what a person would see on it."""

from __future__ import annotations

import fcntl
import os
import pty
import signal
import struct
import termios
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import attrs
import pyte
import trio

from tests.e2e.process import GROUPD, PATIENCE_S, Groupd, Process, environment

ROWS, COLUMNS = 24, 100
ALTERNATE_ON, ALTERNATE_OFF = "\x1b[?1049h", "\x1b[?1049l"


@attrs.define(eq=False)
class Terminal:
    """A terminal with ``groupd chat`` in it."""

    process: trio.Process
    screen: pyte.Screen
    _master: int
    _stream: pyte.ByteStream
    raw: bytes = b""

    def types(self, text: str) -> None:
        os.write(self._master, text.encode())

    @property
    def shown(self) -> str:
        return "\n".join(line.rstrip() for line in self.screen.display)

    async def sees(self, *texts: str) -> None:
        with trio.move_on_after(PATIENCE_S):
            while not all(text in self.shown for text in texts):
                if not await self._read():
                    break
        assert all(text in self.shown for text in texts), self.shown

    async def ends(self) -> int:
        """Read to the end, and give the exit code."""
        with trio.fail_after(PATIENCE_S):
            while await self._read():
                pass
            return await self.process.wait()

    async def _read(self) -> bool:
        await trio.lowlevel.wait_readable(self._master)
        try:
            data = os.read(self._master, 65_536)
        except OSError:
            # The other end is closed.
            return False
        self.raw += data
        self._stream.feed(data)
        return bool(data)


@asynccontextmanager
async def terminal(server: Process, user: str, directory: Path) -> AsyncIterator[Terminal]:
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    process = await trio.lowlevel.open_process(
        [str(GROUPD), "chat", "--server", server.url, "--token", server.token(user)],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        cwd=directory,
        env={**environment(), "TERM": "xterm-256color"},
        start_new_session=True,
    )
    os.close(slave)
    screen = pyte.Screen(COLUMNS, ROWS)
    try:
        yield Terminal(process, screen, master, pyte.ByteStream(screen))
    finally:
        process.kill()
        with trio.CancelScope(shield=True):
            await process.wait()
        os.close(master)


async def test_a_chat_has_the_screen_and_gives_it_back(groupd: Groupd) -> None:
    async with groupd.serving() as server, terminal(server, "ann", groupd.directory) as ann:
        await ann.sees("You are ann.")
        assert ALTERNATE_ON.encode() in ann.raw
        ann.types("/create 茶\r")
        await ann.sees("Founded 茶")
        ann.types("你好\r")
        await ann.sees("ann 你好")
        ann.types("/quit\r")
        assert await ann.ends() == 0
        assert ann.raw.rindex(ALTERNATE_OFF.encode()) > ann.raw.rindex(ALTERNATE_ON.encode())


async def test_a_chat_that_is_told_to_end_gives_the_screen_back(groupd: Groupd) -> None:
    async with groupd.serving() as server, terminal(server, "ann", groupd.directory) as ann:
        await ann.sees("You are ann.")
        ann.process.send_signal(signal.SIGTERM)
        assert await ann.ends() == 0
        assert ann.raw.rindex(ALTERNATE_OFF.encode()) > ann.raw.rindex(ALTERNATE_ON.encode())


async def test_what_ends_a_chat_is_said_once_the_screen_is_back(groupd: Groupd) -> None:
    async with groupd.serving() as server, terminal(server, "ann", groupd.directory) as ann:
        await ann.sees("You are ann.")
        revoked = await groupd.run("revoke", "ann", "--data", server.data)
        assert revoked.returncode == 0
        assert await ann.ends() == 1
        last = ann.raw[ann.raw.rindex(ALTERNATE_OFF.encode()) :].decode()
        assert "groupd:" in last
        assert "revoked" in last
