"""What an account hears of groups: once, whatever is repeated."""

from __future__ import annotations

from groupd.domain.account.hearing import Added, HasDissolved, HasLeft, Hear
from groupd.domain.account.state import HEARD_MAX
from groupd.domain.base import Event, Identity
from groupd.domain.group.membership import Join, Leave
from groupd.domain.group.messages import Post
from groupd.domain.group.settings import Dissolve
from tests.domain.bench import Table, World


def heard(world: World, user: str) -> list[Event]:
    book = world.books.get(Identity(user).account)
    if book is None:
        return []
    news = [book.event(record.seq) for record in book.records]
    return [event for event in news if isinstance(event, Added | HasLeft | HasDissolved)]


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
    assert [event.at for event in heard(world, "ann")] == [5, 6]  # type: ignore[attr-defined]


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
