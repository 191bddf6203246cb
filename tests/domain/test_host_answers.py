"""Entry conditions with the host's answers: FEATURES A20. Pure: the answers are handed in."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groupd.domain.answers import Answers
from groupd.domain.base import Identity
from groupd.domain.group.conditions import clause_key, failing_clause, unanswered
from groupd.domain.group.host_answers import Unanswered, asks_condition
from groupd.domain.group.invitations import AcceptInvite, Invite
from groupd.domain.group.links import ShareLink
from groupd.domain.group.membership import Join
from groupd.domain.group.messages import Post
from groupd.domain.group.moderation import BanUser
from groupd.domain.group.settings import Update
from groupd.domain.policy import Explain
from tests.domain.bench import Table, outcome

FAN: dict[str, Any] = {"claim": "fan_level", "at_least": 3, "label": "fans"}
BOUGHT: dict[str, Any] = {"claim": "bought", "has": "tea"}
BLOCKED: dict[str, Any] = {"claim": "blocked", "is": True}
ALL: dict[str, Any] = {"all": [FAN, {"any": [BOUGHT, {"not": BLOCKED}]}]}


def said(*clauses: dict[str, Any], by: str = "host", **holds: Any) -> Answers:
    """Make answers: the clauses that are named hold, those in ``not_`` do not."""
    answers = {clause_key(clause): True for clause in clauses}
    answers |= {clause_key(clause): False for clause in holds.pop("not_", ())}
    return Answers(answers, by=by, admits=holds.pop("admits", False))


def test_what_no_claim_answers_is_asked_once_and_without_its_label() -> None:
    condition = {"all": (ALL, {"not": FAN}, {**BOUGHT, "label": "buyers"})}
    bare = {"claim": "fan_level", "at_least": 3}
    assert unanswered(condition, Identity("sam")) == [bare, BOUGHT, BLOCKED]
    knows = Identity("sam", claims={"fan_level": 0, "blocked": False})
    assert unanswered(condition, knows) == [BOUGHT]


def test_a_clause_of_another_type_of_value_is_another_one() -> None:
    keys = {clause_key({"claim": "x", "is": value}) for value in (1, True, "1", "True")}
    assert len(keys) == 4


def test_the_hosts_answers_stand_in_for_claims_and_claims_go_first() -> None:
    sam = Identity("sam")
    assert failing_clause(ALL, sam, said(FAN, BOUGHT, not_=[BLOCKED])) is None
    assert failing_clause(ALL, sam, said(BOUGHT, not_=[FAN, BLOCKED])) == "fans"
    held = said(FAN, BLOCKED, not_=[BOUGHT])
    assert failing_clause(ALL, sam, held) == "bought has tea or not blocked is True"
    low = Identity("sam", claims={"fan_level": 1})
    assert failing_clause(ALL, low, said(FAN, BOUGHT)) == "fans"


@pytest.mark.parametrize("admits", [True, False])
def test_what_is_not_answered_is_what_the_verdict_says_also_inside_a_not(admits: bool) -> None:
    nothing = Answers(by="verdict", admits=admits)
    for condition in (FAN, {"not": FAN}, {"not": {"not": FAN}}, ALL, {"any": [BOUGHT, FAN]}):
        assert (failing_clause(condition, Identity("sam"), nothing) is None) is admits


def test_where_there_is_no_host_a_missing_claim_meets_no_clause() -> None:
    assert failing_clause({"not": FAN}, Identity("sam")) is None
    assert failing_clause(FAN, Identity("sam")) == "fans"


@given(level=st.integers(0, 5), admits=st.booleans())
def test_a_verdict_changes_nothing_where_the_claims_say_all(level: int, admits: bool) -> None:
    sam = Identity("sam", claims={"fan_level": level})
    nothing = Answers(by="verdict", admits=admits)
    assert failing_clause(FAN, sam, nothing) == failing_clause(FAN, sam)


# --- what is asked, before a request


def asked(table: Table, user: str | Identity, request: Any) -> list[dict[str, Any]]:
    clauses: list[dict[str, Any]] = table.act(user, Unanswered(request))["clauses"]
    return clauses


def test_only_who_would_come_in_is_asked_about(table: Table) -> None:
    table.act("olga", Update(conditions=BOUGHT))
    assert asked(table, "sam", Join()) == [BOUGHT]
    assert asked(table, "sam", Explain("join")) == [BOUGHT]
    assert asked(table, Identity("sam", claims={"bought": ["tea"]}), Join()) == []
    assert asked(table, "mia", Join()) == []
    assert asked(table, "sam", AcceptInvite()) == [], "there is no invitation"
    table.act("olga", BanUser("sam"))
    assert asked(table, "sam", Join()) == []
    table.act("olga", Update(conditions={}))
    assert asked(table, "sue", Join()) == []


def test_a_hidden_group_is_asked_by_those_alone_who_have_its_code(table: Table) -> None:
    table.act("olga", Update(conditions=BOUGHT, discoverable=False))
    code = table.act("olga", ShareLink())["code"]
    assert asked(table, "sam", Join(code=code)) == [BOUGHT]
    assert table.refuse("sam", Unanswered(Join())).code == "not_found"


def test_it_is_asked_for_all_that_a_condition_keeps_out_and_for_nothing_else() -> None:
    for request in (Join(), AcceptInvite(), Explain("join"), Explain("accept_invite")):
        assert asks_condition(request)
    for other in (Post("hi"), Invite("sam"), Explain("post"), Explain("no such")):
        assert not asks_condition(other)


# --- what comes of it


def test_a_refusal_names_the_clause_and_who_has_answered(table: Table) -> None:
    table.act("olga", Update(conditions=BOUGHT))
    table.world.answers = said(not_=[BOUGHT])
    error = table.refuse("sam", Join())
    assert outcome(error) == "forbidden: condition"
    assert (error.details["clause"], error.details["answered_by"]) == ("bought has tea", "host")
    table.world.answers = Answers(by="verdict", admits=False)
    assert table.refuse("sam", Join()).details["answered_by"] == "verdict"
    table.world.answers = Answers(admits=False)
    assert "answered_by" not in table.refuse("sam", Join()).details
    table.world.answers = said(BOUGHT)
    assert table.act("sam", Join())["status"] == "joined"


@pytest.mark.parametrize("by", ["claims", "host", "cache", "verdict"])
def test_explain_says_who_has_answered(table: Table, by: str) -> None:
    table.act("olga", Update(conditions=BOUGHT))
    table.world.answers = Answers(by=by, admits=False)

    def rule(user: str) -> dict[str, Any]:
        rules = table.act(user, Explain("join"))["rules"]
        return next(rule for rule in rules if rule["rule"] == "condition")

    assert rule("sam") == {
        "rule": "condition",
        "source": "group",
        "verdict": "refuses",
        "value": "bought has tea",
        "code": "forbidden",
        "reason": "condition",
        "answered_by": by,
    }
    assert "answered_by" not in rule("mia")
    table.act("olga", Update(conditions={}))
    assert "answered_by" not in rule("sam")
