"""Invitations: FEATURES A8, A9. Asking somebody in, adding them at once, and their answer."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groupd.config import CONTENT, Plan
from groupd.domain.account.blocks import Block
from groupd.domain.account.profile import Profiled
from groupd.domain.base import Audience, Identity
from groupd.domain.group.admission import Approve, Decline, RequestExpired
from groupd.domain.group.info import Info
from groupd.domain.group.invitations import (
    AcceptInvite,
    DeclineInvite,
    Invite,
    Invited,
    InviteDeclined,
    InviteExpired,
)
from groupd.domain.group.links import ShareLink
from groupd.domain.group.membership import Join, Joined, Leave, Requested
from groupd.domain.group.moderation import BanUser
from groupd.domain.group.settings import Dissolve, Update
from tests.domain.bench import Table, World, outcome

WEEK_MS = CONTENT.request_lasts_ms
LARGE = {"ordinary": Plan(direct_add_below=0)}
"""A plan under which nobody is added without being asked."""

LEVEL: dict[str, Any] = {"claim": "level", "at_least": 3}


@pytest.fixture
def large(table: Table) -> Table:
    """The table's group, which nobody is added to without being asked."""
    table.world.plans = LARGE
    return table


def introduce(table: Table, user: str, *, name: str = "", plan: str = "") -> None:
    """Let the server have seen a user's token."""
    book = table.world.book(Identity(user).account)
    table.world.write(book, Profiled(name=name, plan=plan), user)


# --- inviting


def test_in_a_large_group_who_is_invited_decides_for_themselves(large: Table) -> None:
    assert large.act("mia", Invite("sam")) == {"status": "invited", "seq": large.seq}
    assert large.book.event() == Invited(member="sam", grants="joined")
    record = large.book.records[-1]
    assert (record.audience, record.followed) == (Audience.ADMINS, True)
    assert "sam" not in large.state.members


def test_inviting_somebody_twice_is_one_invitation(large: Table) -> None:
    first = large.act("mia", Invite("sam"))
    for user in ("mia", "adam"):
        assert large.act(user, Invite("sam")) == first
    assert len(large.state.invitations) == 1


def test_a_retry_is_answered_the_same_whatever_the_user_has_done(large: Table) -> None:
    request_id = large.world.new_id()
    first = large.act("mia", Invite("sam"), request_id)
    large.act("sam", AcceptInvite())
    assert large.act("mia", Invite("sam"), request_id) == first


def test_who_is_a_member_is_joined_and_so_is_the_caller(large: Table) -> None:
    seq = large.seq
    for user in ("adam", "mia"):
        joined_seq = large.state.members[user].joined_seq
        assert large.act("mia", Invite(user)) == {"status": "joined", "seq": joined_seq}
    assert large.seq == seq


@pytest.mark.parametrize(
    ("policy", "inviter", "grants"),
    [
        ("open", "mia", "joined"),
        ("approval", "mia", "pending"),
        ("approval", "adam", "joined"),
        ("invite_only", "mia", "joined"),
    ],
)
def test_an_invitation_grants_no_more_than_its_giver_may(
    large: Table, policy: str, inviter: str, grants: str
) -> None:
    large.act("olga", Update(join_policy=policy))
    large.act(inviter, Invite("sam"))
    assert large.state.invitations["sam"].grants == grants


def test_an_admins_invitation_replaces_one_that_leads_to_approval_and_not_the_other_way(
    large: Table,
) -> None:
    large.act("olga", Update(join_policy="approval"))
    large.act("mia", Invite("sam"))
    second = large.act("adam", Invite("sam"))
    invitation = large.state.invitations["sam"]
    assert (invitation.by, invitation.grants, invitation.seq) == ("adam", "joined", second["seq"])
    assert large.act("mia", Invite("sam")) == second


def test_with_member_invites_off_only_admins_invite(table: Table) -> None:
    table.act("olga", Update(member_invites=False))
    assert outcome(table.refuse("mia", Invite("sam"))) == "forbidden: invites_off"
    assert table.act("adam", Invite("sam"))["status"] == "joined"
    assert outcome(table.refuse("stranger", Invite("sue"))) == "forbidden: not_member"


def test_who_is_banned_is_not_invited(table: Table) -> None:
    table.act("olga", BanUser("sam"))
    assert outcome(table.refuse("adam", Invite("sam"))) == "forbidden: banned"


def test_who_has_blocked_the_caller_is_left_alone(table: Table) -> None:
    table.world.act("sam", Block("mia"))
    table.world.act("adam", Block("sam"))
    assert outcome(table.refuse("mia", Invite("sam"))) == "forbidden: blocked"
    # One's own block is no reason against inviting somebody.
    assert table.act("adam", Invite("sam"))["status"] == "joined"


def test_so_many_are_invited_at_a_time_and_no_more(large: Table) -> None:
    for number in range(CONTENT.invitations_max):
        large.happen(Invited(member=f"u{number}"), "mia")
    error = large.refuse("mia", Invite("sam"))
    limit = CONTENT.invitations_max
    assert error.details == {"quota": "invitations", "limit": limit, "used": limit}
    assert large.act("mia", Invite("u3"))["status"] == "invited"
    large.act("u3", DeclineInvite())
    large.act("mia", Invite("sam"))


# --- who has asked already


def test_an_admin_who_invites_somebody_that_waits_lets_them_in(large: Table) -> None:
    large.act("olga", Update(join_policy="approval"))
    code = large.act("mia", ShareLink(channel="qq"))["code"]
    large.act(Identity("sam", name="山姆"), Join(code=code))
    answer = large.act("adam", Invite("sam"))
    assert answer == {"status": "joined", "seq": large.seq}
    assert large.book.event() == Joined(
        via="approval", name="山姆", member="sam", link=1, channel="qq", sharer="mia"
    )


def test_a_member_who_invites_somebody_that_waits_changes_nothing_and_learns_nothing(
    large: Table,
) -> None:
    code = large.act("adam", ShareLink(uses_max=1, approval=True))["code"]
    for user in ("sam", "sue"):
        seq = large.act(user, Join(code=code))["seq"]
    large.act("adam", Approve("sam"))
    before = large.seq
    assert large.act("mia", Invite("sue")) == {"status": "invited", "seq": seq}
    assert large.seq == before


def test_inviting_somebody_that_waits_is_bound_by_what_binds_an_approval(large: Table) -> None:
    large.act("olga", Update(join_policy="approval"))
    code = large.act("adam", ShareLink(uses_max=1, approval=True))["code"]
    for user in ("sam", "sue"):
        large.act(user, Join(code=code))
    large.act("adam", Invite("sam"))
    assert outcome(large.refuse("adam", Invite("sue"))) == "conflict: link_used_up"
    large.world.plans = {"ordinary": Plan(members_max=4, direct_add_below=0)}
    large.act("tom", Join())
    assert large.refuse("adam", Invite("tom")).code == "group_full"
    large.world.now_ms += WEEK_MS
    large.act("mia", Leave())
    assert outcome(large.refuse("adam", Invite("tom"))) == "conflict: state"


# --- adding at once


def test_in_a_small_group_who_is_invited_is_added_with_the_name_of_their_profile(
    table: Table,
) -> None:
    introduce(table, "sam", name="山姆")
    assert table.act("mia", Invite("sam")) == {"status": "joined", "seq": table.seq}
    assert table.book.event() == Joined(via="added", name="山姆", member="sam")
    table.act("mia", Invite("unseen"))
    assert table.state.members["unseen"].name == ""


@pytest.mark.parametrize(("below", "status"), [(3, "invited"), (4, "joined")])
def test_the_plan_says_below_which_size_users_are_added(
    table: Table, below: int, status: str
) -> None:
    table.world.plans = {"ordinary": Plan(direct_add_below=below)}
    assert table.act("adam", Invite("sam"))["status"] == status


@pytest.mark.parametrize(
    ("settings", "inviter", "status"),
    [
        ({"join_policy": "invite_only"}, "mia", "joined"),
        ({"join_policy": "approval"}, "mia", "invited"),
        ({"join_policy": "approval"}, "adam", "joined"),
        ({"conditions": LEVEL}, "mia", "invited"),
        ({"conditions": LEVEL}, "olga", "joined"),
    ],
)
def test_a_plain_member_adds_nobody_whom_the_settings_would_hold_up(
    table: Table, settings: dict[str, Any], inviter: str, status: str
) -> None:
    table.act("olga", Update(**settings))
    assert table.act(inviter, Invite("sam"))["status"] == status


def test_who_is_in_as_many_groups_as_they_may_is_not_added_to_another(table: Table) -> None:
    table.world.found("zoe", members=["sam", "sue"])
    introduce(table, "sue", plan="vip")
    table.world.plans = {"ordinary": Plan(groups_joined_max=1), "vip": Plan(groups_joined_max=2)}
    assert table.act("adam", Invite("sam"))["status"] == "invited"
    assert table.act("adam", Invite("sue"))["status"] == "joined"


def test_nobody_is_added_to_a_full_group_but_they_can_be_invited(table: Table) -> None:
    table.world.plans = {"ordinary": Plan(members_max=3)}
    assert table.refuse("adam", Invite("sam")).to_wire()["limit"] == 3
    table.world.plans = {"ordinary": Plan(members_max=3, direct_add_below=0)}
    assert table.act("adam", Invite("sam"))["status"] == "invited"
    assert table.refuse("sam", AcceptInvite()).code == "group_full"
    table.act("mia", Leave())
    assert table.act("sam", AcceptInvite())["status"] == "joined"


# --- answering


@pytest.mark.parametrize("request_class", [AcceptInvite, Join])
def test_who_is_invited_comes_in_by_accepting_or_joining(large: Table, request_class: Any) -> None:
    large.act("olga", Update(join_policy="invite_only", discoverable=False))
    large.act("mia", Invite("sam"))
    large.act("sam", Info())
    answer = large.act(Identity("sam", name="山姆"), request_class())
    assert answer == {"status": "joined", "group": large.group, "seq": large.seq}
    assert large.book.event() == Joined(via="invite", name="山姆", sharer="mia")
    assert not large.state.invitations
    assert large.act("sam", AcceptInvite()) == answer


def test_accepting_an_invitation_that_leads_to_approval_makes_a_request(large: Table) -> None:
    large.act("olga", Update(join_policy="approval"))
    large.act("mia", Invite("sam"))
    answer = large.act("sam", AcceptInvite())
    assert answer == {"status": "pending", "group": large.group, "seq": large.seq}
    assert large.book.event() == Requested(via="invite", sharer="mia")
    assert not large.state.invitations
    assert large.act("sam", AcceptInvite()) == answer
    large.act("adam", Approve("sam"))
    assert large.book.event() == Joined(via="approval", member="sam", sharer="mia")


def test_who_is_not_invited_cannot_accept_or_decline(large: Table) -> None:
    for request in (AcceptInvite(), DeclineInvite()):
        assert outcome(large.refuse("sam", request)) == "forbidden: not_invited"
    large.act("olga", Update(discoverable=False))
    for request in (AcceptInvite(), DeclineInvite()):
        assert large.refuse("sam", request).code == "not_found"


def test_an_invitation_can_be_declined_and_given_again(large: Table) -> None:
    large.act("mia", Invite("sam"))
    assert large.act("sam", DeclineInvite()) == {"seq": large.seq}
    assert large.book.event() == InviteDeclined()
    assert outcome(large.refuse("sam", AcceptInvite())) == "forbidden: not_invited"
    assert large.act("mia", Invite("sam"))["status"] == "invited"


def test_an_invitation_goes_before_a_link_and_a_link_before_the_policy(large: Table) -> None:
    code = large.act("adam", ShareLink(channel="qq", approval=True))["code"]
    large.act("mia", Invite("sam"))
    large.act("sam", Join(code=code))
    assert large.book.event() == Joined(via="invite", sharer="mia")
    assert large.act("sue", Join(code=code))["status"] == "pending"
    assert large.act("tom", Join())["status"] == "joined"


def test_of_two_ways_the_one_that_leads_in_at_once_is_taken(large: Table) -> None:
    code = large.act("adam", ShareLink())["code"]
    large.act("olga", Update(join_policy="approval"))
    for user in ("sam", "sue", "tom"):
        large.act("mia", Invite(user))
    large.act("sam", Join(code=code))
    assert large.book.event() == Joined(via="link", link=1, sharer="adam")
    large.act("sue", Join())
    assert large.book.event() == Requested(via="invite", sharer="mia")
    large.act("olga", Update(join_policy="open"))
    large.act("tom", Join())
    assert large.book.event() == Joined(via="search")


def test_a_dead_link_does_not_stop_who_is_invited(large: Table) -> None:
    code = large.act("adam", ShareLink(uses_max=1))["code"]
    large.act("tom", Join(code=code))
    large.act("mia", Invite("sam"))
    assert large.act("sam", Join(code=code))["status"] == "joined"
    assert large.state.links[1].uses == 1


def test_who_is_banned_after_being_invited_stays_out(large: Table) -> None:
    large.act("mia", Invite("sam"))
    large.act("olga", BanUser("sam"))
    for request in (AcceptInvite(), Join()):
        assert outcome(large.refuse("sam", request)).startswith("forbidden")
    assert "sam" not in large.state.members


def test_who_is_invited_meets_the_condition_or_does_not_get_in(large: Table) -> None:
    large.act("olga", Update(conditions=LEVEL))
    large.act("adam", Invite("sam"))
    assert outcome(large.refuse("sam", AcceptInvite())) == "forbidden: condition"
    sam = Identity("sam", claims={"level": 3})
    assert large.act(sam, AcceptInvite())["status"] == "joined"


def test_a_members_invitation_is_no_way_round_the_cooldown_and_an_admins_is(large: Table) -> None:
    large.act("olga", Update(join_policy="approval"))
    large.act("sam", Join())
    large.act("adam", Decline("sam"))
    large.act("mia", Invite("sam"))
    assert outcome(large.refuse("sam", AcceptInvite())) == "rate_limited: cooldown"
    large.act("adam", Invite("sam"))
    assert large.act("sam", AcceptInvite())["status"] == "joined"


# --- time


def test_an_invitation_stands_for_seven_days(large: Table) -> None:
    large.act("mia", Invite("sam"))
    assert large.deadline_ms() == large.world.now_ms + WEEK_MS
    large.world.now_ms += WEEK_MS - 1
    assert large.wake() == []
    large.world.now_ms += 1
    # Whoever is faster than the server's own event does not get round it.
    assert outcome(large.refuse("sam", AcceptInvite())) == "forbidden: not_invited"
    assert large.wake() == [InviteExpired(member="sam")]
    assert large.deadline_ms() is None


def test_inviting_somebody_anew_begins_the_seven_days_anew(large: Table) -> None:
    large.act("mia", Invite("sam"))
    large.act("mia", Invite("sue"))
    large.world.now_ms += WEEK_MS
    second = large.act("mia", Invite("sam"))
    assert list(large.state.invitations) == ["sue", "sam"]
    assert large.wake() == [InviteExpired(member="sue")]
    assert large.state.invitations["sam"].seq == second["seq"]


def test_of_all_that_waits_the_first_to_be_over_is_the_next_deadline(large: Table) -> None:
    large.act("olga", Update(join_policy="approval"))
    start = large.world.now_ms
    large.act("mia", Invite("sam"))
    large.world.now_ms += 10
    large.act("sue", Join())
    large.act("mia", ShareLink(expires_in_ms=WEEK_MS))
    assert large.deadline_ms() == start + WEEK_MS
    large.act("sam", DeclineInvite())
    assert large.deadline_ms() == start + 10 + WEEK_MS
    large.world.now_ms = start + 10 + WEEK_MS
    kinds = [type(event).kind for event in large.wake()]
    assert kinds == ["link_revoked", "request_expired"]
    assert large.book.event() == RequestExpired(member="sue")


def test_in_a_dissolved_group_nobody_is_invited_or_accepts(large: Table) -> None:
    large.act("mia", Invite("sam"))
    large.act("olga", Dissolve())
    for user, request in (("sam", AcceptInvite()), ("mia", Invite("sue"))):
        assert outcome(large.refuse(user, request)) == "conflict: state"


# --- the quota of groups


@given(room=st.integers(1, 3), moves=st.lists(st.sampled_from("jai"), min_size=1, max_size=8))
def test_by_no_way_of_their_own_does_anybody_come_into_more_groups_than_their_plan_has(
    room: int, moves: list[str]
) -> None:
    world = World(plans={"ordinary": Plan(groups_owned_max=99, groups_joined_max=room)})
    big = Plan(groups_owned_max=99, groups_joined_max=99, direct_add_below=0)
    world.plans = {**world.plans, "big": big}
    refused = 0
    for move in moves:
        table = world.found(
            Identity("olga", plan="big"), join_policy="open" if move == "j" else "approval"
        )
        if move == "i":
            table.act("olga", Invite("sam"))
        request = AcceptInvite() if move == "i" else Join()
        if world.holdings("sam").joined < room:
            table.act("sam", request)
            table.act("sam", request)
        else:
            error = table.refuse("sam", request)
            assert error.details == {"quota": "groups_joined", "limit": room, "used": room}
            refused += 1
        assert world.holdings("sam").joined <= room
    assert refused == max(0, len(moves) - room)
