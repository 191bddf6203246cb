"""Entry conditions: small predicates over what a caller's token claims, put together by words.

    {"claim": "fan_level", "at_least": 3, "label": "fans of level 3"}
    {"claim": "follows", "has": "creator-7"}            the claim is a list
    {"claim": "region", "is": "CN"}
    {"all": [...]}   {"any": [...]}   {"not": {...}}    of such clauses, some levels deep

A claim is one of the token's ``claims``, or one of its ``plan``, ``gender``, ``region``,
``birth_year`` and ``scope``. One that is missing meets no clause, unless the host is asked and says
that it does (``domain/answers.py``). Who does not meet a condition is told the first clause that
fails: by its ``label``, where it has one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final

from groupd.config import CONTENT
from groupd.domain import fields
from groupd.domain.answers import CLAIMS, NO_ANSWERS, Answers
from groupd.domain.base import Context, Identity, Request, Rule
from groupd.domain.group.state import Group
from groupd.errors import Rejected

TESTS: Final = ("is", "at_least", "at_most", "has")
WORDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "all": " and ",
        "any": " or ",
        "not": "not {clause}",
        "is": "{claim} is {value}",
        "at_least": "{claim} at least {value}",
        "at_most": "{claim} at most {value}",
        "has": "{claim} has {value}",
    }
)
"""What a condition is said in, beside its labels, claims and values."""
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


def failing_clause(
    condition: Mapping[str, Any], caller: Identity, answers: Answers = NO_ANSWERS
) -> str | None:
    """Give the first clause that the caller does not meet, or None.

    Where the host was to be asked and has not said enough, ``answers.admits`` decides: what is not
    known is taken so that the caller comes in, or so that they do not. Inside a ``not`` that is the
    other way round.
    """
    return _failing(condition, caller, answers, answers.admits)


def _failing(
    condition: Mapping[str, Any], caller: Identity, answers: Answers, unknown: bool | None
) -> str | None:
    label = condition.get("label")
    if "all" in condition:
        failed = (_failing(part, caller, answers, unknown) for part in condition["all"])
        first = next((clause for clause in failed if clause is not None), None)
        return first if first is None else label or first
    if "any" in condition:
        clauses = [_failing(part, caller, answers, unknown) for part in condition["any"]]
        if None in clauses:
            return None
        return label or " or ".join(clause for clause in clauses if clause is not None)
    if "not" in condition:
        inside, opposite = condition["not"], None if unknown is None else not unknown
        if _failing(inside, caller, answers, opposite) is not None:
            return None
        return label or f"not {clause_text(inside, inside=True)}"
    if _meets(condition, caller, answers, unknown):
        return None
    return label or clause_text(condition)


def unanswered(condition: Mapping[str, Any], caller: Identity) -> list[dict[str, Any]]:
    """Give the clauses of a condition that no claim of the caller's answers, each once.

    Without their labels: ``{claim, is | at_least | at_most | has}``. There are at most
    ``conditions_max``.
    """
    found: dict[str, dict[str, Any]] = {}
    for clause in _clauses(condition):
        test = _test_of(clause)
        if test is not None and _claimed(clause, caller) is None:
            found.setdefault(clause_key(clause), {"claim": clause["claim"], test: clause[test]})
    return list(found.values())


def clause_key(clause: Mapping[str, Any]) -> str:
    """Give what tells a clause from others: its claim, its test, and the value with its type."""
    test = _test_of(clause)
    return repr((clause.get("claim"), test, clause.get(test or "")))


def _clauses(condition: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for word in ("all", "any"):
        if word in condition:
            for part in condition[word]:
                yield from _clauses(part)
            return
    if "not" in condition:
        yield from _clauses(condition["not"])
    else:
        yield condition


def _test_of(clause: Mapping[str, Any]) -> str | None:
    return next((test for test in TESTS if test in clause), None)


def clause_text(
    condition: Mapping[str, Any], *, inside: bool = False, words: Mapping[str, str] = WORDS
) -> str:
    """Give a condition in words; one of several parts in brackets where it stands ``inside``."""
    if "label" in condition:
        return str(condition["label"])
    for word in ("all", "any"):
        if word in condition:
            parts = (clause_text(part, inside=True, words=words) for part in condition[word])
            text = words[word].join(parts)
            return f"({text})" if inside and len(condition[word]) > 1 else text
    if "not" in condition:
        return words["not"].format(clause=clause_text(condition["not"], inside=True, words=words))
    test = _test_of(condition) or "is"
    return words[test].format(claim=condition.get("claim"), value=condition.get(test))


def _claimed(clause: Mapping[str, Any], caller: Identity) -> Any:
    """Give what the token says of a clause's claim, or None."""
    name = str(clause.get("claim", ""))
    value = caller.claims.get(name)
    if value is None and name in _OF_THE_TOKEN:
        value = getattr(caller, name) or None
    return value


def _meets(
    clause: Mapping[str, Any], caller: Identity, answers: Answers, unknown: bool | None
) -> bool:
    value = _claimed(clause, caller)
    if value is None:
        return answers.holds.get(clause_key(clause), bool(unknown))
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
    clause = failing_clause(condition, context.caller, context.answers)
    if clause is None:
        return None
    by = context.answers.by
    said = {} if by == CLAIMS else {"answered_by": by}
    message = f"this group is for: {clause}"
    return Rejected("forbidden", message, reason="condition", clause=clause, **said)


def _answered_by(state: Group, context: Context) -> str | None:
    """Say who has answered the condition; None where nobody is asked."""
    if state.settings.conditions is None or context.caller.user in state.members:
        return None
    return context.answers.by


MEETS_CONDITION: Final = Rule(
    "condition",
    "group",
    _refuse,
    lambda state, context: clause_text(state.settings.conditions or {"label": ""}),
    answered_by=_answered_by,
)
"""Who comes in by themselves meets the group's entry condition."""
