"""The programs of peers: finding them, and seeing to it that none outlives its run.

Debian keeps servers where an ordinary PATH does not look.
"""

from __future__ import annotations

import os
import re
import select
import shutil
import signal
import subprocess
import sys
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import ClassVar, Final

from bench.peers.base import Peer, Running, free_port, running_process
from bench.server import BenchError

SYSTEM_PLACES: Final = ("/usr/local/sbin", "/usr/sbin", "/sbin")
VERSION_MAX_S: Final = 10
HELPERS_STOP_MAX_MS: Final = 5_000
_VERSION: Final = re.compile(r"\d+(\.\d+)+")


def find(name: str) -> str | None:
    """Give the path of a program; None where it is not installed."""
    beside_python = str(Path(sys.executable).parent)  # Where wheels put theirs.
    places = (os.environ.get("PATH", os.defpath), beside_python, *SYSTEM_PLACES)
    return shutil.which(name, path=os.pathsep.join(places))


def path_of(name: str) -> str:
    """Give the path of a program; raises BenchError where it is not installed."""
    path = find(name)
    if path is None:
        raise BenchError(f"{name} is not installed")
    return path


def missing(*names: str, package: str) -> str | None:
    """Say which of some programs are not installed, and what has them; None where all are."""
    absent = [name for name in names if find(name) is None]
    return f"no {' and no '.join(absent)}: install {package}" if absent else None


def version(name: str, *arguments: str) -> str:
    """Give the first version number that a program says when asked; empty where it says none."""
    path = find(name)
    return _first_version([path, *arguments]) if path is not None else ""


class Daemon(Peer):
    """A peer that is one program with one configuration file, which we write."""

    program: ClassVar[str]
    package: ClassVar[str]
    """What has the program."""
    version_argument: ClassVar[str] = "--version"
    arguments: ClassVar[tuple[str, ...]]
    """What stands between the program and the path of the file."""
    suffix: ClassVar[str] = ".conf"
    """Of the file."""

    @abstractmethod
    def configuration(self, port: int, directory: Path) -> str:
        """Give what the file says."""

    def missing(self) -> str | None:
        """Look for the program."""
        return missing(self.program, package=self.package)

    def version(self) -> str:
        """Ask the program."""
        return version(self.program, self.version_argument)

    def running(self, directory: Path, *, core: int | None) -> AbstractContextManager[Running]:
        """Run it with the file."""
        port, file = free_port(), directory / f"{self.name}{self.suffix}"
        file.write_text(self.configuration(port, directory))
        command = [path_of(self.program), *self.arguments, file]
        return running_process(command, directory, port=port, core=core)


@contextmanager
def with_helpers(peer: AbstractContextManager[Running]) -> Iterator[Running]:
    """Run a peer whose first process has others, which end a moment after it, or are made to."""
    helpers: list[int] = []  # Descriptors, since the number of one that ended may be given anew.
    try:
        with peer as running:
            for pid in running.pids[1:]:
                with suppress(ProcessLookupError):
                    helpers.append(os.pidfd_open(pid))
            yield running
    finally:
        for helper in helpers:
            _await_end(helper)
            os.close(helper)


def _await_end(process: int) -> None:
    poll = select.poll()
    poll.register(process, select.POLLIN)
    if not poll.poll(HELPERS_STOP_MAX_MS):
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(process, signal.SIGKILL)


def _first_version(command: Sequence[str]) -> str:
    try:
        said = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=VERSION_MAX_S,
            check=False,  # Some exit with an error after saying it.
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return ""
    number = _VERSION.search(said.decode(errors="replace"))
    return number.group() if number is not None else ""
