"""Tokens that are believed no longer: the time that an account keeps, and whom it refuses."""

from __future__ import annotations

import pytest

from groupd.domain.account.revocation import Revoke, Revoked, is_revoked
from groupd.domain.base import Identity
from groupd.domain.projection import PutRevocation
from groupd.errors import Rejected
from tests.domain.bench import World

ANN = Identity("ann")


def test_a_token_is_revoked_if_it_was_issued_before_the_time() -> None:
    before, at = Identity("ann", issued_ms=999), Identity("ann", issued_ms=1_000)
    assert is_revoked(before, 1_000)
    assert not is_revoked(at, 1_000)


def test_a_token_that_does_not_say_when_it_was_issued_is_revoked_with_any() -> None:
    assert is_revoked(ANN, 1)
    assert not is_revoked(ANN, 0)
    assert not is_revoked(Identity("ann", issued_ms=0), 0)


def test_the_account_keeps_the_time_and_tells_the_index(world: World) -> None:
    assert world.act(ANN, Revoke(5_000)) == {"before_ms": 5_000}
    assert world.account("ann").revoked_before_ms == 5_000
    book = world.books[ANN.account]
    assert book.event() == Revoked(5_000)
    assert book.event().project(book.records[-1]) == (PutRevocation(5_000),)


def test_an_earlier_time_takes_nothing_back_and_is_no_event(world: World) -> None:
    world.act(ANN, Revoke(5_000))
    assert world.act(ANN, Revoke(4_000)) == {"before_ms": 5_000}
    assert world.act(ANN, Revoke(5_000)) == {"before_ms": 5_000}
    assert len(world.books[ANN.account].records) == 1


def test_without_a_time_it_is_now(world: World) -> None:
    answer = world.act(ANN, Revoke())
    assert answer == {"before_ms": world.books[ANN.account].records[-1].time_ms}


@pytest.mark.parametrize("ahead_ms", [300_001, 10**15])
def test_a_time_that_has_not_come_is_refused(world: World, ahead_ms: int) -> None:
    world.act(ANN, Revoke())
    now_ms = world.books[ANN.account].records[-1].time_ms
    with pytest.raises(Rejected) as refused:
        world.act(ANN, Revoke(now_ms + ahead_ms))
    assert (refused.value.code, refused.value.details) == ("bad_request", {"field": "before_ms"})
    assert len(world.books[ANN.account].records) == 1
