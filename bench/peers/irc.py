"""InspIRCd and ngIRCd: a group is a channel.

InspIRCd echoes a post to its poster where that asks for it (IRCv3 ``echo-message``). ngIRCd cannot,
so each post is followed by a PING, whose PONG comes after the post has been handed to all.
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

SERVER_NAME: Final = "irc.bench"
NICK_MAX: Final = 30
PONG_MARKER: Final = b"="
JOINED: Final = b" 366 "
"""The end of the list of names, which is the last that a joining is answered with."""

INSPIRCD_CONFIGURATION: Final = """\
<server name="{name}" description="bench" network="bench" id="0BE">
<bind address="127.0.0.1" port="{port}" type="clients">
<connect name="all" allow="*" limit="{connections}" localmax="{connections}"
    globalmax="{connections}" maxconnwarn="no" maxchans="100" timeout="60" pingfreq="1h"
    resolvehostnames="no" useident="no" fakelag="no" threshold="1000000000"
    commandrate="1000000000" recvq="1048576" softsendq="1073741824" hardsendq="1073741824">
<performance softlimit="{connections}" somaxconn="1024" netbuffersize="65534" clonesonconnect="no">
<options hostintopic="no" nosnoticestack="yes">
<limits maxnick="{nick_max}" maxchan="64">
<path datadir="{directory}" logdir="{directory}" runtimedir="{directory}">
<pid file="{directory}/inspircd.pid">
<module name="cap">
<module name="ircv3_echomessage">
"""
"""Without lag, penalties, queries of names and identities, or a limit on what a reader is owed."""

NGIRCD_CONFIGURATION: Final = """\
[Global]
Name = {name}
Info = bench
AdminInfo1 = bench
Listen = 127.0.0.1
Ports = {port}
MotdPhrase = bench
[Limits]
MaxConnections = 0
MaxConnectionsIP = 0
MaxJoins = 0
MaxNickLength = {nick_max}
MaxPenaltyTime = 0
PingTimeout = 3600
PongTimeout = 3600
[Options]
DNS = no
Ident = no
PAM = no
"""
"""Without penalties, queries of names and identities, or other limits: 0 is none."""


class IrcDialect(Dialect):
    """Lines: a delivery is a PRIVMSG, and nothing else that is read in a channel has a V."""

    marker = b"V"
    alike = True
    greeting: bytes = b""
    """What is sent before who is there."""

    def enter(self, sock: socket.socket, user: str, group: str, *, posts: bool) -> None:
        """Say who is there, and join."""
        nick = user.encode()
        sock.sendall(b"%bNICK %b\r\nUSER %b 0 * :%b\r\n" % (self.greeting, nick, nick, nick))
        # 376 ends the message of the day, 422 says that there is none; both after the welcome.
        read = b""
        while b" 376 " not in read and b" 422 " not in read:
            read += read_until(sock, b"\n")
        sock.sendall(b"JOIN %b\r\n" % channel(group))
        read_until(sock, JOINED)

    def mould(self, user: str, group: str) -> Callable[[bytes], bytes]:
        """Give what makes a PRIVMSG."""
        assert self.marker not in user.encode() + channel(group), (user, group)
        head = b"PRIVMSG %b :" % channel(group)
        return lambda text: head + text + b"\r\n"


class InspIRCdDialect(IrcDialect):
    """With echoes."""

    echoes = True
    greeting = b"CAP REQ :echo-message\r\nCAP END\r\n"


class NgIRCdDialect(IrcDialect):
    """With a PING after each post."""

    echoes = False
    answer_marker = PONG_MARKER

    def mould(self, user: str, group: str) -> Callable[[bytes], bytes]:
        """Give what makes a PRIVMSG, and a PING whose token holds the marker of answers."""
        post = super().mould(user, group)
        ping = b"PING %b\r\n" % PONG_MARKER
        return lambda text: post(text) + ping


class InspIRCd(programs.Daemon):
    """``inspircd``."""

    name = "inspircd"
    title = "InspIRCd"
    dialect = InspIRCdDialect
    program = package = "inspircd"
    arguments = ("--nofork", "--nolog", "--runasroot", "--config")

    def configuration(self, port: int, directory: Path) -> str:
        """Fill in what differs from run to run."""
        return _filled(INSPIRCD_CONFIGURATION, port, directory)


class NgIRCd(programs.Daemon):
    """``ngircd``."""

    name = "ngircd"
    title = "ngIRCd"
    dialect = NgIRCdDialect
    program = package = "ngircd"
    arguments = ("--nodaemon", "--config")

    def configuration(self, port: int, directory: Path) -> str:
        """Fill in what differs from run to run."""
        return _filled(NGIRCD_CONFIGURATION, port, directory)


def channel(group: str) -> bytes:
    """Give the channel of a group."""
    return b"#" + group.encode()


def _filled(configuration: str, port: int, directory: Path) -> str:
    return configuration.format(
        name=SERVER_NAME,
        port=port,
        directory=directory,
        connections=2 * CONNECTIONS_MAX,
        nick_max=NICK_MAX,
    )
