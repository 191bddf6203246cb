"""What a run has measured. Pure: counts and times in, figures out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import attrs


def percentile(ascending: Sequence[int], per_mille: int) -> int:
    """Give the smallest value that at least ``per_mille`` of 1,000 values do not exceed."""
    if not ascending or not 0 < per_mille <= 1_000:
        raise ValueError("expected some values, and 1 to 1,000 per mille")
    rank = -(-len(ascending) * per_mille // 1_000)
    return ascending[rank - 1]


@attrs.frozen
class Latency:
    """How long something took, in microseconds."""

    count: int
    p50_us: float
    p99_us: float
    p99_9_us: float

    @classmethod
    def of(cls, nanoseconds: Sequence[int]) -> Latency | None:
        """Sum up single times; None where there is none."""
        if not nanoseconds:
            return None
        ascending = sorted(nanoseconds)
        points = (percentile(ascending, per_mille) / 1_000 for per_mille in (500, 990, 999))
        return cls(len(ascending), *points)


@attrs.frozen
class Outcome:
    """What the load generator has seen. Where ``problems`` has an entry, no number counts.

    All but the totals is of the measured window, without warm-up and draining.
    """

    problems: list[str] = attrs.field(factory=list)
    posts_total: int = 0
    deliveries_total: int = 0
    """Every one of them checked."""

    seconds: float = 0.0
    posts: int = 0
    """Acknowledged ones."""
    deliveries: int = 0
    server_cpu_s: float = 0.0
    load_cpu_s: float = 0.0
    delivery: Latency | None = None
    """From just before a post is sent to a silent member having read it."""
    acknowledgement: Latency | None = None

    connections: int = 0
    rss_grown_bytes: int = 0

    @property
    def deliveries_per_s(self) -> float | None:
        """Give the throughput."""
        return self.deliveries / self.seconds if self.deliveries else None

    @property
    def cpu_us_per_delivery(self) -> float | None:
        """Give what a delivery costs the server, with its share of what the post costs."""
        return self.server_cpu_s * 1e6 / self.deliveries if self.deliveries else None

    @property
    def cpu_us_per_post(self) -> float | None:
        """Give what a post costs the server, with all its deliveries."""
        return self.server_cpu_s * 1e6 / self.posts if self.posts else None

    @property
    def server_share(self) -> float | None:
        """Give how much of a core the server used."""
        return self.server_cpu_s / self.seconds if self.seconds else None

    @property
    def load_share(self) -> float | None:
        """Give how much of a core the load generator used."""
        return self.load_cpu_s / self.seconds if self.seconds else None

    @property
    def bytes_per_connection(self) -> float | None:
        """Give the server's memory for one idle connection, without the kernel's buffers."""
        return self.rss_grown_bytes / self.connections if self.connections else None

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> Outcome:
        """Rebuild it from ``attrs.asdict``."""
        for name in ("delivery", "acknowledgement"):
            if plain[name] is not None:
                plain[name] = Latency(**plain[name])
        return cls(**plain)


DERIVED: Final = (
    "deliveries_per_s",
    "cpu_us_per_delivery",
    "cpu_us_per_post",
    "server_share",
    "load_share",
    "bytes_per_connection",
)
"""The figures that are computed from the counts."""
