"""The framing of MessagePack-RPC: bytes from a peer to messages, and messages to bytes.

Placement rules:
- What a byte stream must look like is decided here, and nothing else: which methods exist and
  what their params mean belongs to ``domain``, when to say goodbye to the session.
- No I/O, clock or task. A session feeds what it has read and sends what it gets.
- All that a peer can do wrong ends as one ``RemoteProtocolError``; msgpack's own exceptions do
  not leave this module.

Theory of operation. A message is self-delimiting, but ``msgpack.Unpacker`` must not be trusted to
find its end by decoding: 5 kB of nested array heads make it reserve 46 MB. So the end is looked
for first with ``Unpacker.skip()``, which builds nothing, and only a whole frame within the limit
is decoded. A frame of n bytes then costs at most 75 n bytes (all empty maps), and only for as long
as somebody keeps its message.

``skip()`` goes on where it ran out of data, so a frame that trickles in is scanned once. But an
Unpacker holds 41 kB, and connections are many. Hence three states:

    idle        between messages        holds nothing; scans with a spare shared by all connections
    short half  up to RESCAN_MAX_BYTES  holds those bytes, and scans them again on the next read
    long half   more than that          holds the bytes and a scanner of its own

A scanner only ever skips, and the limits on arrays, maps and extensions are no use to it: skipping
does not look at them. They belong to the decoder, which sees only whole frames.

Numbers are not looked at here: that an integer is below 2^53 or a float finite is for the field
that takes it to say, and a field that nobody reads harms nobody.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple, NoReturn, TypeAlias

import attrs
import msgpack

from groupd import native
from groupd.config import Limits
from groupd.errors import LocalProtocolError, RemoteProtocolError

MSGID_MAX: Final = 2**32 - 1

RESCAN_MAX_BYTES: Final = 4_096
"""A half frame up to this size is scanned again on each read rather than given a scanner.

That takes 15 us at most, about what the read itself costs. By default it is also the largest
frame before ``hello``, so strangers cannot make a server hold scanners.
"""
CLIENT_FRAME_PAGES: Final = 16
"""How many full pages one answer may be as large as, for a client to take it."""


class Request(NamedTuple):
    """A call that wants an answer."""

    msgid: int
    method: str
    params: dict[str, Any]


class Response(NamedTuple):
    """The answer to a call: exactly one of ``error`` and ``result`` is a map, the other None."""

    msgid: int
    error: dict[str, Any] | None
    result: dict[str, Any] | None


class Notification(NamedTuple):
    """A message that wants no answer."""

    method: str
    params: dict[str, Any]


Message: TypeAlias = Request | Response | Notification


# --- bytes to messages


def _refuse_ext(code: int, data: bytes) -> NoReturn:
    raise ValueError("extension types are not allowed")


def _map_of(pairs: list[tuple[Any, Any]]) -> dict[Any, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a map has a key twice")
    # Binary values are limited to no bytes at all, so this is the only key that is not a string.
    if b"" in made:
        raise ValueError("a map key is not a string")
    return made


def _is_msgid(value: Any) -> bool:
    return type(value) is int and 0 <= value <= MSGID_MAX


def _message_of(value: Any) -> Message:
    """Give the message that a decoded frame is; ValueError when it is none."""
    # Nearly all that a server reads is this, and a pattern takes twice as long to see it.
    if type(value) is list and len(value) == 4 and value[0] == 0 and type(value[0]) is int:
        _kind, msgid, method, params = value
        if type(method) is str and type(params) is list and _is_msgid(msgid):
            # Made as plain tuples are: in half the time of named ones.
            if not params:
                return tuple.__new__(Request, (msgid, method, {}))
            if len(params) == 1 and type(params[0]) is dict:
                return tuple.__new__(Request, (msgid, method, params[0]))
    # A pattern would take False for 0.
    elif type(value) is list and value and type(value[0]) is int:
        match value:
            case [1, msgid, None, dict() as result] if _is_msgid(msgid):
                return Response(msgid, None, result)
            case [1, msgid, dict() as error, None] if _is_msgid(msgid):
                return Response(msgid, error, None)
            case [2, str() as method, [dict() as params]]:
                return Notification(method, params)
            case [2, str() as method, list()]:
                # Foreign MessagePack-RPC clients have notifications of their own, with any
                # params (Neovim complains of each push with two); they are nobody's here.
                return Notification(method, {})
    raise ValueError(
        "expected [0, msgid, method, [params]], [1, msgid, error, result] or [2, method, [params]]"
    )


_NOT_THIS_PROTOCOL: Final = (ValueError, TypeError, OverflowError, RecursionError)
"""What msgpack raises for bytes that it, or a limit of ours, does not take."""


def _decoder(array_max: int, map_max: int) -> Callable[[bytes | bytearray], Any]:
    """Make what gives the value of a whole frame.

    It keeps an Unpacker for the next frame: ``unpackb`` makes one for each, a fifth of its time for
    a post. One that has failed, or whose buffer may have grown, is not kept.
    """
    kept: msgpack.Unpacker | None = None

    def decode(frame: bytes | bytearray) -> Any:
        nonlocal kept
        unpacker = kept or msgpack.Unpacker(
            read_size=RESCAN_MAX_BYTES,
            object_pairs_hook=_map_of,
            ext_hook=_refuse_ext,
            strict_map_key=True,
            max_array_len=array_max,
            max_map_len=map_max,
            max_bin_len=0,
            max_ext_len=0,
        )
        kept = None
        unpacker.feed(frame)
        value = unpacker.unpack()
        if len(frame) <= RESCAN_MAX_BYTES:
            kept = unpacker
        return value

    return decode


@attrs.frozen(eq=False)
class FrameLimits:
    """What one side accepts from its peers. Make one and share it among the connections.

    It also holds what they have in common: the decoder and a spare scanner. So connections of
    different threads need one each.
    """

    frame_max_bytes: int
    """Where an ``Unframer`` starts; its own may change later."""
    array_max: int
    map_max: int
    decode: Callable[[bytes | bytearray], Any] = attrs.field(init=False, repr=False)
    spare: list[msgpack.Unpacker] = attrs.field(init=False, factory=list, repr=False)
    """No scanner or one, always at the end of all it was fed."""

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "decode", _decoder(self.array_max, self.map_max))

    @classmethod
    def for_server(cls, limits: Limits) -> FrameLimits:
        """Give what a server takes from a stranger; after ``hello`` the frames may be larger."""
        return cls(limits.frame_before_hello_max_bytes, limits.array_max, limits.map_max)

    @classmethod
    def for_client(cls, limits: Limits) -> FrameLimits:
        """Give what a client takes from its server: pages, of any shape."""
        frame_max = limits.page_max_bytes * CLIENT_FRAME_PAGES
        return cls(frame_max, array_max=frame_max, map_max=frame_max)


@attrs.define(eq=False)
class Unframer:
    """Cuts the byte stream of one peer into messages.

    After each ``feed`` handle the messages, then look at ``error``: once it is set the stream is
    out of step for good, nothing may be fed any more, and the peer is owed a goodbye.
    """

    _limits: FrameLimits
    frame_max_bytes: int = attrs.field(init=False)
    """The largest frame accepted. May be set at any time; holds from the next ``feed`` on."""
    error: RemoteProtocolError | None = attrs.field(init=False, default=None)
    """What the peer did wrong, after all the messages that came before it."""
    _pending: bytes | bytearray = attrs.field(init=False, default=b"")
    _scanner: msgpack.Unpacker | None = attrs.field(init=False, default=None)
    _scanner_base: int = attrs.field(init=False, default=0)
    """Where in the scanner's stream ``_pending`` begins; means nothing without a scanner."""

    def __attrs_post_init__(self) -> None:
        self.frame_max_bytes = self._limits.frame_max_bytes

    @property
    def pending_bytes(self) -> int:
        """How much of an unfinished message is held."""
        return len(self._pending)

    @property
    def partial(self) -> bool:
        """Whether the peer owes the rest of a message, so that its deadline runs."""
        return bool(self._pending)

    def feed(self, data: bytes) -> list[Message]:
        """Take what was read, in pieces of any size; give the messages that it completes.

        What the peer did wrong is not raised but set as ``error``, because the messages before
        it still count.

        Raises:
            LocalProtocolError: there was an error before; this stream cannot be read any further.

        """
        if self.error is not None:
            raise LocalProtocolError("this stream is out of step and cannot be read any further")
        messages: list[Message] = []
        try:
            self._cut(data, messages)
        except RemoteProtocolError as error:
            # A copy, since the traceback would keep the bytes in memory.
            self.error = RemoteProtocolError(error.code, error.message)
            self._pending, self._scanner = b"", None
        return messages

    def _cut(self, data: bytes, messages: list[Message]) -> None:
        limits, buffer = self._limits, self._pending
        buffer += data
        if native.frames is not None and type(buffer) is bytes:
            # Nearly always this is all of it; what it stops at is looked at below.
            end = native.frames.take_requests(
                buffer,
                messages,
                Request,
                frame_max=self.frame_max_bytes,
                array_max=limits.array_max,
                map_max=limits.map_max,
            )
            buffer = data = buffer[end:]
            if not buffer:
                self._pending = b""
                return
        spare, scanner = limits.spare, self._scanner
        if scanner is None:
            scanner = spare.pop() if spare else msgpack.Unpacker(read_size=RESCAN_MAX_BYTES)
            base = scanner.tell()
            scanner.feed(buffer)
        else:
            base = self._scanner_base
            scanner.feed(data)

        start, size, decode = 0, len(buffer), limits.decode
        try:
            while start < size:
                scanner.skip()
                end = scanner.tell() - base
                if end - start > self.frame_max_bytes:
                    break
                messages.append(_message_of(decode(buffer[start:end])))
                start = end
        except msgpack.OutOfData:
            pass
        except _NOT_THIS_PROTOCOL as error:
            reason = str(error) or type(error).__name__
            raise RemoteProtocolError("bad_request", f"not this protocol: {reason}") from error

        rest = size - start
        if rest > self.frame_max_bytes:
            raise RemoteProtocolError(
                "too_large", f"expected messages of at most {self.frame_max_bytes} bytes"
            )
        if rest <= RESCAN_MAX_BYTES:
            if not rest and self._scanner is None:
                spare.append(scanner)
            self._pending, self._scanner = bytes(buffer[start:]), None
        else:
            held = buffer if isinstance(buffer, bytearray) else bytearray(buffer)
            del held[:start]
            self._pending, self._scanner, self._scanner_base = held, scanner, base + start


# --- messages to bytes. One Packer serves all: it gives its buffer back empty, also after errors.

_pack: Final[Callable[[Any], bytes]] = msgpack.Packer().pack


def encode_request(msgid: int, method: str, params: Mapping[str, Any]) -> bytes:
    """Give the bytes of a request."""
    return _pack((0, msgid, method, (params,)))


def encode_response(msgid: int, result: Mapping[str, Any]) -> bytes:
    """Give the bytes of the answer to a request that succeeded."""
    return _pack((1, msgid, None, result))


def encode_error(msgid: int, error: Mapping[str, Any]) -> bytes:
    """Give the bytes of the answer to a request that failed."""
    return _pack((1, msgid, error, None))


def encode_notification(method: str, params: Mapping[str, Any]) -> bytes:
    """Give the bytes of a notification."""
    return _pack((2, method, (params,)))


def response_prefix(msgid: int) -> bytes:
    """Give what comes before a result that is encoded already: ``[1, msgid, nil,``."""
    return b"\x94\x01%b\xc0" % _pack(msgid)


def notification_prefix(method: str) -> bytes:
    """Give what comes before a params map that is encoded already: ``[2, method, [``."""
    return b"\x93\x02%b\x91" % _pack(method)


EVENT_PREFIX: Final = notification_prefix("event")
ACCOUNT_EVENT_PREFIX: Final = notification_prefix("account_event")
