"""Writes that nobody awaits: who hears what befell them, when, and in what order."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from groupd.errors import LogBroken, LogConflict, LogUnavailable
from groupd.storage.log import Log, open_log
from groupd.storage.memory import MemoryStore
from groupd.storage.port import PutPosition, Write
from groupd.testing.log_samples import HALL, YARD, append
from tests.storage.slow import Made, at_the_gate, group


@pytest.fixture(params=["inline", "threaded"])
async def log(request: pytest.FixtureRequest) -> AsyncIterator[Log]:
    async with open_log(lambda: MemoryStore("one"), threaded=request.param == "threaded") as log:
        yield log


class Heard:
    """Hears what befell the writes that were begun, and in what order."""

    def __init__(self, log: Log) -> None:
        self.outcomes: list[tuple[int, BaseException | None]] = []
        self.threads: set[int] = set()
        self._log = log
        self._begun = 0

    def begin(self, write: Write) -> None:
        number, self._begun = self._begun, self._begun + 1

        def done(outcome: BaseException | None) -> None:
            self.threads.add(threading.get_ident())
            self.outcomes.append((number, outcome))

        self._log.begin(write, done)

    async def all(self) -> list[tuple[int, BaseException | None]]:
        """Wait until what was begun so far is done: a write behind it is heard of after it."""
        await self._log.write(PutPosition("last", 1))
        return self.outcomes


async def test_a_write_that_was_begun_is_heard_of_once_it_is_durable(log: Log) -> None:
    heard = Heard(log)
    for number in range(5):
        heard.begin(append(group(number), 1))
    assert await heard.all() == [(number, None) for number in range(5)]
    assert heard.threads == {threading.get_ident()}
    assert await log.read(lambda store: len(store.streams(None, 9))) == 5


async def test_what_befell_a_write_that_was_begun_is_its_own(log: Log) -> None:
    heard = Heard(log)
    for write in (append(HALL, 1), append(HALL, 1), append(YARD, 1)):
        heard.begin(write)
    outcomes = [type(outcome) for _number, outcome in await heard.all()]
    assert outcomes == [type(None), LogConflict, type(None)]


async def test_an_inline_log_has_done_what_was_begun_before_it_returns() -> None:
    async with open_log(lambda: MemoryStore("one"), threaded=False) as log:
        heard = Heard(log)
        heard.begin(append(HALL, 1))
        assert heard.outcomes == [(0, None)]


@pytest.mark.parametrize("threaded", [True, False])
async def test_a_closed_log_refuses_what_is_begun(threaded: bool) -> None:
    async with open_log(lambda: MemoryStore("one"), threaded=threaded) as log:
        heard = Heard(log)
    heard.begin(append(HALL, 1))
    ((_number, outcome),) = heard.outcomes
    assert isinstance(outcome, LogUnavailable)


@pytest.mark.parametrize("threaded", [True, False])
async def test_a_write_that_was_begun_hears_of_an_unknown_outcome(threaded: bool) -> None:
    made = Made()
    async with open_log(made, threaded=threaded) as log:
        made.store.fault = LogBroken("fsync failed")
        heard = Heard(log)
        heard.begin(append(HALL, 1))
        with pytest.raises(LogBroken):
            await heard.all()
    ((_number, outcome),) = heard.outcomes
    assert isinstance(outcome, LogBroken)


async def test_writes_that_were_begun_share_a_round() -> None:
    made = Made()
    async with open_log(made, threaded=True) as log:
        heard = Heard(log)

        def work(nursery: trio.Nursery) -> None:
            for number in range(100):
                heard.begin(append(group(number), 1))
            nursery.start_soon(heard.all)

        async with at_the_gate(log, made.store, work):
            assert heard.outcomes == []
    assert made.store.rounds == [1, 101]
    assert [number for number, _outcome in heard.outcomes] == list(range(100))


def test_a_listener_that_fails_ends_the_program_after_all_others_have_heard() -> None:
    made, heard = Made(), []

    def fail(_outcome: BaseException | None) -> None:
        raise ZeroDivisionError

    async def main() -> None:
        async with open_log(made, threaded=True) as log:

            def work(_nursery: trio.Nursery) -> None:
                log.begin(append(HALL, 1), fail)
                log.begin(append(YARD, 1), heard.append)

            async with at_the_gate(log, made.store, work):
                pass
            await trio.sleep_forever()

    with pytest.raises(trio.TrioInternalError) as caught:
        trio.run(main)
    cause = caught.value.__cause__
    assert isinstance(cause, BaseExceptionGroup)
    assert cause.subgroup(ZeroDivisionError) is not None
    assert heard == [None]
    assert made.store.closed


async def test_a_log_is_busy_until_everything_that_was_asked_for_is_heard_of() -> None:
    made = Made()
    async with open_log(made, threaded=True) as log:
        heard, busy = Heard(log), []
        assert not log.is_busy
        heard.begin(PutPosition("first", 1))
        assert log.is_busy
        await heard.all()
        assert not log.is_busy

        def work(_nursery: trio.Nursery) -> None:
            heard.begin(append(HALL, 1))
            heard.begin(append(HALL, 1))
            log.begin(append(YARD, 1), lambda _outcome: busy.append(log.is_busy))

        async with at_the_gate(log, made.store, work) as nursery:
            assert log.is_busy
            nursery.start_soon(heard.all)
            await wait_all_tasks_blocked()
        assert len(heard.outcomes) == 3
        assert busy == [False]
        assert not log.is_busy


async def test_a_read_that_nobody_waits_for_does_not_leave_a_log_busy() -> None:
    made = Made()
    async with open_log(made, threaded=True) as log:

        def work(nursery: trio.Nursery) -> None:
            nursery.start_soon(log.read, lambda store: store.id)

        async with at_the_gate(log, made.store, work) as nursery:
            nursery.cancel_scope.cancel()
        # What comes behind both kinds of work: the read that was given up is passed by then.
        await log.write(PutPosition("last", 1))
        await log.read(lambda store: store.id)
        assert not log.is_busy


async def test_a_log_without_a_thread_is_never_busy() -> None:
    async with open_log(lambda: MemoryStore("one"), threaded=False) as log:
        log.begin(append(HALL, 1), lambda _outcome: None)
        assert not log.is_busy
