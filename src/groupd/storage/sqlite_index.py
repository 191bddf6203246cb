"""The index as SQLite tables: written in the transaction of the records it is made from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import attrs

from groupd.domain.base import GROUP, StreamKey
from groupd.domain.projection import (
    EVERYBODY,
    GroupCard,
    MemberRow,
    Membership,
    Numbers,
    Spoke,
)
from groupd.storage.index import EMPTY_CARD, Card, Fold, last_countable
from groupd.storage.port import Append
from groupd.storage.sqlite_file import Row, SqliteFile
from groupd.storage.sqlite_schema import INDEX_NAMES

_CARD: Final = "c.name, c.picture, c.owner, c.ref, c.dissolved, c.discoverable"

_PUT_CARD: Final = """
    insert into cards (stream, tenant, name, picture, owner, ref, dissolved, discoverable)
    values (?, ?, ?, ?, ?, ?, ?, ?)
    on conflict (stream) do update set
        name = excluded.name, picture = excluded.picture, owner = excluded.owner,
        ref = excluded.ref, dissolved = excluded.dissolved, discoverable = excluded.discoverable"""
_PUT_MEMBER: Final = """
    insert into members (stream, user, tenant, key, role, name, joined_ms, joined_seq, floor)
    values (?, ?, ?, ?, ?, ?, ?, ?, ?)
    on conflict (stream, user) do update set
        role = excluded.role, name = excluded.name, joined_ms = excluded.joined_ms,
        joined_seq = excluded.joined_seq, floor = excluded.floor"""
_DROP_MEMBER: Final = "delete from members where stream = ? and user = ?"
_PUT_SPOKE: Final = """
    insert into spoke (stream, user, seq) values (?, ?, ?)
    on conflict (stream, user) do update set seq = excluded.seq"""
_PUT_MENTION: Final = "insert or ignore into mentions (stream, seq, user) values (?, ?, ?)"
_ERASE_MENTIONS: Final = "delete from mentions where stream = ? and seq = ?"

_CARD_OF_STREAM: Final = f"""
    select {_CARD} from streams s join cards c on c.stream = s.id
    where s.kind = ? and s.tenant = ? and s.key = ?"""
_GROUP: Final = f"""
    select s.key, s.head, {_CARD} from streams s join cards c on c.stream = s.id
    where s.kind = ? and s.tenant = ? and s.key = ?"""
_GROUP_OF_REF: Final = f"""
    select s.key, s.head, {_CARD} from cards c join streams s on s.id = c.stream
    where c.tenant = ? and c.ref = ? and c.dissolved = 0"""
_MEMBERSHIP: Final = """
    select m.key, c.name, c.picture, m.role, m.joined_seq, m.floor, s.head, c.dissolved
    from members m join cards c on c.stream = m.stream join streams s on s.id = m.stream
    where m.tenant = ? and m.user = ?"""
_MEMBERSHIP_IN: Final = f"{_MEMBERSHIP} and m.key = ?"
_MEMBERSHIPS: Final = f"{_MEMBERSHIP} and m.key > ? and c.dissolved = 0 order by m.key limit ?"
_MEMBERS: Final = """
    select m.user, m.name, m.role, m.joined_ms from streams s join members m on m.stream = s.id
    where s.kind = ? and s.tenant = ? and s.key = ? and m.user > ? order by m.user limit ?"""
# A cross join keeps its order: strangers in no group then cost nothing.
_SHARED_NAME: Final = """
    select theirs.name
    from members theirs
    cross join members mine on mine.stream = theirs.stream and mine.user = ?
    cross join cards c on c.stream = theirs.stream and c.dissolved = 0
    where theirs.tenant = ? and theirs.user = ?
    order by theirs.joined_ms desc, theirs.key desc limit 1"""

_READ_STATE: Final = """
    select s.id, s.head, max(
        m.joined_seq,
        coalesce((select seq from cursors where stream = s.id and user = m.user), 0),
        coalesce((select seq from spoke where stream = s.id and user = m.user), 0)
    )
    from streams s join members m on m.stream = s.id
    where s.kind = ? and s.tenant = ? and s.key = ? and m.user = ?"""
_N_AT: Final = "select n from records where stream = ? and seq = ?"
# ?1 stream, ?2 head, ?3 how far the user has read, ?4 the user. Mentions are sought by user (the
# primary key): all those that a busy circle made since would be many.
_COUNTS: Final = f"""
    select
        (select n from records where stream = ?1 and seq = ?2),
        (select n from records where stream = ?1 and seq = ?2 - 1),
        (select n from records where stream = ?1 and seq = ?3),
        (
            select count(distinct m.seq)
            from mentions m indexed by sqlite_autoindex_mentions_1
            cross join records r on r.stream = ?1 and r.seq = m.seq
            where m.stream = ?1 and m.user in (?4, '{EVERYBODY}') and m.seq > ?3 and m.seq <= ?2
            and r.user <> ?4
        )"""

_DUMPS: Final = (
    f"""
    select 'card', s.tenant, s.key, {_CARD}
    from cards c join streams s on s.id = c.stream order by s.kind, s.tenant, s.key""",
    """
    select 'member', s.tenant, s.key, m.user, m.role, m.name, m.joined_ms, m.joined_seq, m.floor
    from members m join streams s on s.id = m.stream order by s.kind, s.tenant, s.key, m.user""",
    """
    select 'mention', s.tenant, s.key, m.seq, m.user
    from mentions m join streams s on s.id = m.stream
    order by s.kind, s.tenant, s.key, m.seq, m.user""",
    """
    select 'spoke', s.tenant, s.key, p.user, p.seq
    from spoke p join streams s on s.id = p.stream order by s.kind, s.tenant, s.key, p.user""",
)


def _card(row: Row) -> Card:
    name, picture, owner, ref, dissolved, discoverable = row
    return Card(name, picture, owner, ref, bool(dissolved), bool(discoverable))


def _membership(row: Row) -> Membership:
    values = list(row)
    values[-1] = row[-1] == 1
    return Membership(*values)


class SqliteIndex:
    """Reads and writes the index tables of a store's file. Writes belong in a transaction."""

    def __init__(self, file: SqliteFile) -> None:
        self._file = file

    # --- writing

    def append(self, stream_id: int, append: Append) -> None:
        """Write what an append changes."""
        changes = append.changes
        if len(changes) == 1 and type(changes[0]) is Spoke:
            # Nearly every append: a few posts of one member.
            self._file.execute(_PUT_SPOKE, (stream_id, changes[0].user, changes[0].seq))
        elif changes:
            fold = Fold()
            fold.add(changes)
            self.write(stream_id, append.stream, fold)
        if append.erase:
            self._file.execute_many(_ERASE_MENTIONS, [(stream_id, seq) for seq in append.erase])

    def write(self, stream_id: int, stream: StreamKey, fold: Fold) -> None:
        """Write changes of one stream."""
        execute_many = self._file.execute_many
        if fold.card is not None:
            card = attrs.evolve(self.card(stream) or EMPTY_CARD, **fold.card)
            self._file.execute(
                _PUT_CARD,
                (
                    *(stream_id, stream.tenant, card.name, card.picture, card.owner, card.ref),
                    *(card.dissolved, card.discoverable),
                ),
            )
        if fold.members:
            gone = [(stream_id, user) for user, row in fold.members.items() if row is None]
            execute_many(_DROP_MEMBER, gone)
            execute_many(
                _PUT_MEMBER,
                [
                    (
                        *(stream_id, user, stream.tenant, stream.key, row.role, row.name),
                        *(row.joined_ms, row.joined_seq, row.floor),
                    )
                    for user, row in fold.members.items()
                    if row is not None
                ],
            )
        if fold.spoke:
            execute_many(_PUT_SPOKE, [(stream_id, *item) for item in fold.spoke.items()])
        if fold.mentions:
            execute_many(_PUT_MENTION, [(stream_id, *mention) for mention in fold.mentions])

    def clear(self) -> None:
        """Empty the index."""
        for name in INDEX_NAMES:
            self._file.execute(f"delete from {name}")

    # --- claims

    def card(self, stream: StreamKey) -> Card | None:
        """Give a group's card as it is stored."""
        row = self._file.row(_CARD_OF_STREAM, stream)
        return _card(row) if row is not None else None

    def holder(self, tenant: str, ref: str) -> str | None:
        """Give the live group that has this ``ref``."""
        row = self._file.row(_GROUP_OF_REF, (tenant, ref))
        return row[0] if row is not None else None

    # --- reading

    def group(self, tenant: str, group: str) -> GroupCard | None:
        """Give a group's card."""
        row = self._file.row(_GROUP, (GROUP, tenant, group))
        return _card(row[2:]).of(row[0], row[1]) if row is not None else None

    def group_of_ref(self, tenant: str, ref: str) -> GroupCard | None:
        """Give the live group that has this ``ref``."""
        row = self._file.row(_GROUP_OF_REF, (tenant, ref))
        return _card(row[2:]).of(row[0], row[1]) if row is not None else None

    def membership(self, tenant: str, user: str, group: str) -> Membership | None:
        """Give one user's place in one group."""
        row = self._file.row(_MEMBERSHIP_IN, (tenant, user, group))
        return _membership(row) if row is not None else None

    def memberships(self, tenant: str, user: str, after: str, limit: int) -> Sequence[Membership]:
        """List a user's live groups, by group."""
        rows = self._file.rows(_MEMBERSHIPS, (tenant, user, after, limit))
        return [_membership(row) for row in rows]

    def numbers(self, tenant: str, user: str, upto: Mapping[str, int]) -> Mapping[str, Numbers]:
        """Give what is new to a user in each of the groups."""
        numbers = {}
        for group, head in upto.items():
            row = self._file.row(_READ_STATE, (GROUP, tenant, group, user))
            if row is not None:
                stream_id, stored_head, read = row
                numbers[group] = self._numbers(
                    stream_id, user, read=read, upto=min(head, stored_head)
                )
        return numbers

    def _numbers(self, stream_id: int, user: str, *, read: int, upto: int) -> Numbers:
        read = min(read, upto)
        row = self._file.row(_COUNTS, (stream_id, upto, read, user))
        assert row is not None
        known = {upto: row[0] or 0, upto - 1: row[1] or 0, read: row[2] or 0}

        def n_at(seq: int) -> int:
            if seq not in known:
                found = self._file.row(_N_AT, (stream_id, seq))
                known[seq] = found[0] if found is not None else 0
            return known[seq]

        return Numbers(
            read=read,
            unread=n_at(upto) - n_at(read),
            mentions=row[3],
            last_seq=last_countable(n_at, upto),
        )

    def members(self, tenant: str, group: str, after: str, limit: int) -> Sequence[MemberRow]:
        """List a group's members by user id."""
        rows = self._file.rows(_MEMBERS, (GROUP, tenant, group, after, limit))
        return [MemberRow(*row) for row in rows]

    def acquainted(self, tenant: str, user: str, users: Sequence[str]) -> Sequence[MemberRow]:
        """Give those of ``users`` that share a live group with ``user``, or are that user."""
        found = []
        for other in sorted(set(users)):
            row = self._file.row(_SHARED_NAME, (user, tenant, other))
            if row is not None:
                found.append(MemberRow(other, row[0], 0, 0))
            elif other == user:
                found.append(MemberRow(other, "", 0, 0))
        return found

    def dump(self) -> Iterator[tuple[object, ...]]:
        """Give all rows in the form and order of ``Store.dump_index``."""
        for sql in _DUMPS:
            for row in self._file.rows(sql):
                if row[0] == "card":
                    yield (*row[:-2], bool(row[-2]), bool(row[-1]))
                else:
                    yield row
