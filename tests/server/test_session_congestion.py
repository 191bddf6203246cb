"""Clients that do not read: what they cost, what they miss, and that it is their own affair."""

from __future__ import annotations

import trio
from trio.testing import MockClock

from groupd.config import Limits
from groupd.server.session import Session
from groupd.testing.links import FakeLink
from groupd.wire import rpc
from tests.e2e.raw import RawClient, codes
from tests.server.bench import Bench, Metered, open_bench, settled

LIMITS = Limits()
SLACK_BYTES = 70_000
"""One piece that is being sent, and one answer."""
TEXT = "x" * 4_000


def session_of(bench: Bench, client: RawClient) -> Session:
    for session in bench.server.sessions:
        if isinstance(session.link, Metered) and session.link.other_end is client.link:
            return session
    raise AssertionError("the session has ended")


def held_bytes(session: Session) -> int:
    """Count what a session keeps for a client that does not read."""
    assert isinstance(session.link, Metered)
    peer = session.peer
    kept = (*peer._backlog, *peer._front, *(peer._held or ()))
    return session.link.sending_bytes + sum(map(len, kept))


async def talk(bench: Bench, client: RawClient, group: str, count: int) -> None:
    for _ in range(count):
        await client.ask("post", group=group, text=TEXT)


async def keep_reading(client: RawClient) -> None:
    while await client.receive():
        pass


async def test_a_reader_that_stalls_costs_a_bounded_backlog_and_then_lags(
    autojump_clock: MockClock,
) -> None:
    async with open_bench(rate_limits=False) as bench:
        ann, bob, slow = [await bench.enter(user) for user in ("ann", "bob", "slow")]
        group = await bench.found(ann, bob, slow)
        session = session_of(bench, slow)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(keep_reading, bob)
            await talk(bench, ann, group, 300)
            await settled()
            nursery.cancel_scope.cancel()
        assert held_bytes(session) <= LIMITS.backlog_max_bytes + SLACK_BYTES
        # Nobody else has noticed.
        await bob.ask("ping")
        assert len(bob.events(group)) == 300
        assert await bob.ask("post", group=group, text="how is slow?")

        head = (await bob.ask("history", group=group, limit=1))["head"]
        _, params = await slow.push(lambda method, params: method == "lagged")
        assert params == {"group": group, "head": head}
        # All before it came whole and in order, and all after it comes again.
        await ann.ask("post", group=group, text="welcome back")
        assert (await slow.event("posted"))["seq"] == head + 1
        page = await slow.ask("history", group=group, after=head - 1)
        assert [event["seq"] for event in page["events"]] == [head, head + 1]


async def test_what_comes_before_lagged_is_whole_and_in_order(autojump_clock: MockClock) -> None:
    async with open_bench(rate_limits=False) as bench:
        ann, slow = await bench.enter("ann"), await bench.enter("slow")
        group = await bench.found(ann, slow)
        first = (await ann.ask("info", group=group))["head"] + 1
        await talk(bench, ann, group, 200)
        await slow.push(lambda method, params: method == "lagged")
        # ``push`` drops what came before, so look at what a second stall leaves.
        slow.pushes.clear()
        await talk(bench, ann, group, 200)
        while not any(method == "lagged" for method, _ in slow.pushes):
            await slow.receive()
        seqs = [event["seq"] for event in slow.events(group)]
        assert seqs == list(range(first + 200, first + 200 + len(seqs)))
        assert 20 < len(seqs) < 200


async def test_requests_of_a_client_that_does_not_read_are_not_read_either(
    autojump_clock: MockClock,
) -> None:
    async with open_bench(rate_limits=False) as bench:
        ann = await bench.enter("ann")
        group = await bench.found(ann)
        await talk(bench, ann, group, 60)
        slow = await bench.enter("ann", events=False)
        session = session_of(bench, slow)
        asked = [slow.frame("history", {"group": group}) for _ in range(1_500)]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(slow.link.send_all, b"".join(data for _, data in asked))
            await trio.sleep(60)
            assert held_bytes(session) <= LIMITS.answers_max_bytes + LIMITS.page_max_bytes
            assert await ann.ask("ping")
            # Once it reads, each request is answered in its turn.
            for msgid, _ in asked[:200]:
                assert len((await slow.answer(msgid))["events"]) == 50
            nursery.cancel_scope.cancel()


async def test_small_answers_add_up_too(autojump_clock: MockClock) -> None:
    async with open_bench(rate_limits=False) as bench:
        slow = await bench.enter("ann")
        session = session_of(bench, slow)
        frames = [slow.frame("?", {}) for _ in range(30_000)]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(slow.link.send_all, b"".join(data for _, data in frames))
            await trio.sleep(60)
            assert held_bytes(session) <= LIMITS.answers_max_bytes + SLACK_BYTES
            nursery.cancel_scope.cancel()


async def test_open_requests_are_bounded_and_all_are_answered(autojump_clock: MockClock) -> None:
    async with open_bench(rate_limits=False, delay=lambda: 20) as bench:
        ann = await bench.enter("ann")
        group = await bench.found(ann)
        session = session_of(bench, ann)
        most = 0

        async def watch() -> None:
            nonlocal most
            while True:
                most = max(most, session.open_requests)
                await trio.sleep(0.005)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch)
            outcomes = await ann.exchange([("post", {"group": group, "text": "x"})] * 5_000)
            nursery.cancel_scope.cancel()
        assert [told["seq"] for told in outcomes if isinstance(told, dict)] == list(range(3, 5_003))
        assert LIMITS.requests_open_max / 2 < most <= LIMITS.requests_open_max


async def test_one_huge_batch_is_bounded_for_each_stalled_reader(autojump_clock: MockClock) -> None:
    async with open_bench(rate_limits=False, delay=lambda: 500) as bench:
        ann = await bench.enter("ann", events=False)
        slow = [await bench.enter("slow") for _ in range(5)]
        group = await bench.found(ann, slow[0])
        text = "\N{CJK UNIFIED IDEOGRAPH-7FA4}" * 5_000
        outcomes = await ann.exchange([("post", {"group": group, "text": text})] * 400)
        assert len(outcomes) == 400
        assert codes(outcomes) == {"ok": 400}
        for client in slow:
            assert held_bytes(session_of(bench, client)) <= LIMITS.backlog_max_bytes + SLACK_BYTES


async def test_a_stalled_client_that_goes_away_is_let_go(autojump_clock: MockClock) -> None:
    async with open_bench(rate_limits=False) as bench:
        ann, slow = await bench.enter("ann"), await bench.enter("slow")
        group = await bench.found(ann, slow)
        await talk(bench, ann, group, 100)
        asked = [slow.frame("history", {"group": group})[1] for _ in range(100)]
        await slow.send_bytes(b"".join(asked))
        await settled()
        assert isinstance(slow.link, FakeLink)
        slow.link.cut()
        await settled()
        assert len(bench.server.sessions) == 1


async def test_after_a_leave_nothing_later_comes_even_from_a_full_backlog(
    autojump_clock: MockClock,
) -> None:
    async with open_bench(rate_limits=False, delay=lambda: 30) as bench:
        ann, eve = await bench.enter("ann"), await bench.enter("eve")
        phone = await bench.enter("eve")
        for fill in (0, 20, 100):
            group = await bench.found(ann, eve)
            await phone.ask("ping")
            phone.pushes.clear()
            await talk(bench, ann, group, fill)
            # In one batch: something, the leave, and what eve must not see.
            before = await ann.send("post", group=group, text="before")
            await settled()
            left = await eve.send("leave", group=group)
            after = [await ann.send("post", group=group, text="after") for _ in range(20)]
            assert (await ann.answer(before))["seq"]
            gone = (await eve.answer(left))["seq"]
            assert (await ann.answer(after[-1]))["seq"] > gone
            await trio.sleep(10)
            for client in (eve, phone):
                await client.ask("ping")
                seqs = [event["seq"] for event in client.events(group)]
                assert all(seq <= gone for seq in seqs)
                assert seqs == sorted(set(seqs))
                for method, params in client.pushes:
                    assert method != "lagged" or params["head"] <= gone or params["group"] == ""
                client.pushes.clear()
            await ann.ask("dissolve", group=group)


async def test_a_client_that_vanishes_with_too_much_under_way_ends_its_own_session_only(
    autojump_clock: MockClock,
) -> None:
    """What it had sent can still be read, and nothing can be sent to it any more."""
    async with open_bench(
        limits={"requests_open_max": 2}, delay=lambda: 100, rate_limits=False
    ) as bench:
        ann = await bench.enter("ann")
        group = (await ann.ask("create", name="Tea"))["group"]
        await settled()
        (session,) = bench.server.sessions
        assert isinstance(session.link, Metered)
        session.link._link._outgoing.break_off("the peer has vanished")
        posts = [rpc.encode_request(i, "post", {"group": group, "text": "hi"}) for i in range(5)]
        ann.link.try_send(rpc.encode_request(9, "ping", {}) + b"".join(posts))
        await trio.sleep(30)
        assert bench.server.sessions == set()
        bob = await bench.enter("bob")
        await bob.ask("ping")
