"""What only a check reads of SQLite: the index of one stream, and what hangs on no stream.

Placement rules:
- All of it is read in pieces. What has no stream is looked for by going from one number of a
  stream to the next in each table, which costs a search each and never a row more.
- What is stored twice (a tenant beside the number of a stream) counts only where both agree: so a
  row that some way of reading would miss is a row that is missing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from groupd.domain.base import ACCOUNT, GROUP, StreamKey
from groupd.errors import LogCorrupt
from groupd.storage.findings import WHOLE, Bound, Loose, Problem
from groupd.storage.sqlite_file import Row, SqliteFile
from groupd.storage.sqlite_rows import CARD
from groupd.wire.codec import decode_entries

FAULTS_MAX: Final = 100
"""Faults of the file that are told."""

_STREAM: Final = "select id from streams where kind = ? and tenant = ? and key = ?"

# ?1 is the number of the stream, ?2 its tenant, ?3 its key, ?4 and ?5 bound the first value.
_OF_GROUPS: Final = {
    "card": f"select {CARD}, c.members from cards c where c.stream = ?1 and c.tenant = ?2",
    "member": """
        select user, role, name, joined_ms, joined_seq, floor, nickname, muted_until_ms
        from members
        where stream = ?1 and tenant = ?2 and key = ?3 and user > ?4 and user <= ?5""",
    "request": """
        select user from requests
        where stream = ?1 and tenant = ?2 and user > ?4 and user <= ?5""",
    "spoke": """
        select user, seq from spoke where stream = ?1 and user > ?4 and user <= ?5""",
    "tie": """
        select name, kind, seq, state, note from ties
        where stream = ?1 and tenant = ?2 and key = ?3 and name > ?4 and name <= ?5""",
    "word": """
        select w.terms, t.id from words w left join tenants t on t.tenant = ?2
        where w.rowid = ?1""",
    # A box that has not its group in it is a place that no search finds.
    "place": """
        select p.lat, p.lon from places p join tenants t on t.id = p.tenant and t.tenant = ?2
        where p.id = ?1 and p.lat between p.lat_min and p.lat_max
        and p.lon between p.lon_min and p.lon_max
        and p.tenant between p.tenant_min and p.tenant_max""",
    "mention": """
        select seq, user from mentions where stream = ?1 and seq > ?4 and seq <= ?5""",
    "reply": """
        select message, seq from replies where stream = ?1 and message > ?4 and message <= ?5""",
    "edit": """
        select message, seq from edits where stream = ?1 and message > ?4 and message <= ?5""",
    "recall": """
        select message, seq from recalls where stream = ?1 and message > ?4 and message <= ?5""",
    "reaction": """
        select message, reaction, user, seq from reactions
        where stream = ?1 and message > ?4 and message <= ?5""",
    "tally": """
        select message, reaction, count from tallies
        where stream = ?1 and message > ?4 and message <= ?5""",
}
_OF_ACCOUNTS: Final = {
    "profile": """
        select name, picture, plan, gender, birth_year from profiles
        where tenant = ?1 and user = ?2""",
    "chat": """
        select key, pinned_ms, do_not_disturb, marked_unread, shown from chats
        where tenant = ?1 and user = ?2""",
    "revocation": "select before_ms from revocations where tenant = ?1 and user = ?2",
    "block": "select other from blocks where tenant = ?1 and user = ?2",
}
_FROM: Final = re.compile(r" and \w+ > \?4")
"""What bounds from below, and goes where there is no bound: beside a column of texts SQLite takes
a number for a text, so the lowest number of all is above ``+86`` and the empty user."""
_HIGHEST: Final = b"\xff" * 64
"""Numbers come before texts, and texts before bytes: so whatever a bit has made of a value is
before this, and found."""

_BY_STREAM: Final[Sequence[tuple[str, str]]] = (
    # table, and its column with the number of the stream
    *(("records", "stream"), ("snapshots", "stream"), ("cursors", "stream"), ("cards", "stream")),
    *(("members", "stream"), ("requests", "stream"), ("spoke", "stream"), ("mentions", "stream")),
    *(("replies", "stream"), ("edits", "stream"), ("recalls", "stream"), ("reactions", "stream")),
    *(("tallies", "stream"), ("ties", "stream")),
    *(("words_docsize", "id"), ("places_rowid", "rowid")),
)
"""The last two are what a full-text index and an R*Tree keep of their rows in plain tables."""
_BY_ACCOUNT: Final = ("profiles", "chats", "blocks", "revocations")

_NUMBERS: Final = """
    with recursive numbers (number) as (
        select min({column}) from {table} where {column} > ?1
        union all
        select (select min({column}) from {table} where {column} > number)
        from numbers where number is not null limit ?2
    )
    select number, (select s.kind from streams s where s.id = number)
    from numbers where number is not null"""
_USERS: Final = """
    select distinct t.tenant, t.user, exists (
        select 1 from streams s where s.kind = ?3 and s.tenant = t.tenant and s.key = t.user
    )
    from {table} t where (t.tenant, t.user) > (?1, ?2) order by t.tenant, t.user limit ?4"""
_STREAMS: Final = """
    select s.id, s.kind, s.tenant, s.key, (
        select k.id from streams k where k.kind = s.kind and k.tenant = s.tenant and k.key = s.key
    )
    from streams s where s.id > ? order by s.id limit ?"""
_FIRST: Final = "select header, user from records where stream = ? order by seq limit 1"
_COUNT: Final = "select count(*) from records where stream = ?"
_TENANT: Final = "select tenant from {} where stream = ? limit 1"
_POSITIONS: Final = """
    select name, position from positions
    where typeof(position) <> 'integer' or position < 0
    or position > (select coalesce(max(position), 0) from records)"""

_SENSELESS: Final = (LogCorrupt, ValueError, TypeError, LookupError)
"""What reading a damaged row may raise."""


class SqliteChecks:
    """Reads for checks."""

    def __init__(self, file: SqliteFile) -> None:
        self._file = file

    def index_rows(
        self, stream: StreamKey, kind: str, after: Bound = None, upto: Bound = None
    ) -> Sequence[Row]:
        """Give the rows of one kind of one stream; see ``Checks.index_rows``."""
        if stream.kind == ACCOUNT:
            return self._file.all_rows(_OF_ACCOUNTS[kind], (stream.tenant, stream.key))
        row = self._file.row(_STREAM, stream)
        if row is None:
            return ()
        sql = _OF_GROUPS[kind] if after is not None else _FROM.sub("", _OF_GROUPS[kind])
        bounds = (after, _HIGHEST if upto is None else upto)
        bindings = (row[0], stream.tenant, stream.key, *bounds)
        # SQLite takes as many as the highest number that is there.
        used = max(number for number in range(1, 6) if f"?{number}" in sql)
        rows = self._file.all_rows(sql, bindings[:used])
        return [_words(*row) for row in rows] if kind == "word" else rows

    def loose_ends(self, after: Loose | None, limit: int) -> tuple[Sequence[Problem], Loose | None]:
        """Look for rows that belong to nothing; see ``Checks.loose_ends``."""
        step, number, text = after or (0, -(2**63), "")
        problems: list[Problem] = []
        if step < len(_BY_STREAM):
            table, column = _BY_STREAM[step]
            last = self._loose_of_table(table, column, number, limit, problems)
            following = None if last is None else (step, last, "")
        elif step < len(_BY_STREAM) + len(_BY_ACCOUNT):
            table = _BY_ACCOUNT[step - len(_BY_STREAM)]
            user = self._loose_of_accounts(table, text, limit, problems)
            following = None if user is None else (step, 0, user)
        elif step == len(_BY_STREAM) + len(_BY_ACCOUNT):
            last = self._lost_streams(number, limit, problems)
            following = None if last is None else (step, last, "")
        else:
            problems += self._positions()
            return problems, None
        return problems, following or (step + 1, -(2**63), "")

    def file_faults(self) -> Sequence[str]:
        """Say what SQLite finds wrong with its trees and pages."""
        try:
            rows = self._file.all_rows(f"pragma integrity_check({FAULTS_MAX})")
            return [text for (text,) in rows if text != "ok"]
        except _SENSELESS as error:
            return [f"the file cannot be read: {error}"]

    def _loose_of_table(
        self, table: str, column: str, after: int, limit: int, problems: list[Problem]
    ) -> int | None:
        sql = _NUMBERS.format(table=table, column=column)
        try:
            rows = self._file.all_rows(sql, (after, limit))
            for number, kind in rows:
                if type(number) is not int:
                    what = f"the table {table} has rows of the stream {number!r}"
                    problems.append(Problem(WHOLE, 0, what))
                    return None
                if kind is None:
                    problems.append(self._orphan(table, number))
                elif kind != GROUP and table not in ("records", "snapshots"):
                    what = f"the table {table} has rows of stream {number}, which is no group"
                    problems.append(Problem(WHOLE, 0, what))
        except _SENSELESS as error:
            problems.append(_unreadable(table, error))
            return None
        last: int = rows[-1][0] if rows else after
        return last if len(rows) == limit and last > after else None

    def _orphan(self, table: str, number: int) -> Problem:
        """Say what has lost its stream, and name that if anything still does."""
        try:
            stream = self._name_of(number)
        except _SENSELESS:
            stream = None
        named = f"stream {number}" + ("" if stream is None else f", once {'/'.join(stream)}")
        if table != "records":
            what = f"the table {table} has rows of {named}, which is not in the table streams"
        else:
            (count,) = self._file.row(_COUNT, (number,)) or (0,)
            what = f"{count} records are there of {named}, which is not in the table streams"
        return Problem(stream or WHOLE, 0, what)

    def _name_of(self, number: int) -> StreamKey | None:
        row = self._file.row(_FIRST, (number,))
        if row is None:
            return None
        header, user = row
        group = decode_entries(header).get("group")
        if group is None:
            # An account's first record is by its user, and tells no tenant.
            return StreamKey(ACCOUNT, "", str(user))
        for table in ("cards", "members"):
            found = self._file.row(_TENANT.format(table), (number,))
            if found is not None:
                return StreamKey(GROUP, str(found[0]), str(group))
        return StreamKey(GROUP, "", str(group))

    def _loose_of_accounts(
        self, table: str, after: str, limit: int, problems: list[Problem]
    ) -> str | None:
        tenant, _slash, user = after.partition("\0")
        try:
            rows = self._file.all_rows(_USERS.format(table=table), (tenant, user, ACCOUNT, limit))
            for row_tenant, row_user, is_there in rows:
                if not is_there:
                    stream = StreamKey(ACCOUNT, str(row_tenant), str(row_user))
                    what = f"the table {table} has rows of this account, and it does not exist"
                    problems.append(Problem(stream, 0, what))
            last = f"{rows[-1][0]}\0{rows[-1][1]}" if rows else after
        except _SENSELESS as error:
            problems.append(_unreadable(table, error))
            return None
        is_ahead = bool(rows) and tuple(rows[-1][:2]) > (tenant, user)
        return last if len(rows) == limit and is_ahead else None

    def _lost_streams(self, after: int, limit: int, problems: list[Problem]) -> int | None:
        """Find streams that are there and not found by their keys."""
        try:
            rows = self._file.all_rows(_STREAMS, (after, limit))
        except _SENSELESS as error:
            problems.append(_unreadable("streams", error))
            return None
        for number, kind, tenant, key, found in rows:
            if found != number:
                stream = StreamKey(str(kind), str(tenant), str(key))
                problems.append(Problem(stream, 0, "it is not found by its key"))
        last: int = rows[-1][0] if rows else after
        return last if len(rows) == limit and last > after else None

    def _positions(self) -> Iterator[Problem]:
        try:
            for name, position in self._file.all_rows(_POSITIONS):
                what = f"the reactor {name!r} is at {position!r}, where no record is"
                yield Problem(WHOLE, 0, what)
        except _SENSELESS as error:
            yield _unreadable("positions", error)


def _words(text: str, number: int | None) -> Row:
    """Take the number of the tenant, which is this file's own, from each term if it is that."""
    lead = "" if number is None else f"{number:06x}"
    return (" ".join(term.removeprefix(lead) for term in text.split()),)


def _unreadable(table: str, error: BaseException) -> Problem:
    said = str(error) if isinstance(error, LogCorrupt) else repr(error)
    return Problem(WHOLE, 0, f"the table {table} cannot be read: {said}")
