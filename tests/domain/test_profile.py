"""The copy that an account keeps of who its user is."""

from __future__ import annotations

from groupd.domain.account.profile import Introduce, Profiled, profile_of
from groupd.domain.base import Identity
from groupd.domain.projection import Profile, PutProfile
from tests.domain.bench import World

ANN = Identity(
    "ann", name="安", picture="https://example.com/a.png", gender="female", birth_year=1990
)


def introduce(world: World, caller: Identity) -> None:
    known = world.account(caller.user).profile or Profile()
    world.act(caller, Introduce(profile_of(caller, known)))


def test_the_account_knows_what_the_token_says(world: World) -> None:
    introduce(world, ANN)
    expected = Profile("安", "https://example.com/a.png", "ordinary", "female", 1990)
    assert world.account("ann").profile == expected
    record = world.books[ANN.account].records[-1]
    event = world.books[ANN.account].event()
    assert event == Profiled("安", "https://example.com/a.png", "ordinary", "female", 1990)
    assert event.project(record) == (
        PutProfile("安", "https://example.com/a.png", "ordinary", "female", 1990),
    )


def test_the_same_again_is_no_event(world: World) -> None:
    introduce(world, ANN)
    introduce(world, ANN)
    assert len(world.books[ANN.account].records) == 1


def test_what_a_token_leaves_out_stays_as_it_was(world: World) -> None:
    introduce(world, ANN)
    introduce(world, Identity("ann", name="安安", plan="circle"))
    assert world.account("ann").profile == Profile(
        "安安", "https://example.com/a.png", "circle", "female", 1990
    )
