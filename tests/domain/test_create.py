"""Founding a group, and the quota of those who do: FEATURES A1 to A3."""

from __future__ import annotations

import pytest

from groupd.config import PLANS, Plan
from groupd.domain.account.blocks import Block
from groupd.domain.account.create import Create
from groupd.domain.account.hearing import HasDissolved
from groupd.domain.base import ACCOUNT, GROUP, Identity, Role, StreamKey
from groupd.domain.group.info import Info
from groupd.domain.group.membership import Joined
from groupd.domain.group.roles import AcceptTransfer, Transfer
from groupd.domain.group.settings import Created, Dissolve
from groupd.domain.policy import Explain
from groupd.errors import Rejected
from tests.domain.bench import World, outcome


def refusal(world: World, caller: str | Identity, command: Create) -> Rejected:
    groups = world.groups_made
    with pytest.raises(Rejected) as caught:
        world.act(caller, command)
    assert world.groups_made == groups
    return caught.value


def test_the_founder_is_the_owner_and_the_first_event_is_created(world: World) -> None:
    answer = world.act(Identity("ann", name="安"), Create("读书会"))
    table = world.found("bob")
    assert answer["seq"] == 1
    book = world.books[StreamKey(GROUP, "", answer["group"])]
    assert isinstance(book.event(1), Created)
    assert book.event(2) == Joined(via="created", name="安", role="owner")
    assert {record.user for record in book.records} == {"ann"}
    assert table.state.role_of("bob") is Role.OWNER


def test_named_members_are_added_at_once_and_only_once(world: World) -> None:
    table = world.found("ann", members=["bob", "王芳", "bob", "ann"])
    assert list(table.state.members) == ["ann", "bob", "王芳"]
    assert table.state.role_of("王芳") is Role.MEMBER
    assert table.state.role_of("ann") is Role.OWNER
    assert [record.kind for record in table.book.records] == ["created", *["joined"] * 3]


def test_owned_and_the_group_are_written_for_the_same_request(world: World) -> None:
    request_id = world.new_id()
    table = world.found("ann", request_id=request_id)
    records = [*world.books[StreamKey(ACCOUNT, "", "ann")].records, *table.book.records]
    assert {record.request_id for record in records} == {request_id}


def test_all_settings_arrive_in_the_group(world: World) -> None:
    table = world.found(
        "ann",
        name=" 徒步  ",
        picture="https://example.com/a.png",
        category="户外",
        description="每周六\n八点",
        location={"lat": 31, "lon": 121.5},
        join_policy="invite_only",
        member_invites=False,
        discoverable=False,
        history="joined",
        time_zone="Asia/Shanghai",
        ref="shop-7",
        data={"tags": ["a", 1]},
        conditions={"claim": "follows", "has": "ann", "label": "粉丝"},
        public_stats=True,
    )
    shown = table.act("ann", Info())
    assert shown["name"] == "徒步"
    assert shown["picture"] == "https://example.com/a.png"
    assert shown["category"] == "户外"
    assert shown["description"] == "每周六\n八点"
    assert shown["location"] == {"lat": 31.0, "lon": 121.5}
    assert shown["join_policy"] == "invite_only"
    assert shown["settings"] == {
        "member_invites": False,
        "discoverable": False,
        "history": "joined",
        "time_zone": "Asia/Shanghai",
        "data": {"tags": ["a", 1]},
        "conditions": {"claim": "follows", "has": "ann", "label": "粉丝"},
        "public_stats": True,
        "ref": "shop-7",
    }
    assert shown["condition"] == "粉丝"


def test_what_is_not_given_has_the_published_defaults(world: World) -> None:
    shown = world.found("ann").act("ann", Info())
    assert (shown["join_policy"], shown["category"], shown["members"]) == ("open", "", 1)
    assert shown["settings"] == {
        "member_invites": True,
        "discoverable": True,
        "history": "all",
        "time_zone": "UTC",
        "data": {},
        "conditions": {},
        "public_stats": False,
    }


# --- the founding threshold


@pytest.mark.parametrize(
    ("plan", "friends_min"), [("ordinary", 0), ("kuaishou", 1), ("douyin", 2), ("circle", 0)]
)
def test_a_plan_founds_with_its_number_of_friends_and_not_with_one_less(
    world: World, plan: str, friends_min: int
) -> None:
    caller = Identity("ann", plan=plan)
    friends = ["bob", "cem", "dora"][:friends_min]
    if friends:
        error = refusal(world, caller, Create("群", members=friends[1:]))
        assert outcome(error) == "forbidden: founders_min"
        assert (error.details["required"], error.details["got"]) == (friends_min, friends_min - 1)
        assert plan in error.message
    assert world.found(caller, members=friends).state.plan == plan


def test_a_founder_is_no_friend_of_theirs_and_nobody_counts_twice(world: World) -> None:
    caller = Identity("ann", plan="douyin")
    error = refusal(world, caller, Create("群", members=["bob", "ann", "bob"]))
    assert error.details["got"] == 1


# --- quotas


def test_of_fifty_creates_by_an_ordinary_user_exactly_four_succeed(world: World) -> None:
    refusals = []
    for _ in range(50):
        try:
            world.found("ann")
        except Rejected as error:
            refusals.append(error)
    assert world.groups_made == 4
    assert len(refusals) == 46
    for error in refusals:
        assert error.code == "quota_exceeded"
        assert error.details == {"quota": "groups_owned", "limit": 4, "used": 4}


def test_the_quota_is_that_of_the_plan_in_the_token(world: World) -> None:
    world.plans = {**PLANS, "shop": Plan(groups_owned_max=2)}
    for _ in range(2):
        world.found(Identity("ann", plan="shop"))
    error = refusal(world, Identity("ann", plan="shop"), Create("群"))
    assert error.details["limit"] == 2
    world.found(Identity("ann", plan="ordinary"))


def test_an_unknown_plan_counts_as_the_default_one(world: World) -> None:
    for _ in range(4):
        world.found(Identity("ann", plan="platinum"))
    error = refusal(world, Identity("ann", plan="platinum"), Create("群"))
    assert error.details["limit"] == 4


def test_quotas_of_two_users_do_not_touch(world: World) -> None:
    for user in ("ann", "bob"):
        for _ in range(4):
            world.found(user)
    assert world.groups_made == 8


def test_being_in_the_groups_of_others_takes_no_quota(world: World) -> None:
    for user in ("bob", "cem", "dora", "emma"):
        world.found(user, members=["ann"])
    world.spread()
    for _ in range(4):
        world.found("ann")


def test_a_dissolved_group_frees_its_place_even_before_the_account_has_heard(world: World) -> None:
    tables = [world.found("ann") for _ in range(4)]
    tables[1].act("ann", Dissolve())
    assert refusal_count(world, 3) == 2
    assert tables[1].group not in world.account("ann").owned
    assert len(world.account("ann").owned) == 4


def refusal_count(world: World, tries: int) -> int:
    refused = 0
    for _ in range(tries):
        try:
            world.found("ann")
        except Rejected:
            refused += 1
    return refused


def test_a_dissolved_group_frees_its_place_when_the_account_hears(world: World) -> None:
    tables = [world.found("ann") for _ in range(4)]
    tables[1].act("ann", Dissolve())
    world.spread()
    assert len(world.account("ann").owned) == 3
    heard = world.books[StreamKey(ACCOUNT, "", "ann")].event()
    assert isinstance(heard, HasDissolved)


def test_a_group_is_not_founded_with_more_members_than_the_plan_has_room_for(world: World) -> None:
    world.plans = {"ordinary": Plan(members_max=3)}
    error = refusal(world, "ann", Create("群", members=["bob", "cem", "dora"]))
    assert (error.code, error.details) == ("group_full", {"limit": 3})
    assert len(world.found("ann", members=["bob", "cem"]).state.members) == 3


def test_a_group_that_was_handed_over_counts_before_either_account_has_heard(world: World) -> None:
    tables = [world.found("ann") for _ in range(4)]
    mine = world.found("bob", members=["ann"])
    tables[0].admit("bob")
    tables[0].act("ann", Transfer("bob"))
    tables[0].act("bob", AcceptTransfer())
    # Bob's account knows of one group, and the index of two.
    assert list(world.account("bob").owned) == [mine.group]
    for _ in range(2):
        world.found("bob")
    assert refusal(world, "bob", Create("群")).details["used"] == 4
    world.found("ann")
    assert refusal(world, "ann", Create("群")).details["used"] == 4
    before = world.groups_made
    world.spread()
    assert refusal(world, "bob", Create("群")).details["used"] == 4
    assert refusal(world, "ann", Create("群")).details["used"] == 4
    assert world.groups_made == before


def test_founding_takes_a_place_among_the_groups_that_one_is_in(world: World) -> None:
    world.plans = {"ordinary": Plan(groups_joined_max=2)}
    world.found("bob", members=["ann"])
    table = world.found("ann")
    error = refusal(world, "ann", Create("群"))
    assert error.details == {"quota": "groups_joined", "limit": 2, "used": 2}
    table.act("ann", Dissolve())
    world.found("ann")


def test_the_rules_of_founding_are_shown_with_their_values(world: World) -> None:
    for _ in range(4):
        world.found("ann")
    shown = world.ask(Identity("ann", plan="kuaishou"), Explain("create"))
    rules = {rule["rule"]: rule for rule in shown["rules"]}
    verdicts = {
        "ref_free": "holds",
        "founders_min": "refuses",
        "groups_owned_max": "refuses",
        "groups_joined_max": "holds",
        "words": "holds",
    }
    assert not shown["allowed"]
    assert {name: rule["verdict"] for name, rule in rules.items()} == verdicts
    assert list(rules) == list(verdicts)
    assert rules["groups_owned_max"]["value"] == 4
    assert rules["founders_min"]["reason"] == "founders_min"


# --- ref


def test_create_with_a_ref_that_exists_gives_that_group_to_its_owner(world: World) -> None:
    first = world.found("ann", ref="order-1")
    assert world.act("ann", Create("另一个", ref="order-1")) == {"group": first.group, "seq": 1}
    assert world.groups_made == 1


def test_a_ref_finds_its_group_although_the_quota_is_full(world: World) -> None:
    first = world.found("ann", ref="order-1")
    for _ in range(3):
        world.found("ann")
    assert world.act("ann", Create("群", ref="order-1"))["group"] == first.group


def test_who_has_blocked_the_founder_is_left_out(world: World) -> None:
    world.act("bob", Block("ann"))
    table = world.found("ann", members=["bob", "王芳"])
    assert set(table.state.members) == {"ann", "王芳"}
    assert not table.state.invitations


def test_whose_plan_has_no_room_is_invited_instead(world: World) -> None:
    world.plans = {"ordinary": Plan(groups_joined_max=1)}
    world.found("bob")
    table = world.found("ann", members=["bob", "王芳"])
    assert set(table.state.members) == {"ann", "王芳"}
    assert table.state.invitations["bob"].grants == "joined"


def test_another_users_ref_is_taken(world: World) -> None:
    world.found("ann", ref="order-1")
    assert outcome(refusal(world, "bob", Create("群", ref="order-1"))) == "conflict: ref_taken"


def test_dissolving_frees_the_ref(world: World) -> None:
    first = world.found("ann", ref="order-1")
    first.act("ann", Dissolve())
    assert world.found("ann", ref="order-1").group != first.group


# --- the rest


def test_a_category_that_is_not_configured_is_refused(world: World) -> None:
    world.categories = ("读书", "运动")
    error = refusal(world, "ann", Create("群", category="钓鱼"))
    assert (error.code, error.details) == ("bad_request", {"field": "category"})
    world.found("ann", category="读书")
    world.found("ann")


def test_a_retry_gives_the_same_group_and_founds_no_other(world: World) -> None:
    request_id = world.new_id()
    first = world.act("ann", Create("群"), request_id=request_id)
    assert world.act("ann", Create("群"), request_id=request_id) == first
    assert world.groups_made == 1


def test_a_retry_gives_the_same_group_although_it_freed_places_too(world: World) -> None:
    tables = [world.found("ann") for _ in range(4)]
    tables[0].act("ann", Dissolve())
    request_id = world.new_id()
    first = world.act("ann", Create("群"), request_id=request_id)
    assert [record.kind for record in world.books[Identity("ann").account].records][-2:] == [
        "owned",
        "disowned",
    ]
    assert world.act("ann", Create("群"), request_id=request_id) == first
