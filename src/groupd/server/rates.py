"""How much one user may ask: a token bucket for each, shared by all of their sessions."""

from __future__ import annotations

from typing import Protocol

import attrs

from groupd.domain.base import Identity


@attrs.define
class Bucket:
    """A token bucket. Times are seconds on any steady clock; the caller passes them in."""

    per_s: float
    burst: float
    level: float
    at_s: float

    @classmethod
    def full(cls, *, per_s: float, burst: float, now_s: float) -> Bucket:
        """Make a bucket that has not been drawn from."""
        return cls(per_s, burst, burst, now_s)

    def take(self, cost: float, now_s: float) -> int:
        """Take ``cost`` units and give 0, or take nothing and give the milliseconds to wait."""
        self.level = min(self.burst, self.level + (now_s - self.at_s) * self.per_s)
        self.at_s = now_s
        if self.level < cost:
            return int((cost - self.level) / self.per_s * 1_000) + 1
        self.level -= cost
        return 0

    def owe(self, cost: float) -> None:
        """Take units for what is done already; what is missing has to come in before the next."""
        self.level -= cost

    def is_full(self, now_s: float) -> bool:
        """Say whether nothing would be forgotten with it."""
        return self.level + (now_s - self.at_s) * self.per_s >= self.burst


class Sitter(Protocol):
    """A session of a user, as their seat knows it."""

    @property
    def shown(self) -> tuple[Identity, ...]:
        """Give what its tokens say: the one that counts, and that of a hello under way."""
        ...

    def cut(self, message: str) -> bool:
        """End the session now, with a goodbye; says if it was not ending yet."""
        ...


@attrs.define
class Seat:
    """One user at this server: their sessions, and how much they have asked."""

    bucket: Bucket
    sitters: dict[Sitter, None] = attrs.field(factory=dict)
    """In the order of their coming."""
