"""What a member's list of chats must say, counted from raw logs and registers, the plain way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs

from groupd.domain.base import GROUP, Record, StreamKey
from groupd.storage.port import Store
from groupd.wire.codec import decode_entries

EVERYTHING = 1_000_000


@attrs.frozen
class Counted:
    """One line of a chat list."""

    read: int
    unread: int
    mentions: int
    last_seq: int


def body(record: Record) -> dict[str, Any]:
    """Give the fields of an event's own; none once erased."""
    return {} if record.body is None else decode_entries(record.body)


def log_of(store: Store, group: str) -> Sequence[Record]:
    return store.read(StreamKey(GROUP, "", group), 0, EVERYTHING).records


def counted(store: Store, group: str, user: str) -> Counted:
    """Count what is new to a member: nothing here looks at an index or at a live state."""
    records = log_of(store, group)
    messages = [record for record in records if record.kind in ("posted", "announced")]
    joined = [
        record.seq
        for record in records
        if record.kind == "joined" and (body(record).get("member") or record.user) == user
    ][-1]
    own = [record.seq for record in messages if record.user == user and record.seq > joined]
    read = max(joined, store.cursors("", group).get(user, 0), *own[-1:])
    new = [record for record in messages if record.seq > read and record.body is not None]
    mentions = 0
    for record in new:
        named = body(record).get("mentions", ())
        mentions += record.user != user and (named == "all" or user in named)
    return Counted(read, len(new), mentions, messages[-1].seq if messages else 0)
