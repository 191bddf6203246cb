"""What the counts come to, and how that is shown."""

from __future__ import annotations

import json
from io import StringIO
from xml.etree import ElementTree

import attrs
import pytest
from rich.console import Console

from bench.figure import Scale, draw
from bench.figures import Latency, Outcome, percentile
from bench.report import COLUMNS, WIDE, cells_of, json_line, remark, rows_of, table_of
from bench.runner import Run
from bench.scenarios import SCENARIOS
from bench.targets import GROUPD, Target, commit
from groupd.version import VERSION

MEMORY, DURABLE = Target(GROUPD, "memory"), Target(GROUPD, "durable")
REDIS = Target("redis")
OUTCOME = Outcome(
    posts_total=120,
    deliveries_total=24_000,
    seconds=2.0,
    posts=100,
    deliveries=20_000,
    server_cpu_s=0.01,
    load_cpu_s=1.0,
    delivery=Latency(100, 1_000.0, 2_000.0, 3_000.0),
)


def run(target: Target = MEMORY, scenario: str = "a", number: int = 1, **changes: object) -> Run:
    return Run(SCENARIOS[scenario], target, attrs.evolve(OUTCOME, **changes), number)


# --- figures


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


def test_figures_follow_from_the_counts() -> None:
    assert OUTCOME.cpu_us_per_delivery == pytest.approx(0.5)
    assert OUTCOME.cpu_us_per_post == pytest.approx(100.0)
    assert OUTCOME.deliveries_per_s == pytest.approx(10_000)
    assert OUTCOME.posts_per_s == pytest.approx(50)
    assert OUTCOME.bytes_per_connection is None


def test_an_outcome_of_nothing_has_no_figures() -> None:
    assert Outcome().cpu_us_per_delivery is None
    assert Outcome().server_share is None
    assert Outcome().p99_ratio is None


def test_an_outcome_survives_json() -> None:
    outcome = attrs.evolve(OUTCOME, delivery_alone=OUTCOME.delivery)

    assert Outcome.from_plain(json.loads(json.dumps(attrs.asdict(outcome)))) == outcome


def test_what_a_crowd_does_is_shown_beside_how_it_was_without() -> None:
    alone = Latency(100, 900.0, 1_600.0, 2_000.0)

    (row,) = rows_of([run(scenario="f", delivery_alone=alone)])

    assert cells_of(row, [row])[-1] == "p99 1.25 times that without, which is 1.60 ms"


# --- remarks


def test_a_load_generator_without_reserve_is_reported() -> None:
    assert remark(attrs.evolve(OUTCOME, load_cpu_s=1.9)) == "load saturated"
    assert remark(OUTCOME) == "ok"


# --- rounds


def test_of_several_rounds_the_median_of_each_figure_counts() -> None:
    (row,) = rows_of(
        [
            run(server_cpu_s=0.03, deliveries=40_000),
            run(server_cpu_s=0.01, number=2, delivery=Latency(100, 900.0, 2_500.0, 4_000.0)),
            run(server_cpu_s=0.02, number=3, delivery=Latency(90, 800.0, 2_600.0, 5_000.0)),
        ]
    )

    assert row.figures["cpu_us_per_delivery"] == pytest.approx(0.75)
    assert row.figures["deliveries_per_s"] == pytest.approx(10_000)
    assert row.delivery == Latency(90, 900.0, 2_500.0, 4_000.0)


def test_a_ratio_is_one_of_each_round_and_of_these_the_median() -> None:
    runs = [
        run(target, number=number, server_cpu_s=cpu_s)
        for number, (mine_s, its_s) in enumerate([(0.01, 0.02), (0.04, 0.04), (0.03, 0.02)], 1)
        for target, cpu_s in ((MEMORY, mine_s), (REDIS, its_s))
    ]
    rows = rows_of(runs)

    assert "1.00 (0.50-1.50)" in cells_of(rows[1], rows)


def test_one_failed_round_fails_them_all() -> None:
    (row,) = rows_of([run(), run(problems=["a post is missing"], number=2)])

    assert row.remark == "FAILED"
    assert row.figures == {}


def test_scenarios_keep_their_order_through_the_rounds() -> None:
    runs = [run(scenario=name, number=number) for number in (1, 2) for name in ("d", "a")]

    assert [row.scenario.name for row in rows_of(runs)] == ["d", "a"]


# --- the table


def test_a_failed_run_shows_no_figures() -> None:
    rows = rows_of([run(problems=["a post is missing"])])

    assert [cell for cell in cells_of(rows[0], rows) if cell] == [
        "a: 1 x 200",
        "groupd memory",
        "FAILED",
    ]


def test_a_row_says_latencies_in_milliseconds() -> None:
    rows = rows_of([run()])

    assert "1.00 / 2.00 / 3.00" in cells_of(rows[0], rows)


def test_a_peers_row_says_groupds_share_and_a_store_how_much_more_it_takes() -> None:
    rows = rows_of([run(), run(DURABLE, server_cpu_s=0.015), run(REDIS, server_cpu_s=0.04)])
    _memory, durable, redis = (cells_of(row, rows) for row in rows)

    assert "1.50 x memory" in durable
    assert "0.25" in redis


def test_nothing_is_compared_with_another_scenario() -> None:
    rows = rows_of([run(scenario="d"), run(REDIS)])

    assert (
        cells_of(rows[1], rows)[[column.heading for column in COLUMNS].index("groupd ÷ it")] == ""
    )


def test_the_table_says_that_it_shows_the_median_of_the_rounds() -> None:
    console = Console(width=210, record=True, quiet=True)

    console.print(table_of([run(), run(number=2)], rounds=2))

    assert table_of([run()]).caption is None
    assert "median of 2 rounds" in str(table_of([run()], rounds=2).caption)


@pytest.mark.parametrize("width", [100, 120, 240])
def test_a_narrow_table_leaves_columns_out_and_shortens_no_figure(width: int) -> None:
    runs = [run(load_cpu_s=1.9), run(REDIS)]
    file = StringIO()

    Console(file=file, width=width).print(table_of(runs, rounds=2, width=width))

    shown, rows = file.getvalue(), rows_of(runs)
    for row in rows:
        line = next(line for line in shown.splitlines() if row.target.title in line)
        assert "…" not in line
        assert row.remark in line
        assert "1.00 / 2.00 / 3.00" in line
    assert ("posts/s" in shown) == (width >= WIDE)


def test_losses_are_shown() -> None:
    rows = rows_of([run(REDIS, lost=3)])

    assert "3 deliveries lost" in cells_of(rows[0], rows)


# --- JSON


def test_a_json_line_holds_counts_and_figures_and_where_they_come_from() -> None:
    line = json.loads(json_line(run(DURABLE, "d", 2), machine="a machine", date="2030-01-02"))

    assert line["scenario"]["posts_per_s"] == 50
    assert line["deliveries"] == 20_000
    assert line["cpu_us_per_delivery"] == pytest.approx(0.5)
    assert line["delivery"]["p99_us"] == 2_000.0
    assert (line["server"], line["store"], line["round"]) == ("groupd", "durable", 2)
    assert (line["machine"], line["date"]) == ("a machine", "2030-01-02")
    assert line["version"] == DURABLE.version


def test_the_version_of_groupd_names_the_commit_that_is_measured() -> None:
    version, _, named = Target(GROUPD).version.partition("-")

    assert version == VERSION
    # Outside a clone there is none to name.
    assert named == commit()
    assert named == "" or named.rstrip("+").isalnum()


# --- the drawing


def test_a_drawing_is_svg_with_a_bar_and_a_figure_for_each_server() -> None:
    rows = rows_of([run(), run(REDIS, server_cpu_s=0.04), run(scenario="g", deliveries=0)])

    drawn = draw(rows, machine="<a> & b", date="2030-01-02")

    root = ElementTree.fromstring(drawn)
    texts = [text.text for text in root.iter("{http://www.w3.org/2000/svg}text")]
    assert len(list(root.iter("{http://www.w3.org/2000/svg}rect"))) == 2
    assert {"0.50", "2.00", "groupd memory", "<a> & b"} <= set(texts)
    assert not any(text and text.startswith("g:") for text in texts)


def test_a_figure_is_marked_where_the_load_was_at_its_limit() -> None:
    drawn = draw(rows_of([run(load_cpu_s=1.9), run(REDIS)]), machine="", date="")

    assert ">0.50 *<" in drawn
    assert ">0.50<" in drawn


def test_the_cheapest_stands_first() -> None:
    rows = rows_of([run(server_cpu_s=0.04), run(REDIS)])

    drawn = draw(rows, machine="", date="")

    assert drawn.index(REDIS.title) < drawn.index("groupd memory")


def test_there_is_no_drawing_of_nothing() -> None:
    with pytest.raises(ValueError, match="nothing to draw"):
        draw(rows_of([run(deliveries=0)]), machine="", date="")


def test_a_scale_has_whole_decades() -> None:
    scale = Scale(0.2, 30)

    assert scale.decades == [0.1, 1, 10, 100]
    assert scale.place(0.1) == 0
    assert scale.place(10) == pytest.approx(2 / 3)
    assert Scale(1, 1).decades == [1, 10]
