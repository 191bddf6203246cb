"""What is limited for each user passes through their account, and is exact under races."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
import trio

from groupd.config import PLANS, Plan
from groupd.domain.catalog import REQUESTS
from groupd.engine.hub import Hub
from groupd.errors import LogUnavailable, Rejected
from tests.domain.bench import uuid7
from tests.engine.rig import GateLog, hub_on, new_store, outcome, settle
from tests.strategies import NOW_MS

SMALL = {**PLANS, "ordinary": Plan(groups_joined_max=3, groups_owned_max=2)}


async def do(hub: Hub, user: str, method: str, group: str | None = None, /, **params: Any) -> Any:
    request_id = params.pop("id", None)
    request = REQUESTS[method].parse(params)
    return await hub.act_as(user).call(request, group=group, id=request_id)


async def race(*calls: Any) -> list[str]:
    """Make all calls at once; give what each came to, sorted."""
    came: list[str] = []

    async def one(call: Any) -> None:
        came.append(await outcome(call))

    async with trio.open_nursery() as nursery:
        for call in calls:
            nursery.start_soon(one, call)
    return sorted(came)


async def found(hub: Hub, count: int, *, owner: str = "owner", **settings: Any) -> list[str]:
    """Found some groups, each of an owner of its own: owner0, owner1 ..."""
    return [
        (await do(hub, f"{owner}{number}", "create", name=f"g{number}", **settings))["group"]
        for number in range(count)
    ]


async def test_racing_joins_of_one_user_stop_exactly_at_their_plan(autojump_clock: object) -> None:
    async with hub_on(plans=SMALL) as hub:
        groups = await found(hub, 8)
        came = await race(*(do(hub, "ann", "join", group) for group in groups))
        assert came == ["ok"] * 3 + ["quota_exceeded"] * 5
        assert len((await hub.act_as("ann").groups())["groups"]) == 3


async def test_racing_invitations_add_a_user_no_further_than_their_plan(
    autojump_clock: object,
) -> None:
    async with hub_on(plans=SMALL) as hub:
        groups = await found(hub, 8)
        invitations = [
            do(hub, f"owner{number}", "invite", group, user="ann")
            for number, group in enumerate(groups[:6])
        ]
        joins = [do(hub, "ann", "join", group) for group in groups[6:]]
        await race(*invitations, *joins)
        assert len((await hub.act_as("ann").groups())["groups"]) == 3


async def test_the_refusal_names_quota_limit_and_used(autojump_clock: object) -> None:
    async with hub_on(plans=SMALL) as hub:
        groups = await found(hub, 4)
        for group in groups[:3]:
            await do(hub, "ann", "join", group)
        with pytest.raises(Rejected) as caught:
            await do(hub, "ann", "join", groups[3])
        assert caught.value.details == {"quota": "groups_joined", "limit": 3, "used": 3}


async def test_waiting_requests_count_and_leaving_makes_room(autojump_clock: object) -> None:
    async with hub_on(plans=SMALL) as hub:
        asked = await found(hub, 3, join_policy="approval")
        (more,) = await found(hub, 1, owner="other")
        for group in asked:
            assert (await do(hub, "ann", "join", group))["status"] == "pending"
        assert await outcome(do(hub, "ann", "join", more)) == "quota_exceeded"
        await do(hub, "owner0", "approve", asked[0], user="ann")
        assert await outcome(do(hub, "ann", "join", more)) == "quota_exceeded"
        await do(hub, "ann", "withdraw", asked[1])
        assert await outcome(do(hub, "ann", "join", more)) == "ok"
        await do(hub, "ann", "leave", more)
        await do(hub, "ann", "leave", asked[0])
        others = await found(hub, 4, owner="new")
        came = await race(*(do(hub, "ann", "join", group) for group in others))
        assert came == ["ok"] * 2 + ["quota_exceeded"] * 2


async def test_a_repeated_join_gets_its_first_answer_whatever_the_quota(
    autojump_clock: object,
) -> None:
    async with hub_on(plans=SMALL) as hub:
        groups = await found(hub, 4)
        request_id = uuid7(NOW_MS, 7)
        first = await do(hub, "ann", "join", groups[0], id=request_id)
        await do(hub, "owner0", "kick", groups[0], user="ann")
        for group in groups[1:]:
            await do(hub, "ann", "join", group)
        assert await do(hub, "ann", "join", groups[0], id=request_id) == first


async def test_taking_over_groups_and_founding_them_share_one_quota(
    autojump_clock: object,
) -> None:
    async with hub_on(plans=SMALL) as hub:
        groups = await found(hub, 3, members=["ann"])
        for number, group in enumerate(groups):
            await do(hub, f"owner{number}", "transfer", group, user="ann")
        came = await race(
            *(do(hub, "ann", "accept_transfer", group) for group in groups),
            *(do(hub, "ann", "create", name=f"own {number}") for number in range(2)),
        )
        assert came == ["ok"] * 2 + ["quota_exceeded"] * 3


async def test_giving_a_group_away_makes_room_at_once(autojump_clock: object) -> None:
    async with hub_on(plans=SMALL) as hub:
        groups = [
            (await do(hub, "ann", "create", name=f"g{number}", members=["bob"]))["group"]
            for number in range(2)
        ]
        assert await outcome(do(hub, "ann", "create", name="more")) == "quota_exceeded"
        await do(hub, "ann", "transfer", groups[0], user="bob")
        await do(hub, "bob", "accept_transfer", groups[0])
        assert await outcome(do(hub, "ann", "create", name="more")) == "ok"


async def test_direct_chats_are_outside_all_quotas(autojump_clock: object) -> None:
    async with hub_on(plans=SMALL) as hub:
        for number in range(10):
            await do(hub, "ann", "direct", user=f"friend{number}")
        groups = await found(hub, 4)
        came = await race(*(do(hub, "ann", "join", group) for group in groups))
        assert came == ["ok"] * 3 + ["quota_exceeded"]


async def test_a_store_that_fails_answers_unavailable_and_the_account_goes_on(
    autojump_clock: object,
) -> None:
    log = GateLog(new_store())
    async with hub_on(log) as hub:
        (group,) = await found(hub, 1)
        await do(hub, "ann", "ping")
        await settle()
        log.failures.append(LogUnavailable("the disk is full"))
        assert await outcome(do(hub, "ann", "join", group)) == "unavailable"
        assert await outcome(do(hub, "ann", "join", group)) == "ok"


async def test_what_waits_for_a_group_is_answered_before_the_account_leaves(
    autojump_clock: object,
) -> None:
    log = GateLog(new_store())
    async with hub_on(log) as hub:
        (group,) = await found(hub, 1)
        await settle()
        log.shut()
        async with trio.open_nursery() as nursery:
            came: list[str] = []

            async def join() -> None:
                came.append(await outcome(do(hub, "ann", "join", group)))

            nursery.start_soon(join)
            await settle()
            nursery.start_soon(hub.passivate)
            await settle()
            assert came == []
            log.open()
        assert came == ["ok"]
        assert hub.awake == 0


async def test_what_comes_after_such_a_request_waits_for_it(autojump_clock: object) -> None:
    """The account serves one at a time, in the order in which they came."""
    plans = {**PLANS, "ordinary": attrs.evolve(SMALL["ordinary"], groups_owned_max=1)}
    log = GateLog(new_store())
    async with hub_on(log, plans=plans) as hub:
        (group,) = await found(hub, 1, members=["ann"])
        await do(hub, "owner0", "transfer", group, user="ann")
        await settle()
        log.shut()
        came: dict[str, str] = {}

        async def note(name: str, call: Any) -> None:
            came[name] = await outcome(call)

        async with trio.open_nursery() as nursery:
            accepting = do(hub, "ann", "accept_transfer", group)
            nursery.start_soon(note, "accept", accepting)
            await settle()
            nursery.start_soon(note, "create", do(hub, "ann", "create", name="own"))
            await settle()
            assert came == {}
            log.open()
        assert came == {"accept": "ok", "create": "quota_exceeded"}
