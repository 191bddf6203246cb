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


async def identity_of(hub: Hub, tenant: str, whose: Any) -> Identity:
    """Give who is meant by ``as``, introduced where that says something new of them.

    What is left out stays as the user's token, or an earlier call, has last said it. Raises
    Rejected, LogUnavailable.
    """
    said = {"user": whose} if isinstance(whose, str) else whose
    if not isinstance(said, Mapping) or not isinstance(said.get("user"), str):
        raise refuse("as", 'expected a user id, {"user": ...} with a profile, or "system"')
    unknown = sorted(said.keys() - {"user", *PROFILE})
    if unknown:
        raise refuse("as", f"expected user, {', '.join(PROFILE)}; got {', '.join(unknown)}")
    user = clean_user(said["user"], "as")
    known = await hub.log.read(lambda store: store.profile(tenant, user)) or Profile()
    given = {name: value for name, value in said.items() if value is not None}
    claims = clean_value(given.get("claims", {}), "as.claims")
    if not isinstance(claims, dict):
        raise refuse("as.claims", "expected an object")
    year = given.get("birth_year", known.birth_year)
    if year is not None:
        year = clean_int(year, "as.birth_year", low=BIRTH_YEAR_MIN)
    caller = Identity(
        user=user,
        tenant=tenant,
        name=_text(given, "name", known.name, CONTENT.name_max),
        picture=_text(given, "picture", known.picture, CONTENT.picture_max),
        plan=_text(given, "plan", known.plan, CONTENT.name_max) or hub.rules.default_plan,
        gender=_text(given, "gender", known.gender, CONTENT.name_max),
        birth_year=year,
        region=_text(given, "region", "", CONTENT.name_max),
        claims=claims,
    )
    if caller.plan not in hub.rules.plans:
        raise refuse("as.plan", f"no plan {caller.plan!r} is configured")
    if len(given) > 1:
        await hub.introduce(caller)
    return caller


def _text(given: Mapping[str, Any], name: str, known: str, max_chars: int) -> str:
    if name not in given:
        return known
    return clean_name(given[name], f"as.{name}", max_chars=max_chars, min_chars=0)
