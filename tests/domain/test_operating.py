"""Who operates which tenant, by what their token says."""

from __future__ import annotations

import pytest

from groupd.domain.base import SERVER, Identity
from groupd.domain.operating import LOCAL, Authority, authority_of
from groupd.errors import Rejected


@pytest.mark.parametrize(
    ("scope", "expected"),
    [
        ("", None),
        ("read post", None),
        ("operators", None),
        ("Operator", None),
        ("operator,", None),
        ("operator:", None),
        ("operator", Authority("ops", "shop")),
        ("read operator", Authority("ops", "shop")),
        ("operator:all", Authority("ops", None)),
        ("operator operator:all", Authority("ops", None)),
    ],
)
def test_a_word_of_the_scope_makes_an_operator(scope: str, expected: Authority | None) -> None:
    assert authority_of(Identity("ops", tenant="shop", scope=scope)) == expected


def test_an_operator_of_one_tenant_means_that_one_or_says_it() -> None:
    authority = Authority("ops", "shop")
    assert authority.tenant_of("") == authority.tenant_of("shop") == "shop"
    with pytest.raises(Rejected) as refused:
        authority.tenant_of("other")
    assert refused.value.details["required"] == "operator:all"


def test_an_operator_of_the_tenant_without_a_name_sees_no_named_one() -> None:
    authority = Authority("ops", "")
    assert authority.tenant_of("") == ""
    with pytest.raises(Rejected):
        authority.tenant_of("shop")


def test_an_operator_of_all_tenants_says_which_one() -> None:
    assert [Authority("ops", None).tenant_of(name) for name in ("", "shop")] == ["", "shop"]


def test_a_token_may_less_than_the_socket() -> None:
    for method, by_token in (("operator_log", True), ("operator_backup", False), ("post", False)):
        assert LOCAL.serves(method)
        assert Authority("ops", None).serves(method) is by_token


def test_an_operator_acts_as_the_server_by_their_own_name() -> None:
    caller = Authority("ops", None).as_system("shop")
    assert (caller.user, caller.tenant, caller.name) == (SERVER, "shop", "ops")
