"""Asking the host before somebody comes in: nobody else waits for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import trio
from trio.testing import MockClock

from groupd.config import PLANS
from groupd.domain.answers import Answers
from groupd.domain.base import Identity
from groupd.domain.group.conditions import clause_key
from groupd.engine.hub import Hub
from groupd.errors import Rejected
from tests.engine.rig import hub_on, new_store, outcome, settle

BOUGHT: dict[str, Any] = {"claim": "bought", "has": "tea"}


@attrs.define(eq=False)
class Host:
    """A host that answers after a while, or never."""

    buyers: set[str] = attrs.field(factory=set)
    takes_s: float = 0
    asked: list[tuple[str, str, str, int]] = attrs.field(factory=list)
    breaks: bool = False

    async def ask(
        self, caller: Identity, group: str, clauses: Sequence[Mapping[str, Any]]
    ) -> Answers:
        self.asked.append((caller.tenant, caller.user, group, len(clauses)))
        await trio.sleep(self.takes_s)
        if self.breaks:
            raise ZeroDivisionError
        holds = caller.user in self.buyers
        return Answers({clause_key(clause): holds for clause in clauses}, by="host", admits=False)


async def founded(hub: Hub, **settings: Any) -> str:
    made = await hub.act_as("ann").create("Tea", conditions=BOUGHT, **settings)
    return made["group"]


async def test_the_host_lets_in_whom_the_token_says_nothing_of(autojump_clock: MockClock) -> None:
    host = Host({"bob"})
    async with hub_on(new_store()) as hub:
        group = await founded(hub)
        assert await outcome(hub.act_as("bob").join(group)) == "forbidden: condition"
        hub.asking.ask_host = host.ask
        assert (await hub.act_as("bob").join(group))["status"] == "joined"
        assert await outcome(hub.act_as("cat").join(group)) == "forbidden: condition"
        knows = hub.act_as("dan", claims={"bought": ["tea"]})
        assert (await knows.join(group))["status"] == "joined"
        assert (await hub.act_as("bob").join(group))["status"] == "joined"
        assert [user for _tenant, user, _group, _count in host.asked] == ["bob", "cat"]


async def test_an_invitation_and_a_link_are_no_way_round_the_host(
    autojump_clock: MockClock,
) -> None:
    asked_first = attrs.evolve(PLANS["ordinary"], direct_add_below=0)
    host = Host()
    async with hub_on(new_store(), plans={**PLANS, "ordinary": asked_first}) as hub:
        hub.asking.ask_host = host.ask
        group = await founded(hub, discoverable=False)
        ann, bob = hub.act_as("ann"), hub.act_as("bob")
        code = (await ann.share_link(group))["code"]
        assert await outcome(bob.join(code=code)) == "forbidden: condition"
        await ann.invite(group, "bob")
        assert await outcome(bob.accept_invite(group)) == "forbidden: condition"
        host.buyers.add("bob")
        assert (await bob.accept_invite(group))["status"] == "joined"
        assert len(host.asked) == 3


async def test_while_the_host_is_asked_group_and_account_go_on(autojump_clock: MockClock) -> None:
    host = Host({"bob"}, takes_s=60)
    async with hub_on(new_store()) as hub, trio.open_nursery() as nursery:
        hub.asking.ask_host = host.ask
        group, bob = await founded(hub), hub.act_as("bob")
        other = (await hub.act_as("cat").create("Coffee"))["group"]
        nursery.start_soon(bob.join, group)
        await settle()
        assert hub.asking.under_way == 1
        with trio.fail_after(1):
            await hub.act_as("ann").post(group, text="hi")
            assert (await bob.join(other))["status"] == "joined", "by way of the same account"
            await bob.create("mine")
            knows = hub.act_as("dan", claims={"bought": ["tea"]})
            assert (await knows.join(group))["status"] == "joined"
        await trio.sleep(61)
        assert (await bob.info(group))["role"] == "member"


async def test_a_retry_by_id_takes_effect_once(autojump_clock: MockClock) -> None:
    host = Host({"bob"}, takes_s=1)
    async with hub_on(new_store()) as hub:
        hub.asking.ask_host = host.ask
        group, bob, answers = await founded(hub), hub.act_as("bob"), []
        id_ = "01977420-dc00-7abc-8def-0123456789ab"

        async def join() -> None:
            answers.append(await bob.join(group, id=id_))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(join)
            nursery.start_soon(join)
        assert answers[0] == answers[1]
        page = await bob.history(group)
        assert [event["kind"] for event in page["events"]].count("joined") == 2


async def test_a_bug_in_asking_is_as_if_the_host_had_said_nothing(
    autojump_clock: MockClock,
) -> None:
    async with hub_on(new_store()) as hub:
        hub.asking.ask_host = Host({"bob"}, breaks=True).ask
        group = await founded(hub)
        assert await outcome(hub.act_as("bob").join(group)) == "forbidden: condition"
        assert hub.asking.under_way == 0


async def test_who_may_not_know_of_a_group_has_the_host_not_asked(
    autojump_clock: MockClock,
) -> None:
    host = Host({"bob"})
    async with hub_on(new_store()) as hub:
        hub.asking.ask_host = host.ask
        group = await founded(hub, discoverable=False)
        assert await outcome(hub.act_as("bob").join(group)) == "not_found"
        assert await outcome(hub.act_as("bob", tenant="other").join(group)) == "not_found"
        assert await outcome(hub.act_as("bob").join("G" * 16)) == "not_found"
        assert host.asked == []


async def test_explain_asks_too_and_says_who_has_answered(autojump_clock: MockClock) -> None:
    async with hub_on(new_store()) as hub:
        hub.asking.ask_host = Host({"bob"}).ask
        group = await founded(hub)
        for user, verdict in (("bob", "holds"), ("cat", "refuses")):
            rules = (await hub.act_as(user).explain("join", group=group))["rules"]
            (rule,) = (rule for rule in rules if rule["rule"] == "condition")
            assert (rule["verdict"], rule["answered_by"]) == (verdict, "host")


async def test_a_hub_that_closes_answers_first_who_is_held_back(autojump_clock: MockClock) -> None:
    ends: list[str] = []

    async def join(hub: Hub, group: str) -> None:
        try:
            ends.append((await hub.act_as("bob").join(group))["status"])
        except Rejected as refusal:
            ends.append(refusal.code)

    async with trio.open_nursery() as nursery:
        async with hub_on(new_store()) as hub:
            hub.asking.ask_host = Host({"bob"}, takes_s=3).ask
            nursery.start_soon(join, hub, await founded(hub))
            await settle()
        assert ends == ["joined"]
