"""The file that ``groupd export`` writes: what is in it, item by item, and what spoils it.

It is ``MAGIC``, then items, each a length of four bytes and a MessagePack array. The last one has
counts and the SHA-256 of all before it, so a file that was cut or changed is noticed.

Items, in their order:

    header    1, {store, format, groupd, time_ms}
    stream    kind, tenant, key, head, chain, deadline_ms    then those of this stream:
    records   [[the fields of a record, in the order of ``Record``], ...]
    cursors   [[user, seq], ...]
    settled   name                                           a reactor has finished with all before
    audit     [[the fields of an entry, in the order of ``AuditEntry``], ...]
    end       {streams, records, cursors, audit}, hash

Version 1 has no audit.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator
from typing import Any, BinaryIO, Final

import attrs
import msgpack

from groupd.errors import LogCorrupt

MAGIC: Final = b"groupd export\n"
EXPORT_VERSION: Final = 2
"""Of the file. A higher one is refused."""
ITEM_BYTES: Final = 1_048_576
"""Of headers and bodies in one item, and of one record at least."""
ITEM_MAX_BYTES: Final = 16 * ITEM_BYTES
"""What a reader takes at most for one item."""

_LENGTH: Final = struct.Struct(">I")


@attrs.define
class Counts:
    """What was exported or imported."""

    streams: int = 0
    records: int = 0
    cursors: int = 0
    audit: int = 0
    """Entries of the audit."""


class ExportWriter:
    """Writes items and hashes what it has written."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._hash = hashlib.sha256()
        self._put(MAGIC)

    def item(self, *values: Any) -> None:
        """Write one item."""
        packed: bytes = msgpack.packb(values)
        self._put(_LENGTH.pack(len(packed)) + packed)

    def end(self, counts: Counts) -> None:
        """Write the last item."""
        self.item("end", attrs.asdict(counts), self._hash.digest())

    def _put(self, data: bytes) -> None:
        self._hash.update(data)
        self._file.write(data)


class ExportReader:
    """Reads items and hashes what it has read."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._hash = hashlib.sha256()

    def begin(self) -> None:
        """Read the magic and the header; raises LogCorrupt where this is no export of ours."""
        if self._file.read(len(MAGIC)) != MAGIC:
            raise LogCorrupt("it is not what groupd export writes")
        self._hash.update(MAGIC)
        header = self._item()
        if len(header) != 3 or header[0] != "header" or type(header[1]) is not int:
            raise LogCorrupt("it has no header")
        if header[1] > EXPORT_VERSION:
            raise LogCorrupt(
                f"it is an export of version {header[1]}, and this groupd reads up to "
                f"{EXPORT_VERSION}: import it with the newer groupd that wrote it"
            )

    def items(self) -> Iterator[tuple[str, list[Any]]]:
        """Give the items up to the end, which must be as it is told there."""
        counted: dict[str, int] = attrs.asdict(Counts())
        while True:
            so_far = self._hash.digest()
            tag, *values = self._item()
            if tag == "end":
                told, hash_ = values
                if {"audit": 0, **told} != counted or hash_ != so_far or self._file.read(1):
                    raise LogCorrupt("it was changed after it was written")
                return
            counted["streams"] += tag == "stream"
            if tag in ("records", "cursors", "audit"):
                counted[tag] += len(values[0])
            yield tag, values

    def _item(self) -> list[Any]:
        (size,) = _LENGTH.unpack(self._bytes(_LENGTH.size))
        if size > ITEM_MAX_BYTES:
            raise LogCorrupt("it was changed after it was written: an item is too large")
        item = msgpack.unpackb(self._bytes(size), strict_map_key=True)
        if not isinstance(item, list) or not item:
            raise LogCorrupt("it was changed after it was written: an item is none")
        return item

    def _bytes(self, count: int) -> bytes:
        data = self._file.read(count)
        if len(data) < count:
            raise LogCorrupt("it was cut short: it ends before its end is told")
        self._hash.update(data)
        return data
