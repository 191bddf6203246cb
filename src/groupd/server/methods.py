"""From an RPC request to what the engine takes: which method, which parameters, which address."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import attrs

from groupd.config import CONTENT, Limits, Plan
from groupd.domain.base import GROUP, Request
from groupd.domain.catalog import REQUESTS
from groupd.domain.fields import refuse
from groupd.domain.operating import Authority
from groupd.errors import Rejected
from groupd.wire import rpc

ID_LENGTH: Final = 36


class Call(NamedTuple):
    """A request that was understood."""

    request: Request
    group: str | None
    request_id: str


_FORMS: Final[Mapping[str, tuple[type[Request], bool, bool]]] = MappingProxyType(
    {
        method: (cls, cls.addressed in (GROUP, "code", "group or account"), cls.takes_id)
        for method, cls in REQUESTS.items()
    }
)
"""Method -> its request, and whether it takes a ``group`` and an ``id``."""


def understand(message: rpc.Request, *, operator: bool, authority: Authority | None = None) -> Call:
    """Parse a request; raises Rejected ``unknown_method`` or ``bad_request``.

    Methods of operators there are for the ``operator`` of the socket, and for what a token's
    ``authority`` serves.
    """
    _msgid, method, params = message
    form = _FORMS.get(method)
    if form is None or (form[0].operator and not (operator or _serves(authority, method))):
        raise Rejected("unknown_method", "there is no such method")
    cls, takes_group, takes_id = form
    group = params.get("group") if takes_group else None
    request_id = ""
    if takes_id:
        given = params.get("id")
        if given is not None:
            if type(given) is not str or len(given) != ID_LENGTH:
                raise refuse("id", "expected a UUIDv7 in its 36-character form")
            request_id = given
    return tuple.__new__(Call, (cls.parse(params), group, request_id))


def _serves(authority: Authority | None, method: str) -> bool:
    return authority is not None and authority.serves(method)


def shown_limits(limits: Limits, plan: Plan) -> dict[str, Any]:
    """Give what ``hello`` says of limits: those a client can act on."""
    return {
        "frame_max_bytes": limits.frame_max_bytes,
        "name_max": CONTENT.name_max,
        "text_max": CONTENT.text_max,
        "announcement_max": CONTENT.announcement_max,
        "data_max_bytes": CONTENT.data_max_bytes,
        "card_max_bytes": CONTENT.card_max_bytes,
        "mentions_max": CONTENT.mentions_max,
        "history_page_max": CONTENT.history_page_max,
        "groups_page_max": CONTENT.groups_page_max,
        "members_page_max": CONTENT.members_page_max,
        "sync_groups_max": CONTENT.sync_groups_max,
        "users_max": CONTENT.users_max,
        "chats_page_max": CONTENT.chats_page_max,
        "search_page_max": CONTENT.search_page_max,
        "messages_page_max": CONTENT.messages_page_max,
        "edit_within_ms": CONTENT.edit_within_ms,
        "recall_within_ms": CONTENT.recall_within_ms,
        "ids_window_ms": limits.ids_window_ms,
        "ids_ahead_ms": limits.ids_ahead_ms,
        "rate_per_s": limits.rate_per_s,
        "rate_burst": limits.rate_burst,
        "plan": attrs.asdict(plan),
    }
