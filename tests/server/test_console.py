"""What an operator with a token sees and does, and of which tenant."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from structlog.testing import capture_logs
from trio.testing import MockClock

from groupd.domain.base import GROUP, StreamKey
from groupd.domain.group.operated import OperatorBan, OperatorDissolve, OperatorGroup
from groupd.errors import Rejected
from groupd.server import console
from tests.e2e.raw import RawClient
from tests.server.bench import MINUTE_MS, Bench, open_bench

ALL = "operator:all"


async def operator_of(bench: Bench, tenant: str = "", scope: str = "operator") -> RawClient:
    return await bench.enter("ops", tenant=tenant, scope=scope, name="Ops")


async def events_of(asked: RawClient, group: str, **params: Any) -> list[dict[str, Any]]:
    page = await asked.ask("operator_log", group=group, limit=500, **params)
    return list(page["events"])


# --- which tenant


async def test_an_operator_of_one_tenant_sees_no_other(autojump_clock: MockClock) -> None:
    async with open_bench() as bench:
        ann, bob = await bench.enter("ann", tenant="a"), await bench.enter("bob", tenant="b")
        group, other = await bench.found(ann), await bench.found(bob)
        ops = await operator_of(bench, "a")
        assert (await ops.ask("operator_figures"))["tenant"] == "a"
        # Left out, the tenant is the operator's own.
        assert (await ops.ask("operator_group", group=group))["name"] == "Tea"
        assert (await ops.ask("operator_group", group=group, tenant="a"))["members"] == 1
        assert (await ops.refusal("operator_group", group=other)).code == "not_found"
        found = await ops.ask("operator_groups")
        assert [each["group"] for each in found["groups"]] == [group]
        for method, params in {
            "operator_group": {"group": other},
            "operator_groups": {},
            "operator_log": {"group": other},
            "operator_users": {},
            "operator_user": {"user": "bob"},
            "operator_explain": {"user": "bob", "method": "create"},
            "operator_ban": {"group": other, "user": "bob", "reason": "x"},
            "operator_dissolve": {"group": other, "reason": "x"},
        }.items():
            refusal = await ops.refusal(method, tenant="b", **params)
            assert (refusal.code, refusal.details) == (
                "forbidden",
                {"reason": "scope", "required": ALL},
            )


async def test_an_operator_of_all_tenants_names_the_one_that_is_meant(
    autojump_clock: MockClock,
) -> None:
    async with open_bench() as bench:
        group = await bench.found(await bench.enter("ann", tenant="a"))
        ops = await operator_of(bench, scope=ALL)
        assert "tenant" not in await ops.ask("operator_figures")
        assert (await ops.refusal("operator_group", group=group)).code == "not_found"
        assert (await ops.ask("operator_group", group=group, tenant="a"))["owner"] == "ann"
        assert len(await events_of(ops, group, tenant="a")) == 2


async def test_an_operator_is_one_no_longer_once_the_token_is_over(
    autojump_clock: MockClock,
) -> None:
    async with open_bench(limits={"expiry_grace_ms": 60 * MINUTE_MS}) as bench:
        ops = bench.connect()
        token = bench.token("ops", scope="operator", expires_in_ms=MINUTE_MS)
        await ops.hello(token)
        await ops.ask("operator_figures")
        await trio.sleep(2 * 60)
        for method in ("operator_figures", "operator_groups"):
            assert (await ops.refusal(method)).code == "unauthenticated"
        # And a hello with another token takes with it what the first one gave.
        await ops.hello(bench.token("ops"))
        assert (await ops.refusal("operator_figures")).code == "unknown_method"


async def test_the_socket_is_served_what_a_token_is(autojump_clock: MockClock) -> None:
    async with open_bench() as bench:
        group = await bench.found(await bench.enter("ann", tenant="a"))
        local = bench.connect(address="operator")
        assert (await local.ask("operator_group", group=group, tenant="a"))["name"] == "Tea"
        await local.ask("operator_dissolve", group=group, tenant="a", reason="spam")
        assert (await events_of(local, group, tenant="a"))[-2]["operator"] == "operator"


# --- groups


async def test_groups_are_found_by_name_id_owner_and_ref_whoever_may_know_of_them(
    autojump_clock: MockClock,
) -> None:
    async with open_bench() as bench:
        ann, bob = await bench.enter("ann"), await bench.enter("bob")
        hidden = (await ann.ask("create", name="Ｔea 茶", discoverable=False, ref="shop-7"))[
            "group"
        ]
        over = (await bob.ask("create", name="Running"))["group"]
        await bob.ask("dissolve", group=over)
        chat = (await ann.ask("direct", user="bob"))["group"]
        ops = await operator_of(bench)

        async def found(query: str) -> set[str]:
            page = await ops.ask("operator_groups", query=query)
            assert "next" not in page
            return {each["group"] for each in page["groups"]}

        assert await found("") == {hidden, over, chat}
        assert await found("TEA") == await found("茶") == await found("shop-7") == {hidden}
        assert await found(over) == await found("bob") == await found("run") == {over}
        assert await found("nothing") == set()
        # A group that was founded, and nobody has asked since, is not in memory.
        assert [
            each["awake"] for each in (await ops.ask("operator_groups", query=hidden))["groups"]
        ] == [False]
        await ann.ask("info", group=hidden)
        page = await ops.ask("operator_groups", query=hidden)
        (card,) = page["groups"]
        assert (card["discoverable"], card["direct"], card["dissolved"]) == (False, False, False)
        assert (card["ref"], card["members"], card["awake"]) == ("shop-7", 1, True)


async def test_pages_of_groups_double_and_miss_nothing(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console, "SLICE", 3)
    monkeypatch.setattr(console, "SCANNED_MAX", 6)
    async with open_bench(rate_limits=False) as bench:
        groups = []
        for number in range(17):
            user = await bench.enter(f"user{number}")
            groups.append((await user.ask("create", name=f"Group {number % 5}"))["group"])
        ops = await operator_of(bench)
        for query, wanted in (
            ("", groups),
            ("group 4", groups[4::5]),
            (groups[8], [groups[8]]),
        ):
            for limit in (1, 2, 50):
                seen: list[str] = []
                page: dict[str, Any] = {"next": ""}
                pages = 0
                while "next" in page:
                    page = await ops.ask(
                        "operator_groups", query=query, after=page["next"], limit=limit
                    )
                    seen += [each["group"] for each in page["groups"]]
                    pages += 1
                assert sorted(seen) == sorted(wanted)
                # No call looks at more than its share.
                assert pages >= 17 // 6


async def test_an_operator_sees_all_of_a_group_and_pages_its_members(
    autojump_clock: MockClock,
) -> None:
    async with open_bench(rate_limits=False) as bench:
        ann = await bench.enter("ann")
        others = [await bench.enter(f"user{number}") for number in range(4)]
        group = await bench.found(ann, *others)
        await ann.ask("update", group=group, discoverable=False, join_policy="approval")
        seq = (await ann.ask("announce", group=group, text="Friday"))["seq"]
        await ann.ask("pin", group=group, seq=seq)
        await ann.ask("ban", group=group, user="user0")
        ops = await operator_of(bench)
        shown = await ops.ask("operator_group", group=group, limit=2)
        assert (shown["members"], shown["owner"], shown["bans"], shown["pins"]) == (
            4,
            "ann",
            1,
            [seq],
        )
        assert (shown["settings"]["discoverable"], shown["join_policy"]) == (False, "approval")
        assert shown["announcement"] == seq
        assert [each["user"] for each in shown["listed"]] == ["ann", "user1"]
        rest = await ops.ask("operator_group", group=group, limit=2, after=shown["next"])
        assert [each["user"] for each in rest["listed"]] == ["user2", "user3"]
        assert "next" not in rest


async def test_a_direct_chat_has_nothing_to_show_and_nothing_to_act_on(
    autojump_clock: MockClock,
) -> None:
    async with open_bench() as bench:
        chat = (await (await bench.enter("ann")).ask("direct", user="bob"))["group"]
        ops = await operator_of(bench)
        for method, params in {
            "operator_group": {},
            "operator_ban": {"user": "bob", "reason": "x"},
            "operator_dissolve": {"reason": "x"},
        }.items():
            refusal = await ops.refusal(method, group=chat, **params)
            assert (refusal.code, refusal.details["reason"]) == ("forbidden", "direct")


# --- users


async def test_users_are_found_by_id_and_name_and_shown_with_their_groups(
    autojump_clock: MockClock,
) -> None:
    async with open_bench() as bench:
        ann = await bench.enter("ann", name="Ann 安")
        bob = await bench.enter("bob", name="Bob")
        group = await bench.found(ann, bob)
        ops = await operator_of(bench)

        async def found(query: str) -> list[str]:
            page = await ops.ask("operator_users", query=query)
            return [each["user"] for each in page["users"]]

        assert await found("") == ["ann", "bob", "ops"]
        assert await found("安") == await found("ANN") == ["ann"]
        assert await found("bob") == ["bob"]
        assert await found("nobody") == []
        shown = await ops.ask("operator_user", user="bob")
        assert (shown["name"], shown["sessions"], shown["joined"]) == ("Bob", 1, 1)
        assert shown["groups"] == [
            {"group": group, "name": "Tea", "role": "member", "direct": False}
        ]
        assert (await ops.ask("operator_user", user="ann"))["owned"] == [group]
        assert (await ops.refusal("operator_user", user="nobody")).code == "not_found"


async def test_somebody_without_an_account_is_found_by_their_id(autojump_clock: MockClock) -> None:
    async with open_bench() as bench:
        ann = await bench.enter("ann")
        # A token that says nothing of its user makes no account.
        await bench.enter("plain", name="")
        group = await bench.found(ann)
        ops = await operator_of(bench)
        page = await ops.ask("operator_users", query="plain")
        assert [(each["user"], each["sessions"]) for each in page["users"]] == [("plain", 1)]
        assert group in (await ops.ask("operator_user", user="ann"))["owned"]


async def test_an_operator_asks_what_stands_between_any_user_and_a_method(
    autojump_clock: MockClock,
) -> None:
    async with open_bench() as bench:
        ann, bob = await bench.enter("ann"), await bench.enter("bob")
        group = await bench.found(ann, bob)
        ops = await operator_of(bench)
        told = await ops.ask("operator_explain", user="bob", method="announce", group=group)
        assert told == await bob.ask("explain", method="announce", group=group)
        assert told["allowed"] is False
        told = await ops.ask("operator_explain", user="ann", method="create")
        assert told == await ann.ask("explain", method="create")
        refusal = await ops.refusal("operator_explain", user="ann", method="operator_log")
        assert refusal.code == "not_found"


# --- acts


async def test_a_ban_stands_in_the_log_with_its_reason_and_who_did_it(
    autojump_clock: MockClock,
) -> None:
    async with open_bench() as bench:
        ann, bob = await bench.enter("ann"), await bench.enter("bob")
        group = await bench.found(ann, bob)
        ops = await operator_of(bench)
        with capture_logs() as logged:
            answer = await ops.ask(
                "operator_ban", group=group, user="bob", reason="sells tickets", message="bye"
            )
        operated, banned = (await events_of(ops, group))[-2:]
        assert (operated["kind"], operated["seq"]) == ("operated", answer["seq"])
        assert {
            name: operated[name] for name in ("user", "act", "member", "reason", "operator")
        } == {
            "user": "",
            "act": "ban",
            "member": "bob",
            "reason": "sells tickets",
            "operator": "ops",
        }
        assert (banned["kind"], banned["user"], banned["member"]) == ("banned", "", "bob")
        assert banned["message"] == "bye"
        assert (await bob.refusal("join", group=group)).details["reason"] == "banned"
        (line,) = [entry for entry in logged if entry["event"] == "operator_act"]
        assert (line["operator"], line["user"], line["group"]) == ("ops", "bob", group)
        # What people have written is in no log of the process.
        assert "tickets" not in str(logged)


async def test_members_do_not_learn_which_operator_it_was_and_admins_do(
    autojump_clock: MockClock,
) -> None:
    async with open_bench() as bench:
        ann, bob, carl = [await bench.enter(user) for user in ("ann", "bob", "carl")]
        group = await bench.found(ann, bob, carl)
        ops = await operator_of(bench)
        await ops.ask("operator_ban", group=group, user="bob", reason="spam")
        for member, kind in ((ann, "operated"), (carl, "hidden")):
            events = (await member.ask("history", group=group))["events"]
            assert [event["kind"] for event in events[-2:]] == [kind, "banned"]
            assert ("spam" in str(events)) is (kind == "operated")


async def test_an_act_is_done_once_however_often_it_is_asked_for(autojump_clock: MockClock) -> None:
    async with open_bench() as bench:
        ann, bob = await bench.enter("ann"), await bench.enter("bob")
        group = await bench.found(ann, bob)
        ops = await operator_of(bench)
        act = {"group": group, "user": "bob", "reason": "spam", "id": bench.id()}
        first = await ops.ask("operator_ban", **act)
        assert await ops.ask("operator_ban", **act) == first
        # The same ban in other words holds already; nothing is written of it.
        again = await ops.ask("operator_ban", group=group, user="bob", reason="other")
        assert again["seq"] == first["seq"] + 1
        assert len(await events_of(ops, group)) == first["seq"] + 1
        kept = await bench.server.services.hub.log.read(lambda store: store.audit.since(0, 9))
        entry = kept[0].entry
        assert [item.entry.method for item in kept] == ["operator_ban"]
        assert (entry.key, entry.stream.key, entry.about) == ("operator", group, "bob")


async def test_an_operator_dissolves_a_group_with_a_reason(autojump_clock: MockClock) -> None:
    async with open_bench() as bench:
        ann = await bench.enter("ann")
        group = await bench.found(ann)
        ops = await operator_of(bench)
        assert (await ops.refusal("operator_dissolve", group=group)).details["field"] == "reason"
        refusal = await ops.refusal("operator_dissolve", group=group, reason="  ")
        assert refusal.details["field"] == "reason"
        await ops.ask("operator_dissolve", group=group, reason="scam")
        operated, dissolved = (await events_of(ops, group))[-2:]
        assert (operated["act"], operated["reason"], operated["operator"]) == (
            "dissolve",
            "scam",
            "ops",
        )
        assert dissolved["kind"] == "dissolved"
        assert (await ann.refusal("post", group=group, text="?")).details["reason"] == "state"
        assert (await ops.ask("operator_group", group=group))["dissolved"] is True
        refusal = await ops.refusal("operator_dissolve", group=group, reason="scam")
        assert (refusal.code, refusal.details["reason"]) == ("conflict", "state")


async def test_the_owner_is_not_banned_and_a_refused_act_leaves_nothing(
    autojump_clock: MockClock,
) -> None:
    async with open_bench() as bench:
        ann = await bench.enter("ann")
        group = await bench.found(ann)
        ops = await operator_of(bench)
        head = bench.store.head(StreamKey(GROUP, "", group))
        refusal = await ops.refusal("operator_ban", group=group, user="ann", reason="spam")
        assert (refusal.code, refusal.details["reason"]) == ("forbidden", "rank")
        assert bench.store.head(StreamKey(GROUP, "", group)) == head


async def test_who_embeds_a_hub_does_not_act_as_its_operator_by_mistake(
    autojump_clock: MockClock,
) -> None:
    async with open_bench() as bench:
        ann = await bench.enter("ann")
        group = await bench.found(ann)
        for request in (
            OperatorGroup(),
            OperatorBan(user="bob", reason="x"),
            OperatorDissolve(reason="x"),
        ):
            with pytest.raises(Rejected) as refused:
                await bench.hub.act_as("ann").call(request, group=group)
            assert refused.value.code == "not_found"


async def test_what_is_refused_says_which_parameter_is_wrong(autojump_clock: MockClock) -> None:
    async with open_bench() as bench:
        ops = await operator_of(bench)
        for method, params, field in (
            ("operator_figures", {"after_ms": -1}, "after_ms"),
            ("operator_groups", {"limit": 0}, "limit"),
            ("operator_groups", {"query": "x" * 61}, "query"),
            ("operator_users", {"after": 5}, "after"),
            ("operator_user", {}, "user"),
            ("operator_explain", {"user": "ann"}, "method"),
            ("operator_group", {}, "group"),
            ("operator_ban", {"user": "bob", "reason": "x"}, "group"),
            ("operator_ban", {"group": "G" * 16, "user": "bob"}, "reason"),
        ):
            refusal = await ops.refusal(method, **params)
            assert isinstance(refusal, Rejected)
            assert (refusal.code, refusal.details["field"]) == ("bad_request", field), method
