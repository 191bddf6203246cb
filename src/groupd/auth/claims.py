"""What a token says, once its signature was checked: times, audience, user, name and so on.

Where an issuer has other names for its claims, they are looked for under those. Messages name the
claim as the token has it.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from typing import Any, Final

import orjson

from groupd.config import CLAIMS, CONTENT
from groupd.domain.fields import clean_name, clean_user, clean_value, size_of
from groupd.errors import AuthError, Rejected

_SECONDS_MAX: Final = 253_402_300_799
"""The end of the year 9999. A later time is one in milliseconds that should be in seconds."""
BIRTH_YEAR_MIN: Final = 1_900
_SHOWN_MAX: Final = 40
"""How much of a wrong value a message repeats."""


class Claims:
    """What a token says, of which only the signature has been checked.

    ``names`` are an issuer's own names of claims, as in ``IssuerConfig.claims``.
    """

    def __init__(self, payload: bytes, names: Mapping[str, str] = CLAIMS) -> None:
        try:
            # Stricter than the standard library: no NaN, no lone surrogates.
            claims = orjson.loads(payload)
        except orjson.JSONDecodeError:
            raise AuthError("the token's payload is not JSON") from None
        if not isinstance(claims, dict):
            raise AuthError("the token's payload is not a JSON object")
        self._claims: dict[str, Any] = claims
        self._names = {**CLAIMS, **names}

    @property
    def issuer(self) -> object:
        """Give who issued the token, as it says."""
        return self._claims.get("iss")

    def check_times(self, now_ms: int, *, leeway_s: int) -> None:
        """Refuse a token that has expired, or whose time has not come."""
        now_s = now_ms / 1_000
        if self.seconds("exp") + leeway_s <= now_s:
            raise AuthError("the token has expired")
        for name in ("nbf", "iat"):
            if self._claims.get(name) is not None and self.seconds(name) - leeway_s > now_s:
                raise AuthError(f"{name}: lies in the future; do the clocks agree?")

    def check_audience(self, audience: str) -> None:
        """Refuse a token that was made for somebody else."""
        aud = self._claims.get("aud")
        for_us = audience in aud if isinstance(aud, list) else aud == audience
        if not for_us:
            raise AuthError(f"aud: expected {shown(audience)}, got {shown(aud)}")

    def seconds(self, name: str) -> int | float:
        """Give a required time; whole seconds or fractions (RFC 7519, NumericDate)."""
        value = self._claims.get(name)
        if value is None:
            raise AuthError(f"{name}: is missing")
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise AuthError(f"{name}: expected seconds since 1970, got {shown(value)}")
        if value > _SECONDS_MAX:
            raise AuthError(f"{name}: expected seconds since 1970; are these milliseconds?")
        if value < 0:
            raise AuthError(f"{name}: expected seconds since 1970, got {shown(value)}")
        return value

    def issued_ms(self) -> int | None:
        """Give when the token was issued; None where it does not say."""
        return None if self._claims.get("iat") is None else int(self.seconds("iat") * 1_000)

    def user(self) -> str:
        """Give the user, mostly ``sub``: an id as the rules know it."""
        claim = self._names["user"]
        if self._claims.get(claim) in (None, ""):
            raise AuthError(f"{claim}: is missing; it is the user's id")
        return self._identifier(claim, self._claims[claim])

    def tenant(self, only: str | None) -> str:
        """Give the optional tenant, which is built like a user id.

        ``only`` is the tenant that the issuer speaks for; a token that names another is refused.
        """
        named = self._claims.get("tenant")
        tenant = self._identifier("tenant", named) if named not in (None, "") else ""
        if only is None:
            return tenant
        if tenant not in ("", only):
            raise AuthError(f"tenant: its issuer cannot speak for {shown(tenant)}")
        return only

    def text(self, name: str, max_chars: int) -> str:
        """Give an optional text of one line, trimmed and in NFC."""
        claim = self._names[name]
        value = self._claims.get(claim)
        if value is None:
            return ""
        try:
            return clean_name(value, claim, max_chars=max_chars, min_chars=0)
        except Rejected as refused:
            raise AuthError(refused.message) from None

    def birth_year(self, now_ms: int) -> int | None:
        """Give an optional year that is not in the future."""
        claim = self._names["birth_year"]
        value = self._claims.get(claim)
        if value is None:
            return None
        newest = 1_970 + now_ms // 31_556_952_000  # The mean Gregorian year.
        if type(value) is not int or not BIRTH_YEAR_MIN <= value <= newest:
            raise AuthError(f"{claim}: expected a year as an integer, got {shown(value)}")
        return value

    def of_the_host(self) -> dict[str, Any]:
        """Give the optional ``claims``: what entry conditions look at."""
        claim = self._names["claims"]
        value = self._claims.get(claim)
        if value is None:
            return {}
        if not isinstance(value, dict):
            raise AuthError(f"{claim}: expected a map, got {shown(value)}")
        try:
            checked: dict[str, Any] = clean_value(value, claim, 2)
        except Rejected as refused:
            raise AuthError(refused.message) from None
        if size_of(checked) > CONTENT.claims_max_bytes:
            raise AuthError(f"{claim}: expected at most {CONTENT.claims_max_bytes} bytes")
        return checked

    def _identifier(self, name: str, value: object) -> str:
        # Ids are compared byte by byte everywhere, so only the one normal form will do.
        try:
            identifier = clean_user(value, name)
        except Rejected as refused:
            raise AuthError(refused.message) from None
        if not unicodedata.is_normalized("NFC", identifier):
            raise AuthError(f"{name}: expected Unicode in normal form NFC")
        return identifier


def shown(value: object) -> str:
    """Give a wrong value as a message may repeat it: short, and in ASCII."""
    text = ascii(value)
    return text if len(text) <= _SHOWN_MAX else f"{text[:_SHOWN_MAX]}..."
