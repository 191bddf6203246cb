"""``groupd token``: tokens to try a server with, and for its operators."""

from __future__ import annotations

from typing import Annotated, Any

import orjson
from cyclopts import Parameter

from groupd import app as composition
from groupd.cli.given import ConfigFile, Data, config_of, duration_ms
from groupd.domain.base import Identity
from groupd.domain.operating import OPERATOR, OPERATOR_OF_ALL
from groupd.errors import ConfigError


def _scope(*, operator: bool, all_tenants: bool) -> str:
    if all_tenants and not operator:
        raise ConfigError("--all-tenants: goes with --operator")
    return (OPERATOR_OF_ALL if all_tenants else OPERATOR) if operator else ""


def _claims(given: list[str]) -> dict[str, Any]:
    """Give the claims of ``NAME=VALUE`` words; a value is JSON where it can be, else a string."""
    claims: dict[str, Any] = {}
    for word in given:
        name, sign, value = word.partition("=")
        if not (name and sign):
            raise ConfigError(f"--claim: expected NAME=VALUE, got {word!r}")
        try:
            claims[name] = orjson.loads(value)
        except orjson.JSONDecodeError:
            claims[name] = value
    return claims


def token(
    user: str,
    *,
    name: Annotated[str, Parameter(help="The name that others see.")] = "",
    plan: Annotated[str, Parameter(help="ordinary, kuaishou, douyin, wechat, circle.")] = "",
    gender: Annotated[str, Parameter(help="A claim, for statistics.")] = "",
    birth_year: Annotated[int | None, Parameter(help="A claim, for statistics.")] = None,
    region: Annotated[str, Parameter(help="A claim.")] = "",
    tenant: Annotated[str, Parameter(help="The app, where several share a server.")] = "",
    picture: Annotated[str, Parameter(help="The URL of a picture that others see.")] = "",
    claim: Annotated[
        list[str] | None,
        Parameter(
            negative=(), help="NAME=VALUE, for entry conditions, such as fan_level=3. Repeatable."
        ),
    ] = None,
    operator: Annotated[
        bool,
        Parameter(negative="", help="For the console: it operates the groups of its tenant."),
    ] = False,
    all_tenants: Annotated[
        bool, Parameter(negative="", help="With --operator: those of all tenants.")
    ] = False,
    expires_in: Annotated[
        int,
        Parameter(
            converter=duration_ms, show_default=False, help="Such as 90s, 15m, 12h, 30d. [12h]"
        ),
    ] = 12 * 3_600_000,
    config: ConfigFile = None,
    data: Data = None,
) -> None:
    """Print a token for USER, signed with the server's secret.

    In production the host application issues tokens; this is for trying things out.

    Parameters
    ----------
    user
        The user's id, as the host application knows it.
    """
    settings = config_of(config, data=data)
    identity = Identity(
        user=user,
        name=name or user,
        plan=plan,
        gender=gender,
        birth_year=birth_year,
        region=region,
        tenant=tenant,
        picture=picture,
        scope=_scope(operator=operator, all_tenants=all_tenants),
        claims=_claims(claim or []),
    )
    if plan and plan not in settings.plans:
        raise ConfigError(f"--plan: expected one of {', '.join(settings.plans)}, got {plan!r}")
    print(composition.make_token(settings, identity, expires_in_ms=expires_in))
