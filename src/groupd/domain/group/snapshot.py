"""How the state of a group lies in a snapshot: plain values, and back.

Another layout needs another ``Group.version``: then old snapshots are passed over, and the log is
replayed as a whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import attrs

from groupd.domain.base import Role
from groupd.domain.exactly_once import RequestMemory
from groupd.domain.group.parts import (
    Announcement,
    Ban,
    Invitation,
    JoinRequest,
    Link,
    Member,
    Offer,
    Pin,
    Refusal,
    Settings,
    Silence,
)

if TYPE_CHECKING:
    from groupd.domain.group.state import Group

T = TypeVar("T")


def dump(group: Group, *, erasable: bool) -> list[Any]:
    """Give a group as plain values; without ``erasable``, as its hash is made of them."""
    return [
        [group.seq, group.n, group.time_ms, group.memory.dump(erasable=erasable)],
        [group.plan, group.owner, group.ref, group.created_ms, group.dissolved, list(group.direct)],
        [group.settings_seq, *attrs.astuple(group.settings, recurse=False)],
        _rows(group.members),
        [_rows(group.requests), _rows(group.declined), _rows(group.invitations)],
        [_rows(group.bans), list(group.passed_over.items()), _row(group.offer)],
        [
            *(group.all_muted, group.all_muted_seq, group.slow_mode_ms, group.slow_mode_seq),
            _rows(group.silences),
        ],
        None
        if group.announcement is None
        else [
            group.announcement.seq,
            group.announcement.by,
            group.announcement.time_ms,
            list(group.announcement.acknowledged.items()),
        ],
        list(group.announcements),
        [_rows(group.pins), list(group.unpinned.items())],
        [list(attrs.astuple(link)) for link in group.links.values()],
        group.links_made,
        list(group.bindings.items()),
    ]


def load(plain: Any) -> dict[str, Any]:
    """Give the fields of a group from what ``dump`` gave."""
    head, own, settings, members, waiting, out, quiet, said, *rest = plain
    earlier, board, links, made, bindings = rest
    return {
        "seq": head[0],
        "n": head[1],
        "time_ms": head[2],
        "memory": RequestMemory.load(head[3]),
        "plan": own[0],
        "owner": own[1],
        "ref": own[2],
        "created_ms": own[3],
        "dissolved": own[4],
        "direct": tuple(own[5]),
        "settings_seq": settings[0],
        "settings": Settings(*map(_with_tuples, settings[1:])),
        "members": {row[0]: Member(Role(row[1]), *row[2:]) for row in members},
        "requests": _loaded(JoinRequest, waiting[0]),
        "declined": _loaded(Refusal, waiting[1]),
        "invitations": _loaded(Invitation, waiting[2]),
        "bans": _loaded(Ban, out[0]),
        "passed_over": dict(out[1]),
        "offer": None if out[2] is None else Offer(*out[2]),
        "all_muted": quiet[0],
        "all_muted_seq": quiet[1],
        "slow_mode_ms": quiet[2],
        "slow_mode_seq": quiet[3],
        "silences": _loaded(Silence, quiet[4]),
        "announcement": None
        if said is None
        else Announcement(said[0], said[1], said[2], dict(said[3])),
        "announcements": list(earlier),
        "pins": _loaded(Pin, board[0]),
        "unpinned": dict(board[1]),
        "links": {row[0]: Link(*row) for row in links},
        "links_made": made,
        "bindings": dict(bindings),
    }


def _rows(items: Mapping[Any, Any]) -> list[list[Any]]:
    return [[key, *attrs.astuple(item, recurse=False)] for key, item in items.items()]


def _row(item: Any) -> list[Any] | None:
    return None if item is None else list(attrs.astuple(item))


def _loaded(cls: type[T], rows: Any) -> dict[Any, T]:
    return {row[0]: cls(*row[1:]) for row in rows}


def _with_tuples(value: Any) -> Any:
    """Give a setting as ``create`` and ``update`` make it, so that it compares equal to theirs."""
    if isinstance(value, dict):
        return {key: _with_tuples(item) for key, item in value.items()}
    return tuple(map(_with_tuples, value)) if isinstance(value, list | tuple) else value
