"""How a run's connections come to be: groups are founded, and everybody enters.

Each groupd connection begins as an ``Arrival``, which says hello and asks whatever else it has to
know. Many arrive at once, but fewer than a listener's queue holds: what is measured is the server,
and not how long a kernel waits before it knocks again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from typing import Any, Final, TypeVar

import msgpack
from rich.console import Console
from rich.progress import Progress

from bench import dialect
from bench.connections import Connections, Pace, at_ease
from bench.counted import Watcher
from bench.groups import Group, watched_places
from bench.members import Canon, Failed, Poster, Reader, Socket, Witness
from bench.websocket import member_on

ARRIVING_MAX: Final = 500
"""Connections under way at once; groupd's listener queues 1,024."""
ARRIVE_MAX_S: Final = 120.0
SHOWN_FROM: Final = 2_000
"""Arrivals from which on there is a progress bar."""
FOUNDERS_MAX: Final = 500
"""Members whom one ``create`` takes; the others join."""

Token = tuple[str, str]
"""A user, and the token that proves it."""
_T = TypeVar("_T")


class Arrival(Reader):
    """A connection that asks until it knows enough, and then says so."""

    def __init__(
        self,
        user: str,
        sock: Socket,
        buffer: bytearray,
        done: Callable[[], None],
    ) -> None:
        super().__init__(user, sock, buffer)
        self.results: dict[int, dict[str, Any]] = {}
        """The answers so far, by msgid."""
        self._done: Callable[[], None] | None = done
        self._pending = 0
        self._unpacker = msgpack.Unpacker()

    def ask(self, *requests: bytes) -> None:
        """Send requests, in one piece."""
        self._pending += len(requests)
        self.sock.sendall(b"".join(requests))

    def take(self, piece: memoryview) -> None:
        """Look at answers, and drop pushes."""
        self._unpacker.feed(piece)
        for message in self._unpacker:
            if message[0] != 1:
                continue
            _kind, msgid, error, result = message
            if error is not None:
                raise Failed(f"{self.user} was refused: {error}")
            self._pending -= 1
            self.results[msgid] = result
            self.answered(msgid, result)
        if not self._pending and self._done is not None:
            done, self._done = self._done, None
            done()

    def answered(self, msgid: int, result: dict[str, Any]) -> None:
        """Ask more, where that follows from an answer."""


def arrive(
    connections: Connections,
    who: Sequence[_T],
    start: Callable[[_T, Callable[[], None]], None],
    *,
    title: str,
    meanwhile: Pace = at_ease,
) -> None:
    """Have all arrive, some at a time; ``start`` is given who, and what to call at the end.

    Raises Failed where it takes too long.
    """
    waiting = iter(who)
    under_way = done = 0

    def finish() -> None:
        nonlocal under_way, done
        under_way -= 1
        done += 1

    with Progress(
        console=Console(stderr=True), transient=True, disable=len(who) < SHOWN_FROM
    ) as progress:
        bar = progress.add_task(title, total=len(who))

        def pace() -> float:
            nonlocal under_way
            while under_way < ARRIVING_MAX and (one := next(waiting, None)) is not None:
                under_way += 1
                start(one, finish)
            progress.update(bar, completed=done)
            return meanwhile()

        connections.serve(time.monotonic() + ARRIVE_MAX_S, pace, lambda: done == len(who))
    if done != len(who):
        raise Failed(f"{done} of {len(who)} connections came through in {ARRIVE_MAX_S:.0f} s")


# --- groupd


def found(connections: Connections, groups: Sequence[Sequence[Token]]) -> list[str]:
    """Make the groups, each owned by its first member; gives their ids."""
    ids: dict[int, str] = {}

    def start(place: int, done: Callable[[], None]) -> None:
        (user, token), *others = groups[place]

        def reached(sock: Socket) -> None:
            def founded() -> None:
                ids[place] = str(arrival.results[1]["group"])
                connections.drop(arrival)
                done()

            arrival = Arrival(user, sock, connections.buffer, founded)
            connections.add(arrival)
            founders = [user for user, _token in others[:FOUNDERS_MAX]]
            arrival.ask(dialect.hello(token, events=False), dialect.create(founders))

        connections.reach(reached)

    arrive(connections, range(len(groups)), start, title="founding groups")
    joining = [
        (ids[place], token)
        for place, tokens in enumerate(groups)
        for token in tokens[1 + FOUNDERS_MAX :]
    ]

    def start_joining(one: tuple[str, Token], done: Callable[[], None]) -> None:
        group, token = one
        join(connections, group, token, done)

    arrive(connections, joining, start_joining, title="joining")
    return [ids[place] for place in range(len(groups))]


def join(
    connections: Connections, group: str, token: Token, done: Callable[[], None] | None = None
) -> None:
    """Have somebody join by a connection of its own, which gets no pushes and is closed."""
    user, proof = token

    def reached(sock: Socket) -> None:
        def joined() -> None:
            connections.drop(arrival)
            if done is not None:
                done()

        arrival = Arrival(user, sock, connections.buffer, joined)
        connections.add(arrival)
        arrival.ask(dialect.hello(proof, events=False), dialect.join(group))

    connections.reach(reached)


def enter_each(
    connections: Connections,
    tokens: Sequence[Token],
    make: Callable[[int, str, Socket, dict[str, Any]], Reader],
) -> list[Reader]:
    """Connect users; ``make`` is given place, user, socket and the answer to hello.

    What it makes does not read yet: it is for the caller to ``settle``, and then to ``add`` it.
    """
    readers: dict[int, Reader] = {}

    def start(place: int, done: Callable[[], None]) -> None:
        user, token = tokens[place]

        def reached(sock: Socket) -> None:
            def entered() -> None:
                readers[place] = make(place, user, sock, arrival.results[0])
                done()

            arrival = Arrival(user, sock, connections.buffer, entered)
            connections.add(arrival)
            arrival.ask(dialect.hello(token))

        connections.reach(reached)

    arrive(connections, range(len(tokens)), start, title="entering")
    return [readers[place] for place in range(len(tokens))]


def enter(
    connections: Connections,
    group: str,
    tokens: Sequence[Token],
    *,
    posters: int,
    numbers: Iterator[int],
    with_ids: bool,
) -> Group:
    """Connect all members of a group. The first ones post; the last is the witness."""
    canon, buffer = Canon(), connections.buffer
    watched = watched_places(len(tokens), posters)

    def make(place: int, user: str, sock: Socket, hello: dict[str, Any]) -> Reader:
        if place == len(tokens) - 1:
            return Witness(user, sock, buffer, canon)
        if place < posters:
            mould = dialect.PostMould(group, with_ids=with_ids)
            return Poster(user, sock, buffer, canon, mould=mould, numbers=numbers)
        member = member_on(user, sock, buffer, canon)
        return Watcher(member, buffer) if place in watched else member

    readers = enter_each(connections, tokens, make)
    posting = [one for one in readers if isinstance(one, Poster)]
    watchers = [one for one in readers if isinstance(one, (Watcher, Witness))]
    return Group(readers, posting, watchers, canon, receivers=len(tokens))


def enter_voice(connections: Connections, group: str, token: Token) -> Poster:
    """Connect somebody by a connection that posts, and gets no pushes."""
    user, proof = token
    arrived = list[Socket]()

    def reached(sock: Socket) -> None:
        arrival = Arrival(user, sock, connections.buffer, lambda: arrived.append(sock))
        connections.add(arrival)
        arrival.ask(dialect.hello(proof, events=False))

    connections.reach(reached)
    connections.serve(time.monotonic() + ARRIVE_MAX_S, until=lambda: bool(arrived))
    if not arrived:
        raise Failed(f"{user} was not let in within {ARRIVE_MAX_S:g} s")
    mould = dialect.PostMould(group, with_ids=True)
    voice = Poster(user, arrived[0], connections.buffer, Canon(), mould=mould, numbers=count(1))
    connections.add(voice)
    return voice
