"""What a check reads of a store beside all others, and what it finds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol, TypeAlias

import attrs

from groupd.domain.base import StreamKey

WHOLE: Final = StreamKey("", "", "")
"""Stands in a problem for the store, or a table of it, where it is no stream's own."""

Loose: TypeAlias = tuple[int, int, str]
"""A place between two calls of ``Checks.loose_ends``, which alone knows what it means."""

Bound: TypeAlias = int | str | None
"""What the first value of some rows is compared with: a seq or a user; None for no bound."""


@attrs.frozen
class Problem:
    """Something that a check found wrong. ``seq`` 0 means the stream as a whole."""

    stream: StreamKey
    seq: int
    what: str


class Checks(Protocol):
    """What only a check reads of a store; it belongs to the store's thread."""

    def index_rows(
        self, stream: StreamKey, kind: str, after: Bound = None, upto: Bound = None
    ) -> Sequence[tuple[object, ...]]:
        """Give the rows of one kind that the index has of one stream, in any order.

        As in ``dump_index``, without how each begins there; and ``tally``: message, reaction, how
        many. Of ``KINDS_BY_SEQ`` and ``KINDS_BY_USER`` those with ``after`` < first value <=
        ``upto``. What is kept twice is a row only where both agree.
        """
        ...

    def loose_ends(self, after: Loose | None, limit: int) -> tuple[Sequence[Problem], Loose | None]:
        """Look for rows that belong to no stream, and for registers that make no sense.

        A call looks at some ``limit`` streams behind the place that the one before gave.
        """
        ...

    def file_faults(self) -> Sequence[str]:
        """Say what is wrong with the files as such; it reads all of them in one go."""
        ...
