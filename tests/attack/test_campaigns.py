"""One user who invites, asks and founds as often as they can: what stops them, and whom they reach.

Inviting and joining cost rate, take places that are counted, and end where somebody says no.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

import trio
from trio.testing import MockClock

from groupd.config import CONTENT, PLANS, Limits
from groupd.domain.catalog import REQUESTS
from groupd.errors import Rejected
from tests.e2e.raw import Map, RawClient
from tests.server.bench import Bench, open_bench, settled

LIMITS: Final = Limits()
PLAN: Final = PLANS["ordinary"]
EVERYBODY: Final = tuple(f"user{number}" for number in range(1_000))


def came_to(outcomes: list[Map | Rejected]) -> Counter[str]:
    """Count outcomes: by status, or by reason, quota or code."""
    counts: Counter[str] = Counter()
    for outcome in outcomes:
        if isinstance(outcome, Rejected):
            details = outcome.details
            counts[str(details.get("reason") or details.get("quota") or outcome.code)] += 1
        else:
            counts[str(outcome.get("status", "ok"))] += 1
    return counts


def cost_of(method: str) -> int:
    return REQUESTS[method].cost


async def invited(client: RawClient, group: str, users: tuple[str, ...]) -> Counter[str]:
    return came_to(await client.exchange([("invite", {"group": group, "user": u}) for u in users]))


async def large_group(bench: Bench, owner: RawClient) -> str:
    """Found a group in which nobody is added without being asked."""
    friends = [f"friend{number}" for number in range(PLAN.direct_add_below)]
    group: str = (await owner.ask("create", name="Large", members=friends))["group"]
    return group


async def test_a_user_invites_no_more_than_their_rate_lets_them(autojump_clock: MockClock) -> None:
    async with open_bench() as bench:
        eve = await bench.enter("eve", events=False)
        group = await large_group(bench, eve)
        began = trio.current_time()
        counts = await invited(eve, group, EVERYBODY)
        # Who is over their rate is read from slowly, and meanwhile may ask for a little more.
        more = LIMITS.rate_per_s * (trio.current_time() - began)
        left = LIMITS.rate_burst - cost_of("create")
        assert left <= counts["invited"] * cost_of("invite") + 1
        assert counts["invited"] * cost_of("invite") <= left + more
        assert counts["invited"] + counts["rate_limited"] == len(EVERYBODY)


async def test_a_group_waits_for_so_many_and_no_more(autojump_clock: MockClock) -> None:
    async with open_bench(rate_limits=False) as bench:
        eve = await bench.enter("eve", events=False)
        group = await large_group(bench, eve)
        for start in range(0, CONTENT.invitations_max, 500):
            await invited(eve, group, EVERYBODY[start : start + 500])
        more = tuple(f"more{number}" for number in range(50))
        assert await invited(eve, group, more) == {"invitations": 50}
        # Nor does asking again and again reach somebody a second time.
        victim = await bench.enter(EVERYBODY[0])
        head = victim.greeting["account"]["head"]
        assert await invited(eve, group, (EVERYBODY[0],) * 50) == {"invited": 50}
        assert (await victim.hello(bench.token(EVERYBODY[0])))["account"]["head"] == head


async def test_blocking_somebody_ends_their_campaign_in_every_way_that_it_may_take(
    autojump_clock: MockClock,
) -> None:
    """To be added, to leave and to be added again can be borne once."""
    async with open_bench() as bench:
        eve, ann = await bench.enter("eve", events=False), await bench.enter("ann")
        small = (await eve.ask("create", name="Small"))["group"]
        large = await large_group(bench, eve)
        for _ in range(3):
            assert await invited(eve, small, ("ann",)) == {"joined": 1}
            await ann.ask("leave", group=small)
        await ann.ask("block", user="eve")
        await settled()
        head = (await ann.hello(bench.token("ann")))["account"]["head"]
        for group in (small, large):
            assert await invited(eve, group, ("ann",) * 5) == {"blocked": 5}
        made = await eve.ask("create", name="Again", members=["ann", "bob"])
        members = (await eve.ask("members", group=made["group"]))["members"]
        assert "ann" not in {member["user"] for member in members}
        assert (await eve.refusal("direct", user="ann")).details["reason"] == "blocked"
        await settled()
        ann.pushes.clear()
        renewed = await ann.hello(bench.token("ann"))
        assert renewed["account"]["head"] == head
        assert renewed["groups"] == []
        assert ann.pushes == []


async def test_a_user_asks_to_join_no_more_groups_than_they_may_be_in(
    autojump_clock: MockClock,
) -> None:
    plans = {**PLANS, "few": PLANS["ordinary"].__class__(groups_joined_max=5)}
    async with open_bench(rate_limits=False, plans=plans) as bench:
        groups = []
        for number in range(3):
            owner = await bench.enter(f"owner{number}", events=False)
            made = [("create", {"name": "x", "join_policy": "approval"})] * PLAN.groups_owned_max
            groups += [g["group"] for g in await owner.exchange(made) if isinstance(g, dict)]
        eve = await bench.enter("eve", events=False, plan="few")
        outcomes = await eve.exchange([("join", {"group": group}) for group in groups])
        assert came_to(outcomes) == {"pending": 5, "groups_joined": len(groups) - 5}
        # Asking where one has asked takes no further place, and tells the admins nothing new.
        again = await eve.exchange([("join", {"group": group}) for group in groups[:5] * 10])
        assert came_to(again) == {"pending": 50}


async def test_who_was_declined_does_not_ask_again_at_once(autojump_clock: MockClock) -> None:
    async with open_bench() as bench:
        ann, eve = await bench.enter("ann"), await bench.enter("eve", events=False)
        made = await ann.ask("create", name="x", join_policy="approval")
        await eve.ask("join", group=made["group"])
        await ann.ask("decline", group=made["group"], user="eve")
        outcomes = await eve.exchange([("join", {"group": made["group"]})] * 20)
        assert came_to(outcomes) == {"cooldown": 20}


async def test_who_comes_and_goes_on_and_on_pays_for_it_and_a_ban_ends_it(
    autojump_clock: MockClock,
) -> None:
    async with open_bench() as bench:
        ann, eve = await bench.enter("ann"), await bench.enter("eve", events=False)
        group = await bench.found(ann)
        steps: list[tuple[str, dict[str, Any]]] = [
            ("join", {"group": group}),
            ("leave", {"group": group}),
        ]
        began = trio.current_time()
        counts = came_to(await eve.exchange(steps * 400))
        units = LIMITS.rate_burst + LIMITS.rate_per_s * (trio.current_time() - began)
        assert counts["joined"] <= units // (cost_of("join") + cost_of("leave")) + 1
        assert counts["rate_limited"] > 0
        await ann.ask("ban", group=group, user="eve")
        head = (await ann.ask("history", group=group))["head"]
        bench.ports.clock.jump(60_000)  # type: ignore[attr-defined]
        fresh = await bench.enter("eve", events=False)
        await fresh.exchange(steps)
        assert (await ann.ask("history", group=group))["head"] == head


async def test_who_founds_and_dissolves_on_and_on_reaches_as_many_as_the_rate_lets_them(
    autojump_clock: MockClock,
) -> None:
    """Founding costs the same whoever is taken along: so this reaches most people for its price."""
    async with open_bench(limits={"rate_per_s": 1, "rate_burst": 70}) as bench:
        friends = list(EVERYBODY[: PLAN.members_max - 1])
        victim = await bench.enter(friends[0], events=False)
        await victim.ask("block", user="eve")
        eve = await bench.enter("eve", events=False)
        reached, groups = 0, []
        for _ in range(20):
            (made,) = await eve.exchange([("create", {"name": "x", "members": friends})])
            if isinstance(made, Rejected):
                assert made.code == "rate_limited"
                break
            groups.append(made["group"])
            reached += len(friends) - 1
            await eve.exchange([("dissolve", {"group": made["group"]})])
        each = cost_of("create") + cost_of("dissolve")
        assert len(groups) <= 70 // each + 1
        print(f"one user reaches {reached} people with 70 units, {reached / 70:.0f} with each")
        # Who has blocked them is not among those.
        await settled()
        assert (await victim.hello(bench.token(friends[0]), events=False))["groups"] == []
        page = await victim.ask("account_history")
        assert not [event for event in page["events"] if event.get("group") in groups]
