"""Whether answers to reads and refusals fit the log, and the caller's place in the group.

An answer speaks of some state between what was known when it was asked for and what was possible
when it came (see ``checker_run``). It is wrong only where it fits none of those states.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Final

import attrs

from groupd.testing.checker_logs import COUNTED, GroupLog, Key, Stay
from groupd.testing.checker_run import UNKNOWN_CODES, Call, Run, listed
from groupd.testing.checker_shown import Shown, Viewer

FOR_MEMBERS: Final = frozenset(
    {
        *("history", "members", "messages", "thread", "read", "announcements", "links", "edits"),
        *("reactors", "requests", "bans", "post", "announce"),
    }
)
"""Methods that nobody but a member gets a result of, beside retries of the last two."""
NO_CODE_FOR_STRANGERS: Final = frozenset({"forbidden", "group_full", "muted", "quota_exceeded"})
"""Codes that tell a stranger that a group is there."""
WINDOW_MAX: Final = 1_000
"""States that are looked through for one refusal; with more of them it is let pass."""


@attrs.define
class _Numbers:
    """What unread is counted from, in one group."""

    messages: list[int]
    """Seqs of all messages, rising."""
    own: dict[str, list[int]]
    """User -> seqs of their messages."""
    mentioning: dict[str, list[int]]
    """User, or ``*`` for all -> seqs of the messages that mention them."""
    recalled: list[tuple[int, int]]
    """(message, seq of the recalled), by message."""
    unsure: list[int]
    """Messages that are erased: whom they mentioned is not known."""

    def unread(self, read: int, head: int, *, recalled_by: int) -> int:
        """Count the messages after ``read``, without what was recalled up to a seq."""
        first = bisect_left(self.recalled, (read + 1, 0))
        gone = sum(m <= head and by <= recalled_by for m, by in self.recalled[first:])
        return between(self.messages, read, head) - gone


def between(seqs: Sequence[int], after: int, upto: int) -> int:
    """Count the seqs above ``after`` and up to ``upto``; they rise."""
    return max(0, bisect_right(seqs, upto) - bisect_right(seqs, after))


def check_reads(run: Run, shown: Shown) -> None:
    """Check pages, numbers of unread, and whom was answered or refused what."""
    numbers = {key: _count(log) for key, log in run.logs.items()}
    cursors: dict[tuple[Key, str], tuple[int, int]] = {}
    asked: dict[tuple[Key, str], int] = {}
    for call in run.calls.values():
        if call.op == "read" and call.group:
            place = (call.key, call.user)
            asked[place] = max(asked.get(place, 0), call.asked.args.get("seq", 0))
    for entry in run.history:
        if not entry.of:
            continue
        call = run.calls[entry.of]
        log = run.logs.get(call.key) if call.group else None
        if log is not None and call.outcome:
            if call.outcome == "ok":
                _check_access(run, log, call)
            elif call.outcome == "fail":
                _check_refusal(run, log, call)
        elif call.group and call.outcome in ("ok", "fail"):
            _check_tenant(run, call)
        if call.outcome != "ok":
            continue
        if call.op == "history" and log is not None:
            _check_page(run, shown, log, call, call.result, call.asked.args)
        elif call.op == "sync":
            for page in listed(call.result):
                log = run.logs.get((call.tenant, page["group"]))
                if log is not None:
                    after = {"after": call.asked.args["cursors"].get(page["group"], 0)}
                    _check_page(run, shown, log, call, page, after)
        elif call.op in ("hello", "groups", "chats"):
            for line in listed(call.result):
                key = (call.tenant, line["group"])
                if key in run.logs and line["head"] <= run.logs[key].end and "read" in line:
                    seen = (asked.get((key, call.user), 0), cursors)
                    _check_line(run, run.logs[key], numbers[key], call, line, *seen)
        elif call.op == "read" and log is not None:
            _check_read(run, log, numbers[log.key], call, cursors)


def _count(log: GroupLog) -> _Numbers:
    numbers = _Numbers([], {}, {}, log.recalled, [])
    for row in log.in_order():
        if row.kind not in COUNTED:
            continue
        numbers.messages.append(row.seq)
        numbers.own.setdefault(row.user, []).append(row.seq)
        if row.body is None:
            numbers.unsure.append(row.seq)
        mentions = row.field("mentions", ())
        for user in ("*",) if isinstance(mentions, str) else mentions:
            numbers.mentioning.setdefault(user, []).append(row.seq)
    return numbers


# --- pages of a log


def _check_page(
    run: Run,
    shown: Shown,
    log: GroupLog,
    call: Call,
    page: Mapping[str, Any],
    asked: Mapping[str, Any],
) -> None:
    """Compare a page with the log's slice."""
    low, high = run.low(log.key, call.number), run.high(log.key, call.ended)
    stays = log.stays_in(call.user, low, high)
    what = f"{call.op} of {call.user!r}"
    if not stays:
        why = f"{what}: is no member, and got a page"
        run.report.add(log.outsider(call.user, low), log.name, why, call.number, call.ended)
        return
    roles = frozenset().union(*(stay.roles_in(low, high) for stay in stays))
    viewer = Viewer(repr(call.user), roles, "history-differs")
    for event in page["events"]:
        shown.judge(log, event, viewer, call.ended)
        by = log.recalls.get(event["seq"], log.end + 1)
        if by <= low and event["kind"] != "erased":
            why = f"{what} shows seq {event['seq']}, which {by} had recalled"
            run.report.add("erased-shown", log.name, why, call.number, call.ended)
    wrong = _wrong_slice(page, asked, stays, log)
    if wrong:
        run.report.add("history-differs", log.name, f"{what}: {wrong}", call.number, call.ended)
    own = run.acknowledged(log.key, call.user, call.number)
    if page["head"] < own:
        why = f"{what} goes to {page['head']}, after their own seq {own} was acknowledged"
        run.report.add("stale-read", log.name, why, call.number, call.ended)


def _wrong_slice(
    page: Mapping[str, Any], asked: Mapping[str, Any], stays: Sequence[Stay], log: GroupLog
) -> str:
    """Say what is wrong with where a page begins and ends; empty for nothing."""
    seqs = [event["seq"] for event in page["events"]]
    head, floor, after, before = (
        page["head"],
        page["floor"],
        asked.get("after"),
        asked.get("before"),
    )
    if head > log.end:
        return f"its head is {head}, the log ends at {log.end}"
    if floor not in {stay.floor for stay in stays}:
        return f"its floor is {floor}, expected one of {sorted({s.floor for s in stays})}"
    if any(later != seq + 1 for seq, later in pairwise(seqs)):
        return f"its seqs have a gap or do not rise: {seqs[:50]}"
    first = floor if after is None else max(floor, after + 1)
    last = head if before is None else min(head, before - 1)
    if not seqs:
        return "" if page["more"] or first > last else f"it is empty, {first} to {last} are there"
    if seqs[0] < first or seqs[-1] > last:
        return f"it has {seqs[0]} to {seqs[-1]}, of {first} to {last}"
    is_forward = after is not None
    if seqs[0] != first if is_forward else seqs[-1] != last:
        return f"it has {seqs[0]} to {seqs[-1]}, and leaves out what is next to the cursor"
    is_all = seqs[-1] == last if is_forward else seqs[0] == first
    if page["more"] is is_all:
        return f"more is {page['more']}, and it has {seqs[0]} to {seqs[-1]} of {first} to {last}"
    return ""


# --- numbers of unread


def _check_line(
    run: Run,
    log: GroupLog,
    numbers: _Numbers,
    call: Call,
    line: Mapping[str, Any],
    asked: int,
    cursors: Mapping[tuple[Key, str], tuple[int, int]],
) -> None:
    """Check the numbers of one group in a list, which are as of its head."""
    user, head, read = call.user, line["head"], line["read"]
    stay = next((s for s in reversed(log.stays.get(user, ())) if s.overlaps(head, head)), None)
    if stay is None:
        return  # Not a member then: that is for the list itself, see ``checker_delivery``.
    own = numbers.own.get(user, ())
    at = bisect_right(own, head)
    least = max(_joined(stay), own[at - 1] if at else 0)
    who = f"{call.op} of {user!r}: read {read}, unread {line['unread']} as of {head}"
    cursor, shown_by = cursors.get((log.key, user), (0, 0))
    if shown_by < call.number and read < min(cursor, head):
        run.report.add(
            "cursor-back", log.name, f"{who}; the cursor was at {cursor}", shown_by, call.ended
        )
        return
    # Who has spoken has read what was before it; their own message may not be published yet.
    has_spoken = at < len(own) and run.possible[log.key][own[at]] < call.ended
    most = max(least, asked, head if has_spoken else 0)
    if read < least or read > most:
        why = f"{who}; expected {least}, or up to the cursor {asked}"
        run.report.add("unread-wrong", log.name, why, call.ended)
        return
    expected = numbers.unread(read, head, recalled_by=head)
    if line["unread"] != expected:
        run.report.add("unread-wrong", log.name, f"{who}; there are {expected}", call.ended)
    least_of = sum(between(numbers.mentioning.get(name, ()), read, head) for name in {user, "*"})
    unsure = between(numbers.unsure, read, head)
    if not least_of <= line.get("mentions", least_of) <= least_of + unsure:
        why = f"{who}; mentions {line['mentions']}, there are {least_of}"
        run.report.add("unread-wrong", log.name, why, call.ended)


def _joined(stay: Stay) -> int:
    """Give the seq of the joining itself: what a stay begins with is the founding for a founder."""
    return 2 if stay.joined == 1 else stay.joined


def _check_read(
    run: Run,
    log: GroupLog,
    numbers: _Numbers,
    call: Call,
    cursors: dict[tuple[Key, str], tuple[int, int]],
) -> None:
    """Check the answer of ``read``: it speaks of any state of its window."""
    low, high = run.low(log.key, call.number), run.high(log.key, call.ended)
    read, unread = call.result["read"], call.result["unread"]
    wanted = call.asked.args.get("seq", 0)
    who = f"read of {call.user!r} up to {wanted}: read {read}, unread {unread}"
    place = (log.key, call.user)
    cursor, shown_by = cursors.get(place, (0, 0))
    if read < wanted or (shown_by < call.number and read < cursor):
        why = f"{who}; the cursor was at {cursor}"
        run.report.add("cursor-back", log.name, why, shown_by or call.number, call.ended)
    least = numbers.unread(read, low, recalled_by=high)
    most = numbers.unread(read, high, recalled_by=low)
    if not max(0, least) <= unread <= most:
        why = f"{who}; expected {least} to {most}, up to a head from {low} to {high}"
        run.report.add("unread-wrong", log.name, why, call.number, call.ended)
    if read > cursor:
        cursors[place] = (read, call.ended)


# --- who was answered, and who was refused


def _check_access(run: Run, log: GroupLog, call: Call) -> None:
    """Check that a result went to a member."""
    user = call.user
    low, high = run.low(log.key, call.number), run.high(log.key, call.ended)
    if log.stays_in(user, low, high) or call.op == "history":
        return
    if call.op in FOR_MEMBERS and not (call.id and (user, call.id) in log.by_id):
        why = f"{call.explain()} was answered; is no member from {low} to {high}"
        run.report.add(log.outsider(user, low), log.name, why, call.number, call.ended)
    elif call.op == "info" and _is_hidden(log, user, low, high):
        why = f"info of {user!r}: a stranger may not find the group"
        run.report.add("existence-leak", log.name, why, call.number, call.ended)


def _check_refusal(run: Run, log: GroupLog, call: Call) -> None:
    """Check that nobody was refused without cause, and that a refusal tells strangers nothing."""
    low, high = run.low(log.key, call.number), run.high(log.key, call.ended)
    user, code, reason = call.user, call.code, call.result.get("reason", "")
    is_in = any(stay.covers(low, high) for stay in log.stays.get(user, ()))
    if reason == "not_member" and is_in:
        why = f"{call.explain()} was not_member; is a member from {low} to {high}"
        run.report.add("refused-wrongly", log.name, why, call.number, call.ended)
    limit = run.config.get("members_max", {}).get(log.plan)
    if code == "group_full" and limit is not None and high - low <= WINDOW_MAX:
        most = max(log.sizes[low : high + 1], default=0)
        if most < limit:
            why = f"{call.explain()} was group_full; there were at most {most} of {limit}"
            run.report.add("refused-wrongly", log.name, why, call.number, call.ended)
    tells = code in NO_CODE_FOR_STRANGERS or (code == "conflict" and reason == "state")
    if tells and "code" not in call.asked.args and _is_hidden(log, user, low, high):
        why = f"{call.explain()} was {code} {reason}: that tells a stranger that it is there"
        run.report.add("existence-leak", log.name, why, call.number, call.ended)


def _is_hidden(log: GroupLog, user: str, low: int, high: int) -> bool:
    """Say whether the group was hidden from this user in all states from ``low`` to ``high``."""
    if low < 1 or log.stays_in(user, low, high):
        return False
    waits = log.waits.get(user, ())
    if any(since <= high and (end is None or low < end) for since, end in waits):
        return False
    states = [is_hidden for since, is_hidden in log.hidden_since if low < since <= high]
    before = [is_hidden for since, is_hidden in log.hidden_since if since <= low]
    return all([*before[-1:], *states])


def _check_tenant(run: Run, call: Call) -> None:
    """Check that a group of another tenant does not exist for the caller."""
    tenant = run.tenants.get(call.group)
    if tenant is None or tenant == call.tenant or not call.asked.args.get("group"):
        return
    is_told = call.outcome == "ok" or call.code in NO_CODE_FOR_STRANGERS
    if is_told and call.code not in UNKNOWN_CODES:
        run.report.add(
            *("tenant-leak", f"group {call.group}"),
            f"{call.explain()}, of tenant {call.tenant!r}: {call.code or 'was answered'}, "
            f"the group is of tenant {tenant!r}",
            *(call.number, call.ended),
        )
