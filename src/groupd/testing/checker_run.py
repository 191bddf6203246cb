"""A history made ready for the checks: requests with their outcomes, logs, and who knew what when.

The order of things is worked out once, here. For each group and seq there are two positions, which
are numbers of entries:

- *known*: from here on, somebody had seen that the log goes as far as this seq;
- *possible*: before this, it cannot have, as the request of this seq was not sent yet.

So the state that an answer may speak of lies between what was known when its request was sent and
what was possible when it came. Both rise with the seq, and are looked up by halving.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping
from typing import Any, Final

import attrs

from groupd.testing.checker_logs import (
    AccountLog,
    GroupLog,
    Key,
    Row,
    check_rows,
    compare_dumps,
    fill,
    parse_rows,
)
from groupd.testing.checker_members import check_members
from groupd.testing.checker_report import Report
from groupd.testing.history import Entry, History, HistoryError

NEVER: Final = 2**62
"""A position after all others."""
UNKNOWN_CODES: Final = frozenset({"unavailable", "internal"})
"""After these a client cannot know whether a change was made; so says the contract."""
GROUP_CHARS: Final = 16
CODE_CHARS: Final = 38
"""The code of a link begins with its group."""
IN_ACCOUNT: Final = frozenset(
    {"pin_chat", "do_not_disturb", "mark_unread", "show_group", "block", "unblock"}
)
"""Methods whose ``seq`` is one of the caller's own log."""
NEW_EVENT: Final[Mapping[str, str]] = {"post": "posted", "announce": "announced"}
"""Methods that, done at all, always make an event of their own -> its kind."""


@attrs.define(slots=True)
class Call:
    """One request and what became of it."""

    number: int
    """Of the ``invoke``."""
    asked: Entry
    user: str
    tenant: str
    id: str
    outcome: str = ""
    """``ok``, ``fail``, ``info``; empty where none is recorded."""
    result: Mapping[str, Any] = attrs.field(factory=dict)
    ended: int = NEVER
    """Number of the outcome."""
    founded: str = ""
    """The group that has this request's id in its ``created``, where nothing else names one."""

    @property
    def op(self) -> str:
        """Give the method."""
        return self.asked.op

    @property
    def group(self) -> str:
        """Give the group that the request names, or its answer does; or empty."""
        group = self.asked.args.get("group") or self.result.get("group") or self.founded
        if not group:
            code = self.asked.args.get("code")
            group = code[:GROUP_CHARS] if isinstance(code, str) and len(code) == CODE_CHARS else ""
        return group if isinstance(group, str) else ""

    @property
    def key(self) -> Key:
        """Give the key of that group."""
        return (self.tenant, self.group)

    @property
    def code(self) -> str:
        """Give the error's code; empty for none."""
        return str(self.result.get("code", "")) if self.outcome == "fail" else ""

    @property
    def seq(self) -> int:
        """Give the seq that was acknowledged in the group's log; 0 for none."""
        if self.outcome != "ok" or self.op in IN_ACCOUNT or not self.group:
            return 0
        seq = self.result.get("seq", 0)
        return seq if type(seq) is int else 0

    def explain(self) -> str:
        """Say which request it was, for people."""
        id = f" with id {self.id}" if self.id else ""
        return f"{self.op} by {self.user!r}{id}"


@attrs.define
class Run:
    """All of a history that the checks look at."""

    history: History
    report: Report
    calls: dict[int, Call] = attrs.field(factory=dict)
    """By the number of the ``invoke``, in order."""
    logs: dict[Key, GroupLog] = attrs.field(factory=dict)
    accounts: dict[Key, AccountLog] = attrs.field(factory=dict)
    tenants: dict[str, str] = attrs.field(factory=dict)
    """Group -> its tenant."""
    config: Mapping[str, Any] = attrs.field(factory=dict)
    healed: int = NEVER
    """Number of the ``healed``."""
    known: dict[Key, list[int]] = attrs.field(factory=dict)
    """Group -> positions by seq, that of 0 first."""
    possible: dict[Key, list[int]] = attrs.field(factory=dict)
    own: dict[tuple[Key, str], tuple[list[int], list[int]]] = attrs.field(factory=dict)
    """Group and user -> positions of their acknowledgements, and the highest seq by then."""

    def low(self, key: Key, position: int) -> int:
        """Give the seq up to which the log was known to go before this entry."""
        return bisect_left(self.known[key], position) - 1

    def high(self, key: Key, position: int) -> int:
        """Give the seq up to which the log may have gone at this entry."""
        return bisect_right(self.possible[key], position) - 1

    def agreed(self, call: Call) -> int:
        """Give the seq that a call was given, where the log does not say otherwise; else 0.

        So that one wrong answer is one violation, and not one of order as well.
        """
        log = self.logs.get(call.key) if call.seq else None
        row = None if log is None else log.rows.get(call.seq)
        if log is None or row is None:
            return 0
        effects = log.by_id.get((call.user, call.id)) if call.id else None
        if effects is not None:
            return call.seq if call.seq in effects else 0
        kind = NEW_EVENT.get(call.op)
        is_new = kind is not None
        return (
            0 if is_new and (row.user, row.kind, row.id) != (call.user, kind, call.id) else call.seq
        )

    def acknowledged(self, key: Key, user: str, position: int) -> int:
        """Give the highest seq that this user was acknowledged before this entry."""
        positions, seqs = self.own.get((key, user), ([], []))
        at = bisect_left(positions, position)
        return seqs[at - 1] if at else 0


def prepare(history: History, report: Report) -> Run:
    """Read a history; report what is wrong with the logs alone.

    Raises HistoryError where the history does not fit together, or holds no log to compare with.
    """
    run = Run(history, report)
    dumps: dict[tuple[str, str, str], list[list[Row]]] = {}
    for number, entry in enumerate(history, 1):
        try:
            _take(run, number, entry, dumps)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise HistoryError(f"entry {number}, {entry.op}: {error!r}") from None
    if not dumps:
        raise HistoryError("there is no log of the store to compare with")
    for (kind, tenant, name), versions in dumps.items():
        key = (tenant, name)
        if kind == "account":
            account = run.accounts[key] = AccountLog(key)
            where = f"account {name}"
            fill(account, versions[-1], where, report)
            for earlier in versions[:-1]:
                compare_dumps(earlier, account, where, report)
            continue
        log = run.logs[key] = GroupLog(key)
        run.tenants[name] = tenant
        fill(log, versions[-1], log.name, report)
        for earlier in versions[:-1]:
            compare_dumps(earlier, log, log.name, report)
        check_rows(log, report)
        check_members(log, run.config, report)
    _find_founded(run)
    _order(run)
    return run


def _take(
    run: Run, number: int, entry: Entry, dumps: dict[tuple[str, str, str], list[list[Row]]]
) -> None:
    if entry.type == "invoke":
        args = entry.args
        id = str(args.get("id") or "").lower()
        run.calls[number] = Call(number, entry, args["user"], args.get("tenant", ""), id)
    elif entry.of:
        call = run.calls[entry.of]
        if call.outcome:
            raise ValueError(f"the request {entry.of} has an outcome already")
        call.outcome, call.result, call.ended = entry.type, entry.result, number
    elif entry.op == "log":
        kind, tenant, key = entry.args["stream"]
        rows = parse_rows(entry.args["records"])
        dumps.setdefault((kind, tenant, key), []).append(rows)
    elif entry.op == "config":
        run.config = entry.args
    elif entry.op == "healed":
        run.healed = number


# --- who knew what when


def _find_founded(run: Run) -> None:
    """Find the groups of those who founded one and were not answered."""
    founded: dict[tuple[str, str, str], str] = {}
    for (tenant, group), log in run.logs.items():
        first = log.rows.get(1)
        if first is not None and first.id:
            founded.setdefault((tenant, first.user, first.id), group)
    for call in run.calls.values():
        if call.id and not call.group:
            call.founded = founded.get((call.tenant, call.user, call.id), "")


def _order(run: Run) -> None:
    for own in run.logs.values():
        run.known[own.key] = [0] + [NEVER] * own.end
        run.possible[own.key] = [0] * (own.end + 1)
    for number, entry in enumerate(run.history, 1):
        for key, seq in _evidence(run, entry):
            known = run.known.get(key, [])
            if 0 < seq < len(known):
                known[seq] = min(known[seq], number)
        call = run.calls[entry.of] if entry.of else None
        if call is not None and run.agreed(call):
            positions, seqs = run.own.setdefault((call.key, call.user), ([], []))
            positions.append(number)
            seqs.append(max(call.seq, seqs[-1] if seqs else 0))
    for call in reversed(run.calls.values()):
        # In reverse, so that of several attempts the first one counts.
        log = run.logs.get(call.key) if call.group else None
        if log is None:
            continue
        effects = log.by_id.get((call.user, call.id), []) if call.id else []
        if not call.id and call.op in NEW_EVENT and 0 < call.seq <= log.end:
            effects = [call.seq] if run.agreed(call) else []
        for seq in effects:
            run.possible[log.key][seq] = call.number
    for known in run.known.values():
        for seq in range(len(known) - 2, -1, -1):
            known[seq] = min(known[seq], known[seq + 1])
    for possible in run.possible.values():
        for seq in range(1, len(possible)):
            possible[seq] = max(possible[seq], possible[seq - 1])


def _evidence(run: Run, entry: Entry) -> Iterator[tuple[Key, int]]:
    """Give the groups and seqs that an entry proves to be there."""
    args, result = entry.args, entry.result
    if entry.type == "ok" and entry.of:
        call = run.calls[entry.of]
        seq = run.agreed(call)
        if seq:
            yield call.key, seq
        pages = [result, *listed(result)] if call.op != "groups" else listed(result)
        for page in pages:
            group = page.get("group") or call.group
            if isinstance(group, str) and type(page.get("head")) is int:
                yield (call.tenant, group), page["head"]
    elif entry.op == "event":
        event = args["event"]
        yield (args.get("tenant", ""), event["group"]), event["seq"]
    elif entry.op == "lagged":
        yield (args.get("tenant", ""), args["group"]), args["head"]


def listed(result: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Give the groups that an answer lists: of ``hello``, ``groups``, ``chats``, or ``sync``."""
    groups = result.get("groups", result.get("chats", ()))
    return [each for each in groups if isinstance(each, Mapping)]
