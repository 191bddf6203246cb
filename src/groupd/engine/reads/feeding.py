"""The feed, for callers whose token lets them follow it."""

from __future__ import annotations

from groupd.domain.base import ACCOUNT, Identity, StreamKey
from groupd.domain.feeding import Ack, Changes, Consumers, ForgetConsumer, expect_scope
from groupd.engine.directory import Directory
from groupd.engine.feed import Change
from groupd.engine.peer import Peer
from groupd.engine.reads.common import Result
from groupd.wire import codec
from groupd.wire.codec import Encoded


async def changes(
    directory: Directory, caller: Identity, stream: StreamKey, query: Changes, peer: Peer | None
) -> Result:
    """Give what comes after a consumer's position; waits where there is nothing yet."""
    expect_scope(caller)
    page = await directory.shared.feed.read(
        caller.tenant,
        query.consumer,
        limit=query.limit,
        wait_ms=query.wait_ms,
        begin=query.begin,
    )
    entries = [
        ("changes", codec.encode_array([_shown(change) for change in page.changes])),
        ("more", codec.pack(page.more)),
    ]
    if page.cursor is not None:
        entries.append(("cursor", codec.pack(page.cursor)))
    return Encoded(codec.encode_map(entries))


def _shown(change: Change) -> bytes:
    whose = "user" if change.stream.kind == ACCOUNT else "group"
    return codec.encode_map(
        [
            ("stream", codec.pack(change.stream.kind)),
            (whose, codec.pack(change.stream.key)),
            ("event", change.encoded),
        ]
    )


async def ack(
    directory: Directory, caller: Identity, stream: StreamKey, query: Ack, peer: Peer | None
) -> Result:
    """Move a consumer's position forward."""
    expect_scope(caller)
    await directory.shared.feed.ack(caller.tenant, query.consumer, query.cursor)
    return {}


async def consumers(
    directory: Directory, caller: Identity, stream: StreamKey, query: Consumers, peer: Peer | None
) -> Result:
    """List the consumers of the tenant."""
    expect_scope(caller)
    found = await directory.shared.feed.consumers(caller.tenant)
    return {"consumers": [each.shown() for each in found]}


async def forget_consumer(
    directory: Directory,
    caller: Identity,
    stream: StreamKey,
    query: ForgetConsumer,
    peer: Peer | None,
) -> Result:
    """Take a consumer away."""
    expect_scope(caller)
    await directory.shared.feed.forget(caller.tenant, query.consumer)
    return {}
