"""What a post costs before anybody hears of it: ``python -m bench.work --help``.

The bytes of posts go through the server's own code in one process, without sockets and tasks:
cut into messages, understood, decided and written by a ``Batch``, appended to the store in memory,
framed for the subscribers, answered. Each stage is timed by itself, for a batch as a busy group
makes them and for a post that comes alone.

Not in it: reading and writing sockets, waking the actor, and delivering.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Annotated, Any, Final, TypeAlias, cast

import attrs
import cyclopts
from cyclopts import Parameter
from rich.console import Console
from rich.table import Table

from bench.dialect import PostMould
from bench.figures import percentile
from groupd.config import Config
from groupd.domain.account.create import Create
from groupd.domain.base import NOTHING, Command, Identity, Rules
from groupd.domain.links import LinkKeys
from groupd.engine.batch import Batch
from groupd.engine.hub import rules_of
from groupd.engine.ledger import Ledger
from groupd.engine.mail import Entry
from groupd.engine.ports import Ports
from groupd.engine.shared import Shared
from groupd.engine.waiting import Waiter
from groupd.garbage import pauses_bounded
from groupd.server.methods import understand
from groupd.storage.memory import MemoryStore
from groupd.storage.port import Append, AppendAll
from groupd.system import system_ports
from groupd.wire import rpc

MEMBERS: Final = 200
POSTERS: Final = 10
BATCH: Final = 100
"""Posts in a batch of a busy group: ten of each poster."""
WARM_UP: Final = Config().limits.ids_max // BATCH + 1
"""Batches until the memory of request ids is full: from then on each post forgets one, too."""
TARGET_US: Final = 15.0
STAGES: Final = ("unframe", "understand", "decide", "append", "frame", "answer")
START_MS: Final = 1_750_000_000_000
ROUND_MS: Final = 5
"""How far the clock goes on from one batch to the next."""


Read: TypeAlias = tuple[Identity, rpc.Unframer, bytes]
"""What one poster's socket gives."""


@attrs.frozen
class Timing:
    """How long the batches of one size took, in nanoseconds for each of their posts."""

    size: int
    """Posts of a batch."""
    stages: Sequence[Sequence[int]]
    """Of each stage, the shortest first."""
    totals: Sequence[int]
    """Of all stages together, the shortest first."""
    cpu_ns: float
    """User and system time of the process, on average."""


def run(*, rounds: int, warm_up: int = WARM_UP) -> list[Timing]:
    """Measure batches of a busy group, then posts that come alone, in one group."""
    workshop = Workshop()
    for _ in range(warm_up):
        workshop.work(workshop.reads(BATCH))
    with pauses_bounded():  # As in the server.
        return [measure(workshop, size, rounds) for size in (BATCH, 1)]


def measure(workshop: Workshop, size: int, rounds: int) -> Timing:
    """Time so many batches of one size."""
    stages: list[list[int]] = [[] for _ in STAGES]
    totals, cpu_ns = [], 0
    for _ in range(rounds):
        reads = workshop.reads(size)
        began_ns = time.process_time_ns()
        workshop.work(reads)
        cpu_ns += time.process_time_ns() - began_ns
        for stage, (begin, end) in zip(stages, pairwise(workshop.times), strict=True):
            stage.append((end - begin) // size)
        totals.append((workshop.times[-1] - workshop.times[0]) // size)
    ascending = [sorted(stage) for stage in stages]
    return Timing(size, ascending, sorted(totals), cpu_ns / (rounds * size))


@attrs.frozen
class Means:
    """What a ``Batch`` uses of ``Shared``."""

    rules: Rules
    links: LinkKeys
    ports: Ports


class Workshop:
    """A group of ``MEMBERS`` on a store in memory, and the bytes of posts to it.

    ``times`` are those of the batch before: when it began, and when each of its stages ended.
    """

    def __init__(self) -> None:
        config = Config()
        self.store = MemoryStore("bench")
        self.times: Sequence[int] = ()
        self._rules = rules_of(config)
        links = LinkKeys({"bench": bytes(32)}, "bench")
        self._shared = cast(Shared, Means(self._rules, links, system_ports()))
        self._replies = Waiter()
        self._now_ms = START_MS
        self._posts = 0
        users = tuple(f"member{number}" for number in range(MEMBERS))
        self.ledger = self._found(users)
        frames = rpc.FrameLimits.for_server(config.limits)
        self._posters = [(Identity(user), rpc.Unframer(frames)) for user in users[:POSTERS]]
        self._mould = PostMould(self.ledger.stream.key, with_ids=True)

    def _found(self, users: tuple[str, ...]) -> Ledger:
        """Found the group as ``create`` does, and load it."""
        owner = Identity(users[0])
        create = Entry(owner, Create(name="bench", members=users[1:]), "", self._replies, 0)
        batch = Batch(Ledger.empty(owner.account), self._shared, self._now_ms)
        batch.decide([create], woken=False)
        appends = batch.appends()
        self._append(appends)
        ledger = Ledger.empty(appends[1].stream)
        for record in appends[1].records:
            ledger.replay(record)
        return ledger

    def reads(self, size: int) -> list[Read]:
        """Make the bytes of ``size`` posts: as many of each poster, or one of the next in turn."""
        self._now_ms += ROUND_MS
        self._posters = self._posters[1:] + self._posters[:1]
        posters = self._posters[: min(size, POSTERS)]
        return [
            (poster, unframer, b"".join(self._post() for _ in range(size // len(posters))))
            for poster, unframer in posters
        ]

    def _post(self) -> bytes:
        self._posts += 1
        return self._mould.make(self._posts, self._posts, now_ms=self._now_ms)

    def work(self, reads: Sequence[Read]) -> tuple[bytes, list[bytes]]:
        """Take a batch all the way; gives the chunk for the subscribers, and the answers."""
        stamp, ledger = time.perf_counter_ns, self.ledger
        begun = stamp()
        messages = [(poster, unframer.feed(data)) for poster, unframer, data in reads]
        unframed = stamp()
        entries = self._understand(messages)
        understood = stamp()
        needs = [entry.request.needs(ledger.state, entry.caller) for entry in entries]
        batch = Batch(ledger, self._shared, self._now_ms)
        batch.decide(entries, woken=False)
        appends = batch.appends()
        decided = stamp()
        self._append(appends)
        appended = stamp()
        chunk = b"".join(batch.publication().frames)
        framed = stamp()
        answers = [
            rpc.encode_response(entry.tag, cast(Mapping[str, Any], answer))
            for entry, answer in batch.answers
        ]
        self.times = (begun, unframed, understood, decided, appended, framed, stamp())
        assert all(need is NOTHING for need in needs)
        ledger.trim(self._rules.limits.cards_max)
        return chunk, answers

    def _understand(
        self, messages: Sequence[tuple[Identity, Sequence[rpc.Message]]]
    ) -> list[Entry]:
        entries, replies = [], self._replies
        for poster, posts in messages:
            for message in posts:
                post = cast(rpc.Request, message)
                call = understand(post, operator=False)
                request = cast(Command, call.request)
                request.address(call.group, poster)
                entries.append(Entry(poster, request, call.request_id, replies, post.msgid))
        return entries

    def _append(self, appends: Sequence[Append]) -> None:
        (failed,) = self.store.commit([AppendAll(appends)])
        assert failed is None, failed


def table_of(timings: Sequence[Timing]) -> Table:
    """Lay the times out as a table, a row for each stage."""
    table = Table(title="groupd: the work per post", title_justify="left")
    table.add_column("µs for each post", no_wrap=True)
    for timing in timings:
        table.add_column(f"batches of {timing.size}: p50", justify="right")
        table.add_column("lowest", justify="right")
    table.add_column("")
    for row in rows_of(timings):
        table.add_row(*row)
    return table


def rows_of(timings: Sequence[Timing]) -> Iterator[tuple[str, ...]]:
    """Write the cells, row by row; that of all stages says where the target is missed."""
    for number, stage in enumerate(STAGES):
        yield (stage, *_cells([timing.stages[number] for timing in timings]), "")
    busy = percentile(timings[0].totals, 500) / 1_000
    remark = "" if busy <= TARGET_US else f"> {TARGET_US:g}"
    yield ("all", *_cells([timing.totals for timing in timings]), remark)
    cpu = [cell for timing in timings for cell in (f"{timing.cpu_ns / 1_000:.2f}", "")]
    yield ("CPU on average", *cpu, "")


def _cells(columns: Sequence[Sequence[int]]) -> Iterator[str]:
    for ascending in columns:
        yield f"{percentile(ascending, 500) / 1_000:.2f}"
        yield f"{ascending[0] / 1_000:.2f}"


app = cyclopts.App(name="bench.work", help=__doc__)


@app.default
def main(
    *, rounds: Annotated[int, Parameter(help="Batches of each size that are timed.")] = 500
) -> None:
    """Measure the work per post, stage by stage."""
    Console().print(table_of(run(rounds=rounds)))


if __name__ == "__main__":
    app()
