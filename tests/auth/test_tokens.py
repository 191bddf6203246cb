"""Whom groupd believes: each attack on tokens of the threat list is a test that it fails."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jws
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

from groupd.auth import SECRET_MIN_BYTES, TokenVerifier, issue_token
from groupd.config import AuthConfig
from groupd.domain.base import Identity
from groupd.errors import AuthError, ConfigError
from tests.auth.signing import (
    CLAIMS,
    NOW_MS,
    NOW_S,
    SECRET,
    Private,
    forge,
    segment,
    signed,
)


def verifier(*key_files: Path, secret: str | None = SECRET, **settings: Any) -> TokenVerifier:
    config = AuthConfig(secret=secret, public_keys=tuple(map(str, key_files)), **settings)
    return TokenVerifier(config, token_max_bytes=4_096)


def token(**claims: Any) -> str:
    return forge({"alg": "HS256"}, {**CLAIMS, **claims})


def without(name: str) -> str:
    return forge({"alg": "HS256"}, {key: v for key, v in CLAIMS.items() if key != name})


def signed_by(key: Private, alg: str, **header: Any) -> str:
    return signed(key, alg=alg, **header)


def pem_file(folder: Path, key: Private, name: str = "key.pem") -> Path:
    file = folder / name
    file.write_bytes(key.as_pem(private=False))
    return file


def jwks_file(folder: Path, *keys: dict[str, Any]) -> Path:
    file = folder / "keys.json"
    file.write_text(json.dumps({"keys": keys}))
    return file


def refused(given: str, by: TokenVerifier | None = None) -> str:
    """Give the message of the refusal."""
    with pytest.raises(AuthError) as caught:
        (by or verifier()).verify(given, NOW_MS)
    message = str(caught.value)
    assert SECRET not in message
    assert len(message) < 200
    return message


# --- what is believed


def test_a_token_says_who_is_asking() -> None:
    said = Identity(
        user="安",
        tenant="shop",
        name="安娜",
        picture="https://example.com/a.png",
        plan="wechat",
        gender="female",
        birth_year=1990,
        region="杭州",
        scope="read post",
    )
    issued = issue_token(SECRET, said, now_ms=NOW_MS, expires_in_ms=60_000, audience="groupd")
    assert verifier().verify(issued, NOW_MS) == attrs.evolve(
        said, issued_ms=NOW_MS, expires_ms=NOW_MS + 60_000
    )


def test_an_issued_token_holds_no_more_than_it_must() -> None:
    bare = Identity("ann", plan="")
    issued = issue_token(SECRET, bare, now_ms=NOW_MS, expires_in_ms=1_000, audience="groupd")
    obj = jws.deserialize_compact(issued, OctKey.import_key(SECRET))
    assert json.loads(obj.payload) == {
        "sub": "ann", "aud": "groupd", "iat": NOW_S, "exp": NOW_S + 1,
    }  # fmt: skip


def test_a_token_that_names_no_plan_gets_the_default_one() -> None:
    by = TokenVerifier(AuthConfig(secret=SECRET), token_max_bytes=4_096, default_plan="circle")
    assert by.verify(token(), NOW_MS).plan == "circle"
    assert by.verify(token(plan="wechat"), NOW_MS).plan == "wechat"


def test_unknown_claims_and_absent_ones_do_no_harm() -> None:
    assert verifier().verify(token(iss="app", jti="1", name=None), NOW_MS) == Identity(
        "ann", expires_ms=(NOW_S + 60) * 1_000
    )


def test_the_audience_may_be_one_of_several() -> None:
    assert verifier().verify(token(aud=["web", "groupd"]), NOW_MS).user == "ann"


def test_a_name_is_trimmed_and_normalised() -> None:
    assert verifier().verify(token(name=" Ame\u0301lie "), NOW_MS).name == "Am\u00e9lie"


@pytest.mark.parametrize("alg", ["EdDSA", "Ed25519"])
def test_an_ed25519_key_goes_by_both_of_its_names(tmp_path: Path, alg: str) -> None:
    key = OKPKey.generate_key("Ed25519")
    by = verifier(pem_file(tmp_path, key), secret=None)
    assert by.verify(signed_by(key, alg), NOW_MS).user == "ann"


def test_rsa_and_p256_keys_are_believed(tmp_path: Path) -> None:
    rsa, ec = RSAKey.generate_key(2048), ECKey.generate_key("P-256")
    by = verifier(pem_file(tmp_path, rsa, "rsa.pem"), pem_file(tmp_path, ec, "ec.pem"))
    assert by.verify(signed_by(rsa, "RS256"), NOW_MS).user == "ann"
    assert by.verify(signed_by(ec, "ES256"), NOW_MS).user == "ann"
    assert by.verify(token(), NOW_MS).user == "ann"


# --- rotation: two keys at once, with and without ids


def test_kid_chooses_among_keys(tmp_path: Path) -> None:
    old, new = OKPKey.generate_key("Ed25519"), OKPKey.generate_key("Ed25519")
    file = jwks_file(tmp_path, old.as_dict(kid="old"), new.as_dict(kid="new"))
    by = verifier(file, secret=None)
    assert by.verify(signed_by(old, "EdDSA", kid="old"), NOW_MS).user == "ann"
    assert by.verify(signed_by(new, "EdDSA", kid="new"), NOW_MS).user == "ann"
    assert by.verify(signed_by(new, "EdDSA"), NOW_MS).user == "ann"
    assert "signature" in refused(signed_by(new, "EdDSA", kid="old"), by)
    assert "'newer'" in refused(signed_by(new, "EdDSA", kid="newer"), by)


def test_during_a_rotation_files_without_ids_are_all_tried(tmp_path: Path) -> None:
    old, new = OKPKey.generate_key("Ed25519"), OKPKey.generate_key("Ed25519")
    by = verifier(pem_file(tmp_path, old, "old.pem"), pem_file(tmp_path, new, "new.pem"))
    for key in (old, new):
        assert by.verify(signed_by(key, "Ed25519", kid="any"), NOW_MS).user == "ann"
    assert "signature" in refused(signed_by(OKPKey.generate_key("Ed25519"), "Ed25519"), by)


def test_a_set_may_hold_keys_for_other_uses(tmp_path: Path) -> None:
    ours, other = OKPKey.generate_key("Ed25519"), OKPKey.generate_key("X25519")
    file = jwks_file(tmp_path, ours.as_dict(), other.as_dict(use="enc"), {"kty": "AKP"})
    assert verifier(file).verify(signed_by(ours, "EdDSA"), NOW_MS).user == "ann"


# --- token confusion


@pytest.mark.parametrize("alg", ["none", "None", "NONE", "", None, 5, [], "HS384", "HS512", "dir"])
def test_only_the_key_says_which_algorithm(alg: Any) -> None:
    assert "header alg" in refused(forge({"alg": alg}, CLAIMS))
    unsigned = f"{segment({'alg': alg})}.{segment(CLAIMS)}."
    assert "header alg" in refused(unsigned)


def test_a_header_without_alg_is_refused() -> None:
    assert "header alg" in refused(forge({}, CLAIMS))


def test_a_public_key_is_never_an_hmac_secret(tmp_path: Path) -> None:
    key = RSAKey.generate_key(2048)
    file = pem_file(tmp_path, key)
    for secret in (None, SECRET):
        for stolen in (file.read_bytes(), file.read_bytes().strip()):
            refused(forge({"alg": "HS256"}, CLAIMS, secret=stolen), verifier(file, secret=secret))
    assert refused(token(), verifier(file, secret=None)) == (
        "header alg: expected RS256, got 'HS256'"
    )
    with pytest.raises(ConfigError, match="is a public key"):
        verifier(secret=file.read_text())


def test_a_secret_checks_no_public_key_algorithm() -> None:
    key = RSAKey.generate_key(2048)
    assert refused(signed_by(key, "RS256")) == "header alg: expected HS256, got 'RS256'"


def test_keys_that_a_token_brings_along_are_not_believed(tmp_path: Path) -> None:
    real, own = OKPKey.generate_key("Ed25519"), OKPKey.generate_key("Ed25519")
    by = verifier(pem_file(tmp_path, real), secret=None)
    for header in ({"jwk": own.as_dict()}, {"jku": "https://example.com/keys"}, {"x5c": ["AAAA"]}):
        assert "signature" in refused(signed_by(own, "EdDSA", **header), by)
        assert by.verify(signed_by(real, "EdDSA", **header), NOW_MS).user == "ann"


@pytest.mark.parametrize(
    "header", [{"crit": ["exp"], "exp": 1}, {"crit": ["b64"], "b64": False}, {"b64": True}]
)
def test_critical_extensions_are_refused(header: dict[str, Any]) -> None:
    assert "critical" in refused(forge({"alg": "HS256", **header}, CLAIMS))


@pytest.mark.parametrize("kid", [5, True, ["a"], {"a": 1}])
def test_kid_is_a_string(kid: Any) -> None:
    assert "header kid" in refused(forge({"alg": "HS256", "kid": kid}, CLAIMS))


def test_a_signature_must_match() -> None:
    good = token()
    head, payload, signature = good.split(".")
    for bad in (
        forge({"alg": "HS256"}, CLAIMS, secret=b"x" * 32),
        f"{head}.{payload}.",
        f"{head}.{payload}.{signature[:-2]}",
        f"{head}.{segment({**CLAIMS, 'sub': 'bob'})}.{signature}",
        f"{head}.{payload}.{'A' * len(signature)}",
        f"{good}=",
        good[:-1] + ("A" if good[-1] != "A" else "E"),
    ):
        assert "signature" in refused(bad)


# --- what is not a token at all


@pytest.mark.parametrize(
    "text",
    ["", ".", "..", "...", "a.b.c", "Bearer x", "🙂.🙂.🙂", "\x00.\x00.\x00", "e30.e30.e30"]
)  # fmt: skip
def test_what_is_no_jwt_is_refused(text: str) -> None:
    refused(text)


def test_every_truncation_is_refused() -> None:
    whole = token(name="安娜")
    by = verifier()
    for length in range(len(whole)):
        refused(whole[:length], by)


def test_a_token_is_bounded() -> None:
    assert "longer than 4096 bytes" in refused(token(name="x" * 4_096))


@pytest.mark.parametrize(
    "payload",
    [
        b"", b"[]", b"null", b'"sub"', b"1", b"true", b"{", b"\xff\xfe",
        b'{"sub": NaN}', b'{"sub": "\\ud800"}', b"[" * 1_000,
    ],
)  # fmt: skip
def test_a_payload_is_a_json_object(payload: bytes) -> None:
    assert "payload" in refused(forge({"alg": "HS256"}, payload))


@pytest.mark.parametrize("header", [b"[]", b"null", b'"alg"', b'["alg"]', b"5", b"\xff", b"{"])
def test_a_header_is_a_json_object(header: bytes) -> None:
    assert "header" in refused(forge(header, CLAIMS))


@given(st.text(max_size=100) | st.from_regex(r"[\w-]*\.[\w-]*\.[\w-]*", fullmatch=True))
def test_no_text_raises_anything_but_an_auth_error(text: str) -> None:
    refused(text)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=4,
)


@given(
    st.sampled_from(
        [field.name for field in attrs.fields(Identity)] + ["sub", "exp", "aud", "nbf"]
    ),
    json_values,
)
def test_no_signed_claim_raises_anything_but_an_auth_error(name: str, value: Any) -> None:
    try:
        identity = verifier().verify(token(**{name: value}), NOW_MS)
    except AuthError:
        return
    assert 1 <= len(identity.user.encode()) <= 64
    assert identity.expires_ms is not None


# --- times


def test_a_token_without_an_end_is_refused() -> None:
    assert refused(without("exp")) == "exp: is missing"
    assert refused(token(exp=None)) == "exp: is missing"


def test_a_token_ends_when_it_says() -> None:
    by = verifier(leeway_s=10)
    assert by.verify(token(exp=NOW_S - 9), NOW_MS).expires_ms == (NOW_S - 9) * 1_000
    assert by.verify(token(exp=NOW_S - 9.5), NOW_MS).expires_ms == NOW_MS - 9_500
    assert refused(token(exp=NOW_S - 10), by) == "the token has expired"
    assert refused(token(exp=0), by) == "the token has expired"


@pytest.mark.parametrize("exp", [True, False, "1750000060", [NOW_S], {}, -1, -1e300])
def test_an_end_is_a_number_of_seconds(exp: Any) -> None:
    assert refused(token(exp=exp)).startswith("exp: expected seconds since 1970, got")


@pytest.mark.parametrize("exp", [NOW_MS + 60_000, 2**63, 10**30, 1e300])
def test_an_end_in_milliseconds_would_last_for_ages(exp: Any) -> None:
    assert "milliseconds" in refused(token(exp=exp))


def test_an_endless_number_is_not_json() -> None:
    assert "payload" in refused(token(exp=float("inf")))
    raw = b'{"sub":"ann","aud":"groupd","exp":1e999}'
    refused(forge({"alg": "HS256"}, raw))


@pytest.mark.parametrize("name", ["nbf", "iat"])
def test_a_token_from_the_future_is_refused(name: str) -> None:
    by = verifier(leeway_s=10)
    assert by.verify(token(**{name: NOW_S + 10}), NOW_MS).user == "ann"
    assert refused(token(**{name: NOW_S + 11}), by).startswith(f"{name}: lies in the future")
    assert refused(token(**{name: "now"}), by).startswith(f"{name}: expected seconds")


# --- the other claims


@pytest.mark.parametrize("aud", [None, "", "web", ["web"], [], {}, 5, True, ["Groupd"], "groupd "])
def test_a_token_for_somebody_else_is_refused(aud: Any) -> None:
    assert refused(token(aud=aud)).startswith("aud: expected 'groupd'")


def test_a_token_for_nobody_is_refused() -> None:
    assert refused(without("aud")).startswith("aud: expected 'groupd', got None")


@pytest.mark.parametrize(
    "sub",
    [
        "", None, "*", 5, True, ["ann"], {"id": 1}, "a" * 65, "安" * 22,
        "a\nb", "a\x00", "\x1b[31m", "a\u2028b", "a\u202eb", "Ame\u0301lie",
    ],
)  # fmt: skip
def test_a_user_id_is_short_clean_and_in_normal_form(sub: Any) -> None:
    message = refused(token(sub=sub))
    assert message.startswith("sub: ")
    assert message.isprintable()


def test_a_user_id_may_be_any_language_s() -> None:
    for sub in ("a", "安" * 21, "user:42@shop", "Am\u00e9lie", "🙂"):
        assert verifier().verify(token(sub=sub), NOW_MS).user == sub


@pytest.mark.parametrize("name", ["name", "picture", "plan", "gender", "region", "tenant", "scope"])
@pytest.mark.parametrize("value", [5, True, ["x"], {"x": 1}, "a\nb", "\x1b]0;x\x07", "x" * 600])
def test_a_wrong_claim_is_named(name: str, value: Any) -> None:
    if name == "scope" and value == "x" * 600:
        return  # A scope is a list of words, bounded by the token's own size.
    assert refused(token(**{name: value})).startswith(f"{name}: ")


def test_lengths_are_counted_after_trimming_and_normalising() -> None:
    assert verifier().verify(token(name="  " + "e\u0301" * 60), NOW_MS).name == "\u00e9" * 60
    assert refused(token(name="x" * 61)) == "name: expected at most 60 characters, got 61"
    assert refused(token(tenant="x" * 65)).startswith("tenant: ")


@pytest.mark.parametrize("year", ["1990", 1990.0, True, 1899, 2100, -1, 10**30])
def test_a_birth_year_is_a_year_of_the_past(year: Any) -> None:
    assert refused(token(birth_year=year)).startswith("birth_year: ")


def test_somebody_may_be_born_this_year() -> None:
    assert verifier().verify(token(birth_year=2025), NOW_MS).birth_year == 2025


# --- keys


def test_a_short_secret_is_a_configuration_error() -> None:
    with pytest.raises(ConfigError, match="at least 32 bytes, got 31"):
        verifier(secret="x" * (SECRET_MIN_BYTES - 1))
    with pytest.raises(ConfigError):
        issue_token("x", Identity("ann"), now_ms=0, expires_in_ms=1, audience="groupd")


def test_somebody_must_vouch_for_tokens() -> None:
    with pytest.raises(ConfigError, match="expected a secret, public_keys, jwks_url or issuers"):
        verifier(secret=None)


def write(folder: Path, content: bytes) -> Path:
    file = folder / "key"
    file.write_bytes(content)
    return file


@pytest.mark.filterwarnings("ignore:Key size")
def test_wrong_key_files_are_named(tmp_path: Path) -> None:
    private = OKPKey.generate_key("Ed25519")
    secret = OctKey.generate_key(256)
    cases = {
        b"": "PEM",
        b"hello": "PEM",
        b"{": "not JSON",
        b'{"keys": 5}': "JWK set",
        b'{"keys": []}': "no key in it",
        json.dumps(secret.as_dict()).encode(): "expected a public key",
        b'{"kty": "RSA"}': "is required",
        private.as_pem(private=True): "private key",
        json.dumps(private.as_dict(private=True)).encode(): "private key",
        OKPKey.generate_key("Ed448").as_pem(private=False): "expected a key for",
        ECKey.generate_key("P-384").as_pem(private=False): "expected a key for",
        RSAKey.generate_key(1024).as_pem(private=False): "at least 2048 bits",
        json.dumps(private.as_dict(alg="ES256")).encode(): "expected a key for",
    }
    for content, problem in cases.items():
        file = write(tmp_path, content)
        with pytest.raises(ConfigError, match=problem) as caught:
            verifier(file)
        assert str(file) in str(caught.value)
    with pytest.raises(ConfigError, match="No such file"):
        verifier(tmp_path / "absent.pem")
