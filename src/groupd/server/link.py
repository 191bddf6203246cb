"""Links: the port through which bytes travel to and from a peer, and the sockets behind it.

Placement rules:
- Beside ``addresses.py``, which listens and accepts, nothing else in groupd imports ``socket``.
  What a link carries is not known here; what protects it on its way is ``tls.py``.
- No ``OSError`` of a connection leaves this module, but from ``send``: it becomes ``LinkBroken``.
- One task reads a link, or the poller's rounds do (``watch``); at most one is in ``send_all``;
  anybody may ``try_send``.

The sockets are the standard library's, because trio's own have no synchronous send: publishing to
a group is one ``try_send`` per subscriber, and must not be a task switch for each.
"""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import ClassVar, Final, Protocol

import trio

from groupd import native
from groupd.server.addresses import UNIX_PEER, parse_url
from groupd.server.poller import Poller

KEEPALIVE_IDLE_S: Final = 60
KEEPALIVE_INTERVAL_S: Final = 15
KEEPALIVE_PROBES: Final = 4
UNACKNOWLEDGED_MAX_MS: Final = 60_000
"""How long sent bytes may stay unacknowledged before the kernel gives the peer up."""


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


# --- the connecting side


async def connect_socket(url: str) -> SocketLink:
    """Connect to a server; of a host with several addresses the first that answers.

    What is sent over it is plain to see, also when the URL is one of TLS: that is for
    ``tls.connect_link``, by which clients connect.

    Raises:
        ConfigError: the URL is none.
        LinkBroken: nobody answers there.

    """
    where = parse_url(url)
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
