"""The keys that tokens are checked with, and the algorithms that each kind of key allows.

The algorithm follows from the key and never from the token. So a token that says HS256 cannot be
checked against the bytes of a public key, and no key at all allows ``none``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, TypeAlias

import attrs
import orjson
from joserfc.errors import InvalidKeyTypeError, JoseError
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

from groupd.config import AuthConfig
from groupd.errors import ConfigError

SECRET_MIN_BYTES: Final = 32
"""An HS256 key is at least as long as the hash (RFC 7518, section 3.2)."""
RSA_MIN_BITS: Final = 2_048
"""RFC 7518, section 3.3."""

PublicKey: TypeAlias = RSAKey | ECKey | OKPKey

_PUBLIC_KINDS: Final[dict[str, type[PublicKey]]] = {"RSA": RSAKey, "EC": ECKey, "OKP": OKPKey}


@attrs.frozen
class TrustedKey:
    """One key that vouches for tokens, and the ``alg`` headers that it may be asked to check."""

    key: OctKey | PublicKey = attrs.field(repr=False)
    algorithms: tuple[str, ...]
    kid: str | None = None


def trusted_keys(config: AuthConfig) -> tuple[TrustedKey, ...]:
    """Give every configured key, reading the files of the public ones.

    Raises ConfigError where a key is too weak, of another kind or not readable, and where there
    is none.
    """
    keys = [] if config.secret is None else [secret_key(config.secret)]
    for path in config.public_keys:
        keys += _read_public_keys(Path(path))
    if not keys:
        raise ConfigError("auth: expected a secret or public_keys; without one no token is valid")
    return tuple(keys)


def secret_key(secret: str) -> TrustedKey:
    """Give the key of a shared secret; raises ConfigError where it is too short to be one."""
    raw = secret.encode()
    if len(raw) < SECRET_MIN_BYTES:
        raise ConfigError(
            f"auth.secret: expected at least {SECRET_MIN_BYTES} bytes, got {len(raw)}"
        )
    try:
        return TrustedKey(OctKey.import_key(raw), ("HS256",))
    except ValueError:
        raise ConfigError("auth.secret: is a public key; name its file in public_keys") from None


def _read_public_keys(path: Path) -> list[TrustedKey]:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"auth.public_keys: {path}: {error.strerror}") from error
    if not data.lstrip().startswith(b"{"):
        return [_trust(path, _from_pem(path, data), kid=None)]
    try:
        parsed = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise ConfigError(f"auth.public_keys: {path}: not JSON: {error}") from None
    # A set may hold keys for other uses; those are not ours to complain about.
    entries = parsed.get("keys", [parsed])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ConfigError(f"auth.public_keys: {path}: expected a JWK or a JWK set")
    if "keys" in parsed:
        entries = [entry for entry in entries if _is_for_signatures(entry)]
    if not entries:
        raise ConfigError(f"auth.public_keys: {path}: no key in it can check a token")
    return [_trust(path, _from_jwk(path, entry), kid=entry.get("kid")) for entry in entries]


def _is_for_signatures(entry: dict[str, Any]) -> bool:
    return entry.get("kty") in _PUBLIC_KINDS and entry.get("use", "sig") == "sig"


def _from_jwk(path: Path, entry: dict[str, Any]) -> PublicKey:
    kind = _PUBLIC_KINDS.get(str(entry.get("kty")))
    if kind is None:
        raise ConfigError(f"auth.public_keys: {path}: expected a public key (kty RSA, EC or OKP)")
    try:
        return kind.import_key(entry)
    except (JoseError, ValueError) as error:
        raise ConfigError(f"auth.public_keys: {path}: {error}") from None


def _from_pem(path: Path, data: bytes) -> PublicKey:
    for kind in _PUBLIC_KINDS.values():
        try:
            return kind.import_key(data)
        except InvalidKeyTypeError:
            continue
        except (JoseError, ValueError):
            break
    raise ConfigError(f"auth.public_keys: {path}: expected a public key in PEM, or a JWK")


def _trust(path: Path, key: PublicKey, kid: str | None) -> TrustedKey:
    if key.is_private:
        raise ConfigError(f"auth.public_keys: {path}: is a private key; give its public half only")
    algorithms = _algorithms(key)
    named = key.alg
    if not algorithms or (named is not None and named not in algorithms):
        raise ConfigError(
            f"auth.public_keys: {path}: expected a key for EdDSA (Ed25519), ES256 (P-256) or "
            f"RS256 (at least {RSA_MIN_BITS} bits)"
        )
    return TrustedKey(key, algorithms, kid)


def _algorithms(key: PublicKey) -> tuple[str, ...]:
    if isinstance(key, RSAKey):
        return ("RS256",) if key.public_key.key_size >= RSA_MIN_BITS else ()
    if isinstance(key, ECKey):
        return ("ES256",) if key.curve_name == "P-256" else ()
    # RFC 9864 renamed EdDSA on this curve; libraries write either name.
    return ("EdDSA", "Ed25519") if key.curve_name == "Ed25519" else ()
