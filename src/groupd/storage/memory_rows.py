"""The records of one stream in memory, each as one piece of bytes.

A record is some ten objects, and takes a kilobyte. Memory that is touched for the first time is
dear: in busy groups that was a seventh of what a post cost. As one piece a record takes less than
half, and its objects' places are taken by the next one's.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, overload

from groupd import native
from groupd.domain.base import Record

_HEAD: Final = struct.Struct(">BBIQqBHHIBBBB?")
"""Audience, followed, forget, n, time; then the sizes of kind, user, request id, header, salt,
request hash, inner hash and chain, and whether there is a body. All of these come after it."""


def _row_in_python(record: Record) -> bytes:
    """Give a record as one piece; its seq is its place."""
    parts = (
        record.kind.encode(),
        record.user.encode(),
        record.request_id.encode(),
        *(record.header, record.salt, record.request_hash, record.inner, record.chain),
    )
    head = _HEAD.pack(
        *(record.audience, record.followed, record.forget, record.n, record.time_ms),
        *map(len, parts),
        record.body is not None,
    )
    return b"".join((head, *parts, record.body or b""))


row_of: Final[Callable[[Record], bytes]] = (
    _row_in_python if native.records is None else native.records.row_of
)


def record_of(seq: int, row: bytes) -> Record:
    """Give the record of a row."""
    audience, followed, forget, n, time_ms, *sizes, has_body = _HEAD.unpack_from(row)
    parts, start = [], _HEAD.size
    for size in sizes:
        parts.append(row[start : start + size])
        start += size
    kind, user, request_id, header, salt, request_hash, inner, chain = parts
    return Record(
        seq=seq,
        time_ms=time_ms,
        kind=kind.decode(),
        user=user.decode(),
        request_id=request_id.decode(),
        audience=audience,
        n=n,
        forget=forget,
        followed=bool(followed),
        header=header,
        salt=salt,
        request_hash=request_hash,
        body=row[start:] if has_body else None,
        inner=inner,
        chain=chain,
    )


class Rows(Sequence[Record]):
    """The records of a stream in the order of their seqs, made anew for whoever looks."""

    __slots__ = ("_rows",)

    def __init__(self) -> None:
        self._rows: list[bytes] = []

    def extend(self, records: Iterable[Record]) -> None:
        """Append records."""
        self._rows += [row_of(record) for record in records]

    def __setitem__(self, place: int, record: Record) -> None:
        self._rows[place] = row_of(record)

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, place: int) -> Record: ...

    @overload
    def __getitem__(self, place: slice) -> list[Record]: ...

    def __getitem__(self, place: Any) -> Any:
        if isinstance(place, slice):
            places = range(len(self._rows))[place]
            return [record_of(index + 1, self._rows[index]) for index in places]
        index = range(len(self._rows))[place]
        return record_of(index + 1, self._rows[index])
