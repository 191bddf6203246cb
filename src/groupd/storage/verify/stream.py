"""Checking all that is stored of one stream, a bounded read at a time, beside its writers.

Theory of operation: a ``StreamCheck`` first goes through the records, a slice in each step, and
makes of them what the index and the state should be. When it has come to the head, as of that
read, it compares the head, the snapshot and the read cursors. Then come the pieces of the index,
one in each step: before one is compared, what was appended meanwhile is taken in, in the same
read. So whatever is compared is of one moment, and a writer in between makes no false alarm.

Where a record is damaged, what should come of it is not known: then the index and the state are
not compared, and a problem says so. They are once the stream has been mended.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import attrs

from groupd.domain.base import Record, StreamKey
from groupd.storage.findings import Problem
from groupd.storage.port import Store
from groupd.storage.verify.index import IndexCheck, Piece, Project
from groupd.storage.verify.records import (
    BEGINNING,
    SENSELESS,
    Place,
    advance,
    read_head,
    said,
)
from groupd.storage.verify.state import StateCheck, cursor_faults

RECORDS_PER_STEP: Final = 250
"""Records that one step checks."""

GROWTH_MAX: Final = 16
"""How many times as many that may become where a stream is written to faster than it is read: more
than any writer writes in the time of one step."""

PROBLEMS_MAX: Final = 100
"""Problems of one stream that are told one by one; of further ones, how many there are."""


@attrs.define
class StreamCheck:
    """A check of one stream under way. ``step`` is called until ``is_done``, by one at a time."""

    stream: StreamKey
    project: Project
    compares_index: bool = True
    records_per_step: int = RECORDS_PER_STEP
    records: int = 0
    """How many were checked."""
    is_done: bool = False
    state: StateCheck | None = None
    """None before the first step, and where the records make no state."""
    _index: IndexCheck | None = None
    _problems: list[Problem] = attrs.field(factory=list)
    _untold: int = 0
    _place: Place = BEGINNING
    _limit: int = attrs.field(init=False)
    _target: int | None = None
    """The head as of the first step; beyond it, writers are being followed."""
    _pieces: Iterator[Piece] | None = None
    _piece: Piece | None = None

    def __attrs_post_init__(self) -> None:
        self._limit = self.records_per_step

    @property
    def problems(self) -> Sequence[Problem]:
        """Give what was found so far."""
        if not self._untold:
            return self._problems
        more = Problem(self.stream, 0, f"and {self._untold} more problems")
        return [*self._problems, more]

    def step(self, store: Store) -> None:
        """Do one bounded read; it must be one moment of the store.

        Raises LogBroken or LogUnavailable where there is no store any more. All else that goes
        wrong is a problem.
        """
        if self._target is None:
            self._begin(store)
        found, place, is_end = advance(store, self.stream, self._place, self._limit, self._take)
        self._place = place
        # What is wrong with the head is found whenever the end is reached.
        self._note([problem for problem in found if problem not in self._problems])
        if not is_end:
            assert self._target is not None
            if place.seq >= self._target and not place.unreadable:
                # Else whoever writes fast enough could keep this from ending.
                self._limit = min(2 * self._limit, GROWTH_MAX * self.records_per_step)
            return
        self._limit = self.records_per_step
        if self._pieces is None:
            self._compare_the_rest(store)
        elif self._piece is not None and self._index is not None:
            self._say(self._index.compare(store, self._piece))
        self._piece = None if self._index is None else next(self._pieces or iter(()), None)
        self.is_done = self._piece is None

    def _begin(self, store: Store) -> None:
        head, _problems = read_head(store, self.stream)
        self._target = 0 if head is None else head.seq
        self.state, wrong = StateCheck.begin(store, self.stream)
        self._say(wrong)
        if self.compares_index and self.state is not None:
            self._index = IndexCheck(self.stream, self.project)

    def _take(self, record: Record, is_good: bool) -> None:
        self.records += 1
        if self.state is None:
            return
        if not is_good:
            self._give_up()
            return
        try:
            odd = self.state.take(record)
            if self._index is not None:
                self._index.take(record)
        except SENSELESS as error:
            self._note([Problem(self.stream, record.seq, f"it cannot be applied: {said(error)}")])
            self._give_up()
            return
        if odd is not None:
            self._note([Problem(self.stream, record.seq, odd)])

    def _give_up(self) -> None:
        """Compare neither index nor state."""
        if self.state is not None:
            self.state = self._index = None
            self._say(["its index and its state were not compared, since a record is damaged"])

    def _compare_the_rest(self, store: Store) -> None:
        """Compare what belongs to the head, in the read that has come to it."""
        head, _problems = read_head(store, self.stream)
        if self.state is not None and (head is None or self.state.seq != self._place.seq):
            self._give_up()  # There is no head, or the last records cannot be read.
        if head is not None:
            self._say([] if self.state is None else list(self.state.faults(head)))
            self._say(list(cursor_faults(store, self.stream, head)))
        self._pieces = iter(()) if self._index is None else self._index.pieces(self._place.seq)

    def _say(self, what: Sequence[str]) -> None:
        self._note([Problem(self.stream, 0, each) for each in what])

    def _note(self, problems: Sequence[Problem]) -> None:
        room = max(PROBLEMS_MAX - len(self._problems), 0)
        self._problems += problems[:room]
        self._untold += len(problems[room:])


def check_stream(store: Store, stream: StreamKey, project: Project) -> Sequence[Problem]:
    """Check all that is stored of a stream that nobody writes to meanwhile."""
    check = StreamCheck(stream, project)
    while not check.is_done:
        check.step(store)
    return check.problems
