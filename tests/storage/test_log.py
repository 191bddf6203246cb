"""The async front of a store: rounds, and who hears of what befell them."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import attrs
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from groupd.errors import LogBroken, LogConflict, LogCorrupt, LogUnavailable
from groupd.storage import log as log_module
from groupd.storage.log import Log, open_log
from groupd.storage.memory import MemoryStore
from groupd.storage.port import Append, PutPosition, Store
from groupd.storage.rounds import Job
from groupd.storage.sqlite import SqliteStore
from groupd.testing.log_samples import HALL, YARD, head_of
from tests.storage.slow import Made, at_the_gate, group, one, until

# --- both flavours


@pytest.fixture(params=["inline", "threaded"])
async def log(request: pytest.FixtureRequest) -> AsyncIterator[Log]:
    async with open_log(lambda: MemoryStore("one"), threaded=request.param == "threaded") as log:
        yield log


async def test_what_was_appended_can_be_read(log: Log) -> None:
    assert log.id == "one"
    await log.append(one(HALL))
    assert await log.read(lambda store: head_of(store, HALL)) == 1


async def test_a_conflict_is_raised_where_it_was_caused(log: Log) -> None:
    await log.append(one(HALL))
    with pytest.raises(LogConflict):
        await log.append(one(HALL))
    await log.append(one(HALL, 1))


async def test_an_append_to_two_streams_is_one(log: Log) -> None:
    await log.append(one(HALL))
    with pytest.raises(LogConflict):
        await log.append(one(YARD), one(HALL))
    assert await log.read(lambda store: store.head(YARD)) is None


async def test_an_error_of_a_query_is_the_callers(log: Log) -> None:
    def query(_store: Store) -> None:
        raise LogCorrupt("nonsense")

    with pytest.raises(LogCorrupt, match="nonsense"):
        await log.read(query)
    await log.append(one(HALL))


async def test_a_cancelled_task_still_appends(log: Log) -> None:
    with trio.CancelScope() as scope:
        scope.cancel()
        await log.append(one(HALL))
        await log.append(one(YARD))
    assert await log.read(lambda store: len(store.streams(None, 9))) == 2


@pytest.mark.parametrize("threaded", [True, False])
async def test_an_error_of_opening_is_the_openers(threaded: bool) -> None:
    def make_store() -> Store:
        raise LogUnavailable("in use")

    with pytest.raises(LogUnavailable, match="in use"):
        async with open_log(make_store, threaded=threaded):
            raise AssertionError("opened")


@pytest.mark.parametrize("threaded", [True, False])
async def test_a_closed_log_refuses_work(threaded: bool) -> None:
    made = Made()
    async with open_log(made, threaded=threaded) as log:
        pass
    assert made.store.closed
    with pytest.raises(LogUnavailable):
        await log.append(one(HALL))
    with pytest.raises(LogUnavailable):
        await log.read(lambda store: store.id)


@pytest.mark.parametrize("threaded", [True, False])
async def test_a_store_is_closed_when_the_block_fails_or_is_cancelled(threaded: bool) -> None:
    made = Made()
    with pytest.raises(ZeroDivisionError):
        async with open_log(made, threaded=threaded):
            _ = 1 / 0
    assert made.store.closed
    with trio.CancelScope() as scope:
        async with open_log(made, threaded=threaded):
            scope.cancel()
            await trio.sleep_forever()
    assert made.store.closed


@pytest.mark.parametrize("threaded", [True, False])
async def test_an_error_of_closing_is_raised(threaded: bool) -> None:
    class Unclosable(MemoryStore):
        def close(self) -> None:
            raise LogBroken("no end")

    with pytest.raises(LogBroken, match="no end"):
        async with open_log(lambda: Unclosable("one"), threaded=threaded):
            pass


async def test_an_inline_log_never_suspends_its_caller() -> None:
    async with open_log(lambda: MemoryStore("one"), threaded=False) as log:
        with trio.CancelScope() as scope:
            scope.cancel()
            await log.append(one(HALL))
            assert await log.read(lambda store: store.id) == "one"
    assert not scope.cancelled_caught


# --- the thread


async def test_a_store_is_made_used_and_closed_in_one_thread() -> None:
    made = Made()
    async with open_log(made, threaded=True) as log:
        await log.append(one(HALL))
        reading = await log.read(lambda _store: threading.get_ident())
    assert made.store.threads == {reading}
    assert reading != threading.get_ident()
    assert reading not in [thread.ident for thread in threading.enumerate()]


async def test_writes_that_wait_share_a_round() -> None:
    made = Made()
    async with open_log(made, threaded=True) as log:

        def work(nursery: trio.Nursery) -> None:
            for number in range(100):
                nursery.start_soon(log.append, one(group(number)))

        async with at_the_gate(log, made.store, work):
            pass
        assert await log.read(lambda store: len(store.streams(None, 200))) == 100
    assert made.store.rounds == [1, 100]


async def test_a_round_wakes_trio_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made, woken = Made(), []
    tell = log_module.tell

    def note_and_tell(jobs: Sequence[Job]) -> None:
        woken.append(len(jobs))
        tell(jobs)

    monkeypatch.setattr(log_module, "tell", note_and_tell)
    async with open_log(made, threaded=True) as log:

        def work(nursery: trio.Nursery) -> None:
            for number in range(100):
                nursery.start_soon(log.append, one(group(number)))

        async with at_the_gate(log, made.store, work):
            woken.clear()
    assert woken == [1, 100]


async def test_a_conflict_in_a_shared_round_is_one_tasks_own() -> None:
    made, failed = Made(), []

    async def write(log: Log, wanted: Append) -> None:
        try:
            await log.append(wanted)
        except LogConflict:
            failed.append(wanted)

    async with open_log(made, threaded=True) as log:

        def work(nursery: trio.Nursery) -> None:
            for wanted in (one(HALL), one(YARD, 7), one(YARD)):
                nursery.start_soon(write, log, wanted)

        async with at_the_gate(log, made.store, work):
            pass
        assert [append.after_seq for append in failed] == [7]
        assert await log.read(lambda store: (head_of(store, HALL), head_of(store, YARD))) == (1, 1)


async def test_cancelling_an_append_under_way_does_not_lose_its_outcome() -> None:
    made, outcomes = Made(), []
    scope = trio.CancelScope()

    async def write(log: Log) -> None:
        with scope:
            await log.append(one(HALL))
            outcomes.append("done")
            await trio.lowlevel.checkpoint()
            outcomes.append("not cancelled")

    async with open_log(made, threaded=True) as log:
        async with at_the_gate(log, made.store, lambda nursery: nursery.start_soon(write, log)):
            scope.cancel()
            await wait_all_tasks_blocked()
            assert outcomes == []
        assert outcomes == ["done"]
        assert scope.cancelled_caught


async def test_cancelling_a_read_gives_up_waiting_at_once() -> None:
    made = Made()
    async with open_log(made, threaded=True) as log:

        async def read() -> None:
            with scope:
                await log.read(lambda store: store.id)

        scope = trio.CancelScope()
        async with at_the_gate(log, made.store, lambda nursery: nursery.start_soon(read)):
            scope.cancel()
            await wait_all_tasks_blocked()
            assert scope.cancelled_caught
        await log.append(one(HALL))


@pytest.mark.parametrize("fault", [LogBroken("fsync failed"), RuntimeError("a bug")])
async def test_after_an_unknown_outcome_everybody_hears_of_it_and_nothing_goes_on(
    fault: Exception,
) -> None:
    made, errors = Made(), []

    async def write(log: Log, number: int) -> None:
        try:
            await log.append(one(group(number)))
        except LogBroken as error:
            errors.append(error)

    async with open_log(made, threaded=True) as log:
        await log.append(one(HALL))
        made.store.fault = fault
        async with trio.open_nursery() as nursery:
            for number in range(10):
                nursery.start_soon(write, log, number)
        made.store.fault = None
        with pytest.raises(LogBroken):
            await log.append(one(HALL, 1))
        with pytest.raises(LogBroken):
            await log.read(lambda store: store.id)
    assert len(errors) == len({id(error) for error in errors}) == 10
    assert made.store.closed


async def test_closing_finishes_what_is_queued() -> None:
    made = Made()
    async with trio.open_nursery() as nursery, open_log(made, threaded=True) as log:
        made.store.gate.clear()
        nursery.start_soon(log.write, PutPosition("gate", 1))
        await until(made.store.entered)
        for number in range(20):
            nursery.start_soon(log.append, one(group(number)))
        await wait_all_tasks_blocked()
        made.store.gate.set()
    assert len(made.store._streams) == 20
    assert made.store.closed


async def test_a_disk_that_never_answers_does_not_hold_up_the_end_for_ever(
    autojump_clock: trio.abc.Clock,
) -> None:
    ended = threading.Event()

    class Stuck(MemoryStore):
        def close(self) -> None:
            ended.wait(10)

    with pytest.raises(LogBroken, match="did not close within"):
        async with open_log(lambda: Stuck("one"), threaded=True):
            pass
    ended.set()


async def test_a_rest_after_a_write_is_used_for_a_checkpoint(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(log_module, "IDLE_CHECKPOINT_S", 0.001)
    checkpointed = threading.Event()

    class Noting(MemoryStore):
        def checkpoint(self) -> None:
            checkpointed.set()

    async with open_log(lambda: Noting("one"), threaded=True) as log:
        # Also right after opening: a process that was killed may have left something to wipe.
        await until(checkpointed)
        checkpointed.clear()
        await log.read(lambda store: store.id)
        assert not checkpointed.is_set()
        await log.append(one(HALL))
        await until(checkpointed)


async def test_what_was_erased_is_wiped_though_the_store_never_rests(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(log_module, "IDLE_CHECKPOINT_S", 1_000)
    monkeypatch.setattr(log_module, "WIPE_WITHIN_S", 0)
    made = Made()
    async with open_log(made, threaded=True) as log:
        await log.append(one(HALL))
        await log.read(lambda store: store.id)
        assert made.store.checkpoints == 0
        await log.append(attrs.evolve(one(HALL, after=1), erase=(1,)))
        await log.read(lambda store: store.id)
        assert made.store.checkpoints == 1
        await log.append(one(HALL, after=2))
        await log.read(lambda store: store.id)
        assert made.store.checkpoints == 1


async def test_many_tasks_on_a_real_file_lose_nothing(tmp_path: Path) -> None:
    async def write(log: Log, number: int) -> None:
        for seq in range(20):
            await log.append(one(group(number), seq))
            assert await log.read(lambda store: head_of(store, group(number))) == seq + 1

    def make_store() -> Store:
        return SqliteStore.open(tmp_path, new_id=lambda: "one")

    async with open_log(make_store, threaded=True) as log, trio.open_nursery() as nursery:
        for number in range(30):
            nursery.start_soon(write, log, number)
    again = make_store()
    assert [head_of(again, group(number)) for number in range(30)] == [20] * 30
    again.close()
