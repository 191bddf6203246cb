"""The conformance vectors hold for this implementation, as they must for any other."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Iterator
from typing import Any, Final

import pytest
import trio

from groupd.config import Limits
from groupd.domain.catalog import REQUESTS
from groupd.domain.fields import request_id_ms
from groupd.domain.links import LinkKeys
from groupd.errors import CODES, REASONS, Rejected
from groupd.server.methods import understand
from groupd.testing.schema import problems
from groupd.wire.rpc import (
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
)
from tests.proto.rig import PROTO, Client, Rig, serving

VECTORS: Final = PROTO / "vectors"
LIMITS: Final = Limits()


def load(name: str) -> Any:
    return json.loads((VECTORS / name).read_text("utf-8"))


def named(vectors: list[dict[str, Any]]) -> list[Any]:
    return [pytest.param(vector, id=vector["name"]) for vector in vectors]


GOOD: Final = load("good.json")
BAD: Final = load("bad.json")
STREAMS: Final = load("streams.json")
IDS: Final = load("ids.json")
LINKS: Final = load("links.json")
ERRORS: Final = load("errors.json")


def reader(*, before_hello: bool = False) -> Unframer:
    """Give what a server reads with."""
    unframer = Unframer(FrameLimits.for_server(LIMITS))
    if not before_hello:
        unframer.frame_max_bytes = LIMITS.frame_max_bytes
    return unframer


def message_of(plain: dict[str, Any]) -> Message:
    match plain:
        case {"type": "request", "msgid": msgid, "method": method, "params": params}:
            return Request(msgid, method, params)
        case {"type": "response", "msgid": msgid, "error": error, "result": result}:
            return Response(msgid, error, result)
        case {"type": "notification", "method": method, "params": params}:
            return Notification(method, params)
    raise AssertionError(plain)


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


def pieces(data: bytes, cuts: list[int]) -> Iterator[bytes]:
    for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True):
        yield data[start:end]


def test_no_two_vectors_have_one_name() -> None:
    for vectors in (GOOD, BAD, STREAMS, LINKS, ERRORS["cases"]):
        names = [vector["name"] for vector in vectors]
        assert len(set(names)) == len(names)


# --- what is well-formed


@pytest.mark.parametrize("vector", named(GOOD))
def test_a_good_vector_decodes_to_its_message(vector: dict[str, Any]) -> None:
    unframer = reader()
    (message,) = unframer.feed(bytes.fromhex(vector["hex"]))
    # As text, because to Python 1, 1.0 and True are equal.
    assert repr(message) == repr(message_of(vector["message"]))
    assert unframer.error is None
    assert not unframer.partial


@pytest.mark.parametrize("vector", named(GOOD))
def test_a_good_vector_is_what_groupd_encodes_where_it_says_so(vector: dict[str, Any]) -> None:
    encoded = encode(message_of(vector["message"])).hex()
    assert (encoded == vector["hex"]) is vector["canonical"]


@pytest.mark.parametrize("vector", named([v for v in GOOD if v["from"] == "server"]))
def test_what_a_server_says_in_a_vector_is_published(vector: dict[str, Any]) -> None:
    message, later = message_of(vector["message"]), vector.get("later", False)
    if isinstance(message, Notification):
        what, value = f"notification {message.method}", message.params
    elif isinstance(message, Response) and message.result is not None:
        what, value = f"result {vector['answers']}", message.result
    else:
        what, value = "error", message.error
    assert problems(what, value, tolerant=True) == []
    # What a later version says is marked, and nothing else is.
    assert bool(problems(what, value)) is later


def test_a_good_vector_asks_for_each_method_of_users_and_is_understood() -> None:
    """The operator's methods answer on a socket of their own, and need no client but groupd's."""
    asked = set()
    for vector in GOOD:
        message = message_of(vector["message"])
        if isinstance(message, Request) and message.method in REQUESTS:
            assert understand(message, operator=False).request.method == message.method
            asked.add(message.method)
    assert asked == {method for method, cls in REQUESTS.items() if not cls.operator}


def test_a_good_vector_answers_each_method_of_users() -> None:
    answered = {vector["answers"] for vector in GOOD if "answers" in vector}
    assert answered == {method for method, cls in REQUESTS.items() if not cls.operator}


@pytest.mark.parametrize("vector", named(STREAMS))
def test_a_stream_gives_its_messages_however_it_is_cut(vector: dict[str, Any]) -> None:
    by_name = {good["name"]: good for good in GOOD}
    wanted = [message_of(by_name[name]["message"]) for name in vector["messages"]]
    unframer = reader()
    data = bytes.fromhex(vector["hex"])
    got = [message for piece in pieces(data, vector["cuts"]) for message in unframer.feed(piece)]
    assert got == wanted
    assert unframer.error is None
    assert not unframer.partial


# --- what is not this protocol


def bytes_of(vector: dict[str, Any]) -> bytes:
    if "hex" in vector:
        return bytes.fromhex(vector["hex"])
    return b"".join(bytes.fromhex(part) * count for part, count in vector["repeat"])


@pytest.mark.parametrize("size", [1_000, 10_000_000])
@pytest.mark.parametrize("vector", named(BAD))
def test_a_bad_vector_ends_the_stream_with_its_code(vector: dict[str, Any], size: int) -> None:
    unframer = reader(before_hello=vector.get("before_hello", False))
    data = bytes_of(vector)
    got: list[Message] = []
    for piece in pieces(data, list(range(size, len(data), size))):
        got += unframer.feed(piece)
        if unframer.error is not None:
            break
    assert len(got) == vector.get("messages", 0)
    if vector.get("then") == "deadline":
        assert unframer.error is None
        assert unframer.partial
    else:
        assert unframer.error is not None
        assert unframer.error.code == vector["code"]


@pytest.mark.parametrize("vector", named([v for v in BAD if len(bytes_of(v)) < 10_000]))
async def test_a_bad_vector_gets_one_goodbye(
    vector: dict[str, Any], autojump_clock: trio.testing.MockClock
) -> None:
    async with serving() as rig:
        client = rig.connect() if vector.get("before_hello") else await rig.enter("ann")
        for msgid in range(7, 7 + vector.get("messages", 0)):
            client.asked[msgid] = "ping"
        began = trio.current_time()
        await client.link.send_all(bytes_of(vector))
        goodbye = await client.hear_goodbye()
        assert goodbye["code"] == vector["code"]
        assert [push.method for push in client.pushes] == ["goodbye"]
        assert (trio.current_time() - began >= 1) is (vector.get("then") == "deadline")
        answered = vector.get("messages", 0) + (not vector.get("before_hello"))
        assert len(client.answers) == answered


# --- ids and links


@pytest.mark.parametrize("vector", IDS["valid"], ids=lambda vector: vector["why"])
def test_a_valid_id_gives_its_time(vector: dict[str, Any]) -> None:
    assert request_id_ms(vector["id"]) == vector["time_ms"]
    assert problems("id", vector["id"]) == []


@pytest.mark.parametrize("vector", IDS["invalid"], ids=lambda vector: f"{vector['id']!a}")
def test_an_invalid_id_is_refused(vector: dict[str, Any]) -> None:
    with pytest.raises(Rejected, match="36-character form") as caught:
        request_id_ms(vector["id"])
    assert caught.value.details == {"field": "id"}
    assert problems("id", vector["id"])


@pytest.mark.parametrize("vector", named(LINKS))
def test_a_code_is_derived_as_groupd_md_says(vector: dict[str, Any]) -> None:
    key = bytes.fromhex(vector["key_hex"])
    parts = (vector["tenant"], vector["group"], "link", str(vector["number"]))
    message = b"\0".join(part.encode() for part in parts)
    assert message.hex() == vector["message_hex"]
    mark = hmac.new(key, message, hashlib.sha256).digest()[:16]
    tail = base64.urlsafe_b64encode(mark).rstrip(b"=").decode()
    assert vector["code"] == vector["group"] + tail
    keys = LinkKeys({"k": key}, "k")
    assert keys.code(vector["tenant"], vector["group"], vector["number"], "k") == vector["code"]
    assert problems("code", vector["code"]) == []


# --- what is well-formed and refused


def filled(value: Any, kept: dict[str, Any], rig: Rig) -> Any:
    """Put in what ``$name`` stands for; ``$id...`` is a fresh request id, the same ever after."""
    if isinstance(value, dict):
        return {filled(key, kept, rig): filled(item, kept, rig) for key, item in value.items()}
    if isinstance(value, list):
        return [filled(item, kept, rig) for item in value]
    if not isinstance(value, str) or not value.startswith("$"):
        return value
    if value.startswith("$id"):
        kept.setdefault(value[1:], rig.new_id())
    return kept[value[1:]]


async def test_every_refusal_is_the_one_that_the_vectors_promise(
    autojump_clock: trio.testing.MockClock,
) -> None:
    kept: dict[str, Any] = {}
    clients: dict[str, Client] = {}
    async with serving() as rig:
        for user, claims in ERRORS["users"].items():
            clients[user] = await rig.enter(user, **claims)
        for step in ERRORS["setup"]:
            params = filled(step["params"], kept, rig)
            result = await clients[step["as"]].ask(step["method"], **params)
            kept |= {name: result[field] for name, field in step.get("keep", {}).items()}
            await trio.sleep(step.get("then_wait_ms", 0) / 1_000)
        for case in ERRORS["cases"]:
            client = rig.connect() if case["as"] is None else clients[case["as"]]
            answer = await client.call(case["method"], filled(case["params"], kept, rig))
            assert answer.error is not None, case["name"]
            assert {name: answer.error.get(name) for name in case["error"]} == case["error"], (
                case["name"],
                answer.error,
            )
            assert all(name in answer.error for name in CODES[answer.error["code"]]), case["name"]


def test_the_refusals_show_every_reason_but_those_that_take_a_crowd_time_or_a_list() -> None:
    shown = {case["error"].get("reason") for case in ERRORS["cases"]}
    assert set(REASONS) - shown == {"connections", "too_late", "words"}
