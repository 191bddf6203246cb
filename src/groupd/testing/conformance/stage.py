"""The stage of a scenario: a small server of one user, which keeps the protocol unless told not to.

Theory of operation. Each connection is a ``Visit`` with a task that reads it. Requests are served
from the logs here, unless the scenario has put a hook in the place of a method. All that the
client does is noted; what is wrong in every scenario alike (no hello first, a post without an id, a
second id for the same words) is a ``fault``, raised to the scenario at its next ``until``.

A scenario has a group of its own, so that what came of the one before does not count.
"""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

import orjson
import trio

from groupd.config import CONTENT, Limits
from groupd.domain.fields import request_id_ms
from groupd.engine.ports import Clock
from groupd.errors import Rejected
from groupd.server.link import Link, LinkBroken
from groupd.testing.conformance.visit import Asked, Hook, Visit, Wrong
from groupd.wire import rpc

T = TypeVar("T")

USER: Final = "tester"
OTHER: Final = "mei"
GROUP_LENGTH: Final = 16
TOKEN_LIVES_MS: Final = 12 * 3_600_000
READ_BYTES: Final = 65_536
REQUESTS_MAX: Final = 5_000
"""What a client may send in one scenario; above that it is out of its mind."""
HELLOS_MAX: Final = 3
"""The failed hello of a connection that is answered by a goodbye."""
SETTLE_S: Final = 0.2
IDS_AHEAD_MS: Final = 5 * 60_000
IDS_WINDOW_MS: Final = 24 * 3_600_000


class ScriptedServer:
    """A server of one user. ``serve`` each link in a task; a scenario does the rest."""

    def __init__(self, *, clock: Clock, timeout_s: float) -> None:
        self._clock = clock
        self._timeout_s = timeout_s
        self._changed = trio.lowlevel.ParkingLot()
        self._frames = rpc.FrameLimits(Limits().frame_max_bytes, 1 << 12, 1 << 12)
        self._tokens: list[str] = []
        self._visits_count = 0
        self.visit: Visit | None = None
        """The connection of the moment, once its hello is answered."""
        self.is_listening = False
        """Whether the client has said that it is ready, ever."""
        self.ahead_ms = 0
        """How far the server's clock is ahead of this machine's."""
        self.store = "conformance-1"
        self._new_stage("greeting")

    def _new_stage(self, name: str) -> None:
        self.group = name.ljust(GROUP_LENGTH, "-")[:GROUP_LENGTH]
        self.log: list[dict[str, Any]] = []
        self.asked: list[Asked] = []
        self.visits: list[Visit] = []
        self.hooks: dict[str, Hook] = {}
        self.on_visit: Callable[[Visit], Awaitable[bool]] | None = None
        self.fault: Wrong | None = None
        self.refused_tokens: set[str] = set()
        self._results: dict[str, tuple[str, dict[str, Any]]] = {}
        self._id_of: dict[str, str] = {}
        self._said: dict[str, str] = {}
        self.record("joined", user=USER, via="added", member=USER, name=USER, role="member")

    # --- for the scenario

    @property
    def was_visited(self) -> bool:
        """Whether anybody has ever connected."""
        return self._visits_count > 0

    def restore(self) -> None:
        """Be restored from a backup: another store, and nothing in the log but the joining."""
        self.store += "-restored"
        del self.log[1:]
        self._results.clear()
        self._id_of.clear()
        self._said.clear()

    async def begin(self, name: str) -> Visit:
        """Clear the stage and wait for a client that listens on it; give its connection."""
        self._new_stage(name)
        visit = self.visit
        if visit is not None and not visit.is_over:
            # Nothing but this push says that a group was joined.
            self.visits.append(visit)
            await visit.push("event", **self.log[0])
        await self.connected()
        await self.until(
            lambda: self.is_listening, "a post of `ready` to the first group, once it listens"
        )
        return await self.connected()

    async def connected(self, *, after: Visit | None = None) -> Visit:
        """Wait for a connection that is welcomed, later than ``after``."""

        def current() -> Visit | None:
            visit = self.visit
            if visit is None or visit.is_over or visit is after:
                return None
            return visit

        return await self.until(current, "a connection and a hello")

    async def until(self, look: Callable[[], T | None], expected: str) -> T:
        """Wait until ``look`` gives something; raises Wrong where it does not in time."""
        found = await self.within(self._timeout_s, look)
        if not found:
            raise Wrong(expected=expected, got=self.last_words())
        return found

    async def within(self, timeout_s: float, look: Callable[[], T | None]) -> T | None:
        """Wait until ``look`` gives something, and give it; None where it does not in time."""
        with trio.move_on_after(timeout_s):
            while True:
                if self.fault is not None:
                    raise self.fault
                found = look()
                if found:
                    return found
                await self._changed.park()
        return None

    async def say(self, text: str, *, push: bool = True) -> int:
        """Have somebody else post; give the seq."""
        seq = self.record("posted", user=OTHER, text=text)
        if push and self.visit is not None:
            await self.visit.push("event", **self.log[-1])
        return seq

    def record(self, kind: str, **fields: Any) -> int:
        """Add an event to the log, and push it to nobody."""
        seq = len(self.log) + 1
        header = {"group": self.group, "seq": seq, "time_ms": self.now_ms(), "kind": kind}
        self.log.append(header | fields)
        return seq

    async def heard(self, *seqs: int) -> None:
        """Wait until the client has said of exactly these posts, in order, that it heard them."""
        wanted = list(seqs)

        def all_of_them() -> bool:
            heard = self.what_was_heard()
            if heard != wanted[: len(heard)]:
                raise Wrong(
                    expected=f"each message once and in order: {_words(wanted)}",
                    got=_words(heard),
                )
            return len(heard) == len(wanted)

        await self.until(all_of_them, f"{_words(wanted)}, each once")

    async def heard_in_any_order(self, *seqs: int) -> None:
        """Wait until the client has said of each of these posts that it heard it."""
        await self.until(
            lambda: sorted(self.what_was_heard()) == sorted(seqs),
            f"{_words(list(seqs))}, each once",
        )

    async def settle(self) -> None:
        """Let the last answer arrive, since closing may destroy what is on its way."""
        await trio.sleep(SETTLE_S)

    def refuse_tokens(self) -> None:
        """Take none of the tokens that were issued so far any more."""
        self.refused_tokens.update(self._tokens)

    def what_was_heard(self) -> list[int]:
        """Give the seqs of what the client said that it heard, in its order."""
        words = [text.partition(" ") for text in self._said.values()]
        return [int(seq) for verb, _, seq in words if verb == "heard" and seq.isdigit()]

    def sent(self, method: str, **params: Any) -> list[Asked]:
        """Give the requests of a method in this scenario that have these params."""
        return [
            each
            for each in self.asked
            if each.method == method and all(each.params.get(k) == v for k, v in params.items())
        ]

    def last_words(self) -> str:
        """Say what the client did last."""
        where = "it is connected" if self.visit and not self.visit.is_over else "no connection"
        if not self.asked:
            return f"nothing ({where})"
        last = [f"{each.method} {_short(each.params)}".strip() for each in self.asked[-3:]]
        return f"at last {', '.join(last)} ({where})"

    def now_ms(self) -> int:
        """Give the time on the server's clock."""
        return self._clock.now_ms() + self.ahead_ms

    def new_token(self) -> str:
        """Issue a token. It is nothing but an expiry and a number, and proves nothing."""
        claims = {
            "sub": USER,
            "aud": "groupd",
            "exp": (self.now_ms() + TOKEN_LIVES_MS) // 1_000,
            "jti": str(len(self._tokens) + 1),
        }
        parts = ({"alg": "none", "typ": "JWT"}, claims)
        words = [base64.urlsafe_b64encode(orjson.dumps(part)).decode() for part in parts]
        token = ".".join((*(word.rstrip("=") for word in words), "conformance"))
        self._tokens.append(token)
        return token

    # --- connections

    async def serve(self, link: Link) -> None:
        """Serve a connection to its end; the link is closed then."""
        self._visits_count += 1
        visit = Visit(link, self._visits_count, trio.current_time())
        self.visits.append(visit)
        self._changed.unpark_all()
        try:
            if self.on_visit is not None and await self.on_visit(visit):
                return
            await self._read(visit)
        except LinkBroken:
            pass
        finally:
            if not visit.is_over:
                visit.is_over, visit.ended_s = True, trio.current_time()
            self._changed.unpark_all()
            with trio.CancelScope(shield=True):
                await link.aclose()

    async def _read(self, visit: Visit) -> None:
        unframer = rpc.Unframer(self._frames)
        while data := await visit.link.receive_some(READ_BYTES):
            for message in unframer.feed(data):
                if isinstance(message, rpc.Request):
                    await self._take(visit, message)
                elif isinstance(message, rpc.Response):
                    self._blame("requests and notifications only", "a response")
                if visit.is_over:
                    return
            if unframer.error is not None:
                self._blame("MessagePack-RPC", f"bytes that are not: {unframer.error.message}")
                await visit.goodbye(unframer.error.code, unframer.error.message)
                return

    async def _take(self, visit: Visit, request: rpc.Request) -> None:
        asked = Asked(visit, request.msgid, request.method, request.params, trio.current_time())
        self.asked.append(asked)
        if len(self.asked) > REQUESTS_MAX:
            self._blame(f"at most {REQUESTS_MAX} requests", "more")
            await visit.cut()
            return
        if not visit.is_welcome and request.method != "hello":
            self._blame("hello as the first request", f"{request.method} before it")
            await visit.answer(asked, Rejected("unauthenticated", "say hello first"))
        else:
            hook = self.hooks.get(request.method)
            if hook is None or not await hook(asked):
                await self.serve_request(asked)
        self._changed.unpark_all()

    def _blame(self, expected: str, got: str) -> None:
        self.fault = self.fault or Wrong(expected=expected, got=got)
        self._changed.unpark_all()

    # --- requests

    async def serve_request(self, asked: Asked) -> None:
        """Serve a request as the protocol says."""
        serve = {
            "hello": self._hello,
            "groups": self._groups,
            "sync": self._sync,
            "history": self._history,
            "account_history": self._account_history,
            "ping": self._ping,
            "post": self.post,
        }.get(asked.method)
        if serve is None:
            unknown = Rejected("unknown_method", f"{asked.method} is not played here")
            await asked.visit.answer(asked, unknown)
            return
        result = await serve(asked)
        if result is not None:
            await asked.visit.answer(asked, result)
            if asked.method == "post" and isinstance(result, dict):
                # Only now: what is not answered is sent again after a cut, and rightly so.
                self._said.setdefault(asked.params["id"], asked.params["text"])

    async def _hello(self, asked: Asked) -> dict[str, Any] | Rejected | None:
        visit, token = asked.visit, asked.params.get("token")
        if token not in self._tokens:
            self._blame("a token from the URL", f"hello with the token {_short(token)}")
            return await self._refuse_hello(visit, "this token proves nothing")
        if token in self.refused_tokens:
            return await self._refuse_hello(visit, "this token has expired")
        result = {
            "user": USER,
            "session": f"visit-{visit.number}",
            "server": "groupd conformance",
            "protocol": 1,
            "store": self.store,
            "time_ms": self.now_ms(),
            "limits": {
                "frame_max_bytes": Limits().frame_max_bytes,
                "ids_ahead_ms": IDS_AHEAD_MS,
                "later": {"unknown": [1, None]},
            },
            "account": {"head": 0},
            "categories": [],
            "groups": [self._listed()],
            "later": True,
        }
        # Answered here, so that no push can overtake it.
        await visit.answer(asked, result)
        visit.is_welcome = True
        self.visit = visit
        return None

    async def _refuse_hello(self, visit: Visit, message: str) -> Rejected | None:
        visit.refusals += 1
        if visit.refusals < HELLOS_MAX:
            return Rejected("unauthenticated", message)
        await visit.goodbye("unauthenticated", message)
        return None

    def _listed(self) -> dict[str, Any]:
        return {
            "group": self.group,
            "name": "Conformance",
            "picture": "",
            "role": "member",
            "head": len(self.log),
            "read": len(self.log),
            "unread": 0,
            "mentions": 0,
            "do_not_disturb": False,
            "chat_pinned": False,
        }

    async def _groups(self, asked: Asked) -> dict[str, Any]:
        return {"groups": [] if asked.params.get("after") else [self._listed()]}

    async def _sync(self, asked: Asked) -> dict[str, Any] | Rejected:
        cursors = asked.params.get("cursors")
        if not isinstance(cursors, dict):
            return Rejected("bad_request", "expected a map of cursors", field="cursors")
        after = cursors.get(self.group)
        return {"groups": [] if after is None else [self._page(after, CONTENT.history_page_max)]}

    async def _history(self, asked: Asked) -> dict[str, Any] | Rejected:
        params = asked.params
        if params.get("group") != self.group:
            return Rejected("not_found", "no such group")
        limit = params.get("limit") or CONTENT.history_page
        before = params.get("before")
        if params.get("after") is None:
            end = len(self.log) if before is None else before - 1
            return self._page(max(0, end - limit), limit, end=end)
        return self._page(params["after"], limit)

    def _page(self, after: int, limit: int, *, end: int | None = None) -> dict[str, Any]:
        head = len(self.log)
        events = self.log[after : min(after + limit, head if end is None else end)]
        return {
            "group": self.group,
            "events": events,
            "head": head,
            "floor": 1,
            "more": after + len(events) < head if end is None else after > 0,
        }

    async def _account_history(self, asked: Asked) -> dict[str, Any]:
        return {"events": [], "head": 0, "more": False}

    async def _ping(self, asked: Asked) -> dict[str, Any]:
        return {"time_ms": self.now_ms()}

    async def post(self, asked: Asked) -> dict[str, Any] | Rejected:
        """Write a post down, once for each id, and push it."""
        text, id = asked.params.get("text"), asked.params.get("id")
        if not isinstance(text, str) or not isinstance(id, str):
            self._blame("a post with a text and an id", f"post {_short(asked.params)}")
            return Rejected("bad_request", "expected a text and an id", field="id")
        if asked.params.get("group") != self.group:
            # Something of an earlier scenario.
            return Rejected("not_found", "no such group")
        try:
            made_ms = request_id_ms(id)
        except Rejected as refused:
            self._blame("an id that is a UUIDv7", f"the id {id!r}")
            return refused
        now_ms = self.now_ms()
        if not now_ms - IDS_WINDOW_MS < made_ms < now_ms + IDS_AHEAD_MS:
            off_s = (made_ms - now_ms) // 1_000
            self._blame(
                "ids on the server's clock, as `time_ms` of hello tells it", f"one {off_s} s off"
            )
            return Rejected("stale_id", "not of this time", time_ms=now_ms, oldest_ms=0)
        known = self._results.get(id)
        if known is not None:
            if known[0] != text:
                self._blame("an id for each thing that is said", f"one id for two: {id!r}")
                return Rejected("conflict", "used before", reason="id_reused")
            return known[1]
        if text == "ready":
            self.is_listening = True
        elif self._id_of.setdefault(text, id) != id:
            self._blame(f"{text!r} said once, with the same id each time", "a second id for it")
        seq = self.record("posted", user=USER, text=text, id=id)
        result = {"status": "posted", "seq": seq, "time_ms": now_ms}
        self._results[id] = (text, result)
        if self.visit is not None and not self.visit.is_over:
            await self.visit.push("event", **self.log[-1])
        return result


def _words(seqs: list[int]) -> str:
    if not seqs:
        return "none"
    if len(seqs) > 8:
        return f"heard {seqs[0]} ... {seqs[-1]} ({len(seqs)} of them)"
    return ", ".join(f"heard {seq}" for seq in seqs)


def _short(value: Any) -> str:
    text = orjson.dumps(value, default=str).decode()
    return text if len(text) <= 80 else f"{text[:77]}..."
