"""The loop of the load: many sockets, one epoll, and as little as can be for each read.

Sockets block: one that is readable gives what it has, and posts are far smaller than what a
socket takes.
"""

from __future__ import annotations

import select
import socket
import ssl
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from typing import Final

from bench.members import READ_BYTES, Failed, Reader, Socket
from bench.websocket import MessageSocket

TICK_S: Final = 0.05
"""How long a round waits for something to read at most."""
QUIET_S: Final = 0.3
"""Silence after which everything that was under way has arrived."""
SETTLE_MAX_S: Final = 20.0
PORTS_OF_ADDRESS: Final = 4_000
"""Connections from one address before the next one is used."""
ADDRESSES: Final = 200
ROUNDS_PER_TIDYING: Final = 64
CROWD_SLICE: Final = 32
"""How many connections of a crowd are read before the others are looked at again."""

Pace = Callable[[], float]
"""Does what is due, and says how many seconds there are until it must be called again."""


def at_ease() -> float:
    """Do nothing: the pace of those who only read."""
    return TICK_S


class Connections:
    """Connections to one port, and what reads each of them."""

    def __init__(
        self,
        port: int,
        stack: ExitStack,
        *,
        tls: ssl.SSLContext | None = None,
        websocket: bool = False,
    ) -> None:
        self.buffer = bytearray(READ_BYTES)
        """For all readers: nothing is kept in it."""
        self._opened = 0
        self._port = port
        self._stack = stack
        self._tls = tls
        self._websocket = websocket
        self._connected: dict[int, Reader] = {}
        self._readers: dict[int, Callable[[], None]] = {}
        """What to call for a descriptor: bound methods, looked up once and not for each read."""
        self._epoll = stack.enter_context(select.epoll())
        self._tidyings: list[Callable[[], None]] = []

    def crowd(self) -> Connections:
        """Give connections that are read a slice at a time, so that these need not wait long."""
        crowd = Connections(self._port, self._stack, tls=self._tls, websocket=self._websocket)
        crowd.buffer = self.buffer
        self._readers[crowd._epoll.fileno()] = crowd._slice
        self._epoll.register(crowd._epoll.fileno(), select.EPOLLIN)
        return crowd

    def reach(self, reached: Callable[[Socket], None]) -> None:
        """Connect, and call ``reached`` with it; the others are read while TLS shakes hands.

        What comes of it is closed with all the others, or by ``drop``.
        """
        sock = self.open_plain()

        def go_on() -> None:
            if isinstance(sock, ssl.SSLSocket):
                try:
                    sock.do_handshake()
                except ssl.SSLWantReadError:
                    return
                sock.setblocking(True)
            reached(MessageSocket(sock) if self._websocket else sock)

        if isinstance(sock, ssl.SSLSocket):
            sock.setblocking(False)
            self._epoll.register(sock.fileno(), select.EPOLLIN)
            self._readers[sock.fileno()] = go_on
        go_on()

    def open_plain(self) -> socket.socket:
        """Connect, whatever is spoken then; TLS has still to shake hands."""
        sock = socket.create_connection(("127.0.0.1", self._port), source_address=self._source())
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._tls is not None:
            sock = self._tls.wrap_socket(
                sock, server_hostname="localhost", do_handshake_on_connect=False
            )
        self._stack.callback(sock.close)
        return sock

    def _source(self) -> tuple[str, int]:
        """Give the address to connect from, one of loopback's many.

        From a single one, the kernel has to look for a free port among the 28,000 there are: with
        15,000 in use a connection took 5 ms, in which nothing else was read.
        """
        self._opened += 1
        return f"127.0.0.{1 + self._opened // PORTS_OF_ADDRESS % ADDRESSES}", 0

    def add(self, reader: Reader) -> None:
        """Read a connection from now on, in place of who has read it."""
        descriptor = reader.sock.fileno()
        if descriptor not in self._readers:
            # Told once of what came, the kernel does not have to look again whether it was read.
            # TLS gives a record at a time, however much there is, so it has to be told again.
            once = select.EPOLLET if self._tls is None else 0
            self._epoll.register(descriptor, select.EPOLLIN | once)
        self._connected[descriptor] = reader
        self._readers[descriptor] = reader.read

    def drop(self, reader: Reader) -> None:
        """Close a connection that is being read."""
        descriptor = reader.sock.fileno()
        self._epoll.unregister(descriptor)
        del self._readers[descriptor], self._connected[descriptor]
        reader.sock.close()

    def tidy_by(self, tidying: Callable[[], None]) -> None:
        """Have something done every so many rounds."""
        self._tidyings.append(tidying)

    def serve(
        self, deadline_s: float, pace: Pace = at_ease, until: Callable[[], bool] | None = None
    ) -> None:
        """Read whatever comes until the deadline, or until something holds."""
        poll, readers = self._epoll.poll, self._readers
        rounds = 0
        while time.monotonic() < deadline_s and not (until and until()):
            for descriptor, _events in poll(pace()):
                readers[descriptor]()
            rounds += 1
            if rounds % ROUNDS_PER_TIDYING == 0:
                for tidying in self._tidyings:
                    tidying()

    def settle(self, readers: Iterable[Reader] = ()) -> None:
        """Drop what entering still causes, until nothing comes any more; then have these read."""
        deadline = time.monotonic() + SETTLE_MAX_S
        while ready := self._epoll.poll(QUIET_S):
            if time.monotonic() > deadline:
                raise Failed("the server does not come to rest")
            for descriptor, _events in ready:
                if descriptor in self._connected:
                    self._connected[descriptor].spill()
                else:
                    self._readers[descriptor]()
        for reader in readers:
            self.add(reader)

    def _slice(self) -> None:
        for descriptor, _events in self._epoll.poll(0, CROWD_SLICE):
            self._readers[descriptor]()
