"""Tokens: JWTs that the host application signs, checked into an ``Identity``.

The way of a token: its size, its header, the keys that may have signed it, the signature, and only
then its claims. Nothing here reads a clock; ``now_ms`` comes in. Messages name the claim at fault
for the developer of the host application and never hold a secret, a key or the whole token.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from typing import Any, Final

import attrs
import orjson
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.util import urlsafe_b64decode

from groupd.auth.keys import TrustedKey, secret_key, trusted_keys
from groupd.config import CONTENT, AuthConfig
from groupd.domain.base import Identity
from groupd.domain.fields import clean_name, clean_user, clean_value, size_of
from groupd.errors import AuthError, Rejected

_SECONDS_MAX: Final = 253_402_300_799
"""The end of the year 9999. A later time is one in milliseconds that should be in seconds."""
_BIRTH_YEAR_MIN: Final = 1_900
_SHOWN_MAX: Final = 40
"""How much of a wrong value a message repeats."""


class _Algorithms(jws.JWSRegistry):
    """The signatures that groupd can check. ``EdDSA`` is the older name of ``Ed25519``."""

    algorithms = {  # noqa: RUF012 (the base class's attribute, never changed)
        name: jws.JWSRegistry.algorithms["Ed25519" if name == "EdDSA" else name]
        for name in ("HS256", "RS256", "ES256", "EdDSA", "Ed25519")
    }


class TokenVerifier:
    """Turns the tokens of one host application into identities."""

    def __init__(
        self, config: AuthConfig, *, token_max_bytes: int, default_plan: str = "ordinary"
    ) -> None:
        """Read the keys; raises ConfigError where one is missing or too weak.

        ``default_plan`` is the plan of a token that names none.
        """
        self._keys = trusted_keys(config)
        self._audience = config.audience
        self._leeway_s = config.leeway_s
        self._token_max_bytes = token_max_bytes
        self._default_plan = default_plan
        self._allowed = sorted({name for trusted in self._keys for name in trusted.algorithms})
        # Headers that bring keys or certificates of their own (jwk, jku, x5c) have no effect.
        self._registry = _Algorithms(algorithms=self._allowed, strict_check_header=False)

    def verify(self, token: str, now_ms: int) -> Identity:
        """Give who the token speaks for.

        The leeway is for clocks that differ; with it, ``expires_ms`` may lie a little in the past.

        Raises AuthError, whatever the token is.
        """
        claims = _Claims(self._payload(token))
        claims.check_times(now_ms, leeway_s=self._leeway_s)
        claims.check_audience(self._audience)
        return Identity(
            user=claims.user(),
            tenant=claims.tenant(),
            name=claims.text("name", CONTENT.name_max),
            picture=claims.text("picture", CONTENT.picture_max),
            plan=claims.text("plan", CONTENT.name_max) or self._default_plan,
            gender=claims.text("gender", CONTENT.name_max),
            birth_year=claims.birth_year(now_ms),
            region=claims.text("region", CONTENT.name_max),
            scope=claims.text("scope", self._token_max_bytes),
            claims=claims.of_the_host(),
            expires_ms=int(claims.seconds("exp") * 1_000),
        )

    def _payload(self, token: str) -> bytes:
        if len(token) > self._token_max_bytes:
            raise AuthError(f"the token is longer than {self._token_max_bytes} bytes")
        if not token.isascii() or token.count(".") != 2:
            raise AuthError("not a JWT: expected three base64url parts with dots between them")
        header = _header(token)
        for trusted in self._candidates(header):
            try:
                return jws.deserialize_compact(token, trusted.key, registry=self._registry).payload
            except (JoseError, ValueError):
                continue
        raise AuthError("the signature does not match; is the token signed with groupd's key?")

    def _candidates(self, header: Mapping[str, Any]) -> list[TrustedKey]:
        algorithm, kid = header.get("alg"), header.get("kid")
        keys = [trusted for trusted in self._keys if algorithm in trusted.algorithms]
        if not keys:
            expected = " or ".join(self._allowed)
            raise AuthError(f"header alg: expected {expected}, got {_shown(algorithm)}")
        # A key that has no id of its own is tried for any: secrets and PEM files have none.
        keys = [trusted for trusted in keys if kid is None or trusted.kid in (None, kid)]
        if not keys:
            raise AuthError(f"header kid: no key of groupd's is called {_shown(kid)}")
        return keys


def issue_token(
    secret: str, identity: Identity, *, now_ms: int, expires_in_ms: int, audience: str
) -> str:
    """Make a token that a verifier with this secret believes, for tests and the command line.

    Fields of the identity that are empty are left out; its ``expires_ms`` is not looked at.
    Raises ConfigError where the secret is too short.
    """
    claims: dict[str, Any] = {
        "sub": identity.user,
        "aud": audience,
        "iat": now_ms // 1_000,
        "exp": (now_ms + expires_in_ms) // 1_000,
    }
    fields = attrs.asdict(identity, filter=attrs.filters.exclude("user", "expires_ms"))
    claims.update((name, value) for name, value in fields.items() if value not in ("", None, {}))
    header = {"alg": "HS256", "typ": "JWT"}
    return jws.serialize_compact(header, orjson.dumps(claims), secret_key(secret).key)


def _header(token: str) -> Mapping[str, Any]:
    try:
        header = orjson.loads(urlsafe_b64decode(token.partition(".")[0].encode()))
    except ValueError:
        raise AuthError("not a JWT: its header is not JSON in base64url") from None
    if not isinstance(header, dict):
        raise AuthError("not a JWT: its header is not a JSON object")
    for name in ("crit", "b64"):
        if name in header:
            raise AuthError(f"header {name}: groupd knows no critical extension")
    kid = header.get("kid")
    if kid is not None and not isinstance(kid, str):
        raise AuthError(f"header kid: expected a string, got {_shown(kid)}")
    return header


class _Claims:
    """What a token says, of which only the signature has been checked."""

    def __init__(self, payload: bytes) -> None:
        try:
            # Stricter than the standard library: no NaN, no lone surrogates.
            claims = orjson.loads(payload)
        except orjson.JSONDecodeError:
            raise AuthError("the token's payload is not JSON") from None
        if not isinstance(claims, dict):
            raise AuthError("the token's payload is not a JSON object")
        self._claims: dict[str, Any] = claims

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
            raise AuthError(f"aud: expected {_shown(audience)}, got {_shown(aud)}")

    def seconds(self, name: str) -> int | float:
        """Give a required time; whole seconds or fractions (RFC 7519, NumericDate)."""
        value = self._claims.get(name)
        if value is None:
            raise AuthError(f"{name}: is missing")
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise AuthError(f"{name}: expected seconds since 1970, got {_shown(value)}")
        if value > _SECONDS_MAX:
            raise AuthError(f"{name}: expected seconds since 1970; are these milliseconds?")
        if value < 0:
            raise AuthError(f"{name}: expected seconds since 1970, got {_shown(value)}")
        return value

    def user(self) -> str:
        """Give ``sub``, a user id as the rules know it."""
        if self._claims.get("sub") in (None, ""):
            raise AuthError("sub: is missing; it is the user's id")
        return self._identifier("sub", self._claims["sub"])

    def tenant(self) -> str:
        """Give the optional tenant, which is built like a user id."""
        tenant = self._claims.get("tenant")
        return self._identifier("tenant", tenant) if tenant not in (None, "") else ""

    def text(self, name: str, max_chars: int) -> str:
        """Give an optional text of one line, trimmed and in NFC."""
        value = self._claims.get(name)
        if value is None:
            return ""
        try:
            return clean_name(value, name, max_chars=max_chars, min_chars=0)
        except Rejected as refused:
            raise AuthError(refused.message) from None

    def birth_year(self, now_ms: int) -> int | None:
        """Give an optional year that is not in the future."""
        value = self._claims.get("birth_year")
        if value is None:
            return None
        newest = 1_970 + now_ms // 31_556_952_000  # The mean Gregorian year.
        if type(value) is not int or not _BIRTH_YEAR_MIN <= value <= newest:
            raise AuthError(f"birth_year: expected a year as an integer, got {_shown(value)}")
        return value

    def of_the_host(self) -> dict[str, Any]:
        """Give the optional ``claims``: what entry conditions look at."""
        value = self._claims.get("claims")
        if value is None:
            return {}
        if not isinstance(value, dict):
            raise AuthError(f"claims: expected a map, got {_shown(value)}")
        try:
            checked: dict[str, Any] = clean_value(value, "claims", 2)
        except Rejected as refused:
            raise AuthError(refused.message) from None
        if size_of(checked) > CONTENT.claims_max_bytes:
            raise AuthError(f"claims: expected at most {CONTENT.claims_max_bytes} bytes")
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


def _shown(value: object) -> str:
    shown = ascii(value)
    return shown if len(shown) <= _SHOWN_MAX else f"{shown[:_SHOWN_MAX]}..."
