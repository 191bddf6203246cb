"""Join requests: FEATURES A8. Asking, deciding, withdrawing, running out, and who decides first."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groupd.config import CONTENT, Plan
from groupd.domain.base import Audience, Command, Identity
from groupd.domain.group.admission import (
    Approve,
    Decline,
    Declined,
    RequestExpired,
    Requests,
    Withdraw,
    Withdrawn,
)
from groupd.domain.group.info import Info
from groupd.domain.group.links import RevokeLink, ShareLink
from groupd.domain.group.membership import Join, Joined, Leave, Requested
from groupd.domain.group.messages import Post
from groupd.domain.group.settings import Dissolve, Update
from groupd.domain.projection import DropRequest, PutRequest
from tests.domain.bench import Table, World, outcome

DAY_MS = 86_400_000
WEEK_MS = CONTENT.request_lasts_ms


@pytest.fixture
def closed(table: Table) -> Table:
    """The table's group, with the policy ``approval``."""
    table.act("olga", Update(join_policy="approval"))
    return table


# --- asking


def test_who_joins_by_approval_waits_and_may_neither_read_nor_post(closed: Table) -> None:
    answer = closed.act(Identity("sam", name="山姆"), Join(message="我是邻居"))
    assert answer == {"status": "pending", "group": closed.group, "seq": closed.seq}
    assert closed.book.event() == Requested(name="山姆", message="我是邻居", via="search")
    assert "sam" not in closed.state.members
    assert outcome(closed.refuse("sam", Post(text="hi"))) == "forbidden: not_member"
    assert "role" not in closed.act("sam", Info())


def test_only_admins_see_a_request_and_the_index_lists_it(closed: Table) -> None:
    closed.act("sam", Join())
    record, event = closed.book.records[-1], closed.book.event()
    assert record.audience == Audience.ADMINS
    assert record.followed
    assert event.project(record) == (PutRequest("sam"),)
    assert event.views(record) == ()


def test_asking_again_while_one_waits_is_the_same_request(closed: Table) -> None:
    first = closed.act("sam", Join())
    seq = closed.seq
    closed.world.now_ms += DAY_MS
    assert closed.act("sam", Join(message="?")) == first
    closed.act("olga", Update(join_policy="invite_only"))
    assert closed.act("sam", Join()) == first
    assert closed.seq == seq + 1


def test_a_retry_is_answered_pending_whatever_has_become_of_the_request(closed: Table) -> None:
    request_id = closed.world.new_id()
    first = closed.act("sam", Join(), request_id)
    closed.act("olga", Approve("sam"))
    closed.restart()
    assert closed.act("sam", Join(), request_id) == first
    assert closed.act("sam", Join())["status"] == "joined"


def test_where_the_way_is_open_by_now_joining_again_ends_the_request(closed: Table) -> None:
    closed.act("sam", Join())
    closed.act("olga", Update(join_policy="open"))
    assert closed.act("sam", Join())["status"] == "joined"
    assert not closed.state.requests
    assert closed.book.event() == Joined(via="search")


def test_a_link_that_lets_in_at_once_ends_a_request(closed: Table) -> None:
    closed.act("sam", Join())
    code = closed.act("adam", ShareLink())["code"]
    assert closed.act("sam", Join(code=code))["status"] == "joined"
    assert not closed.state.requests


def test_who_waits_sees_a_group_that_strangers_do_not(closed: Table) -> None:
    closed.act("sam", Join())
    closed.act("olga", Update(discoverable=False))
    closed.act("sam", Info())
    closed.act("sam", Withdraw())
    assert closed.refuse("sam", Info()).code == "not_found"


def test_a_full_group_still_takes_requests(closed: Table) -> None:
    closed.world.plans = {"ordinary": Plan(members_max=3)}
    assert closed.act("sam", Join())["status"] == "pending"


def test_a_group_keeps_so_many_requests_and_no_more(closed: Table) -> None:
    for number in range(CONTENT.requests_max):
        closed.happen(Requested(), f"u{number}")
    error = closed.refuse("sam", Join())
    assert error.code == "quota_exceeded"
    limit = CONTENT.requests_max
    assert error.details == {"quota": "requests", "limit": limit, "used": limit}
    assert closed.act("u7", Join())["status"] == "pending"
    closed.act("u7", Withdraw())
    closed.act("sam", Join())


# --- deciding


def test_an_admin_approves_and_the_requester_is_in(closed: Table) -> None:
    code = closed.act("mia", ShareLink(channel="wechat"))["code"]
    closed.act(Identity("sam", name="山姆"), Join(code=code))
    assert closed.act("adam", Approve("sam")) == {"seq": closed.seq}
    assert closed.book.event() == Joined(
        via="approval", name="山姆", member="sam", link=1, channel="wechat", sharer="mia"
    )
    assert closed.book.records[-1].user == "adam"
    assert closed.state.members["sam"].name == "山姆"
    assert closed.state.links[1].uses == 1
    assert not closed.state.requests


def test_what_a_newcomer_reads_is_settled_when_they_are_approved(closed: Table) -> None:
    closed.act("sam", Join())
    closed.act("olga", Update(history="joined"))
    seq = closed.act("adam", Approve("sam"))["seq"]
    assert closed.state.members["sam"].floor == seq


@pytest.mark.parametrize("first", [Approve("sam"), Decline("sam")])
@pytest.mark.parametrize("second", [Approve("sam"), Decline("sam")])
def test_of_several_admins_one_decides(closed: Table, first: Command, second: Command) -> None:
    closed.act("sam", Join())
    closed.act("adam", first)
    assert outcome(closed.refuse("olga", second)) == "conflict: decided"


def test_there_is_nothing_to_decide_on_who_has_not_asked(closed: Table) -> None:
    for request in (Approve("sam"), Decline("sam")):
        assert closed.refuse("olga", request).code == "not_found"
    closed.act("sam", Join())
    closed.act("sam", Withdraw())
    assert closed.refuse("olga", Approve("sam")).code == "not_found"


def test_plain_members_decide_nothing_and_do_not_see_who_waits(closed: Table) -> None:
    closed.act("sam", Join())
    for request in (Approve("sam"), Decline("sam"), Requests()):
        error = closed.refuse("mia", request)
        assert (outcome(error), error.details["required"]) == ("forbidden: role", "admin")


def test_in_a_full_group_an_approval_is_refused_and_the_request_stays(closed: Table) -> None:
    closed.world.plans = {"ordinary": Plan(members_max=4)}
    for user in ("sam", "sue"):
        closed.act(user, Join())
    closed.act("adam", Approve("sam"))
    assert closed.refuse("adam", Approve("sue")).to_wire()["code"] == "group_full"
    assert outcome(closed.refuse("olga", Approve("sam"))) == "conflict: decided"
    assert list(closed.state.requests) == ["sue"]
    closed.act("mia", Leave())
    closed.act("olga", Approve("sue"))


def test_who_was_declined_waits_before_they_ask_again(closed: Table) -> None:
    closed.act("sam", Join())
    closed.act("adam", Decline("sam"))
    cooldown_ms = closed.world.limits.request_cooldown_ms
    until_ms = closed.world.now_ms + cooldown_ms
    assert closed.book.event() == Declined(member="sam", until_ms=until_ms)
    closed.world.now_ms += 1_000
    error = closed.refuse("sam", Join())
    assert outcome(error) == "rate_limited: cooldown"
    assert error.details["retry_after_ms"] == cooldown_ms - 1_000
    closed.world.now_ms = until_ms
    assert closed.act("sam", Join())["status"] == "pending"


def test_the_cooldown_holds_nobody_up_who_comes_in_at_once(closed: Table) -> None:
    closed.act("sam", Join())
    closed.act("adam", Decline("sam"))
    code = closed.act("adam", ShareLink())["code"]
    assert closed.act("sam", Join(code=code))["status"] == "joined"
    assert not closed.state.declined


def test_a_withdrawal_has_no_cooldown(closed: Table) -> None:
    for _ in range(2):
        closed.act("sam", Join())
        assert closed.act("sam", Withdraw()) == {"seq": closed.seq}
        assert closed.book.event() == Withdrawn()
    assert closed.refuse("sam", Withdraw()).code == "not_found"


def test_refusals_are_remembered_up_to_a_bound_the_oldest_go_first(closed: Table) -> None:
    for number in range(CONTENT.declined_kept_max):
        closed.happen(Declined(member=f"u{number}", until_ms=closed.world.now_ms + 1))
    for user in ("sam", "u5"):
        closed.happen(Requested(), user)
        closed.act("adam", Decline(user))
    kept = list(closed.state.declined)
    assert len(kept) == CONTENT.declined_kept_max
    assert kept[0] == "u1"
    assert kept[-2:] == ["sam", "u5"]


def test_what_the_index_learns_of_the_ends_of_a_request(closed: Table) -> None:
    ends: list[tuple[Any, str]] = [
        (Declined(member="sam"), "adam"),
        (Withdrawn(), "sam"),
        (RequestExpired(member="sam"), ""),
    ]
    for event, user in ends:
        closed.happen(Requested(), "sam")
        record = closed.happen(event, user)
        assert event.project(record) == (DropRequest("sam"),)
        assert record.audience == Audience.ADMINS
        assert not closed.state.requests


# --- links and approval


def test_a_use_counts_when_it_succeeds(closed: Table) -> None:
    code = closed.act("adam", ShareLink(uses_max=1, approval=True))["code"]
    for user in ("sam", "sue"):
        assert closed.act(user, Join(code=code))["status"] == "pending"
    assert closed.state.links[1].uses == 0
    closed.act("olga", Approve("sam"))
    assert outcome(closed.refuse("olga", Approve("sue"))) == "conflict: link_used_up"
    assert list(closed.state.requests) == ["sue"]
    assert closed.state.links[1].uses == 1


def test_a_link_that_was_revoked_or_has_expired_since_lets_those_in_who_came_before(
    closed: Table,
) -> None:
    revoked = closed.act("adam", ShareLink(approval=True))["code"]
    expiring = closed.act("adam", ShareLink(approval=True, expires_in_ms=1_000))["code"]
    closed.act("sam", Join(code=revoked))
    closed.act("sue", Join(code=expiring))
    closed.act("adam", RevokeLink(revoked))
    closed.world.now_ms += 1_000
    closed.wake()
    for user in ("sam", "sue"):
        closed.act("olga", Approve(user))
    assert [link.uses for link in closed.state.links.values()] == [1, 1]


# --- time


def test_a_request_waits_for_seven_days_and_is_then_over(closed: Table) -> None:
    closed.act("sam", Join())
    assert closed.deadline_ms() == closed.world.now_ms + WEEK_MS
    closed.world.now_ms += WEEK_MS - 1
    assert closed.wake() == []
    closed.world.now_ms += 1
    # Whoever is faster than the server's own event does not get round it.
    for request in (Approve("sam"), Decline("sam")):
        assert outcome(closed.refuse("olga", request)) == "conflict: state"
    assert closed.wake() == [RequestExpired(member="sam")]
    assert closed.deadline_ms() is None
    assert closed.act("sam", Join())["status"] == "pending"


def test_in_a_dissolved_group_nothing_is_decided(closed: Table) -> None:
    closed.act("sam", Join())
    closed.act("olga", Dissolve())
    closed.world.now_ms += WEEK_MS
    assert closed.deadline_ms() is None
    assert closed.wake() == []
    for user, request in (("adam", Approve("sam")), ("sam", Withdraw())):
        assert outcome(closed.refuse(user, request)) == "conflict: state"


# --- listing


def test_the_requests_that_wait_are_listed_the_oldest_first(closed: Table) -> None:
    code = closed.act("mia", ShareLink(channel="qq"))["code"]
    closed.act(Identity("sam", name="山姆"), Join(code=code, message="你好"))
    closed.world.now_ms += 5
    closed.act("sue", Join())
    shown = closed.act("adam", Requests())
    assert [listed["user"] for listed in shown["requests"]] == ["sam", "sue"]
    at_ms = closed.world.now_ms - 5
    assert shown["requests"][0] == {
        "user": "sam",
        "name": "山姆",
        "message": "你好",
        "seq": closed.seq - 1,
        "at_ms": at_ms,
        "expires_ms": at_ms + WEEK_MS,
        "via": "link",
        "link": 1,
        "channel": "qq",
        "sharer": "mia",
    }
    assert "link" not in shown["requests"][1]
    assert "next" not in shown


@given(limit=st.integers(1, 8), gone=st.sets(st.integers(0, 6)))
def test_pages_of_requests_miss_nobody_who_waits_and_show_nobody_twice(
    limit: int, gone: set[int]
) -> None:
    table = World().found("olga", join_policy="approval")
    for number in range(7):
        table.act(f"u{number}", Join())
    first = table.act("olga", Requests(limit=limit))
    pages = [listed["user"] for listed in first["requests"]]
    for number in sorted(gone):
        table.act(f"u{number}", Withdraw())
    more = first
    for _ in range(7):
        if "next" not in more:
            break
        more = table.act("olga", Requests(after=more["next"], limit=limit))
        assert 1 <= len(more["requests"]) <= limit or "next" not in more
        pages += [listed["user"] for listed in more["requests"]]
    assert len(pages) == len(set(pages))
    assert {f"u{number}" for number in range(7) if number not in gone} <= set(pages)
