"""What ``check_log`` writes into a store: streams, records, changes."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final

from groupd.domain.base import ACCOUNT, GROUP, Record, StreamKey
from groupd.domain.projection import (
    Change,
    PutMember,
)
from groupd.errors import LogConflict
from groupd.storage.port import (
    Append,
    AppendAll,
    Outcome,
    Store,
    Write,
)

TENANT: Final = "tenant"
HALL: Final = StreamKey(GROUP, TENANT, "hall")
YARD: Final = StreamKey(GROUP, TENANT, "yard")
ANN: Final = StreamKey(ACCOUNT, TENANT, "ann")
NOWHERE: Final = StreamKey(GROUP, TENANT, "nowhere")


def sample_records(
    stream: StreamKey,
    count: int,
    *,
    after: int = 0,
    followed: bool = False,
    users: dict[int, str] | None = None,
) -> list[Record]:
    """Make records of a stream; the same arguments give the same ones. Their bytes are opaque."""
    records = []
    for seq in range(after + 1, after + count + 1):
        mark = hashlib.sha256(f"{stream} {seq}".encode()).digest()
        records.append(
            Record(
                seq=seq,
                time_ms=1_000 + seq,
                kind="posted" if seq % 3 else "noted",
                user=(users or {}).get(seq, "someone"),
                request_id=f"request {seq}" if seq % 2 else "",
                audience=seq % 2,
                n=seq - seq // 3,
                forget=seq % 5,
                followed=followed,
                header=b"\x01" + mark[: 9 + seq % 7],
                salt=mark[:16],
                request_hash=mark[16:],
                body=b"\x00" + mark * (seq % 4),
                inner=mark[::-1],
                chain=mark,
            )
        )
    return records


def append(
    stream: StreamKey,
    count: int,
    *,
    after: int = 0,
    changes: Sequence[Change] = (),
    deadline_ms: int | None = None,
    erase: Sequence[int] = (),
    followed: bool = False,
    users: dict[int, str] | None = None,
) -> AppendAll:
    """Make a write of ``count`` records after ``after``, with all that goes with them."""
    records = sample_records(stream, count, after=after, followed=followed, users=users)
    return AppendAll((Append(stream, after, records, changes, deadline_ms, erase),))


def member(
    user: str, *, role: int = 1, name: str = "", joined_ms: int = 1_000, joined_seq: int = 1
) -> PutMember:
    """Make a member's row; their name is the user id, capitalized, unless given."""
    name = name or user.capitalize()
    return PutMember(user, role, name, joined_ms=joined_ms, joined_seq=joined_seq, floor=1)


def joined(*writes: AppendAll) -> AppendAll:
    """Make one write of several, all or nothing."""
    return AppendAll(tuple(append for write in writes for append in write.appends))


def outcome_of(store: Store, write: Write) -> Outcome:
    """Commit one write and say what befell it."""
    (outcome,) = store.commit([write])
    return outcome


def do(store: Store, *writes: Write) -> None:
    """Commit a round of writes that must succeed."""
    for outcome in store.commit(writes):
        assert outcome is None, f"a write without conflict failed: {outcome!r}"


def head_of(store: Store, stream: StreamKey) -> int:
    """Give the seq where a stream ends; 0 where it does not exist."""
    head = store.head(stream)
    return head.seq if head is not None else 0


def is_conflict(outcome: Outcome) -> bool:
    """Say whether a write failed because somebody else wrote first."""
    return isinstance(outcome, LogConflict)
