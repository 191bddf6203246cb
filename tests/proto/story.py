"""A story in which every method is granted and every kind of event happens.

What is said in it is checked by the clients (``rig.py``); here stands only who does what. It is
told in acts, each with a group of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import trio

from groupd.config import CONTENT
from groupd.domain.base import SERVER, Identity
from groupd.domain.group.bindings import Bind, Unbind
from groupd.domain.group.lives import StartLive, StopLive, live_card
from groupd.domain.group.orders import InviteCustomer
from tests.proto.rig import Client, Rig

DAY_MS: Final = 86_400_000


class Witness:
    """What was asked and heard, over all clients."""

    def __init__(self, *clients: Client) -> None:
        self.clients = clients

    @property
    def methods(self) -> set[str]:
        """The methods that were granted at least once."""
        return {
            client.asked[msgid]
            for client in self.clients
            for msgid, answer in client.answers.items()
            if answer.error is None
        }

    def kinds(self, notification: str) -> set[str]:
        """The kinds of what was pushed."""
        return {
            push.params["kind"]
            for client in self.clients
            for push in client.pushes
            if push.method == notification
        }


async def everything(rig: Rig) -> Witness:
    """Have each method granted, and each kind of event happen, that this version knows."""
    people = {
        user: await rig.enter(user, claims={"fan_level": 3, "follows": ["ann"]})
        for user in ("ann", "王芳", "carl", "dora", "eve")
    }
    phone = await rig.enter("ann", picture="https://example.com/ann.png", birth_year=1990)
    await _walk(rig, people)
    await _chatter(rig, people)
    await _coming_in(rig, people)
    await _order(rig, people)
    await _handing_over(rig, people)
    await _own(rig, people)
    await _business(rig, people)
    for client in (*people.values(), phone):
        await client.hear_all()
        await client.ask("account_history", limit=500)
    operator = await _operator(rig)
    fay = await _look_on(rig, operator)
    carl = await _farewell(rig, operator)
    backend = await _following(rig, operator)
    return Witness(*people.values(), phone, operator, fay, carl, backend)


async def _walk(rig: Rig, people: Mapping[str, Client]) -> None:
    """The board, links, pages of the log, and the end of a group."""
    ann, bob, carl = people["ann"], people["王芳"], people["carl"]
    tea = (
        await ann.ask(
            "create",
            name="周末徒步",
            members=["王芳"],
            location={"lat": 30.25, "lon": 120},
            time_zone="Asia/Shanghai",
            data={"城市": "杭州"},
            ref="walk-1",
            id=rig.new_id(),
        )
    )["group"]
    await ann.ask("update", group=tea, name="徒步", history="joined", location={}, data={})
    said = (await bob.ask("post", group=tea, text="早", card={"type": "游戏"}))["seq"]
    await ann.ask("post", group=tea, text="早", reply_to=said, mentions="all")
    told = (await ann.ask("announce", group=tea, text="周六八点", id=rig.new_id()))["seq"]
    await bob.ask("acknowledge", group=tea, seq=told)
    await ann.ask("announcements", group=tea)
    await ann.ask("pin", group=tea, seq=said)
    for client in (ann, bob, carl):
        await client.ask("info", group=tea)
    await ann.ask("unpin", group=tea, seq=said)
    code = (await bob.ask("share_link", group=tea, channel="wechat", uses_max=5))["code"]
    await carl.ask("open_link", code=code)
    await carl.ask("join", code=code, id=rig.new_id())
    await carl.ask("open_link", code=code)
    await bob.ask("revoke_link", code=code)
    await ann.ask("share_link", group=tea, expires_in_ms=1, approval=True)
    await trio.sleep(5)
    await ann.ask("links", group=tea, limit=1)
    await bob.ask("links", group=tea)
    await ann.ask("members", group=tea, limit=1)
    await bob.ask("history", group=tea)
    await carl.ask("history", group=tea, after=0)
    await bob.ask("sync", cursors={tea: 2, "0" * 16: 0})
    await ann.ask("read", group=tea, seq=said)
    await ann.ask("users", users=["王芳", "nobody"])
    for user in ("ann", "王芳", "carl"):
        await people[user].ask("groups", limit=1)
        await people[user].ask("hello", token=f"{user}/")
    await carl.ask("leave", group=tea)
    await ann.ask("dissolve", group=tea)
    await ann.hear_all()
    await ann.ask("history", group=tea)


async def _chatter(rig: Rig, people: Mapping[str, Client]) -> None:
    """What becomes of messages, in a group and in a direct chat."""
    ann, bob, carl = people["ann"], people["王芳"], people["carl"]
    club = (await ann.ask("create", name="读书会", members=["王芳", "carl"]))["group"]
    goods = {"type": "goods", "title": "明前龙井", "price": 12_800, "currency": "CNY"}
    said = (await bob.ask("post", group=club, card=goods))["seq"]
    await bob.ask("edit", group=club, seq=said, text="买一送一", card=goods, mentions=["carl"])
    await carl.ask("react", group=club, seq=said, reaction="👍", id=rig.new_id())
    await ann.ask("react", group=club, seq=said, reaction="like")
    await ann.ask("unreact", group=club, seq=said, reaction="like")
    await ann.ask("reactors", group=club, seq=said, reaction="👍")
    reply = (await carl.ask("post", group=club, text="要两份", reply_to=said))["seq"]
    await ann.ask("thread", group=club, seq=said)
    await ann.ask("edits", group=club, seq=said)
    await carl.ask("messages", group=club, seqs=[said, reply, 1])
    await carl.ask("typing", group=club)
    await ann.ask("recall", group=club, seq=said)
    await carl.ask("messages", group=club, seqs=[said, reply])
    await carl.ask("history", group=club)
    pair = (await ann.ask("direct", user="carl"))["group"]
    await carl.ask("post", group=pair, text="在吗")
    await carl.ask("info", group=pair)
    await ann.ask("chats")


async def _coming_in(rig: Rig, people: Mapping[str, Client]) -> None:
    """Requests and invitations, with all of their ends."""
    ann, bob, carl, dora, eve = people.values()
    fans = (
        await ann.ask(
            "create",
            name="粉丝群",
            join_policy="approval",
            conditions={"any": [{"claim": "fan_level", "at_least": 3}, {"claim": "x", "has": 1}]},
            public_stats=True,
        )
    )["group"]
    for client in (bob, carl, dora):
        await client.ask("hello", token=client.token)
        assert (await client.ask("join", group=fans, message="你好"))["status"] == "pending"
    await ann.ask("requests", group=fans, limit=2)
    await ann.ask("approve", group=fans, user="王芳")
    await ann.ask("decline", group=fans, user="carl")
    await dora.ask("withdraw", group=fans)
    await dora.ask("join", group=fans)
    assert (await bob.ask("invite", group=fans, user="eve"))["status"] == "invited"
    await eve.ask("info", group=fans)
    await rig.pass_time(CONTENT.request_lasts_ms)
    for _ in range(2):
        await bob.ask("invite", group=fans, user="eve", id=rig.new_id())
        await eve.ask("decline_invite", group=fans)
    await bob.ask("invite", group=fans, user="eve")
    assert (await eve.ask("accept_invite", group=fans))["status"] == "pending"
    await ann.ask("invite", group=fans, user="eve")
    assert (await ann.ask("invite", group=fans, user="dora"))["status"] == "joined"
    await eve.ask("members", group=fans)


async def _order(rig: Rig, people: Mapping[str, Client]) -> None:
    """Roles, and keeping order."""
    ann, bob, carl, dora, _eve = people.values()
    hall = (await bob.ask("create", name="广场", members=["ann", "carl", "dora"]))["group"]
    await bob.ask("set_role", group=hall, user="ann", role="admin")
    await ann.ask("set_nickname", group=hall, user="carl", nickname="小卡")
    await carl.ask("set_nickname", group=hall, nickname="卡尔")
    await ann.ask("mute", group=hall, user="carl", for_ms=60_000)
    await bob.ask("members", group=hall)
    await carl.ask("info", group=hall)
    await carl.ask("groups")
    await carl.ask("explain", group=hall, method="post")
    await ann.ask("unmute", group=hall, user="carl")
    await ann.ask("mute_all", group=hall)
    await ann.ask("mute_all", group=hall, on=False)
    await ann.ask("slow_mode", group=hall, interval_ms=1_000)
    await ann.ask("kick", group=hall, user="carl", message="先冷静一下")
    await ann.ask("ban", group=hall, user="dora", for_ms=DAY_MS)
    await ann.ask("ban", group=hall, user="somebody-else")
    await ann.ask("bans", group=hall)
    await ann.ask("unban", group=hall, user="dora")
    await dora.ask("join", group=hall)


async def _handing_over(rig: Rig, people: Mapping[str, Client]) -> None:
    """A group that changes hands, after an offer that was declined and one that ran out."""
    _ann, bob, carl, _dora, _eve = people.values()
    shop = (await carl.ask("create", name="小店", members=["王芳"]))["group"]
    await carl.ask("transfer", group=shop, user="王芳")
    await bob.ask("info", group=shop)
    await bob.ask("decline_transfer", group=shop)
    await carl.ask("transfer", group=shop, user="王芳")
    await rig.pass_time(CONTENT.request_lasts_ms)
    await carl.ask("transfer", group=shop, user="王芳")
    await bob.ask("accept_transfer", group=shop)


async def _own(rig: Rig, people: Mapping[str, Client]) -> None:
    """What is a user's own: preferences, blocks, their profile. And finding groups."""
    _ann, _bob, carl, dora, eve = people.values()
    place = {"lat": 30.25, "lon": 120.125}
    park = (await eve.ask("create", name="西湖晨跑", category="跑步", location=place))["group"]
    await dora.ask("join", group=park)
    for method, param in (
        ("pin_chat", "pinned"),
        ("do_not_disturb", "on"),
        ("mark_unread", "on"),
        ("show_group", "shown"),
    ):
        await dora.ask(method, group=park)
        await dora.ask(method, group=park, **{param: False})
        await dora.ask(method, group=park, id=rig.new_id())
    told = (await eve.ask("announce", group=park, text="早"))["seq"]
    await dora.ask("read", group=park, seq=told)
    await carl.ask("profile", user="dora")
    page = await dora.ask("chats", limit=1)
    await dora.ask("chats", after=page["next"])
    await carl.ask("block", user="eve")
    await carl.ask("blocks")
    await carl.ask("unblock", user="eve")
    await carl.ask("explain", method="create")
    await carl.ask("search", query="西湖", category="跑步", near={**place, "radius_m": 500})
    await carl.ask("search", query="晨跑")
    await carl.ask("nearby", **place, radius_m=500)


async def _business(rig: Rig, people: Mapping[str, Client]) -> None:
    """What the host does, which no client can ask for: bindings, an order, a live."""
    _ann, bob, carl, _dora, _eve = people.values()
    shop = (await carl.ask("create", name="茶店", conditions={"claim": "vip", "is": True}))["group"]
    hub, system = rig.server.services.hub, Identity(SERVER)
    said = {"title": "新茶", "url": "https://shop.example/7"}
    card = live_card("l-7", said, "card", started_ms=1)
    message = 0
    for command in (
        Bind("shop:42"),
        InviteCustomer("王芳", "o-1"),
        StartLive("l-7", card),
        Unbind("shop:42"),
    ):
        message = (await hub.ask(system, command, group=shop))["seq"]
    message -= 2
    await hub.ask(system, StopLive("l-7", message, card), group=shop)
    await carl.ask("messages", group=shop, seqs=[message])
    explained = await bob.ask("explain", group=shop, method="accept_invite")
    assert explained["rules"][-5]["answered_by"] == "claims"
    refused = await bob.call("accept_invite", {"group": shop})
    assert refused.error is not None
    assert refused.error["reason"] == "condition"
    await carl.hear_all()


async def _operator(rig: Rig) -> Client:
    operator = rig.connect(is_operator=True)
    await operator.ask("operator_log", group="ann", account=True)
    page = await operator.ask("operator_log", group="ann", account=True, after=1, limit=500)
    group = next(event["group"] for event in page["events"] if "group" in event)
    await operator.ask("operator_log", group=group, limit=500)
    place: Mapping[str, Any] | None = {}
    while place is not None:
        checked = await operator.ask("operator_check", **place)
        assert checked["problems"] == []
        place = {"after": checked["next"]} if "next" in checked else None
    # What is kept in memory cannot be backed up; tests/operate has the answer of one that can.
    refused = await operator.call("operator_backup", {"directory": "/nowhere/backup"})
    assert refused.error is not None
    assert refused.error["code"] == "unavailable"
    return operator


async def _following(rig: Rig, operator: Client) -> Client:
    """Follow all that has happened, and see what the operator sees of it."""
    backend = await rig.enter("backend", scope="profile feed")
    await backend.ask("consumers")
    while True:
        page = await backend.ask("changes", consumer="orders", limit=100)
        if "cursor" not in page:
            break
        await backend.ask("ack", consumer="orders", cursor=page["cursor"])
    await backend.ask("changes", consumer="new")
    listed = await operator.ask("operator_consumers", limit=1)
    await operator.ask("operator_consumers", after=listed["next"])
    await backend.ask("consumers")
    await backend.ask("forget_consumer", consumer="new")
    audit = await operator.ask("operator_audit", limit=1)
    await operator.ask("operator_audit", before=audit["next"])
    return backend


async def _look_on(rig: Rig, operator: Client) -> Client:
    """Do what a console does; gives the owner of a group to which it is done."""
    rig.server.services.figures.note()
    await operator.ask("operator_figures")
    page = await operator.ask("operator_groups", limit=1)
    await operator.ask("operator_groups", after=page["next"])
    page = await operator.ask("operator_users", limit=1)
    await operator.ask("operator_users", query="ann")
    await operator.ask("operator_user", user="ann", limit=1)
    await operator.ask("operator_explain", user="carl", method="create")
    fay = await rig.enter("fay")
    group = (await fay.ask("create", name="广告", members=["gus"]))["group"]
    await fay.ask("announce", group=group, text="便宜")
    await operator.ask("operator_group", group=group, limit=1)
    await operator.ask("operator_ban", group=group, user="gus", reason="广告", id=rig.new_id())
    await fay.hear_all()
    await operator.ask("operator_dissolve", group=group, reason="广告")
    await fay.hear_all()
    return fay


async def _farewell(rig: Rig, operator: Client) -> Client:
    """Revoke a user's old tokens; gives their client that has a newer one."""
    carl = await rig.enter("carl", issued_ms=rig.ports.clock.now_ms())
    before_ms = rig.ports.clock.now_ms()
    revoked = await operator.ask("operator_revoke", user="carl", before_ms=before_ms)
    assert revoked == {"before_ms": before_ms, "sessions": 1}
    await carl.ask("ping")
    assert await operator.ask("operator_disconnect", user="nobody") == {"sessions": 0}
    return carl
