"""Lets the first calls of each sort fail, one in each run of a real server, and judges each run.

    python -m tests.crash.error_loop --calls 60

``--every 7`` takes each seventh of the cases only. Exits with 1 where something is wrong.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Final

import trio
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from tests.crash.strace import ERRORS, SORTS, Case, OldStore, Outcome, fail_one, verdict, why_not
from tests.e2e.process import Launcher

CALLS_MAX: Final = 2_000


def cases(calls: int, sorts: tuple[str, ...] = SORTS) -> list[Case]:
    """Give all cases: the first calls of each sort, each error, a new store and an old one."""
    return [
        Case(sort, error, number, is_old)
        for sort in sorts
        for error in ERRORS
        for is_old in (False, True)
        for number in range(1, calls + 1)
    ]


async def judge(
    case: Case, launcher: Launcher, directory: Path, old: OldStore
) -> tuple[Outcome, list[str]]:
    """Do one case in a directory of its own, which stays only where something is wrong."""
    own = directory / str(case)
    own.mkdir()
    outcome = await fail_one(case, launcher, own, old=old)
    wrong = verdict(case, outcome)
    if not wrong:
        shutil.rmtree(own)
    return outcome, wrong


def main() -> None:
    """Parse, run, print, exit."""
    parser = argparse.ArgumentParser(description="Let a server's system calls fail, one by one.")
    parser.add_argument("--calls", type=int, default=60)
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--sort", choices=SORTS, action="append")
    given = parser.parse_args()
    if not 0 < given.calls <= CALLS_MAX or given.every < 1:
        parser.error(f"--calls: expected 1 to {CALLS_MAX}; --every: at least 1")
    if reason := why_not():
        parser.error(reason)
    failed = trio.run(_run, cases(given.calls, tuple(given.sort or SORTS))[:: given.every])
    sys.exit(1 if failed else 0)


async def _run(chosen: list[Case]) -> int:
    directory = Path(tempfile.mkdtemp(prefix="groupd-errors-"))
    console = Console(stderr=True, emoji=False)
    columns = (TextColumn("failing"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    launcher = Launcher()
    failed, met, slowest_s = 0, 0, 0.0
    never_met: set[tuple[str, str, bool]] = set()
    try:
        (directory / "old").mkdir()
        old = await OldStore.make(launcher, directory / "old")
        with Progress(*columns, console=console) as progress:
            for case in progress.track(chosen):
                group = (case.sort, case.error, case.is_old)
                if group in never_met:
                    continue  # There is no such call any more, so there is no later one.
                outcome, wrong = await judge(case, launcher, directory, old)
                met += outcome.was_met
                if not outcome.was_met:
                    never_met.add(group)
                if outcome.exit_code is not None:
                    slowest_s = max(slowest_s, outcome.ended_after_s)
                if wrong:
                    failed += 1
                    print(f"{case}: {outcome.call}", *wrong, sep="\n- ", flush=True)
    finally:
        launcher.close()
    print(f"{met} calls failed; the slowest end took {slowest_s:.2f} s; {failed} went wrong.")
    if failed:
        print(f"What they left is in {directory}")
    else:
        shutil.rmtree(directory)
    return failed


if __name__ == "__main__":
    main()
