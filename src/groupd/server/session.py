"""One connection: reads requests, knows who is asking, and passes them on.

Placement rules and theory of operation:
- The session's task reads. What changes a group goes into its mailbox with this session as the
  place for the answer, and the task reads on: so requests are pipelined without a task for each.
  What only reads is awaited, so that one connection has at most one read under way.
- All that goes out passes the ``Peer``; a writer task exists only while something waits there.
- Who somebody is comes from ``hello`` and nowhere else. What they may do is for the rules.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import structlog
import trio

from groupd.domain.base import Command, Identity, LiveQuery, Query
from groupd.domain.queries import Hello, OperatorCheck, OperatorLog, Ping
from groupd.engine.mail import RETRY_AFTER_MS
from groupd.engine.peer import BROKEN, PIECE_BYTES, Peer
from groupd.engine.reads import READS
from groupd.errors import AuthError, LogBroken, LogUnavailable, Rejected
from groupd.server import operator
from groupd.server.link import Link
from groupd.server.methods import Call, shown_limits, understand
from groupd.server.rates import Seat
from groupd.server.services import Services
from groupd.wire import codec, rpc
from groupd.wire.codec import Encoded

log = structlog.get_logger()


class Session:
    """One connection from accept to close. ``run`` is its task; it owns the link."""

    def __init__(self, link: Link, services: Services, *, is_operator: bool = False) -> None:
        self.link = link
        self.caller: Identity | None = None
        self.seat: Seat | None = None
        self.open_requests = 0
        self.peer = Peer(
            try_send=link.try_send,
            wake=self._start_writer,
            broken=self._hang_up,
            head_of=services.hub.outlets.reached,
            max_bytes=services.limits.backlog_max_bytes,
        )
        self._services = services
        self._hub = services.hub
        self._limits = services.limits
        self._is_operator = is_operator
        self._id = services.hub.ports.new_reference()
        self._unframer = rpc.Unframer(services.frame_limits)
        self._reading = trio.CancelScope()
        self._farewell: tuple[str, str, int | None] | None = None
        self._failed_hellos = 0
        self._opened_at = self._half_since = trio.current_time()
        self._wants_events: bool | None = None
        self._is_handling = False
        self._unflushed_bytes = 0
        self._relieved = trio.Event()
        self._is_writing = False

    # --- the task

    async def run(self) -> None:
        """Serve the connection until it ends; never raises but for a broken log."""
        try:
            with self._reading:
                await self._converse()
            await self._part_properly()
        except BROKEN:
            pass  # The peer has gone; there is nobody to tell.
        except LogBroken:
            raise
        except Exception:
            log.exception("session_failed", session=self._id, peer=self.link.peer)
        finally:
            self._leave_seat()
            self.peer.close()
            with trio.CancelScope(shield=True):
                await self.link.aclose()

    async def _converse(self) -> None:
        """Read and handle until the peer ends, errs, or is told goodbye."""
        while self._farewell is None:
            if self._is_congested:
                await self._wait_for_relief()
                self._half_since = trio.current_time()
            data = await self._receive()
            if not data:
                return
            await self._take_in(data)
            if self._farewell is not None:
                return
            self.flush()
            if self._unframer.error is not None:
                error = self._unframer.error
                self.say_goodbye(error.code, error.message)

    async def _take_in(self, data: bytes) -> None:
        """Handle the messages that some bytes complete.

        Not a part of the loop, because what was decoded must not be kept until the next read: it
        may be 75 times as large as its bytes.
        """
        messages = self._unframer.feed(data)
        is_complete = bool(messages)
        messages.reverse()
        while messages and self._farewell is None:
            # Before each: one read may bring hundreds, and each may ask for a whole page.
            if self._is_congested:
                await self._wait_for_relief()
            await self._handle(messages.pop())
        if is_complete:
            # What is left over, if anything, is a frame that has only begun.
            self._half_since = trio.current_time()

    async def _receive(self) -> bytes:
        """Read some bytes, under the deadline that holds now."""
        if self.caller is None and not self._is_operator:
            deadline_ms, what = self._limits.hello_deadline_ms, "the first request is overdue"
            deadline = self._opened_at + deadline_ms / 1_000
            size = self._limits.frame_before_hello_max_bytes
        elif self._unframer.partial:
            what = "half a frame has waited for too long"
            deadline = self._half_since + self._limits.half_frame_deadline_ms / 1_000
            size = self._limits.read_size_bytes
        else:
            data = await self.link.receive_some(self._limits.read_size_bytes)
            self._half_since = trio.current_time()
            return data
        with trio.move_on_at(deadline):
            return await self.link.receive_some(size)
        self.say_goodbye("bad_request", what)
        return b""

    # --- handling

    async def _handle(self, message: rpc.Message) -> None:
        if isinstance(message, rpc.Notification):
            return
        if isinstance(message, rpc.Response):
            self.say_goodbye("bad_request", "a client sends requests, not responses")
            return
        self._is_handling = True
        try:
            await self._serve(message)
        except Rejected as error:
            self.refuse_now(message.msgid, error)
        except LogUnavailable as error:
            unavailable = Rejected("unavailable", str(error), retry_after_ms=RETRY_AFTER_MS)
            self.refuse_now(message.msgid, unavailable)
        except (*BROKEN, LogBroken):
            raise
        except Exception:
            reference = self._hub.ports.new_reference()
            log.exception("request_failed", method=message.method, reference=reference)
            bug = Rejected("internal", "a bug; it was logged", reference=reference)
            self.refuse_now(message.msgid, bug)
        finally:
            self._is_handling = False

    async def _serve(self, message: rpc.Request) -> None:
        caller = self.caller
        if caller is None and message.method != Hello.method and not self._is_operator:
            raise Rejected("unauthenticated", "say hello first")
        call = understand(message, operator=self._is_operator)
        request = call.request
        self._charge(request.cost)
        if isinstance(request, Hello):
            await self._hello(message.msgid, request)
        elif isinstance(request, OperatorLog | OperatorCheck):
            self._answer(message.msgid, await operator.serve(self._hub.log, self._limits, request))
        elif caller is None:
            raise Rejected("unauthenticated", "say hello first")
        elif isinstance(request, Ping):
            self._answer(message.msgid, {"time_ms": self._hub.ports.clock.now_ms()})
        else:
            await self._pass_on(caller, call, message.msgid)

    async def _pass_on(self, caller: Identity, call: Call, msgid: int) -> None:
        """Give a request to the engine."""
        if self._services.has_expired(caller, self._hub.ports.clock.now_ms()):
            raise Rejected("unauthenticated", "the token has expired; say hello with a new one")
        request = call.request
        if request.through_account:
            # Awaited, because what this connection sends next may count on it: a post by somebody
            # who is joining must not be there before them.
            assert isinstance(request, Command | LiveQuery)
            answer = await self._hub.ask(
                caller, request, group=call.group, request_id=call.request_id
            )
            self._answer(msgid, answer)
            return
        if isinstance(request, Command | LiveQuery) and type(request) not in READS:
            self.open_requests += 1
            try:
                self._hub.submit(
                    caller,
                    request,
                    group=call.group,
                    request_id=call.request_id,
                    replies=self,
                    tag=msgid,
                )
            except Rejected:
                self.open_requests -= 1
                raise
            return
        assert isinstance(request, Query)
        result = await self._hub.read(caller, request, group=call.group, peer=self.peer)
        self._answer(msgid, result)

    def _charge(self, cost: int) -> None:
        if self.seat is None or not self._services.has_rate_limits:
            return
        retry_after_ms = self.seat.bucket.take(cost, trio.current_time())
        if retry_after_ms:
            raise Rejected("rate_limited", "too many requests", retry_after_ms=retry_after_ms)

    # --- hello

    async def _hello(self, msgid: int, hello: Hello) -> None:
        services, hub = self._services, self._hub
        now_ms = hub.ports.clock.now_ms()
        try:
            caller = services.verify(hello.token, now_ms)
        except AuthError as error:
            self._failed_hellos += 1
            if self._failed_hellos >= self._limits.hello_attempts_max:
                self.say_goodbye("unauthenticated", str(error))
                return
            raise Rejected("unauthenticated", str(error)) from error
        if caller.plan not in hub.rules.plans:
            raise Rejected("bad_request", f"no plan {caller.plan!r} is configured", field="token")
        is_renewal = self._is_same_user(caller) and hello.events == self._wants_events
        if not self._is_same_user(caller):
            seat = services.take_seat(caller)
            self._leave_seat()
            self.seat = seat
        elif not is_renewal:
            hub.part(self.peer, caller)
        self.caller = caller
        if not is_renewal:
            # Until the greeting is made: if it fails, the next hello must make it.
            self._wants_events = None
        self._unframer.frame_max_bytes = self._limits.frame_max_bytes
        self.peer.hold()
        answer = b""
        try:
            if is_renewal or not hello.events:
                greeting = await hub.relist(self.peer, caller)
            else:
                greeting = await hub.greet(self.peer, caller)
            self._wants_events = hello.events
            plan = hub.rules.plan(caller.plan)
            entries = {
                "user": caller.user,
                "session": self._id,
                "server": services.name,
                "protocol": 1,
                "store": hub.log.id,
                "time_ms": hub.ports.clock.now_ms(),
                "limits": shown_limits(self._limits, plan),
                "account": {"head": greeting.account_head},
                "categories": list(hub.rules.categories),
            }
            encoded = [(key, codec.pack(value)) for key, value in entries.items()]
            encoded.append(("groups", greeting.page.groups))
            if greeting.page.next is not None:
                encoded.append(("next", codec.pack(greeting.page.next)))
            answer = rpc.response_prefix(msgid) + codec.encode_map(encoded)
        finally:
            self.peer.release(answer)
        log.info(
            "hello", session=self._id, user=caller.user, peer=self.link.peer, client=hello.client
        )

    def _is_same_user(self, caller: Identity) -> bool:
        known = self.caller
        return known is not None and (known.tenant, known.user) == (caller.tenant, caller.user)

    def _leave_seat(self) -> None:
        """End what the session was subscribed to, as whoever it was."""
        if self.caller is not None:
            self._hub.part(self.peer, self.caller)
            self._services.leave_seat(self.caller)
            self.caller = self.seat = None

    # --- answers: the engine's ``Replies``

    def respond(self, tag: int, result: Mapping[str, Any]) -> None:
        """Answer a request that was passed on."""
        self.peer.answer(rpc.encode_response(tag, result))
        self._close_request()

    def refuse(self, tag: int, error: Rejected) -> None:
        """Refuse a request that was passed on."""
        self.peer.answer(rpc.encode_error(tag, error.to_wire()))
        self._close_request()

    def flush(self) -> None:
        """Send what has been answered."""
        self._unflushed_bytes = 0
        self.peer.flush()

    def refuse_now(self, msgid: int, error: Rejected) -> None:
        """Refuse a request that was not passed on."""
        self._say(rpc.encode_error(msgid, error.to_wire()))

    def _answer(self, msgid: int, result: Mapping[str, Any] | Encoded) -> None:
        if isinstance(result, Encoded):
            self._say(rpc.response_prefix(msgid) + result.data)
        else:
            self._say(rpc.encode_response(msgid, result))

    def _say(self, data: bytes) -> None:
        """Queue an answer; what has gathered leaves before it is much."""
        self.peer.answer(data)
        self._unflushed_bytes += len(data)
        if self._unflushed_bytes >= PIECE_BYTES:
            self.flush()

    def _close_request(self) -> None:
        self.open_requests -= 1
        if not self._is_congested:
            self._relieved.set()

    # --- congestion: a session that owes too much is not read from

    @property
    def _is_congested(self) -> bool:
        return (
            self.open_requests >= self._limits.requests_open_max
            or self.peer.waiting_bytes > self._limits.answers_max_bytes
        )

    async def _wait_for_relief(self) -> None:
        self.flush()
        while self._is_congested and not self.peer.closed:
            self._relieved = trio.Event()
            await self._relieved.wait()

    # --- writing

    def _start_writer(self) -> None:
        if not self._is_writing:
            self._is_writing = True
            self._services.start_soon(self._write)

    async def _write(self) -> None:
        """Send what waits, until nothing does."""
        try:
            while data := self.peer.take():
                await self.link.send_all(data)
                if not self._is_congested:
                    self._relieved.set()
        except BROKEN:
            self._hang_up()
        finally:
            self._is_writing = False
            self._relieved.set()

    def _hang_up(self) -> None:
        """Give up on a link that is broken."""
        self.peer.close()
        self._reading.cancel()

    # --- the end

    def say_goodbye(self, code: str, message: str, retry_after_ms: int | None = None) -> None:
        """End the session with one goodbye; the first reason counts.

        A request that is being read for is still answered.
        """
        if self._farewell is not None:
            return
        self._farewell = (code, message, retry_after_ms)
        if self._is_handling:
            drain_s = self._limits.drain_deadline_ms / 1_000
            self._reading.deadline = trio.current_time() + drain_s
        else:
            self._reading.cancel()

    async def _part_properly(self) -> None:
        """Answer what was asked, say why, and let the peer read it."""
        if self.peer.closed:
            return
        with trio.CancelScope(shield=True) as scope:
            scope.deadline = trio.current_time() + self._limits.drain_deadline_ms / 1_000
            while self.open_requests:
                self._relieved = trio.Event()
                await self._relieved.wait()
            scope.deadline = trio.current_time() + self._limits.close_grace_ms / 1_000
            if self.caller is not None:
                self._hub.part(self.peer, self.caller)
            if self._farewell is not None:
                self.peer.answer(goodbye_frame(*self._farewell))
                log.info("goodbye", session=self._id, peer=self.link.peer, code=self._farewell[0])
            self.peer.flush()
            while self._is_writing:
                self._relieved = trio.Event()
                await self._relieved.wait()
            self.link.send_eof()
            # Unread bytes at closing would reset the connection and destroy the goodbye.
            while await self.link.receive_some(self._limits.read_size_bytes):
                pass


def goodbye_frame(code: str, message: str, retry_after_ms: int | None = None) -> bytes:
    """Encode a ``goodbye``."""
    params: dict[str, Any] = {"code": code, "message": message}
    if retry_after_ms is not None:
        params["retry_after_ms"] = retry_after_ms
    return rpc.encode_notification("goodbye", params)
