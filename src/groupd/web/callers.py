"""Whom a backend speaks for: ``as`` becomes an ``Identity``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from groupd.auth.claims import BIRTH_YEAR_MIN
from groupd.config import CONTENT
from groupd.domain.base import Identity
from groupd.domain.fields import clean_int, clean_name, clean_user, clean_value, refuse
from groupd.domain.projection import Profile
from groupd.engine.hub import Hub

SYSTEM: Final = "system"
"""In place of a user: the host itself. A user who is called that is ``{"user": "system"}``."""
PROFILE: Final = ("name", "picture", "plan", "gender", "birth_year", "region", "claims")
"""What ``as`` may say of a user beside ``user``: the claims that a token may have."""


async def identity_of(hub: Hub, tenant: str, whose: Any, *, field: str = "as") -> Identity:
    """Give who is meant by ``as``, introduced where that says something new of them.

    What is left out stays as the user's token, or an earlier call, has last said it. ``field`` is
    the parameter that says it. Raises Rejected, LogUnavailable.
    """
    said = {"user": whose} if isinstance(whose, str) else whose
    if not isinstance(said, Mapping) or not isinstance(said.get("user"), str):
        raise refuse(field, 'expected a user id, {"user": ...} with a profile, or "system"')
    unknown = sorted(said.keys() - {"user", *PROFILE})
    if unknown:
        raise refuse(field, f"expected user, {', '.join(PROFILE)}; got {', '.join(unknown)}")
    user = clean_user(said["user"], field)
    known = await hub.log.read(lambda store: store.profile(tenant, user)) or Profile()
    given = {name: value for name, value in said.items() if value is not None}
    claims = clean_value(given.get("claims", {}), f"{field}.claims")
    if not isinstance(claims, dict):
        raise refuse(f"{field}.claims", "expected an object")
    year = given.get("birth_year", known.birth_year)
    if year is not None:
        year = clean_int(year, f"{field}.birth_year", low=BIRTH_YEAR_MIN)

    def text(name: str, known: str, max_chars: int = CONTENT.name_max) -> str:
        if name not in given:
            return known
        return clean_name(given[name], f"{field}.{name}", max_chars=max_chars, min_chars=0)

    caller = Identity(
        user=user,
        tenant=tenant,
        name=text("name", known.name),
        picture=text("picture", known.picture, CONTENT.picture_max),
        plan=text("plan", known.plan) or hub.rules.default_plan,
        gender=text("gender", known.gender),
        birth_year=year,
        region=text("region", ""),
        claims=claims,
    )
    if caller.plan not in hub.rules.plans:
        raise refuse(f"{field}.plan", f"no plan {caller.plan!r} is configured")
    if len(given) > 1:
        await hub.introduce(caller)
    return caller
