"""What a group is called and how it is open: founding, settings, dissolving, and its card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final
from zoneinfo import ZoneInfo

import attrs

from groupd.config import CONTENT
from groupd.domain import fields
from groupd.domain.base import Audience, Command, Context, Decision, Event, Record, Role, Unchanged
from groupd.domain.group.conditions import check_conditions, clause_text
from groupd.domain.group.parts import SETTINGS, Settings
from groupd.domain.group.state import Group
from groupd.domain.projection import BINDING, LIVE, Change, DropTies, PutCard
from groupd.domain.wording import words_in


@attrs.frozen
class Created(Event):
    """The group exists from now on. Its ``user`` is the owner; ``joined`` events follow."""

    kind = "created"
    lets_in = True
    moves = True

    name: str = ""
    picture: str = ""
    category: str = ""
    description: str = fields.stored("text", "")
    location: Mapping[str, float] | None = fields.stored("location", None)
    join_policy: str = fields.stored("join_policy", "open")
    member_invites: bool = True
    discoverable: bool = True
    history: str = fields.stored("history_policy", "all")
    time_zone: str = fields.stored("time_zone", "UTC")
    data: Mapping[str, Any] | None = None
    conditions: Mapping[str, Any] | None = fields.stored("condition", None)
    public_stats: bool = False
    ref: str | None = None
    plan: str = ""
    direct: tuple[str, ...] = fields.stored("list[user]", ())
    """The two users of a direct chat."""

    def apply(self, state: Group, record: Record) -> None:
        """Found the group."""
        state.settings = Settings(**{name: getattr(self, name) for name in SETTINGS})
        state.ref = self.ref
        state.plan = self.plan
        state.direct = self.direct
        state.owner = "" if self.direct else record.user
        state.created_ms = record.time_ms
        state.settings_seq = record.seq

    def views(self, record: Record) -> Sequence[tuple[str, Audience | None]]:
        """Let the owner read from the very first event on."""
        return ((record.user, Audience.MEMBERS if self.direct else Audience.ADMINS),)

    def project(self, record: Record) -> Sequence[Change]:
        """List the group."""
        values = {
            "name": self.name,
            "picture": self.picture,
            "owner": "" if self.direct else record.user,
            "ref": self.ref,
            "dissolved": False,
            "discoverable": self.discoverable,
            "category": self.category,
            "description": self.description,
            "location": self.location,
            "join_policy": self.join_policy,
            "created_ms": record.time_ms,
            "direct": bool(self.direct),
        }
        return (PutCard(values),)


@attrs.frozen
class Updated(Event):
    """Some settings have new values."""

    kind = "updated"

    changes: Mapping[str, Any] = attrs.field(factory=dict, metadata={"type": "changes"})
    """Setting -> its new value."""

    def apply(self, state: Group, record: Record) -> None:
        """Change the settings that this version knows."""
        known = {name: value for name, value in self.changes.items() if name in SETTINGS}
        state.settings = attrs.evolve(state.settings, **known)
        state.settings_seq = record.seq

    def project(self, record: Record) -> Sequence[Change]:
        """Change what the index shows of them."""
        shown = (
            *("name", "picture", "discoverable", "category", "description"),
            *("location", "join_policy"),
        )
        values = {name: self.changes[name] for name in shown if name in self.changes}
        return (PutCard(values),) if values else ()


@attrs.frozen
class Dissolved(Event):
    """The group is over. Its last members may still read."""

    kind = "dissolved"
    followed = True

    def apply(self, state: Group, record: Record) -> None:
        """End it. It is bound to nothing any more."""
        state.dissolved = True
        state.bindings.clear()

    def project(self, record: Record) -> Sequence[Change]:
        """Free its ref, and leave it out of lists, also of those that the host goes through."""
        return (PutCard({"dissolved": True, "ref": None}), DropTies((BINDING, LIVE)))


# --- fields that `create` and `update` share


JOIN_POLICIES: Final = ("open", "approval", "invite_only")


def check_join_policy(value: Any, field: str) -> str:
    """Check a join policy."""
    if value not in JOIN_POLICIES:
        raise fields.refuse(field, f"expected one of {', '.join(JOIN_POLICIES)}")
    return str(value)


def check_time_zone(value: Any, field: str) -> str:
    """Check the name of a time zone (IANA)."""
    if type(value) is not str or not 1 <= len(value) <= CONTENT.ref_max:
        raise fields.refuse(field, "expected the name of a time zone, such as Asia/Shanghai")
    try:
        ZoneInfo(value)
    except (ValueError, OSError, LookupError):
        raise fields.refuse(field, f"unknown time zone {value!r}") from None
    return value


def refuse_unknown_category(category: str | None, context: Context) -> None:
    """Raise ``bad_request`` for a category that is not configured."""
    known = context.rules.categories
    if category and known and category not in known:
        raise fields.refuse("category", f"expected one of {', '.join(known)}")


def check_new_location(value: Any, field: str) -> dict[str, float]:
    """Check a place, or an empty map, which takes the old one away."""
    return {} if value == {} else fields.location_of(value, field)


@attrs.frozen
class Update(Command):
    """Change settings. What is not given stays as it is."""

    method = "update"
    by_system = True
    cost = 2
    min_role = Role.ADMIN
    rules = (words_in("name", "description"),)

    name: str | None = fields.name(CONTENT.name_max, default=None)
    picture: str | None = fields.picture(default=None)
    category: str | None = fields.name(CONTENT.category_max, default=None, min_chars=0)
    description: str | None = fields.text(CONTENT.description_max, default=None, min_chars=0)
    location: Mapping[str, float] | None = fields.custom(
        check_new_location, "location", default=None
    )
    join_policy: str | None = fields.custom(
        check_join_policy, "enum", default=None, options=JOIN_POLICIES
    )
    member_invites: bool | None = fields.boolean(default=None)
    discoverable: bool | None = fields.boolean(default=None)
    history: str | None = fields.choice("all", "joined", default=None)
    time_zone: str | None = fields.custom(check_time_zone, "time_zone", default=None)
    conditions: Mapping[str, Any] | None = fields.custom(
        check_conditions, "condition", default=None
    )
    public_stats: bool | None = fields.boolean(default=None)
    data: Mapping[str, Any] | None = fields.value_map(CONTENT.data_max_bytes, default=None)

    def decide(self, state: Group, context: Context) -> Decision:
        """Change what differs; nothing different is no event."""
        refuse_unknown_category(self.category, context)
        asked = self.params()
        if not asked:
            raise fields.refuse("name", "name at least one setting to change")
        for name in ("location", "data", "conditions"):
            if asked.get(name) == {}:
                asked[name] = None
        changes = {
            name: value
            for name, value in asked.items()
            if not fields.same(value, getattr(state.settings, name))
        }
        return [Updated(changes)] if changes else Unchanged({"seq": state.settings_seq})


@attrs.frozen
class Dissolve(Command):
    """End the group. It frees its place in the owner's quota."""

    method = "dissolve"
    by_system = True
    cost = 2
    min_role = Role.OWNER

    def decide(self, state: Group, context: Context) -> Decision:
        """End it; the guards have seen that the caller is the owner and that it is not over."""
        return [Dissolved()]


CARD: Final = {
    "group": "group",
    "name": "string",
    "picture": "string",
    "category": "string",
    "description": "text",
    "owner": 'user or ""',
    "members": "integer",
    "join_policy": "join_policy",
    "created_ms": "time_ms",
    "dissolved": "boolean",
    "location": "location?",
    "condition": "string?",
}
"""The fields of ``public_card``, with their published types."""


def public_card(group: str, state: Group) -> dict[str, Any]:
    """Give what anybody may see who can find the group."""
    settings = state.settings
    card: dict[str, Any] = {
        "group": group,
        "name": settings.name,
        "picture": settings.picture,
        "category": settings.category,
        "description": settings.description,
        "owner": state.owner,
        "members": len(state.members),
        "join_policy": settings.join_policy,
        "created_ms": state.created_ms,
        "dissolved": state.dissolved,
    }
    if settings.location is not None:
        card["location"] = dict(settings.location)
    if settings.conditions is not None:
        card["condition"] = clause_text(settings.conditions)
    return card


def shown_settings(state: Group) -> dict[str, Any]:
    """Give the settings that only members see."""
    settings = state.settings
    shown: dict[str, Any] = {
        "member_invites": settings.member_invites,
        "discoverable": settings.discoverable,
        "history": settings.history,
        "time_zone": settings.time_zone,
        "data": dict(settings.data or {}),
        "conditions": dict(settings.conditions or {}),
        "public_stats": settings.public_stats,
    }
    if state.ref is not None:
        shown["ref"] = state.ref
    return shown
