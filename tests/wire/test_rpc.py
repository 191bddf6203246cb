"""The framing: whatever the pieces, whatever the peer sends."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from groupd.config import Limits
from groupd.errors import LocalProtocolError
from groupd.wire.rpc import (
    ACCOUNT_EVENT_PREFIX,
    EVENT_PREFIX,
    MSGID_MAX,
    RESCAN_MAX_BYTES,
    FrameLimits,
    Message,
    Notification,
    Request,
    Response,
    Unframer,
    encode_error,
    encode_notification,
    encode_request,
    encode_response,
    response_prefix,
)

LIMITS = Limits()
PING = Request(7, "ping", {})
PING_BYTES = encode_request(7, "ping", {})
LONG = encode_request(8, "post", {"text": "x" * 60_000})
MANY = encode_request(9, "post", {"list": [[1] * 1_000 for _ in range(30)]})


def greeted() -> Unframer:
    """Make what a server reads with after ``hello``."""
    unframer = Unframer(FrameLimits.for_server(LIMITS))
    unframer.frame_max_bytes = LIMITS.frame_max_bytes
    return unframer


def encode(message: Message) -> bytes:
    match message:
        case Request():
            return encode_request(*message)
        case Response(msgid, None, dict() as result):
            return encode_response(msgid, result)
        case Response(msgid, dict() as error, None):
            return encode_error(msgid, error)
        case Notification():
            return encode_notification(*message)
    raise AssertionError(message)


def pieces(data: bytes, size: int) -> Iterator[bytes]:
    return (data[at : at + size] for at in range(0, len(data), size))


# --- strategies

INTEGERS = st.integers(-(2**53) + 1, 2**53 - 1)
SCALARS = st.none() | st.booleans() | INTEGERS | st.floats(allow_nan=False) | st.text()
LARGE = st.integers(0, 20_000).map(lambda size: "群" * size)
VALUES = st.recursive(
    SCALARS | LARGE,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)
MAPS = st.dictionaries(st.text(), VALUES, max_size=4)
MSGIDS = st.integers(0, MSGID_MAX)
MESSAGES: st.SearchStrategy[Message] = st.one_of(
    st.builds(Request, MSGIDS, st.text(), MAPS),
    st.builds(Response, MSGIDS, MAPS, st.none()),
    st.builds(Response, MSGIDS, st.none(), MAPS),
    st.builds(Notification, st.text(), MAPS),
)


# --- good streams


@given(st.lists(MESSAGES, max_size=6), st.data())
def test_any_pieces_of_a_stream_give_its_messages(messages: list[Message], data: Any) -> None:
    stream = b"".join(map(encode, messages))
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=8).map(sorted))
    unframer = Unframer(FrameLimits.for_client(LIMITS))
    got: list[Message] = []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        got += unframer.feed(stream[start:end])
    assert unframer.error is None
    assert got == messages
    assert not unframer.partial


@pytest.mark.parametrize("size", [1, 2, 3, 100, RESCAN_MAX_BYTES, RESCAN_MAX_BYTES + 1, 50_000])
def test_pieces_of_any_one_size_give_the_messages(size: int) -> None:
    stream = PING_BYTES + LONG + PING_BYTES + MANY + LONG + PING_BYTES
    unframer = greeted()
    got = [message for piece in pieces(stream, size) for message in unframer.feed(piece)]
    assert unframer.error is None
    assert [message[0] for message in got] == [7, 8, 7, 9, 8, 7]
    assert b"".join(map(encode, got)) == stream


def test_a_message_comes_as_soon_as_its_last_byte_is_there() -> None:
    unframer = greeted()
    for stream in (PING_BYTES, LONG, MANY):
        assert unframer.feed(stream[:-1]) == []
        assert (unframer.partial, unframer.pending_bytes) == (True, len(stream) - 1)
        assert [encode(message) for message in unframer.feed(stream[-1:])] == [stream]
        assert (unframer.partial, unframer.pending_bytes) == (False, 0)


def test_reading_nothing_changes_nothing() -> None:
    unframer = greeted()
    assert unframer.feed(b"") == []
    assert unframer.feed(PING_BYTES[:3]) == []
    assert unframer.feed(b"") == []
    assert unframer.feed(PING_BYTES[3:]) == [PING]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([0, 5, "ping", []], Request(5, "ping", {})),
        ([0, MSGID_MAX, "ping", [{}]], Request(MSGID_MAX, "ping", {})),
        ([2, "later", []], Notification("later", {})),
        ([0, 0, "", [{"a": {"b": [None]}}]], Request(0, "", {"a": {"b": [None]}})),
    ],
)
def test_params_are_one_map_or_nothing(value: Any, message: Message) -> None:
    assert greeted().feed(msgpack.packb(value)) == [message]


def test_numbers_in_wider_forms_than_needed_are_the_same_numbers() -> None:
    wide = b"\xdc\x00\x04" + b"\xd3" + bytes(8) + b"\xcf" + bytes(7) + b"\x07" + b"\xda\x00\x04ping"
    assert greeted().feed(wide + b"\x90") == [PING]


def test_a_client_takes_a_page_larger_than_a_server_takes_a_frame() -> None:
    events = [
        {"seq": seq, "text": "x" * 480, **{f"f{n}": n for n in range(70)}} for seq in range(500)
    ]
    page = encode_response(1, {"events": events * 3})
    assert len(page) > LIMITS.page_max_bytes
    assert Unframer(FrameLimits.for_client(LIMITS)).feed(page) == [
        Response(1, None, {"events": events * 3})
    ]


# --- what is not this protocol

NOT_THIS_PROTOCOL: dict[str, bytes] = {
    "a byte that no value begins with": b"\xc1",
    "a web browser": b"GET / HTTP/1.1\r\n\r\n",
    "a map": b"\x80",
    "nil": b"\xc0",
    "an empty array": b"\x90",
    "a kind that is unknown": msgpack.packb([3, 1, "ping", []]),
    "a kind below zero": msgpack.packb([-1, 1, "ping", []]),
    "false for the kind": msgpack.packb([False, 1, "ping", []]),
    "a float for the kind": msgpack.packb([0.0, 1, "ping", []]),
    "a request without params": msgpack.packb([0, 1, "ping"]),
    "a request with one part too many": msgpack.packb([0, 1, "ping", [], None]),
    "two params": msgpack.packb([0, 1, "ping", [{}, {}]]),
    "a param that is not a map": msgpack.packb([0, 1, "ping", [5]]),
    "params that are not in an array": msgpack.packb([0, 1, "ping", {}]),
    "a method that is not a string": msgpack.packb([0, 1, 5, []]),
    "a msgid below zero": msgpack.packb([0, -1, "ping", []]),
    "a msgid of 33 bits": msgpack.packb([0, 2**32, "ping", []]),
    "a msgid that is a string": msgpack.packb([0, "1", "ping", []]),
    "true for the msgid": msgpack.packb([0, True, "ping", []]),
    "a response with neither": msgpack.packb([1, 1, None, None]),
    "a response with both": msgpack.packb([1, 1, {}, {}]),
    "a result that is not a map": msgpack.packb([1, 1, None, 5]),
    "an error that is not a map": msgpack.packb([1, 1, "no", None]),
    "a response to no msgid": msgpack.packb([1, None, None, {}]),
    "a notification with a msgid": msgpack.packb([2, 1, "typing", []]),
    "a notification of a number": msgpack.packb([2, 1, []]),
    "a key twice": b"\x94\x00\x01\xa4ping\x91\x82\xa1a\x01\xa1a\x02",
    "a key twice, further in": b"\x94\x00\x01\xa4ping\x91\x81\xa1a\x82\xa1b\x01\xa1b\x02",
    "a key that is a number": msgpack.packb([0, 1, "ping", [{5: 5}]]),
    "a key that is nil": msgpack.packb([0, 1, "ping", [{None: 5}]]),
    "a key that is an array": b"\x94\x00\x01\xa4ping\x91\x81\x90\x01",
    "a key of bytes": msgpack.packb([0, 1, "ping", [{b"a": 5}]]),
    "a key of no bytes": msgpack.packb([0, 1, "ping", [{b"": 5}]]),
    "binary data": msgpack.packb([0, 1, "ping", [{"a": b"x"}]]),
    "an extension": msgpack.packb([0, 1, "ping", [{"a": msgpack.ExtType(5, b"x")}]]),
    "an empty extension": msgpack.packb([0, 1, "ping", [{"a": msgpack.ExtType(5, b"")}]]),
    "a timestamp": msgpack.packb([0, 1, "ping", [{"a": msgpack.Timestamp(5)}]]),
    "a string that is not UTF-8": b"\x94\x00\x01\xa4ping\x91\x81\xa1a\xa1\xff",
    "a lone surrogate": b"\x94\x00\x01\xa4ping\x91\x81\xa1a\xa3\xed\xa0\x80",
    "an array over the limit": msgpack.packb([0, 1, "ping", [{"a": [0] * 1_025}]]),
    "a map over the limit": msgpack.packb([0, 1, "ping", [{str(n): n for n in range(129)}]]),
    "arrays nested without end": b"\x91" * 1_025,
}


@pytest.mark.parametrize("size", [1, 7, 100_000])
@pytest.mark.parametrize("bad", NOT_THIS_PROTOCOL.values(), ids=NOT_THIS_PROTOCOL)
def test_what_is_not_this_protocol_ends_the_stream_after_its_good_messages(
    bad: bytes, size: int
) -> None:
    unframer = greeted()
    got: list[Message] = []
    for piece in pieces(PING_BYTES + PING_BYTES + bad, size):
        got += unframer.feed(piece)
        if unframer.error is not None:
            break
    assert got == [PING, PING]
    assert unframer.error is not None
    assert unframer.error.code == "bad_request"
    assert unframer.error.message
    assert not unframer.partial
    with pytest.raises(LocalProtocolError):
        unframer.feed(PING_BYTES)


@pytest.mark.parametrize("bad", NOT_THIS_PROTOCOL.values(), ids=NOT_THIS_PROTOCOL)
def test_what_one_peer_sends_does_not_disturb_the_reading_of_another(bad: bytes) -> None:
    shared = FrameLimits.for_server(LIMITS)
    Unframer(shared).feed(PING_BYTES + bad)
    assert Unframer(shared).feed(PING_BYTES + PING_BYTES) == [PING, PING]


@given(st.binary(max_size=200), st.integers(1, 50))
def test_no_bytes_raise_anything(data: bytes, size: int) -> None:
    unframer = greeted()
    for piece in pieces(data, size):
        unframer.feed(piece)
        if unframer.error is not None:
            assert unframer.error.code == "bad_request"
            break


@given(MESSAGES, st.data())
def test_no_damaged_message_raises_anything(message: Message, data: Any) -> None:
    stream = bytearray(encode(message))
    at = data.draw(st.integers(0, len(stream) - 1))
    stream[at] = data.draw(st.integers(0, 255))
    greeted().feed(bytes(stream))


# --- the limit of a frame


@pytest.mark.parametrize("size", [1, 1_000, 100_000])
@pytest.mark.parametrize("limit", [100, 5_000])
def test_a_frame_of_the_limit_is_taken_and_one_more_byte_is_too_large(
    limit: int, size: int
) -> None:
    text = "x" * (limit - 50)
    text += "x" * (limit - len(encode_notification("typing", {"text": text})))
    fits = encode_notification("typing", {"text": text})
    assert len(fits) == limit

    unframer = greeted()
    unframer.frame_max_bytes = limit
    stream = PING_BYTES + fits
    assert sum(len(unframer.feed(piece)) for piece in pieces(stream, size)) == 2
    assert unframer.error is None

    unframer.frame_max_bytes = limit - 1
    got: list[Message] = []
    for piece in pieces(stream, size):
        got += unframer.feed(piece)
        if unframer.error is not None:
            break
    assert got == [PING]
    assert unframer.error is not None
    assert unframer.error.code == "too_large"
    assert str(limit - 1) in unframer.error.message
    assert unframer.pending_bytes == 0


def test_half_a_frame_is_refused_once_it_is_too_large() -> None:
    unframer = greeted()
    assert unframer.feed(LONG[:-1]) == []
    assert unframer.error is None
    unframer.frame_max_bytes = 50_000
    unframer.feed(b"")
    assert unframer.error is not None
    assert unframer.error.code == "too_large"


def test_a_stranger_has_less_than_one_who_said_hello() -> None:
    unframer = Unframer(FrameLimits.for_server(LIMITS))
    hello = encode_request(1, "hello", {"token": "x" * 4_000})
    larger = encode_request(2, "post", {"text": "x" * 5_000})
    assert len(unframer.feed(hello)) == 1
    unframer.frame_max_bytes = LIMITS.frame_max_bytes
    assert len(unframer.feed(larger)) == 1
    assert unframer.error is None


# --- what a connection may cost


class CountingUnpacker(msgpack.Unpacker):
    """A scanner that tells how many bytes all of its kind were fed."""

    fed_bytes = 0

    def feed(self, data: bytes) -> None:  # type: ignore[override]
        type(self).fed_bytes += len(data)
        super().feed(data)


def test_skip_goes_on_where_it_ran_out_of_data() -> None:
    scanner = msgpack.Unpacker()
    scanner.feed(MANY[:20_000])
    with pytest.raises(msgpack.OutOfData):
        scanner.skip()
    assert scanner.tell() == 20_000
    scanner.feed(MANY[20_000:])
    scanner.skip()
    assert scanner.tell() == len(MANY)


@pytest.mark.parametrize("stream", [LONG, MANY], ids=["one string", "many numbers"])
def test_a_long_frame_that_trickles_in_is_scanned_once(
    stream: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CountingUnpacker, "fed_bytes", 0)
    monkeypatch.setattr(msgpack, "Unpacker", CountingUnpacker)
    unframer = greeted()
    for piece in pieces(stream[:10_000], 1):
        unframer.feed(piece)
    # The short half was scanned anew for each of its bytes: bounded, however long the frame is.
    assert CountingUnpacker.fed_bytes < (RESCAN_MAX_BYTES + 2) ** 2 // 2 + 10_000
    before = CountingUnpacker.fed_bytes
    for piece in pieces(stream[10_000:-1], 1):
        assert unframer.feed(piece) == []
    assert CountingUnpacker.fed_bytes - before == len(stream) - 1 - 10_000
    assert len(unframer.feed(stream[-1:])) == 1
    # And the last byte, and the whole frame once more where it is decoded.
    assert CountingUnpacker.fed_bytes - before == len(stream) - 10_000 + len(stream)


def grown_bytes(unframers: list[Unframer], *streams: bytes) -> float:
    """Feed each of them all the streams; tell how much memory each then holds."""
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for stream in streams:
            for unframer in unframers:
                unframer.feed(stream)
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return (after - before) / len(unframers)


def test_between_messages_a_connection_holds_nothing() -> None:
    shared = FrameLimits.for_client(LIMITS)
    unframers = [Unframer(shared) for _ in range(100)]
    halves = (PING_BYTES, PING_BYTES[:3], PING_BYTES[3:], LONG[:30_000], LONG[30_000:])
    # At most one spare scanner for them all is left.
    assert grown_bytes(unframers, *halves) < 2_000
    assert len(shared.spare) <= 1


def test_after_a_large_frame_nothing_as_large_is_held() -> None:
    page = encode_response(1, {"text": "x" * 2_000_000})
    assert grown_bytes([Unframer(FrameLimits.for_client(LIMITS))], *pieces(page, 8_192)) < 100_000


def test_half_a_message_of_a_stranger_holds_its_bytes_and_no_scanner() -> None:
    shared = FrameLimits.for_server(LIMITS)
    unframers = [Unframer(shared) for _ in range(100)]
    assert grown_bytes(unframers, LONG[:3_000], LONG[3_000:4_000]) < 4_100


def test_the_longest_half_message_holds_less_than_a_quarter_of_a_megabyte() -> None:
    assert grown_bytes([greeted()], *pieces(LONG[:-1], 1_000)) < 250_000
    assert grown_bytes([greeted()], LONG[:-1]) < 250_000


def test_after_an_error_a_connection_holds_nothing() -> None:
    unframers = [greeted() for _ in range(100)]
    assert grown_bytes(unframers, LONG[:-1] + b"\xff") < 4_000


BOMBS: dict[str, bytes] = {
    "nested heads of large arrays": b"\xdd\xff\xff\xff\xff" * 1_000,
    "nested heads of arrays at the limit": b"\xdc\x04\x00" * 1_023,
    "nested heads of maps": b"\xde\x00\x40\xa1a" * 1_023,
    "arrays nested as deep as the scanner goes": b"\x91" * 1_024,
    "a string of 4 GB": b"\xdb\xff\xff\xff\xff" + b"x" * 65_000,
    "binary data of 4 GB": b"\xc6\xff\xff\xff\xff" + b"x" * 65_000,
    "a map of 4 billion": b"\xdf\xff\xff\xff\xff" + b"\xa1a\xc0" * 20_000,
    "an array of 4 billion": b"\xdd\xff\xff\xff\xff" + b"\x01" * 65_000,
    "empty maps of 3.9 MB": b"\xdd\x00\x3b\x82\x60" + b"\x80" * 3_900_000,
}


@pytest.mark.parametrize("size", [1_000, 65_536])
@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS)
def test_a_bomb_takes_less_than_half_a_megabyte_at_any_moment(bomb: bytes, size: int) -> None:
    unframer = greeted()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for piece in pieces(bomb, size):
            assert unframer.feed(piece) == []
            if unframer.error is not None:
                break
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert unframer.partial or unframer.error is not None
    assert peak - before < 500_000


# --- encoding


def test_an_encoded_result_may_follow_its_prefix() -> None:
    for msgid in (0, 127, 128, 65_535, MSGID_MAX):
        result = {"seq": 5}
        spliced = response_prefix(msgid) + msgpack.packb(result)
        assert spliced == encode_response(msgid, result)


def test_an_encoded_event_may_follow_its_prefix() -> None:
    event = {"group": "g", "seq": 1}
    spliced = EVENT_PREFIX + msgpack.packb(event)
    assert spliced == encode_notification("event", event)
    spliced = ACCOUNT_EVENT_PREFIX + msgpack.packb(event)
    assert spliced == encode_notification("account_event", event)


def test_what_could_not_be_encoded_leaves_nothing_behind() -> None:
    with pytest.raises(TypeError):
        encode_response(1, {"a": "x" * 1_000, "b": object()})
    assert encode_request(*PING) == PING_BYTES == msgpack.packb([0, 7, "ping", [{}]])


def test_a_foreign_notification_with_any_params_is_no_breach() -> None:
    unframer = Unframer(FrameLimits.for_server(Limits()))
    frame = msgpack.packb([2, "nvim_error_event", [0, "no such method", {"a": 1}]])
    assert unframer.feed(frame) == [Notification("nvim_error_event", {})]
    assert unframer.error is None
