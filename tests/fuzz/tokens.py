"""The target that takes tokens: an identity, or AuthError."""

from __future__ import annotations

import atexit
import base64
import hmac
import json
import shutil
import tempfile
from collections.abc import Sequence
from functools import cache
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any, Final

import attrs
from joserfc.jwk import ECKey, OKPKey

from groupd.auth import TokenVerifier
from groupd.config import AuthConfig, Limits
from groupd.errors import AuthError
from groupd.wire import codec
from tests.fuzz.corpus import NOW_MS
from tests.fuzz.mutate import noise, spoil
from tests.fuzz.target import Target

SECRET: Final = "0123456789abcdef0123456789abcdef"
CLAIMS: Final[dict[str, Any]] = {
    "sub": "ann", "aud": "groupd", "exp": NOW_MS // 1_000 + 60, "nbf": 1_700_000_000,
    "iat": 1_700_000_000, "name": "Ann", "picture": "https://example.com/a.png", "plan": "wechat",
    "tenant": "shop", "gender": "female", "birth_year": 1990, "region": "杭州", "scope": "read",
    "claims": {"level": 3, "follows": ["a", "b"], "vip": True},
}  # fmt: skip
HEADERS: Final[Sequence[dict[str, Any]]] = (
    {"alg": "HS256", "typ": "JWT"}, {"alg": "none"}, {"alg": "ES256", "kid": "x"}, {"alg": "EdDSA"},
    {"alg": "HS256", "crit": ["exp"]}, {"alg": "HS256", "jwk": {"kty": "oct", "k": "AAAA"}},
    {"alg": "RS256", "kid": "../x"}, {"alg": "HS512"}, {"alg": ["HS256"]},
    {"alg": "HS256", "b64": 0},
)  # fmt: skip
_NESTED: Final = (
    '{"exp":' + "[" * 1_500 + "]" * 1_500 + "}",
    "[" * 900,
    '{"sub":"\\ud800"}',
    "1e999",
)


_CLAIMED: Final[Sequence[Any]] = (
    True, -1, 0.5, 1e300, 2**63, NOW_MS, "", "*", "a\0", "e\u0301", "\ud800", [], {}, None,
    "中" * 22, ["groupd"], ["x"] * 200, "x" * 61, {"a": {"b": {"c": 1}}}, {"k": "x" * 999},
)  # fmt: skip


def make_token(random: Random) -> bytes:
    """Make a token. The first byte: 0 is a token as it stands, 1 a payload that gets signed."""
    header, claims = random.choice(HEADERS if random.random() < 0.5 else HEADERS[:1]), dict(CLAIMS)
    for _ in range(random.randint(0, 2)):
        name = random.choice(list(claims))
        if random.random() < 0.3:
            claims.pop(name)
        else:
            claims[name] = random.choice(_CLAIMED)
    payload = json.dumps(claims).encode()
    if random.random() < 0.1:
        payload = random.choice(_NESTED).encode()
    elif random.random() < 0.2:
        payload = spoil(random, payload)
    head = json.dumps(header).encode()
    if random.random() < 0.3:
        return b"\1" + payload
    if random.random() < 0.2:
        head = random.choice(
            (spoil(random, head), b'{"alg":"HS256","x":' + b"[" * 400, noise(random))
        )
    token = _signed(head, payload)
    return b"\0" + (spoil(random, token) if random.random() < 0.5 else token)


def _signed(head: bytes, payload: bytes) -> bytes:
    signed = b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in (head, payload))
    mark = hmac.digest(SECRET.encode(), signed, sha256)
    return signed + b"." + base64.urlsafe_b64encode(mark).rstrip(b"=")


@cache
def _verifier() -> TokenVerifier:
    """Give who believes one secret and two public keys, for all ways to a signature."""
    folder = Path(tempfile.mkdtemp(prefix="groupd-fuzz-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    files: list[str] = []
    keys: Sequence[ECKey | OKPKey] = (ECKey.generate_key("P-256"), OKPKey.generate_key("Ed25519"))
    for number, key in enumerate(keys):
        file = folder / f"{number}.pem"
        file.write_bytes(key.as_pem(private=False))
        files.append(str(file))
    config = AuthConfig(secret=SECRET, public_keys=tuple(files))
    return TokenVerifier(config, token_max_bytes=Limits().frame_before_hello_max_bytes)


def run_token(data: bytes) -> None:
    if data[:1] == b"\1":
        data = b"\0" + _signed(b'{"alg":"HS256"}', data[1:])
    token = data[1:].decode("utf-8", "surrogateescape")
    try:
        identity = _verifier().verify(token, NOW_MS)
    except AuthError as error:
        _check_message(str(error))
        return
    assert 1 <= len(identity.user.encode()) <= 64
    assert identity.expires_ms is not None
    assert 0 <= identity.expires_ms < 2**53
    codec.pack(attrs.asdict(identity))


def _check_message(message: str) -> None:
    """Check what the developer of a host application, or an attacker, is told."""
    assert SECRET not in message
    assert len(message) < 200
    message.encode()


TARGETS: Final = (Target("tokens", "tokens to identities", make_token, run_token, in_ci=8_000),)
