"""The load generator: ``python -m bench.load``, a job as JSON on stdin, an outcome on stdout.

It has to be much cheaper than what it measures, and yet check every delivery. So:

- All members of a group must read the same pushes, byte for byte. The first to read something
  writes it into the group's ``Canon``; for everybody else a read is one comparison with that.
- One silent member decodes it: seqs without a gap, and the time at which each post arrived.
- The posters' answers stand between their pushes, so their streams are cut into frames first.

When all is drained, the posts of the canon are those that were acknowledged, each under the seq
that its poster was told, and every member has read to the canon's end: every acknowledged post has
reached every member exactly once, in order.

Sockets block: one that is readable gives what it has, and posts are far smaller than its buffer.
Whoever started this process ends it if it takes too long.
"""

from __future__ import annotations

import gc
import json
import resource
import selectors
import socket
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from itertools import chain
from typing import Any, Final

import attrs
import msgpack

from bench import dialect
from bench.figures import Latency, Outcome
from bench.members import Canon, Failed, Member, Poster, Witness
from bench.scenarios import Scenario
from bench.server import cpu_s, pin, rss_bytes

READ_BYTES: Final = 262_144
TICK_S: Final = 0.05
"""How long a round waits for something to read at most."""
QUIET_S: Final = 0.3
"""Silence after which everything that was under way has arrived."""
DRAIN_MAX_S: Final = 20.0


@attrs.frozen
class Job:
    """What the load generator is told. ``tokens`` are of each group's members, its owner first."""

    scenario: Scenario
    port: int
    server_pid: int
    core: int | None
    tokens: list[list[tuple[str, str]]]
    """User and token."""
    warmup_s: float
    seconds: float
    with_ids: bool

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> Job:
        """Rebuild it from ``attrs.asdict``."""
        return cls(**{**plain, "scenario": Scenario(**plain["scenario"])})


@attrs.frozen
class Mark:
    """The counters at one moment."""

    time_s: float
    server_cpu_s: float
    load_cpu_s: float
    read_bytes: int
    acknowledged: list[int]
    """How many answers each poster has noted."""
    witnessed: list[int]
    """How many posts each witness has noted."""


class Load:
    """The connections of a run, and the loop that serves them."""

    def __init__(self, job: Job, stack: ExitStack) -> None:
        self._job = job
        self._stack = stack
        self._members: list[Member] = []
        self._groups: list[tuple[Canon, list[Member]]] = []
        self._posters: list[Poster] = []
        self._witnesses: list[Witness] = []
        self._numbers = iter(range(1, 2**32))
        self._buffer = memoryview(bytearray(READ_BYTES))
        self._selector = stack.enter_context(selectors.DefaultSelector())

    # --- setting up

    def found(self) -> list[str]:
        """Make the groups; gives their ids."""
        groups = []
        for tokens in self._job.tokens:
            (_owner, token), *others = tokens
            with self._connect(token) as sock:
                result = _call(sock, dialect.create([user for user, _ in others]))
                groups.append(str(result["group"]))
        return groups

    def enter(self, groups: list[str]) -> None:
        """Connect all members. The first of each group post; the last is the witness."""
        scenario, with_ids = self._job.scenario, self._job.with_ids
        for group, tokens in zip(groups, self._job.tokens, strict=True):
            canon, members = Canon(), list[Member]()
            for place, (user, token) in enumerate(tokens):
                sock = self._stack.enter_context(self._connect(token))
                member = Member(user, sock, canon)
                if place == len(tokens) - 1:
                    member = witness = Witness(user, sock, canon)
                    self._witnesses.append(witness)
                elif place < scenario.posters:
                    mould = dialect.PostMould(group, with_ids=with_ids)
                    member = poster = Poster(user, sock, canon, mould=mould, numbers=self._numbers)
                    self._posters.append(poster)
                members.append(member)
                self._selector.register(sock, selectors.EVENT_READ, member)
            self._members += members
            self._groups.append((canon, members))

    def settle(self) -> None:
        """Read and drop what the founding still causes, until nothing comes any more."""
        deadline = time.monotonic() + DRAIN_MAX_S
        while ready := self._selector.select(QUIET_S):
            if time.monotonic() > deadline:
                raise Failed("the server does not come to rest")
            for key, _events in ready:
                if not key.data.sock.recv(READ_BYTES):
                    raise Failed(f"{key.data.user} was disconnected")

    def _connect(self, token: str) -> socket.socket:
        sock = socket.create_connection(("127.0.0.1", self._job.port))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        _call(sock, dialect.hello(token))
        return sock

    # --- posting

    def run(self) -> Outcome:
        """Post, measure, drain, check."""
        pace = self._pace()
        began_s = time.monotonic()
        self._serve(began_s + self._job.warmup_s, pace)
        before = self._mark()
        self._serve(before.time_s + self._job.seconds, pace)
        after = self._mark()
        for poster in self._posters:
            poster.refill = False
        self._serve(time.monotonic() + DRAIN_MAX_S, _nothing, until=self._drained)
        return self._sum_up(before, after)

    def _pace(self) -> Callable[[], float]:
        """Give what posts when it is time, and says how many seconds that leaves until then."""
        if not self._job.scenario.posts_per_s:
            for poster in self._posters:
                poster.refill = True
                poster.post(self._job.scenario.in_flight)
            return _nothing
        interval_s = 1 / self._job.scenario.posts_per_s
        due_s, turn = time.monotonic(), 0

        def post_if_due() -> float:
            nonlocal due_s, turn
            rest_s = due_s - time.monotonic()
            if rest_s <= 0:
                self._posters[turn % len(self._posters)].post()
                due_s += interval_s
                turn += 1
            return max(0.0, min(rest_s, TICK_S))

        return post_if_due

    def _serve(
        self, deadline_s: float, pace: Callable[[], float], until: Callable[[], bool] | None = None
    ) -> None:
        """Read whatever comes until the deadline, or until something holds."""
        buffer = self._buffer
        while time.monotonic() < deadline_s and not (until and until()):
            for key, _events in self._selector.select(pace()):
                member: Member = key.data
                size = member.sock.recv_into(buffer)
                if not size:
                    raise Failed(f"{member.user} was disconnected")
                member.take(buffer[:size])
            self._forget()

    def _forget(self) -> None:
        for canon, members in self._groups:
            if canon.overfull:
                canon.forget(min(member.offset for member in members))

    def _drained(self) -> bool:
        return not any(poster.unanswered for poster in self._posters) and all(
            member.offset == member.canon.end for member in self._members
        )

    # --- counting

    def _mark(self) -> Mark:
        return Mark(
            time_s=time.monotonic(),
            server_cpu_s=cpu_s(self._job.server_pid),
            load_cpu_s=time.process_time(),
            read_bytes=sum(member.offset for member in self._members),
            acknowledged=[len(poster.took_ns) for poster in self._posters],
            witnessed=[len(witness.took_ns) for witness in self._witnesses],
        )

    def _sum_up(self, before: Mark, after: Mark) -> Outcome:
        posts_total = sum(len(poster.seqs) for poster in self._posters)
        canon_bytes = sum(witness.canon.end for witness in self._witnesses)
        # All posts have the same length, but for the digits of their seqs.
        bytes_per_delivery = canon_bytes / max(1, posts_total)
        return Outcome(
            problems=self._problems(),
            posts_total=posts_total,
            deliveries_total=posts_total * self._job.scenario.members,
            seconds=after.time_s - before.time_s,
            posts=sum(after.acknowledged) - sum(before.acknowledged),
            deliveries=round((after.read_bytes - before.read_bytes) / bytes_per_delivery),
            server_cpu_s=after.server_cpu_s - before.server_cpu_s,
            load_cpu_s=after.load_cpu_s - before.load_cpu_s,
            acknowledgement=_between(self._posters, before.acknowledged, after.acknowledged),
            delivery=_between(self._witnesses, before.witnessed, after.witnessed),
        )

    def _problems(self) -> list[str]:
        """Say what is wrong with what was delivered, compared with what was acknowledged."""
        problems = [
            f"{poster.user}: {poster.unanswered} posts were never answered"
            for poster in self._posters
            if poster.unanswered
        ]
        behind = [member.user for member in self._members if member.offset != member.canon.end]
        if behind:
            problems.append(f"{len(behind)} members miss something: {', '.join(behind[:5])}")
        for witness in self._witnesses:
            told: dict[int, int] = {}
            for poster in self._posters:
                if poster.canon is witness.canon:
                    told |= poster.seqs
            if told != witness.seqs:
                wrong = sorted(dict(told.items() ^ witness.seqs.items()))
                problems.append(f"{witness.user}: {len(wrong)} posts as told and as read differ")
            if not told:
                problems.append(f"{witness.user}: nothing was posted in its group")
        return problems


def _nothing() -> float:
    return TICK_S


def _between(
    noters: Sequence[Poster | Witness], starts: list[int], ends: list[int]
) -> Latency | None:
    """Sum up what was noted between two marks."""
    times = [
        noter.took_ns[start:end] for noter, start, end in zip(noters, starts, ends, strict=True)
    ]
    return Latency.of(list(chain.from_iterable(times)))


def _call(sock: socket.socket, request: bytes) -> dict[str, Any]:
    """Send a request on a fresh connection and wait for its answer; pushes are dropped."""
    sock.sendall(request)
    unpacker = msgpack.Unpacker()
    while data := sock.recv(READ_BYTES):
        unpacker.feed(data)
        for message in unpacker:
            if message[0] == 1:
                if message[2] is not None:
                    raise Failed(f"the server refused: {message[2]}")
                result: dict[str, Any] = message[3]
                return result
    raise Failed("the server hung up")


def perform(job: Job) -> Outcome:
    """Do a job."""
    pin(0, job.core)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    gc.disable()
    try:
        with ExitStack() as stack:
            load = Load(job, stack)
            groups = load.found()
            time.sleep(QUIET_S)
            before = rss_bytes(job.server_pid)
            load.enter(groups)
            load.settle()
            if not job.scenario.idle:
                return load.run()
            connections = sum(map(len, job.tokens))
            grown = rss_bytes(job.server_pid) - before
            return Outcome(connections=connections, rss_grown_bytes=grown)
    except (Failed, OSError) as error:
        return Outcome(problems=[str(error)])


def main() -> None:
    """Read a job, do it, write its outcome."""
    outcome = perform(Job.from_plain(json.load(sys.stdin)))
    json.dump(attrs.asdict(outcome), sys.stdout)


if __name__ == "__main__":
    main()
