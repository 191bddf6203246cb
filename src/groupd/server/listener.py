"""The server: accepts connections within its limits, keeps the sessions, and stops gracefully."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

import structlog
import trio

from groupd.config import Config
from groupd.domain.base import Identity
from groupd.engine.hub import Hub
from groupd.engine.peer import goodbye_frame
from groupd.server.link import UNIX_PEER, Link, Listener, SocketLink, accept, close_listener
from groupd.server.poller import Poller
from groupd.server.services import BUSY_RETRY_MS, Services
from groupd.server.session import Session

log = structlog.get_logger()

RECONNECT_SPREAD_MS: Final = 5_000
"""Over how long a stopping server spreads the reconnects of its clients."""


class Server:
    """All sessions of a process. ``verify`` turns a token into an identity, or raises AuthError."""

    def __init__(
        self,
        hub: Hub,
        config: Config,
        *,
        verify: Callable[[str, int], Identity],
        nursery: trio.Nursery,
    ) -> None:
        self.services = Services(hub, config, verify=verify, start_soon=nursery.start_soon)
        self._poller = Poller(begin=hub.turns.hold, settle=hub.turns.take)
        self.sessions: set[Session] = set()
        self._addresses: dict[str, int] = {}
        self._listeners: list[Listener] = []
        self._stopping = False
        self._emptied = trio.Event()

    # --- accepting

    async def listen(self, listeners: Sequence[Listener], *, is_operator: bool = False) -> None:
        """Accept on these sockets until ``stop``; owns them from here on."""
        self._listeners += listeners
        try:
            async with trio.open_nursery() as nursery:
                for listener in listeners:
                    nursery.start_soon(self._accept_loop, listener, is_operator)
        finally:
            for listener in listeners:
                close_listener(listener)

    async def _accept_loop(self, listener: Listener, is_operator: bool) -> None:
        try:
            while True:
                sock, address = await accept(listener)
                self.admit(SocketLink(sock, address, self._poller), is_operator=is_operator)
        except trio.ClosedResourceError:
            pass  # ``stop`` has closed it.

    def admit(self, link: Link, *, is_operator: bool = False) -> None:
        """Begin a session on a link, or turn it away with a goodbye."""
        address = link.peer
        count = self._addresses.get(address, 0)
        is_local = address == UNIX_PEER
        over_address = (
            self.services.has_rate_limits
            and not is_local
            and count >= self.services.limits.connections_per_address_max
        )
        # The operator must get in also when it is full, to see why.
        is_full = len(self.sessions) >= self.services.limits.connections_max and not is_operator
        if self._stopping or over_address or is_full:
            self.services.start_soon(self._turn_away, link)
            return
        self._addresses[address] = count + 1
        session = Session(link, self.services, is_operator=is_operator, closed=self._forget)
        self.sessions.add(session)
        session.open()

    def _forget(self, session: Session) -> None:
        self.sessions.discard(session)
        self._leave_address(session.link.peer)
        if not self.sessions:
            self._emptied.set()

    async def _turn_away(self, link: Link) -> None:
        code = "unavailable" if self._stopping else "rate_limited"
        with trio.CancelScope(shield=True):
            with suppress(trio.BrokenResourceError):
                link.try_send(
                    goodbye_frame(code, "too many connections", self.services.jitter(BUSY_RETRY_MS))
                )
            await link.aclose()

    def _leave_address(self, address: str) -> None:
        count = self._addresses[address] - 1
        if count:
            self._addresses[address] = count
        else:
            del self._addresses[address]

    # --- upkeep

    async def run(self) -> None:
        """Serve the sessions until cancelled; then no link is left open."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._poller.run)
                nursery.start_soon(self.services.deadlines.run)
                nursery.start_soon(self._sweep)
        finally:
            with trio.CancelScope(shield=True):
                for session in tuple(self.sessions):
                    await session.link.aclose()
            self._poller.close()

    async def _sweep(self) -> None:
        """End sessions whose token has expired, and forget rested users."""
        while True:
            await trio.sleep(self.services.limits.sweep_ms / 1_000)
            now_ms, now_s = self.services.hub.ports.clock.now_ms(), trio.current_time()
            for session in tuple(self.sessions):
                if session.caller is not None and self.services.has_expired(session.caller, now_ms):
                    session.say_goodbye("unauthenticated", "the token has expired")
            self.services.clear_seats(now_s)

    # --- stopping

    async def stop(self) -> None:
        """Stop accepting, let requests under way be answered, and say goodbye to everybody."""
        self._stopping = True
        for listener in self._listeners:
            close_listener(listener)
        log.info("draining", sessions=len(self.sessions))
        for session in tuple(self.sessions):
            session.say_goodbye(
                "unavailable", "the server is stopping", self.services.jitter(RECONNECT_SPREAD_MS)
            )
        while self.sessions:
            # A new one: there may have been nobody before.
            self._emptied = trio.Event()
            await self._emptied.wait()
