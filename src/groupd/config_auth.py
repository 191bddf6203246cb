"""The settings of tokens: who may issue them, and where the keys are. A part of ``config.py``."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

import attrs

from groupd.config_checks import not_negative, positive
from groupd.errors import ConfigError

CLAIMS: Final[Mapping[str, str]] = {
    "user": "sub",
    **{name: name for name in ("name", "picture", "plan", "gender", "birth_year", "region")},
    **{name: name for name in ("scope", "claims")},
}
"""What a token says of its user -> the claim that says it, unless an issuer's ``claims`` differ."""


@attrs.frozen
class IssuerConfig:
    """One issuer of tokens, whose users are all of one tenant."""

    issuer: str = ""
    """What its tokens say in ``iss``. Required."""
    tenant: str = ""
    """Whose users they are. A token that names another tenant is refused."""
    audience: str | None = None
    """What their ``aud`` must be or contain; without it, as ``[auth]`` says."""
    secret: str | None = attrs.field(default=None, repr=False)
    public_keys: tuple[str, ...] = ()
    jwks_url: str | None = None
    claims: Mapping[str, str] = attrs.field(factory=dict)
    """Names of claims that differ from the usual ones: ``{"user": "uid"}``; see ``CLAIMS``."""

    def __attrs_post_init__(self) -> None:
        if not self.issuer:
            raise ConfigError("issuer: expected what its tokens say in iss")
        if self.audience == "":
            raise ConfigError("audience: expected a name, such as groupd")
        _check_jwks_url(self.jwks_url)
        if self.secret is None and not self.public_keys and self.jwks_url is None:
            raise ConfigError("issuer: expected a secret, public_keys or jwks_url with it")
        for name, claim in self.claims.items():
            if name not in CLAIMS:
                raise ConfigError(f"claims: expected only {', '.join(CLAIMS)}, got {name!r}")
            if not claim:
                raise ConfigError(f"claims: expected the name of a claim for {name}")


@attrs.frozen
class AuthConfig:
    """Which tokens are believed. The host application issues them."""

    secret: str | None = attrs.field(default=None, repr=False)
    """HS256, at least 32 bytes. Without it ``serve`` makes one under the data directory."""
    public_keys: tuple[str, ...] = ()
    """Paths of PEM or JWK files for EdDSA, ES256 or RS256 tokens."""
    jwks_url: str | None = None
    """Where such keys are published as a JWK set: ``https://``, or ``http://`` on loopback."""
    jwks_refresh_s: int = attrs.field(default=300, validator=positive)
    """How often published keys are fetched."""
    jwks_keep_s: int = attrs.field(default=86_400, validator=positive)
    """How long the last ones are believed while they cannot be fetched."""
    audience: str = "groupd"
    leeway_s: int = attrs.field(default=10, validator=not_negative)
    """How far the host's clock may be off."""
    issuers: tuple[IssuerConfig, ...] = ()
    """Issuers that speak for one tenant each. The keys above speak for any."""

    def __attrs_post_init__(self) -> None:
        if not self.audience:
            raise ConfigError("audience: expected a name, such as groupd")
        _check_jwks_url(self.jwks_url)
        if self.jwks_keep_s < self.jwks_refresh_s:
            raise ConfigError("jwks_keep_s: expected at least jwks_refresh_s")
        names = [issuer.issuer for issuer in self.issuers]
        if len(set(names)) < len(names):
            raise ConfigError("issuers: expected each issuer once")

    @property
    def has_own_keys(self) -> bool:
        """Say whether any keys stand here, beside those of ``issuers``."""
        return bool(self.secret is not None or self.public_keys or self.jwks_url)


def _check_jwks_url(url: str | None) -> None:
    if url is None:
        return
    expected = "expected https://HOST/PATH, or http:// with a loopback host"
    try:
        parts = urlsplit(url)
        host, _port = parts.hostname or "", parts.port
    except ValueError:  # A port that is none.
        raise ConfigError(f"jwks_url: {expected}, got {url!r}") from None
    is_safe = parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(host))
    # What is fetched from here decides whom everybody believes: nobody on the way may change it.
    if not (is_safe and host) or parts.username is not None or parts.fragment:
        raise ConfigError(f"jwks_url: {expected}, got {url!r}")


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
