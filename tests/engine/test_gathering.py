"""A group in which much is said: what comes right after a send leaves with the next one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from groupd.config import Limits
from groupd.domain.base import GROUP, Audience, StreamKey
from groupd.domain.group.membership import Leave
from groupd.domain.group.messages import Post
from groupd.engine.outlet import Outlet, Roster
from groupd.engine.peer import Peer
from groupd.engine.publication import Move, Publication
from tests.engine.rig import group_key, hub_on, new_store, play, records_of, settle
from tests.engine.test_outlet import Pile, crowd, session

READERS: Final = 4
LIMITS: Final = Limits(gather_above=READERS, gather_us=500, gather_max_bytes=100)
REST_S: Final = READERS * 0.0005
"""How long what follows a send is early."""
GATHERING: Final = Limits(gather_above=2, gather_us=50_000)
STREAM: Final = StreamKey(GROUP, "", "g")


class Tap:
    """A peer whose link takes everything; what it was given, send by send."""

    def __init__(self) -> None:
        self.sends: list[bytes] = []
        self.peer = Peer(
            try_send=self._try_send,
            wake=lambda: None,
            broken=lambda: None,
            head_of=lambda stream: 0,
            max_bytes=1_000,
        )

    def _try_send(self, data: bytes) -> int:
        self.sends.append(data)
        return len(data)


@asynccontextmanager
async def outlet_read_by(*taps: Tap, limits: Limits = LIMITS) -> AsyncIterator[Outlet]:
    async with trio.open_nursery() as nursery:
        outlet = Outlet(STREAM, 0, roster=Roster(), limits=limits, start_soon=nursery.start_soon)
        for tap in taps:
            outlet.subscribe(tap.peer, Audience.MEMBERS)
        yield outlet


def frame(seq: int) -> bytes:
    return b"%03d," % seq


def publish(outlet: Outlet, *seqs: int) -> None:
    outlet.publish(Publication(seqs[-1], [frame(seq) for seq in seqs]))


def virtually(main: Callable[[], Any]) -> Callable[[], None]:
    """Run a test in time that passes only while nothing else is to be done."""

    def run() -> None:
        play(main)

    run.__name__ = main.__name__
    run.__doc__ = main.__doc__
    return run


@virtually
async def test_what_follows_a_send_waits_and_leaves_in_one_piece() -> None:
    taps = [Tap() for _ in range(READERS)]
    async with outlet_read_by(*taps) as outlet:
        publish(outlet, 1)
        publish(outlet, 2)
        publish(outlet, 3, 4)
        assert [tap.sends for tap in taps] == [[b"001,"]] * READERS
        assert (outlet.published_seq, outlet.accepted_seq) == (1, 4)
        await trio.sleep(REST_S)
        await settle()
        assert [tap.sends for tap in taps] == [[b"001,", b"002,003,004,"]] * READERS
        assert (outlet.published_seq, outlet.accepted_seq) == (4, 4)


@virtually
async def test_an_isolated_batch_waits_for_nothing() -> None:
    taps = [Tap() for _ in range(READERS)]
    async with outlet_read_by(*taps) as outlet:
        for seq in (1, 2, 3):
            publish(outlet, seq)
            assert taps[0].sends[-1] == frame(seq)
            await trio.sleep(REST_S)


@virtually
async def test_after_a_pause_it_gathers_again() -> None:
    taps = [Tap() for _ in range(READERS)]
    async with outlet_read_by(*taps) as outlet:
        for first in (1, 11):
            publish(outlet, first)
            publish(outlet, first + 1)
            publish(outlet, first + 2)
            await trio.sleep(10 * REST_S)
        assert taps[0].sends == [b"001,", b"002,003,", b"011,", b"012,013,"]


@virtually
async def test_while_much_is_said_each_member_gets_one_send_for_each_rest() -> None:
    taps = [Tap() for _ in range(READERS)]
    async with outlet_read_by(*taps) as outlet:
        for seq in range(1, 41):
            publish(outlet, seq)
            await trio.sleep(REST_S / 8)
    assert b"".join(taps[0].sends) == b"".join(map(frame, range(1, 41)))
    assert len(taps[0].sends) <= 1 + 40 / 8 + 1


@virtually
async def test_few_readers_are_sent_everything_at_once() -> None:
    taps = [Tap() for _ in range(READERS - 1)]
    async with outlet_read_by(*taps) as outlet:
        publish(outlet, 1)
        publish(outlet, 2)
        assert taps[0].sends == [b"001,", b"002,"]


@virtually
async def test_what_is_large_together_leaves_at_once() -> None:
    taps = [Tap() for _ in range(READERS)]
    async with outlet_read_by(*taps) as outlet:
        publish(outlet, 1)
        publish(outlet, 2)
        publish(outlet, *range(3, 30))
        assert [len(send) for send in taps[0].sends] == [4, 4 * 28]


@virtually
async def test_what_changes_a_view_leaves_at_once_behind_what_has_gathered() -> None:
    taps = [Tap() for _ in range(READERS)]
    async with outlet_read_by(*taps) as outlet:
        publish(outlet, 1)
        publish(outlet, 2)
        outlet.publish(
            Publication(3, [frame(3)], moves=[Move(0, "mia", Audience.MEMBERS, lets_in=True)])
        )
        assert taps[0].sends == [b"001,", b"002,003,"]


@virtually
async def test_what_some_may_not_read_leaves_at_once_behind_what_has_gathered() -> None:
    taps = [Tap() for _ in range(READERS)]
    async with outlet_read_by(*taps) as outlet:
        publish(outlet, 1)
        publish(outlet, 2)
        outlet.publish(Publication(3, [frame(3)], masked={0: b"***,"}))
        assert taps[0].sends == [b"001,", b"002,***,"]


@virtually
async def test_who_comes_begins_after_what_has_gathered() -> None:
    taps, late = [Tap() for _ in range(READERS)], Tap()
    async with outlet_read_by(*taps) as outlet:
        publish(outlet, 1)
        publish(outlet, 2)
        assert outlet.subscribe(late.peer, Audience.MEMBERS) == 2
        publish(outlet, 3)
    assert taps[0].sends == [b"001,", b"002,", b"003,"]
    assert late.sends == [b"003,"]


@virtually
async def test_who_goes_has_been_sent_what_has_gathered() -> None:
    taps = [Tap() for _ in range(READERS)]
    async with outlet_read_by(*taps) as outlet:
        publish(outlet, 1)
        publish(outlet, 2)
        outlet.unsubscribe(taps[0].peer)
        publish(outlet, 3)
    assert taps[0].sends == [b"001,", b"002,"]
    assert taps[1].sends == [b"001,", b"002,", b"003,"]


@virtually
async def test_an_outlet_is_needed_while_something_has_gathered() -> None:
    taps = [Tap() for _ in range(READERS)]
    tidied: list[bool] = []
    async with trio.open_nursery() as nursery:
        outlet = Outlet(
            STREAM,
            0,
            roster=Roster(),
            limits=LIMITS,
            start_soon=nursery.start_soon,
            tidy=lambda one: tidied.append(one.idle),
        )
        for tap in taps:
            outlet.subscribe(tap.peer, Audience.MEMBERS)
        publish(outlet, 1)
        publish(outlet, 2)
        # As a broken connection does it: without a word to the outlet.
        outlet._views.clear()
        assert not outlet.idle
    assert tidied == [True]


@settings(max_examples=60, deadline=None)
@given(
    steps=st.lists(
        st.tuples(st.sampled_from(("say", "say", "say", "come", "go", "ask")), st.integers(0, 9)),
        max_size=60,
    )
)
def test_readers_come_and_go_and_miss_and_double_nothing(steps: list[tuple[str, int]]) -> None:
    async def main() -> None:
        taps = [Tap() for _ in range(10)]
        since: dict[int, int] = {}
        expected = [b""] * 10
        seq = 0
        async with outlet_read_by(*taps[:READERS]) as outlet:
            since.update(dict.fromkeys(range(READERS), 0))
            for what, number in steps:
                if what == "say":
                    publish(outlet, seq := seq + 1)
                    await trio.sleep(REST_S / 4 * (number // 3))
                elif what == "ask":
                    outlet.let_go()
                    assert outlet.published_seq == seq
                elif what == "come" and number not in since:
                    since[number] = outlet.subscribe(taps[number].peer, Audience.MEMBERS)
                    assert since[number] == seq
                elif what == "go" and number in since:
                    outlet.unsubscribe(taps[number].peer)
                    expected[number] += b"".join(map(frame, range(since.pop(number) + 1, seq + 1)))
        for number, after in since.items():
            expected[number] += b"".join(map(frame, range(after + 1, seq + 1)))
        assert [b"".join(tap.sends) for tap in taps] == expected
        assert outlet.published_seq == outlet.accepted_seq == seq

    play(main)


# --- in a hub


async def test_an_answer_does_not_wait_for_what_gathers() -> None:
    async with hub_on(limits=GATHERING) as hub:
        group, sessions = await crowd(hub, 3)
        for number in range(3):
            await hub.act_as("olga").post(group, f"message {number}")
        assert [len(each.seqs(group)) for each in sessions] == [1, 1, 1]


@pytest.mark.parametrize("read", ["history", "messages", "sync", "info"])
async def test_what_was_answered_is_in_what_is_read_next(read: str) -> None:
    async with hub_on(limits=GATHERING) as hub:
        group, sessions = await crowd(hub, 3)
        olga = hub.act_as("olga")
        first = (await olga.post(group, "one"))["seq"]
        seq = (await olga.post(group, "two"))["seq"]
        if read == "history":
            heads = [(await olga.history(group))["head"]]
        elif read == "messages":
            heads = [message["seq"] for message in (await olga.messages(group, [seq]))["messages"]]
        elif read == "sync":
            heads = [page["head"] for page in (await olga.sync({group: first}))["groups"]]
        else:
            heads = [(await olga.info(group))["head"]]
        assert heads == [seq]
        assert all(each.seqs(group) == [first, seq] for each in sessions)


async def test_a_new_session_and_one_that_parts_have_all_that_was_said_before() -> None:
    store = new_store()
    async with hub_on(store, limits=GATHERING) as hub:
        group, sessions = await crowd(hub, 3)
        for number in range(3):
            await hub.act_as("olga").post(group, f"message {number}")
        late = await session(hub, "olga")
        head = records_of(store, group_key(group))[-1].seq
        assert all(each.seqs(group) == [head - 2, head - 1, head] for each in sessions)
        assert late.seqs(group) == []
        await hub.act_as("olga").post(group, "more")
        sessions[0].part()
        assert sessions[0].seqs(group)[-1] == late.seqs(group)[-1] == head + 1


async def test_a_leaver_reads_their_leaving_behind_what_has_gathered() -> None:
    store = new_store()
    async with hub_on(store, limits=GATHERING) as hub:
        group, sessions = await crowd(hub, 3)
        for number in range(3):
            await hub.act_as("olga").post(group, f"message {number}")
        pile = Pile(hub, group)
        pile.add("user00", Leave())
        pile.add("olga", Post("unheard"))
        await settle()
        assert sessions[0].kinds(group) == ["posted", "posted", "posted", "left"]
        assert sessions[1].kinds(group)[-2:] == ["left", "posted"]
