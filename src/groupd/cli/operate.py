"""What an operator asks of a store: ``groupd log`` and ``groupd check``.

Beside a running server, which holds the files, the server is asked over its own socket in the data
directory; otherwise the files are opened. Either way the answers are made by the same code
(``server/operator.py``).
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, Protocol

import attrs
import orjson
import trio
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from groupd import app as composition
from groupd.config import Config
from groupd.domain.queries import OperatorCheck, OperatorLog
from groupd.engine.ledger import project
from groupd.errors import LogUnavailable
from groupd.server import operator
from groupd.wire.codec import Encoded


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

    async def ask(self, request: OperatorLog | OperatorCheck) -> Mapping[str, Any]:
        """Answer; raises Rejected."""
        ...


@asynccontextmanager
async def find_operator(config: Config) -> AsyncIterator[Operator]:
    """Give the running server of a data directory, or its files where none is running."""
    async with composition.ask_server(config) as running:
        if running is not None:
            yield running
            return
    _expect_store(config)
    async with composition.open_files(config) as log:
        yield _Files(log, config)


def _expect_store(config: Config) -> None:
    """Raise LogUnavailable where there is none, since opening one would make it."""
    if not composition.has_store(config):
        raise LogUnavailable(
            f"{config.data}: there is no store; name the server's directory with --data"
        )


class _Files:
    """The files themselves, answering as a server would."""

    def __init__(self, log: Any, config: Config) -> None:
        self._log = log
        self._config = config

    async def ask(self, request: OperatorLog | OperatorCheck) -> Mapping[str, Any]:
        result = await operator.serve(self._log, self._config.limits, request)
        return result.decode() if isinstance(result, Encoded) else result


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
            for event in page["events"]:
                if as_json:
                    sys.stdout.buffer.write(orjson.dumps(event) + b"\n")
                else:
                    _print_event(console, event)
            sys.stdout.flush()
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
                page = await asked.ask(OperatorCheck(after=after))
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
    table = Table(title=f"{len(problems)} problems", title_style="bold red")
    for column in ("stream", "seq", "what"):
        table.add_column(column)
    for problem in problems:
        name = "/".join(problem["stream"]) or "index"
        table.add_row(escape(name), str(problem["seq"] or ""), escape(problem["what"]))
    console.print(table)
    console.print("An index alone is made anew with `groupd check --rebuild-index`.")
    return False


async def _rebuild(config: Config, console: Console) -> None:
    """Make the index anew; the server must be stopped for this."""
    async with composition.ask_server(config) as running:
        if running is not None:
            raise LogUnavailable(f"a server is using {config.data}; stop it before --rebuild-index")
    _expect_store(config)
    async with composition.open_files(config) as log:
        with console.status("making the index anew"):
            count = await log.read(lambda store: store.rebuild_index(project))
    console.print(f"The index was made anew from {count} records.")
