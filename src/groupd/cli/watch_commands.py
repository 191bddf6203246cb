"""``groupd audit`` and ``groupd consumers``: what they are given. ``watching.py`` does it."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from groupd.cli import watching
from groupd.cli.failing import run_or_fail
from groupd.cli.given import ConfigFile, Data, config_of


def audit(
    *,
    group: Annotated[str, Parameter(help="Only what was done in this group.")] = "",
    user: Annotated[str, Parameter(help="Only what was done by this user, or to them.")] = "",
    key: Annotated[
        str, Parameter(help="Only what was done with this service key, or by the operator.")
    ] = "",
    limit: Annotated[
        int | None, Parameter(validator=Number(gte=1), help="Show at most so many entries.")
    ] = None,
    tenant: Annotated[str, Parameter(help="The app, where several share a server.")] = "",
    config: ConfigFile = None,
    data: Data = None,
) -> None:
    """Show what was changed with service keys and by the operator, the latest first.

    A table at a terminal; elsewhere one JSON object a line. Beside a running server or without one.
    """
    settings = config_of(config, data=data)
    wanted = watching.Wanted(group=group, user=user, key=key, tenant=tenant, limit=limit)
    run_or_fail(lambda: watching.show_audit(settings, wanted))


def consumers(*, config: ConfigFile = None, data: Data = None) -> None:
    """Show who follows the change feed, webhooks among them, and how far behind each is.

    A table at a terminal; elsewhere one JSON object a line. Beside a running server or without one,
    where nobody knows what went wrong last.
    """
    settings = config_of(config, data=data)
    run_or_fail(lambda: watching.show_consumers(settings))
