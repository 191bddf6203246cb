"""A dialogue with a real server, through every method; all that it says is as published."""

from __future__ import annotations

import json
import re
from typing import Any, Final

import pytest
import trio

from groupd.config import CONTENT, Config
from groupd.testing.schema import PROTOCOL, problems, schema
from groupd.wire.rpc import Notification, encode_notification, encode_request, encode_response
from tests.proto.rig import NO_TOKEN, PROTO, serving
from tests.proto.story import everything

SCHEMA: Final = schema()
OF_GROUPS: Final = [
    method for method, spec in SCHEMA["methods"].items() if spec["addressed"] in ("group", "code")
]


async def test_all_that_a_real_server_says_is_as_published(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with serving() as rig:
        witness = await everything(rig)
        # The clients have checked each answer and push when it came; here, that nothing is left.
        # A store in memory cannot be backed up; tests/operate has one that can.
        assert witness.methods == SCHEMA["methods"].keys() - {"operator_backup"}
        assert witness.kinds("event") == SCHEMA["events"]["group"].keys() | {"hidden"}
        # An account disowns only what it finds to be over before it has heard of it.
        rare = {"disowned"}
        assert witness.kinds("account_event") == SCHEMA["events"]["account"].keys() - rare
        assert witness.kinds("signal") == SCHEMA["signals"].keys()


def test_an_event_of_a_kind_that_is_rarely_seen_is_as_published() -> None:
    header = {"seq": 5, "time_ms": 9}
    assert problems("account_event", {**header, "kind": "disowned", "group": "G" * 16}) == []


async def test_hello_says_which_version_of_the_contract_this_is(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with serving() as rig:
        client = rig.connect()
        assert (await client.ask("hello", token="ann"))["protocol"] == PROTOCOL


@pytest.mark.parametrize("method", OF_GROUPS)
async def test_a_method_that_asks_for_a_role_is_closed_to_strangers_and_no_other_is(
    method: str, autojump_clock: trio.testing.MockClock
) -> None:
    spec = SCHEMA["methods"][method]
    async with serving() as rig:
        ann, stranger = await rig.enter("ann"), await rig.enter("stranger")
        group = (await ann.ask("create", name="茶"))["group"]
        seq = (await ann.ask("announce", group=group, text="周六"))["seq"]
        code = (await ann.ask("share_link", group=group))["code"]
        samples = {
            "group": group,
            "seq": seq,
            "seqs": [seq],
            "code": code,
            "user": "bob",
            "text": "好",
            "name": "水",
            "nickname": "水",
            "reaction": "👍",
            "role": "admin",
            "for_ms": 1,
            "interval_ms": 1,
        }
        params = {name: samples[name] for name in spec["params"] if name in samples}
        error = (await stranger.call(method, params)).error
        if spec["min_role"] is None:
            # It is for whoever has something to accept, to decline or to withdraw.
            assert error is None or error.get("reason") != "not_member"
        else:
            assert error is not None
            assert (error["code"], error["reason"]) == ("forbidden", "not_member")


# --- what groupd.md says about connections


async def test_a_third_hello_that_fails_gets_a_goodbye_alone(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with serving() as rig:
        client = await rig.enter("ann")
        for _ in range(2):
            error = (await client.call("hello", {"token": NO_TOKEN})).error
            assert error is not None
            assert error["code"] == "unauthenticated"
            # The old session goes on.
            await client.ask("groups")
        client.asked[99] = "hello"
        await client.link.send_all(encode_request(99, "hello", {"token": NO_TOKEN}))
        assert (await client.hear_goodbye())["code"] == "unauthenticated"
        assert 99 not in client.answers


async def test_hello_of_another_user_begins_another_session_on_the_same_connection(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with serving() as rig:
        client, other = await rig.enter("ann"), await rig.enter("ann")
        session = (await client.ask("hello", token="ann"))["session"]
        group = (await other.ask("create", name="茶"))["group"]
        await client.hear_all()
        client.pushes.clear()
        told = await client.ask("hello", token="bob")
        assert (told["user"], told["session"], told["groups"]) == ("bob", session, [])
        await other.ask("post", group=group, text="not for bob")
        assert await client.hear_all() == []


async def test_a_client_may_notify_and_may_not_respond(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with serving() as rig:
        client = rig.connect()
        await client.link.send_all(encode_notification("typing", {"group": "G"}))
        await client.ask("hello", token="ann")
        await client.link.send_all(encode_notification("typing", {}))
        await client.ask("ping")
        await client.link.send_all(encode_response(1, {}))
        assert (await client.hear_goodbye())["code"] == "bad_request"


async def test_a_client_that_ends_its_side_gets_its_answers_first(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with serving() as rig:
        client = await rig.enter("ann")
        client.asked |= {70: "create", 71: "ping"}
        requests = encode_request(70, "create", {"name": "茶"}) + encode_request(71, "ping", {})
        await client.link.send_all(requests)
        client.link.send_eof()
        while not client.ended:
            await client._hear()
        assert {70, 71} <= client.answers.keys()


async def test_requests_may_follow_hello_before_its_answer(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with serving() as rig:
        client = rig.connect()
        client.asked |= {1: "hello", 2: "create"}
        # The second one is larger than what a stranger may send.
        large = {"name": "茶", "members": [f"a-longer-user-id-{n:03}" for n in range(150)] * 2}
        requests = encode_request(1, "hello", {"token": "ann"}), encode_request(2, "create", large)
        assert len(requests[1]) > Config().limits.frame_before_hello_max_bytes
        await client.link.send_all(b"".join(requests))
        await client.hear_all()
        assert client.answers[2].error is None


async def test_the_deadline_for_half_a_frame_is_for_one_frame(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """A client that never stops sending, so that no read ends between messages, is not slow."""
    async with serving() as rig:
        client = await rig.enter("ann")
        client.asked[70] = "ping"
        ping = encode_request(70, "ping", {})
        await client.link.send_all(ping[:3])
        for _ in range(20):
            await trio.sleep(1)
            await client.link.send_all(ping[3:] + ping[:3])
        await client.link.send_all(ping[3:])
        assert await client.hear_all() == []
        await client.link.send_all(ping[:3])
        assert (await client.hear_goodbye())["code"] == "bad_request"


# --- what groupd.md says about logs


def kinds(pushes: list[Notification]) -> list[tuple[int, str]]:
    return [(p.params["seq"], p.params["kind"]) for p in pushes if p.method == "event"]


async def test_a_founder_begins_with_created_and_others_with_their_own_joined(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with serving() as rig:
        ann, bob, carl = [await rig.enter(user) for user in ("ann", "bob", "carl")]
        group = (await ann.ask("create", name="茶", members=["bob"]))["group"]
        await carl.ask("join", group=group)
        await carl.ask("leave", group=group)
        await ann.ask("post", group=group, text="还在吗")
        joined = [(4, "joined"), (5, "left")]
        assert kinds(await ann.hear_all()) == [
            *((1, "created"), (2, "joined"), (3, "joined")),
            *(*joined, (6, "posted")),
        ]
        assert kinds(await bob.hear_all()) == [(3, "joined"), *joined, (6, "posted")]
        assert kinds(await carl.hear_all()) == joined


async def test_the_board_is_open_to_those_who_may_not_read_what_was_before(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with serving() as rig:
        ann, bob = await rig.enter("ann"), await rig.enter("bob")
        group = (await ann.ask("create", name="茶", history="joined"))["group"]
        seq = (await ann.ask("announce", group=group, text="周六八点"))["seq"]
        await ann.ask("pin", group=group, seq=seq)
        floor = (await bob.ask("join", group=group))["seq"]
        seen = await bob.ask("history", group=group, after=0)
        assert (seen["floor"], [event["seq"] for event in seen["events"]]) == (floor, [floor])
        shown = await bob.ask("info", group=group)
        assert shown["announcement"]["text"] == "周六八点"
        assert shown["pins"][0]["event"]["seq"] == seq
        listed = await bob.ask("announcements", group=group)
        assert [event["seq"] for event in listed["announcements"]] == [seq]


async def test_sync_leaves_out_what_the_caller_is_not_in_and_says_more_where_it_cut(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with serving() as rig:
        ann, bob = await rig.enter("ann"), await rig.enter("bob")
        mine = [(await ann.ask("create", name=name))["group"] for name in ("茶", "酒")]
        foreign = (await bob.ask("create", name="水"))["group"]
        cursors = {mine[0]: 0, foreign: 0, mine[1]: 0}
        pages = (await ann.ask("sync", cursors=cursors, limit_bytes=1))["groups"]
        assert [page["group"] for page in pages] == mine
        assert [(len(page["events"]), page["more"]) for page in pages] == [(1, True), (0, True)]
        pages = (await ann.ask("sync", cursors=cursors))["groups"]
        assert [(len(page["events"]), page["more"]) for page in pages] == [(2, False)] * 2


async def test_a_list_of_groups_goes_on_at_next(autojump_clock: trio.testing.MockClock) -> None:
    async with serving() as rig:
        ann = await rig.enter("ann")
        mine = {(await ann.ask("create", name=name))["group"] for name in "茶酒水"}
        listed, after = [], ""
        while True:
            page = await ann.ask("groups", after=after, limit=2)
            listed += [item["group"] for item in page["groups"]]
            if "next" not in page:
                break
            after = page["next"]
        assert listed == sorted(mine)


async def test_an_id_gives_the_first_result_whatever_has_happened_since(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with serving() as rig:
        ann, bob = await rig.enter("ann"), await rig.enter("bob")
        group = (await ann.ask("create", name="茶"))["group"]
        await bob.ask("join", group=group)
        said: dict[str, Any] = {"group": group, "text": "好", "id": rig.new_id()}
        first = await bob.ask("post", **said)
        await bob.ask("leave", group=group)
        assert await bob.ask("post", **{**said, "id": said["id"].upper()}) == first
        assert await bob.ask("post", **said, mentions=[]) == first
        await ann.ask("dissolve", group=group)
        assert await bob.ask("post", **said) == first


async def test_the_time_for_editing_and_for_recalling_ends(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with serving() as rig:
        ann, bob = await rig.enter("ann"), await rig.enter("bob")
        group = (await ann.ask("create", name="茶", members=["bob"]))["group"]
        said = (await bob.ask("post", group=group, text="早"))["seq"]
        await rig.pass_time(CONTENT.recall_within_ms)
        error = (await bob.call("recall", {"group": group, "seq": said})).error
        assert error is not None
        assert (error["reason"], error["limit_ms"]) == ("too_late", CONTENT.recall_within_ms)
        await bob.ask("edit", group=group, seq=said, text="早上好")
        await rig.pass_time(CONTENT.edit_within_ms)
        error = (await bob.call("edit", {"group": group, "seq": said, "text": "晚"})).error
        assert error is not None
        assert (error["reason"], error["limit_ms"]) == ("too_late", CONTENT.edit_within_ms)
        await ann.ask("recall", group=group, seq=said)
        events = (await bob.ask("history", group=group, after=said - 1))["events"]
        assert [event["kind"] for event in events] == ["erased", "erased", "recalled"]


async def test_an_explanation_is_as_in_the_example_of_groupd_md(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with serving() as rig:
        ann, bob = await rig.enter("ann"), await rig.enter("bob")
        group = (await ann.ask("create", name="茶", members=["bob"]))["group"]
        await ann.ask("slow_mode", group=group, interval_ms=60_000)
        await bob.ask("post", group=group, text="早")
        told = await bob.ask("explain", group=group, method="post")
        prose = (PROTO / "groupd.md").read_text("utf-8")
        example = prose.partition("\n-> explain ")[2].partition("```")[0]
        # From the notation of the page to JSON, which has quotes around keys.
        assert json.loads(re.sub(r"(\w+):", r'"\1":', example.partition("<- ")[2])) == told


async def test_a_way_that_leads_in_at_once_goes_before_one_that_asks(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with serving() as rig:
        ann, bob, carl = [await rig.enter(user) for user in ("ann", "bob", "carl")]
        created = await ann.ask("create", name="茶", members=["bob"], join_policy="approval")
        group = created["group"]
        assert (await carl.ask("join", group=group))["status"] == "pending"
        asking = (await bob.ask("share_link", group=group))["code"]
        assert (await carl.ask("open_link", code=asking))["status"] == "pending"
        assert (await carl.ask("join", code=asking))["status"] == "pending"
        # What an invitation and a link grant was fixed when they were made.
        await carl.ask("withdraw", group=group)
        assert (await bob.ask("invite", group=group, user="carl"))["status"] == "invited"
        letting_in = (await ann.ask("share_link", group=group))["code"]
        assert (await carl.ask("join", group=group))["status"] == "pending"
        assert (await carl.ask("join", code=letting_in))["status"] == "joined"


async def test_sizes_are_estimated_as_groupd_md_says(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with serving() as rig:
        ann = await rig.enter("ann")
        # A map, 5; the key "a", 6; a list, 5; true, 9; a string of n bytes, n + 5.
        room = CONTENT.data_max_bytes - 5 - 6 - 5 - 9 - 5
        fits, over = [{"a": [True, "x" * n]} for n in (room, room + 1)]
        await ann.ask("create", name="茶", data=fits)
        error = (await ann.call("create", {"name": "酒", "data": over})).error
        assert error is not None
        assert (error["code"], error["limit_bytes"]) == ("too_large", CONTENT.data_max_bytes)


async def test_the_checker_would_have_noticed(autojump_clock: trio.testing.MockClock) -> None:
    async with serving() as rig:
        ann = await rig.enter("ann")
        told = await ann.ask("hello", token="ann")
        del told["limits"]["plan"]["pins_max"]
        assert problems("result hello", told) == ["hello.limits.plan.pins_max: is missing"]
