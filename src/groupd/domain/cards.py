"""Cards: what a message shows beside its text, such as a video, goods or a place.

``CARDS`` has the types that groupd knows, each with its fields; it is data, so that the published
schema shows it. A field that a type does not have is kept as it came, for a newer client; so is a
card of an unknown type. A client shows what it does not know as a link with ``summary`` for text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

import attrs

from groupd.config import CONTENT
from groupd.domain import fields
from groupd.errors import Rejected

TITLE_MAX: Final = 200
URL_MAX: Final = 2_000

# An app's own scheme is as good as https: what a tap does is the app's concern. These three are
# programs and not places. White space is refused everywhere, since browsers pass over some of it.
_URL: Final = re.compile("(?!(?:javascript|data|vbscript):)[a-z][a-z0-9+.-]*:[^\x00-\x20]+", re.I)
_NOT_IN_A_URL: Final = re.compile(
    "[\\s\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff\ud800-\udfff]"
)
_CURRENCY: Final = re.compile("[A-Z]{3}")


@attrs.frozen
class CardField:
    """One field of a type of card: the name of its type, and whether a card must have it."""

    type: str
    required: bool = False


def _needs(kind: str) -> CardField:
    return CardField(kind, required=True)


CARDS: Final[Mapping[str, Mapping[str, CardField]]] = MappingProxyType(
    {
        "video": {
            "title": _needs("title"),
            "url": _needs("url"),
            "cover": CardField("url"),
            "duration_ms": CardField("count"),
        },
        "live": {
            "title": _needs("title"),
            "url": _needs("url"),
            "cover": CardField("url"),
            "host": CardField("title"),
            "starts_at_ms": CardField("count"),
            "live": CardField("title"),
            "state": CardField("title"),
            "ended_ms": CardField("count"),
        },
        "goods": {
            "title": _needs("title"),
            "price": _needs("count"),
            "currency": _needs("currency"),
            "url": CardField("url"),
            "picture": CardField("url"),
            "original_price": CardField("count"),
        },
        "link": {
            "url": _needs("url"),
            "title": CardField("title"),
            "description": CardField("text"),
            "picture": CardField("url"),
        },
        "image": {
            "url": _needs("url"),
            "width": CardField("count"),
            "height": CardField("count"),
            "thumbnail": CardField("url"),
        },
        "file": {
            "name": _needs("title"),
            "url": _needs("url"),
            "size_bytes": CardField("count"),
            "media_type": CardField("title"),
        },
        "place": {
            "name": _needs("title"),
            "lat": _needs("latitude"),
            "lon": _needs("longitude"),
            "address": CardField("title"),
        },
    }
)
"""Type of card -> its fields. A price is in the minor units of its currency. Only added to."""


# --- checks: value, name -> value


def _check_title(value: Any, name: str) -> str:
    return fields.clean_name(value, name, max_chars=TITLE_MAX)


def _check_text(value: Any, name: str) -> str:
    return fields.clean_text(value, name, max_chars=CONTENT.description_max, min_chars=0)


def _check_url(value: Any, name: str) -> str:
    if type(value) is not str or not _URL.fullmatch(value) or _NOT_IN_A_URL.search(value):
        raise fields.refuse(name, "expected a URL, with its scheme and without white space")
    if len(value) > URL_MAX:
        raise fields.refuse(name, f"expected at most {URL_MAX} characters, got {len(value)}")
    return value


def _check_currency(value: Any, name: str) -> str:
    if type(value) is not str or not _CURRENCY.fullmatch(value):
        raise fields.refuse(name, "expected a currency's three letters (ISO 4217), such as CNY")
    return value


def _degrees(bound: int) -> Callable[[Any, str], float]:
    def check(value: Any, name: str) -> float:
        if type(value) not in (int, float) or not -bound <= value <= bound:
            raise fields.refuse(name, f"expected a number from {-bound} to {bound}")
        return float(value)

    return check


CHECKS: Final[Mapping[str, Callable[[Any, str], Any]]] = MappingProxyType(
    {
        "title": _check_title,
        "text": _check_text,
        "url": _check_url,
        "count": fields.clean_int,
        "currency": _check_currency,
        "latitude": _degrees(90),
        "longitude": _degrees(180),
    }
)
"""Type of a card's field -> what checks, and where it is text normalizes, a value of it."""


def check_card(value: Any, field: str) -> dict[str, Any]:
    """Check a card: a map with a ``type``, and with what that type asks for.

    A known field that is nil counts as left out.
    """
    if not isinstance(value, dict):
        raise fields.refuse(field, "expected a map")
    kind = value.get("type")
    if type(kind) is not str or not 1 <= len(kind) <= CONTENT.channel_max:
        raise fields.refuse(field, "expected a `type`, a short string")
    checked: dict[str, Any] = fields.clean_value(value, field)
    for name, known in CARDS.get(kind, {}).items():
        part = checked.pop(name, None)
        if part is not None:
            checked[name] = _checked(known, part, field, name)
        elif known.required:
            raise fields.refuse(field, f"{name} is missing; a card of type {kind} needs it")
    if kind not in CARDS and isinstance(checked.get("url"), str):
        # Clients show a card of an unknown type as a link.
        fields.refuse_script(checked["url"], field)
    if fields.size_of(checked) > CONTENT.card_max_bytes:
        limit = CONTENT.card_max_bytes
        raise Rejected("too_large", f"{field}: expected at most {limit} bytes", limit_bytes=limit)
    return checked


def _checked(known: CardField, value: Any, field: str, name: str) -> Any:
    try:
        return CHECKS[known.type](value, f"{field}.{name}")
    except Rejected as refusal:
        # The parameter at fault is the card; the message names what in it.
        raise Rejected(refusal.code, refusal.message, field=field) from None


_READ: Final = ("title", "text")
"""Types of fields that people read."""
_READ_OF_UNKNOWN: Final = ("title", "name", "description", "text")
"""What they read of a card of an unknown type, as far as anybody can tell."""


def texts_of(card: Mapping[str, Any]) -> list[str]:
    """Give what people read of a checked card, and no URLs or other values of the host's own."""
    known = CARDS.get(str(card.get("type")))
    names = (
        _READ_OF_UNKNOWN
        if known is None
        else [name for name, field in known.items() if field.type in _READ]
    )
    return [value for value in map(card.get, names) if isinstance(value, str)]


def summary(card: Mapping[str, Any]) -> str:
    """Give one line of text for a card of any type: its title, or name, or URL, or type."""
    for name in ("title", "name", "url", "type"):
        value = card.get(name)
        if isinstance(value, str):
            # A card of an unknown type may hold anything, also what would move a cursor.
            line = "".join(char if char.isprintable() else " " for char in value)
            line = " ".join(line.split())[:TITLE_MAX]
            if line:
                return line
    return "?"
