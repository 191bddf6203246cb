"""Fields of requests: each checks its value in the constructor and carries its published type.

A field function gives an ``attrs.field`` whose converter checks, and where the contract says so
normalizes, the value; so a request that exists is valid. A wrong value raises Rejected
``bad_request`` with the ``field`` at fault. ``metadata["type"]`` is what ``proto/schema.json``
shows.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any, Final
from unicodedata import combining, normalize

import attrs

from groupd import native
from groupd.config import CONTENT, NUMBER_MAX
from groupd.errors import Rejected

INT_MAX: Final = NUMBER_MAX
"""The largest integer that every client can hold."""

_FORBIDDEN_IN_TEXT: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
# Names stand in lists beside others: line breaks and direction overrides would reach over them.
_FORBIDDEN_IN_NAME: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
# What shows nothing: white space, joiners, fillers, and signs that only govern others.
_INVISIBLE: Final = re.compile(
    r"[\s\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e"
    r"\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\U000e0000-\U000e0fff]*"
)
# As browsers read the scheme of a URL: they pass over white space around and inside it.
_GAP: Final = r"[\x00-\x20]*"
_SCRIPT: Final = re.compile(
    f"{_GAP}(?:{'|'.join(_GAP.join(word) for word in ('javascript', 'vbscript', 'data'))}){_GAP}:",
    re.IGNORECASE,
)
# A mark is sorted by comparing it with every mark before it in its run, so a long run makes NFC
# quadratic: 2 s for one frame. The bound is that of the Stream-Safe Text Format (UAX #15).
_MARKS_MAX: Final = 30
_TOO_MANY_MARKS: Final = re.compile(rb"[^\0]{%d}" % (_MARKS_MAX + 1))
"""Found in the combining classes of a text's characters; that of a mark is not 0."""
_UUID7: Final = re.compile(
    r"[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-7[0-9A-Fa-f]{3}-[89ABab][0-9A-Fa-f]{3}-[0-9A-Fa-f]{12}"
)


CHECK: Final = "check"
"""Where the check of a field stands in its metadata: value, name -> value."""


class _Required:
    """Marks a field without a default."""


REQUIRED: Final = _Required()


def refuse(field: str, why: str) -> Rejected:
    """Make the error for a bad parameter."""
    return Rejected("bad_request", f"{field}: {why}", field=field)


def _make(
    check: Callable[[Any, str], Any],
    shown: str,
    default: Any,
    *,
    alias: str | None = None,
    **schema: Any,
) -> Any:
    def convert(value: Any, field: attrs.Attribute[Any]) -> Any:
        # A default needs no check, and None stands for "not given".
        if value is field.default or (value is None and field.default is None):
            return value
        return check(value, field.alias or field.name)

    return attrs.field(
        default=attrs.NOTHING if default is REQUIRED else default,
        alias=alias,
        converter=attrs.Converter(convert, takes_field=True),
        metadata={"type": shown, CHECK: check, **schema},
    )


# --- checks: value, field name -> value


def _string(value: Any, field: str) -> str:
    if type(value) is not str:
        raise refuse(field, "expected a string")
    return value


def _composed(text: str, field: str) -> str:
    # A run of too many holds one of these characters, and hardly any text has a mark there.
    if any(map(combining, text[_MARKS_MAX :: _MARKS_MAX + 1])) and _TOO_MANY_MARKS.search(
        bytes(map(combining, text))
    ):
        raise refuse(field, f"expected at most {_MARKS_MAX} combining marks in a row")
    return normalize("NFC", text)


def _is_plain_in_python(text: str) -> bool:
    return text.isascii() and text.isprintable()


is_plain: Final[Callable[[str], bool]] = (
    _is_plain_in_python if native.records is None else native.records.is_plain
)
"""Says whether all is printable ASCII, with nothing to compose, to refuse or that is invisible.

But for the space. Most ids are, and this is ten times as fast as looking for what is not.
"""


def is_blank(text: str) -> bool:
    """Say whether a text would show nothing."""
    return _INVISIBLE.fullmatch(text) is not None


def clean_text(value: Any, field: str, *, max_chars: int, min_chars: int = 1) -> str:
    """Check a text and give it in NFC. White space stays as it is."""
    text = _string(value, field)
    plain = is_plain(text)
    if not plain:
        text = _composed(text, field)
        if _FORBIDDEN_IN_TEXT.search(text):
            raise refuse(field, "control characters are not allowed")
    if len(text) > max_chars:
        raise refuse(field, f"expected at most {max_chars} characters, got {len(text)}")
    # Encoded only where it could be too long: a code point has at most four bytes.
    limit = CONTENT.text_max_bytes
    if len(text) * 4 > limit and len(text.encode()) > limit:
        raise Rejected("too_large", f"{field}: expected at most {limit} bytes", limit_bytes=limit)
    if min_chars and (not text.strip() if plain else is_blank(text)):
        raise refuse(field, "is empty")
    return text


def clean_name(value: Any, field: str, *, max_chars: int, min_chars: int = 1) -> str:
    """Check a name of one line and give it in NFC, trimmed."""
    name = _composed(_string(value, field), field).strip()
    if _FORBIDDEN_IN_NAME.search(name):
        raise refuse(field, "control characters and line breaks are not allowed")
    if len(name) > max_chars:
        raise refuse(field, f"expected at most {max_chars} characters, got {len(name)}")
    if len(name) < min_chars or (min_chars and is_blank(name)):
        raise refuse(field, "is empty")
    return name


def refuse_script(value: str, field: str) -> None:
    """Raise ``bad_request`` for a URL that a client would run rather than open."""
    if _SCRIPT.match(value):
        raise refuse(field, "expected a URL that is no script and holds no data itself")


def clean_user(value: Any, field: str) -> str:
    """Check a user id: the host's own, 1 to 64 bytes, and not one that nobody can see."""
    if type(value) is not str:
        raise refuse(field, "expected a user id, a string")
    if not 1 <= len(value.encode("utf-8", "replace")) <= CONTENT.user_max_bytes:
        raise refuse(field, f"a user id has 1 to {CONTENT.user_max_bytes} bytes")
    if _FORBIDDEN_IN_NAME.search(value) or value == "*":
        raise refuse(field, "not a user id")
    if value.isspace() if is_plain(value) else is_blank(value):
        raise refuse(field, "a user id must show something")
    return value


def clean_group(value: Any, field: str) -> str:
    """Check the shape of a group id, or of another key of a page."""
    if type(value) is not str or len(value) > CONTENT.ref_max:
        raise refuse(field, "expected a group id, a string")
    if not is_plain(value) and _FORBIDDEN_IN_NAME.search(value):
        raise refuse(field, "expected a group id, a string")
    return value


def clean_int(value: Any, field: str, *, low: int = 0, high: int = INT_MAX) -> int:
    """Check an integer; booleans are none."""
    if type(value) is not int:
        raise refuse(field, "expected an integer")
    if not low <= value <= high:
        raise refuse(field, f"expected {low} to {high}")
    return value


def clean_value(value: Any, field: str, depth: int = CONTENT.value_depth_max) -> Any:
    """Check a value of the host's own, of any shape: finite, and not too deep."""
    if value is None or type(value) is bool:
        return value
    if type(value) is int:
        return clean_int(value, field, low=-INT_MAX)
    if type(value) is float:
        if not math.isfinite(value):
            raise refuse(field, "expected a finite number")
        return value
    if type(value) is str:
        if any("\ud800" <= char <= "\udfff" for char in value):
            raise refuse(field, "lone surrogates are not allowed")
        return value
    if depth == 0:
        raise refuse(field, f"expected at most {CONTENT.value_depth_max} levels")
    if isinstance(value, dict):
        if not all(type(key) is str for key in value):
            raise refuse(field, "expected strings as the keys of maps")
        return {
            clean_value(key, field): clean_value(item, field, depth - 1)
            for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        return tuple(clean_value(item, field, depth - 1) for item in value)
    raise refuse(field, "binary values and extension types are not allowed")


def ordered(value: Any) -> Any:
    """Give a checked value with the keys of all its maps sorted: what it says, in one form."""
    if type(value) is str or type(value) is int:
        return value
    if isinstance(value, Mapping):
        return {key: ordered(value[key]) for key in sorted(value)}
    if isinstance(value, list | tuple):
        return tuple(map(ordered, value))
    return value


def same(value: Any, other: Any) -> bool:
    """Say whether two checked values are the same to a client, to whom 1 and true are not."""
    return repr(ordered(value)) == repr(ordered(other))


def size_of(value: Any) -> int:
    """Estimate from above how many bytes a checked value takes in MessagePack."""
    if isinstance(value, str):
        return len(value.encode()) + 5
    if isinstance(value, dict):
        return 5 + sum(size_of(key) + size_of(item) for key, item in value.items())
    if isinstance(value, tuple):
        return 5 + sum(map(size_of, value))
    return 9


def request_id_ms(value: Any) -> int:
    """Check a request id, a UUIDv7 in its 36-character form; give the time embedded in it."""
    time_ms = embedded_ms(value) if type(value) is str else -1
    if time_ms < 0:
        raise not_a_request_id()
    return time_ms


def not_a_request_id() -> Rejected:
    """Make the error for an ``id`` that is no UUIDv7."""
    return refuse("id", "expected a UUIDv7 in its 36-character form")


def _embedded_ms_in_python(value: str) -> int:
    return int(value[:8] + value[9:13], 16) if _UUID7.fullmatch(value) else -1


embedded_ms: Final[Callable[[str], int]] = (
    _embedded_ms_in_python if native.records is None else native.records.embedded_ms
)
"""Gives the time in a UUIDv7 of 36 characters, in milliseconds; -1 where it is none."""


# --- fields


def text(max_chars: int, *, default: Any = REQUIRED, min_chars: int = 1) -> Any:
    """Make a field for text of several lines."""
    # In ASCII a character is a byte, so such a text is not too long in bytes either.
    plain_max = min(max_chars, CONTENT.text_max_bytes)

    def check(value: Any, field: str) -> str:
        # Most texts are this, and it is all that there is to look at then.
        is_short = type(value) is str and 0 < len(value) <= plain_max
        if is_short and is_plain(value) and not value.isspace():
            return str(value)
        return clean_text(value, field, max_chars=max_chars, min_chars=min_chars)

    return _make(check, "text", default, min=min_chars, max=max_chars)


def name(
    max_chars: int, *, default: Any = REQUIRED, min_chars: int = 1, alias: str | None = None
) -> Any:
    """Make a field for a name or label of one line.

    ``alias`` is its name on the wire, where the class cannot have a field of that name.
    """

    def check(value: Any, field: str) -> str:
        return clean_name(value, field, max_chars=max_chars, min_chars=min_chars)

    return _make(check, "string", default, alias=alias, min=min_chars, max=max_chars)


def picture(*, default: Any = REQUIRED) -> Any:
    """Make a field for the URL of a picture, or the host's own name for one."""

    def check(value: Any, field: str) -> str:
        checked = clean_name(value, field, max_chars=CONTENT.picture_max, min_chars=0)
        refuse_script(checked, field)
        return checked

    return _make(check, "string", default, min=0, max=CONTENT.picture_max)


def choice(*options: str, default: Any = REQUIRED) -> Any:
    """Make a field for one of some words."""

    def check(value: Any, field: str) -> str:
        if type(value) is not str or value not in options:
            raise refuse(field, f"expected one of {', '.join(options)}")
        return value

    return _make(check, "enum", default, options=list(options))


def integer(*, low: int = 0, high: int = INT_MAX, default: Any = REQUIRED) -> Any:
    """Make a field for an integer."""

    def check(value: Any, field: str) -> int:
        return clean_int(value, field, low=low, high=high)

    return _make(check, "integer", default, min=low, max=high)


def seq(*, default: Any = REQUIRED, low: int = 1) -> Any:
    """Make a field for a seq."""

    def check(value: Any, field: str) -> int:
        return clean_int(value, field, low=low)

    return _make(check, "seq", default, min=low)


def boolean(*, default: Any = REQUIRED) -> Any:
    """Make a field for true or false."""

    def check(value: Any, field: str) -> bool:
        if type(value) is not bool:
            raise refuse(field, "expected true or false")
        return value

    return _make(check, "boolean", default)


def user(*, default: Any = REQUIRED) -> Any:
    """Make a field for a user id."""
    return _make(clean_user, "user", default, min=1, max_bytes=CONTENT.user_max_bytes)


def users(max_count: int, *, default: Any = REQUIRED) -> Any:
    """Make a field for a list of users; repeated ones count once."""

    def check(value: Any, field: str) -> tuple[str, ...]:
        if not isinstance(value, list | tuple):
            raise refuse(field, "expected a list of user ids")
        if len(value) > max_count:
            raise refuse(field, f"expected at most {max_count} users, got {len(value)}")
        return tuple(dict.fromkeys(clean_user(item, field) for item in value))

    return _make(check, "list[user]", default, max=max_count)


def group(*, default: Any = REQUIRED) -> Any:
    """Make a field for a group id, where it is a parameter like others."""
    return _make(clean_group, "group", default)


def value_map(
    max_bytes: int, *, shown: str = "map", default: Any = REQUIRED, alias: str | None = None
) -> Any:
    """Make a field for a map of the host's own."""

    def check(value: Any, field: str) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise refuse(field, "expected a map")
        checked: dict[str, Any] = clean_value(value, field)
        if size_of(checked) > max_bytes:
            raise Rejected(
                "too_large", f"{field}: expected at most {max_bytes} bytes", limit_bytes=max_bytes
            )
        return checked

    return _make(check, shown, default, alias=alias, max_bytes=max_bytes)


def tenant() -> Any:
    """Make a field for which application is meant; ``""`` is the one without a name."""
    return name(CONTENT.user_max_bytes, default="", min_chars=0)


def custom(
    check: Callable[[Any, str], Any], shown: str, *, default: Any = REQUIRED, **schema: Any
) -> Any:
    """Make a field with a check of its own."""
    return _make(check, shown, default, **schema)


def stored(shown: str, default: Any, **schema: Any) -> Any:
    """Make a field of an event: its published type, and the default that is not written."""
    return attrs.field(default=default, metadata={"type": shown, **schema})


def location_of(value: Any, field: str) -> dict[str, float]:
    """Check a place: ``{lat, lon}`` in degrees (WGS 84)."""
    if not isinstance(value, dict):
        raise refuse(field, "expected a map with lat and lon")
    place = {}
    for key, bound in (("lat", 90.0), ("lon", 180.0)):
        number: Any = value.get(key)
        if type(number) not in (int, float) or not -bound <= number <= bound:
            raise refuse(field, f"{key}: expected a number from {-bound:g} to {bound:g}")
        place[key] = float(number)
    return place


def groups_upto(value: Any, field: str) -> dict[str, int]:
    """Check a map of group -> seq."""
    if not isinstance(value, dict):
        raise refuse(field, "expected a map of group to seq")
    if len(value) > CONTENT.sync_groups_max:
        raise refuse(field, f"expected at most {CONTENT.sync_groups_max} groups, got {len(value)}")
    return {clean_group(key, field): clean_int(item, field) for key, item in value.items()}
