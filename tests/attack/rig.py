"""What attacks on a real server have in common: many sockets, addresses, and how long others wait.

Figures are compared within one run of one machine, since that is all that a shared machine can say.
"""

from __future__ import annotations

import json
import resource
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from statistics import median
from typing import Final
from urllib.parse import urlsplit

import trio

from groupd.server.link import SocketLink
from tests.e2e.process import ROOT, Groupd, Process
from tests.e2e.raw import RawClient, dial

MIB: Final = 2**20
TRIES: Final = 3
"""How often something is timed; the median counts."""
TRY_MAX_S: Final = 1.0
"""For how long at most: a machine may be busy with other things."""
TIMES_MAX: Final = 10
LATER_MAX_MS: Final = 2_000
"""How much later others may be served, so many times and so much more. What is promised is 2 times,
on a quiet machine. Here an attack takes one processor, the server another one, and who measures
waits for both; so this finds only that somebody is starved, and prints the rest."""


def configured(groupd: Groupd, **limits: int) -> tuple[str, str]:
    """Write a configuration with these limits; give the options that name it."""
    path = groupd.directory / "attack.toml"
    lines = [f"{name} = {value}" for name, value in limits.items()]
    path.write_text("\n".join(["[limits]", *lines, ""]))
    return "--config", str(path)


@contextmanager
def many_descriptors(count: int) -> Iterator[None]:
    """Let this process, which is all of the clients, have so many descriptors."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def connect_from(address: str, url: str) -> RawClient:
    """Connect to a server from one of this machine's own addresses, 127.0.0.1 and up."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    # Blocking, but on loopback: the kernel answers, and not the server.
    sock = socket.create_connection((parts.hostname, parts.port), source_address=(address, 0))
    return RawClient(SocketLink(sock, address))


@asynccontextmanager
async def operator_of(server: Process) -> AsyncIterator[RawClient]:
    """Connect to the socket in the data directory, as the operator's commands do."""
    async with dial(f"unix://{Path(server.data) / 'groupd.sock'}") as client:
        yield client


def p99_ms(times_s: Sequence[float]) -> float:
    """Give the time within which 99 of 100 were served, in milliseconds."""
    return sorted(times_s)[len(times_s) * 99 // 100] * 1_000


async def post_times(client: RawClient, group: str, count: int) -> list[float]:
    """Post one after the other; give how long each acknowledgement took, in seconds."""
    times: list[float] = []
    start = trio.current_time()
    while len(times) < count and (not times or trio.current_time() < start + TRY_MAX_S):
        began = trio.current_time()
        await client.ask("post", group=group, text="x" * 100)
        times.append(trio.current_time() - began)
        client.pushes.clear()
    return times


@contextmanager
def flooding(server: Process, *, sessions: int, first: bytes, again: bytes) -> Iterator[None]:
    """Let another process say the same again and again on many connections, during the block."""
    parts = urlsplit(server.url)
    order = {
        "host": parts.hostname,
        "port": parts.port,
        "sessions": sessions,
        "first": first.hex(),
        "again": again.hex(),
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.attack.flooder"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        print(json.dumps(order), file=process.stdin, flush=True)
        assert process.stdout.readline() == "flooding\n"
        yield
    finally:
        process.communicate()
    assert process.returncode == 0


def assert_not_starved(alone_ms: Sequence[float], with_ms: Sequence[float], what: str) -> None:
    """Print the medians of what was measured alone and with an attack, and compare them."""
    before, after = median(alone_ms), median(with_ms)
    shown = " / ".join(", ".join(f"{ms:.1f}" for ms in found) for found in (alone_ms, with_ms))
    print(f"{what}: {before:.1f} -> {after:.1f} ms, {after / before:.2f} times ({shown})")
    assert after <= TIMES_MAX * before + LATER_MAX_MS, what
