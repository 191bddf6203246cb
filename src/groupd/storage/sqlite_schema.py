"""The tables of the SQLite store. Names and meanings are permanent; columns are only added.

A stream has a number, and everything else names it by that. Records lie in the order in which
they were written, whatever their stream: a round of posts to many groups then fills few pages
(a table in the order of stream and seq writes half as fast), and ``position`` is the global order.
"""

from __future__ import annotations

from typing import Final

APPLICATION_ID: Final = 0x67727064
"""``grpd``, in the header of the file."""

_REVOCATIONS: Final = """
    create table revocations (
        tenant text not null,
        user text not null,
        before_ms integer not null,
        primary key (tenant, user)
    ) without rowid"""

_AUDIT: Final = (
    # Numbers never come again, also where all of it was pruned.
    """
    create table audit (
        n integer primary key autoincrement,
        time_ms integer not null,
        by_key text not null,
        as_user text not null,
        method text not null,
        kind text not null,
        tenant text not null,
        key text not null,
        seq integer not null,
        about text not null
    )""",
    "create index audit_by_tenant on audit (tenant)",
    "create index audit_by_stream on audit (key, kind, tenant)",
)

# By name first, as the index shows them. One bound to 15,000 groups is read by the second.
_TIES: Final = """
    create table ties (
        stream integer not null,
        name text not null,
        kind text not null,
        tenant text not null,
        key text not null,
        seq integer not null,
        state text not null,
        note text not null,
        primary key (stream, name, kind)
    ) without rowid"""
_TIES_BY_NAME: Final = "create unique index ties_by_name on ties (tenant, kind, name, key)"

MIGRATIONS: Final = {
    1: ("alter table meta add column index_is_stale integer not null default 0",),
    2: (_REVOCATIONS,),
    3: (*_AUDIT, _TIES, _TIES_BY_NAME),
}
"""What takes a file of each older format to the next one, beside a new index."""
NEW_INDEX_BEFORE: Final = 2
"""Files of older formats get a new index. Later ones have it whole: what was added to it since
comes of events that they cannot have."""

TABLES: Final = (
    """
    create table meta (
        one integer primary key check (one = 1),
        id text not null,
        format integer not null,
        index_is_stale integer not null default 0
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
    *_AUDIT,
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
        discoverable integer not null,
        category text not null,
        description text not null,
        lat real,
        lon real,
        join_policy text not null,
        created_ms integer not null,
        direct integer not null,
        members integer not null
    )""",
    """
    create unique index cards_by_ref on cards (tenant, ref)
    where ref is not null and dissolved = 0""",
    """
    create index cards_by_owner on cards (tenant, owner)
    where dissolved = 0 and direct = 0""",
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
        nickname text not null,
        muted_until_ms integer not null,
        primary key (stream, user)
    ) without rowid""",
    "create unique index members_by_user on members (tenant, user, key)",
    # Join requests that wait for a decision.
    """
    create table requests (
        stream integer not null,
        user text not null,
        tenant text not null,
        primary key (stream, user)
    ) without rowid""",
    "create index requests_by_user on requests (tenant, user)",
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
    # Of the next ones, ``message`` is what an event with ``seq`` is about.
    """
    create table replies (
        stream integer not null,
        message integer not null,
        seq integer not null,
        primary key (stream, message, seq)
    ) without rowid""",
    "create index replies_by_seq on replies (stream, seq)",
    """
    create table edits (
        stream integer not null,
        message integer not null,
        seq integer not null,
        primary key (stream, message, seq)
    ) without rowid""",
    "create index edits_by_seq on edits (stream, seq)",
    """
    create table recalls (
        stream integer not null,
        message integer not null,
        seq integer not null,
        primary key (stream, message)
    ) without rowid""",
    """
    create table reactions (
        stream integer not null,
        message integer not null,
        reaction text not null,
        user text not null,
        seq integer not null,
        primary key (stream, message, reaction, user)
    ) without rowid""",
    "create index reactions_by_user on reactions (stream, message, user)",
    # How many rows of ``reactions`` there are: a circle of 50,000 can all like one message.
    """
    create table tallies (
        stream integer not null,
        message integer not null,
        reaction text not null,
        count integer not null,
        primary key (stream, message, reaction)
    ) without rowid""",
    _TIES,
    _TIES_BY_NAME,
    # --- from the logs of accounts; ``key`` is a group's
    """
    create table profiles (
        tenant text not null,
        user text not null,
        name text not null,
        picture text not null,
        plan text not null,
        gender text not null,
        birth_year integer,
        primary key (tenant, user)
    ) without rowid""",
    """
    create table chats (
        tenant text not null,
        user text not null,
        key text not null,
        pinned_ms integer not null,
        do_not_disturb integer not null,
        marked_unread integer not null,
        shown integer not null,
        primary key (tenant, user, key)
    ) without rowid""",
    "create index chats_shown on chats (tenant, user, key) where shown = 1",
    """
    create table blocks (
        tenant text not null,
        user text not null,
        other text not null,
        primary key (tenant, user, other)
    ) without rowid""",
    _REVOCATIONS,
    # --- the search: only groups that can be found are in ``words`` and ``places``
    """
    create table tenants (
        id integer primary key,
        tenant text not null unique
    )""",
    # See ``sqlite_search.py`` for what a term is. ``rowid`` is the stream.
    "create virtual table words using fts5(terms, tokenize = 'ascii', prefix = '9 11 13 15')",
    # The tenant is a dimension of its own, so that few of anybody else's groups are met. The boxes
    # are rounded to 32 bits; the last three columns are exact. ``id`` is the stream.
    """
    create virtual table places using rtree(
        id, lat_min, lat_max, lon_min, lon_max, tenant_min, tenant_max,
        +lat, +lon, +tenant
    )""",
)
INDEX_NAMES: Final = (
    *("cards", "members", "requests", "spoke", "mentions", "replies", "edits", "recalls"),
    *("reactions", "tallies", "ties", "profiles", "chats", "blocks", "revocations"),
    *("tenants", "words", "places"),
)
