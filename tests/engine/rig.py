"""What the tests of the engine share: a hub on a store in memory, and a log that can be held up."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar

import attrs
import trio
import trio.testing

from groupd.config import PLANS, Config, Limits, Plan
from groupd.domain.base import GROUP, Identity, Record, StreamKey
from groupd.domain.links import LinkKeys
from groupd.engine.hub import Hub, open_hub
from groupd.engine.peer import Peer
from groupd.engine.ports import Ports
from groupd.errors import LogError, Rejected
from groupd.storage.log import InlineLog, Log
from groupd.storage.memory import MemoryStore
from groupd.storage.port import AppendAll, PutPosition, Store, Write
from groupd.storage.rounds import Done
from groupd.testing.fakes import fake_ports
from groupd.wire import codec, rpc

T = TypeVar("T")

KEYS: Final = LinkKeys({"k": b"x" * 32}, "k")
EVERYTHING: Final = 1_000_000


def play(main: Callable[[], Awaitable[T]]) -> T:
    """Run to the end on a clock of its own that jumps whenever all tasks wait."""
    return trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


class Tap:
    """A peer whose link takes everything, each time in ``takes_s`` of a clock that jumps."""

    def __init__(self, *, takes_s: float = 0) -> None:
        self.sends: list[bytes] = []
        self.times_s: list[float] = []
        self._takes_s = takes_s
        self.peer = Peer(
            try_send=self._try_send,
            wake=lambda: None,
            broken=lambda: None,
            head_of=lambda stream: 0,
            max_bytes=1_000,
        )

    @property
    def got(self) -> bytes:
        return b"".join(self.sends)

    def _try_send(self, data: bytes) -> int:
        self.sends.append(data)
        self.times_s.append(trio.current_time())
        if self._takes_s:
            trio.lowlevel.current_clock().jump(self._takes_s)  # type: ignore[attr-defined]
        return len(data)


def frame(seq: int) -> bytes:
    """Make what stands for the frame of an event."""
    return b"%03d," % seq


def group_key(group: str) -> StreamKey:
    return StreamKey(GROUP, "", group)


def new_store() -> MemoryStore:
    return MemoryStore("store")


@asynccontextmanager
async def hub_on(
    log: Log | MemoryStore | None = None,
    *,
    ports: Ports | None = None,
    limits: Limits | None = None,
    plans: Mapping[str, Plan] = PLANS,
) -> AsyncIterator[Hub]:
    """Open a hub; a store is taken as it is, so that another hub can go on with it."""
    if log is None or isinstance(log, MemoryStore):
        log = InlineLog(log or new_store())
    config = Config(limits=limits or Limits(), plans=plans)
    async with open_hub(log=log, ports=ports or fake_ports(), links=KEYS, config=config) as hub:
        yield hub


async def settle(rounds: int = 30) -> None:
    """Let all tasks come to where they wait, without time passing."""
    for _ in range(rounds):
        await trio.lowlevel.checkpoint()


def records_of(store: Store, stream: StreamKey) -> Sequence[Record]:
    return store.read(stream, 0, EVERYTHING).records


def kinds_of(store: Store, stream: StreamKey) -> list[str]:
    return [record.kind for record in records_of(store, stream)]


class GateLog(Log):
    """A log that does its writes when told to, and fails those it is told to."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._log = InlineLog(store)
        self.id = self._log.id
        self.appends: list[AppendAll] = []
        """Those that were asked for."""
        self.positions: list[PutPosition] = []
        self.failures: deque[LogError] = deque()
        """What befalls the next appends, instead of being done."""
        self.read_failures: deque[LogError] = deque()
        self._is_open = True
        self._waiting: deque[tuple[Write, Done]] = deque()

    def shut(self) -> None:
        self._is_open = False

    def open(self) -> None:
        self._is_open = True
        self._go_on()

    def begin(self, write: Write, done: Done) -> None:
        if isinstance(write, AppendAll):
            self.appends.append(write)
        elif isinstance(write, PutPosition):
            self.positions.append(write)
        self._waiting.append((write, done))
        if self._is_open:
            self._go_on()

    def _go_on(self) -> None:
        """Do what waits. What is said to be done may cause more, which is done here, too."""
        while self._waiting and self._is_open:
            write, done = self._waiting.popleft()
            if isinstance(write, AppendAll) and self.failures:
                done(self.failures.popleft())
            else:
                self._log.begin(write, self._late(done))

    def _late(self, done: Done) -> Done:
        return done

    async def read(self, query: Callable[[Store], T]) -> T:
        if self.read_failures:
            raise self.read_failures.popleft()
        return await self._log.read(query)


class LateLog(GateLog):
    """Says only some time later that it has written, or what it has read."""

    def __init__(self, store: MemoryStore) -> None:
        super().__init__(store)
        self.is_late = False
        self._unsaid: list[tuple[Done, BaseException | None]] = []
        self._late_read: trio.Event | None = None
        self._skip = 0

    def delay_a_read(self, *, skip: int = 0) -> trio.Event:
        """Make one of the next reads wait, once it is done, for the event that this gives."""
        self._late_read, self._skip = trio.Event(), skip
        return self._late_read

    def _late(self, done: Done) -> Done:
        return (lambda error: self._unsaid.append((done, error))) if self.is_late else done

    def say(self) -> None:
        """Say what was done meanwhile, and from now on at once."""
        self.is_late = False
        unsaid, self._unsaid = self._unsaid, []
        for done, error in unsaid:
            done(error)

    async def read(self, query: Callable[[Store], T]) -> T:
        result = await super().read(query)
        late, self._skip = self._late_read, self._skip - 1
        if late is not None and self._skip < 0:
            self._late_read = None
            await late.wait()
        return result


@attrs.define(eq=False)
class Answers:
    """A place for answers that remembers them in the order in which they came."""

    came: list[tuple[int, Mapping[str, Any] | Rejected]] = attrs.field(factory=list)
    flushes: int = 0

    def respond(self, tag: int, result: Mapping[str, Any]) -> None:
        self.came.append((tag, result))

    def refuse(self, tag: int, error: Rejected) -> None:
        self.came.append((tag, error))

    def flush(self) -> None:
        self.flushes += 1

    @property
    def tags(self) -> list[int]:
        return [tag for tag, _answer in self.came]

    @property
    def codes(self) -> list[str]:
        """Give what each came to, in short: ``ok``, or the code of the refusal."""
        return [answer.code if isinstance(answer, Rejected) else "ok" for _tag, answer in self.came]


async def outcome(call: Awaitable[Any]) -> str:
    """Give ``ok``, or the code of the refusal and its reason if it has one."""
    try:
        await call
    except Rejected as refusal:
        reason = refusal.details.get("reason")
        return refusal.code if reason is None else f"{refusal.code}: {reason}"
    return "ok"


class FakeSession:
    """A session as ``server/session.py`` runs one, with a link that takes what it is told to."""

    def __init__(self, hub: Hub, user: str, *, takes: Callable[[int], int] | None = None) -> None:
        self.caller = Identity(user)
        self.messages: list[rpc.Message] = []
        self.is_broken = False
        self._hub = hub
        self._takes = takes or (lambda size: size)
        self._unframer = rpc.Unframer(rpc.FrameLimits.for_client(hub.rules.limits))
        self._wants_writer = False
        self.peer = Peer(
            try_send=self._try_send,
            wake=self._wake,
            broken=self._break,
            head_of=hub.outlets.reached,
            max_bytes=hub.rules.limits.backlog_max_bytes,
        )

    def _try_send(self, data: bytes) -> int:
        size = self._takes(len(data))
        self._arrive(data[:size])
        return size

    def _arrive(self, data: bytes) -> None:
        self.messages += self._unframer.feed(data)
        assert self._unframer.error is None, self._unframer.error

    def _wake(self) -> None:
        self._wants_writer = True

    def _break(self) -> None:
        self.is_broken = True

    def write(self, *, once: bool = False) -> None:
        """Be the writer task: send what waits."""
        while data := self.peer.take():
            self._arrive(data)
            if once:
                return

    async def hello(self, *, again: bool = False) -> None:
        """Be greeted; the answer comes as a response among the messages."""
        self.peer.hold()
        answer = b""
        try:
            if again:
                greeting = await self._hub.relist(self.peer, self.caller)
            else:
                greeting = await self._hub.greet(self.peer, self.caller)
            entries = [
                ("groups", greeting.page.groups),
                ("next", codec.pack(greeting.page.next)),
                ("account", codec.pack(greeting.account_head)),
            ]
            answer = rpc.response_prefix(1) + codec.encode_map(entries)
        finally:
            self.peer.release(answer)

    def part(self) -> None:
        self._hub.part(self.peer, self.caller)
        self.peer.close()

    def seqs(self, group: str) -> list[int]:
        """Give the seqs of a group's events that have come."""
        return [event["seq"] for event in self.events(group)]

    def events(self, group: str) -> list[dict[str, Any]]:
        return [params for params in self.pushed("event") if params["group"] == group]

    def kinds(self, group: str) -> list[str]:
        return [event["kind"] for event in self.events(group)]

    def pushed(self, method: str) -> list[dict[str, Any]]:
        """Give the parameters of all notifications of one method."""
        self.write()
        return [
            message.params
            for message in self.messages
            if isinstance(message, rpc.Notification) and message.method == method
        ]
