"""An hour of a busy group: it replays to the same state, and everybody's chat list is right."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import attrs
import pytest
import trio

from groupd.domain.catalog import REQUESTS
from groupd.engine.hub import Hub
from groupd.engine.ledger import Ledger, project
from groupd.errors import Rejected
from groupd.storage.log import InlineLog
from groupd.storage.memory import MemoryStore
from groupd.storage.port import Store
from groupd.storage.sqlite import SqliteStore
from groupd.storage.verify import verify
from groupd.testing.fakes import START_MS, fake_ports
from groupd.wire import codec
from tests.engine.rig import group_key, hub_on
from tests.recount import body, counted, log_of

CHANNELS: Final = ("wechat", "qq", "weibo", "poster")
MEMBERS: Final = 200
MINUTE_S: Final = 60


@attrs.define
class Hour:
    """The group, and what has happened in it."""

    hub: Hub
    group: str = ""
    said: list[tuple[int, str]] = attrs.field(factory=list)
    """Seq and author of each message."""

    async def do(self, user: str, method: str, /, **params: Any) -> dict[str, Any]:
        """Have a request served, with an id as the SDK would send it."""
        request = REQUESTS[method].parse(params)
        group = None if request.addressed == "account" else self.group
        return await self.hub.act_as(user, name=f"叫{user}").call(request, group=group)

    async def say(self, user: str, text: str, **more: Any) -> int:
        seq = int((await self.do(user, "post", text=text, **more))["seq"])
        self.said.append((seq, user))
        return seq


@asynccontextmanager
async def open_hour(store: Store) -> AsyncIterator[Hour]:
    async with hub_on(InlineLog(store), ports=fake_ports()) as hub:
        yield Hour(hub)


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "memory":
        return MemoryStore("store")
    return SqliteStore.open(tmp_path, new_id=lambda: "store")


async def play_the_hour(hour: Hour) -> None:
    """Two hundred people come, talk, and change their minds."""
    people = [f"u{number:03}" for number in range(1, MEMBERS)]
    hour.group = (await hour.hub.act_as("owner").create("西湖徒步群", join_policy="open"))["group"]
    codes = {
        channel: (await hour.do("owner", "share_link", channel=channel))["code"]
        for channel in CHANNELS
    }
    await come_in(hour, people[:120], codes)
    admins = people[:3]
    for admin in admins:
        await hour.do("owner", "set_role", user=admin, role="admin")
    await trio.sleep(5 * MINUTE_S)
    await talk(hour, people[:120], rounds=2)
    await come_in(hour, people[120:], codes)
    await hour.do(admins[0], "announce", text="周六八点，断桥集合")
    first, second = hour.said[0][0], hour.said[5][0]
    await hour.do(admins[0], "pin", seq=first)
    await hour.do(admins[1], "pin", seq=second)
    await trio.sleep(5 * MINUTE_S)
    await quarrel(hour, admins, people)
    await talk(hour, [user for user in people[10:] if user != people[51]], rounds=1)
    await change_minds(hour, admins, people)
    await hour.do("owner", "transfer", user=admins[0])
    await hour.do(admins[0], "accept_transfer")
    await read_along(hour, people)
    await trio.sleep(30 * MINUTE_S)
    await hour.say(admins[0], "大家辛苦了", mentions="all")


async def come_in(hour: Hour, people: Sequence[str], codes: Mapping[str, str]) -> None:
    async with trio.open_nursery() as nursery:
        for number, user in enumerate(people):
            code = codes[CHANNELS[number % len(CHANNELS)]]
            request = REQUESTS["join"].parse({"code": code})
            nursery.start_soon(hour.hub.act_as(user, name=user).call, request)


async def talk(hour: Hour, people: Sequence[str], *, rounds: int) -> None:
    for round_number in range(rounds):
        for number, user in enumerate(people):
            named = [people[number - 1]] if number % 7 == 0 else []
            reply_to = hour.said[-1][0] if hour.said and number % 5 == 0 else None
            await hour.say(
                user, f"第{round_number}句 from {user}", mentions=named, reply_to=reply_to
            )
            if number % 20 == 0:
                await trio.sleep(10)


async def quarrel(hour: Hour, admins: Sequence[str], people: Sequence[str]) -> None:
    """One is muted, one is kicked, and comes no further."""
    loud, rude = people[50], people[51]
    await hour.do(admins[2], "mute", user=loud, for_ms=10 * MINUTE_S * 1_000)
    with pytest.raises(Rejected) as muted:
        await hour.say(loud, "凭什么")
    assert muted.value.code == "muted"
    await hour.do(admins[2], "kick", user=rude)
    await hour.do(admins[2], "ban", user=rude)
    with pytest.raises(Rejected) as banned:
        await hour.do(rude, "join")
    assert banned.value.details["reason"] == "banned"
    await trio.sleep(10 * MINUTE_S)
    await hour.say(loud, "对不起")


async def change_minds(hour: Hour, admins: Sequence[str], people: Sequence[str]) -> None:
    """Edits, recalls (one of them pinned) and likes."""
    gone = {people[51]}
    for number, (seq, user) in enumerate(hour.said[-60:]):
        if number % 6 == 0:
            await hour.do(user, "edit", seq=seq, text=f"改过 {seq}")
        if number % 9 == 0:
            await hour.do(admins[1], "recall", seq=seq)
    await hour.do("owner", "recall", seq=hour.said[0][0])
    for number, user in enumerate(set(people) - gone):
        if number % 2:
            await hour.do(user, "react", seq=hour.said[5][0], reaction="👍")
        if number % 4 == 1:
            await hour.do(user, "unreact", seq=hour.said[5][0], reaction="👍")


async def read_along(hour: Hour, people: Sequence[str]) -> None:
    head = hour.said[-1][0]
    for number, user in enumerate(people):
        if number % 3 == 0 and user != people[51]:
            await hour.do(user, "read", seq=head - number)


async def test_it_replays_to_the_same_state_and_all_chat_lists_equal_a_recount(
    store: Store, autojump_clock: object
) -> None:
    async with open_hour(store) as hour:
        await play_the_hour(hour)
        head = log_of(store, hour.group)[-1]
        assert 50 * MINUTE_S * 1_000 < head.time_ms - START_MS < 70 * MINUTE_S * 1_000
        info = await hour.do("u001", "info")
        assert (info["members"], info["owner"], info["role"]) == (MEMBERS - 1, "u001", "owner")
        assert [pin["seq"] for pin in info["pins"]] == [hour.said[5][0]]
        joined = [record for record in log_of(store, hour.group) if record.kind == "joined"]
        joins = Counter(body(record).get("channel") for record in joined)
        assert all(49 <= joins[channel] <= 50 for channel in CHANNELS)
        users = [row.user for row in store.members("", hour.group, "", 1_000)]
        assert len(users) == MEMBERS - 1
        for user in users:
            await compare(hour, store, user)
    check_replay(store, hour.group)
    rows = list(store.dump_index())
    store.rebuild_index(project)
    assert list(store.dump_index()) == rows


async def compare(hour: Hour, store: Store, user: str) -> None:
    listed = await hour.do(user, "chats")
    (chat,) = listed["chats"]
    expected = counted(store, hour.group, user)
    last = chat["last"]["seq"] if "last" in chat else 0
    got = (chat["read"], chat["unread"], chat["mentions"], last)
    assert got == attrs.astuple(expected), user
    assert (listed["unread"], listed["mentions"]) == (expected.unread, expected.mentions)


def check_replay(store: Store, group: str) -> None:
    """The hub has left a snapshot of the live state; the log alone gives the same hash."""
    stream = group_key(group)
    replayed = Ledger.empty(stream)
    for record in log_of(store, group):
        replayed.replay(record)
    snapshot = store.snapshot(stream)
    assert snapshot is not None
    live = type(replayed.state).load(codec.unpack(snapshot.state))
    assert replayed.state.hash() == live.hash()
    assert list(verify(store, stream)) == []
