"""What a server knows of itself, in Prometheus' text format.

Theory of operation: whatever happens is counted where it happens, in plain numbers (``Counts``,
``RoundCounts``, ``Services.refused``); nobody is told, nothing is locked, and nothing is counted
for each delivery. The collector reads them, and looks at sessions and actors, when it is asked.

Names are permanent, and listed in docs/operations.md; a test compares.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final, Protocol

import trio

from groupd import native
from groupd.auth import KeyRing
from groupd.errors import LogError
from groupd.server.listener import Server
from groupd.server.probes import STORE_ANSWERS_WITHIN_S
from groupd.server.session import Session
from groupd.version import VERSION

SLICE: Final = 500
"""Sessions that are looked at before others get their turn."""
CONSUMERS_MAX: Final = 100
"""Consumers of the feed that have a series each: those that are furthest behind."""
WAITING_MAX: Final = 200
"""Records that a reactor has not handled yet which are counted at most: each has to be read."""

Labels = Mapping[str, str]
NO_LABELS: Final[Labels] = {}


class Counted(Protocol):
    """Counts of values by bounds, as ``storage/counts.py`` has them."""

    counts: list[int]
    sum: float

    @property
    def bounds(self) -> Iterable[float]:
        """The upper bound of each count but the last."""


class Text:
    """The text format: a family of samples after the other."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    def gauge(self, name: str, help_: str, value: float, labels: Labels = NO_LABELS) -> None:
        """Write a value that goes up and down."""
        self.family(name, "gauge", help_, [(labels, value)])

    def counter(self, name: str, help_: str, value: float) -> None:
        """Write a value that only rises."""
        self.family(name, "counter", help_, [(NO_LABELS, value)])

    def family(
        self, name: str, kind: str, help_: str, samples: Iterable[tuple[Labels, float]]
    ) -> None:
        """Write several values of one name."""
        self._head(name, kind, help_)
        for labels, value in samples:
            self._sample(name, labels, value)

    def histogram(self, name: str, help_: str, counted: Counted) -> None:
        """Write how often values fell where."""
        self._head(name, "histogram", help_)
        # Copied first, since the store's thread goes on counting.
        counts, so_far = list(counted.counts), 0
        for bound, count in zip([*counted.bounds, float("inf")], counts, strict=True):
            so_far += count
            self._sample(f"{name}_bucket", {"le": _shown(bound)}, so_far)
        self._sample(f"{name}_sum", NO_LABELS, counted.sum)
        self._sample(f"{name}_count", NO_LABELS, so_far)

    def __str__(self) -> str:
        return "\n".join(self._lines) + "\n"

    def _head(self, name: str, kind: str, help_: str) -> None:
        self._lines += [f"# HELP {name} {help_}", f"# TYPE {name} {kind}"]

    def _sample(self, name: str, labels: Labels, value: float) -> None:
        shown = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels.items())
        self._lines.append(
            f"{name}{{{shown}}} {_shown(value)}" if shown else f"{name} {_shown(value)}"
        )


def _shown(value: float) -> str:
    if value == float("inf"):
        return "+Inf"
    return str(value) if isinstance(value, int) else repr(float(value))


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


class Collector:
    """Reads what there is to know, each time it is asked. ``store_file`` is None in memory."""

    def __init__(
        self, server: Server, *, store_file: Path | None, key_rings: Iterable[KeyRing] = ()
    ) -> None:
        self._server = server
        self._key_rings = key_rings
        self._store_file = store_file

    async def collect(self) -> str:
        """Give all metrics. Never fails for what the store does not answer; that is left out."""
        text = Text()
        self._write_build(text)
        await self._write_sessions(text)
        self._write_keys(text)
        self._write_engine(text)
        self._write_log(text)
        await self._write_store(text)
        await self._write_consumers(text)
        write_process(text)
        return str(text)

    def _write_build(self, text: Text) -> None:
        labels = {"version": VERSION, "compiled": str(native.IS_COMPILED).lower()}
        text.gauge("groupd_build_info", "Which groupd this is.", 1, labels)

    async def _write_sessions(self, text: Text) -> None:
        kinds = {"user": 0, "connecting": 0, "operator": 0}
        backlog_bytes = stalled = lagged = 0
        sessions = tuple(self._server.sessions)
        for start in range(0, len(sessions), SLICE):
            for session in sessions[start : start + SLICE]:
                kinds[_kind(session)] += 1
                waiting_bytes = session.peer.waiting_bytes
                backlog_bytes += waiting_bytes
                stalled += waiting_bytes > 0
                lagged += session.peer.is_lagging
            await trio.lowlevel.checkpoint()
        server, services = self._server, self._server.services
        text.family(
            "groupd_sessions", "gauge", "Connections, by who is there.",
            [({"kind": kind}, count) for kind, count in kinds.items()],
        )  # fmt: skip
        text.gauge(
            "groupd_sessions_max", "Connections that are let in.", services.limits.connections_max
        )
        text.counter("groupd_connections_total", "Connections that were let in.", server.admitted)
        text.counter(
            "groupd_connections_refused_total", "Connections turned away.", server.turned_away
        )
        text.gauge("groupd_backlog_bytes", "Bytes that wait for slow sessions.", backlog_bytes)
        text.gauge("groupd_sessions_stalled", "Sessions that bytes wait for.", stalled)
        text.gauge("groupd_sessions_lagged", "Sessions that have missed events.", lagged)
        refused = sorted(services.refused.items())
        text.family(
            "groupd_refusals_total", "counter", "Requests refused, by code.",
            [({"code": code}, count) for code, count in refused],
        )  # fmt: skip

    def _write_keys(self, text: Text) -> None:
        rings = [({"issuer": ring.keys.issuer}, ring) for ring in self._key_rings]
        if not rings:
            return
        text.family(
            "groupd_jwks_keys", "gauge", "Keys that an issuer publishes and that are believed.",
            [(labels, len(ring.keys.fetched)) for labels, ring in rings],
        )  # fmt: skip
        text.family(
            "groupd_jwks_age_seconds", "gauge", "How long ago they were fetched.",
            [(labels, ring.age_s) for labels, ring in rings if ring.age_s is not None],
        )  # fmt: skip
        text.family(
            "groupd_jwks_failures", "gauge", "Fetches that have failed since.",
            [(labels, ring.failures) for labels, ring in rings],
        )  # fmt: skip

    def _write_engine(self, text: Text) -> None:
        hub = self._server.services.hub
        counts = hub.counts
        text.counter("groupd_posts_total", "Messages that became durable.", counts.posts)
        text.counter("groupd_records_total", "Records that became durable.", counts.records)
        text.counter("groupd_deliveries_total", "Events times their readers.", counts.deliveries)
        text.counter("groupd_delivered_bytes_total", "Their bytes.", counts.delivered_bytes)
        text.gauge("groupd_streams_awake", "Groups and accounts in memory.", hub.awake)
        text.gauge("groupd_streams_loading", "Those on their way there.", counts.loading)
        text.gauge("groupd_mailbox_depth_max", "Requests waiting for one stream.", hub.mailbox_max)
        text.gauge("groupd_streams_quarantined", "Damaged streams met so far.", len(hub.quarantine))

    def _write_log(self, text: Text) -> None:
        counts = self._server.services.hub.log.counts
        text.histogram("groupd_commit_seconds", "How long rounds of writes took.", counts.commit_s)
        text.histogram("groupd_round_writes", "How many writes they had.", counts.writes)

    async def _write_store(self, text: Text) -> None:
        hub = self._server.services.hub
        answers, waiting = 0, None
        with trio.move_on_after(STORE_ANSWERS_WITHIN_S), suppress(LogError):
            position = hub.reactor_position
            found = await hub.log.read(lambda store: store.followed(position, WAITING_MAX))
            answers, waiting = 1, len(found)
        text.gauge("groupd_store_up", "Whether the store answers within a second.", answers)
        if waiting is not None:
            help_ = f"Records that accounts have not heard of, at most {WAITING_MAX}."
            text.gauge("groupd_reactor_waiting", help_, waiting)
        if self._store_file is not None:
            sizes = [
                ({"file": name}, _size(self._store_file.with_name(self._store_file.name + suffix)))
                for name, suffix in (("store", ""), ("wal", "-wal"))
            ]
            text.family("groupd_store_bytes", "gauge", "Size of the files of the store.", sizes)

    async def _write_consumers(self, text: Text) -> None:
        with trio.move_on_after(STORE_ANSWERS_WITHIN_S), suppress(LogError):
            count, lags = await self._server.services.hub.feed.lags(CONSUMERS_MAX)
            text.gauge("groupd_consumers", "Consumers of the feed.", count)
            text.family(
                "groupd_consumer_lag", "gauge", "Records behind a consumer's position.",
                [({"tenant": tenant, "consumer": name}, lag) for tenant, name, lag in lags],
            )  # fmt: skip


def _kind(session: Session) -> str:
    if session.is_operator:
        return "operator"
    return "user" if session.caller is not None else "connecting"


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def write_process(text: Text) -> None:
    """Write what the kernel counts of this process, under the usual names; Linux only."""
    proc = Path("/proc/self")
    with suppress(OSError, ValueError, IndexError):
        # The name of the program stands in brackets and may have anything in it.
        fields = (proc / "stat").read_text().rpartition(")")[2].split()
        ticks = os.sysconf("SC_CLK_TCK")
        page_bytes = os.sysconf("SC_PAGE_SIZE")
        cpu_s = (int(fields[11]) + int(fields[12])) / ticks
        text.counter("process_cpu_seconds_total", "CPU time, user and system.", cpu_s)
        text.gauge("process_resident_memory_bytes", "Memory in use.", int(fields[21]) * page_bytes)
        text.gauge("process_threads", "Threads.", int(fields[17]))
    with suppress(OSError, ValueError):
        text.gauge("process_open_fds", "Open descriptors.", len(list((proc / "fd").iterdir())))
        for line in (proc / "limits").read_text().splitlines():
            if line.startswith("Max open files"):
                soft = line.split()[3]
                if soft.isdigit():
                    text.gauge("process_max_fds", "Descriptors allowed.", int(soft))
