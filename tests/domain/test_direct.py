"""Direct chats: one for each pair, outside of all quotas: FEATURES F5."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groupd.config import Plan
from groupd.domain import ids
from groupd.domain.account.blocks import Block, Unblock
from groupd.domain.account.profile import Introduce
from groupd.domain.base import GROUP, Command, Identity, Role, StreamKey
from groupd.domain.group.direct import Direct
from groupd.domain.group.info import Info
from groupd.domain.group.membership import Join, Joined, Leave
from groupd.domain.group.messages import Post
from groupd.domain.group.settings import Dissolve, Update
from groupd.domain.links import GROUP_ID_LENGTH
from groupd.domain.projection import Profile
from groupd.errors import Rejected
from tests.domain.bench import Table, World, outcome
from tests.strategies import any_users


def chat_of(world: World, user: str | Identity, other: str) -> Table:
    return Table(world, world.act(user, Direct(other))["group"])


def refusal(world: World, user: str, command: Command) -> str:
    with pytest.raises(Rejected) as caught:
        world.act(user, command)
    return outcome(caught.value)


def test_whoever_asks_gets_the_one_chat_of_the_two(world: World) -> None:
    first = world.act("bob", Direct("ann"))
    table = Table(world, first["group"])
    assert world.act("bob", Direct("ann")) == first == {"group": table.group, "seq": 2}
    assert world.act("ann", Direct("bob")) == {"group": table.group, "seq": 3}
    assert [record.kind for record in table.book.records] == ["created", "joined", "joined"]
    assert {record.user for record in table.book.records} == {"bob"}


def test_both_are_plain_members_of_a_chat_that_nobody_owns(world: World) -> None:
    introduction = Introduce(Profile(name="鲍勃"))
    world.act("bob", introduction)
    table = chat_of(world, Identity("ann", name="安"), "bob")
    assert table.state.direct == ("ann", "bob")
    assert table.state.owner == ""
    names = {user: (member.role, member.name) for user, member in table.state.members.items()}
    assert names == {"ann": (Role.MEMBER, "安"), "bob": (Role.MEMBER, "鲍勃")}
    assert table.book.event(3) == Joined(via="direct", member="bob", name="鲍勃")
    table.act("ann", Post(text="hi"))
    table.act("bob", Post(text="hi yourself"))


def test_a_retry_is_answered_as_before_and_after_a_restart(world: World) -> None:
    request_id = world.new_id()
    first = world.act("ann", Direct("bob"), request_id=request_id)
    Table(world, first["group"]).restart()
    assert world.act("ann", Direct("bob"), request_id=request_id) == first


def test_nobody_chats_with_themselves(world: World) -> None:
    assert refusal(world, "ann", Direct("ann")) == "forbidden: yourself"


@pytest.mark.parametrize(("blocker", "blocked"), [("ann", "bob"), ("bob", "ann")])
def test_a_block_of_either_refuses_it_to_both(world: World, blocker: str, blocked: str) -> None:
    world.act(blocker, Block(blocked))
    for user, other in (("ann", "bob"), ("bob", "ann")):
        assert refusal(world, user, Direct(other)) == "forbidden: blocked"
    assert world.act("ann", Direct("cem"))["seq"] == 2
    world.act(blocker, Unblock(blocked))
    table = chat_of(world, "ann", "bob")
    world.act(blocker, Block(blocked))
    for user, other in (("ann", "bob"), ("bob", "ann")):
        assert refusal(world, user, Direct(other)) == "forbidden: blocked"
        assert outcome(table.refuse(user, Post(text="hi"))) == "forbidden: blocked"


def test_it_takes_no_place_in_any_quota(world: World) -> None:
    world.plans = {"ordinary": Plan(groups_owned_max=1, groups_joined_max=2)}
    for number in range(5):
        world.act("ann", Direct(f"user{number}"))
    table = world.found("ann")
    world.found("bob").act("ann", Join())
    assert world.holdings("ann").owned == [table.group]


def test_what_makes_a_group_is_refused_and_strangers_see_nothing(world: World) -> None:
    table = chat_of(world, "ann", "bob")
    assert outcome(table.refuse("ann", Leave())) == "forbidden: direct"
    for command in (Update(name="ours"), Dissolve()):
        assert table.refuse("ann", command).code == "forbidden"
    for request in (Info(), Join(), Post(text="hi")):
        assert table.refuse("eve", request).code == "not_found"
    assert table.act("bob", Info())["direct"] == ["ann", "bob"]


# --- the id


def test_the_id_is_for_ever() -> None:
    assert ids.direct_id("", "ann", "bob") == "73GG83DKRD6T4GQ9"
    assert ids.direct_id("shop", "王芳", "ann") == "R8X7QV1BQZHRJVYK"


@given(any_users(), any_users(), any_users(), st.text(max_size=5), st.text(max_size=5))
def test_each_pair_of_each_tenant_has_an_id_of_its_own(
    one: str, two: str, three: str, tenant: str, other_tenant: str
) -> None:
    found = ids.direct_id(tenant, one, two)
    assert found == ids.direct_id(tenant, two, one)
    assert len(found) == GROUP_ID_LENGTH
    assert set(found) <= set(ids.ALPHABET)
    if two != three:
        assert found != ids.direct_id(tenant, one, three)
    if tenant != other_tenant:
        assert found != ids.direct_id(other_tenant, one, two)


def test_what_is_next_to_each_other_is_not_one() -> None:
    found = {ids.direct_id(*parts) for parts in (("", "ab", "c"), ("", "a", "bc"), ("a", "b", "c"))}
    assert len(found) == 3


def test_the_request_goes_to_the_chat_of_the_pair_in_the_callers_tenant() -> None:
    key = Direct("bob").address(None, Identity("ann", tenant="shop"))
    assert key == StreamKey(GROUP, "shop", ids.direct_id("shop", "ann", "bob"))


def test_a_plan_has_room_for_so_many_direct_chats_and_old_ones_are_found(world: World) -> None:
    world.plans = {"ordinary": Plan(directs_max=2)}
    for user in ("bob", "cy"):
        world.act("ann", Direct(user))
    with pytest.raises(Rejected) as caught:
        world.act("ann", Direct("dora"))
    assert caught.value.details == {"quota": "directs", "limit": 2, "used": 2}
    world.act("ann", Direct("bob"))
    world.act("dora", Direct("ann"))
