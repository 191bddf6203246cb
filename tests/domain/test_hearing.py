"""What an account hears of groups: once, whatever is repeated."""

from __future__ import annotations

from typing import Any

import pytest

from groupd.config import Plan
from groupd.domain.account.hearing import HEARD, HEARERS, Added, HasDissolved, HasLeft, Hear
from groupd.domain.account.state import HEARD_MAX
from groupd.domain.base import GROUP, Identity
from groupd.domain.catalog import EVENTS
from groupd.domain.group.admission import Approve, Decline, Withdraw
from groupd.domain.group.direct import Direct
from groupd.domain.group.invitations import DeclineInvite, Invite
from groupd.domain.group.membership import Join, Leave
from groupd.domain.group.messages import Post
from groupd.domain.group.moderation import BanUser, Kick, Unban
from groupd.domain.group.roles import AcceptTransfer, DeclineTransfer, Transfer
from groupd.domain.group.settings import Dissolve, Update
from groupd.errors import Rejected
from tests.domain.bench import Table, World


def heard(world: World, user: str) -> list[Any]:
    book = world.books.get(Identity(user).account)
    if book is None:
        return []
    news = [book.event(record.seq) for record in book.records]
    return [event for event in news if isinstance(event, HEARD)]


def kinds(world: World, user: str) -> list[str]:
    world.spread()
    return [event.kind for event in heard(world, user)]


def test_who_was_added_hears_of_it_and_who_joined_or_founded_does_not(world: World) -> None:
    table = world.found("ann", members=["bob"])
    table.act("cem", Join())
    world.spread()
    (event,) = heard(world, "bob")
    assert isinstance(event, Added)
    assert (event.group, event.by, event.at) == (table.group, "ann", 3)
    assert heard(world, "ann") == heard(world, "cem") == []


def test_who_leaves_hears_of_it_on_their_other_devices(table: Table) -> None:
    table.act("mia", Leave())
    table.world.spread()
    assert [type(event) for event in heard(table.world, "mia")] == [Added, HasLeft]
    assert [type(event) for event in heard(table.world, "adam")] == [Added]


def test_every_member_hears_of_the_end(table: Table) -> None:
    table.act("mia", Leave())
    table.act("olga", Dissolve())
    table.world.spread()
    for user in ("olga", "adam"):
        assert isinstance(heard(table.world, user)[-1], HasDissolved)
    assert not isinstance(heard(table.world, "mia")[-1], HasDissolved)


def test_what_is_told_again_changes_nothing(table: Table) -> None:
    table.act("olga", Dissolve())
    table.world.spread()
    before = {key: book.state.hash() for key, book in table.world.books.items()}
    table.world.spread()
    assert {key: book.state.hash() for key, book in table.world.books.items()} == before


def test_only_what_is_new_is_heard(world: World) -> None:
    for at, expected in ((5, 5), (4, 5), (5, 5), (6, 6)):
        world.act("ann", Hear(Added(group="G", at=at, by="bob")))
        assert world.account("ann").heard == {"G": expected}
    assert [event.at for event in heard(world, "ann")] == [5, 6]


def test_what_was_heard_of_one_group_says_nothing_of_another(world: World) -> None:
    world.act("ann", Hear(Added(group="G", at=7, by="bob")))
    world.act("ann", Hear(Added(group="H", at=2, by="bob")))
    assert world.account("ann").heard == {"G": 7, "H": 2}


def test_of_so_many_groups_the_longest_silent_one_is_forgotten(world: World) -> None:
    for number in range(HEARD_MAX):
        world.act("ann", Hear(Added(group=f"G{number}", at=1, by="bob")))
    world.act("ann", Hear(HasLeft(group="G0", at=2, by="ann")))
    world.act("ann", Hear(Added(group="one more", at=1, by="bob")))
    heard_of = world.account("ann").heard
    assert len(heard_of) == HEARD_MAX
    assert "G0" in heard_of
    assert "G1" not in heard_of


def test_a_post_is_nothing_that_an_account_hears_of(table: Table) -> None:
    table.world.spread()
    before = heard(table.world, "mia")
    table.act("mia", Post(text="hi"))
    table.world.spread()
    assert heard(table.world, "mia") == before


# --- what comes of asking, inviting, ruling


def test_what_is_followed_is_heard_and_nothing_else() -> None:
    followed = {cls for cls in EVENTS[GROUP].values() if cls.followed}
    assert followed == set(HEARERS)


def test_who_asks_to_join_hears_of_it_and_of_what_becomes_of_it(table: Table) -> None:
    world = table.world
    table.act("olga", Update(join_policy="approval"))
    for user, decide in (("sam", Approve), ("tim", Decline)):
        table.act(user, Join())
        table.act("adam", decide(user))
    assert kinds(world, "sam") == ["requested", "approved"]
    assert kinds(world, "tim") == ["requested", "declined"]
    asked, approved = heard(world, "sam")
    assert (asked.by, approved.by) == ("sam", "adam")


def test_other_devices_hear_of_what_the_user_does_not_want_any_more(table: Table) -> None:
    world = table.world
    world.plans = {**world.plans, "ordinary": Plan(direct_add_below=0)}
    table.act("olga", Update(join_policy="approval"))
    table.act("sam", Join())
    table.act("sam", Withdraw())
    assert kinds(world, "sam") == ["requested", "withdrawn"]
    table.act("olga", Invite("tim"))
    table.act("tim", DeclineInvite())
    assert kinds(world, "tim") == ["invited", "invite_declined"]


def test_a_request_and_an_invitation_that_nobody_minds_end_audibly(table: Table) -> None:
    world = table.world
    table.act("olga", Update(join_policy="approval"))
    table.act("sam", Join())
    world.now_ms += 8 * 86_400_000
    table.wake()
    assert kinds(world, "sam") == ["requested", "request_expired"]
    assert heard(world, "sam")[-1].by == ""


def test_who_is_put_in_by_an_invitation_hears_that_they_were_added(table: Table) -> None:
    table.act("olga", Invite("tim"))
    assert kinds(table.world, "tim") == ["added"]


@pytest.mark.parametrize(("command", "kind"), [(Kick, "kicked"), (BanUser, "banned")])
def test_who_is_sent_away_hears_by_whom(table: Table, command: Any, kind: str) -> None:
    table.act("adam", command("mia"))
    assert kinds(table.world, "mia") == ["added", kind]
    assert heard(table.world, "mia")[-1].by == "adam"
    if command is BanUser:
        table.act("adam", Unban("mia"))
        assert kinds(table.world, "mia") == ["added", "banned"]


def test_a_group_that_changes_hands_is_heard_of_by_both_and_counts_for_the_heir(
    table: Table,
) -> None:
    world = table.world
    table.act("olga", Transfer("adam"))
    assert kinds(world, "adam") == ["added", "transfer_offered"]
    assert list(world.account("olga").owned) == [table.group]
    table.act("adam", AcceptTransfer())
    assert kinds(world, "adam") == ["added", "transfer_offered", "transferred"]
    assert kinds(world, "olga") == ["transferred"]
    assert list(world.account("adam").owned) == [table.group]
    assert list(world.account("olga").owned) == []
    heir, former = heard(world, "adam")[-1], heard(world, "olga")[-1]
    assert (heir.owned, former.owned) == (True, False)
    before = {key: book.state.hash() for key, book in world.books.items()}
    world.spread()
    assert {key: book.state.hash() for key, book in world.books.items()} == before


def test_an_offer_that_comes_to_nothing_is_heard_of_on_all_devices(table: Table) -> None:
    world = table.world
    table.act("olga", Transfer("adam"))
    table.act("adam", DeclineTransfer())
    table.act("olga", Transfer("adam"))
    world.now_ms += 8 * 86_400_000
    table.wake()
    offers = ["added", *["transfer_offered", "transfer_declined"], "transfer_offered"]
    assert kinds(world, "adam") == [*offers, "transfer_expired"]


def test_the_other_one_of_a_direct_chat_hears_that_it_was_opened(world: World) -> None:
    chat = world.act("ann", Direct("bob"))["group"]
    assert kinds(world, "ann") == []
    assert kinds(world, "bob") == ["added"]
    (event,) = heard(world, "bob")
    assert (event.group, event.by) == (chat, "ann")


def test_a_leaving_that_is_heard_late_takes_no_group_from_who_owns_it_by_then(
    table: Table,
) -> None:
    world = table.world
    table.act("adam", Leave())
    table.act("adam", Join())
    table.act("olga", Transfer("adam"))
    table.act("adam", AcceptTransfer())
    world.spread()
    assert list(world.account("adam").owned) == [table.group]
    with pytest.raises(Rejected):
        table.act("adam", Leave())
