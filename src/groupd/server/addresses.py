"""Addresses: what a URL is to a socket, and the sockets that listen there.

Placement rules: what comes of a connection is ``link.py``'s. Beside the two nothing in groupd
imports ``socket``.
"""

from __future__ import annotations

import errno
import socket
import stat
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Final, TypeAlias
from urllib.parse import urlsplit

import trio

from groupd.errors import ConfigError

ACCEPT_BACKOFF_S: Final = 0.1
"""How long accepting rests when this machine has run out of descriptors or memory."""
UNIX_PEER: Final = "unix"
PROXY_PEER: Final = "proxy"
"""The peer of a connection that a trusted proxy makes for itself, or without saying for whom."""
Listener: TypeAlias = socket.socket
"""A listening socket of ``open_listeners``; nobody else looks inside."""

_EXHAUSTED: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_LOST_BEFORE_ACCEPT: Final = frozenset(
    # Linux reports what went wrong with the new connection as an error of accept; see accept(2).
    {
        errno.ECONNABORTED,
        errno.EPROTO,
        errno.ENOPROTOOPT,
        errno.EOPNOTSUPP,
        errno.ENETDOWN,
        errno.ENETUNREACH,
        errno.EHOSTDOWN,
        errno.EHOSTUNREACH,
        errno.ETIMEDOUT,
    }
)
_NOT_ON_THIS_MACHINE: Final = frozenset({errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL})


def parse_url(url: str) -> tuple[str, int] | Path:
    """Split a URL into host and port, or give the path of a Unix socket; raises ConfigError.

    What ``tls://`` adds to ``tcp://`` is not of this module.
    """
    try:
        parts = urlsplit(url)
        if parts.scheme == "unix" and url.startswith("unix:///") and len(url) > len("unix:///"):
            return Path(url.removeprefix("unix://"))
        is_plain = not (parts.path or parts.query or parts.fragment or parts.username)
        is_tcp = parts.scheme in ("tcp", "tls") and is_plain
        if is_tcp and parts.hostname and parts.port is not None:
            return parts.hostname, parts.port
    except ValueError:
        pass  # A bracket that does not close, or a port that is no port.
    raise ConfigError(f"expected tcp://HOST:PORT, tls://HOST:PORT or unix:///PATH, got {url!r}")


def listener_url(listener: socket.socket, *, tls: bool = False) -> str:
    """Give the URL by which a listener of ``open_listeners`` is reached; its port is never 0."""
    address = listener.getsockname()
    if listener.family == socket.AF_UNIX:
        return f"unix://{address}"
    host, port = address[:2]
    shown = f"[{host}]" if listener.family == socket.AF_INET6 else host
    return f"{'tls' if tls else 'tcp'}://{shown}:{port}"


def own_address() -> str:
    """Give this machine's address in its network, or ``localhost`` where it is in none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock, suppress(OSError):
        # Nothing is sent: it only asks by which address one would go there (RFC 5737).
        sock.connect(("192.0.2.1", 9))
        return str(sock.getsockname()[0])
    return "localhost"


# --- the listening side


def open_listeners(url: str, backlog: int, *, called: str | None = None) -> list[socket.socket]:
    """Listen on a URL: one socket for each address of its host, all on one port.

    Port 0 takes any free one. A Unix socket is for this user alone; the file that a dead server
    left behind is replaced. Blocks while a host name is looked up. The caller gives each socket to
    ``close_listener`` in the end. Errors name ``called``, where another URL was written.

    Raises:
        ConfigError: the URL is none, or cannot be listened on; a server that is alive has it, say.

    """
    where = parse_url(url)
    try:
        if isinstance(where, Path):
            return [_listen_unix(where, backlog)]
        host, port = where
        return _listen_tcp(host, port=port, backlog=backlog)
    except OSError as error:
        shown = called or url
        raise ConfigError(f"{shown}: cannot listen there: {error.strerror or error}") from error


def close_listener(listener: socket.socket) -> None:
    """Stop listening; a task in ``accept`` gets ``trio.ClosedResourceError``. May be repeated."""
    if listener.fileno() == -1:
        return
    if listener.family == socket.AF_UNIX:
        # Before closing: a socket that is alive is nobody else's to replace.
        Path(listener.getsockname()).unlink(missing_ok=True)
    trio.lowlevel.notify_closing(listener)
    listener.close()


async def accept(listener: socket.socket) -> tuple[socket.socket, str]:
    """Wait for the next connection; give its socket and, as in ``Link.peer``, its address.

    Connections that are lost before they are accepted are passed over. Where descriptors or
    memory have run out it rests, ``ACCEPT_BACKOFF_S`` at a time. Cancelled, it has accepted none.

    Raises:
        trio.ClosedResourceError: the listener was closed.

    """
    while True:
        await trio.lowlevel.wait_readable(listener)
        try:
            sock, address = listener.accept()
        except BlockingIOError:
            continue
        except OSError as error:
            if error.errno in _EXHAUSTED:
                await trio.sleep(ACCEPT_BACKOFF_S)
            elif error.errno not in _LOST_BEFORE_ACCEPT:
                raise
        else:
            return sock, UNIX_PEER if listener.family == socket.AF_UNIX else address[0]


def _listen_tcp(host: str, *, port: int, backlog: int) -> list[socket.socket]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    listeners: list[socket.socket] = []
    absent: OSError | None = None
    with ExitStack() as undo:
        for family, _, _, _, address in dict.fromkeys(found):
            try:
                listener = _bind_tcp(family, (address[0], port, *address[2:]))
            except OSError as error:
                # A name may have addresses of a family that this machine does not speak.
                if error.errno not in _NOT_ON_THIS_MACHINE:
                    raise
                absent = error
                continue
            undo.enter_context(listener)
            listener.listen(backlog)
            listeners.append(listener)
            port = listener.getsockname()[1]
        if absent is not None and not listeners:
            raise absent
        undo.pop_all()
    return listeners


def _bind_tcp(family: int, address: tuple[Any, ...]) -> socket.socket:
    with ExitStack() as undo:
        listener = undo.enter_context(socket.socket(family, socket.SOCK_STREAM))
        listener.setblocking(False)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind(address)
        undo.pop_all()
    return listener


def _listen_unix(path: Path, backlog: int) -> socket.socket:
    _remove_stale(path)
    with ExitStack() as undo:
        listener = undo.enter_context(socket.socket(socket.AF_UNIX))
        listener.setblocking(False)
        listener.bind(str(path))
        # Nobody can connect before listen, so there is no moment with other rights.
        path.chmod(0o600)
        listener.listen(backlog)
        undo.pop_all()
    return listener


def _remove_stale(path: Path) -> None:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise ConfigError(f"unix://{path}: there is a file that is not a socket")
    with socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
            return
        except BlockingIOError:
            pass  # Alive, with a full backlog.
    raise ConfigError(f"unix://{path}: another server is listening there")
