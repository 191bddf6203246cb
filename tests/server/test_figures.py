"""Figures of a server: what they count, over how long, and how much is kept of them."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from groupd.engine.counts import WAIT_BOUNDS_S
from groupd.server import figures as module
from groupd.server.figures import percentile_ms
from tests.server.bench import Bench, open_bench, settled


async def play(bench: Bench, seconds: int, posts_per_s: int = 0, group: str = "") -> None:
    """Let seconds pass, with so many posts in each."""
    figures = bench.server.services.figures
    ann = bench.clients[0]
    for _ in range(seconds):
        for _ in range(posts_per_s):
            await ann.ask("post", group=group, text="hi")
        await trio.sleep(1)
        figures.note()


async def test_posts_and_deliveries_a_second_are_those_of_the_last_seconds(
    autojump_clock: MockClock,
) -> None:
    async with open_bench(rate_limits=False) as bench:
        ann, bob = await bench.enter("ann"), await bench.enter("bob")
        group = await bench.found(ann, bob)
        await play(bench, 10)
        await play(bench, 10, 3, group)
        shown = bench.server.services.figures.shown(0)
        assert shown["posts_per_s"] == pytest.approx(3)
        assert shown["deliveries_per_s"] == pytest.approx(6)
        assert shown["posts"] == 30
        assert [sample["posts_per_s"] for sample in shown["samples"][-11:]] == [0, *[3] * 10]
        await play(bench, 10)
        assert bench.server.services.figures.shown(0)["posts_per_s"] == 0


async def test_how_long_a_post_took_has_the_wait_for_the_store_in_it(
    autojump_clock: MockClock,
) -> None:
    # So many milliseconds before, and after, each access to the store.
    async with open_bench(rate_limits=False, delay=lambda: 40) as bench:
        group = await bench.found(await bench.enter("ann"))
        await play(bench, 5, 2, group)
        shown = bench.server.services.figures.shown(0)
        assert 80 <= shown["post_p50_ms"] <= 80 * 1.25
        assert shown["post_p50_ms"] <= shown["post_p99_ms"]
        await play(bench, 61)
        shown = bench.server.services.figures.shown(0)
        assert "post_p99_ms" not in shown, "of the last minute there is nothing to tell"


async def test_a_post_behind_another_has_waited_for_that_one_too(
    autojump_clock: MockClock,
) -> None:
    async with open_bench(rate_limits=False, delay=lambda: 40) as bench:
        ann, bob = await bench.enter("ann"), await bench.enter("bob")
        group = await bench.found(ann, bob)
        await play(bench, 1)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lambda: ann.ask("post", group=group, text="first"))
            await trio.sleep(0.01)
            nursery.start_soon(lambda: bob.ask("post", group=group, text="second"))
        await settled()
        shown = bench.server.services.figures.shown(0)
        assert 150 <= shown["post_p99_ms"] <= 150 * 1.25


async def test_samples_are_bounded_and_given_once(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert module.SAMPLES_MAX == 600
    async with open_bench() as bench:
        await bench.enter("ann")
        await play(bench, 700)
        figures = bench.server.services.figures
        samples = figures.shown(0)["samples"]
        assert len(samples) == 600
        times = [sample["time_ms"] for sample in samples]
        assert times == sorted(set(times))
        await play(bench, 2)
        assert len(figures.shown(times[-1])["samples"]) == 2


async def test_a_clock_that_is_put_back_hides_no_sample(autojump_clock: MockClock) -> None:
    async with open_bench() as bench:
        await bench.enter("ann")
        await play(bench, 3)
        figures = bench.server.services.figures
        last_ms = figures.shown(0)["samples"][-1]["time_ms"]
        bench.ports.clock.jump(-3_600_000)  # type: ignore[attr-defined]
        await play(bench, 3)
        assert len(figures.shown(last_ms)["samples"]) == 3


async def test_refusals_are_those_of_the_last_minute_by_code(autojump_clock: MockClock) -> None:
    async with open_bench() as bench:
        ann = await bench.enter("ann")
        await play(bench, 2)
        await ann.refusal("no_such_method")
        await ann.refusal("info", group="G" * 16)
        shown = bench.server.services.figures.shown(0)
        assert shown["refused"] == {"unknown_method": 1, "not_found": 1}
        await play(bench, 61)
        assert bench.server.services.figures.shown(0)["refused"] == {}


async def test_before_the_first_second_there_are_figures_and_no_samples(
    autojump_clock: MockClock,
) -> None:
    async with open_bench() as bench:
        shown = bench.server.services.figures.shown(0)
        assert (shown["posts_per_s"], shown["samples"], shown["connections"]) == (0, [], 0)


async def test_the_store_is_as_large_as_its_files(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    (tmp_path / "store").write_bytes(bytes(1_000))
    (tmp_path / "store-wal").write_bytes(bytes(24))
    async with open_bench() as bench:
        figures = bench.server.services.figures
        bench.nursery.start_soon(figures.run, tmp_path / "store")
        await trio.sleep(2.5)
        shown = figures.shown(0)
        assert (shown["store_bytes"], len(shown["samples"])) == (1_024, 2)


def test_a_percentile_is_the_bound_that_holds_it() -> None:
    waits = [0] * (len(WAIT_BOUNDS_S) + 1)
    assert percentile_ms(waits, 0.99) is None
    waits[3], waits[10] = 99, 1
    assert (
        percentile_ms(waits, 0.5) == percentile_ms(waits, 0.99) == round(WAIT_BOUNDS_S[3] * 1e3, 2)
    )
    waits[10] = 2
    assert percentile_ms(waits, 0.99) == round(WAIT_BOUNDS_S[10] * 1e3, 2)
    waits[-1] = 1_000
    assert percentile_ms(waits, 0.99) == round(WAIT_BOUNDS_S[-1] * 1e3, 2)
