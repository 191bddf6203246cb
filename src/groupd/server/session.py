"""One connection: its bytes, tasks and end. What is asked for stands in ``conversation.py``.

Placement rules and theory of operation:
- A session that has nothing to wait for has no task. Its link calls it when something can be read
  (``_on_readable``); it decodes all whole messages of one read and serves them in their order.
- What changes a group goes into its mailbox with this session as the place for the answer, and the
  session goes on: so requests are pipelined, and cost a plain call.
- What has to be waited for (a read of the store, a ``hello``, a client that does not read its
  answers) is done by a task that exists as long as that takes (``_work``), with the messages that
  came after it. Meanwhile the link is not read from: one connection has at most one read under way.
- All that goes out passes the ``Peer``; a writer task exists only while something waits there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import structlog
import trio

from groupd.domain.base import Identity
from groupd.engine.mail import RETRY_AFTER_MS
from groupd.engine.peer import BROKEN, PIECE_BYTES, Peer, goodbye_frame
from groupd.errors import LogBroken, LogUnavailable, Rejected
from groupd.server.conversation import Conversation, Later
from groupd.server.intake import Intake
from groupd.server.link import Link
from groupd.server.services import BUSY_RETRY_MS, Services
from groupd.wire import rpc
from groupd.wire.codec import Encoded

log = structlog.get_logger()


class Session:
    """One connection, and the owner of its link; ``closed`` is called when that is about to end."""

    __slots__ = (
        "_closed",
        "_conversation",
        "_draining",
        "_farewell",
        "_has_deadline",
        "_hub",
        "_intake",
        "_is_cut",
        "_is_ending",
        "_is_handling",
        "_is_writing",
        "_limits",
        "_messages",
        "_opened_at",
        "_relieved",
        "_services",
        "_unflushed_bytes",
        "_working",
        "address",
        "id",
        "is_operator",
        "link",
        "open_requests",
        "peer",
    )

    def __init__(
        self,
        link: Link,
        services: Services,
        *,
        is_operator: bool = False,
        closed: Callable[[Session], None],
    ) -> None:
        self.id = services.hub.ports.new_reference()
        self.link, self.address = link, link.peer
        self.is_operator, self.open_requests = is_operator, 0
        self.peer = Peer(
            try_send=link.send,
            wake=self._start_writer,
            broken=self._hang_up,
            head_of=services.hub.outlets.reached,
            max_bytes=services.limits.backlog_max_bytes,
            backlogs=services.hub.backlogs,
        )
        self._services, self._hub = services, services.hub
        self._limits, self._closed = services.limits, closed
        self._conversation = Conversation(self, services, is_operator=is_operator)
        self._intake = Intake(link, services, self._on_readable)
        if is_operator:
            self._intake.take_larger_frames()
        # What was read and is not served yet, the next one last.
        self._messages: list[rpc.Message] = []
        self._farewell: tuple[str, str, int | None] | None = None
        self._opened_at = trio.current_time()
        self._unflushed_bytes, self._is_cut = 0, False
        self._has_deadline = self._is_handling = self._is_writing = self._is_ending = False
        self._working: trio.CancelScope | None = None  # While a task waits for something.
        self._draining: trio.CancelScope | None = None  # While it waits for its last answers.
        self._relieved: trio.Event | None = None

    @property
    def caller(self) -> Identity | None:
        """Give who is asking; None before ``hello``."""
        return self._conversation.caller

    # --- reading

    def open(self) -> None:
        """Begin: from now on the link is read from."""
        self._intake.watch()
        self._note_deadline()

    def _on_readable(self) -> None:
        """Read once, and serve what that completes."""
        if self._working is not None or self._is_ending:
            # Only now, since a request that waits is mostly answered before the next one comes.
            self._intake.unwatch()
            return
        try:
            messages = self._intake.read()
            if messages is None:
                self._end()
                return
            messages.reverse()
            self._messages = messages
            later = self._serve_some()
            if later is not None or (self._messages and self._farewell is None):
                self._working = trio.CancelScope()
                self._services.start_soon(self._work, later)
            else:
                self._pause()
        except BROKEN:
            self._hang_up()
        except Exception:
            log.exception("session_failed", session=self.id, peer=self.link.peer)
            self._hang_up()

    def take_larger_frames(self) -> None:
        """Read as much at once as from somebody who is known."""
        self._intake.take_larger_frames()

    def slow_down(self) -> None:
        """Read less, and after a rest: the user asks for more than their rate."""
        self._intake.slow_down()

    def _serve_some(self) -> Later | None:
        """Serve what was read, until it is done or something has to be waited for.

        Gives what that is; None where all is served, or where the client is congested.
        """
        messages, serve, peer = self._messages, self._conversation.begin(), self.peer
        open_max, owed_max = self._limits.requests_open_max, self._limits.answers_max_bytes
        while messages and self._farewell is None:
            # As ``_is_congested``, which would be a call for each message.
            if self.open_requests >= open_max or peer.waiting_bytes > owed_max:
                break
            message = messages.pop()
            if type(message) is rpc.Request:
                try:
                    work = serve(message)
                except Exception as error:
                    self.refuse_for(message, error)
                else:
                    if work is not None:
                        return self._guarded(message, work)
            elif type(message) is rpc.Response:
                self.say_goodbye("bad_request", "a client sends requests, not responses")
        return None

    def _pause(self) -> None:
        """Be done with what was read."""
        # Decoded messages may be 75 times as large as their bytes.
        self._messages = []
        if self._unflushed_bytes:
            self.flush()
        error = self._intake.error
        if error is not None:
            self.say_goodbye(error.code, error.message)
        if self._farewell is not None:
            self._end()
            return
        if self._intake.has_half_a_frame:
            self._note_deadline()
        self._intake.rest()

    # --- waiting

    async def _work(self, later: Later | None) -> None:
        """Wait for what has to be waited for, and serve what was read after it."""
        assert self._working is not None
        try:
            with self._working:
                while later is not None or (self._messages and self._farewell is None):
                    if later is not None:
                        await self._attempt(later)
                    if self._is_congested:
                        await self._wait_for_relief()
                        if self.peer.closed:
                            break  # Nobody is left to answer, and nothing below would wait.
                    later = self._serve_some()
        except BROKEN:
            self.peer.close()
        except LogBroken:
            raise
        except Exception:
            log.exception("session_failed", session=self.id, peer=self.link.peer)
            self.peer.close()
        finally:
            self._working = None
        if self.peer.closed:
            self._end()
            return
        self._intake.half_since_s = trio.current_time()
        self._pause()
        if not self._is_ending:
            self._intake.watch()

    async def _attempt(self, later: Later) -> None:
        self._is_handling = True
        try:
            await later()
        finally:
            self._is_handling = False

    # --- deadlines: for the first request, and for the rest of half a frame

    def _note_deadline(self) -> None:
        if not self._has_deadline:
            deadline_s = self._review()
            if deadline_s is not None:
                self._has_deadline = True
                self._services.deadlines.add(deadline_s, self._review)

    def _review(self) -> float | None:
        """Give what deadline holds now; end a session that has let it pass."""
        self._has_deadline = False
        if self._is_ending:
            return None
        if not self._conversation.is_known:
            deadline_s = self._opened_at + self._limits.hello_deadline_ms / 1_000
            what = "the first request is overdue"
        elif self._intake.has_half_a_frame:
            since_s = self._intake.half_since_s if self._working is None else trio.current_time()
            deadline_s = since_s + self._limits.half_frame_deadline_ms / 1_000
            what = "half a frame has waited for too long"
        else:
            return None
        if deadline_s <= trio.current_time():
            # Perhaps only the network was slow: then it may be in time the next time.
            self.say_goodbye("bad_request", what, self._services.jitter(BUSY_RETRY_MS))
            return None
        self._has_deadline = True
        return deadline_s

    # --- handling

    def _guarded(self, message: rpc.Request, work: Later) -> Later:
        """Give what a request has to wait for, with an answer whatever becomes of it."""

        async def later() -> None:
            try:
                await work()
            except (*BROKEN, LogBroken):
                raise
            except Exception as error:
                self.refuse_for(message, error)

        return later

    def refuse_for(self, message: rpc.Request, error: Exception) -> None:
        """Answer a request with what went wrong."""
        if isinstance(error, Rejected):
            refusal = error
        elif isinstance(error, LogUnavailable):
            refusal = Rejected("unavailable", str(error), retry_after_ms=RETRY_AFTER_MS)
        else:
            reference = self._hub.ports.new_reference()
            log.error("request_failed", method=message.method, reference=reference, exc_info=error)
            refusal = Rejected("internal", "a bug; it was logged", reference=reference)
        self.refuse_now(message.msgid, refusal)

    # --- answers: the engine's ``Replies``

    def respond(self, tag: int, result: Mapping[str, Any]) -> None:
        """Answer a request that was passed on."""
        self.peer.answer(rpc.encode_response(tag, result))
        self.open_requests -= 1
        if self._relieved is not None:
            self._relieve()

    def refuse(self, tag: int, error: Rejected) -> None:
        """Refuse a request that was passed on."""
        self._services.refused[error.code] += 1
        self.peer.answer(rpc.encode_error(tag, error.to_wire()))
        self.open_requests -= 1
        self._relieve()

    def flush(self) -> None:
        """Send what has been answered."""
        self._unflushed_bytes = 0
        self.peer.flush()

    def refuse_now(self, msgid: int, error: Rejected) -> None:
        """Refuse a request that was not passed on."""
        self._services.refused[error.code] += 1
        self._say(rpc.encode_error(msgid, error.to_wire()))

    def answer(self, msgid: int, result: Mapping[str, Any] | Encoded) -> None:
        """Answer a request that was not passed on."""
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
            await self._wait_for_change()

    def _relieve(self) -> None:
        if self._relieved is not None and not self._is_congested:
            self._relieved.set()

    async def _wait_for_change(self) -> None:
        """Wait until something has left or was answered."""
        self._relieved = trio.Event()
        await self._relieved.wait()
        self._relieved = None

    # --- writing

    def _start_writer(self) -> None:
        if self._is_writing:
            return
        self._is_writing = True
        self._services.start_soon(self._write)

    async def _write(self) -> None:
        """Send what waits, until nothing does."""
        try:
            while data := self.peer.take():
                await self.link.send_all(data)
                self._relieve()
        except BROKEN:
            self._hang_up()
        finally:
            self._is_writing = False
            if self._relieved is not None:
                self._relieved.set()

    def _hang_up(self) -> None:
        """Give up on a link that is broken."""
        self.peer.close()
        if self._working is not None:
            self._working.cancel()
        else:
            self._end()

    # --- the end

    def say_goodbye(self, code: str, message: str, retry_after_ms: int | None = None) -> None:
        """End the session with one goodbye; the first reason counts.

        A request that is being read for is still answered.
        """
        if self._farewell is not None:
            return
        self._farewell = (code, message, retry_after_ms)
        if self._working is None:
            self._end()
        elif self._is_handling:
            drain_s = self._limits.drain_deadline_ms / 1_000
            self._working.deadline = trio.current_time() + drain_s
        else:
            self._working.cancel()

    def cut(self, code: str, message: str) -> bool:
        """End the session now: it hears nothing more, and waits for next to nothing."""
        self._is_cut, is_new = True, self._farewell is None
        self._farewell = self._farewell or (code, message, None)
        self._conversation.part()
        if self._draining is not None:
            self._draining.deadline = trio.current_time() + self._limits.cut_deadline_ms / 1_000
        if self._working is not None:
            self._working.cancel()
        else:
            self._end()
        return is_new

    def _end(self) -> None:
        """Read nothing more, and let a task say what is still to be said."""
        if not self._is_ending:
            self._is_ending = True
            self._intake.unwatch()
            self._services.start_soon(self._part)

    async def _part(self) -> None:
        try:
            await self._part_properly()
        except BROKEN:
            pass  # The peer has gone; there is nobody to tell.
        except Exception:
            log.exception("session_failed", session=self.id, peer=self.link.peer)
        finally:
            self._conversation.end()
            self._intake.close()
            self.peer.close()
            self._closed(self)  # There is room by the time that the peer can see the end.
            with trio.CancelScope(shield=True):
                await self.link.aclose()

    async def _part_properly(self) -> None:
        """Answer what was asked, say why, and let the peer read it."""
        if self.peer.closed:
            return
        with trio.CancelScope(shield=True) as scope:
            ms = self._limits.cut_deadline_ms if self._is_cut else self._limits.drain_deadline_ms
            with trio.move_on_after(ms / 1_000) as self._draining:
                while self.open_requests:
                    await self._wait_for_change()
            if self._draining.cancelled_caught and not self._is_cut:
                return  # It has waited for long enough.
            scope.deadline = trio.current_time() + self._limits.close_grace_ms / 1_000
            self._conversation.part()
            if self._farewell is not None:
                self.peer.answer(goodbye_frame(*self._farewell))
                log.info("goodbye", session=self.id, peer=self.link.peer, code=self._farewell[0])
            self.peer.flush()
            while self._is_writing:
                await self._wait_for_change()
            self.link.send_eof(self._farewell[0] if self._farewell else "")
            # Unread bytes at closing would reset the connection and destroy the goodbye.
            while await self.link.receive_some(self._limits.read_size_bytes):
                pass
