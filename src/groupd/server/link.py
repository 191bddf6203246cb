"""Links: the port through which bytes travel to and from a peer, and the sockets behind it.

Placement rules:
- Nothing else in groupd imports ``socket``. What a link carries is not known here; what protects
  it on its way is ``tls.py``.
- No ``OSError`` of a connection leaves this module, but from ``send``: it becomes ``LinkBroken``.
- One task reads a link, or the poller's rounds do (``watch``); at most one is in ``send_all``;
  anybody may ``try_send``.

The sockets are the standard library's, because trio's own have no synchronous send: publishing to
a group is one ``try_send`` per subscriber, and must not be a task switch for each.
"""

from __future__ import annotations

import errno
import socket
import stat
from collections.abc import Awaitable, Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, ClassVar, Final, Protocol, TypeAlias
from urllib.parse import urlsplit

import trio

from groupd import native
from groupd.errors import ConfigError
from groupd.server.poller import Poller

KEEPALIVE_IDLE_S: Final = 60
KEEPALIVE_INTERVAL_S: Final = 15
KEEPALIVE_PROBES: Final = 4
UNACKNOWLEDGED_MAX_MS: Final = 60_000
"""How long sent bytes may stay unacknowledged before the kernel gives the peer up."""
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


class LinkBroken(trio.BrokenResourceError):
    """The link is gone: the peer reset it or vanished, or this side has closed it."""


class Link(Protocol):
    """A two-way stream of bytes to one peer. Whoever holds it must ``aclose`` it."""

    peer: str
    """The peer's address without its port, for logs and limits; ``unix`` on a Unix socket.

    Whoever accepts a link from a trusted proxy puts the client's here, before anybody else has it.
    """

    @property
    def has_half(self) -> bool:
        """Say whether half a frame of the link's own has come, and is kept."""

    def try_send(self, data: bytes) -> int:
        """Send what can leave at once; give how many bytes did, which may be none.

        The others must be what is sent next: a link may have begun with them.

        Raises:
            LinkBroken: the link is gone.

        """

    @property
    def send(self) -> Callable[[bytes], int]:
        """Give ``try_send`` for the loop over all members of a group, with nothing around it.

        For no bytes it may raise ``BlockingIOError``, and any ``OSError`` for ``LinkBroken``.
        """

    async def send_all(self, data: bytes) -> None:
        """Send everything. Cancelled or failed, an unknown part of it has left.

        Raises:
            LinkBroken: the link is gone.
            trio.BusyResourceError: another task is sending.

        """

    async def receive_some(self, max_bytes: int) -> bytes:
        """Wait for bytes and give them; ``b""`` once the peer will send no more.

        Always lets other tasks run. Cancelled, it has taken nothing.

        Raises:
            LinkBroken: the link is gone.

        """

    def try_receive(self, max_bytes: int) -> bytes | None:
        """Give bytes that are there; None where there are none, ``b""`` as ``receive_some`` does.

        Raises:
            LinkBroken: the link is gone.

        """

    def watch(self, ready: Callable[[], None]) -> None:
        """Call ``ready`` again and again while there is something to read, or the end.

        It reads with ``try_receive`` and must not raise. Until ``unwatch`` no task receives.
        """

    def unwatch(self) -> None:
        """Call nothing more. May be repeated."""

    def send_eof(self, code: str = "") -> None:
        """Tell the peer that no more will come; what was sent still arrives. May be repeated.

        ``code`` is why, as in the goodbye before it, for links whose own end says so. Bytes of the
        peer's that are unread when a link closes destroy what was sent last. So a last word is
        sent, then this, then the peer is read to its end.
        """

    async def aclose(self) -> None:
        """Close. The link is closed at once, also when this is cancelled. May be repeated."""


class SocketLink:
    """A link over a connected stream socket, which it owns from here on.

    ``poller`` is what ``watch`` needs: a server's links have it.
    """

    __slots__ = ("_poller", "_sender", "_socket", "peer")
    has_half: ClassVar[bool] = False

    def __init__(self, sock: socket.socket, peer: str, poller: Poller | None = None) -> None:
        sock.setblocking(False)
        if sock.family != socket.AF_UNIX:
            _set_tcp_options(sock)
        self._socket = sock
        self._poller = poller
        self._sender = None if native.fanout is None else native.fanout.Sender(sock)
        self.peer = peer

    @property
    def send(self) -> Callable[[bytes], int]:
        """Give the socket's own ``send``, or a faster one. See ``Link``."""
        return self._sender or self._socket.send

    def try_send(self, data: bytes | memoryview) -> int:
        """Send what the kernel takes at once. See ``Link``."""
        try:
            return self._socket.send(data)
        except BlockingIOError:
            return 0
        except OSError as error:
            raise LinkBroken(str(error)) from error

    async def send_all(self, data: bytes) -> None:
        """Send everything. See ``Link``."""
        await trio.lowlevel.checkpoint()
        rest = memoryview(data)
        while rest := rest[self.try_send(rest) :]:
            await self._ready(trio.lowlevel.wait_writable)

    async def receive_some(self, max_bytes: int) -> bytes:
        """Wait for bytes and give them. See ``Link``.

        It waits even when bytes are there already. That is the checkpoint which keeps a busy peer
        from starving the others, and the cheapest one: a read that is tried first fails as a rule.
        """
        while True:
            await self._ready(trio.lowlevel.wait_readable)
            data = self.try_receive(max_bytes)
            if data is not None:
                return data

    def try_receive(self, max_bytes: int) -> bytes | None:
        """Give bytes that are there. See ``Link``."""
        try:
            return self._socket.recv(max_bytes)
        except BlockingIOError:
            return None
        except OSError as error:
            raise LinkBroken(str(error)) from error

    def watch(self, ready: Callable[[], None]) -> None:
        """Call ``ready`` while there is something to read. See ``Link``."""
        assert self._poller is not None, "this link was made to be read by a task"
        if self._socket.fileno() != -1:
            self._poller.watch(self._socket.fileno(), ready)

    def unwatch(self) -> None:
        """Call nothing more. See ``Link``."""
        if self._poller is not None and self._socket.fileno() != -1:
            self._poller.unwatch(self._socket.fileno())

    def send_eof(self, code: str = "") -> None:
        """Tell the peer that no more will come. See ``Link``."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)

    async def aclose(self) -> None:
        """Close the socket. See ``Link``."""
        if self._socket.fileno() != -1:
            self.unwatch()
            trio.lowlevel.notify_closing(self._socket)
            if self._sender is not None:
                self._sender.close()
            self._socket.close()
        await trio.lowlevel.checkpoint()

    async def _ready(self, wait: Callable[[socket.socket], Awaitable[None]]) -> None:
        if self._socket.fileno() == -1:
            raise LinkBroken("this link is closed")
        try:
            await wait(self._socket)
        except trio.ClosedResourceError as error:
            raise LinkBroken("this link was closed by another task") from error


def _set_tcp_options(sock: socket.socket) -> None:
    """Send at once, and notice peers that vanish, as far as the platform can."""
    options = {
        "TCP_NODELAY": 1,
        "TCP_KEEPIDLE": KEEPALIVE_IDLE_S,
        "TCP_KEEPINTVL": KEEPALIVE_INTERVAL_S,
        "TCP_KEEPCNT": KEEPALIVE_PROBES,
        "TCP_USER_TIMEOUT": UNACKNOWLEDGED_MAX_MS,
    }
    # A connection that is gone already may refuse them; its next use says so.
    with suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in options.items():
            if hasattr(socket, name):
                sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


# --- addresses


def _parse(url: str) -> tuple[str, int] | Path:
    """Split a URL into host and port, or give the path of a Unix socket.

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


# --- the listening side


def open_listeners(url: str, backlog: int, *, called: str | None = None) -> list[socket.socket]:
    """Listen on a URL: one socket for each address of its host, all on one port.

    Port 0 takes any free one. A Unix socket is for this user alone; the file that a dead server
    left behind is replaced. Blocks while a host name is looked up. The caller gives each socket to
    ``close_listener`` in the end. Errors name ``called``, where another URL was written.

    Raises:
        ConfigError: the URL is none, or cannot be listened on; a server that is alive has it, say.

    """
    where = _parse(url)
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


# --- the connecting side


async def connect_socket(url: str) -> SocketLink:
    """Connect to a server; of a host with several addresses the first that answers.

    What is sent over it is plain to see, also when the URL is one of TLS: that is for
    ``tls.connect_link``, by which clients connect.

    Raises:
        ConfigError: the URL is none.
        LinkBroken: nobody answers there.

    """
    where = _parse(url)
    try:
        if isinstance(where, Path):
            return await _connect_unix(where)
        host, port = where
        stream = await trio.open_tcp_stream(host, port)
    except OSError as error:
        raise LinkBroken(f"{url}: {error}") from error
    # Only the descriptor is wanted: trio's socket has nothing that must still be closed.
    return SocketLink(socket.socket(fileno=stream.socket.detach()), host)


async def _connect_unix(path: Path) -> SocketLink:
    await trio.lowlevel.checkpoint()
    with ExitStack() as undo:
        sock = undo.enter_context(socket.socket(socket.AF_UNIX))
        sock.setblocking(False)
        # It connects at once or not at all; a full backlog shows as an OSError.
        sock.connect(str(path))
        undo.pop_all()
    return SocketLink(sock, UNIX_PEER)
