"""The collector is the program's again when its last server has ended."""

from __future__ import annotations

import gc

from groupd.garbage import YOUNG_MAX, pauses_bounded


def test_afterwards_the_collector_is_as_it_was() -> None:
    before = gc.get_threshold(), list(gc.callbacks), gc.get_freeze_count()
    with pauses_bounded():
        assert gc.get_threshold()[0] == YOUNG_MAX
        assert gc.get_freeze_count() > 0
    assert (gc.get_threshold(), gc.callbacks, gc.get_freeze_count()) == before


def test_of_two_servers_the_last_to_leave_sets_it_back() -> None:
    before = gc.get_threshold()
    first, second = pauses_bounded(), pauses_bounded()
    with second:
        with first:
            pass
        assert gc.get_threshold()[0] == YOUNG_MAX
        assert gc.get_freeze_count() > 0
    assert gc.get_threshold() == before
    assert gc.get_freeze_count() == 0


def test_an_end_by_an_error_sets_it_back_too() -> None:
    before = gc.get_threshold()
    try:
        with pauses_bounded():
            raise ZeroDivisionError
    except ZeroDivisionError:
        pass
    assert gc.get_threshold() == before
