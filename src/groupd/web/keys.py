"""Service keys: what a backend shows to be let in, and what it may do then.

A key is ``gk.NAME.SECRET``. The secret is drawn, so a plain hash of it is enough: there is nothing
to guess. The file has hashes only; the secret is shown once, when it is made.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

import attrs
import orjson

from groupd.domain.watching import OPERATOR
from groupd.errors import ConfigError

PREFIX: Final = "gk"
SECRET_BYTES: Final = 32
KEYS_MAX: Final = 1_000
SCOPES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "read": "ask, as any user of the tenant",
        "write": "change, as any user of the tenant",
        "feed": "read all that happens in the tenant",
        "audit": "read what was changed with keys, and by the operator",
        "system": "change groups of the tenant as nobody in particular, with an owner's rights",
    }
)
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")


@attrs.frozen
class ServiceKey:
    """One backend's key, without its secret."""

    name: str
    tenant: str
    scopes: frozenset[str]
    hash: bytes = attrs.field(repr=False)
    """SHA-256 of the secret."""

    def fits(self, secret: str) -> bool:
        """Say whether this is the key's secret. How long that takes says nothing of it."""
        return hmac.compare_digest(self.hash, _hash(secret))


def make_key(
    name: str, *, tenant: str, scopes: Sequence[str], secret: str
) -> tuple[ServiceKey, str]:
    """Make a key, and what is shown of it once; raises ConfigError where it makes no sense."""
    if not _NAME.fullmatch(name):
        raise ConfigError(f"{name!r}: expected 1 to 32 of a-z, 0-9 and -, such as shop-backend")
    if name == OPERATOR:
        raise ConfigError(f"{name!r}: the audit calls the operator so; take another name")
    unknown = [scope for scope in scopes if scope not in SCOPES]
    if unknown or not scopes:
        raise ConfigError(f"scopes: expected some of {', '.join(SCOPES)}, got {unknown}")
    return ServiceKey(name, tenant, frozenset(scopes), _hash(secret)), f"{PREFIX}.{name}.{secret}"


class KeyRing:
    """The keys that are valid now. ``replace`` is for whoever watches the file."""

    def __init__(self, keys: Sequence[ServiceKey] = ()) -> None:
        self._keys: dict[str, ServiceKey] = {}
        self.replace(keys)

    def replace(self, keys: Sequence[ServiceKey]) -> None:
        """Let these be valid, and no others."""
        self._keys = {key.name: key for key in keys}

    def find(self, authorization: str) -> ServiceKey | None:
        """Give the key of an ``Authorization: Bearer`` header, or None."""
        scheme, _, shown = authorization.partition(" ")
        if scheme.lower() != "bearer":
            return None
        prefix, _, rest = shown.strip().partition(".")
        name, _, secret = rest.partition(".")
        key = self._keys.get(name) if prefix == PREFIX else None
        return key if key is not None and key.fits(secret) else None


# --- the file


def keys_of(data: bytes) -> list[ServiceKey]:
    """Read the content of the file; raises ConfigError."""
    try:
        plain = orjson.loads(data)
        keys = [_key_of(each) for each in plain["keys"]]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f"service keys: expected {{keys: [...]}} in JSON: {error}") from None
    if len(keys) > KEYS_MAX:
        raise ConfigError(f"service keys: expected at most {KEYS_MAX}")
    return keys


def as_file(keys: Sequence[ServiceKey]) -> str:
    """Give the content of the file."""
    plain = [
        {
            "name": key.name,
            "tenant": key.tenant,
            "scopes": sorted(key.scopes),
            "sha256": key.hash.hex(),
        }
        for key in keys
    ]
    return orjson.dumps({"keys": plain}, option=orjson.OPT_INDENT_2).decode() + "\n"


def _key_of(plain: Mapping[str, Any]) -> ServiceKey:
    name, tenant, scopes = plain["name"], plain["tenant"], frozenset(plain["scopes"])
    if not (isinstance(name, str) and isinstance(tenant, str) and scopes <= SCOPES.keys()):
        raise ValueError(f"the key {name!r} makes no sense")
    return ServiceKey(name, tenant, scopes, bytes.fromhex(plain["sha256"]))


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "replace")).digest()
