"""A request whose answer was lost is asked again with the same id, and has happened once."""

from __future__ import annotations

from typing import Any

import trio

from groupd.client.ids import uuid7
from tests.e2e.process import Groupd, Process, now_id
from tests.e2e.raw import Map, RawClient, dial

HOUR_MS = 3_600_000


async def events_of(client: RawClient, group: str, kind: str = "posted") -> list[Map]:
    page = await client.ask("history", group=group, after=0, limit=500)
    assert [event["seq"] for event in page["events"]] == list(range(1, page["head"] + 1))
    return [event for event in page["events"] if event["kind"] == kind]


async def say_and_vanish(server: Process, user: str, method: str, **params: Any) -> None:
    """Send a request and cut the connection before its answer can be read."""
    async with server.enter(user) as client:
        await client.send(method, **params)
        client.link.send_eof()


async def test_a_retry_after_a_lost_answer_gets_the_same_answer(groupd: Groupd) -> None:
    async with groupd.serving() as server, server.enter("ann") as ann:
        group = (await ann.ask("create", name="Tea"))["group"]
        for number in range(20):
            post = {"group": group, "text": f"{number}", "id": now_id()}
            await say_and_vanish(server, "ann", "post", **post)
            told = await ann.ask("post", **post)
            assert told == await ann.ask("post", **post)
            posted = await events_of(ann, group)
            assert [event["text"] for event in posted] == [f"{n}" for n in range(number + 1)]
            assert posted[-1]["id"] == post["id"]
            assert (posted[-1]["seq"], posted[-1]["time_ms"]) == (told["seq"], told["time_ms"])


async def test_a_retry_while_the_first_is_still_queued_happens_once(groupd: Groupd) -> None:
    async with groupd.serving() as server, server.enter("ann") as ann:
        group = (await ann.ask("create", name="Tea"))["group"]
        async with server.enter_all(["ann"] * 5) as devices:
            post = {"group": group, "text": "once", "id": now_id()}
            told: list[Any] = []

            async def insist(client: RawClient) -> None:
                told.extend(await client.exchange([("post", post)] * 20))

            async with trio.open_nursery() as nursery:
                for device in devices:
                    nursery.start_soon(insist, device)
            assert len(told) == 100
            assert all(outcome == told[0] for outcome in told)
        assert [event["text"] for event in await events_of(ann, group)] == ["once"]


async def test_a_retry_after_a_kill_happens_once(groupd: Groupd) -> None:
    posts: list[Map] = []
    async with groupd.serving() as server, server.enter("ann") as ann:
        group = (await ann.ask("create", name="Tea"))["group"]
        posts = [{"group": group, "text": f"{n}", "id": now_id()} for n in range(200)]
        async with trio.open_nursery() as nursery:
            frames = [ann.frame("post", post) for post in posts]
            nursery.start_soon(ann.send_bytes, b"".join(data for _, data in frames))
            while len(ann.answers) < 5:
                await ann.receive()
            await server.kill()
            while await ann.receive():
                pass
            nursery.cancel_scope.cancel()
        acknowledged = {
            index: ann.answers[msgid][1]
            for index, (msgid, _) in enumerate(frames)
            if msgid in ann.answers
        }
    async with groupd.serving() as server, server.enter("ann") as ann:
        survived = [event["text"] for event in await events_of(ann, group)]
        # What a pipeline has left behind is its beginning, and holds all that was acknowledged.
        assert survived == [f"{n}" for n in range(len(survived))]
        assert len(survived) >= len(acknowledged)
        again = await ann.exchange([("post", post) for post in posts])
        for index, result in acknowledged.items():
            assert again[index] == result
        assert [event["text"] for event in await events_of(ann, group)] == [
            f"{n}" for n in range(200)
        ]


async def test_a_retry_is_told_what_happened_also_after_the_user_has_left(groupd: Groupd) -> None:
    async with groupd.serving() as server:
        async with server.enter_all(["ann", "bob"]) as (ann, bob):
            group = (await ann.ask("create", name="Tea"))["group"]
            joining = {"group": group, "id": now_id()}
            joined = await bob.ask("join", **joining)
            post = {"group": group, "text": "my last word", "id": now_id()}
            await say_and_vanish(server, "bob", "post", **post)
            told = await bob.ask("post", **post)
            leaving = {"group": group, "id": now_id()}
            left = await bob.ask("leave", **leaving)
            for client in (bob, bob):
                assert await client.ask("post", **post) == told
                assert await client.ask("join", **joining) == joined
                assert await client.ask("leave", **leaving) == left
            assert (await bob.refusal("post", group=group, text="and now?")).code == "forbidden"
            assert (await bob.refusal("post", **(post | {"id": now_id()}))).code == "forbidden"
            await ann.ask("dissolve", group=group, id=now_id())
            assert await bob.ask("post", **post) == told
            head = (await ann.ask("history", group=group))["head"]
        await server.kill()
        async with groupd.serving() as again, again.enter("bob") as bob:
            assert await bob.ask("post", **post) == told
            assert await bob.ask("leave", **leaving) == left
            async with again.enter("ann") as ann:
                assert (await ann.ask("history", group=group))["head"] == head


async def test_an_id_stands_for_one_content_and_one_user(groupd: Groupd) -> None:
    async with groupd.serving() as server, server.enter_all(["ann", "bob"]) as (ann, bob):
        group = (await ann.ask("create", name="Tea"))["group"]
        await bob.ask("join", group=group)
        shared = now_id()
        first = await ann.ask("post", group=group, text="one", id=shared)
        for method, params in (
            ("post", {"text": "two"}),
            ("post", {"text": "one", "reply_to": first["seq"]}),
            ("announce", {"text": "one"}),
            ("dissolve", {}),
        ):
            refusal = await ann.refusal(method, group=group, id=shared, **params)
            assert (refusal.code, refusal.details) == ("conflict", {"reason": "id_reused"})
        # In upper case it is the same id; with what is ignored, the same content.
        same = await ann.ask("post", group=group, text="one", id=shared.upper(), colour="red")
        assert same == first
        assert (await bob.ask("post", group=group, text="two", id=shared))["seq"] > first["seq"]
        other = (await ann.ask("create", name="Other"))["group"]
        assert (await ann.ask("post", group=other, text="three", id=shared))["seq"] == 3
        assert [e["text"] for e in await events_of(ann, group)] == ["one", "two"]


async def test_ids_from_yesterday_and_tomorrow_are_stale(groupd: Groupd) -> None:
    async with groupd.serving() as server, server.enter("ann") as ann:
        group = (await ann.ask("create", name="Tea"))["group"]
        for age_ms in (25 * HOUR_MS, -6 * 60_000, 10 * 365 * 24 * HOUR_MS):
            post = {"group": group, "text": "x", "id": now_id(age_ms=age_ms)}
            refusal = await ann.refusal("post", **post)
            assert refusal.code == "stale_id"
            now_ms = refusal.details["time_ms"]
            assert 0 <= now_ms - 24 * HOUR_MS + 1 - refusal.details["oldest_ms"] <= 1
        for id_ in (uuid7(0, 1), uuid7(2**48 - 1, 2**74 - 1)):
            assert (await ann.refusal("create", name="x", id=id_)).code == "stale_id"
        for age_ms in (23 * HOUR_MS, -4 * 60_000):
            assert await ann.ask("post", group=group, text="x", id=now_id(age_ms=age_ms))
        assert len(await events_of(ann, group)) == 2


async def test_a_share_link_that_is_asked_for_again_has_the_same_code(groupd: Groupd) -> None:
    asked = {"channel": "wechat", "uses_max": 3, "id": now_id()}
    async with groupd.serving() as server, server.enter("ann") as ann:
        group = (await ann.ask("create", name="Tea"))["group"]
        await say_and_vanish(server, "ann", "share_link", group=group, **asked)
        link = await ann.ask("share_link", group=group, **asked)
        assert link == await ann.ask("share_link", group=group, **asked)
        assert link["code"] in link["url"]
        another = await ann.ask("share_link", group=group, channel="wechat")
        assert another["code"] != link["code"]
        await server.kill()
    async with groupd.serving() as server, server.enter_all(["ann", "bob"]) as (ann, bob):
        assert link == await ann.ask("share_link", group=group, **asked)
        joining = {"code": link["code"], "id": now_id()}
        await say_and_vanish(server, "bob", "join", **joining)
        told = await bob.ask("join", **joining)
        assert told == await bob.ask("join", **joining)
        assert len(await events_of(ann, group, "link_made")) == 2
        [joined] = [e for e in await events_of(ann, group, "joined") if e["user"] == "bob"]
        assert (joined["channel"], joined["sharer"]) == ("wechat", "ann")
        info = await ann.ask("info", group=group)
        assert info["links"]["joins_by_channel"] == {"wechat": 1}


async def test_a_create_whose_answer_was_lost_founds_one_group(groupd: Groupd) -> None:
    async with groupd.serving() as server:
        asked = {"name": "Tea", "members": ["bob"], "id": now_id()}
        await say_and_vanish(server, "ann", "create", **asked)
        async with dial(server.url) as ann:
            await ann.hello(server.token("ann"))
            told = await ann.ask("create", **asked)
            assert told == await ann.ask("create", **asked)
            assert len((await ann.ask("groups"))["groups"]) == 1
