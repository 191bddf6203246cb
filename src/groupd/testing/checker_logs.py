"""The logs that the store held in the end, and what is wrong with them as rows.

``GroupLog`` is what the other checks look things up in. Who was a member, and with which role, is
``checker_members``' part; it fills ``stays``. Everything here is read from the log alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import attrs

from groupd.testing.checker_report import Report, same
from groupd.testing.history import HistoryError

COUNTED: Final = frozenset({"posted", "announced"})
ERASABLE: Final = frozenset({"posted", "announced", "edited"})
ADMINS_ONLY: Final = frozenset(
    {
        *("requested", "declined", "withdrawn", "request_expired", "invited", "invite_declined"),
        *("invite_expired", "acknowledged", "transfer_offered", "transfer_declined"),
        *("transfer_expired", "unbanned"),
    }
)
"""Kinds that plain members get as ``hidden``."""
RANKS: Final[Mapping[str, int]] = {"member": 1, "admin": 2, "owner": 3}

Key = tuple[str, str]
"""Tenant and group, or tenant and user."""


@attrs.define(slots=True)
class Row:
    """A record. ``body`` is None where it was erased."""

    seq: int
    time_ms: int
    user: str
    kind: str
    id: str
    n: int
    body: Mapping[str, Any] | None

    def field(self, name: str, default: Any = "") -> Any:
        """Give a field of the event; its default where it was left out or erased."""
        return default if self.body is None else self.body.get(name, default)


@attrs.define(slots=True)
class Stay:
    """One membership of one user, from joining to leaving."""

    joined: int
    """Seq of the first event that is pushed; the founder's is ``created``."""
    floor: int
    """The first seq that pages show."""
    by_founding: bool
    ended: int | None = None
    """Seq of the last event that is pushed; the user is out from it on."""
    roles: list[tuple[int, str]] = attrs.field(factory=list)
    """(seq, role from then on), rising."""

    def reads_push(self, seq: int) -> bool:
        """Say whether this event is pushed to the member."""
        return self.joined <= seq and (self.ended is None or seq <= self.ended)

    def overlaps(self, low: int, high: int) -> bool:
        """Say whether the user is a member in some state from ``low`` to ``high``."""
        return self.joined <= high and (self.ended is None or low < self.ended)

    def covers(self, low: int, high: int) -> bool:
        """Say whether the user is a member in all states from ``low`` to ``high``."""
        return self.joined <= low and (self.ended is None or high < self.ended)

    def role_at(self, seq: int) -> str:
        """Give the role in the state after ``seq``."""
        role = self.roles[0][1]
        for since, later in self.roles:
            if since > seq:
                break
            role = later
        return role

    def roles_in(self, low: int, high: int) -> set[str]:
        """Give all roles in the states from ``low`` to ``high``."""
        return {self.role_at(low), *(role for since, role in self.roles if low < since <= high)}


@attrs.define
class GroupLog:
    """The log of one group."""

    key: Key
    rows: dict[int, Row] = attrs.field(factory=dict)
    end: int = 0
    """The highest seq."""
    by_id: dict[tuple[str, str], list[int]] = attrs.field(factory=dict)
    """(user, request id) -> seqs, rising."""
    recalls: dict[int, int] = attrs.field(factory=dict)
    """Seq that a recall erases -> seq of the ``recalled``."""
    recalled: list[tuple[int, int]] = attrs.field(factory=list)
    """(message, seq of its ``recalled``), by message."""
    stays: dict[str, list[Stay]] = attrs.field(factory=dict)
    waits: dict[str, list[tuple[int, int | None]]] = attrs.field(factory=dict)
    """User -> spans in which they asked to join, or were invited: first seq, and the end."""
    sizes: list[int] = attrs.field(factory=lambda: [0])
    """Seq -> how many members after it."""
    hidden_since: list[tuple[int, bool]] = attrs.field(factory=list)
    """(seq, whether strangers may not find the group from then on), rising."""
    dissolved_at: int | None = None
    plan: str = ""
    direct: bool = False

    @property
    def name(self) -> str:
        """Say which group, for people."""
        tenant, group = self.key
        return f"group {group}" if not tenant else f"group {group} of tenant {tenant}"

    def in_order(self) -> Iterator[Row]:
        """Give the rows by seq."""
        return map(self.rows.__getitem__, sorted(self.rows))

    def stay_for_push(self, user: str, seq: int) -> Stay | None:
        """Give the membership in which this event is pushed to the user."""
        return next((s for s in reversed(self.stays.get(user, ())) if s.reads_push(seq)), None)

    def stays_in(self, user: str, low: int, high: int) -> list[Stay]:
        """Give the memberships of a user in the states from ``low`` to ``high``."""
        return [stay for stay in self.stays.get(user, ()) if stay.overlaps(low, high)]

    def outsider(self, user: str, seq: int) -> str:
        """Name what it is when somebody who is no member after ``seq`` gets to see something."""
        if any(
            since <= seq and (end is None or seq < end) for since, end in self.waits.get(user, ())
        ):
            return "pending-received"
        was_in = any(s.ended is not None and s.ended <= seq for s in self.stays.get(user, ()))
        return "after-leaving" if was_in else "stranger-received"


@attrs.define
class AccountLog:
    """The log of one user."""

    key: Key
    rows: dict[int, Row] = attrs.field(factory=dict)
    end: int = 0


def parse_rows(records: Iterable[Mapping[str, Any]]) -> list[Row]:
    """Read the records of a dump; raises HistoryError where one has another form."""
    try:
        rows = [
            Row(
                *(record["seq"], record["time_ms"], record["user"], record["kind"]),
                *(record["id"].lower(), record["n"], record["body"]),
            )
            for record in records
        ]
    except (KeyError, TypeError, AttributeError) as error:
        raise HistoryError(f"a record of a log has another form: {error!r}") from None
    return rows


def fill(log: GroupLog | AccountLog, rows: list[Row], where: str, report: Report) -> None:
    """Put a dump's rows into a log, and check that they are numbered without a gap."""
    for expected, row in enumerate(rows, 1):
        if row.seq != expected and (row.seq - 1) not in log.rows:
            report.add("seq-gap", where, f"seq {row.seq} does not follow on {row.seq - 1}")
        if row.seq in log.rows:
            report.add("seq-gap", where, f"seq {row.seq} is there twice")
        log.rows[row.seq] = row
    log.end = max(log.rows, default=0)


def compare_dumps(earlier: list[Row], log: GroupLog | AccountLog, where: str, r: Report) -> None:
    """Check that what an earlier dump held is in the last one, but for what was erased since."""
    for old in earlier:
        row = log.rows.get(old.seq)
        if row is None:
            r.add(
                "lost", where, f"seq {old.seq}, {old.kind} by {old.user!r}, was stored and is gone"
            )
        elif _header(row) != _header(old):
            r.add("header-changed", where, f"seq {old.seq} was {_header(old)}, is {_header(row)}")
        elif row.body is not None and (old.body is None or not same(old.body, row.body)):
            r.add("body-changed", where, f"the body of seq {old.seq} is not what it was")


def _header(row: Row) -> tuple[Any, ...]:
    return (row.time_ms, row.user, row.kind, row.id, row.n)


def check_rows(log: GroupLog, report: Report) -> None:
    """Check times, counts, ids and erasing; fill what is looked up by id and by message."""
    time_ms = count = 0
    edits: dict[int, list[int]] = {}
    for row in log.in_order():
        if row.time_ms < time_ms:
            report.add("time-fell", log.name, f"seq {row.seq} is at {row.time_ms}, after {time_ms}")
        time_ms = row.time_ms
        count += row.kind in COUNTED
        if row.n != count:
            report.add(
                "count-wrong", log.name, f"seq {row.seq} has n {row.n}, there are {count} messages"
            )
            count = row.n
        if row.id:
            log.by_id.setdefault((row.user, row.id), []).append(row.seq)
        if row.kind == "edited" and row.body is not None:
            edits.setdefault(row.field("message", 0), []).append(row.seq)
        if row.kind == "recalled":
            message = row.field("message", 0)
            log.recalled.append((message, row.seq))
            for seq in (message, *row.field("edits", ())):
                log.recalls.setdefault(seq, row.seq)
    log.recalled.sort()
    _check_ids(log, report)
    _check_erasing(log, edits, report)


def _check_ids(log: GroupLog, report: Report) -> None:
    """One request makes one run of records, and none of a kind twice but for joinings."""
    for (user, id), seqs in log.by_id.items():
        kinds = [log.rows[seq].kind for seq in seqs]
        single = [kind for kind in kinds if kind not in ("joined", "invited")]
        if seqs[-1] - seqs[0] != len(seqs) - 1 or len(single) != len(set(single)):
            report.add(
                "twice", log.name, f"id {id} of {user!r} took effect more than once: seqs {seqs}"
            )


def _check_erasing(log: GroupLog, edits: Mapping[int, list[int]], report: Report) -> None:
    for row in log.in_order():
        by = log.recalls.get(row.seq)
        if row.body is None and (by is None or row.kind not in ERASABLE):
            report.add(
                "erased-without-event",
                log.name,
                f"seq {row.seq}, {row.kind}, is erased and no recalled names it",
            )
    for seq, by in log.recalls.items():
        erased = log.rows.get(seq)
        if erased is None or seq >= by or erased.kind not in ERASABLE:
            report.add("erased-without-event", log.name, f"seq {by} recalls {seq}, no message")
        elif erased.body is not None:
            report.add("recalled-kept", log.name, f"seq {seq} was recalled by {by} and is there")
        for edit in edits.get(seq, ()):
            report.add("recalled-kept", log.name, f"edit {edit} of {seq}, recalled by {by}, stays")
