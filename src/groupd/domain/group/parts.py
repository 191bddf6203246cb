"""What a group's state is made of: plain parts without rules of their own."""

from __future__ import annotations

from typing import Any, Final

import attrs

from groupd.domain.base import Role


@attrs.define
class Member:
    """One member of a group."""

    role: Role
    name: str
    joined_ms: int
    joined_seq: int
    floor: int
    """The first seq that they may read."""
    nickname: str = ""
    muted_until_ms: int = 0
    spoke_ms: int = 0
    """When they posted last; 0 for never."""
    role_seq: int = 0
    """Seq of the event that gave them their role; 0 where they have it from joining."""
    nickname_seq: int = 0
    """Seq of the event that set or took away their nickname last."""
    muted_seq: int = 0
    """Seq of the event that muted or unmuted them last."""


@attrs.define
class Silence:
    """What keeps a former member from speaking, for when they come back."""

    muted_until_ms: int
    spoke_ms: int


@attrs.define
class JoinRequest:
    """Somebody waits for a decision."""

    seq: int
    at_ms: int
    name: str
    message: str
    via: str
    """How they would join: ``search``, ``link`` or ``invite``."""
    link: int | None = None
    channel: str = ""
    sharer: str = ""


@attrs.define
class Refusal:
    """A join request was declined: they may not ask again before ``until_ms``."""

    seq: int
    until_ms: int


@attrs.define
class Invitation:
    """Somebody may join, if they want to."""

    seq: int
    at_ms: int
    by: str
    grants: str
    """``joined`` or ``pending``: what accepting it gives, as of its making."""


@attrs.define
class Ban:
    """Somebody may not be a member."""

    seq: int
    by: str
    at_ms: int
    until_ms: int
    """0 for ever."""

    def holds(self, now_ms: int) -> bool:
        """Say whether it still keeps them out."""
        return self.until_ms == 0 or now_ms < self.until_ms


@attrs.define
class Offer:
    """The group is offered to one of its members."""

    seq: int
    at_ms: int
    heir: str


@attrs.define
class Link:
    """A share link. What it is for never changes; its uses and its end do."""

    number: int
    by: str
    key_id: str
    channel: str
    made_ms: int
    expires_at_ms: int | None
    uses_max: int | None
    grants: str
    """``joined`` or ``pending``: what joining by it gives, as of its making."""
    uses: int = 0
    revoked: bool = False
    """Somebody has withdrawn it."""
    expired: bool = False
    """The server has ended it, because its time was over."""

    @property
    def has_ended(self) -> bool:
        """Say whether the log tells of its end."""
        return self.revoked or self.expired

    def dead_reason(self, now_ms: int) -> str | None:
        """Say why it no longer works, or None while it does.

        One that was withdrawn stays so after its time: strangers are told the same as of one that
        never was, and must not learn the difference by waiting.
        """
        if self.revoked:
            return "link_revoked"
        if self.expired or (self.expires_at_ms is not None and now_ms >= self.expires_at_ms):
            return "link_expired"
        if self.uses_max is not None and self.uses >= self.uses_max:
            return "link_used_up"
        return None


@attrs.define
class Pin:
    """A message on the pin board."""

    by: str
    time_ms: int
    event_seq: int


@attrs.define
class Announcement:
    """The current announcement: where its text stands, and who has acknowledged it."""

    seq: int
    by: str
    time_ms: int
    acknowledged: dict[str, int] = attrs.field(factory=dict)
    """User -> seq of the acknowledgement."""


@attrs.frozen
class Settings:
    """What owner and admins may change with ``update``."""

    name: str = ""
    picture: str = ""
    category: str = ""
    description: str = ""
    location: dict[str, float] | None = None
    join_policy: str = "open"
    member_invites: bool = True
    discoverable: bool = True
    history: str = "all"
    time_zone: str = "UTC"
    data: dict[str, Any] | None = None
    conditions: dict[str, Any] | None = None
    """The entry condition; see ``conditions.py``."""
    public_stats: bool = False
    """Whether strangers see the statistics, too."""


SETTINGS: Final = tuple(field.name for field in attrs.fields(Settings))
