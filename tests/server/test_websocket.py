"""WebSocket over any link: what is particular to it, beside what ``test_link.py`` asks of all."""

from __future__ import annotations

from contextlib import suppress
from itertools import accumulate, cycle
from typing import Any

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import CloseCode, Frame, Opcode
from websockets.protocol import OPEN
from websockets.server import ServerProtocol

from groupd import native
from groupd.server.layer import HELD_MAX_BYTES
from groupd.server.link import LinkBroken
from groupd.server.websocket import SUBPROTOCOL, Framing, WebSocketLink, upgrade
from groupd.testing.links import FakeLink, link_pair
from tests.native.test_frames import in_python
from tests.server.browser import FRAME_MAX_BYTES, websockets

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
"""RFC 6455, section 1.3, which also says what is answered to it."""
ACCEPTED = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
ASKED = {
    "host": "groupd.example",
    "connection": "keep-alive, Upgrade",
    "upgrade": "websocket",
    "sec-websocket-key": KEY,
    "sec-websocket-version": "13",
}


def asked(origins: list[str] | None = None, **headers: str) -> Any:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return upgrade("GET", "/ws", ASKED | named, origins=origins, frame_max_bytes=FRAME_MAX_BYTES)


def served(frame_max_bytes: int = FRAME_MAX_BYTES) -> tuple[FakeLink, WebSocketLink]:
    """Give what a client sends its bytes through, and the server's end."""
    client, below = link_pair()
    protocol = ServerProtocol(state=OPEN, max_size=(None, frame_max_bytes))
    return client, WebSocketLink(below, protocol, Framing())


def frame(opcode: Opcode, data: bytes = b"", *, fin: bool = True) -> bytes:
    return Frame(opcode, data, fin).serialize(mask=True)


# --- agreeing to it


def test_a_request_is_agreed_to_with_the_words_of_the_rfc() -> None:
    answer = asked(sec_websocket_protocol=f"other, {SUBPROTOCOL}")

    assert answer.status == 101
    assert answer.headers["sec-websocket-accept"] == ACCEPTED
    assert answer.headers["sec-websocket-protocol"] == SUBPROTOCOL
    # It would be done for each reader.
    assert "sec-websocket-extensions" not in answer.headers


@pytest.mark.parametrize("offered", [{}, {"sec_websocket_protocol": "chat"}])
def test_who_offers_no_protocol_of_ours_is_served_as_well(offered: dict[str, str]) -> None:
    answer = asked(**offered)

    assert answer.status == 101
    assert "sec-websocket-protocol" not in answer.headers


@pytest.mark.parametrize(
    ("wrong", "status"),
    [
        ({"upgrade": "h2c"}, 426),
        ({"connection": "close"}, 426),
        ({"sec_websocket_version": "8"}, 400),
        ({"sec_websocket_key": "short"}, 400),
        ({"origin": "https://evil.example"}, 403),
    ],
)
def test_what_is_no_good_request_is_refused(wrong: dict[str, str], status: int) -> None:
    answer = asked(["https://groupd.example"], **wrong)

    assert (answer.status, answer.protocol) == (status, None)


def test_pages_that_are_listed_may_ask_and_programs_without_a_page() -> None:
    assert asked(["https://app.example"], origin="https://app.example").status == 101
    assert asked(["https://app.example"]).status == 101
    assert asked(None, origin="https://anybody.example").status == 101


# --- messages


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536, 200_000])
def test_a_message_is_what_the_library_would_make(size: int) -> None:
    data = bytes(size)

    assert Framing().message(data) == Frame(Opcode.BINARY, data).serialize(mask=False)


def test_a_message_is_made_once_for_all_who_are_sent_the_same() -> None:
    framing, data = Framing(), b"what everybody reads"

    assert framing.message(data) is framing.message(data)
    assert framing.message(b"another").endswith(b"another")
    assert framing.message(data).endswith(data)


@given(st.lists(st.binary(min_size=1, max_size=300), max_size=8), st.integers(1, 40))
def test_bytes_come_through_however_they_are_cut(pieces: list[bytes], cut: int) -> None:
    client, link = served()
    sent = b"".join(frame(Opcode.BINARY, piece) for piece in pieces)
    received = b""
    for start in range(0, len(sent), cut):
        client.try_send(sent[start : start + cut])
        received += link.try_receive(65_536) or b""
    assert received == b"".join(pieces)


LOOKS_LIKE_FRAMES = b"\x82\xfe\x01\x18" + bytes(4) + (b"\x82\x81" + bytes(4) + b"x") * 40
"""With a mask that changes nothing, and full of what looks like frames."""
SIZES = st.integers(0, 20) | st.sampled_from([124, 125, 126, 127, 399, 400, 401, 65_535, 65_536])
FRAMES = st.one_of(
    SIZES.map(lambda size: frame(Opcode.BINARY, (bytes(range(256)) * 257)[:size])),
    st.binary(max_size=9).map(lambda data: frame(Opcode.BINARY, data)),
    st.sampled_from(
        [
            LOOKS_LIKE_FRAMES,
            frame(Opcode.PING, b"there?"),
            frame(Opcode.PONG),
            frame(Opcode.BINARY, b"begun", fin=False),
            frame(Opcode.CONT, b"going on", fin=False),
            frame(Opcode.CONT, b"done"),
        ]
    ),
)
# A text is not among them: the library may see something worse behind it before it is refused.
ODD_FRAMES = st.one_of(
    st.sampled_from(
        [
            frame(Opcode.CLOSE, CloseCode.NORMAL_CLOSURE.to_bytes(2)),
            Frame(Opcode.BINARY, b"no mask").serialize(mask=False),
            b"\xc2\x82maskab",  # A reserved bit.
            b"\x82\xfe\x00\x03maskabc",  # Its length would fit into one byte.
            b"\x82\xff" + (1 << 62).to_bytes(8) + b"mask",
            b"\x82\xff" + (1 << 63).to_bytes(8) + b"mask",
            b"\x83\x80mask",
        ]
    ),
    st.binary(max_size=9),
)


def everything_seen(reads: list[bytes], frame_max_bytes: int) -> tuple[bytes, str, bytes | None]:
    """Give what is received, how it breaks, and what the client is told."""
    client, link = served(frame_max_bytes)
    received, broken = b"", ""
    try:
        for read in reads:
            client.try_send(read)
            received += link.try_receive(100_000) or b""
        client.send_eof()
        assert link.try_receive(100_000) == b""
    except LinkBroken as error:
        broken = str(error)
    return received, broken, client.try_receive(100_000)


@pytest.mark.skipif(not native.IS_COMPILED, reason="nothing is compiled here")
@given(
    frames=st.lists(FRAMES, max_size=12),
    odd=ODD_FRAMES,
    has_odd=st.booleans(),
    cuts=st.lists(st.integers(1, 30) | st.sampled_from([70, 1_000, 70_000]), max_size=9),
    frame_max_bytes=st.sampled_from([400, 65_535, 1 << 20]),
)
def test_what_is_read_past_the_library_is_what_it_would_give(
    frames: list[bytes], odd: bytes, has_odd: bool, cuts: list[int], frame_max_bytes: int
) -> None:
    reads = [*frames, odd, *frames] if has_odd else frames
    if cuts:
        sent, reads, sizes = b"".join(reads), [], cycle(cuts)
        while sent:
            size = next(sizes)
            reads.append(sent[:size])
            sent = sent[size:]
    compiled = everything_seen(reads, frame_max_bytes)
    with in_python():
        assert everything_seen(reads, frame_max_bytes) == compiled


def in_pieces(sent: bytes, *sizes: int) -> list[bytes]:
    ends = list(accumulate(sizes))
    return [sent[start:end] for start, end in zip([0, *ends], [*ends, len(sent)], strict=True)]


@pytest.mark.skipif(not native.IS_COMPILED, reason="nothing is compiled here")
@pytest.mark.parametrize(
    "reads",
    [
        [*in_pieces(LOOKS_LIKE_FRAMES, 100, 100), LOOKS_LIKE_FRAMES, LOOKS_LIKE_FRAMES],
        [*in_pieces(LOOKS_LIKE_FRAMES * 2, 1, 2, 4, 287), frame(Opcode.PING), LOOKS_LIKE_FRAMES],
        [frame(Opcode.PING) + LOOKS_LIKE_FRAMES[:9], LOOKS_LIKE_FRAMES[9:] * 2],
        [frame(Opcode.BINARY, b"begun", fin=False), frame(Opcode.BINARY, b"another")],
        [frame(Opcode.BINARY, b"1", fin=False), frame(Opcode.CONT, b"2"), LOOKS_LIKE_FRAMES],
        [frame(Opcode.BINARY, b"1", fin=False) + frame(Opcode.CONT, b"2"), LOOKS_LIKE_FRAMES],
        [frame(Opcode.PING) + frame(Opcode.CONT, b"of nothing"), LOOKS_LIKE_FRAMES],
        [frame(Opcode.PING), frame(Opcode.PONG) + LOOKS_LIKE_FRAMES, LOOKS_LIKE_FRAMES],
        [frame(Opcode.CLOSE, (1000).to_bytes(2)), LOOKS_LIKE_FRAMES],
        [frame(Opcode.TEXT, b"text"), LOOKS_LIKE_FRAMES],
    ],
    ids=lambda reads: "-".join(str(len(read)) for read in reads),
)
def test_it_is_read_as_soon_as_the_library_would_read_it(reads: list[bytes]) -> None:
    def read_by_read() -> list[bytes | None]:
        client, link = served()
        seen = []
        for read in reads:
            client.try_send(read)
            seen.append(link.try_receive(100_000))
        return [*seen, client.try_receive(100_000)]

    compiled = read_by_read()
    with in_python():
        assert read_by_read() == compiled


def test_after_what_is_no_frame_nothing_is_read_though_nobody_could_be_told() -> None:
    client, link = served()
    client.try_send(b"\xff\x80mask")
    link._below.send_eof()
    with pytest.raises(LinkBroken):
        link.try_receive(100)
    client.try_send(frame(Opcode.BINARY, b"behind it"))
    with suppress(LinkBroken):
        assert not link.try_receive(100)


def test_a_message_in_several_frames_is_one_stream_of_bytes() -> None:
    client, link = served()
    client.try_send(frame(Opcode.BINARY, b"ab", fin=False))
    client.try_send(frame(Opcode.PING, b"still there?"))
    client.try_send(frame(Opcode.CONT, b"cd"))

    assert link.try_receive(65_536) == b"abcd"
    assert client.try_receive(100) == Frame(Opcode.PONG, b"still there?").serialize(mask=False)


def test_an_empty_message_is_nothing_and_no_end() -> None:
    client, link = served()
    client.try_send(frame(Opcode.BINARY, b""))
    assert link.try_receive(65_536) is None
    client.try_send(frame(Opcode.BINARY, b"", fin=False) + frame(Opcode.CONT, b"ab"))
    assert link.try_receive(65_536) == b"ab"


def test_what_came_with_the_request_is_read_first() -> None:
    _client, below = link_pair()
    protocol = ServerProtocol(state=OPEN)
    link = WebSocketLink(below, protocol, Framing(), frame(Opcode.BINARY, b"early"))

    assert link.try_receive(100) == b"early"
    assert link.try_receive(100) is None


# --- ends


def close_code(data: bytes | None) -> int:
    """Give the code of the frame that closes, which stands last."""
    assert data is not None
    at = data.rindex(b"\x88")
    return int.from_bytes(data[at + 2 : at + 4])


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (frame(Opcode.TEXT, b"{}"), CloseCode.UNSUPPORTED_DATA),
        (Frame(Opcode.BINARY, b"no mask").serialize(mask=False), CloseCode.PROTOCOL_ERROR),
        (b"GET / HTTP/1.1\r\n\r\n", CloseCode.PROTOCOL_ERROR),
        (frame(Opcode.CONT, b"of nothing"), CloseCode.PROTOCOL_ERROR),
        (frame(Opcode.BINARY, bytes(1_001)), CloseCode.MESSAGE_TOO_BIG),
        (frame(Opcode.CLOSE, CloseCode.NORMAL_CLOSURE.to_bytes(2)), CloseCode.NORMAL_CLOSURE),
    ],
    # Masks are drawn by chance, and are not to be in the names.
    ids=("text", "no mask", "no frame", "continuing nothing", "too large", "closing"),
)
def test_each_end_has_its_code(sent: bytes, code: int) -> None:
    client, link = served(frame_max_bytes=1_000)
    client.try_send(sent)

    assert link.try_receive(65_536) == b""
    assert close_code(client.try_receive(1_000)) == code
    with pytest.raises(LinkBroken):
        link.try_send(b"after the end")


async def test_what_was_sent_before_the_end_is_read() -> None:
    client, link = served()
    client.try_send(frame(Opcode.BINARY, b"last words") + frame(Opcode.CLOSE))
    calls: list[bytes | None] = []

    link.watch(lambda: calls.append(link.try_receive(100)))
    await trio.testing.wait_all_tasks_blocked()
    assert calls[:2] == [b"last words", b""]


async def test_a_side_that_ends_says_so_and_hears_the_other() -> None:
    browser, server = websockets(*link_pair())
    server.send_eof()

    assert await browser.receive_some(100) == b""
    assert await server.receive_some(100) == b""


@pytest.mark.parametrize(
    ("code", "close"),
    [
        ("", 1001),
        ("unavailable", 1001),
        ("bad_request", 1007),
        ("unauthenticated", 1008),
        ("rate_limited", 1008),
        ("too_large", 1009),
        ("internal", 1011),
    ],
)
def test_a_goodbye_is_said_in_the_words_of_websocket_too(code: str, close: int) -> None:
    client, link = served()
    link.send_eof(code)
    assert client.try_receive(100) == b"\x88\x02" + close.to_bytes(2)


async def test_a_client_that_is_gone_without_a_word_has_ended() -> None:
    client, link = served()
    client.send_eof()

    assert await link.receive_some(100) == b""
    link.send_eof()
    await link.aclose()


def test_pings_that_nobody_reads_the_answers_of_end_the_link() -> None:
    client, link = served()
    client_below = link._below
    assert isinstance(client_below, FakeLink)
    client_below.capacity = 0

    def ping() -> None:
        for _ in range(HELD_MAX_BYTES // 100):
            client.try_send(frame(Opcode.PING, bytes(125)))
            link.try_receive(65_536)

    with pytest.raises(LinkBroken, match="pings more than it reads"):
        ping()


# --- asking whether somebody is there


def test_who_says_something_is_not_asked() -> None:
    client, link = served()
    for _ in range(4):
        client.try_send(frame(Opcode.BINARY, b"x"))
        link.try_receive(100)
        link.ask()
    assert client.try_receive(100) is None


def test_who_is_silent_is_asked_and_may_answer() -> None:
    client, link = served()
    link.ask()
    link.ask()
    assert client.try_receive(100) == Frame(Opcode.PING, b"").serialize(mask=False)

    client.try_send(frame(Opcode.PONG))
    assert link.try_receive(100) is None
    link.ask()
    link.ask()
    assert link.try_send(b"still open") == 10


async def test_who_does_not_answer_is_ended() -> None:
    client, link = served()
    heard: list[str] = []

    def read() -> None:
        try:
            link.try_receive(100)
        except LinkBroken as error:
            heard.append(str(error))

    link.watch(read)
    for _ in range(3):
        link.ask()
    assert heard == ["the peer does not answer a ping"]
    assert client.unread_bytes


# --- a peer that has gone


def test_who_is_gone_without_a_word_is_asked_and_told_nothing() -> None:
    client, link = served()
    client.send_eof()
    assert link.try_receive(100) == b""

    # What is said to nobody is not worth an error, which would be the whole server's.
    link.ask()
    link.ask()
    link.send_eof()
    assert client.try_receive(100) in (None, b"")


async def test_who_has_closed_is_told_nothing_more() -> None:
    client, link = served()
    client.try_send(frame(Opcode.CLOSE, CloseCode.NORMAL_CLOSURE.to_bytes(2)))
    assert link.try_receive(100) == b""
    client.try_receive(1_000)

    link.ask()
    link.ask()
    link.send_eof()
    await link.aclose()
    assert client.try_receive(100) in (None, b"")


async def test_who_was_ended_while_nobody_read_is_heard_of_by_the_next_reader() -> None:
    _client, link = served()
    for _ in range(3):
        link.ask()
    heard: list[str] = []

    def read() -> None:
        try:
            link.try_receive(100)
        except LinkBroken as error:
            heard.append(str(error))

    link.watch(read)
    assert heard == ["the peer does not answer a ping"]
