"""The audit: who has changed what with a key of the host's, or as the operator.

Theory of operation: a request that is made with a key carries that in its mail (``Behalf``), and
the batch that it changes something in puts an entry into its append. So what is refused, what
changes nothing, and a retry leave none. Here it is read, and pruned: entries are no part of any
log, so they go after a time, a slice at a time, the oldest first.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Final

import attrs
import structlog
import trio

from groupd.config import Limits
from groupd.domain.base import ACCOUNT, GROUP, SERVER, StreamKey
from groupd.domain.watching import AUDIT_PAGE
from groupd.engine.ports import Clock
from groupd.errors import LogCorrupt, LogUnavailable
from groupd.storage.audit_port import Audited, DropAudit
from groupd.storage.log import Log
from groupd.storage.port import Store

log = structlog.get_logger()

CONSUMER: Final = "consumer"
"""The kind of stream in an entry that is about a consumer of the feed."""
SYSTEM: Final = "system"
SCAN: Final = 500
"""Entries that are read at once."""
SCANS_MAX: Final = 20
"""Times that one call reads on, where few of the entries are those that are asked for."""
PRUNE_S: Final = 60.0
"""How often it is looked for entries whose time is over."""
PRUNE_SLICE: Final = 500
"""Entries that one write takes away."""
PRUNE_REST_S: Final = 0.05
"""How long others have the store between two of those."""
DAY_MS: Final = 86_400_000

_SHOWN: Final = {GROUP: "group", ACCOUNT: "account", CONSUMER: "consumer"}


@attrs.frozen
class AuditPage:
    """Entries, the latest first. ``next`` goes on before them; None where there are no more."""

    entries: Sequence[Audited]
    next: int | None

    def shown(self) -> dict[str, Any]:
        """Give it as an answer."""
        answer: dict[str, Any] = {"entries": [shown_entry(item) for item in self.entries]}
        return answer if self.next is None else {**answer, "next": self.next}


def shown_entry(item: Audited) -> dict[str, Any]:
    """Give an entry as an answer has it. ``as`` is as in a call of the host API."""
    entry = item.entry
    whose: Any = SYSTEM if entry.user == SERVER else entry.user
    if entry.user == SYSTEM:
        whose = {"user": SYSTEM}
    shown: dict[str, Any] = {
        "n": item.n,
        "time_ms": entry.time_ms,
        "key": entry.key,
        "as": whose,
        "method": entry.method,
        _SHOWN.get(entry.stream.kind, "stream"): entry.stream.key,
    }
    if entry.seq:
        shown["seq"] = entry.seq
    if entry.about:
        shown["user"] = entry.about
    return shown


async def read_audit(
    log: Log,
    tenant: str,
    *,
    group: str = "",
    user: str = "",
    key: str = "",
    before: int | None = None,
    limit: int = AUDIT_PAGE,
) -> AuditPage:
    """Give what was changed in a tenant, the latest first: all, or what is asked for.

    ``user``: as them, to them, or in their account. ``before`` is the ``next`` of the page before.
    A page may have fewer entries than ``limit``, and none, although there are more: ``next`` says
    so.
    Raises LogUnavailable.
    """
    stream = StreamKey(GROUP, tenant, group) if group else None
    found: list[Audited] = []
    for _ in range(SCANS_MAX):
        page = await log.read(partial(_latest, tenant=tenant, stream=stream, before=before))
        for item in page:
            before = item.n
            if _is_wanted(item, user, key):
                found.append(item)
                if len(found) == limit:
                    return AuditPage(found, before)
        if len(page) < SCAN:
            return AuditPage(found, None)
    return AuditPage(found, before)


def _latest(
    store: Store, *, tenant: str, stream: StreamKey | None, before: int | None
) -> Sequence[Audited]:
    return store.audit.latest(tenant, stream, before, SCAN)


def _is_wanted(item: Audited, user: str, key: str) -> bool:
    entry = item.entry
    if key not in ("", entry.key):
        return False
    is_own = entry.stream.kind == ACCOUNT and entry.stream.key == user
    return not user or is_own or user in (entry.user, entry.about)


# --- pruning


async def keep_audit(store: Log, clock: Clock, limits: Limits) -> None:
    """Take away what is too old or too much, until cancelled."""
    while True:
        await trio.sleep(PRUNE_S)
        try:
            while n := await store.read(partial(_overdue, now_ms=clock.now_ms(), limits=limits)):
                await store.write(DropAudit(n))
                await trio.sleep(PRUNE_REST_S)
        except (LogUnavailable, LogCorrupt) as error:
            log.warning("audit_not_pruned", error=str(error))


def _overdue(store: Store, *, now_ms: int, limits: Limits) -> int:
    """Give up to which number the oldest entries have to go; 0 for none of them."""
    until_ms = now_ms - limits.audit_keep_days * DAY_MS
    kept_from = store.audit.last_n() - limits.audit_max + 1
    overdue = 0
    for item in store.audit.since(0, PRUNE_SLICE):
        time_ms = item.entry.time_ms
        # A damaged time is no reason to stop: it would end this for all that come later.
        is_old = type(time_ms) is not int or time_ms <= until_ms
        if item.n >= kept_from and not is_old:
            break
        overdue = item.n
    return overdue
