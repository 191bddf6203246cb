"""What all sessions of a server share: the hub, the limits, who is believed, and the seats."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

import trio

from groupd.config import Config
from groupd.domain.account.revocation import is_revoked
from groupd.domain.base import Identity
from groupd.engine.hub import Hub
from groupd.errors import CODES, KeysUnavailable, Rejected, UnknownKey
from groupd.server.deadlines import Deadlines
from groupd.server.figures import Figures
from groupd.server.rates import Bucket, Seat, Sitter
from groupd.version import VERSION
from groupd.wire.rpc import FrameLimits

BUSY_RETRY_MS: Final = 2_000
"""Over how long those who were turned away are spread."""


class Services:
    """Shared by the sessions of one server.

    ``verify`` turns a token into an identity, or raises AuthError; ``renew_keys`` has the keys of
    an issuer fetched, for a token that ``verify`` knows none for; ``start_soon`` starts a task that
    ends with the server; ``connections`` counts them.
    """

    name: Final = f"groupd/{VERSION}"

    def __init__(
        self,
        hub: Hub,
        config: Config,
        *,
        verify: Callable[[str, int], Identity],
        renew_keys: Callable[[str], Awaitable[None]],
        start_soon: Callable[..., None],
        connections: Callable[[], int] = lambda: 0,
    ) -> None:
        self.hub = hub
        self.config = config
        self.limits = config.limits
        self._now_ms = hub.ports.clock.now_ms
        self.has_rate_limits = config.rate_limits
        self.verify = verify
        self._renew_keys = renew_keys
        self.start_soon = start_soon
        self.frame_limits = FrameLimits.for_server(config.limits)
        self.deadlines = Deadlines()
        self.refused = dict.fromkeys(CODES, 0)
        """Requests that were refused, by code."""
        self.figures = Figures(hub, self.refused, connections=connections)
        self.seats: dict[tuple[str, str], Seat] = {}
        self._leeway_ms = config.auth.leeway_s * 1_000

    def believe(self, verify: Callable[[str, int], Identity], *, leeway_s: int) -> None:
        """Check tokens in another way from the next ``hello`` on."""
        self.verify = verify
        self._leeway_ms = leeway_s * 1_000

    async def identify(self, token: str) -> Identity:
        """Give who a token speaks for.

        Raises AuthError where it proves nothing, Rejected ``unavailable`` where nobody can say,
        and LogUnavailable where the store cannot.
        """
        try:
            return self.verify(token, self._now_ms())
        except UnknownKey as error:
            try:
                await self._renew_keys(error.issuer)
            except KeysUnavailable as reason:
                retry_after_ms = self.jitter(BUSY_RETRY_MS)
                raise Rejected(
                    "unavailable", str(reason), retry_after_ms=retry_after_ms
                ) from reason
        return self.verify(token, self._now_ms())

    def take_seat(self, caller: Identity, sitter: Sitter) -> Seat:
        """Count one more session of a user; raises Rejected over the limit."""
        key = (caller.tenant, caller.user)
        seat = self.seats.get(key)
        if seat is None:
            bucket = Bucket.full(
                per_s=self.limits.rate_per_s,
                burst=self.limits.rate_burst,
                now_s=trio.current_time(),
            )
            seat = self.seats[key] = Seat(bucket)
        if self.has_rate_limits and len(seat.sitters) >= self.limits.connections_per_user_max:
            raise Rejected(
                "rate_limited",
                f"a user has at most {self.limits.connections_per_user_max} sessions at once",
                retry_after_ms=self.jitter(BUSY_RETRY_MS),
                reason="connections",
            )
        seat.sitters[sitter] = None
        return seat

    def leave_seat(self, caller: Identity, sitter: Sitter) -> None:
        """Count one less. May be repeated."""
        seat = self.seats.get((caller.tenant, caller.user))
        if seat is not None:
            seat.sitters.pop(sitter, None)

    async def clear_seats(self, slice_: int) -> None:
        """Forget the users who have no session and whose rates have nothing to remember.

        Lets others run after each ``slice_`` of them.
        """
        keys = tuple(self.seats)
        for start in range(0, len(keys), slice_):
            now_s = trio.current_time()
            for key in keys[start : start + slice_]:
                seat = self.seats[key]
                if not seat.sitters and seat.bucket.is_full(now_s):
                    del self.seats[key]
            await trio.lowlevel.checkpoint()

    def has_expired(self, caller: Identity, *, grace_ms: int = 0) -> bool:
        """Say whether a token's time is over, by a clock that may differ from the host's.

        With ``grace_ms``, whether it has been over for that long.
        """
        expires_ms = caller.expires_ms
        return expires_ms is not None and expires_ms + self._leeway_ms + grace_ms <= self._now_ms()

    def cut(self, tenant: str, user: str, message: str, *, before_ms: int | None = None) -> int:
        """End a user's sessions, and give how many.

        With ``before_ms``, those alone that have shown a token which is refused from then on.
        """
        seat = self.seats.get((tenant, user))
        ended = 0
        for sitter in () if seat is None else tuple(seat.sitters):
            if before_ms is None or any(
                (shown.tenant, shown.user) == (tenant, user) and is_revoked(shown, before_ms)
                for shown in sitter.shown
            ):
                ended += sitter.cut(message)
        return ended

    def jitter(self, most_ms: int) -> int:
        """Draw a time of 1 to ``most_ms`` milliseconds."""
        share = int.from_bytes(self.hub.ports.randomness.token_bytes(2)) / 65_536
        return 1 + int(share * most_ms)
