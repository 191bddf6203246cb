"""Checking a whole store: stream by stream, and then what belongs to no stream.

Placement rules: here is only in which order what is read. Whoever has the store calls what
``reads`` gives, one after the other, each in a read of its own: a server between its rounds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Final, TypeAlias

import attrs

from groupd.domain.base import StreamKey
from groupd.storage.findings import WHOLE, Loose, Problem
from groupd.storage.port import Store
from groupd.storage.verify.index import Project
from groupd.storage.verify.records import SENSELESS, SLICE, said
from groupd.storage.verify.stream import StreamCheck

PROBLEMS_PER_PART: Final = 1_000
"""After how many problems a part of a check ends, so that they fit into one answer; and how many
the last part tells one by one."""

Read: TypeAlias = Callable[[Store], None]


@attrs.define
class StoreCheck:
    """A part of a check: the streams behind one, up to about a number of records.

    What was found is in its fields once all of ``reads`` were called, and true of the moments of
    those reads. Where a record or a row cannot be read, the check goes on behind it or with the
    next stream; it ends in any case.
    """

    after: StreamKey | None
    project: Project
    records_max: int | None = None
    """None for all streams."""
    with_file: bool = False
    """Whether the last part also checks the form of the files, in one long read."""
    streams: int = 0
    records: int = 0
    problems: list[Problem] = attrs.field(factory=list)
    following: StreamKey | None = None
    """The stream behind which the next part begins; None after the last part, which alone looks
    for what belongs to no stream."""
    _listed: Sequence[StreamKey] = ()
    _loose: Loose | None = None

    def reads(self) -> Iterator[Read]:
        """Give what is to be called with the store, one by one."""
        after = self.after
        while True:
            before = after
            yield partial(self._list, before)
            for stream in self._listed:
                if not all(type(part) is str for part in stream):
                    what = f"the table streams has a key that is no text: {list(stream)}"
                    self.problems.append(Problem(WHOLE, 0, what))
                    continue
                if after is not None and not after < stream:
                    what = f"it is out of order in the table streams, behind {'/'.join(after)}"
                    self.problems.append(Problem(stream, 0, what))
                    continue
                after = stream
                yield from self._check(stream)
                if self._is_enough():
                    self.following = after
                    return
            if after == before:
                break
        while True:
            yield self._look_for_loose_ends
            if self._loose is None:
                break
        if self.with_file:
            yield self._check_file
        untold = len(self.problems) - PROBLEMS_PER_PART
        if untold > 0:
            more = Problem(WHOLE, 0, f"and {untold} more problems")
            self.problems[PROBLEMS_PER_PART:] = [more]

    def _is_enough(self) -> bool:
        return self.records_max is not None and (
            self.records >= self.records_max or len(self.problems) >= PROBLEMS_PER_PART
        )

    def _list(self, after: StreamKey | None, store: Store) -> None:
        """Find the next streams, as many as can be read."""
        try:
            self._listed = store.streams(after, SLICE)
            return
        except SENSELESS:
            pass  # One of them: those before it are good, perhaps.
        listed: list[StreamKey] = []
        try:
            while len(listed) < SLICE and (found := store.streams(after, 1)):
                if after is not None and not after < found[0]:
                    break
                listed += found
                after = found[0]
        except SENSELESS as error:
            if not listed:
                behind = "" if after is None else f" behind {'/'.join(after)}"
                what = f"the table streams cannot be read{behind}: {said(error)}"
                self.problems.append(Problem(WHOLE, 0, what))
        self._listed = listed

    def _check(self, stream: StreamKey) -> Iterator[Read]:
        check = StreamCheck(stream, self.project)
        while not check.is_done:
            yield check.step
        self.streams += 1
        self.records += check.records
        self.problems += check.problems

    def _look_for_loose_ends(self, store: Store) -> None:
        found, self._loose = store.checks.loose_ends(self._loose, SLICE)
        self.problems += found

    def _check_file(self, store: Store) -> None:
        self.problems += [Problem(WHOLE, 0, what) for what in store.checks.file_faults()]


def check_store(store: Store, project: Project) -> Sequence[Problem]:
    """Check all of a store that nobody writes to meanwhile."""
    check = StoreCheck(None, project, with_file=True)
    for read in check.reads():
        read(store)
    return check.problems
