"""Joining and leaving, and the cap of members."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from groupd.config import Plan
from groupd.domain.base import Audience, Identity, Role
from groupd.domain.group.admission import Requests, Withdraw
from groupd.domain.group.direct import Direct
from groupd.domain.group.info import Info
from groupd.domain.group.invitations import AcceptInvite, DeclineInvite
from groupd.domain.group.links import ShareLink
from groupd.domain.group.membership import Join, Joined, Leave, Left
from groupd.domain.group.messages import Post
from groupd.domain.group.moderation import Banned
from groupd.domain.group.roles import AcceptTransfer, TransferOffered
from groupd.domain.group.settings import Dissolved, Update
from groupd.domain.projection import DropMember, DropRequest, PutCard, PutMember
from groupd.errors import Rejected
from tests.domain.bench import Table, World, outcome


def test_a_stranger_joins_an_open_group(table: Table) -> None:
    answer = table.act(Identity("sam", name="山姆"), Join())
    assert answer == {"status": "joined", "group": table.group, "seq": table.seq}
    assert table.book.event() == Joined(via="search", name="山姆")
    assert table.state.role_of("sam") is Role.MEMBER


def test_a_member_who_joins_again_is_joined_and_nothing_happens(table: Table) -> None:
    first = table.act("sam", Join())
    table.act("mia", Post(text="hi"))
    seq = table.seq
    assert table.act("sam", Join()) == first
    assert table.seq == seq


def test_nobody_joins_an_invite_only_group_by_its_id(table: Table) -> None:
    table.act("olga", Update(join_policy="invite_only"))
    assert outcome(table.refuse("sam", Join())) == "forbidden: invite_only"


def test_of_three_hundred_joins_exactly_two_hundred_are_members(world: World) -> None:
    table = world.found("ann")
    refusals = []
    for number in range(300):
        try:
            table.act(f"user{number}", Join())
        except Rejected as error:
            refusals.append(error)
    assert len(table.state.members) == 200
    assert len(refusals) == 101
    assert {(error.code, error.details["limit"]) for error in refusals} == {("group_full", 200)}


def test_a_place_that_was_left_is_free_again(world: World) -> None:
    world.plans = {"ordinary": Plan(members_max=2)}
    table = world.found("ann", members=["bob"])
    assert table.refuse("cem", Join()).details == {"limit": 2}
    table.act("bob", Leave())
    table.act("cem", Join())
    assert list(table.state.members) == ["ann", "cem"]


def test_the_cap_is_that_of_the_plan_the_group_was_founded_under(world: World) -> None:
    world.plans = {"ordinary": Plan(members_max=1), "big": Plan(members_max=3)}
    table = world.found(Identity("ann", plan="big"))
    table.act(Identity("bob", plan="ordinary"), Join())
    assert table.act("ann", Info())["members_max"] == 3


def test_above_a_lowered_cap_joins_stop_and_nobody_is_removed(world: World) -> None:
    table = world.found("ann", members=["bob", "cem"])
    world.plans = {"ordinary": Plan(members_max=2)}
    assert table.refuse("dora", Join()).details == {"limit": 2}
    assert len(table.state.members) == 3


@pytest.mark.parametrize(("history", "floor_is_own"), [("all", False), ("joined", True)])
def test_the_history_setting_of_the_moment_says_from_where_a_newcomer_reads(
    table: Table, history: str, floor_is_own: bool
) -> None:
    table.act("olga", Update(history="joined"))
    if history == "all":
        table.act("olga", Update(history="all"))
    seq = table.act("sam", Join())["seq"]
    assert table.state.members["sam"].floor == (seq if floor_is_own else 1)
    table.act("olga", Update(history="joined" if history == "all" else "all"))
    assert table.state.members["sam"].floor == (seq if floor_is_own else 1)


def test_a_member_leaves(table: Table) -> None:
    assert table.act("mia", Leave()) == {"seq": table.seq}
    assert table.book.event() == Left(owned=False)
    assert table.state.role_of("mia") is None


def test_the_owner_cannot_leave(table: Table) -> None:
    assert outcome(table.refuse("olga", Leave())) == "forbidden: owner_leaves"


def test_where_an_owner_may_leave_the_group_is_offered_to_the_oldest_admin(table: Table) -> None:
    table.world.owner_leaves = "heir"
    table.act("olga", Leave())
    left, offered = (table.book.event(table.seq + back) for back in (-1, 0))
    assert left == Left(owned=True)
    assert offered == TransferOffered("adam")
    record = table.book.records[-2]
    assert left.project(record) == (DropMember("olga"), PutCard({"owner": ""}))
    assert table.state.owner == ""
    table.act("adam", AcceptTransfer())
    assert table.state.owner == "adam"


def test_the_offer_goes_on_when_the_heir_leaves_too(table: Table) -> None:
    table.world.owner_leaves = "heir"
    table.act("olga", Leave())
    table.act("adam", Leave())
    assert table.book.event() == TransferOffered("mia")


def test_with_the_last_member_the_group_ends(table: Table) -> None:
    table.world.owner_leaves = "heir"
    for user in ("olga", "adam"):
        table.act(user, Leave())
    seq = table.seq + 1
    assert table.act("mia", Leave()) == {"seq": seq}
    assert table.book.event() == Dissolved()
    assert not table.state.members
    assert table.wake() == []


def test_a_user_is_in_so_many_groups_as_their_plan_has_room_for(world: World) -> None:
    world.plans = {"ordinary": Plan(), "small": Plan(groups_joined_max=2)}
    sam = Identity("sam", plan="small")
    tables = [world.found("ann") for _ in range(3)]
    for table in tables[:2]:
        table.act(sam, Join())
    error = tables[2].refuse(sam, Join())
    assert error.to_wire()["quota"] == "groups_joined"
    assert (error.details["limit"], error.details["used"]) == (2, 2)
    assert tables[0].act(sam, Join())["status"] == "joined"
    tables[0].act("sam", Leave())
    tables[2].act(sam, Join())


def test_who_is_banned_cannot_join_while_the_ban_holds(table: Table) -> None:
    table.happen(Banned(member="sam"), "olga")
    error = table.refuse("sam", Join())
    assert outcome(error) == "forbidden: banned"
    assert "until_ms" not in error.details
    until_ms = table.world.now_ms + 1_000
    table.happen(Banned(member="sam", until_ms=until_ms), "olga")
    assert table.refuse("sam", Join()).details["until_ms"] == until_ms
    table.world.now_ms = until_ms
    assert table.act("sam", Join())["status"] == "joined"


@pytest.mark.parametrize(
    "request_class", [Join, Leave, Withdraw, Requests, AcceptInvite, DeclineInvite, ShareLink]
)
def test_nobody_joins_or_leaves_a_direct_chat(world: World, request_class: Any) -> None:
    group = world.act("ann", Direct("bob"))["group"]
    error = Table(world, group).refuse("bob", request_class())
    assert outcome(error) == "forbidden: direct"


def test_an_admin_who_leaves_and_comes_back_is_a_plain_member(table: Table) -> None:
    table.act("adam", Leave())
    table.act("adam", Join())
    assert table.state.role_of("adam") is Role.MEMBER


def test_who_has_left_may_do_no_more_than_a_stranger(table: Table) -> None:
    table.act("mia", Leave())
    assert outcome(table.refuse("mia", Post(text="hi"))) == "forbidden: not_member"
    assert outcome(table.refuse("mia", Leave())) == "forbidden: not_member"


def test_join_needs_a_group_or_a_code(world: World) -> None:
    with pytest.raises(Rejected) as caught:
        Join().address(None, Identity("ann"))
    assert caught.value.details == {"field": "group"}


def test_what_the_index_and_the_readers_learn_of_a_joining_and_a_leaving(table: Table) -> None:
    table.act(Identity("sam", name="山姆"), Join())
    record, event = table.book.records[-1], table.book.event()
    member = PutMember("sam", Role.MEMBER, "山姆", record.time_ms, record.seq, 1)
    assert event.project(record) == (DropRequest("sam"), member)
    assert event.views(record) == (("sam", Audience.MEMBERS),)
    own = attrs.evolve(event, history="joined")  # type: ignore[misc]
    assert own.project(record)[1] == attrs.evolve(member, floor=record.seq)
    table.act("sam", Leave())
    record, event = table.book.records[-1], table.book.event()
    assert event.project(record) == (DropMember("sam"),)
    assert event.views(record) == (("sam", None),)


def test_an_admin_reads_what_is_for_admins_from_their_joining_on(table: Table) -> None:
    record = table.happen(Joined(via="added", member="zoe", role="admin"))
    assert table.book.event().views(record) == (("zoe", Audience.ADMINS),)


def test_a_role_of_a_later_version_counts_as_plain_membership(table: Table) -> None:
    table.happen(Joined(via="added", member="zoe", role="curator"))
    assert table.state.role_of("zoe") is Role.MEMBER
