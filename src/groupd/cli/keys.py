"""``groupd key``: the service keys of backends."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import cyclopts
from cyclopts import Parameter
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from groupd.cli.files import is_there
from groupd.cli.given import ConfigFile, Data, config_of
from groupd.cli.operate import expect_store
from groupd.config import Config
from groupd.data_files import LINK_KEYS_FILE, add_service_key, remove_service_key, service_keys
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

    A running server takes it within a second. With --config it can be made before the first start.

    Parameters
    ----------
    name
        What the key is called in logs: 1 to 32 of a-z, 0-9 and -.
    """
    settings = _settings(config, data)
    print(add_service_key(settings, name, tenant=tenant, scopes=scope or list(SCOPES)))


@key_app.command(name="list")
def key_list(*, config: ConfigFile = None, data: Data = None) -> None:
    """List the service keys, and what each may do."""
    _show(service_keys(Path(_settings(config, data).data)))


@key_app.command(name="remove")
def key_remove(name: str, *, config: ConfigFile = None, data: Data = None) -> None:
    """Take a service key away; a running server refuses it within a second.

    Parameters
    ----------
    name
        What the key is called.
    """
    remove_service_key(_settings(config, data), name)


def _settings(config: Path | None, data: str | None) -> Config:
    """Read the configuration; raises LogUnavailable where the directory is no server's.

    What a configuration file names need not be there yet: a server that starts with that file uses
    the same directory.
    """
    settings = config_of(config, data=data)
    is_named_by_file = config is not None and data is None
    # A server that keeps its groups in memory has no store, but has this.
    if not is_named_by_file and not is_there(Path(settings.data) / LINK_KEYS_FILE):
        expect_store(settings)
    return settings


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
