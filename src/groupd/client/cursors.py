"""Which events come next: for each log the one after the last, without gaps or doubles.

Placement rules: no I/O and no buffer in here. A stream of events asks about each push and each
fetched page, and fetches what is behind.

Theory of operation. A cursor knows the ``last`` seq that was taken of its log and the ``head`` as
far as it is known. While both are equal, the push of the next seq is taken as it comes. A push
that is not the next, or for which there is no room, only moves the head: the log is *behind*, and
all its pushes are left until a fetch has caught up. So there is one way to mend everything: a gap,
a slow reader, a ``lagged``, a lost connection.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from itertools import islice
from typing import Final

import attrs

ACCOUNT: Final = ""
"""The user's own log, among the groups."""


@attrs.define
class Cursor:
    """How far a log was taken, and how far it goes."""

    last: int
    head: int
    ending: bool = False
    """The user is not listed there any more: what is left is taken once, then it is forgotten."""


class Cursors:
    """The cursors of all logs that a client follows: its groups', and ``ACCOUNT``."""

    def __init__(self, lasts: Mapping[str, int]) -> None:
        """Begin after the seqs given, that of ``ACCOUNT`` among them."""
        self._logs = {log: Cursor(last, last) for log, last in lasts.items()}
        self._behind: dict[str, None] = {}
        # Groups that were joined unseen. Where they begin is in the account's log, perhaps.
        self._unplaced: dict[str, Cursor] = {}

    # --- what the server says by itself

    def offer(self, log: str, seq: int, *, room: bool) -> bool:
        """Say whether to take a push now. If so, it counts as taken."""
        unplaced = self._unplaced.get(log)
        if unplaced is not None:
            unplaced.head = max(unplaced.head, seq)
            return False
        cursor = self._logs.get(log)
        if cursor is None:
            # The first push of a group is that of the user's own joining.
            cursor = self._logs[log] = Cursor(seq - 1, seq - 1)
        if seq <= cursor.last:
            return False
        cursor.ending = False
        cursor.head = max(cursor.head, seq)
        if room and seq == cursor.last + 1 and log not in self._behind:
            cursor.last = seq
            return True
        self._behind[log] = None
        return False

    def reaches(self, log: str, head: int) -> None:
        """Learn how far a log goes, from a listing or from ``lagged``."""
        cursor = self._logs.get(log) or self._unplaced.get(log)
        if cursor is None:
            self._unplaced[log] = Cursor(head, head)
            return
        cursor.head = max(cursor.head, head)
        cursor.ending = False
        if log in self._logs and cursor.head > cursor.last:
            self._behind[log] = None

    def keep_only(self, listed: Set[str]) -> None:
        """Learn in which groups the user still is."""
        for log, cursor in self._logs.items():
            if log != ACCOUNT and log not in listed:
                cursor.ending = True
                self._behind[log] = None
        self._unplaced = {log: own for log, own in self._unplaced.items() if log in listed}

    # --- what is fetched

    def behind(self, count_max: int) -> dict[str, int]:
        """Give log -> last seq of some that must be fetched; if ``ACCOUNT`` must, it alone.

        It goes first because it says where groups joined unseen begin.
        """
        if ACCOUNT in self._behind:
            return {ACCOUNT: self._logs[ACCOUNT].last}
        for log, cursor in self._unplaced.items():
            self._logs[log] = cursor
            if cursor.head > cursor.last:
                self._behind[log] = None
        self._unplaced.clear()
        return {log: self._logs[log].last for log in islice(self._behind, count_max)}

    def take(self, log: str, seq: int) -> bool:
        """Say whether to take an event that was fetched. If so, it counts as taken."""
        cursor = self._logs.get(log)
        if cursor is None or seq <= cursor.last:
            return False
        cursor.last = seq
        cursor.head = max(cursor.head, seq)
        return True

    def fetched(self, log: str, head: int, *, more: bool) -> None:
        """Learn that all of a page is taken, where the log's head was, and whether more follows."""
        cursor = self._logs.get(log)
        if cursor is None:
            return
        # It goes to the end, so that a log that is long behind does not hold up the others.
        self._behind.pop(log, None)
        if not more:
            if cursor.ending:
                del self._logs[log]
                return
            cursor.last = max(cursor.last, head)
        if more or cursor.head > cursor.last:
            self._behind[log] = None

    def forget(self, log: str) -> None:
        """Stop following a group that the server says nothing about any more."""
        self._behind.pop(log, None)
        self._logs.pop(log, None)

    def place(self, group: str, at: int) -> None:
        """Learn from the account's log that the user was added to a group by its event ``at``."""
        cursor = self._unplaced.get(group)
        if cursor is not None:
            cursor.last = min(cursor.last, at - 1)
