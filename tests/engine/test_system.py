"""What the host application does itself, as nobody in particular."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from groupd.domain.base import SERVER, Identity
from groupd.domain.catalog import REQUESTS
from groupd.engine.hub import Caller, Hub
from groupd.errors import Rejected
from tests.engine.rig import hub_on, new_store

SYSTEM = Identity(user=SERVER)


async def asked(hub: Hub, method: str, group: str, **params: Any) -> Mapping[str, Any]:
    return await Caller(hub, SYSTEM).call(REQUESTS[method].parse(params), group=group)


async def test_the_system_ranks_as_an_owner_and_is_no_member() -> None:
    async with hub_on(new_store()) as hub:
        ann = hub.act_as("ann")
        group = (await ann.create("Tea", members=["bob", "cat"], discoverable=False))["group"]
        for method, params in (
            ("post", {"text": "order 7 has left", "mentions": ["bob"]}),
            ("announce", {"text": "closed on Monday"}),
            ("set_role", {"user": "bob", "role": "admin"}),
            ("mute_all", {"on": True}),
            ("post", {"text": "the system may speak even so", "mentions": "all"}),
            ("mute", {"user": "bob", "for_ms": 60_000}),
            ("unmute", {"user": "bob"}),
            ("slow_mode", {"interval_ms": 60_000}),
            ("post", {"text": "and as often as it likes"}),
            ("update", {"name": "Green tea"}),
            ("ban", {"user": "cat"}),
        ):
            assert await asked(hub, method, group, **params), method
        events = (await ann.history(group))["events"]
        ours = [event["kind"] for event in events if event["user"] == SERVER]
        assert ours.count("posted") == 3
        assert "banned" in "".join(ours)
        info = await ann.info(group)
        assert info["members"] == 2
        assert info["owner"] == "ann"
        with pytest.raises(Rejected, match="rank"):
            await asked(hub, "kick", group, user="ann")


async def test_the_system_recalls_what_anybody_but_the_owner_has_said() -> None:
    async with hub_on(new_store()) as hub:
        ann = hub.act_as("ann")
        group = (await ann.create("Tea", members=["bob"]))["group"]
        seq = (await hub.act_as("bob").post(group, text="spam"))["seq"]
        own = (await asked(hub, "post", group, text="a mistake"))["seq"]
        for each in (seq, own):
            assert (await asked(hub, "recall", group, seq=each))["seq"] > each


async def test_who_is_invited_by_the_system_comes_in_where_only_invitations_let_in() -> None:
    async with hub_on(new_store()) as hub:
        ann = hub.act_as("ann")
        group = (await ann.create("Tea", join_policy="invite_only"))["group"]
        assert (await asked(hub, "invite", group, user="bob"))["status"] == "joined"
        assert (await hub.act_as("bob").info(group))["members"] == 2


async def test_in_a_direct_chat_the_system_has_no_say() -> None:
    async with hub_on(new_store()) as hub:
        group = (await hub.act_as("ann").direct("bob"))["group"]
        with pytest.raises(Rejected, match="direct"):
            await asked(hub, "post", group, text="who is there?")


async def test_a_group_that_is_not_there_is_not_there_for_the_system() -> None:
    async with hub_on(new_store()) as hub:
        with pytest.raises(Rejected, match="not_found"):
            await asked(hub, "post", "G" * 16, text="hello?")
