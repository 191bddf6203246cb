"""A group in which everybody has a part, set up once for each state and copied for each call."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from copy import deepcopy
from typing import Any, Final

import attrs

from groupd.config import PLANS, Plan
from groupd.domain.base import Command, Query
from groupd.domain.catalog import REQUESTS
from groupd.engine.hub import Hub
from groupd.errors import Rejected
from groupd.storage.memory import MemoryStore
from groupd.testing.fakes import fake_ports
from tests.engine.rig import hub_on, new_store

CALLERS: Final[Mapping[str, str]] = {
    "stranger": "sam",
    "banned": "bob",
    "waiting": "pete",
    "invited": "inga",
    "member": "mia",
    "muted": "mute",
    "heir": "hugo",
    "admin": "adam",
    "muted admin": "amy",
    "owner": "olga",
}
"""Part in the group -> user. ``waiting``: has a join request. ``heir``: a plain member to whom the
group is offered."""
DIRECT_STATES: Final = ("direct", "blocked")
DIRECT_CALLERS: Final = ("stranger", "member")
TARGET: Final = "tom"
"""A plain member to whom things are done."""

STATES: Final[Mapping[str, str]] = {
    "live": "A group that anybody can find and join.",
    "hidden": "A group that is not `discoverable`.",
    "approval": "A group whose `join_policy` is `approval`.",
    "invite_only": "A group whose `join_policy` is `invite_only`.",
    "no member invites": "A group with `member_invites` off.",
    "all muted": "A group after `mute_all`.",
    "slow mode": "A group in slow mode, in which everybody has spoken just now.",
    "full": "A group with as many members as its plan allows.",
    "dissolved": "A group that is over.",
    "direct": "A direct chat: strangers, and the two who are in it.",
    "blocked": "A direct chat of which the other has blocked the member.",
}

MEMBERS: Final = ("mia", "mute", "hugo", "adam", "amy", "anna", "tom")


def plans_of(state: str) -> Mapping[str, Plan]:
    """Give the plans: whoever is invited must accept, or a small group would add them at once."""
    full = len(MEMBERS) + 1 if state == "full" else PLANS["ordinary"].members_max
    return {"ordinary": attrs.evolve(PLANS["ordinary"], direct_add_below=0, members_max=full)}


Sample = tuple[str, Mapping[str, Any]]

SAMPLES: Final[Mapping[str, Sample]] = {
    "info": ("info", {}),
    "join": ("join", {}),
    "join by a link": ("join", {"code": "$code"}),
    "withdraw": ("withdraw", {}),
    "accept_invite": ("accept_invite", {}),
    "decline_invite": ("decline_invite", {}),
    "open_link": ("open_link", {"code": "$code"}),
    "explain": ("explain", {"method": "post"}),
    "leave": ("leave", {}),
    "members": ("members", {}),
    "history": ("history", {}),
    "read": ("read", {"seq": 1}),
    "messages": ("messages", {"seqs": ["$other"]}),
    "thread": ("thread", {"seq": "$other"}),
    "reactors": ("reactors", {"seq": "$other", "reaction": "like"}),
    "edits of one's own": ("edits", {"seq": "$own"}),
    "edits of another's": ("edits", {"seq": "$other"}),
    "post": ("post", {"text": "hi"}),
    "post to all": ("post", {"text": "hi", "mentions": "all"}),
    "edit one's own": ("edit", {"seq": "$own", "text": "new"}),
    "edit another's": ("edit", {"seq": "$other", "text": "new"}),
    "recall one's own": ("recall", {"seq": "$own"}),
    "recall a member's": ("recall", {"seq": "$other"}),
    "recall an admin's": ("recall", {"seq": "$admins"}),
    "recall the owner's": ("recall", {"seq": "$owners"}),
    "react": ("react", {"seq": "$other", "reaction": "like"}),
    "unreact": ("unreact", {"seq": "$own", "reaction": "like"}),
    "typing": ("typing", {}),
    "set_nickname": ("set_nickname", {"nickname": "nick"}),
    "announcements": ("announcements", {}),
    "acknowledge": ("acknowledge", {"seq": "$announced"}),
    "announce": ("announce", {"text": "news"}),
    "pin": ("pin", {"seq": "$other"}),
    "unpin": ("unpin", {"seq": "$pinned"}),
    "invite": ("invite", {"user": "nina"}),
    "share_link": ("share_link", {}),
    "links": ("links", {}),
    "revoke_link of another's": ("revoke_link", {"code": "$code"}),
    "requests": ("requests", {}),
    "approve": ("approve", {"user": "pete"}),
    "decline": ("decline", {"user": "pete"}),
    "update": ("update", {"name": "new"}),
    "kick a member": ("kick", {"user": "tom"}),
    "kick an admin": ("kick", {"user": "anna"}),
    "kick the owner": ("kick", {"user": "olga"}),
    "ban a member": ("ban", {"user": "tom"}),
    "ban an admin": ("ban", {"user": "anna"}),
    "ban a stranger": ("ban", {"user": "nina"}),
    "unban": ("unban", {"user": "bob"}),
    "bans": ("bans", {}),
    "mute a member": ("mute", {"user": "tom", "for_ms": 60_000}),
    "mute an admin": ("mute", {"user": "anna", "for_ms": 60_000}),
    "unmute": ("unmute", {"user": "mute"}),
    "mute_all": ("mute_all", {}),
    "slow_mode": ("slow_mode", {"interval_ms": 1_000}),
    "set_role": ("set_role", {"user": "tom", "role": "admin"}),
    "transfer": ("transfer", {"user": "tom"}),
    "accept_transfer": ("accept_transfer", {}),
    "decline_transfer": ("decline_transfer", {}),
    "dissolve": ("dissolve", {}),
    "pin_chat": ("pin_chat", {"group": "$group"}),
    "do_not_disturb": ("do_not_disturb", {"group": "$group"}),
    "mark_unread": ("mark_unread", {"group": "$group"}),
    "show_group": ("show_group", {"group": "$group"}),
}
"""Row of the table -> method and parameters. A ``$word`` is filled in from the scene."""


@attrs.frozen
class Scene:
    """A group in one state, and what in it has a name."""

    store: MemoryStore
    state: str
    group: str
    names: Mapping[str, Any]
    own: Mapping[str, int]
    """User -> a message of theirs, on which they have a reaction."""

    def params(self, sample: Mapping[str, Any], user: str) -> dict[str, Any]:
        """Fill in a sample's parameters for a caller."""
        known = {**self.names, "group": self.group, "own": self.own.get(user, self.names["other"])}
        return {
            key: [known[item[1:]] for item in value]
            if isinstance(value, list)
            else known[value[1:]]
            if isinstance(value, str) and value.startswith("$")
            else value
            for key, value in sample.items()
        }


def outcome(refusal: Rejected) -> str:
    """Give a refusal in short: its reason, or else its code."""
    return str(refusal.details.get("reason", refusal.code))


async def ask(hub: Hub, user: str, method: str, params: Mapping[str, Any], group: str) -> str:
    """Make a call, and give what it came to: ``ok``, or a status that says more, or why not."""
    request = REQUESTS[method].parse(params)
    assert isinstance(request, Command | Query)
    try:
        result = await hub.act_as(user).call(request, group=group)
    except Rejected as refusal:
        return outcome(refusal)
    status = result.get("status")
    return str(status) if status in ("pending", "invited") else "ok"


def open_scene(store: MemoryStore, state: str) -> AbstractAsyncContextManager[Hub]:
    """Open a hub on a scene's store, always at the same time."""
    return hub_on(store, ports=fake_ports(), plans=plans_of(state))


async def build(state: str) -> Scene:
    """Set up the group of a state."""
    store = new_store()
    async with open_scene(store, state) as hub:
        if state in DIRECT_STATES:
            return await _build_direct(hub, store, state)
        return await _build_group(hub, store, state)


async def _build_direct(hub: Hub, store: MemoryStore, state: str) -> Scene:
    made = await hub.act_as("mia").call(REQUESTS["direct"].parse({"user": TARGET}))
    group = str(made["group"])
    said = {user: await _say(hub, user, group) for user in ("mia", TARGET)}
    names = dict.fromkeys(("admins", "owners", "announced", "pinned"), said["mia"])
    code = f"{group}{'x' * 22}"
    if state == "blocked":
        await hub.act_as(TARGET).block("mia")
    return Scene(store, state, group, {**names, "other": said[TARGET], "code": code}, said)


async def _say(hub: Hub, user: str, group: str) -> int:
    seq = (await hub.act_as(user).post(group, text="hi"))["seq"]
    await hub.act_as(user).call(
        REQUESTS["react"].parse({"seq": seq, "reaction": "like"}), group=group
    )
    return seq


async def _build_group(hub: Hub, store: MemoryStore, state: str) -> Scene:
    owner = hub.act_as("olga")
    group = (await owner.create("Tea 茶", members=MEMBERS))["group"]

    async def do(user: str, method: str, /, **params: Any) -> dict[str, Any]:
        return await hub.act_as(user).call(REQUESTS[method].parse(params), group=group)

    for admin in ("adam", "amy", "anna"):
        await do("olga", "set_role", user=admin, role="admin")
    said = {user: await _say(hub, user, group) for user in ("olga", *MEMBERS)}
    pinned = (await owner.post(group, text="pin me"))["seq"]
    await do("olga", "pin", seq=pinned)
    announced = (await do("olga", "announce", text="news"))["seq"]
    code = (await do("olga", "share_link"))["code"]
    for user in ("mute", "amy"):
        await do("olga", "mute", user=user, for_ms=3_600_000)
    await do("olga", "ban", user="bob")
    await do("olga", "transfer", user="hugo")
    await do("olga", "update", join_policy="approval")
    await do("pete", "join", message="let me in")
    await do("adam", "invite", user="inga")
    if state != "approval":
        await do("olga", "update", join_policy="open")
    changes: dict[str, tuple[str, dict[str, Any]]] = {
        "hidden": ("update", {"discoverable": False}),
        "invite_only": ("update", {"join_policy": "invite_only"}),
        "no member invites": ("update", {"member_invites": False}),
        "all muted": ("mute_all", {}),
        "slow mode": ("slow_mode", {"interval_ms": 3_600_000}),
        "dissolved": ("dissolve", {}),
    }
    if state in changes:
        method, params = changes[state]
        await do("olga", method, **params)
    names = {
        "code": code,
        "other": said[TARGET],
        "admins": said["anna"],
        "owners": said["olga"],
        "announced": announced,
        "pinned": pinned,
    }
    return Scene(store, state, group, names, said)


def copy_of(scene: Scene) -> Scene:
    """Give a scene that can be changed without changing this one."""
    return attrs.evolve(scene, store=deepcopy(scene.store))
