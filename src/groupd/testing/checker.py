"""Reads a history and says which of groupd's invariants do not hold in it.

Written apart from the server: it knows ``proto/groupd.md`` and imports nothing but the form of a
history, so the two cannot share a mistake. Linear in the length of the history, but for looking
positions up by halving. It judges by the order of the entries; where the truth lies between what
was known and what was possible, it reports only what fits none of it.

| invariant | what is compared |
|---|---|
| ``seq-gap`` | the log's seqs with 1..n; it begins with ``created`` |
| ``time-fell``, ``count-wrong`` | times of records with each other; ``n`` with the messages |
| ``twice`` | records of one user and id: one run, no kind twice; one group for one ``create`` |
| ``erased-without-event`` | erased bodies with the ``recalled`` that name them |
| ``recalled-kept`` | what a ``recalled`` names, and edits of it, with what is still there |
| ``header-changed``, ``body-changed`` | pushes, pages and earlier dumps with the last dump |
| ``lost`` | acknowledged requests, and earlier dumps, with the log |
| ``ack-elsewhere`` | the seq and time that were acknowledged with those of the id |
| ``other-content`` | what was asked for with what is stored under the id |
| ``refused-took-effect`` | ids that were only ever refused with the log |
| ``retry-refused`` | a retry of what had taken effect with its first answer |
| ``reordered`` | seqs that were known when a request was sent with that request's own |
| ``pipelined-reordered`` | requests of one connection to one group with their seqs |
| ``never-asked`` | messages with what their authors sent (``config.complete``) |
| ``published-not-durable`` | what was seen, and heads, with the log in the end |
| ``push-gap``, ``push-not-rising`` | each push with the one before, ``head``, ``lagged``, joining |
| ``push-differs``, ``history-differs`` | contents and slices with the log |
| ``before-hello`` | pushes with the session that they come to |
| ``never-caught-up``, ``never-answered`` | open sessions with the log's end, after ``healed`` |
| ``after-leaving``, ``pending-received``, ``stranger-received`` | readers with memberships |
| ``audience-leak``, ``wrongly-masked`` | forms of events with the reader's role and with recalls |
| ``erased-shown`` | pages with recalls that were known before |
| ``stale-read`` | pages with the reader's own acknowledgements |
| ``stranger-posted``, ``role-at-commit`` | who did something with their role just before |
| ``muted-spoke`` | messages with mutes, muting all, slow mode |
| ``banned-joined``, ``no-way-in``, ``member-twice`` | joinings with bans, ways in, members |
| ``after-dissolved`` | events with the end of the group |
| ``tenant-leak``, ``existence-leak`` | answers with the tenant, and with what strangers know |
| ``refused-wrongly`` | ``not_member`` with memberships, ``group_full`` with counts |
| ``too-many-members``, ``over-quota`` | members, pins, admins with the plan, at every seq |
| ``too-many-groups`` | groups owned and joined with the user's plan |
| ``link-overused`` | joinings by a link with its ``uses_max`` |
| ``two-owners``, ``no-owner`` | roles at every seq |
| ``unread-wrong``, ``cursor-back`` | ``read``, ``unread``, ``mentions`` with messages and recalls |
| ``state-differs`` | hashes: live, replayed, from the snapshot |
| ``leak``, ``outbox-over`` | resources after with before; outboxes with their limit |

``config`` may have: ``members_max``, ``pins_max``, ``admins_max`` by the group's plan;
``groups_owned_max``, ``groups_joined_max`` by the plan of a user, with ``plans``: user -> plan;
``outbox_max_bytes``; and ``complete``, true where every request of the run is recorded.
"""

from __future__ import annotations

import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from groupd.testing.checker_counters import check_counters
from groupd.testing.checker_delivery import check_delivery
from groupd.testing.checker_reads import check_reads
from groupd.testing.checker_report import Report, Violation
from groupd.testing.checker_requests import check_requests
from groupd.testing.checker_run import prepare
from groupd.testing.checker_shown import Shown
from groupd.testing.history import History, HistoryError

__all__ = ["Violation", "check", "main"]


def check(history: History) -> list[Violation]:
    """Give all violations of a history, at most 100 of each invariant; empty where all is well.

    Raises HistoryError where it does not fit together, such as an outcome without a request, or
    where it has no log of the store.
    """
    report = Report()
    run = prepare(history, report)
    shown = Shown(report)
    try:
        check_requests(run)
        check_delivery(run, shown)
        check_reads(run, shown)
        check_counters(run)
    except (KeyError, TypeError, AttributeError) as error:
        raise HistoryError(f"an answer or an event has another form: {error!r}") from error
    return report.violations


def main() -> None:
    """Check the file that is named; exit 0 where all is well, 1 on violations, 2 on bad input."""
    if len(sys.argv) != 2:
        print("usage: python -m groupd.testing.checker FILE.jsonl", file=sys.stderr)
        sys.exit(2)
    try:
        history = History.from_jsonl(Path(sys.argv[1]))
        violations = check(history)
    except (HistoryError, OSError) as error:
        print(f"{sys.argv[1]}: {error}", file=sys.stderr)
        sys.exit(2)
    if not violations:
        print(f"All is well in {len(history):,} entries.")
        return
    Console().print(_table(violations))
    sys.exit(1)


def _table(violations: list[Violation]) -> Table:
    table = Table(title=f"{len(violations):,} violations", title_justify="left")
    for heading in ("invariant", "where", "what", "entries"):
        table.add_column(heading, overflow="fold")
    for violation in violations:
        # As texts: what users are called is no markup.
        cells = (violation.invariant, violation.where, violation.message)
        numbers = ", ".join(map(str, violation.entries))
        table.add_row(*map(Text, (*cells, numbers)))
    return table


if __name__ == "__main__":
    main()
