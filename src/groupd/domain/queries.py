"""The requests that read, or that touch only registers: their parameters and results.

Who serves them: ``engine/reads.py``, from committed state; those about the session itself
(``hello``, ``ping``) ``server/session.py``. A query of a group's live state has an ``ask`` and
stands with the group (``info``, ``open_link``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import attrs

from groupd.config import CONTENT
from groupd.domain import fields
from groupd.domain.base import ACCOUNT, Query, Role


@attrs.frozen
class Hello(Query):
    """Say who is calling. The first request of a connection; again, it renews the token."""

    method = "hello"
    cost = 5
    addressed = ""
    result: ClassVar = {
        "user": "user",
        "session": "string",
        "server": "string",
        "protocol": "integer",
        "store": "string",
        "time_ms": "time_ms",
        "limits": "limits",
        "account": "account",
        "groups": "list[listed_group]",
        "next": "group?",
    }

    token: str = fields.text(8_192)
    client: str = fields.name(CONTENT.ref_max, default="", min_chars=0)
    events: bool = fields.boolean(default=True)


@attrs.frozen
class Ping(Query):
    """Ask for the server's time."""

    method = "ping"
    addressed = ""
    result: ClassVar = {"time_ms": "time_ms"}


@attrs.frozen
class Groups(Query):
    """List the groups that the caller is in, by group id."""

    method = "groups"
    cost = 3
    addressed = ACCOUNT
    result: ClassVar = {"groups": "list[listed_group]", "next": "group?"}

    after: str = fields.group(default="")
    limit: int = fields.integer(
        low=1, high=CONTENT.groups_page_max, default=CONTENT.groups_page_max
    )


@attrs.frozen
class Sync(Query):
    """Catch up many groups in one call: what came after each cursor."""

    method = "sync"
    cost = 5
    addressed = ACCOUNT
    result: ClassVar = {"groups": "list[group_page]"}

    cursors: Mapping[str, int] = fields.custom(
        fields.groups_upto, "map[group, seq]", max=CONTENT.sync_groups_max
    )
    limit_bytes: int | None = fields.integer(low=1, default=None)


@attrs.frozen
class Users(Query):
    """Look at users that the caller shares a group with."""

    method = "users"
    cost = 3
    addressed = ACCOUNT
    result: ClassVar = {"users": "list[profile]"}

    users: tuple[str, ...] = fields.users(CONTENT.users_max)


@attrs.frozen
class AccountHistory(Query):
    """Page the caller's own log."""

    method = "account_history"
    cost = 2
    addressed = ACCOUNT
    result: ClassVar = {"events": "list[account_event]", "head": "seq", "more": "boolean"}

    after: int = fields.seq(default=0, low=0)
    limit: int = fields.integer(low=1, high=CONTENT.history_page_max, default=CONTENT.history_page)


@attrs.frozen
class Members(Query):
    """List a group's members by user id."""

    method = "members"
    cost = 2
    min_role = Role.MEMBER
    result: ClassVar = {"members": "list[member]", "next": "user?"}

    after: str = fields.user(default="")
    limit: int = fields.integer(
        low=1, high=CONTENT.members_page_max, default=CONTENT.members_page_max
    )


@attrs.frozen
class History(Query):
    """Page a group's log, forward with ``after`` or backward with ``before``.

    With neither, the newest events; the events of a page are always in rising order.
    """

    method = "history"
    cost = 2
    min_role = Role.MEMBER
    result: ClassVar = {
        "events": "list[event]",
        "head": "seq",
        "floor": "seq",
        "more": "boolean",
    }

    after: int | None = fields.seq(default=None, low=0)
    before: int | None = fields.seq(default=None)
    limit: int = fields.integer(low=1, high=CONTENT.history_page_max, default=CONTENT.history_page)

    def __attrs_post_init__(self) -> None:
        if self.after is not None and self.before is not None:
            raise fields.refuse("before", "expected only one of after and before")


@attrs.frozen
class Read(Query):
    """Move the caller's read cursor forward. It never moves back."""

    method = "read"
    min_role = Role.MEMBER
    result: ClassVar = {"read": "seq", "unread": "integer", "mentions": "integer"}

    seq: int = fields.seq()


def check_stream(value: Any, field: str) -> tuple[str, ...]:
    """Check the key of a stream: kind, tenant, key."""
    if not isinstance(value, list | tuple) or len(value) != 3:
        raise fields.refuse(field, "expected kind, tenant and key of a stream")
    if not all(type(item) is str for item in value):
        raise fields.refuse(field, "expected strings")
    return tuple(value)


@attrs.frozen
class OperatorLog(Query):
    """Page any stream's log, for the operator."""

    method = "operator_log"
    addressed = ""
    operator = True
    result: ClassVar = {
        "events": "list[event or account_event]",
        "head": "seq",
        "more": "boolean",
    }

    group: str = fields.custom(fields.clean_group, "string", min=1, max=CONTENT.ref_max)
    tenant: str = fields.name(CONTENT.user_max_bytes, default="", min_chars=0)
    account: bool = fields.boolean(default=False)
    after: int = fields.seq(default=0, low=0)
    limit: int = fields.integer(low=1, high=CONTENT.history_page_max, default=CONTENT.history_page)


@attrs.frozen
class OperatorCheck(Query):
    """Verify the hash chains of some streams and, at the end, the index, for the operator."""

    method = "operator_check"
    addressed = ""
    operator = True
    result: ClassVar = {
        "records": "integer",
        "streams": "integer",
        "problems": "list[problem]",
        "next": "list[string]?",
    }

    after: tuple[str, ...] | None = fields.custom(check_stream, "list[string]", default=None)
