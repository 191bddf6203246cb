"""What the tests of tokens share: keys, and tokens that are signed with them."""

from __future__ import annotations

import hmac
import json
from hashlib import sha256
from typing import Any, Final, TypeAlias

from joserfc import jws
from joserfc.jwk import ECKey, OKPKey, RSAKey
from joserfc.util import urlsafe_b64encode

SECRET: Final = "0123456789abcdef0123456789abcdef"
NOW_S: Final = 1_750_000_000
NOW_MS: Final = NOW_S * 1_000
CLAIMS: Final = {"sub": "ann", "aud": "groupd", "exp": NOW_S + 60}

Private: TypeAlias = RSAKey | ECKey | OKPKey


def segment(value: Any) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return urlsafe_b64encode(raw).decode()


def forge(header: Any, payload: Any, *, secret: bytes = SECRET.encode()) -> str:
    """Sign anything at all with HMAC-SHA256, as an attacker's own script would."""
    signed = f"{segment(header)}.{segment(payload)}"
    return f"{signed}.{segment(hmac.digest(secret, signed.encode(), sha256))}"


def signed(key: Private, payload: Any = CLAIMS, **header: Any) -> str:
    """Sign a payload with a private key; with Ed25519's, unless ``alg`` says otherwise."""
    header = {"alg": "EdDSA", **header}
    fresh = type(key).import_key(key.as_pem(private=True))
    name = "Ed25519" if header["alg"] == "EdDSA" else header["alg"]
    text = f"{segment(header)}.{segment(payload)}"
    return f"{text}.{segment(jws.JWSRegistry.algorithms[name].sign(text.encode(), fresh))}"


def jwk(key: Private, **fields: Any) -> dict[str, Any]:
    """Give the public half of a key as an issuer publishes it."""
    return {**key.as_dict(private=False), **fields}


def jwks(*keys: dict[str, Any]) -> bytes:
    return json.dumps({"keys": keys}).encode()
