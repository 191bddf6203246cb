"""Who has a store: the lock beside its file, and what is said to those who may not have it.

SQLite's own lock is not taken in one step: of several processes that begin at once, each can find
another reading, and all of them would give up. So a store is had by ``flock`` of an empty file
beside it, which stays there.
"""

from __future__ import annotations

import fcntl
import os
import pwd
from contextlib import suppress
from pathlib import Path
from typing import Final

from groupd.errors import LogUnavailable

LOCK_SUFFIX: Final = ".lock"
"""Of the empty file beside the store by which one process has it."""
PRIVATE: Final = 0o600
"""The mode of each file that is made: whoever may read one reads all messages."""


def take(path: Path) -> int:
    """Have the store at ``path``: exactly one process at a time, also of those that try at once.

    Gives a descriptor, which holds the lock until it is closed. Raises LogUnavailable where
    another process has the store or the lock cannot be opened.
    """
    lock = _lock_of(path)
    try:
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, PRIVATE)
    except OSError as error:
        raise unopened(lock, error) from error
    return _held(lock, descriptor, fcntl.LOCK_EX)


def take_to_read(path: Path) -> int | None:
    """Have the store at ``path`` beside others that only read it, as long as nobody writes.

    Gives None where there is no lock and none can be made, as on read-only media: no server has
    the store then, for it would have left its lock. Raises LogUnavailable as ``take`` does.
    """
    lock = _lock_of(path)
    try:
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, PRIVATE)
    except OSError:
        try:
            descriptor = os.open(lock, os.O_RDONLY)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise unopened(lock, error) from error
    return _held(lock, descriptor, fcntl.LOCK_SH)


def _lock_of(path: Path) -> Path:
    return path.with_name(path.name + LOCK_SUFFIX)


def _held(lock: Path, descriptor: int, how: int) -> int:
    try:
        fcntl.flock(descriptor, how | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise in_use(lock) from error
    except OSError as error:
        os.close(descriptor)
        raise LogUnavailable(f"{lock} cannot be locked: {error.strerror}") from error
    return descriptor


def in_use(path: Path) -> LogUnavailable:
    """Say that another process has the store, by a file beside it that it has locked."""
    return LogUnavailable(
        f"{path.parent} is in use by another groupd process{_holder(path)}; "
        "stop that one first, or ask it over its socket"
    )


def _holder(path: Path) -> str:
    """Say which process has locked a file, where the kernel tells.

    The file is not opened for it: closing it again would drop this process's own locks on it.
    """
    with suppress(OSError):
        status = path.stat()
        device = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}"
        place = f"{device}:{status.st_ino}"
        for line in Path("/proc/locks").read_text().splitlines():
            words = line.split()
            if place in words:
                return f" (pid {words[words.index(place) - 1]})"
    return ""


# --- what this process may do with the files


def make_private(path: Path) -> None:
    """Make the store's file, if there is none, for its owner only; SQLite's others take after it.

    Raises LogUnavailable where it cannot be read and written, or nothing can be made beside it:
    SQLite would open it all the same, and fail of it later as if the disk were at fault. Only for
    who has the store and has not opened it: closing the file would drop SQLite's locks on it.
    """
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, PRIVATE))
    except OSError as error:
        raise unopened(path, error) from error
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise LogUnavailable(f"{path.parent}: no files can be made there{_owned(path.parent)}")


def expect_readable(path: Path) -> None:
    """Raise LogUnavailable where a file cannot be read. Only where SQLite holds no lock on it."""
    try:
        os.close(os.open(path, os.O_RDONLY))
    except OSError as error:
        raise unopened(path, error) from error


def unopened(path: Path, error: OSError) -> LogUnavailable:
    """Say why a file cannot be opened, and whose it is where that is why."""
    owner = _owned(path) if isinstance(error, PermissionError) else ""
    return LogUnavailable(f"{path} cannot be opened: {error.strerror}{owner}")


def _owned(path: Path) -> str:
    """Say whose a file is, if it is not this process's: what was copied as root often is root's."""
    with suppress(OSError):
        owner, mine = path.stat().st_uid, os.geteuid()
        if owner != mine:
            return f"; it belongs to {_name_of(owner)}, and groupd runs as {_name_of(mine)}"
    return ""


def _name_of(uid: int) -> str:
    with suppress(KeyError):
        return f"{pwd.getpwuid(uid).pw_name} (uid {uid})"
    return f"uid {uid}"
