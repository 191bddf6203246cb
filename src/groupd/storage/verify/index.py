"""Checking the index: the rows of each stream against those that its records make.

A second index is made of the stream's records, a slice at a time. Then the two are compared piece
by piece: in one read the second one is brought up to the head, and the stored rows of that piece
are read. Both are of one moment then, however much is written between two reads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any, Final, TypeAlias

import attrs

from groupd.domain.base import ACCOUNT, Record, StreamKey
from groupd.domain.projection import Change
from groupd.storage.findings import Bound, Problem
from groupd.storage.index import KINDS_BY_SEQ, KINDS_BY_USER, KINDS_OF_ACCOUNTS, KINDS_OF_GROUPS
from groupd.storage.memory_index import GroupIndex, MemoryIndex
from groupd.storage.port import Store
from groupd.storage.verify.records import SENSELESS, all_records, all_streams, said

WINDOW: Final = 2_000
"""Records, or users, whose rows of one kind are compared in one read."""

NOT_MADE: Final = "is in the index, and no record makes it"
NOT_THERE: Final = "is not in the index"

_ERASABLE: Final = {"mention": 0, "reply": 1, "edit": 1}
"""Where in a row of what goes with a body the seq of its record is."""

Project: TypeAlias = Callable[[StreamKey, Record], Sequence[Change]]


@attrs.frozen
class Piece:
    """Rows of one kind; of those that grow, the ones of some records or of some users."""

    kind: str
    after: Bound = None
    upto: Bound = None


@attrs.define
class IndexCheck:
    """Makes the index of one stream, and says where the stored one differs."""

    stream: StreamKey
    project: Project
    _made: MemoryIndex = attrs.field(factory=MemoryIndex)

    def take(self, record: Record) -> None:
        """Take in one more record. Raises one of ``SENSELESS`` where it makes no sense."""
        changes = self.project(self.stream, record)
        if changes:
            self._made.apply(self.stream, changes)

    def pieces(self, head: int) -> Iterator[Piece]:
        """Give what is to be compared, of a stream that had this head a moment ago."""
        if self.stream.kind == ACCOUNT:
            yield from map(Piece, KINDS_OF_ACCOUNTS)
            return
        group = self._made.groups.get(self.stream, GroupIndex())
        tied_to = {name for name, _kind in group.ties}
        users = sorted(group.members.keys() | group.spoke.keys() | tied_to)
        cuts: dict[str, Sequence[int | str]] = {
            **dict.fromkeys(KINDS_BY_SEQ, range(WINDOW, head, WINDOW)),
            **dict.fromkeys(KINDS_BY_USER, users[WINDOW::WINDOW]),
        }
        for kind in KINDS_OF_GROUPS:
            # The first piece has what stands before the first cut, the last what comes behind.
            bounds = [None, *cuts.get(kind, ()), None]
            yield from (Piece(kind, *between) for between in pairwise(bounds))

    def compare(self, store: Store, piece: Piece) -> Sequence[str]:
        """Say where a piece differs, after all records that there are were taken."""
        kind = piece.kind
        try:
            rows = store.checks.index_rows(self.stream, kind, piece.after, piece.upto)
            stored = set(rows)
        except SENSELESS as error:
            return [f"index: its {kind} rows cannot be read: {said(error)}"]
        made = self._rows(piece)
        if kind in _ERASABLE and not made <= stored:
            self._forget_erased(store, [row[_ERASABLE[kind]] for row in made - stored])
            made = self._rows(piece)
        wrong = [
            *(
                _said_of(kind, row, "is in the index, and no record makes it")
                for row in stored - made
            ),
            *(_said_of(kind, row, "is not in the index") for row in made - stored),
        ]
        if len(rows) > len(stored):
            wrong.append(f"index: some of its {kind} rows are there twice")
        return wrong

    def _rows(self, piece: Piece) -> set[tuple[Any, ...]]:
        return set(self._made.rows(self.stream, piece.kind, piece.after, piece.upto))

    def _forget_erased(self, store: Store, seqs: Sequence[int]) -> None:
        """Forget what records said that have been erased since they were taken."""
        group = self._made.groups[self.stream]
        try:
            records = store.pick(self.stream, seqs)
        except SENSELESS:
            return  # What cannot be read was found when the records were checked.
        for record in records:
            if record.body is None:
                group.erase(record.seq)


def _said_of(kind: str, row: tuple[object, ...], what: str) -> str:
    return f"{kind} {list(row)} {what}"


def verify_index(store: Store, project: Project) -> Sequence[Problem]:
    """Check the index of all streams of a store that nobody writes to meanwhile."""
    problems: list[Problem] = []
    for stream in all_streams(store):
        check, last = IndexCheck(stream, project), 0
        for record in all_records(store, stream):
            check.take(record)
            last = record.seq
        for piece in check.pieces(last):
            problems += [Problem(stream, 0, what) for what in check.compare(store, piece)]
    return problems
