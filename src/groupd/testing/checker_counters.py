"""What is counted over several groups, or outside of them: quotas of a user, states, resources.

Logs of different groups have no common order, so a group counts for a user only from when it was
known to be theirs and until it may have ended: what is over a limit then, certainly was.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from groupd.testing.checker_logs import GroupLog
from groupd.testing.checker_run import NEVER, Run

RETURNING: Final = ("tasks", "descriptors", "links", "outbox_bytes")
"""What must not be more after a run than before it."""

User = tuple[str, str]
"""Tenant and user."""


def check_counters(run: Run) -> None:
    """Check the quotas of users, the hashes of states, and that resources came back."""
    owned: dict[User, list[tuple[int, int, str]]] = {}
    joined: dict[User, list[tuple[int, int, str]]] = {}
    for log in run.logs.values():
        if log.direct:
            continue
        for user, start, end in _ownings(log):
            _span(run, log, owned.setdefault((log.key[0], user), []), start, end)
        for user, stays in log.stays.items():
            for stay in stays:
                # Several founders at once may add somebody over their limit.
                if not stay.by_founding or stay.joined == 1:
                    end = log.dissolved_at if stay.ended is None else stay.ended
                    spans = joined.setdefault((log.key[0], user), [])
                    _span(run, log, spans, stay.joined, end)
    for quota, spans_of in (("groups_owned_max", owned), ("groups_joined_max", joined)):
        for (_tenant, user), spans in spans_of.items():
            _check_quota(run, quota, user, spans)
    _check_states(run)
    _check_resources(run)


def _ownings(log: GroupLog) -> Iterator[tuple[str, int, int | None]]:
    """Give who owned the group, from which seq, and until which."""
    for user, stays in log.stays.items():
        for stay in stays:
            over = log.dissolved_at if stay.ended is None else stay.ended
            ends = [*(seq for seq, _role in stay.roles[1:]), over]
            for (seq, role), end in zip(stay.roles, ends, strict=True):
                if role == "owner":
                    yield user, seq, end


def _span(
    run: Run, log: GroupLog, spans: list[tuple[int, int, str]], start: int, end: int | None
) -> None:
    """Note from when to when it certainly was so, as positions; nothing where it never was."""
    begins = run.known[log.key][start]
    ends = NEVER if end is None else run.possible[log.key][end]
    if begins < ends:
        spans.append((begins, ends, log.key[1]))


def _check_quota(run: Run, quota: str, user: str, spans: list[tuple[int, int, str]]) -> None:
    plan = run.config.get("plans", {}).get(user)
    limit = run.config.get(quota, {}).get(plan)
    if limit is None:
        return
    edges = [(begins, 1, group) for begins, _, group in spans]
    edges += [(ends, -1, group) for _, ends, group in spans]
    count = 0
    held: set[str] = set()
    for position, change, group in sorted(edges):
        count += change
        (held.add if change > 0 else held.discard)(group)
        if change > 0 and count > limit:
            why = f"{quota} of plan {plan} is {limit}; has {count}: {sorted(held)}"
            run.report.add("too-many-groups", f"user {user}", why, *_entry(position))
            return


def _entry(position: int) -> tuple[int, ...]:
    return (position,) if position < NEVER else ()


# --- recovery and resources


def _check_states(run: Run) -> None:
    for number, entry in enumerate(run.history, 1):
        if entry.op != "state":
            continue
        hashes = {name: entry.args.get(name) for name in ("live", "replayed", "from_snapshot")}
        there = {value for value in hashes.values() if value}
        if len(there) > 1:
            where = " ".join(map(str, entry.args["stream"]))
            run.report.add("state-differs", where, f"hashes are {hashes}", number)


def _check_resources(run: Run) -> None:
    before: Mapping[str, Any] = {}
    limit = run.config.get("outbox_max_bytes", float("inf"))
    for number, entry in enumerate(run.history, 1):
        if entry.op != "resources":
            continue
        args = entry.args
        if args.get("outbox_bytes", 0) > limit:
            why = f"outboxes hold {args['outbox_bytes']} bytes of {limit}"
            run.report.add("outbox-over", "server", why, number)
        if args.get("when") == "before":
            before = args
        elif args.get("when") == "after":
            for name in RETURNING:
                if args.get(name, 0) > before.get(name, args.get(name, 0)):
                    why = f"{name} was {before[name]} before, and is {args[name]} after"
                    run.report.add("leak", "server", why, number)
