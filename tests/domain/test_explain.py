"""``explain`` says what the guard does, by the same rules (FEATURES D4)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from groupd.domain.base import Identity
from groupd.domain.catalog import REQUESTS
from groupd.domain.group.moderation import MuteAll, SlowMode
from groupd.domain.group.settings import Dissolve, Update
from groupd.domain.policy import Explain
from groupd.errors import Rejected
from tests import strategies
from tests.domain.bench import Table, World
from tests.domain.test_state import CODES, played
from tests.strategies import Step


def explain(table: Table, caller: str | Identity, method: str, **params: Any) -> dict[str, Any]:
    asked = Explain.parse({"method": method, **({"params": params} if params else {})})
    return table.act(caller, asked)


def attempt(call: Callable[[], dict[str, Any]]) -> dict[str, Any] | Rejected:
    try:
        return call()
    except Rejected as refusal:
        return refusal


def rules(answer: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {rule["rule"]: rule for rule in answer["rules"]}


def test_each_rule_comes_with_value_source_and_verdict(table: Table) -> None:
    table.act("olga", MuteAll())
    table.act("olga", SlowMode(5_000))
    answer = explain(table, "mia", "post")
    assert answer["method"] == "post"
    assert answer["allowed"] is False
    known = rules(answer)
    assert known["role"] == {
        "rule": "role",
        "source": "role",
        "value": "member",
        "verdict": "holds",
    }
    assert known["all_muted"]["verdict"] == "refuses"
    assert known["all_muted"]["reason"] == "all_muted"
    assert known["slow_mode"]["value"] == 5_000


def test_a_limit_of_the_plan_is_named(table: Table) -> None:
    known = rules(explain(table, "sam", "join"))
    assert known["members_max"]["source"] == "plan"
    assert known["members_max"]["value"] == 200
    assert known["groups_joined_max"]["value"] == 500


def test_without_a_group_it_is_about_the_account(world: World) -> None:
    for number in range(4):
        world.found("ann", name=f"g{number}")
    answer = world.ask("ann", Explain.parse({"method": "create"}))
    assert answer["allowed"] is False
    assert rules(answer)["groups_owned_max"]["code"] == "quota_exceeded"
    assert world.ask("bob", Explain.parse({"method": "create"}))["allowed"] is True


def test_parameters_make_it_about_one_call(table: Table) -> None:
    assert explain(table, "adam", "mute", user="mia", for_ms=1)["allowed"]
    answer = explain(table, "adam", "mute", user="olga", for_ms=1)
    assert rules(answer)["rank"]["verdict"] == "refuses"


@pytest.mark.parametrize("method", ["no_such_method", "operator_log"])
def test_what_is_no_method_is_not_found(table: Table, method: str) -> None:
    assert table.refuse("mia", Explain.parse({"method": method})).code == "not_found"


@pytest.mark.parametrize("method", ["create", "search", "hello", "direct"])
def test_what_no_group_serves_is_refused(table: Table, method: str) -> None:
    refusal = table.refuse("mia", Explain.parse({"method": method}))
    assert refusal.details == {"field": "group"}


def test_a_group_that_is_hidden_explains_nothing_to_strangers(table: Table) -> None:
    table.act("olga", Update(discoverable=False))
    assert table.refuse("sam", Explain.parse({"method": "join"})).code == "not_found"


def test_wrong_parameters_are_refused_by_their_name(table: Table) -> None:
    asked = Explain.parse({"method": "post", "params": {"text": 5}})
    assert table.refuse("mia", asked).details == {"field": "text"}


def test_a_dissolved_group_still_explains_itself(table: Table) -> None:
    table.act("olga", Dissolve())
    assert rules(explain(table, "olga", "post"))["not_dissolved"]["verdict"] == "refuses"


@settings(max_examples=80)
@given(
    steps=strategies.dialogues(st.sampled_from(CODES)),
    step=strategies.steps(st.sampled_from(CODES)),
)
def test_the_first_rule_that_refuses_is_what_the_guard_says(steps: list[Step], step: Step) -> None:
    table = played(steps)
    command = step.command
    if not command.addresses("group") or command.method not in REQUESTS:
        return
    answer = attempt(lambda: explain(table, step.user, command.method, **command.params()))
    if isinstance(answer, Rejected):
        # What may not be known, or is too large to be passed on as `params`.
        assert answer.code in ("not_found", "too_large", "bad_request")
        return
    refusing = [rule for rule in answer["rules"] if rule["verdict"] == "refuses"]
    came = attempt(lambda: table.act(step.user, command))
    if isinstance(came, Rejected) and refusing:
        first = refusing[0]
        assert (came.code, came.details.get("reason")) == (first["code"], first.get("reason"))
    elif not isinstance(came, Rejected):
        assert answer["allowed"], refusing


def test_a_stranger_learns_nothing_of_members_from_it(table: Table) -> None:
    for user in ("mia", "nobody"):
        answer = explain(table, "sam", "kick", user=user)
        assert [rule["rule"] for rule in answer["rules"]][-1] == "role"
        assert answer["allowed"] is False


@pytest.mark.parametrize(
    ("group", "method", "params"),
    [("group", "create", {"name": "x"}), ("", "post", {"text": "x"}), ("", "kick", {"user": "x"})],
)
def test_a_method_of_the_other_kind_of_stream_is_refused_and_breaks_nothing(
    table: Table, group: str, method: str, params: dict[str, Any]
) -> None:
    asked = Explain.parse({"method": method, "params": params})
    with pytest.raises(Rejected) as caught:
        table.world.ask("sam", asked, group=table.group if group else None)
    assert caught.value.details == {"field": "group"}
