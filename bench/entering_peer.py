"""How a run's connections to a peer come to be: everybody enters, many at a time.

Some peers complete a registration only once a second, so it must not be one after the other. What
is said there is short and blocking, and takes a thread for each.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import attrs

from bench.connections import Connections
from bench.counted import AnsweredPoster, Counter, EchoedPoster, Watcher
from bench.groups import Group, watched_places
from bench.members import Canon, Member, Posting, Reader
from bench.peers.base import Dialect

ENTERING_MAX: Final = 100
"""Connections under way at once."""
ENTER_MAX_S: Final = 30.0
"""How long a peer may think about one of them."""


@attrs.frozen
class Seat:
    """A member of a peer's group who has entered, or is about to."""

    user: str
    group: str
    sock: socket.socket
    """To which posts are delivered."""
    posting: socket.socket | None
    """By which it posts: the same, or one of its own."""
    place: int
    """Of a poster, its number over all groups."""

    def enter(self, speak: Dialect) -> None:
        """Say who is there and join; raises TimeoutError where the peer does not answer."""
        apart = self.posting is not None and self.posting is not self.sock
        self._enter(speak, self.sock, posts=self.posting is self.sock)
        if apart and self.posting is not None:
            self._enter(speak, self.posting, posts=True)

    def _enter(self, speak: Dialect, sock: socket.socket, *, posts: bool) -> None:
        sock.settimeout(ENTER_MAX_S)
        speak.enter(sock, self.user, self.group, posts=posts)
        sock.settimeout(None)


def enter_peer(
    connections: Connections,
    groups: Sequence[Sequence[str]],
    speak: Dialect,
    *,
    posters: int,
    numbers: Iterator[int],
) -> list[Group]:
    """Connect all members of a peer's groups. The first of each post; the last is the witness."""
    seats = [
        _seats(connections, number, users, speak, posters) for number, users in enumerate(groups)
    ]
    with ThreadPoolExecutor(ENTERING_MAX) as pool:
        everybody = [seat for of_group in seats for seat in of_group]
        # So that an error is raised here.
        list(pool.map(lambda seat: seat.enter(speak), everybody))
    return [_group(connections, of_group, speak, numbers) for of_group in seats]


def _seats(
    connections: Connections, number: int, users: Sequence[str], speak: Dialect, posters: int
) -> list[Seat]:
    seats = []
    for place, user in enumerate(users):
        sock = connections.open_plain()
        posting = None
        if place < posters:
            posting = connections.open_plain() if speak.posts_apart else sock
        seats.append(Seat(user, f"g{number:03}", sock, posting, number * posters + place))
    return seats


def _group(
    connections: Connections, seats: Sequence[Seat], speak: Dialect, numbers: Iterator[int]
) -> Group:
    gets_own = speak.echoes or speak.posts_apart
    canon = Canon() if speak.alike and gets_own else None
    buffer = connections.buffer
    readers: list[Reader] = []
    posters: list[Posting] = []
    watched = watched_places(len(seats), sum(seat.posting is not None for seat in seats))
    for place, seat in enumerate(seats):
        reader: Reader
        if canon is None:
            reader = Counter(seat.user, seat.sock, buffer, speak.marker)
        else:
            reader = Member(seat.user, seat.sock, buffer, canon)
        if seat.posting is not None:
            poster = _poster(connections, seat, reader, speak, numbers)
            connections.add(poster)
            posters.append(poster)
            reader = reader if speak.posts_apart else poster
        elif place in watched:
            reader = Watcher(reader, buffer)
        readers.append(reader)
        connections.add(reader)
    watchers = [one for one in readers if isinstance(one, Watcher)]
    receivers = len(seats) if gets_own else len(seats) - 1
    return Group(readers, posters, watchers, canon, receivers)


def _poster(
    connections: Connections, seat: Seat, reader: Reader, speak: Dialect, numbers: Iterator[int]
) -> Posting:
    mould: Callable[[bytes], bytes] = speak.mould(seat.user, seat.group)
    if speak.echoes:
        return EchoedPoster(
            reader, connections.buffer, place=seat.place, mould=mould, numbers=numbers
        )
    assert speak.answer_marker is not None
    assert seat.posting is not None
    return AnsweredPoster(
        seat.user,
        seat.posting,
        connections.buffer,
        inner=None if speak.posts_apart else reader,
        answer_marker=speak.answer_marker,
        place=seat.place,
        mould=mould,
        numbers=numbers,
    )
