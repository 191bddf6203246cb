"""Mailbox, batch, append, answer: in this order, whatever the log does."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
import trio
import trio.testing

from groupd.config import Limits
from groupd.domain.base import GROUP, Context, Fetched, Identity, Rules
from groupd.domain.catalog import EVENTS
from groupd.domain.group.info import Info
from groupd.domain.group.membership import Join, Leave
from groupd.domain.group.messages import Post
from groupd.domain.group.settings import Update
from groupd.engine.batch import publication_of
from groupd.engine.hub import Hub
from groupd.engine.ledger import Ledger
from groupd.engine.mail import Entry
from groupd.engine.ports import Ports
from groupd.errors import LogBroken, LogConflict, LogCorrupt, LogUnavailable, Rejected
from groupd.storage.port import Append, AppendAll
from groupd.testing.fakes import START_MS, FakeClock, SeededRandomness, fake_ports
from groupd.wire import codec
from tests.engine.rig import (
    KEYS,
    Answers,
    FakeSession,
    GateLog,
    group_key,
    hub_on,
    new_store,
    outcome,
    records_of,
    settle,
)
from tests.strategies import uuid7


@attrs.define
class Desk:
    """A group of olga's and mia's, and a way to put many requests into its mailbox at once."""

    hub: Hub
    log: GateLog
    group: str
    answers: Answers = attrs.field(factory=Answers)
    count: int = 0

    def put(self, *requests: Any, user: str = "olga", request_id: str = "") -> None:
        for request in requests:
            # Into the group's mailbox itself, also what would pass through an account.
            entry = Entry(Identity(user), request, request_id, self.answers, self.count)
            self.hub._directory.tell(group_key(self.group), entry)
            self.count += 1

    async def busy(self) -> None:
        """Let an append begin and hang, so that what comes now is the next batch."""
        self.log.shut()
        self.put(Post("first"))
        await settle()
        self.log.appends.clear()

    @property
    def texts(self) -> list[str]:
        records = records_of(self.log.store, group_key(self.group))
        kinds = EVENTS[GROUP]

        events = [codec.decode_event(kinds, record) for record in records]
        return [event.text for event in events if event.kind == "posted"]  # type: ignore[attr-defined]


async def desk_on(hub: Hub, log: GateLog) -> Desk:
    made = await hub.act_as("olga").create("Tea", members=["mia"])
    await settle()
    log.appends.clear()
    return Desk(hub, log, made["group"])


# --- batching and order


async def test_what_queues_during_an_append_goes_into_the_next_one() -> None:
    log = GateLog(new_store())
    async with hub_on(log) as hub:
        desk = await desk_on(hub, log)
        await desk.busy()
        desk.put(*(Post(f"post {number}") for number in range(50)))
        log.open()
        await settle()
        assert [len(write.appends[0].records) for write in log.appends] == [50]
        assert desk.answers.tags == list(range(51))
        assert desk.texts == ["first", *(f"post {number}" for number in range(50))]


async def test_a_batch_is_bounded() -> None:
    log = GateLog(new_store())
    async with hub_on(log, limits=Limits(batch_max=20)) as hub:
        desk = await desk_on(hub, log)
        await desk.busy()
        desk.put(*(Post(f"post {number}") for number in range(50)))
        log.open()
        await settle()
        assert [len(write.appends[0].records) for write in log.appends] == [20, 20, 10]
        assert desk.answers.tags == list(range(51))


async def test_a_full_mailbox_answers_at_once_that_it_is_unavailable() -> None:
    log = GateLog(new_store())
    limits = Limits(requests_open_max=3, mailbox_max=4, batch_max=4)
    async with hub_on(log, limits=limits) as hub:
        desk = await desk_on(hub, log)
        await desk.busy()
        desk.put(*(Post(f"post {number}") for number in range(6)))
        assert desk.answers.codes == ["unavailable"] * 2
        assert desk.answers.flushes == 2
        log.open()
        await settle()
        assert desk.answers.codes == ["unavailable"] * 2 + ["ok"] * 5


# --- durable before visible


async def test_nothing_is_answered_or_published_before_it_is_durable() -> None:
    log = GateLog(new_store())
    async with hub_on(log) as hub:
        desk = await desk_on(hub, log)
        mia = FakeSession(hub, "mia")
        await mia.hello()
        log.shut()
        desk.put(Post("hello"), Info(), Post("", card={"type": "other"}))
        desk.put(Leave())  # An owner's leaving is refused.
        await settle()
        assert desk.answers.came == []
        assert mia.seqs(desk.group) == []
        assert (await hub.act_as("mia").history(desk.group))["head"] == 3
        log.open()
        await settle()
        assert desk.answers.codes == ["ok", "ok", "ok", "forbidden"]
        assert mia.seqs(desk.group) == [4, 5]


async def test_a_read_of_live_state_waits_for_the_batch_that_it_saw() -> None:
    log = GateLog(new_store())
    async with hub_on(log) as hub:
        desk = await desk_on(hub, log)
        await desk.busy()
        desk.put(Update(name="Coffee"), Info())
        desk.put(Post("not mine"), user="eve")
        log.open()
        await settle(3)
        log.shut()
        log.open()
        await settle()
        shown = dict(desk.answers.came)[2]
        assert shown["name"] == "Coffee"  # type: ignore[index]
        assert desk.answers.codes == ["ok", "ok", "ok", "forbidden"]


async def test_a_batch_that_changes_nothing_needs_no_append() -> None:
    log = GateLog(new_store())
    async with hub_on(log) as hub:
        desk = await desk_on(hub, log)
        log.shut()
        desk.put(Info(), Leave())
        await settle()
        assert desk.answers.codes == ["ok", "forbidden"]
        assert log.appends == []
        log.open()


# --- a log that fails


async def test_where_the_log_is_unavailable_all_are_told_and_nothing_has_happened() -> None:
    store = new_store()
    log = GateLog(store)
    async with hub_on(log) as hub:
        desk = await desk_on(hub, log)
        mia = FakeSession(hub, "mia")
        await mia.hello()
        before = records_of(store, group_key(desk.group))
        log.failures.append(LogUnavailable("the disk is full"))
        desk.put(Update(name="Coffee"), Info(), Leave(), Post("hello"))
        desk.put(Leave(), user="mia")
        await settle()
        assert desk.answers.codes == ["unavailable"] * 5
        assert all(answer.details["retry_after_ms"] for _tag, answer in desk.answers.came)  # type: ignore[union-attr]
        assert records_of(store, group_key(desk.group)) == before
        assert (await hub.act_as("mia").info(desk.group))["name"] == "Tea"
        assert mia.seqs(desk.group) == []
        assert (await hub.act_as("mia").post(desk.group, "again"))["seq"] == 4
        assert mia.seqs(desk.group) == [4]


async def test_a_log_that_cannot_be_read_when_a_stream_awakes_is_unavailable() -> None:
    store = new_store()
    log = GateLog(store)
    async with hub_on(log) as hub:
        desk = await desk_on(hub, log)
        mia = hub.act_as("mia")
        await mia.groups()
        await hub.passivate()
        log.read_failures.append(LogUnavailable("not now"))
        assert await outcome(mia.info(desk.group)) == "unavailable"
        assert not hub.is_awake(group_key(desk.group))
        assert await outcome(mia.info(desk.group)) == "ok"


async def test_a_stream_that_was_written_by_somebody_else_is_decided_again() -> None:
    store = new_store()
    log = GateLog(store)
    async with hub_on(log) as hub:
        desk = await desk_on(hub, log)
        olga = FakeSession(hub, "olga")
        await olga.hello()
        elsewhere(store, desk.group, Leave(), user="mia")
        desk.put(Post("olga's"))
        desk.put(Post("mia's"), user="mia")
        await settle()
        assert desk.answers.codes == ["ok", "forbidden"]
        assert olga.kinds(desk.group) == ["left", "posted"]
        assert olga.seqs(desk.group) == [4, 5]


async def test_what_somebody_else_wrote_also_reaches_a_crowd(
    autojump_clock: trio.testing.MockClock,
) -> None:
    store = new_store()
    log = GateLog(store)
    async with hub_on(log, limits=Limits(detach_above=1, detached_slice=1)) as hub:
        desk = await desk_on(hub, log)
        sessions = [FakeSession(hub, user) for user in ("olga", "mia", "mia")]
        for each in sessions:
            await each.hello()
        elsewhere(store, desk.group, Post("from elsewhere"), user="mia")
        desk.put(Post("olga's"))
        await trio.sleep(1)
        assert [each.seqs(desk.group) for each in sessions] == [[4, 5]] * 3


def elsewhere(store: Any, group: str, command: Any, *, user: str) -> None:
    """Append what a command gives, as another process would that serves the same group."""

    stream = group_key(group)
    ledger = Ledger.empty(stream)
    for record in records_of(store, stream):
        ledger.replay(record)
    rules = Rules(Limits(), {"ordinary": None}, "ordinary")  # type: ignore[dict-item]
    context = Context(stream, Identity(user), START_MS, rules, KEYS, str, Fetched())
    after = ledger.state.seq
    ledger.state.guard(command, context)
    events = command.decide(ledger.state, context)
    written = [
        ledger.write(
            event,  # type: ignore[arg-type]
            user=user,
            request_id="",
            request_hash=b"",
            salt=bytes(16),
            now_ms=START_MS,
            limits=Limits(),
        )
        for event in events  # type: ignore[union-attr]
    ]
    records = [record for record, _receipt in written]
    changes = [
        change
        for record, event in zip(records, events, strict=True)  # type: ignore[arg-type]
        for change in event.project(record)  # type: ignore[union-attr]
    ]
    assert publication_of(stream, records, events).frames  # type: ignore[arg-type]
    (result,) = store.commit([AppendAll([Append(stream, after, records, changes)])])
    assert result is None


async def test_who_is_overtaken_again_and_again_is_told_to_come_back() -> None:
    log = GateLog(new_store())
    async with hub_on(log) as hub:
        desk = await desk_on(hub, log)
        log.failures += [LogConflict("somebody was faster")] * 3
        desk.put(Post("hello"))
        await settle()
        assert desk.answers.codes == ["unavailable"]
        desk.put(Post("hello"))
        await settle()
        assert desk.answers.codes == ["unavailable", "ok"]


async def test_a_log_with_an_unknown_outcome_ends_the_hub() -> None:
    log = GateLog(new_store())
    with pytest.raises(LogBroken, match="pulled the plug"):  # noqa: PT012
        async with hub_on(log) as hub:
            desk = await desk_on(hub, log)
            log.failures.append(LogBroken("pulled the plug"))
            await hub.act_as("olga").post(desk.group, "hello")


async def test_a_corrupt_stream_answers_and_the_others_go_on(
    capsys: pytest.CaptureFixture[str],
) -> None:
    log = GateLog(new_store())
    async with hub_on(log) as hub:
        desk = await desk_on(hub, log)
        olga = hub.act_as("olga")
        await olga.groups()
        await hub.passivate()
        log.read_failures.append(LogCorrupt("a page makes no sense"))
        assert await outcome(olga.info(desk.group)) == "internal"
        assert await outcome(hub.act_as("olga").create("Another")) == "ok"
    assert "a page makes no sense" in capsys.readouterr().out


@pytest.mark.parametrize("damaged", ["snapshot", "body"])
async def test_bytes_that_make_no_sense_do_not_end_the_hub(
    damaged: str, capsys: pytest.CaptureFixture[str]
) -> None:
    store = new_store()
    async with hub_on(store) as hub:
        made = await hub.act_as("olga").create("Tea", members=["mia"])
        await hub.act_as("mia").post(made["group"], "hello")
        await hub.passivate()
        stream = store._streams[group_key(made["group"])]
        if damaged == "snapshot":
            assert stream.snapshot is not None
            stream.snapshot = attrs.evolve(stream.snapshot, state=b"\xc1nonsense")
        else:
            stream.snapshot = None
            stream.records[1] = stream.records[1]._replace(body=b"\xff\xc1")
        asked = await outcome(hub.act_as("olga").info(made["group"]))
        # A snapshot can be done without; a record cannot.
        assert asked == ("ok" if damaged == "snapshot" else "internal")
        assert await outcome(hub.act_as("olga").create("Another")) == "ok"
    assert made["group"] in capsys.readouterr().out


async def test_a_rule_that_raises_is_told_by_a_reference_and_the_actor_goes_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    log = GateLog(new_store())
    async with hub_on(log) as hub:
        desk = await desk_on(hub, log)

        def decide(self: Post, state: Any, context: Any) -> Any:
            raise ZeroDivisionError

        before = records_of(log.store, group_key(desk.group))
        with monkeypatch.context() as patch:
            patch.setattr(Post, "decide", decide)
            desk.put(Update(name="Coffee"), Post("hello"))
            await settle()
        assert set(desk.answers.codes) <= {"internal", "unavailable", "ok"}
        assert dict(zip(desk.answers.tags, desk.answers.codes, strict=True))[1] == "internal"
        refusal = dict(desk.answers.came)[1]
        assert isinstance(refusal, Rejected)
        assert refusal.details["reference"] in capsys.readouterr().out
        after = records_of(log.store, group_key(desk.group))
        told = dict(zip(desk.answers.tags, desk.answers.codes, strict=True))[0]
        assert (after != before) == (told == "ok")
        assert (await hub.act_as("olga").post(desk.group, "hello"))["status"] == "posted"


async def test_a_request_whose_needs_cannot_be_said_harms_nobody_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    log = GateLog(new_store())
    async with hub_on(log) as hub:
        desk = await desk_on(hub, log)

        def needs(self: Post, state: Any, caller: Any) -> Any:
            raise ZeroDivisionError

        # Awake and at rest, so that the next request is served in a turn.
        await hub.act_as("olga").post(desk.group, "first")
        await settle()
        with monkeypatch.context() as patch:
            patch.setattr(Post, "needs", needs)
            desk.put(Post("hello"))
            await settle()
        assert desk.answers.codes == ["internal"]
        assert (await hub.act_as("olga").post(desk.group, "hello"))["status"] == "posted"


class Faulty(Answers):
    """A place for answers that fails at the second one."""

    def respond(self, tag: int, result: Any) -> None:
        if len(self.came) == 1:
            self.came.append((tag, Rejected("internal", "cannot be encoded", reference="")))
            raise ZeroDivisionError
        super().respond(tag, result)


async def test_an_answer_that_fails_takes_no_event_from_the_readers(
    capsys: pytest.CaptureFixture[str],
) -> None:
    log = GateLog(new_store())
    async with hub_on(log) as hub:
        desk = await desk_on(hub, log)
        mia = FakeSession(hub, "mia")
        await mia.hello()
        desk.answers = Faulty()
        desk.put(Post("one"), Post("two"), Post("three"))
        await settle()
        assert mia.seqs(desk.group) == [4, 5, 6]
        assert (await hub.act_as("olga").post(desk.group, "four"))["seq"] == 7
        assert mia.seqs(desk.group) == [4, 5, 6, 7]
    assert "batch_failed" in capsys.readouterr().out


# --- exactly once


def new_id(number: int, *, ago_ms: int = 0) -> str:
    return uuid7(START_MS - ago_ms, number)


async def test_an_id_that_is_still_queued_is_not_taken_twice() -> None:
    log = GateLog(new_store())
    async with hub_on(log) as hub:
        desk = await desk_on(hub, log)
        await desk.busy()
        for _ in range(2):
            desk.put(Post("once"), request_id=new_id(1))
        log.open()
        await settle()
        results = [answer for _tag, answer in desk.answers.came[1:]]
        assert results[0] == results[1]
        assert desk.texts == ["first", "once"]


async def test_an_id_whose_append_is_under_way_is_not_taken_twice() -> None:
    log = GateLog(new_store())
    async with hub_on(log) as hub:
        desk = await desk_on(hub, log)
        log.shut()
        desk.put(Post("once"), request_id=new_id(1))
        await settle()
        desk.put(Post("once"), request_id=new_id(1).upper())
        log.open()
        await settle()
        assert desk.answers.came[0][1] == desk.answers.came[1][1]
        assert desk.texts == ["once"]


async def test_an_id_is_remembered_after_passivation_and_after_a_restart() -> None:
    store = new_store()
    async with hub_on(store) as hub:
        olga = hub.act_as("olga")
        group = (await olga.create("Tea", id=new_id(9)))["group"]
        first = await olga.post(group, "once", id=new_id(1))
        link = await olga.share_link(group, id=new_id(2))
        await hub.passivate()
        assert await olga.post(group, "once", id=new_id(1)) == first
    async with hub_on(store, ports=fake_ports(1)) as hub:
        olga = hub.act_as("olga")
        assert await olga.post(group, "once", id=new_id(1)) == first
        assert await olga.share_link(group, id=new_id(2)) == link
        assert (await olga.create("Tea", id=new_id(9)))["group"] == group
    assert [record.kind for record in records_of(store, group_key(group))] == [
        "created",
        "joined",
        "posted",
        "link_made",
    ]


async def test_a_retry_after_leaving_still_gets_its_first_answer() -> None:
    async with hub_on() as hub:
        group = (await hub.act_as("olga").create("Tea", members=["mia"]))["group"]
        mia = hub.act_as("mia")
        first = await mia.post(group, "once", id=new_id(1))
        left = await mia.leave(group, id=new_id(2))
        assert await mia.post(group, "once", id=new_id(1)) == first
        assert await mia.leave(group, id=new_id(2)) == left
        assert await outcome(mia.post(group, "twice", id=new_id(3))) == "forbidden: not_member"


async def test_the_same_id_with_other_content_is_refused_also_within_a_batch() -> None:
    log = GateLog(new_store())
    async with hub_on(log) as hub:
        desk = await desk_on(hub, log)
        desk.put(Post("one"), Post("two"), Update(name="Coffee"), request_id=new_id(1))
        desk.put(Post("two"), user="mia", request_id=new_id(1))  # Ids are each user's own.
        await settle()
        assert desk.answers.codes == ["ok", "conflict", "conflict", "ok"]
        assert desk.texts == ["one", "two"]


async def test_an_id_of_what_was_refused_may_be_used_again() -> None:
    async with hub_on() as hub:
        group = (await hub.act_as("olga").create("Tea"))["group"]
        mia = hub.act_as("mia")
        assert await outcome(mia.post(group, "hello", id=new_id(1))) == "forbidden: not_member"
        await mia.join(group)
        assert await outcome(mia.post(group, "hello", id=new_id(1))) == "ok"


async def test_an_id_of_what_failed_with_the_log_may_be_used_again() -> None:
    log = GateLog(new_store())
    async with hub_on(log) as hub:
        desk = await desk_on(hub, log)
        log.failures.append(LogUnavailable("full"))
        desk.put(Post("once"), request_id=new_id(1))
        await settle()
        desk.put(Post("once"), request_id=new_id(1))
        await settle()
        assert desk.answers.codes == ["unavailable", "ok"]
        assert desk.texts == ["once"]


async def test_an_id_is_decided_once_also_where_the_append_met_a_conflict() -> None:
    log = GateLog(new_store())
    async with hub_on(log) as hub:
        desk = await desk_on(hub, log)
        log.failures.append(LogConflict("somebody was faster"))
        desk.put(Post("once"), Post("once"), request_id=new_id(1))
        await settle()
        assert desk.answers.codes == ["ok", "ok"]
        assert desk.texts == ["once"]


async def test_ids_that_are_too_old_or_too_far_ahead_are_stale() -> None:
    clock = FakeClock()
    limits = Limits(ids_max=3)
    ports = Ports(clock=clock, randomness=SeededRandomness())
    async with hub_on(limits=limits, ports=ports) as hub:
        olga = hub.act_as("olga")
        group = (await olga.create("Tea"))["group"]
        day_ms = limits.ids_window_ms
        assert await outcome(olga.post(group, "old", id=new_id(1, ago_ms=day_ms))) == "stale_id"
        ahead = new_id(2, ago_ms=-limits.ids_ahead_ms - 60_000)
        assert await outcome(olga.post(group, "ahead", id=ahead)) == "stale_id"
        ids = [new_id(number, ago_ms=100 - number) for number in range(10)]
        for request_id in ids:
            await olga.post(group, "now", id=request_id)
        # Forgotten for want of room, and never taken for new.
        codes = [await outcome(olga.post(group, "now", id=request_id)) for request_id in ids]
        assert codes == ["stale_id"] * 7 + ["ok"] * 3
        clock.jump(day_ms + 1)
        assert await outcome(olga.post(group, "now", id=ids[-1])) in ("ok", "stale_id")
        assert (await olga.info(group))["stats"]["messages"] == 10


async def test_pipelined_requests_take_effect_in_their_order() -> None:
    log = GateLog(new_store())
    async with hub_on(log, limits=Limits(batch_max=7)) as hub:
        desk = await desk_on(hub, log)
        for number in range(60):
            desk.put(Post(f"{number}"))
            if number % 9 == 0:
                desk.put(Leave(), user="mia")
                desk.put(Post("mia's"), user="mia")
                desk.put(Join(), user="mia")
                desk.put(Post(f"mia {number}"), user="mia")
            if number % 5 == 0:
                await trio.lowlevel.checkpoint()
        await settle(100)
        assert desk.answers.tags == sorted(desk.answers.tags)
        assert "mia's" not in desk.texts
        order = [text.removeprefix("mia ") for text in desk.texts]
        assert [int(text) for text in order] == sorted(map(int, order))
