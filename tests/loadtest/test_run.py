"""Whole runs against a server in memory, on a clock that jumps."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock

from groupd.errors import AuthError, ConfigError, Disconnected, Rejected
from groupd.loadtest import LoadTest, Report
from groupd.loadtest import run as run_module
from tests.loadtest.fake import Event, FakeServer, token_of, tokens_of, until

SECOND_US = 1_000_000


@pytest.fixture
def server(nursery: trio.Nursery) -> FakeServer:
    """A server in memory. Each test takes ``autojump_clock`` as well."""
    return FakeServer(nursery)


async def beside(test: LoadTest, *tasks: Any) -> Report:
    """Run a load test while something else goes on."""
    async with trio.open_nursery() as nursery:
        for task in tasks:
            nursery.start_soon(task)
        report = await test.run()
        nursery.cancel_scope.cancel()
    return report


# --- all is well


async def test_each_post_reaches_each_member_and_that_is_said(
    server: FakeServer, autojump_clock: MockClock
) -> None:
    report = await server.load(6, groups=2, rate_per_s=50.0, for_ms=4_000)
    counts = report.figures.counts
    assert report.problems.shown == []
    assert (counts.due, counts.sent, counts.acknowledged) == (200, 200, 200)
    assert counts.delivered == 200 * 3
    assert report.figures.delivery.corrected.count == 600
    assert (report.seconds, report.rates["acknowledged"]) == (4.0, 50.0)
    assert report.has_passed
    assert "each of 200 acknowledged posts reached each of 3 members" in report.verdict()
    assert report.notes() == []


async def test_groups_are_dissolved_at_the_end(
    server: FakeServer, autojump_clock: MockClock
) -> None:
    await server.load(6, groups=3)
    assert [group.is_over for group in server.groups.values()] == [True] * 3
    assert all("bench-0a1b2c3d-" in name for name in server.groups)


async def test_members_above_what_one_create_takes_join(
    server: FakeServer, autojump_clock: MockClock
) -> None:
    report = await server.load(510, rate_per_s=5.0, connect_rate_per_s=5_000)
    assert report.has_passed
    assert report.figures.counts.delivered == 10 * 510


async def test_a_given_group_is_joined_and_left(
    server: FakeServer, autojump_clock: MockClock
) -> None:
    tea = server.found("TEA", "user-1", "somebody")
    report = await server.load(3, given=("TEA",))
    assert report.has_passed
    assert tea.members == {"user-1", "somebody"}
    assert not tea.is_over


async def test_what_others_say_in_a_given_group_is_no_problem(
    server: FakeServer, autojump_clock: MockClock
) -> None:
    tea = server.found("TEA", "somebody")
    test = server.test(tokens_of(3), given=("TEA",))

    async def talk() -> None:
        while True:
            server.log(tea, "somebody", "posted", "hello", "x")
            await trio.sleep(0.037)

    report = await beside(test, talk)
    assert report.has_passed
    assert report.figures.counts.delivered == 200 * 3


async def test_the_same_seed_posts_at_the_same_times(
    server: FakeServer, autojump_clock: MockClock
) -> None:
    times = []
    for _ in range(2):
        server.post_times.clear()
        test = server.test(tokens_of(2), arrivals="poisson", seed=4)
        await test.run()
        times.append([time - server.post_times[0] for time in server.post_times])
    assert times[0] == pytest.approx(times[1], abs=2e-6)


async def test_connections_are_made_no_faster_than_asked(
    server: FakeServer, autojump_clock: MockClock
) -> None:
    await server.load(30, connect_rate_per_s=10)
    assert server.dials[-1] - server.dials[0] == pytest.approx(2.9)


# --- an open loop


async def test_posts_leave_when_they_are_due_whatever_the_answers_do(
    server: FakeServer, autojump_clock: MockClock
) -> None:
    server.is_silent = True
    report = await server.load(2, rate_per_s=10.0, for_ms=3_000)
    began = server.post_times[0]
    assert [time - began for time in server.post_times] == pytest.approx(
        [number / 10 for number in range(30)]
    )
    assert report.unanswered == 30
    assert not report.has_passed
    assert "30 posts had no answer" in report.notes()[0]


async def test_a_stall_shows_in_the_corrected_p99_and_not_in_the_uncorrected(
    server: FakeServer, autojump_clock: MockClock
) -> None:
    test = server.test(tokens_of(2), rate_per_s=100.0, for_ms=60_000)
    report = await beside(test, lambda: server.stall(20, 1, test))
    assert report.has_passed
    for latency in (report.figures.acknowledgement, report.figures.delivery):
        # 100 of 6,000 posts met it; of those that waited for answers, one a user.
        assert 0.3 * SECOND_US < latency.corrected.percentile(990) < SECOND_US
        assert latency.uncorrected.percentile(990) < 1_000
        assert latency.corrected.max_us == pytest.approx(SECOND_US, rel=0.02)
        assert latency.uncorrected.max_us == pytest.approx(SECOND_US, rel=0.02)
    assert [note.partition(":")[0] for note in report.notes()] == [
        "acknowledgements",
        "deliveries",
    ]
    assert "coordinated omission" in report.notes()[0]


async def test_time_without_a_connection_is_in_the_corrected_latency(
    server: FakeServer, autojump_clock: MockClock
) -> None:
    test = server.test(tokens_of(2), rate_per_s=20.0, for_ms=20_000)

    async def cut() -> None:
        await server.until_posting(test)
        await trio.sleep(5)
        server.cut("user-1")

    report = await beside(test, cut)
    assert report.has_passed
    counts, latency = report.figures.counts, report.figures.acknowledgement
    assert counts.reconnects == 1
    assert counts.acknowledged == 400
    # What it had missed meanwhile was fetched.
    assert counts.fetched > 0
    assert counts.delivered == 800
    assert latency.corrected.max_us > latency.uncorrected.max_us


async def test_what_the_load_generator_is_late_by_is_said(
    server: FakeServer, autojump_clock: MockClock
) -> None:
    test = server.test(tokens_of(2), rate_per_s=100.0, for_ms=5_000)

    async def be_busy() -> None:
        await server.until_posting(test)
        await trio.sleep(1)
        # As if this process had been busy with something else.
        autojump_clock.jump(0.3)

    report = await beside(test, be_busy)
    assert report.figures.lag.max_us == pytest.approx(0.3 * SECOND_US, rel=0.05)
    assert report.is_saturated
    assert "THE LOAD GENERATOR COULD NOT KEEP UP" in report.notes()[0]
    assert report.has_passed
    assert report.figures.counts.sent == 500


async def test_posts_above_what_may_be_under_way_are_left_out_and_that_is_said(
    server: FakeServer, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_module, "UNDER_WAY_MAX", 25)
    server.is_silent = True
    report = await server.load(2, rate_per_s=10.0, for_ms=3_000)
    assert report.figures.counts.skipped == 5
    assert report.is_saturated
    assert "5 posts were never sent" in report.notes()[0]


# --- what a server does wrong


def leave_out(event: Event) -> bool:
    return event["kind"] == "posted" and event["seq"] == 20


WRONG = {
    "pushed 21 next after 19": lambda user, event: (
        [] if user == "user-2" and leave_out(event) else [event]
    ),
    "pushed 20 once more after 20": lambda user, event: (
        [event, event] if user == "user-2" and leave_out(event) else [event]
    ),
    "something else": lambda user, event: (
        [{**event, "text": "changed"}] if user == "user-2" and leave_out(event) else [event]
    ),
}


@pytest.mark.parametrize("words", WRONG)
async def test_a_delivery_that_is_wrong_is_found(
    server: FakeServer, autojump_clock: MockClock, words: str
) -> None:
    server.push = WRONG[words]
    report = await server.load(3)
    assert words in report.problems.shown[0]
    assert not report.has_passed
    assert report.verdict().startswith("NOT CORRECT: ")


async def test_a_post_that_was_acknowledged_and_is_not_there_is_found(
    server: FakeServer, autojump_clock: MockClock
) -> None:
    server.answer_seq = lambda seq: seq + 1_000
    report = await server.load(2, for_ms=1_000)
    assert not report.has_passed
    assert "was acknowledged at" in " ".join(report.problems.shown)


async def test_a_member_who_loses_the_connection_for_good_is_a_problem(
    server: FakeServer, autojump_clock: MockClock
) -> None:
    test = server.test(tokens_of(2), for_ms=10_000)

    async def shut_out() -> None:
        await server.until_posting(test)
        await trio.sleep(2)
        server.refused_users = frozenset({"user-1"})
        server.cut("user-1")

    report = await beside(test, shut_out)
    assert "user-1 has lost its connection for good" in report.problems.shown[0]
    assert report.figures.refusals["unauthenticated"] > 0


async def test_lagged_is_counted_and_what_was_missed_is_fetched(
    server: FakeServer, autojump_clock: MockClock
) -> None:
    test = server.test(tokens_of(3), rate_per_s=10.0, for_ms=10_000)
    dropped: list[int] = []

    def push(user: str, event: Event) -> list[Event]:
        if user == "user-2" and 30 <= event["seq"] < 40:
            dropped.append(event["seq"])
            return []
        return [event]

    server.push = push

    async def say_it() -> None:
        await until(lambda: len(dropped) == 10)
        (group,) = server.groups.values()
        server.lag("user-2", group)

    report = await beside(test, say_it)
    assert report.has_passed
    assert (report.figures.counts.lagged, report.figures.counts.fetched) == (1, 10)
    assert "lagged 1 times" in " ".join(report.notes())


# --- refusals


async def test_rate_limits_are_named_with_what_to_do(
    server: FakeServer, autojump_clock: MockClock
) -> None:
    server.refuse_post = lambda number: (
        Rejected("rate_limited", "too many requests", retry_after_ms=50)
        if number % 4 == 0
        else None
    )
    report = await server.load(2)
    assert report.figures.refusals == {"rate_limited": 50}
    assert report.figures.counts.acknowledged == 150
    assert report.has_passed
    (note,) = report.notes()
    assert "50 posts (25.0%) were refused as rate_limited" in note
    assert "200 units a second and 800 at once" in note
    assert "groupd serve --no-rate-limits" in note


async def test_refusals_are_counted_by_code_and_reason(
    server: FakeServer, autojump_clock: MockClock
) -> None:
    refusals = [
        Rejected("rate_limited", "slowly", retry_after_ms=5, reason="slow_mode"),
        Rejected("unavailable", "full", retry_after_ms=5),
        Rejected("forbidden", "no", reason="made up by this server"),
    ]
    server.refuse_post = lambda number: refusals[number] if number < 3 else None
    report = await server.load(2)
    assert dict(report.figures.refusals) == {
        "rate_limited/slow_mode": 1,
        "unavailable": 1,
        "forbidden": 1,
    }


async def test_where_nothing_is_acknowledged_nothing_has_passed(
    server: FakeServer, autojump_clock: MockClock
) -> None:
    server.refuse_post = lambda number: Rejected("unavailable", "full", retry_after_ms=5)
    report = await server.load(2)
    assert report.is_correct
    assert not report.has_passed
    assert "nothing was acknowledged" in report.verdict()


# --- what does not even begin


async def test_a_token_that_is_refused_is_named_by_its_line(
    server: FakeServer, autojump_clock: MockClock
) -> None:
    server.refused_users = frozenset({"user-2"})
    with pytest.raises(AuthError, match="the token of line 3 is refused: the token has expired"):
        await server.load(4)


async def test_two_tokens_of_one_user_are_refused(
    server: FakeServer, autojump_clock: MockClock
) -> None:
    tokens = f"{token_of('ann')}\nx{token_of('bob')}\ny{token_of('ann')}"
    with pytest.raises(ConfigError, match="line 3 is of the same user as that of line 1"):
        await server.test(tokens).run()


async def test_a_group_that_cannot_be_made_is_an_error_and_the_others_are_dissolved(
    server: FakeServer, autojump_clock: MockClock
) -> None:
    server.refuse_create = Rejected("group_full", "a group has room for 200 members", limit=200)
    with pytest.raises(Rejected, match="room for 200"):
        await server.load(4)


async def test_a_member_who_was_not_added_is_named(
    server: FakeServer, autojump_clock: MockClock
) -> None:
    server.create_leaves_out = frozenset({"user-2"})
    with pytest.raises(Disconnected, match="user-2; is there room for another group"):
        await server.load(4)
    assert [group.is_over for group in server.groups.values()] == [True]


# --- a server that dies


async def test_posts_that_a_dead_server_did_not_answer_are_no_success(
    server: FakeServer, autojump_clock: MockClock
) -> None:
    test = server.test(tokens_of(4), rate_per_s=50.0, for_ms=5_000)

    async def die() -> None:
        await server.until_posting(test)
        await trio.sleep(2.01)
        server.die()

    report = await beside(test, die)
    assert (report.lost, report.figures.counts.acknowledged) == (4, 101)
    assert report.is_correct
    assert not report.has_passed
    assert report.verdict().startswith("NOT ANSWERED: 149 posts, since the connection")
    assert report.to_plain()["connections_lost"] == 4
    # Posting, then twice the time in which something might have come.
    assert trio.current_time() < 5 + 2 * run_module.STALLED_S + 1
    assert test.left_behind == list(server.groups)


async def test_a_server_that_comes_back_in_time_has_lost_nothing(
    server: FakeServer, autojump_clock: MockClock
) -> None:
    test = server.test(tokens_of(4), rate_per_s=50.0, for_ms=5_000)

    async def die_for_a_while() -> None:
        await server.until_posting(test)
        await trio.sleep(2.01)
        server.die()
        await trio.sleep(1)
        server.is_gone = False

    report = await beside(test, die_for_a_while)
    assert (report.lost, report.figures.counts.acknowledged) == (0, 250)
    assert report.has_passed
    assert test.left_behind == []


# --- an early end


async def test_stopped_early_it_reports_what_there_was(
    server: FakeServer, autojump_clock: MockClock
) -> None:
    test = server.test(tokens_of(2), rate_per_s=10.0, for_ms=60_000)

    async def stop() -> None:
        await server.until_posting(test)
        await trio.sleep(5.05)
        test.stopping.set()

    report = await beside(test, stop)
    assert report.figures.counts.acknowledged == 51
    assert report.seconds == pytest.approx(5.05, abs=0.01)
    assert report.stopped_early
    assert report.has_passed
    assert report.notes()[0].startswith("stopped after 5.")
    assert [group.is_over for group in server.groups.values()] == [True]


async def test_stopped_while_connecting_it_posts_nothing_and_leaves_nothing(
    server: FakeServer, autojump_clock: MockClock
) -> None:
    test = server.test(tokens_of(50), connect_rate_per_s=10)

    async def stop() -> None:
        await trio.sleep(1)
        test.stopping.set()

    report = await beside(test, stop)
    assert report.figures.counts.due == 0
    assert not report.has_passed
    assert server.groups == {}
