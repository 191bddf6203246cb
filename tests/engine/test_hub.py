"""The library's front door, and the limits that hold however many knock at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from enum import StrEnum
from typing import Any

import pytest
import trio

from groupd.config import PLANS, Limits, Plan
from groupd.domain.base import Identity
from groupd.errors import LogBroken, LogUnavailable, Rejected
from groupd.storage.log import InlineLog
from groupd.storage.port import AppendAll, Write
from groupd.testing.fakes import SlowLog
from tests.engine.rig import (
    FakeSession,
    GateLog,
    group_key,
    hub_on,
    kinds_of,
    new_store,
    outcome,
    play,
    records_of,
    settle,
)


async def all_at_once(calls: Sequence[Callable[[], Awaitable[Any]]]) -> list[Any]:
    """Make all calls at once; give results and refusals, in the order of the calls."""
    results: list[Any] = [None] * len(calls)

    async def one(index: int) -> None:
        try:
            results[index] = await calls[index]()
        except Rejected as refusal:
            results[index] = refusal

    async with trio.open_nursery() as nursery:
        for index in range(len(calls)):
            nursery.start_soon(one, index)
    return results


def refusals_in(results: Sequence[Any]) -> list[Rejected]:
    return [result for result in results if isinstance(result, Rejected)]


# --- opening and closing


async def test_a_hub_closes_with_a_snapshot_of_every_stream_and_leaves_the_log_open() -> None:
    store = new_store()
    async with hub_on(store) as hub:
        group = (await hub.act_as("olga").create("Tea"))["group"]
        await hub.act_as("olga").post(group, "hello")
    assert hub.awake == 0
    for stream in store.streams(None, 9):
        snapshot = store.snapshot(stream)
        assert snapshot is not None
        assert snapshot.seq == records_of(store, stream)[-1].seq


class Mishap(Exception):
    pass


async def test_what_is_raised_in_the_block_comes_out_bare() -> None:
    with pytest.raises(Mishap):  # noqa: PT012
        async with hub_on() as hub:
            await hub.act_as("olga").create("Tea")
            raise Mishap


async def test_a_refusal_that_nobody_catches_comes_out_bare() -> None:
    with pytest.raises(Rejected, match="not_found"):
        async with hub_on() as hub:
            await hub.act_as("olga").info("0000000000000000")


async def test_several_errors_of_the_block_stay_a_group() -> None:
    async def fail(error: Exception) -> None:
        raise error

    with pytest.raises(ExceptionGroup) as caught:  # noqa: PT012
        async with hub_on(), trio.open_nursery() as nursery:
            nursery.start_soon(fail, Mishap())
            nursery.start_soon(fail, KeyError())
    assert caught.group_contains(Mishap)
    assert caught.group_contains(KeyError)


def test_a_hub_that_is_cancelled_ends_at_once_and_loses_nothing_that_was_answered() -> None:
    async def main() -> None:
        store = new_store()
        answered = 0
        with trio.move_on_after(1) as scope:
            async with hub_on(SlowLog(InlineLog(store), lambda: 20)) as hub:
                group = (await hub.act_as("olga").create("Tea"))["group"]
                while True:
                    answered = (await hub.act_as("olga").post(group, "hello"))["seq"]
        assert scope.cancelled_caught
        assert trio.current_time() < 1.2
        assert answered > 5
        head = records_of(store, group_key(group))[-1].seq
        assert head in (answered, answered + 1)

    play(main)


async def test_a_caller_that_is_cancelled_leaves_the_others_alone() -> None:
    log = GateLog(new_store())
    async with hub_on(log) as hub:
        group = (await hub.act_as("olga").create("Tea"))["group"]
        log.shut()
        with trio.move_on_after(0.001):
            await hub.act_as("olga").post(group, "given up on")
        log.open()
        # What was sent may still take effect; here it has.
        assert (await hub.act_as("olga").post(group, "hello"))["seq"] == 4


async def test_a_broken_log_ends_the_hub_also_where_its_block_waits_for_something_else() -> None:
    log = GateLog(new_store())
    with pytest.raises(LogBroken):  # noqa: PT012
        async with hub_on(log) as hub, trio.open_nursery() as nursery:
            group = (await hub.act_as("olga").create("Tea"))["group"]
            log.failures.append(LogBroken("no idea"))
            nursery.start_soon(hub.act_as("olga").post, group, "hello")
            await trio.sleep_forever()


async def test_a_log_that_cannot_take_a_read_cursor_is_a_refusal_too() -> None:
    class Full(GateLog):
        async def write(self, write: Write) -> None:
            if not isinstance(write, AppendAll):
                raise LogUnavailable("the disk is full")
            await super().write(write)

    async with hub_on(Full(new_store())) as hub:
        group = (await hub.act_as("olga").create("Tea"))["group"]
        assert await outcome(hub.act_as("olga").read(group, 1)) == "unavailable"


# --- events for library callers


async def test_a_caller_iterates_over_what_happens_from_now_on() -> None:
    async with hub_on() as hub:
        olga, mia = hub.act_as("olga"), hub.act_as("mia")
        group = (await olga.create("Tea", members=["mia"]))["group"]
        await settle()
        async with mia.events() as events:
            await olga.post(group, "one")
            await mia.post(group, "two")
            await mia.leave(group)
            await olga.post(group, "unheard")
            async with mia.events() as others:
                await mia.join(group)
                got = [(await anext(events)) for _ in range(5)]
                assert (await anext(others)).params["kind"] in ("joined", "left")
        kinds = [(item.method, item.params["kind"]) for item in got if item.method == "event"]
        assert kinds == [("event", kind) for kind in ("posted", "posted", "left", "joined")]
        await hub.passivate()
        assert not hub.outlets._outlets


async def test_a_caller_that_reads_too_slowly_is_told_and_goes_on() -> None:
    limits = Limits(page_max_bytes=1_000, backlog_max_bytes=1_000)
    async with hub_on(limits=limits) as hub:
        group = (await hub.act_as("olga").create("Tea", members=["mia"]))["group"]
        await settle()
        async with hub.act_as("mia").events() as events:
            for _ in range(50):
                await hub.act_as("olga").post(group, "hello")
            got = []
            while not got or got[-1].method != "lagged":
                got.append(await anext(events))
            assert got[-1].params == {"group": group, "head": 53}
            await hub.act_as("olga").post(group, "after")
            assert (await anext(events)).params["seq"] == 54


def test_waiting_for_an_event_can_be_cancelled_and_taken_up_again() -> None:
    async def main() -> None:
        async with hub_on() as hub:
            group = (await hub.act_as("olga").create("Tea"))["group"]
            async with hub.act_as("olga").events() as events:
                with trio.move_on_after(1):
                    await anext(events)
                await hub.act_as("olga").post(group, "hello")
                assert (await anext(events)).params["text"] == "hello"

    play(main)


class Users(StrEnum):
    ANN = "ann"


async def test_a_user_may_be_named_by_an_enum() -> None:
    async with hub_on() as hub:
        ann = hub.act_as(Users.ANN)
        group = (await ann.create("Tea"))["group"]
        await ann.post(group, "hello")
        assert [each["group"] for each in (await hub.act_as("ann").groups())["groups"]] == [group]


class Ids(StrEnum):
    ORDER_7 = "01980e1a-0000-7000-8000-000000000000"


@pytest.mark.parametrize("id", [Ids.ORDER_7, 7, b"01980e1a-0000-7000-8000-000000000000", "7"])
async def test_a_request_id_that_is_none_is_the_callers_error(id: Any) -> None:
    async with hub_on() as hub:
        assert await outcome(hub.act_as("ann").create("Tea", id=id)) == "bad_request"


async def test_tenants_do_not_meet() -> None:
    async with hub_on() as hub:
        here = hub.act_as("olga", tenant="here")
        there = hub.act_as("olga", tenant="there")
        group = (await here.create("Tea", ref="tea"))["group"]
        assert await outcome(there.info(group)) == "not_found"
        assert await outcome(there.post(group, "hello")) == "not_found"
        assert (await there.create("Tea", ref="tea"))["group"] != group
        assert [entry["group"] for entry in (await here.groups())["groups"]] == [group]


# --- quotas, when all come at once


@pytest.mark.parametrize("slow", [0, 3])
def test_of_fifty_racing_creates_exactly_four_succeed(slow: int) -> None:
    async def main() -> None:
        store = new_store()
        async with hub_on(SlowLog(InlineLog(store), lambda: slow)) as hub:
            olga = hub.act_as("olga")
            results = await all_at_once([lambda: olga.create("Tea")] * 50)
            refused = refusals_in(results)
            assert len(refused) == 46
            for refusal in refused:
                assert refusal.to_wire() | {"message": ""} == {
                    "code": "quota_exceeded",
                    "message": "",
                    "quota": "groups_owned",
                    "limit": 4,
                    "used": 4,
                }
            assert len(store.memberships("", "olga", "", 99)) == 4
            assert kinds_of(store, Identity("olga").account) == ["owned"] * 4

    play(main)


@pytest.mark.parametrize("slow", [0, 3])
def test_of_three_hundred_racing_joins_exactly_the_cap_succeed(slow: int) -> None:
    async def main() -> None:
        store = new_store()
        async with hub_on(SlowLog(InlineLog(store), lambda: slow)) as hub:
            group = (await hub.act_as("olga").create("Tea"))["group"]
            users = [hub.act_as(f"user{number}") for number in range(300)]
            results = await all_at_once([lambda user=user: user.join(group) for user in users])  # type: ignore[misc]
            codes = Counter(refusal.code for refusal in refusals_in(results))
            assert codes == {"group_full": 101}
            assert {refusal.details["limit"] for refusal in refusals_in(results)} == {200}
            assert len(store.members("", group, "", 999)) == 200
            assert (await hub.act_as("olga").info(group))["members"] == 200

    play(main)


def test_who_leaves_makes_room_for_exactly_one() -> None:
    async def main() -> None:
        plans = {**PLANS, "ordinary": Plan(members_max=3)}
        async with hub_on(plans=plans) as hub:
            group = (await hub.act_as("olga").create("Tea", members=["a", "b"]))["group"]
            users = [hub.act_as(f"user{number}") for number in range(10)]
            calls: list[Callable[[], Awaitable[Any]]] = [
                lambda user=user: user.join(group)  # type: ignore[misc]
                for user in users
            ]
            calls.insert(5, lambda: hub.act_as("a").leave(group))
            results = await all_at_once(calls)
            joined = [r for r in results if isinstance(r, dict) and r.get("status") == "joined"]
            assert len(joined) <= 1
            assert (await hub.act_as("olga").info(group))["members"] == 2 + len(joined)

    play(main)


async def test_dissolving_frees_the_place_at_once() -> None:
    """Also before the account has heard of it."""
    store = new_store()
    async with hub_on(store) as hub:
        await settle()
        hub._followers.cancel()
        await settle()
        olga = hub.act_as("olga")
        groups = [(await olga.create("Tea"))["group"] for _ in range(4)]
        assert await outcome(olga.create("Tea")) == "quota_exceeded"
        await olga.dissolve(groups[1])
        results = await all_at_once([lambda: olga.create("Tea")] * 5)
        assert [refusal.code for refusal in refusals_in(results)] == ["quota_exceeded"] * 4
        assert "dissolved" not in kinds_of(store, Identity("olga").account)
        assert len(store.memberships("", "olga", "", 99)) == 4


@pytest.mark.parametrize("slow", [0, 2, 15])
def test_a_ref_is_one_groups_only_also_when_two_users_race_for_it(slow: int) -> None:
    async def main() -> None:
        store = new_store()
        async with hub_on(SlowLog(InlineLog(store), lambda: slow)) as hub:
            olga, mia = hub.act_as("olga"), hub.act_as("mia")
            calls = [lambda: olga.create("Tea", ref="tea"), lambda: mia.create("Tea", ref="tea")]
            results = await all_at_once(calls * 3)
            assert len(refusals_in(results)) == 3
            for refusal in refusals_in(results):
                assert (refusal.code, refusal.details["reason"]) == ("conflict", "ref_taken")
            made = {result["group"] for result in results if isinstance(result, dict)}
            assert len(made) == 1
            streams = [stream.key for stream in store.streams(None, 99) if stream.kind == "group"]
            assert streams == list(made)

    play(main)


async def test_a_ref_is_free_again_when_its_group_is_dissolved() -> None:
    async with hub_on() as hub:
        olga, mia = hub.act_as("olga"), hub.act_as("mia")
        first = (await olga.create("Tea", ref="tea"))["group"]
        assert (await olga.create("Tea again", ref="tea"))["group"] == first
        await olga.dissolve(first)
        second = (await mia.create("Tea", ref="tea"))["group"]
        assert second != first
        assert await outcome(olga.create("Tea", ref="tea")) == "conflict: ref_taken"


async def test_a_conflict_over_a_ref_spares_the_rest_of_the_batch() -> None:
    log = GateLog(new_store())
    async with hub_on(log) as hub:
        olga = hub.act_as("olga")
        log.shut()
        async with trio.open_nursery() as nursery:
            results: list[Any] = []

            async def race() -> None:
                results.extend(
                    await all_at_once(
                        [
                            lambda: olga.create("Tea", ref="tea"),
                            lambda: olga.create("Coffee"),
                            lambda: hub.act_as("mia").create("Tea", ref="tea"),
                        ]
                    )
                )

            nursery.start_soon(race)
            await settle()
            log.open()
        assert isinstance(results[1], dict)
        assert len(refusals_in(results)) == 1
        assert len((await olga.groups())["groups"]) == 2 - isinstance(results[0], Rejected)


async def test_a_plan_may_want_friends_for_founding() -> None:
    async with hub_on() as hub:
        olga = hub.act_as("olga", plan="douyin")
        with pytest.raises(Rejected) as caught:
            await olga.create("Tea", members=["mia", "olga"])
        assert caught.value.details == {"reason": "founders_min", "required": 2, "got": 1}
        assert (await olga.create("Tea", members=["mia", "noa"]))["seq"] == 1


async def test_a_member_who_is_added_by_a_founding_hears_of_it_at_once() -> None:
    async with hub_on() as hub:
        mia = FakeSession(hub, "mia")
        await mia.hello()
        group = (await hub.act_as("olga").create("Tea", members=["mia", "noa"]))["group"]
        assert mia.kinds(group) == ["joined", "joined"]
        assert mia.seqs(group) == [3, 4]
        await hub.act_as("noa").post(group, "hello")
        assert mia.seqs(group) == [3, 4, 5]


async def test_a_request_without_an_address_is_refused_at_once() -> None:
    async with hub_on() as hub:
        assert await outcome(hub.act_as("olga").join()) == "bad_request"
        group = (await hub.act_as("olga").create("Tea"))["group"]
        assert await outcome(hub.act_as("olga").post(group, "x", id="not an id")) == "bad_request"
