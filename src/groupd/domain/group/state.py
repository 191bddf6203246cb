"""The state of a group, and the guards that all its commands share.

Placement rules:
- A group keeps settings, members, pins, links and the current announcement: never its history.
  What a decision needs of older messages comes through ``Context.fetched``.
- Only ``apply`` of an event changes a field here. Which file an event stands in says which part of
  the state is its own: ``founding``, ``membership``, ``messages``, ``board``, ``links``,
  ``settings``.
- Nothing here depends on text that may be erased: an announcement is kept by its seq.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, Final, Self

import attrs

from groupd.config import Plan
from groupd.domain.base import Command, Context, Query, Role
from groupd.domain.exactly_once import RequestMemory
from groupd.domain.stream import Stream
from groupd.errors import Rejected


@attrs.define
class Member:
    """One member of a group."""

    role: Role
    name: str
    joined_ms: int
    joined_seq: int
    floor: int
    """The first seq that they may read."""


@attrs.define
class Link:
    """A share link. What it is for never changes; only ``uses`` and ``revoked`` do."""

    number: int
    by: str
    key_id: str
    channel: str
    made_ms: int
    expires_at_ms: int | None
    uses_max: int | None
    grants: str
    """``joined``: what joining by it gives, as of its making."""
    uses: int = 0
    revoked: bool = False

    def dead_reason(self, now_ms: int) -> str | None:
        """Say why it no longer works, or None while it does."""
        # First, because a link that has expired is soon revoked by the server.
        if self.expires_at_ms is not None and now_ms >= self.expires_at_ms:
            return "link_expired"
        if self.revoked:
            return "link_revoked"
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


SETTINGS: Final = tuple(field.name for field in attrs.fields(Settings))


@attrs.define
class Group(Stream):
    """A group. ``seq`` 0 means that it does not exist."""

    version: ClassVar[int] = 1

    plan: str = ""
    owner: str = ""
    ref: str | None = None
    created_ms: int = 0
    settings: Settings = attrs.field(factory=Settings)
    settings_seq: int = 0
    """Seq of the event that changed them last."""
    members: dict[str, Member] = attrs.field(factory=dict)
    announcement: Announcement | None = None
    announcements: list[int] = attrs.field(factory=list)
    """Seqs of the earlier ones that are kept for listing, oldest first."""
    pins: dict[int, Pin] = attrs.field(factory=dict)
    """Seq of the message -> its pin, in the order of the board."""
    unpinned: dict[int, int] = attrs.field(factory=dict)
    """Seq of a message taken off lately -> seq of the ``unpinned`` event."""
    links: dict[int, Link] = attrs.field(factory=dict)
    links_made: int = 0
    dissolved: bool = False

    # --- guards

    def guard(self, request: Command | Query, context: Context) -> None:
        """Refuse what the group's existence, state and the caller's role do not allow."""
        member = self.members.get(context.caller.user)
        if self.seq == 0 or (member is None and not self.visible_to(request, context)):
            raise Rejected("not_found", "no such group")
        if not isinstance(request, Command):
            return
        if self.dissolved:
            raise Rejected("conflict", "the group is dissolved", reason="state")
        required = request.min_role
        if required is None:
            return
        if member is None:
            raise not_a_member()
        if member.role < required:
            raise Rejected(
                "forbidden",
                f"this takes the role {required.label}",
                reason="role",
                required=required.label,
            )

    def visible_to(self, request: Command | Query, context: Context) -> bool:
        """Say whether a stranger may know, by this request, that the group exists."""
        if self.settings.discoverable:
            return True
        # Only a code that is right: a made-up one must not tell whether the group exists.
        code = getattr(request, "code", None)
        return code is not None and self.link_of(code, context) is not None

    def link_of(self, code: str, context: Context) -> Link | None:
        """Give the link of a code, working or not, or None."""
        found = None
        # All are compared, so that the time taken says nothing about which one matched.
        for link in self.links.values():
            own = context.links.code(
                context.stream.tenant, context.stream.key, link.number, link.key_id
            )
            if own is not None and context.links.equal(own, code):
                found = link
        return found

    def role_of(self, user: str) -> Role | None:
        """Give a member's role, or None for a stranger."""
        member = self.members.get(user)
        return None if member is None else member.role

    def is_admin(self, user: str) -> bool:
        """Say whether a user is an admin or the owner."""
        member = self.members.get(user)
        return member is not None and member.role >= Role.ADMIN

    def rules(self, context: Context) -> Plan:
        """Give the group's own plan: the one it was founded under, as configured now."""
        return context.rules.plan(self.plan)

    def live_links(self, now_ms: int) -> Iterator[Link]:
        """Give the links that still work."""
        return (link for link in self.links.values() if link.dead_reason(now_ms) is None)

    # --- snapshots

    def dump(self, *, erasable: bool = True) -> Any:
        """Give the state as plain values."""
        return [
            [self.seq, self.n, self.time_ms, self.memory.dump(erasable=erasable)],
            [self.plan, self.owner, self.ref, self.created_ms, self.dissolved],
            [self.settings_seq, *attrs.astuple(self.settings, recurse=False)],
            [[user, *attrs.astuple(member)] for user, member in self.members.items()],
            None
            if self.announcement is None
            else [
                self.announcement.seq,
                self.announcement.by,
                self.announcement.time_ms,
                list(self.announcement.acknowledged.items()),
            ],
            list(self.announcements),
            [[seq, *attrs.astuple(pin)] for seq, pin in self.pins.items()],
            list(self.unpinned.items()),
            [list(attrs.astuple(link)) for link in self.links.values()],
            self.links_made,
        ]

    @classmethod
    def load(cls, plain: Any) -> Self:
        """Rebuild a group from ``dump``."""
        head, own, settings, members, said, earlier, pins, unpinned, links, links_made = plain
        return cls(
            seq=head[0],
            n=head[1],
            time_ms=head[2],
            memory=RequestMemory.load(head[3]),
            plan=own[0],
            owner=own[1],
            ref=own[2],
            created_ms=own[3],
            dissolved=own[4],
            settings=Settings(*map(_with_tuples, settings[1:])),
            settings_seq=settings[0],
            members={row[0]: Member(Role(row[1]), *row[2:]) for row in members},
            announcement=None
            if said is None
            else Announcement(said[0], said[1], said[2], dict(said[3])),
            announcements=list(earlier),
            pins={row[0]: Pin(*row[1:]) for row in pins},
            unpinned=dict(unpinned),
            links={row[0]: Link(*row) for row in links},
            links_made=links_made,
        )


def _with_tuples(value: Any) -> Any:
    """Give a setting as ``create`` and ``update`` make it, so that it compares equal to theirs."""
    if isinstance(value, dict):
        return {key: _with_tuples(item) for key, item in value.items()}
    return tuple(map(_with_tuples, value)) if isinstance(value, list | tuple) else value


def not_a_member() -> Rejected:
    """Make the error for strangers."""
    return Rejected("forbidden", "only members of the group may do this", reason="not_member")
