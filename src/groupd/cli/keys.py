"""``groupd key``: the service keys of backends."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import cyclopts
from cyclopts import Parameter
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from groupd.cli.given import ConfigFile, Data, config_of
from groupd.data_files import add_service_key, remove_service_key, service_keys
from groupd.web.keys import SCOPES, ServiceKey

key_app = cyclopts.App(name="key", help="Service keys, with which a backend uses the host API.")


@key_app.command(name="make")
def key_make(
    name: str,
    *,
    scope: Annotated[
        list[str] | None,
        Parameter(negative=(), help=f"{', '.join(SCOPES)}; may be repeated. [all of them]"),
    ] = None,
    tenant: Annotated[str, Parameter(help="Whose groups and users it is for.")] = "",
    config: ConfigFile = None,
    data: Data = None,
) -> None:
    """Make a service key for a backend, and print it: nobody can do so again.

    A running server takes it within a second.

    Parameters
    ----------
    name
        What the key is called in logs: 1 to 32 of a-z, 0-9 and -.
    """
    settings = config_of(config, data=data)
    print(add_service_key(settings, name, tenant=tenant, scopes=scope or list(SCOPES)))


@key_app.command(name="list")
def key_list(*, config: ConfigFile = None, data: Data = None) -> None:
    """List the service keys, and what each may do."""
    _show(service_keys(Path(config_of(config, data=data).data)))


@key_app.command(name="remove")
def key_remove(name: str, *, config: ConfigFile = None, data: Data = None) -> None:
    """Take a service key away; a running server refuses it within a second.

    Parameters
    ----------
    name
        What the key is called.
    """
    remove_service_key(config_of(config, data=data), name)


def _show(keys: list[ServiceKey]) -> None:
    """Print a table of the keys, without secrets: nobody has them."""
    console = Console(emoji=False)
    if not keys:
        console.print("There is no service key yet; `groupd key make NAME` makes one.")
        return
    table = Table("key", "tenant", "may")
    for key in keys:
        table.add_row(escape(key.name), escape(key.tenant), ", ".join(sorted(key.scopes)))
    console.print(table)
