"""What is measured, and where: groupd in its kinds, the peers found here, and the machine."""

from __future__ import annotations

import os
import platform
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Final

import attrs

from bench.peers import PEERS
from bench.peers.base import Peer
from bench.scenarios import CROWD_MAX, Scenario
from bench.server import running_server
from groupd.version import VERSION

GROUPD: Final = "groupd"
DESCRIPTORS_RESERVED: Final = 1_000
"""For the groups beside a crowd, and for files."""
GIT_MAX_S: Final = 10


@attrs.frozen
class Reached:
    """A server that accepts connections."""

    pids: tuple[int, ...]
    port: int
    data: Path
    certificate: Path | None = None


@attrs.frozen
class Target:
    """A server to measure: groupd with one kind of store, or a peer."""

    name: str
    store: str = ""
    """Of groupd: ``memory`` or ``durable``."""
    tls: bool = False
    websocket: bool = False

    @property
    def peer(self) -> Peer | None:
        """Give the peer; None for groupd."""
        return PEERS.get(self.name)

    @property
    def title(self) -> str:
        """Say what it is, in a few words."""
        if self.peer is not None:
            return self.peer.title
        kinds = ("TLS" if self.tls else "", "WebSocket" if self.websocket else "")
        return " ".join(filter(None, (GROUPD, self.store, *kinds)))

    @property
    def version(self) -> str:
        """Give the version that is measured; of groupd, with the commit."""
        if self.peer is not None:
            return self.peer.version()
        return "-".join(filter(None, (VERSION, commit())))

    def takes(self, scenario: Scenario) -> bool:
        """Say whether a scenario can be asked of it."""
        return self.peer is None or scenario.peers

    @contextmanager
    def running(self, *, core: int | None) -> Iterator[Reached]:
        """Run it on a core, with its files in a fresh directory; stop it at the end.

        Raises BenchError where it does not start.
        """
        with tempfile.TemporaryDirectory(prefix="groupd-bench-") as name:
            directory = Path(name)
            if self.peer is not None:
                with self.peer.running(directory, core=core) as peer:
                    yield Reached(peer.pids, peer.port, directory)
                return
            with running_server(
                directory,
                memory=self.store == "memory",
                core=core,
                tls=self.tls,
                websocket=self.websocket,
            ) as server:
                yield Reached((server.pid,), server.port, server.data, server.certificate)


def groupd_targets(
    *, memory: bool, durable: bool, tls: bool, websocket: bool = False
) -> list[Target]:
    """List groupd in its kinds; with ``tls`` and ``websocket``, each also over these."""
    stores = ["memory"] * memory + ["durable"] * durable
    ways = [(False, False)] + [(True, False)] * tls + [(False, True)] * websocket
    return [Target(GROUPD, store, *way) for store in stores for way in ways]


def peer_targets(names: Sequence[str]) -> tuple[list[Target], list[str]]:
    """Give those of the peers that can run here, and why the others cannot."""
    found, absent = [], []
    for name in names:
        reason = PEERS[name].missing()
        if reason is None:
            found.append(Target(name))
        else:
            absent.append(f"{name} is left out: {reason}")
    return found, absent


def crowd_max() -> int:
    """Give how large a crowd the descriptors allow that a process may have here."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return CROWD_MAX if hard == resource.RLIM_INFINITY else max(0, hard - DESCRIPTORS_RESERVED)


@cache
def commit() -> str:
    """Name the commit of groupd that is measured; with a ``+`` where files differ from it.

    Empty outside a clone.
    """
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--abbrev=10", "--dirty=+", "--exclude=*"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            timeout=GIT_MAX_S,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()


def machine() -> str:
    """Say what this machine is, in a line."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    python = ".".join(map(str, sys.version_info[:3]))
    system = f"{platform.system()} {platform.release()}"
    return f"{model}, {os.cpu_count()} cores, {system}, Python {python}"
