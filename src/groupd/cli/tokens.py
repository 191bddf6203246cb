"""``groupd tokens``: tokens of many users at once, for load tests."""

from __future__ import annotations

from typing import Annotated, Final

import cyclopts
from cyclopts import Parameter
from cyclopts.validators import Number

from groupd import app as composition
from groupd.cli.given import ConfigFile, Data, config_of, duration_ms
from groupd.domain.base import Identity
from groupd.errors import ConfigError
from groupd.loadtest.plan import USERS_MAX

tokens_app = cyclopts.App(name="tokens", help="Tokens of many users at once, for load tests.")

PREFIX: Final = "bench-"


@tokens_app.command(name="make")
def tokens_make(
    *,
    count: Annotated[int, Parameter(validator=Number(gte=1, lte=USERS_MAX), help="How many.")],
    prefix: Annotated[str, Parameter(help="What the users' ids begin with.")] = PREFIX,
    plan: Annotated[str, Parameter(help="ordinary, kuaishou, douyin, wechat, circle.")] = "",
    tenant: Annotated[str, Parameter(help="The app, where several share a server.")] = "",
    expires_in: Annotated[
        int,
        Parameter(
            converter=duration_ms, show_default=False, help="Such as 90s, 15m, 12h, 30d. [12h]"
        ),
    ] = 12 * 3_600_000,
    config: ConfigFile = None,
    data: Data = None,
) -> None:
    """Print tokens for `groupd bench --tokens`: a user, a tab and a token on each line.

    They are signed with the server's secret, so this runs where the server is. Where a host
    application signs them, it can write the same lines.
    """
    settings = config_of(config, data=data)
    if plan and plan not in settings.plans:
        raise ConfigError(f"--plan: expected one of {', '.join(settings.plans)}, got {plan!r}")
    for number in range(1, count + 1):
        user = f"{prefix}{number}"
        identity = Identity(user=user, name=user, plan=plan, tenant=tenant)
        print(user, composition.make_token(settings, identity, expires_in_ms=expires_in), sep="\t")
