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
from groupd.errors import Rejected
from groupd.server.link import UNIX_PEER, Link, Listener, SocketLink, accept, close_listener
from groupd.server.rates import Bucket, Seat
from groupd.server.session import Session, goodbye_frame
from groupd.version import VERSION
from groupd.wire.rpc import FrameLimits

log = structlog.get_logger()

RECONNECT_SPREAD_MS: Final = 5_000
"""Over how long a stopping server spreads the reconnects of its clients."""
BUSY_RETRY_MS: Final = 2_000


class Server:
    """All sessions of a process. ``verify`` turns a token into an identity, or raises AuthError."""

    name: Final = f"groupd/{VERSION}"

    def __init__(
        self,
        hub: Hub,
        config: Config,
        *,
        verify: Callable[[str, int], Identity],
        nursery: trio.Nursery,
    ) -> None:
        self.hub = hub
        self.limits = config.limits
        self.has_rate_limits = config.rate_limits
        self.verify = verify
        self._leeway_ms = config.auth.leeway_s * 1_000
        self.frame_limits = FrameLimits.for_server(config.limits)
        self.start_soon = nursery.start_soon
        self.sessions: set[Session] = set()
        self._addresses: dict[str, int] = {}
        self._seats: dict[tuple[str, str], Seat] = {}
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
                self.admit(SocketLink(sock, address), is_operator=is_operator)
        except trio.ClosedResourceError:
            pass  # ``stop`` has closed it.

    def admit(self, link: Link, *, is_operator: bool = False) -> None:
        """Begin a session on a link, or turn it away with a goodbye."""
        address = link.peer
        count = self._addresses.get(address, 0)
        is_local = address == UNIX_PEER
        over_address = (
            self.has_rate_limits
            and not is_local
            and count >= self.limits.connections_per_address_max
        )
        # The operator must get in also when it is full, to see why.
        is_full = len(self.sessions) >= self.limits.connections_max and not is_operator
        if self._stopping or over_address or is_full:
            self.start_soon(self._turn_away, link)
            return
        self._addresses[address] = count + 1
        session = Session(link, self, is_operator=is_operator)
        self.sessions.add(session)
        self.start_soon(self._run, session)

    async def _run(self, session: Session) -> None:
        try:
            await session.run()
        finally:
            self.sessions.discard(session)
            self._leave_address(session.link.peer)
            if not self.sessions:
                self._emptied.set()

    async def _turn_away(self, link: Link) -> None:
        code = "unavailable" if self._stopping else "rate_limited"
        with trio.CancelScope(shield=True):
            with suppress(trio.BrokenResourceError):
                link.try_send(
                    goodbye_frame(code, "too many connections", self._jitter(BUSY_RETRY_MS))
                )
            await link.aclose()

    def _leave_address(self, address: str) -> None:
        count = self._addresses[address] - 1
        if count:
            self._addresses[address] = count
        else:
            del self._addresses[address]

    def _jitter(self, most_ms: int) -> int:
        share = int.from_bytes(self.hub.ports.randomness.token_bytes(2)) / 65_536
        return 1 + int(share * most_ms)

    # --- seats: what one user's sessions share

    def take_seat(self, caller: Identity) -> Seat:
        """Count one more session of a user; raises Rejected over the limit."""
        key = (caller.tenant, caller.user)
        seat = self._seats.get(key)
        if seat is None:
            bucket = Bucket.full(
                per_s=self.limits.rate_per_s,
                burst=self.limits.rate_burst,
                now_s=trio.current_time(),
            )
            seat = self._seats[key] = Seat(bucket)
        if self.has_rate_limits and seat.sessions >= self.limits.connections_per_user_max:
            raise Rejected(
                "rate_limited",
                f"a user has at most {self.limits.connections_per_user_max} sessions at once",
                retry_after_ms=self._jitter(BUSY_RETRY_MS),
                reason="connections",
            )
        seat.sessions += 1
        return seat

    def leave_seat(self, caller: Identity) -> None:
        """Count one less."""
        self._seats[caller.tenant, caller.user].sessions -= 1

    def has_expired(self, caller: Identity, now_ms: int) -> bool:
        """Say whether a token's time is over, by a clock that may differ from the host's."""
        return caller.expires_ms is not None and caller.expires_ms + self._leeway_ms <= now_ms

    # --- upkeep

    async def sweep(self) -> None:
        """End sessions whose token has expired, and forget rested users; until cancelled."""
        while True:
            await trio.sleep(self.limits.sweep_ms / 1_000)
            now_ms, now_s = self.hub.ports.clock.now_ms(), trio.current_time()
            for session in tuple(self.sessions):
                if session.caller is not None and self.has_expired(session.caller, now_ms):
                    session.say_goodbye("unauthenticated", "the token has expired")
            rested = [
                key
                for key, seat in self._seats.items()
                if not seat.sessions and seat.bucket.is_full(now_s)
            ]
            for key in rested:
                del self._seats[key]

    # --- stopping

    async def stop(self) -> None:
        """Stop accepting, let requests under way be answered, and say goodbye to everybody."""
        self._stopping = True
        for listener in self._listeners:
            close_listener(listener)
        log.info("draining", sessions=len(self.sessions))
        for session in tuple(self.sessions):
            session.say_goodbye(
                "unavailable", "the server is stopping", self._jitter(RECONNECT_SPREAD_MS)
            )
        while self.sessions:
            # A new one: there may have been nobody before.
            self._emptied = trio.Event()
            await self._emptied.wait()
