"""Strategies for writes to a store. They are resolved against the heads that a store has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import attrs
from hypothesis import strategies as st

from groupd.domain.base import ACCOUNT, GROUP, Record, StreamKey
from groupd.domain.projection import (
    EVERYBODY,
    Change,
    DropBlock,
    DropChat,
    DropMember,
    DropRequest,
    DropTie,
    DropTies,
    Edit,
    Mention,
    PutBlock,
    PutCard,
    PutChat,
    PutMember,
    PutProfile,
    PutRequest,
    PutRevocation,
    PutTie,
    React,
    Recall,
    Reply,
    SetMember,
    Spoke,
    Unreact,
)
from groupd.storage.audit_port import AuditEntry, DropAudit, PutAudit
from groupd.storage.port import (
    AdvanceCursor,
    Append,
    AppendAll,
    DropPosition,
    PutPosition,
    PutSnapshot,
    Register,
    Store,
    Write,
)

USERS: Final = ("ann", "bo", "群")
GROUPS: Final = tuple(
    StreamKey(GROUP, tenant, key) for tenant in ("", "other") for key in ("hall", "yard", "游戏")
)
ACCOUNTS: Final = tuple(StreamKey(ACCOUNT, "", user) for user in USERS)
REFS: Final = (None, "a", "b")
REACTIONS: Final = ("+", "👍")
CATEGORIES: Final = ("", "sport", "fun")
NAMES: Final = ("Hall", "hall run", "Running Hall", "西湖 run", "杭州西湖", "!", "湖西")
QUERIES: Final = ("hall", "r", "run h", "西湖", "湖", "湖run", "西 湖", "!", "hall hall")


@attrs.frozen
class DraftRecord:
    countable: bool
    followed: bool
    user: str
    body: bytes


@attrs.frozen
class DraftAppend:
    stream: StreamKey
    misses_by: int
    """How far off the head that it names is."""
    records: Sequence[DraftRecord]
    changes: Sequence[Change]
    deadline_ms: int | None
    erase: Sequence[int]
    audit: Sequence[AuditEntry] = ()


Draft = Sequence[DraftAppend] | Write


def rarely(value: object, otherwise: object) -> st.SearchStrategy:
    return st.sampled_from([otherwise] * 7 + [value])


seqs = st.integers(0, 12)
users = st.sampled_from(USERS)
streams = st.sampled_from(GROUPS + ACCOUNTS)

# Few of them, so that they meet.
messages = st.integers(1, 4)
reactions = st.sampled_from(REACTIONS)
places = st.fixed_dictionaries(
    {"lat": st.sampled_from((-90, 0.0, 0.001, 89.9999)), "lon": st.sampled_from((-180, 0, 180.0))}
)

people_changes: st.SearchStrategy[Change] = st.one_of(
    st.builds(
        PutMember,
        user=users,
        role=st.integers(1, 3),
        name=st.sampled_from(("", "Name", "名")),
        joined_ms=st.integers(1, 3),
        joined_seq=st.integers(1, 12),
        floor=st.integers(1, 12),
    ),
    st.builds(
        SetMember,
        users,
        st.fixed_dictionaries(
            {},
            optional={
                "role": st.integers(1, 3),
                "nickname": st.sampled_from(("", "Nick")),
                "muted_until_ms": st.integers(0, 3),
            },
        ),
    ),
    st.builds(DropMember, users),
    st.builds(PutRequest, users),
    st.builds(DropRequest, users),
)
message_changes: st.SearchStrategy[Change] = st.one_of(
    st.builds(Spoke, users, st.integers(1, 12)),
    st.builds(Mention, st.lists(st.sampled_from((*USERS, EVERYBODY)), max_size=3).map(tuple), seqs),
    st.builds(Reply, messages, seqs),
    st.builds(Edit, messages, seqs),
    st.builds(Recall, messages, seqs),
    st.builds(React, messages, users, reactions, seqs),
    st.builds(Unreact, messages, users, reactions),
)
cards = st.builds(
    PutCard,
    st.fixed_dictionaries(
        {},
        optional={
            "name": st.sampled_from(NAMES),
            "picture": st.just("p"),
            "owner": users,
            "ref": st.sampled_from(REFS),
            "dissolved": rarely(True, False),
            "discoverable": rarely(False, True),
            "category": st.sampled_from(CATEGORIES),
            "description": st.just("d"),
            "location": st.none() | places,
            "join_policy": st.just("approval"),
            "created_ms": st.integers(0, 3),
            "direct": rarely(True, False),
        },
    ),
)
tie_kinds = st.sampled_from(("binding", "live"))
tie_names = st.sampled_from(("shop", "ann", "群"))
tie_changes: st.SearchStrategy[Change] = st.one_of(
    st.builds(
        PutTie,
        tie_kinds,
        tie_names,
        st.integers(1, 3),
        state=st.sampled_from(("", "on")),
        note=st.sampled_from(("", "o-1")),
    ),
    st.builds(DropTie, tie_kinds, tie_names),
    st.builds(DropTies, st.lists(tie_kinds, unique=True).map(tuple)),
)
changes: st.SearchStrategy[Change] = st.one_of(people_changes, message_changes, cards, tie_changes)

account_changes: st.SearchStrategy[Change] = st.one_of(
    st.builds(
        PutProfile,
        name=st.sampled_from(("", "Called", "叫")),
        picture=st.sampled_from(("", "face")),
        plan=st.just("ordinary"),
        gender=st.sampled_from(("", "female", "male")),
        birth_year=st.none() | st.integers(1990, 1992),
    ),
    st.builds(
        PutChat,
        st.sampled_from(("hall", "yard", "nowhere")),
        st.fixed_dictionaries(
            {},
            optional={
                "pinned_ms": st.integers(0, 2),
                "do_not_disturb": st.booleans(),
                "marked_unread": st.booleans(),
                "shown": rarely(False, True),
            },
        ),
    ),
    st.builds(DropChat, st.sampled_from(("hall", "yard"))),
    st.builds(PutBlock, users),
    st.builds(DropBlock, users),
    st.builds(PutRevocation, st.integers(1, 9)),
)

entries = st.builds(
    AuditEntry,
    time_ms=st.integers(1, 9),
    key=st.sampled_from(("shop", "钥匙")),
    user=st.sampled_from(("", *USERS)),
    method=st.just("post"),
    stream=streams,
    seq=seqs,
    about=st.sampled_from(("", *USERS)),
)

draft_records = st.builds(
    DraftRecord, st.booleans(), rarely(True, False), users, st.binary(max_size=40)
)
group_appends = st.builds(
    DraftAppend,
    stream=st.sampled_from(GROUPS),
    misses_by=rarely(1, 0),
    records=st.lists(draft_records, max_size=4),
    changes=st.lists(changes, max_size=6),
    deadline_ms=st.none() | st.integers(1, 9),
    erase=st.lists(seqs, max_size=2),
    audit=st.lists(entries, max_size=2),
)
account_appends = st.builds(
    DraftAppend,
    stream=st.sampled_from(ACCOUNTS),
    misses_by=rarely(-1, 0),
    records=st.lists(draft_records, min_size=1, max_size=2),
    changes=st.lists(account_changes, max_size=4),
    deadline_ms=st.none(),
    erase=st.just(()),
)

drafts: st.SearchStrategy[Draft] = st.one_of(
    group_appends.map(lambda append: (append,)),
    account_appends.map(lambda append: (append,)),
    st.tuples(account_appends, group_appends),
    st.tuples(group_appends, group_appends).filter(lambda pair: pair[0].stream != pair[1].stream),
    st.builds(PutSnapshot, streams, st.integers(1, 9), st.integers(1, 2), st.binary(max_size=9)),
    st.builds(AdvanceCursor, st.sampled_from(GROUPS), users, seqs),
    st.builds(PutPosition, st.sampled_from(("one", "two")), seqs),
    st.builds(DropPosition, st.sampled_from(("one", "two")), st.lists(entries, max_size=1)),
    st.builds(PutAudit, st.lists(entries, max_size=3)),
    st.builds(DropAudit, st.integers(0, 6)),
)
rounds = st.lists(st.lists(drafts, min_size=1, max_size=4), min_size=1, max_size=12)


def resolve(draft: Draft, store: Store) -> Write:
    """Make a write of a draft, as a writer would who sees the store as it is now."""
    if isinstance(draft, PutSnapshot | AdvanceCursor | Register):
        return draft
    return AppendAll(tuple(_resolve_append(append, store) for append in draft))


def _resolve_append(draft: DraftAppend, store: Store) -> Append:
    head = store.head(draft.stream)
    n = head.n if head is not None else 0
    after = max(0, (head.seq if head is not None else 0) + draft.misses_by)
    drafted = draft.records
    if not after and not drafted:
        drafted = [DraftRecord(countable=True, followed=True, user="ann", body=b"first")]
    records = []
    for seq, record in enumerate(drafted, after + 1):
        n += record.countable
        records.append(
            Record(
                seq=seq,
                time_ms=seq,
                kind="posted" if record.countable else "noted",
                user=record.user,
                request_id="",
                audience=0,
                n=n,
                forget=0,
                followed=record.followed,
                header=b"header",
                salt=b"salt",
                request_hash=b"hash",
                body=record.body,
                inner=b"inner",
                chain=seq.to_bytes(4, "big"),
            )
        )
    return Append(
        draft.stream, after, records, draft.changes, draft.deadline_ms, draft.erase, draft.audit
    )
