"""What counts as every post, once, in order: and what does not."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from groupd.loadtest.reading import NO_POST, PROBLEMS_SHOWN, GroupLog, Problems, Reading, check


class Scene:
    """A group whose members have read up to seq 10, and then begin to hear posts."""

    def __init__(self, *users: str) -> None:
        self.problems = Problems()
        self.log = GroupLog("G", self.problems)
        self.readings = [Reading(user, self.log) for user in users]
        for each in self.readings:
            each.listed(10)
        self.log.begin(11)

    def push(self, user: int, seq: int, number: int) -> bool:
        reading = self.readings[user]
        taken = reading.push(seq)
        if taken:
            self.log.take(reading.user, seq, number)
        return taken

    def fetch(self, user: int, seq: int, number: int) -> None:
        reading = self.readings[user]
        if reading.fetched(seq):
            self.log.take(reading.user, seq, number)

    def says(self, acknowledged: Sequence[int]) -> list[str]:
        self.log.last_acknowledged = max(acknowledged, default=0)
        check([self.log], self.readings, acknowledged, self.problems)
        return self.problems.shown


def test_what_all_have_read_in_order_is_right() -> None:
    scene = Scene("ann", "bob")
    for user in (0, 1):
        assert scene.push(user, 11, 0)
        assert scene.push(user, 12, NO_POST)
        assert scene.push(user, 13, 1)
    assert scene.says([11, 13]) == []


def test_a_post_without_an_answer_may_be_there_or_not() -> None:
    scene = Scene("ann")
    scene.push(0, 11, 1)
    assert scene.says([0, 0, 0]) == []


def test_a_post_that_reached_nobody_is_a_problem() -> None:
    scene = Scene("ann")
    scene.push(0, 11, 0)
    scene.push(0, 12, NO_POST)
    assert scene.says([11, 12]) == ["group G: post 1, acknowledged at 12, reached nobody"]


def test_a_post_that_one_member_lacks_is_a_problem() -> None:
    scene = Scene("ann", "bob")
    scene.push(0, 11, 0)
    (problem,) = scene.says([11])
    assert problem == "group G: bob has read to 10, and posts were acknowledged to 11"


def test_a_post_that_stands_there_twice_is_a_problem() -> None:
    scene = Scene("ann")
    scene.push(0, 11, 0)
    scene.push(0, 12, 0)
    assert "post 0 stands there twice, at 11 and 12" in scene.says([12])[0]


def test_a_push_that_comes_twice_is_a_problem() -> None:
    scene = Scene("ann")
    scene.push(0, 11, 0)
    assert not scene.push(0, 11, 0)
    assert scene.says([11]) == ["group G: ann was pushed 11 once more after 11"]


def test_a_push_that_is_left_out_silently_is_a_problem_although_it_is_fetched() -> None:
    scene = Scene("ann")
    assert not scene.push(0, 12, 1)
    assert scene.readings[0].is_behind
    scene.fetch(0, 11, 0)
    scene.fetch(0, 12, 1)
    assert not scene.readings[0].is_behind
    assert scene.says([11, 12]) == ["group G: ann was pushed 12 next after 10"]


def test_a_push_right_after_hello_must_be_the_next_one() -> None:
    scene = Scene("ann")
    scene.readings[0].reconnected()
    scene.readings[0].listed(14)
    scene.push(0, 16, 5)
    assert scene.problems.shown == ["group G: ann was pushed 16 next after 14"]


def test_pushes_in_the_wrong_order_are_a_problem() -> None:
    scene = Scene("ann", "bob")
    scene.push(0, 11, 0)
    scene.push(0, 12, 1)
    scene.push(1, 11, 1)
    assert scene.problems.shown == ["group G, seq 11: bob read post 1 where others read post 0"]


def test_an_acknowledgement_that_names_another_place_is_a_problem() -> None:
    scene = Scene("ann")
    scene.push(0, 11, 0)
    scene.push(0, 12, NO_POST)
    assert scene.says([12]) == ["group G: post 0 was acknowledged at 12 and stands at 11"]


def test_a_post_that_nobody_has_sent_is_a_problem() -> None:
    scene = Scene("ann")
    scene.push(0, 11, 7)
    assert scene.says([0]) == ["group G, seq 11: nobody has sent post 7 there"]


def test_lagged_is_no_problem_once_all_is_fetched() -> None:
    scene = Scene("ann", "bob")
    for seq in range(11, 15):
        scene.push(0, seq, seq - 11)
    scene.push(1, 11, 0)
    scene.readings[1].lagged(13)
    # What is pushed while it is behind is not taken: the fetch brings it.
    assert not scene.push(1, 14, 3)
    for seq in (12, 13, 14):
        assert scene.readings[1].is_behind
        scene.fetch(1, seq, seq - 11)
    assert not scene.readings[1].is_behind
    assert scene.says([11, 12, 13, 14]) == []


def test_a_reconnect_is_no_problem_once_all_is_fetched() -> None:
    scene = Scene("ann")
    scene.push(0, 11, 0)
    scene.readings[0].reconnected()
    assert not scene.push(0, 14, 3)
    scene.readings[0].listed(13)
    for seq in (12, 13, 14):
        scene.fetch(0, seq, seq - 11)
    assert scene.push(0, 15, 4)
    assert scene.says([11, 12, 13, 14, 15]) == []


def test_a_page_of_history_with_a_gap_is_a_problem_and_does_not_stop_it() -> None:
    scene = Scene("ann", "bob")
    scene.readings[0].lagged(13)
    scene.fetch(0, 12, 1)
    scene.fetch(0, 13, 2)
    assert scene.problems.shown == ["group G: ann was given 12 after 10 by history"]
    scene.push(1, 11, 0)
    assert scene.problems.count == 1


def test_the_first_push_of_a_new_group_may_have_any_seq() -> None:
    problems = Problems()
    reading = Reading("ann", GroupLog("G", problems))
    assert reading.push(7)
    assert reading.push(8)
    assert not problems.count


def test_a_group_is_told_by_the_number_of_its_posts() -> None:
    problems = Problems()
    logs = [GroupLog(name, problems) for name in ("G", "H")]
    for log in logs:
        log.begin(1)
    logs[0].take("ann", 1, 1)
    check(logs, [], [0, 1], problems)
    assert problems.shown[0] == "group G, seq 1: nobody has sent post 1 there"


@pytest.mark.parametrize("count", [3, PROBLEMS_SHOWN + 30])
def test_problems_are_all_counted_and_some_are_shown(count: int) -> None:
    problems = Problems()
    for number in range(count):
        problems.add(f"problem {number}")
    assert problems.count == count
    assert len(problems.shown) == min(count, PROBLEMS_SHOWN)
