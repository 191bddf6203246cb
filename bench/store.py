"""What keeping records costs, reading them, and starting again: ``python -m bench.store --help``.

Appends are measured in rounds, as the log makes them, and in CPU time of the store's thread: a
server has one thread for Python, so that is what others cannot have. ``history`` is asked of a hub
as a session asks it. For the restart a store is filled by another process, which is killed while
it has it open; then a server is started on what is left.
"""

from __future__ import annotations

import json as json_module
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, TypeAlias

import attrs
import cyclopts
import trio
from cyclopts import Parameter
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

import groupd
from bench.filling import GROUPS_OF_ONE, OWNER, Group, commit, fill, group_key
from bench.server import BenchError, cpu_s
from groupd.auth import issue_token
from groupd.config import Config
from groupd.domain.base import Identity
from groupd.domain.links import LinkKeys
from groupd.domain.queries import History
from groupd.engine.hub import Hub, open_hub
from groupd.errors import Disconnected
from groupd.garbage import pauses_bounded
from groupd.storage.log import ThreadedLog
from groupd.storage.memory import MemoryStore
from groupd.storage.port import Store
from groupd.storage.sqlite import SqliteStore
from groupd.system import system_ports

REPEATS: Final = 5
"""Of which the one that cost least counts: whatever else the machine does only adds."""

PAGE: Final = 100
READERS: Final = 32
"""Tasks that ask for history at once."""

WIDTH_MIN: Final = 120
"""So that no cell of a table is broken where the output is no terminal."""
SECRET: Final = "a secret of this bench alone, and of no server"
START_MAX_S: Final = 60
POLL_S: Final = 0.002


# --- appends


@attrs.frozen
class Shape:
    """A round: so many streams, each with so many new records."""

    streams: int
    records: int

    @property
    def title(self) -> str:
        """Give it in words."""
        return f"{self.streams} x {self.records}"


SHAPES: Final = (Shape(1, 100), Shape(1, 1), Shape(20, 2), Shape(100, 5))


@attrs.frozen
class AppendCost:
    """What rounds of one shape took."""

    headings: ClassVar = (
        *("appends", "streams x records", "store", "records/s", "ms /round"),
        *("CPU µs /round", "CPU µs /append", "CPU µs /record"),
    )

    store: str
    shape: Shape
    rounds: int
    cpu_s: float
    wall_s: float

    def row(self) -> tuple[str, ...]:
        """Give the cells of the table."""
        appends = self.rounds * self.shape.streams
        records = appends * self.shape.records
        return (
            self.shape.title,
            self.store,
            f"{records / self.wall_s:,.0f}",
            f"{self.wall_s / self.rounds * 1e3:.2f}",
            f"{self.cpu_s / self.rounds * 1e6:.0f}",
            f"{self.cpu_s / appends * 1e6:.1f}",
            f"{self.cpu_s / records * 1e6:.2f}",
        )


def measure_appends(store: Store, name: str, shape: Shape, records: int) -> AppendCost:
    """Commit rounds of a shape, several times so many records; give the cheapest time."""
    groups = [Group(number) for number in range(shape.streams)]
    commit(store, [group.found() for group in groups])
    rounds = max(1, records // (shape.streams * shape.records))
    costs = []
    for _ in range(REPEATS):
        waiting = [[group.post(shape.records) for group in groups] for _ in range(rounds)]
        cpu, wall = time.thread_time(), time.perf_counter()
        for appends in waiting:
            commit(store, appends)
        costs.append(
            AppendCost(name, shape, rounds, time.thread_time() - cpu, time.perf_counter() - wall)
        )
    return min(costs, key=lambda cost: cost.cpu_s)


# --- history


@attrs.frozen
class ReadCost:
    """What so many reads took, in all threads."""

    headings: ClassVar = ("history of 100 events", "what is read", "reads/s", "µs", "CPU µs")

    title: str
    count: int
    cpu_s: float
    wall_s: float

    def row(self) -> tuple[str, ...]:
        """Give the cells of the table."""
        return (
            self.title,
            f"{self.count / self.wall_s:,.0f}",
            f"{self.wall_s / self.count * 1e6:.0f}",
            f"{self.cpu_s / self.count * 1e6:.0f}",
        )


def measure_history(directory: Path, count: int) -> list[ReadCost]:
    """Ask a hub on a store for pages of 100 events."""

    def make_store() -> Store:
        store = SqliteStore.open(directory, new_id=lambda: "bench")
        groups = [Group(number) for number in range(GROUPS_OF_ONE)]
        commit(store, [group.found() for group in groups])
        commit(store, [group.post(10 * PAGE) for group in groups])
        return store

    async def main() -> list[ReadCost]:
        log = ThreadedLog(make_store)
        await log.open()
        links = LinkKeys({"k": bytes(32)}, "k")
        try:
            async with open_hub(log=log, ports=system_ports(), links=links) as hub:
                newest = History(limit=PAGE)
                await ask(hub, GROUPS_OF_ONE, newest)
                return [
                    await _timed("newest 100, one after the other", count, hub, 1, newest),
                    await _timed(f"newest 100, {READERS} at once", count, hub, READERS, newest),
                    await _timed(
                        f"100 from the middle, {READERS} at once",
                        count,
                        hub,
                        READERS,
                        History(after=5 * PAGE, limit=PAGE),
                    ),
                    await _hops("of which the way to the thread alone", count, log, 1),
                    await _hops(f"the same, {READERS} at once", count, log, READERS),
                ]
        finally:
            await log.close()

    return trio.run(main)


async def ask(hub: Hub, count: int, query: History) -> None:
    """Ask for so many pages, one group after the other."""
    caller = Identity(OWNER)
    for number in range(count):
        await hub.read(caller, query, group=group_key(number % GROUPS_OF_ONE).key)


async def _timed(title: str, count: int, hub: Hub, tasks: int, query: History) -> ReadCost:
    return await _cheapest(title, count, tasks, lambda share: ask(hub, share, query))


async def _hops(title: str, count: int, log: ThreadedLog, tasks: int) -> ReadCost:
    async def hop(share: int) -> None:
        for _ in range(share):
            await log.read(lambda store: store.id)

    return await _cheapest(title, count, tasks, hop)


async def _cheapest(title: str, count: int, tasks: int, work: Callable[[int], Any]) -> ReadCost:
    costs = []
    share = max(1, count // tasks)
    for _ in range(REPEATS):
        cpu, wall = time.process_time(), time.perf_counter()
        async with trio.open_nursery() as nursery:
            for _ in range(tasks):
                nursery.start_soon(work, share)
        taken = time.process_time() - cpu, time.perf_counter() - wall
        costs.append(ReadCost(title, share * tasks, *taken))
    return min(costs, key=lambda cost: cost.cpu_s)


# --- the restart


@attrs.frozen
class RestartCost:
    """How long a server took from its start until it had answered."""

    headings: ClassVar = ("restart", "what is served", "s", "CPU s", "MB", "MB of them in the WAL")

    title: str
    wall_s: float
    cpu_s: float
    store_bytes: int
    wal_bytes: int

    def row(self) -> tuple[str, ...]:
        """Give the cells of the table."""
        sizes = (f"{size / 1e6:,.1f}" for size in (self.store_bytes, self.wal_bytes))
        return (self.title, f"{self.wall_s:.2f}", f"{self.cpu_s:.2f}", *sizes)


def measure_restart(directory: Path, *, groups: int, messages: int) -> RestartCost:
    """Fill a store, kill the process that did it, and start a server on it."""
    command = [sys.executable, "-m", "bench.store", "fill", str(directory)]
    command += ["--groups", str(groups), "--messages", str(messages)]
    with _child(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        if process.stdout.readline() != b"filled\n":
            raise BenchError("the store could not be filled")
    return measure_start(directory, f"{groups:,} groups, {messages:,} messages", groups)


def measure_start(directory: Path, title: str, groups: int) -> RestartCost:
    """Start a server on a directory and ask it for history of some groups."""
    sizes = [_size(directory / name) for name in ("groupd.sqlite3", "groupd.sqlite3-wal")]
    url = f"unix://{directory / 'bench.sock'}"
    began = time.perf_counter()
    command = [sys.executable, "-c", "from groupd.cli import main; main()", "serve"]
    command += ["--listen", url, "--data", str(directory), "--log-level", "error"]
    environment = {**os.environ, "GROUPD_AUTH_SECRET": SECRET}
    with _child(command, env=environment, stdout=subprocess.DEVNULL) as process:
        trio.run(_be_answered, url, groups)
        return RestartCost(title, time.perf_counter() - began, cpu_s(process.pid), *sizes)


async def _be_answered(url: str, groups: int) -> None:
    now_ms = system_ports().clock.now_ms()
    token = issue_token(
        SECRET,
        Identity(OWNER),
        now_ms=now_ms,
        expires_in_ms=60_000,
        audience=Config().auth.audience,
    )
    with trio.fail_after(START_MAX_S):
        while True:
            try:
                async with groupd.connect(url, token=token, reconnect=False) as client:
                    for number in range(0, groups, max(1, groups // GROUPS_OF_ONE)):
                        page = await client.history(group_key(number).key, limit=PAGE)
                        assert page["events"]
                    return
            except Disconnected:
                await trio.sleep(POLL_S)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


@contextmanager
def _child(command: Sequence[str], **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    """Run a process, and kill it at the end of the block."""
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, **options) as process:
        try:
            yield process
        finally:
            process.kill()


# --- the command line

app = cyclopts.App(name="bench.store", help=__doc__)


@app.command(name="fill")
def fill_and_wait(directory: Path, *, groups: int, messages: int) -> None:
    """Fill a store, say so, and keep it open until somebody ends this process."""
    store = SqliteStore.open(directory, new_id=lambda: "bench")
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("posting", total=messages)
        fill(
            store,
            groups=groups,
            messages=messages,
            advance=lambda more: progress.advance(task, more),
        )
    print("filled", flush=True)
    while True:
        time.sleep(1)


@app.default
def main(
    *,
    groups: Annotated[int, Parameter(help="In the store of the restart.")] = 10_000,
    messages: Annotated[int, Parameter(help="In the store of the restart; 0: none.")] = 1_000_000,
    records: Annotated[int, Parameter(help="Appended in one go.")] = 10_000,
    reads: Annotated[int, Parameter(help="Asked for in one go.")] = 2_000,
    json: Annotated[
        Path | None, Parameter(help="Write a line of JSON for each row into this file.")
    ] = None,
) -> None:
    """Measure appends, history and restart of a store on disk."""
    output = Console()
    if not output.is_terminal:
        output = Console(width=max(output.width, WIDTH_MIN))
    results: list[Cost] = []
    measurements: Sequence[Iterator[Cost]] = (
        run_appends(records),
        run_history(reads),
        run_restart(groups=groups, messages=messages),
    )
    for costs in measurements:
        with pauses_bounded():  # As in the server.
            rows = list(costs)
        output.print(table_of(rows))
        results += rows
    if json is not None:
        lines = (
            json_module.dumps({"what": cost.headings[0], **attrs.asdict(cost)}) for cost in results
        )
        json.write_text("".join(f"{line}\n" for line in lines))


def run_appends(records: int) -> Iterator[AppendCost]:
    """Measure appends of every shape, in memory and on disk."""
    for shape in SHAPES:
        with closing(MemoryStore("bench")) as store:
            yield measure_appends(store, "memory", shape, records)
    for shape in SHAPES:
        with _directory() as directory:
            opened = SqliteStore.open(directory, new_id=lambda: "bench")
            with closing(opened) as store:
                yield measure_appends(store, "sqlite", shape, records)


def run_history(reads: int) -> Iterator[ReadCost]:
    """Measure reads of a store on disk."""
    with _directory() as directory:
        yield from measure_history(directory, reads)


def run_restart(*, groups: int, messages: int) -> Iterator[RestartCost]:
    """Measure the start of a server on an empty store, and on one that was killed."""
    with _directory() as directory:
        SqliteStore.open(directory, new_id=lambda: "bench").close()
        yield measure_start(directory, "an empty store", 0)
    if messages:
        with _directory() as directory:
            yield measure_restart(directory, groups=groups, messages=messages)


@contextmanager
def _directory() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="groupd-store-") as directory:
        yield Path(directory)


Cost: TypeAlias = AppendCost | ReadCost | RestartCost


def table_of(costs: Sequence[Cost]) -> Table:
    """Lay costs of one kind out as a table."""
    title, *headings = costs[0].headings
    table = Table(title=f"groupd store: {title}", title_justify="left")
    for number, heading in enumerate(headings):
        table.add_column(heading, no_wrap=True, justify="left" if number == 0 else "right")
    for cost in costs:
        table.add_row(*cost.row())
    return table


if __name__ == "__main__":
    app()
