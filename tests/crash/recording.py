"""What clients asked of a server and what they saw, over all its restarts, in one place.

Border: this notes and judges nothing; ``compare.py`` judges. Its verbs are those of
``groupd.testing.history``, so that another recorder can take its place.

Each event is kept once, however many clients it was pushed to: a later copy is compared with the
first when it comes, and noted only where it differs.
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias

import attrs

from groupd.errors import Rejected

Map: TypeAlias = dict[str, Any]
Place: TypeAlias = tuple[str, int]
"""A group and a seq."""

ASKED_MAX: Final = 2_000_000
"""Requests of one recording; a longer run takes several."""
NOTES_MAX: Final = 100
"""Contradictions that are kept; more than a few say nothing new."""


@attrs.define(eq=False)
class Asked:
    """One intent: a request with an id, however often it was sent."""

    user: str
    method: str
    params: Map
    above: int
    """The newest seq of the group that any client knew of when this was first sent."""
    result: Map | None = None
    """The answer, once there was one."""
    refusal: Rejected | None = None
    """A refusal that is final: ``unavailable`` is none, since the intent is sent again."""
    sent: tuple[int, int] = (0, 0)
    """The connection on which it was sent last, and its place in the order there."""
    given_up: bool = False

    @property
    def id(self) -> str:
        """Give the request id."""
        found: str = self.params["id"]
        return found

    @property
    def group(self) -> str:
        """Give the group that was spoken to."""
        found: str = self.params["group"]
        return found

    @property
    def is_open(self) -> bool:
        """Say whether its client still wants an answer."""
        return self.result is None and self.refusal is None and not self.given_up


@attrs.define(eq=False)
class Connection:
    """How far one connection has come in each group it hears of."""

    number: int
    user: str
    heads: dict[str, int] | None
    """Group -> the seq heard last; None where gaps are in order, for who comes and goes."""
    sent_count: int = 0
    lagged: set[str] = attrs.field(factory=set)


class Recording:
    """All that was asked and seen. For one task at a time."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.events: dict[Place, Map] = {}
        """The events that were pushed."""
        self.notes: list[str] = []
        """What contradicted something earlier at the moment it came."""
        self.acknowledged_count = 0
        self._known: dict[str, int] = {}
        self._connections = 0

    # --- requests

    def invoke(self, user: str, method: str, params: Map) -> Asked:
        """Note an intent just before it is first sent."""
        assert len(self.asked) < ASKED_MAX, "a recording has a limit; begin another one"
        asked = Asked(user, method, params, self._known.get(params["group"], 0))
        self.asked.append(asked)
        return asked

    def sending(self, asked: Asked, connection: Connection) -> None:
        """Note that it is sent on this connection now, after all that was sent there before."""
        connection.sent_count += 1
        asked.sent = (connection.number, connection.sent_count)

    def ok(self, asked: Asked, result: Map) -> None:
        """Note an answer."""
        asked.result = result
        self.acknowledged_count += 1
        self._learn(asked.group, result["seq"])

    def fail(self, asked: Asked, refusal: Rejected) -> None:
        """Note a refusal; after ``unavailable`` the intent stays open."""
        if refusal.code != "unavailable":
            asked.refusal = refusal

    def info(self, asked: Asked) -> None:
        """Note that its client gives up, and that nobody will know what became of it."""
        asked.given_up = True

    # --- what is pushed

    def connected(self, user: str, heads: dict[str, int] | None) -> Connection:
        """Note a new connection. ``heads`` are those of its greeting, from where no event may miss.

        None stands for a user who comes and goes, and hears some events only.
        """
        self._connections += 1
        return Connection(self._connections, user, None if heads is None else dict(heads))

    def event(self, connection: Connection, event: Map) -> None:
        """Note an event that was pushed."""
        group, seq = event["group"], event["seq"]
        self._learn(group, seq)
        first = self.events.setdefault((group, seq), event)
        if first != event:
            self._note(f"{group} {seq} was pushed as {first}, and later as {event}")
        if connection.heads is not None:
            head = connection.heads.get(group, 0)
            if seq <= head:
                self._note(f"{connection.user} heard {group} {seq} after {head}")
            elif seq != head + 1 and group not in connection.lagged:
                self._note(f"{connection.user} heard {group} {seq} after {head}: a silent gap")
            connection.heads[group] = seq
        connection.lagged.discard(group)

    def lagged(self, connection: Connection, group: str) -> None:
        """Note that the server has announced a gap."""
        connection.lagged.add(group)

    def _learn(self, group: str, seq: int) -> None:
        if seq > self._known.get(group, 0):
            self._known[group] = seq

    def _note(self, text: str) -> None:
        if len(self.notes) < NOTES_MAX:
            self.notes.append(text)
