"""The reference: a C program that only copies bytes, joined once per round (``reference.c``).

It is what fan-out costs at the least: no rules, no ids, no log. Twice: once for the texts alone,
and once for as many bytes as groupd's pushes have, since what is copied for each member of a busy
group is the larger part of that cost.
"""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from bench.peers import programs
from bench.peers.base import Dialect, Peer, Running, free_port, read_until, running_process
from bench.server import BenchError
from bench.text import TEXT_BYTES
from groupd.client.ids import uuid7
from groupd.domain.base import GROUP, StreamKey
from groupd.domain.group.messages import Posted
from groupd.domain.ids import ID_BYTES, group_id
from groupd.wire import codec

SOURCE: Final = Path(__file__).parent.parent / "reference.c"
BUILD_MAX_S: Final = 60


class ReferenceDialect(Dialect):
    """Lines: the first says the group and is answered with itself, each other one is a post."""

    marker = b"\n"
    echoes = True
    alike = True

    def enter(self, sock: socket.socket, user: str, group: str, *, posts: bool) -> None:
        """Join."""
        join = b"JOIN %b\n" % group.encode()
        sock.sendall(join)
        read_until(sock, join)

    def mould(self, user: str, group: str) -> Callable[[bytes], bytes]:
        """Give what makes a line."""
        return lambda text: text + b"\n"


class PaddedDialect(ReferenceDialect):
    """Lines as long as groupd's push of the same text."""

    def mould(self, user: str, group: str) -> Callable[[bytes], bytes]:
        """Give what makes a line."""
        tail = b"." * (push_bytes() - TEXT_BYTES - 1) + b"\n"
        return lambda text: text + tail


def push_bytes() -> int:
    """Give how long groupd's push of a post is, with a request id."""
    stream = StreamKey(GROUP, "", group_id(bytes(ID_BYTES)))
    header = codec.RecordWriter(stream).header(
        100_000, time.time_ns() // 1_000_000, "user-000-000", "posted", uuid7(0, 0)
    )
    body = codec.encode_body(Posted("x" * TEXT_BYTES))
    return len(codec.frame_prefix(stream)) + len(header) + len(body) - 1


class Reference(Peer):
    """Built afresh each time: it takes a second."""

    name = "reference"
    title = "C copies the text"
    dialect = ReferenceDialect

    def missing(self) -> str | None:
        """Look for a compiler."""
        return programs.missing("cc", package="a C compiler, such as gcc")

    @contextmanager
    def running(self, directory: Path, *, core: int | None) -> Iterator[Running]:
        """Build it and run it."""
        program = directory / "reference"
        build = [programs.path_of("cc"), "-O2", "-Wall", "-Wextra", "-Werror"]
        try:
            subprocess.run(
                [*build, "-o", program, SOURCE],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=BUILD_MAX_S,
                check=True,
            )
        except subprocess.CalledProcessError as error:
            said = error.stderr.decode(errors="replace")
            raise BenchError(f"the reference cannot be built: {said}") from error
        port = free_port()
        with running_process([program, str(port)], directory, port=port, core=core) as running:
            yield running


class PaddedReference(Reference):
    """The same program, with longer lines."""

    name = "padded"
    title = "C copies the push"
    dialect = PaddedDialect
