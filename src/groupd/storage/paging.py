"""How a piece of a log is cut to a size in bytes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from groupd.domain.base import Record
from groupd.storage.port import Page, Slice

NO_RECORDS: Final = Slice((), more=False)
NO_EVENTS: Final = Page((), more=False)


def fitting(records: Iterable[Record], max_bytes: int | None) -> Sequence[Record]:
    """Give the records, from the first on, that fit into ``max_bytes``, and at least one."""
    if max_bytes is None:
        return list(records)
    taken: list[Record] = []
    size = 0
    for record in records:
        size += len(record.header) + len(record.body or b"")
        if size > max_bytes and taken:
            break
        taken.append(record)
    return taken
