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

    lost: int = 0
    """Deliveries that never came, of a peer that promises no better."""

    delivery_alone: Latency | None = None
    """The same as ``delivery``, before the crowd did anything."""
    caught_up_s: float = 0.0
    """From the first reconnect until everybody of the crowd had read what they had missed."""
    rss_peak_bytes: int = 0

    connections: int = 0
    rss_grown_bytes: int = 0
    groups: int = 0
    """Idle ones, with the memory that they took."""
    groups_rss_grown_bytes: int = 0

    @property
    def deliveries_per_s(self) -> float | None:
        """Give the throughput."""
        return self.deliveries / self.seconds if self.deliveries else None

    @property
    def posts_per_s(self) -> float | None:
        """Give how many posts were accepted."""
        return self.posts / self.seconds if self.posts else None

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
    def p99_ratio(self) -> float | None:
        """Give how much longer the slowest hundredth took beside the crowd than without."""
        if self.delivery is None or self.delivery_alone is None:
            return None
        return self.delivery.p99_us / self.delivery_alone.p99_us

    @property
    def p99_alone_us(self) -> float | None:
        """Give how long the slowest hundredth took without the crowd."""
        return None if self.delivery_alone is None else self.delivery_alone.p99_us

    @property
    def bytes_per_connection(self) -> float | None:
        """Give the server's memory for one idle connection, without the kernel's buffers."""
        return self.rss_grown_bytes / self.connections if self.connections else None

    @property
    def bytes_per_group(self) -> float | None:
        """Give the server's memory for one idle group."""
        return self.groups_rss_grown_bytes / self.groups if self.groups else None

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> Outcome:
        """Rebuild it from ``attrs.asdict``."""
        for name in ("delivery", "acknowledgement", "delivery_alone"):
            if plain[name] is not None:
                plain[name] = Latency(**plain[name])
        return cls(**plain)


DERIVED: Final = (
    "deliveries_per_s",
    "posts_per_s",
    "cpu_us_per_delivery",
    "cpu_us_per_post",
    "server_share",
    "load_share",
    "p99_ratio",
    "p99_alone_us",
    "bytes_per_connection",
    "bytes_per_group",
)
"""The figures that are computed from the counts."""
