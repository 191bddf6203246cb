"""Finding groups and people: FEATURES A4, A5, A10, A11."""

from __future__ import annotations

from typing import Any, Final

import pytest

from groupd.config import CONTENT, Config
from groupd.domain.account.blocks import Block
from groupd.domain.account.chats import ShowGroup
from groupd.domain.base import Command, Query
from groupd.domain.group.direct import Direct
from groupd.domain.queries import Blocks, Nearby, Profile, Search
from groupd.engine.hub import Hub, open_hub
from groupd.errors import Rejected
from groupd.storage.log import InlineLog
from groupd.testing.fakes import fake_ports
from tests.engine.rig import KEYS, hub_on, new_store, outcome, settle

BUND: Final[dict[str, Any]] = {"lat": 31.24, "lon": 121.49}
"""Shanghai; a hundredth of a degree of latitude is 1.1 km."""


async def ask(hub: Hub, request: Query | Command, user: str = "eve") -> dict[str, Any]:
    return await hub.act_as(user).call(request)


def names(page: dict[str, Any]) -> list[str]:
    return [group["name"] for group in page["groups"]]


async def found(hub: Hub, **settings: Any) -> str:
    """Found a group; each has an owner of its own, named like it."""
    made = await hub.act_as(f"owner of {settings['name']}").create(**settings)
    return str(made["group"])


async def pages(hub: Hub, make: Any, **params: Any) -> list[str]:
    """Give the names on all pages of a search."""
    page = await ask(hub, make(**params))
    got = names(page)
    while "next" in page:
        page = await ask(hub, make(**params, cursor=page["next"]))
        got += names(page)
        assert len(got) < 99, "the pages do not end"
    return got


# --- search


async def test_a_stranger_finds_a_group_by_its_name_and_joins_from_there() -> None:
    async with hub_on() as hub:
        group = await found(
            hub, name="杭州西湖徒步", description="每周六", category="户外", location=BUND
        )
        for query in ("西", "西湖", "徒步", "杭州 徒步"):
            page = await ask(hub, Search(query=query))
            assert names(page) == ["杭州西湖徒步"]
        (card,) = page["groups"]
        info = await hub.act_as("eve").info(group)
        assert card == {key: value for key, value in info.items() if key != "dissolved"}
        assert (await hub.act_as("eve").join(card["group"]))["status"] == "joined"
        assert (await ask(hub, Search(query="西")))["groups"][0]["members"] == 2
        assert names(await ask(hub, Search(query="湖西"))) == []


async def test_by_category_and_by_place_and_by_all_of_it_at_once() -> None:
    async with hub_on() as hub:
        far = {"lat": 40.0, "lon": 116.0}
        await found(hub, name="茶 far", category="茶", location=far)
        await found(hub, name="茶 near", category="茶", location=BUND)
        await found(hub, name="茶 nowhere", category="茶")
        await found(hub, name="书 near", category="书", location=BUND)
        near = {**BUND, "radius_m": 1_000}
        assert names(await ask(hub, Search(category="茶"))) == ["茶 nowhere", "茶 near", "茶 far"]
        page = await ask(hub, Search(near=near))
        assert sorted(names(page)) == ["书 near", "茶 near"]
        assert {group["distance_m"] for group in page["groups"]} == {0}
        page = await ask(hub, Search(query="near", category="茶", near=near))
        assert names(page) == ["茶 near"]
        assert "distance_m" not in (await ask(hub, Search(query="near")))["groups"][0]


async def test_a_search_for_nothing_is_refused() -> None:
    nothing: tuple[dict[str, Any], ...] = ({}, {"query": "  "}, {"category": ""})
    for params in nothing:
        with pytest.raises(Rejected) as caught:
            Search(**params)
        assert caught.value.details == {"field": "query"}


async def test_only_a_configured_category_is_searched_for() -> None:
    config = Config(categories=("茶", "书"))
    log = InlineLog(new_store())
    async with open_hub(log=log, ports=fake_ports(), links=KEYS, config=config) as hub:
        assert names(await ask(hub, Search(category="茶"))) == []
        with pytest.raises(Rejected) as caught:
            await ask(hub, Search(category="钓鱼"))
        assert (caught.value.code, caught.value.details) == ("bad_request", {"field": "category"})


@pytest.mark.parametrize("limit", [1, 2, 3, 50])
async def test_pages_give_each_group_once_the_exact_name_first(limit: int) -> None:
    async with hub_on() as hub:
        for name in ("茶", "茶 1", "茶 2", "茶:3", "书"):
            await found(hub, name=name)
        expected = ["茶", "茶:3", "茶 2", "茶 1"]
        assert await pages(hub, Search, query="茶", limit=limit) == expected


@pytest.mark.parametrize("limit", [1, 2, 3, 50])
async def test_pages_of_a_circle_go_outward(limit: int) -> None:
    async with hub_on() as hub:
        for step in (3, 1, 4, 0, 2, 1):
            name = f"at {step}"
            await hub.act_as("o" + hub.ports.new_group()).create(
                name, location={"lat": BUND["lat"] + step / 100, "lon": BUND["lon"]}
            )
        expected = ["at 0", "at 1", "at 1", "at 2", "at 3"]
        assert await pages(hub, Nearby, **BUND, radius_m=4_000, limit=limit) == expected


@pytest.mark.parametrize(
    "cursor",
    [
        "x",
        "1",
        "1:2",
        "1:x:茶",
        "-1::茶",
        f"{2**53}::茶",
        "1:1.0:茶",
        "1:1e999:茶",
        "1:nan:茶",
        ":::",
    ],
)
async def test_what_is_no_cursor_of_this_search_is_a_bad_request(cursor: str) -> None:
    async with hub_on() as hub:
        with pytest.raises(Rejected) as caught:
            await ask(hub, Search(query="茶", cursor=cursor))
        assert (caught.value.code, caught.value.details) == ("bad_request", {"field": "cursor"})


async def test_the_cursor_of_a_search_without_a_place_is_none_of_a_circle() -> None:
    async with hub_on() as hub:
        with pytest.raises(Rejected) as caught:
            await ask(hub, Nearby(**BUND, radius_m=9, cursor="1::茶"))
        assert caught.value.details == {"field": "cursor"}


# --- nearby


async def test_nearby_gives_what_is_inside_the_nearest_first_and_never_what_has_no_place() -> None:
    async with hub_on() as hub:
        await found(hub, name="inside", location={"lat": 31.249, "lon": 121.49})
        await found(hub, name="here", location=BUND)
        await found(hub, name="outside", location={"lat": 31.25, "lon": 121.49})
        await found(hub, name="nowhere")
        page = await ask(hub, Nearby(**BUND, radius_m=1_010))
        assert names(page) == ["here", "inside"]
        assert [group["distance_m"] for group in page["groups"]] == [0, 1_001]
        assert page["groups"][1]["location"] == {"lat": 31.249, "lon": 121.49}


async def test_a_group_moves_with_its_settings() -> None:
    async with hub_on() as hub:
        group = await found(hub, name="tea", location=BUND)
        owner = hub.act_as("owner of tea")
        await owner.update(group, location={"lat": 0, "lon": 0})
        assert names(await ask(hub, Nearby(**BUND, radius_m=1_000))) == []
        assert names(await ask(hub, Nearby(lat=0, lon=0, radius_m=1))) == ["tea"]
        await owner.update(group, location={})
        assert names(await ask(hub, Nearby(lat=0, lon=0, radius_m=1))) == []


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"lat": 91, "lon": 0, "radius_m": 1}, "lat"),
        ({"lat": 0, "lon": -181, "radius_m": 1}, "lon"),
        ({"lat": "0", "lon": 0, "radius_m": 1}, "lat"),
        ({"lat": 0, "lon": True, "radius_m": 1}, "lon"),
        ({"lat": 0, "lon": float("nan"), "radius_m": 1}, "lon"),
        ({"lat": 0, "lon": 0, "radius_m": 0}, "radius_m"),
        ({"lat": 0, "lon": 0, "radius_m": CONTENT.radius_max_m + 1}, "radius_m"),
    ],
)
def test_a_circle_that_is_none_is_refused(params: Any, field: str) -> None:
    with pytest.raises(Rejected) as caught:
        Nearby(**params)
    assert caught.value.details == {"field": field}
    with pytest.raises(Rejected) as caught:
        Search(near=params)
    assert caught.value.details == {"field": "near"}


# --- what must not be found


async def everywhere(hub: Hub, user: str = "eve") -> list[str]:
    """Give the names of all groups that a stranger sees anywhere."""
    seen = []
    for request in (
        Search(query="secret"),
        Search(category="c"),
        Search(near={**BUND, "radius_m": 9}),
        Nearby(**BUND, radius_m=9),
        Profile("mia"),
    ):
        seen += names(await ask(hub, request, user))
    return seen


async def test_an_undiscoverable_group_appears_nowhere_and_a_dissolved_one_neither() -> None:
    async with hub_on() as hub:
        mia = hub.act_as("mia", name="Mia")
        group = await found(hub, name="secret", category="c", location=BUND, members=["mia"])
        owner = hub.act_as("owner of secret")
        await mia.call(ShowGroup(group))
        assert await everywhere(hub) == ["secret"] * 5
        await owner.update(group, discoverable=False)
        assert await everywhere(hub) == await everywhere(hub, "mia") == []
        assert await outcome(hub.act_as("eve").info(group)) == "not_found"
        await owner.update(group, discoverable=True)
        assert await everywhere(hub) == ["secret"] * 5
        await owner.dissolve(group)
        assert await everywhere(hub) == []


async def test_a_direct_chat_appears_nowhere() -> None:
    async with hub_on() as hub:
        await ask(hub, Direct("bob"), "ann")
        assert names(await ask(hub, Nearby(**BUND, radius_m=9))) == []
        assert await outcome(ask(hub, Profile("bob"))) == "not_found"


# --- profiles


async def test_a_profile_shows_a_stranger_just_the_groups_that_are_marked() -> None:
    async with hub_on() as hub:
        mia = hub.act_as("mia", name="米娅", picture="https://example.com/m.png")
        tea = await found(hub, name="tea", members=["mia"])
        await found(hub, name="book", members=["mia"])
        await mia.call(ShowGroup(tea))
        shown = await ask(hub, Profile("mia"))
        (card,) = shown.pop("groups")
        assert shown == {"user": "mia", "name": "米娅", "picture": "https://example.com/m.png"}
        assert (card["group"], card["name"], card["members"]) == (tea, "tea", 2)
        assert (await hub.act_as("eve").join(card["group"]))["status"] == "joined"
        await mia.call(ShowGroup(tea, shown=False))
        assert (await ask(hub, Profile("mia")))["groups"] == []


async def test_leaving_takes_a_group_off_the_profile_at_once_and_for_good() -> None:
    async with hub_on() as hub:
        mia = hub.act_as("mia", name="Mia")
        tea = await found(hub, name="tea", members=["mia"])
        await mia.call(ShowGroup(tea))
        await mia.leave(tea)
        assert (await ask(hub, Profile("mia")))["groups"] == []
        await settle()
        await mia.join(tea)
        assert (await ask(hub, Profile("mia")))["groups"] == []


async def test_who_was_never_seen_and_shows_nothing_has_no_profile() -> None:
    async with hub_on() as hub:
        await found(hub, name="tea", members=["mia"])
        assert await outcome(ask(hub, Profile("mia"))) == "not_found"
        assert await outcome(ask(hub, Profile("nobody"))) == "not_found"


async def test_members_and_users_come_with_their_pictures() -> None:
    async with hub_on() as hub:
        mia = hub.act_as("mia", name="米娅", picture="https://example.com/m.png")
        tea = await found(hub, name="tea", members=["mia"])
        (person,) = (await mia.users(["mia"]))["users"]
        shown = {"user": "mia", "name": "米娅", "picture": "https://example.com/m.png"}
        assert person == shown
        (member, _owner) = (await mia.members(tea))["members"]
        assert member.items() >= shown.items()
        assert not {"nickname", "muted_until_ms"} & member.keys()


# --- blocks


async def test_blocks_come_in_pages_with_names() -> None:
    async with hub_on() as hub:
        await hub.act_as("u1", name="One").groups()
        for number in range(5):
            await ask(hub, Block(f"u{number}"), "ann")
        page = await ask(hub, Blocks(limit=2), "ann")
        assert page["users"][1] == {"user": "u1", "name": "One", "picture": ""}
        got = [person["user"] for person in page["users"]]
        while "next" in page:
            page = await ask(hub, Blocks(after=page["next"], limit=2), "ann")
            got += [person["user"] for person in page["users"]]
        assert got == [f"u{number}" for number in range(5)]
        assert await ask(hub, Blocks(), "u1") == {"users": []}
