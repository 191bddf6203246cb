"""What can be read: by whom, in which pages, and no further than what is published."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, Final

import attrs
import msgpack
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from groupd.config import CONTENT, Limits
from groupd.domain.base import Identity
from groupd.domain.queries import Read
from groupd.engine.hub import Caller, Hub
from groupd.errors import Rejected
from groupd.storage.memory import MemoryStore
from tests.engine.rig import (
    FakeSession,
    LateLog,
    group_key,
    hub_on,
    new_store,
    outcome,
    play,
    records_of,
    settle,
)

USERS: Final = ("olga", "mia", "noa")


async def talk(hub: Hub, count: int, *, history: str = "all") -> str:
    """Found a group of olga's in which much has been said before mia joins."""
    olga = hub.act_as("olga")
    group = (await olga.create("Tea", history=history))["group"]
    for number in range(count):
        await olga.post(group, f"message {number}")
    return group


def seqs_of(page: Any) -> list[int]:
    return [event["seq"] for event in page["events"]]


# --- history


async def test_the_newest_events_come_first_and_pages_go_back_from_there() -> None:
    async with hub_on() as hub:
        group = await talk(hub, 10)
        olga = hub.act_as("olga")
        page = await olga.history(group, limit=5)
        assert (seqs_of(page), page["more"]) == ([8, 9, 10, 11, 12], True)
        page = await olga.history(group, before=8, limit=5)
        assert (seqs_of(page), page["more"]) == ([3, 4, 5, 6, 7], True)
        page = await olga.history(group, before=3, limit=5)
        assert (seqs_of(page), page["more"]) == ([1, 2], False)
        page = await olga.history(group, before=1)
        assert (seqs_of(page), page["more"]) == ([], False)
        assert seqs_of(await olga.history(group, before=99, limit=2)) == [11, 12]


async def test_pages_go_forward_after_a_seq() -> None:
    async with hub_on() as hub:
        group = await talk(hub, 10)
        olga = hub.act_as("olga")
        page = await olga.history(group, after=0, limit=6)
        assert (seqs_of(page), page["more"]) == ([1, 2, 3, 4, 5, 6], True)
        page = await olga.history(group, after=6, limit=6)
        assert (seqs_of(page), page["more"]) == ([7, 8, 9, 10, 11, 12], False)
        for after in (12, 99):
            page = await olga.history(group, after=after)
            assert (seqs_of(page), page["more"], page["head"]) == ([], False, 12)


async def test_a_member_reads_from_their_floor_on() -> None:
    async with hub_on() as hub:
        group = await talk(hub, 10, history="joined")
        mia = hub.act_as("mia")
        floor = (await mia.join(group)).get("seq")
        await hub.act_as("olga").post(group, "welcome")
        for page in (
            await mia.history(group, after=0),
            await mia.history(group),
            await mia.history(group, before=99),
        ):
            assert (seqs_of(page), page["more"], page["floor"]) == ([13, 14], False, floor)
        assert seqs_of(await mia.history(group, before=13)) == []
        (synced,) = (await mia.sync({group: 0}))["groups"]
        assert (seqs_of(synced), synced["floor"], synced["more"]) == ([13, 14], 13, False)
        assert seqs_of(await hub.act_as("olga").history(group, after=0, limit=2)) == [1, 2]


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 400), min_size=1, max_size=25),
    limit=st.integers(1, 9),
    max_bytes=st.integers(200, 1_500),
    floor_at=st.integers(0, 25),
    backward=st.booleans(),
)
def test_pages_of_any_size_give_each_event_once(
    sizes: list[int], limit: int, max_bytes: int, floor_at: int, backward: bool
) -> None:
    """Also where a page is cut by its bytes, and from a floor on; and ``more`` is right."""

    async def main() -> None:
        limits = Limits(page_max_bytes=max_bytes, backlog_max_bytes=10_000)
        store = new_store()
        async with hub_on(store, limits=limits) as hub:
            olga, mia = hub.act_as("olga"), hub.act_as("mia")
            group = (await olga.create("Tea", history="joined"))["group"]
            for number, size in enumerate(sizes):
                if number == floor_at:
                    await mia.join(group)
                await olga.post(group, "x" * size)
            reader = mia if floor_at < len(sizes) else olga
            floor = 3 + floor_at if reader is mia else 1
            head = records_of(store, group_key(group))[-1].seq
            got: list[int] = []
            more = True
            while more:
                if backward:
                    page = await reader.history(group, before=got[0] if got else None, limit=limit)
                    got[:0] = seqs_of(page)
                else:
                    page = await reader.history(group, after=got[-1] if got else 0, limit=limit)
                    got += seqs_of(page)
                assert 0 < len(page["events"]) <= limit
                size = sum(len(str(event.get("text", ""))) for event in page["events"][1:])
                assert size <= max_bytes
                more = page["more"]
            assert got == list(range(floor, head + 1))

    play(main)


async def test_nothing_is_read_before_it_is_published() -> None:
    store = new_store()
    log = LateLog(store)
    async with hub_on(log) as hub, trio.open_nursery() as nursery:
        group = await talk(hub, 1)
        olga = hub.act_as("olga")
        mia = FakeSession(hub, "olga")
        await mia.hello()
        log.is_late = True
        nursery.start_soon(olga.post, group, "not yet")
        while records_of(store, group_key(group))[-1].seq < 4:
            await trio.lowlevel.checkpoint()
        for page in (
            await olga.history(group),
            await olga.history(group, after=0),
            await olga.history(group, after=3),
            await olga.history(group, before=99),
            (await olga.sync({group: 0}))["groups"][0],
        ):
            assert (page["head"], page["more"]) == (3, False)
            assert 4 not in seqs_of(page)
        assert await outcome(olga.read(group, 4)) == "not_found"
        log.say()
        await settle()
        assert seqs_of(await olga.history(group, after=3)) == [4]


async def test_an_event_reads_as_it_was_pushed() -> None:
    async with hub_on() as hub:
        group = await talk(hub, 0)
        session = FakeSession(hub, "olga")
        await session.hello()
        olga = hub.act_as("olga")
        card = {"type": "goods", "title": "Tea", "price": 3, "currency": "CNY"}
        await olga.post(group, "你好", mentions=["olga"], card=card)
        await olga.announce(group, "Meet at six")
        await olga.share_link(group, channel="wechat")
        page = await olga.history(group, after=2)
        assert session.events(group) == page["events"]


# --- sync


async def test_sync_catches_up_many_groups_in_the_bytes_that_are_given() -> None:
    async with hub_on() as hub:
        groups = sorted([await talk(hub, 20) for _ in range(4)])
        olga = hub.act_as("olga")
        cursors = dict.fromkeys(groups, 0)
        got: dict[str, list[int]] = {group: [] for group in groups}
        for _ in range(100):
            pages = (await olga.sync(cursors, limit_bytes=1_500))["groups"]
            assert [page["group"] for page in pages] == groups
            assert sum(len(str(page["events"])) for page in pages) < 5_000
            for page in pages:
                got[page["group"]] += seqs_of(page)
                cursors[page["group"]] = got[page["group"]][-1] if got[page["group"]] else 0
            if not any(page["more"] for page in pages):
                break
        assert got == {group: list(range(1, 23)) for group in groups}


async def test_sync_leaves_out_what_the_caller_is_not_in() -> None:
    async with hub_on() as hub:
        group = await talk(hub, 3)
        mia = hub.act_as("mia")
        assert (await mia.sync({group: 0, "0000000000000000": 0}))["groups"] == []
        await mia.join(group)
        (page,) = (await mia.sync({group: 99}))["groups"]
        assert (page["events"], page["head"], page["more"]) == ([], 6, False)
        await mia.leave(group)
        assert (await mia.sync({group: 0}))["groups"] == []


async def test_a_group_without_news_costs_nothing_of_a_sync() -> None:
    async with hub_on() as hub:
        groups = [await talk(hub, 5) for _ in range(3)]
        heads = dict.fromkeys(groups, 7)
        pages = (await hub.act_as("olga").sync(heads, limit_bytes=1))["groups"]
        assert [page["more"] for page in pages] == [False] * 3


# --- the caller's groups


async def test_groups_come_in_pages() -> None:
    async with hub_on() as hub:
        groups = []
        for number in range(11):
            owner = hub.act_as(f"owner{number}")
            groups.append((await owner.create("Tea", members=["mia"]))["group"])
        mia = hub.act_as("mia")
        for limit in (1, 4, 10, 11, 12):
            got: list[str] = []
            after: str | None = ""
            while after is not None:
                page = await mia.groups(after=after, limit=limit)
                assert 0 < len(page["groups"]) <= limit
                got += [entry["group"] for entry in page["groups"]]
                after = page.get("next")
            assert got == sorted(groups)
        assert (await hub.act_as("stranger").groups()) == {"groups": []}


async def test_a_page_of_groups_is_cut_by_its_bytes() -> None:
    limits = Limits(page_max_bytes=1_000, backlog_max_bytes=1_000)
    async with hub_on(limits=limits) as hub:
        for number in range(5):
            owner = hub.act_as(f"owner{number}")
            group = (await owner.create("Tea", members=["mia"]))["group"]
            await owner.post(group, "x" * 700)
        got: list[str] = []
        after: str | None = ""
        while after is not None:
            page = await hub.act_as("mia").groups(after=after)
            got += [entry["group"] for entry in page["groups"]]
            after = page.get("next")
        assert len(got) == len(set(got)) == 5


async def test_a_dissolved_group_is_not_listed_and_can_still_be_read() -> None:
    async with hub_on() as hub:
        group = await talk(hub, 2)
        mia, olga = hub.act_as("mia"), hub.act_as("olga")
        await mia.join(group)
        await olga.dissolve(group)
        assert (await mia.groups())["groups"] == []
        assert (await mia.history(group))["events"][-1]["kind"] == "dissolved"
        assert len((await mia.members(group))["members"]) == 2
        assert (await mia.info(group))["dissolved"]
        assert await outcome(mia.post(group, "hello")) == "conflict: state"
        assert (await mia.read(group, 6))["unread"] == 0


# --- read cursors


async def test_a_cursor_moves_forward_only() -> None:
    async with hub_on() as hub:
        group = await talk(hub, 5)
        mia, olga = hub.act_as("mia"), hub.act_as("olga")
        await mia.join(group)
        for _ in range(5):
            await olga.post(group, "hello")
        assert await mia.read(group, 10) == {"read": 10, "unread": 3, "mentions": 0}
        assert await mia.read(group, 9) == {"read": 10, "unread": 3, "mentions": 0}
        assert await outcome(mia.read(group, 14)) == "not_found"
        assert await mia.read(group, 13) == {"read": 13, "unread": 0, "mentions": 0}


async def test_a_cursor_is_told_to_the_other_sessions_of_the_same_user_alone() -> None:
    async with hub_on() as hub:
        group = await talk(hub, 3)
        sessions = [FakeSession(hub, user) for user in ("olga", "olga", "mia")]
        for session in sessions:
            await session.hello()
        await hub.read(Identity("olga"), Read(4), group=group, peer=sessions[0].peer)
        signals = [session.pushed("signal") for session in sessions]
        told = {"group": group, "user": "olga", "kind": "read", "seq": 5}
        assert signals == [[], [told], []]


async def test_strangers_have_no_cursor() -> None:
    async with hub_on() as hub:
        group = await talk(hub, 3)
        assert await outcome(hub.act_as("eve").read(group, 1)) == "forbidden: not_member"
        assert await outcome(hub.act_as("eve").read("0" * 16, 1)) == "not_found"


@attrs.frozen
class Deed:
    what: str
    user: str
    seq: int


@settings(max_examples=80, deadline=None)
@given(
    deeds=st.lists(
        st.builds(
            Deed,
            what=st.sampled_from(("post", "post", "announce", "mention", "all", "read", "come")),
            user=st.sampled_from(USERS),
            seq=st.integers(1, 30),
        ),
        max_size=30,
    )
)
def test_unread_and_mentions_are_what_a_recount_of_the_log_gives(deeds: list[Deed]) -> None:
    async def main() -> None:
        store = new_store()
        async with hub_on(store) as hub:
            group = (await hub.act_as("olga").create("Tea", members=["mia"]))["group"]
            cursors: dict[str, int] = {}
            for deed in deeds:
                await do(hub, group, deed, cursors)
            for user in USERS:
                for entry in (await hub.act_as(user).groups())["groups"]:
                    recount = recounted(store, group, user, cursors)
                    assert {key: entry[key] for key in recount} == recount

    play(main)


async def do(hub: Hub, group: str, deed: Deed, cursors: dict[str, int]) -> None:
    caller: Caller = hub.act_as(deed.user)
    calls: dict[str, Callable[[], Any]] = {
        "post": lambda: caller.post(group, "hello"),
        "announce": lambda: caller.announce(group, "hear"),
        "mention": lambda: caller.post(group, "you", mentions=["mia", "noa", deed.user]),
        "all": lambda: caller.post(group, "all of you", mentions="all"),
        "read": lambda: caller.read(group, deed.seq),
        "come": lambda: come_or_go(caller, group, deed.seq),
    }
    try:
        await calls[deed.what]()
    except Rejected:
        return
    if deed.what == "read":
        cursors[deed.user] = max(deed.seq, cursors.get(deed.user, 0))


async def come_or_go(caller: Caller, group: str, seq: int) -> None:
    await (caller.join(group) if seq % 2 else caller.leave(group))


def recounted(store: MemoryStore, group: str, user: str, cursors: dict[str, int]) -> dict[str, int]:
    """Count from the log alone, as DESIGN section 3.10 says."""
    records = records_of(store, group_key(group))
    joined = own = 0
    members: set[str] = set()
    mentioned: list[tuple[int, str, Any]] = []
    for record in records:
        assert record.body is not None
        body = msgpack.unpackb(bytes([0x80 | record.body[0]]) + record.body[1:])
        if record.kind == "joined":
            members.add(body.get("member") or record.user)
            if (body.get("member") or record.user) == user:
                joined = record.seq
        elif record.kind == "left":
            members.discard(record.user)
        elif record.kind in ("posted", "announced"):
            if record.user == user:
                own = record.seq
            mentioned.append((record.seq, record.user, body.get("mentions", ())))
    read = max(joined, own, cursors.get(user, 0))
    after = [(seq, author, names) for seq, author, names in mentioned if seq > read]
    others = [names for _seq, author, names in after if author != user]
    return {
        "head": records[-1].seq,
        "read": read,
        "unread": len(after),
        "mentions": sum(names == "all" or user in names for names in others),
    }


# --- people


async def test_members_come_in_pages_to_members_alone() -> None:
    async with hub_on() as hub:
        users = [f"user{number:02}" for number in range(25)]
        group = (await hub.act_as("olga").create("Tea", members=users))["group"]
        reader = hub.act_as("user00")
        for limit in (1, 7, 26, 100):
            got: list[str] = []
            after: str | None = ""
            while after is not None:
                page = await reader.members(group, after=after, limit=limit)
                assert 0 < len(page["members"]) <= limit
                got += [member["user"] for member in page["members"]]
                after = page.get("next")
            assert got == sorted(["olga", *users])
        roles = Counter(member["role"] for member in (await reader.members(group))["members"])
        assert roles == {"owner": 1, "member": 25}


@pytest.mark.parametrize("discoverable", [True, False])
async def test_what_strangers_learn_is_the_same_for_every_question(discoverable: bool) -> None:
    async with hub_on() as hub:
        olga, eve = hub.act_as("olga"), hub.act_as("eve")
        group = (await olga.create("Tea", discoverable=discoverable))["group"]
        seq = (await olga.post(group, "hello"))["seq"]
        nowhere = "0" * 16
        for ask in (
            lambda g: eve.history(g),
            lambda g: eve.members(g),
            lambda g: eve.read(g, 1),
            lambda g: eve.post(g, "hello"),
            lambda g: eve.leave(g),
            lambda g: eve.announce(g, "hello"),
            lambda g: eve.pin(g, seq),
            lambda g: eve.dissolve(g),
            lambda g: eve.update(g, name="Mine"),
            lambda g: eve.announcements(g),
            lambda g: eve.share_link(g),
        ):
            told = await outcome(ask(group))
            assert told == ("forbidden: not_member" if discoverable else "not_found")
            assert await outcome(ask(nowhere)) == "not_found"
        assert await outcome(eve.info(group)) == ("ok" if discoverable else "not_found")
        joining = "ok" if discoverable else "not_found"
        assert await outcome(eve.join(group)) == joining
        assert await outcome(eve.join(nowhere)) == "not_found"


async def test_refusals_of_a_hidden_group_and_of_none_are_the_same_to_the_letter() -> None:
    async with hub_on() as hub:
        olga, eve = hub.act_as("olga"), hub.act_as("eve")
        group = (await olga.create("Tea", discoverable=False))["group"]
        for ask in (lambda g: eve.info(g), lambda g: eve.history(g), lambda g: eve.post(g, "x")):
            shown = []
            for key in (group, "0" * 16):
                with pytest.raises(Rejected) as caught:
                    await ask(key)
                shown.append(caught.value.to_wire())
            assert shown[0] == shown[1]


async def test_users_shows_those_with_whom_one_shares_a_group() -> None:
    async with hub_on() as hub:
        group = (await hub.act_as("olga", name="Olga").create("Tea"))["group"]
        await hub.act_as("mia", name="Mia").join(group)
        await hub.act_as("eve", name="Eve").create("Alone")
        shown = (await hub.act_as("mia").users(["olga", "eve", "mia", "nobody"]))["users"]
        assert [(user["user"], user["name"]) for user in shown] == [
            ("mia", "Mia"),
            ("olga", "Olga"),
        ]
        await hub.act_as("mia").leave(group)
        shown = (await hub.act_as("mia").users(["olga"]))["users"]
        assert shown == []


# --- a group's face


async def test_info_shows_each_what_they_may_see() -> None:
    async with hub_on() as hub:
        olga, mia, eve = (hub.act_as(user) for user in ("olga", "mia", "eve"))
        group = (await olga.create("Tea", members=["mia"], ref="tea"))["group"]
        await olga.announce(group, "Meet at six")
        seq = (await mia.post(group, "pin me"))["seq"]
        await olga.pin(group, seq)
        code = (await olga.share_link(group, channel="wechat"))["code"]
        await hub.act_as("noa").join(code=code)
        stranger, member = await eve.info(group), await mia.info(group)
        owner = await olga.info(group)
        for hidden in ("settings", "announcement", "pins", "links", "stats", "role", "head"):
            assert hidden not in stranger
        assert member["announcement"]["text"] == "Meet at six"
        assert member["pins"][0]["event"]["text"] == "pin me"
        assert "links" not in member
        assert "acknowledged" not in member["announcement"]
        assert member["settings"]["ref"] == "tea"
        assert owner["settings"]["ref"] == "tea"
        assert owner["links"]["joins_by_channel"] == {"wechat": 1}
        assert owner["announcement"]["acknowledged"] == 0
        assert code not in str(member) + str(stranger)


async def test_announcements_are_listed_newest_first() -> None:
    async with hub_on() as hub:
        olga = hub.act_as("olga")
        group = (await olga.create("Tea", members=["mia"]))["group"]
        assert (await olga.announcements(group)) == {"announcements": []}
        for number in range(CONTENT.announcements_kept_max + 5):
            await olga.announce(group, f"{number}")
        shown = (await hub.act_as("mia").announcements(group, limit=3))["announcements"]
        last = CONTENT.announcements_kept_max + 4
        assert [event["text"] for event in shown] == [f"{last - back}" for back in range(3)]
        everything = await olga.announcements(group, limit=CONTENT.announcements_kept_max)
        assert len(everything["announcements"]) == CONTENT.announcements_kept_max


async def test_the_own_log_comes_in_pages() -> None:
    async with hub_on() as hub:
        for number in range(7):
            await hub.act_as(f"owner{number}").create("Tea", members=["mia"])
        await settle()
        mia = hub.act_as("mia")
        page = await mia.account_history(limit=4)
        assert (seqs_of(page), page["more"], page["head"]) == ([1, 2, 3, 4], True, 7)
        page = await mia.account_history(after=4, limit=4)
        assert (seqs_of(page), page["more"]) == ([5, 6, 7], False)
        nobody = await hub.act_as("nobody").account_history()
        assert nobody == {"events": [], "head": 0, "more": False}
