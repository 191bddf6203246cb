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

import struct
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from functools import cache, lru_cache
from hashlib import sha256
from typing import Any, Final

import attrs
import msgpack

from groupd import native
from groupd.domain.base import (
    ACCOUNT,
    Audience,
    Event,
    Record,
    Request,
    StreamKey,
    Unknown,
)
from groupd.domain.fields import ordered
from groupd.domain.parameters import parameters_of
from groupd.errors import LogCorrupt
from groupd.wire.rpc import ACCOUNT_EVENT_PREFIX, EVENT_PREFIX

GENESIS: Final = bytes(32)
"""The chain before the first record."""
SALT_BYTES: Final = 16
HASH_BYTES: Final = 16

pack: Final[Callable[[Any], bytes]] = msgpack.Packer().pack
"""Encode one value. Only for the thread that runs trio: it reuses one buffer."""

KINDS_MAX: Final = 256
"""Kinds of events whose encoded names are kept."""

_PRIVATE: Final = struct.Struct(">BQI")
_SEQ, _TIME, _USER, _KIND, _ID = (pack(name) for name in ("seq", "time_ms", "user", "kind", "id"))
_HIDDEN: Final = pack("kind") + pack("hidden")
_ERASED: Final = pack("kind") + pack("erased")
_COUNTS: Final = tuple(bytes([count]) for count in range(256))
_MAP_HEADS: Final = tuple(
    bytes([0x80 | count]) if count < 16 else b"\xde" + count.to_bytes(2, "big")
    for count in range(512)
)


def unpack(data: bytes) -> Any:
    """Decode one value of our own making; arrays become lists."""
    return msgpack.unpackb(data, strict_map_key=False)


def inner_hash(salt: bytes, request_hash: bytes, body: bytes) -> bytes:
    """Hash what can be erased. The salt keeps an erased short text from being guessed."""
    return sha256(salt + request_hash + body).digest()


def chain_hash(
    previous: bytes, header: bytes, *, audience: int, n: int, forget: int, inner: bytes
) -> bytes:
    """Link a record to the one before it."""
    private = _PRIVATE.pack(audience, n, forget)
    return sha256(b"".join((previous, header, private, inner))).digest()


def request_hash(request: Request) -> bytes:
    """Hash what a request asks for, whatever the order of its maps.

    Fields that equal their defaults are left out.
    """
    head, parameters = _hashed_parts_of(request.__class__)  # type: ignore[arg-type]
    return _request_hash(head, request, parameters, _pack_ordered)


def _request_hash_in_python(
    head: bytes, request: Request, parameters: Sequence[tuple[str, bytes, Any]], pack: Any
) -> bytes:
    count, asked = 0, b""
    for name, key, default in parameters:
        value = getattr(request, name)
        if value is not default and value != default:
            count += 1
            asked += key + pack(value)
    return sha256(head + map_head(count) + asked).digest()[:HASH_BYTES]


_request_hash: Final[Callable[..., bytes]] = (
    _request_hash_in_python if native.records is None else native.records.request_hash
)


def _pack_ordered(value: Any) -> bytes:
    """Encode a value with the keys of its maps in order."""
    return pack(ordered(value))


@cache
def _hashed_parts_of(cls: type[Request]) -> tuple[bytes, tuple[tuple[str, bytes, Any], ...]]:
    """Give how the hashed bytes of a request class begin: a list of its method and a map.

    And what is in the map, in the order of its keys: name, encoded key, default of each parameter.
    """
    parameters = sorted(parameters_of(cls), key=lambda parameter: parameter.alias)
    assert len(parameters) < 16, "the compiled form has one byte for their count"
    return array_head(2) + pack(cls.method), tuple(
        (name, pack(alias), default) for name, alias, default in parameters
    )


def map_head(count: int) -> bytes:
    """Encode the head of a map of ``count`` entries."""
    return _MAP_HEADS[count] if count < 512 else b"\xdf" + count.to_bytes(4, "big")


def array_head(count: int) -> bytes:
    """Encode the head of an array of ``count`` items."""
    if count < 16:
        return bytes([0x90 | count])
    return b"\xdc" + count.to_bytes(2, "big") if count < 65_536 else b"\xdd" + count.to_bytes(4)


class RecordWriter:
    """Writes the records of one stream; what is the same for all is encoded once."""

    __slots__ = ("_is_account", "_prefix", "_prefix_with_id", "_time", "_time_ms")

    def __init__(self, stream: StreamKey) -> None:
        self._is_account = stream.kind == ACCOUNT
        self._prefix, self._prefix_with_id = _prefixes_of(stream)
        # All records of a batch have the same time.
        self._time_ms, self._time = -1, b""

    def header(self, seq: int, time_ms: int, user: str, kind: str, request_id: str) -> bytes:
        """Give a record's header."""
        if time_ms != self._time_ms:
            time = _TIME + pack(time_ms)
            self._time_ms, self._time = time_ms, time if self._is_account else time + _USER
        by = b"" if self._is_account else pack(user)
        if not request_id:
            return b"".join((self._prefix, pack(seq), self._time, by, _kind(kind)))
        head, tail = self._prefix_with_id, pack(request_id)
        return b"".join((head, pack(seq), self._time, by, _kind(kind), _ID, tail))

    def write(
        self,
        event: Event,
        seq: int,
        time_ms: int,
        user: str,
        request_id: str,
        n: int,
        forget: int,
        salt: bytes,
        request_hash: bytes,
        previous: bytes,
    ) -> Record:
        """Make the record of an event; ``previous`` is the end of the chain before it."""
        kind, audience = event.kind, event.audience
        header = self.header(seq, time_ms, user, kind, request_id)
        body = encode_body(event)
        inner = inner_hash(salt, request_hash, body)
        chain = chain_hash(previous, header, audience=audience, n=n, forget=forget, inner=inner)
        # Made as a plain tuple is: in half the time of a named one.
        return tuple.__new__(
            Record,
            (
                *(seq, time_ms, kind, user, request_id, audience, n, forget, event.followed),
                *(header, salt, request_hash, body, inner, chain),
            ),
        )


def _prefixes_of(stream: StreamKey) -> tuple[bytes, bytes]:
    """Give how a stream's headers begin, without and with a request id."""
    if stream.kind == ACCOUNT:
        return b"\x03" + _SEQ, b"\x04" + _SEQ
    group = pack("group") + pack(stream.key) + _SEQ
    return b"\x05" + group, b"\x06" + group


@cache
def _class_of(cls: type[Event]) -> Any:
    """Give what a compiled writer knows of a class of events."""
    assert native.records is not None
    # An unknown kind is each event's own.
    kind = b"" if cls is Unknown else _kind(cls.kind)
    return native.records.EventClass(cls, kind, fields_of(cls))  # type: ignore[arg-type]


def writer_of(stream: StreamKey) -> RecordWriter:
    """Give what writes a stream's records, compiled where that is there."""
    if native.records is None:
        return RecordWriter(stream)
    prefix, prefix_with_id = _prefixes_of(stream)
    writer: RecordWriter = native.records.RecordWriter(
        Record,
        prefix=prefix,
        prefix_with_id=prefix_with_id,
        time_key=_TIME,
        user_key=b"" if stream.kind == ACCOUNT else _USER,
        id_key=_ID,
        class_of=_class_of,
        kind_of=_kind,
        encode_body=encode_body,
        pack=pack,
    )
    return writer


@lru_cache(KINDS_MAX)
def _kind(kind: str) -> bytes:
    return _KIND + pack(kind)


@cache
def fields_of(cls: Hashable) -> tuple[tuple[str, bytes, Any], ...] | None:
    """Give name, encoded name and default of the fields of an event class; None for ``Unknown``."""
    if cls is Unknown:
        return None
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
    fields = fields_of(event.__class__)  # type: ignore[arg-type]
    if fields is None:
        assert isinstance(event, Unknown)
        unknown = [bytes([len(event.fields)])]
        for name, value in event.fields.items():
            unknown += (pack(name), pack(value))
        return b"".join(unknown)
    count, entries = 0, b""
    for name, key, default in fields:
        value = getattr(event, name)
        if value is not default and value != default:
            count += 1
            entries += key + pack(value)
    return _COUNTS[count] + entries


def decode_entries(entries: bytes) -> dict[str, Any]:
    """Decode a header or body into a map; arrays become tuples."""
    fields: dict[str, Any] = msgpack.unpackb(
        map_head(entries[0]) + entries[1:], use_list=False, strict_map_key=True
    )
    return fields


def has_its_body(record: Record) -> bool:
    """Say whether a record's body, salt and request hash are what was written, or erased."""
    body = record.body
    return body is None or inner_hash(record.salt, record.request_hash, body) == record.inner


def continues(record: Record, previous: bytes) -> bool:
    """Say whether a record is the one that was linked to the chain as it was before it."""
    chain = chain_hash(
        previous,
        record.header,
        audience=record.audience,
        n=record.n,
        forget=record.forget,
        inner=record.inner,
    )
    return chain == record.chain


def is_whole(record: Record) -> bool:
    """Say whether a stored record can be shown: its header reads, its body is what was written."""
    try:
        decode_entries(record.header)
    except (ValueError, TypeError, LookupError, OverflowError):
        return False
    return has_its_body(record)


def decode_event(kinds: Mapping[str, type[Event]], record: Record) -> Event:
    """Rebuild the event of a record. An erased body decodes to the event's defaults.

    Raises LogCorrupt for a body that makes no sense.
    """
    try:
        fields = {} if record.body is None else decode_entries(record.body)
        cls = kinds.get(record.kind)
        if cls is None:
            return Unknown(kind=record.kind, fields=fields)
        names = fields_of(cls) or ()  # type: ignore[arg-type]
        known = {name: fields[name] for name, _key, _default in names if name in fields}
        return cls(**known)
    except (ValueError, TypeError, LookupError, OverflowError) as error:
        raise LogCorrupt(
            f"record {record.seq}, a {record.kind!r}, cannot be read: {error!r}"
        ) from error


def event_map(record: Record, prefix: bytes = b"") -> bytes:
    """Give the event as its readers see it, after a prefix; once erased, as kind ``erased``."""
    header, body = record.header, record.body
    if body is None:
        return prefix + _masked(record, _ERASED, pack(record.user))
    return b"".join((prefix, _MAP_HEADS[header[0] + body[0]], header[1:], body[1:]))


def _frames_in_python(records: Sequence[Record], prefix: bytes) -> list[bytes]:
    """Give the events of records as their readers see them, each after the prefix."""
    return [event_map(record, prefix) for record in records]


def _frames_compiled(records: Sequence[Record], prefix: bytes) -> list[bytes]:
    assert native.records is not None
    frames: list[bytes] = native.records.frames(records, prefix, event_map)
    return frames


frames_of: Final[Callable[[Sequence[Record], bytes], list[bytes]]] = (
    _frames_in_python if native.records is None else _frames_compiled
)


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
