"""One damaged record harms its own group only: its members still reach all the others.

Damage is what a disk may do: the store gives bytes that were not written. Until a check is run
nobody has looked at the hashes.
"""

from __future__ import annotations

import pytest
from trio.testing import MockClock

from groupd.domain.base import GROUP, StreamKey
from groupd.storage.memory import MemoryStore
from tests.e2e.raw import RawClient
from tests.server.bench import Bench, open_bench

DAMAGE = {
    "no bytes": b"",
    "a text that is cut": b"\x01\xa4text\xa9hel",
    "a byte that means nothing": b"\x01\xa4text\xc1",
    "no UTF-8": b"\x01\xa4text\xa2\xff\xff",
}


async def _damaged(bench: Bench, ann: RawClient, body: bytes) -> str:
    """Found two groups, and damage the newest record of the first; give the other one."""
    damaged, sound = await bench.found(ann, name="Damaged"), await bench.found(ann, name="Sound")
    for group in (damaged, sound):
        await ann.ask("post", group=group, text="hello")
    assert isinstance(bench.store, MemoryStore)
    records = bench.store._streams[StreamKey(GROUP, "", damaged)].records
    records[-1] = records[-1]._replace(body=body)
    await bench.hub.passivate()
    return sound


@pytest.mark.parametrize("body", DAMAGE.values(), ids=DAMAGE)
async def test_the_other_groups_are_served(autojump_clock: MockClock, body: bytes) -> None:
    async with open_bench() as bench:
        ann = await bench.enter("ann", events=False)
        sound = await _damaged(bench, ann, body)
        assert (await ann.ask("post", group=sound, text="still here"))["status"] == "posted"
        assert (await ann.ask("history", group=sound))["head"] == 4


@pytest.mark.parametrize("method", ["groups", "chats", "hello"])
@pytest.mark.parametrize("body", DAMAGE.values(), ids=DAMAGE)
async def test_a_list_of_groups_can_still_be_read(
    autojump_clock: MockClock, body: bytes, method: str
) -> None:
    async with open_bench() as bench:
        ann = await bench.enter("ann", events=False)
        sound = await _damaged(bench, ann, body)
        if method == "hello":
            listed = (await (await bench.enter("ann")).ask("groups"))["groups"]
        else:
            answer = await ann.ask(method)
            listed = answer["groups"] if method == "groups" else answer["chats"]
        assert {line["group"] for line in listed} >= {sound}
