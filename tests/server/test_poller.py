"""One task watches all descriptors: by an epoll set, or by a task for each where there is none."""

from __future__ import annotations

import select
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import attrs
import pytest
import trio

from groupd.server.poller import ROUND_MAX, ROUNDS_MAX, Poller
from tests.server.bench import settled

KINDS = [
    pytest.param(
        True, id="epoll", marks=pytest.mark.skipif(not hasattr(select, "epoll"), reason="no epoll")
    ),
    pytest.param(False, id="tasks"),
]


@attrs.define(eq=False)
class Watched:
    """Some sockets whose other ends are at hand, and what was called for them."""

    poller: Poller
    calls: list[object]
    ours: list[socket.socket]
    theirs: list[socket.socket]

    def watch(self, *numbers: int) -> None:
        for number in numbers:
            self.poller.watch(self.ours[number].fileno(), lambda number=number: self.read(number))

    def unwatch(self, number: int) -> None:
        self.poller.unwatch(self.ours[number].fileno())

    def read(self, number: int) -> None:
        self.calls.append((number, self.ours[number].recv(1_000)))


@contextmanager
def pairs(count: int) -> Iterator[tuple[list[socket.socket], list[socket.socket]]]:
    made = [socket.socketpair() for _ in range(count)]
    for pair in made:
        for sock in pair:
            sock.setblocking(False)
    try:
        yield [ours for ours, _ in made], [theirs for _, theirs in made]
    finally:
        for ours, theirs in made:
            trio.lowlevel.notify_closing(ours)
            ours.close()
            theirs.close()


@asynccontextmanager
async def watching(count: int, *, has_epoll: bool) -> AsyncIterator[Watched]:
    calls: list[object] = []
    poller = Poller(
        begin=lambda: calls.append("begin"),
        settle=lambda: calls.append("settle"),
        has_epoll=has_epoll,
    )
    with pairs(count) as (ours, theirs):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(poller.run)
            await settled()
            yield Watched(poller, calls, ours, theirs)
            nursery.cancel_scope.cancel()
        poller.close()


async def until(watched: Watched, count: int) -> list[object]:
    """Wait until so many reads have happened; give them."""
    with trio.fail_after(5):
        while True:
            reads = [call for call in watched.calls if isinstance(call, tuple)]
            if len(reads) >= count:
                return reads
            await trio.lowlevel.checkpoint()


@pytest.mark.parametrize("has_epoll", KINDS)
async def test_what_can_be_read_is_called_until_it_is_unwatched(has_epoll: bool) -> None:
    async with watching(2, has_epoll=has_epoll) as watched:
        watched.watch(0, 1)
        watched.theirs[1].send(b"one")
        assert await until(watched, 1) == [(1, b"one")]
        watched.theirs[1].send(b"two")
        assert await until(watched, 2) == [(1, b"one"), (1, b"two")]
        watched.unwatch(1)
        watched.unwatch(1)
        watched.theirs[1].send(b"unread")
        watched.theirs[0].send(b"three")
        assert (await until(watched, 3))[2:] == [(0, b"three")]
        await settled()
        watched.watch(1)
        assert (await until(watched, 4))[3:] == [(1, b"unread")]


@pytest.mark.parametrize("has_epoll", KINDS)
async def test_what_is_watched_before_it_runs_is_called_too(has_epoll: bool) -> None:
    calls: list[bytes] = []
    poller = Poller(begin=lambda: None, settle=lambda: None, has_epoll=has_epoll)
    with pairs(1) as (ours, theirs):
        poller.watch(ours[0].fileno(), lambda: calls.append(ours[0].recv(10)))
        theirs[0].send(b"early")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(poller.run)
            with trio.fail_after(5):
                while not calls:
                    await trio.lowlevel.checkpoint()
            nursery.cancel_scope.cancel()
        poller.close()
    assert calls == [b"early"]


@pytest.mark.parametrize("has_epoll", KINDS)
async def test_an_end_can_be_read_too(has_epoll: bool) -> None:
    async with watching(1, has_epoll=has_epoll) as watched:
        watched.watch(0)
        watched.theirs[0].close()
        assert (await until(watched, 1))[0] == (0, b"")


@pytest.mark.skipif(not hasattr(select, "epoll"), reason="no epoll")
async def test_what_has_come_together_is_served_in_one_round() -> None:
    async with watching(3, has_epoll=True) as watched:
        watched.watch(0, 1, 2)
        for sock in watched.theirs:
            sock.send(b"x")
        await until(watched, 3)
        assert watched.calls == ["begin", (0, b"x"), (1, b"x"), (2, b"x"), "settle"]


@pytest.mark.skipif(not hasattr(select, "epoll"), reason="no epoll")
async def test_one_that_is_unwatched_within_a_round_is_not_called_in_it() -> None:
    async with watching(2, has_epoll=True) as watched:

        def end_the_other() -> None:
            watched.read(0)
            watched.unwatch(1)

        watched.poller.watch(watched.ours[0].fileno(), end_the_other)
        watched.watch(1)
        for sock in watched.theirs:
            sock.send(b"x")
        assert await until(watched, 1) == [(0, b"x")]
        await settled()
        assert watched.calls == ["begin", (0, b"x"), "settle"]


@pytest.mark.skipif(not hasattr(select, "epoll"), reason="no epoll")
async def test_a_round_is_bounded_and_nobody_is_left_out() -> None:
    count = ROUND_MAX + 10
    async with watching(count, has_epoll=True) as watched:
        watched.watch(*range(count))
        for sock in watched.theirs:
            sock.send(b"x")
        assert sorted(await until(watched, count)) == [(n, b"x") for n in range(count)]  # type: ignore[type-var]
        assert watched.calls.count("begin") >= 2
        first = watched.calls.index("settle")
        assert first == ROUND_MAX + 1


@pytest.mark.skipif(not hasattr(select, "epoll"), reason="no epoll")
async def test_rounds_follow_one_another_and_others_get_their_turn_after_some() -> None:
    calls: list[object] = []
    count = 3 * ROUNDS_MAX
    with pairs(count + 1) as (ours, theirs):

        def read(number: int) -> None:
            calls.append(ours[number].recv(1) and number)
            # Whoever was answered asks again, before the round is over.
            theirs[number + 1].send(b"x")

        async def turn() -> None:
            while True:
                calls.append("turn")
                await trio.lowlevel.checkpoint()

        poller = Poller(begin=lambda: None, settle=lambda: None)
        for number in range(count):
            poller.watch(ours[number].fileno(), lambda number=number: read(number))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(poller.run)
            nursery.start_soon(turn)
            theirs[0].send(b"x")
            with trio.fail_after(5):
                while count - 1 not in calls:
                    await trio.lowlevel.checkpoint()
            nursery.cancel_scope.cancel()
        poller.close()
    at = [calls.index(number) for number in range(count)]
    first = at[:ROUNDS_MAX]
    assert first == list(range(first[0], first[0] + ROUNDS_MAX))
    # Of two steps of trio, the poller may be the last in one and the first in the next.
    assert "turn" in calls[first[-1] : at[2 * ROUNDS_MAX]]


@pytest.mark.skipif(not hasattr(select, "epoll"), reason="no epoll")
async def test_after_a_large_round_others_get_their_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("groupd.server.poller.ROUND_MAX", 10)
    monkeypatch.setattr("groupd.server.poller.SMALL_MAX", 9)
    calls: list[object] = []
    with pairs(10 * ROUNDS_MAX) as (ours, theirs):
        poller = Poller(begin=lambda: None, settle=lambda: None)
        for sock in ours:
            poller.watch(sock.fileno(), lambda sock=sock: calls.append(sock.recv(1)))
        for sock in theirs:
            sock.send(b"x")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(poller.run)
            with trio.fail_after(5):
                while calls.count(b"x") < len(ours):
                    calls.append("turn")
                    await trio.lowlevel.checkpoint()
            nursery.cancel_scope.cancel()
        poller.close()
    # Of two steps of trio, the poller may be the last in one and the first in the next.
    reads = calls[calls.index(b"x") :]
    assert "turn" in reads[: 20 + 1]
