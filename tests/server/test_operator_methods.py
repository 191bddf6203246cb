"""What only operators may ask: on the operator's own socket, and some of it with a token."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from groupd.domain.catalog import REQUESTS
from groupd.domain.operating import BY_TOKEN
from groupd.storage.memory import MemoryStore
from tests.server.bench import open_bench, settled

ALL = sorted(method for method, cls in REQUESTS.items() if cls.operator)
ON_THE_SOCKET = sorted(set(ALL) - BY_TOKEN)
PARAMS = {
    "group": "G" * 16,
    "user": "ann",
    "method": "post",
    "reason": "why",
    "directory": "/nowhere/at/all",
}
"""What any of them may need."""


def test_what_a_token_is_enough_for_are_methods_of_operators() -> None:
    assert set(ALL) > BY_TOKEN
    # What reads or writes files, or looks at all tenants at once, is never among them.
    of_the_machine = {"operator_backup", "operator_check", "operator_disconnect", "operator_revoke"}
    assert set(ON_THE_SOCKET) == of_the_machine | {"operator_audit", "operator_consumers"}


@pytest.mark.parametrize("scope", ["", "operators admin *", "OPERATOR", "operator:all:", "feed"])
async def test_operator_methods_do_not_exist_for_users(
    scope: str, autojump_clock: MockClock
) -> None:
    async with open_bench() as bench:
        stranger, ann = bench.connect(), await bench.enter("ann", scope=scope)
        for method in ALL:
            assert (await stranger.refusal(method, **PARAMS)).code == "unauthenticated"
            refusal = await ann.refusal(method, **PARAMS)
            unknown = await ann.refusal("no_such_method", **PARAMS)
            assert refusal.to_wire() == unknown.to_wire()


@pytest.mark.parametrize("scope", ["operator", "operator:all", "a operator b"])
async def test_what_is_the_sockets_does_not_exist_for_an_operators_token(
    scope: str, autojump_clock: MockClock
) -> None:
    async with open_bench() as bench:
        ann = await bench.enter("ann", scope=scope)
        await ann.ask("operator_figures")
        for method in ON_THE_SOCKET:
            assert (await ann.refusal(method, **PARAMS)).code == "unknown_method"


async def test_the_operator_needs_no_hello_and_sees_every_log(autojump_clock: MockClock) -> None:
    async with open_bench() as bench:
        ann = await bench.enter("ann", tenant="shop")
        group = await bench.found(ann)
        post = await ann.ask("post", group=group, text="seen")
        operator = bench.connect(address="operator")
        page = await operator.ask("operator_log", group=group, tenant="shop")
        assert (page["head"], page["more"]) == (3, False)
        assert [e["kind"] for e in page["events"]] == ["created", "joined", "posted"]
        page = await operator.ask("operator_log", group=group, tenant="shop", after=2, limit=1)
        assert [e["seq"] for e in page["events"]] == [post["seq"]]
        page = await operator.ask("operator_log", group="ann", tenant="shop", account=True)
        assert [e["kind"] for e in page["events"]] == ["profiled", "owned"]
        assert (await operator.refusal("operator_log", group=group)).code == "not_found"
        assert (await operator.refusal("post", group=group)).code == "bad_request"
        refusal = await operator.refusal("post", group=group, text="as nobody")
        assert refusal.code == "unauthenticated"


async def test_the_operator_checks_all_streams_page_by_page(autojump_clock: MockClock) -> None:
    async with open_bench(rate_limits=False) as bench:
        for number in range(10):
            await bench.found(await bench.enter(f"user{number}"))
        operator = bench.connect(address="operator")
        after, streams, records = None, 0, 0
        while True:
            page = await operator.ask("operator_check", after=after)
            assert page["problems"] == []
            streams += page["streams"]
            records += page["records"]
            after = page.get("next")
            if after is None:
                break
        assert (streams, records) == (20, 40)


async def test_the_operator_has_no_deadline_and_no_seat(autojump_clock: MockClock) -> None:
    async with open_bench(limits={"hello_deadline_ms": 100}) as bench:
        operator = bench.connect(address="operator")
        await settled()
        await trio.sleep(60)
        assert (await operator.ask("operator_check"))["problems"] == []
        assert bench.remains()["seats"] == 0


async def test_nonsense_from_the_operator_is_refused_like_anybodys(
    autojump_clock: MockClock,
) -> None:
    async with open_bench(store=MemoryStore("s")) as bench:
        operator = bench.connect(address="operator")
        for after in (5, "x", [], ["a"], ["a", "b", 3], ["group", "", "x", "y"]):
            refusal = await operator.refusal("operator_check", after=after)
            assert (refusal.code, refusal.details["field"]) == ("bad_request", "after")
        for params in ({}, {"group": 5}, {"group": "x", "after": -1}, {"group": "x", "limit": 0}):
            assert (await operator.refusal("operator_log", **params)).code == "bad_request"
