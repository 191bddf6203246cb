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
    """``status`` is ``joined`` or ``pending``; ``seq`` is that of the event that made it so."""

    status: str
    group: str
    seq: int


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
    condition: NotRequired[str]
    direct: NotRequired[list[str]]
    nickname: NotRequired[str]
    muted_until_ms: NotRequired[int]
    all_muted: NotRequired[bool]
    slow_mode_ms: NotRequired[int]
    requests: NotRequired[int]
    offer: NotRequired[dict[str, Any]]
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


class ProfileResult(TypedDict):
    """A user, and the groups that they show to everybody."""

    user: str
    name: str
    picture: str
    groups: list[dict[str, Any]]


class ChatsResult(TypedDict):
    """A page of the list of chats; the totals are over all pages."""

    chats: list[dict[str, Any]]
    unread: int
    mentions: int
    next: NotRequired[str]


class BlocksResult(TypedDict):
    """A page of those whom the caller has blocked."""

    users: list[dict[str, Any]]
    next: NotRequired[str]


class ExplainResult(TypedDict):
    """Every rule of a method: ``{rule, source, verdict, value?, code?, reason?, answered_by?}``."""

    method: str
    allowed: bool
    rules: list[dict[str, Any]]


class SearchResult(TypedDict):
    """A page of public cards; ``next`` goes into the next call's ``cursor``."""

    groups: list[dict[str, Any]]
    next: NotRequired[str]


class RequestsResult(TypedDict):
    """A page of join requests that wait, the oldest first."""

    requests: list[dict[str, Any]]
    next: NotRequired[int]


class InviteResult(TypedDict):
    """``status`` is ``joined`` (added at once) or ``invited``."""

    status: str
    seq: int


class EditsResult(TypedDict):
    """A message and its edits, oldest first."""

    events: list[dict[str, Any]]
    more: bool


class ReactorsResult(TypedDict):
    """A page of those who have reacted in one way."""

    users: list[str]
    next: NotRequired[str]


class MessagesResult(TypedDict):
    """Messages as they are now, with edits, reactions and counts of replies."""

    messages: list[dict[str, Any]]
    head: int
    more: bool


class ThreadResult(TypedDict):
    """A page of the replies to a message, and how many there are."""

    events: list[dict[str, Any]]
    more: bool
    replies: int


class LinksResult(TypedDict):
    """A page of share links, the newest first."""

    links: list[dict[str, Any]]
    next: NotRequired[int]


class BansResult(TypedDict):
    """A page of those who are banned."""

    bans: list[dict[str, Any]]
    next: NotRequired[str]


class EmptyResult(TypedDict):
    """Nothing: the call was taken."""


class ChangesResult(TypedDict):
    """What has happened, in order. ``cursor`` acknowledges it; absent where nothing is new."""

    changes: list[dict[str, Any]]
    more: bool
    cursor: NotRequired[str]


class ConsumersResult(TypedDict):
    """The consumers of the feed, by name, and how far behind each is."""

    consumers: list[dict[str, Any]]


class NothingResult(TypedDict):
    """It is done."""
