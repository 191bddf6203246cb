"""Who was in a group, with which role, at every seq; and whether each event was allowed there.

The rules are written down anew from ``proto/``, as one small state that is driven by the log. What
needs to be judged at commit is judged with the state just before the event.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import attrs

from groupd.testing.checker_logs import COUNTED, RANKS, GroupLog, Row, Stay
from groupd.testing.checker_report import Report

MEMBER, ADMIN, OWNER = 1, 2, 3

NEEDS: Final[Mapping[str, int]] = {
    **dict.fromkeys(
        ("posted", "edited", "recalled", "reacted", "unreacted", "acknowledged", "left"), MEMBER
    ),
    **dict.fromkeys(("invited", "link_made", "transferred", "nicknamed"), MEMBER),
    **dict.fromkeys(("announced", "pinned", "unpinned", "updated", "declined"), ADMIN),
    **dict.fromkeys(("kicked", "banned", "unbanned", "muted", "unmuted"), ADMIN),
    **dict.fromkeys(("all_muted", "slow_mode_set"), ADMIN),
    **dict.fromkeys(("role_set", "dissolved"), OWNER),
}
"""Kind -> the lowest role of whoever does it. Others are judged by themselves."""
BY_SERVER: Final = frozenset(
    {
        *("link_revoked", "request_expired", "invite_expired", "transfer_expired"),
        "transfer_offered",
    }
)
"""Kinds that may have no user."""
RANKED: Final = frozenset({"kicked", "banned", "muted", "unmuted", "nicknamed"})
"""Kinds that are done to somebody of a lower role."""
SPEAKING: Final = frozenset({"posted", "edited", "reacted"})
"""What a mute forbids, and muting all to plain members."""


@attrs.define(slots=True)
class _Link:
    uses_max: int | None
    expires_at_ms: int | None
    grants: str
    uses: int = 0
    revoked: bool = False


@attrs.define
class _State:
    """The group just before an event."""

    roles: dict[str, str] = attrs.field(factory=dict)
    muted_until_ms: dict[str, int] = attrs.field(factory=dict)
    spoke_ms: dict[str, int] = attrs.field(factory=dict)
    bans: dict[str, int] = attrs.field(factory=dict)
    requests: dict[str, int] = attrs.field(factory=dict)
    invitations: dict[str, int] = attrs.field(factory=dict)
    links: dict[int, _Link] = attrs.field(factory=dict)
    pins: set[int] = attrs.field(factory=set)
    owners: set[str] = attrs.field(factory=set)
    owners_before: int = 0
    admins: int = 0
    is_left: bool = False
    """Whether an owner has left it to an heir."""
    last_left: int = 0
    policy: str = "open"
    all_muted: bool = False
    slow_mode_ms: int = 0

    def rank(self, user: str) -> int:
        """Give the rank of a user; 0 for a stranger."""
        return RANKS.get(self.roles.get(user, ""), 0)


def check_members(log: GroupLog, config: Mapping[str, Any], report: Report) -> None:
    """Drive the state through the log; fill ``stays``, ``waits``, ``sizes`` and settings."""
    state, judge = _State(), _Judge(log, config, report)
    for seq in range(1, log.end + 1):
        row = log.rows.get(seq)
        if row is not None:
            judge.allow(row, state)
            _apply(row, state, log)
            judge.count(row, state)
        log.sizes.append(len(state.roles))
    for waiting in (state.requests, state.invitations):
        for user, since in waiting.items():
            log.waits.setdefault(user, []).append((since, None))


@attrs.frozen
class _Judge:
    """Says what is wrong with one event."""

    log: GroupLog
    config: Mapping[str, Any]
    report: Report

    def add(self, invariant: str, row: Row, why: str) -> None:
        self.report.add(
            invariant, self.log.name, f"seq {row.seq}, {row.kind} by {row.user!r}: {why}"
        )

    def allow(self, row: Row, state: _State) -> None:
        """Judge it with the state before it."""
        if self.log.dissolved_at is not None:
            self.add("after-dissolved", row, f"the group was dissolved by {self.log.dissolved_at}")
        if row.seq == 1 or row.kind == "created":
            if row.seq != 1 or row.kind != "created":
                self.add("seq-gap", row, "a log begins with created, and has it once")
            return
        if row.kind == "joined":
            self._allow_joining(row, state)
            return
        if not row.user:
            if row.kind not in BY_SERVER:
                self.add("stranger-posted", row, "the server itself does no such thing")
            return
        self._allow_role(row, state)
        self._allow_speaking(row, state)

    def _allow_role(self, row: Row, state: _State) -> None:
        needed, rank = NEEDS.get(row.kind, 0), state.rank(row.user)
        if row.kind == "dissolved" and state.last_left == row.seq - 1 and not state.roles:
            return  # With the last member the group ends.
        if needed and not rank:
            self.add("stranger-posted", row, "no member at that time")
        elif rank < needed:
            self.add("role-at-commit", row, f"was {state.roles[row.user]} at that time")
        elif row.kind in RANKED:
            other = row.field("member") or row.user
            if other != row.user and state.rank(other) >= rank:
                self.add("role-at-commit", row, f"{other!r} ranks no lower")
            if row.kind == "nicknamed" and other != row.user and rank < ADMIN:
                self.add("role-at-commit", row, f"names {other!r} and is no admin")
        elif row.kind == "recalled":
            message = self.log.rows.get(row.field("message", 0))
            author = row.user if message is None else message.user
            if author != row.user and (rank < ADMIN or state.rank(author) >= rank):
                self.add("role-at-commit", row, f"the message is by {author!r}, who ranks no lower")

    def _allow_speaking(self, row: Row, state: _State) -> None:
        about_self = row.kind == "nicknamed" and row.field("member") in ("", row.user)
        if not (row.kind in SPEAKING or row.kind == "announced" or about_self):
            return
        if state.muted_until_ms.get(row.user, 0) > row.time_ms:
            self.add("muted-spoke", row, f"muted until {state.muted_until_ms[row.user]}")
        if row.kind == "announced" or state.rank(row.user) != MEMBER:
            return
        if state.all_muted:
            self.add("muted-spoke", row, "only admins may speak")
        since = state.spoke_ms.get(row.user)
        if row.kind == "posted" and since is not None and row.time_ms < since + state.slow_mode_ms:
            self.add("muted-spoke", row, f"spoke {row.time_ms - since} ms ago, in slow mode")

    def _allow_joining(self, row: Row, state: _State) -> None:
        user, via = row.field("member") or row.user, row.field("via")
        until_ms = state.bans.get(user)
        if until_ms is not None and (until_ms == 0 or row.time_ms < until_ms):
            self.add("banned-joined", row, f"{user!r} is banned")
        if user in state.roles:
            self.add("member-twice", row, f"{user!r} is a member already")
        link = state.links.get(row.field("link", 0) or 0)
        if row.field("link", None) is not None:
            if link is None:
                self.add("no-way-in", row, f"there is no link {row.field('link')}")
            elif link.uses_max is not None and link.uses >= link.uses_max:
                self.add(
                    "link-overused",
                    row,
                    f"link {row.field('link')} was made for {link.uses_max}, this is one more",
                )
        why = {
            "link": link is not None and not _works(link, row),
            "search": state.policy != "open" and not self.log.direct,
            "invite": user not in state.invitations,
            "approval": user not in state.requests or state.rank(row.user) < ADMIN,
            "added": state.rank(row.user) < MEMBER,
        }
        if why.get(via, False):
            self.add("no-way-in", row, f"{user!r} could not come in by {via}")

    def count(self, row: Row, state: _State) -> None:
        """Judge the counters with the state after it."""
        members_max = self._limit("members_max")
        # Only what lets somebody in can go over a cap: a plan may have been lowered since.
        if row.kind == "joined" and len(state.roles) > members_max:
            self.add("too-many-members", row, f"{len(state.roles)} members of {members_max}")
        if row.kind == "pinned" and len(state.pins) > self._limit("pins_max"):
            self.add("over-quota", row, f"{len(state.pins)} pins of {self._limit('pins_max')}")
        if row.kind == "role_set" and state.admins > self._limit("admins_max"):
            self.add("over-quota", row, f"{state.admins} admins")
        owners, state.owners_before = state.owners_before, len(state.owners)
        if len(state.owners) > max(1, owners):
            self.add("two-owners", row, f"owners are {sorted(state.owners)}")
        is_over = state.is_left or self.log.direct or self.log.dissolved_at is not None
        if not state.owners and owners and not is_over:
            self.add("no-owner", row, "from here on nobody owns the group")
        if row.seq == 1:
            state.owners_before = 1  # The joining of the owner follows.

    def _limit(self, name: str) -> float:
        limit = self.config.get(name, {}).get(self.log.plan)
        return float("inf") if limit is None else int(limit)


def _works(link: _Link, row: Row) -> bool:
    is_over = link.expires_at_ms is not None and row.time_ms >= link.expires_at_ms
    return not (is_over or link.revoked) and link.grants == "joined"


# --- what an event changes


def _apply(row: Row, state: _State, log: GroupLog) -> None:
    kind, member = row.kind, row.field("member")
    if kind == "created":
        log.plan, log.direct = row.field("plan"), bool(row.field("direct", ()))
        _set(row.body or {}, row.seq, state, log)
    elif kind == "joined":
        _join(row, state, log)
    elif kind == "left":
        state.is_left, state.last_left = state.is_left or row.field("owned", False), row.seq
        _drop(row.user, row.seq, state, log)
    elif kind in ("kicked", "banned"):
        if kind == "banned":
            state.bans[member] = row.field("until_ms", 0)
            _end_wait(member, row.seq, state, log)
        _drop(member, row.seq, state, log)
    elif kind == "unbanned":
        state.bans.pop(member, None)
    elif kind in ("requested", "invited"):
        user = row.user if kind == "requested" else member
        _end_wait(user, row.seq, state, log)
        (state.requests if kind == "requested" else state.invitations)[user] = row.seq
    elif kind in ("withdrawn", "invite_declined"):
        _end_wait(row.user, row.seq, state, log)
    elif kind in ("declined", "request_expired", "invite_expired"):
        _end_wait(member, row.seq, state, log)
    elif kind == "role_set":
        _give(member, row.field("role", "member"), row.seq, state, log)
    elif kind == "transferred":
        if row.field("former"):
            _give(row.field("former"), "admin", row.seq, state, log)
        _give(row.user, "owner", row.seq, state, log)
        state.muted_until_ms.pop(row.user, None)
        state.is_left = False
    else:
        _apply_to_content(row, state, log)


def _apply_to_content(row: Row, state: _State, log: GroupLog) -> None:
    kind, message = row.kind, row.field("message", 0)
    if kind in COUNTED:
        if kind == "posted":
            state.spoke_ms[row.user] = row.time_ms
    elif kind == "muted":
        state.muted_until_ms[row.field("member")] = row.field("until_ms", 0)
    elif kind == "unmuted":
        state.muted_until_ms.pop(row.field("member"), None)
    elif kind == "all_muted":
        state.all_muted = row.field("on", False)
    elif kind == "slow_mode_set":
        state.slow_mode_ms = row.field("interval_ms", 0)
    elif kind == "pinned":
        state.pins.add(message)
    elif kind in ("unpinned", "recalled"):
        state.pins.discard(message)
    elif kind == "updated":
        _set(row.field("changes", {}), row.seq, state, log)
    elif kind == "link_made":
        state.links[row.field("link", 0)] = _Link(
            row.field("uses_max", None),
            row.field("expires_at_ms", None),
            row.field("grants", "joined"),
        )
    elif kind == "link_revoked" and row.field("link", 0) in state.links:
        state.links[row.field("link", 0)].revoked = True
    elif kind == "dissolved":
        log.dissolved_at = row.seq


def _set(changes: Mapping[str, Any], seq: int, state: _State, log: GroupLog) -> None:
    state.policy = changes.get("join_policy", state.policy)
    if "discoverable" in changes or not log.hidden_since:
        # A direct chat is never found.
        is_hidden = log.direct or not changes.get("discoverable", True)
        log.hidden_since.append((seq, is_hidden))


def _join(row: Row, state: _State, log: GroupLog) -> None:
    user, founder = row.field("member") or row.user, log.rows.get(1)
    via = row.field("via")
    is_founder = via in ("created", "direct") and founder is not None and user == founder.user
    start = 1 if is_founder else row.seq
    floor = row.seq if row.field("history", "all") == "joined" else 1
    is_founding = founder is not None and row.time_ms == founder.time_ms and row.id == founder.id
    stay = Stay(start, floor, is_founding)
    earlier = log.stays.setdefault(user, [])
    if earlier and earlier[-1].ended is None:
        earlier[-1].ended = row.seq
    earlier.append(stay)
    stay.roles.append((start, "member"))
    state.roles[user] = "member"
    _give(user, row.field("role", "member"), start, state, log)
    _end_wait(user, row.seq, state, log)
    state.spoke_ms.pop(user, None)
    state.muted_until_ms[user] = row.field("muted_until_ms", 0)
    link = state.links.get(row.field("link", 0) or 0)
    if link is not None:
        link.uses += 1


def _drop(user: str, seq: int, state: _State, log: GroupLog) -> None:
    role = state.roles.pop(user, None)
    state.admins -= role == "admin"
    state.owners.discard(user)
    if role is not None:
        log.stays[user][-1].ended = seq


def _give(user: str, role: str, seq: int, state: _State, log: GroupLog) -> None:
    if user in state.roles:
        state.admins += (role == "admin") - (state.roles[user] == "admin")
        state.roles[user] = role
        state.owners.discard(user)
        if role == "owner":
            state.owners.add(user)
        log.stays[user][-1].roles.append((seq, role))


def _end_wait(user: str, seq: int, state: _State, log: GroupLog) -> None:
    since = (state.requests.pop(user, None), state.invitations.pop(user, None))
    for start in since:
        if start is not None:
            log.waits.setdefault(user, []).append((start, seq))
