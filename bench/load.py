"""The load generator: ``python -m bench.load``, a job as JSON on stdin, an outcome on stdout.

It has to be much cheaper than what it measures, and yet check every delivery. So:

- All members of a group must read the same pushes, byte for byte. The first to read something
  writes it into the group's ``Canon``; for everybody else a read is one comparison with that.
- One silent member decodes it: seqs without a gap, and every text. Some others look for texts in
  the bytes, to note when each arrived.
- The posters' answers stand between their pushes, so their streams are cut into frames first.

When all is drained, the posts of the canon are those that were acknowledged, each under the seq
that its poster was told, and every member has read to the canon's end: every acknowledged post has
reached every member exactly once, in order.

Of a peer, a byte that stands once in each delivery is counted instead, or the streams are compared
where all members read alike; one silent member looks for the texts.

Whoever started this process ends it if it takes too long.
"""

from __future__ import annotations

import gc
import json
import resource
import ssl
import sys
from contextlib import ExitStack
from itertools import count
from typing import Any

import attrs

from bench import circle, storm
from bench.connections import Connections
from bench.entering import Token, enter, found
from bench.entering_peer import enter_peer
from bench.fanout import FanOut, run
from bench.figures import Outcome
from bench.groups import Group
from bench.members import Failed
from bench.peers import PEERS
from bench.scenarios import CIRCLE, IDLE, STORM, Scenario
from bench.server import BenchError, pin, rss_bytes


@attrs.frozen
class Job:
    """What the load generator is told."""

    scenario: Scenario
    peer: str | None
    """None is groupd."""
    port: int
    pids: list[int]
    """Of the server, the main one first."""
    core: int | None
    groups: list[list[Token]]
    """The members of each measured group, its owner first. A peer's have no tokens."""
    crowd: list[list[Token]]
    """The same of the groups beside it."""
    guests: list[Token]
    """Users who are in no group yet."""
    warmup_s: float
    seconds: float
    with_ids: bool
    certificate: str | None
    """The file of the server's certificate, where TLS is spoken."""
    websocket: bool = False
    """Whether WebSocket is spoken."""

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> Job:
        """Rebuild it from ``attrs.asdict``."""
        return cls(**{**plain, "scenario": Scenario(**plain["scenario"])})


def perform(job: Job) -> Outcome:
    """Do a job."""
    pin(0, job.core)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    gc.disable()
    try:
        with ExitStack() as stack:
            tls = None if job.certificate is None else ssl.create_default_context()
            if tls is not None:
                tls.load_verify_locations(job.certificate)
            return _perform(job, Connections(job.port, stack, tls=tls, websocket=job.websocket))
    except (Failed, BenchError, OSError) as error:
        return Outcome(problems=[str(error) or type(error).__name__])


def _perform(job: Job, connections: Connections) -> Outcome:
    if job.scenario.kind == IDLE:
        return _idle(job, connections)
    crowd = found(connections, job.crowd)
    beside = connections.crowd() if crowd else None
    ring = None
    if beside is not None and job.scenario.kind == CIRCLE:
        ring = circle.enter(beside, crowd[0], job.crowd[0], job.guests)
    groups = _enter(job, connections)
    connections.settle(reader for group in groups for reader in group.readers)
    if beside is not None and job.scenario.kind == STORM:
        away = storm.enter(beside, crowd, job.crowd)
    fan_out = FanOut(connections, groups, job.scenario, job.pids)
    if ring is not None:
        return circle.run(ring, fan_out, connections, warmup_s=job.warmup_s, seconds=job.seconds)
    if beside is not None:
        return storm.run(
            away, fan_out, connections, job.pids[0], warmup_s=job.warmup_s, seconds=job.seconds
        )
    return run(fan_out, connections, warmup_s=job.warmup_s, seconds=job.seconds)


def _enter(job: Job, connections: Connections) -> list[Group]:
    numbers, posters = count(1), job.scenario.posters
    if job.peer is not None:
        speak = PEERS[job.peer].dialect()
        users = [[user for user, _token in tokens] for tokens in job.groups]
        return enter_peer(connections, users, speak, posters=posters, numbers=numbers)
    ids = found(connections, job.groups)
    return [
        enter(connections, group, tokens, posters=posters, numbers=numbers, with_ids=job.with_ids)
        for group, tokens in zip(ids, job.groups, strict=True)
    ]


def _idle(job: Job, connections: Connections) -> Outcome:
    """Measure the memory of connections, and of groups that nobody talks in."""
    pid = job.pids[0]
    ids = found(connections, job.groups)
    connections.settle()
    start = rss_bytes(pid)
    for group, tokens in zip(ids, job.groups, strict=True):
        enter(connections, group, tokens, posters=0, numbers=count(), with_ids=False)
    connections.settle()
    connected = rss_bytes(pid)
    found(connections, job.crowd)
    connections.settle()
    return Outcome(
        connections=sum(map(len, job.groups)),
        rss_grown_bytes=connected - start,
        groups=len(job.crowd),
        groups_rss_grown_bytes=rss_bytes(pid) - connected,
    )


def main() -> None:
    """Read a job, do it, write its outcome."""
    outcome = perform(Job.from_plain(json.load(sys.stdin)))
    json.dump(attrs.asdict(outcome), sys.stdout)


if __name__ == "__main__":
    main()
