"""Where a log goes on, in the cases that take more than one connection to come about."""

from __future__ import annotations

from groupd.client.cursors import ACCOUNT, Cursors

MANY = 64


def test_a_group_that_is_listed_again_is_not_forgotten() -> None:
    cursors = Cursors({ACCOUNT: 0, "tea": 1})
    cursors.keep_only(set())
    cursors.reaches("tea", 2)
    assert cursors.behind(MANY) == {"tea": 1}
    assert cursors.take("tea", 2)
    cursors.fetched("tea", 2, more=False)
    assert not cursors.offer("tea", 2, room=True)


def test_a_group_that_is_heard_of_again_is_not_forgotten() -> None:
    cursors = Cursors({ACCOUNT: 0, "tea": 1})
    cursors.keep_only(set())
    assert not cursors.offer("tea", 2, room=True)
    assert cursors.take("tea", 2)
    cursors.fetched("tea", 2, more=False)
    assert not cursors.offer("tea", 2, room=True)


def test_pushes_of_a_group_joined_unseen_wait_until_the_account_was_read() -> None:
    cursors = Cursors({ACCOUNT: 0})
    cursors.reaches(ACCOUNT, 1)
    cursors.reaches("tea", 4)
    assert not cursors.offer("tea", 5, room=True)
    assert cursors.behind(MANY) == {ACCOUNT: 0}
    assert cursors.take(ACCOUNT, 1)
    cursors.place("tea", 3)
    cursors.fetched(ACCOUNT, 1, more=False)
    assert cursors.behind(MANY) == {"tea": 2}


def test_a_group_joined_and_left_unseen_has_no_cursor() -> None:
    cursors = Cursors({ACCOUNT: 0})
    cursors.reaches("tea", 4)
    cursors.keep_only(set())
    assert cursors.behind(MANY) == {}
    assert cursors.offer("tea", 9, room=True)


def test_no_more_logs_are_asked_for_than_one_call_takes() -> None:
    cursors = Cursors({ACCOUNT: 0, "a": 0, "b": 0, "c": 0})
    for group in "abc":
        cursors.reaches(group, 1)
    assert cursors.behind(2) == {"a": 0, "b": 0}


def test_a_log_that_is_long_behind_does_not_hold_up_the_others() -> None:
    cursors = Cursors({ACCOUNT: 0, "a": 0, "b": 0})
    cursors.reaches("a", 9)
    cursors.reaches("b", 1)
    assert cursors.take("a", 1)
    cursors.fetched("a", 9, more=True)
    assert cursors.behind(1) == {"b": 0}


def test_a_group_that_is_over_is_read_to_its_end() -> None:
    cursors = Cursors({ACCOUNT: 0, "tea": 1})
    cursors.keep_only(set())
    assert cursors.take("tea", 2)
    cursors.fetched("tea", 3, more=True)
    assert cursors.behind(MANY) == {"tea": 2}


def test_what_the_reader_may_not_read_is_not_asked_for_again() -> None:
    cursors = Cursors({ACCOUNT: 0, "tea": 1})
    cursors.reaches("tea", 5)
    cursors.fetched("tea", 5, more=False)
    assert cursors.behind(MANY) == {}
    assert cursors.offer("tea", 6, room=True)
