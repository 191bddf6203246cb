"""A reconnect storm: thousands of sessions drop at once, come back, and read what they missed."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import attrs

from bench import dialect
from bench.connections import Connections
from bench.entering import Arrival, Token, arrive, enter_each, enter_voice
from bench.fanout import FanOut
from bench.figures import Outcome
from bench.members import Failed, Poster, Reader, Socket
from bench.server import reset_peak_rss, rss_bytes

MISSED: Final = 20
"""Posts to each group while its members are away."""
POST_MAX_S: Final = 20.0


class Sleeper(Reader):
    """A session that reads, and does not look at it."""

    def take(self, piece: memoryview) -> None:
        """Do nothing."""


class Returning(Arrival):
    """A client that comes back: hello, then sync for as long as there is more."""

    def __init__(
        self,
        user: str,
        sock: Socket,
        buffer: bytearray,
        done: Callable[[], None],
        *,
        cursors: dict[str, int],
    ) -> None:
        super().__init__(user, sock, buffer, done)
        self.missed = 0
        self._cursors = cursors

    def answered(self, msgid: int, result: dict[str, Any]) -> None:
        """Ask for what came after the cursors, where anything did."""
        if msgid == 0:
            heads = {one["group"]: one["head"] for one in result["groups"]}
            behind = {group: seq for group, seq in self._cursors.items() if heads[group] > seq}
        else:
            behind = {}
            for page in result["groups"]:
                events = page["events"]
                self.missed += len(events)
                if page["more"]:
                    behind[page["group"]] = events[-1]["seq"]
        if behind:
            self.ask(dialect.sync(behind))


@attrs.frozen
class Crowd:
    """Those who will drop."""

    connections: Connections
    groups: Sequence[str]
    tokens: Sequence[Token]
    cursors: Sequence[dict[str, int]]
    """What each knows of their groups."""
    sessions: list[Reader]
    voices: Sequence[Poster]
    """One connection of each group that stays, to post what the others miss."""

    def drop(self) -> None:
        """Close all connections, at once."""
        for session in self.sessions:
            self.connections.drop(session)
        self.sessions.clear()

    def post(self) -> None:
        """Post what those who are away will find."""
        for voice in self.voices:
            voice.post(MISSED)

    def is_answered(self) -> bool:
        """Say whether what they will find is there."""
        return not any(voice.unanswered for voice in self.voices)


def enter(
    connections: Connections, groups: Sequence[str], tokens: Sequence[Sequence[Token]]
) -> Crowd:
    """Connect the crowd."""
    everybody = [token for of_group in tokens for token in of_group]
    cursors: dict[int, dict[str, int]] = {}

    def make(place: int, user: str, sock: Socket, hello: dict[str, Any]) -> Reader:
        cursors[place] = {one["group"]: one["head"] for one in hello["groups"]}
        return Sleeper(user, sock, connections.buffer)

    sessions = enter_each(connections, everybody, make)
    voices = [
        enter_voice(connections, group, of_group[0])
        for group, of_group in zip(groups, tokens, strict=True)
    ]
    connections.settle(sessions)
    known = [cursors[place] for place in range(len(everybody))]
    return Crowd(connections, groups, everybody, known, sessions, voices)


def run(
    crowd: Crowd,
    fan_out: FanOut,
    connections: Connections,
    pid: int,
    *,
    warmup_s: float,
    seconds: float,
) -> Outcome:
    """Measure the group that chats, first in peace, then while all the others come back."""
    chat = fan_out.begin()
    connections.serve(time.monotonic() + warmup_s, chat)
    peace = fan_out.mark()
    connections.serve(peace.time_s + seconds, chat)
    quiet = fan_out.mark()
    reset_peak_rss(pid)
    crowd.drop()
    crowd.post()
    connections.serve(time.monotonic() + POST_MAX_S, chat, crowd.is_answered)
    if not crowd.is_answered():
        raise Failed("what the crowd misses could not be posted")
    before = fan_out.mark()
    returning = _return(crowd, connections, chat)
    after = fan_out.mark()
    fan_out.drain()
    short = [one.user for one in returning if one.missed != MISSED]
    outcome = fan_out.outcome(before, after)
    if short:
        outcome.problems.append(f"{len(short)} missed other than {MISSED} posts, as {short[0]}")
    # What a delivery costs cannot be told: the server's time went to both.
    return attrs.evolve(
        outcome,
        posts=0,
        deliveries=0,
        delivery_alone=fan_out.delivery(peace, quiet),
        caught_up_s=after.time_s - before.time_s,
        rss_peak_bytes=rss_bytes(pid, "VmHWM"),
    )


def _return(crowd: Crowd, connections: Connections, chat: Callable[[], float]) -> list[Returning]:
    """Have all come back while the others chat."""
    returning: list[Returning] = []
    beside = crowd.connections

    def start(place: int, done: Callable[[], None]) -> None:
        user, token = crowd.tokens[place]

        def reached(sock: Socket) -> None:
            one = Returning(user, sock, beside.buffer, done, cursors=crowd.cursors[place])
            beside.add(one)
            returning.append(one)
            one.ask(dialect.hello(token))

        beside.reach(reached)

    arrive(connections, range(len(crowd.tokens)), start, title="coming back", meanwhile=chat)
    return returning
