"""How the load speaks groupd's protocol. Pure: messages in, bytes out, and back.

Posts are cut out of a mould: all of one poster's are equal but for a msgid, a text and an id, so
making one is a few joins.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgpack

from bench.text import TEXT_BYTES, text_of
from groupd.client.ids import uuid7
from groupd.wire import rpc

RESPONSE_HEAD: Final = 0x94
"""The first byte of an answer; a push begins with another one."""
TAIL_BITS: Final = 74


def hello(token: str, *, events: bool = True) -> bytes:
    """Encode the first request, for a connection with or without pushes."""
    return rpc.encode_request(0, "hello", {"token": token, "client": "bench", "events": events})


def create(users: Sequence[str]) -> bytes:
    """Encode the founding of a group, with its members beside the founder."""
    return rpc.encode_request(1, "create", {"name": "bench", "members": users})


def join(group: str) -> bytes:
    """Encode the joining of a group."""
    return rpc.encode_request(2, "join", {"group": group})


def sync(cursors: Mapping[str, int]) -> bytes:
    """Encode the question for what came after each group's seq."""
    return rpc.encode_request(3, "sync", {"cursors": cursors})


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
