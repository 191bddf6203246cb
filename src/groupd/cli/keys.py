"""``groupd key``: the service keys of backends."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from groupd.web.keys import ServiceKey


def show_keys(keys: list[ServiceKey]) -> None:
    """Print a table of the keys, without secrets: nobody has them."""
    console = Console(emoji=False)
    if not keys:
        console.print("There is no service key yet; `groupd key make NAME` makes one.")
        return
    table = Table("key", "tenant", "may")
    for key in keys:
        table.add_row(escape(key.name), escape(key.tenant), ", ".join(sorted(key.scopes)))
    console.print(table)
