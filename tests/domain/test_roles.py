"""Roles, nicknames, and handing a group over: FEATURES A15."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from groupd.config import CONTENT, Plan
from groupd.domain.base import Audience, Event, Identity, Role
from groupd.domain.group.info import Info
from groupd.domain.group.membership import Leave
from groupd.domain.group.moderation import BanUser, Kick, Mute
from groupd.domain.group.nicknames import Nicknamed, SetNickname
from groupd.domain.group.roles import (
    AcceptTransfer,
    DeclineTransfer,
    RoleSet,
    SetRole,
    Transfer,
    TransferDeclined,
    TransferExpired,
    TransferOffered,
    Transferred,
)
from groupd.domain.group.settings import Dissolve
from groupd.domain.projection import PutCard, SetMember
from groupd.errors import Rejected
from tests.domain.bench import Table, World, outcome

LASTS_MS = CONTENT.request_lasts_ms


def newest(table: Table) -> tuple[Event, Any, Any]:
    """Give the newest event, whose view it changes and what it changes in the index."""
    event, record = table.book.event(), table.book.records[-1]
    return event, event.views(record), event.project(record)


def roles(table: Table) -> dict[str, str]:
    return {user: member.role.label for user, member in table.state.members.items()}


def leave(table: Table, user: str) -> None:
    """Let somebody leave, the owner as well."""
    table.world.owner_leaves = "heir"
    table.act(user, Leave())


# --- roles


def test_the_owner_makes_a_member_an_admin_and_takes_it_back(table: Table) -> None:
    assert table.act("olga", SetRole("mia", "admin")) == {"seq": table.seq}
    assert table.state.role_of("mia") is Role.ADMIN
    assert newest(table) == (
        RoleSet("mia", "admin"),
        (("mia", Audience.ADMINS),),
        (SetMember("mia", {"role": Role.ADMIN}),),
    )
    table.act("olga", SetRole("mia", "member"))
    assert table.state.role_of("mia") is Role.MEMBER
    assert newest(table)[1] == (("mia", Audience.MEMBERS),)


def test_setting_a_role_that_one_has_gives_the_seq_at_which_one_got_it(table: Table) -> None:
    joined = table.state.members["mia"].joined_seq
    assert table.act("olga", SetRole("mia", "member")) == {"seq": joined}
    first = table.act("olga", SetRole("mia", "admin"))
    table.act("olga", SetRole("adam", "member"))
    head = table.seq
    table.restart()
    assert table.act("olga", SetRole("mia", "admin")) == first
    assert table.seq == head


def test_the_owners_own_role_is_not_set(table: Table) -> None:
    assert outcome(table.refuse("olga", SetRole("olga", "admin"))) == "forbidden: yourself"


def test_only_members_have_roles_and_nobody_is_made_owner(table: Table) -> None:
    assert table.refuse("olga", SetRole("sam", "admin")).code == "not_found"
    with pytest.raises(Rejected):
        SetRole("mia", "owner")


def test_there_are_as_many_admins_as_the_plan_says(table: Table) -> None:
    table.world.plans = {"ordinary": Plan(admins_max=2)}
    table.admit("bob")
    table.act("olga", SetRole("mia", "admin"))
    refusal = table.refuse("olga", SetRole("bob", "admin"))
    assert refusal.details == {"quota": "admins", "limit": 2, "used": 2}
    table.act("olga", SetRole("mia", "admin"))
    table.act("olga", SetRole("adam", "member"))
    table.act("olga", SetRole("bob", "admin"))


# --- nicknames


def test_members_name_themselves_and_take_it_away(table: Table) -> None:
    assert table.act("mia", SetNickname(" 小米 ")) == {"seq": table.seq}
    assert newest(table) == (
        Nicknamed("", "小米"),
        (),
        (SetMember("mia", {"nickname": "小米"}),),
    )
    assert table.act("mia", Info())["nickname"] == "小米"
    assert "nickname" not in table.act("olga", Info())
    table.act("mia", SetNickname(""))
    assert "nickname" not in table.act("mia", Info())


def test_a_nickname_that_one_has_already_is_no_event(table: Table) -> None:
    assert table.act("mia", SetNickname("")) == {"seq": table.state.members["mia"].joined_seq}
    first = table.act("mia", SetNickname("小米"))
    table.act("olga", Mute("mia", 1_000))
    head = table.seq
    table.restart()
    assert table.act("adam", SetNickname("小米", "mia")) == first
    assert table.seq == head


def test_admins_name_those_below_them(table: Table) -> None:
    table.act("adam", SetNickname("小米", "mia"))
    assert table.book.event() == Nicknamed("mia", "小米")
    assert table.state.members["mia"].nickname == "小米"
    table.act("adam", SetNickname("亚当", "adam"))
    assert table.book.event() == Nicknamed("", "亚当")
    assert outcome(table.refuse("adam", SetNickname("x", "olga"))) == "forbidden: rank"
    assert outcome(table.refuse("mia", SetNickname("x", "adam"))) == "forbidden: role"
    assert table.refuse("adam", SetNickname("x", "sam")).code == "not_found"
    assert outcome(table.refuse("sam", SetNickname("x"))) == "forbidden: not_member"


# --- offering


def test_an_offer_changes_nothing_but_is_seen_by_those_it_concerns(table: Table) -> None:
    assert table.act("olga", Transfer("mia")) == {"seq": table.seq}
    assert newest(table) == (TransferOffered("mia"), (), ())
    record = table.book.records[-1]
    assert (record.audience, record.followed) == (Audience.ADMINS, True)
    assert (table.state.owner, table.state.role_of("mia")) == ("olga", Role.MEMBER)
    table.admit("bob")
    offer = {"user": "mia", "at_ms": table.world.now_ms}
    for user in ("olga", "adam", "mia"):
        assert table.act(user, Info())["offer"] == offer
    assert "offer" not in table.act("bob", Info())


def test_offering_again_to_the_same_is_no_event_and_to_another_replaces(table: Table) -> None:
    first = table.act("olga", Transfer("mia"))
    head = table.seq
    assert table.act("olga", Transfer("mia")) == first
    assert table.seq == head
    table.act("olga", Transfer("adam"))
    assert outcome(table.refuse("mia", AcceptTransfer())) == "conflict: state"
    table.act("adam", AcceptTransfer())
    assert table.state.owner == "adam"


def test_a_group_is_offered_by_its_owner_to_another_member(table: Table) -> None:
    assert outcome(table.refuse("olga", Transfer("olga"))) == "forbidden: yourself"
    assert table.refuse("olga", Transfer("sam")).code == "not_found"
    assert outcome(table.refuse("adam", Transfer("mia"))) == "forbidden: role"


# --- accepting


def test_accepting_makes_an_owner_and_the_former_one_an_admin(table: Table) -> None:
    table.act("olga", Transfer("mia"))
    assert table.act("mia", AcceptTransfer()) == {"seq": table.seq}
    assert roles(table) == {"olga": "admin", "adam": "admin", "mia": "owner"}
    assert newest(table) == (
        Transferred("olga"),
        (("olga", Audience.ADMINS), ("mia", Audience.ADMINS)),
        (
            SetMember("olga", {"role": Role.ADMIN}),
            SetMember("mia", {"role": Role.OWNER, "muted_until_ms": 0}),
            PutCard({"owner": "mia"}),
        ),
    )
    assert table.book.records[-1].followed
    assert table.act("sam", Info())["owner"] == "mia"
    assert (table.state.owner, table.state.offer) == ("mia", None)


def test_accepting_twice_gives_the_same_seq_and_founders_have_accepted_nothing(
    table: Table,
) -> None:
    assert outcome(table.refuse("olga", AcceptTransfer())) == "conflict: state"
    table.act("olga", Transfer("mia"))
    first = table.act("mia", AcceptTransfer())
    head = table.seq
    table.restart()
    assert table.act("mia", AcceptTransfer()) == first
    assert table.seq == head
    assert outcome(table.refuse("olga", AcceptTransfer())) == "conflict: state"


def test_who_owns_as_many_groups_as_their_plan_allows_cannot_accept(table: Table) -> None:
    table.world.plans = {"ordinary": Plan(), "small": Plan(groups_owned_max=1)}
    mia = Identity("mia", plan="small")
    own = table.world.found(mia)
    table.act("olga", Transfer("mia"))
    refusal = table.refuse(mia, AcceptTransfer())
    assert refusal.code == "quota_exceeded"
    assert refusal.details == {"quota": "groups_owned", "limit": 1, "used": 1}
    own.act(mia, Dissolve())
    table.act(mia, AcceptTransfer())
    # Owning it now is no reason to refuse a repetition.
    table.act(mia, AcceptTransfer())


def test_a_new_owner_is_not_muted_since_nobody_could_end_it(table: Table) -> None:
    table.act("adam", Mute("mia", 1_000))
    table.act("olga", Transfer("mia"))
    table.act("mia", AcceptTransfer())
    assert table.state.members["mia"].muted_until_ms == 0


# --- the end of an offer


def test_an_offer_can_be_accepted_until_just_before_its_end(table: Table) -> None:
    table.act("olga", Transfer("mia"))
    ends_ms = table.world.now_ms + LASTS_MS
    assert table.deadline_ms() == ends_ms
    table.world.now_ms = ends_ms
    assert outcome(table.refuse("mia", AcceptTransfer())) == "conflict: state"
    assert outcome(table.refuse("olga", DeclineTransfer())) == "conflict: state"
    assert "offer" not in table.act("olga", Info())
    table.world.now_ms -= 1
    table.act("mia", AcceptTransfer())


def test_an_offer_that_nobody_answers_expires(table: Table) -> None:
    table.act("olga", Transfer("mia"))
    table.world.now_ms += LASTS_MS - 1
    assert table.due() == []
    table.world.now_ms += 1
    assert table.wake() == [TransferExpired("mia")]
    record = table.book.records[-1]
    assert (record.user, record.audience, record.followed) == ("", Audience.ADMINS, True)
    assert (table.state.offer, table.state.passed_over) == (None, {})
    assert table.deadline_ms() is None


def test_the_heir_declines_and_the_owner_takes_it_back(table: Table) -> None:
    for user in ("mia", "olga"):
        table.act("olga", Transfer("mia"))
        assert table.act(user, DeclineTransfer()) == {"seq": table.seq}
        assert table.book.event() == TransferDeclined("mia")
        assert table.book.records[-1].followed
        assert outcome(table.refuse("mia", AcceptTransfer())) == "conflict: state"
        assert outcome(table.refuse(user, DeclineTransfer())) == "conflict: state"


def test_nobody_else_declines(table: Table) -> None:
    table.act("olga", Transfer("mia"))
    assert outcome(table.refuse("adam", DeclineTransfer())) == "conflict: state"
    assert outcome(table.refuse("sam", DeclineTransfer())) == "forbidden: not_member"


@pytest.mark.parametrize("goes", ["leaves", "kicked", "banned"])
def test_an_heir_who_is_no_member_any_more_has_no_offer(table: Table, goes: str) -> None:
    table.act("olga", Transfer("mia"))
    if goes == "leaves":
        leave(table, "mia")
    else:
        table.act("adam", Kick("mia") if goes == "kicked" else BanUser("mia"))
    assert table.state.offer is None
    assert table.book.event().kind in ("left", "kicked", "banned")
    table.admit("mia")
    assert outcome(table.refuse("mia", AcceptTransfer())) == "conflict: state"


def test_a_dissolved_group_is_offered_to_nobody(table: Table) -> None:
    table.act("olga", Transfer("mia"))
    table.act("olga", Dissolve())
    table.world.now_ms += LASTS_MS
    assert (table.deadline_ms(), table.due()) == (None, [])
    assert outcome(table.refuse("mia", AcceptTransfer())) == "conflict: state"


# --- a group without an owner


@pytest.fixture
def orphaned(table: Table) -> Table:
    """A group whose owner has left: bob is a member, adam the oldest admin, zoe another."""
    table.admit("zoe", Role.ADMIN)
    table.admit("bob")
    leave(table, "olga")
    return table


def heir(table: Table) -> str | None:
    return None if table.state.offer is None else table.state.offer.heir


def test_it_is_offered_to_the_oldest_admin_then_to_the_oldest_member(orphaned: Table) -> None:
    assert (orphaned.state.owner, orphaned.act("sam", Info())["owner"]) == ("", "")
    asked = []
    while (user := heir(orphaned)) is not None:
        asked.append(user)
        orphaned.act(user, DeclineTransfer())
    assert asked == ["adam", "zoe", "mia", "bob"]
    assert (orphaned.due(), orphaned.deadline_ms()) == ([], None)


def test_an_offer_that_expires_passes_on(orphaned: Table) -> None:
    orphaned.world.now_ms += LASTS_MS
    assert orphaned.wake() == [TransferExpired("adam"), TransferOffered("zoe")]
    orphaned.restart()
    assert heir(orphaned) == "zoe"
    assert outcome(orphaned.refuse("adam", AcceptTransfer())) == "conflict: state"
    for _ in range(3):
        orphaned.world.now_ms += LASTS_MS
        orphaned.wake()
    assert (orphaned.due(), orphaned.deadline_ms()) == ([], None)


@pytest.mark.parametrize("goes", ["leaves", "kicked", "banned"])
def test_when_the_candidate_goes_it_is_the_next_ones_turn(orphaned: Table, goes: str) -> None:
    for user in ("adam", "zoe"):
        orphaned.act(user, DeclineTransfer())
    if goes == "leaves":
        leave(orphaned, "mia")
    else:
        orphaned.act("adam", Kick("mia") if goes == "kicked" else BanUser("mia"))
    assert heir(orphaned) == "bob"
    leave(orphaned, "zoe")
    assert heir(orphaned) == "bob"


def test_whoever_joins_after_all_have_declined_is_asked(orphaned: Table) -> None:
    for user in ("adam", "zoe", "mia", "bob"):
        orphaned.act(user, DeclineTransfer())
    orphaned.admit("sam")
    deadline_ms = orphaned.deadline_ms()
    assert deadline_ms is not None
    assert deadline_ms <= orphaned.world.now_ms
    assert orphaned.wake() == [TransferOffered("sam")]
    orphaned.act("sam", AcceptTransfer())
    assert roles(orphaned)["sam"] == "owner"
    assert orphaned.state.passed_over == {}


def test_accepting_ends_the_search(orphaned: Table) -> None:
    orphaned.act("adam", AcceptTransfer())
    assert newest(orphaned) == (
        Transferred(""),
        (("adam", Audience.ADMINS),),
        (
            SetMember("adam", {"role": Role.OWNER, "muted_until_ms": 0}),
            PutCard({"owner": "adam"}),
        ),
    )
    orphaned.act("adam", Transfer("zoe"))
    orphaned.act("zoe", DeclineTransfer())
    assert (heir(orphaned), orphaned.due()) == (None, [])


def test_whom_the_owner_has_offered_it_to_before_leaving_keeps_the_offer(table: Table) -> None:
    table.act("olga", Transfer("mia"))
    leave(table, "olga")
    assert (heir(table), table.book.event().kind) == ("mia", "left")
    table.act("mia", AcceptTransfer())
    assert roles(table) == {"adam": "admin", "mia": "owner"}


ENDS = ("declines", "expires", "leaves", "is kicked", "joins", "a restart")


@settings(max_examples=60)
@given(
    ranks=st.lists(st.sampled_from((Role.MEMBER, Role.ADMIN)), max_size=6),
    ends=st.lists(st.sampled_from(ENDS), max_size=14),
)
def test_the_search_for_an_heir_asks_each_candidate_at_most_once(
    ranks: list[Role], ends: list[str]
) -> None:
    world = World()
    table = world.found("ann")
    for number, rank in enumerate(ranks):
        table.admit(f"user{number}", rank)
    table.admit("boss", Role.ADMIN)
    leave(table, "ann")
    for number, end in enumerate(ends):
        user = heir(table)
        if end == "joins":
            table.admit(f"late{number}")
        elif end == "a restart":
            table.restart()
        elif user is None:
            break
        elif end == "declines":
            table.act(user, DeclineTransfer())
        elif end == "expires":
            world.now_ms += LASTS_MS
        elif end == "leaves":
            leave(table, user)
        elif table.state.role_of(user) is Role.MEMBER and table.state.role_of("boss"):
            table.act("boss", Kick(user))
        if table.state.dissolved:
            break
        table.wake()
        waiting = [u for u in table.state.members if u not in table.state.passed_over]
        assert (heir(table) is None) == (not waiting)
        if end == "declines":
            assert table.state.passed_over.keys() <= table.state.members.keys()
    events = [table.book.event(record.seq) for record in table.book.records]
    asked = [event.member for event in events if isinstance(event, TransferOffered)]
    assert len(asked) == len(set(asked))
    assert table.book.replayed(restart_at={3, 5, 8}) == table.state


# --- several groups

USERS = ("ann", "bob", "cem")
MOVES = ("found", "transfer", "transfer", "accept", "accept", "decline", "dissolve", "wait")
moves = st.tuples(
    st.sampled_from(USERS), st.sampled_from(MOVES), st.integers(0, 5), st.sampled_from(USERS)
)


@settings(max_examples=100)
@given(steps=st.lists(moves, min_size=5, max_size=40))
def test_being_given_groups_is_no_way_around_the_quota(
    steps: list[tuple[str, str, int, str]],
) -> None:
    world = World(plans={"ordinary": Plan(groups_owned_max=2)})
    tables: list[Table] = []
    for user, move, number, other in steps:
        table = tables[number % len(tables)] if tables else None
        try:
            if move == "found":
                tables.append(world.found(user, members=[u for u in USERS if u != user]))
            elif table is not None and move != "wait":
                made = {
                    "transfer": Transfer(other),
                    "accept": AcceptTransfer(),
                    "decline": DeclineTransfer(),
                    "dissolve": Dissolve(),
                }
                table.act(user, made[move])
            else:
                world.now_ms += LASTS_MS // 2
        except Rejected as refusal:
            if refusal.code == "quota_exceeded":
                assert len(world.holdings(user).owned) == 2
        for each in USERS:
            assert len(world.holdings(each).owned) <= 2
        for each_table in tables:
            owners = [u for u, role in roles(each_table).items() if role == "owner"]
            assert owners == [each_table.state.owner]
