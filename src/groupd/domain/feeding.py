"""The change feed over a connection: for a token whose ``scope`` says so.

Who serves it: ``engine/reads/feeding.py``, and ``server/polls.py`` where a call waits for news.
"""

from __future__ import annotations

import re
from typing import Any, ClassVar, Final

import attrs

from groupd.config import CONTENT
from groupd.domain import fields
from groupd.domain.base import Identity, Query, StreamKey
from groupd.errors import Rejected

SCOPE: Final = "feed"
"""The word that a token's ``scope`` must have in it."""
FEED_WAIT_MS: Final = 20_000
"""How long a call may wait for news at most."""
BEGINNINGS: Final = ("oldest", "newest")
CONSUMER_NAME_MAX: Final = 64
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def check_consumer(value: Any, field: str) -> str:
    """Check the name of a consumer."""
    if type(value) is not str or not _NAME.fullmatch(value):
        raise fields.refuse(field, "expected 1 to 64 of A-Z, a-z, 0-9, dot, dash and underscore")
    return value


def expect_scope(caller: Identity) -> None:
    """Raise ``forbidden`` for a caller whose token does not let them follow the feed."""
    if SCOPE not in caller.scope.split():
        message = f"this takes a token with the scope {SCOPE}"
        raise Rejected("forbidden", message, reason="scope", required=SCOPE)


class FeedQuery(Query):
    """A request about the feed of the caller's tenant."""

    scope: ClassVar[str] = SCOPE
    addressed = ""

    def address(self, group: str | None, caller: Identity) -> StreamKey:
        """Go to nobody in particular."""
        return caller.account


def _consumer() -> Any:
    return fields.custom(check_consumer, "consumer_name", min=1, max=CONSUMER_NAME_MAX)


@attrs.frozen
class Changes(FeedQuery):
    """Read what has happened in all groups and accounts, after a consumer's position.

    The same comes again until ``ack``. With ``wait_ms`` it waits where nothing is new.
    """

    method = "changes"
    cost = 5
    result: ClassVar = {"changes": "list[change]", "more": "boolean", "cursor": "string?"}

    consumer: str = _consumer()
    limit: int = fields.integer(
        low=1, high=CONTENT.history_page_max, default=CONTENT.history_page_max
    )
    wait_ms: int = fields.integer(high=FEED_WAIT_MS, default=0)
    begin: str = fields.choice(*BEGINNINGS, default="oldest")


@attrs.frozen
class Ack(FeedQuery):
    """Say that all up to a cursor is done; durable when it is answered."""

    method = "ack"
    result: ClassVar = {}

    consumer: str = _consumer()
    cursor: str = fields.name(CONTENT.ref_max)


@attrs.frozen
class Consumers(FeedQuery):
    """List the consumers of the caller's tenant, and how far behind each is."""

    method = "consumers"
    result: ClassVar = {"consumers": "list[consumer]"}


@attrs.frozen
class ForgetConsumer(FeedQuery):
    """Let there be no such consumer any more. Repeating it is no error."""

    method = "forget_consumer"
    result: ClassVar = {}

    consumer: str = _consumer()
