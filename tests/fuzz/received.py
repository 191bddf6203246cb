"""Targets that take what a peer has sent: frames, messages, parameters."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from random import Random
from typing import Any, Final

import msgpack

from groupd import native
from groupd.config import Limits
from groupd.domain.base import Identity
from groupd.domain.fields import request_id_ms
from groupd.errors import CODES, LocalProtocolError, Rejected
from groupd.server.methods import Call, understand
from groupd.wire import codec, rpc
from tests.fuzz.corpus import METHODS, VALUES, message_of
from tests.fuzz.mutate import STRANGE, change, encode, malform
from tests.fuzz.target import Target, check_refusal, text_of

LIMITS: Final = Limits()
PIECES_MAX: Final = 64
"""Pieces that a stream is cut into."""


# --- frames: the compiled and the Python reader say the same, however the stream is cut


def make_stream(random: Random) -> bytes:
    """Make a few messages; the first byte says how to cut them."""
    parts = [bytes((random.randrange(256),))]
    for _ in range(random.randint(1, 3)):
        message: Any = message_of(random, random.choice(METHODS))
        kind = random.randrange(12)
        if kind == 0:
            message = [2, "event", [{"seq": 1}]]
        elif kind == 1:
            message = [1, 7, None, {"seq": 1}]
        elif kind == 2:
            message[random.randrange(4)] = random.choice(STRANGE)
        parts.append(encode(message) if random.random() < 0.3 else malform(random, message, VALUES))
    return b"".join(parts)


def run_frames(data: bytes) -> None:
    selector, stream = (data[0], data[1:]) if data else (0, b"")
    frame_max = LIMITS.frame_max_bytes if selector & 1 else LIMITS.frame_before_hello_max_bytes
    whole = _read([stream], frame_max)
    pieces = _cut(stream, selector >> 1)
    in_pieces = _read(pieces, frame_max)
    # Where the error shows may depend on the cut, but neither that there is one nor what was said
    # before it.
    assert _messages(whole) == _messages(in_pieces), "a cut changes the messages"
    assert (whole[-1][-1] is None) is (in_pieces[-1][-1] is None), "a cut changes the verdict"
    _check_contract(stream, len(_messages(whole)))
    compiled, native.frames = native.frames, None
    try:
        assert _read([stream], frame_max) == whole, "the two readers differ"
        assert _read(pieces, frame_max) == in_pieces, "the two readers differ on pieces"
    finally:
        native.frames = compiled


def _cut(stream: bytes, step: int) -> Sequence[bytes]:
    if not step or not stream:
        return [stream]
    step = max(step, len(stream) // PIECES_MAX + 1)
    return [stream[start : start + step] for start in range(0, len(stream), step)]


@cache
def _frame_limits() -> rpc.FrameLimits:
    return rpc.FrameLimits.for_server(LIMITS)


def _read(pieces: Sequence[bytes], frame_max: int) -> list[tuple[list[str], int, Any]]:
    """Give all that one can see of an unframer, piece by piece."""
    unframer = rpc.Unframer(_frame_limits())
    unframer.frame_max_bytes = frame_max
    seen: list[tuple[list[str], int, Any]] = []
    for piece in pieces:
        messages = [text_of(message) for message in unframer.feed(piece)]
        error = unframer.error
        assert unframer.pending_bytes <= frame_max, "more is held than one frame"
        assert unframer.partial is (unframer.pending_bytes > 0)
        seen.append((messages, unframer.pending_bytes, error and (error.code, error.message)))
        if error is not None:
            assert error.code in ("bad_request", "too_large")
            assert not unframer.pending_bytes
            try:
                unframer.feed(b"\xc0")
            except LocalProtocolError:
                break
            raise AssertionError("a stream that is out of step was read further")
    return seen


class _Pairs(list[tuple[Any, Any]]):
    """A map as it stands in the bytes."""


def _check_contract(stream: bytes, count: int) -> None:
    """Read the messages that were taken once more, with no limits, and hold them to the limits."""
    unpacker = msgpack.Unpacker(object_pairs_hook=_Pairs, strict_map_key=False, max_buffer_size=0)
    unpacker.feed(stream)
    waiting = [unpacker.unpack() for _ in range(count)]
    for message in waiting:
        assert type(message[0]) is int, "it begins with no integer"
        assert len(message) == (4, 4, 3)[message[0]], "it has not its length"
        if message[0] < 2:
            assert type(message[1]) is int, "its msgid is no integer"
            assert 0 <= message[1] < 2**32, "its msgid is out of range"
        if message[0] != 1:
            assert type(message[-2]) is str, "its method is no string"
            assert type(message[-1]) is list, "its params are no list"
    while waiting:
        value = waiting.pop()
        if isinstance(value, _Pairs):
            keys = [key for key, _item in value]
            assert all(type(key) is str for key in keys), "a key that is not a string was taken"
            assert len(set(keys)) == len(keys) <= LIMITS.map_max, "a key was taken twice"
            waiting += [item for _key, item in value]
        elif isinstance(value, list):
            assert len(value) <= LIMITS.array_max, "a list over the limit was taken"
            waiting += value
        else:
            assert not value or type(value) in (bool, int, float, str), "no such type is allowed"


def _messages(seen: list[tuple[list[str], int, Any]]) -> list[str]:
    return [message for messages, _pending, _error in seen for message in messages]


# --- messages: what a client reads, and what is sent again reads the same


def make_answers(random: Random) -> bytes:
    """Make what a server may send: responses, errors, notifications."""
    error = {"code": random.choice(list(CODES)), "message": "x", "reason": "role", "limit": 5}
    message: Any = random.choice(
        (
            [1, random.randrange(2**32), None, {"seq": 5, "events": [{"seq": 5, "text": "é"}]}],
            [1, random.randrange(2**32), error, None],
            [2, "event", [{"group": "x", "seq": 5, "kind": "posted"}]],
            [2, "goodbye", [error]],
            [0, 1, "post", [{"text": "x"}]],
        )
    )
    return malform(random, message, VALUES)


@cache
def _client_limits() -> rpc.FrameLimits:
    return rpc.FrameLimits.for_client(LIMITS)


def run_messages(data: bytes) -> None:
    unframer = rpc.Unframer(_client_limits())
    for message in unframer.feed(data):
        if isinstance(message, rpc.Response) and message.error is not None:
            refusal = Rejected.from_wire(message.error)
            assert refusal.code in CODES
            refusal.to_wire()
        again = _sent_again(message)
        if again is not None:
            second = rpc.Unframer(_client_limits()).feed(again)
            assert text_of(second) == text_of([message]), "sent again it reads otherwise"
    assert unframer.error is None or unframer.error.code in CODES


def _sent_again(message: rpc.Message) -> bytes | None:
    """Encode a message that was read; None where it is nested deeper than msgpack writes."""
    try:
        match message:
            case rpc.Request(msgid, method, params):
                return rpc.encode_request(msgid, method, params)
            case rpc.Notification(method, params):
                return rpc.encode_notification(method, params)
            case rpc.Response(msgid, None, dict() as result):
                return rpc.encode_response(msgid, result)
            case rpc.Response(msgid, dict() as error, None):
                return rpc.encode_error(msgid, error)
    except ValueError as failure:
        if "recursion limit" in str(failure):
            return None
        raise
    raise AssertionError("it is no message")


# --- parameters: each request is understood, or refused with a code


ANN: Final = Identity("ann", name="Ann", plan="ordinary")


def make_request(random: Random) -> bytes:
    """Make one request; mostly it is its parameters that are wrong."""
    message = message_of(random, random.choice(METHODS))
    if random.random() < 0.7:
        message[3][0] = change(random, message[3][0], VALUES)
        return encode(message)
    return malform(random, message, VALUES)


def run_methods(data: bytes) -> None:
    unframer = rpc.Unframer(_frame_limits())
    unframer.frame_max_bytes = LIMITS.frame_max_bytes
    for message in unframer.feed(data):
        if isinstance(message, rpc.Request):
            for operator in (True, False):
                try:
                    _look_at(understand(message, operator=operator))
                except Rejected as refusal:
                    check_refusal(refusal)


def _look_at(call: Call) -> None:
    """Do with a request what every one has to stand; raises Rejected."""
    request = call.request
    if call.request_id:
        request_id_ms(call.request_id)
    stream = request.address(call.group, ANN)
    assert all(type(part) is str for part in stream)
    assert len(codec.request_hash(request)) == codec.HASH_BYTES
    params = request.params()
    codec.pack(params)
    # What was put into its one form is in that form.
    assert text_of(type(request).parse(params)) == text_of(request), "it has two forms"


TARGETS: Final = (
    Target("frames", "bytes to messages, compiled and in Python", make_stream, run_frames, 3_000),
    Target("messages", "what a client reads", make_answers, run_messages, 6_000),
    Target("methods", "the parameters of every method", make_request, run_methods, 6_000),
)
