"""Reading the index in SQLite: what is known of messages, and what is counted from them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Final

from groupd.domain.base import GROUP, Card, Record, StreamKey
from groupd.domain.projection import EVERYBODY, Numbers, Statistics
from groupd.storage.index import first_since, last_countable
from groupd.storage.sqlite_file import SqliteFile
from groupd.storage.sqlite_records import COLUMNS, record_of

_STREAM: Final = "select id, head from streams where kind = ? and tenant = ? and key = ?"

_READ_STATE: Final = """
    select s.id, s.head, max(
        m.joined_seq,
        coalesce((select seq from cursors where stream = s.id and user = m.user), 0),
        coalesce((select seq from spoke where stream = s.id and user = m.user), 0)
    )
    from streams s join members m on m.stream = s.id
    where s.kind = ? and s.tenant = ? and s.key = ? and m.user = ?"""
_N_AT: Final = "select n from records where stream = ? and seq = ?"
_TIME_AT: Final = "select time_ms from records where stream = ? and seq = ?"
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
        ),
        (
            select count(*) from recalls
            where stream = ?1 and message > ?3 and message <= ?2 and seq <= ?2
        )"""

# ?1 stream, ?2 seqs as JSON.
_MESSAGES: Final = """
    select
        r.seq, r.user, r.time_ms, r.kind,
        coalesce((select seq from recalls where stream = ?1 and message = r.seq), 0),
        (
            select json_group_array(e.seq) from (
                select seq from edits where stream = ?1 and message = r.seq order by seq
            ) e
        ),
        (
            select json_group_object(reaction, count) from tallies
            where stream = ?1 and message = r.seq
        ),
        (select count(*) from replies where stream = ?1 and message = r.seq)
    from records r where r.stream = ?1 and r.seq in (select value from json_each(?2))"""
_REACTIONS_OF: Final = """
    select message, reaction, seq from reactions indexed by reactions_by_user
    where stream = ? and user = ? and message in (select value from json_each(?))
    order by message, reaction"""
_REACTORS: Final = """
    select user from reactions
    where stream = ? and message = ? and reaction = ? and user > ? order by user limit ?"""
_REPLIES: Final = f"""
    select {COLUMNS} from replies p cross join records r on r.stream = p.stream and r.seq = p.seq
    where p.stream = ? and p.message = ? and p.seq > ? order by p.seq limit ?"""

# ?1 stream, ?2 the first seq that counts as active.
_PEOPLE: Final = """
    select
        count(*),
        coalesce(sum(p.gender = 'female'), 0),
        coalesce(sum(
            exists (select 1 from spoke where stream = ?1 and user = m.user and seq >= ?2)
        ), 0),
        count(p.birth_year),
        coalesce(sum(p.birth_year), 0)
    from members m left join profiles p on p.tenant = m.tenant and p.user = m.user
    where m.stream = ?1"""
_LAST_EDIT: Final = "select max(seq) from edits where stream = ? and message = ? and seq <= ?"
_RECALLED: Final = """
    select count(*) from recalls where stream = ? and message >= ? and message < ?"""


class SqliteMessages:
    """Reads the index tables about messages, together with the records."""

    def __init__(self, file: SqliteFile) -> None:
        self._file = file

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
                known[seq] = self._value(_N_AT, stream_id, seq)
            return known[seq]

        last = last_countable(n_at, upto)
        edit = self._file.row(_LAST_EDIT, (stream_id, last, upto))
        return Numbers(
            read=read,
            unread=n_at(upto) - n_at(read) - row[4],
            mentions=row[3],
            last_seq=last,
            last_edit=edit[0] if edit is not None and edit[0] is not None else 0,
        )

    def _value(self, sql: str, stream_id: int, seq: int) -> int:
        row = self._file.row(sql, (stream_id, seq))
        return row[0] if row is not None else 0

    def messages(self, stream: StreamKey, seqs: Sequence[int]) -> Mapping[int, Card]:
        """Give the cards of those of the records that exist."""
        row = self._file.row(_STREAM, stream)
        if row is None:
            return {}
        rows = self._file.rows(_MESSAGES, (row[0], json.dumps(list(seqs))))
        return {
            seq: Card(user, time_ms, kind, recalled, json.loads(edits), json.loads(tally), replies)
            for seq, user, time_ms, kind, recalled, edits, tally, replies in rows
        }

    def reactions_of(
        self, stream: StreamKey, user: str, seqs: Sequence[int]
    ) -> Mapping[int, Mapping[str, int]]:
        """Give a user's reactions: message -> reaction -> seq of the event."""
        found: dict[int, dict[str, int]] = {}
        row = self._file.row(_STREAM, stream)
        if row is not None:
            rows = self._file.rows(_REACTIONS_OF, (row[0], user, json.dumps(list(seqs))))
            for message, reaction, seq in rows:
                found.setdefault(message, {})[reaction] = seq
        return found

    def reactors(
        self, stream: StreamKey, message: int, reaction: str, after: str, limit: int
    ) -> Sequence[str]:
        """List who has reacted so to a message, by user id."""
        row = self._file.row(_STREAM, stream)
        if row is None:
            return ()
        rows = self._file.rows(_REACTORS, (row[0], message, reaction, after, limit))
        return [row[0] for row in rows]

    def replies(self, stream: StreamKey, message: int, after: int, limit: int) -> Sequence[Record]:
        """List the replies to a message, in order."""
        row = self._file.row(_STREAM, stream)
        if row is None:
            return ()
        rows = self._file.rows(_REPLIES, (row[0], message, after, limit))
        return [record_of(row) for row in rows]

    def statistics(
        self, tenant: str, group: str, *, active_since_ms: int, from_ms: int, until_ms: int
    ) -> Statistics:
        """Count a group's members and its messages in a span of time."""
        row = self._file.row(_STREAM, (GROUP, tenant, group))
        if row is None:
            return Statistics(0, 0, 0, 0, 0, 0)
        stream_id, head = row

        def first(since_ms: int) -> int:
            return first_since(
                lambda seq: self._value(_TIME_AT, stream_id, seq), head=head, since_ms=since_ms
            )

        people = self._file.row(_PEOPLE, (stream_id, first(active_since_ms)))
        assert people is not None
        members, women, active, birth_years, birth_year_sum = people
        begin = first(from_ms)
        end = max(begin, first(until_ms))
        (recalled,) = self._file.row(_RECALLED, (stream_id, begin, end)) or (0,)
        counted = self._value(_N_AT, stream_id, end - 1) - self._value(_N_AT, stream_id, begin - 1)
        return Statistics(
            members=members,
            women=women,
            active=active,
            birth_years=birth_years,
            birth_year_sum=birth_year_sum,
            messages=counted - recalled,
        )
