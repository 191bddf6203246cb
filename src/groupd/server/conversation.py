"""What one connection asks for: who is asking, and who in the engine serves it.

Placement rules:
- Who somebody is comes from ``hello`` and nowhere else. What they may do is for the rules.
- Bytes, congestion and the end of the connection are the session's; which methods exist and what
  they mean is the domain's. Here a request is passed to whoever serves it.
- ``serve`` takes no time. What has to be waited for it gives back, as a function to await.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, Final, Protocol, TypeAlias

import attrs
import structlog
import trio

from groupd.domain.account.revocation import is_revoked
from groupd.domain.base import Command, Identity, LiveQuery, Query, Request
from groupd.domain.catalog import REQUESTS
from groupd.domain.feeding import Changes
from groupd.domain.operating import LOCAL, Authority, authority_of
from groupd.domain.queries import Hello, OperatorLog, Ping
from groupd.domain.sessions import OperatorDisconnect, OperatorRevoke
from groupd.engine.greeting import Greeting
from groupd.engine.mail import Replies
from groupd.engine.peer import Peer
from groupd.engine.reads import READS
from groupd.errors import AuthError, Rejected
from groupd.server import console, operator
from groupd.server.methods import Call, shown_limits, understand
from groupd.server.polls import Polls
from groupd.server.rates import Seat
from groupd.server.services import BUSY_RETRY_MS, Services
from groupd.wire import codec, rpc
from groupd.wire.codec import Encoded

log = structlog.get_logger()

Later: TypeAlias = Callable[[], Awaitable[None]]
"""The part of a request that takes waiting."""


_SERVED_HERE: Final = frozenset((Hello, Ping, *operator.REQUESTS, *console.REQUESTS))
_WAITED_FOR: Final = frozenset(
    request
    for request in REQUESTS.values()
    if request in READS or (request.through_account and request not in _SERVED_HERE)
)
"""What holds up the requests that the same connection sends after it."""


class Line(Replies, Protocol):
    """The session, as its conversation sees it; also the place for the engine's answers."""

    id: str
    """The session's name in logs."""
    address: str
    """Where the other side is."""
    open_requests: int
    """How many requests the engine still has to answer."""
    peer: Peer

    def answer(self, msgid: int, result: Mapping[str, Any] | Encoded) -> None:
        """Answer a request that was not passed on."""

    def refuse_for(self, message: rpc.Request, error: Exception) -> None:
        """Answer a request with what went wrong."""

    def take_larger_frames(self) -> None:
        """Read as much at once as from somebody who is known."""

    def slow_down(self) -> None:
        """Read less, and after a rest: the user asks for more than their rate."""

    def say_goodbye(self, code: str, message: str, retry_after_ms: int | None = None) -> None:
        """End the session."""

    def cut(self, code: str, message: str) -> bool:
        """End the session now, whatever it waits for; says if it was not ending yet."""


class Conversation:
    """One connection's requests, in their order."""

    __slots__ = (
        "_arriving",
        "_authority",
        "_failed_hellos",
        "_has_expired",
        "_hub",
        "_is_operator",
        "_line",
        "_polls",
        "_seat",
        "_services",
        "_wants_events",
        "caller",
    )

    def __init__(self, line: Line, services: Services, *, is_operator: bool) -> None:
        self.caller: Identity | None = None
        """Who is asking; None before ``hello``."""
        self._arriving: Identity | None = None
        """Who says hello just now, and is not let in yet."""
        self._line = line
        self._services = services
        self._hub = services.hub
        self._is_operator = is_operator
        self._authority = LOCAL if is_operator else None
        """What of the operators' methods there is for this session."""
        self._seat: Seat | None = None
        self._has_expired = False
        self._failed_hellos = 0
        self._polls: Polls | None = None
        self._wants_events: bool | None = None

    @property
    def is_known(self) -> bool:
        """Say whether there is somebody to speak with: a user, or the operator."""
        return self.caller is not None or self._is_operator

    def begin(self) -> Callable[[rpc.Request], Later | None]:
        """Give ``serve``, for the requests of one step: no time passes between them.

        So whether the caller's token is over is seen here, once for all of them.
        """
        self._has_expired = self.caller is not None and self._services.has_expired(self.caller)
        return self.serve

    def serve(self, message: rpc.Request) -> Later | None:
        """Serve a request, or give what that has to wait for; raises Rejected."""
        caller = self.caller
        if caller is None and message.method != Hello.method and not self._is_operator:
            self._line.slow_down()
            raise Rejected("unauthenticated", "say hello first")
        services, seat = self._services, self._seat
        try:
            call = understand(message, operator=self._is_operator, authority=self._authority)
        except Rejected:
            # To find out what is wrong is work, too.
            if services.has_rate_limits and seat is not None:
                self._charge(seat, Request.cost)
            raise
        request = call.request
        if self._hub.backlogs.are_full and self._authority is None:
            retry_after_ms = services.jitter(BUSY_RETRY_MS)
            raise Rejected(
                "unavailable",
                "too much waits for those who do not read",
                retry_after_ms=retry_after_ms,
            )
        if services.has_rate_limits and seat is not None:
            self._charge(seat, request.cost)
        cls = request.__class__
        if cls in _SERVED_HERE:
            return self._serve_here(call, message.msgid)
        if caller is None:
            raise Rejected("unauthenticated", "say hello first")
        if self._has_expired:
            raise _expired()
        if cls is Changes:
            self._poll(caller, call, message)
            return None
        if cls in _WAITED_FOR:
            return self._pass_on(caller, call, message.msgid)
        line = self._line
        line.open_requests += 1
        try:
            self._hub.submit(
                caller,
                request,  # type: ignore[arg-type]
                group=call.group,
                request_id=call.request_id,
                replies=line,
                tag=message.msgid,
            )
        except Rejected:
            line.open_requests -= 1
            raise
        return None

    def _serve_here(self, call: Call, msgid: int) -> Later | None:
        """Serve what the engine knows nothing of."""
        request, authority = call.request, self._authority
        if request.operator and not self._is_operator and self._has_expired:
            raise _expired()
        match request:
            case Hello():
                return partial(self._hello, msgid, request)
            case OperatorLog():
                assert authority is not None, "its methods are unknown to all others"
                request = attrs.evolve(request, tenant=authority.tenant_of(request.tenant))
                return partial(self._operate, msgid, request)
            case OperatorRevoke() | OperatorDisconnect():
                return partial(self._operate_on_users, msgid, request)
            case _ if isinstance(request, console.REQUESTS):
                assert authority is not None, "its methods are unknown to all others"
                return partial(self._look_on, msgid, authority, call)
            case _ if isinstance(request, operator.OperatorRequest):
                return partial(self._operate, msgid, request)
        if self.caller is None:
            raise Rejected("unauthenticated", "say hello first")
        self._line.answer(msgid, {"time_ms": self._hub.ports.clock.now_ms()})
        return None

    def _pass_on(self, caller: Identity, call: Call, msgid: int) -> Later:
        """Give a request to the engine, and have this connection wait for the answer."""
        if call.request.through_account:
            # Awaited, because what this connection sends next may count on it: a post by somebody
            # who is joining must not be there before them.
            return lambda: self._ask(caller, call, msgid)
        return lambda: self._read(caller, call, msgid)

    async def _ask(self, caller: Identity, call: Call, msgid: int) -> None:
        request = call.request
        assert isinstance(request, Command | LiveQuery)
        answer = await self._hub.ask(caller, request, group=call.group, request_id=call.request_id)
        self._line.answer(msgid, answer)

    async def _read(self, caller: Identity, call: Call, msgid: int) -> None:
        request, line = call.request, self._line
        assert isinstance(request, Query)
        line.answer(msgid, await self._hub.read(caller, request, group=call.group, peer=line.peer))

    def _poll(self, caller: Identity, call: Call, message: rpc.Request) -> None:
        """Have a call of the feed read beside what else is asked here: it may wait for long."""
        request, hub = call.request, self._hub
        assert isinstance(request, Query)
        if self._polls is None:
            self._polls = Polls(self._services.start_soon)
        self._polls.begin(self._line, message, lambda: hub.read(caller, request, group=None))

    async def _operate(self, msgid: int, request: operator.OperatorRequest) -> None:
        now_ms = self._hub.ports.clock.now_ms()
        config = self._services.config
        answer = await operator.serve(
            self._hub.log, config, request, now_ms=now_ms, rests=True, feed=self._hub.feed
        )
        self._line.answer(msgid, answer)

    async def _operate_on_users(self, msgid: int, request: operator.SessionRequest) -> None:
        self._line.answer(msgid, await operator.serve_users(self._services, request))

    async def _look_on(self, msgid: int, authority: Authority, call: Call) -> None:
        request = call.request
        assert isinstance(request, console.REQUESTS)
        answer = await console.serve(
            self._services, authority, request, group=call.group, request_id=call.request_id
        )
        self._line.answer(msgid, answer)

    def _charge(self, seat: Seat, cost: int) -> None:
        retry_after_ms = seat.bucket.take(cost, trio.current_time())
        if retry_after_ms:
            self._line.slow_down()
            raise Rejected("rate_limited", "too many requests", retry_after_ms=retry_after_ms)

    # --- hello

    async def _hello(self, msgid: int, hello: Hello) -> None:
        try:
            await self._say_hello(msgid, hello)
        except Rejected:
            # There is no seat yet whose rate could be charged.
            self._line.slow_down()
            raise

    async def _say_hello(self, msgid: int, hello: Hello) -> None:
        services, hub, line = self._services, self._hub, self._line
        try:
            caller = await services.identify(hello.token)
            if caller.plan not in hub.rules.plans:
                message = f"no plan {caller.plan!r} is configured"
                raise Rejected("bad_request", message, field="token")
            seat = await self._let_in(caller)
        except AuthError as error:
            self._failed_hellos += 1
            if self._failed_hellos >= services.limits.hello_attempts_max:
                line.say_goodbye("unauthenticated", str(error))
                return
            raise Rejected("unauthenticated", str(error)) from error
        is_renewal = self._is_same_user(caller) and hello.events == self._wants_events
        if not self._is_same_user(caller):
            self.leave()
            self._seat = seat
        elif not is_renewal:
            hub.part(line.peer, caller)
        self.caller = caller
        self._authority = LOCAL if self._is_operator else authority_of(caller)
        if not is_renewal:
            # Until the greeting is made: if it fails, the next hello must make it.
            self._wants_events = None
        line.take_larger_frames()
        line.peer.hold()
        answer = b""
        try:
            if is_renewal or not hello.events:
                greeting = await hub.relist(line.peer, caller)
            else:
                greeting = await hub.greet(line.peer, caller)
            self._wants_events = hello.events
            answer = rpc.response_prefix(msgid) + self._welcome(caller, greeting)
        finally:
            line.peer.release(answer)
        log.info("hello", session=line.id, user=caller.user, peer=line.address, client=hello.client)

    async def _let_in(self, caller: Identity) -> Seat:
        """Give the seat of somebody whose token is good, unless it was revoked.

        Raises AuthError where it was, Rejected where there is no room; then nothing has changed.
        """
        services, is_new = self._services, not self._is_same_user(caller)
        # Seated before the store is asked: what is revoked from then on ends the session by its
        # seat, and what was revoked before is in the answer.
        self._arriving = caller
        try:
            seat = services.take_seat(caller, self) if is_new else self._seat
            assert seat is not None
            if is_revoked(caller, await self._hub.revoked_before_ms(caller)):
                raise AuthError("the token was revoked")
        except BaseException:
            if is_new:
                services.leave_seat(caller, self)
            raise
        finally:
            self._arriving = None
        return seat

    def _welcome(self, caller: Identity, greeting: Greeting) -> bytes:
        """Encode the result of a ``hello``."""
        services, hub = self._services, self._hub
        entries = {
            "user": caller.user,
            "session": self._line.id,
            "server": services.name,
            "protocol": 1,
            "store": hub.log.id,
            "time_ms": hub.ports.clock.now_ms(),
            "limits": shown_limits(services.limits, hub.rules.plan(caller.plan)),
            "account": {"head": greeting.account_head},
            "categories": list(hub.rules.categories),
        }
        encoded = [(key, codec.pack(value)) for key, value in entries.items()]
        encoded.append(("groups", greeting.page.groups))
        if greeting.page.next is not None:
            encoded.append(("next", codec.pack(greeting.page.next)))
        return codec.encode_map(encoded)

    def _is_same_user(self, caller: Identity) -> bool:
        known = self.caller
        return known is not None and (known.tenant, known.user) == (caller.tenant, caller.user)

    # --- the end

    @property
    def shown(self) -> tuple[Identity, ...]:
        """Give what the tokens say that were shown here and count: see ``Sitter``."""
        return tuple(each for each in (self.caller, self._arriving) if each is not None)

    def cut(self, message: str) -> bool:
        """End the session now, with a goodbye; says if it was not ending yet."""
        return self._line.cut("unauthenticated", message)

    def part(self) -> None:
        """Subscribe to nothing any more, and wait for no news. May be repeated."""
        if self._polls is not None:
            self._polls.end(self._line)
        if self.caller is not None:
            self._hub.part(self._line.peer, self.caller)

    def end(self) -> None:
        """Leave for good. The session is not referred to any more (``garbage.py``)."""
        self.leave()
        del self._line

    def leave(self) -> None:
        """Part, and be nobody again. May be repeated."""
        if self.caller is not None:
            self.part()
            self._services.leave_seat(self.caller, self)
            self.caller = self._seat = None
            self._authority = LOCAL if self._is_operator else None


def _expired() -> Rejected:
    return Rejected("unauthenticated", "the token has expired; say hello with a new one")
