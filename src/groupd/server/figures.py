"""What a server does, second by second: for an operator who looks on, and for the past of a chart.

Theory of operation: what is counted stands elsewhere (``Counts``, ``RoundCounts``,
``Services.refused``). Once a second it is noted, and the difference to the note before is kept in a
ring; what is told "a second" or "of the last minute" is the difference to an older note. So nothing
is done here for a post or a delivery, and a note costs the same whatever happens.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from itertools import accumulate
from pathlib import Path
from typing import Any, Final

import attrs
import trio

from groupd.engine.counts import WAIT_BOUNDS_S
from groupd.engine.hub import Hub

SAMPLES_MAX: Final = 600
"""Seconds that are kept: ten minutes."""
SAMPLE_S: Final = 1.0
MINUTE: Final = 60
"""Samples that "the last minute" is made of."""
SMOOTH: Final = 5
"""Samples that a figure "a second" is the mean of: of a single one nobody could read it."""


@attrs.frozen
class Note:
    """What was so at a moment; counts are since the start."""

    time_ms: int
    at_s: float
    """By trio's clock, which never jumps."""
    posts: int
    deliveries: int
    waits: tuple[int, ...]
    refused: Mapping[str, int]
    rounds: int
    writes: float
    backlog_bytes: int
    connections: int


class Figures:
    """The ring of samples. Lives in trio's thread; ``run`` alone adds to it.

    ``refused`` are requests that were refused, by code; ``connections`` gives how many there are.
    """

    def __init__(
        self, hub: Hub, refused: Mapping[str, int], *, connections: Callable[[], int]
    ) -> None:
        self._hub = hub
        self._refused = refused
        self._connections = connections
        self._notes: deque[Note] = deque(maxlen=MINUTE + 1)
        self._samples: deque[dict[str, Any]] = deque(maxlen=SAMPLES_MAX)
        self._store_bytes = 0
        self.started_ms = hub.ports.clock.now_ms()

    async def run(self, store_file: Path | None) -> None:
        """Note what is so, once a second, until cancelled. Without a file, groups are in memory."""
        while True:
            self.note()
            if store_file is not None:
                self._store_bytes = sum(
                    map(_size, (store_file, store_file.with_name(f"{store_file.name}-wal")))
                )
            await trio.sleep(SAMPLE_S)

    def note(self) -> None:
        """Keep what is so now, and what has happened since the last note."""
        now = self._now()
        if self._notes:
            self._samples.append(_sample(self._notes[-1], now))
        self._notes.append(now)

    def shown(self, after_ms: int) -> dict[str, Any]:
        """Give the figures of now, and the samples that are later than a time."""
        now, notes = self._now(), self._notes
        recent = _back(notes, SMOOTH) or now
        minute = _back(notes, MINUTE) or now
        waits = [new - old for new, old in zip(now.waits, minute.waits, strict=True)]
        shown: dict[str, Any] = {
            "time_ms": now.time_ms,
            "started_ms": self.started_ms,
            "connections": now.connections,
            "awake": self._hub.awake,
            "posts": now.posts,
            "deliveries": now.deliveries,
            "posts_per_s": _per_s(now.posts - recent.posts, recent, now),
            "deliveries_per_s": _per_s(now.deliveries - recent.deliveries, recent, now),
            "backlog_bytes": now.backlog_bytes,
            "store_bytes": self._store_bytes,
            "rounds_per_s": _per_s(now.rounds - recent.rounds, recent, now),
            "refused": {
                code: count - minute.refused.get(code, 0)
                for code, count in now.refused.items()
                if count > minute.refused.get(code, 0)
            },
            "samples": [sample for sample in self._samples if sample["time_ms"] > after_ms],
        }
        for name, share in (("post_p50_ms", 0.5), ("post_p99_ms", 0.99)):
            wait_ms = percentile_ms(waits, share)
            if wait_ms is not None:
                shown[name] = wait_ms
        rounds = now.rounds - minute.rounds
        if rounds:
            shown["writes_per_round"] = round((now.writes - minute.writes) / rounds, 2)
        return shown

    def _now(self) -> Note:
        hub, rounds = self._hub, self._hub.log.counts
        time_ms = hub.ports.clock.now_ms()
        if self._notes:
            # Whoever asks for what is later must miss nothing where the clock was put back.
            time_ms = max(time_ms, self._notes[-1].time_ms + 1)
        return Note(
            time_ms=time_ms,
            at_s=trio.current_time(),
            posts=hub.counts.posts,
            deliveries=hub.counts.deliveries,
            waits=tuple(hub.counts.waits),
            refused=dict(self._refused),
            rounds=sum(rounds.commit_s.counts),
            writes=rounds.writes.sum,
            backlog_bytes=hub.backlogs.bytes,
            connections=self._connections(),
        )


def percentile_ms(waits: Sequence[int], share: float) -> float | None:
    """Give how long the ``share`` of messages that were fastest has taken at most.

    ``waits`` are counts by ``WAIT_BOUNDS_S``; None where there are none. What was longer than the
    last bound is told as that.
    """
    so_far = list(accumulate(waits))
    if not so_far or not so_far[-1]:
        return None
    place = bisect_left(so_far, share * so_far[-1])
    return round(1_000 * WAIT_BOUNDS_S[min(place, len(WAIT_BOUNDS_S) - 1)], 2)


def _back(notes: Sequence[Note], count: int) -> Note | None:
    """Give the note of some samples ago, or the oldest there is."""
    return notes[max(0, len(notes) - count)] if notes else None


def _per_s(count: int, since: Note, until: Note) -> float:
    seconds = until.at_s - since.at_s
    return round(count / seconds, 2) if seconds > 0 else 0.0


def _sample(old: Note, new: Note) -> dict[str, Any]:
    """Give what happened between two notes, and what was so at the second."""
    sample: dict[str, Any] = {
        "time_ms": new.time_ms,
        "posts_per_s": _per_s(new.posts - old.posts, old, new),
        "deliveries_per_s": _per_s(new.deliveries - old.deliveries, old, new),
        "backlog_bytes": new.backlog_bytes,
        "connections": new.connections,
    }
    waits = [after - before for after, before in zip(new.waits, old.waits, strict=True)]
    wait_ms = percentile_ms(waits, 0.99)
    if wait_ms is not None:
        sample["post_p99_ms"] = wait_ms
    return sample


def _size(path: Path) -> int:
    with suppress(OSError):
        return path.stat().st_size
    return 0
