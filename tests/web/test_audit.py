"""A backend's changes are in the audit with its key's name, and it can be read."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import httpx
import pytest
import trio

from groupd.errors import ConfigError
from groupd.testing.fakes import START_MS
from groupd.web.keys import make_key
from tests.e2e.process import Groupd, until
from tests.strategies import uuid7
from tests.web.rig import SECRET, Backend, open_backend

ID = uuid7(START_MS, 1)


async def audit(shop: Backend, **wanted: Any) -> list[dict[str, Any]]:
    """Read the audit, the oldest entry first."""
    found: list[dict[str, Any]] = (await shop.ok("audit", **wanted))["entries"]
    return found[::-1]


async def test_the_audit_says_who_did_what_on_whose_behalf() -> None:
    async with open_backend() as shop:
        group = (await shop.ok("create", as_="ann", name="Tea", members=["bob"]))["group"]
        posted = await shop.ok("post", as_="bob", group=group, text="a secret")
        banned = await shop.ok("ban", as_="system", group=group, user="bob")
        await shop.ok("info", as_="ann", group=group)
        await shop.call("post", as_="bob", group=group, text="refused by now")
        entries = await audit(shop)
        shown = [
            [entry.get(name) for name in ("n", "as", "method", "group", "seq", "user")]
            for entry in entries
        ]
        assert shown == [
            [1, "ann", "create", group, 1, None],
            [2, "bob", "post", group, posted["seq"], None],
            [3, "system", "ban", group, banned["seq"], "bob"],
        ]
        assert {entry["key"] for entry in entries} == {"shop"}
        assert "secret" not in str(entries)
        assert [each["n"] for each in await audit(shop, group=group, user="bob")] == [2, 3]
        assert await audit(shop, key="other") == []
        page = await shop.ok("audit", limit=2)
        assert [each["n"] for each in page["entries"]] == [3, 2]
        assert [each["n"] for each in await audit(shop, before=page["next"])] == [1]


async def test_adding_many_leaves_an_entry_for_each_and_a_retry_none() -> None:
    async with open_backend() as shop:
        group = (await shop.ok("create", as_="shop", name="Tea"))["group"]
        members = [f"c{number}" for number in range(60)]
        await shop.ok("add_members", group=group, members=members, id=ID)
        added = await audit(shop, group=group)
        assert {entry["method"] for entry in added[1:]} == {"add_members"}
        assert {entry["user"] for entry in added if "user" in entry} == set(members)
        await shop.ok("add_members", group=group, members=members, id=ID)
        assert await audit(shop, group=group) == added


async def test_a_profile_that_comes_with_a_call_is_an_entry_of_the_account() -> None:
    async with open_backend() as shop:
        await shop.ok("groups", as_={"user": "ann", "name": "安"})
        (entry,) = await audit(shop)
        assert (entry["method"], entry["account"], entry["seq"]) == ("groups", "ann", 1)
        assert await audit(shop, user="ann") == [entry]


async def test_revoking_and_disconnecting_end_sessions_and_are_noted() -> None:
    ended: list[tuple[Any, ...]] = []

    def cut(tenant: str, user: str, message: str, *, before_ms: int | None = None) -> int:
        ended.append((tenant, user, before_ms))
        return 2

    async with open_backend(tenant="red", cut=cut) as shop:
        revoked = await shop.ok("revoke", user="ann")
        assert revoked["sessions"] == 2
        await shop.ok("revoke", user="ann", before_ms=5)
        assert await shop.ok("disconnect", user="bob") == {"sessions": 2}
        assert ended == [
            ("red", "ann", revoked["before_ms"]),
            ("red", "ann", revoked["before_ms"]),
            ("red", "bob", None),
        ]
        shown = [(each["method"], each["as"], each["account"]) for each in await audit(shop)]
        assert shown == [("revoke", "system", "ann"), ("disconnect", "system", "bob")]
        late = await shop.call("revoke", user="ann", before_ms=2**52)
        assert (late.status, late.body["error"]["field"]) == (400, "before_ms")
        assert len(await audit(shop)) == 2


async def test_forgetting_a_consumer_is_noted_and_again_is_not() -> None:
    async with open_backend() as shop:
        await shop.ok("changes", consumer="orders")
        for _ in range(2):
            await shop.ok("forget_consumer", consumer="orders")
        (entry,) = await audit(shop)
        assert (entry["method"], entry["consumer"]) == ("forget_consumer", "orders")


async def test_a_tenant_reads_its_own_alone() -> None:
    async with open_backend(tenant="red") as red:
        group = (await red.ok("create", as_="ann", name="Tea"))["group"]
        key, shown = make_key("blue", tenant="blue", scopes=("audit",), secret=SECRET)
        red.api._keys.replace([key])
        blue = Backend(red.hub, red.api, shown)
        assert await audit(blue) == []
        assert await audit(blue, group=group) == []
        assert await audit(blue, tenant="red") == []


@pytest.mark.parametrize(
    ("method", "params", "scope"),
    [
        ("audit", {}, "audit"),
        ("revoke", {"user": "ann"}, "system"),
        ("revoke", {"user": "ann"}, "write"),
        ("disconnect", {"user": "ann"}, "system"),
    ],
)
async def test_each_call_takes_its_scopes(method: str, params: dict[str, Any], scope: str) -> None:
    others = tuple({"read", "write", "feed", "system", "audit"} - {scope})
    async with open_backend(scopes=others) as shop:
        refused = await shop.call(method, **params)
        assert (refused.status, refused.body["error"]["required"]) == (403, scope)


@pytest.mark.parametrize(
    ("method", "params", "field"),
    [
        ("audit", {"limit": 0}, "limit"),
        ("audit", {"limit": 501}, "limit"),
        ("audit", {"before": 0}, "before"),
        ("audit", {"group": 5}, "group"),
        ("audit", {"user": ["ann"]}, "user"),
        ("audit", {"key": "k" * 33}, "key"),
        ("revoke", {}, "user"),
        ("revoke", {"user": "ann", "before_ms": "now"}, "before_ms"),
        ("disconnect", {"user": 5}, "user"),
    ],
)
async def test_what_makes_no_sense_is_refused(
    method: str, params: dict[str, Any], field: str
) -> None:
    async with open_backend() as shop:
        answer = await shop.call(method, **params)
        assert (answer.status, answer.body["error"]["field"]) == (400, field)


def test_no_key_is_called_operator() -> None:
    with pytest.raises(ConfigError, match="the audit calls the operator so"):
        make_key("operator", tenant="", scopes=("read",), secret=SECRET)


# --- as the system


async def test_the_system_reads_any_group_as_an_owner_does() -> None:
    async with open_backend() as shop:
        made = await shop.ok(
            "create", as_="ann", name="Tea", members=["bob"], discoverable=False, history="joined"
        )
        group = made["group"]
        seq = (await shop.ok("post", as_="bob", group=group, text="早"))["seq"]
        told = await shop.ok("announce", as_="ann", group=group, text="closed")
        await shop.ok("ban", as_="system", group=group, user="bob")
        page = await shop.ok("history", as_="system", group=group, limit=1, after=seq - 1)
        assert page["events"][0]["text"] == "早"
        assert page["floor"] == 1
        members = await shop.ok("members", as_="system", group=group)
        assert [member["user"] for member in members["members"]] == ["ann"]
        info = await shop.ok("info", as_="system", group=group)
        assert (info["head"], info["announcement"]["text"]) == (page["head"], "closed")
        assert "role" not in info
        bans = await shop.ok("bans", as_="system", group=group)
        assert [ban["user"] for ban in bans["bans"]] == ["bob"]
        found = await shop.ok("messages", as_="system", group=group, seqs=[seq])
        assert found["messages"][0]["mine"] == []
        announced = await shop.ok("announcements", as_="system", group=group)
        assert [event["seq"] for event in announced["announcements"]] == [told["seq"]]
        for method, params in (
            ("thread", {"seq": seq}),
            ("edits", {"seq": seq}),
            ("reactors", {"seq": seq, "reaction": "👍"}),
            ("requests", {}),
            ("links", {}),
        ):
            await shop.ok(method, as_="system", group=group, **params)


async def test_what_two_users_say_to_each_other_is_not_the_systems() -> None:
    async with open_backend() as shop:
        group = (await shop.ok("direct", as_="ann", user="bob"))["group"]
        for method in ("history", "members", "info"):
            refused = await shop.call(method, as_="system", group=group)
            assert (refused.status, refused.body["error"]["reason"]) == (403, "direct")
        missing = await shop.call("history", as_="system", group="G" * 16)
        assert missing.code == "not_found"
        refused = await shop.call("read", as_="system", group=group, seq=1)
        assert refused.body["error"]["field"] == "as"


# --- a real server that is killed


async def call(client: httpx.AsyncClient, method: str, **params: Any) -> dict[str, Any]:
    answer = await client.post(f"/v1/{method}", json=params)
    found: dict[str, Any] = answer.raise_for_status().json()
    return found


async def post_on(client: httpx.AsyncClient, group: str, answered: list[int]) -> None:
    """Post until the server is not there any more."""
    with suppress(httpx.HTTPError):
        while True:
            posted = await call(client, "post", **{"as": "ann"}, group=group, text="x")
            answered.append(posted["seq"])


# Of an answer that the kill has cut short, httpx leaves a generator behind.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_after_kill_9_each_entry_has_its_event_and_each_event_its_entry(
    groupd: Groupd,
) -> None:
    data = groupd.directory / "data"
    async with groupd.serving(data, "--host-api", "http://127.0.0.1:0") as server:
        url = next(entry["host"] for entry in server.log() if entry["event"] == "serving")
        key = (await groupd.run("key", "make", "shop", "--data", str(data))).stdout.strip()
        await trio.sleep(1)
        headers, answered = {"authorization": f"Bearer {key}"}, list[int]()
        async with httpx.AsyncClient(base_url=url, headers=headers) as client:
            group = (await call(client, "create", **{"as": "ann"}, name="Tea"))["group"]
            async with trio.open_nursery() as nursery:
                for _ in range(8):
                    nursery.start_soon(post_on, client, group, answered)
                await until(lambda: len(answered) > 200)
                await server.kill()
    done = await groupd.run("audit", "--data", str(data))
    audited = [json.loads(line) for line in done.stdout.splitlines()]
    log = await groupd.run("log", group, "--json", "--data", str(data))
    posted = {
        event["seq"]
        for event in map(json.loads, log.stdout.splitlines())
        if event["kind"] == "posted"
    }
    assert posted >= set(answered)
    assert sorted(posted) == sorted(each["seq"] for each in audited if each["method"] == "post")
