"""What the tests of operating share: a store with some life in it, and a hand that damages it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import apsw
import trio

from groupd.client.ids import uuid7
from groupd.domain.base import ACCOUNT, GROUP, StreamKey
from groupd.domain.catalog import AGGREGATES
from groupd.engine.hub import Hub
from groupd.engine.ledger import project, snapshot_of
from groupd.engine.waiting import Waiter
from groupd.storage.port import Store
from groupd.storage.sqlite import SqliteStore
from groupd.storage.verify import all_streams, check_store
from groupd.wire import codec

FILE: Final = "groupd.sqlite3"


def group_key(group: str) -> StreamKey:
    return StreamKey(GROUP, "", group)


def account_key(user: str) -> StreamKey:
    return StreamKey(ACCOUNT, "", user)


async def live_a_little(hub: Hub, *, posts: int = 30) -> list[str]:
    """Found two groups and let there be some of everything; gives the groups."""
    ann, bob, eve = hub.act_as("ann", name="Ann"), hub.act_as("bob"), hub.act_as("eve")
    groups = [(await ann.create(name))["group"] for name in ("Tea 茶", "Chess")]
    for group in groups:
        await bob.join(group)
        for number in range(posts):
            await ann.post(group, text=f"message {number}")
        said = (await bob.post(group, text="I take this back", mentions=["ann"]))["seq"]
        await bob.recall(group, said)
        await bob.read(group, said)
        await ann.react(group, said - 1, reaction="👍")
        await ann.pin(group, said - 2)
        await ann.share_link(group)
    await eve.join(groups[0])
    await ann.kick(groups[0], "eve")
    revoked = Waiter()
    hub.revoke(account_key("eve"), None, revoked)
    await revoked.wait()
    await all_have_heard(hub)
    return groups


async def all_have_heard(hub: Hub) -> None:
    """Wait until the reactor has told all accounts what befell them."""
    while True:
        if not await hub.log.read(lambda store: store.followed(store.position("accounts"), 1)):
            return
        # The reactor stores its position once a second: a clock that jumps must get to jump.
        await trio.sleep(0.01)


def open_files(data: Path) -> SqliteStore:
    """Open a store, to look at it."""
    return SqliteStore.open(data, new_id=lambda: "new")


def names(directory: Path) -> list[str]:
    """Give the names of what is in a directory."""
    return sorted(path.name for path in directory.iterdir())


def hashes(store: Store) -> Mapping[StreamKey, bytes]:
    """Give the state hash of each stream, by all of its records."""
    return {stream: state_of(store, stream).hash() for stream in all_streams(store)}


def state_of(store: Store, stream: StreamKey) -> Any:
    state = AGGREGATES[stream.kind].state
    return state.load(codec.unpack(snapshot_of(store, stream).state))


def problems(store: Store) -> Sequence[str]:
    """Say all that is wrong with a store."""
    return [f"{p.stream.key} {p.seq} {p.what}" for p in check_store(store, project)]


def contents(data: Path) -> tuple[Any, ...]:
    """Give all that a store says: state hashes, chains, cursors, index."""
    store = open_files(data)
    try:
        assert problems(store) == []
        streams = list(all_streams(store))
        return (
            hashes(store),
            {stream: store.head(stream) for stream in streams},
            {key.key: store.cursors(key.tenant, key.key) for key in streams if key.kind == GROUP},
            list(store.dump_index()),
        )
    finally:
        store.close()


def damage(data: Path, stream: StreamKey, seq: int, column: str = "body") -> None:
    """Flip one bit of a stored record, as a disk might; the server must be stopped."""
    change(data, stream, seq, column, flip)


def flip(value: bytes) -> bytes:
    return value[:-1] + bytes([value[-1] ^ 1])


def change(data: Path, stream: StreamKey, seq: int, column: str, by: Any) -> None:
    with apsw.Connection(str(data / FILE)) as db:
        (position, value) = db.execute(
            f"select r.position, r.{column} from records r join streams s on s.id = r.stream "
            "where s.kind = ? and s.tenant = ? and s.key = ? and r.seq = ?",
            (*stream, seq),
        ).fetchone()
        db.execute(f"update records set {column} = ? where position = ?", (by(value), position))
    db.close()


def drop_snapshots(data: Path) -> None:
    db = apsw.Connection(str(data / FILE))
    db.execute("delete from snapshots")
    db.close()


def an_id(hub: Hub, number: int) -> str:
    return uuid7(hub.ports.clock.now_ms(), number)
