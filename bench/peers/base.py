"""What the bench has to know of a server that groupd is compared with.

A ``Peer`` starts one on loopback, in a directory of the bench, configured for speed: without flood
limits, authentication that takes long, persistence or logging. Its ``Dialect`` is how the load
speaks to it, and how deliveries and acknowledgements are counted in the bytes that come back:
by one byte each, because nothing may be decoded per delivery.

Texts of posts are printable ASCII: digits, lower-case letters, spaces, commas and full stops (see
``bench/text.py``). A marker is a byte that no text has.
"""

from __future__ import annotations

import os
import socket
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import ClassVar, Final

import attrs

from bench.server import LOG_SHOWN_BYTES, BenchError, pin

CONNECTIONS_MAX: Final = 2_000
"""For how many connections a peer is configured."""
MEMBERS_MAX: Final = 1_000
"""For how many members of a room a peer is configured."""
START_MAX_S: Final = 30
STOP_MAX_S: Final = 10
POLL_S: Final = 0.02
READ_BYTES: Final = 65_536


class Dialect(ABC):
    """How the load speaks to a peer. All but ``enter`` is pure."""

    marker: ClassVar[bytes]
    """One byte that stands exactly once in each delivery and nowhere else in what is read after
    ``enter``."""
    echoes: ClassVar[bool]
    """Whether a poster gets its own post back, which then is its acknowledgement."""
    answer_marker: ClassVar[bytes | None] = None
    """Where a peer does not echo: one byte that stands exactly once in each answer to a post, and
    in nothing else that the posting connection reads."""
    posts_apart: ClassVar[bool] = False
    """Whether posting needs a connection of its own, which joins nothing."""
    alike: ClassVar[bool] = False
    """Whether all silent members of a group read the same bytes after ``enter``, in one order. They
    are then compared, which is much faster than counting."""

    @abstractmethod
    def enter(self, sock: socket.socket, user: str, group: str, *, posts: bool) -> None:
        """Say who is there and join the group, on a blocking socket.

        Returns when what is posted from now on will be delivered. With ``posts`` the connection
        will post; where posts go ``apart``, such a one joins nothing. Raises BenchError where the
        peer refuses.
        """

    @abstractmethod
    def mould(self, user: str, group: str) -> Callable[[bytes], bytes]:
        """Give what makes the bytes to send out of the text of a post."""


@attrs.frozen
class Running:
    """A peer that accepts connections."""

    pids: tuple[int, ...]
    """All its processes: what they use is added up."""
    port: int


class Peer(ABC):
    """A server to compare with. Making one costs nothing and touches nothing."""

    name: ClassVar[str]
    """How it is called on the command line."""
    title: ClassVar[str]
    """How it is called in the table."""
    dialect: ClassVar[type[Dialect]]

    @abstractmethod
    def missing(self) -> str | None:
        """Say why it cannot run here, and what to install; None where it can."""

    def version(self) -> str:
        """Give the version that would run; empty where it does not say."""
        return ""

    @abstractmethod
    def running(self, directory: Path, *, core: int | None) -> AbstractContextManager[Running]:
        """Run it with its files in a directory, on one core; stop it at the end.

        Raises BenchError where it does not start.
        """


# --- what peers have in common


def free_port() -> int:
    """Give a port of 127.0.0.1 that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@contextmanager
def running_process(
    command: Sequence[object],
    directory: Path,
    *,
    port: int,
    core: int | None,
    env: Mapping[str, str] | None = None,
) -> Iterator[Running]:
    """Run a program until the end of the block; begins when it accepts connections on ``port``.

    It and what it starts are on ``core``; its output goes into ``directory / "log"``. It is asked
    to stop and, if that takes long, made to. Raises BenchError where it does not start.
    """
    log = directory / "log"
    with (
        log.open("wb") as output,
        subprocess.Popen(
            [str(word) for word in command],
            cwd=directory,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            preexec_fn=lambda: pin(0, core),
        ) as process,
    ):
        try:
            _wait_for(process, port, log)
            yield Running(process_tree(process.pid), port)
        finally:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(STOP_MAX_S)
            process.kill()  # Does nothing to one that has ended.


def process_tree(pid: int) -> tuple[int, ...]:
    """Give a process and all its descendants that live."""
    pids = [pid]
    for one in pids:  # Grows meanwhile.
        with suppress(OSError):
            for thread in Path(f"/proc/{one}/task").iterdir():
                pids += map(int, (thread / "children").read_text().split())
    return tuple(pids)


def read_until(sock: socket.socket, ending: bytes, *, limit: int = 1_048_576) -> bytes:
    """Read from a blocking socket until something stands there; gives all that was read.

    Raises BenchError where the peer hangs up before that, or says more than ``limit`` bytes.
    """
    read = b""
    while ending not in read:
        piece = sock.recv(READ_BYTES)
        read += piece
        if not piece or len(read) > limit:
            raise BenchError(f"expected {ending!r} of the peer, got {read[-200:]!r}")
    return read


def _wait_for(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + START_MAX_S
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(POLL_S)
    shown = log.read_bytes()[-LOG_SHOWN_BYTES:].decode(errors="replace")
    raise BenchError(f"{process.args!r} did not start: {shown}")
