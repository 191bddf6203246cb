"""What each session was pushed: everything, once, in order, and nothing that it may not read.

A session begins with the answer of a ``hello`` and ends with its connection. For each group it has
the seq that must come next: right after the ``head`` that ``hello`` or ``lagged`` said, or after
the last push. After healing, every session that is open must have got to the end of its groups.
"""

from __future__ import annotations

from typing import Final

import attrs

from groupd.testing.checker_logs import GroupLog
from groupd.testing.checker_run import Call, Run, listed
from groupd.testing.checker_shown import Shown, Viewer
from groupd.testing.history import Entry

ANSWER_WITHIN_US: Final = 10_000_000
"""After healing, a request on an open connection that waits for longer is never answered."""
ACCOUNT: Final = ""
"""Stands for the user's own log, among the groups of a session; as in ``lagged``."""


@attrs.define
class _Session:
    """One user on one connection."""

    user: str
    tenant: str
    has_more: bool
    """Whether ``hello`` did not list all groups; then where the others begin is not known."""
    number: int
    """Of the entry that began it."""
    next: dict[str, int] = attrs.field(factory=dict)
    """Group -> the seq that must come next."""
    last: dict[str, int] = attrs.field(factory=dict)
    """Group -> the last seq that was pushed."""

    @property
    def name(self) -> str:
        return f"{self.user!r}, session of entry {self.number}"


@attrs.define
class _Delivery:
    """Goes through the entries, with the sessions that are open."""

    run: Run
    shown: Shown
    sessions: dict[int, _Session] = attrs.field(factory=dict)
    closed: set[int] = attrs.field(factory=set)
    doomed: set[int] = attrs.field(factory=set)
    """Connections from before a crash, whose end may not be recorded."""
    hellos: dict[str, tuple[int, bool]] = attrs.field(factory=dict)
    """Process -> its last hello after healing, and whether it was answered well."""


def check_delivery(run: Run, shown: Shown) -> None:
    """Check every push, and that everybody has caught up in the end."""
    delivery = _Delivery(run, shown)
    for number, entry in enumerate(run.history, 1):
        if entry.op == "hello":
            _note_hello(delivery, number, entry)
            if entry.type == "ok":
                _begin(delivery, run.calls[entry.of], number)
        elif entry.op == "event":
            _push(delivery, number, entry)
        elif entry.op == "account_event":
            _push_account(delivery, number, entry)
        elif entry.op == "lagged":
            _lag(delivery, number, entry)
        elif entry.op in ("disconnected", "goodbye"):
            delivery.closed.add(entry.connection)
            delivery.sessions.pop(entry.connection, None)
        elif entry.op == "crash":
            delivery.doomed.update(delivery.sessions)
    if run.healed < len(run.history):
        _check_liveness(delivery)


def _note_hello(delivery: _Delivery, number: int, entry: Entry) -> None:
    if number > delivery.run.healed:
        delivery.hellos[entry.process] = (number, entry.type == "ok")


def _begin(delivery: _Delivery, call: Call, number: int) -> None:
    """Begin a session, or renew it."""
    connection = call.asked.connection
    session = delivery.sessions.get(connection)
    if call.asked.args.get("events") is False:
        delivery.sessions.pop(connection, None)
        _check_list(delivery, call, number)
        return
    if session is None or (session.tenant, session.user) != (call.tenant, call.user):
        session = _Session(call.user, call.tenant, "next" in call.result, number)
        delivery.sessions[connection] = session
        account = call.result.get("account", {})
        if "head" in account:
            session.next[ACCOUNT] = account["head"] + 1
    for line in listed(call.result):
        if line["group"] not in session.last:
            session.next.setdefault(line["group"], line["head"] + 1)
    _check_list(delivery, call, number)


def _check_list(delivery: _Delivery, call: Call, number: int) -> None:
    """Check that each group in the answer is one of the user's, up to where it goes."""
    run, report = delivery.run, delivery.run.report
    for line in listed(call.result):
        log = _log_for(delivery, call.tenant, line["group"], f"{call.user!r}, in hello", number)
        if log is None:
            continue
        low, high = run.low(log.key, call.number), run.high(log.key, number)
        if line["head"] > log.end:
            report.add(
                *("published-not-durable", log.name),
                f"hello told {call.user!r} of a head {line['head']}, the log ends at {log.end}",
                number,
            )
            continue
        stays = log.stays_in(call.user, low, high)
        if not stays:
            report.add(
                *(log.outsider(call.user, low), log.name),
                f"hello of {call.user!r} lists it, who is no member",
                *(call.number, number),
            )
        elif line.get("role") and not any(line["role"] in s.roles_in(low, high) for s in stays):
            report.add(
                *("history-differs", log.name),
                f"hello says that {call.user!r} is {line['role']}",
                *(call.number, number),
            )


def _log_for(
    delivery: _Delivery, tenant: str, group: str, who: str, number: int
) -> GroupLog | None:
    """Give the log of a group in this tenant; report it where it is not there."""
    log = delivery.run.logs.get((tenant, group))
    if log is None:
        theirs = delivery.run.tenants.get(group)
        name, why = (
            ("published-not-durable", "the store has no such log")
            if theirs is None
            else ("tenant-leak", f"the group is of tenant {theirs!r}, the session of {tenant!r}")
        )
        delivery.run.report.add(name, f"group {group}", f"{who}: {why}", number)
    return log


def _push(delivery: _Delivery, number: int, entry: Entry) -> None:
    report = delivery.run.report
    event, user = entry.args["event"], entry.args["user"]
    group, seq = event["group"], event["seq"]
    session = delivery.sessions.get(entry.connection)
    if session is None or session.user != user:
        why = f"{user!r} was pushed seq {seq} on connection {entry.connection}, without a hello"
        report.add("before-hello", f"group {group}", why, number)
        return
    who = f"{user!r}, pushed seq {seq}"
    log = _log_for(delivery, session.tenant, group, who, number)
    if log is None:
        return
    stay = log.stay_for_push(user, seq)
    if stay is None and seq <= log.end:
        report.add(log.outsider(user, seq), log.name, f"{who}, is no member then", number)
        return
    roles = frozenset() if stay is None else frozenset({stay.role_at(seq)})
    delivery.shown.judge(log, event, Viewer(repr(user), roles, "push-differs"), number)
    # Somebody who leaves while a session is being greeted: subscribed as a member, listed no more.
    # What they said just before comes with it.
    is_farewell = (
        stay is not None
        and stay.ended is not None
        and group not in session.next
        and stay.ended <= delivery.run.high(log.key, session.number)
    )
    begins = None if stay is None or is_farewell else stay.joined
    _advance(delivery, session, group, seq, begins, log.name, number)
    if stay is not None and seq == stay.ended:
        session.next.pop(group, None)


def _push_account(delivery: _Delivery, number: int, entry: Entry) -> None:
    event, user = entry.args["event"], entry.args["user"]
    session = delivery.sessions.get(entry.connection)
    where = f"account {user}"
    if session is None or session.user != user:
        why = f"{user!r} was pushed seq {event['seq']} of their account, without a hello"
        delivery.run.report.add("before-hello", where, why, number)
        return
    account = delivery.run.accounts.get((session.tenant, user))
    if account is not None:
        row = account.rows.get(event["seq"])
        if row is None:
            why = f"account_event {event['seq']}, {event['kind']}, is not in the log"
            delivery.run.report.add("published-not-durable", where, why, number)
        elif (row.kind, row.time_ms) != (event["kind"], event["time_ms"]):
            why = f"account_event {event['seq']} is {event['kind']}, and {row.kind} in the log"
            delivery.run.report.add("header-changed", where, why, number)
    _advance(delivery, session, ACCOUNT, event["seq"], event["seq"], where, number)


def _advance(
    delivery: _Delivery,
    session: _Session,
    group: str,
    seq: int,
    begins: int | None,
    where: str,
    number: int,
) -> None:
    """Check that a push is the next one. ``begins`` is the first that a joiner gets."""
    report = delivery.run.report
    expected, last = session.next.get(group), session.last.get(group, 0)
    if expected is None and begins is not None and not (session.has_more and not last):
        # Not in the list, or left meanwhile: then it begins with one's own joining.
        expected = begins
    if seq <= last or (expected is not None and seq < expected):
        why = f"{session.name}: seq {seq} came after {max(last, (expected or 0) - 1)}"
        report.add("push-not-rising", where, why, number)
        return
    if expected is not None and seq > expected:
        why = f"{session.name}: seq {seq} came where {expected} is the next"
        report.add("push-gap", where, why, number)
    session.next[group] = seq + 1
    session.last[group] = seq


def _lag(delivery: _Delivery, number: int, entry: Entry) -> None:
    args, report = entry.args, delivery.run.report
    session = delivery.sessions.get(entry.connection)
    if session is None:
        return
    group, head = args["group"], args["head"]
    log = delivery.run.logs.get((session.tenant, group))
    where = f"account {session.user}" if log is None else log.name
    if log is not None and head > log.end:
        why = f"{session.name}: lagged up to {head}, the log ends at {log.end}"
        report.add("published-not-durable", where, why, number)
    if head < session.next.get(group, 0) - 1:
        why = f"{session.name}: lagged up to {head}, seq {session.next[group] - 1} had come"
        report.add("push-not-rising", where, why, number)
        return
    session.next[group] = head + 1


# --- in the end


def _check_liveness(delivery: _Delivery) -> None:
    run, report = delivery.run, delivery.run.report
    members: dict[tuple[str, str], list[tuple[GroupLog, int]]] = {}
    for log in run.logs.values():
        for user, stays in log.stays.items():
            if stays[-1].ended is None:
                members.setdefault((log.key[0], user), []).append((log, stays[-1].joined))
    for connection, session in delivery.sessions.items():
        if connection in delivery.doomed:
            continue
        for log, joined in members.get((session.tenant, session.user), ()):
            reached = session.next.get(log.key[1])
            if reached is None and (session.has_more or log.dissolved_at is not None):
                continue  # Perhaps nothing has happened in it since.
            reached = joined if reached is None else reached
            if reached <= log.end:
                report.add(
                    *("never-caught-up", log.name),
                    f"{session.name}, connection {connection}: seqs {reached} to {log.end} "
                    "never came",
                    *(session.number, run.healed),
                )
    for process, (number, is_well) in delivery.hellos.items():
        if not is_well:
            why = f"{process} said hello after healing, and got no session"
            report.add("never-caught-up", f"client {process}", why, number)
    latest_us = run.history[len(run.history)].time
    for call in run.calls.values():
        connection = call.asked.connection
        waits = not call.outcome and latest_us - call.asked.time >= ANSWER_WITHIN_US
        if waits and connection in delivery.sessions and connection not in delivery.doomed:
            why = f"{call.explain()} was never answered, on connection {connection}"
            report.add("never-answered", f"client {call.asked.process}", why, call.number)
