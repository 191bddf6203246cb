"""The tables of the SQLite store. Names and meanings are permanent; columns are only added.

A stream has a number, and everything else names it by that. Records lie in the order in which
they were written, whatever their stream: a round of posts to many groups then fills few pages
(a table in the order of stream and seq writes half as fast), and ``position`` is the global order.
"""

from __future__ import annotations

from typing import Final

APPLICATION_ID: Final = 0x67727064
"""``grpd``, in the header of the file."""

TABLES: Final = (
    """
    create table meta (
        one integer primary key check (one = 1),
        id text not null,
        format integer not null
    )""",
    # head, n, time_ms and chain repeat the newest record.
    """
    create table streams (
        id integer primary key,
        kind text not null,
        tenant text not null,
        key text not null,
        head integer not null,
        n integer not null,
        time_ms integer not null,
        chain blob not null,
        deadline_ms integer,
        unique (kind, tenant, key)
    )""",
    """
    create index streams_by_deadline on streams (deadline_ms, kind, tenant, key)
    where deadline_ms is not null""",
    # What is short stands before header and body, so that it is read from the first page.
    """
    create table records (
        position integer primary key,
        stream integer not null,
        seq integer not null,
        time_ms integer not null,
        kind text not null,
        user text not null,
        request_id text not null,
        audience integer not null,
        n integer not null,
        forget integer not null,
        followed integer not null,
        inner blob not null,
        chain blob not null,
        salt blob not null,
        request_hash blob not null,
        header blob not null,
        body blob,
        unique (stream, seq)
    )""",
    "create index records_followed on records (position) where followed = 1",
    """
    create table snapshots (
        stream integer primary key,
        seq integer not null,
        version integer not null,
        state blob not null
    )""",
    """
    create table cursors (
        stream integer not null,
        user text not null,
        seq integer not null,
        primary key (stream, user)
    ) without rowid""",
    """
    create table positions (
        name text primary key,
        position integer not null
    ) without rowid""",
)

INDEX_TABLES: Final = (
    """
    create table cards (
        stream integer primary key,
        tenant text not null,
        name text not null,
        picture text not null,
        owner text not null,
        ref text,
        dissolved integer not null,
        discoverable integer not null
    )""",
    """
    create unique index cards_by_ref on cards (tenant, ref)
    where ref is not null and dissolved = 0""",
    """
    create table members (
        stream integer not null,
        user text not null,
        tenant text not null,
        key text not null,
        role integer not null,
        name text not null,
        joined_ms integer not null,
        joined_seq integer not null,
        floor integer not null,
        primary key (stream, user)
    ) without rowid""",
    "create unique index members_by_user on members (tenant, user, key)",
    # A user's newest message in a group. It stays when they leave: joining again is later.
    """
    create table spoke (
        stream integer not null,
        user text not null,
        seq integer not null,
        primary key (stream, user)
    ) without rowid""",
    # By user first: a busy circle has many mentions, and few of any one member.
    """
    create table mentions (
        stream integer not null,
        user text not null,
        seq integer not null,
        primary key (stream, user, seq)
    ) without rowid""",
    "create index mentions_by_seq on mentions (stream, seq)",
)
INDEX_NAMES: Final = ("cards", "members", "spoke", "mentions")
