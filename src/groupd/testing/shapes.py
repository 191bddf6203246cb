"""The maps inside results, with the type of each field: a part of ``vocabulary.py``.

Placement rules: a map stands here once it has a name in a ``result`` or in another map. Its fields
are those of the code that makes it; a test of a live server compares.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import attrs

from groupd.config import Limits, Plan
from groupd.domain.group.parts import Settings
from groupd.server.methods import shown_limits

_SETTING_TYPES: Final[Mapping[str, str]] = {
    "description": "text",
    "location": "location or nil",
    "join_policy": "join_policy",
    "member_invites": "boolean",
    "discoverable": "boolean",
    "history": "history_policy",
    "time_zone": "time_zone",
    "data": "map or nil",
    "conditions": "condition or nil",
    "public_stats": "boolean",
}

_CARD: Final[Mapping[str, str]] = {
    "group": "group",
    "name": "string",
    "picture": "string",
    "category": "string",
    "description": "text",
    "owner": 'user or ""',
    "members": "integer",
    "join_policy": "join_policy",
    "created_ms": "time_ms",
}

SHAPES: Final[Mapping[str, tuple[str, Mapping[str, str]]]] = {
    "location": (
        "A place in degrees (WGS 84): `lat` from -90 to 90, `lon` from -180 to 180.",
        {"lat": "number", "lon": "number"},
    ),
    "circle": (
        "A place, and how far around it in metres.",
        {"lat": "number", "lon": "number", "radius_m": "integer"},
    ),
    "account": ("The caller's own log.", {"head": "seq"}),
    "limits": (
        "The limits that a client can act on. Bounds on content are in code points unless the "
        "name ends in `_bytes`.",
        {
            **dict.fromkeys(shown_limits(Limits(), Plan()), "integer"),
            "plan": "plan",
        },
    ),
    "plan": (
        "What the caller's plan allows.",
        {field.name: "integer" for field in attrs.fields(Plan)},
    ),
    "listed_group": (
        "One of the caller's groups, as a list of chats shows it.",
        {
            "group": "group",
            "name": "string",
            "picture": "string",
            "role": "role",
            "head": "seq",
            "read": "seq",
            "unread": "integer",
            "mentions": "integer",
            "do_not_disturb": "boolean",
            "chat_pinned": "boolean",
            "marked_unread": "boolean",
            "muted_until_ms": "time_ms?",
            "direct": "user?",
            "last": "event?",
            "edited": "event?",
        },
    ),
    "group_page": (
        "What one group's log holds after a cursor.",
        {
            "group": "group",
            "events": "list[event]",
            "head": "seq",
            "floor": "seq",
            "more": "boolean",
        },
    ),
    "profile": (
        "A user as others see them.",
        {"user": "user", "name": "string", "picture": "string"},
    ),
    "member": (
        "One member of a group.",
        {
            "user": "user",
            "name": "string",
            "picture": "string",
            "role": "role",
            "joined_ms": "time_ms",
            "nickname": "string?",
            "muted_until_ms": "time_ms?",
        },
    ),
    "group_card": (
        "What anybody may see who can find the group.",
        {**_CARD, "dissolved": "boolean", "location": "location?", "condition": "string?"},
    ),
    "found_group": (
        "A group that was found, or that a profile shows.",
        {**_CARD, "location": "location?", "distance_m": "integer?"},
    ),
    "settings": (
        "The settings that only members see.",
        {
            "member_invites": "boolean",
            "discoverable": "boolean",
            "history": "history_policy",
            "time_zone": "time_zone",
            "data": "map",
            "conditions": "condition",
            "public_stats": "boolean",
            "ref": "string?",
        },
    ),
    "announcement": (
        "The current announcement; how many have acknowledged it only admins see.",
        {
            "seq": "seq",
            "user": "user",
            "time_ms": "time_ms",
            "text": "text",
            "acknowledged": "integer?",
        },
    ),
    "listed_pin": (
        "A pinned message: its seq, who pinned it when, and the message as `history` gives it.",
        {
            "seq": "seq",
            "user": "user",
            "time_ms": "time_ms",
            "event": "event",
            "edited": "event?",
        },
    ),
    "link_counts": (
        "Joins by the links that are kept: by channel, and by the user who shared.",
        {"joins_by_channel": "map[string, integer]", "joins_by_sharer": "map[user, integer]"},
    ),
    "listed_link": (
        "A share link. `code` and `url` are absent where the server's key for it was retired.",
        {
            "number": "integer",
            "channel": "string",
            "by": "user",
            "made_ms": "time_ms",
            "uses": "integer",
            "approval": "boolean",
            "revoked": "boolean",
            "code": "code?",
            "url": "string?",
            "expires_at_ms": "time_ms?",
            "uses_max": "integer?",
            "dead": "reason?",
        },
    ),
    "listed_request": (
        "A join request that waits.",
        {
            "user": "user",
            "name": "string",
            "message": "text",
            "seq": "seq",
            "at_ms": "time_ms",
            "expires_ms": "time_ms",
            "via": "via",
            "channel": "string",
            "sharer": 'user or ""',
            "link": "integer?",
        },
    ),
    "ban": (
        "Somebody who may not be a member, and until when; for ever without `until_ms`.",
        {"user": "user", "by": "user", "at_ms": "time_ms", "until_ms": "time_ms?"},
    ),
    "offer": ("The group is offered to a member.", {"user": "user", "at_ms": "time_ms"}),
    "shown_message": (
        "A message as it is now.",
        {
            "seq": "seq",
            "event": "event",
            "edited": "event?",
            "recalled": "seq?",
            "reactions": "map[string, integer]",
            "mine": "list[string]",
            "replies": "integer",
        },
    ),
    "explained_rule": (
        "A rule of a method: what is configured, and what it says to the call.",
        {
            "rule": "string",
            "source": "rule_source",
            "verdict": "verdict",
            "value": "any?",
            "code": "error_code?",
            "reason": "reason?",
            "answered_by": "answered_by?",
        },
    ),
    "stats": (
        "How many members the group has, who they are, and how much they say.",
        {
            "members": "integer",
            "messages": "integer",
            "time_zone": "time_zone",
            "messages_yesterday": "integer?",
            "active": "integer?",
            "women": "integer?",
            "average_age": "number?",
        },
    ),
    "changes": (
        "Setting -> its new value; nil for a place, a map or a condition that was taken away.",
        {
            field.name: f"{_SETTING_TYPES.get(field.name, 'string')}?"
            for field in attrs.fields(Settings)
        },
    ),
    "change": (
        "One event of some log, and whose log that is: of a `group`, or of a `user`.",
        {
            "stream": "string",
            "group": "group?",
            "user": "user?",
            "event": "event or account_event",
        },
    ),
    "consumer": (
        "Somebody who follows the feed, and how many records of the store are behind their place.",
        {
            "tenant": "string?",
            "name": "consumer_name",
            "cursor": "string",
            "lag": "integer",
            "last_error": "string or nil",
            "since_ms": "time_ms or nil",
        },
    ),
    "audit_entry": (
        "Something that was changed with a key of the host's, or by the operator.",
        {
            "n": "integer",
            "time_ms": "time_ms",
            "key": "string",
            "as": "string or map",
            "method": "string",
            "group": "string?",
            "account": "user?",
            "consumer": "consumer_name?",
            "seq": "seq?",
            "user": "user?",
        },
    ),
    "lagged": (
        "Which log the session has missed something of, and how far that log goes. `group` is "
        "empty for the account's own.",
        {"group": 'group or ""', "head": "seq"},
    ),
    "goodbye": (
        "Why the server closes the connection, and when to come back.",
        {"code": "error_code", "message": "string", "retry_after_ms": "integer?"},
    ),
    "sample": (
        "A second of a server: what happened in it, and what was so at its end.",
        {
            "time_ms": "time_ms",
            "posts_per_s": "number",
            "deliveries_per_s": "number",
            "post_p99_ms": "number?",
            "backlog_bytes": "integer",
            "connections": "integer",
        },
    ),
    "operated_group": (
        "A group as an operator finds it; also one that is hidden, over, or a direct chat.",
        {
            **_CARD,
            "location": "location?",
            "dissolved": "boolean",
            "discoverable": "boolean",
            "direct": "boolean",
            "head": "seq",
            "awake": "boolean",
            "ref": "string?",
        },
    ),
    "operated_user": (
        "A user as an operator finds them.",
        {
            "user": "user",
            "name": "string",
            "picture": "string",
            "plan": "string",
            "sessions": "integer",
        },
    ),
    "membership": (
        "One of the groups that a user is in.",
        {"group": "group", "name": "string", "role": "role", "direct": "boolean"},
    ),
    "problem": (
        "Something that `operator_check` found wrong, in a stream or (an empty one) in the store.",
        {"stream": "list[string]", "seq": "seq", "what": "string"},
    ),
}
"""Maps with known fields. A trailing ``?`` marks one that may be absent."""
