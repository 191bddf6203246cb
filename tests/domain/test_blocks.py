"""Whom a user has blocked: FEATURES D7, F5."""

from __future__ import annotations

import pytest

from groupd.config import CONTENT
from groupd.domain.account.blocks import Block, Blocked, Unblock, Unblocked
from groupd.domain.base import Identity
from groupd.domain.projection import DropBlock, PutBlock
from groupd.errors import Rejected
from tests.domain.bench import World, outcome


def test_a_block_is_noted_once_and_answers_with_the_same_seq(world: World) -> None:
    first = world.act("ann", Block("bob"))
    assert world.act("ann", Block("bob")) == first == {"seq": 1}
    assert world.account("ann").blocked == {"bob": 1}
    assert world.account("bob").blocked == {}


def test_it_ends_and_can_be_made_again(world: World) -> None:
    world.act("ann", Block("bob"))
    assert world.act("ann", Unblock("bob")) == {"seq": 2}
    assert world.account("ann").blocked == {}
    assert world.act("ann", Unblock("bob")) == {"seq": 2}
    assert world.act("ann", Block("bob")) == {"seq": 3}


def test_ending_what_never_was_is_no_event(world: World) -> None:
    assert world.act("ann", Unblock("bob")) == {"seq": 0}


def test_nobody_blocks_themselves(world: World) -> None:
    with pytest.raises(Rejected) as caught:
        world.act("ann", Block("ann"))
    assert outcome(caught.value) == "forbidden: yourself"


def test_there_is_room_for_so_many_blocks(world: World) -> None:
    limit = CONTENT.blocks_max
    for number in range(limit):
        world.act("ann", Block(f"user{number}"))
    with pytest.raises(Rejected) as caught:
        world.act("ann", Block("one more"))
    assert caught.value.details == {"quota": "blocks", "limit": limit, "used": limit}
    world.act("ann", Block("user0"))
    world.act("ann", Unblock("user0"))
    world.act("ann", Block("one more"))


def test_the_index_learns_of_both(world: World) -> None:
    world.act("ann", Block("bob"))
    world.act("ann", Unblock("bob"))
    records = world.books[Identity("ann").account].records
    assert Blocked("bob").project(records[0]) == (PutBlock("bob"),)
    assert Unblocked("bob").project(records[1]) == (DropBlock("bob"),)
