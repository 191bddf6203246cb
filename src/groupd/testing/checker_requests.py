"""Whether requests did what their answers say: once, where they say, as asked, and in order.

What was acknowledged is compared with the log; what was refused must have left no trace in it; what
nobody knows of may be there once or not at all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Final

from groupd.testing.checker_logs import GroupLog, Key, Row
from groupd.testing.checker_report import said_alike
from groupd.testing.checker_run import NEW_EVENT, UNKNOWN_CODES, Call, Run

BY_RULES: Final = frozenset({"forbidden", "not_found", "quota_exceeded", "group_full", "muted"})
"""Refusals that come after the look at the id: a retry of what took effect never gets them."""
CONTENT: Final[Mapping[str, Mapping[str, Any]]] = {
    "post": {"text": "", "card": None, "reply_to": 0},
    "announce": {"text": ""},
}
"""Method -> the parameters that go into its event, with their defaults."""
NOT_CONTENT: Final = frozenset({"user", "tenant", "id", "group"})
MULTIPLE_MAX: Final = 100
"""Attempts of one id that are compared with each other."""


def check_requests(run: Run) -> None:
    """Check acknowledgements, request ids and order."""
    attempts: dict[tuple[Key, str, str], list[Call]] = {}
    founded: dict[tuple[str, str, str], set[str]] = {}
    unnamed: dict[tuple[Key, int], Call] = {}
    for call in run.calls.values():
        if call.id and call.group:
            attempts.setdefault((call.key, call.user, call.id), []).append(call)
        if call.outcome == "ok":
            _check_answer(run, call)
            if call.seq and call.op in NEW_EVENT and not call.id:
                other = unnamed.setdefault((call.key, call.seq), call)
                if other is not call:
                    run.report.add(
                        *("ack-elsewhere", f"group {call.group}"),
                        f"two posts without an id were given seq {call.seq}",
                        *(other.ended, call.ended),
                    )
        if call.op == "create" and call.id and call.outcome == "ok":
            founded.setdefault((call.tenant, call.user, call.id), set()).add(call.group)
    for (key, user, id), calls in attempts.items():
        if key in run.logs:
            _check_attempts(run, run.logs[key], run.logs[key].by_id.get((user, id), ()), calls)
    for log in run.logs.values():
        first = log.rows.get(1)
        if first is not None and first.kind == "created" and first.id:
            groups = founded.setdefault((log.key[0], first.user, first.id), set())
            groups.add(log.key[1])
    for (_tenant, user, id), groups in founded.items():
        if len(groups) > 1:
            run.report.add("twice", f"user {user}", f"create with id {id} founded {sorted(groups)}")
    _check_order(run, attempts)
    if run.config.get("complete"):
        _check_asked(run, attempts)


# --- one answer


def _check_answer(run: Run, call: Call) -> None:
    """Compare the seq that was acknowledged with what the log has there."""
    seq, report = call.seq, run.report
    if not seq:
        return
    shown = (call.number, call.ended)
    log = run.logs.get(call.key)
    if log is None:
        if call.group not in run.tenants:
            report.add("lost", f"group {call.group}", f"{call.explain()}: no such log", *shown)
        return  # The group of another tenant: see ``checker_reads``.
    row = log.rows.get(seq)
    effects = log.by_id.get((call.user, call.id), ()) if call.id else ()
    is_new = call.op in NEW_EVENT
    if row is None or (is_new and call.id and not effects):
        has = "nothing" if row is None else f"{row.kind} {row.id} by {row.user!r}"
        report.add(
            *("lost", log.name),
            f"{call.explain()} was given seq {seq}; the log has {has} there, "
            f"and the id at {list(effects)}",
            *shown,
        )
    elif effects and seq not in effects:
        report.add(
            *("ack-elsewhere", log.name),
            f"{call.explain()} was given seq {seq}, and is at {list(effects)}",
            *shown,
        )
    elif is_new and (row.user != call.user or row.kind != NEW_EVENT[call.op] or row.id != call.id):
        report.add(
            *("ack-elsewhere", log.name),
            f"{call.explain()} was given seq {seq}, which is {row.kind} {row.id} by {row.user!r}",
            *shown,
        )
    elif is_new:
        if call.result.get("time_ms", row.time_ms) != row.time_ms:
            report.add(
                *("ack-elsewhere", log.name),
                f"{call.explain()}, seq {seq}, was at {row.time_ms} by the log",
                *shown,
            )
        if not _is_asked(call, row):
            report.add(
                *("other-content", log.name),
                f"{call.explain()} was acknowledged; seq {seq} says something else",
                *shown,
            )


def _is_asked(call: Call, row: Row) -> bool:
    """Say whether an event says what was asked for. What was erased may have said anything."""
    args = call.asked.args
    if row.body is None or call.op not in CONTENT:
        return True
    asked = {name: args.get(name) or default for name, default in CONTENT[call.op].items()}
    has = {name: row.field(name, default) for name, default in CONTENT[call.op].items()}
    mentions = args.get("mentions") or ()
    stored = row.field("mentions", ())
    # Users who are not members are dropped.
    if isinstance(stored, str) or isinstance(mentions, str):
        fits = stored == mentions
    else:
        fits = set(stored) <= set(mentions)
    return fits and said_alike(asked, has)


# --- all attempts of one id


def _check_attempts(run: Run, log: GroupLog, effects: Sequence[int], calls: list[Call]) -> None:
    report, first = run.report, calls[0]
    if not effects:
        return
    row = log.rows[effects[0]]
    if all(call.outcome == "fail" and call.code not in UNKNOWN_CODES for call in calls):
        report.add(
            *("refused-took-effect", log.name),
            f"{first.explain()} was refused as {first.code}, and is at {list(effects)}",
            *(call.number for call in calls),
        )
    same_op = [call for call in calls if call.op == first.op]
    # Where one was acknowledged, its answer was compared already.
    is_open = first.op in CONTENT and not any(call.outcome == "ok" for call in same_op)
    if is_open and not any(_is_asked(call, row) for call in same_op):
        report.add(
            *("other-content", log.name),
            f"seq {row.seq} is no attempt of {first.explain()}",
            *(call.number for call in calls),
        )
    for earlier, later in pairwise(calls[:MULTIPLE_MAX]):
        is_retry = earlier.op == later.op and said_alike(_content(earlier), _content(later))
        is_known = run.low(log.key, later.number) >= effects[-1]
        if is_retry and is_known and later.code in BY_RULES:
            report.add(
                *("retry-refused", log.name),
                f"{later.explain()} had taken effect at {list(effects)}, and is {later.code}",
                *(earlier.number, later.number, later.ended),
            )


def _content(call: Call) -> dict[str, Any]:
    return {name: value for name, value in call.asked.args.items() if name not in NOT_CONTENT}


# --- order


def _check_order(run: Run, attempts: Mapping[tuple[Key, str, str], list[Call]]) -> None:
    """Check real time, and the order within a connection."""
    reached: dict[tuple[int, Key], Call] = {}
    at: dict[int, int] = {}
    for call in run.calls.values():
        log = run.logs.get(call.key)
        if log is None:
            continue
        seqs: Sequence[int] = ()
        if call.id:
            calls = attempts.get((call.key, call.user, call.id), ())
            if calls and calls[0] is call:
                seqs = log.by_id.get((call.user, call.id), ())
            sent_once = len(calls) == 1
        else:
            sent_once = call.op in NEW_EVENT
            seqs = (call.seq,) if sent_once and run.agreed(call) else ()
        if not seqs:
            continue
        seq = seqs[0]
        if run.low(log.key, call.number) >= seq:
            run.report.add(
                *("reordered", log.name),
                f"{call.explain()} was sent when seq {run.low(log.key, call.number)} was known, "
                f"and is at {seq}",
                call.number,
            )
        elif sent_once and call.asked.connection:
            place = (call.asked.connection, log.key)
            before = reached.get(place)
            if before is not None and at[before.number] > seq:
                run.report.add(
                    *("pipelined-reordered", log.name),
                    f"{call.explain()} is at {seq}; sent before it on the same connection was "
                    f"{before.explain()}, at {at[before.number]}",
                    *(before.number, call.number),
                )
            else:
                reached[place], at[call.number] = call, seq


def _check_asked(run: Run, attempts: Mapping[tuple[Key, str, str], list[Call]]) -> None:
    """Check that every message was asked for by its author; where all requests are recorded."""
    unnamed = {
        (call.key, call.seq): call.user
        for call in run.calls.values()
        if not call.id and call.op in NEW_EVENT and call.seq
    }
    for log in run.logs.values():
        for row in log.in_order():
            if row.kind != "posted":
                continue
            if row.id and (log.key, row.user, row.id) not in attempts:
                run.report.add(
                    "never-asked", log.name, f"seq {row.seq}: {row.user!r} never sent id {row.id}"
                )
            elif not row.id and unnamed.get((log.key, row.seq), row.user) != row.user:
                run.report.add(
                    "never-asked", log.name, f"seq {row.seq} by {row.user!r} is another's post"
                )
