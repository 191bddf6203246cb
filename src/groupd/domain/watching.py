"""What an operator asks about the host's side: what was done with keys, and who follows the feed.

``server/operator.py`` serves it.
"""

from __future__ import annotations

from typing import Any, ClassVar, Final

import attrs

from groupd.domain import fields
from groupd.domain.base import Query

OPERATOR: Final = "operator"
"""Stands for the key in what the operator does. No service key is called that."""
AUDIT_PAGE: Final = 100
"""Entries of the audit in an answer, where no ``limit`` is given."""
AUDIT_PAGE_MAX: Final = 500
CONSUMERS_PAGE_MAX: Final = 200
MARK_MAX: Final = 256
"""Characters of a place in the list of consumers: a tenant's name, and a consumer's."""
KEY_NAME_MAX: Final = 32
"""Characters of the name of a service key."""


@attrs.frozen
class OperatorAudit(Query):
    """Page what was changed in a tenant with keys, and by the operator, the latest first."""

    method = "operator_audit"
    addressed = ""
    operator = True
    result: ClassVar = {"entries": "list[audit_entry]", "next": "integer?"}

    tenant: str = fields.tenant()
    group: str = fields.group(default="")
    user: str = fields.user(default="")
    key: str = fields.name(KEY_NAME_MAX, default="", min_chars=0)
    before: int | None = fields.integer(low=1, default=None)
    limit: int = fields.integer(low=1, high=AUDIT_PAGE_MAX, default=AUDIT_PAGE)


def check_mark(value: Any, field: str) -> str:
    """Check a place in the list of consumers: one that was given, byte by byte."""
    if type(value) is not str or len(value) > MARK_MAX or any(map(_is_half, value)):
        raise fields.refuse(field, "expected the `next` of the page before")
    return value


def _is_half(char: str) -> bool:
    """Say whether it is half of a pair of UTF-16: a character to Python, and to nobody else."""
    return "\ud800" <= char <= "\udfff"


@attrs.frozen
class OperatorConsumers(Query):
    """List the consumers of the feed, of all tenants, and how far behind each is."""

    method = "operator_consumers"
    addressed = ""
    operator = True
    result: ClassVar = {"consumers": "list[consumer]", "next": "string?"}

    after: str = fields.custom(check_mark, "string", default="", min=0, max=MARK_MAX)
    limit: int = fields.integer(low=1, high=CONSUMERS_PAGE_MAX, default=CONSUMERS_PAGE_MAX)
