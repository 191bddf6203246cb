"""The compiled framing takes what Python takes, and leaves to it what is wrong."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from groupd import native
from groupd.config import Limits
from groupd.wire import rpc
from tests.wire.test_rpc import MESSAGES, encode

pytestmark = pytest.mark.skipif(not native.IS_COMPILED, reason="nothing is compiled here")

LIMITS = Limits()
FRAME_MAX = 2_000
"""Small, so that frames over the limit are made often."""


@contextmanager
def in_python() -> Iterator[None]:
    compiled = native.frames
    native.frames = None  # type: ignore[misc]
    try:
        yield
    finally:
        native.frames = compiled  # type: ignore[misc]


def read(pieces: Sequence[bytes]) -> list[Any]:
    """Give all that one can see of an unframer, piece by piece."""
    unframer = rpc.Unframer(rpc.FrameLimits.for_server(LIMITS))
    unframer.frame_max_bytes = FRAME_MAX
    seen: list[Any] = []
    for piece in pieces:
        messages = unframer.feed(piece)
        error = unframer.error
        seen.append([(type(message), tuple(message)) for message in messages])
        seen.append((unframer.pending_bytes, error and (error.code, error.message)))
        if error is not None:
            break
    return seen


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


def spoil(data: bytes, place: int, byte: int) -> bytes:
    place %= len(data) or 1
    return data[:place] + bytes([byte]) + data[place + 1 :]


STREAMS = st.lists(MESSAGES.map(encode), max_size=5).map(b"".join)
SPOILT = st.builds(spoil, STREAMS, st.integers(0), st.integers(0, 255))
CUTS = st.lists(st.integers(0, 10_000), max_size=4)


@given(STREAMS | SPOILT | st.binary(max_size=60), CUTS)
def test_any_bytes_in_any_pieces_read_the_same(data: bytes, places: list[int]) -> None:
    pieces = cut(data, places)
    compiled = read(pieces)
    with in_python():
        assert read(pieces) == compiled


def request(*params: Any, msgid: Any = 1, method: Any = "post") -> bytes:
    return bytes(msgpack.packb([0, msgid, method, list(params)]))


def nested(depth: int) -> bytes:
    return b"\x94\x00\x01\xa4post\x91\x81\xa1a" + b"\x91" * depth + b"\x01"


@pytest.mark.parametrize(
    "data",
    [
        request({}),
        request(),
        request({"a": -1, "b": -33, "c": -129, "d": -40_000, "e": -(2**40), "f": 2**63}),
        request({"a": 1.5, "b": None, "c": True, "d": "é" * 40, "e": "群" * 200}),
        request({str(number): number for number in range(20)}),
        nested(7),
        nested(8),
        nested(500),
        nested(2_000),
        request({"wide": [0] * 1_024}),
        request({"wide": [0] * 1_025}),
        request({"text": "x" * 1_950}),
        request({"text": "x" * 2_000}),
        request({"bytes": b"x"}),
        request({"ext": msgpack.ExtType(4, b"x")}),
        request({}, {}),
        request([]),
        request({}, msgid=-1),
        request({}, msgid=2**32),
        request({}, msgid=True),
        request({}, msgid="1"),
        request({}, method=5),
        b"\x94\x00\x01\xa4post\x91\x82\xa1a\x01\xa1a\x02",
        b"\x94\x00\x01\xa4post\x91\x81\xa1\xff\x01",
        b"\x94\x00\x01\xa4post\x91\x81\xa3\xed\xa0\x80\x01",
        b"\x94\x00\x01\xa4post\x91\x81\x05\x01",
        b"\x94\x00\x01\xa4post\x91\x81\xc0\x01",
        b"\x94\x00\x01\xa4post\x91\xca\x3f\xc0\x00\x00",
        b"\x94\x00\x01\xa4post\xdc\x00\x01\x80",
        b"\x94\xcc\x00\x01\xa4post\x91\x80",
        b"\x94\x00\x01\xa4post\x91\x81\xa1a\xdd\xff\xff\xff\xff",
        b"\x94\x00\x01\xa4post\x91\xdf\xff\xff\xff\xff",
        b"\x94\x00\x01\xa4post\x91\x81\xa1a\xdb\xff\xff\xff\xff",
        b"\xc1",
    ],
)
def test_what_is_unusual_reads_the_same(data: bytes) -> None:
    for pieces in ([data], [data, data], [request({}), data + request({})], cut(data, [5, 9])):
        compiled = read(pieces)
        with in_python():
            assert read(pieces) == compiled
