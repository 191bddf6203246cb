"""What an operator asks of a store: ``groupd log`` and ``groupd check``; and whom to ask.

Beside a running server, which holds the files, the server is asked over its own socket in the data
directory; otherwise the files are opened. Either way the answers are made by the same code
(``server/operator.py``).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Protocol

import attrs
import trio
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from groupd.cli.files import ask_server, has_store, mend_files, open_files
from groupd.cli.lines import print_lines
from groupd.config import Config
from groupd.domain.base import StreamKey
from groupd.domain.queries import OperatorCheck, OperatorLog
from groupd.engine.ledger import project
from groupd.errors import GroupdError, LogUnavailable
from groupd.server import operator
from groupd.storage.mend import Mended
from groupd.storage.sqlite import SqliteStore
from groupd.system import SystemClock
from groupd.wire.codec import Encoded

SEQS_SHOWN: Final = 20
"""Of mended records, by number."""


@attrs.frozen
class LogQuery:
    """Which part of which log to show."""

    group: str
    after: int
    limit: int | None
    account: bool
    tenant: str


class Operator(Protocol):
    """Somebody who answers an operator."""

    async def ask(self, request: operator.OperatorRequest) -> Mapping[str, Any]:
        """Answer; raises Rejected, or LogUnavailable."""
        ...


@asynccontextmanager
async def find_operator(config: Config) -> AsyncIterator[Operator]:
    """Give the running server of a data directory, or its files where none is running."""
    async with ask_server(config) as running:
        if running is not None:
            yield running
            return
    expect_store(config)
    async with open_files(config) as log:
        yield _Files(log, config)


def expect_store(config: Config) -> None:
    """Raise LogUnavailable where there is none, since opening one would make it."""
    if not has_store(config):
        raise LogUnavailable(
            f"{config.data}: there is no store; name the server's directory with --data"
        )


class _Files:
    """The files themselves, answering as a server would."""

    def __init__(self, log: Any, config: Config) -> None:
        self._log = log
        self._config = config

    async def ask(self, request: operator.OperatorRequest) -> Mapping[str, Any]:
        now_ms = SystemClock().now_ms()
        if isinstance(request, OperatorCheck) and await self._log.read(_has_stale_index):
            raise LogUnavailable(
                f"{self._config.data}: its index is an older groupd's, or was not finished; "
                "`groupd check --rebuild-index` makes it anew (of a backup, do so to a copy)"
            )
        result = await operator.serve(self._log, self._config, request, now_ms=now_ms, rests=False)
        return result.decode() if isinstance(result, Encoded) else result


def _has_stale_index(store: SqliteStore) -> bool:
    return store.index_is_stale


# --- log


async def show_log(config: Config, query: LogQuery, *, as_json: bool) -> bool:
    """Print events until there are no more, or ``limit``."""
    console = Console(soft_wrap=True, emoji=False)
    async with find_operator(config) as asked:
        after, left = query.after, query.limit
        while left is None or left > 0:
            request = OperatorLog(
                group=query.group,
                tenant=query.tenant,
                account=query.account,
                after=after,
                limit=min(left or 500, 500),
            )
            page = await asked.ask(request)
            if as_json:
                print_lines(page["events"])
            else:
                for event in page["events"]:
                    _print_event(console, event)
            if not page["more"] or not page["events"]:
                break
            after = page["events"][-1]["seq"]
            left = None if left is None else left - len(page["events"])
    return True


def _print_event(console: Console, event: Mapping[str, Any]) -> None:
    when = datetime.fromtimestamp(event["time_ms"] / 1_000, UTC).strftime("%Y-%m-%d %H:%M:%S")
    common = {"group", "seq", "time_ms", "user", "kind", "id"}
    details = "  ".join(f"{key}={value!r}" for key, value in event.items() if key not in common)
    user = event.get("user") or "-"
    console.print(
        f"[bold]{event['seq']:>6}[/]  [dim]{when}[/]  [cyan]{escape(user)}[/]  "
        f"[green]{event['kind']}[/]  {escape(details)}",
        highlight=False,
    )


# --- check


async def check(config: Config, *, rebuild_index: bool) -> bool:
    """Verify everything, with a progress line; gives False where something is wrong."""
    console = Console(emoji=False)
    if rebuild_index:
        await _rebuild(config, console)
    problems: list[Mapping[str, Any]] = []
    streams = records = 0
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    async with find_operator(config) as asked:
        with Progress(*columns, console=console, transient=True) as progress:
            task = progress.add_task("checking", total=None)
            after: tuple[str, ...] | None = None
            while True:
                try:
                    page = await asked.ask(OperatorCheck(after=after))
                except GroupdError:
                    if problems:
                        _print_problems(console, problems)
                    raise
                streams += page["streams"]
                records += page["records"]
                problems += page["problems"]
                progress.update(task, description=f"{streams} streams, {records} records")
                await trio.lowlevel.checkpoint()
                if page.get("next") is None:
                    break
                after = tuple(page["next"])
    if not problems:
        console.print(
            f"[green]All is well:[/] {streams} streams, {records} records, and their index."
        )
        return True
    _print_problems(console, problems)
    console.print(
        "A damaged log is put back from a backup with `groupd mend`, an index alone is made anew "
        "with `groupd check --rebuild-index`; docs/operations.md says how.",
        soft_wrap=True,
    )
    return False


def _print_problems(console: Console, problems: Sequence[Mapping[str, Any]]) -> None:
    table = Table(title=f"{len(problems)} problems", title_style="bold red")
    for column in ("stream", "seq", "what"):
        table.add_column(column)
    for problem in problems:
        name = "/".join(problem["stream"]) or "store"
        table.add_row(escape(name), str(problem["seq"] or ""), escape(problem["what"]))
    console.print(table)


async def _rebuild(config: Config, console: Console) -> None:
    """Make the index anew; the server must be stopped for this."""
    async with ask_server(config) as running:
        if running is not None:
            raise LogUnavailable(f"a server is using {config.data}; stop it before --rebuild-index")
    expect_store(config)
    async with open_files(config, writes=True) as log:
        with console.status("making the index anew"):
            count = await log.read(lambda store: store.rebuild_index(project))
    console.print(f"The index was made anew from {count} records.")


# --- mend


async def mend(config: Config, stream: StreamKey, copy: Path) -> bool:
    """Put what is damaged of a stream back from a backup; the server must be stopped for this.

    Raises LogUnavailable where the server runs or there is no store, LogCorrupt where the backup
    has not what is missing.
    """
    console = Console(emoji=False)
    async with ask_server(config) as running:
        if running is not None:
            raise LogUnavailable(f"a server is using {config.data}; stop it before mending")
    for each in (config, attrs.evolve(config, data=str(copy))):
        expect_store(each)
    with console.status("mending"):
        mended = await mend_files(Path(config.data), stream, copy)
    for line in _said_of(mended):
        console.print(line, highlight=False)
    if not mended.left:
        return True
    _print_problems(console, [attrs.asdict(problem, recurse=False) for problem in mended.left])
    console.print(
        "The log is in order, and this is what is left; an index is made anew with "
        "`groupd check --rebuild-index`.",
        soft_wrap=True,
    )
    return False


def _said_of(mended: Mended) -> Iterator[str]:
    """Say what was put right."""
    if mended.seqs:
        seqs = ", ".join(map(str, mended.seqs[:SEQS_SHOWN]))
        more = "..." if len(mended.seqs) > SEQS_SHOWN else ""
        yield f"{len(mended.seqs)} records were put back: {seqs}{more}."
    if mended.surplus:
        yield f"{mended.surplus} records went that the log never had."
    if mended.head:
        yield f"Its head was put right: {', '.join(mended.head)}."
    if mended.cursors:
        yield f"{mended.cursors} read cursors went that made no sense."
    if mended.others:
        yield f"Put right as well: {'; '.join(mended.others)}."
    if mended == Mended():
        yield "Nothing is damaged."
