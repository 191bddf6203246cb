"""``groupd revoke`` and ``groupd disconnect``: what they are given. ``users.py`` does it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from cyclopts import Parameter

from groupd.cli import users
from groupd.cli.failing import run_or_fail
from groupd.cli.given import ConfigFile, Data, config_of
from groupd.domain.base import Identity


def _time_ms(_type: Any, tokens: Any) -> int:
    """Read ``2026-01-31T12:00:00+08:00``; without an offset it is UTC, as in ``groupd log``."""
    text = tokens[0].value
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"expected a time such as 2026-01-31T12:00:00Z, got {text!r}") from None
    return int((when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp() * 1_000)


def revoke(
    user: str,
    *,
    before: Annotated[
        int | None,
        Parameter(
            converter=_time_ms, show_default=False, help="Such as 2026-01-31T12:00:00Z. [now]"
        ),
    ] = None,
    tenant: Annotated[str, Parameter(help="The app, where several share a server.")] = "",
    config: ConfigFile = None,
    data: Data = None,
) -> None:
    """Refuse the tokens of USER that were issued until now, for good, and end their sessions.

    Parameters
    ----------
    user
        The user's id, as the host application knows it.
    """
    settings = config_of(config, data=data)
    account = Identity(user=user, tenant=tenant).account
    run_or_fail(lambda: users.revoke(settings, account, before))


def disconnect(
    user: str,
    *,
    tenant: Annotated[str, Parameter(help="The app, where several share a server.")] = "",
    config: ConfigFile = None,
    data: Data = None,
) -> None:
    """End the sessions of USER; they may come again, with any token that is good.

    Parameters
    ----------
    user
        The user's id, as the host application knows it.
    """
    settings = config_of(config, data=data)
    account = Identity(user=user, tenant=tenant).account
    run_or_fail(lambda: users.disconnect(settings, account))
