"""The statements of ``sqlite.py``: what is read of streams, records and positions."""

from __future__ import annotations

from typing import Final

from groupd.storage.sqlite_records import COLUMNS

STREAM: Final = "select id, head from streams where kind = ? and tenant = ? and key = ?"
HEAD: Final = """
    select head, n, time_ms, chain, deadline_ms from streams
    where kind = ? and tenant = ? and key = ?"""
STREAMS: Final = """
    select kind, tenant, key from streams where (kind, tenant, key) > (?, ?, ?)
    order by kind, tenant, key limit ?"""
SNAPSHOT: Final = """
    select p.seq, p.version, p.state from streams s join snapshots p on p.stream = s.id
    where s.kind = ? and s.tenant = ? and s.key = ?"""
DUE: Final = """
    select kind, tenant, key from streams where deadline_ms <= ?
    order by deadline_ms, kind, tenant, key limit ?"""
NEXT_DEADLINE: Final = "select min(deadline_ms) from streams where deadline_ms is not null"
POSITION: Final = "select position from positions where name = ?"
FOLLOWED: Final = f"""
    select r.position, s.kind, s.tenant, s.key, {COLUMNS}
    from records r join streams s on s.id = r.stream
    where r.followed = 1 and r.position > ? order by r.position limit ?"""
CHANGES: Final = f"""
    select r.position, s.kind, s.tenant, s.key, {COLUMNS}
    from records r join streams s on s.id = r.stream
    where r.position > ? order by r.position limit ?"""
POSITIONS: Final = """
    select name, position from positions where substr(name, 1, ?) = ? order by name"""
LAST_POSITION: Final = "select max(position) from records"
CURSORS: Final = """
    select c.user, c.seq from streams s join cursors c on c.stream = s.id
    where s.kind = ? and s.tenant = ? and s.key = ?"""
