"""Writing the index as SQLite tables, in the transaction of the records it is made from.

``sqlite_groups.py`` reads who and what there is, ``sqlite_messages.py`` what is known of messages,
``sqlite_search.py`` keeps and searches names and places.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import attrs

from groupd.domain.base import ACCOUNT, StreamKey
from groupd.domain.projection import Change, Chat
from groupd.storage.fold import AccountFold, GroupFold
from groupd.storage.index import EMPTY_CARD, StoredCard
from groupd.storage.port import Append
from groupd.storage.sqlite_file import Row, SqliteFile
from groupd.storage.sqlite_rows import CARD
from groupd.storage.sqlite_schema import INDEX_NAMES, INDEX_TABLES
from groupd.storage.sqlite_search import SqliteSearch

_CARD_OF_ID: Final = f"select {CARD} from cards c where c.stream = ?"
_CARD_OF_STREAM: Final = f"""
    select {CARD} from streams s join cards c on c.stream = s.id
    where s.kind = ? and s.tenant = ? and s.key = ?"""
_HOLDER: Final = """
    select s.key from cards c join streams s on s.id = c.stream
    where c.tenant = ? and c.ref = ? and c.dissolved = 0"""

# Counting members is for new cards alone: it would take long for a big group.
_NEW_CARD: Final = """
    insert into cards (
        name, picture, owner, ref, dissolved, discoverable, category, description,
        lat, lon, join_policy, created_ms, direct, stream, tenant, members
    ) values (
        ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?14, ?,
        (select count(*) from members where stream = ?14)
    )"""
_SET_CARD: Final = """
    update cards set
        name = ?, picture = ?, owner = ?, ref = ?, dissolved = ?, discoverable = ?, category = ?,
        description = ?, lat = ?, lon = ?, join_policy = ?, created_ms = ?, direct = ?
    where stream = ?"""
_COUNT_MEMBERS: Final = "update cards set members = members + ? where stream = ?"

_DROP_MEMBER: Final = "delete from members where stream = ? and user = ?"
_PUT_MEMBER: Final = """
    insert into members (
        stream, user, tenant, key, role, name, joined_ms, joined_seq, floor, nickname,
        muted_until_ms
    ) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""
_SET_MEMBER: Final = """
    update members set
        role = coalesce(?, role), nickname = coalesce(?, nickname),
        muted_until_ms = coalesce(?, muted_until_ms)
    where stream = ? and user = ?"""
_PUT_REQUEST: Final = "insert or ignore into requests (stream, user, tenant) values (?, ?, ?)"
_DROP_REQUEST: Final = "delete from requests where stream = ? and user = ?"
_PUT_SPOKE: Final = """
    insert into spoke (stream, user, seq) values (?, ?, ?)
    on conflict (stream, user) do update set seq = excluded.seq"""
_PUT_MENTION: Final = "insert or ignore into mentions (stream, seq, user) values (?, ?, ?)"
_PUT_REPLY: Final = "insert or ignore into replies (stream, message, seq) values (?, ?, ?)"
_PUT_EDIT: Final = "insert or ignore into edits (stream, message, seq) values (?, ?, ?)"
_ERASE: Final = (
    "delete from mentions where stream = ? and seq = ?",
    "delete from replies where stream = ? and seq = ?",
    "delete from edits where stream = ? and seq = ?",
)

_RECALL: Final = "insert or ignore into recalls (stream, message, seq) values (?, ?, ?)"
_DROP_REACTIONS: Final = "delete from reactions where stream = ? and message = ?"
_DROP_TALLIES: Final = "delete from tallies where stream = ? and message = ?"
_UNREACT: Final = """
    delete from reactions where stream = ? and message = ? and reaction = ? and user = ?"""
_REACT: Final = """
    insert or ignore into reactions (stream, message, reaction, user, seq)
    select ?1, ?2, ?3, ?4, ?5
    where not exists (select 1 from recalls where stream = ?1 and message = ?2)"""
_TALLY: Final = """
    insert into tallies (stream, message, reaction, count) values (?, ?, ?, ?)
    on conflict (stream, message, reaction) do update set count = count + excluded.count"""
_DROP_EMPTY_TALLY: Final = """
    delete from tallies where stream = ? and message = ? and reaction = ? and count = 0"""

_PUT_TIE: Final = """
    insert or replace into ties (stream, name, kind, tenant, key, seq, state, note)
    values (?, ?, ?, ?, ?, ?, ?, ?)"""
_DROP_TIE: Final = "delete from ties where stream = ? and name = ? and kind = ?"
_DROP_TIES: Final = "delete from ties where stream = ? and kind = ?"

_PUT_PROFILE: Final = """
    insert or replace into profiles (tenant, user, name, picture, plan, gender, birth_year)
    values (?, ?, ?, ?, ?, ?, ?)"""
_CHAT: Final = """
    select pinned_ms, do_not_disturb, marked_unread, shown from chats
    where tenant = ? and user = ? and key = ?"""
_PUT_CHAT: Final = """
    insert or replace into chats (
        tenant, user, key, pinned_ms, do_not_disturb, marked_unread, shown
    ) values (?, ?, ?, ?, ?, ?, ?)"""
_DROP_CHAT: Final = "delete from chats where tenant = ? and user = ? and key = ?"
_PUT_BLOCK: Final = "insert or ignore into blocks (tenant, user, other) values (?, ?, ?)"
_DROP_BLOCK: Final = "delete from blocks where tenant = ? and user = ? and other = ?"

_PUT_REVOCATION: Final = """
    insert into revocations (tenant, user, before_ms) values (?, ?, ?)
    on conflict (tenant, user) do update set before_ms = max(before_ms, excluded.before_ms)"""


def _dump(kind: str, table: str, columns: str, order: str) -> str:
    return f"""
        select '{kind}', s.tenant, s.key, {columns} from {table} t join streams s on s.id = t.stream
        order by s.kind, s.tenant, s.key, {order}"""


_DUMPS: Final = (
    f"""
    select 'card', s.tenant, s.key, {CARD}, c.members
    from cards c join streams s on s.id = c.stream order by s.kind, s.tenant, s.key""",
    _dump(
        "member",
        "members",
        "user, role, name, joined_ms, joined_seq, floor, nickname, muted_until_ms",
        "user",
    ),
    _dump("request", "requests", "user", "user"),
    _dump("mention", "mentions", "seq, user", "seq, user"),
    _dump("spoke", "spoke", "user, seq", "user"),
    _dump("reply", "replies", "message, t.seq", "message, t.seq"),
    _dump("edit", "edits", "message, t.seq", "message, t.seq"),
    _dump("recall", "recalls", "message, t.seq", "message"),
    _dump("reaction", "reactions", "message, reaction, user, t.seq", "message, reaction, user"),
    _dump("tie", "ties", "t.name, t.kind, t.seq, t.state, t.note", "t.name, t.kind"),
    """
    select 'profile', tenant, user, name, picture, plan, gender, birth_year
    from profiles order by tenant, user""",
    """
    select 'chat', tenant, user, key, pinned_ms, do_not_disturb, marked_unread, shown
    from chats order by tenant, user, key""",
    "select 'block', tenant, user, other from blocks order by tenant, user, other",
    "select 'revocation', tenant, user, before_ms from revocations order by tenant, user",
)


class SqliteIndex:
    """Writes the index tables of a store's file. It belongs in a transaction."""

    def __init__(self, file: SqliteFile) -> None:
        self._file = file
        self._search = SqliteSearch(file)

    def append(self, stream_id: int, append: Append) -> None:
        """Write what an append changes."""
        if append.changes:
            self.apply(stream_id, append.stream, append.changes)
        if append.erase:
            bindings = [(stream_id, seq) for seq in append.erase]
            for sql in _ERASE:
                self._file.execute_many(sql, bindings)

    def put_spoke(self, rows: Sequence[Row]) -> None:
        """Write who spoke last where: the number of the stream, the user, and the seq."""
        self._file.execute_many(_PUT_SPOKE, rows)

    def apply(self, stream_id: int, stream: StreamKey, changes: Iterable[Change]) -> None:
        """Write changes of one stream, in their order."""
        if stream.kind == ACCOUNT:
            account = AccountFold()
            account.add(changes)
            self._write_account(stream.tenant, stream.key, account)
        else:
            group = GroupFold()
            group.add(changes)
            self._write_group(stream_id, stream, group)

    def clear(self) -> None:
        """Throw the index away and begin a new one, in the tables of this format."""
        for name in INDEX_NAMES:
            self._file.execute(f"drop table if exists {name}")
        for sql in INDEX_TABLES:
            self._file.execute(sql)

    # --- groups

    def _write_group(self, stream_id: int, stream: StreamKey, fold: GroupFold) -> None:
        execute_many = self._file.execute_many
        grown = self._write_members(stream_id, stream, fold)
        if fold.card is not None:
            self._write_card(stream_id, stream, fold.card, grown)
        elif grown:
            self._file.execute(_COUNT_MEMBERS, (grown, stream_id))
        for user, waits in fold.requests.items():
            if waits:
                self._file.execute(_PUT_REQUEST, (stream_id, user, stream.tenant))
            else:
                self._file.execute(_DROP_REQUEST, (stream_id, user))
        for sql, rows in (
            (_PUT_SPOKE, fold.spoke.items()),
            (_PUT_MENTION, fold.mentions),
            (_PUT_REPLY, fold.replies),
            (_PUT_EDIT, fold.edits),
        ):
            if rows:
                execute_many(sql, [(stream_id, *row) for row in rows])
        if fold.dropped_ties or fold.ties:
            self._write_ties(stream_id, stream, fold)
        if fold.unreacted or fold.reacted:
            self._write_reactions(stream_id, fold)
        if fold.recalls:
            messages = [(stream_id, message) for message in fold.recalls]
            execute_many(_RECALL, [(stream_id, *recall) for recall in fold.recalls.items()])
            execute_many(_DROP_REACTIONS, messages)
            execute_many(_DROP_TALLIES, messages)

    def _write_ties(self, stream_id: int, stream: StreamKey, fold: GroupFold) -> None:
        for kind in fold.dropped_ties:
            self._file.execute(_DROP_TIES, (stream_id, kind))
        for (kind, name), tie in fold.ties.items():
            if tie is None:
                self._file.execute(_DROP_TIE, (stream_id, name, kind))
            else:
                row = (name, kind, stream.tenant, stream.key, tie.seq, tie.state, tie.note)
                self._file.execute(_PUT_TIE, (stream_id, *row))

    def _write_members(self, stream_id: int, stream: StreamKey, fold: GroupFold) -> int:
        """Write the members' rows; give by how many they have grown."""
        grown = 0
        if fold.members:
            users = [(stream_id, user) for user in fold.members]
            rows = [
                (
                    *(stream_id, user, stream.tenant, stream.key, row.role, row.name),
                    *(row.joined_ms, row.joined_seq, row.floor, row.nickname, row.muted_until_ms),
                )
                for user, row in fold.members.items()
                if row is not None
            ]
            grown = len(rows) - self._file.execute_many(_DROP_MEMBER, users)
            self._file.execute_many(_PUT_MEMBER, rows)
        for user, values in fold.set_members.items():
            fields = (values.get(name) for name in ("role", "nickname", "muted_until_ms"))
            self._file.execute(_SET_MEMBER, (*fields, stream_id, user))
        return grown

    def _write_card(
        self, stream_id: int, stream: StreamKey, values: dict[str, Any], grown: int
    ) -> None:
        row = self._file.row(_CARD_OF_ID, (stream_id,))
        before = StoredCard.of_row(row) if row is not None else EMPTY_CARD
        after = attrs.evolve(before, **values)
        if row is None:
            self._file.execute(_NEW_CARD, (*after.row(), stream_id, stream.tenant))
        else:
            self._file.execute(_SET_CARD, (*after.row(), stream_id))
            if grown:
                self._file.execute(_COUNT_MEMBERS, (grown, stream_id))
        self._search.put(stream_id, stream.tenant, before, after)

    def _write_reactions(self, stream_id: int, fold: GroupFold) -> None:
        execute_many = self._file.execute_many
        for message, reaction, user in fold.unreacted:
            if execute_many(_UNREACT, [(stream_id, message, reaction, user)]):
                self._file.execute(_TALLY, (stream_id, message, reaction, -1))
        for message, to_it in fold.reacted.items():
            for (reaction, user), seq in to_it.items():
                if execute_many(_REACT, [(stream_id, message, reaction, user, seq)]):
                    self._file.execute(_TALLY, (stream_id, message, reaction, 1))
        gone = [(stream_id, message, reaction) for message, reaction, _user in fold.unreacted]
        execute_many(_DROP_EMPTY_TALLY, gone)

    # --- accounts

    def _write_account(self, tenant: str, user: str, fold: AccountFold) -> None:
        if fold.profile is not None:
            self._file.execute(_PUT_PROFILE, (tenant, user, *attrs.astuple(fold.profile)))
        for key in fold.dropped_chats:
            self._file.execute(_DROP_CHAT, (tenant, user, key))
        for key, values in fold.chats.items():
            row = self._file.row(_CHAT, (tenant, user, key))
            chat = attrs.evolve(Chat(*row) if row is not None else Chat(), **values)
            self._file.execute(_PUT_CHAT, (tenant, user, key, *attrs.astuple(chat)))
        for other, blocked in fold.blocks.items():
            self._file.execute(_PUT_BLOCK if blocked else _DROP_BLOCK, (tenant, user, other))
        if fold.revoked_before_ms:
            self._file.execute(_PUT_REVOCATION, (tenant, user, fold.revoked_before_ms))

    # --- claims

    def card(self, stream: StreamKey) -> StoredCard | None:
        """Give a group's card as it is stored."""
        row = self._file.row(_CARD_OF_STREAM, stream)
        return StoredCard.of_row(row) if row is not None else None

    def holder(self, tenant: str, ref: str) -> str | None:
        """Give the live group that has this ``ref``."""
        row = self._file.row(_HOLDER, (tenant, ref))
        return row[0] if row is not None else None

    # --- all of it

    def dump(self) -> Iterator[Row]:
        """Give all rows in the form and order of ``Store.dump_index``."""
        for sql in _DUMPS:
            yield from self._file.rows(sql)
        yield from self._search.dump()
