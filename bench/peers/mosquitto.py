"""Mosquitto, MQTT 3.1.1 at QoS 0: a group is a topic, and nothing is stored."""

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
listener {port} 127.0.0.1
max_connections {connections}
allow_anonymous true
user root
persistence false
log_dest none
connection_messages false
sys_interval 0
max_inflight_messages 0
max_queued_messages 0
max_queued_bytes 0
set_tcp_nodelay true
"""
"""Without the numbers that the broker publishes of itself; 0 is no limit. The user matters only to
root, whom it would else leave."""

CONNECT: Final = 0x10
PUBLISH: Final = 0x30
SUBSCRIBE: Final = 0x82
ACCEPTED: Final = b"\x20\x02\x00\x00"
SUBSCRIBED: Final = b"\x90\x03\x00\x01\x00"
"""To request 1, at QoS 0."""
CLEAN_SESSION: Final = b"\x02"
NO_KEEPALIVE: Final = b"\x00\x00"
DIGIT_BITS: Final = 7


class MqttDialect(Dialect):
    """Packets, whose heads are no characters that texts lack; but every topic has one slash."""

    marker = b"/"
    echoes = True
    alike = True

    def enter(self, sock: socket.socket, user: str, group: str, *, posts: bool) -> None:
        """Connect and subscribe."""
        sock.sendall(
            packet(
                CONNECT,
                string(b"MQTT") + b"\x04" + CLEAN_SESSION + NO_KEEPALIVE + string(user.encode()),
            )
        )
        read_until(sock, ACCEPTED)
        sock.sendall(packet(SUBSCRIBE, b"\x00\x01" + string(topic(group)) + b"\x00"))
        read_until(sock, SUBSCRIBED)

    def mould(self, user: str, group: str) -> Callable[[bytes], bytes]:
        """Give what makes a PUBLISH."""
        head = string(topic(group))
        assert head.count(self.marker) == 1, group

        return lambda text: packet(PUBLISH, head + text)


class Mosquitto(programs.Daemon):
    """``mosquitto``."""

    name = "mosquitto"
    title = "Mosquitto"
    dialect = MqttDialect
    program = package = "mosquitto"
    version_argument = "-h"
    arguments = ("-c",)

    def configuration(self, port: int, directory: Path) -> str:
        """Fill in what differs from run to run."""
        return CONFIGURATION.format(port=port, connections=2 * CONNECTIONS_MAX)


def topic(group: str) -> bytes:
    """Give the topic of a group."""
    return b"bench/" + group.encode()


def packet(head: int, rest: bytes) -> bytes:
    """Encode a packet: its head, the length of the rest in digits of seven bits, the rest."""
    digits = bytearray([head])
    length = len(rest)
    while length >> DIGIT_BITS:
        digits.append(length & 0x7F | 0x80)
        length >>= DIGIT_BITS
    digits.append(length)
    return bytes(digits) + rest


def string(value: bytes) -> bytes:
    """Encode a string, its length in front."""
    return len(value).to_bytes(2, "big") + value
