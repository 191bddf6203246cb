"""What the index keeps of the logs: the changes that events make to it, and the rows it gives.

The index is a projection: it is written in the same transaction as the records it comes from,
and can be rebuilt from them to the same content. So a change is made from a record and its event
alone, and applying the changes of each log in its order is all that a rebuild does. Changes of
different logs never touch the same row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import attrs

EVERYBODY = "*"
"""In ``Mention``: all members. No user may be called this; the token's check refuses it."""


# --- what a group's log changes


@attrs.frozen
class PutMember:
    """Somebody is a member from now on, with a row of their own and nothing left of an old one."""

    user: str
    role: int
    name: str
    joined_ms: int
    joined_seq: int
    floor: int
    """The first seq that they may read."""


@attrs.frozen
class SetMember:
    """Some fields of a member's row have these values from now on; nothing for a stranger.

    ``values`` has any of ``role``, ``nickname`` and ``muted_until_ms``.
    """

    user: str
    values: Mapping[str, Any]


@attrs.frozen
class DropMember:
    """Somebody is no member any more."""

    user: str


@attrs.frozen
class PutRequest:
    """Somebody waits for a decision on their join request."""

    user: str


@attrs.frozen
class DropRequest:
    """The join request is decided, or gone; nothing for who has none."""

    user: str


@attrs.frozen
class PutCard:
    """Some fields of the group's card have these values from now on.

    ``values`` has any of ``name``, ``picture``, ``owner``, ``ref`` (None frees it),
    ``dissolved``, ``discoverable``, ``category``, ``description``, ``location``
    (``{lat, lon}`` or None), ``join_policy``, ``created_ms`` and ``direct``.
    """

    values: Mapping[str, Any]


class Spoke(NamedTuple):
    """A member's newest countable message is ``seq``; it is also the group's last one."""

    user: str
    seq: int


@attrs.frozen
class Mention:
    """The message ``seq`` mentions these users, or ``EVERYBODY``."""

    users: tuple[str, ...]
    seq: int


@attrs.frozen
class Reply:
    """The message ``seq`` replies to ``message``. Erasing ``seq`` takes it away."""

    message: int
    seq: int


@attrs.frozen
class Edit:
    """The event ``seq`` holds a newer form of ``message``. Erasing ``seq`` takes it away."""

    message: int
    seq: int


@attrs.frozen
class Recall:
    """The event ``seq`` has recalled ``message``: it counts no more, and loses its reactions.

    A second recall of a message changes nothing.
    """

    message: int
    seq: int


@attrs.frozen
class React:
    """A user's reaction to ``message``, by the event ``seq``; a second one changes nothing."""

    message: int
    user: str
    reaction: str
    seq: int


@attrs.frozen
class Unreact:
    """The user's reaction is gone."""

    message: int
    user: str
    reaction: str


BINDING = "binding"
"""A kind of tie: the group is bound to an object of the host's; ``name`` is the host's own."""
CUSTOMER = "customer"
"""A kind of tie: a customer's first order was heard of here; ``name`` is the user."""
LIVE = "live"
"""A kind of tie: the card of a live is in the group; ``name`` is the host's id of the live."""


@attrs.frozen
class PutTie:
    """The group is tied to something of the host's, in place of an earlier tie of that name."""

    kind: str
    name: str
    seq: int
    state: str = ""
    note: str = ""


@attrs.frozen
class DropTie:
    """A tie is gone; nothing where there is none."""

    kind: str
    name: str


@attrs.frozen
class DropTies:
    """All of the group's ties of these kinds are gone."""

    kinds: tuple[str, ...]


# --- what an account's log changes: its user is the key of the stream


@attrs.frozen
class PutProfile:
    """The user's profile, whole, as their token had it."""

    name: str
    picture: str
    plan: str
    gender: str
    birth_year: int | None


@attrs.frozen
class PutChat:
    """Some of the user's own preferences for a group have these values from now on.

    ``values`` has any of ``pinned_ms`` (0: not pinned), ``do_not_disturb``, ``marked_unread``
    and ``shown`` (on the user's profile).
    """

    group: str
    values: Mapping[str, Any]


@attrs.frozen
class DropChat:
    """The user's preferences for a group are gone."""

    group: str


@attrs.frozen
class PutBlock:
    """The user has blocked another."""

    user: str


@attrs.frozen
class DropBlock:
    """The user has ended a block."""

    user: str


@attrs.frozen
class PutRevocation:
    """The user's tokens from before this time are refused; an earlier one changes nothing."""

    before_ms: int


Change: TypeAlias = (
    PutMember
    | SetMember
    | DropMember
    | PutRequest
    | DropRequest
    | PutCard
    | Spoke
    | Mention
    | Reply
    | Edit
    | Recall
    | React
    | Unreact
    | PutTie
    | DropTie
    | DropTies
    | PutProfile
    | PutChat
    | DropChat
    | PutBlock
    | DropBlock
    | PutRevocation
)


# --- the rows it gives


@attrs.frozen
class GroupCard:
    """A group as the index knows it."""

    group: str
    name: str
    picture: str
    owner: str
    ref: str | None
    dissolved: bool
    discoverable: bool
    head: int
    category: str = ""
    description: str = ""
    location: Mapping[str, float] | None = None
    join_policy: str = "open"
    created_ms: int = 0
    direct: bool = False
    members: int = 0
    """How many there are."""


@attrs.frozen
class Tie:
    """What ties a group to something of the host's: see ``BINDING``, ``CUSTOMER``, ``LIVE``."""

    seq: int
    """Of the event, or of the message that shows it."""
    state: str = ""
    note: str = ""


@attrs.frozen
class Chat:
    """One user's own preferences for a group."""

    pinned_ms: int = 0
    """When they pinned it to the top of their list; 0 for not pinned."""
    do_not_disturb: bool = False
    marked_unread: bool = False
    shown: bool = False
    """Whether their profile shows the group."""


@attrs.frozen
class Membership:
    """One user's place in one group, as the index knows it."""

    group: str
    name: str
    """The group's."""
    picture: str
    role: int
    joined_seq: int
    floor: int
    head: int
    dissolved: bool
    direct: bool = False
    muted_until_ms: int = 0
    chat: Chat = attrs.field(factory=Chat)


@attrs.frozen
class MemberRow:
    """One line of a list of members. Name and picture are the profile's, where there is one."""

    user: str
    name: str
    role: int
    joined_ms: int
    picture: str = ""
    nickname: str = ""
    muted_until_ms: int = 0


@attrs.frozen
class Profile:
    """A user as their token last had them."""

    name: str = ""
    picture: str = ""
    plan: str = ""
    gender: str = ""
    birth_year: int | None = None


@attrs.frozen
class Numbers:
    """How far a member has read in a group, and what is new, as of a head."""

    read: int
    unread: int
    mentions: int
    last_seq: int
    """The newest countable message up to that head; 0 for none."""
    last_edit: int = 0
    """The newest form of that message up to that head, where it was edited; else 0."""


@attrs.frozen
class Holdings:
    """What one user has of what is limited for each user."""

    owned: Sequence[str] = ()
    """The live groups that they own, direct chats left out; by group."""
    joined: int = 0
    """Live groups that they are in, direct chats left out, and open join requests to others."""
    directs: int = 0
    """Direct chats that they are in."""


@attrs.frozen
class Statistics:
    """What a group comes to, counted from its members, their profiles and its log."""

    members: int
    women: int
    """Members whose profile says ``female``."""
    active: int
    """Members whose newest message is not before the time asked for."""
    birth_years: int
    """How many profiles have one."""
    birth_year_sum: int
    messages: int
    """Messages in the span asked for, recalled ones left out."""


@attrs.frozen
class Near:
    """A circle on the map."""

    lat: float
    lon: float
    radius_m: int


@attrs.frozen
class Found:
    """One group that was searched for. ``number`` is the store's own, for the next page."""

    card: GroupCard
    number: int
    distance_m: float | None = None
