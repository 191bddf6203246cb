"""How the load speaks groupd's protocol. Pure: messages in, bytes out, and back.

Posts are cut out of a mould: all of one poster's are equal but for a msgid, a text and an id, so
making one is a few joins. All their texts have the same length, and begin with the post's number
and the time at which it was sent.
"""

from __future__ import annotations

from typing import Any, Final

import msgpack

from groupd.client.ids import uuid7
from groupd.wire import rpc

TEXT_BYTES: Final = 100
RESPONSE_HEAD: Final = 0x94
"""The first byte of an answer; a push begins with another one."""
TAIL_BITS: Final = 74

_NUMBER: Final = slice(0, 10)
_SENT_NS: Final = slice(11, 31)
_FILLING: Final = " the quick brown fox jumps over the lazy dog, and then once more".ljust(
    TEXT_BYTES - _SENT_NS.stop, "."
)[: TEXT_BYTES - _SENT_NS.stop].encode()


def hello(token: str) -> bytes:
    """Encode the first request."""
    return rpc.encode_request(0, "hello", {"token": token, "client": "bench"})


def create(users: list[str]) -> bytes:
    """Encode the founding of a group, with its members beside the founder."""
    return rpc.encode_request(1, "create", {"name": "bench", "members": users})


def text_of(number: int, sent_ns: int) -> bytes:
    """Write the text of a post."""
    return b"%010d %020d%b" % (number, sent_ns, _FILLING)


def read_text(text: str) -> tuple[int, int]:
    """Give a post's number and the time at which it was sent."""
    return int(text[_NUMBER]), int(text[_SENT_NS])


class PostMould:
    """Makes the posts of one poster. A post's number is its msgid."""

    def __init__(self, group: str, *, with_ids: bool) -> None:
        pack = msgpack.packb
        fields = pack("group") + pack(group) + pack("text") + b"\xd9%c" % TEXT_BYTES
        self._before_text = pack("post") + b"\x91" + (b"\x83" if with_ids else b"\x82") + fields
        self._before_id = pack("id") + b"\xd9\x24" if with_ids else b""

    def make(self, number: int, sent_ns: int, *, now_ms: int) -> bytes:
        """Encode one post. Its id is of this millisecond, and as unique as its number."""
        post = b"\x94\x00\xce%b%b%b%b" % (
            number.to_bytes(4, "big"),
            self._before_text,
            text_of(number, sent_ns),
            self._before_id,
        )
        if not self._before_id:
            return post
        return post + uuid7(now_ms, number & ((1 << TAIL_BITS) - 1)).encode()


def read_answer(frame: bytes) -> tuple[int, dict[str, Any]]:
    """Give the msgid and the result of an answer; raises ValueError where it is an error."""
    _kind, msgid, error, result = msgpack.unpackb(frame)
    if error is not None:
        raise ValueError(f"request {msgid} was refused: {error}")
    return msgid, result


def read_event(message: Any) -> tuple[int, str]:
    """Give the seq and the text of a decoded push; raises ValueError where it is no post."""
    match message:
        case [2, "event", [{"kind": "posted", "seq": int() as seq, "text": str() as text}]]:
            return seq, text
    raise ValueError(f"expected a post, got {message!r:.200}")
