"""Two apps on one server, with the same users and keys: nothing crosses over: FEATURES A21."""

from __future__ import annotations

from typing import Any, Final

import pytest

from groupd.domain.account.blocks import Block
from groupd.domain.account.chats import PinChat, ShowGroup
from groupd.domain.base import Identity, Query
from groupd.domain.group.direct import Direct
from groupd.domain.queries import Blocks, Chats, Nearby, Profile, Search
from groupd.engine.hub import Caller, Hub
from groupd.errors import Rejected
from tests.engine.rig import FakeSession, hub_on, new_store, outcome, records_of, settle

ONE, TWO = "one", "two"
PLACE: Final[dict[str, Any]] = {"lat": 31.2, "lon": 121.5}


def user(hub: Hub, tenant: str, name: str = "ann") -> Caller:
    """Give the same user of one of the tenants; each says something else of themselves."""
    return hub.act_as(name, tenant=tenant, name=f"{name} of {tenant}", picture=tenant)


async def found(hub: Hub, tenant: str, **settings: Any) -> str:
    given = {"name": "茶", "category": "c", "location": PLACE, "ref": "r1", "members": ["bob"]}
    made = await user(hub, tenant).create(**{**given, **settings})
    return str(made["group"])


async def test_a_ref_is_one_for_each_tenant() -> None:
    async with hub_on() as hub:
        first, second = await found(hub, ONE), await found(hub, TWO)
        assert first != second
        assert await found(hub, ONE) == first
        assert await found(hub, TWO) == second


async def test_the_id_of_another_tenants_group_leads_nowhere() -> None:
    async with hub_on() as hub:
        group = await found(hub, ONE)
        seq = (await user(hub, ONE).post(group, "hello"))["seq"]
        ann = user(hub, TWO)
        for call in (
            ann.info(group),
            ann.join(group),
            ann.post(group, "hello"),
            ann.history(group),
            ann.members(group),
            ann.read(group, seq),
            ann.leave(group),
            ann.update(group, name="mine"),
            ann.dissolve(group),
            ann.share_link(group),
            ann.call(PinChat(group)),
            ann.call(ShowGroup(group)),
        ):
            assert await outcome(call) == "not_found"
        assert (await ann.sync({group: 0}))["groups"] == []
        assert (await ann.groups())["groups"] == []


async def test_a_code_of_another_tenant_opens_nothing() -> None:
    async with hub_on() as hub:
        group = await found(hub, ONE)
        code = (await user(hub, ONE).share_link(group))["code"]
        stranger = user(hub, TWO, "eve")
        for call in (
            stranger.open_link(code),
            stranger.join(code=code),
            stranger.revoke_link(code),
        ):
            assert await outcome(call) == "not_found"
        assert (await user(hub, ONE, "eve").join(code=code))["status"] == "joined"


@pytest.mark.parametrize(
    "query",
    [
        Search(query="茶"),
        Search(category="c"),
        Search(near={**PLACE, "radius_m": 9}),
        Nearby(**PLACE, radius_m=9),
        Profile("ann"),
    ],
)
async def test_what_is_found_is_of_ones_own_tenant(query: Query) -> None:
    async with hub_on() as hub:
        groups = {tenant: await found(hub, tenant) for tenant in (ONE, TWO)}
        for tenant, group in groups.items():
            await user(hub, tenant).call(ShowGroup(group))
        for tenant, group in groups.items():
            page = await user(hub, tenant, "eve").call(query)
            assert [card["group"] for card in page["groups"]] == [group]
        third = user(hub, "three", "eve")
        if isinstance(query, Profile):
            assert await outcome(third.call(query)) == "not_found"
        else:
            assert await third.call(query) == {"groups": []}


async def test_names_and_pictures_are_those_of_ones_own_tenant() -> None:
    async with hub_on() as hub:
        for tenant in (ONE, TWO):
            await found(hub, tenant)
            await user(hub, tenant, "bob").groups()
        for tenant in (ONE, TWO):
            ann = user(hub, tenant)
            (group,) = (await ann.groups())["groups"]
            bob = {"user": "bob", "name": f"bob of {tenant}", "picture": tenant}
            assert (await ann.users(["bob"]))["users"] == [bob]
            assert (await ann.members(group["group"]))["members"][1].items() >= bob.items()
            assert (await ann.call(Profile("bob")))["name"] == f"bob of {tenant}"
        # Who shares a group in one tenant only is a stranger in the other.
        await user(hub, ONE).create("more", members=["cem"])
        await user(hub, TWO, "cem").groups()
        assert (await user(hub, TWO).users(["cem"]))["users"] == []


async def test_direct_chats_and_blocks_are_of_one_tenant() -> None:
    async with hub_on() as hub:
        chats = [(await user(hub, tenant).call(Direct("bob")))["group"] for tenant in (ONE, TWO)]
        assert len(set(chats)) == 2
        await user(hub, ONE).call(Block("bob"))
        assert await outcome(user(hub, ONE).call(Direct("bob"))) == "forbidden: blocked"
        assert await outcome(user(hub, ONE, "bob").post(chats[0], "hi")) == "forbidden: blocked"
        assert await user(hub, TWO).call(Direct("bob")) == {"group": chats[1], "seq": 2}
        await user(hub, TWO, "bob").post(chats[1], "hi")
        assert await user(hub, TWO).call(Blocks()) == {"users": []}


async def test_a_quota_is_counted_for_each_tenant() -> None:
    async with hub_on() as hub:
        for tenant in (ONE, TWO):
            for number in range(4):
                await found(hub, tenant, ref=f"r{number}")
            with pytest.raises(Rejected) as caught:
                await found(hub, tenant, ref=None)
            assert caught.value.details["used"] == 4


async def test_a_request_id_is_remembered_for_each_tenant() -> None:
    request_id = "01977420-dc00-7000-8000-000000000001"  # On the fake clock's first day.
    async with hub_on() as hub:
        made = [await user(hub, tenant).create("茶", id=request_id) for tenant in (ONE, TWO, ONE)]
        assert made[0] == made[2] != made[1]


async def test_what_happens_in_one_is_pushed_and_counted_in_no_other() -> None:
    store = new_store()
    async with hub_on(store) as hub:
        sessions = {}
        for tenant in (ONE, TWO):
            sessions[tenant] = FakeSession(hub, "bob")
            sessions[tenant].caller = Identity("bob", tenant=tenant)
            await sessions[tenant].hello()
        group = await found(hub, ONE)
        await user(hub, ONE).post(group, "you", mentions=["bob"])
        await user(hub, ONE, "bob").read(group, 1)
        await user(hub, ONE, "bob").call(PinChat(group))
        await settle()
        assert sessions[ONE].kinds(group) == ["joined", "posted"]
        told = [event["kind"] for event in sessions[ONE].pushed("account_event")]
        assert sorted(told) == ["added", "chat_set", "profiled"]
        for method in ("event", "account_event", "signal"):
            assert sessions[TWO].pushed(method) == []
        assert (await user(hub, ONE, "bob").call(Chats()))["mentions"] == 1
        assert await user(hub, TWO, "bob").call(Chats()) == {
            "chats": [],
            "unread": 0,
            "mentions": 0,
        }
        kinds = [record.kind for record in records_of(store, sessions[TWO].caller.account)]
        assert set(kinds) <= {"profiled"}
