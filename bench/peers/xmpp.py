"""ejabberd and Prosody: a group is a room of XEP-0045, which reflects a post to its poster.

Users log in anonymously. Rooms keep no history and tell nobody who comes and goes, so that entering
is not 1,000 x 1,000 stanzas; what a message costs does not depend on either.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Final

from bench.peers import programs
from bench.peers.base import (
    CONNECTIONS_MAX,
    MEMBERS_MAX,
    Dialect,
    Peer,
    Running,
    free_port,
    read_until,
    running_process,
)
from bench.server import BenchError

HOST: Final = "localhost"
ROOMS: Final = f"conference.{HOST}"

STREAM: Final = (
    f"<stream:stream to='{HOST}' version='1.0' xmlns='jabber:client'"
    " xmlns:stream='http://etherx.jabber.org/streams'>"
).encode()
FEATURES: Final = b"</stream:features>"
LOG_IN: Final = b"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='ANONYMOUS'/>"
LOGGED_IN: Final = b"<success"
BIND: Final = (
    b"<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>"
    b"<resource>%b</resource></bind></iq>"
)
BOUND: Final = b"</jid>"
SUBJECT: Final = b"<subject"
"""Of a room: the last that a joining is answered with, after the own presence."""
ENTERED: Final = b"code='110'"
"""Marks the presence of who reads it."""

EJABBERD_CONFIGURATION: Final = """\
hosts: [{host}]
loglevel: none
listen:
  - port: {port}
    ip: "127.0.0.1"
    module: ejabberd_c2s
    backlog: 1024
    shaper: none
    access: all
    max_stanza_size: 65536
auth_method: anonymous
anonymous_protocol: sasl_anon
allow_multiple_connections: true
max_fsm_queue: 1000000
acme:
  auto: false
modules:
  mod_muc:
    host: {rooms}
    db_type: mnesia
    access: all
    access_create: all
    access_persistent: none
    history_size: 0
    max_users: {members}
    max_user_conferences: 1000
    min_message_interval: 0
    min_presence_interval: 0
    room_shaper: none
    user_message_shaper: none
    user_presence_shaper: none
    default_room_options:
      max_users: {members}
      persistent: false
      logging: false
      mam: false
      presence_broadcast: []
"""
ERLANG_OPTIONS: Final = (
    "+K true +P 250000 +S 1:1 +SDcpu 1:1 +SDio 1 +A 1 +sbwt none +sbwtdcpu none +sbwtdio none"
)
"""One thread that runs Erlang, as there is one core, and none that spins while it waits."""

END_AT_ONCE: Final = "os:set_signal(sigterm, default)."
"""There is nothing to save, and an orderly end takes long while it still starts."""

PROSODY_CONFIGURATION: Final = """\
run_as_root = true
daemonize = false
pidfile = "{directory}/prosody.pid"
data_path = "{directory}"
log = {{ {{ levels = {{ "error" }}, to = "console" }} }}
network_backend = "epoll"
network_settings = {{ nagle = false, tcp_backlog = 1024, read_size = 65536 }}
interfaces = {{ "127.0.0.1" }}
c2s_ports = {{ {port} }}
modules_enabled = {{ "saslauth" }}
modules_disabled = {{ "s2s", "offline", "limits", "tls" }}
storage = "memory"
gc = {{ mode = "generational" }}
authentication = "anonymous"
allow_unencrypted_plain_auth = true
c2s_require_encryption = false
VirtualHost "{host}"
Component "{rooms}" "muc"
    muc_room_locking = false
    muc_room_default_history_length = 0
    max_history_messages = 0
    muc_room_cache_size = 1000
    muc_room_default_presence_broadcast = {{
        visitor = false, participant = false, moderator = false
    }}
"""
"""Collecting by generations made Prosody faster by a third; writing at once, not at the end of a
round, slower by a fifth."""


class XmppDialect(Dialect):
    """Stanzas, each with its reader's address; a body begins with an exclamation mark."""

    marker = b"!"
    echoes = True

    def enter(self, sock: socket.socket, user: str, group: str, *, posts: bool) -> None:
        """Log in, bind, and join."""
        _ask(sock, STREAM, FEATURES)
        _ask(sock, LOG_IN, LOGGED_IN)
        _ask(sock, STREAM, FEATURES)
        _ask(sock, BIND % user.encode(), BOUND)
        join = (
            f"<presence to='{group}@{ROOMS}/{user}'><x xmlns='http://jabber.org/protocol/muc'>"
            "<history maxstanzas='0'/></x></presence>"
        )
        answer = _ask(sock, join.encode(), SUBJECT)
        if ENTERED not in answer:
            raise BenchError(f"{user} was not let into {group}: {answer[-200:]!r}")

    def mould(self, user: str, group: str) -> Callable[[bytes], bytes]:
        """Give what makes a message to the room."""
        room = f"{group}@{ROOMS}"
        assert self.marker not in f"{room}/{user}".encode(), (user, group)
        head = f"<message to='{room}' type='groupchat'><body>".encode() + self.marker
        return lambda text: head + text + b"</body></message>"


class Ejabberd(Peer):
    """``ejabberd``, in an Erlang virtual machine that is no node of a network."""

    name = "ejabberd"
    title = "ejabberd MUC"
    dialect = XmppDialect

    def missing(self) -> str | None:
        """Look for what starts it, and for Erlang."""
        return programs.missing("ejabberdctl", "erl", package="ejabberd")

    def version(self) -> str:
        """Look into the name of its directory."""
        with suppress(BenchError):
            for place in Path(_erlang_libraries()).glob("ejabberd-*/ebin"):
                return place.parent.name.split("-")[1]
        return ""

    def running(self, directory: Path, *, core: int | None) -> AbstractContextManager[Running]:
        """Run it as ``ejabberdctl foreground`` does, but as whoever we are."""
        port = free_port()
        configuration = directory / "ejabberd.yml"
        configuration.write_text(_filled(EJABBERD_CONFIGURATION, port, directory))
        command = [programs.path_of("erl"), "-noinput", "-eval", END_AT_ONCE]
        command += ["-mnesia", "dir", f'"{directory}"', "-ejabberd", "quiet", "true"]
        command += ["-s", "ejabberd"]
        env = {
            "HOME": str(directory),
            "ERL_AFLAGS": ERLANG_OPTIONS,
            "ERL_LIBS": _erlang_libraries(),
            "ERL_MAX_PORTS": str(4 * CONNECTIONS_MAX),
            "ERL_CRASH_DUMP_BYTES": "0",
            "EJABBERD_CONFIG_PATH": str(configuration),
            "EJABBERD_LOG_PATH": str(directory / "ejabberd.log"),
            "SPOOL_DIR": str(directory),
            "LOGS_DIR": str(directory),
        }
        return programs.with_helpers(
            running_process(command, directory, port=port, core=core, env=env)
        )


class Prosody(programs.Daemon):
    """``prosody``."""

    name = "prosody"
    title = "Prosody MUC"
    dialect = XmppDialect
    program = package = "prosody"
    arguments = ("-F", "--config")
    suffix = ".cfg.lua"

    def configuration(self, port: int, directory: Path) -> str:
        """Fill in what differs from run to run."""
        return _filled(PROSODY_CONFIGURATION, port, directory)

    def version(self) -> str:
        """Ask its companion; the server itself takes every question for an order to start."""
        return programs.version("prosodyctl", "about")


def _ask(sock: socket.socket, request: bytes, ending: bytes) -> bytes:
    sock.sendall(request)
    return read_until(sock, ending)


def _filled(configuration: str, port: int, directory: Path) -> str:
    return configuration.format(
        host=HOST, rooms=ROOMS, port=port, directory=directory, members=2 * MEMBERS_MAX
    )


def _erlang_libraries() -> str:
    """Give where ejabberd's code is, which its own script knows."""
    script = Path(programs.path_of("ejabberdctl")).read_text()
    place = re.search(r"""^ERL_LIBS=["']?([^"'\n]+)""", script, re.MULTILINE)
    if place is None:
        raise BenchError("ejabberdctl does not say where ejabberd's libraries are")
    return place.group(1)
