"""Purchase invites: FEATURES C1. Once for each customer and group, whatever comes after."""

from __future__ import annotations

import attrs
import pytest

from groupd.config import CONTENT, PLANS
from groupd.domain.base import SERVER
from groupd.domain.group.admission import Decline
from groupd.domain.group.invitations import (
    AcceptInvite,
    DeclineInvite,
    Invite,
    Invited,
    InviteExpired,
)
from groupd.domain.group.membership import Join, Leave
from groupd.domain.group.moderation import BanUser, Kick, Unban
from groupd.domain.group.orders import InviteCustomer, Ordered
from groupd.domain.group.settings import Dissolve, Update
from groupd.domain.projection import CUSTOMER, Tie
from tests.domain.bench import Table, World, outcome


def order(table: Table, order: str, user: str = "sam") -> str:
    status: str = table.act(SERVER, InviteCustomer(user, order))["status"]
    return status


def invitations(table: Table) -> int:
    return sum(record.kind == "invited" for record in table.book.records)


def test_a_customer_is_invited_and_never_added_also_in_a_small_group(table: Table) -> None:
    assert order(table, "o-1") == "invited"
    assert "sam" not in table.state.members
    assert table.act("sam", AcceptInvite())["status"] == "joined"


def test_an_order_that_is_told_of_again_has_the_same_answer_and_invites_nobody(
    table: Table,
) -> None:
    first = table.act(SERVER, InviteCustomer("sam", "o-1"))
    seq = table.seq
    table.world.now_ms += 20 * 366 * 86_400_000
    table.restart()
    assert table.act(SERVER, InviteCustomer("sam", "o-1")) == first
    assert table.seq == seq


def test_another_order_of_the_same_customer_invites_nobody(table: Table) -> None:
    order(table, "o-1")
    assert [order(table, f"o-{number}") for number in (2, 3)] == ["before", "before"]
    assert order(table, "o-1", "sue") == "invited", "but another customer is"
    assert invitations(table) == 2


@pytest.mark.parametrize("end", ["declined", "ran out", "left", "kicked", "banned and forgiven"])
def test_whoever_was_dealt_with_is_not_asked_again(table: Table, end: str) -> None:
    order(table, "o-1")
    match end:
        case "declined":
            table.act("sam", DeclineInvite())
        case "ran out":
            table.happen(InviteExpired(member="sam"))
        case "left":
            table.act("sam", AcceptInvite())
            table.act("sam", Leave())
        case "kicked":
            table.act("sam", AcceptInvite())
            table.act("olga", Kick("sam"))
        case "banned and forgiven":
            table.act("olga", BanUser("sam"))
            assert order(table, "o-2") == "before", "also while they are banned"
            table.act("olga", Unban("sam"))
    assert order(table, "o-1") == "invited", "what it has come to then"
    assert order(table, "o-3") == "before"
    assert invitations(table) == 1
    assert "sam" not in table.state.invitations


def test_a_member_who_orders_and_leaves_is_not_called_back(table: Table) -> None:
    assert order(table, "o-1", "mia") == "joined"
    table.act("mia", Leave())
    assert order(table, "o-2", "mia") == "before"
    assert invitations(table) == 0


def test_who_has_asked_to_join_waits_for_an_admin_as_before(table: Table) -> None:
    table.act("olga", Update(join_policy="approval"))
    table.act("sam", Join())
    assert order(table, "o-1") == "pending"
    table.act("olga", Decline("sam"))
    assert order(table, "o-2") == "before"


def test_who_is_invited_by_an_admin_keeps_that_invitation(table: Table) -> None:
    plans = dict(PLANS)
    plans["ordinary"] = attrs.evolve(plans["ordinary"], direct_add_below=0)
    table.world.plans = plans
    table.act("adam", Invite("sam"))
    seq = table.state.invitations["sam"].seq
    assert order(table, "o-1") == "invited"
    assert table.state.invitations["sam"].seq == seq


def test_an_invitation_that_leads_to_approval_is_bettered(table: Table) -> None:
    table.happen(Invited(member="sam", grants="pending"), "mia")
    order(table, "o-1")
    assert table.state.invitations["sam"].grants == "joined"


def test_an_order_lets_in_past_approval_and_invite_only(world: World) -> None:
    for policy in ("approval", "invite_only"):
        table = world.found("ann", join_policy=policy)
        order(table, "o-1")
        assert table.act("sam", AcceptInvite())["status"] == "joined"


def test_who_is_banned_is_not_invited_and_may_be_later(table: Table) -> None:
    table.act("olga", BanUser("sam"))
    assert outcome(table.refuse(SERVER, InviteCustomer("sam", "o-1"))) == "forbidden: banned"
    table.act("olga", Unban("sam"))
    assert order(table, "o-1") == "invited"


def test_a_full_group_invites_nobody_and_later_it_may(table: Table) -> None:
    full = attrs.evolve(PLANS["ordinary"], members_max=len(table.state.members))
    table.world.plans = {**PLANS, "ordinary": full}
    error = table.refuse(SERVER, InviteCustomer("sam", "o-1"))
    assert (error.code, error.details) == ("group_full", {"limit": full.members_max})
    assert order(table, "o-1", "mia") == "joined", "a member takes no room"
    table.world.plans = PLANS
    assert order(table, "o-1") == "invited"
    table.world.plans = {**PLANS, "ordinary": full}
    assert order(table, "o-1") == "invited", "a retry is answered as before"


def test_no_more_are_invited_than_may_wait(table: Table) -> None:
    for number in range(CONTENT.invitations_max):
        table.happen(Invited(member=f"u{number}"))
    error = table.refuse(SERVER, InviteCustomer("sam", "o-1"))
    assert error.details["quota"] == "invitations"
    assert order(table, "o-1", "u3") == "invited"


def test_a_dissolved_group_refuses(table: Table) -> None:
    table.act("olga", Dissolve())
    assert outcome(table.refuse(SERVER, InviteCustomer("sam", "o-1"))) == "conflict: state"


def test_a_customer_is_remembered_in_the_index_and_not_in_memory(table: Table) -> None:
    before = table.state.dump()
    table.happen(Ordered("sam", "o-1", "joined"))
    assert table.world.tie(table.book, CUSTOMER, "sam") == Tie(table.seq, "joined", "o-1")
    assert table.state.dump()[1:] == before[1:]
