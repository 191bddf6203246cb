"""Malformed MessagePack, made by changing what is valid.

Two steps: a value is changed as a structure (types, lengths, nesting, keys) and encoded, then its
bytes are changed. All choices come from one ``Random``, so an input can be made again. Inputs stay
below ``INPUT_MAX_BYTES``.

What MessagePack can say and Python's values cannot (a key twice, a wrong length, a head in a longer
form) is a ``Raw`` or a ``Pairs`` within the structure.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Any, Final

import attrs
import msgpack

INPUT_MAX_BYTES: Final = 70_000
"""A little more than the largest frame, so that frames over the limit are made, too."""
CHANGES_MAX: Final = 4
"""Changes to one structure, and to the bytes of one input."""
DEPTHS: Final = (1, 7, 8, 9, 40, 600, 1_100)
"""How deep a value is nested: around the bound of values, of the compiled reader, of msgpack."""
LENGTHS: Final = (0, 1, 16, 32, 60, 61, 64, 65, 128, 129, 1_024, 1_025, 5_001, 16_385)
"""How long a text or a list is made: around the limits of the contract."""

_pack: Final[Callable[[Any], bytes]] = msgpack.Packer(unicode_errors="surrogatepass").pack


@attrs.frozen
class Raw:
    """Bytes that stand in a structure as they are."""

    data: bytes


@attrs.define
class Pairs:
    """A map as a list of ``[key, value]``, in which a key may stand twice."""

    items: list[list[Any]]


STRANGE: Final[Sequence[Any]] = (
    None, True, False, 0, 1, -1, 0.0, -0.0, 1.0, 0.5, 1e308, 5e-324, "", " ", "*", "all", "\0",
    float("nan"), float("inf"), float("-inf"), 127, 128, 255, 256, 65_535, 65_536, 2**31, -(2**31),
    2**32 - 1, 2**32, 2**53 - 1, 2**53, -(2**53), 2**63 - 1, 2**63, 2**64 - 1, -(2**63),
    "\ud800", "a\udfffb", "\x7f", "\x85", "\u2028", "\u202e", "\ufeff", "\u200b", "\U000e0001",
    "e" + "\u0301" * 31, "\u0344" * 40, "\ufdfa" * 20, "İ", "ﬃ", "🙂" * 61, "A" * 65, "%s%n{0}",
    "../../etc/passwd", "'; drop table records; --", "0:0:", "9" * 400, "1e999", "nan",
    [], [[]], [None], [{}], {}, {"": ""}, {"a": {"a": {"a": {}}}}, b"", b"x", b"\0" * 300,
    Raw(b"\xc1"),  # Never used by MessagePack.
    Raw(b"\xa1\xff"), Raw(b"\xa2\xc3\x28"), Raw(b"\xa3\xed\xa0\x80"), Raw(b"\xa4\xf8\x88\x80\x80"),
    Raw(b"\xd6\xff\0\0\0\0"), Raw(b"\xd7\xff" + b"\xff" * 8), Raw(b"\xc7\x0c\xff" + b"\xff" * 12),
    Raw(b"\xd4\x01x"), Raw(b"\xc7\x00\x05"), Raw(b"\xc8\xff\xff\x01"),
    Raw(b"\xc9\xff\xff\xff\xff\x01"),
    Raw(b"\xdb\xff\xff\xff\xff"), Raw(b"\xdd\xff\xff\xff\xff"), Raw(b"\xdf\xff\xff\xff\xff"),
    Raw(b"\xdc\x04\x01"), Raw(b"\xde\x00\x81"), Raw(b"\xd9\x01"), Raw(b"\xc6\xff\xff\xff\xff"),
    Raw(b"\xcf" + b"\xff" * 8), Raw(b"\xd3\x80" + b"\0" * 7), Raw(b"\xca\x7f\xc0\0\0"),
    Raw(b"\x82\xa1a\x01\xa1a\x02"), Raw(b"\x81\x01\x01"), Raw(b"\x81\xc0\x01"),
    Raw(b"\x81\x90\x01"), Raw(b"\x81\xc4\x00\x01"), Raw(b"\x81\xcb\x7f\xf8\0\0\0\0\0\0\x01"),
)  # fmt: skip
"""Values that a reader may forget to think of."""

_CHARS: Final = "\0\n\r\x1b\x85\u0301\u200d\u202e\u2066\u3164\ud800\udfff🙂ß中.:*%/\\'\"{}"
_LONG_HEADS: Final = b"\xc4\xc7\xc9\xca\xcb\xcf\xd3\xd4\xd8\xd9\xdb\xdc\xdd\xde\xdf"
_HEADS: Final = _LONG_HEADS + b"\xc0\xc1\xe0\xff\x00\x7f\x80\x81\x8f\x90\x94\x9f\xa0\xbf"
_WRONG_LENGTHS: Final = (b"\xff\xff", b"\xff" * 4, b"\x00\x01\x00\x00", b"\x7f\xff\xff\xff")


# --- structures


def encode(value: Any) -> bytes:
    """Give the bytes of a structure."""
    cls = value.__class__
    if cls is Raw:
        data: bytes = value.data
        return data
    if cls is Pairs:
        parts = [encode(part) for pair in value.items for part in pair]
        return _head(len(value.items), 0x80, 0xDE) + b"".join(parts)
    if cls is dict:
        parts = [encode(part) for pair in value.items() for part in pair]
        return _head(len(value), 0x80, 0xDE) + b"".join(parts)
    if cls is list or cls is tuple:
        return _head(len(value), 0x90, 0xDC) + b"".join(map(encode, value))
    return _pack(value)


def _head(count: int, short: int, long: int) -> bytes:
    if count < 16:
        return bytes((short | count,))
    if count < 65_536:
        return bytes((long,)) + count.to_bytes(2, "big")
    return bytes((long + 1,)) + count.to_bytes(4, "big")


def repeated(value: Any, count: int) -> Raw:
    """Give a list of one value many times, encoded: as values it would only take time.

    Where that is longer than an input may be, it breaks off.
    """
    item = encode(value)
    whole = min(count, INPUT_MAX_BYTES // max(1, len(item)) + 1)
    return Raw(_head(count, 0x90, 0xDC) + item * whole)


def open_up(value: Any) -> Any:
    """Give a copy of a structure that can be changed in place."""
    if isinstance(value, dict):
        return Pairs([[key, open_up(item)] for key, item in value.items()])
    if isinstance(value, list | tuple):
        return [open_up(item) for item in value]
    return value


def change(random: Random, value: Any, others: Sequence[Any] = ()) -> Any:
    """Give a structure with some changes. ``others`` are values that may take a place in it."""
    root = [open_up(value)]
    for _ in range(random.randint(1, CHANGES_MAX)):
        places: list[tuple[list[Any], int]] = []
        _gather(root, places)
        if not places:
            break
        # The last places are the innermost: mostly a parameter rather than the whole message.
        index = random.randrange(len(places))
        where, at = places[max(index, random.randrange(len(places)))]
        random.choice(_CHANGES)(random, where, at, others)
    return root[0] if len(root) == 1 else root


def _gather(values: list[Any], places: list[tuple[list[Any], int]]) -> None:
    """List the places of all values within some, keys included."""
    for at, value in enumerate(values):
        places.append((values, at))
        if value.__class__ is list:
            _gather(value, places)
        elif value.__class__ is Pairs:
            for pair in value.items:
                _gather(pair, places)


def _replace(random: Random, where: list[Any], at: int, others: Sequence[Any]) -> None:
    where[at] = open_up(random.choice(STRANGE))


def _swap_in(random: Random, where: list[Any], at: int, others: Sequence[Any]) -> None:
    where[at] = open_up(random.choice(others)) if others else None


def _nest(random: Random, where: list[Any], at: int, others: Sequence[Any]) -> None:
    depth, inner = random.choice(DEPTHS), encode(where[at])
    head = random.choice((b"\x91", b"\x81\xa1a", b"\xdc\x00\x01", b"\xdd\x00\x00\x00\x01"))
    where[at] = Raw(head * depth + inner)


def _leave_out(random: Random, where: list[Any], at: int, others: Sequence[Any]) -> None:
    value = where[at]
    if value.__class__ is Pairs and value.items:
        del value.items[random.randrange(len(value.items))]
    elif value.__class__ is list and value:
        del value[random.randrange(len(value))]
    else:
        where[at] = None


def _repeat(random: Random, where: list[Any], at: int, others: Sequence[Any]) -> None:
    """Make something longer: a text, a list, a map with a key twice."""
    value, count = where[at], random.choice(LENGTHS)
    if value.__class__ is str:
        where[at] = (value or "x") * (count // (len(value) or 1) + 1) if len(value) < 20_000 else ""
    elif value.__class__ is list and value:
        where[at] = repeated(value[0], count)
    elif value.__class__ is Pairs and value.items:
        pair = random.choice(value.items)
        value.items.append(list(pair))
    elif value.__class__ is Pairs:
        value.items = [[f"key {number}", number] for number in range(min(count, 200))]
    else:
        where[at] = repeated(value, count)


def _adjust(random: Random, where: list[Any], at: int, others: Sequence[Any]) -> None:
    """Change a number or a text a little."""
    value = where[at]
    if value.__class__ is int:
        step = random.choice((1, -1, value, -2 * value, 2**31, 2**53 - 1))
        where[at] = max(-(2**63), min(2**64 - 1, value + step))
    elif value.__class__ is str:
        place = random.randint(0, len(value))
        where[at] = value[:place] + random.choice(_CHARS) + value[place + random.randint(0, 1) :]
    elif value.__class__ is float:
        where[at] = random.choice((int(value) if abs(value) < 2**62 else 0, -value, value * 1e300))
    else:
        _replace(random, where, at, others)


def _stretch(random: Random, where: list[Any], at: int, others: Sequence[Any]) -> None:
    """Encode in a longer form, or with a length that is not true."""
    value = where[at]
    wrong = random.choice((0, 0, 0, 1, -1, 1_000, 2**31))
    if value.__class__ is str:
        text = value.encode("utf-8", "surrogatepass")
        length = max(0, len(text) + wrong).to_bytes(4, "big")
        where[at] = Raw(b"\xdb" + length + text)
    elif value.__class__ is int and -(2**63) <= value < 2**63:
        where[at] = Raw(b"\xd3" + value.to_bytes(8, "big", signed=True))
    elif value.__class__ is list:
        length = max(0, len(value) + wrong).to_bytes(4, "big")
        where[at] = Raw(b"\xdd" + length + b"".join(map(encode, value)))
    elif value.__class__ is Pairs:
        length = max(0, len(value.items) + wrong).to_bytes(4, "big")
        inner = b"".join(encode(part) for pair in value.items for part in pair)
        where[at] = Raw(b"\xdf" + length + inner)


_CHANGES: Final = (_replace, _replace, _swap_in, _nest, _leave_out, _repeat, _adjust, _stretch)


# --- bytes


def spoil(random: Random, data: bytes) -> bytes:
    """Give bytes with some changes."""
    for _ in range(random.randint(1, CHANGES_MAX)):
        start = random.randint(0, len(data))
        end = min(len(data), start + random.choice((0, 1, 1, 1, 2, 4, 16, 300)))
        kind = random.randrange(7)
        if kind == 0 and start < len(data):
            piece = bytes((data[start] ^ (1 << random.randrange(8)),))
            end = start + 1
        elif kind == 1:
            piece = bytes((random.choice(_HEADS),))
        elif kind == 2:
            piece = random.randbytes(random.choice((1, 1, 2, 4, 16, 64)))
        elif kind == 3:
            piece = data[start:end] * random.choice((2, 3, 20, 300))
        elif kind == 4:
            piece = bytes((random.choice(_LONG_HEADS),)) + random.choice(_WRONG_LENGTHS)
        elif kind == 5:
            piece = b""  # Take it out.
        else:
            return data[:start]  # Break off.
        data = data[:start] + piece + data[end:]
    return data[:INPUT_MAX_BYTES]


def noise(random: Random) -> bytes:
    """Give bytes that mean nothing."""
    return random.randbytes(random.choice((0, 1, 2, 5, 20, 100, 1_000)))


def malform(random: Random, value: Any, others: Sequence[Any] = ()) -> bytes:
    """Give bytes of a structure: seldom unchanged, mostly changed in one way or in both."""
    kind = random.randrange(16)
    if kind == 0:
        return encode(value)[:INPUT_MAX_BYTES]
    if kind == 1:
        return noise(random)
    if kind < 5:
        return spoil(random, encode(value))
    data = encode(change(random, value, others))[:INPUT_MAX_BYTES]
    return spoil(random, data) if kind < 8 else data
