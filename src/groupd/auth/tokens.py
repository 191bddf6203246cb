"""Tokens: JWTs that the host application signs, checked into an ``Identity``.

The way of a token: its size, its header, who says to have issued it, the keys of that issuer, the
signature, and only then its claims. Nothing here reads a clock or fetches a key: ``now_ms`` comes
in, and what an issuer publishes is put into its ``KeySet`` by whoever fetches it. Messages name
the claim at fault for the developer of the host application and never hold a secret, a key or the
whole token.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import attrs
import orjson
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.util import urlsafe_b64decode

from groupd.auth.claims import Claims, shown
from groupd.auth.keys import KeySet, TrustedKey, fixed_keys, secret_key
from groupd.config import CLAIMS, CONTENT, AuthConfig, IssuerConfig
from groupd.domain.base import Identity
from groupd.domain.fields import clean_user
from groupd.domain.operating import OPERATOR_OF_ALL
from groupd.errors import AuthError, ConfigError, Rejected, UnknownKey

PUBLISHED: Final = ("RS256", "ES256", "EdDSA", "Ed25519")
"""Algorithms for which an issuer may have published another key since. HS256 never: its key is a
secret."""


class _Algorithms(jws.JWSRegistry):
    """The signatures that groupd can check. ``EdDSA`` is the older name of ``Ed25519``."""

    algorithms = {  # noqa: RUF012 (the base class's attribute, never changed)
        name: jws.JWSRegistry.algorithms["Ed25519" if name == "EdDSA" else name]
        for name in ("HS256", *PUBLISHED)
    }


@attrs.frozen
class Issuer:
    """Somebody whose tokens are believed: by which keys, and what they may say."""

    keys: KeySet
    audience: str
    tenant: str | None = None
    """The one tenant that it speaks for; None where its tokens name theirs."""
    claims: Mapping[str, str] = CLAIMS


class TokenVerifier:
    """Turns the tokens of one host application, or of several, into identities."""

    def __init__(
        self, config: AuthConfig, *, token_max_bytes: int, default_plan: str = "ordinary"
    ) -> None:
        """Read the keys; raises ConfigError where one is missing or too weak.

        ``default_plan`` is the plan of a token that names none.
        """
        self._own = _own_issuer(config)
        self._named = {
            each.issuer: _named_issuer(each, config, where=f"auth.issuers[{number}]")
            for number, each in enumerate(config.issuers)
        }
        if self._own is None and not self._named:
            raise ConfigError(
                "auth: expected a secret, public_keys, jwks_url or issuers; without one no token "
                "is valid"
            )
        self._leeway_s = config.leeway_s
        self._token_max_bytes = token_max_bytes
        self._default_plan = default_plan

    @property
    def published(self) -> Sequence[KeySet]:
        """Give the sets of keys that have to be fetched; who fetches them fills them."""
        issuers = [*([] if self._own is None else [self._own]), *self._named.values()]
        return [issuer.keys for issuer in issuers if issuer.keys.url is not None]

    def verify(self, token: str, now_ms: int) -> Identity:
        """Give who the token speaks for.

        The leeway is for clocks that differ; with it, ``expires_ms`` may lie a little in the past.

        Raises AuthError, whatever the token is: UnknownKey where it may be worth a second try
        once the keys of its issuer were fetched again.
        """
        if len(token) > self._token_max_bytes:
            raise AuthError(f"the token is longer than {self._token_max_bytes} bytes")
        if not token.isascii() or token.count(".") != 2:
            raise AuthError("not a JWT: expected three base64url parts with dots between them")
        header = _header(token)
        issuer = self._issuer(_claimed_issuer(token) if self._named else None)
        claims = Claims(_payload(token, header, issuer.keys), issuer.claims)
        # Now that it is signed: the same one, however often and wherever the token says so.
        if self._named and self._issuer(claims.issuer) is not issuer:
            raise AuthError("iss: is not clear")
        claims.check_times(now_ms, leeway_s=self._leeway_s)
        claims.check_audience(issuer.audience)
        scope = claims.text("scope", self._token_max_bytes)
        if issuer.tenant is not None and OPERATOR_OF_ALL in scope.split():
            raise AuthError(f"scope: its issuer cannot speak for {OPERATOR_OF_ALL}")
        return Identity(
            user=claims.user(),
            tenant=claims.tenant(issuer.tenant),
            name=claims.text("name", CONTENT.name_max),
            picture=claims.text("picture", CONTENT.picture_max),
            plan=claims.text("plan", CONTENT.name_max) or self._default_plan,
            gender=claims.text("gender", CONTENT.name_max),
            birth_year=claims.birth_year(now_ms),
            region=claims.text("region", CONTENT.name_max),
            scope=scope,
            claims=claims.of_the_host(),
            issued_ms=claims.issued_ms(),
            expires_ms=int(claims.seconds("exp") * 1_000),
        )

    def _issuer(self, name: object) -> Issuer:
        """Give the issuer of a token that says ``name``: a named one has no other keys than its."""
        issuer = self._named.get(name) if isinstance(name, str) else None
        issuer = issuer or self._own
        if issuer is None:
            raise AuthError(f"iss: groupd believes nobody who is called {shown(name)}")
        return issuer


def _own_issuer(config: AuthConfig) -> Issuer | None:
    """Give the issuer that has no name, whose keys stand in ``[auth]`` itself."""
    if not config.has_own_keys:
        return None
    fixed = fixed_keys(config.secret, config.public_keys, where="auth")
    return Issuer(KeySet("", fixed, config.jwks_url), config.audience)


def _named_issuer(each: IssuerConfig, config: AuthConfig, *, where: str) -> Issuer:
    try:
        tenant = clean_user(each.tenant, "tenant") if each.tenant else ""
    except Rejected as refused:
        raise ConfigError(f"{where}.{refused.message}") from None
    fixed = fixed_keys(each.secret, each.public_keys, where=where)
    keys = KeySet(each.issuer, fixed, each.jwks_url)
    return Issuer(keys, each.audience or config.audience, tenant, {**CLAIMS, **each.claims})


def _payload(token: str, header: Mapping[str, Any], keys: KeySet) -> bytes:
    """Give what is signed by one of an issuer's keys."""
    for trusted in _candidates(header, keys):
        # Headers that bring keys or certificates of their own (jwk, jku, x5c) have no effect.
        registry = _Algorithms(algorithms=list(trusted.algorithms), strict_check_header=False)
        try:
            return jws.deserialize_compact(token, trusted.key, registry=registry).payload
        except (JoseError, ValueError):
            continue
    message = "the signature does not match; is the token signed with groupd's key?"
    if header.get("kid") is None and _may_be_published(header, keys):
        raise UnknownKey(message, issuer=keys.issuer)
    raise AuthError(message)


def _candidates(header: Mapping[str, Any], keys: KeySet) -> list[TrustedKey]:
    algorithm, kid = header.get("alg"), header.get("kid")
    allowed = {name for trusted in keys.trusted for name in trusted.algorithms}
    if keys.url is not None:
        allowed.update(PUBLISHED)
    if not isinstance(algorithm, str) or algorithm not in allowed:
        expected = " or ".join(sorted(allowed))
        raise AuthError(f"header alg: expected {expected}, got {shown(algorithm)}")
    found = [
        trusted
        for trusted in keys.trusted
        # A key that has no id of its own is tried for any: secrets and PEM files have none.
        if algorithm in trusted.algorithms and (kid is None or trusted.kid in (None, kid))
    ]
    if not found:
        what = f"is called {shown(kid)}" if kid is not None else f"is for {algorithm}"
        message = f"header kid: no key of groupd's {what}"
        if _may_be_published(header, keys):
            raise UnknownKey(message, issuer=keys.issuer)
        raise AuthError(message)
    return found


def _may_be_published(header: Mapping[str, Any], keys: KeySet) -> bool:
    return keys.url is not None and header.get("alg") in PUBLISHED


def issue_token(
    secret: str, identity: Identity, *, now_ms: int, expires_in_ms: int, audience: str
) -> str:
    """Make a token that a verifier with this secret believes, for tests and the command line.

    Fields of the identity that are empty are left out; its times are not looked at.
    Raises ConfigError where the secret is too short.
    """
    claims: dict[str, Any] = {
        "sub": identity.user,
        "aud": audience,
        "iat": now_ms // 1_000,
        "exp": (now_ms + expires_in_ms) // 1_000,
    }
    fields = attrs.asdict(identity, filter=attrs.filters.exclude("user", "issued_ms", "expires_ms"))
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
        raise AuthError(f"header kid: expected a string, got {shown(kid)}")
    return header


def _claimed_issuer(token: str) -> object:
    """Give the ``iss`` that stands in a token, which nobody has checked yet."""
    try:
        payload = orjson.loads(urlsafe_b64decode(token.split(".")[1].encode()))
    except ValueError:
        return None
    return payload.get("iss") if isinstance(payload, dict) else None
