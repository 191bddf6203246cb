"""The host's business over HTTP: bindings, orders, lives. FEATURES C1, A19."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
from trio.testing import MockClock

from groupd.config import HostConfig
from groupd.engine.hub import Hub
from groupd.engine.ledger import project
from groupd.storage.memory import MemoryStore
from groupd.storage.verify.whole import check_store
from groupd.testing.fakes import FakeClock, fake_ports
from groupd.web import openapi, rounds
from groupd.web.calls import HostApi
from groupd.web.keys import SCOPES, KeyRing, make_key
from tests.e2e.process import Groupd
from tests.engine.rig import hub_on, new_store
from tests.web.rig import SECRET, Backend, open_backend

CARD: dict[str, Any] = {"title": "新茶", "url": "https://shop.example/7", "host": "Alice"}


def backend_on(hub: Hub, tenant: str = "") -> Backend:
    """Give a backend of a tenant on a hub."""
    key, shown = make_key(f"shop{tenant}", tenant=tenant, scopes=tuple(SCOPES), secret=SECRET)
    api = HostApi(
        hub, KeyRing([key]), HostConfig(), openapi=openapi.document(), has_rate_limits=False
    )
    return Backend(hub, api, shown)


async def bound(shop: Backend, count: int, binding: str = "shop:42") -> list[str]:
    """Found groups that are bound to something; gives them by id."""
    groups = []
    for number in range(count):
        plan = {"user": f"owner{number // 4}", "name": "Shop"}
        group = (await shop.ok("create", as_=plan, name=f"Tea {number}"))["group"]
        await shop.ok("bind", group=group, binding=binding)
        groups.append(group)
    return sorted(groups)


def statuses(answer: dict[str, Any]) -> list[str]:
    return [each.get("status") or each["error"]["code"] for each in answer["groups"]]


async def events(shop: Backend, group: str) -> list[dict[str, Any]]:
    """Give all that has happened in a group, as its owner sees it."""
    owner = (await shop.ok("info", as_="owner0", group=group))["owner"]
    page = await shop.ok("history", as_=owner, group=group, limit=500, after=0)
    found: list[dict[str, Any]] = page["events"]
    return found


async def kinds(shop: Backend, group: str) -> list[str]:
    return [event["kind"] for event in await events(shop, group)]


async def messages(shop: Backend, group: str) -> list[dict[str, Any]]:
    """Give what was posted and edited in a group."""
    found = await events(shop, group)
    return [event for event in found if event["kind"] in ("posted", "edited")]


# --- bindings


async def test_groups_are_found_by_what_they_are_bound_to_in_pages() -> None:
    async with open_backend() as shop:
        groups = await bound(shop, 5)
        assert (await shop.ok("bound_groups", binding="shop:42")) == {"groups": groups}
        first = await shop.ok("bound_groups", binding="shop:42", limit=2)
        assert first == {"groups": groups[:2], "next": groups[1]}
        rest = await shop.ok("bound_groups", binding="shop:42", limit=3, after=first["next"])
        assert rest == {"groups": groups[2:]}
        await shop.ok("unbind", group=groups[0], binding="shop:42")
        owner = (await shop.ok("info", as_="owner0", group=groups[1]))["owner"]
        await shop.ok("dissolve", as_=owner, group=groups[1])
        assert (await shop.ok("bound_groups", binding="shop:42"))["groups"] == groups[2:]
        assert (await shop.ok("bindings", group=groups[0]))["bindings"] == []
        assert (await shop.ok("bindings", group=groups[2]))["bindings"] == ["shop:42"]


async def test_tenants_are_apart() -> None:
    async with hub_on(new_store()) as hub:
        red, blue = backend_on(hub, "red"), backend_on(hub, "blue")
        (group,) = await bound(red, 1)
        assert (await blue.ok("bound_groups", binding="shop:42"))["groups"] == []
        for method in ("bind", "unbind"):
            refused = await blue.call(method, group=group, binding="shop:42")
            assert refused.code == "not_found"
        order = {"user": "bob", "order": "o-1"}
        assert (await blue.ok("order_completed", **order, binding="shop:42"))["groups"] == []
        by_name = await blue.ok("order_completed", **order, groups=[group])
        assert statuses(by_name) == ["not_found"]
        assert statuses(await red.ok("order_completed", **order, groups=[group])) == ["invited"]


@pytest.mark.parametrize(
    ("method", "params", "field"),
    [
        ("bind", {}, "group"),
        ("bind", {"group": "", "binding": "x"}, "group"),
        ("bind", {"group": "G"}, "binding"),
        ("unbind", {"group": "G", "binding": ""}, "binding"),
        ("bindings", {"group": 5}, "group"),
        ("bound_groups", {"binding": "x", "limit": 0}, "limit"),
        ("bound_groups", {"binding": "x", "limit": 501}, "limit"),
        ("bound_groups", {"binding": "x", "after": 5}, "after"),
        ("order_completed", {"user": "bob", "binding": "x"}, "order"),
        ("order_completed", {"order": "o", "binding": "x"}, "user"),
        ("order_completed", {"user": {"user": ""}, "order": "o", "binding": "x"}, "user"),
        ("order_completed", {"user": "bob", "order": "o"}, "binding"),
        ("order_completed", {"user": "bob", "order": "o", "groups": []}, "groups"),
        ("order_completed", {"user": "bob", "order": "o", "groups": ["G"] * 501}, "groups"),
        ("order_completed", {"user": "b", "order": "o", "groups": ["G"], "binding": "x"}, "groups"),
        ("live_started", {"binding": "x", "card": CARD}, "live"),
        ("live_started", {"live": "l", "card": CARD}, "binding"),
        ("live_started", {"live": "l", "binding": "x"}, "card"),
        ("live_started", {"live": "l", "binding": "x", "card": {"title": "t"}}, "card"),
        (
            "live_started",
            {"live": "l", "binding": "x", "card": CARD, "started_ms": -1},
            "started_ms",
        ),
        ("live_stopped", {"live": "a\nb"}, "live"),
    ],
)
async def test_what_is_wrong_is_named(method: str, params: dict[str, Any], field: str) -> None:
    async with open_backend() as shop:
        answer = await shop.call(method, **params)
        assert answer.code == "bad_request"
        assert answer.body["error"]["field"] == field


@pytest.mark.parametrize(
    "method", ["bind", "unbind", "order_completed", "live_started", "live_stopped"]
)
async def test_it_takes_a_key_that_may_act_as_the_app(method: str) -> None:
    for scopes in (("read", "write", "feed"), ("read", "system", "feed")):
        async with open_backend(scopes=scopes) as shop:
            assert (await shop.call(method)).body["error"]["reason"] == "scope"


# --- orders


async def test_a_customer_is_invited_into_each_bound_group_once() -> None:
    async with open_backend() as shop:
        groups = await bound(shop, 3)
        bob = {"user": "bob", "name": "Bob 鲍勃"}
        first = await shop.ok("order_completed", user=bob, order="o-1", binding="shop:42")
        assert [each["group"] for each in first["groups"]] == groups
        assert statuses(first) == ["invited"] * 3
        assert await shop.ok("order_completed", user=bob, order="o-1", binding="shop:42") == first
        later = await shop.ok("order_completed", user="bob", order="o-2", binding="shop:42")
        assert statuses(later) == ["before"] * 3
        assert (await shop.ok("accept_invite", as_="bob", group=groups[0]))["status"] == "joined"
        await shop.ok("decline_invite", as_="bob", group=groups[1])
        await shop.ok("leave", as_="bob", group=groups[0])
        again = await shop.ok("order_completed", user="bob", order="o-3", binding="shop:42")
        assert statuses(again) == ["before"] * 3
        found = await shop.ok("profile", as_="owner0", user="bob")
        assert found["name"] == "Bob 鲍勃"


async def test_what_one_group_refuses_harms_no_other() -> None:
    async with open_backend() as shop:
        groups = await bound(shop, 4)
        owners = [(await shop.ok("info", as_="owner0", group=group))["owner"] for group in groups]
        await shop.ok("ban", as_="system", group=groups[0], user="bob")
        await shop.ok("dissolve", as_=owners[1], group=groups[1])
        await shop.ok("add_members", group=groups[2], members=["bob"])
        order = {"user": "bob", "order": "o-1"}
        answer = await shop.ok("order_completed", **order, groups=[*groups, "G" * 16, groups[3]])
        assert statuses(answer) == ["forbidden", "conflict", "joined", "invited", "not_found"]


async def test_many_orders_at_once_are_one_invitation() -> None:
    async with open_backend(rate_limits=False) as shop:
        (group,) = await bound(shop, 1)
        came: list[str] = []

        async def order(number: int) -> None:
            answer = await shop.ok(
                "order_completed", user="bob", order=f"o-{number % 5}", binding="shop:42"
            )
            came.extend(statuses(answer))

        async with trio.open_nursery() as nursery:
            for number in range(40):
                nursery.start_soon(order, number)
        happened = await kinds(shop, group)
        assert (happened.count("ordered"), happened.count("invited")) == (1, 1)
        assert came.count("invited") == 8, "the order that was first, each time it was told of"


async def test_a_customer_is_remembered_after_a_restart_years_later() -> None:
    store = new_store()
    async with hub_on(store) as hub:
        shop = backend_on(hub)
        groups = await bound(shop, 2)
        first = await shop.ok("order_completed", user="bob", order="o-1", binding="shop:42")
    ports = fake_ports()
    assert isinstance(ports.clock, FakeClock)
    ports.clock.jump(5 * 366 * 86_400_000)
    async with hub_on(store, ports=ports) as hub:
        shop = backend_on(hub)
        again = await shop.ok("order_completed", user="bob", order="o-1", binding="shop:42")
        assert again == first
        assert [(await kinds(shop, group)).count("invited") for group in groups] == [1, 1]


async def test_a_call_that_was_cut_short_goes_on_where_it_was(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rounds, "AT_ONCE", 1)
    async with open_backend() as shop:
        groups = await bound(shop, 6)
        hub_ask, asked = shop.hub.ask, 0

        async def ask(*args: Any, **kwargs: Any) -> Any:
            nonlocal asked
            asked += 1
            if asked == 4:
                await trio.sleep_forever()
            return await hub_ask(*args, **kwargs)

        monkeypatch.setattr(shop.hub, "ask", ask)
        order = {"user": "bob", "order": "o-1", "binding": "shop:42"}
        with trio.move_on_after(5):
            await shop.ok("order_completed", **order)
        monkeypatch.undo()
        answer = await shop.ok("order_completed", **order)
        assert statuses(answer) == ["invited"] * 6
        for group in groups:
            assert (await kinds(shop, group)).count("invited") == 1


# --- lives


async def test_a_live_shows_once_in_each_group_and_ends_once() -> None:
    async with open_backend() as shop:
        groups = await bound(shop, 3, "creator:alice")
        live = {"live": "l-7", "binding": "creator:alice", "card": CARD, "started_ms": 9}
        first = await shop.ok("live_started", **live)
        assert statuses(first) == ["on"] * 3
        assert await shop.ok("live_started", **live) == first
        for group, each in zip(groups, first["groups"], strict=True):
            (posted,) = await messages(shop, group)
            assert (posted["seq"], posted["user"]) == (each["seq"], "")
            assert posted["card"] == {
                **CARD, "type": "live", "live": "l-7", "state": "on", "starts_at_ms": 9,
            }  # fmt: skip
        ended = await shop.ok("live_stopped", live="l-7")
        assert statuses(ended) == ["ended"] * 3
        assert await shop.ok("live_stopped", live="l-7") == ended
        for group in groups:
            posted, edited = await messages(shop, group)
            ended_ms = edited["card"].pop("ended_ms")
            assert edited["card"] == {**posted["card"], "state": "ended"}
            assert ended_ms > 0
            assert edited["message"] == posted["seq"]


async def test_a_start_reaches_groups_that_were_bound_since_and_comes_not_after_the_end() -> None:
    async with open_backend() as shop:
        live = {"live": "l-7", "binding": "creator:alice", "card": CARD}
        await bound(shop, 2, "creator:alice")
        await shop.ok("live_started", **live)
        await bound(shop, 1, "creator:alice")
        assert statuses(await shop.ok("live_started", **live)) == ["on"] * 3
        assert statuses(await shop.ok("live_stopped", live="l-7")) == ["ended"] * 3
        await bound(shop, 1, "creator:alice")
        late = await shop.call("live_started", **live)
        assert (late.code, late.body["error"]["reason"]) == ("conflict", "state")
        assert statuses(await shop.ok("live_started", **{**live, "live": "l-8"})) == ["on"] * 4


async def test_a_stop_without_a_start_does_nothing_and_the_start_still_shows() -> None:
    async with open_backend() as shop:
        (group,) = await bound(shop, 1, "creator:alice")
        assert await shop.ok("live_stopped", live="l-7") == {"groups": []}
        live = {"live": "l-7", "binding": "creator:alice", "card": CARD}
        assert statuses(await shop.ok("live_started", **live)) == ["on"]
        await shop.ok("unbind", group=group, binding="creator:alice")
        assert statuses(await shop.ok("live_stopped", live="l-7")) == ["ended"], "unbound or not"


async def test_a_recalled_card_stays_recalled() -> None:
    async with open_backend() as shop:
        (group,) = await bound(shop, 1, "creator:alice")
        live = {"live": "l-7", "binding": "creator:alice", "card": CARD}
        seq = (await shop.ok("live_started", **live))["groups"][0]["seq"]
        await shop.ok("recall", as_="system", group=group, seq=seq)
        await shop.ok("live_started", **live)
        await shop.ok("live_stopped", live="l-7")
        assert await messages(shop, group) == []


async def test_a_live_is_known_after_a_restart_when_request_ids_are_forgotten() -> None:
    store = new_store()
    live = {"live": "l-7", "binding": "creator:alice", "card": CARD}
    async with hub_on(store) as hub:
        groups = await bound(backend_on(hub), 2, "creator:alice")
        first = await backend_on(hub).ok("live_started", **live)
    ports = fake_ports()
    assert isinstance(ports.clock, FakeClock)
    ports.clock.jump(3 * 86_400_000)
    async with hub_on(store, ports=ports) as hub:
        shop = backend_on(hub)
        assert await shop.ok("live_started", **live) == first
        assert statuses(await shop.ok("live_stopped", live="l-7")) == ["ended"] * 2
        assert [len(await messages(shop, group)) for group in groups] == [2, 2]


@attrs.define(eq=False)
class Watch:
    """Counts what is asked of a hub at once."""

    hub: Hub
    most: int = 0
    now: int = 0
    asked: int = 0

    def __attrs_post_init__(self) -> None:
        self._ask = self.hub.ask

    async def ask(self, *args: Any, **kwargs: Any) -> Any:
        self.asked += 1
        self.now += 1
        self.most = max(self.most, self.now)
        await trio.sleep(0.01)
        try:
            return await self._ask(*args, **kwargs)
        finally:
            self.now -= 1

    _ask: Any = attrs.field(init=False)


async def test_many_groups_are_gone_through_in_pages_and_few_at_once(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_backend(rate_limits=False) as shop:
        groups = await bound(shop, 130, "creator:alice")
        watch = Watch(shop.hub)
        monkeypatch.setattr(shop.hub, "ask", watch.ask)
        live = {"live": "l-7", "binding": "creator:alice", "card": CARD}
        page = await shop.ok("live_started", **live)
        assert len(page["groups"]) == rounds.GROUPS_PAGE == watch.asked
        assert watch.most == rounds.AT_ONCE
        rest = await shop.ok("live_started", **live, after=page["next"])
        assert "next" not in rest
        done = [each["group"] for each in (*page["groups"], *rest["groups"])]
        assert done == groups


async def test_each_group_that_was_gone_through_is_charged_for() -> None:
    async with open_backend(rate_per_s=1, rate_burst=90) as shop:
        await bound(shop, 10)  # 5 for each that is made, and one for binding it.
        order = {"user": "bob", "order": "o-1", "binding": "shop:42"}
        calls = [await shop.call("order_completed", **order) for _ in range(5)]
        assert calls[0].status == 200
        assert calls[-1].code == "rate_limited"


# --- the index


async def test_the_index_is_made_again_from_the_logs() -> None:
    store: MemoryStore = new_store()
    async with hub_on(store) as hub:
        shop = backend_on(hub)
        await bound(shop, 3)
        await shop.ok("order_completed", user="bob", order="o-1", binding="shop:42")
        await shop.ok("live_started", live="l-7", binding="shop:42", card=CARD)
        await shop.ok("live_stopped", live="l-7", limit=1)
    before = list(store.dump_index())
    assert sum(row[0] == "tie" for row in before) == 9
    store.rebuild_index(project)
    assert list(store.dump_index()) == before
    assert check_store(store, project) == []


# --- the example


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
async def test_a_shell_script_does_it_all_with_curl_alone(groupd: Groupd) -> None:
    async with groupd.serving(None, "--host-api", "http://127.0.0.1:0") as server:
        url = next(entry["host"] for entry in server.log() if entry["event"] == "serving")
        made = await groupd.run("key", "make", "shop", "--data", str(server.data))
        await trio.sleep(1)
        script = Path(__file__).parent.parent.parent / "examples" / "business.sh"
        done = await trio.run_process(
            ["bash", str(script), url, made.stdout.strip()],
            check=False,
            capture_stdout=True,
            stderr=subprocess.STDOUT,
        )
        shown = done.stdout.decode()
        assert done.returncode == 0, shown
        assert shown.splitlines() == [
            "3 groups are bound to the shop",
            'o-1001:  3 "status":"invited"',
            'o-1001:  3 "status":"invited"',
            'o-1002:  3 "status":"before"',
            'live:  3 "status":"on"',
            'over:  3 "status":"ended"',
        ]
        assert not server.complaints()
