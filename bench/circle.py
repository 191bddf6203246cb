"""A circle of many thousands beside a group that chats: how much the one slows down the other."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any, Final

import attrs

from bench.connections import Connections, Pace
from bench.entering import Token, enter_each, enter_voice, join
from bench.fanout import FanOut
from bench.figures import Outcome
from bench.members import Canon, Failed, Poster, Reader, Socket
from bench.websocket import member_on

POSTS_PER_S: Final = 1
JOINS_PER_S: Final = 10
BEGIN_S: Final = 1.0
"""How long the circle is served before that is measured."""
CATCH_UP_S: Final = 20.0
"""How long the circle's last events may take to reach everybody."""


@attrs.frozen
class Circle:
    """The circle, with those who may still join it."""

    connections: Connections
    group: str
    members: Sequence[Reader]
    canon: Canon
    voice: Poster
    guests: Iterator[Token]

    def pace(self) -> Pace:
        """Give what has somebody post, or join, when it is time."""
        begun_s = time.monotonic()
        posted = joined = 0

        def go_on() -> float:
            nonlocal posted, joined
            passed_s = time.monotonic() - begun_s
            if passed_s * POSTS_PER_S > posted:
                self.voice.post()
                posted += 1
            if passed_s * JOINS_PER_S > joined:
                join(self.connections, self.group, next(self.guests))
                joined += 1
            return max(0.0, joined / JOINS_PER_S - passed_s)

        return go_on

    def is_drained(self) -> bool:
        """Say whether all have read everything."""
        return not self.voice.unanswered and all(
            member.progress == self.canon.end for member in self.members
        )


def guests_needed(seconds: float) -> int:
    """Give how many join in a run of so many seconds, and some more."""
    return int((seconds + BEGIN_S + 1) * JOINS_PER_S) + 1


def enter(
    connections: Connections, group: str, tokens: Sequence[Token], guests: Sequence[Token]
) -> Circle:
    """Connect a circle's members."""
    canon = Canon()

    def make(place: int, user: str, sock: Socket, hello: dict[str, Any]) -> Reader:
        return member_on(user, sock, connections.buffer, canon)

    members = enter_each(connections, tokens, make)
    voice = enter_voice(connections, group, tokens[0])
    connections.settle(members)
    return Circle(connections, group, members, canon, voice, iter(guests))


def run(
    circle: Circle,
    fan_out: FanOut,
    connections: Connections,
    *,
    warmup_s: float,
    seconds: float,
) -> Outcome:
    """Measure the group that chats, first with the circle silent, then with the circle served."""
    chat = fan_out.begin()
    connections.serve(time.monotonic() + warmup_s, chat)
    silent = fan_out.mark()
    connections.serve(silent.time_s + seconds, chat)
    quiet = fan_out.mark()
    talk = circle.pace()

    def both() -> float:
        return min(chat(), talk())

    connections.serve(time.monotonic() + BEGIN_S, both)
    before = fan_out.mark()
    connections.serve(before.time_s + seconds, both)
    after = fan_out.mark()
    fan_out.drain()
    connections.serve(time.monotonic() + CATCH_UP_S, until=circle.is_drained)
    if not circle.is_drained():
        raise Failed("the circle's members have not all read the same")
    # What a delivery costs cannot be told: the server's time went to both.
    return attrs.evolve(
        fan_out.outcome(before, after),
        posts=0,
        deliveries=0,
        delivery_alone=fan_out.delivery(silent, quiet),
    )
