"""Calls that only backends have, beside the protocol's methods: one row each.

What their parameters and answers are, for the OpenAPI document, stands here too.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Any, Final, TypeAlias

import attrs

from groupd.config import CONTENT
from groupd.domain.feeding import BEGINNINGS, FEED_WAIT_MS
from groupd.domain.watching import AUDIT_PAGE_MAX, KEY_NAME_MAX
from groupd.engine.hub import Hub
from groupd.server.operator import Cut
from groupd.web import business, feed, sessions
from groupd.web.audit import audit
from groupd.web.members import MEMBERS_MAX, add_members
from groupd.web.rounds import GROUPS_PAGE_MAX

Serve: TypeAlias = Callable[[Hub, str, Mapping[str, Any]], Awaitable[Mapping[str, Any]]]
ServeSessions: TypeAlias = Callable[
    [Hub, str, Mapping[str, Any], Cut], Awaitable[Mapping[str, Any]]
]
Schema: TypeAlias = Mapping[str, Any]

USER: Final[Schema] = {"$ref": "#/components/schemas/As"}
_STRING: Final[Schema] = {"type": "string"}
_COUNT: Final[Schema] = {"type": "integer", "minimum": 0}
_USER_ID: Final[Schema] = {"type": "string", "minLength": 1, "maxLength": CONTENT.user_max_bytes}
_GROUP: Final[Schema] = {"type": "string", "maxLength": 128}
_NAMED: Final[Schema] = {"type": "string", "minLength": 1, "maxLength": CONTENT.ref_max}
_GROUPS: Final[Schema] = {"type": "array", "items": _GROUP}
_PAGING: Final[Mapping[str, Schema]] = {
    "after": _GROUP,
    "limit": {"type": "integer", "minimum": 1, "maximum": GROUPS_PAGE_MAX},
}
_OUTCOMES: Final[Mapping[str, Schema]] = {
    "groups": {
        "type": "array",
        "items": {
            "type": "object",
            "properties": {
                "group": _STRING,
                "status": _STRING,
                "seq": {"type": "integer"},
                "error": {"type": "object"},
            },
            "required": ["group"],
        },
    },
    "next": _STRING,
}
_CONSUMER: Final[Schema] = {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"}


def _listed(name: str) -> Schema:
    """Give the schema of a list of a published type."""
    return {"type": "array", "items": {"$ref": f"#/components/schemas/{name}"}}


@attrs.frozen
class Ending:
    """What serves a call that may end sessions: it is given who does that, too."""

    serve: ServeSessions


@attrs.frozen
class OwnCall:
    """One call: who serves it, which scopes it takes, what it costs, how it looks.

    With ``hub`` it is given a hub that notes in the audit what is changed by way of it.
    """

    serve: Serve | Ending
    scopes: tuple[str, ...]
    params: Mapping[str, Schema]
    required: tuple[str, ...]
    result: Mapping[str, Schema]
    always: tuple[str, ...] = ()
    """Fields of the result that are always there."""
    counted: str = ""
    """The parameter each of whose items costs a unit."""
    owes: str = ""
    """The list of the answer each of whose items costs a unit, once it is done."""

    def cost(self, params: Mapping[str, Any]) -> int:
        """Give the cost units of a call."""
        many = params.get(self.counted) if self.counted else None
        return min(len(many), MEMBERS_MAX) if isinstance(many, list) else 1

    def owed(self, answer: Mapping[str, Any]) -> int:
        """Give the cost units of what was done, which nobody knew before."""
        return len(answer[self.owes]) if self.owes else 0

    @property
    def does(self) -> str:
        """Say what it does, in a line."""
        served = self.serve.serve if isinstance(self.serve, Ending) else self.serve
        return (served.__doc__ or "").strip().partition("\n")[0]


OWN: Final[Mapping[str, OwnCall]] = MappingProxyType(
    {
        "add_members": OwnCall(
            add_members,
            ("write", "system"),
            {
                "group": {"type": "string", "maxLength": 128},
                "members": {"type": "array", "items": USER, "minItems": 1, "maxItems": MEMBERS_MAX},
                "id": {"type": "string", "format": "uuid"},
            },
            ("group", "members"),
            {"group": _STRING, "members": {"type": "array", "items": {"type": "object"}}},
            ("group", "members"),
            counted="members",
        ),
        "bind": OwnCall(
            business.bind,
            ("write", "system"),
            {"group": _GROUP, "binding": _NAMED},
            ("group", "binding"),
            {"seq": {"type": "integer"}},
            ("seq",),
        ),
        "unbind": OwnCall(
            business.unbind,
            ("write", "system"),
            {"group": _GROUP, "binding": _NAMED},
            ("group", "binding"),
            {"seq": {"type": "integer"}},
            ("seq",),
        ),
        "bindings": OwnCall(
            business.bindings,
            ("read", "system"),
            {"group": _GROUP},
            ("group",),
            {"bindings": {"type": "array", "items": _STRING}},
            ("bindings",),
        ),
        "bound_groups": OwnCall(
            business.bound_groups,
            ("read", "system"),
            {"binding": _NAMED, **_PAGING},
            ("binding",),
            {"groups": _GROUPS, "next": _STRING},
            ("groups",),
        ),
        "order_completed": OwnCall(
            business.order_completed,
            ("write", "system"),
            {
                "user": USER,
                "order": _NAMED,
                "binding": _NAMED,
                "groups": {**_GROUPS, "minItems": 1, "maxItems": GROUPS_PAGE_MAX},
                **_PAGING,
            },
            ("user", "order"),
            _OUTCOMES,
            ("groups",),
            owes="groups",
        ),
        "live_started": OwnCall(
            business.live_started,
            ("write", "system"),
            {
                "live": _NAMED,
                "binding": _NAMED,
                "card": {"type": "object"},
                "started_ms": {"type": "integer", "minimum": 0},
                **_PAGING,
            },
            ("live", "binding", "card"),
            _OUTCOMES,
            ("groups",),
            owes="groups",
        ),
        "live_stopped": OwnCall(
            business.live_stopped,
            ("write", "system"),
            {"live": _NAMED, **_PAGING},
            ("live",),
            _OUTCOMES,
            ("groups",),
            owes="groups",
        ),
        "changes": OwnCall(
            feed.changes,
            ("feed",),
            {
                "consumer": _CONSUMER,
                "limit": {"type": "integer", "minimum": 1},
                "wait_ms": {"type": "integer", "minimum": 0, "maximum": FEED_WAIT_MS},
                "begin": {"type": "string", "enum": list(BEGINNINGS)},
            },
            ("consumer",),
            {
                "changes": _listed("change"),
                "cursor": _STRING,
                "more": {"type": "boolean"},
            },
            ("changes", "more"),
        ),
        "ack": OwnCall(
            feed.ack,
            ("feed",),
            {"consumer": _CONSUMER, "cursor": _STRING},
            ("consumer", "cursor"),
            {},
        ),
        "consumers": OwnCall(
            feed.consumers,
            ("feed",),
            {},
            (),
            {"consumers": _listed("consumer")},
            ("consumers",),
        ),
        "forget_consumer": OwnCall(
            feed.forget_consumer, ("feed",), {"consumer": _CONSUMER}, ("consumer",), {}
        ),
        "revoke": OwnCall(
            Ending(sessions.revoke),
            ("write", "system"),
            {"user": _USER_ID, "before_ms": {"type": "integer", "minimum": 1}},
            ("user",),
            {"before_ms": _COUNT, "sessions": _COUNT},
            ("before_ms", "sessions"),
        ),
        "disconnect": OwnCall(
            Ending(sessions.disconnect),
            ("write", "system"),
            {"user": _USER_ID},
            ("user",),
            {"sessions": _COUNT},
            ("sessions",),
        ),
        "audit": OwnCall(
            audit,
            ("audit",),
            {
                "group": {"type": "string", "maxLength": CONTENT.ref_max},
                "user": _USER_ID,
                "key": {"type": "string", "maxLength": KEY_NAME_MAX},
                "before": {"type": "integer", "minimum": 1},
                "limit": {"type": "integer", "minimum": 1, "maximum": AUDIT_PAGE_MAX},
            },
            (),
            {
                "entries": _listed("audit_entry"),
                "next": {"type": "integer"},
            },
            ("entries",),
        ),
    }
)
"""Name -> call."""
