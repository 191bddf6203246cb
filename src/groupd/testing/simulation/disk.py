"""A disk in memory that can lose its power, fail, and be full.

A file has two views. The *volatile* one is what programs read: the operating system's cache. The
*durable* one is what is on the platter; ``sync`` brings it up to the other. At a power failure
nobody knows how far the disk had come with what was written since, so each sector of 512 bytes is
decided for itself, by the randomness that the disk was given:

- any of the states that it went through may be the one that stayed, also where a later write to
  another sector did reach the platter; or everything came in order, up to one write
- the write after that may be torn: a part of it came, or nonsense in its place
- where a file grew, its new size may have come without the data: zeros then, nonsense, or what
  stood in these blocks before the file was last cut
- names of files come and go in the directory, which has two views as well

Sizes and truncations keep their order within a file, as the journal of a file system has it, and
a write behind a truncation that did not come did not come either.

A write that fails may have been done in part. After a sync that fails each sector has come or not,
and a later sync does not write it again: the kernel forgets pages that it could not write.

Placement rules: no SQLite (that is ``vfs.py``), no real files, no randomness of its own.
"""

from __future__ import annotations

import errno
from collections import deque
from collections.abc import Sequence
from typing import Final, Protocol, TypeAlias

import attrs

from groupd.testing.simulation.disk_faults import DiskCounts, DiskFaults, DiskStep

__all__ = ["SECTOR_BYTES", "DiskCounts", "DiskFaults", "DiskFile", "DiskStep", "SimDisk"]

SECTOR_BYTES: Final = 512
FILES_MAX: Final = 64
"""Files on one disk."""
FILE_MAX_BYTES: Final = 64 * 1024 * 1024
UNSYNCED_MAX: Final = 4_096
"""Writes and truncations of one file that are not synced; at more, the oldest are written back."""
FREED_MAX_BYTES: Final = 1024 * 1024
"""What is remembered of the end that was last cut from a file."""

_Change: TypeAlias = tuple[int, bytes | None]
"""An offset and the data written there, or a new size and None."""


class Randomness(Protocol):
    """What decides; a ``random.Random`` fits."""

    def randrange(self, stop: int, /) -> int:
        """Give a number with 0 <= number < stop."""

    def randbytes(self, n: int, /) -> bytes:
        """Give ``n`` bytes."""


def _apply(content: bytearray, change: _Change) -> None:
    offset, data = change
    if offset > len(content):
        content.extend(bytes(offset - len(content)))
    if data is None:
        del content[offset:]
    else:
        content[offset : offset + len(data)] = data


@attrs.define(eq=False)
class _Inode:
    """One file's content in both views. It has no name: a directory has that."""

    randomness: Randomness
    powersafe_overwrite: bool
    volatile: bytearray = attrs.field(factory=bytearray)
    durable: bytearray = attrs.field(factory=bytearray)
    unsynced: deque[_Change] = attrs.field(factory=deque)
    freed: tuple[int, bytes] = (0, b"")
    """Where the end was that was last cut from the durable view, and what it held."""
    holder: DiskFile | None = None
    """Who has locked the file."""

    def change(self, change: _Change) -> None:
        _apply(self.volatile, change)
        self.unsynced.append(change)
        if len(self.unsynced) > UNSYNCED_MAX:
            self._reach(self.unsynced.popleft())

    def sync(self) -> None:
        for change in self.unsynced:
            self._reach(change)
        self.unsynced.clear()

    def _reach(self, change: _Change) -> None:
        if change[1] is None and change[0] < len(self.durable):
            size = change[0]
            self.freed = (size, bytes(self.durable[size : size + FREED_MAX_BYTES]))
        _apply(self.durable, change)

    def settle(self) -> None:
        """Decide what of the unsynced changes has reached the platter; none is unsynced then."""
        if not self.unsynced:
            return
        changes = list(self.unsynced)
        self.unsynced.clear()
        # How far the file system's journal has come, with sizes and truncations.
        reached = self.randomness.randrange(len(changes) + 1)
        if self.randomness.randrange(2):
            # All came in order, up to one change, which is decided as the others are below.
            for change in changes[:reached]:
                self._reach(change)
            changes = changes[reached : reached + 1]
            reached = self.randomness.randrange(len(changes) + 1)
        size = len(self.durable)
        writes: list[tuple[int, bytes]] = []
        for number, (offset, data) in enumerate(changes):
            if data is not None:
                writes.append((offset, data))
                size = max(size, offset + len(data)) if number < reached else size
            elif number < reached:
                self._scatter(writes)
                writes.clear()
                self._reach((offset, None))
                size = offset
            else:
                break
        self._scatter(writes)
        # Sectors were written as a whole, and perhaps behind the end.
        del self.durable[size:]

    def _scatter(self, writes: Sequence[tuple[int, bytes]]) -> None:
        """Bring each sector that was written to into one of the states it went through."""
        old_size = len(self.durable)
        of_sector: dict[int, list[tuple[int, bytes]]] = {}
        for offset, data in writes:
            first = offset - offset % SECTOR_BYTES
            for begin in range(first, offset + len(data), SECTOR_BYTES):
                low = max(offset, begin)
                data_here = data[low - offset : begin + SECTOR_BYTES - offset]
                of_sector.setdefault(begin, []).append((low - begin, data_here))
        for begin, parts in of_sector.items():
            reached = self.randomness.randrange(len(parts) + 1)
            if begin >= old_size and reached < len(parts):
                content = self._unwritten(begin)
            else:
                content = self.durable[begin : begin + SECTOR_BYTES]
            content.extend(bytes(SECTOR_BYTES - len(content)))
            for part in parts[:reached]:
                _apply(content, part)
            if reached < len(parts) and self.randomness.randrange(2):
                self._tear(content, *parts[reached])
            _apply(self.durable, (begin, bytes(content)))

    def _unwritten(self, begin: int) -> bytearray:
        """Give what is in a sector that became the file's and was not written since."""
        kind = self.randomness.randrange(3)
        freed_at, freed = self.freed
        if kind == 0 and begin >= freed_at:
            return bytearray(freed[begin - freed_at : begin - freed_at + SECTOR_BYTES])
        return bytearray(self.randomness.randbytes(SECTOR_BYTES) if kind == 1 else b"")

    def _tear(self, content: bytearray, offset: int, data: bytes) -> None:
        """Do a part of a write to one sector, or put nonsense in its place."""
        kind = self.randomness.randrange(4)
        cut = self.randomness.randrange(len(data) + 1)
        begin, end = offset, offset + len(data)
        if kind == 0:
            content[begin : begin + cut] = data[:cut]
        elif kind == 1:
            content[begin + cut : end] = data[cut:]
        else:
            if not self.powersafe_overwrite:
                begin, end = 0, SECTOR_BYTES
            size = end - begin
            content[begin:end] = self.randomness.randbytes(size) if kind == 2 else bytes(size)


class SimDisk:
    """Files by name, on one disk with one directory.

    Every operation but ``crash`` raises OSError: EIO where a fault says so or the power is off,
    ENOSPC where there is no room, FileNotFoundError where there is no such file.
    """

    def __init__(
        self,
        randomness: Randomness,
        faults: DiskFaults | None = None,
        *,
        powersafe_overwrite: bool = True,
    ) -> None:
        """Make an empty disk. ``randomness`` decides, and so must be nobody else's.

        ``powersafe_overwrite``: bytes that were not written to stay, also in a torn sector (SQLite
        takes that for granted on Linux). Without it such a sector may be nonsense as a whole.
        """
        self.powersafe_overwrite = powersafe_overwrite
        self.counts = DiskCounts()
        self.boot = 0
        """How often the power has come back; a file opened before that is dead."""
        self.is_off = False
        self.randomness = randomness
        self._names: dict[str, _Inode] = {}
        self._durable_names: dict[str, _Inode] = {}
        self.inject(faults or DiskFaults())

    def inject(self, faults: DiskFaults) -> None:
        """Have these faults from now on, in place of those before."""
        self.faults = faults
        self._step_count = 0
        self._error_count = 0

    def heal(self) -> None:
        """Have no faults any more. The power stays as it is."""
        self.inject(DiskFaults())

    # --- power

    def freeze(self) -> None:
        """Cut the power: from now on everything fails, and nothing changes any more.

        To be called before a program is unwound, so that its cleaning up has no effect.
        """
        self.is_off = True

    def crash(self) -> None:
        """Cut the power and bring it back: what was not synced has reached the platter or not.

        Both views are the same then, nothing is locked, and files that were open are dead.
        """
        views = (self._names, self._durable_names)
        # As a dict, since a set of objects has another order in each run.
        for inode in {view[name]: None for view in views for name in sorted(view)}:
            inode.settle()
            inode.volatile = bytearray(inode.durable)
            inode.holder = None
        names: dict[str, _Inode] = {}
        for name in sorted(self._names.keys() | self._durable_names.keys()):
            found = views[self.randomness.randrange(2)].get(name)
            if found is not None:
                names[name] = found
        self._names, self._durable_names = names, dict(names)
        self.is_off = False
        self.boot += 1

    def restart(self) -> None:
        """Have only the program die: the operating system keeps what was written, synced or not.

        Nothing is locked, and files that were open are dead.
        """
        for inode in self._names.values():
            inode.holder = None
        self.is_off = False
        self.boot += 1

    # --- the directory

    def open(self, name: str, *, create: bool = False) -> DiskFile:
        """Open a file; make an empty one where there is none and ``create`` says so.

        The name of a new file is durable after ``sync_directory``, not before.
        """
        error = self.begin(DiskStep.OPEN, self.boot)
        if name not in self._names:
            if not create:
                raise error or FileNotFoundError(errno.ENOENT, "no such file", name)
            if error is None or self.randomness.randrange(2):
                assert len(self._names) < FILES_MAX, "FILES_MAX"
                self._names[name] = _Inode(self.randomness, self.powersafe_overwrite)
        if error is not None:
            raise error
        return DiskFile(self, self._names[name])

    def delete(self, name: str) -> None:
        """Take a name away. That is durable after ``sync_directory``, not before."""
        error = self.begin(DiskStep.DELETE, self.boot)
        if name not in self._names:
            raise error or FileNotFoundError(errno.ENOENT, "no such file", name)
        if error is None or self.randomness.randrange(2):
            del self._names[name]
        if error is not None:
            raise error

    def sync_directory(self) -> None:
        """Make durable which names there are."""
        error = self.begin(DiskStep.SYNC, self.boot)
        if error is not None:
            raise error
        if not self.faults.lies_about_sync:
            self._durable_names = dict(self._names)

    def exists(self, name: str) -> bool:
        """Say whether there is such a file. This is no step: it only fails without power."""
        self.check_power(self.boot)
        return name in self._names

    def names(self) -> Sequence[str]:
        """List the files, for tests."""
        return sorted(self._names)

    # --- for the files

    def check_power(self, boot: int) -> None:
        """Raise EIO where the power is off, or was since ``boot``."""
        if self.is_off or boot != self.boot:
            raise OSError(errno.EIO, "the power is off")

    def begin(self, step: DiskStep, boot: int) -> OSError | None:
        """Count a step. Where it is to fail, give with what: a part of it may be done."""
        self.check_power(boot)
        self.counts.steps[step] += 1
        self._step_count += 1
        faults = self.faults
        if self._step_count == faults.power_off_step:
            self.is_off = True
            return OSError(errno.EIO, "the power failed")
        if faults.error_step is not None and step in faults.error_kinds:
            self._error_count += 1
            over = self._error_count - faults.error_step
            if over == 0 or (over > 0 and faults.error_lasts):
                return OSError(errno.EIO, f"{step.value} failed")
        return None

    def room_bytes(self) -> int:
        """Give how much all files together may still grow."""
        limit = self.faults.size_max_bytes
        if limit is None:
            return FILES_MAX * FILE_MAX_BYTES
        return max(0, limit - sum(len(inode.volatile) for inode in self._names.values()))


class DiskFile:
    """An open file. It outlives its name, dies with the power, and need not be closed."""

    def __init__(self, disk: SimDisk, inode: _Inode) -> None:
        self._disk = disk
        self._boot = disk.boot
        self._inode = inode

    def read(self, *, offset: int, size: int) -> bytes:
        """Give up to ``size`` bytes: fewer at the end of the file, or where a fault says so."""
        error = self._disk.begin(DiskStep.READ, self._boot)
        if error is not None:
            raise error
        data = bytes(self._inode.volatile[offset : offset + size])
        if self._disk.faults.short_reads and len(data) > 1:
            data = data[: 1 + self._inode.randomness.randrange(len(data))]
        self._disk.counts.bytes_read += len(data)
        return data

    def write(self, offset: int, data: bytes) -> None:
        """Write all of the data, or raise and have written any part of it from its beginning."""
        error = self._disk.begin(DiskStep.WRITE, self._boot)
        if error is not None:
            data = data[: self._inode.randomness.randrange(len(data) + 1)]
        growth = offset + len(data) - len(self._inode.volatile)
        lacking = growth - self._disk.room_bytes()
        if lacking > 0:
            error = error or OSError(errno.ENOSPC, "the disk is full")
            data = data[: max(0, len(data) - lacking)]
        assert offset + len(data) <= FILE_MAX_BYTES, "FILE_MAX_BYTES"
        if data:
            self._inode.change((offset, data))
        self._disk.counts.bytes_written += len(data)
        if error is not None:
            raise error

    def truncate(self, size: int) -> None:
        """Cut the file, or let it grow by zeros. One that fails may have been done."""
        error = self._disk.begin(DiskStep.TRUNCATE, self._boot)
        if size - len(self._inode.volatile) > self._disk.room_bytes():
            raise error or OSError(errno.ENOSPC, "the disk is full")
        assert size <= FILE_MAX_BYTES, "FILE_MAX_BYTES"
        if error is None or self._inode.randomness.randrange(2):
            self._inode.change((size, None))
        if error is not None:
            raise error

    def sync(self) -> None:
        """Make the file's content durable, not its name.

        Where it fails, some of the content is, and what is not never will be.
        """
        error = self._disk.begin(DiskStep.SYNC, self._boot)
        if error is not None:
            self._inode.settle()
            raise error
        if not self._disk.faults.lies_about_sync:
            self._inode.sync()

    def drop_cache(self) -> None:
        """Sync, and have everything read from the platter from now on."""
        self.sync()
        self._inode.settle()
        self._inode.volatile = bytearray(self._inode.durable)

    def size(self) -> int:
        """Give the size in bytes. This is no step: it only fails without power."""
        self._disk.check_power(self._boot)
        return len(self._inode.volatile)

    def lock(self) -> bool:
        """Lock the file for this opening of it; False where another one has it."""
        self._disk.check_power(self._boot)
        if self._inode.holder is None:
            self._inode.holder = self
        return self._inode.holder is self

    def unlock(self) -> None:
        """Let go of the lock, if it is ours. Never fails."""
        if self._inode.holder is self:
            self._inode.holder = None

    def is_locked_by_another(self) -> bool:
        """Say whether another opening of the file has locked it."""
        return self._inode.holder is not None and self._inode.holder is not self

    def durable(self) -> bytes:
        """Give what is on the platter for certain, for tests."""
        return bytes(self._inode.durable)
