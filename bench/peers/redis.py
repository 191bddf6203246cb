"""Redis pub/sub, without persistence: a group is a channel.

A subscribed connection cannot publish (RESP2), so posters have one of their own. What answers a
post there is the number of those it went to, once it has been handed to all of them.
"""

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
bind 127.0.0.1
port {port}
dir {directory}
daemonize no
logfile ""
loglevel warning
save ""
appendonly no
maxclients {connections}
tcp-backlog 511
tcp-keepalive 0
timeout 0
client-output-buffer-limit pubsub 0 0 0
"""
"""No limit on what a subscriber may be owed: the load reads everything at once."""


class RedisDialect(Dialect):
    """RESP: a delivery is an array, which begins with an asterisk; an answer, with a colon."""

    marker = b"*"
    echoes = False
    answer_marker = b":"
    posts_apart = True
    alike = True

    def enter(self, sock: socket.socket, user: str, group: str, *, posts: bool) -> None:
        """Subscribe, unless this connection posts."""
        if not posts:
            sock.sendall(command(b"SUBSCRIBE", group.encode()))
            read_until(sock, b":1\r\n")

    def mould(self, user: str, group: str) -> Callable[[bytes], bytes]:
        """Give what makes a PUBLISH."""
        channel = group.encode()
        assert self.marker not in channel, group
        return lambda text: command(b"PUBLISH", channel, text)


class Redis(programs.Daemon):
    """``redis-server``."""

    name = "redis"
    title = "Redis pub/sub"
    dialect = RedisDialect
    program = package = "redis-server"
    arguments = ()

    def configuration(self, port: int, directory: Path) -> str:
        """Fill in what differs from run to run."""
        return CONFIGURATION.format(port=port, directory=directory, connections=2 * CONNECTIONS_MAX)


def command(*words: bytes) -> bytes:
    """Encode a command: an array of strings, each with its length in front."""
    lengths = b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in words)
    return b"*%d\r\n%b" % (len(words), lengths)
