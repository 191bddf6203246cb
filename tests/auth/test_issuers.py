"""Several issuers: each has its own keys, one tenant, and its own names for claims."""

from __future__ import annotations

from typing import Any

import pytest
from joserfc.jwk import OKPKey

from groupd.auth import TokenVerifier
from groupd.auth.keys import published_keys
from groupd.config import AuthConfig, IssuerConfig
from groupd.errors import AuthError, ConfigError, UnknownKey
from tests.auth.signing import CLAIMS, NOW_MS, NOW_S, SECRET, forge, jwk, jwks, segment, signed

SHOP_SECRET = "the secret of the shop, long enough"
BANK_SECRET = "the secret of the bank, long enough"
SHOP = IssuerConfig(issuer="https://shop.example", tenant="shop", secret=SHOP_SECRET)
BANK = IssuerConfig(
    issuer="https://bank.example", tenant="bank", secret=BANK_SECRET, audience="bank-chat"
)
URL = "https://shop.example/keys"
PUBLISHING = IssuerConfig(issuer="https://shop.example", tenant="shop", jwks_url=URL)


def verifier(*issuers: IssuerConfig, **settings: Any) -> TokenVerifier:
    return TokenVerifier(AuthConfig(issuers=issuers, **settings), token_max_bytes=4_096)


def token(secret: str, **claims: Any) -> str:
    return forge({"alg": "HS256"}, {**CLAIMS, **claims}, secret=secret.encode())


def refused(given: str, by: TokenVerifier) -> str:
    with pytest.raises(AuthError) as caught:
        by.verify(given, NOW_MS)
    return str(caught.value)


def test_a_token_is_of_the_tenant_of_its_issuer() -> None:
    by = verifier(SHOP, BANK)
    shopper = by.verify(token(SHOP_SECRET, iss=SHOP.issuer), NOW_MS)
    assert (shopper.user, shopper.tenant) == ("ann", "shop")
    banker = by.verify(token(BANK_SECRET, iss=BANK.issuer, aud="bank-chat"), NOW_MS)
    assert (banker.user, banker.tenant) == ("ann", "bank")


def test_a_token_may_name_its_own_tenant_and_no_other() -> None:
    by = verifier(SHOP, BANK)
    assert by.verify(token(SHOP_SECRET, iss=SHOP.issuer, tenant="shop"), NOW_MS).tenant == "shop"
    said = refused(token(SHOP_SECRET, iss=SHOP.issuer, tenant="bank"), by)
    assert said == "tenant: its issuer cannot speak for 'bank'"


def test_an_issuer_without_a_tenant_speaks_for_that_of_no_name_alone() -> None:
    by = verifier(IssuerConfig(issuer="app", secret=SHOP_SECRET))
    assert by.verify(token(SHOP_SECRET, iss="app"), NOW_MS).tenant == ""
    assert "cannot speak" in refused(token(SHOP_SECRET, iss="app", tenant="bank"), by)


def test_only_the_app_itself_makes_operators_of_all_tenants() -> None:
    by = verifier(SHOP, secret=SECRET)
    given = token(SHOP_SECRET, iss=SHOP.issuer, scope="read operator:all")
    assert refused(given, by) == "scope: its issuer cannot speak for operator:all"
    assert by.verify(token(SHOP_SECRET, iss=SHOP.issuer, scope="operator"), NOW_MS).tenant == "shop"
    assert by.verify(token(SECRET, scope="operator:all"), NOW_MS).scope == "operator:all"


def test_the_keys_of_one_issuer_sign_for_no_other() -> None:
    by = verifier(SHOP, BANK, secret=SECRET)
    for secret, issuer in ((SHOP_SECRET, BANK), (SECRET, BANK), (BANK_SECRET, SHOP)):
        given = token(secret, iss=issuer.issuer, aud=["groupd", "bank-chat"])
        assert "signature does not match" in refused(given, by)
    # Nor for the app itself, which may name any tenant.
    for claims in ({}, {"iss": None}, {"iss": "https://else.example"}, {"iss": ["a"]}):
        assert "signature does not match" in refused(token(SHOP_SECRET, **claims), by)


def test_each_issuer_has_its_own_audience() -> None:
    by = verifier(SHOP, BANK)
    assert refused(token(BANK_SECRET, iss=BANK.issuer), by).startswith("aud: expected 'bank-chat'")
    assert refused(token(SHOP_SECRET, iss=SHOP.issuer, aud="bank-chat"), by).startswith("aud: ")


def test_the_audience_is_that_of_the_section_where_an_issuer_has_none() -> None:
    by = verifier(SHOP, audience="chat")
    assert by.verify(token(SHOP_SECRET, iss=SHOP.issuer, aud="chat"), NOW_MS).tenant == "shop"


@pytest.mark.parametrize("iss", ["https://else.example", "", None, 5, ["https://shop.example"]])
def test_an_issuer_that_nobody_named_is_not_believed(iss: Any) -> None:
    assert refused(token(SHOP_SECRET, iss=iss), verifier(SHOP)).startswith("iss: ")


def test_the_app_itself_may_speak_for_every_tenant() -> None:
    by = verifier(SHOP, secret=SECRET)
    assert by.verify(token(SECRET, tenant="shop"), NOW_MS).tenant == "shop"
    assert by.verify(token(SECRET, iss="app"), NOW_MS).tenant == ""


def test_a_token_that_says_its_issuer_twice_is_of_the_one_whose_keys_were_asked() -> None:
    by = verifier(SHOP, BANK)
    claims = f'"sub":"ann","aud":["groupd","bank-chat"],"exp":{NOW_S + 60}'
    raw = f'{{"iss":"{BANK.issuer}",{claims},"iss":"{SHOP.issuer}"}}'.encode()
    told = by.verify(forge({"alg": "HS256"}, raw, secret=SHOP_SECRET.encode()), NOW_MS)
    assert told.tenant == "shop"
    assert "signature" in refused(forge({"alg": "HS256"}, raw, secret=BANK_SECRET.encode()), by)


@pytest.mark.parametrize("payload", [b"not JSON", b"5", b"\xff", b""])
def test_a_payload_that_says_nothing_names_no_issuer(payload: bytes) -> None:
    given = f"{segment({'alg': 'HS256'})}.{segment(payload)}.{segment(b'x')}"
    assert refused(given, verifier(SHOP)).startswith("iss: ")


def test_claims_have_the_names_that_the_issuer_gives_them() -> None:
    names = {
        "user": "uid",
        "name": "display",
        "picture": "avatar",
        "plan": "https://shop.example/plan",
        "gender": "sex",
        "birth_year": "born",
        "region": "city",
        "scope": "scp",
        "claims": "more",
    }
    issuer = IssuerConfig(issuer="shop", tenant="shop", secret=SHOP_SECRET, claims=names)
    told = verifier(issuer).verify(
        token(
            SHOP_SECRET,
            iss="shop",
            uid="bob",
            display="Bob",
            name="not this",
            avatar="https://shop.example/b.png",
            born=1990,
            sex="male",
            city="杭州",
            scp="read",
            more={"fan_level": 3},
            **{"https://shop.example/plan": "wechat"},
        ),
        NOW_MS,
    )
    assert (told.user, told.name, told.picture) == ("bob", "Bob", "https://shop.example/b.png")
    assert (told.plan, told.gender, told.birth_year) == ("wechat", "male", 1990)
    assert (told.region, told.scope, told.claims) == ("杭州", "read", {"fan_level": 3})
    wrong = token(SHOP_SECRET, iss="shop", uid="bob", born="then")
    assert refused(wrong, verifier(issuer)).startswith("born: ")
    assert refused(token(SHOP_SECRET, iss="shop"), verifier(issuer)).startswith("uid: is missing")


def test_when_a_token_was_issued_is_known_where_it_says_so() -> None:
    by = verifier(SHOP)
    assert by.verify(token(SHOP_SECRET, iss=SHOP.issuer), NOW_MS).issued_ms is None
    issued = token(SHOP_SECRET, iss=SHOP.issuer, iat=NOW_S - 0.5)
    assert by.verify(issued, NOW_MS).issued_ms == NOW_MS - 500


# --- keys that are published


def test_what_an_issuer_publishes_is_believed_from_it_alone() -> None:
    key = OKPKey.generate_key("Ed25519")
    by = verifier(PUBLISHING, BANK)
    (keys,) = by.published
    assert (keys.issuer, keys.url) == ("https://shop.example", URL)
    given = signed(key, {**CLAIMS, "iss": SHOP.issuer}, kid="k1")
    with pytest.raises(UnknownKey) as caught:
        by.verify(given, NOW_MS)
    assert caught.value.issuer == SHOP.issuer
    keys.fetched, _ = published_keys(jwks(jwk(key, kid="k1")))
    assert by.verify(given, NOW_MS).tenant == "shop"
    assert "alg" in refused(signed(key, {**CLAIMS, "iss": BANK.issuer}, kid="k1"), by)
    keys.fetched, _ = published_keys(jwks(jwk(OKPKey.generate_key("Ed25519"), kid="k2")))
    with pytest.raises(UnknownKey):
        by.verify(given, NOW_MS)


def test_a_key_without_a_name_may_have_been_replaced_by_another() -> None:
    by = verifier(PUBLISHING)
    by.published[0].fetched, _ = published_keys(jwks(jwk(OKPKey.generate_key("Ed25519"))))
    with pytest.raises(UnknownKey):
        by.verify(signed(OKPKey.generate_key("Ed25519"), {**CLAIMS, "iss": SHOP.issuer}), NOW_MS)


@pytest.mark.parametrize("alg", ["HS256", "none", "HS512", "", None, 5, ["EdDSA"]])
def test_no_other_algorithm_is_worth_a_fetch(alg: Any) -> None:
    by = verifier(PUBLISHING)
    with pytest.raises(AuthError) as caught:
        by.verify(forge({"alg": alg, "kid": "new"}, {**CLAIMS, "iss": SHOP.issuer}), NOW_MS)
    assert type(caught.value) is AuthError
    assert str(caught.value).startswith("header alg: expected ")


def test_a_secret_that_is_published_is_no_key() -> None:
    oct_key = {"kty": "oct", "k": segment(SHOP_SECRET.encode()), "alg": "HS256", "kid": "k1"}
    by = verifier(PUBLISHING)
    good = jwk(OKPKey.generate_key("Ed25519"), kid="k2")
    by.published[0].fetched, faults = published_keys(jwks(oct_key, good))
    assert [key.kid for key in by.published[0].fetched] == ["k2"]
    assert faults == []
    given = forge(
        {"alg": "HS256", "kid": "k1"},
        {**CLAIMS, "iss": SHOP.issuer},
        secret=SHOP_SECRET.encode(),
    )
    assert "header alg" in refused(given, by)


def test_a_fixed_key_beside_the_published_ones_stays_good() -> None:
    key = OKPKey.generate_key("Ed25519")
    by = verifier(secret=SECRET, jwks_url=URL)
    assert by.verify(token(SECRET), NOW_MS).user == "ann"
    by.published[0].fetched, _ = published_keys(jwks(jwk(key, kid="k1")))
    assert by.verify(token(SECRET), NOW_MS).user == "ann"
    assert by.verify(signed(key, kid="k1"), NOW_MS).user == "ann"


# --- configurations


@pytest.mark.parametrize(
    ("made", "named"),
    [
        ({"issuer": "", "secret": SECRET}, "issuer: "),
        ({"issuer": "a"}, "expected a secret, public_keys or jwks_url"),
        ({"issuer": "a", "secret": SECRET, "audience": ""}, "audience: "),
        ({"issuer": "a", "secret": SECRET, "claims": {"sub": "uid"}}, "claims: expected only user"),
        ({"issuer": "a", "secret": SECRET, "claims": {"user": ""}}, "claims: "),
        ({"issuer": "a", "jwks_url": "http://shop.example/keys"}, "jwks_url: "),
    ],
)
def test_an_issuer_that_cannot_be_meant_is_refused(made: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        IssuerConfig(**made)


def test_an_issuer_with_a_bad_secret_or_tenant_is_named() -> None:
    with pytest.raises(ConfigError, match=r"auth.issuers\[1\].secret: expected at least 32 bytes"):
        verifier(SHOP, IssuerConfig(issuer="a", secret="short"))
    with pytest.raises(ConfigError, match=r"auth.issuers\[0\].tenant"):
        verifier(IssuerConfig(issuer="a", secret=SECRET, tenant="x" * 65))
    with pytest.raises(ConfigError, match="each issuer once"):
        AuthConfig(issuers=(SHOP, SHOP))


@pytest.mark.parametrize(
    "url",
    [
        *("ftp://shop.example/k", "shop.example/k", "https://", "https:///k", "", "file:///etc/k"),
        *("https://user:pw@shop.example/k", "https://shop.example/k#x", "http://10.0.0.1/k"),
        *("http://localhost.example/k", "http://127.0.0.1.example/k", "https://shop.example:x/k"),
    ],
)
def test_keys_come_over_https_or_from_this_machine(url: str) -> None:
    with pytest.raises(ConfigError, match="jwks_url: expected https"):
        AuthConfig(jwks_url=url)


@pytest.mark.parametrize(
    "url", [URL, "http://127.0.0.1:8080/k", "http://[::1]/k", "http://localhost/k?a=b"]
)
def test_such_urls_are_taken(url: str) -> None:
    assert AuthConfig(jwks_url=url).jwks_url == url


def test_keys_are_kept_for_at_least_as_long_as_they_are_not_fetched_again() -> None:
    with pytest.raises(ConfigError, match="jwks_keep_s: expected at least"):
        AuthConfig(jwks_refresh_s=100, jwks_keep_s=99)
