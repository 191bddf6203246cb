"""What an operator asks about a user's sessions and tokens. ``server/operator.py`` serves it."""

from __future__ import annotations

from typing import ClassVar

import attrs

from groupd.domain import fields
from groupd.domain.base import Query


@attrs.frozen
class OperatorRevoke(Query):
    """Refuse a user's tokens from before a time, and end the sessions that have shown one."""

    method = "operator_revoke"
    addressed = ""
    operator = True
    result: ClassVar = {"before_ms": "time_ms", "sessions": "integer"}

    user: str = fields.user()
    tenant: str = fields.tenant()
    before_ms: int | None = fields.integer(low=1, default=None)


@attrs.frozen
class OperatorDisconnect(Query):
    """End all sessions of a user, for the operator. Their tokens stay as good as they were."""

    method = "operator_disconnect"
    addressed = ""
    operator = True
    result: ClassVar = {"sessions": "integer"}

    user: str = fields.user()
    tenant: str = fields.tenant()
