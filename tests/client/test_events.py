"""What a stream of events gives: of every log each event once, in order, whatever happens."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

from groupd.client import (
    AccountEvent,
    Backoff,
    Client,
    ClientLimits,
    EventStream,
    GroupEvent,
    Signal,
    StoreChanged,
)
from groupd.errors import Disconnected, LocalProtocolError, Rejected
from groupd.wire import rpc
from tests.client.fake_server import FakeServer, Visit


async def take(stream: EventStream, count: int) -> list[Any]:
    return [await anext(stream) for _ in range(count)]


async def take_seqs(stream: EventStream, count: int) -> list[int]:
    return [event.seq for event in await take(stream, count)]


async def assert_nothing_more(stream: EventStream) -> None:
    with trio.move_on_after(100) as scope:
        raise AssertionError(await anext(stream))
    assert scope.cancelled_caught


async def reconnect(server: FakeServer, client: Client) -> None:
    server.visit.cut()
    await wait_all_tasks_blocked()
    await client.ping()


# --- live


async def test_an_event_comes_with_all_that_it_says(server: FakeServer) -> None:
    server.logs["tea"] = []
    async with server.connect() as client:
        with client.events() as stream:
            server.log("tea", text="hi", mentions=["ann"], id="request-1")
            assert await anext(stream) == GroupEvent(
                group="tea",
                seq=1,
                time_ms=server.time_ms,
                user="bob",
                kind="posted",
                id="request-1",
                fields={"text": "hi", "mentions": ["ann"]},
            )


async def test_what_is_hidden_from_the_reader_keeps_its_place(server: FakeServer) -> None:
    server.logs["tea"] = []
    async with server.connect() as client:
        with client.events() as stream:
            server.visit.push("event", group="tea", seq=1, time_ms=5, kind="hidden")
            event = await anext(stream)
            assert isinstance(event, GroupEvent)
            assert (event.seq, event.kind, event.user, event.id) == (1, "hidden", "", None)


async def test_account_events_and_signals_come_as_their_own_kinds(server: FakeServer) -> None:
    async with server.connect() as client:
        with client.events() as stream:
            server.log_account("added", group="tea", at=4)
            server.visit.push("signal", group="tea", user="bob", kind="typing", until_ms=9)
            assert await take(stream, 2) == [
                AccountEvent(1, server.time_ms, "added", None, {"group": "tea", "at": 4}),
                Signal("tea", "bob", "typing", {"until_ms": 9}),
            ]


async def test_a_notification_of_a_newer_server_is_let_pass(server: FakeServer) -> None:
    server.logs["tea"] = []
    async with server.connect() as client:
        with client.events() as stream:
            server.visit.push("weather", sun=True)
            server.log("tea")
            assert await take_seqs(stream, 1) == [1]


async def test_a_push_that_says_nothing_ends_the_connection(
    server: FakeServer, autojump_clock: MockClock
) -> None:
    async with server.connect() as client:
        server.visit.push("event", group="tea")
        await wait_all_tasks_blocked()
        await client.ping()
    assert len(server.visits) == 2


async def test_a_stream_begins_with_what_comes_next(server: FakeServer) -> None:
    server.logs["tea"] = []
    server.log("tea", push=False)
    async with server.connect() as client:
        server.log("tea")
        await wait_all_tasks_blocked()
        with client.events() as stream:
            server.log("tea")
            assert await take_seqs(stream, 1) == [3]


async def test_a_stream_goes_on_after_the_seqs_that_it_is_given(
    server: FakeServer, autojump_clock: MockClock
) -> None:
    """Also in a group that is over by now and in no list, and not where there is none."""
    for _ in range(5):
        server.log("tea", push=False)
        server.log("over", push=False)
    listed = [{"group": "tea", "head": 5}]
    server.handlers["hello"] = lambda visit, request: (
        server._hello(visit, request) | {"groups": listed}
    )
    async with server.connect() as client:
        with client.events(after={"tea": 2, "over": 3, "gone": 7}) as stream:
            events = await take(stream, 5)
            assert sorted((event.group, event.seq) for event in events) == [
                ("over", 4),
                ("over", 5),
                ("tea", 3),
                ("tea", 4),
                ("tea", 5),
            ]
            server.log("tea")
            assert await take_seqs(stream, 1) == [6]


async def test_a_group_joined_later_begins_with_the_joining(server: FakeServer) -> None:
    async with server.connect() as client:
        with client.events() as stream:
            server.logs["tea"] = [{} for _ in range(6)]
            server.log("tea", kind="joined", user="ann")
            server.log("tea")
            assert await take_seqs(stream, 2) == [7, 8]
    assert server.sent("sync") == []


async def test_two_streams_each_hear_everything(server: FakeServer) -> None:
    server.logs["tea"] = []
    async with server.connect() as client:
        with client.events() as one, client.events() as two:
            server.log("tea")
            assert await take_seqs(one, 1) == await take_seqs(two, 1) == [1]


async def test_a_stream_that_is_closed_ends(server: FakeServer) -> None:
    server.logs["tea"] = []
    async with server.connect() as client:
        with client.events() as stream:
            server.log("tea")
            await wait_all_tasks_blocked()
        assert [event async for event in stream] == []


async def test_a_stream_ends_with_the_client_after_what_it_holds(server: FakeServer) -> None:
    server.logs["tea"] = []
    async with server.connect() as client:
        stream = client.events()
        server.log("tea")
        await wait_all_tasks_blocked()
    assert [event.seq async for event in stream if isinstance(event, GroupEvent)] == [1]


async def test_a_stream_raises_what_has_ended_the_client(server: FakeServer) -> None:
    async with server.connect(reconnect=False) as client:
        stream = client.events()
        server.visit.cut()
        with pytest.raises(Disconnected, match="broke"):
            await anext(stream)


async def test_a_stream_has_one_reader_at_a_time(server: FakeServer) -> None:
    async with server.connect() as client, trio.open_nursery() as nursery:
        stream = client.events()
        nursery.start_soon(anext, stream)
        await wait_all_tasks_blocked()
        with pytest.raises(trio.BusyResourceError):
            await anext(stream)
        nursery.cancel_scope.cancel()


async def test_a_cancelled_reader_loses_nothing(
    server: FakeServer, autojump_clock: MockClock
) -> None:
    server.logs["tea"] = []
    async with server.connect() as client:
        with client.events() as stream:
            with trio.move_on_after(1):
                await anext(stream)
            server.log("tea")
            await wait_all_tasks_blocked()
            with trio.CancelScope() as scope:
                scope.cancel()
                await anext(stream)
            assert await take_seqs(stream, 1) == [1]


async def test_without_events_there_is_no_stream(server: FakeServer) -> None:
    async with server.connect(events=False) as client:
        with pytest.raises(LocalProtocolError):
            client.events()
    assert server.sent("hello")[0]["events"] is False


async def test_nothing_is_held_for_a_stream_that_nobody_has_any_more(server: FakeServer) -> None:
    server.logs["tea"] = []
    async with server.connect() as client:
        stream = client.events()
        del stream
        assert len(client._feed._streams) == 0


# --- gaps and doubles


async def test_a_double_is_dropped(server: FakeServer, autojump_clock: MockClock) -> None:
    server.logs["tea"] = []
    async with server.connect() as client:
        with client.events() as stream:
            server.log("tea")
            server.visit.push("event", **server.logs["tea"][0])
            server.log("tea")
            assert await take_seqs(stream, 2) == [1, 2]
            await assert_nothing_more(stream)
    assert server.sent("sync") == []


async def test_a_gap_is_filled_before_what_comes_after_it(
    server: FakeServer, autojump_clock: MockClock
) -> None:
    server.logs["tea"] = []
    async with server.connect() as client:
        with client.events() as stream:
            server.log("tea")
            server.log("tea", push=False)
            server.log("tea", push=False)
            server.log("tea")
            assert await take_seqs(stream, 4) == [1, 2, 3, 4]
            server.log("tea")
            assert await take_seqs(stream, 1) == [5]
            await assert_nothing_more(stream)
    assert server.sent("sync") == [{"cursors": {"tea": 1}}]


async def test_a_gap_in_the_account_is_filled(server: FakeServer) -> None:
    async with server.connect() as client:
        with client.events() as stream:
            server.log_account("left", push=False)
            server.log_account("left")
            assert await take_seqs(stream, 2) == [1, 2]


async def test_what_was_missed_by_a_lag_is_fetched(
    server: FakeServer, autojump_clock: MockClock
) -> None:
    server.logs["tea"] = []
    async with server.connect() as client:
        with client.events() as stream:
            for _ in range(3):
                server.log("tea", push=False)
            server.lag("tea")
            assert await take_seqs(stream, 3) == [1, 2, 3]
            await assert_nothing_more(stream)


async def test_a_lag_of_the_account_is_one_of_no_group(server: FakeServer) -> None:
    async with server.connect() as client:
        with client.events() as stream:
            server.log_account("added", push=False)
            server.visit.push("lagged", group="", head=1)
            assert await take_seqs(stream, 1) == [1]


async def test_a_long_gap_is_fetched_page_by_page(server: FakeServer) -> None:
    server.logs |= {"tea": [], "milk": []}
    server.page = 3
    async with server.connect() as client:
        with client.events() as stream:
            for _ in range(10):
                server.log("tea", push=False)
                server.log("milk", push=False)
            server.lag("tea")
            server.lag("milk")
            events = await take(stream, 20)
    for group in ("tea", "milk"):
        assert [event.seq for event in events if event.group == group] == list(range(1, 11))


async def test_events_that_come_during_a_fetch_follow_it(
    server: FakeServer, autojump_clock: MockClock
) -> None:
    server.logs["tea"] = []

    def sync(visit: Visit, request: rpc.Request) -> dict[str, Any]:
        page = server._sync(visit, request)
        if len(server.sent("sync")) == 1:
            server.log("tea")
        return page

    server.handlers["sync"] = sync
    async with server.connect() as client:
        with client.events() as stream:
            server.log("tea", push=False)
            server.lag("tea")
            assert await take_seqs(stream, 2) == [1, 2]
            server.log("tea")
            assert await take_seqs(stream, 1) == [3]
            await assert_nothing_more(stream)


async def test_a_fetch_that_is_refused_for_now_is_made_later(
    server: FakeServer, autojump_clock: MockClock
) -> None:
    server.logs["tea"] = []
    server.handlers["sync"] = lambda visit, request: (
        Rejected("rate_limited", "slow", retry_after_ms=500)
        if len(server.sent("sync")) < 3
        else server._sync(visit, request)
    )
    async with server.connect() as client:
        with client.events() as stream:
            server.log("tea", push=False)
            server.lag("tea")
            assert await take_seqs(stream, 1) == [1]


async def test_a_fetch_that_loses_many_connections_is_made_again(
    server: FakeServer, autojump_clock: MockClock
) -> None:
    """More than a call puts up with: a stream goes on for as long as its client does."""
    server.logs["tea"] = []
    cuts = 0

    def cut(visit: Visit, request: rpc.Request) -> Any:
        nonlocal cuts
        cuts += 1
        if cuts <= 2 * ClientLimits().sends_max:
            return visit.cut()
        return server._sync(visit, request)

    async with server.connect() as client:
        with client.events() as stream:
            server.handlers["sync"] = cut
            for _ in range(3):
                server.log("tea", push=False)
            server.lag("tea")
            assert await take_seqs(stream, 3) == [1, 2, 3]


async def test_a_fetch_that_is_cancelled_is_made_again(
    server: FakeServer, autojump_clock: MockClock
) -> None:
    server.logs["tea"] = []
    server.handlers["sync"] = lambda visit, request: (
        None if len(server.sent("sync")) < 2 else server._sync(visit, request)
    )
    async with server.connect() as client:
        with client.events() as stream:
            server.log("tea", push=False)
            server.lag("tea")
            with trio.move_on_after(1):
                await anext(stream)
            assert await take_seqs(stream, 1) == [1]


async def test_a_reader_that_may_not_read_all_of_a_gap_gets_what_it_may(
    server: FakeServer, autojump_clock: MockClock
) -> None:
    """A user who left and came back, where history is for those who were there."""
    server.logs["tea"] = []
    server.handlers["sync"] = lambda visit, request: {
        "groups": [
            {
                "group": "tea",
                "events": server.logs["tea"][4:],
                "head": len(server.logs["tea"]),
                "floor": 5,
                "more": False,
            }
        ]
    }
    async with server.connect() as client:
        with client.events() as stream:
            for _ in range(5):
                server.log("tea", push=False)
            server.lag("tea")
            assert await take_seqs(stream, 1) == [5]
            server.log("tea")
            assert await take_seqs(stream, 1) == [6]
            await assert_nothing_more(stream)


# --- slow readers


async def test_a_stream_that_nobody_reads_holds_no_more_than_its_bound(
    server: FakeServer,
) -> None:
    server.logs["tea"] = []
    async with server.connect(limits=ClientLimits(events_max=4)) as client:
        stream = client.events()
        for _ in range(50):
            server.log("tea")
            server.visit.push("signal", group="tea", user="bob", kind="typing")
        await wait_all_tasks_blocked()
        assert len(stream._buffer) == 4
        assert (await client.ping())["time_ms"] == server.time_ms


async def test_what_found_no_room_is_fetched_when_the_reader_comes(
    server: FakeServer, autojump_clock: MockClock
) -> None:
    server.logs |= {"tea": [], "milk": []}
    async with server.connect(limits=ClientLimits(events_max=4)) as client:
        with client.events() as stream:
            for _ in range(9):
                server.log("tea")
                server.log("milk")
            await wait_all_tasks_blocked()
            assert server.sent("sync") == []
            events = await take(stream, 18)
            for group in ("tea", "milk"):
                assert [e.seq for e in events if e.group == group] == list(range(1, 10))
            await assert_nothing_more(stream)


# --- reconnecting


async def test_what_was_missed_while_disconnected_is_fetched(
    server: FakeServer, autojump_clock: MockClock
) -> None:
    server.logs |= {"tea": [], "milk": []}
    async with server.connect() as client:
        with client.events() as stream:
            server.log("tea")
            assert await take_seqs(stream, 1) == [1]
            server.visit.cut()
            server.log("tea", push=False)
            server.log_account("left", push=False)
            await client.ping()
            account, event = await take(stream, 2)
            assert (account.kind, event.group, event.seq) == ("left", "tea", 2)
            await assert_nothing_more(stream)
    assert server.sent("sync") == [{"cursors": {"tea": 1}}]


@pytest.mark.parametrize("how", ["added", "approved"])
async def test_a_group_that_one_was_let_into_unseen_begins_with_the_joining(
    server: FakeServer, autojump_clock: MockClock, how: str
) -> None:
    async with server.connect() as client:
        with client.events() as stream:
            server.visit.cut()
            for kind in ("created", "posted", "joined", "posted"):
                server.log("tea", push=False, kind=kind)
            server.log_account(how, push=False, group="tea", at=3)
            await client.ping()
            assert await take_seqs(stream, 3) == [1, 3, 4]
            server.log("tea")
            assert await take_seqs(stream, 1) == [5]
            await assert_nothing_more(stream)


async def test_a_group_that_one_joined_unseen_begins_with_what_comes_next(
    server: FakeServer, autojump_clock: MockClock
) -> None:
    async with server.connect() as client:
        with client.events() as stream:
            server.visit.cut()
            server.log("tea", push=False)
            await client.ping()
            server.log("tea")
            assert await take_seqs(stream, 1) == [2]


async def test_a_group_joined_behind_the_page_that_would_list_it_is_not_taken_for_over(
    server: FakeServer, autojump_clock: MockClock
) -> None:
    server.logs |= {"b": [], "c": []}
    server.page = 1

    def groups(visit: Visit, request: rpc.Request) -> dict[str, Any]:
        if visit.number:
            server.log("a", kind="joined", user="ann")
        return server._groups(visit, request)

    server.handlers["groups"] = groups
    async with server.connect() as client:
        with client.events() as stream:
            await reconnect(server, client)
            server.log("a")
            assert await take_seqs(stream, 2) == [1, 2]
            await assert_nothing_more(stream)
    assert server.sent("sync") == []


async def test_a_group_that_is_over_is_read_to_its_end_and_forgotten(
    server: FakeServer, autojump_clock: MockClock
) -> None:
    """A dissolved group is in no list, and its last members may still read it."""
    server.logs["tea"] = []
    server.handlers["hello"] = lambda visit, request: (
        server._hello(visit, request) | ({"groups": []} if visit.number else {})
    )
    async with server.connect() as client:
        with client.events() as stream:
            server.visit.cut()
            server.log("tea", push=False, kind="dissolved")
            await client.ping()
            assert await take_seqs(stream, 1) == [1]
            await assert_nothing_more(stream)
            await reconnect(server, client)
            await assert_nothing_more(stream)
    assert len(server.sent("sync")) == 1


async def test_a_group_that_one_is_no_member_of_any_more_is_forgotten(
    server: FakeServer, autojump_clock: MockClock
) -> None:
    server.logs["tea"] = []
    async with server.connect() as client:
        with client.events() as stream:
            del server.logs["tea"]
            await reconnect(server, client)
            await assert_nothing_more(stream)
            await reconnect(server, client)
            await assert_nothing_more(stream)
    assert len(server.sent("sync")) == 1


@pytest.mark.parametrize("how", ["left", "kicked", "banned"])
async def test_being_put_out_is_the_last_that_one_hears_of_a_group(
    server: FakeServer, autojump_clock: MockClock, how: str
) -> None:
    server.logs["tea"] = []
    async with server.connect() as client:
        with client.events() as stream:
            server.log("tea", kind=how, member="ann")
            server.log_account(how, group="tea", at=1)
            assert [event.kind for event in await take(stream, 2)] == [how, how]
            log = server.logs.pop("tea")
            await reconnect(server, client)
            await assert_nothing_more(stream)

            # Let in again while the connection is lost, it begins with that.
            server.visit.cut()
            server.logs["tea"] = log
            server.log("tea", push=False)
            server.log("tea", push=False, kind="joined", member="ann")
            server.log_account("approved", push=False, group="tea", at=3)
            server.log("tea", push=False)
            await client.ping()
            assert await take_seqs(stream, 3) == [2, 3, 4]
            await assert_nothing_more(stream)


async def test_who_is_put_out_unseen_learns_of_it_from_the_account(
    server: FakeServer, autojump_clock: MockClock
) -> None:
    server.logs["tea"] = []
    async with server.connect() as client:
        with client.events() as stream:
            server.visit.cut()
            del server.logs["tea"]
            server.log_account("kicked", push=False, group="tea", at=7)
            await client.ping()
            event = await anext(stream)
            assert (event.kind, event.fields["group"]) == ("kicked", "tea")
            await assert_nothing_more(stream)


async def test_who_comes_back_while_connected_hears_what_they_may_read_once(
    server: FakeServer, autojump_clock: MockClock
) -> None:
    server.logs["tea"] = []
    async with server.connect() as client:
        with client.events() as stream:
            server.log("tea", kind="kicked", member="ann")
            server.log("tea", push=False)
            server.log("tea", kind="joined", member="ann")
            server.log("tea")
            assert await take_seqs(stream, 4) == [1, 2, 3, 4]
            await assert_nothing_more(stream)


async def test_pushes_right_behind_the_answer_to_hello_are_not_lost(
    server: FakeServer, autojump_clock: MockClock
) -> None:
    """They are read together with it, before any task has seen the answer."""
    server.logs["tea"] = []

    def hello(visit: Visit, request: rpc.Request) -> None:
        visit.answer(request, server._hello(visit, request))
        if visit.number:
            server.log("tea")

    server.handlers["hello"] = hello
    async with server.connect() as client:
        with client.events() as stream:
            server.store = "store-2"
            await reconnect(server, client)
            changed, event = await take(stream, 2)
            assert isinstance(changed, StoreChanged)
            assert event.seq == 1


async def test_a_restored_server_shows_as_a_change_of_store(
    server: FakeServer, autojump_clock: MockClock
) -> None:
    """What the old seqs meant is gone: the stream goes on from the heads that there are now."""
    server.logs["tea"] = []
    async with server.connect() as client:
        with client.events() as stream:
            for _ in range(5):
                server.log("tea")
            assert await take_seqs(stream, 5) == [1, 2, 3, 4, 5]
            server.store = "store-2"
            del server.logs["tea"][2:]
            await reconnect(server, client)
            assert await anext(stream) == StoreChanged("store-1", "store-2")
            server.log("tea")
            assert await take_seqs(stream, 1) == [3]
            await assert_nothing_more(stream)
    assert server.sent("sync") == []


@pytest.mark.parametrize("is_refused", [False, True])
async def test_what_was_asked_with_seqs_of_the_store_before_does_not_count(
    server: FakeServer, autojump_clock: MockClock, is_refused: bool
) -> None:
    server.logs["tea"] = []
    event = {"group": "tea", "seq": 11, "time_ms": 1, "user": "bob", "kind": "posted"}
    page = {"group": "tea", "events": [event], "head": 11, "floor": 1, "more": False}
    refusal = Rejected("bad_request", "beyond the head", field="cursors")
    again = refusal if is_refused else {"groups": [page]}
    server.handlers["sync"] = lambda visit, request: again if visit.number else None

    async def restore() -> None:
        await trio.sleep(1)
        server.store = "store-2"
        server.logs["tea"].clear()
        server.visit.cut()
        await trio.sleep(60)
        server.log("tea")

    async with server.connect() as client:
        with client.events() as stream:
            server.log("tea", push=False)
            server.lag("tea")
            server.nursery.start_soon(restore)
            assert isinstance(await anext(stream), StoreChanged)
            assert await take_seqs(stream, 1) == [1]
    assert len(server.sent("sync")) == 2


# --- anything at all

STEPS = st.sampled_from(
    ["push", "push", "push", "miss", "lag", "double", "cut", "take", "take", "pause"]
)


@settings(max_examples=150, deadline=None)
@given(
    steps=st.lists(st.tuples(STEPS, st.sampled_from(["tea", "milk"])), max_size=40),
    page=st.integers(1, 5),
    events_max=st.integers(1, 5),
)
def test_whatever_happens_each_log_comes_whole_and_in_order(
    steps: list[tuple[str, str]], page: int, events_max: int
) -> None:
    got: dict[str, list[int]] = {"tea": [], "milk": []}

    async def scenario() -> None:
        async with trio.open_nursery() as nursery:
            server = FakeServer(nursery, page=page)
            server.logs |= {"tea": [], "milk": []}
            limits = ClientLimits(events_max=events_max, backoff=Backoff(base_ms=10, cap_ms=10))
            async with server.connect(limits=limits) as client:
                with client.events() as stream:

                    async def take_one(seconds: float) -> bool:
                        with trio.move_on_after(seconds) as scope:
                            event = await anext(stream)
                            assert isinstance(event, GroupEvent)
                            got[event.group].append(event.seq)
                        return not scope.cancelled_caught

                    for step, group in steps:
                        connected = not server.visit.over
                        if step == "push":
                            server.log(group, push=connected)
                        elif step == "miss":
                            server.log(group, push=False)
                        elif step == "lag" and connected:
                            server.lag(group)
                        elif step == "double" and connected and server.logs[group]:
                            server.visit.push("event", **server.logs[group][-1])
                        elif step == "cut" and connected:
                            server.visit.cut()
                            await wait_all_tasks_blocked()
                        elif step == "take":
                            await take_one(0.001)
                        elif step == "pause":
                            await trio.sleep(1)
                    await reconnect(server, client)
                    while await take_one(10):
                        pass
                    assert got == {
                        name: list(range(1, len(log) + 1)) for name, log in server.logs.items()
                    }
            nursery.cancel_scope.cancel()

    trio.run(scenario, clock=MockClock(autojump_threshold=0))
