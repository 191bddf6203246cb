"""Share links: FEATURES A14. Codes, counting, expiry, uses, revoking, and what strangers learn."""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64encode
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from groupd.config import CONTENT, Plan
from groupd.domain.base import Identity
from groupd.domain.group.admission import Approve, Withdraw
from groupd.domain.group.info import Info
from groupd.domain.group.links import (
    LinkMade,
    LinkRevoked,
    Links,
    OpenLink,
    RevokeLink,
    ShareLink,
)
from groupd.domain.group.membership import Join, Joined, Leave, Requested
from groupd.domain.group.moderation import BanUser
from groupd.domain.group.settings import Dissolve, Update
from groupd.domain.links import CODE_LENGTH, LinkKeys
from groupd.errors import Rejected
from groupd.wire import codec
from tests.domain.bench import KEYS, Table, World, outcome


def share(table: Table, user: str = "mia", **params: Any) -> str:
    code: str = table.act(user, ShareLink(**params))["code"]
    return code


def changed(code: str) -> str:
    """Give a code of the same group that differs in its last sign."""
    return code[:-1] + ("A" if code[-1] != "A" else "B")


# --- codes


def test_a_code_is_the_group_and_a_keyed_hash_of_tenant_group_and_number(table: Table) -> None:
    code = share(table)
    message = b"\0".join((b"", table.group.encode(), b"link", b"1"))
    tail = urlsafe_b64encode(hmac.digest(b"1" * 32, message, "sha256")[:16]).decode().rstrip("=")
    assert code == table.group + tail
    assert len(code) == CODE_LENGTH
    assert LinkKeys.group_of(code) == table.group


def test_the_url_has_the_code_in_it(table: Table) -> None:
    answer = table.act("mia", ShareLink())
    assert answer["url"] == f"groupd://join/{answer['code']}"


def test_each_link_has_another_code_and_so_has_each_tenant_group_and_key() -> None:
    made = {
        KEYS.code(tenant, group, number, key)
        for tenant in ("", "t")
        for group in ("G" * 16, "H" * 16)
        for number in (1, 2)
        for key in ("k1", "k2")
    }
    assert len(made) == 16
    assert KEYS.code("", "G" * 16, 1, "gone") is None


def test_a_retry_gets_the_same_code(table: Table) -> None:
    request_id = table.world.new_id()
    first = table.act("mia", ShareLink(channel="wechat"), request_id)
    table.restart()
    table.act("olga", Update(member_invites=False))
    assert table.act("mia", ShareLink(channel="wechat"), request_id) == first
    assert len(table.state.links) == 1


def test_no_event_holds_the_code(table: Table) -> None:
    code = share(table)
    table.act("sam", Join(code=code))
    secret = code[len(table.group) :].encode()
    for record in table.book.records:
        assert record.body is not None
        assert secret not in record.header + record.body
    assert secret not in codec.pack(table.state.dump())


def test_a_link_goes_on_working_after_the_key_was_rotated(table: Table) -> None:
    code = share(table)
    made = table.book.event()
    assert isinstance(made, LinkMade)
    assert made.key_id == "k1"
    table.happen(attrs.evolve(made, link=2, key_id="k2"), "mia")
    newer = KEYS.code("", table.group, 2, "k2")
    assert newer is not None
    for user, one in (("sam", code), ("sue", newer)):
        assert table.act(user, Join(code=one))["status"] == "joined"


# --- joining


def test_who_joins_by_a_link_is_written_with_channel_and_sharer(table: Table) -> None:
    code = share(table, channel="wechat")
    answer = table.world.act(Identity("sam", name="山姆"), Join(code=code))
    assert answer == {"status": "joined", "group": table.group, "seq": table.seq}
    assert table.book.event() == Joined(
        via="link", name="山姆", link=1, channel="wechat", sharer="mia"
    )


def test_joins_are_counted_by_channel_and_by_sharer(table: Table) -> None:
    wechat, qq = share(table, channel="wechat"), share(table, "adam", channel="qq")
    again = share(table, "adam", channel="wechat")
    for user, code in (("u1", wechat), ("u2", wechat), ("u3", qq), ("u4", again), ("u1", qq)):
        table.act(user, Join(code=code))
    for user in ("olga", "adam"):
        assert table.act(user, Info())["links"] == {
            "joins_by_channel": {"wechat": 3, "qq": 1},
            "joins_by_sharer": {"mia": 2, "adam": 2},
        }
    assert "links" not in table.act("mia", Info())


def test_a_link_leads_into_an_invite_only_group(table: Table) -> None:
    code = share(table)
    table.act("olga", Update(join_policy="invite_only"))
    assert outcome(table.refuse("sam", Join())) == "forbidden: invite_only"
    assert table.act("sam", Join(code=code))["status"] == "joined"


def test_a_link_leads_into_a_group_that_cannot_be_discovered(table: Table) -> None:
    code = share(table)
    table.act("olga", Update(discoverable=False))
    for request in (Info(), Join(), Leave()):
        assert table.refuse("sam", request).code == "not_found"
    assert table.act("sam", OpenLink(code))["group"]["name"] == "邻里群"
    assert table.act("sam", Join(code=code))["status"] == "joined"
    assert table.act("sam", Info())["role"] == "member"


def test_a_full_group_takes_nobody_in_by_a_link_and_counts_no_use(table: Table) -> None:
    code = share(table, uses_max=1)
    table.world.plans = {"ordinary": Plan(members_max=3)}
    assert table.refuse("sam", Join(code=code)).details == {"limit": 3}
    assert table.act("sam", OpenLink(code))["limit"] == 3
    table.act("mia", Leave())
    table.act("sam", Join(code=code))


def test_a_member_who_joins_by_a_link_is_joined_and_uses_nothing(table: Table) -> None:
    code = share(table, uses_max=1)
    table.act("adam", Join(code=code))
    table.act("sam", Join(code=code))
    table.act("sam", Join(code=code))
    assert table.state.links[1].uses == 1


# --- uses_max


@pytest.mark.parametrize("uses_max", [1, 2, 7])
def test_exactly_so_many_join_as_a_link_allows(table: Table, uses_max: int) -> None:
    code = share(table, uses_max=uses_max)
    joined, refusals = 0, set()
    for number in range(20):
        try:
            table.act(f"u{number}", Join(code=code))
            joined += 1
        except Rejected as error:
            refusals.add(outcome(error))
    assert refusals == {"conflict: link_used_up"}
    assert joined == uses_max
    assert len(table.state.members) == 3 + uses_max


# --- expiry


def test_a_link_works_until_the_millisecond_before_it_expires(table: Table) -> None:
    code = share(table, expires_in_ms=1_000)
    table.world.now_ms += 999
    table.act("sam", Join(code=code))
    table.world.now_ms += 1
    assert outcome(table.refuse("sue", Join(code=code))) == "conflict: link_expired"
    assert outcome(table.refuse("sue", OpenLink(code))) == "conflict: link_expired"


def test_an_expired_link_says_so_before_and_after_the_server_has_ended_it(table: Table) -> None:
    code = share(table, expires_in_ms=1_000)
    assert table.deadline_ms() == table.world.now_ms + 1_000
    assert table.wake() == []
    table.world.now_ms += 1_000
    before = outcome(table.refuse("sam", Join(code=code)))
    assert table.wake() == [LinkRevoked(link=1, reason="expired")]
    assert outcome(table.refuse("sam", Join(code=code))) == before == "conflict: link_expired"
    assert table.deadline_ms() is None
    assert table.wake() == []


def test_the_next_deadline_is_that_of_the_first_link_to_expire(table: Table) -> None:
    share(table)
    assert table.deadline_ms() is None
    first, second = (share(table, expires_in_ms=number) for number in (2_000, 1_000))
    start = table.world.now_ms
    assert table.deadline_ms() == start + 1_000
    table.act("mia", RevokeLink(second))
    assert table.deadline_ms() == start + 2_000
    table.act("mia", RevokeLink(first))
    assert table.deadline_ms() is None


def test_a_dissolved_group_has_no_deadline(table: Table) -> None:
    share(table, expires_in_ms=1_000)
    table.act("olga", Dissolve())
    table.world.now_ms += 1_000
    assert table.deadline_ms() is None
    assert table.wake() == []


# --- revoking


def test_a_revoked_link_stops_new_joins(table: Table) -> None:
    code = share(table)
    assert table.act("mia", RevokeLink(code)) == {"seq": table.seq}
    assert table.book.event() == LinkRevoked(link=1)
    assert outcome(table.refuse("sam", Join(code=code))) == "conflict: link_revoked"
    assert outcome(table.refuse("sam", OpenLink(code))) == "conflict: link_revoked"
    assert outcome(table.refuse("mia", RevokeLink(code))) == "conflict: link_revoked"


def test_a_link_that_was_revoked_stays_so_when_its_time_is_over(table: Table) -> None:
    code = share(table, expires_in_ms=1_000)
    table.act("mia", RevokeLink(code))
    table.world.now_ms += 1_000
    assert table.wake() == []
    assert outcome(table.refuse("sam", OpenLink(code))) == "conflict: link_revoked"
    assert [link["dead"] for link in table.act("mia", Links())["links"]] == ["link_revoked"]


def test_admins_revoke_others_links_and_members_do_not(table: Table) -> None:
    code = share(table, "adam")
    error = table.refuse("mia", RevokeLink(code))
    assert (outcome(error), error.details["required"]) == ("forbidden: role", "admin")
    table.act("olga", RevokeLink(code))


def test_a_wrong_code_is_not_found(table: Table) -> None:
    code = share(table)
    for wrong in (changed(code), table.group, code + "A", code.lower(), table.group + "字" * 22):
        for user in ("sam", "olga"):
            assert table.refuse(user, Join(code=wrong)).code == "not_found"
            assert table.refuse(user, OpenLink(wrong)).code == "not_found"
        assert table.refuse("olga", RevokeLink(wrong)).code == "not_found"


# --- who may share


def test_with_member_invites_off_only_admins_make_links(table: Table) -> None:
    table.act("olga", Update(member_invites=False))
    assert outcome(table.refuse("mia", ShareLink())) == "forbidden: invites_off"
    for user in ("adam", "olga"):
        share(table, user)


def test_the_plan_bounds_the_links_that_work(table: Table) -> None:
    table.world.plans = {"ordinary": Plan(links_max=2)}
    used_up, other = share(table, uses_max=1), share(table, expires_in_ms=1_000)
    error = table.refuse("olga", ShareLink())
    assert error.code == "quota_exceeded"
    assert error.details == {"quota": "links", "limit": 2, "used": 2}
    table.act("sam", Join(code=used_up))
    third = share(table)
    table.world.now_ms += 1_000
    fourth = share(table)
    table.act("mia", RevokeLink(third))
    share(table)
    assert len({used_up, other, third, fourth}) == 4


def test_dead_links_are_kept_up_to_a_bound_and_their_numbers_never_come_again(world: World) -> None:
    table = world.found("ann")
    for number in range(1, CONTENT.links_kept_max + 1):
        table.happen(LinkMade(link=number, key_id="k1"), "ann")
        table.happen(LinkRevoked(link=number), "ann")
    for _ in range(3):
        table.act("ann", RevokeLink(share(table, "ann")))
    assert len(table.state.links) == CONTENT.links_kept_max
    assert min(table.state.links) == 4
    assert max(table.state.links) == CONTENT.links_kept_max + 3
    assert table.refuse("ann", RevokeLink(table.code(1))).code == "not_found"


def test_dead_links_by_which_somebody_waits_are_kept_so_that_no_use_is_forgotten(
    world: World,
) -> None:
    table = world.found("ann")
    code = share(table, "ann", uses_max=1, approval=True)
    for user in ("sam", "sue"):
        table.act(user, Join(code=code))
    table.act("ann", Approve("sam"))
    for number in range(2, CONTENT.links_kept_max + 1):
        table.happen(LinkMade(link=number, key_id="k1"), "ann")
        table.happen(LinkRevoked(link=number), "ann")
    share(table, "ann")
    assert list(table.state.links)[:2] == [1, 3]
    assert outcome(table.refuse("ann", Approve("sue"))) == "conflict: link_used_up"
    table.act("sue", Withdraw())
    share(table, "ann")
    assert list(table.state.links)[:2] == [3, 4]
    assert len(table.state.links) == CONTENT.links_kept_max


# --- what they grant


@pytest.mark.parametrize(
    ("policy", "maker", "approval", "status"),
    [
        ("open", "mia", False, "joined"),
        ("open", "mia", True, "pending"),
        ("open", "adam", True, "pending"),
        ("approval", "mia", False, "pending"),
        ("approval", "mia", True, "pending"),
        ("approval", "adam", False, "joined"),
        ("approval", "olga", True, "pending"),
        ("invite_only", "mia", False, "joined"),
    ],
)
def test_a_link_grants_no_more_than_its_maker_may_grant(
    table: Table, policy: str, maker: str, approval: bool, status: str
) -> None:
    table.act("olga", Update(join_policy=policy))
    code = share(table, maker, approval=approval)
    assert table.act("sam", OpenLink(code))["status"] == status
    assert table.act("sam", Join(code=code))["status"] == status


def test_what_a_link_grants_is_fixed_when_it_is_made(table: Table) -> None:
    before = share(table)
    table.act("olga", Update(join_policy="approval"))
    since = share(table)
    assert table.act("sam", Join(code=before))["status"] == "joined"
    assert table.act("sue", Join(code=since))["status"] == "pending"
    table.act("olga", Update(join_policy="open"))
    assert table.act("tom", Join(code=since))["status"] == "pending"


def test_who_asks_by_a_link_is_written_with_channel_and_sharer(table: Table) -> None:
    code = share(table, channel="wechat", approval=True)
    table.act("sam", Join(code=code, message="你好"))
    assert table.book.event() == Requested(
        message="你好", via="link", link=1, channel="wechat", sharer="mia"
    )


# --- listing


def test_admins_list_all_links_and_members_their_own_the_newest_first(table: Table) -> None:
    first, second = share(table, channel="qq"), share(table, "adam", uses_max=1, approval=True)
    third = share(table, "adam", expires_in_ms=1_000)
    table.act("adam", RevokeLink(third))
    made_ms = table.world.now_ms
    shown = table.act("olga", Links())["links"]
    assert [link["number"] for link in shown] == [3, 2, 1]
    assert [link["code"] for link in shown] == [third, second, first]
    assert shown[2] == {
        "number": 1,
        "code": first,
        "url": f"groupd://join/{first}",
        "channel": "qq",
        "by": "mia",
        "made_ms": made_ms,
        "uses": 0,
        "approval": False,
        "revoked": False,
    }
    assert (shown[1]["approval"], shown[1]["uses_max"]) == (True, 1)
    assert shown[0]["expires_at_ms"] == made_ms + 1_000
    assert (shown[0]["revoked"], shown[0]["dead"]) == (True, "link_revoked")
    assert [link["number"] for link in table.act("mia", Links())["links"]] == [1]
    assert outcome(table.refuse("sam", Links())) == "forbidden: not_member"


def test_a_listed_link_says_why_it_is_dead(table: Table) -> None:
    used_up = share(table, uses_max=1)
    share(table, expires_in_ms=1_000)
    table.act("sam", Join(code=used_up))
    table.world.now_ms += 1_000
    dead = [link["dead"] for link in table.act("mia", Links())["links"]]
    assert dead == ["link_expired", "link_used_up"]


def test_a_link_whose_key_was_retired_is_listed_without_its_code(table: Table) -> None:
    table.happen(LinkMade(link=1, key_id="gone"), "mia")
    (shown,) = table.act("mia", Links())["links"]
    assert shown["dead"] == "link_revoked"
    assert "code" not in shown
    assert "url" not in shown


@given(st.integers(1, 8))
def test_pages_of_links_have_each_once(limit: int) -> None:
    table = World().found("ann")
    for _ in range(6):
        share(table, "ann")
    page = table.act("ann", Links(limit=limit))
    numbers = [link["number"] for link in page["links"]]
    for _ in range(5):
        if "next" not in page:
            break
        page = table.act("ann", Links(before=page["next"], limit=limit))
        numbers += [link["number"] for link in page["links"]]
    assert numbers == [6, 5, 4, 3, 2, 1]


# --- looking


def test_opening_a_link_says_what_joining_would_do(table: Table) -> None:
    code = share(table, channel="weibo")
    shown = table.act("sam", OpenLink(code))
    assert (shown["status"], shown["channel"], shown["sharer"]) == ("joined", "weibo", "mia")
    assert shown["group"]["members"] == 3
    assert table.act("adam", OpenLink(code))["status"] == "member"
    table.act("olga", BanUser("sue"))
    assert table.act("sue", OpenLink(code))["status"] == "banned"
    table.world.plans = {"ordinary": Plan(members_max=3)}
    shown = table.act("sam", OpenLink(code))
    assert (shown["status"], shown["limit"]) == ("group_full", 3)
    table.act("olga", Dissolve())
    assert table.act("sam", OpenLink(code))["status"] == "state"


@pytest.mark.parametrize("dissolved", [False, True])
@pytest.mark.parametrize("request_class", [Join, OpenLink, RevokeLink])
@pytest.mark.parametrize("tail", ["", "A" * 22, "of another group"])
def test_a_made_up_code_tells_a_stranger_nothing_of_a_hidden_group(
    table: Table, request_class: Any, tail: str, dissolved: bool
) -> None:
    share(table)
    table.act("olga", Update(discoverable=False))
    if dissolved:
        table.act("olga", Dissolve())
    if tail == "of another group":
        tail = share(table.world.found("mia"))[len(table.group) :]

    def refusal(group: str) -> dict[str, Any]:
        with pytest.raises(Rejected) as caught:
            Table(table.world, group).act("sam", request_class(code=group + tail))
        return caught.value.to_wire()

    assert refusal(table.group) == refusal("NO SUCH GROUP ID")


def test_who_has_left_a_hidden_group_is_a_stranger_to_it(table: Table) -> None:
    table.act("olga", Update(discoverable=False))
    table.act("mia", Leave())
    assert table.refuse("mia", Info()).code == "not_found"
