"""The requests that read, or that touch only registers: their parameters and results.

Who serves them: ``engine/reads/``, from committed state; those about the session itself
(``hello``, ``ping``) ``server/session.py``. A query of a group's live state has an ``ask`` and
stands with the group (``info``, ``open_link``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final

import attrs

from groupd.config import CONTENT
from groupd.domain import fields
from groupd.domain.base import ACCOUNT, Identity, Query, Role, StreamKey


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
        "categories": "list[string]",
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
    cost = 8
    addressed = ACCOUNT
    result: ClassVar = {"groups": "list[listed_group]", "next": "group?"}

    after: str = fields.group(default="")
    limit: int = fields.integer(
        low=1, high=CONTENT.groups_page_max, default=CONTENT.groups_page_max
    )


@attrs.frozen
class Chats(Query):
    """List the caller's chats as an app shows them: pinned ones first, then the latest.

    ``unread`` counts over all of them but those with ``do_not_disturb``, ``mentions`` over all;
    a chat that is marked unread adds to neither. ``after`` is the ``next`` of the page before:
    a chat that has not moved meanwhile is neither missed nor given twice.
    """

    method = "chats"
    cost = 20
    addressed = ACCOUNT
    result: ClassVar = {
        "chats": "list[listed_group]",
        "unread": "integer",
        "mentions": "integer",
        "next": "string?",
    }

    after: str = fields.name(CONTENT.ref_max, default="", min_chars=0)
    limit: int = fields.integer(low=1, high=CONTENT.chats_page_max, default=CONTENT.chats_page_max)


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
class Profile(Query):
    """Look at any user, and at the groups that they show to everybody.

    Somebody of whom nothing is known is ``not_found``.
    """

    method = "profile"
    cost = 2
    addressed = ACCOUNT
    result: ClassVar = {
        "user": "user",
        "name": "string",
        "picture": "string",
        "groups": "list[found_group]",
    }

    user: str = fields.user()


@attrs.frozen
class Blocks(Query):
    """List whom the caller has blocked, by user id."""

    method = "blocks"
    cost = 2
    addressed = ACCOUNT
    result: ClassVar = {"users": "list[profile]", "next": "user?"}

    after: str = fields.user(default="")
    limit: int = fields.integer(low=1, high=CONTENT.users_max, default=CONTENT.users_max)


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
    by_system = True
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
    by_system = True
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


# --- finding groups


def check_circle(value: Any, field: str) -> dict[str, float]:
    """Check a circle on the map: ``{lat, lon, radius_m}``."""
    place = fields.location_of(value, field)
    radius_m = value.get("radius_m")
    if type(radius_m) is not int or not 1 <= radius_m <= CONTENT.radius_max_m:
        raise fields.refuse(field, f"radius_m: expected 1 to {CONTENT.radius_max_m}")
    return {**place, "radius_m": radius_m}


def _degrees(bound: float) -> Any:
    def check(value: Any, field: str) -> float:
        if type(value) not in (int, float) or not -bound <= value <= bound:
            raise fields.refuse(field, f"expected a number from {-bound:g} to {bound:g}")
        return float(value)

    return fields.custom(check, "number", min=-int(bound), max=int(bound))


@attrs.frozen
class Search(Query):
    """Find groups: by words of their name, by category, and by place. At least one is given.

    Only groups that are discoverable. Those with just this name come first, then the latest; in a
    circle, the nearest. ``cursor`` is the ``next`` of the page before.
    """

    method = "search"
    cost = 3
    addressed = ""
    result: ClassVar = {"groups": "list[found_group]", "next": "string?"}

    query: str = fields.name(CONTENT.query_max, default="", min_chars=0)
    category: str = fields.name(CONTENT.category_max, default="", min_chars=0)
    near: Mapping[str, float] | None = fields.custom(check_circle, "circle", default=None)
    cursor: str = fields.name(CONTENT.ref_max, default="", min_chars=0)
    limit: int = fields.integer(low=1, high=CONTENT.search_page_max, default=CONTENT.search_page)

    def __attrs_post_init__(self) -> None:
        if not self.query and not self.category and self.near is None:
            raise fields.refuse("query", "expected at least one of query, category and near")

    def address(self, group: str | None, caller: Identity) -> StreamKey:
        """Go to nobody in particular."""
        return caller.account


@attrs.frozen
class Nearby(Query):
    """Find the groups in a circle on the map, the nearest first.

    Groups without a place are never among them.
    """

    method = "nearby"
    cost = 3
    addressed = ""
    result: ClassVar = {"groups": "list[found_group]", "next": "string?"}

    lat: float = _degrees(90)
    lon: float = _degrees(180)
    radius_m: int = fields.integer(low=1, high=CONTENT.radius_max_m)
    cursor: str = fields.name(CONTENT.ref_max, default="", min_chars=0)
    limit: int = fields.integer(low=1, high=CONTENT.search_page_max, default=CONTENT.search_page)

    def address(self, group: str | None, caller: Identity) -> StreamKey:
        """Go to nobody in particular."""
        return caller.account


# --- the operator's


def check_seqs(value: Any, field: str) -> tuple[int, ...]:
    """Check a list of seqs; repeated ones count once."""
    if not isinstance(value, list | tuple):
        raise fields.refuse(field, "expected a list of seqs")
    if not 1 <= len(value) <= CONTENT.messages_page_max:
        limit = CONTENT.messages_page_max
        raise fields.refuse(field, f"expected 1 to {limit} seqs, got {len(value)}")
    return tuple(dict.fromkeys(fields.clean_int(item, field, low=1) for item in value))


@attrs.frozen
class Messages(Query):
    """Look at messages as they are now: newest form, reactions, number of replies.

    Left out are those that do not exist or that the caller may not read. ``more`` says that the
    answer would have been too large: ask again for the seqs after its last message.
    """

    method = "messages"
    cost = 5
    by_system = True
    min_role = Role.MEMBER
    result: ClassVar = {"messages": "list[shown_message]", "head": "seq", "more": "boolean"}

    seqs: tuple[int, ...] = fields.custom(
        check_seqs, "list[seq]", min=1, max=CONTENT.messages_page_max
    )


@attrs.frozen
class Thread(Query):
    """Page the replies to a message, oldest first. On a card they are its comments."""

    method = "thread"
    cost = 2
    by_system = True
    min_role = Role.MEMBER
    result: ClassVar = {"events": "list[event]", "more": "boolean", "replies": "integer"}

    seq: int = fields.seq()
    after: int = fields.seq(default=0, low=0)
    limit: int = fields.integer(low=1, high=CONTENT.messages_page_max, default=CONTENT.history_page)


@attrs.frozen
class Reactors(Query):
    """List who has reacted in one way to a message, by user id."""

    method = "reactors"
    cost = 2
    by_system = True
    min_role = Role.MEMBER
    result: ClassVar = {"users": "list[user]", "next": "user?"}

    seq: int = fields.seq()
    reaction: str = fields.name(CONTENT.reaction_max)
    after: str = fields.user(default="")
    limit: int = fields.integer(
        low=1, high=CONTENT.members_page_max, default=CONTENT.members_page_max
    )


@attrs.frozen
class Edits(Query):
    """Page a message and its edits, oldest first. For admins, and for its author."""

    method = "edits"
    cost = 2
    by_system = True
    min_role = Role.MEMBER
    result: ClassVar = {"events": "list[event]", "more": "boolean"}

    seq: int = fields.seq()
    after: int = fields.seq(default=0, low=0)


def check_stream(value: Any, field: str) -> tuple[str, ...]:
    """Check the key of a stream: kind, tenant, key."""
    if not isinstance(value, list | tuple) or len(value) != 3:
        raise fields.refuse(field, "expected kind, tenant and key of a stream")
    if not all(type(item) is str for item in value):
        raise fields.refuse(field, "expected strings")
    return tuple(fields.clean_value(item, field) for item in value)


PATH_MAX: Final = 1_024
"""Characters of a path that the operator names."""


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
    tenant: str = fields.tenant()
    account: bool = fields.boolean(default=False)
    after: int = fields.seq(default=0, low=0)
    limit: int = fields.integer(low=1, high=CONTENT.history_page_max, default=CONTENT.history_page)


def check_path(value: Any, field: str) -> str:
    """Check what may be a path; whether it is a good one is seen where there are files."""
    if type(value) is not str or not 1 <= len(value) <= PATH_MAX:
        raise fields.refuse(field, f"expected a path of 1 to {PATH_MAX} characters")
    path: str = fields.clean_value(value, field)
    return path


@attrs.frozen
class OperatorBackup(Query):
    """Copy the whole store, and what belongs to it, to a new directory, for the operator."""

    method = "operator_backup"
    addressed = ""
    operator = True
    result: ClassVar = {"pages": "integer", "size_bytes": "integer"}

    directory: str = fields.custom(check_path, "string", min=1, max=PATH_MAX)


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
