"""What an operator asks about a server, its groups and its users. ``server/console.py`` serves it.

What is done to a group stands with the group (``group/operated.py``), and so does what is asked of
its live state.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import attrs

from groupd.config import CONTENT
from groupd.domain import fields
from groupd.domain.base import Query
from groupd.domain.policy import Explain


@attrs.frozen
class OperatorFigures(Query):
    """Look at what the server does: figures of now, and a sample of each second that has passed."""

    method = "operator_figures"
    addressed = ""
    operator = True
    cost = 2
    result: ClassVar = {
        "time_ms": "time_ms",
        "started_ms": "time_ms",
        "server": "string",
        "tenant": "string?",
        "connections": "integer",
        "users": "integer",
        "awake": "integer",
        "posts": "integer",
        "deliveries": "integer",
        "posts_per_s": "number",
        "deliveries_per_s": "number",
        "post_p50_ms": "number?",
        "post_p99_ms": "number?",
        "backlog_bytes": "integer",
        "store_bytes": "integer",
        "rounds_per_s": "number",
        "writes_per_round": "number?",
        "refused": "map[error_code, integer]",
        "samples": "list[sample]",
    }

    after_ms: int = fields.integer(low=0, default=0)


@attrs.frozen
class OperatorGroups(Query):
    """Find any groups of a tenant, also hidden and dissolved ones: by name, id, owner and `ref`.

    By their ids. A page may have few of them, or none, and a ``next``: much was looked at.
    """

    method = "operator_groups"
    addressed = ""
    operator = True
    cost = 10
    result: ClassVar = {"groups": "list[operated_group]", "next": "string?"}

    query: str = fields.name(CONTENT.query_max, default="", min_chars=0)
    tenant: str = fields.tenant()
    after: str = fields.group(default="")
    limit: int = fields.integer(low=1, high=CONTENT.search_page_max, default=CONTENT.search_page)


@attrs.frozen
class OperatorUsers(Query):
    """Find users of a tenant by id and name. Those who have an account, and who has just that id.

    By their ids. A page may have few of them, or none, and a ``next``: much was looked at.
    """

    method = "operator_users"
    addressed = ""
    operator = True
    cost = 10
    result: ClassVar = {"users": "list[operated_user]", "next": "user?"}

    query: str = fields.name(CONTENT.query_max, default="", min_chars=0)
    tenant: str = fields.tenant()
    after: str = fields.user(default="")
    limit: int = fields.integer(low=1, high=CONTENT.search_page_max, default=CONTENT.search_page)


@attrs.frozen
class OperatorUser(Query):
    """Look at a user: who they are, what they hold, and a page of the groups that they are in."""

    method = "operator_user"
    addressed = ""
    operator = True
    cost = 3
    result: ClassVar = {
        "user": "user",
        "name": "string",
        "picture": "string",
        "plan": "string",
        "sessions": "integer",
        "revoked_before_ms": "time_ms?",
        "owned": "list[group]",
        "joined": "integer",
        "directs": "integer",
        "groups": "list[membership]",
        "next": "group?",
    }

    user: str = fields.user()
    tenant: str = fields.tenant()
    after: str = fields.group(default="")
    limit: int = fields.integer(low=1, high=CONTENT.search_page_max, default=CONTENT.search_page)


@attrs.frozen
class OperatorExplain(Query):
    """Ask what stands between any user and a method, as ``explain`` says it to themselves.

    Of what their token says, the profile is known and nothing else.
    """

    method = "operator_explain"
    addressed = ""
    operator = True
    cost = 3
    result = Explain.result

    user: str = fields.user()
    asked: str = fields.name(CONTENT.ref_max, alias="method")
    tenant: str = fields.tenant()
    group: str = fields.group(default="")
    given: Mapping[str, Any] | None = fields.value_map(
        CONTENT.card_max_bytes, default=None, alias="params"
    )
