"""Whether an event that somebody was shown is the record of the log, and in the right form.

The same questions for a push and for a page, so they are asked in one place.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import attrs

from groupd.testing.checker_logs import ADMINS_ONLY, ERASABLE, RANKS, GroupLog, Key, Row
from groupd.testing.checker_members import ADMIN
from groupd.testing.checker_report import Report, same

HEADER: Final = frozenset({"group", "seq", "time_ms", "user", "kind", "id"})
HIDDEN: Final = frozenset({"group", "seq", "time_ms", "kind"})
ERASED: Final = HIDDEN | {"user"}


@attrs.frozen
class Viewer:
    """Who is shown an event, and as what."""

    who: str
    """User, for people."""
    roles: frozenset[str]
    """All roles that they may have had then."""
    differs: str
    """Name of the violation where the content is not that of the log."""

    @property
    def is_plain(self) -> bool:
        """Say whether they were certainly no admin."""
        return all(RANKS[role] < ADMIN for role in self.roles)

    @property
    def is_admin(self) -> bool:
        """Say whether they certainly were."""
        return all(RANKS[role] >= ADMIN for role in self.roles)


@attrs.define
class Shown:
    """Judges what is shown; keeps what was seen of messages that are erased by now."""

    report: Report
    _texts: dict[tuple[Key, int], tuple[Mapping[str, Any], int]] = attrs.field(
        factory=dict, init=False
    )

    def judge(self, log: GroupLog, event: Mapping[str, Any], viewer: Viewer, number: int) -> None:
        """Compare one event that the entry ``number`` has with the log."""
        seq, kind = event["seq"], event["kind"]
        row = log.rows.get(seq)
        seen = f"{viewer.who} was shown seq {seq} as {kind}"
        if row is None:
            why = f"{seen}; the log has no such seq"
            self.report.add("published-not-durable", log.name, why, number)
        elif kind in ("hidden", "erased"):
            self._judge_masked(log, row, event, viewer, number)
        elif self._has_header(log, row, event, seen, number):
            if kind in ADMINS_ONLY and viewer.is_plain:
                why = f"{seen}, which only admins may read"
                self.report.add("audience-leak", log.name, why, number)
            self._judge_body(log, row, event, viewer, seen, number)

    def _judge_masked(
        self, log: GroupLog, row: Row, event: Mapping[str, Any], viewer: Viewer, number: int
    ) -> None:
        kind = event["kind"]
        seen = f"{viewer.who} was shown seq {row.seq} as {kind}"
        if kind == "hidden":
            wrong = row.kind not in ADMINS_ONLY or viewer.is_admin
            why = f"{seen}, and may read that {row.kind}"
        else:
            wrong = row.kind not in ERASABLE or row.seq not in log.recalls
            why = f"{seen}, and nobody has recalled that {row.kind}"
        if wrong:
            self.report.add("wrongly-masked", log.name, why, number)
        fits = row.time_ms == event.get("time_ms") and event.get("user", row.user) == row.user
        if not fits or event.keys() != (HIDDEN if kind == "hidden" else ERASED):
            self.report.add(viewer.differs, log.name, f"{seen}: {dict(event)}", number)

    def _has_header(
        self, log: GroupLog, row: Row, event: Mapping[str, Any], seen: str, number: int
    ) -> bool:
        header = (event.get("user"), event["kind"], event.get("id", "").lower(), event["time_ms"])
        real = (row.user, row.kind, row.id, row.time_ms)
        if header == real:
            return True
        id = header[2]
        is_there = bool(id) and any(
            id == theirs for theirs in (row.id, *_ids_of(log, str(header[0]), id))
        )
        is_same = is_there or (not id and header[:3] == real[:3]) or header[3] == row.time_ms
        self.report.add(
            "header-changed" if is_same else "published-not-durable",
            log.name,
            f"{seen} with {header}; the log has {real} there",
            number,
        )
        return False

    def _judge_body(
        self,
        log: GroupLog,
        row: Row,
        event: Mapping[str, Any],
        viewer: Viewer,
        seen: str,
        number: int,
    ) -> None:
        body = {name: value for name, value in event.items() if name not in HEADER}
        if row.body is not None:
            if not same(body, row.body):
                self.report.add(viewer.differs, log.name, f"{seen}, with another content", number)
            return
        earlier, where = self._texts.setdefault((log.key, row.seq), (body, number))
        if earlier is not body and not same(earlier, body):
            why = f"{seen}, with another content than others were, before it was erased"
            self.report.add(viewer.differs, log.name, why, where, number)


def _ids_of(log: GroupLog, user: str, id: str) -> tuple[str, ...]:
    return (id,) if (user, id) in log.by_id else ()
