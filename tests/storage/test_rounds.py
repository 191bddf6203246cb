"""Rounds, without a thread: what is done next, and what befell it."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from groupd.errors import LogBroken, LogConflict, LogUnavailable
from groupd.storage.memory import MemoryStore
from groupd.storage.port import Outcome, PutPosition, Store, Write
from groupd.storage.rounds import READS_MAX, ROUND_MAX, Job, Rounds
from groupd.testing.log_samples import HALL, append


def jobs_of(rounds: Rounds) -> list[str]:
    """Do all that waits, and say of what kind and size each step was."""
    steps = []
    while rounds.busy:
        jobs = rounds.step()
        steps.append(f"{len(jobs)} {'reads' if callable(jobs[0].work) else 'writes'}")
    return steps


def queued(writes: int, reads: int, store: Store | None = None) -> Rounds:
    rounds = Rounds(store or MemoryStore("one"))
    for _ in range(writes):
        rounds.add(Job(PutPosition("reactor", 1)))
    for _ in range(reads):
        rounds.add(Job(lambda store: store.id))
    return rounds


def test_reads_and_rounds_take_turns() -> None:
    assert jobs_of(queued(writes=ROUND_MAX + 1, reads=READS_MAX * 3)) == [
        f"{READS_MAX} reads",
        f"{ROUND_MAX} writes",
        f"{READS_MAX} reads",
        "1 writes",
        f"{READS_MAX} reads",
    ]


def test_without_reads_rounds_follow_each_other() -> None:
    assert jobs_of(queued(writes=ROUND_MAX * 2, reads=0)) == [f"{ROUND_MAX} writes"] * 2


def test_a_job_holds_what_befell_it() -> None:
    rounds = queued(writes=0, reads=1)
    (read,) = rounds.step()
    assert (read.result, read.error) == ("one", None)
    rounds.add(Job(append(HALL, 1)))
    rounds.add(Job(append(HALL, 1)))
    first, second = rounds.step()
    assert first.error is None
    assert isinstance(second.error, LogConflict)


class BrokenStore(MemoryStore):
    def commit(self, writes: Sequence[Write]) -> Sequence[Outcome]:
        return []


def test_a_store_that_answers_nothing_sensible_is_broken() -> None:
    rounds = queued(writes=3, reads=0, store=BrokenStore("one"))
    assert [type(job.error) for job in rounds.step()] == [LogBroken] * 3


def test_a_read_that_finds_the_store_broken_ends_everything() -> None:
    def query(_store: Store) -> None:
        raise LogBroken("the disk is gone")

    rounds = queued(writes=1, reads=0)
    rounds.add(Job(query))
    rounds.step()
    (write,) = rounds.step()
    assert isinstance(write.error, LogBroken)


@pytest.mark.parametrize(
    ("error", "still_wanted"),
    [(None, False), (LogUnavailable("full"), True), (LogBroken("x"), False)],
)
def test_a_checkpoint_is_tried_again_where_the_disk_was_full(
    error: Exception | None, still_wanted: bool
) -> None:
    class Store(MemoryStore):
        def checkpoint(self) -> None:
            if error is not None:
                raise error

    rounds = queued(writes=1, reads=0, store=Store("one"))
    assert not rounds.wants_checkpoint
    rounds.step()
    assert rounds.wants_checkpoint
    rounds.checkpoint()
    assert rounds.wants_checkpoint == still_wanted
