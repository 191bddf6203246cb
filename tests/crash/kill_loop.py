"""Kills a real server over and over while clients speak, and compares all of it in the end.

    python -m tests.crash.kill_loop --cycles 10000

A *run* is a data directory of its own and some cycles: start, speak, kill -9. Its last start is
left alone: every client sends again what was not answered, and the whole log is read and compared.
So memory is bounded by a run, and a run that fails can be repeated by its seed; the moments of the
kills are drawn from it, though what the server has done by then depends on the machine.

Exits with 1 where something is wrong, and leaves the data directory of that run.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Final

import attrs
import trio
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from groupd.errors import Rejected
from tests.crash.clients import LOST, Talker, whole_log
from tests.crash.commands import Server, check, starting
from tests.crash.compare import problems
from tests.crash.recording import Map, Recording
from tests.e2e.process import Launcher

GROUPS: Final = 3
SPEAKERS: Final = 3
"""Members of each group who speak, beside its founder and one who comes and goes."""
RUN_CYCLES: Final = 50
CYCLES_MAX: Final = 1_000_000
SPEAKING_S: Final = 0.25
"""How long clients speak before a kill, at most."""
SPEAKING_LONG_S: Final = 1.5
"""How long, now and then: so that checkpoints and the wiping of what was recalled are met, too."""
SPEAKS_LONG: Final = 0.05
STARTING_S: Final = 0.35
"""How long after its start a server is killed that shall not even serve, at most."""
STOPPING_S: Final = 0.05
"""How long after SIGTERM a server is killed, at most."""
KILLED_EARLY: Final = 0.15
KILLED_STOPPING: Final = 0.1


@attrs.define
class Tally:
    """What a run has done."""

    cycles: int = 0
    acknowledged: int = 0
    given_up: int = 0
    pushed: int = 0
    wrong: list[str] = attrs.field(factory=list)

    def add(self, other: Tally) -> None:
        """Count another run, too."""
        self.cycles += other.cycles
        self.acknowledged += other.acknowledged
        self.given_up += other.given_up
        self.pushed += other.pushed
        self.wrong += other.wrong


class Run:
    """One data directory, and who speaks to it."""

    def __init__(self, launcher: Launcher, directory: Path, seed: str) -> None:
        self._launcher = launcher
        self._directory = directory
        self._data = directory / "data"
        self._seed = seed
        self._random = random.Random(seed)
        self._recording = Recording()
        self._founders: dict[str, str] = {}
        self._talkers: list[Talker] = []
        self.tally = Tally()

    async def go(self, cycles: int, *, advance: Callable[[], None] = lambda: None) -> Tally:
        """Do all of it; ``advance`` is called after each cycle."""
        async with self._starting() as server:
            await server.started()
            await self._found(server)
        for _ in range(cycles):
            await self._cycle()
            self.tally.cycles += 1
            advance()
        # What the last kill has left is sound as it lies there, before anything repairs it.
        self._expect_nothing("check of the files", await self._check())
        async with self._starting() as server:
            await server.started()
            try:
                logs = await self._settle(server)
            except (*LOST, Rejected) as error:
                self._expect_nothing("reading all of it", repr(error))
            else:
                self.tally.wrong += problems(self._recording, logs)
            self._expect_nothing("check beside the server", await self._check())
            self._expect_quiet(server)
        recording = self._recording
        self.tally.acknowledged = recording.acknowledged_count
        self.tally.given_up = sum(asked.given_up for asked in recording.asked)
        self.tally.pushed = len(recording.events)
        return self.tally

    def _starting(self) -> AbstractAsyncContextManager[Server]:
        return starting(self._launcher, self._data, self._directory)

    async def _check(self) -> str:
        return await check(self._launcher, self._data, self._directory)

    async def _found(self, server: Server) -> None:
        for number in range(GROUPS):
            founder = f"founder{number}"
            speakers = [f"speaker{number}{letter}" for letter in "abcdefgh"[:SPEAKERS]]
            async with server.enter(founder) as client:
                asked = await client.ask("create", name=f"Tea {number}", members=speakers)
            group = asked["group"]
            self._founders[group] = founder
            users = [*speakers, f"wanderer{number}"]
            self._talkers += [
                Talker(
                    *(user, group, self._recording, f"{self._seed} {user}"),
                    is_wanderer=user.startswith("wanderer"),
                )
                for user in users
            ]

    async def _cycle(self) -> None:
        draw = self._random
        way = draw.random()
        async with self._starting() as server:
            if way < KILLED_EARLY:
                await trio.sleep(draw.uniform(0, STARTING_S))
                await server.kill()
                return
            await server.started()
            async with trio.open_nursery() as nursery:
                for talker in self._talkers:
                    nursery.start_soon(talker.speak, server)
                longest = SPEAKING_LONG_S if draw.random() < SPEAKS_LONG else SPEAKING_S
                await trio.sleep(draw.uniform(0, longest))
                if way < KILLED_EARLY + KILLED_STOPPING:
                    os.kill(server.pid, signal.SIGTERM)
                    await trio.sleep(draw.uniform(0, STOPPING_S))
                await server.kill()
            self._expect_quiet(server)

    async def _settle(self, server: Server) -> dict[str, list[Map]]:
        """Let every client have its answers; give the logs."""
        async with trio.open_nursery() as nursery:
            for talker in self._talkers:
                nursery.start_soon(talker.settle, server)
        logs = {}
        for group, founder in self._founders.items():
            async with server.enter(founder, events=False) as client:
                logs[group] = await whole_log(client, group)
        return logs

    def _expect_quiet(self, server: Server) -> None:
        for entry in server.complaints():
            self._expect_nothing("the server's log", str(entry))

    def _expect_nothing(self, where: str, found: str) -> None:
        if found:
            self.tally.wrong.append(f"{where}: {found}"[:2_000])


async def kill_loop(
    launcher: Launcher,
    directory: Path,
    *,
    cycles: int,
    seed: str,
    advance: Callable[[], None] = lambda: None,
) -> Tally:
    """Do as many cycles in runs of ``RUN_CYCLES``; end after the first run that finds something.

    What a sound run has left in ``directory`` is removed.
    """
    assert 0 < cycles <= CYCLES_MAX
    total = Tally()
    for number in range(-(-cycles // RUN_CYCLES)):
        of_run = directory / f"run-{number}"
        of_run.mkdir()
        run = Run(launcher, of_run, f"{seed} {number}")
        total.add(await run.go(min(RUN_CYCLES, cycles - total.cycles), advance=advance))
        if total.wrong:
            break
        shutil.rmtree(of_run)
    return total


def main() -> None:
    """Parse, run, print, exit."""
    parser = argparse.ArgumentParser(description="Kill a real server while clients speak to it.")
    parser.add_argument("--cycles", type=int, default=100)
    parser.add_argument("--seed", default="1")
    parser.add_argument("--directory", type=Path, help="where data lies meanwhile [a new one]")
    given = parser.parse_args()
    if not 0 < given.cycles <= CYCLES_MAX:
        parser.error(f"--cycles: expected 1 to {CYCLES_MAX}")
    directory = Path(tempfile.mkdtemp(prefix="groupd-kill-", dir=given.directory))
    console = Console(stderr=True, emoji=False)
    launcher = Launcher()
    began = time.monotonic()
    columns = (TextColumn("killing"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    try:
        with Progress(*columns, console=console) as progress:
            task = progress.add_task("", total=given.cycles)

            async def run() -> Tally:
                return await kill_loop(
                    launcher,
                    directory,
                    cycles=given.cycles,
                    seed=given.seed,
                    advance=lambda: progress.advance(task),
                )

            tally = trio.run(run)
    except BaseException:
        print(f"Seed {given.seed!r}; the data is left in {directory}", file=sys.stderr)
        raise
    finally:
        launcher.close()
    took_s = time.monotonic() - began
    print(
        f"{tally.cycles} kills in {took_s:.0f} s: {tally.acknowledged} requests acknowledged, "
        f"{tally.given_up} given up, {tally.pushed} events pushed, {len(tally.wrong)} wrong."
    )
    for line in tally.wrong:
        print(f"- {line}")
    if tally.wrong:
        print(f"Seed {given.seed!r}; the data is left in {directory}")
        sys.exit(1)
    shutil.rmtree(directory)


if __name__ == "__main__":
    main()
