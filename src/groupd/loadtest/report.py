"""What a load test has come to, for people and for programs. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import attrs

from groupd.loadtest.figures import DISCONNECTED, Counts, Figures, Latency
from groupd.loadtest.histogram import Histogram
from groupd.loadtest.reading import Problems

PER_MILLE: Final = {"p50": 500, "p90": 900, "p99": 990, "p99.9": 999}
LAG_MAX_US: Final = 10_000
"""The generator's own lag, at p99, above which its figures are marked."""
SHORTFALL_MAX: Final = 0.99
"""The part of the posts due that must have left in time, or the figures are marked."""
FAR_APART: Final = 2
"""How many times the uncorrected p99 the corrected one is, for the difference to be explained."""
FAR_APART_US: Final = 10_000
"""And how far apart they are at least."""
RATE_LIMITED: Final = "rate_limited"


def in_ms(microseconds: float) -> str:
    """Write a time for people: three digits that count."""
    digits = 2 if microseconds < 10_000 else 1 if microseconds < 100_000 else 0
    return f"{microseconds / 1_000:,.{digits}f}"


@attrs.frozen(kw_only=True)
class Report:
    """A finished run. ``figures`` and ``problems`` do not change any more."""

    url: str
    settings: Mapping[str, Any]
    """What was asked for."""
    connections: int
    groups: int
    members: int
    """Of each group."""
    seconds: float
    """Between the first post due and the end of posting."""
    wanted_per_s: float
    stopped_early: bool
    in_time: Counts
    """The counts as of the end of posting."""
    figures: Figures
    unanswered: int
    """Posts that had no answer, and no refusal, when the run was given up."""
    lost: int
    """Connections that were not there then."""
    problems: Problems
    server_limits: Mapping[str, Any]
    """What the server says of its limits."""

    @property
    def is_correct(self) -> bool:
        """Whether every acknowledged post reached every member exactly once, in order."""
        return not self.problems.count

    @property
    def has_passed(self) -> bool:
        """Whether it is correct, anything could be wrong, and the server was there to answer."""
        return self.is_correct and self.figures.counts.acknowledged > 0 and not self.cut_off

    @property
    def cut_off(self) -> int:
        """How many posts had no answer since the connection was lost and did not come back."""
        waiting = self.unanswered if self.lost else 0
        return waiting + self.figures.refusals[DISCONNECTED]

    @property
    def is_saturated(self) -> bool:
        """Whether the load generator was too slow for what was asked of it."""
        counts = self.figures.counts
        late = self.figures.lag.count and self.figures.lag.percentile(990) > LAG_MAX_US
        return bool(late or counts.skipped or self.in_time.due < self._expected * SHORTFALL_MAX)

    @property
    def _expected(self) -> float:
        # Drawn arrivals are as many as were drawn.
        drawn = self.settings.get("arrivals") != "constant"
        return 0.0 if drawn else self.wanted_per_s * self.seconds - 1

    @property
    def rates(self) -> dict[str, float]:
        """Give what came about in each second of posting."""
        counts = self.in_time
        per_s = {
            "sent": counts.sent,
            "acknowledged": counts.acknowledged,
            "delivered": counts.delivered,
            "refused": counts.refused,
        }
        seconds = self.seconds or 1.0
        return {
            "wanted": self.wanted_per_s,
            **{name: round(count / seconds, 3) for name, count in per_s.items()},
        }

    def verdict(self) -> str:
        """Say in one sentence whether all was right."""
        if not self.figures.counts.acknowledged and self.is_correct:
            return "nothing was acknowledged, so there is nothing to say"
        if self.is_correct and self.cut_off:
            return (
                f"NOT ANSWERED: {self.cut_off:,} posts, since the connection to the server was "
                f"lost; {self.figures.counts.acknowledged:,} were acknowledged, and of these "
                "nothing is missing"
            )
        if self.is_correct:
            return (
                f"correct: each of {self.figures.counts.acknowledged:,} acknowledged posts reached "
                f"each of {self.members:,} members exactly once, in order"
            )
        return f"NOT CORRECT: {self.problems.count:,} problems with what was delivered"

    def notes(self) -> list[str]:
        """Say what must be known to read the figures, the weightiest first."""
        counts, notes = self.figures.counts, list[str]()
        if self.stopped_early:
            notes.append(f"stopped after {self.seconds:.1f} s; this is what there was until then")
        if self.is_saturated:
            notes.append(self._saturation())
        notes += _explained("acknowledgements", self.figures.acknowledgement)
        notes += _explained("deliveries", self.figures.delivery)
        limited = sum(
            count for kind, count in self.figures.refusals.items() if _code(kind) == RATE_LIMITED
        )
        if limited:
            notes.append(self._limited(limited))
        if self.unanswered:
            notes.append(
                f"{self.unanswered:,} posts had no answer when the run ended, and so are in no "
                "latency: the figures are too good"
            )
        if counts.lagged:
            notes.append(
                f"the server said lagged {counts.lagged:,} times: it pushed faster than this "
                f"program read; {counts.fetched:,} deliveries were fetched later"
            )
        return notes

    def _saturation(self) -> str:
        lag, counts = self.figures.lag, self.figures.counts
        words = []
        if lag.count:
            words.append(f"it came to its posts late: {in_ms(lag.percentile(990))} ms at p99")
        if counts.skipped:
            words.append(f"{counts.skipped:,} posts were never sent, since too many were under way")
        return (
            "THE LOAD GENERATOR COULD NOT KEEP UP (figures marked *): "
            f"{'; '.join(words)}. Latencies have its own delay in them. Ask for a lower --rate or "
            "fewer members, or run several on more cores"
        )

    def _limited(self, count: int) -> str:
        share = count / max(1, self.figures.counts.due)
        rate, burst = (self.server_limits.get(name, "?") for name in ("rate_per_s", "rate_burst"))
        return (
            f"{count:,} posts ({share:.1%}) were refused as rate_limited: this server lets a user "
            f"ask for {rate} units a second and {burst} at once, and a post is one. To test "
            "without that: groupd serve --no-rate-limits, or rate_per_s and rate_burst under "
            "[limits] of its configuration; or use more tokens, so that each posts less"
        )

    def to_plain(self) -> dict[str, Any]:
        """Give everything as JSON has it; times are in microseconds."""
        figures = self.figures
        return {
            "target": self.url,
            "settings": dict(self.settings),
            "connections": self.connections,
            "groups": self.groups,
            "members": self.members,
            "connections_lost": self.lost,
            "seconds": self.seconds,
            "stopped_early": self.stopped_early,
            "correct": self.is_correct,
            "problems": list(self.problems.shown),
            "problems_count": self.problems.count,
            "generator_saturated": self.is_saturated,
            "generator_lag_us": summary(figures.lag),
            "per_second": self.rates,
            "counts": attrs.asdict(figures.counts) | {"unanswered": self.unanswered},
            "refusals": dict(figures.refusals.most_common()),
            "acknowledgement_us": _both(figures.acknowledgement),
            "delivery_us": _both(figures.delivery),
            "server_limits": dict(self.server_limits),
            "notes": self.notes(),
        }


def summary(histogram: Histogram) -> dict[str, float | int] | None:
    """Sum a histogram up; None where nothing was counted."""
    if not histogram.count:
        return None
    points = {name: histogram.percentile(share) for name, share in PER_MILLE.items()}
    return {
        "count": histogram.count,
        "mean": round(histogram.mean_us, 1),
        **points,
        "max": histogram.max_us,
    }


def _both(latency: Latency) -> dict[str, Any]:
    return {
        "corrected": summary(latency.corrected),
        "uncorrected": summary(latency.uncorrected),
    }


def _code(kind: str) -> str:
    return kind.partition("/")[0]


def _explained(what: str, latency: Latency) -> Sequence[str]:
    """Say why the two ways of measuring are far apart, where they are."""
    if not (latency.corrected.count and latency.uncorrected.count):
        return ()
    long, short = (each.percentile(990) for each in (latency.corrected, latency.uncorrected))
    if long < short * FAR_APART or long - short < FAR_APART_US:
        return ()
    return (
        f"{what}: p99 is {in_ms(long)} ms from when posts were due, and would look like "
        f"{in_ms(short)} ms to a tool whose users wait for an answer before they post again. While "
        "the server stalls, such a tool posts hardly anything, and so measures hardly any of it "
        "(coordinated omission)",
    )
