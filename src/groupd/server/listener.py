"""The server: accepts connections within its limits, keeps the sessions, and stops gracefully."""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Final

import structlog
import trio

from groupd.config import Config
from groupd.domain.base import Identity
from groupd.engine.hub import Hub
from groupd.engine.peer import goodbye_frame
from groupd.errors import RemoteProtocolError
from groupd.server.addresses import PROXY_PEER, UNIX_PEER, Listener, accept, close_listener
from groupd.server.link import Link, LinkBroken, SocketLink
from groupd.server.poller import Poller
from groupd.server.proxy import Client, TrustedProxies, parse_header
from groupd.server.services import BUSY_RETRY_MS, Services
from groupd.server.session import Session
from groupd.server.tls import HandshakeFailed, TlsLink, secure

log = structlog.get_logger()

SWEEP_SLICE: Final = 250
"""Sessions that are looked at before others get their turn."""
RECONNECT_SPREAD_MS: Final = 5_000
"""Over how long a stopping server spreads the reconnects of its clients."""
NOT_COUNTED: Final = (UNIX_PEER, PROXY_PEER)
"""Peers that are no address: there is no limit for them together."""


async def _renew_nothing(issuer: str) -> None:
    """Have no keys to fetch."""


class Server:
    """All sessions of a process.

    ``verify`` turns a token into an identity, or raises AuthError; ``renew_keys`` has the keys of
    an issuer fetched that ``verify`` has too old ones of; ``tls`` is what is shown by listeners
    that are protected.
    """

    def __init__(
        self,
        hub: Hub,
        config: Config,
        *,
        verify: Callable[[str, int], Identity],
        renew_keys: Callable[[str], Awaitable[None]] = _renew_nothing,
        nursery: trio.Nursery,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.services = Services(
            hub,
            config,
            verify=verify,
            renew_keys=renew_keys,
            start_soon=nursery.start_soon,
            connections=lambda: len(self.sessions),
        )
        self.poller = Poller(begin=hub.turns.hold, settle=hub.turns.take)
        """Who reads the links; those that somebody else accepts for ``admit`` need it."""
        self.sessions: set[Session] = set()
        self.tls = tls
        """What is shown to whoever connects now."""
        self._proxies = TrustedProxies.of(config.trusted_proxies)
        # Who is in the middle of a TLS handshake counts as well, here and in ``_arriving``. Before
        # a proxy has said whose a connection is, it counts only there.
        self._addresses: dict[str, int] = {}
        self._arriving = 0
        self.admitted = self.turned_away = 0
        """Connections so far."""
        self._listeners: list[Listener] = []
        self._stopping = False
        self._emptied = trio.Event()

    @property
    def is_stopping(self) -> bool:
        """Say whether ``stop`` was called."""
        return self._stopping

    def trusts(self, address: str) -> bool:
        """Say whether an address is one of a proxy that speaks for others."""
        return self._proxies.include(address)

    def take_over(
        self, config: Config, *, verify: Callable[[str, int], Identity], tls: ssl.SSLContext | None
    ) -> None:
        """Believe, show and trust something else from the next connection on.

        Of ``config`` nothing else counts; the limits stay those of the start.
        """
        self.services.believe(verify, leeway_s=config.auth.leeway_s)
        self._proxies = TrustedProxies.of(config.trusted_proxies)
        self.tls = tls

    # --- accepting

    async def listen(
        self,
        listeners: Sequence[Listener],
        *,
        is_protected: bool = False,
        is_operator: bool = False,
    ) -> None:
        """Accept on these sockets until ``stop``; owns them from here on.

        With ``is_protected`` they are for TLS, and show what the server has to show then.
        """
        assert self.tls is not None or not is_protected
        self._listeners += listeners
        try:
            async with trio.open_nursery() as nursery:
                for listener in listeners:
                    nursery.start_soon(self._accept_loop, listener, is_protected, is_operator)
        finally:
            for listener in listeners:
                close_listener(listener)

    async def _accept_loop(self, listener: Listener, is_protected: bool, is_operator: bool) -> None:
        try:
            while True:
                sock, address = await accept(listener)
                link = SocketLink(sock, address, self.poller)
                if is_operator:
                    self.admit(link, is_operator=True)
                else:
                    self.meet(link, self.tls if is_protected else None)
        except trio.ClosedResourceError:
            pass  # ``stop`` has closed it.

    def meet(self, link: Link, tls: ssl.SSLContext | None = None) -> None:
        """Admit a link that was accepted: of a trusted proxy, once it has said for whom."""
        if not self._proxies.include(link.peer):
            self._admit(link, tls)
        elif self._stopping or self._is_full:
            self.turned_away += 1
            self.services.start_soon(link.aclose)
        else:
            self._arriving += 1
            self.services.start_soon(self._hear_proxy, link, tls)

    def _admit(self, link: Link, tls: ssl.SSLContext | None) -> None:
        if tls is None:
            self.admit(link)
        else:
            self.admit_tls(link, tls)

    async def _hear_proxy(self, link: Link, tls: ssl.SSLContext | None) -> None:
        """Have the header of a proxy, and then whatever its client wants."""
        client: Client | None = None
        refused = ""
        try:
            with trio.fail_after(self.services.limits.hello_deadline_ms / 1_000):
                client = await read_header(link)
        except RemoteProtocolError as error:
            refused = str(error)
            if tls is None:
                await self._part_from(link, error)
        except LinkBroken as error:
            refused = str(error)
        except trio.TooSlowError:
            refused = "its PROXY protocol header is overdue"
        finally:
            self._arriving -= 1
            if client is None:
                await link.aclose()
        if client is not None:
            link.peer = client.address
            self._admit(link, tls)
        elif refused:
            self.turned_away += 1
            log.warning("proxy_refused", peer=link.peer, reason=refused)

    async def _part_from(self, link: Link, error: RemoteProtocolError) -> None:
        """Say what is wrong: it may be a client of ours that takes the way around the proxy."""
        with (
            trio.move_on_after(self.services.limits.close_grace_ms / 1_000),
            suppress(LinkBroken),
        ):
            link.try_send(goodbye_frame(error.code, str(error)))
            link.send_eof(error.code)
            # Unread bytes at closing would reset the connection and destroy the goodbye.
            while await link.receive_some(self.services.limits.read_size_bytes):
                pass

    def admit(self, link: Link, *, is_operator: bool = False) -> None:
        """Begin a session on a link, or turn it away with a goodbye."""
        # The operator must get in also when it is full, to see why.
        if self._has_room_for(link.peer, even_if_full=is_operator):
            self._enter_address(link.peer)
            self._begin(link, is_operator=is_operator)
        else:
            self.turned_away += 1
            self.services.start_soon(self._turn_away, link)

    def admit_tls(self, link: Link, context: ssl.SSLContext) -> None:
        """Begin a session on a link once it is protected; turned away, it is only closed.

        A handshake is work, so nobody gets one for whom there is no room.
        """
        if self._has_room_for(link.peer):
            self._enter_address(link.peer)
            self._arriving += 1
            self.services.start_soon(self._secure, link, context)
        else:
            self.turned_away += 1
            self.services.start_soon(link.aclose)

    async def _secure(self, link: Link, context: ssl.SSLContext) -> None:
        """Have the handshake, and then a session on the link."""
        secured: TlsLink | None = None
        try:
            with trio.fail_after(self.services.limits.hello_deadline_ms / 1_000):
                secured = await secure(link, context)
        except LinkBroken as error:
            # A proxy that looks whether somebody is there often goes in the middle of it.
            tell = log.debug if link.peer == PROXY_PEER else log.info
            tell("handshake_failed", peer=link.peer, reason=str(error))
            if isinstance(error, HandshakeFailed) and error.is_other_protocol:
                # In case it is a client of ours: so it learns why, and does not try again.
                with suppress(LinkBroken):
                    link.try_send(goodbye_frame("bad_request", "this address is for tls:// URLs"))
        except trio.TooSlowError:
            log.info("handshake_failed", peer=link.peer, reason="the TLS handshake is overdue")
        finally:
            self._arriving -= 1
            if secured is None:
                self._leave_address(link.peer)
                await link.aclose()
        if secured is not None and self._stopping:
            self._leave_address(link.peer)
            await self._turn_away(secured)
        elif secured is not None:
            self._begin(secured)

    def _begin(self, link: Link, *, is_operator: bool = False) -> None:
        self.admitted += 1
        session = Session(link, self.services, is_operator=is_operator, closed=self._forget)
        self.sessions.add(session)
        session.open()

    def _has_room_for(self, address: str, *, even_if_full: bool = False) -> bool:
        limits = self.services.limits
        over_address = (
            self.services.has_rate_limits
            and address not in NOT_COUNTED
            and self._addresses.get(address, 0) >= limits.connections_per_address_max
        )
        return not (self._stopping or over_address or (self._is_full and not even_if_full))

    @property
    def _is_full(self) -> bool:
        return len(self.sessions) + self._arriving >= self.services.limits.connections_max

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
                link.send_eof(code)
            await link.aclose()

    def _enter_address(self, address: str) -> None:
        self._addresses[address] = self._addresses.get(address, 0) + 1

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
                nursery.start_soon(self.poller.run)
                nursery.start_soon(self.services.deadlines.run)
                nursery.start_soon(self._sweep)
        finally:
            with trio.CancelScope(shield=True):
                for session in tuple(self.sessions):
                    await session.link.aclose()
            self.poller.close()

    async def _sweep(self) -> None:
        """End sessions whose token expired a grace ago, and forget rested users."""
        grace_ms = self.services.limits.expiry_grace_ms
        while True:
            await trio.sleep(self.services.limits.sweep_ms / 1_000)
            sessions = tuple(self.sessions)
            for start in range(0, len(sessions), SWEEP_SLICE):
                for session in sessions[start : start + SWEEP_SLICE]:
                    caller = session.caller
                    if caller is not None and self.services.has_expired(caller, grace_ms=grace_ms):
                        session.say_goodbye("unauthenticated", "the token has expired")
                await trio.lowlevel.checkpoint()
            await self.services.clear_seats(SWEEP_SLICE)

    # --- stopping

    async def stop(self) -> None:
        """Stop accepting, let requests under way be answered, and say goodbye to everybody."""
        self._stopping = True
        for listener in self._listeners:
            close_listener(listener)
        log.info("draining", sessions=len(self.sessions))
        # By their names: a set has another order in each process, and a simulation has one.
        for session in sorted(self.sessions, key=lambda session: session.id):
            session.say_goodbye(
                "unavailable", "the server is stopping", self.services.jitter(RECONNECT_SPREAD_MS)
            )
        while self.sessions:
            # A new one: there may have been nobody before.
            self._emptied = trio.Event()
            await self._emptied.wait()


async def read_header(link: Link) -> Client | None:
    """Read what a proxy's connection begins with, and not a byte more; give for whom it speaks.

    Gives None where the other side has gone without a word: a proxy that looks whether somebody is
    there. It takes as long as the proxy likes: a deadline is the caller's.

    Raises:
        RemoteProtocolError: that is no header.
        LinkBroken: the link is gone, in the middle of one.

    """
    data = b""
    while not isinstance(found := parse_header(data), Client):
        try:
            piece = await link.receive_some(found.size_bytes)
        except LinkBroken:
            piece = b""
        if not piece:
            if data:
                raise LinkBroken("it has ended in the middle of its PROXY protocol header")
            return None
        data += piece
    return found
