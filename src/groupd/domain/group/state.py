"""The state of a group, and the rules that all its requests share.

Placement rules:
- A group keeps settings, members, those who wait, bans, pins, links and the current announcement:
  never its history. What a decision needs of older messages comes through ``Context.fetched``.
- Only ``apply`` of an event changes a field here. Which file an event stands in says which part of
  the state is its own: ``settings``, ``membership``, ``admission``, ``invitations``, ``roles``,
  ``nicknames``, ``moderation``, ``messages``, ``edits``, ``recalls``, ``board``, ``links``,
  ``bindings``.
- Nothing here depends on text that may be erased: an announcement is kept by its seq.
- How it lies in a snapshot stands in ``snapshot.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any, ClassVar, Final, Self

import attrs

from groupd.config import Plan
from groupd.domain.base import GROUP, SERVER, Command, Context, Request, Role, Rule
from groupd.domain.group import snapshot
from groupd.domain.group.parts import (
    Announcement,
    Ban,
    Invitation,
    JoinRequest,
    Link,
    Member,
    Offer,
    Pin,
    Refusal,
    Settings,
    Silence,
)
from groupd.domain.stream import Stream
from groupd.errors import Rejected

SILENCES_KEPT: Final = 1_000
"""Fixed, since ``apply`` depends on it."""


@attrs.define
class Group(Stream):
    """A group. ``seq`` 0 means that it does not exist."""

    kind: ClassVar[str] = GROUP
    version: ClassVar[int] = 5

    plan: str = ""
    owner: str = ""
    """Empty in a direct chat, and where an owner has left and no heir has accepted yet."""
    ref: str | None = None
    created_ms: int = 0
    direct: tuple[str, ...] = ()
    """The two users of a direct chat; empty for a group."""
    settings: Settings = attrs.field(factory=Settings)
    settings_seq: int = 0
    """Seq of the event that changed them last."""
    members: dict[str, Member] = attrs.field(factory=dict)
    requests: dict[str, JoinRequest] = attrs.field(factory=dict)
    """User -> their join request that waits, the oldest first."""
    declined: dict[str, Refusal] = attrs.field(factory=dict)
    """User -> the latest refusal, the oldest first."""
    invitations: dict[str, Invitation] = attrs.field(factory=dict)
    bans: dict[str, Ban] = attrs.field(factory=dict)
    offer: Offer | None = None
    passed_over: dict[str, int] = attrs.field(factory=dict)
    """Those to whom an ownerless group was offered in vain -> seq of the offer's end."""
    silences: dict[str, Silence] = attrs.field(factory=dict)
    """Former member -> what keeps them from speaking, the latest ``SILENCES_KEPT``."""
    all_muted: bool = False
    all_muted_seq: int = 0
    slow_mode_ms: int = 0
    slow_mode_seq: int = 0
    announcement: Announcement | None = None
    announcements: list[int] = attrs.field(factory=list)
    """Seqs of the earlier ones that are kept for listing, oldest first."""
    pins: dict[int, Pin] = attrs.field(factory=dict)
    """Seq of the message -> its pin, in the order of the board."""
    unpinned: dict[int, int] = attrs.field(factory=dict)
    """Seq of a message taken off lately -> seq of the event that did it."""
    links: dict[int, Link] = attrs.field(factory=dict)
    links_made: int = 0
    bindings: dict[str, int] = attrs.field(factory=dict)
    """What of the host's the group is bound to -> seq of the event, the oldest first."""
    dissolved: bool = False
    _codes: tuple[tuple[int, int], dict[str | None, int]] | None = attrs.field(
        default=None, init=False, eq=False, repr=False
    )
    """The codes of the links, derived: no part of the state."""

    # --- guards

    @staticmethod
    def rules_of(request: type[Request]) -> Sequence[Rule]:
        """Give all rules of a kind of request, in the order in which they are checked."""
        return rules_of(request)

    def visible_to(self, request: Request, context: Context) -> bool:
        """Say whether a stranger may know, by this request, that the group exists."""
        user = context.caller.user
        if self.settings.discoverable or user in self.requests or user in self.invitations:
            return True
        # Only a code that is right: a made-up one must not tell whether the group exists.
        code = getattr(request, "code", None)
        return code is not None and self.link_of(code, context) is not None

    def link_of(self, code: str, context: Context) -> Link | None:
        """Give the link of a code, working or not, or None."""
        # Derived once, and not for each code that somebody tries. A dict tells by its time at most
        # whether hashes with a secret seed collide, and nothing of the codes.
        kept = (self.links_made, len(self.links))
        if self._codes is None or self._codes[0] != kept:
            tenant, group = context.stream.tenant, context.stream.key
            codes = {
                context.links.code(tenant, group, link.number, link.key_id): link.number
                for link in self.links.values()
            }
            self._codes = (kept, codes)
        number = self._codes[1].get(code)
        return None if number is None else self.links.get(number)

    # --- what the rules ask

    def role_of(self, user: str) -> Role | None:
        """Give a member's role, or None for a stranger; the system's is that of an owner."""
        if user == SERVER:
            return Role.OWNER
        member = self.members.get(user)
        return None if member is None else member.role

    def is_admin(self, user: str) -> bool:
        """Say whether a user is an admin or the owner, or the system."""
        role = self.role_of(user)
        return role is not None and role >= Role.ADMIN

    def floor_of(self, user: str) -> int:
        """Give the first seq that a member, or the system, may read."""
        return 1 if user == SERVER else self.members[user].floor

    def rules(self, context: Context) -> Plan:
        """Give the group's own plan: the one it was founded under, as configured now."""
        return context.rules.plan(self.plan)

    def live_links(self, now_ms: int) -> Iterator[Link]:
        """Give the links that still work."""
        return (link for link in self.links.values() if link.dead_reason(now_ms) is None)

    # --- changes that several events make

    def muted_until_ms(self, user: str, now_ms: int) -> int:
        """Give until when a former member is still muted; 0 for not at all.

        Leaving and coming back is no way around it.
        """
        silence = self.silences.get(user)
        return silence.muted_until_ms if silence and silence.muted_until_ms > now_ms else 0

    def admit(self, user: str, member: Member) -> None:
        """Let somebody in; what they waited for is over, what kept them silent is not."""
        silence = self.silences.pop(user, None)
        if silence is not None:
            member.spoke_ms = silence.spoke_ms
        self.members[user] = member
        self.requests.pop(user, None)
        self.invitations.pop(user, None)

    def drop(self, user: str) -> None:
        """Take a member out, with all that depends on being one."""
        member = self.members.pop(user, None)
        if member is not None and (member.muted_until_ms > self.time_ms or self.slow_mode_ms):
            self.silences[user] = Silence(member.muted_until_ms, member.spoke_ms)
            if len(self.silences) > SILENCES_KEPT:
                # Whose mute is over goes first, so that nobody washes out a mute with leavers.
                over = (
                    former
                    for former, silence in self.silences.items()
                    if silence.muted_until_ms <= self.time_ms
                )
                del self.silences[next(over, next(iter(self.silences)))]
        if self.announcement is not None:
            self.announcement.acknowledged.pop(user, None)
        if self.offer is not None and self.offer.heir == user:
            self.offer = None
        if self.owner == user:
            self.owner = ""

    # --- snapshots

    def dump(self, *, erasable: bool = True) -> Any:
        """Give the state as plain values."""
        return snapshot.dump(self, erasable=erasable)

    @classmethod
    def load(cls, plain: Any) -> Self:
        """Rebuild a group from ``dump``."""
        return cls(**snapshot.load(plain))


# --- the rules that every request to a group has


def _refuse_unseen(state: Group, context: Context, request: Request) -> Rejected | None:
    if state.seq == 0:
        return Rejected("not_found", "no such group")
    user = context.caller.user
    if user == SERVER:
        return _refuse_direct(state, context, request)
    if user in state.members or state.visible_to(request, context):
        return None
    return Rejected("not_found", "no such group")


def _refuse_dissolved(state: Group, context: Context, request: Request) -> Rejected | None:
    if not state.dissolved:
        return None
    return Rejected("conflict", "the group is dissolved", reason="state")


def _refuse_direct(state: Group, context: Context, request: Request) -> Rejected | None:
    if not state.direct:
        return None
    return Rejected("forbidden", "a direct chat has no such thing", reason="direct")


@cache
def _role_rule(required: Role) -> Rule:
    def refuse(state: Group, context: Context, request: Request) -> Rejected | None:
        role = state.role_of(context.caller.user)
        if role is None:
            return not_a_member()
        if role >= required:
            return None
        return Rejected(
            "forbidden",
            f"this takes the role {required.label}",
            reason="role",
            required=required.label,
        )

    return Rule("role", "role", refuse, lambda state, context: required.label, bars=True)


EXISTS: Final = Rule(
    "exists", "tenant", _refuse_unseen, lambda state, context: context.stream.tenant, bars=True
)
"""There is such a group in the caller's tenant, and they may know of it."""
ALIVE: Final = Rule(
    "not_dissolved", "group", _refuse_dissolved, lambda state, context: not state.dissolved
)
NOT_DIRECT: Final = Rule("not_direct", "group", _refuse_direct)


def _rules_of(request: type[Request]) -> Sequence[Rule]:
    rules: list[Rule] = []
    if not request.founds:
        rules.append(EXISTS)
        if issubclass(request, Command):
            rules.append(ALIVE)
        if not request.in_direct:
            rules.append(NOT_DIRECT)
        if request.min_role is not None:
            rules.append(_role_rule(request.min_role))
    return (*rules, *request.rules)


rules_of: Final[Callable[[Any], Sequence[Rule]]] = cache(_rules_of)
"""Gives all rules of a kind of request, in the order in which they are checked."""


def not_a_member() -> Rejected:
    """Make the error for strangers."""
    return Rejected("forbidden", "only members of the group may do this", reason="not_member")
