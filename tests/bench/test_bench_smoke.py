from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.dialect import TEXT_BYTES, PostMould, read_text, text_of
from bench.figures import Latency, Outcome, percentile
from bench.members import Canon
from bench.report import json_line, remark, row_of
from bench.runner import Run, run_scenario
from bench.scenarios import SCENARIOS
from groupd.config import Limits
from groupd.server.methods import understand
from groupd.wire.rpc import FrameLimits, Request, Unframer


@pytest.mark.skipif(
    not Path("/proc/self/stat").exists(), reason="the server's CPU time is read from /proc"
)
def test_a_tiny_run_delivers_every_post_to_every_member() -> None:
    run = run_scenario(SCENARIOS["a"].resized(10), memory=True, seconds=0.5)

    assert run.outcome.problems == []
    assert run.outcome.posts > 0
    assert run.outcome.deliveries_total == run.outcome.posts_total * 10
    assert run.outcome.delivery is not None
    assert remark(run) != "FAILED"


# --- what the load sends


@pytest.mark.parametrize("with_ids", [True, False])
def test_a_moulded_post_is_one_that_the_server_understands(with_ids: bool) -> None:
    post = PostMould("g" * 16, with_ids=with_ids).make(7, 123, now_ms=1_700_000_000_000)

    (message,) = Unframer(FrameLimits.for_server(Limits())).feed(post)
    assert isinstance(message, Request)
    call = understand(message, operator=False)
    assert (message.msgid, message.method, call.group) == (7, "post", "g" * 16)
    assert call.request.params() == {"text": text_of(7, 123).decode()}
    assert bool(call.request_id) is with_ids


def test_a_text_has_its_length_and_says_its_number_and_time() -> None:
    text = text_of(42, 10**18)

    assert len(text) == TEXT_BYTES
    assert read_text(text.decode()) == (42, 10**18)


# --- what the load checks


def test_the_canon_is_what_the_first_reader_read() -> None:
    canon = Canon()

    assert canon.match(0, memoryview(b"abcdef"))
    assert canon.match(0, memoryview(b"abc"))
    assert canon.match(3, memoryview(b"defgh"))
    assert not canon.match(6, memoryview(b"gX"))
    assert not canon.match(7, memoryview(b"Xi"))
    assert canon.end == 8


def test_the_canon_goes_on_after_forgetting() -> None:
    canon = Canon()
    canon.match(0, memoryview(b"abcdef"))

    canon.forget(4)

    assert canon.match(4, memoryview(b"efgh"))
    assert not canon.match(5, memoryview(b"X"))


# --- what the figures are


@pytest.mark.parametrize(
    ("per_mille", "expected"), [(1, 1), (500, 50), (501, 51), (990, 99), (999, 100), (1_000, 100)]
)
def test_a_percentile_is_the_nearest_rank(per_mille: int, expected: int) -> None:
    assert percentile(range(1, 101), per_mille) == expected


@pytest.mark.parametrize(("values", "per_mille"), [([], 500), ([1], 0), ([1], 1_001)])
def test_there_is_no_percentile_of_nothing(values: list[int], per_mille: int) -> None:
    with pytest.raises(ValueError, match="per mille"):
        percentile(values, per_mille)


def test_latency_is_sorted_and_in_microseconds() -> None:
    assert Latency.of([3_000, 1_000, 2_000]) == Latency(3, 2.0, 3.0, 3.0)
    assert Latency.of([]) is None


OUTCOME = Outcome(
    posts_total=120,
    deliveries_total=24_000,
    seconds=2.0,
    posts=100,
    deliveries=20_000,
    server_cpu_s=0.01,
    load_cpu_s=1.9,
    delivery=Latency(100, 1_000.0, 2_000.0, 3_000.0),
)


def test_figures_follow_from_the_counts() -> None:
    assert OUTCOME.cpu_us_per_delivery == pytest.approx(0.5)
    assert OUTCOME.cpu_us_per_post == pytest.approx(100.0)
    assert OUTCOME.deliveries_per_s == pytest.approx(10_000)
    assert OUTCOME.bytes_per_connection is None


def test_an_outcome_of_nothing_has_no_figures() -> None:
    assert Outcome().cpu_us_per_delivery is None
    assert Outcome().server_share is None


# --- how they are shown


def test_a_load_generator_without_reserve_is_reported() -> None:
    assert remark(Run(SCENARIOS["a"], "memory", OUTCOME)) == "load saturated"


def test_a_failed_run_shows_no_figures() -> None:
    run = Run(SCENARIOS["a"], "memory", Outcome(problems=["a post is missing"], deliveries=1))

    assert [cell for cell in row_of(run) if cell] == ["a: 1 x 200", "memory", "FAILED"]


def test_a_row_says_latencies_in_milliseconds() -> None:
    assert "1.00 / 2.00 / 3.00" in row_of(Run(SCENARIOS["a"], "memory", OUTCOME))


def test_a_json_line_holds_counts_and_figures() -> None:
    line = json.loads(json_line(Run(SCENARIOS["d"], "durable", OUTCOME)))

    assert line["scenario"]["posts_per_s"] == 50
    assert line["deliveries"] == 20_000
    assert line["cpu_us_per_delivery"] == pytest.approx(0.5)
    assert line["delivery"]["p99_us"] == 2_000.0


# --- what is measured


def test_resizing_leaves_half_of_the_members_silent() -> None:
    tiny = SCENARIOS["a"].resized(10)

    assert (tiny.members, tiny.posters) == (10, 5)


@pytest.mark.parametrize("members", [1, 501])
def test_a_group_has_two_to_500_members(members: int) -> None:
    with pytest.raises(ValueError, match="members"):
        SCENARIOS["a"].resized(members)
