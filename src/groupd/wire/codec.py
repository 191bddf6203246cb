"""How an event lies in the store and on the wire: the same bytes.

A record's header and body are encoded MessagePack map entries, each led by one byte that counts
them. An event as a client sees it is a map head, then the header's entries, then the body's: so
pushing and paging only join bytes, and nothing is decoded on the way out.

    header  group, seq, time_ms, user, kind, id?      (an account's: seq, time_ms, kind, id?)
    body    the event's own fields, those that differ from their defaults

The hash chain of a stream runs over ``previous + header + private + inner``, where ``inner`` is
H(salt + request hash + body) and stays when the body is erased (DESIGN section 3.6).
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from functools import cache
from typing import Any, Final

import attrs
import msgpack

from groupd.domain.base import ACCOUNT, Audience, Event, Record, Request, StreamKey, Unknown
from groupd.domain.fields import ordered
from groupd.wire.rpc import ACCOUNT_EVENT_PREFIX, EVENT_PREFIX

GENESIS: Final = bytes(32)
"""The chain before the first record."""
SALT_BYTES: Final = 16
HASH_BYTES: Final = 16

pack: Final[Callable[[Any], bytes]] = msgpack.Packer().pack
"""Encode one value. Only for the thread that runs trio: it reuses one buffer."""

_PRIVATE: Final = struct.Struct(">BQI")
_SEQ, _TIME, _USER, _KIND, _ID = (pack(name) for name in ("seq", "time_ms", "user", "kind", "id"))
_HIDDEN: Final = pack("kind") + pack("hidden")
_ERASED: Final = pack("kind") + pack("erased")
_MAP_HEADS: Final = tuple(
    bytes([0x80 | count]) if count < 16 else b"\xde" + count.to_bytes(2, "big")
    for count in range(512)
)


def unpack(data: bytes) -> Any:
    """Decode one value of our own making; arrays become lists."""
    return msgpack.unpackb(data, strict_map_key=False)


def inner_hash(salt: bytes, request_hash: bytes, body: bytes) -> bytes:
    """Hash what can be erased. The salt keeps an erased short text from being guessed."""
    return hashlib.sha256(salt + request_hash + body).digest()


def chain_hash(
    previous: bytes, header: bytes, *, audience: int, n: int, forget: int, inner: bytes
) -> bytes:
    """Link a record to the one before it."""
    return hashlib.sha256(previous + header + _PRIVATE.pack(audience, n, forget) + inner).digest()


def request_hash(request: Request) -> bytes:
    """Hash what a request asks for, whatever the order of its maps.

    Fields that equal their defaults are left out.
    """
    asked = [request.method, ordered(request.params())]
    return hashlib.sha256(pack(asked)).digest()[:HASH_BYTES]


def map_head(count: int) -> bytes:
    """Encode the head of a map of ``count`` entries."""
    return _MAP_HEADS[count] if count < 512 else b"\xdf" + count.to_bytes(4, "big")


def array_head(count: int) -> bytes:
    """Encode the head of an array of ``count`` items."""
    if count < 16:
        return bytes([0x90 | count])
    return b"\xdc" + count.to_bytes(2, "big") if count < 65_536 else b"\xdd" + count.to_bytes(4)


class HeaderCodec:
    """Encodes the headers of one stream's records; what is the same for all is encoded once."""

    __slots__ = ("_counts", "_is_account", "_prefix")

    def __init__(self, stream: StreamKey) -> None:
        self._is_account = stream.kind == ACCOUNT
        if self._is_account:
            self._prefix, self._counts = _SEQ, (b"\x03", b"\x04")
        else:
            self._prefix = pack("group") + pack(stream.key) + _SEQ
            self._counts = (b"\x05", b"\x06")

    def encode(self, seq: int, time_ms: int, user: str, kind: str, request_id: str) -> bytes:
        """Give a record's header."""
        parts = [
            self._counts[1 if request_id else 0],
            self._prefix,
            pack(seq),
            _TIME,
            pack(time_ms),
        ]
        if not self._is_account:
            parts += (_USER, pack(user))
        parts += (_KIND, pack(kind))
        if request_id:
            parts += (_ID, pack(request_id))
        return b"".join(parts)


@cache
def fields_of(cls: Hashable) -> tuple[tuple[str, bytes, Any], ...]:
    """Give name, encoded name and default of the fields of an event class."""
    return tuple(
        (field.name, pack(field.name), default_of(field))
        for field in attrs.fields(cls)  # type: ignore[arg-type]
    )


def default_of(field: attrs.Attribute[Any]) -> Any:
    """Give the default of a field, also where it is made anew for each event."""
    make = getattr(field.default, "factory", None)
    return field.default if make is None else make()


def encode_body(event: Event) -> bytes:
    """Give the body of the record of ``event``."""
    if type(event) is Unknown:
        unknown = [bytes([len(event.fields)])]
        for name, value in event.fields.items():
            unknown += (pack(name), pack(value))
        return b"".join(unknown)
    parts = [b""]
    for name, key, default in fields_of(event.__class__):  # type: ignore[arg-type]
        value = getattr(event, name)
        if value != default:
            parts += (key, pack(value))
    parts[0] = bytes([len(parts) // 2])
    return b"".join(parts)


def decode_entries(entries: bytes) -> dict[str, Any]:
    """Decode a header or body into a map; arrays become tuples."""
    fields: dict[str, Any] = msgpack.unpackb(
        map_head(entries[0]) + entries[1:], use_list=False, strict_map_key=True
    )
    return fields


def decode_event(kinds: Mapping[str, type[Event]], record: Record) -> Event:
    """Rebuild the event of a record. An erased body decodes to the event's defaults."""
    fields = {} if record.body is None else decode_entries(record.body)
    cls = kinds.get(record.kind)
    if cls is None:
        return Unknown(kind=record.kind, fields=fields)
    names = fields_of(cls)  # type: ignore[arg-type]
    known = {name: fields[name] for name, _key, _default in names if name in fields}
    return cls(**known)


def event_map(record: Record) -> bytes:
    """Give the event as its readers see it; once erased, as kind ``erased``."""
    header, body = record.header, record.body
    if body is None:
        return _masked(record, _ERASED, pack(record.user))
    return _MAP_HEADS[header[0] + body[0]] + header[1:] + body[1:]


def hidden_map(record: Record) -> bytes:
    """Give the event as it shows to members who may not read it."""
    return _masked(record, _HIDDEN, None)


def _masked(record: Record, kind: bytes, user: bytes | None) -> bytes:
    entries = [_SEQ + pack(record.seq), _TIME + pack(record.time_ms)]
    header = decode_entries(record.header)
    if "group" in header:  # An account's events have neither a group nor a user.
        entries.insert(0, pack("group") + pack(header["group"]))
        if user is not None:
            entries.append(_USER + user)
    return map_head(len(entries) + 1) + b"".join(entries) + kind


def shown_map(record: Record, audience: Audience) -> bytes:
    """Give the event as a reader of this ``audience`` sees it."""
    return event_map(record) if record.audience <= audience else hidden_map(record)


def frame_prefix(stream: StreamKey) -> bytes:
    """Give the constant bytes before an event's map in a push."""
    return ACCOUNT_EVENT_PREFIX if stream.kind == ACCOUNT else EVENT_PREFIX


def encode_array(items: Sequence[bytes]) -> bytes:
    """Join values that are already encoded into an array."""
    return array_head(len(items)) + b"".join(items)


def encode_map(entries: Iterable[tuple[str, bytes]]) -> bytes:
    """Make a map of values that are already encoded."""
    parts = [b""]
    for key, value in entries:
        parts += (pack(key), value)
    parts[0] = map_head(len(parts) // 2)
    return b"".join(parts)


@attrs.frozen
class Encoded:
    """A result that is encoded already, because it holds stored events."""

    data: bytes

    def decode(self) -> dict[str, Any]:
        """Give it as values, for callers without a socket."""
        value: dict[str, Any] = msgpack.unpackb(self.data, strict_map_key=True)
        return value
