"""The words of the published schema: every type that a field may have, with a sentence each.

Placement rules:
- What a method takes and what an event holds is derived from their classes (``schema.py``). Here
  stands what the classes only name: scalars and enumerations; in ``shapes.py``, the maps inside
  results.
- A type is data, so that it can be printed; only what data cannot say has a function in ``TESTS``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from groupd.domain.base import Role
from groupd.domain.fields import INT_MAX, request_id_ms
from groupd.domain.group.conditions import check_conditions
from groupd.errors import Rejected

_GROUP: Final = re.compile(r"[0-9A-Za-z_-]{16}")
_CONSUMER: Final = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,63}")
_CODE: Final = re.compile(r"[0-9A-Za-z_-]{38}")

SCALARS: Final[Mapping[str, str]] = {
    "nil": "MessagePack's nil.",
    "any": "Any value: nil, boolean, integer, finite float, string, list, or map of these.",
    "boolean": "True or false.",
    "integer": "An integer between -(2^53 - 1) and 2^53 - 1.",
    "number": "An integer or a finite float.",
    "string": "A string. As a parameter: of one line, trimmed and brought to NFC by the server.",
    "text": "A string that may have several lines, brought to NFC by the server.",
    "enum": "One of the words in `options`.",
    "seq": "A place in a log, counted from 1; 0 stands for the place before the first event.",
    "time_ms": "Milliseconds since the epoch (1970, UTC), an integer.",
    "group": "A group's id: 16 characters of 0-9, A-Z, a-z, _ and -.",
    "user": "A user's id, the host application's own: 1 to 64 bytes of UTF-8, not `*`, "
    "and not one that shows nothing.",
    "author": "A user's id, or the empty string for what the server does itself.",
    "id": "A request id: a UUIDv7 in its 36-character form, in either case.",
    "consumer_name": "What a consumer of the feed is called: 1 to 64 of A-Z, a-z, 0-9, dot, dash "
    "and underscore, a letter or a digit first.",
    "code": "A share link's secret: the group's id and 22 characters of base64url.",
    "time_zone": "The name of a time zone of the IANA database, such as Asia/Shanghai.",
    "map": "A map of the host application's own, with strings as keys.",
    "card": "A map with a `type`, a string of 1 to 32 code points, and what `cards` has for that "
    "type.",
    "condition": "An entry condition, a map as groupd.md describes it; an empty one for none.",
    "error_code": "One of `codes`.",
    "reason": "One of `reasons`.",
    "event": "One event of a group's log: the header of `headers`, and the fields of its kind.",
    "account_event": "One event of a user's own log, built like an `event`.",
    "error": "The error of a response: `code`, `message`, and the details of the code.",
    "signal": "Something of the moment that no log keeps: `group`, `user`, `kind` and its fields.",
}
"""Types without parts, and those whose parts depend on a kind or a code."""

OPTIONS: Final[Mapping[str, tuple[str, tuple[str, ...]]]] = {
    "role": ("A member's rank; a later one may do all that an earlier one may.", ()),
    "join_policy": (
        "How strangers join: at once, after an admin's approval, or not at all.",
        ("open", "approval", "invite_only"),
    ),
    "history_policy": (
        "What a new member may read: everything, or what comes after their joining.",
        ("all", "joined"),
    ),
    "via": (
        "How somebody joined, or asks to.",
        ("created", "added", "invite", "approval", "search", "link", "direct"),
    ),
    "post_status": ("What became of a post. `held` is reserved.", ("posted", "held")),
    "join_status": (
        "What became of a joining, or would: a member at once, or a join request that waits.",
        ("joined", "pending"),
    ),
    "invite_status": (
        "What became of an invitation: the user is a member, or is invited. In `ordered` alone "
        "`pending`: they had asked to join, and an admin decides.",
        ("joined", "pending", "invited"),
    ),
    "link_status": (
        "What joining by a link would do: `joined` or `pending`, or why it would do nothing.",
        ("joined", "pending", "member", "banned", "group_full", "state"),
    ),
    "rule_source": (
        "Where the value of a rule comes from.",
        ("plan", "group", "role", "account", "contract", "tenant", "server"),
    ),
    "verdict": ("What a rule says to a call.", ("holds", "refuses")),
    "answered_by": (
        "Who has answered an entry condition: the token's claims alone; the host, just now or a "
        "moment ago; or nobody in time, and the configuration says what holds then.",
        ("claims", "host", "cache", "verdict"),
    ),
}
"""Enumerations. New words may come; clients must bear them."""

NOTIFICATIONS: Final[Mapping[str, tuple[str, str]]] = {
    "event": ("Something has happened in one of the user's groups.", "event"),
    "account_event": ("Something has happened to the user.", "account_event"),
    "signal": ("Something of the moment, which no log keeps.", "signal"),
    "lagged": ("This session was too slow, and has missed events.", "lagged"),
    "goodbye": ("The server is about to close this connection.", "goodbye"),
}
"""What a server sends unasked -> a sentence, and the type of its params."""

SIGNALS: Final[Mapping[str, tuple[str, Mapping[str, str]]]] = {
    "read": ("The same user has read on, in another session of theirs.", {"seq": "seq"}),
    "typing": ("Another member is typing.", {}),
}
"""Kind of signal -> a sentence, and the fields beside ``group``, ``user`` and ``kind``."""

BOUNDS: Final[Mapping[str, str]] = {
    "min": "Integers: the smallest. Strings: the fewest code points. Lists and maps: the fewest.",
    "max": "Integers: the largest. Strings: the most code points. Lists and maps: the most items.",
    "max_bytes": "Users: the most bytes of UTF-8. Maps and cards: the largest size, as groupd.md "
    "defines it.",
    "options": "The words that are taken.",
}
"""What the bounds of a parameter mean."""

DETAILS: Final[Mapping[str, str]] = {
    "field": "string",
    "reason": "reason",
    "quota": "string",
    "limit": "integer",
    "used": "integer",
    "until_ms": "time_ms",
    "retry_after_ms": "integer",
    "time_ms": "time_ms",
    "oldest_ms": "time_ms",
    "limit_bytes": "integer",
    "reference": "string",
}
"""Detail that a code always carries -> its type."""

MORE_DETAILS: Final[Mapping[str, Mapping[str, str]]] = {
    "forbidden": {
        "required": "string or integer",
        "got": "integer",
        "clause": "string",
        "answered_by": "answered_by",
        "until_ms": "time_ms",
        "limit_ms": "integer",
        "field": "string",
    },
    "rate_limited": {"reason": "reason"},
}
"""Code -> what it carries only with some reasons."""

CARD_FIELDS: Final[Mapping[str, str]] = {
    "title": "A string of one line, of 1 to 200 code points; trimmed.",
    "text": "A string that may have several lines, of at most 1,000 code points.",
    "url": "A URL with its scheme, of at most 2,000 code points, without white space. Not of the "
    "schemes javascript, data and vbscript.",
    "count": "An integer from 0 on.",
    "currency": "The three letters of a currency (ISO 4217), such as CNY.",
    "latitude": "A number of degrees from -90 to 90.",
    "longitude": "A number of degrees from -180 to 180.",
}
"""Type of a card's field -> a sentence. Cards are checked by the server when they are posted."""

ROLES: Final = tuple(role.label for role in Role)


def _is_integer(value: Any) -> bool:
    return type(value) is int and -INT_MAX <= value <= INT_MAX


def _is_count(value: Any) -> bool:
    return _is_integer(value) and value >= 0


def _is_string(value: Any) -> bool:
    return type(value) is str


def _is_user(value: Any) -> bool:
    return type(value) is str and 1 <= len(value.encode()) <= 64 and value != "*"


def _is_id(value: Any) -> bool:
    try:
        request_id_ms(value)
    except Rejected:
        return False
    return True


def _is_map(value: Any) -> bool:
    return isinstance(value, dict) and all(type(key) is str for key in value)


def _is_card(value: Any) -> bool:
    return _is_map(value) and type(value.get("type")) is str and 1 <= len(value["type"]) <= 32


def _is_condition(value: Any) -> bool:
    try:
        check_conditions(value, "condition")
    except Rejected:
        return False
    return True


def _is_any(value: Any) -> bool:
    if isinstance(value, dict):
        return _is_map(value) and all(map(_is_any, value.values()))
    if isinstance(value, list):
        return all(map(_is_any, value))
    if type(value) is float:
        return math.isfinite(value)
    return value is None or type(value) in (bool, str) or _is_integer(value)


TESTS: Final[Mapping[str, Callable[[Any], bool]]] = {
    "nil": lambda value: value is None,
    "any": _is_any,
    "boolean": lambda value: type(value) is bool,
    "integer": _is_integer,
    "number": lambda value: _is_integer(value) or (type(value) is float and math.isfinite(value)),
    "string": _is_string,
    "text": _is_string,
    "enum": _is_string,
    "seq": _is_count,
    "time_ms": _is_count,
    "group": lambda value: type(value) is str and _GROUP.fullmatch(value) is not None,
    "user": _is_user,
    "author": lambda value: value == "" or _is_user(value),
    "id": _is_id,
    "consumer_name": lambda value: type(value) is str and _CONSUMER.fullmatch(value) is not None,
    "code": lambda value: type(value) is str and _CODE.fullmatch(value) is not None,
    "time_zone": lambda value: type(value) is str and value != "",
    "map": lambda value: _is_map(value) and _is_any(value),
    "card": lambda value: _is_card(value) and _is_any(value),
    "condition": _is_condition,
}
"""Type -> whether a decoded value is of it."""
