"""SQLite's way to a simulated disk: a VFS, which SQLite calls as it would the operating system.

An error of the disk becomes the code that SQLite's own VFS for Unix would give: no room is FULL,
anything else the IOERR (or CANTOPEN) of what was tried. What else that VFS does for SQLite is done
here in the same way: a read goes on until it has everything or the file ends, and the first sync
of a journal or a write-ahead log that is new syncs the directory too. The main file's own name is
made durable by that, since its journal comes right after it.

A lock is a lock: whatever SQLite asks for, one connection has a file, and every other one is told
BUSY until it is closed or the power has failed. There is no shared memory, so a write-ahead log
needs ``locking_mode=exclusive``.

apsw raises every error of a VFS in Python once SQLite returns, also one that SQLite itself passes
over, at closing for instance: a program hears of more here than it would on Unix.
"""

# ruff: noqa: N802 - SQLite has named the methods.

from __future__ import annotations

import errno
import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import apsw

from groupd.testing.fakes import START_MS
from groupd.testing.simulation.disk import SECTOR_BYTES, DiskFile, Randomness, SimDisk

EPOCH_JULIAN_MS: Final = 210_866_760_000_000
"""The beginning of 1970 in milliseconds of the Julian day number, as SQLite counts time."""
READS_MAX: Final = 65_536
"""Reads of the disk for one of SQLite's, since each gives at least a byte of a page."""
PATH_MAX_BYTES: Final = 512
"""The longest name of a file, as on Unix."""

_NAME_SYNCED: Final = (
    apsw.SQLITE_OPEN_MAIN_JOURNAL | apsw.SQLITE_OPEN_SUPER_JOURNAL | apsw.SQLITE_OPEN_WAL
)
"""The kinds of files whose first sync makes their name durable too."""


@contextmanager
def _failing_with(code: int) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise apsw.exception_for(
            apsw.SQLITE_FULL if error.errno == errno.ENOSPC else code
        ) from error


class SimVfs(apsw.VFS):
    """A VFS over one disk, under a name that ``SqliteStore.open`` and apsw take.

    Several over the same disk are as several processes on one machine. Whoever makes one closes
    it, after the connections that use it.
    """

    def __init__(
        self,
        disk: SimDisk,
        name: str,
        *,
        randomness: Randomness | None = None,
        now_ms: Callable[[], int] = lambda: START_MS,
    ) -> None:
        """Register under a name. Raises ValueError where that is taken.

        ``randomness`` is for SQLite, the disk's own if not given; ``now_ms`` is the wall clock in
        milliseconds since 1970.
        """
        if name in apsw.vfs_names():
            raise ValueError(f"there is a VFS {name!r} already")
        self.name = name
        self._disk = disk
        self._randomness = randomness or disk.randomness
        self._now_ms = now_ms
        self._temporary = SimDisk(self._randomness)
        self._temporary_names = itertools.count(1)
        super().__init__(
            name, None, maxpathname=PATH_MAX_BYTES, iVersion=2, exclude={"xGetLastError"}
        )

    def close(self) -> None:
        """Unregister. Closing twice is not an error."""
        self.unregister()

    def seed_sqlite(self) -> None:
        """Let SQLite's random numbers begin anew from our randomness.

        There is one generator for the whole process: it makes the salts of write-ahead logs, so
        two runs write the same bytes only where both begin with this.
        """
        default = apsw.vfs_names()[0]
        apsw.set_default_vfs(self.name)
        try:
            apsw.randomness(0)
            apsw.randomness(1)
        finally:
            apsw.set_default_vfs(default)

    # --- what SQLite calls

    def xOpen(  # type: ignore[override]
        self, name: str | apsw.URIFilename | None, flags: list[int]
    ) -> SimVfsFile:
        """Open a file; one without a name is in memory and never fails."""
        flags[1] = flags[0]
        if name is None:
            own_name = str(next(self._temporary_names))
            file = self._temporary.open(own_name, create=True)
            self._temporary.delete(own_name)
            return SimVfsFile(self._temporary, file)
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        with _failing_with(apsw.SQLITE_CANTOPEN):
            create = bool(flags[0] & apsw.SQLITE_OPEN_CREATE)
            is_new = create and not self._disk.exists(path)
            file = self._disk.open(path, create=create)
            if flags[0] & apsw.SQLITE_OPEN_WAL and not is_new:
                # As ``storage/sqlite_file.py`` does it with real files, before SQLite opens them.
                file.drop_cache()
        return SimVfsFile(self._disk, file, sync_name=is_new and bool(flags[0] & _NAME_SYNCED))

    def xDelete(self, filename: str, syncdir: bool) -> None:
        """Delete a file; with ``syncdir`` it stays deleted."""
        try:
            with _failing_with(apsw.SQLITE_IOERR_DELETE):
                self._disk.delete(filename)
        except apsw.Error as error:
            if isinstance(error.__cause__, FileNotFoundError):
                raise apsw.exception_for(apsw.SQLITE_IOERR_DELETE_NOENT) from error
            raise
        if syncdir:
            with _failing_with(apsw.SQLITE_IOERR_DIR_FSYNC):
                self._disk.sync_directory()

    def xAccess(self, pathname: str, flags: int) -> bool:
        """Say whether a file is there; what is there can be read and written."""
        with _failing_with(apsw.SQLITE_IOERR_ACCESS):
            return self._disk.exists(pathname)

    def xFullPathname(self, name: str) -> str:
        """Give the name as it is: there is one directory."""
        return name

    def xRandomness(self, numbytes: int) -> bytes:
        """Give what the randomness gives."""
        return self._randomness.randbytes(numbytes)

    def xSleep(self, microseconds: int) -> int:
        """Sleep for no time at all."""
        return microseconds

    def xCurrentTimeInt64(self) -> int:
        """Give the wall clock's time in milliseconds of the Julian day number."""
        return self._now_ms() + EPOCH_JULIAN_MS

    def xCurrentTime(self) -> float:
        """Give the wall clock's time as a Julian day number."""
        return self.xCurrentTimeInt64() / 86_400_000


class SimVfsFile:
    """An open file, as SQLite sees it."""

    def __init__(self, disk: SimDisk, file: DiskFile, *, sync_name: bool = False) -> None:
        """Take an open file; ``sync_name``: its first sync is to make its name durable too."""
        self._disk = disk
        self._file = file
        self._sync_name = sync_name
        self._level: int = apsw.SQLITE_LOCK_NONE

    def xRead(self, amount: int, offset: int) -> bytes:
        """Give bytes; fewer than ``amount`` only at the end of the file.

        apsw fills the rest with zeros and tells SQLite IOERR_SHORT_READ.
        """
        data = b""
        with _failing_with(apsw.SQLITE_IOERR_READ):
            for _ in range(READS_MAX):
                part = self._file.read(offset=offset + len(data), size=amount - len(data))
                data = data + part if data else part
                if not part or len(data) == amount:
                    return data
        raise AssertionError("READS_MAX")

    def xWrite(self, data: bytes, offset: int) -> None:
        """Write all of the data."""
        with _failing_with(apsw.SQLITE_IOERR_WRITE):
            self._file.write(offset, bytes(data))

    def xTruncate(self, newsize: int) -> None:
        """Set the size."""
        with _failing_with(apsw.SQLITE_IOERR_TRUNCATE):
            self._file.truncate(newsize)

    def xSync(self, flags: int) -> None:
        """Make the content durable."""
        with _failing_with(apsw.SQLITE_IOERR_FSYNC):
            self._file.sync()
        if self._sync_name:
            with _failing_with(apsw.SQLITE_IOERR_DIR_FSYNC):
                self._disk.sync_directory()
            self._sync_name = False

    def xFileSize(self) -> int:
        """Give the size in bytes."""
        with _failing_with(apsw.SQLITE_IOERR_FSTAT):
            return self._file.size()

    def xLock(self, level: int) -> None:
        """Lock the file, or raise BusyError where another connection has it."""
        with _failing_with(apsw.SQLITE_IOERR_LOCK):
            if not self._file.lock():
                raise apsw.exception_for(apsw.SQLITE_BUSY)
        self._level = level

    def xUnlock(self, level: int) -> None:
        """Let go of the file, if no lock at all is wanted any more."""
        self._level = level
        if level == apsw.SQLITE_LOCK_NONE:
            self._file.unlock()

    def xCheckReservedLock(self) -> bool:
        """Say whether anybody writes. Where nobody does, SQLite rolls a journal back that is left.

        Of another connection every lock counts as that.
        """
        return self._level >= apsw.SQLITE_LOCK_RESERVED or self._file.is_locked_by_another()

    def xFileControl(self, op: int, ptr: int) -> bool:
        """Know nothing beyond the rest."""
        return False

    def xSectorSize(self) -> int:
        """Give the size of what can be torn."""
        return SECTOR_BYTES

    def xDeviceCharacteristics(self) -> int:
        """Say what is true of the disk, and of Unix too: nothing is atomic, in order or appended.

        Reading less than a page is fine, and bytes that were not written stay as they were, if
        the disk says so.
        """
        flags = apsw.SQLITE_IOCAP_SUBPAGE_READ
        if self._disk.powersafe_overwrite:
            flags |= apsw.SQLITE_IOCAP_POWERSAFE_OVERWRITE
        return flags

    def xClose(self) -> None:
        """Let go of the file."""
        self._file.unlock()
