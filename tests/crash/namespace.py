"""A small file system of its own for a server, in memory, that can be filled to the last byte.

Border: the mount lives in a namespace that nobody else sees and that ends with its holder, so a
test that is cut off leaves nothing behind. Root is not needed where users may make namespaces.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import attrs

from tests.crash.commands import Wrapped

BLOCK_BYTES: Final = 65_536


@attrs.frozen
class SmallDisk:
    """A mounted file system. ``small_disk`` makes it and takes it away."""

    inside: Path
    """Its path for commands that ``launcher`` starts."""
    outside: Path
    """Its path for this process; not to be resolved, since it leads into another namespace."""
    launcher: Wrapped

    @property
    def free_bytes(self) -> int:
        """Give how much can still be written."""
        found = os.statvfs(self.outside)
        return found.f_bavail * found.f_frsize

    def fill(self, *, leaving_bytes: int) -> None:
        """Lay ballast on it, in place of what lay there before."""
        ballast = self.outside / "ballast"
        ballast.unlink(missing_ok=True)
        with ballast.open("wb", buffering=0) as file:
            while (left := self.free_bytes - leaving_bytes) > 0:
                file.write(bytes(min(left, BLOCK_BYTES)))

    def make_room(self) -> None:
        """Take the ballast away."""
        (self.outside / "ballast").unlink()


class CannotMount(Exception):
    """This machine does not let us mount; the message says what it said."""


@contextmanager
def small_disk(directory: Path, *, size_bytes: int) -> Iterator[SmallDisk]:
    """Mount one on a directory; raises CannotMount."""
    is_root = os.geteuid() == 0
    if shutil.which("unshare") is None or shutil.which("nsenter") is None:
        raise CannotMount("unshare and nsenter are not installed")
    inside = directory / "disk"
    inside.mkdir()
    script = (
        f"mount -t tmpfs -o size={size_bytes},mode=700 groupd '{inside}' && echo up && exec cat"
    )
    holder = subprocess.Popen(
        ["unshare", "-m" if is_root else "-rm", "sh", "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout is not None
    try:
        if holder.stdout.readline() != "up\n":
            assert holder.stderr is not None
            raise CannotMount(holder.stderr.read(300).strip())
        enter = ["nsenter", "-t", str(holder.pid), "-m"]
        launcher = Wrapped(enter if is_root else [*enter, "-U", "--preserve-credentials"])
        try:
            outside = Path(f"/proc/{holder.pid}/root") / inside.relative_to("/")
            yield SmallDisk(inside, outside, launcher)
        finally:
            launcher.close()
    finally:
        holder.communicate(timeout=30)  # The end of its input is its end, and the mount's.
