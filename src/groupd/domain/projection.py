"""What the index keeps of the log: the changes that events make to it, and the rows it gives.

The index is a projection: it is written in the same transaction as the records it comes from,
and can be rebuilt from them to the same content. So a change is made from a record and its event
alone, and applying the changes in the order of the log is all that a rebuild does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, TypeAlias

import attrs

EVERYBODY = "*"
"""In ``Mention``: all members. No user may be called this; the token's check refuses it."""


@attrs.frozen
class PutMember:
    """Somebody is a member from now on, or their row changes."""

    user: str
    role: int
    name: str
    joined_ms: int
    joined_seq: int
    floor: int
    """The first seq that they may read."""


@attrs.frozen
class DropMember:
    """Somebody is no member any more."""

    user: str


@attrs.frozen
class PutCard:
    """Some fields of the group's card have these values from now on.

    ``values`` has any of ``name``, ``picture``, ``owner``, ``ref`` (None frees it),
    ``dissolved`` and ``discoverable``.
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


Change: TypeAlias = PutMember | DropMember | PutCard | Spoke | Mention


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


@attrs.frozen
class MemberRow:
    """One line of a list of members."""

    user: str
    name: str
    role: int
    joined_ms: int


@attrs.frozen
class Numbers:
    """How far a member has read in a group, and what is new, as of a head."""

    read: int
    unread: int
    mentions: int
    last_seq: int
    """The newest countable message up to that head; 0 for none."""
