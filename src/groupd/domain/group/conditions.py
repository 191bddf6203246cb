"""Entry conditions: small predicates over what a caller's token claims, put together by words.

    {"claim": "fan_level", "at_least": 3, "label": "fans of level 3"}
    {"claim": "follows", "has": "creator-7"}            the claim is a list
    {"claim": "region", "is": "CN"}
    {"all": [...]}   {"any": [...]}   {"not": {...}}    of such clauses, some levels deep

A claim is one of the token's ``claims``, or one of its ``plan``, ``gender``, ``region``,
``birth_year`` and ``scope``. One that is missing meets no clause. Who does not meet a condition is
told the first clause that fails: by its ``label``, where it has one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from groupd.config import CONTENT
from groupd.domain import fields
from groupd.domain.base import Context, Identity, Request, Rule
from groupd.domain.group.state import Group
from groupd.errors import Rejected

TESTS: Final = ("is", "at_least", "at_most", "has")
_OF_THE_TOKEN: Final = ("plan", "gender", "region", "birth_year", "scope")


# --- checking a condition that somebody sets


def check_conditions(value: Any, field: str) -> dict[str, Any]:
    """Check a condition; an empty map stands for none."""
    if value == {}:
        return {}
    checked, clauses = _checked(value, field, CONTENT.conditions_depth_max)
    if clauses > CONTENT.conditions_max:
        limit = CONTENT.conditions_max
        raise fields.refuse(field, f"expected at most {limit} clauses, got {clauses}")
    return checked


def _checked(value: Any, field: str, depth: int) -> tuple[dict[str, Any], int]:
    if not isinstance(value, dict) or depth == 0:
        levels = CONTENT.conditions_depth_max
        raise fields.refuse(field, f"expected maps, at most {levels} levels of them")
    words = set(value) - {"label"}
    checked: dict[str, Any] = {}
    if "label" in value:
        checked["label"] = fields.clean_name(value["label"], field, max_chars=CONTENT.name_max)
    if words in ({"all"}, {"any"}):
        (word,) = words
        parts = value[word]
        if not isinstance(parts, list | tuple) or not 1 <= len(parts) <= CONTENT.conditions_max:
            raise fields.refuse(field, f"{word}: expected a list of clauses")
        inside = [_checked(part, field, depth - 1) for part in parts]
        checked[word] = tuple(part for part, _count in inside)
        return checked, sum(count for _part, count in inside)
    if words == {"not"}:
        checked["not"], count = _checked(value["not"], field, depth - 1)
        return checked, count
    if "claim" not in words or len(words) != 2 or not words <= {"claim", *TESTS}:
        raise fields.refuse(field, f"expected claim and one of {', '.join(TESTS)}")
    (test,) = words - {"claim"}
    checked["claim"] = fields.clean_name(value["claim"], field, max_chars=CONTENT.name_max)
    checked[test] = _checked_operand(test, value[test], field)
    return checked, 1


def _checked_operand(test: str, value: Any, field: str) -> Any:
    if test in ("at_least", "at_most"):
        return fields.clean_int(value, field, low=-fields.INT_MAX)
    if type(value) in (bool, int):
        return value if type(value) is bool else fields.clean_int(value, field, low=-fields.INT_MAX)
    return fields.clean_name(value, field, max_chars=CONTENT.name_max)


# --- judging a caller


def failing_clause(condition: Mapping[str, Any], caller: Identity) -> str | None:
    """Give the first clause that the caller does not meet, or None."""
    label = condition.get("label")
    if "all" in condition:
        failed = (failing_clause(part, caller) for part in condition["all"])
        first = next((clause for clause in failed if clause is not None), None)
        return first if first is None else label or first
    if "any" in condition:
        clauses = [failing_clause(part, caller) for part in condition["any"]]
        if None in clauses:
            return None
        return label or " or ".join(clause for clause in clauses if clause is not None)
    if "not" in condition:
        inside = condition["not"]
        if failing_clause(inside, caller) is not None:
            return None
        return label or f"not {clause_text(inside, inside=True)}"
    return None if _meets(condition, caller) else label or clause_text(condition)


def clause_text(condition: Mapping[str, Any], *, inside: bool = False) -> str:
    """Give a condition in words; one of several parts in brackets where it stands ``inside``."""
    if "label" in condition:
        return str(condition["label"])
    for word, joint in (("all", " and "), ("any", " or ")):
        if word in condition:
            text = joint.join(clause_text(part, inside=True) for part in condition[word])
            return f"({text})" if inside and len(condition[word]) > 1 else text
    if "not" in condition:
        return f"not {clause_text(condition['not'], inside=True)}"
    test = next((test for test in TESTS if test in condition), "is")
    return f"{condition.get('claim')} {test.replace('_', ' ')} {condition.get(test)}"


def _meets(clause: Mapping[str, Any], caller: Identity) -> bool:
    name = str(clause.get("claim", ""))
    value = caller.claims.get(name)
    if value is None and name in _OF_THE_TOKEN:
        value = getattr(caller, name) or None
    if value is None:
        return False
    if "is" in clause:
        return type(value) is type(clause["is"]) and bool(value == clause["is"])
    if "has" in clause:
        return isinstance(value, list | tuple) and any(
            type(item) is type(clause["has"]) and item == clause["has"] for item in value
        )
    if type(value) not in (int, float):
        return False
    if "at_least" in clause:
        return bool(value >= clause["at_least"])
    return "at_most" in clause and bool(value <= clause["at_most"])


# --- the rule


def _refuse(state: Group, context: Context, request: Request) -> Rejected | None:
    condition = state.settings.conditions
    if condition is None or context.caller.user in state.members:
        return None
    clause = failing_clause(condition, context.caller)
    if clause is None:
        return None
    return Rejected("forbidden", f"this group is for: {clause}", reason="condition", clause=clause)


MEETS_CONDITION: Final = Rule(
    "condition",
    "group",
    _refuse,
    lambda state, context: clause_text(state.settings.conditions or {"label": ""}),
)
"""Who comes in by themselves meets the group's entry condition."""
