"""``problems`` finds what is not as published, says where, and bears what a later version adds."""

from __future__ import annotations

from typing import Any, Final

import pytest

from groupd.testing.schema import problems

EVENT: Final = {"group": "G" * 16, "seq": 1, "time_ms": 2, "user": "ann", "kind": "posted"}


@pytest.mark.parametrize(
    ("what", "value"),
    [
        ("result post", {"status": "posted", "seq": 1, "time_ms": 2}),
        ("result ping", {"time_ms": 0}),
        ("params ping", {}),
        ("params post", {"group": "G" * 16, "text": "好", "mentions": "all"}),
        ("params post", {"group": "G" * 16, "text": "好", "mentions": ["王芳"]}),
        ("event", EVENT),
        ("event", {**EVENT, "text": "好", "user": ""}),
        ("event", {"group": "G" * 16, "seq": 1, "time_ms": 2, "kind": "hidden"}),
        ("list[event or account_event]", [EVENT, {"seq": 1, "time_ms": 2, "kind": "owned"}]),
        ("notification lagged", {"group": "", "head": 5}),
        ("notification signal", {"group": "G" * 16, "user": "a", "kind": "read", "seq": 1}),
        ("error", {"code": "forbidden", "message": "", "reason": "role", "required": "admin"}),
        ("changes", {"location": None, "data": {"a": [1, None]}}),
        ("map[user, integer]", {"王芳": 3}),
    ],
)
def test_what_is_as_published_is_no_problem(what: str, value: Any) -> None:
    assert problems(what, value) == []
    assert problems(what, value, tolerant=True) == []


@pytest.mark.parametrize(
    ("what", "value", "wrong"),
    [
        ("result post", {"status": "posted", "seq": 1}, "post.time_ms: is missing"),
        ("result post", {"status": "posted", "time_ms": 1.0}, "post.time_ms: expected time_ms"),
        ("result post", {"status": "posted", "time_ms": True}, "post.time_ms: expected time_ms"),
        ("result post", ["posted"], "post: expected a map"),
        ("result history", {"events": [{}]}, "history.events[0]: expected a map with a known kind"),
        ("params pin", {"group": "G" * 16, "seq": 0}, "pin.seq: expected 1 to any, got 0"),
        ("params history", {"group": "G" * 16, "limit": 501}, "history.limit: expected 1 to 500"),
        ("params create", {"name": "a", "history": "none"}, "create.history: expected one of all"),
        ("event", {**EVENT, "seq": 0}, "event.seq: expected 1"),
        ("event", {**EVENT, "group": "short"}, "event.group: expected group"),
        ("event", {**EVENT, "text": None}, "event.text: expected text"),
        ("event", {"kind": "hidden", "group": "G" * 16, "time_ms": 2}, "event.seq: is missing"),
        ("account_event", EVENT, "account_event: expected a map with a known kind"),
        ("error", {"code": "muted", "message": ""}, "error.until_ms: is missing"),
        ("notification lagged", {"group": "G", "head": 5}, 'lagged.group: expected group or ""'),
        ("notification goodbye", {"code": "bad_request"}, "goodbye.message: is missing"),
        ("map[user, integer]", {"*": 3}, "map[user, integer], a key: expected user, got '*'"),
        ("id", "f47ac10b-58cc-4372-a567-0e02b2c3d479", "id: expected id"),
    ],
)
def test_a_problem_is_named_with_its_place(what: str, value: Any, wrong: str) -> None:
    assert any(line.startswith(wrong) for line in problems(what, value)), problems(what, value)
    assert problems(what, value, tolerant=True) or "known kind" in wrong


@pytest.mark.parametrize(
    ("what", "value"),
    [
        ("result ping", {"time_ms": 0, "zone": "UTC"}),
        ("event", {**EVENT, "kind": "sang"}),
        ("event", {**EVENT, "mood": "good"}),
        ("error", {"code": "eclipsed", "message": ""}),
        ("error", {"code": "conflict", "message": "", "reason": "mood"}),
        ("result post", {"status": "pondered", "time_ms": 0}),
        ("notification weather", {"sky": "clear"}),
    ],
)
def test_what_a_later_version_may_say_is_borne_on_demand(what: str, value: Any) -> None:
    assert problems(what, value)
    assert problems(what, value, tolerant=True) == []
