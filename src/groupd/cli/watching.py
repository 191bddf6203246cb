"""What an operator reads of the host's side: the audit, and the consumers of the feed."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

import attrs
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from groupd.cli.lines import print_lines
from groupd.cli.operate import Operator, find_operator
from groupd.config import Config
from groupd.domain.watching import AUDIT_PAGE_MAX, OperatorAudit, OperatorConsumers
from groupd.system import SystemClock

SHOWN: Final = 200
"""Entries that a terminal gets unless it is said how many."""


@attrs.frozen
class Wanted:
    """Which part of the audit to show."""

    group: str
    user: str
    key: str
    tenant: str
    limit: int | None


async def show_audit(config: Config, wanted: Wanted) -> bool:
    """Print entries, the latest first, until there are no more, or ``limit``.

    At a terminal as a table, of ``SHOWN`` entries unless told otherwise; elsewhere as JSON lines.
    """
    if not sys.stdout.isatty():
        async with find_operator(config) as asked:
            async for entries in _pages(asked, wanted):
                print_lines(entries)
        return True
    console, limit = Console(emoji=False), wanted.limit or SHOWN
    shown: list[Mapping[str, Any]] = []
    async with find_operator(config) as asked:
        async for entries in _pages(asked, attrs.evolve(wanted, limit=limit)):
            shown += entries
    if not shown:
        console.print("Nothing of this was changed with a key, or is kept any more.")
        return True
    console.print(_audit_table(shown))
    if len(shown) == limit:
        console.print(f"These are the latest {limit}; --limit shows more.")
    return True


async def _pages(asked: Operator, wanted: Wanted) -> AsyncIterator[list[Mapping[str, Any]]]:
    before: int | None = None
    left = wanted.limit
    while left is None or left > 0:
        page = await asked.ask(
            OperatorAudit(
                tenant=wanted.tenant,
                group=wanted.group,
                user=wanted.user,
                key=wanted.key,
                before=before,
                limit=min(left or AUDIT_PAGE_MAX, AUDIT_PAGE_MAX),
            )
        )
        if page["entries"]:
            yield page["entries"]
        before = page.get("next")
        if before is None:
            return
        left = None if left is None else left - len(page["entries"])


def _audit_table(entries: list[Mapping[str, Any]]) -> Table:
    table = Table("when (UTC)", "key", "as", "method", "what", "seq", "user")
    for entry in entries:
        whose = entry["as"]
        what = entry.get("group") or entry.get("account") or entry.get("consumer") or ""
        cells = (
            _when(entry["time_ms"]),
            entry["key"],
            whose["user"] if isinstance(whose, Mapping) else whose,
            entry["method"],
            what,
            str(entry.get("seq", "")),
            entry.get("user", ""),
        )
        table.add_row(*map(escape, cells))
    return table


async def show_consumers(config: Config) -> bool:
    """Print the consumers of all tenants: as a table at a terminal, else as lines of JSON."""
    console, now_ms = Console(emoji=False), SystemClock().now_ms()
    found: list[Mapping[str, Any]] = []
    async with find_operator(config) as asked:
        after: str | None = ""
        while after is not None:
            page = await asked.ask(OperatorConsumers(after=after))
            found += page["consumers"]
            after = page.get("next")
    if not sys.stdout.isatty():
        print_lines(found)
        return True
    if not found:
        console.print("Nobody follows the feed.")
        return True
    table = Table("consumer", "tenant", "lag", "behind for", "last error")
    for each in found:
        cells = (
            each["name"],
            each["tenant"],
            f"{each['lag']:,}",
            _age(each["since_ms"], now_ms),
            each["last_error"] or "",
        )
        table.add_row(*map(escape, cells))
    console.print(table)
    return True


def _when(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms / 1_000, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _age(since_ms: int | None, now_ms: int) -> str:
    """Say for how long something waits: in the largest unit of which there is at least one."""
    if since_ms is None:
        return ""
    seconds = max(0, now_ms - since_ms) // 1_000
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds >= size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"
