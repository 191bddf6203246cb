"""Keeping order: kick, ban, mute, mute all, slow mode (FEATURES A15)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from groupd.config import CONTENT, Plan
from groupd.domain.base import Audience, Command, Event, LiveQuery, Role
from groupd.domain.group.info import Info
from groupd.domain.group.membership import Join, Leave, Left
from groupd.domain.group.messages import Post
from groupd.domain.group.moderation import (
    AllMuted,
    Banned,
    Bans,
    BanUser,
    Kick,
    Kicked,
    Mute,
    MuteAll,
    Muted,
    SlowMode,
    SlowModeSet,
    Unban,
    Unbanned,
    Unmute,
    Unmuted,
)
from groupd.domain.group.parts import Invitation, JoinRequest
from groupd.domain.group.roles import AcceptTransfer, DeclineTransfer, SetRole, Transfer
from groupd.domain.group.settings import Created
from groupd.domain.group.state import SILENCES_KEPT
from groupd.domain.projection import DropMember, DropRequest, SetMember
from groupd.errors import Rejected
from tests.domain.bench import Table, World, outcome

HELLO = Post(text="hi")


def newest(table: Table) -> tuple[Event, Any, Any]:
    """Give the newest event, whose view it changes and what it changes in the index."""
    event, record = table.book.event(), table.book.records[-1]
    return event, event.views(record), event.project(record)


# --- rank

ON_SOMEBODY = (Kick, BanUser, lambda user: Mute(user, 1_000), Unmute)


@pytest.mark.parametrize("make", ON_SOMEBODY)
def test_nobody_acts_on_the_same_or_a_higher_rank(table: Table, make: Any) -> None:
    table.admit("zoe", Role.ADMIN)
    for user in ("zoe", "olga"):
        assert outcome(table.refuse("adam", make(user))) == "forbidden: rank"
    for user in ("olga", "adam"):
        assert outcome(table.refuse(user, make(user))) == "forbidden: yourself"
    assert outcome(table.refuse("mia", make("adam"))) == "forbidden: role"
    table.act("olga", make("adam"))
    table.act("zoe", make("mia"))


@pytest.mark.parametrize("make", [Kick, lambda user: Mute(user, 1_000), Unmute])
def test_strangers_are_not_kicked_and_not_muted(table: Table, make: Any) -> None:
    assert table.refuse("olga", make("sam")).code == "not_found"


def test_a_direct_chat_has_no_order_to_keep(world: World) -> None:
    table = world.found("ann", members=["bob"])
    table.happen(Created(direct=("ann", "bob")), "ann")
    requests: tuple[Command | LiveQuery, ...] = (Kick("bob"), BanUser("sam"), Bans(), MuteAll())
    for request in requests:
        assert outcome(table.refuse("ann", request)) == "forbidden: direct"


# --- kick


def test_who_is_kicked_reads_that_as_the_last_and_may_come_back(table: Table) -> None:
    assert table.act("adam", Kick("mia", "广告")) == {"seq": table.seq}
    assert newest(table) == (Kicked("mia", "广告"), (("mia", None),), (DropMember("mia"),))
    record = table.book.records[-1]
    assert (record.audience, record.followed) == (Audience.MEMBERS, True)
    assert outcome(table.refuse("mia", HELLO)) == "forbidden: not_member"
    assert table.refuse("adam", Kick("mia")).code == "not_found"
    table.act("mia", Join())


def test_a_retry_after_a_kick_still_gets_the_first_answer(table: Table) -> None:
    request_id = table.world.new_id()
    first = table.act("mia", HELLO, request_id)
    table.act("adam", Kick("mia"))
    assert table.act("mia", HELLO, request_id) == first


# --- bans


def test_a_banned_member_is_taken_out_at_once(table: Table) -> None:
    assert table.act("adam", BanUser("mia", 1_000, "广告")) == {"seq": table.seq}
    assert newest(table) == (
        Banned("mia", table.world.now_ms + 1_000, "广告"),
        (("mia", None),),
        (DropRequest("mia"), DropMember("mia")),
    )
    record = table.book.records[-1]
    assert (record.audience, record.followed) == (Audience.MEMBERS, True)
    assert table.state.role_of("mia") is None


def test_a_ban_keeps_out_until_just_before_its_end(table: Table) -> None:
    table.act("adam", BanUser("sam", 1_000))
    table.world.now_ms += 999
    assert outcome(table.refuse("sam", Join())) == "forbidden: banned"
    table.world.now_ms += 1
    assert table.act("olga", Bans()) == {"bans": []}
    assert table.refuse("adam", Unban("sam")).code == "not_found"
    table.act("sam", Join())


def test_a_ban_ends_what_somebody_was_waiting_for(table: Table) -> None:
    now_ms = table.world.now_ms
    table.state.requests["sam"] = JoinRequest(1, now_ms, "", "", "search")
    table.state.invitations["sam"] = Invitation(1, now_ms, "olga", "joined")
    table.act("adam", BanUser("sam"))
    assert (table.state.requests, table.state.invitations) == ({}, {})


def test_banning_again_changes_the_time_and_for_ever_again_changes_nothing(table: Table) -> None:
    table.act("adam", BanUser("sam", 1_000))
    first = table.act("adam", BanUser("sam"))
    head = table.seq
    table.restart()
    assert table.act("olga", BanUser("sam", message="once more")) == first
    assert table.seq == head
    assert table.act("olga", BanUser("sam", 5)) == {"seq": head + 1}
    assert table.state.bans["sam"].until_ms == table.world.now_ms + 5


def test_bans_that_hold_are_listed_by_user(table: Table) -> None:
    now_ms = table.world.now_ms
    for user, for_ms in (("c", None), ("a", 1_000), ("b", 10), ("d", None)):
        table.act("adam", BanUser(user, for_ms))
    table.world.now_ms += 10
    first = table.act("olga", Bans(limit=2))
    assert first == {
        "bans": [
            {"user": "a", "by": "adam", "at_ms": now_ms, "until_ms": now_ms + 1_000},
            {"user": "c", "by": "adam", "at_ms": now_ms},
        ],
        "next": "c",
    }
    last = table.act("olga", Bans(after="c", limit=2))
    assert last == {"bans": [{"user": "d", "by": "adam", "at_ms": now_ms}]}
    assert outcome(table.refuse("mia", Bans())) == "forbidden: role"


def test_who_is_unbanned_may_come_back(table: Table) -> None:
    table.act("adam", BanUser("mia"))
    assert table.act("olga", Unban("mia")) == {"seq": table.seq}
    assert newest(table) == (Unbanned("mia"), (), ())
    assert table.book.records[-1].audience == Audience.ADMINS
    assert table.refuse("olga", Unban("mia")).code == "not_found"
    table.act("mia", Join())


def test_only_so_many_bans_hold_at_a_time_and_those_that_are_over_make_room(
    table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = attrs.evolve(CONTENT, bans_max=3)
    monkeypatch.setattr("groupd.domain.group.moderation.CONTENT", small)
    for user, for_ms in (("a", 10), ("b", 20), ("c", None)):
        table.act("adam", BanUser(user, for_ms))
    refusal = table.refuse("adam", BanUser("d"))
    assert refusal.details == {"quota": "bans", "limit": 3, "used": 3}
    table.act("adam", BanUser("c", 5))
    table.world.now_ms += 20
    table.act("adam", BanUser("d"))
    event = table.book.event()
    assert isinstance(event, Banned)
    assert event.dropped == ("a",)
    assert list(table.state.bans) == ["b", "c", "d"]
    table.act("adam", BanUser("b"))
    assert list(table.state.bans) == ["c", "d", "b"]


# --- silence


def test_a_muted_member_cannot_post_until_the_time_is_over(table: Table) -> None:
    until_ms = table.world.now_ms + 1_000
    assert table.act("adam", Mute("mia", 1_000)) == {"seq": table.seq}
    assert newest(table) == (
        Muted("mia", until_ms),
        (),
        (SetMember("mia", {"muted_until_ms": until_ms}),),
    )
    assert table.act("mia", Info())["muted_until_ms"] == until_ms
    table.world.now_ms += 999
    refusal = table.refuse("mia", HELLO)
    assert (refusal.code, refusal.details) == ("muted", {"until_ms": until_ms})
    table.world.now_ms += 1
    assert "muted_until_ms" not in table.act("mia", Info())
    table.act("mia", HELLO)


def test_muting_again_changes_the_time_and_to_the_same_changes_nothing(table: Table) -> None:
    first = table.act("adam", Mute("mia", 1_000))
    assert table.act("olga", Mute("mia", 1_000)) == first
    table.act("olga", Mute("mia", 5))
    assert table.state.members["mia"].muted_until_ms == table.world.now_ms + 5


def test_who_is_unmuted_may_speak_at_once(table: Table) -> None:
    assert table.act("adam", Unmute("mia")) == {"seq": table.state.members["mia"].joined_seq}
    table.act("adam", Mute("mia", 1_000))
    first = table.act("adam", Unmute("mia"))
    assert newest(table) == (Unmuted("mia"), (), (SetMember("mia", {"muted_until_ms": 0}),))
    head = table.seq
    table.restart()
    assert table.act("olga", Unmute("mia")) == first
    assert table.seq == head
    table.act("mia", HELLO)


def test_muting_all_leaves_admins_the_word(table: Table) -> None:
    assert table.act("adam", MuteAll(on=False)) == {"seq": 1}
    first = table.act("adam", MuteAll())
    assert table.book.event() == AllMuted(on=True)
    assert table.act("olga", MuteAll()) == first
    assert table.act("mia", Info())["all_muted"] is True
    assert outcome(table.refuse("mia", HELLO)) == "forbidden: all_muted"
    for user in ("olga", "adam"):
        table.act(user, HELLO)
    table.act("olga", MuteAll(on=False))
    table.act("mia", HELLO)


def test_in_slow_mode_plain_members_post_once_in_the_interval(table: Table) -> None:
    assert table.act("adam", SlowMode(0)) == {"seq": 1}
    first = table.act("adam", SlowMode(1_000))
    assert table.book.event() == SlowModeSet(1_000)
    assert table.act("olga", SlowMode(1_000)) == first
    assert table.act("mia", Info())["slow_mode_ms"] == 1_000
    table.act("mia", HELLO)
    table.world.now_ms += 400
    refusal = table.refuse("mia", HELLO)
    assert refusal.code == "rate_limited"
    assert refusal.details == {"retry_after_ms": 600, "reason": "slow_mode"}
    for user in ("adam", "adam", "olga", "olga"):
        table.act(user, HELLO)
    table.world.now_ms += 600
    table.act("mia", HELLO)


def test_a_duplicate_in_slow_mode_gets_its_answer_and_starts_no_clock(table: Table) -> None:
    table.act("adam", SlowMode(1_000))
    request_id = table.world.new_id()
    first = table.act("mia", HELLO, request_id)
    table.world.now_ms += 999
    assert table.act("mia", HELLO, request_id) == first
    table.world.now_ms += 1
    table.act("mia", HELLO)


# --- whatever is done

USERS = ("ann", "bob", "cem", "dora", "eve")
on_user: Mapping[str, Any] = {
    "admin": lambda user: SetRole(user, "admin"),
    "member": lambda user: SetRole(user, "member"),
    "kick": Kick,
    "ban": BanUser,
    "ban for a time": lambda user: BanUser(user, 1_500),
    "unban": Unban,
    "mute": lambda user: Mute(user, 1_500),
    "unmute": Unmute,
    "transfer": Transfer,
}
by_oneself: Mapping[str, Command] = {
    "accept": AcceptTransfer(),
    "decline": DeclineTransfer(),
    "post": HELLO,
    "mute all": MuteAll(),
    "unmute all": MuteAll(on=False),
    "slow": SlowMode(1_200),
    "fast": SlowMode(0),
    "join": Join(),
}
steps = st.lists(
    st.tuples(
        st.sampled_from(USERS),
        st.sampled_from((*on_user, *by_oneself, "post", "post", "accept", "join")),
        st.sampled_from(USERS),
        st.sampled_from((0, 0, 1, 400, 800, 1_500)),
    ),
    min_size=5,
    max_size=50,
)
Step = tuple[str, str, str, int]


def peopled() -> Table:
    world = World(plans={"ordinary": Plan(admins_max=2)})
    table = world.found("ann", members=list(USERS[1:]))
    table.act("ann", SetRole("bob", "admin"))
    return table


def attempt(table: Table, step: Step) -> str:
    """Do a step and give its outcome; the clock runs first."""
    user, move, other, pass_ms = step
    table.world.now_ms += pass_ms
    table.wake()
    request = on_user[move](other) if move in on_user else by_oneself[move]
    try:
        table.act(user, request)
    except Rejected as refusal:
        return outcome(refusal)
    return "ok"


@settings(max_examples=150)
@given(steps=steps)
def test_rank_decides_whatever_is_done_and_there_is_one_owner(steps: list[Step]) -> None:
    table = peopled()
    handed_over = 0
    for step in steps:
        user, move, other, _pass_ms = step
        before = {name: member.role for name, member in table.state.members.items()}
        owner = table.state.owner
        done = attempt(table, step) == "ok"
        if done and move in on_user and other in before and move != "unban":
            assert before[user] > before[other]
        handed_over += table.state.owner != owner
        ranks = [member.role for member in table.state.members.values()]
        assert ranks.count(Role.OWNER) == 1
        assert table.state.role_of(table.state.owner) is Role.OWNER
        assert ranks.count(Role.ADMIN) <= 2 + handed_over
        now_ms = table.world.now_ms
        held = {name for name, ban in table.state.bans.items() if ban.holds(now_ms)}
        assert not held & table.state.members.keys()
    assert table.book.replayed(restart_at={5, 9, 20}) == table.state


@settings(max_examples=150)
@given(steps=steps)
def test_a_post_is_refused_exactly_while_somebody_may_not_speak(steps: list[Step]) -> None:
    table = peopled()
    silent_until: dict[str, int] = {}
    spoke: dict[str, int] = {}
    all_muted, interval_ms = False, 0
    for step in steps:
        user, move, other, _pass_ms = step
        # Who comes back is told from who was never away in test_membership.
        if move in ("kick", "ban", "ban for a time", "join", "accept"):
            continue
        got, now_ms = attempt(table, step), table.world.now_ms
        if move == "post":
            is_plain = table.state.role_of(user) is Role.MEMBER
            expected = "ok"
            if now_ms < silent_until.get(user, 0):
                expected = "muted"
            elif all_muted and is_plain:
                expected = "forbidden: all_muted"
            elif is_plain and user in spoke and now_ms < spoke[user] + interval_ms:
                expected = "rate_limited: slow_mode"
            assert got == expected
        if got != "ok":
            continue
        if move == "post":
            spoke[user] = now_ms
        elif move in ("mute", "unmute"):
            silent_until[other] = now_ms + 1_500 if move == "mute" else 0
        elif move in ("mute all", "unmute all"):
            all_muted = move == "mute all"
        elif move in ("slow", "fast"):
            interval_ms = 1_200 if move == "slow" else 0


def test_leaving_and_coming_back_ends_no_mute(table: Table) -> None:
    table.act("olga", Mute("mia", for_ms=60_000))
    until_ms = table.world.now_ms + 60_000
    table.act("mia", Leave())
    table.act("mia", Join())
    assert table.refuse("mia", Post(text="hi")).details == {"until_ms": until_ms}
    assert table.book.event().muted_until_ms == until_ms  # type: ignore[attr-defined]
    table.act("olga", Kick("mia"))
    table.restart()
    table.act("mia", Join())
    assert table.refuse("mia", Post(text="hi")).code == "muted"
    table.world.now_ms = until_ms
    table.act("mia", Post(text="hi"))


def test_leaving_and_coming_back_does_not_set_the_slow_mode_back(table: Table) -> None:
    table.act("olga", SlowMode(10_000))
    table.act("mia", Post(text="hi"))
    table.act("mia", Leave())
    table.act("mia", Join())
    assert table.refuse("mia", Post(text="hi")).details["reason"] == "slow_mode"
    table.world.now_ms += 10_000
    table.act("mia", Post(text="hi"))


def test_only_so_many_silences_are_remembered(table: Table) -> None:
    table.act("olga", SlowMode(10_000))
    for number in range(SILENCES_KEPT + 1):
        table.admit(f"u{number}")
        table.happen(Left(), f"u{number}")
    assert len(table.state.silences) == SILENCES_KEPT
    assert "u0" not in table.state.silences


def test_a_mute_is_not_washed_out_by_those_who_come_and_go(table: Table) -> None:
    table.act("olga", Mute("mia", for_ms=60_000))
    table.act("olga", SlowMode(10_000))
    table.act("mia", Leave())
    for number in range(SILENCES_KEPT + 1):
        table.admit(f"u{number}")
        table.happen(Left(), f"u{number}")
    table.act("mia", Join())
    assert table.refuse("mia", Post(text="hi")).code == "muted"
