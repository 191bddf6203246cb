"""The audit over HTTP, and entries for what changes no log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from groupd.domain.base import StreamKey
from groupd.domain.watching import OperatorAudit
from groupd.engine.audit import read_audit
from groupd.engine.hub import Hub
from groupd.storage.audit_port import AuditEntry


async def audit(hub: Hub, tenant: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
    """Give what was changed with keys and by the operator, the latest first.

    All, or what was done in a ``group``, by or to a ``user``, with a ``key``. ``next`` goes into
    ``before`` for what was done earlier.
    """
    asked = OperatorAudit.parse({**params, "tenant": ""})
    page = await read_audit(
        hub.log,
        tenant,
        group=asked.group,
        user=asked.user,
        key=asked.key,
        before=asked.before,
        limit=asked.limit,
    )
    return page.shown()


def entries(hub: Hub, kind: str, tenant: str, name: Any) -> Sequence[AuditEntry]:
    """Give the entry of a call that changes something which has no log; for ``PutAudit``."""
    if hub.behalf is None or type(name) is not str:
        return ()
    stream = StreamKey(kind, tenant, name)
    return (hub.behalf.entry(stream, time_ms=hub.ports.clock.now_ms(), user=""),)
