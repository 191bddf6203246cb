"""Entry conditions: FEATURES A20. What may be set, who meets it, and what a refusal says."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groupd.config import CONTENT
from groupd.domain.base import Identity
from groupd.domain.group.admission import Approve
from groupd.domain.group.conditions import check_conditions, clause_text, failing_clause
from groupd.domain.group.links import ShareLink
from groupd.domain.group.membership import Join
from groupd.domain.group.settings import Update
from groupd.errors import Rejected
from tests import strategies
from tests.domain.bench import Table, World, outcome

FAN: dict[str, Any] = {"claim": "fan_level", "at_least": 3}
FOLLOWS: dict[str, Any] = {"claim": "follows", "has": "creator-7"}
LOCAL: dict[str, Any] = {"claim": "region", "is": "CN"}

FANS: dict[str, Any] = {"all": [{**FAN, "label": "三级粉丝"}, {"any": [FOLLOWS, LOCAL]}]}


def sam(**claims: Any) -> Identity:
    return Identity("sam", claims=claims)


# --- judging


@pytest.mark.parametrize(
    ("clause", "claims", "is_met"),
    [
        (FAN, {"fan_level": 3}, True),
        (FAN, {"fan_level": 2}, False),
        (FAN, {"fan_level": 3.5}, True),
        (FAN, {"fan_level": True}, False),
        (FAN, {"fan_level": "3"}, False),
        (FAN, {}, False),
        (FAN, {"fan_level": None}, False),
        ({"claim": "age", "at_most": 30}, {"age": 30}, True),
        ({"claim": "age", "at_most": 30}, {"age": 31}, False),
        (FOLLOWS, {"follows": ["creator-1", "creator-7"]}, True),
        (FOLLOWS, {"follows": []}, False),
        (FOLLOWS, {"follows": "creator-7"}, False),
        ({"claim": "bought", "has": 1}, {"bought": [True]}, False),
        ({"claim": "vip", "is": True}, {"vip": True}, True),
        ({"claim": "vip", "is": True}, {"vip": 1}, False),
        ({"claim": "vip", "is": False}, {"vip": False}, True),
        ({"claim": "vip", "is": False}, {}, False),
        ({"not": {"claim": "vip", "is": True}}, {}, True),
        ({"not": {"claim": "vip", "is": True}}, {"vip": True}, False),
        ({"claim": "x", "a later test": 1}, {"x": 1}, False),
    ],
)
def test_a_clause_is_met_by_a_claim_of_its_own_type(
    clause: dict[str, Any], claims: dict[str, Any], is_met: bool
) -> None:
    assert (failing_clause(clause, sam(**claims)) is None) is is_met


def test_what_the_token_says_of_the_user_is_a_claim_too() -> None:
    caller = Identity("sam", plan="circle", gender="female", birth_year=1990, region="CN")
    for clause in (
        LOCAL,
        {"claim": "plan", "is": "circle"},
        {"claim": "gender", "is": "female"},
        {"claim": "birth_year", "at_most": 2000},
    ):
        assert failing_clause(clause, caller) is None
    assert failing_clause({"claim": "birth_year", "at_least": 0}, Identity("sam")) is not None
    # Only what is listed: nobody tells users apart by their id or name.
    assert failing_clause({"claim": "user", "is": "sam"}, caller) is not None


@pytest.mark.parametrize(
    ("claims", "clause"),
    [
        ({"fan_level": 3, "region": "CN"}, None),
        ({"region": "CN"}, "三级粉丝"),
        ({"fan_level": 3}, "follows has creator-7 or region is CN"),
        ({}, "三级粉丝"),
    ],
)
def test_the_first_clause_that_fails_is_named(claims: dict[str, Any], clause: str | None) -> None:
    assert failing_clause(FANS, sam(**claims)) == clause


def test_a_label_speaks_for_all_that_is_under_it() -> None:
    for condition in ({"all": [FAN]}, {"any": [FAN, LOCAL]}, {"not": {"not": FAN}}):
        assert failing_clause({**condition, "label": "粉丝"}, sam()) == "粉丝"


def test_a_condition_is_shown_in_words() -> None:
    shown = "三级粉丝 and (follows has creator-7 or region is CN)"
    assert clause_text(FANS) == shown
    assert clause_text({"not": FAN}) == "not fan_level at least 3"


@given(
    condition=strategies.conditions(),
    claims=st.fixed_dictionaries(
        {}, optional={"level": st.integers(0, 5), "follows": st.lists(st.sampled_from("ab"))}
    ),
)
def test_not_turns_a_verdict_round_and_all_and_any_of_one_change_nothing(
    condition: dict[str, Any], claims: dict[str, Any]
) -> None:
    if not condition:
        return
    checked, caller = check_conditions(condition, "conditions"), sam(**claims)
    is_met = failing_clause(checked, caller) is None
    assert (failing_clause({"not": checked}, caller) is None) is not is_met
    for word in ("all", "any"):
        assert (failing_clause({word: (checked,)}, caller) is None) is is_met


# --- setting


@given(strategies.conditions())
def test_a_condition_that_is_taken_is_taken_again_as_it_is(condition: dict[str, Any]) -> None:
    checked = check_conditions(condition, "conditions")
    assert check_conditions(checked, "conditions") == checked


def nested(levels: int) -> dict[str, Any]:
    return FAN if levels == 1 else {"not": nested(levels - 1)}


@pytest.mark.parametrize(
    "condition",
    [
        [],
        {"claim": "x"},
        {"claim": "x", "is": 1, "has": 1},
        {"claim": "x", "equals": 1},
        {"claim": "", "is": 1},
        {"claim": 1, "is": 1},
        {"claim": "x", "is": None},
        {"claim": "x", "is": 1.5},
        {"claim": "x", "is": [1]},
        {"claim": "x", "at_least": "3"},
        {"claim": "x", "at_least": True},
        {"all": []},
        {"all": FAN},
        {"any": [None]},
        {"all": [FAN], "any": [FAN]},
        {"not": [FAN]},
        {"label": "only"},
        {**FAN, "label": "a\nb"},
        {1: FAN},
        {"all": [FAN] * (CONTENT.conditions_max + 1)},
        {"all": [{"all": [FAN] * CONTENT.conditions_max}, FAN]},
        nested(CONTENT.conditions_depth_max + 1),
    ],
)
def test_what_is_no_condition_is_refused(condition: Any) -> None:
    with pytest.raises(Rejected) as caught:
        check_conditions(condition, "conditions")
    assert caught.value.details == {"field": "conditions"}


def test_as_many_clauses_and_levels_as_the_contract_allows_are_taken() -> None:
    for condition in (
        {"all": [FAN] * CONTENT.conditions_max},
        nested(CONTENT.conditions_depth_max),
    ):
        check_conditions(condition, "conditions")


@given(strategies.junk())
def test_junk_is_refused_with_its_field_and_never_breaks_anything(junk: Any) -> None:
    fields = set()
    for value in (junk, {"claim": "x", "is": junk}, {"all": junk}, {"not": junk}):
        try:
            check_conditions(value, "conditions")
        except Rejected as error:
            fields.add(error.details["field"])
    assert fields <= {"conditions"}


# --- at the door


def test_who_does_not_meet_the_condition_cannot_join_and_learns_why(table: Table) -> None:
    table.act("olga", Update(conditions=FANS))
    error = table.refuse("sam", Join())
    assert outcome(error) == "forbidden: condition"
    assert error.details["clause"] == "三级粉丝"
    assert table.act(sam(fan_level=3, region="CN"), Join())["status"] == "joined"


def test_a_link_is_no_way_round_the_condition(table: Table) -> None:
    table.act("olga", Update(conditions=FAN))
    code = table.act("mia", ShareLink())["code"]
    assert outcome(table.refuse("sam", Join(code=code))) == "forbidden: condition"


def test_members_stay_whatever_the_condition_and_joining_again_is_joined(table: Table) -> None:
    table.act("olga", Update(conditions=FAN))
    assert table.act("mia", Join())["status"] == "joined"


def test_an_admin_who_approves_does_not_ask_again(table: Table) -> None:
    table.act("olga", Update(join_policy="approval"))
    table.act("sam", Join())
    table.act("olga", Update(conditions=FAN))
    table.act("adam", Approve("sam"))
    assert "sam" in table.state.members


def test_an_empty_condition_takes_the_old_one_away(world: World) -> None:
    table = world.found("ann", conditions=FAN)
    assert outcome(table.refuse("sam", Join())) == "forbidden: condition"
    table.act("ann", Update(conditions={}))
    table.act("sam", Join())
