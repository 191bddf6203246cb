"""Reading the index in SQLite: groups, who is in them, and what accounts keep of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from groupd.domain.base import GROUP
from groupd.domain.projection import (
    Chat,
    GroupCard,
    Holdings,
    MemberRow,
    Membership,
    Profile,
)
from groupd.storage.sqlite_file import Row, SqliteFile
from groupd.storage.sqlite_rows import GROUP_CARD, group_card

_GROUP: Final = f"""
    select {GROUP_CARD} from streams s join cards c on c.stream = s.id
    where s.kind = ? and s.tenant = ? and s.key = ?"""
_GROUP_OF_REF: Final = f"""
    select {GROUP_CARD} from cards c join streams s on s.id = c.stream
    where c.tenant = ? and c.ref = ? and c.dissolved = 0"""

_OWNED: Final = """
    select s.key from cards c join streams s on s.id = c.stream
    where c.tenant = ? and c.owner = ? and c.dissolved = 0 and c.direct = 0 order by s.key"""
_JOINED: Final = """
    select
        (
            select count(*) from members m cross join cards c on c.stream = m.stream
            where m.tenant = ?1 and m.user = ?2 and c.dissolved = 0 and c.direct = 0
        ) + (
            select count(*) from requests r cross join cards c on c.stream = r.stream
            where r.tenant = ?1 and r.user = ?2 and c.dissolved = 0 and c.direct = 0
        ),
        (
            select count(*) from members m cross join cards c on c.stream = m.stream
            where m.tenant = ?1 and m.user = ?2 and c.dissolved = 0 and c.direct = 1
        )"""

_MEMBERSHIP: Final = """
    select
        m.key, c.name, c.picture, m.role, m.joined_seq, m.floor, s.head, c.dissolved, c.direct,
        m.muted_until_ms, h.pinned_ms, h.do_not_disturb, h.marked_unread, h.shown
    from members m
    cross join cards c on c.stream = m.stream
    cross join streams s on s.id = m.stream
    left join chats h on h.tenant = m.tenant and h.user = m.user and h.key = m.key
    where m.tenant = ? and m.user = ?"""
_MEMBERSHIP_IN: Final = f"{_MEMBERSHIP} and m.key = ?"
_MEMBERSHIPS: Final = f"{_MEMBERSHIP} and m.key > ? and c.dissolved = 0 order by m.key limit ?"
_MEMBERS: Final = """
    select
        m.user, coalesce(nullif(p.name, ''), m.name), m.role, m.joined_ms,
        coalesce(p.picture, ''), m.nickname, m.muted_until_ms
    from streams s
    cross join members m on m.stream = s.id
    left join profiles p on p.tenant = m.tenant and p.user = m.user
    where s.kind = ? and s.tenant = ? and s.key = ? and m.user > ? order by m.user limit ?"""
# A cross join keeps its order: strangers in no group then cost nothing.
_SHARED_NAME: Final = """
    select theirs.name
    from members theirs
    cross join members mine on mine.stream = theirs.stream and mine.user = ?
    cross join cards c on c.stream = theirs.stream and c.dissolved = 0
    where theirs.tenant = ? and theirs.user = ?
    order by theirs.joined_ms desc, theirs.key desc limit 1"""

_PROFILE: Final = """
    select name, picture, plan, gender, birth_year from profiles where tenant = ? and user = ?"""
_REVOKED: Final = "select before_ms from revocations where tenant = ? and user = ?"
_SHOWN: Final = f"""
    select {GROUP_CARD}
    from chats h
    cross join members m on m.tenant = h.tenant and m.user = h.user and m.key = h.key
    cross join cards c on c.stream = m.stream
    cross join streams s on s.id = m.stream
    where h.tenant = ? and h.user = ? and h.shown = 1 and c.dissolved = 0 and c.discoverable = 1
    order by h.key"""
_BLOCKERS: Final = """
    select user from blocks
    where tenant = ?1 and (user = ?2 and other = ?3 or user = ?3 and other = ?2) order by user"""
_BLOCKS: Final = """
    select other from blocks where tenant = ? and user = ? and other > ? order by other limit ?"""


class SqliteGroups:
    """Reads the index tables about groups and accounts."""

    def __init__(self, file: SqliteFile) -> None:
        self._file = file

    def group(self, tenant: str, group: str) -> GroupCard | None:
        """Give a group's card."""
        row = self._file.row(_GROUP, (GROUP, tenant, group))
        return group_card(row) if row is not None else None

    def group_of_ref(self, tenant: str, ref: str) -> GroupCard | None:
        """Give the live group that has this ``ref``."""
        row = self._file.row(_GROUP_OF_REF, (tenant, ref))
        return group_card(row) if row is not None else None

    def holdings(self, tenant: str, user: str) -> Holdings:
        """Give what a user owns and is in."""
        counts = self._file.row(_JOINED, (tenant, user))
        assert counts is not None
        owned = [row[0] for row in self._file.rows(_OWNED, (tenant, user))]
        return Holdings(owned, *counts)

    def membership(self, tenant: str, user: str, group: str) -> Membership | None:
        """Give one user's place in one group."""
        row = self._file.row(_MEMBERSHIP_IN, (tenant, user, group))
        return _membership(row) if row is not None else None

    def memberships(self, tenant: str, user: str, after: str, limit: int) -> Sequence[Membership]:
        """List a user's live groups, by group."""
        rows = self._file.rows(_MEMBERSHIPS, (tenant, user, after, limit))
        return [_membership(row) for row in rows]

    def members(self, tenant: str, group: str, after: str, limit: int) -> Sequence[MemberRow]:
        """List a group's members by user id."""
        rows = self._file.rows(_MEMBERS, (GROUP, tenant, group, after, limit))
        return [MemberRow(*row) for row in rows]

    def acquainted(self, tenant: str, user: str, users: Sequence[str]) -> Sequence[MemberRow]:
        """Give those of ``users`` that share a live group with ``user``, or are that user."""
        found = []
        for other in sorted(set(users)):
            row = self._file.row(_SHARED_NAME, (user, tenant, other))
            if row is not None or other == user:
                profile = self.profile(tenant, other) or Profile()
                name = profile.name or (row[0] if row is not None else "")
                found.append(MemberRow(other, name, 0, 0, profile.picture))
        return found

    def profile(self, tenant: str, user: str) -> Profile | None:
        """Give a user's profile, or None for one who was never seen."""
        row = self._file.row(_PROFILE, (tenant, user))
        return Profile(*row) if row is not None else None

    def revoked_before_ms(self, tenant: str, user: str) -> int:
        """Give before which time a user's tokens are revoked; 0 for none."""
        row = self._file.row(_REVOKED, (tenant, user))
        return int(row[0]) if row is not None else 0

    def shown(self, tenant: str, user: str) -> Sequence[GroupCard]:
        """List the groups on a user's profile, by group."""
        return [group_card(row) for row in self._file.rows(_SHOWN, (tenant, user))]

    def blockers(self, tenant: str, user: str, other: str) -> Sequence[str]:
        """Give which of two users have blocked the other, sorted."""
        return [row[0] for row in self._file.rows(_BLOCKERS, (tenant, user, other))]

    def blocks(self, tenant: str, user: str, after: str, limit: int) -> Sequence[str]:
        """List whom a user has blocked, by user id."""
        return [row[0] for row in self._file.rows(_BLOCKS, (tenant, user, after, limit))]


def _membership(row: Row) -> Membership:
    *place, dissolved, direct, muted_until_ms, pinned_ms, do_not_disturb, marked, shown = row
    chat = Chat()
    if pinned_ms is not None:
        chat = Chat(pinned_ms, bool(do_not_disturb), bool(marked), bool(shown))
    values = (*place, bool(dissolved), bool(direct), muted_until_ms, chat)
    return Membership(*values)
