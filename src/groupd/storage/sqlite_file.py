"""One open SQLite file: its lock, its settings, its transactions, and what its errors mean.

All of apsw stays behind this class. An error becomes one of ours here:

- the disk is full: the transaction is rolled back, LogUnavailable; reading goes on
- a page that makes no sense, met by a read: LogCorrupt
- anything else: LogBroken, now and for ever. After a failed fsync nobody can say what is on the
  disk (the kernel may have dropped the pages and forgotten the error), so there is no retry.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, TypeAlias, TypeVar
from urllib.parse import quote

import apsw

from groupd.errors import LogBroken, LogCorrupt, LogError, LogUnavailable
from groupd.storage import sqlite_lock
from groupd.storage.sqlite_copy import SqliteCopy

T = TypeVar("T")
Row: TypeAlias = tuple[Any, ...]

WAL_PAGES_MAX: Final = 2_000
"""Pages in the write-ahead log after which a commit is followed by a checkpoint (8 MB)."""
CACHE_KIB: Final = 32_768

_SETTINGS: Final[Sequence[tuple[str, str | int, str | int]]] = (
    # name, value to set, answer to expect
    ("journal_mode", "wal", "wal"),
    ("synchronous", "full", 2),
    # Automatic checkpoints swallow the errors of fsync.
    ("wal_autocheckpoint", 0, 0),
    ("secure_delete", "on", 1),
    ("cell_size_check", "on", 1),
    ("trusted_schema", "off", 0),
    ("temp_store", "memory", 2),
    ("cache_size", -CACHE_KIB, -CACHE_KIB),
)
READ_ERRORS: Final = (apsw.Error, UnicodeDecodeError)
"""What reading raises; the latter where a text in the file is none, which SQLite does not see."""
_READING_SETTINGS: Final = tuple(
    setting for setting in _SETTINGS if setting[0] not in ("journal_mode", "synchronous")
)
"""Those of a file that is only read; the others are about writing."""


class SqliteFile:
    """An SQLite file that this process alone has open. For one thread at a time."""

    def __init__(self, path: Path, *, vfs: str | None = None, is_immutable: bool = False) -> None:
        """Open or create the file and lock it.

        An immutable one is there already and is only read: nothing is made or changed beside it
        either, but for the lock where that can be made. Its write-ahead log is not looked at.

        Raises LogUnavailable where it cannot be opened or another process has it, LogCorrupt
        where it is no SQLite file.
        """
        self._path = path
        self._vfs = vfs
        self._is_immutable = is_immutable
        self._refusal: LogError | None = None
        self._wal_pages = 0
        # A process that was killed may have left what was erased in the write-ahead log.
        self._wipe = True
        self._lock_descriptor = self._take() if vfs is None else None
        try:
            if is_immutable:
                sqlite_lock.expect_readable(path)
            elif vfs is None:
                self._believe_the_disk()
                sqlite_lock.make_private(path)
            self._connection = self._connect()
        except BaseException:
            self._give_back()
            raise
        try:
            self._lock()
        except BaseException:
            self._let_go()
            raise

    def _connect(self) -> apsw.Connection:
        name, flags = str(self._path), apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
        if self._is_immutable:
            name = f"file:{quote(str(self._path.absolute()))}?immutable=1"
            flags = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
        try:
            return apsw.Connection(name, flags=flags, vfs=self._vfs)
        except apsw.Error as error:
            raise self._unopened(error) from error

    def _take(self) -> int | None:
        take = sqlite_lock.take_to_read if self._is_immutable else sqlite_lock.take
        return take(self._path)

    def _give_back(self) -> None:
        if self._lock_descriptor is not None:
            os.close(self._lock_descriptor)
            self._lock_descriptor = None

    def _believe_the_disk(self) -> None:
        """See to it that the write-ahead log is read from the disk, not from the kernel's cache.

        Where an earlier process died of a failed fsync, what it had written is in that cache and
        perhaps nowhere else: it reads well, and the kernel takes it for written, so no later fsync
        writes it either. Whatever is read is answered for, so it must be there after a power
        failure. (A. Rebello et al., "Can Applications Recover from fsync Failures?", USENIX ATC
        2020.) Harmless where another process is using the file. A ``vfs`` does it by itself.
        """
        try:
            descriptor = os.open(f"{self._path}-wal", os.O_RDWR)
        except FileNotFoundError:
            return
        except OSError as error:
            raise sqlite_lock.unopened(Path(f"{self._path}-wal"), error) from error
        try:
            os.fsync(descriptor)
            if hasattr(os, "posix_fadvise"):
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        except OSError as error:
            raise LogUnavailable(f"{self._path}-wal cannot be synced: {error}") from error
        finally:
            os.close(descriptor)

    def _lock(self) -> None:
        # Closing must not checkpoint by itself: its errors would go unseen.
        self._connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        try:
            if self._is_immutable:
                # SQLite locks nothing then, and this is the first that it reads.
                self._connection.pragma("schema_version")
                return
            self._set("locking_mode", "exclusive", "exclusive")
            # In exclusive locking mode the lock outlasts the transaction. Asked for before the
            # journal mode, it also keeps the write-ahead log's index out of shared memory.
            self._connection.execute("begin exclusive")
            self._connection.execute("rollback")
        except apsw.BusyError as error:
            raise sqlite_lock.in_use(self._path) from error
        except apsw.Error as error:
            raise self._unopened(error) from error

    def _unopened(self, error: apsw.Error) -> LogError:
        if isinstance(error, apsw.NotADBError):
            return LogCorrupt(f"{self._path} is not a groupd store")
        if isinstance(error, apsw.CorruptError):
            return LogCorrupt(f"{self._path}: {error}; restore a backup")
        return LogUnavailable(f"{self._path} cannot be opened: {error}")

    def configure(self) -> None:
        """Apply the settings; each answer is checked. Writes to a file that is new."""
        for name, value, expected in _READING_SETTINGS if self._is_immutable else _SETTINGS:
            self._set(name, value, expected)
        # Else a query of a table with a partial index is prepared anew whenever it is executed,
        # since the best plan might depend on the values: a join of four rows took ten times as
        # long. No plan here shall depend on values.
        self._connection.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, 1)
        self._connection.set_wal_hook(self._note_wal_pages)

    def _set(self, name: str, value: str | int, expected: str | int) -> None:
        try:
            self._connection.execute(f"pragma {name} = {value}").fetchall()
            answer = self._connection.pragma(name)
        except apsw.Error as error:
            raise self._unopened(error) from error
        if answer != expected:
            raise LogUnavailable(f"{self._path}: {name} is {answer!r} instead of {expected!r}")

    def _note_wal_pages(self, _connection: apsw.Connection, _schema: str, pages: int) -> int:
        self._wal_pages = pages
        return apsw.SQLITE_OK

    def sync_directory(self) -> None:
        """Make the file's name durable. Of a file behind a ``vfs`` that is not ours to do."""
        if self._vfs is not None:
            return
        # Never open the file itself: closing it again would drop SQLite's locks on it.
        try:
            directory = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)
        except OSError as error:
            raise LogBroken(f"{self._path.parent}: {error.strerror}") from error

    def has_write_ahead_log(self) -> bool:
        """Say whether something was written that is perhaps not in the file itself."""
        try:
            return Path(f"{self._path}-wal").stat().st_size > 0
        except FileNotFoundError:
            return False

    # --- reading

    def rows(self, sql: str, bindings: Sequence[Any] = ()) -> Iterator[Row]:
        """Give the rows of a query one by one. Take them all, or drop the iterator."""
        self._check_usable()
        try:
            yield from self._connection.execute(sql, bindings)
        except READ_ERRORS as error:
            raise self._fail(error) from error

    def all_rows(self, sql: str, bindings: Sequence[Any] = ()) -> list[Row]:
        """Give the rows of a query at once, which for thousands costs a third of one by one."""
        self._check_usable()
        try:
            return self._connection.execute(sql, bindings).fetchall()
        except READ_ERRORS as error:
            raise self._fail(error) from error

    def row(self, sql: str, bindings: Sequence[Any] = ()) -> Row | None:
        """Give the only row of a query, or None."""
        self._check_usable()
        try:
            row: Row | None = self._connection.execute(sql, bindings).fetchone()
        except READ_ERRORS as error:
            raise self._fail(error) from error
        return row

    # --- writing

    def transact(self, work: Callable[[], T]) -> T:
        """Call ``work`` in a transaction, and make what it wrote durable.

        ``work`` uses ``execute`` and ``execute_many``. Raises LogUnavailable where nothing was
        written, LogBroken where nobody knows.
        """
        assert not self._is_immutable, "who only reads does not write"
        self._check_usable()
        try:
            self._connection.execute("begin immediate")
        except (apsw.FullError, apsw.BusyError) as error:
            raise LogUnavailable(f"no transaction can begin: {error}") from error
        except apsw.Error as error:
            raise self._break(error) from error
        try:
            result = work()
            self._connection.execute("commit")
        except apsw.FullError as error:
            self._rollback()
            raise LogUnavailable("the disk is full") from error
        except (apsw.Error, LogCorrupt) as error:
            raise self._break(error) from error
        except BaseException:
            self._rollback()
            raise
        if self._wal_pages >= WAL_PAGES_MAX:
            # Where that fails, what was committed is durable where it is; the next one tries again.
            with suppress(LogUnavailable):
                self.checkpoint()
        return result

    def execute(self, sql: str, bindings: Sequence[Any] = ()) -> None:
        """Execute one statement of a transaction."""
        self._connection.execute(sql, bindings)

    def execute_many(self, sql: str, bindings: Iterable[Sequence[Any]]) -> int:
        """Execute one statement of a transaction with each of the bindings.

        Gives how many rows it inserted, changed or deleted.
        """
        before = self._connection.total_changes()
        self._connection.executemany(sql, bindings)
        return self._connection.total_changes() - before

    def last_row_id(self) -> int:
        """Give the row id of the latest insertion."""
        return self._connection.last_insert_rowid()

    def wipe(self) -> None:
        """Have the next checkpoint cut the write-ahead log, for what was erased is still in it."""
        self._wipe = True

    def _rollback(self) -> None:
        try:
            if self._connection.in_transaction:
                self._connection.execute("rollback")
        except apsw.Error as error:
            raise self._break(error) from error

    def begin_copy(self, path: Path) -> SqliteCopy:
        """Begin a copy of this file in a new one. Raises LogUnavailable where that is not to be."""
        self._check_usable()
        return SqliteCopy(self._connection, path)

    # --- checkpoints and the end

    def checkpoint(self) -> None:
        """Move all of the write-ahead log into the file; what was erased is in neither then.

        The log is cut to nothing only for that: to write over its blocks is cheaper than to grow
        it again, which costs each fsync a change of the file's size.

        Raises LogUnavailable where the disk is full or a query is still under way; nothing is
        lost by that.
        """
        self._check_usable()
        if self._is_immutable:
            return
        mode = apsw.SQLITE_CHECKPOINT_TRUNCATE if self._wipe else apsw.SQLITE_CHECKPOINT_RESTART
        try:
            self._connection.wal_checkpoint(mode=mode)
        except (apsw.FullError, apsw.BusyError, apsw.LockedError) as error:
            raise LogUnavailable(f"no checkpoint can be made: {error}") from error
        except apsw.Error as error:
            raise self._break(error) from error
        self._wal_pages = 0
        self._wipe = False

    def close(self) -> None:
        """Checkpoint, and let go of the file whatever comes of it."""
        try:
            if self._refusal is None:
                self.wipe()
                self.checkpoint()
        except LogUnavailable:
            pass  # The write-ahead log stays, and the next opening reads it.
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Let go of the file as it is."""
        self._refusal = self._refusal or LogUnavailable("the store is closed")
        self._let_go()

    def _let_go(self) -> None:
        # A disk that fails even now has been reported, or nothing was written.
        with suppress(apsw.Error):
            self._connection.close(True)
        self._give_back()

    # --- errors

    def _check_usable(self) -> None:
        if self._refusal is not None:
            raise type(self._refusal)(*self._refusal.args)

    def _fail(self, error: apsw.Error | UnicodeDecodeError) -> LogError:
        """Say what an error of a read means."""
        if isinstance(error, UnicodeDecodeError):
            return LogCorrupt(f"{self._path}: a text that is stored is none: {error}")
        if isinstance(error, apsw.CorruptError | apsw.NotADBError):
            return LogCorrupt(f"{self._path}: {error}")
        return self._break(error)

    def _break(self, error: apsw.Error | LogError) -> LogBroken:
        """Refuse everything from now on."""
        broken = LogBroken(f"{self._path}: {type(error).__name__}: {error}")
        self._refusal = broken
        return broken
