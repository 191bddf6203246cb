"""What members have read, and whether it was every acknowledged post, once and in order. Pure.

Theory of operation. A ``Reading`` follows one member through one group, as a client does: a push
is taken if it is the next; once something was missed (``lagged``, a lost connection) it is *behind*
and takes nothing but what is fetched, until that has reached the head. So a member takes seq after
seq without a gap, whatever happens, or there is a problem.

What the first member takes at a seq is set down in the group's ``GroupLog``, and what all others
take there is compared with it. So at the end two things say it all: that each acknowledged post
stands in the log once, under the seq that its sender was told, and that every member has come that
far.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from typing import Final

import attrs

PROBLEMS_SHOWN: Final = 20
"""Problems that are kept in words; further ones are counted."""
NO_POST: Final = -1
"""Stands in the log for an event that is no post of this run."""
_UNREAD: Final = -2
"""Stands there for a seq that a member was wrongly led past."""


@attrs.define
class Problems:
    """What the server has done wrong."""

    shown: list[str] = attrs.field(factory=list)
    count: int = 0

    def add(self, problem: str) -> None:
        """Note one."""
        self.count += 1
        if len(self.shown) < PROBLEMS_SHOWN:
            self.shown.append(problem)


class GroupLog:
    """What stands in one group, as its members have read it."""

    def __init__(self, group: str, problems: Problems) -> None:
        self.group = group
        self.problems = problems
        self.base = 0
        """The first seq that is set down; 0 until ``begin``."""
        self.last_acknowledged = 0
        """The highest seq that a sender was told."""
        self._numbers = array("q")

    def begin(self, seq: int) -> None:
        """Set down what comes from this seq on. No member may have taken it yet."""
        self.base = seq

    def take(self, user: str, seq: int, number: int) -> None:
        """Set down or compare what a member has taken; ``number`` is its post's, or NO_POST."""
        at = seq - self.base
        if not self.base or at < 0:
            return
        while at >= len(self._numbers):
            self._numbers.append(_UNREAD)
        known = self._numbers[at]
        if known == _UNREAD:
            self._numbers[at] = number
        elif known != number:
            self.problems.add(
                f"group {self.group}, seq {seq}: {user} read {_post(number)} where others "
                f"read {_post(known)}"
            )

    def posts(self) -> Iterator[tuple[int, int]]:
        """Give the seq and the number of each post of this run."""
        for at, number in enumerate(self._numbers):
            if number >= 0:
                yield self.base + at, number


def _post(number: int) -> str:
    return "something else" if number == NO_POST else f"post {number}"


@attrs.define(eq=False)
class Reading:
    """How far one member has read one group."""

    user: str
    log: GroupLog
    taken: int = 0
    """The last seq that was taken; 0 before the first."""
    pushed: int = 0
    """The last seq that was pushed on this connection; 0 where that is not known."""
    head: int = 0
    """The last seq that is known to exist."""

    @property
    def is_behind(self) -> bool:
        """Whether something has to be fetched."""
        return self.head > self.taken

    def reconnected(self) -> None:
        """Expect pushes of a new connection."""
        self.pushed = 0

    def listed(self, head: int) -> None:
        """Take the head of the list that ``hello`` gives: pushes begin right after it.

        A group that is listed for the first time is read from there on.
        """
        if not self.pushed:
            self.pushed = head
        self.taken = self.taken or head
        self.head = max(self.head, head)

    def push(self, seq: int) -> bool:
        """Say whether a pushed event is to be taken now."""
        if self.pushed and seq != self.pushed + 1:
            what = "once more" if seq <= self.pushed else "next"
            self.wrong(f"was pushed {seq} {what} after {self.pushed}")
        self.pushed = seq
        if not self.taken:
            # The first push of a group is that of the member's own joining.
            self.taken = self.head = seq - 1
        is_next = not self.is_behind and seq == self.taken + 1
        self.head = max(self.head, seq)
        if is_next:
            self.taken = seq
        return is_next

    def lagged(self, head: int) -> None:
        """Learn that pushes were left out, and how far the group goes."""
        self.pushed = 0
        self.head = max(self.head, head)

    def fetched(self, seq: int) -> bool:
        """Say whether an event that was fetched after ``taken`` is to be taken."""
        if seq != self.taken + 1:
            self.wrong(f"was given {seq} after {self.taken} by history")
            if seq <= self.taken:
                return False
        self.taken = seq
        self.head = max(self.head, seq)
        return True

    def wrong(self, what: str) -> None:
        """Note what is wrong with what this member read."""
        self.log.problems.add(f"group {self.log.group}: {self.user} {what}")


def check(
    logs: Sequence[GroupLog],
    readings: Sequence[Reading],
    acknowledged: Sequence[int],
    problems: Problems,
) -> None:
    """Note each acknowledged post that does not stand once, where its sender was told to all.

    ``acknowledged`` maps numbers to seqs, 0 for those without an answer; the post ``number`` is of
    the group ``number % len(logs)``. Posts without an answer may stand in a log, but only once.
    """
    place_of = array("q", bytes(8 * len(acknowledged)))
    for group, log in enumerate(logs):
        for seq, number in log.posts():
            if number >= len(acknowledged) or number % len(logs) != group:
                problems.add(f"group {log.group}, seq {seq}: nobody has sent {_post(number)} there")
                continue
            if place_of[number]:
                problems.add(
                    f"group {log.group}: post {number} stands there twice, "
                    f"at {place_of[number]} and {seq}"
                )
            place_of[number] = seq
    for number, seq in enumerate(acknowledged):
        if seq and place_of[number] and place_of[number] != seq:
            problems.add(
                f"group {logs[number % len(logs)].group}: post {number} was acknowledged at {seq} "
                f"and stands at {place_of[number]}"
            )
        elif seq and not place_of[number]:
            problems.add(
                f"group {logs[number % len(logs)].group}: post {number}, acknowledged at {seq}, "
                "reached nobody"
            )
    for reading in readings:
        if reading.taken < reading.log.last_acknowledged:
            reading.wrong(
                f"has read to {reading.taken}, and posts were acknowledged to "
                f"{reading.log.last_acknowledged}"
            )
