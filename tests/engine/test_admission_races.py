"""Several admins decide at once: one wins, and neither cap nor link is overshot (A8, A14)."""

from __future__ import annotations

from collections import Counter

from groupd.config import PLANS, Plan
from tests.engine.rig import hub_on
from tests.engine.test_through_accounts import do, race

ADMINS = ("adam", "anna", "olga")


async def test_of_admins_who_decide_at_once_one_wins(autojump_clock: object) -> None:
    async with hub_on() as hub:
        group = (await do(hub, "olga", "create", name="Tea", members=["adam", "anna"]))["group"]
        for admin in ("adam", "anna"):
            await do(hub, "olga", "set_role", group, user=admin, role="admin")
        await do(hub, "olga", "update", group, join_policy="approval")
        for number in range(20):
            user = f"user{number}"
            await do(hub, user, "join", group)
            came = await race(
                do(hub, "adam", "approve", group, user=user),
                do(hub, "anna", "decline", group, user=user),
                do(hub, "olga", "approve", group, user=user),
            )
            assert Counter(came) == {"ok": 1, "conflict: decided": 2}
        listed = (await do(hub, "olga", "members", group))["members"]
        assert (await do(hub, "olga", "requests", group))["requests"] == []
        kinds = [event["kind"] for event in (await do(hub, "olga", "history", group))["events"]]
        assert kinds.count("declined") + len(listed) == 3 + 20


async def test_a_link_by_approval_admits_exactly_as_many_as_it_may(autojump_clock: object) -> None:
    async with hub_on() as hub:
        group = (await do(hub, "olga", "create", name="Tea", members=["adam", "anna"]))["group"]
        for admin in ("adam", "anna"):
            await do(hub, "olga", "set_role", group, user=admin, role="admin")
        made = await do(hub, "olga", "share_link", group, uses_max=7, approval=True)
        users = [f"user{number}" for number in range(30)]
        asked = await race(*(do(hub, user, "join", code=made["code"]) for user in users))
        assert asked == ["ok"] * 30
        came = await race(
            *(
                do(hub, ADMINS[number % 3], "approve", group, user=user)
                for number, user in enumerate(users)
            )
        )
        assert Counter(came) == {"ok": 7, "conflict: link_used_up": 23}
        (link,) = (await do(hub, "olga", "links", group))["links"]
        assert link["uses"] == 7
        assert len((await do(hub, "olga", "requests", group))["requests"]) == 23


async def test_approvals_that_race_fill_a_group_to_its_cap_and_the_rest_wait(
    autojump_clock: object,
) -> None:
    plans = {**PLANS, "small": Plan(members_max=5)}
    async with hub_on(plans=plans) as hub:
        owner = hub.act_as("olga", plan="small")
        group = (await owner.create("Tea", join_policy="approval"))["group"]
        users = [f"user{number}" for number in range(9)]
        for user in users:
            await do(hub, user, "join", group)
        came = await race(*(do(hub, "olga", "approve", group, user=user) for user in users))
        assert Counter(came) == {"ok": 4, "group_full": 5}
        assert len((await do(hub, "olga", "requests", group))["requests"]) == 5
