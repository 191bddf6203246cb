from __future__ import annotations

from io import StringIO

import msgpack
from rich.console import Console

from bench.work import BATCH, POSTERS, STAGES, Timing, Workshop, rows_of, run, table_of


def test_every_post_of_a_batch_is_stored_framed_and_answered() -> None:
    workshop = Workshop()
    before = workshop.ledger.state.seq

    for size in (BATCH, 1, 1):
        chunk, answers = workshop.work(workshop.reads(size))

        frames = msgpack.Unpacker()
        frames.feed(chunk)
        pushed = [params[0] for _kind, _method, params in frames]
        answered = [msgpack.unpackb(answer)[3] for answer in answers]
        seqs = list(range(before + 1, before + size + 1))
        assert [event["seq"] for event in pushed] == seqs
        assert [answer["seq"] for answer in answered] == seqs
        assert len({event["id"] for event in pushed}) == size
        assert len({event["user"] for event in pushed}) == min(size, POSTERS)
        before += size

    records = workshop.store.read(workshop.ledger.stream, 0, before).records
    assert records[-1].chain == workshop.ledger.chain


def test_a_tiny_run_times_every_stage_of_both_sizes() -> None:
    timings = run(rounds=3, warm_up=1)

    assert [timing.size for timing in timings] == [BATCH, 1]
    for timing in timings:
        assert len(timing.stages) == len(STAGES)
        assert all(len(stage) == 3 and stage[0] > 0 for stage in timing.stages)
        assert timing.totals[0] >= sum(stage[0] for stage in timing.stages)
    shown = StringIO()
    Console(file=shown, width=120).print(table_of(timings))
    assert all(stage in shown.getvalue() for stage in STAGES)


def timing_of(size: int, us: int) -> Timing:
    stage = [us * 1_000, us * 2_000, us * 3_000]
    return Timing(size, [stage] * len(STAGES), [each * len(STAGES) for each in stage], us * 7_000)


def test_a_row_has_the_middle_and_the_lowest_of_each_size() -> None:
    rows = list(rows_of([timing_of(100, 1), timing_of(1, 5)]))

    assert [row[0] for row in rows] == [*STAGES, "all", "CPU on average"]
    assert rows[0] == ("unframe", "2.00", "1.00", "10.00", "5.00", "")
    assert rows[-2] == ("all", "12.00", "6.00", "60.00", "30.00", "")
    assert rows[-1] == ("CPU on average", "7.00", "", "35.00", "", "")


def test_it_says_where_the_target_is_missed() -> None:
    assert list(rows_of([timing_of(100, 2), timing_of(1, 2)]))[-2][-1] == "> 15"
