"""Who has mail gets a turn: soon, or at the end of a round that holds the turns back."""

from __future__ import annotations

import attrs
import trio

from groupd.engine.turns import Turns
from tests.engine.rig import settle


@attrs.define(eq=False)
class Actor:
    """One that is due again so many times."""

    turns: Turns
    name: str
    log: list[str]
    again: int = 0

    def turn(self) -> None:
        self.log.append(self.name)
        if self.again:
            self.again -= 1
            self.turns.add(self)


async def test_who_is_due_gets_a_turn_a_step_later(nursery: trio.Nursery) -> None:
    turns, log = Turns(), list[str]()
    nursery.start_soon(turns.run)
    await settle()
    turns.add(Actor(turns, "a", log))
    turns.add(Actor(turns, "b", log))
    assert log == []
    await settle()
    assert log == ["a", "b"]


async def test_held_back_they_are_taken_together_and_not_twice(nursery: trio.Nursery) -> None:
    turns, log = Turns(), list[str]()
    nursery.start_soon(turns.run)
    await settle()
    turns.hold()
    for name in "abc":
        turns.add(Actor(turns, name, log))
    turns.take()
    assert log == ["a", "b", "c"]
    await settle()
    assert log == ["a", "b", "c"]


async def test_who_is_due_again_waits_until_others_had_their_step(nursery: trio.Nursery) -> None:
    turns, log = Turns(), list[str]()
    nursery.start_soon(turns.run)
    await settle()
    turns.hold()
    turns.add(Actor(turns, "busy", log, again=2))
    turns.add(Actor(turns, "other", log))
    turns.take()
    assert log == ["busy", "other"]
    await settle()
    assert log == ["busy", "other", "busy", "busy"]
