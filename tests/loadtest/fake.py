"""A chat server in memory that keeps the protocol, for many users, and misbehaves when told to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import attrs
import trio

from groupd.client import Ports
from groupd.errors import Rejected
from groupd.loadtest import Load, LoadTest, Report, read_tickets
from groupd.server.link import LinkBroken
from groupd.testing.links import FakeLink, link_pair
from groupd.wire import rpc
from tests.client.fake_server import NOW_MS, CountingRandomness, FixedClock

URL: Final = "tcp://fake:1"
ROOM_BYTES: Final = 1 << 24

Event = dict[str, Any]


def token_of(user: str) -> str:
    return f"head.{user}.signature"


def tokens_of(count: int) -> str:
    return "\n".join(token_of(f"user-{number}") for number in range(count))


async def until(condition: Callable[[], bool]) -> None:
    """Wait until something is so that nobody tells us of."""
    while True:
        if condition():
            return
        await trio.sleep(0.001)


@attrs.define(eq=False)
class Visit:
    """One connection, on the server's side."""

    link: FakeLink
    user: str = ""

    def send(self, data: bytes) -> None:
        assert self.link.try_send(data) == len(data), "the client does not read"


@attrs.define(eq=False)
class Group:
    """A log, and who is in it."""

    name: str
    members: set[str]
    events: list[Event] = attrs.field(factory=list)
    is_over: bool = False


@attrs.define(eq=False)
class FakeServer:
    """Serves what a load test asks for. What it does wrong are its fields."""

    nursery: trio.Nursery
    groups: dict[str, Group] = attrs.field(factory=dict)
    visits: list[Visit] = attrs.field(factory=list)
    dials: list[float] = attrs.field(factory=list)
    """When each was made, on trio's clock."""
    store: str = "store-1"
    refused_users: frozenset[str] = frozenset()
    refuse_post: Callable[[int], Rejected | None] = lambda number: None
    """Given how many posts there were before; what it gives is the answer."""
    push: Callable[[str, Event], list[Event]] = lambda user, event: [event]
    """What a user is pushed in place of an event."""
    answer_seq: Callable[[int], int] = lambda seq: seq
    is_gone: bool = False
    """Whether nobody answers where it was."""
    is_silent: bool = False
    """Whether posts get no answer, and are not done."""
    posts: int = 0
    post_times: list[float] = attrs.field(factory=list)
    """When each post was read, on trio's clock."""
    create_leaves_out: frozenset[str] = frozenset()
    refuse_create: Rejected | None = None
    _ready: trio.Event = attrs.field(factory=trio.Event)

    def __attrs_post_init__(self) -> None:
        self._ready.set()

    # --- for tests

    def test(self, tokens: str, **settings: Any) -> LoadTest:
        ports = Ports(clock=FixedClock(), randomness=CountingRandomness(), dial=self.dial)
        load = Load(**{"rate_per_s": 100.0, "for_ms": 2_000, **settings})
        return LoadTest(load, read_tickets(tokens, "T"), url=URL, ports=ports, name="0a1b2c3d")

    async def load(self, users: int, **settings: Any) -> Report:
        return await self.test(tokens_of(users), **settings).run()

    async def until_posting(self, test: LoadTest) -> None:
        await until(lambda: test.phase == "posting")

    async def stall(self, at_s: float, for_s: float, test: LoadTest) -> None:
        """Read nothing for a while, some time after the posting has begun."""
        await self.until_posting(test)
        await trio.sleep(at_s)
        self._ready = trio.Event()
        await trio.sleep(for_s)
        self._ready.set()

    def cut(self, user: str) -> None:
        """Lose the connections of a user."""
        for visit in [each for each in self.visits if each.user == user]:
            visit.link.cut()

    def die(self) -> None:
        """Be gone, as by ``kill -9``."""
        self.is_gone = True
        for visit in list(self.visits):
            visit.link.cut()

    def found(self, name: str, *users: str) -> Group:
        """Make a group before anybody comes."""
        group = self.groups[name] = Group(name, set(users))
        for user in users:
            self.log(group, user, "joined")
        return group

    # --- the way in

    async def dial(self, url: str) -> FakeLink:
        await trio.lowlevel.checkpoint()
        self.dials.append(trio.current_time())
        if self.is_gone:
            raise ConnectionRefusedError
        ours, theirs = link_pair(capacity=ROOM_BYTES)
        self.nursery.start_soon(self._serve, Visit(theirs))
        return ours

    async def _serve(self, visit: Visit) -> None:
        unframer = rpc.Unframer(rpc.FrameLimits(1 << 20, 1 << 12, 1 << 10))
        self.visits.append(visit)
        try:
            while data := await visit.link.receive_some(65_536):
                for request in unframer.feed(data):
                    await self._ready.wait()
                    assert isinstance(request, rpc.Request)
                    self._answer(visit, request)
        except LinkBroken:
            pass
        finally:
            self.visits.remove(visit)
            await visit.link.aclose()

    def _answer(self, visit: Visit, request: rpc.Request) -> None:
        try:
            result = getattr(self, f"_{request.method}")(visit, **request.params)
        except Rejected as refusal:
            visit.send(rpc.encode_error(request.msgid, refusal.to_wire()))
        else:
            if result is not None:
                visit.send(rpc.encode_response(request.msgid, result))

    # --- what it serves

    def _hello(self, visit: Visit, token: str, **more: Any) -> dict[str, Any]:
        user = token.split(".")[1]
        if user in self.refused_users:
            raise Rejected("unauthenticated", "the token has expired")
        visit.user = user
        own = [each for each in self.groups.values() if user in each.members and not each.is_over]
        return {
            "user": user,
            "session": f"session-of-{user}",
            "server": "fake",
            "protocol": 1,
            "store": self.store,
            "time_ms": NOW_MS,
            "limits": {"frame_max_bytes": 65_536, "rate_per_s": 200, "rate_burst": 800},
            "account": {"head": 0},
            "groups": [{"group": each.name, "head": len(each.events)} for each in own],
        }

    def _create(self, visit: Visit, name: str, members: list[str], **more: Any) -> dict[str, Any]:
        if self.refuse_create is not None:
            raise self.refuse_create
        added = [visit.user, *(each for each in members if each not in self.create_leaves_out)]
        group = Group(f"G{len(self.groups)}-{name}", set())
        self.groups[group.name] = group
        for user in added:
            group.members.add(user)
            self.log(group, user, "joined")
        return {"group": group.name, "seq": 1}

    def _join(self, visit: Visit, group: str, **more: Any) -> dict[str, Any]:
        self.groups[group].members.add(visit.user)
        seq = self.log(self.groups[group], visit.user, "joined")
        return {"status": "joined", "group": group, "seq": seq}

    def _leave(self, visit: Visit, group: str, **more: Any) -> dict[str, Any]:
        self.groups[group].members.remove(visit.user)
        return {"seq": self.log(self.groups[group], visit.user, "left")}

    def _dissolve(self, visit: Visit, group: str, **more: Any) -> dict[str, Any]:
        self.groups[group].is_over = True
        return {"seq": self.log(self.groups[group], visit.user, "dissolved")}

    def _history(
        self, visit: Visit, group: str, limit: int, after: int | None = None, **more: Any
    ) -> dict[str, Any]:
        events = self.groups[group].events
        start = len(events) - limit if after is None else after
        page = events[max(0, start) :][:limit]
        return {"events": page, "head": len(events), "floor": 1, "more": False}

    def _post(self, visit: Visit, group: str, text: str, id: str) -> dict[str, Any] | None:
        self.post_times.append(trio.current_time())
        if self.is_silent:
            return None
        self.posts += 1
        refusal = self.refuse_post(self.posts - 1)
        if refusal is not None:
            raise refusal
        events = self.groups[group].events
        known = [each["seq"] for each in events if each.get("id") == id]
        seq = known[0] if known else self.log(self.groups[group], visit.user, "posted", text, id)
        return {"status": "posted", "seq": self.answer_seq(seq), "time_ms": NOW_MS}

    def log(self, group: Group, user: str, kind: str, text: str = "", id: str = "") -> int:
        """Set an event down, and push it to whoever is there."""
        seq = len(group.events) + 1
        event = {"group": group.name, "seq": seq, "time_ms": NOW_MS, "user": user, "kind": kind}
        event |= {"text": text, "id": id} if text else {}
        group.events.append(event)
        for visit in self.visits:
            if visit.user in group.members:
                for pushed in self.push(visit.user, event):
                    visit.send(rpc.encode_notification("event", pushed))
        return seq

    def lag(self, user: str, group: Group) -> None:
        """Say that a user's session has missed events."""
        for visit in self.visits:
            if visit.user == user:
                said = {"group": group.name, "head": len(group.events)}
                visit.send(rpc.encode_notification("lagged", said))
