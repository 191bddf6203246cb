"""A session's way out: in order, in bounded memory, and honest about what it has dropped."""

from __future__ import annotations

from collections import deque
from typing import Final

import attrs
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from groupd.domain.base import ACCOUNT, GROUP, StreamKey
from groupd.engine.peer import FAREWELLS_MAX, PIECE_BYTES, Backlogs, Peer, lagged_frame

GROUPS: Final = tuple(StreamKey(GROUP, "", key) for key in "ab")
HEAD: Final = 77
MAX_BYTES: Final = 40


class Link:
    """Takes as much of each send as it is told to; what it was not told it takes whole."""

    def __init__(self, *takes: int) -> None:
        self.takes = deque(takes)
        self.sent = b""
        self.wakes = 0
        self.breaks = 0
        self.error: Exception | None = None

    def try_send(self, data: bytes) -> int:
        if self.error is not None:
            raise self.error
        size = min(self.takes.popleft(), len(data)) if self.takes else len(data)
        self.sent += data[:size]
        return size

    def wake(self) -> None:
        self.wakes += 1

    def broken(self) -> None:
        self.breaks += 1


def peer_on(link: Link, max_bytes: int = MAX_BYTES, backlogs: Backlogs | None = None) -> Peer:
    return Peer(
        try_send=link.try_send,
        wake=link.wake,
        broken=link.broken,
        head_of=lambda stream: HEAD,
        max_bytes=max_bytes,
        backlogs=backlogs,
    )


def drain(peer: Peer, link: Link) -> None:
    """Be the writer, until there is nothing more to write."""
    while data := peer.take():
        link.sent += data


def test_a_push_goes_straight_to_the_link() -> None:
    link = Link()
    peer = peer_on(link)
    peer.push(GROUPS[0], b"one")
    peer.push(GROUPS[1], b"two")
    assert (link.sent, link.wakes, peer.waiting_bytes) == (b"onetwo", 0, 0)


def test_answers_ride_in_front_of_the_next_push_in_one_send() -> None:
    sends = []
    link = Link()
    peer = peer_on(link)
    peer._try_send = lambda data: sends.append(data) or len(data)  # type: ignore[func-returns-value]
    peer.answer(b"answer1,")
    peer.answer(b"answer2,")
    assert sends == []
    peer.push(GROUPS[0], b"push")
    peer.flush()
    assert sends == [b"answer1,answer2,push"]


def test_what_the_link_does_not_take_waits_for_the_writer() -> None:
    link = Link(2)
    peer = peer_on(link)
    peer.push(GROUPS[0], b"hello")
    assert (link.sent, link.wakes, peer.waiting_bytes) == (b"he", 1, 3)
    peer.answer(b"answer")
    peer.flush()
    assert (link.wakes, peer.waiting_bytes) == (1, 9)
    drain(peer, link)
    assert (link.sent, peer.waiting_bytes) == (b"helloanswer", 0)


def test_nothing_overtakes_a_writer_in_the_middle_of_a_send() -> None:
    """The backlog is empty while the writer sends the last piece, and pushes still queue."""
    link = Link(0)
    peer = peer_on(link)
    peer.push(GROUPS[0], b"first")
    piece = peer.take()
    peer.push(GROUPS[0], b"second")
    peer.answer(b"third")
    peer.flush()
    assert link.sent == b""
    link.sent += piece
    drain(peer, link)
    assert link.sent == b"firstsecondthird"


def test_over_the_bound_of_all_sessions_a_slow_one_lags_at_once() -> None:
    backlogs = Backlogs(max_bytes=9)
    links = Link(0), Link(0)
    one, two = (peer_on(link, backlogs=backlogs) for link in links)
    one.push(GROUPS[0], b"12345")
    two.push(GROUPS[0], b"12345")
    assert backlogs.bytes == 10
    two.push(GROUPS[0], b"more")
    assert two.lags(GROUPS[0])
    drain(one, links[0])
    assert backlogs.bytes == 5
    drain(two, links[1])
    assert links[1].sent == b"12345" + lagged_frame(GROUPS[0], HEAD)
    assert backlogs.bytes == 0
    one.answer(b"answer")
    one.hold()
    one.push(GROUPS[0], b"held")
    one.release(b"first")
    assert backlogs.bytes == one.waiting_bytes
    one.close()
    assert backlogs.bytes == 0


def test_a_stream_over_the_bound_is_told_once_and_goes_on() -> None:
    link = Link(0)
    peer = peer_on(link, max_bytes=10)
    for _ in range(3):
        peer.push(GROUPS[0], b"12345")
    peer.push(GROUPS[0], b"6")  # It would fit, and would be a gap.
    assert peer.waiting_bytes == 10
    drain(peer, link)
    peer.push(GROUPS[0], b"next")
    assert link.sent == b"1234512345" + lagged_frame(GROUPS[0], HEAD) + b"next"


def test_one_slow_stream_does_not_make_another_one_lag_for_ever() -> None:
    link = Link(0)
    peer = peer_on(link, max_bytes=10)
    peer.push(GROUPS[0], b"12345678")
    peer.push(GROUPS[0], b"12345678")
    peer.push(GROUPS[1], b"12")
    drain(peer, link)
    assert link.sent == b"1234567812" + lagged_frame(GROUPS[0], HEAD)


def test_answers_are_kept_over_the_bound() -> None:
    link = Link(0)
    peer = peer_on(link, max_bytes=3)
    peer.push(GROUPS[0], b"123")
    for _ in range(5):
        peer.answer(b"answer")
    assert peer.waiting_bytes == 3 + 5 * 6
    drain(peer, link)
    assert link.sent == b"123" + b"answer" * 5


def test_a_stream_that_is_forgotten_owes_no_lagged() -> None:
    link = Link(0)
    peer = peer_on(link, max_bytes=3)
    peer.push(GROUPS[0], b"123")
    peer.push(GROUPS[0], b"123")
    peer.forget(GROUPS[0])
    drain(peer, link)
    assert link.sent == b"123"


def test_a_farewell_is_said_in_place_of_lagged_and_a_new_beginning_takes_it_back() -> None:
    link = Link(0)
    peer = peer_on(link, max_bytes=3)
    peer.push(GROUPS[0], b"123")
    for stream in GROUPS:
        peer.push(stream, b"123")
        assert peer.lags(stream)
        peer.forget_with(stream, b"farewell,")
    peer.push(GROUPS[1], b"joined again")
    drain(peer, link)
    assert link.sent == b"123" + b"farewell," + lagged_frame(GROUPS[1], HEAD)
    assert not peer.lags(GROUPS[0])


def test_farewells_are_bounded() -> None:
    link = Link(0)
    peer = peer_on(link)
    peer.push(GROUPS[0], b"1")
    for number in range(10 * FAREWELLS_MAX):
        peer.forget_with(StreamKey(GROUP, "", str(number)), b"x")
    drain(peer, link)
    assert len(link.sent) == 1 + FAREWELLS_MAX


def test_pushes_wait_behind_the_answer_they_are_held_for() -> None:
    link = Link()
    peer = peer_on(link)
    peer.answer(b"before,")
    peer.hold()
    peer.push(GROUPS[0], b"push,")
    peer.answer(b"later answer,")
    assert link.sent == b"before,"
    peer.release(b"answer,")
    drain(peer, link)
    assert link.sent == b"before,answer,push,later answer,"


def test_what_waited_before_a_hold_leaves_before_the_answer() -> None:
    """It may be the second half of a frame."""
    link = Link(4)
    peer = peer_on(link)
    peer.push(GROUPS[0], b"half-a-frame,")
    peer.hold()
    peer.push(GROUPS[0], b"push,")
    peer.release(b"answer,")
    drain(peer, link)
    assert link.sent == b"half-a-frame,answer,push,"


def test_a_writer_at_work_takes_nothing_that_is_held() -> None:
    link = Link(4)
    peer = peer_on(link, max_bytes=24)
    peer.push(GROUPS[0], b"half-a-frame,")
    peer.hold()
    peer.push(GROUPS[0], b"push,")
    peer.push(GROUPS[1], b"too long for what is left")
    drain(peer, link)
    assert link.sent == b"half-a-frame,"
    peer.release(b"answer,")
    drain(peer, link)
    assert link.sent == b"half-a-frame,answer,push," + lagged_frame(GROUPS[1], HEAD)


def test_holding_again_lets_go_of_what_was_held_before() -> None:
    link = Link()
    peer = peer_on(link)
    peer.hold()
    peer.push(GROUPS[0], b"old,")
    peer.hold()
    peer.push(GROUPS[0], b"new,")
    peer.release(b"answer,")
    drain(peer, link)
    assert link.sent == b"old,answer,new,"


def test_releasing_with_nothing_to_say_lets_pushes_go_direct_again() -> None:
    link = Link()
    peer = peer_on(link)
    peer.hold()
    peer.release(b"")
    peer.push(GROUPS[0], b"push")
    assert (link.sent, link.wakes) == (b"push", 0)


@pytest.mark.parametrize(
    "error", [OSError(), trio.BrokenResourceError(), trio.ClosedResourceError()]
)
@pytest.mark.parametrize("way", ["push", "answer", "push behind an answer"])
def test_a_broken_link_is_told_once(error: Exception, way: str) -> None:
    link = Link()
    link.error = error
    peer = peer_on(link)
    for _ in range(3):
        if way != "push":
            peer.answer(b"answer")
        if way != "answer":
            peer.push(GROUPS[0], b"push")
        peer.flush()
    assert (link.breaks, link.wakes, peer.waiting_bytes, peer.take()) == (1, 0, 0, b"")
    assert peer.closed


def test_a_closed_peer_takes_everything_and_keeps_nothing() -> None:
    link = Link(0)
    peer = peer_on(link)
    peer.push(GROUPS[0], b"push")
    peer.hold()
    peer.push(GROUPS[0], b"held")
    peer.close()
    peer.push(GROUPS[0], b"push")
    peer.answer(b"answer")
    peer.flush()
    peer.release(b"answer")
    assert (link.sent, peer.waiting_bytes, peer.take(), link.breaks) == (b"", 0, b"", 0)


def test_the_account_lags_under_the_empty_name() -> None:
    account = lagged_frame(StreamKey(ACCOUNT, "", "ann"), 5)
    assert b"\xa5group\xa0" in account


def test_a_piece_is_no_larger_than_a_comfortable_send_and_one_chunk() -> None:
    link = Link(0)
    peer = peer_on(link, max_bytes=10 * PIECE_BYTES)
    chunk = bytes(1_000)
    for _ in range(300):
        peer.push(GROUPS[0], chunk)
    sizes = []
    while data := peer.take():
        sizes.append(len(data))
    assert sum(sizes) == 300_000
    assert max(sizes) < PIECE_BYTES + len(chunk)


# --- any sequence of it, against a model


@attrs.frozen
class Do:
    what: str
    stream: int
    size: int
    takes: int


def actions() -> st.SearchStrategy[Do]:
    whats = ("push", "push", "push", "answer", "flush", "hold", "release", "take", "finish")
    return st.builds(
        Do,
        what=st.sampled_from(whats),
        stream=st.integers(0, len(GROUPS) - 1),
        size=st.integers(1, 25),
        takes=st.sampled_from((0, 1, 5, 1_000, 1_000)),
    )


@attrs.define
class Model:
    """What must come out: all frames in order, less what a full backlog may drop."""

    sent: int = 0
    expected: list[bytes] = attrs.field(factory=list)
    """What is to leave, in order, as far as that is settled."""
    front: list[bytes] = attrs.field(factory=list)
    held: list[bytes] | None = None
    lagging: list[StreamKey] = attrs.field(factory=list)

    def put(self, frame: bytes) -> None:
        (self.expected if self.held is None else self.held).append(frame)

    def flush(self) -> None:
        self.expected += self.front
        self.front.clear()


@given(todo=st.lists(actions(), max_size=60))
def test_bytes_keep_their_order_and_only_a_full_backlog_loses_any(todo: list[Do]) -> None:
    """The model knows nothing of writers and directness: only what was promised to leave."""
    link, model = Link(), Model()
    peer = peer_on(link)
    writing = b""
    for number, do in enumerate(todo):
        link.takes = deque([do.takes])
        stream = GROUPS[do.stream]
        frame = b"<%d%s>" % (number, b"." * do.size)
        if do.what == "push":
            waiting = sum(map(len, model.expected)) - len(link.sent) - len(writing)
            waiting += sum(map(len, model.held or ()))
            busy = waiting > 0 or peer._writing or model.held is not None
            if stream in model.lagging:
                continue_lagging(peer, stream, frame)
                continue
            if busy and waiting + len(frame) > MAX_BYTES:
                model.lagging.append(stream)
            else:
                model.flush()
                model.put(frame)
            peer.push(stream, frame)
        elif do.what == "answer":
            peer.answer(frame)
            waits = peer._writing or model.held is not None
            (model.put if waits else model.front.append)(frame)
        elif do.what == "flush":
            peer.flush()
            model.flush()
        elif do.what == "hold":
            peer.hold()
            model.flush()
            model.expected += model.held or ()
            model.held = []
        elif do.what == "release" and model.held is not None:
            peer.release(frame)
            model.expected += [frame, *model.held]
            model.held = None
        elif do.what == "take" and not writing and link.wakes:
            writing = take(peer, link, model)
        elif do.what == "finish":
            link.sent += writing
            writing = b""
        check(peer, link, model, writing)
    peer.flush()
    model.flush()
    if model.held is not None:
        peer.release(b"")
        model.expected += model.held
        model.held = None
    link.sent += writing
    while data := take(peer, link, model):
        link.sent += data
    check(peer, link, model, b"")
    assert link.sent == b"".join(model.expected)
    assert peer.waiting_bytes == 0
    link.takes.clear()
    peer.push(GROUPS[0], b"direct")
    assert link.sent.endswith(b"direct")


def continue_lagging(peer: Peer, stream: StreamKey, frame: bytes) -> None:
    before = peer.waiting_bytes
    peer.push(stream, frame)
    assert peer.waiting_bytes == before


def take(peer: Peer, link: Link, model: Model) -> bytes:
    """Take as the writer does; where all else has left, the lagged are said now."""
    drained = len(link.sent) == sum(map(len, model.expected))
    if drained and model.held is None:
        model.expected += [lagged_frame(stream, HEAD) for stream in model.lagging]
        model.lagging.clear()
    return peer.take()


def check(peer: Peer, link: Link, model: Model, writing: bytes) -> None:
    promised = b"".join(model.expected)
    assert promised.startswith(link.sent + writing)
    waiting = len(promised) - len(link.sent) - len(writing) + sum(map(len, model.held or ()))
    assert peer.waiting_bytes == waiting
