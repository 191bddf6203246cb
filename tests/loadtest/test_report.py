"""What is said of a run, and when its figures are marked."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from typing import Any

import attrs
import orjson
import pytest

from groupd.errors import REASONS, Rejected
from groupd.loadtest.figure import draw
from groupd.loadtest.figures import Counts, Figures, kind_of
from groupd.loadtest.plan import Load
from groupd.loadtest.reading import Problems
from groupd.loadtest.report import LAG_MAX_US, Report


def report(*, lag_us: int = 500, figures: Figures | None = None, **changes: Any) -> Report:
    figures = figures or Figures()
    figures.lag.record(lag_us)
    if not figures.acknowledgement.corrected.count:
        for number in range(1_000):
            took_us = 1_000 + number
            figures.acknowledgement.record(took_us, due_us=0, sent_us=10, is_alone=True)
            figures.delivery.record(took_us * 2, due_us=0, sent_us=10, is_alone=True)
    counts = Counts(due=1_000, sent=1_000, acknowledged=1_000, delivered=5_000)
    figures.counts = counts
    load = Load(rate_per_s=100.0, for_ms=10_000)
    settings: dict[str, Any] = {
        "url": "tcp://127.0.0.1:7400",
        "settings": attrs.asdict(load),
        "connections": 5,
        "groups": 1,
        "members": 5,
        "seconds": 10.0,
        "wanted_per_s": 100.0,
        "stopped_early": False,
        "in_time": attrs.evolve(counts),
        "figures": figures,
        "unanswered": 0,
        "lost": 0,
        "problems": Problems(),
        "server_limits": {},
    }
    return Report(**{**settings, **changes})


def test_a_quiet_run_needs_no_notes() -> None:
    assert report().notes() == []
    assert not report().is_saturated


@pytest.mark.parametrize(("lag_us", "is_marked"), [(LAG_MAX_US, False), (LAG_MAX_US * 2, True)])
def test_figures_are_marked_where_the_generator_was_late(lag_us: int, is_marked: bool) -> None:
    assert report(lag_us=lag_us).is_saturated is is_marked


def test_figures_are_marked_where_posts_were_not_even_due_in_time() -> None:
    assert report(in_time=Counts(due=980)).is_saturated
    drawn = attrs.asdict(Load(rate_per_s=100.0, for_ms=10_000, arrivals="poisson"))
    # How many there are is chance, then.
    assert not report(in_time=Counts(due=980), settings=drawn).is_saturated


def test_two_ways_of_measuring_that_agree_need_no_word() -> None:
    figures = Figures()
    for _ in range(100):
        figures.acknowledgement.record(9_000, due_us=0, sent_us=8_000, is_alone=True)
    # Nine times as long, and yet too close for anybody to care.
    assert report(figures=figures).notes() == []


def test_everything_can_be_written_as_json() -> None:
    plain = orjson.loads(orjson.dumps(report().to_plain()))
    assert plain["correct"] is True
    assert plain["settings"]["rate_per_s"] == 100.0
    assert plain["per_second"]["delivered"] == 500.0
    assert plain["acknowledgement_us"]["corrected"]["count"] == 1_000
    assert plain["acknowledgement_us"]["corrected"]["max"] == 1_999
    assert plain["acknowledgement_us"]["uncorrected"]["max"] == 1_989
    assert plain["generator_lag_us"]["p99"] == 500


def test_what_was_not_measured_is_null() -> None:
    empty = Figures()
    made = attrs.evolve(report(), figures=empty)
    assert made.to_plain()["delivery_us"] == {"corrected": None, "uncorrected": None}
    with pytest.raises(ValueError, match="nothing to draw"):
        draw(made)


def test_a_refusal_is_counted_by_code_and_published_reason() -> None:
    assert kind_of(Rejected("rate_limited", "x", retry_after_ms=1)) == "rate_limited"
    for reason in REASONS:
        assert kind_of(Rejected("conflict", "x", reason=reason)) == f"conflict/{reason}"
    assert kind_of(Rejected("conflict", "x", reason="anything")) == "conflict"
    assert kind_of(Rejected("conflict", "x", reason=["a", "list"])) == "conflict"


def test_the_drawing_is_xml_with_both_lines_in_it() -> None:
    text = draw(report(url="tcp://a&b:1"))
    root = ElementTree.fromstring(text)
    classes = [each.get("class", "") for each in root.iter()]
    assert classes.count("line corrected") == classes.count("line uncorrected") == 1
    assert "tcp://a&amp;b:1" in text
    assert "99.9%" in text


def test_the_drawing_says_when_the_generator_was_late() -> None:
    assert "could not keep up" in draw(report(lag_us=1_000_000))
