"""A connection that has ended leaves nothing that only a look for cycles would find."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Iterator

import pytest
import trio
from trio.testing import MockClock

from groupd.engine.actor import Actor
from groupd.engine.outlet import Outlet
from groupd.engine.peer import Peer
from groupd.server.conversation import Conversation
from groupd.server.session import Session
from groupd.testing.links import FakeLink
from tests.server.bench import open_bench, settled

KINDS = (Session, Peer, Conversation, Actor, Outlet)


@pytest.fixture
def no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def counted() -> Counter[str]:
    return Counter(type(each).__name__ for each in gc.get_objects() if type(each) in KINDS)


@pytest.mark.usefixtures("no_collector")
async def test_what_a_session_was_made_of_goes_with_it(autojump_clock: MockClock) -> None:
    before = counted()
    async with open_bench(rate_limits=False) as bench:
        ann, bob = await bench.enter("ann"), await bench.enter("bob")
        group = await bench.found(ann, bob)
        for client in (ann, bob):
            await client.ask("post", group=group, text="hello")
            await client.ask("history", group=group)
            await client.exchange([("nonsense", {}), ("post", {"group": "none", "text": "?"})])
        while_there = counted() - before
        assert while_there["Session"] == while_there["Conversation"] == 2
        # One leaves, and one is cut off.
        await ann.close()
        assert isinstance(bob.link, FakeLink)
        bob.link.cut()
        # Until the deadline for a first request, somebody may still ask for them.
        await trio.sleep(bench.server.services.limits.hello_deadline_ms / 1_000 + 1)
        after = counted() - before
        assert (after["Session"], after["Peer"], after["Conversation"]) == (0, 0, 0)


@pytest.mark.usefixtures("no_collector")
async def test_a_stream_that_has_left_memory_leaves_nothing(autojump_clock: MockClock) -> None:
    before = counted()
    async with open_bench(rate_limits=False) as bench:
        ann = await bench.enter("ann")
        group = await bench.found(ann)
        await ann.ask("post", group=group, text="hello")
        await ann.close()
        await settled()
        assert (counted() - before)["Actor"]
        await bench.hub.passivate()
        after = counted() - before
        assert (after["Actor"], after["Outlet"]) == (0, 0)
