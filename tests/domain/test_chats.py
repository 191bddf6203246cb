"""What a user prefers for their chats is theirs alone: FEATURES A7, A10, A16."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from groupd.config import CONTENT
from groupd.domain.account.chats import ChatSet, DoNotDisturb, MarkUnread, PinChat, ShowGroup
from groupd.domain.account.hearing import HasKicked, Hear
from groupd.domain.account.state import Account
from groupd.domain.base import Command, Identity
from groupd.domain.group.direct import Direct
from groupd.domain.group.membership import Join, Leave
from groupd.domain.group.settings import Dissolve
from groupd.domain.projection import Chat, DropChat, PutChat
from groupd.errors import Rejected
from tests.domain.bench import Table, World, outcome

ALL: Any = (PinChat, DoNotDisturb, MarkUnread, ShowGroup)


def refused(world: World, user: str, command: Command) -> Rejected:
    before = world.account(user).hash()
    with pytest.raises(Rejected) as caught:
        world.act(user, command)
    assert world.account(user).hash() == before
    return caught.value


def last(world: World, user: str) -> Any:
    return world.books[Identity(user).account].event()


def test_each_preference_is_its_own_and_nobody_elses(table: Table) -> None:
    world, group = table.world, table.group
    for command in (PinChat(group), DoNotDisturb(group), MarkUnread(group), ShowGroup(group)):
        world.act("mia", command)
    assert world.account("mia").chats == {group: Chat(world.now_ms, True, True, True)}
    assert world.account("adam").chats == {}


def test_only_what_differs_is_written_and_listed(table: Table) -> None:
    world, group = table.world, table.group
    world.act("mia", DoNotDisturb(group))
    assert last(world, "mia") == ChatSet(group, do_not_disturb=True)
    record = world.books[Identity("mia").account].records[-1]
    assert last(world, "mia").project(record) == (PutChat(group, {"do_not_disturb": True}),)
    world.act("mia", DoNotDisturb(group, on=False))
    assert last(world, "mia").project(record) == (PutChat(group, {"do_not_disturb": False}),)
    assert world.account("mia").chats == {}


@pytest.mark.parametrize("cls", ALL)
def test_doing_it_twice_changes_nothing_and_answers_with_the_head(table: Table, cls: Any) -> None:
    world = table.world
    first = world.act("mia", cls(table.group))
    world.now_ms += 1_000
    assert world.act("mia", cls(table.group)) == first
    assert len(world.books[Identity("mia").account].records) == first["seq"]


@pytest.mark.parametrize("cls", ALL)
def test_strangers_and_those_of_a_dissolved_group_prefer_nothing(table: Table, cls: Any) -> None:
    assert refused(table.world, "sam", cls(table.group)).code == "not_found"
    assert refused(table.world, "sam", cls("0" * 16)).code == "not_found"
    table.act("olga", Dissolve())
    assert refused(table.world, "mia", cls(table.group)).code == "not_found"


def test_a_user_pins_so_many_chats_and_no_more(world: World) -> None:
    limit = CONTENT.chats_pinned_max
    tables = [world.found(f"owner{number}", members=["mia"]) for number in range(limit + 1)]
    for table in tables[:limit]:
        world.act("mia", PinChat(table.group))
    error = refused(world, "mia", PinChat(tables[limit].group))
    assert error.details == {"quota": "chats_pinned", "limit": limit, "used": limit}
    world.act("mia", PinChat(tables[0].group))
    world.act("mia", DoNotDisturb(tables[limit].group))
    world.act("mia", PinChat(tables[0].group, pinned=False))
    world.act("mia", PinChat(tables[limit].group))


def test_a_user_shows_so_many_groups_and_no_more(world: World) -> None:
    limit = CONTENT.groups_shown_max
    tables = [world.found(f"owner{number}", members=["mia"]) for number in range(limit + 1)]
    for table in tables[:limit]:
        world.act("mia", ShowGroup(table.group))
    error = refused(world, "mia", ShowGroup(tables[limit].group))
    assert error.details == {"quota": "groups_shown", "limit": limit, "used": limit}
    world.act("mia", ShowGroup(tables[3].group, shown=False))
    world.act("mia", ShowGroup(tables[limit].group))


def test_a_direct_chat_is_pinned_like_any_and_never_shown(world: World) -> None:
    chat = world.act("ann", Direct("bob"))["group"]
    world.act("bob", PinChat(chat))
    assert outcome(refused(world, "bob", ShowGroup(chat))) == "forbidden: direct"


def test_an_undiscoverable_group_may_be_marked_as_shown(world: World) -> None:
    table = world.found("ann", discoverable=False)
    world.act("ann", ShowGroup(table.group))
    assert world.account("ann").chats[table.group].shown


def test_who_is_no_member_any_more_prefers_nothing_any_more(table: Table) -> None:
    world = table.world
    for user in ("mia", "adam"):
        world.act(user, PinChat(table.group))
    table.act("mia", Leave())
    world.spread()
    assert world.account("mia").chats == {}
    record = world.books[Identity("mia").account].records[-1]
    assert last(world, "mia").project(record) == (DropChat(table.group),)
    assert table.group in world.account("adam").chats
    table.act("olga", Dissolve())
    world.spread()
    assert world.account("adam").chats == {}


def test_preferences_that_are_younger_than_the_leaving_stay(table: Table) -> None:
    """The account hears late: they were out, are in again, and have pinned the group anew."""
    world = table.world
    table.act("mia", Leave())
    table.act("mia", Join())
    world.act("mia", PinChat(table.group))
    world.spread()
    assert world.account("mia").chats[table.group].pinned_ms
    record = world.books[Identity("mia").account].records[-1]
    assert (record.kind, last(world, "mia").project(record)) == ("left", ())


def test_what_was_said_of_another_group_ends_nothing(table: Table) -> None:
    table.world.act("mia", PinChat(table.group))
    table.world.act("mia", Hear(HasKicked(group="another", at=9, by="ann"), "mia"))
    assert table.group in table.world.account("mia").chats


@given(
    st.lists(
        st.builds(
            ChatSet,
            group=st.sampled_from(("G", "H")),
            pinned_ms=st.sampled_from((None, 0, 5, 9)),
            do_not_disturb=st.sampled_from((None, False, True)),
            marked_unread=st.sampled_from((None, False, True)),
            shown=st.sampled_from((None, False, True)),
        ),
        max_size=8,
    )
)
def test_the_account_and_the_index_keep_the_same(events: list[ChatSet]) -> None:
    world, listed = World(), dict.fromkeys("GH", Chat())
    book = world.book(Identity("mia").account)
    for event in events:
        record = world.write(book, event, "mia")
        for change in event.project(record):
            assert isinstance(change, PutChat)
            listed[change.group] = attrs.evolve(listed[change.group], **change.values)
    state = book.state
    assert isinstance(state, Account)
    assert state.chats == {group: chat for group, chat in listed.items() if chat != Chat()}
    assert book.replayed(restart_at=range(9)).hash() == state.hash()
