"""WebSocket: a link in whose messages a browser sends and receives what others do over TCP.

Placement rules:
- ``websockets`` is the protocol (RFC 6455), without its I/O, and nothing else imports it. How the
  connection began, in HTTP, is ``http.py``'s.
- No exception of its leaves this module.
- What is in the messages is not known here. Each carries whole RPC messages, one or more, because
  whoever sends hands over whole ones.

Towards a client nothing is masked, so a message is the same bytes for all who read a group: it is
made once and kept until the next is made (``Framing``). There is no compression, which would have
to be done for each, with memory of its own for each.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from types import MappingProxyType
from typing import Final

import attrs
from websockets.datastructures import Headers
from websockets.frames import CloseCode, Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import OPEN
from websockets.server import ServerProtocol
from websockets.typing import BytesLike, Origin, Subprotocol

from groupd import native
from groupd.server.layer import LayeredLink
from groupd.server.link import Link, LinkBroken

SUBPROTOCOL: Final = "groupd"
"""What a client may offer, and is told then."""
PATH: Final = "/ws"
MESSAGE_MAX_BYTES: Final = 1 << 40
"""Of what is sent: no bound, since who sends has one; a message is never cut in two."""

CLOSE_CODES: Final[Mapping[str, CloseCode]] = MappingProxyType(
    {
        "bad_request": CloseCode.INVALID_DATA,
        "too_large": CloseCode.MESSAGE_TOO_BIG,
        "unauthenticated": CloseCode.POLICY_VIOLATION,
        "rate_limited": CloseCode.POLICY_VIOLATION,
        "internal": CloseCode.INTERNAL_ERROR,
    }
)
"""Code of a goodbye -> how WebSocket says it (RFC 6455, section 7.4.1); any other: a going away."""

_FRAME_BINARY: Final = 0x82
"""The first byte of a message of one frame that holds bytes. RFC 6455, section 5.2."""
_DATA: Final = frozenset({Opcode.BINARY, Opcode.CONT})
# It would tell of each connection's end, and of each frame in a program that debugs.
_SILENT: Final = logging.Logger("groupd.websocket", logging.CRITICAL + 1)


@attrs.frozen
class Upgrade:
    """What is answered to a request for WebSocket."""

    status: int
    """101 where it is agreed to."""
    headers: Mapping[str, str]
    body: bytes
    protocol: ServerProtocol | None
    """For ``WebSocketLink``, where it is agreed to."""


def upgrade(
    method: str,
    target: str,
    headers: Mapping[str, str],
    *,
    origins: Sequence[str] | None,
    frame_max_bytes: int,
) -> Upgrade:
    """Answer a request for WebSocket.

    ``headers`` have names in lower case. With ``origins`` only pages of these may ask, and programs
    that are no browser; without, everybody may. A frame of the client's holds ``frame_max_bytes``.
    """
    protocol = ServerProtocol(
        origins=None if origins is None else [*map(Origin, origins), None],
        subprotocols=[Subprotocol(SUBPROTOCOL)],
        # A client that offers another protocol, or none, is served as well.
        select_subprotocol=lambda _self, offered: (
            Subprotocol(SUBPROTOCOL) if SUBPROTOCOL in offered else None
        ),
        state=OPEN,
        max_size=(None, frame_max_bytes),
        logger=_SILENT,
    )
    asked = Request(target, Headers(headers), method)
    response = protocol.accept(asked)
    answered = {name.lower(): value for name, value in response.headers.raw_items()}
    is_agreed = response.status_code == 101
    return Upgrade(
        response.status_code, answered, bytes(response.body), protocol if is_agreed else None
    )


class Framing:
    """Makes messages, and the same bytes of the last one for all who are sent the same."""

    __slots__ = ("_data", "_message")

    def __init__(self) -> None:
        self._data: bytes | memoryview | None = None
        self._message = b""

    def message(self, data: bytes | memoryview) -> bytes:
        """Put bytes into a message."""
        if data is not self._data:
            self._message = b"".join((_header(len(data)), data))
            self._data = data
        return self._message


def _header(size: int) -> bytes:
    """Give what goes before the bytes of a message that is not masked."""
    if size < 126:
        return bytes((_FRAME_BINARY, size))
    if size < 1 << 16:
        return bytes((_FRAME_BINARY, 126)) + size.to_bytes(2)
    return bytes((_FRAME_BINARY, 127)) + size.to_bytes(8)


class WebSocketLink(LayeredLink):
    """A link in the messages of WebSocket. ``protocol`` is of ``upgrade``; ``framing`` is shared.

    ``early`` is what has come right after the request. A ping is answered with a pong, a text with
    the close code 1003, a frame that is too large with 1009, what is no frame with 1002.
    """

    __slots__ = (
        "_framing",
        "_head",
        "_is_asked",
        "_is_plain",
        "_is_silent",
        "_owed_bytes",
        "_protocol",
        "is_over",
    )

    piece_bytes = MESSAGE_MAX_BYTES
    talks_too_much = "the peer pings more than it reads"

    def __init__(
        self, below: Link, protocol: ServerProtocol, framing: Framing, early: bytes = b""
    ) -> None:
        super().__init__(below)
        self._protocol = protocol
        self._framing = framing
        self._is_silent = self._is_asked = False
        # Whether messages in one frame each are read past the protocol; then the beginning of a
        # frame's head, and how much the protocol still gets of a frame whose beginning it has.
        self._is_plain = native.frames is not None and protocol.max_fragment_size is not None
        self._head, self._owed_bytes = b"", 0
        self.is_over = False
        """Whether it is closed."""
        if early:
            self._unread = self._unwrap(early)

    @property
    def send(self) -> Callable[[bytes], int]:
        """Give ``try_send``, or what does the same without Python. See ``Link``."""
        below, fanout = self._below.send, native.fanout
        if fanout is None or type(below) is not fanout.Sender:
            return self.try_send
        sender: Callable[[bytes], int] = fanout.MessageSender(below, self)
        return sender

    def wrap(self, data: bytes | memoryview) -> bytes:
        """Put some bytes into a message."""
        return self._framing.message(data)

    def _unwrap(self, data: bytes) -> bytes | None:
        """Give what the frames hold that have come whole."""
        protocol, parts = self._protocol, list[BytesLike]()
        self._is_silent = self._is_asked = False
        is_end = not data
        data, self._head = self._head + data, b""
        # A protocol that has failed reads nothing more; then nothing is read past it either.
        if self._is_plain and not is_end and not protocol.eof_sent:
            data = self._read_past(protocol, data, parts)
            if not data:
                return b"".join(parts) or None
        if data:
            protocol.receive_data(data)
        if is_end:
            protocol.receive_eof()
        for frame in protocol.events_received():
            assert isinstance(frame, Frame)
            if frame.opcode in _DATA:
                parts.append(frame.data)
            elif frame.opcode is Opcode.TEXT:
                protocol.fail(CloseCode.UNSUPPORTED_DATA, "expected MessagePack in binary messages")
                break
        self._reply()
        # A message may be empty; nothing is the end alone.
        return b"".join(parts) or (b"" if self._has_ended else None)

    def _read_past(self, protocol: ServerProtocol, data: bytes, parts: list[BytesLike]) -> bytes:
        """Take the messages at the beginning; give what is for the protocol to read.

        That takes several times as long. It gets all from the first other frame on, and to the end
        of the last one, so that it is never left in the middle of what is read here. The beginning
        of a head is kept from it: what is wrong with it is noticed when it is whole.
        """
        assert native.frames is not None
        owed, size_max = self._owed_bytes, protocol.max_fragment_size
        if owed > len(data):
            self._owed_bytes -= len(data)
            return data
        start = owed or native.frames.take_messages(data, parts, size_max=size_max)
        end, self._owed_bytes = native.frames.survey(data, start)
        if end < 0:
            # A message in several frames: its client may go on like that.
            self._is_plain, end = False, len(data)
        self._head = data[end:]
        return data[:end] if owed else data[start:end]

    @property
    def has_half(self) -> bool:
        """Say whether half a frame has come. See ``Link``.

        Of a whole head alone the protocol keeps nothing, and so it is not noticed.
        """
        return bool(self._protocol.reader.buffer) or bool(self._head) or self._below.has_half

    def ask(self) -> None:
        """Ask the peer whether it is there, if nothing has come since this was called before.

        Called again without an answer, it ends the link: whoever reads it hears of that.
        """
        if self._has_said_end or self._broken or self._protocol.state is not OPEN:
            return
        if self._is_asked:
            self._break("the peer does not answer a ping")
            self._on_readable()
        elif self._is_silent:
            self._is_asked = True
            self._protocol.send_ping(b"")
            with suppress(LinkBroken):  # Whoever reads hears of it.
                self._reply()
        self._is_silent = True

    async def aclose(self) -> None:
        """Close this link and the one below. See ``Link``."""
        self.is_over = True
        await super().aclose()

    def _reply(self) -> None:
        """Send what the protocol has to say: a pong, or its end."""
        for data in self._protocol.data_to_send():
            if not data:
                self._has_ended = True
                continue
            try:
                self._say(data)
            except LinkBroken:
                # Who has said the end, and is gone, need not hear ours.
                if self._broken or self._protocol.close_rcvd is None:
                    raise
        if self._protocol.close_sent is not None:
            self._has_said_end = True
            self._settle()

    def _farewell(self, code: str) -> bytes:
        """Give the frame that closes."""
        if self._protocol.state is not OPEN:
            return b""  # The other side has gone without a word.
        self._protocol.send_close(CLOSE_CODES.get(code, CloseCode.GOING_AWAY))
        return b"".join(self._protocol.data_to_send())
