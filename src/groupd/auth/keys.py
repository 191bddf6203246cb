"""The keys that tokens are checked with, and the algorithms that each kind of key allows.

The algorithm follows from the key and never from the token. So a token that says HS256 cannot be
checked against the bytes of a public key, and no key at all allows ``none``. What an issuer
publishes is only ever public keys, whatever it says there.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, TypeAlias

import attrs
import orjson
from joserfc.errors import InvalidKeyTypeError, JoseError
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

from groupd.errors import ConfigError, KeysUnavailable

SECRET_MIN_BYTES: Final = 32
"""An HS256 key is at least as long as the hash (RFC 7518, section 3.2)."""
RSA_MIN_BITS: Final = 2_048
"""RFC 7518, section 3.3."""

KEYS_MAX: Final = 64
"""Keys in a set that is published; a larger one is not believed at all."""

PublicKey: TypeAlias = RSAKey | ECKey | OKPKey

_PUBLIC_KINDS: Final[dict[str, type[PublicKey]]] = {"RSA": RSAKey, "EC": ECKey, "OKP": OKPKey}


@attrs.frozen
class TrustedKey:
    """One key that vouches for tokens, and the ``alg`` headers that it may be asked to check."""

    key: OctKey | PublicKey = attrs.field(repr=False)
    algorithms: tuple[str, ...]
    kid: str | None = None


@attrs.define(eq=False)
class KeySet:
    """The keys of one issuer. Who fetches them changes ``fetched``; verifiers look at each token.

    ``url`` is where they are published, or None where nothing is fetched.
    """

    issuer: str
    """Its name in the configuration; empty for that of ``[auth]`` itself."""
    fixed: tuple[TrustedKey, ...]
    url: str | None = None
    fetched: tuple[TrustedKey, ...] = ()

    @property
    def trusted(self) -> tuple[TrustedKey, ...]:
        """Give all that are believed now."""
        return self.fixed + self.fetched


def fixed_keys(
    secret: str | None, public_keys: Sequence[str], *, where: str
) -> tuple[TrustedKey, ...]:
    """Give the keys that stand in a configuration, reading the files of the public ones.

    ``where`` is their table's name. Raises ConfigError where a key is too weak, of another kind
    or not readable.
    """
    keys = [] if secret is None else [secret_key(secret, where=where)]
    for path in public_keys:
        try:
            keys += _read_public_keys(Path(path))
        except _Unusable as fault:
            raise ConfigError(f"{where}.public_keys: {path}: {fault}") from None
    return tuple(keys)


def secret_key(secret: str, *, where: str = "auth") -> TrustedKey:
    """Give the key of a shared secret; raises ConfigError where it is too short to be one."""
    raw = secret.encode()
    if len(raw) < SECRET_MIN_BYTES:
        raise ConfigError(
            f"{where}.secret: expected at least {SECRET_MIN_BYTES} bytes, got {len(raw)}"
        )
    try:
        return TrustedKey(OctKey.import_key(raw), ("HS256",))
    except ValueError:
        raise ConfigError(
            f"{where}.secret: is a public key; name its file in public_keys"
        ) from None


def published_keys(data: bytes) -> tuple[tuple[TrustedKey, ...], Sequence[str]]:
    """Give the keys of a JWK set that somebody publishes, and what is wrong with the others.

    A key that is of no use here makes the rest of the set no worse: it may be for others. Raises
    KeysUnavailable where no key is left, so that a set that was emptied by mistake takes nothing
    away before the last one is too old.
    """
    try:
        parsed = orjson.loads(data)
    except orjson.JSONDecodeError:
        raise KeysUnavailable("the answer is not JSON") from None
    entries = parsed.get("keys") if isinstance(parsed, dict) else None
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise KeysUnavailable("the answer is not a JWK set")
    if len(entries) > KEYS_MAX:
        raise KeysUnavailable(f"the set has more than {KEYS_MAX} keys")
    keys, faults = [], []
    for entry in entries:
        if _is_for_signatures(entry):
            try:
                keys.append(_trust(_from_jwk(entry), kid=_kid(entry)))
            except _Unusable as fault:
                faults.append(str(fault))
    if not keys:
        raise KeysUnavailable(f"no key in the set can check a token{_listed(faults)}")
    return tuple(keys), faults


class _Unusable(Exception):
    """A key, or a file of keys, that can check no token."""


def _listed(faults: Sequence[str]) -> str:
    return f": {'; '.join(faults)}" if faults else ""


def _read_public_keys(path: Path) -> list[TrustedKey]:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise _Unusable(str(error.strerror)) from error
    if not data.lstrip().startswith(b"{"):
        return [_trust(_from_pem(data), kid=None)]
    try:
        parsed = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise _Unusable(f"not JSON: {error}") from None
    # A set may hold keys for other uses; those are not ours to complain about.
    entries = parsed.get("keys", [parsed])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise _Unusable("expected a JWK or a JWK set")
    if "keys" in parsed:
        entries = [entry for entry in entries if _is_for_signatures(entry)]
    if not entries:
        raise _Unusable("no key in it can check a token")
    return [_trust(_from_jwk(entry), kid=_kid(entry)) for entry in entries]


def _is_for_signatures(entry: dict[str, Any]) -> bool:
    return str(entry.get("kty")) in _PUBLIC_KINDS and entry.get("use", "sig") == "sig"


def _kid(entry: dict[str, Any]) -> str | None:
    kid = entry.get("kid")
    if kid is not None and not isinstance(kid, str):
        raise _Unusable("expected a string as kid")
    return kid


def _from_jwk(entry: dict[str, Any]) -> PublicKey:
    kind = _PUBLIC_KINDS.get(str(entry.get("kty")))
    if kind is None:
        raise _Unusable("expected a public key (kty RSA, EC or OKP)")
    try:
        return kind.import_key(entry)
    except KeyError as error:
        raise _Unusable(f"there is no curve {error}") from None
    except (JoseError, ValueError, TypeError) as error:
        raise _Unusable(str(error)) from None


def _from_pem(data: bytes) -> PublicKey:
    for kind in _PUBLIC_KINDS.values():
        try:
            return kind.import_key(data)
        except InvalidKeyTypeError:
            continue
        except (JoseError, ValueError):
            break
    raise _Unusable("expected a public key in PEM, or a JWK")


def _trust(key: PublicKey, kid: str | None) -> TrustedKey:
    if key.is_private:
        raise _Unusable("is a private key; give its public half only")
    algorithms = _algorithms(key)
    named = key.alg
    if not algorithms or (named is not None and named not in algorithms):
        raise _Unusable(
            "expected a key for EdDSA (Ed25519), ES256 (P-256) or "
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
