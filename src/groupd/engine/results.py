"""What the calls answer: the shapes of the result maps, for editors and type checkers.

Each is a plain dict. A test compares them with the ``result`` of the request classes. A newer
server may send more than is named here.
"""

# No postponed annotations here: TypedDict must see NotRequired itself.

from typing import Any, NotRequired, TypedDict


class SeqResult(TypedDict):
    """Where the change stands in the group's log."""

    seq: int


class CreateResult(TypedDict):
    """The new group, and the seq of its first event."""

    group: str
    seq: int


class JoinResult(TypedDict):
    """``status`` is ``joined`` or ``pending``; ``seq`` is that of the ``joined`` event."""

    status: str
    group: str
    seq: NotRequired[int]


class PostResult(TypedDict):
    """``status`` is ``posted``; ``(group, seq)`` is then the message's identity."""

    status: str
    seq: NotRequired[int]
    time_ms: int


class ShareLinkResult(TypedDict):
    """A link's secret code, and the URL to give away."""

    code: str
    url: str


class OpenLinkResult(TypedDict):
    """What a link is for. ``status`` says what joining by it would do now."""

    group: dict[str, Any]
    channel: str
    sharer: str
    status: str
    limit: NotRequired[int]


class InfoResult(TypedDict):
    """A group's card; what only members see may be absent."""

    group: str
    name: str
    picture: str
    category: str
    description: str
    owner: str
    members: int
    join_policy: str
    created_ms: int
    dissolved: bool
    location: NotRequired[dict[str, float]]
    members_max: NotRequired[int]
    plan: NotRequired[str]
    role: NotRequired[str]
    joined_ms: NotRequired[int]
    head: NotRequired[int]
    floor: NotRequired[int]
    settings: NotRequired[dict[str, Any]]
    announcement: NotRequired[dict[str, Any]]
    pins: NotRequired[list[dict[str, Any]]]
    links: NotRequired[dict[str, Any]]
    stats: NotRequired[dict[str, Any]]


class MembersResult(TypedDict):
    """A page of members; ``next`` goes into the next call's ``after``."""

    members: list[dict[str, Any]]
    next: NotRequired[str]


class HistoryResult(TypedDict):
    """A page of a group's log, in rising order; ``more`` lies beyond it."""

    events: list[dict[str, Any]]
    head: int
    floor: int
    more: bool


class AnnouncementsResult(TypedDict):
    """The announcements that are kept, the current one first."""

    announcements: list[dict[str, Any]]


class ReadResult(TypedDict):
    """The read cursor as it is now, and what lies after it."""

    read: int
    unread: int
    mentions: int


class GroupsResult(TypedDict):
    """A page of the groups that the caller is in; ``next`` goes into the next call's ``after``."""

    groups: list[dict[str, Any]]
    next: NotRequired[str]


class SyncResult(TypedDict):
    """A page of each group: ``{group, events, head, floor, more}``."""

    groups: list[dict[str, Any]]


class UsersResult(TypedDict):
    """``{user, name, picture}`` of those whom the caller shares a group with."""

    users: list[dict[str, Any]]


class AccountHistoryResult(TypedDict):
    """A page of the caller's own log, in rising order."""

    events: list[dict[str, Any]]
    head: int
    more: bool


class PingResult(TypedDict):
    """The server's clock."""

    time_ms: int
