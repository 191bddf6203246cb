"""The host API: the protocol's methods over HTTP, as a user or as the system."""

from __future__ import annotations

from typing import Any

import attrs
import orjson
import pytest

from groupd.errors import CODES
from groupd.testing import schema
from groupd.web.calls import STATUS, http_refusal
from tests.strategies import NOW_MS, uuid7
from tests.web.rig import Backend, open_backend

ID = uuid7(NOW_MS, 1)


async def test_a_backend_asks_as_a_user_and_gets_what_the_protocol_says() -> None:
    async with open_backend() as shop:
        made = await shop.ok("create", as_="ann", name="Tea 茶", members=["bob"])
        group = made["group"]
        posted = await shop.ok("post", as_="bob", group=group, text="好")
        page = await shop.ok("history", as_="ann", group=group, after=posted["seq"] - 1)
        assert page["events"][0] | {"time_ms": 0} == {
            "group": group,
            "seq": posted["seq"],
            "time_ms": 0,
            "user": "bob",
            "kind": "posted",
            "text": "好",
        }
        assert schema.problems("result history", page) == []
        assert (await shop.ok("ping"))["time_ms"] > 0


async def test_the_same_id_is_the_same_intent() -> None:
    async with open_backend() as shop:
        group = (await shop.ok("create", as_="ann", name="Tea", id=ID))["group"]
        assert (await shop.ok("create", as_="ann", name="Tea", id=ID))["group"] == group
        other = await shop.call("create", as_="ann", name="Coffee", id=ID)
        assert (other.status, other.code) == (409, "conflict")
        first = await shop.ok("post", as_="system", group=group, text="sent", id=ID)
        assert await shop.ok("post", as_="system", group=group, text="sent", id=ID) == first


async def test_the_system_speaks_as_nobody_and_with_an_owners_rights() -> None:
    async with open_backend() as shop:
        group = (await shop.ok("create", as_="ann", name="Tea", members=["bob"]))["group"]
        seq = (await shop.ok("post", as_="system", group=group, text="order 7 has left"))["seq"]
        page = await shop.ok("history", as_="bob", group=group, after=seq - 1)
        assert page["events"][0]["user"] == ""
        await shop.ok("ban", as_="system", group=group, user="bob")
        assert (await shop.ok("info", as_="ann", group=group))["members"] == 1
        refused = await shop.call("leave", as_="system", group=group)
        assert (refused.status, refused.body["error"]["field"]) == (400, "as")


async def test_a_user_who_is_called_system_is_one() -> None:
    async with open_backend() as shop:
        group = (await shop.ok("create", as_={"user": "system"}, name="Tea"))["group"]
        assert (await shop.ok("info", as_={"user": "system"}, group=group))["owner"] == "system"


async def test_a_profile_is_said_once_and_stays() -> None:
    async with open_backend() as shop:
        ann = {"user": "ann", "name": "安", "picture": "a.png", "gender": "f", "birth_year": 1990}
        group = (await shop.ok("create", as_=ann, name="Tea"))["group"]
        await shop.ok("post", as_="ann", group=group, text="hello")
        found = (await shop.ok("users", as_="ann", users=["ann"]))["users"][0]
        assert (found["name"], found["picture"]) == ("安", "a.png")
        await shop.ok("ping", as_={"user": "ann", "name": "ignored"})
        await shop.ok("info", as_={"user": "ann", "name": "Ann"}, group=group)
        found = (await shop.ok("users", as_="ann", users=["ann"]))["users"][0]
        assert (found["name"], found["picture"]) == ("Ann", "a.png")


@pytest.mark.parametrize(
    "whose",
    [
        None,
        5,
        "",
        "*",
        "a\nb",
        "x" * 65,
        [],
        {},
        {"user": 5},
        {"user": "ann", "role": "owner"},
        {"user": "ann", "plan": "no such plan"},
        {"user": "ann", "birth_year": 12},
        {"user": "ann", "claims": []},
        {"user": "ann", "name": ["x"]},
    ],
)
async def test_who_is_meant_must_make_sense(whose: Any) -> None:
    async with open_backend() as shop:
        answer = await shop.call("create", as_=whose, name="Tea")
        assert (answer.status, answer.code) == (400, "bad_request")
        assert answer.body["error"]["field"].startswith("as")


async def test_without_a_key_nothing_is_said() -> None:
    async with open_backend() as shop:
        for shown in ("", "gk.shop", "gk.shop.wrong", "gk.other." + "s" * 43, "xx.shop.s"):
            stranger = attrs.evolve(shop, shown=shown)
            for method in ("ping", "create", "nonsense"):
                answer = await stranger.call(method, as_="ann", name="Tea")
                assert (answer.status, answer.code) == (401, "unauthenticated")
                assert answer.headers["www_authenticate"] == "Bearer"


async def test_a_key_may_do_what_its_scopes_say() -> None:
    async with open_backend(scopes=("read",)) as reader:
        assert (await reader.call("create", as_="ann", name="Tea")).status == 403
        assert (await reader.ok("groups", as_="ann"))["groups"] == []
    async with open_backend(scopes=("write",)) as writer:
        group = (await writer.ok("create", as_="ann", name="Tea"))["group"]
        assert (await writer.call("info", as_="ann", group=group)).status == 403
        refused = await writer.call("post", as_="system", group=group, text="x")
        assert (refused.status, refused.body["error"]["required"]) == (403, "system")
        assert (await writer.call("add_members", group=group, members=["bob"])).status == 403


async def test_a_key_is_for_one_tenant() -> None:
    async with open_backend(tenant="red") as shop:
        group = (await shop.ok("create", as_="ann", name="Tea"))["group"]
        other = shop.hub.act_as("ann", tenant="blue")
        with pytest.raises(Exception, match="not_found"):
            await other.info(group)
        assert (await shop.hub.act_as("ann", tenant="red").info(group))["owner"] == "ann"


async def test_what_is_no_call_is_refused_with_a_status_that_says_why() -> None:
    async with open_backend() as shop:
        for verb, path, body, status in (
            ("GET", "/v1/post", b"", 405),
            ("POST", "/v1/openapi.json", b"", 405),
            ("POST", "/", b"", 404),
            ("POST", "/v1/", b"{}", 404),
            ("POST", "/v1/no_such", b"{}", 404),
            ("POST", "/v1/hello", b"{}", 404),
            ("POST", "/v1/operator_log", b"{}", 404),
            ("POST", "/v1/post", b"[", 400),
            ("POST", "/v1/post", b"[]", 400),
            ("POST", "/v1/post", b"\xff", 400),
            ("POST", "/v1/post", b'{"as": "ann", "group": "x", "text": "x"}', 404),
            ("POST", "/v1/post", b'{"as": "ann", "group": "x", "text": NaN}', 400),
            ("POST", "/v1/create", b'{"as": "ann"}', 400),
            ("POST", "/v1/create", b'{"as": "ann", "name": "x", "id": "no"}', 400),
        ):
            answer = await shop.request(verb, path, body)
            assert answer.status == status, (verb, path, body, answer)
            assert schema.problems("error", answer.body["error"]) == []


async def test_over_its_rate_a_key_is_told_when_to_come_back() -> None:
    async with open_backend(rate_per_s=1, rate_burst=600) as shop:
        answers = [await shop.call("ping") for _ in range(601)]
        assert answers[-1].status == 429
        assert int(answers[-1].headers["retry_after"]) >= 1
    async with open_backend(rate_per_s=1, rate_burst=600, rate_limits=False) as shop:
        assert all([(await shop.call("ping")).status == 200 for _ in range(601)])


def test_every_code_has_a_status() -> None:
    assert STATUS.keys() == CODES.keys()


# --- many members


async def customers(shop: Backend, group: str, count: int, **params: Any) -> list[dict[str, Any]]:
    members = [{"user": f"c{n}", "name": f"顾客 {n}"} for n in range(count)]
    answer = await shop.ok("add_members", group=group, members=members, **params)
    found: list[dict[str, Any]] = answer["members"]
    return found


async def test_customers_are_added_at_once_up_to_the_groups_limit() -> None:
    async with open_backend() as shop:
        group = (await shop.ok("create", as_="shop", name="Tea", join_policy="invite_only"))[
            "group"
        ]
        outcomes = await customers(shop, group, 210)
        assert [each["user"] for each in outcomes] == [f"c{n}" for n in range(210)]
        joined = [each for each in outcomes if each.get("status") == "joined"]
        assert len(joined) == 199
        full = [each for each in outcomes if "error" in each]
        assert {each["error"]["code"] for each in full} == {"group_full"}
        page = await shop.ok("members", as_="shop", group=group, limit=2)
        assert page["members"][0]["name"].startswith("顾客")


async def test_adding_them_again_adds_nobody_twice() -> None:
    async with open_backend() as shop:
        group = (await shop.ok("create", as_="shop", name="Tea"))["group"]
        first = await customers(shop, group, 60, id=ID)
        head = (await shop.ok("history", as_="shop", group=group))["head"]
        assert await customers(shop, group, 60, id=ID) == first
        assert await customers(shop, group, 60) == first
        assert (await shop.ok("history", as_="shop", group=group))["head"] == head


async def test_who_cannot_be_added_stops_nobody_else() -> None:
    async with open_backend() as shop:
        group = (await shop.ok("create", as_="shop", name="Tea", members=["bad"]))["group"]
        await shop.ok("ban", as_="system", group=group, user="bad")
        members = ["ann", "bad", {"user": ""}, 7, {"user": "bob", "plan": "nope"}, "cat"]
        answer = await shop.ok("add_members", group=group, members=members)
        shown = [each.get("status") or each["error"]["code"] for each in answer["members"]]
        assert shown[0] == shown[5] == "joined"
        assert shown[1] == "forbidden"
        assert shown[2:5] == ["bad_request"] * 3


@pytest.mark.parametrize("members", [None, "ann", [], ["x"] * 501, 5])
async def test_a_list_of_members_is_a_list(members: Any) -> None:
    async with open_backend() as shop:
        answer = await shop.call("add_members", group="G" * 16, members=members)
        assert answer.body["error"]["field"] == "members"


def test_what_is_no_request_yet_is_refused_in_the_form_of_all_refusals() -> None:
    for status, code in ((413, "too_large"), (408, "bad_request"), (431, "bad_request")):
        response = http_refusal(status, "why")
        assert response.status == status
        assert orjson.loads(response.body)["error"] == {"code": code, "message": "why"}


async def test_a_call_of_the_apps_own_is_made_as_nobody_else() -> None:
    async with open_backend() as backend:
        group = (await backend.ok("create", as_="ann", name="Tea"))["group"]
        for method in ("bind", "add_members", "consumers"):
            answer = await backend.call(
                method, as_="ann", group=group, binding="shop:1", members=["bob"]
            )
            assert (answer.status, answer.body["error"]["field"]) == (400, "as")
        await backend.ok("bind", as_="system", group=group, binding="shop:1")
