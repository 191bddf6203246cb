"""Reading what follows a command: numbers, times, switches and ``name=value`` words."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

import orjson

from groupd.domain.cards import CARDS
from groupd.domain.links import CODE_LENGTH, GROUP_ID_LENGTH
from groupd.errors import GroupdError

DIGITS_MAX: Final = 15
_MENTION: Final = re.compile(r"(?<!\S)@([^\s,.:;!?，。：；！？]+)")
_CODE: Final = re.compile(rf"(?<![\w-])[A-Za-z0-9_-]{{{CODE_LENGTH}}}(?![\w-])")
UNITS_MS: Final[Mapping[str, int]] = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}

Reader: TypeAlias = Callable[[str], Any]


class Unclear(GroupdError):
    """The line cannot be done as it was typed; the message says what to type."""


def number(text: str) -> int:
    """Read the number of a message."""
    if not (text.isdecimal() and len(text) <= DIGITS_MAX and int(text)):
        raise Unclear("Expected the number of a message: it stands after the time.")
    return int(text)


def number_and_text(rest: str, what: str) -> tuple[int, str]:
    """Read a message's number and what follows it."""
    first, text = halves(rest)
    seq = number(first)
    if not text.strip():
        raise Unclear(f"Expected {what} after the number.")
    return seq, text.strip()


def halves(line: str) -> tuple[str, str]:
    """Give the first word of a text, and the rest, which may have several lines."""
    first, *more = line.split(None, 1) or ("",)
    return first, "".join(more)


def mentions(text: str) -> list[str] | str:
    """Give who is mentioned in a text: ``@bob``, or ``@all``."""
    users = _MENTION.findall(text)
    return "all" if "all" in users else users


def one_word(rest: str, what: str) -> str:
    """Read the only word of a command."""
    if not rest or " " in rest:
        raise Unclear(f"Expected {what}, one word.")
    return rest


def user_and_text(rest: str) -> tuple[str, str]:
    """Read a user's id and what may follow it."""
    user, text = halves(rest)
    if not user:
        raise Unclear("Expected a user: /members lists their ids.")
    return user.removeprefix("@"), text.strip()


def user(rest: str) -> str:
    """Read a user's id."""
    name, text = user_and_text(rest)
    if text:
        raise Unclear("Expected one user.")
    return name


def users(rest: str) -> list[str]:
    """Read the ids of some users."""
    if not rest:
        raise Unclear("Expected users: /members lists their ids.")
    return [name.removeprefix("@") for name in rest.split()]


def code_in(text: str) -> str:
    """Give the code of a link where the text is its URL, else the text."""
    found = _CODE.findall(text) if "://" in text else ()
    return found[-1] if found else text


def is_group(text: str) -> bool:
    """Say whether a word may be a group's id rather than a link's code, which is longer."""
    return len(text) <= GROUP_ID_LENGTH


def duration_ms(text: str) -> int:
    """Read ``30s``, ``10m``, ``1h`` or ``7d``."""
    count, unit = text[:-1], text[-1:]
    if unit not in UNITS_MS or not count.isdecimal() or len(count) > DIGITS_MAX or not int(count):
        raise Unclear(f"Expected a time such as 30s, 10m, 1h or 7d, not {text!r}.")
    return int(count) * UNITS_MS[unit]


def is_duration(text: str) -> bool:
    """Say whether a word is meant to be a time."""
    return text[:1].isdecimal() and text[-1:] in UNITS_MS


def switch(rest: str) -> bool:
    """Read what may follow a switch: nothing or ``on``, or ``off``."""
    if rest not in ("", "on", "off"):
        raise Unclear(f"Expected on or off, not {rest!r}.")
    return rest != "off"


def degrees(text: str) -> float:
    """Read a latitude, a longitude or a distance."""
    try:
        return float(text)
    except ValueError:
        raise Unclear(f"Expected a number such as 31.2, not {text!r}.") from None


# --- name=value


def pairs(rest: str) -> dict[str, str]:
    """Read ``name=value`` words; a value with blanks stands in quotation marks."""
    try:
        words = shlex.split(rest)
    except ValueError:
        raise Unclear("A quotation mark is not closed.") from None
    found = {}
    for word in words:
        name, sign, value = word.partition("=")
        if not (name and sign):
            raise Unclear(f"Expected name=value, not {word!r}.")
        found[name] = value
    return found


def read_with(readers: Mapping[str, Reader], given: Mapping[str, str]) -> dict[str, Any]:
    """Read each value as the table says; a name that is not in it is unclear."""
    for name in given:
        if name not in readers:
            raise Unclear(f"There is no {name}; there are: {', '.join(readers)}.")
    return {name: readers[name](value) for name, value in given.items()}


def yes(text: str) -> bool:
    """Read a setting that is on or off."""
    if text not in ("yes", "on", "true", "no", "off", "false"):
        raise Unclear(f"Expected yes or no, not {text!r}.")
    return text in ("yes", "on", "true")


def count(text: str) -> int:
    """Read a whole number."""
    if not (text.isdecimal() and len(text) <= DIGITS_MAX):
        raise Unclear(f"Expected a whole number, not {text!r}.")
    return int(text)


def place(text: str) -> dict[str, float]:
    """Read ``LAT,LON``; nothing takes a place away."""
    if not text:
        return {}
    lat, sign, lon = text.partition(",")
    if not sign:
        raise Unclear("Expected a place as LAT,LON, such as 31.23,121.47.")
    return {"lat": degrees(lat), "lon": degrees(lon)}


def json_map(text: str) -> dict[str, Any]:
    """Read a map in JSON; nothing takes one away."""
    try:
        value = orjson.loads(text or "{}")
    except orjson.JSONDecodeError:
        value = None
    if not isinstance(value, dict):
        raise Unclear(f"Expected a map in JSON, in quotation marks, not {text!r}.")
    return value


def loose(text: str) -> Any:
    """Read JSON where it is some, else the text itself."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text


_OF_CARDS: Final[Mapping[str, Reader]] = {
    "count": count,
    "latitude": degrees,
    "longitude": degrees,
}
"""Type of a card's field -> how it is read, where that is no text."""


def card(rest: str) -> dict[str, Any]:
    """Read ``TYPE name=value ...`` as a card. Also unknown types may have fields, as texts."""
    kind, _, more = rest.partition(" ")
    if not kind or "=" in kind:
        raise Unclear(f"Expected a type first: {', '.join(CARDS)}, or one of your own.")
    known = CARDS.get(kind, {})
    made: dict[str, Any] = {"type": kind}
    for name, value in pairs(more).items():
        read = _OF_CARDS.get(known[name].type, str) if name in known else str
        made[name] = read(value)
    return made
