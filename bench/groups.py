"""The groups of a run as the load sees them: who is in them, and whether all got everything."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Final, Protocol

import attrs

from bench.members import Canon, Poster, Posting, Reader, Witness

SHOWN_MAX: Final = 5
WATCHERS_MAX: Final = 10
"""Of a group."""
WATCHED: Final = 10
"""Of so many silent members, one notes when posts arrive."""


class Watching(Protocol):
    """A silent member that notes when each post arrived."""

    user: str
    took_ns: array[int]


@attrs.frozen
class Group:
    """Who is in a group."""

    readers: Sequence[Reader]
    """All to whom posts are delivered."""
    posters: Sequence[Posting]
    """They are readers too, unless they post by a connection of its own."""
    watchers: Sequence[Watching]
    """Some of the readers, spread evenly: one server begins with who came first, another with who
    came last. The last one is the witness, who sees everything."""
    canon: Canon | None
    """What all readers read; None where each counts. It decides the unit of their progress."""
    receivers: int
    """How many of the readers get each post: all, or all but who posts."""

    @property
    def witness(self) -> Watching:
        """Give the one who tells what was delivered."""
        return self.watchers[-1]

    @property
    def progress(self) -> int:
        """Add up what was delivered, in the unit of the readers."""
        return sum(reader.progress for reader in self.readers)

    @property
    def posted(self) -> int:
        """Count the posts so far."""
        return sum(poster.posted for poster in self.posters)

    @property
    def unanswered(self) -> int:
        """Count the posts under way."""
        return sum(poster.unanswered for poster in self.posters)

    @property
    def unit(self) -> float:
        """Give how much progress one delivery is, as far as is known by now."""
        if self.canon is None or not self.canon.end:
            return 1.0
        # All posts have the same length, but for the digits of their seqs.
        return self.canon.end / max(1, len(self.witness.took_ns))

    @property
    def lost(self) -> int:
        """Count the deliveries that are missing."""
        return self.posted * self.receivers - round(self.progress / self.unit)

    def is_drained(self) -> bool:
        """Say whether everything that was posted has been answered and delivered."""
        if self.unanswered or len(self.witness.took_ns) != self.posted:
            return False
        if self.canon is None:
            return self.progress == self.posted * self.receivers
        return all(reader.progress == self.canon.end for reader in self.readers)

    def tidy(self) -> None:
        """Forget what everybody has read."""
        if self.canon is not None and self.canon.overfull:
            self.canon.forget(min(reader.progress for reader in self.readers))

    def problems(self) -> list[str]:
        """Say what is wrong with what was delivered, compared with what was acknowledged."""
        problems = [
            f"{poster.user}: {poster.unanswered} posts were never answered"
            for poster in self.posters
            if poster.unanswered
        ]
        if not self.posted:
            problems.append(f"{self.witness.user}: nothing was posted in its group")
        if isinstance(self.witness, Witness):
            problems += self._differences(self.witness)
        return problems

    def _differences(self, witness: Witness) -> list[str]:
        problems = []
        behind = [one.user for one in self.readers if one.progress != witness.canon.end]
        if behind:
            named = ", ".join(behind[:SHOWN_MAX])
            problems.append(f"{len(behind)} members miss something: {named}")
        told: dict[int, int] = {}
        for poster in self.posters:
            assert isinstance(poster, Poster)
            told |= poster.seqs
        if told != witness.seqs:
            wrong = dict(told.items() ^ witness.seqs.items())
            problems.append(f"{witness.user}: {len(wrong)} posts as told and as read differ")
        return problems


def watched_places(members: int, posters: int) -> set[int]:
    """Choose who notes when posts arrive: some of the silent members, the last one among them."""
    silent = members - posters
    watchers = min(WATCHERS_MAX, max(1, silent // WATCHED))
    return {members - 1 - number * silent // watchers for number in range(watchers)}
