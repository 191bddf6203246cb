"""A busy group: small batches that follow one another closely leave in one piece."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial, wraps
from typing import Any, Final

import attrs
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from groupd.config import Limits
from groupd.domain.base import GROUP, Audience, StreamKey
from groupd.domain.catalog import EVENTS
from groupd.domain.group.membership import Leave
from groupd.domain.group.messages import Post
from groupd.engine.gathering import BATCHES_MIN, CLOSE, CLOSE_MIN, Gathering
from groupd.engine.hub import Hub
from groupd.engine.outlet import RETRY_S, Outlet
from groupd.engine.publication import Publication
from groupd.engine.roster import Roster
from groupd.errors import Rejected
from groupd.wire.rpc import Notification, Response
from tests.engine.rig import FakeSession, Tap, frame, hub_on, play, settle
from tests.engine.test_outlet import Pile, crowd, session

READERS: Final = 4
LIMITS: Final = Limits(gather_above=READERS, gather_us=500, gather_max_bytes=100)
REST_S: Final = READERS * 0.0005
CLOSE_S: Final = CLOSE * REST_S
GATHERING: Final = Limits(gather_above=2, gather_us=10_000)
STREAM: Final = StreamKey(GROUP, "", "g")


@asynccontextmanager
async def outlet_read_by(*taps: Tap, limits: Limits = LIMITS) -> AsyncIterator[Outlet]:
    """Give an outlet that nothing was published on."""
    async with trio.open_nursery() as nursery:
        outlet = Outlet(STREAM, 0, roster=Roster(), limits=limits, start_soon=nursery.start_soon)
        for tap in taps:
            outlet.subscribe(tap.peer, Audience.MEMBERS)
        yield outlet


@asynccontextmanager
async def busy_outlet(*taps: Tap) -> AsyncIterator[Outlet]:
    """Give an outlet that rests from now on. So far it has sent up to seq 0, which is forgotten."""
    async with outlet_read_by(*taps) as outlet:
        for seq in range(-CLOSE_MIN, 1):
            publish(outlet, seq)
        for tap in taps:
            tap.sends.clear()
        yield outlet


def batch(*seqs: int) -> Publication:
    return Publication(seqs[-1], [frame(seq) for seq in seqs], can_wait=True)


def publish(outlet: Outlet, *seqs: int) -> None:
    outlet.publish(batch(*seqs))


def virtually(main: Callable[..., Any]) -> Callable[..., None]:
    """Run a test in time that passes only while nothing else is to be done."""

    @wraps(main)
    def run(**given: Any) -> None:
        play(partial(main, **given))

    return run


# --- when to keep what


@pytest.mark.parametrize("kind", EVENTS[GROUP])
def test_nothing_that_changes_a_view_or_is_for_some_alone_can_wait(kind: str) -> None:
    event = EVENTS[GROUP][kind]
    assert not (event.can_wait and (event.moves or event.audience))


def send(
    gathering: Gathering, at_s: float, *, took_s: float = 0, subscribers: int = READERS
) -> None:
    """Have one batch added and sent."""
    assert gathering.add(batch(1), at_s) is not None
    gathering.sent(subscribers, began_s=at_s, ended_s=at_s + took_s)


def test_a_stream_rests_once_two_sends_in_a_row_were_close_upon_another() -> None:
    gathering = Gathering(LIMITS)
    send(gathering, 1.0, took_s=0.5)
    send(gathering, 1.5 + CLOSE_S / 2, took_s=0.5)
    assert gathering.rests_until_s < 0
    send(gathering, 2.0 + CLOSE_S)
    assert gathering.rests_until_s == pytest.approx(2.0 + CLOSE_S + REST_S)


def test_one_send_that_is_not_close_upon_another_begins_it_anew() -> None:
    gathering = Gathering(LIMITS)
    for at_s in (1.0, 1.0, 1.1, 1.1, 1.2, 1.2):
        send(gathering, at_s)
    assert gathering.rests_until_s < 0


def test_it_goes_on_resting_while_a_send_takes_up_several_batches() -> None:
    gathering = Gathering(LIMITS)
    for at_s in (1.0, 1.0, 1.0):
        send(gathering, at_s)
    for at_s in (2.0, 3.0, 4.0):
        for _ in range(BATCHES_MIN):
            gathering.add(batch(1), gathering.rests_until_s - REST_S / 2)
        assert gathering.take() is not None
        gathering.sent(READERS, began_s=at_s, ended_s=at_s)
        assert gathering.rests_until_s == pytest.approx(at_s + REST_S)
    gathering.add(batch(1), 4.0)
    gathering.take()
    gathering.sent(READERS, began_s=5.0, ended_s=5.0)
    assert gathering.rests_until_s < 0


def test_no_rest_is_longer_than_people_notice() -> None:
    gathering = Gathering(Limits(gather_us=10**12, gather_max_ms=30))
    for _ in range(3):
        send(gathering, 1.0, subscribers=1_000)
    assert gathering.rests_until_s == pytest.approx(1.03)


def test_what_is_small_waits_for_the_rest_to_end() -> None:
    gathering = Gathering(LIMITS)
    for _ in range(3):
        send(gathering, 1.0)
    assert gathering.add(batch(1), 1.0) is None
    assert gathering.add(batch(2), 1.0 + REST_S / 2) is None
    assert gathering.kept == batch(1, 2)
    assert gathering.add(batch(3), 1.0 + REST_S) == batch(1, 2, 3)
    assert gathering.kept is None


def test_size_is_counted_over_all_that_waits() -> None:
    gathering = Gathering(LIMITS)
    for _ in range(3):
        send(gathering, 1.0)
    for seq in range(1, 25):
        assert gathering.add(batch(seq), 1.0) is None
    assert gathering.add(batch(25), 1.0) == batch(*range(1, 26))


def test_no_more_waits_than_fits_a_batch() -> None:
    gathering = Gathering(attrs.evolve(LIMITS, batch_max_bytes=7))
    for _ in range(3):
        send(gathering, 1.0)
    assert gathering.add(batch(1), 1.0) is None
    assert gathering.add(batch(2), 1.0) == batch(1, 2)


# --- in an outlet


@virtually
async def test_in_a_busy_group_what_follows_a_send_leaves_in_one_piece() -> None:
    taps = [Tap() for _ in range(READERS)]
    async with busy_outlet(*taps) as outlet:
        publish(outlet, 1)
        publish(outlet, 2, 3)
        assert [tap.sends for tap in taps] == [[]] * READERS
        assert (outlet.published_seq, outlet.accepted_seq) == (0, 3)
        await trio.sleep(REST_S)
        await settle()
        assert [tap.sends for tap in taps] == [[b"001,002,003,"]] * READERS
        assert (outlet.published_seq, outlet.accepted_seq) == (3, 3)


@virtually
async def test_batches_that_come_one_by_one_wait_for_nothing() -> None:
    taps = [Tap() for _ in range(READERS)]
    async with outlet_read_by(*taps) as outlet:
        for seq in range(1, 20):
            publish(outlet, seq)
            assert taps[0].sends[-1] == frame(seq)
            await trio.sleep(CLOSE_S * 1.01)


@virtually
async def test_while_much_is_said_each_member_gets_one_send_for_each_rest() -> None:
    taps = [Tap() for _ in range(READERS)]
    async with busy_outlet(*taps) as outlet:
        for seq in range(1, 41):
            publish(outlet, seq)
            await trio.sleep(REST_S / 8)
    assert taps[0].got == b"".join(map(frame, range(1, 41)))
    assert len(taps[0].sends) <= 40 / 8 + 1


@virtually
async def test_what_is_let_go_in_a_rest_begins_another_one() -> None:
    taps = [Tap() for _ in range(READERS)]
    async with busy_outlet(*taps) as outlet:
        for seq in range(1, 1 + BATCHES_MIN):
            publish(outlet, seq)
        await trio.sleep(REST_S / 2)
        outlet.let_go()
        publish(outlet, 4)
        await trio.sleep(REST_S * 0.9)
        assert taps[0].sends == [b"001,002,003,"]
        await trio.sleep(REST_S * 0.2)
        assert taps[0].sends == [b"001,002,003,", b"004,"]


@virtually
async def test_after_a_pause_it_gathers_again() -> None:
    taps = [Tap() for _ in range(READERS)]
    async with outlet_read_by(*taps) as outlet:
        for first in (1, 11):
            for seq in range(first, first + 5):
                publish(outlet, seq)
            await trio.sleep(10 * REST_S)
        first, second = [b"001,", b"002,", b"003,", b"004,005,"], [b"011,", b"012,", b"013,"]
        assert taps[0].sends == [*first, *second, b"014,015,"]


@virtually
async def test_few_readers_are_sent_everything_at_once() -> None:
    taps = [Tap() for _ in range(READERS - 1)]
    async with outlet_read_by(*taps) as outlet:
        for seq in range(1, 10):
            publish(outlet, seq)
        assert taps[0].sends == [frame(seq) for seq in range(1, 10)]


@virtually
async def test_what_is_large_together_leaves_at_once() -> None:
    taps = [Tap() for _ in range(READERS)]
    async with busy_outlet(*taps) as outlet:
        publish(outlet, 1)
        publish(outlet, *range(2, 30))
        assert [len(send) for send in taps[0].sends] == [4 * 29]


@virtually
async def test_what_is_no_message_leaves_at_once_behind_what_is_kept() -> None:
    taps = [Tap() for _ in range(READERS)]
    async with busy_outlet(*taps) as outlet:
        publish(outlet, 1)
        outlet.publish(Publication(2, [frame(2)]))
        assert taps[0].sends == [b"001,002,"]


@virtually
async def test_what_could_not_be_sent_is_kept_and_sent_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    taps = [Tap() for _ in range(READERS)]
    real, failures = Outlet._deliver, [RuntimeError("a bug"), RuntimeError("a bug")]

    def deliver(self: Outlet, *args: Any) -> None:
        if failures:
            raise failures.pop()
        real(self, *args)

    async with busy_outlet(*taps) as outlet:
        monkeypatch.setattr(Outlet, "_deliver", deliver)
        publish(outlet, 1)
        outlet.let_go()
        assert (outlet.published_seq, outlet.accepted_seq) == (0, 1)
        publish(outlet, 2)
        await trio.sleep(3 * RETRY_S)
        assert [tap.sends for tap in taps] == [[b"001,002,"]] * READERS


@virtually
async def test_a_signal_comes_behind_what_is_kept() -> None:
    taps = [Tap() for _ in range(READERS)]
    async with busy_outlet(*taps) as outlet:
        publish(outlet, 1)
        outlet.signal(b"typing", except_=[taps[0].peer])
        assert taps[0].sends == [b"001,"]
        assert taps[1].sends == [b"001,", b"typing"]


@virtually
async def test_who_comes_begins_after_what_is_kept() -> None:
    taps, late = [Tap() for _ in range(READERS)], Tap()
    async with busy_outlet(*taps) as outlet:
        publish(outlet, 1)
        assert outlet.subscribe(late.peer, Audience.MEMBERS) == 1
        publish(outlet, 2)
    assert taps[0].sends == [b"001,", b"002,"]
    assert late.sends == [b"002,"]


@virtually
async def test_who_goes_has_been_sent_what_is_kept() -> None:
    taps = [Tap() for _ in range(READERS + 1)]
    async with busy_outlet(*taps) as outlet:
        publish(outlet, 1)
        outlet.unsubscribe(taps[0].peer)
        publish(outlet, 2)
    assert taps[0].sends == [b"001,"]
    assert taps[1].sends == [b"001,", b"002,"]


@virtually
async def test_an_outlet_is_needed_while_something_is_kept() -> None:
    taps = [Tap() for _ in range(READERS)]
    tidied: list[bool] = []
    async with busy_outlet(*taps) as outlet:
        outlet._tidy = lambda one: tidied.append(one.idle)
        publish(outlet, 1)
        # As a broken connection does it: without a word to the outlet.
        outlet._views.clear()
        assert not outlet.idle
    assert tidied == [True]


@settings(max_examples=60, deadline=None)
@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from(("say", "say", "say", "say", "come", "go", "show")), st.integers(0, 9)
        ),
        max_size=80,
    )
)
def test_readers_come_and_go_and_miss_and_double_nothing(steps: list[tuple[str, int]]) -> None:
    async def main() -> None:
        taps = [Tap() for _ in range(10)]
        since: dict[int, int] = dict.fromkeys(range(READERS), 0)
        expected = [b""] * 10
        seq = 0
        async with outlet_read_by(*taps[:READERS]) as outlet:
            for what, number in steps:
                if what == "say":
                    publish(outlet, seq := seq + 1)
                    # Mostly not at all, so that it becomes busy.
                    await trio.sleep(REST_S / 2 * max(0, number - 7))
                elif what == "show":
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
        assert [tap.got for tap in taps] == expected
        assert outlet.published_seq == outlet.accepted_seq == seq

    play(main)


# --- in a hub


async def busy_group(hub: Hub) -> tuple[str, list[FakeSession], int]:
    """Give a group that keeps what was said last, its readers, and the seq of that."""
    group, sessions = await crowd(hub, 3)
    for number in range(CLOSE_MIN + 2):
        seq = (await hub.act_as("olga").post(group, f"message {number}"))["seq"]
    assert [each.seqs(group)[-1] for each in sessions] == [seq - 1] * 3, "it has to be busy"
    return group, sessions, seq


def order(each: FakeSession, group: str) -> list[int | str]:
    """Give what came: seqs of events, the answer to hello, signals."""
    each.write()
    came: list[int | str] = []
    for message in each.messages:
        if isinstance(message, Response):
            assert isinstance(message.result, dict)
            heads = {entry["group"]: entry["head"] for entry in message.result["groups"]}
            came.append(f"hello {heads[group]}")
        elif isinstance(message, Notification) and message.method == "signal":
            came.append(message.params["kind"])
        elif isinstance(message, Notification) and message.params.get("group") == group:
            came.append(message.params["seq"])
    return came


@pytest.mark.parametrize("read", ["history", "messages", "sync", "info", "read"])
@virtually
async def test_what_was_answered_is_in_what_is_read_next(read: str) -> None:
    async with hub_on(limits=GATHERING) as hub:
        group, sessions, seq = await busy_group(hub)
        olga = hub.act_as("olga")
        if read == "history":
            heads = [(await olga.history(group))["head"]]
        elif read == "messages":
            heads = [message["seq"] for message in (await olga.messages(group, [seq]))["messages"]]
        elif read == "sync":
            heads = [page["head"] for page in (await olga.sync({group: seq - 1}))["groups"]]
        elif read == "read":
            heads = [(await olga.read(group, seq))["read"]]
        else:
            heads = [(await olga.info(group))["head"]]
        assert heads == [seq]
        assert all(each.seqs(group)[-1] == seq for each in sessions)


@virtually
async def test_what_changes_the_state_is_pushed_before_it_is_shown() -> None:
    async with hub_on(limits=GATHERING) as hub:
        group, sessions, seq = await busy_group(hub)
        await hub.act_as("olga").mute(group, "user00", for_ms=60_000)
        assert sessions[0].seqs(group)[-2:] == [seq, seq + 1]
        with pytest.raises(Rejected, match="muted"):
            await hub.act_as("user00").post(group, "no")


@virtually
async def test_pushes_go_on_right_after_the_head_that_a_repeated_hello_gives() -> None:
    async with hub_on(limits=GATHERING) as hub:
        group, sessions, seq = await busy_group(hub)
        await sessions[0].hello(again=True)
        await hub.act_as("olga").post(group, "more")
        await hub.act_as("olga").history(group)
        assert order(sessions[0], group)[-4:] == [seq - 1, seq, f"hello {seq}", seq + 1]


@virtually
async def test_who_types_after_a_post_is_seen_in_that_order() -> None:
    async with hub_on(limits=GATHERING) as hub:
        group, sessions, seq = await busy_group(hub)
        await hub.act_as("olga").typing(group)
        assert order(sessions[0], group)[-2:] == [seq, "typing"]


@virtually
async def test_a_new_session_and_one_that_parts_have_all_that_was_said_before() -> None:
    async with hub_on(limits=GATHERING) as hub:
        group, sessions, seq = await busy_group(hub)
        late = await session(hub, "olga")
        assert all(each.seqs(group)[-1] == seq for each in sessions)
        assert late.seqs(group) == []
        await hub.act_as("olga").post(group, "more")
        sessions[0].part()
        assert sessions[0].seqs(group)[-1] == late.seqs(group)[-1] == seq + 1


@virtually
async def test_a_leaver_reads_their_leaving_behind_what_is_kept() -> None:
    async with hub_on(limits=GATHERING) as hub:
        group, sessions, seq = await busy_group(hub)
        pile = Pile(hub, group)
        pile.add("user00", Leave())
        pile.add("olga", Post("unheard"))
        await settle()
        assert sessions[0].seqs(group)[-2:] == [seq, seq + 1]
        assert sessions[0].kinds(group)[-2:] == ["posted", "left"]
        assert sessions[1].kinds(group)[-2:] == ["left", "posted"]


@virtually
async def test_a_hub_that_ends_sends_what_is_kept() -> None:
    async with hub_on(limits=GATHERING) as hub:
        group, sessions, seq = await busy_group(hub)
    assert all(each.seqs(group)[-1] == seq for each in sessions)
