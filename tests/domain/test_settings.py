"""Changing settings, and the end of a group."""

from __future__ import annotations

from typing import Any

import pytest

from groupd.domain.group.info import Info
from groupd.domain.group.membership import Join
from groupd.domain.group.messages import Post
from groupd.domain.group.parts import JoinRequest
from groupd.domain.group.settings import Created, Dissolve, Dissolved, Update, Updated
from groupd.domain.projection import PutCard
from groupd.errors import Rejected
from tests.domain.bench import Table, World, outcome


def changes(table: Table) -> dict[str, Any]:
    event = table.book.event()
    assert isinstance(event, Updated)
    return dict(event.changes)


def test_an_update_holds_only_what_differs(table: Table) -> None:
    table.act("adam", Update(name="邻里群", category="读书", discoverable=True, history="joined"))
    assert changes(table) == {"category": "读书", "history": "joined"}
    shown = table.act("mia", Info())
    assert (shown["category"], shown["settings"]["history"]) == ("读书", "joined")


def test_an_update_where_nothing_differs_is_no_event(table: Table) -> None:
    head = table.seq
    assert table.act("adam", Update(name="邻里群", member_invites=True)) == {"seq": 1}
    assert table.seq == head
    seq = table.act("adam", Update(name="新名"))["seq"]
    table.act("mia", Post(text="hi"))
    assert table.act("adam", Update(name="新名")) == {"seq": seq}


def test_an_update_names_at_least_one_setting(table: Table) -> None:
    assert table.refuse("adam", Update()).code == "bad_request"


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("name", "新名"),
        ("picture", "https://example.com/b.png"),
        ("category", "运动"),
        ("description", "第一行\n第二行"),
        ("location", {"lat": 1.5, "lon": -2.5}),
        ("join_policy", "approval"),
        ("join_policy", "invite_only"),
        ("member_invites", False),
        ("discoverable", False),
        ("history", "joined"),
        ("time_zone", "Asia/Shanghai"),
        ("conditions", {"all": ({"claim": "level", "at_least": 3},), "label": "粉丝"}),
        ("public_stats", True),
        ("data", {"a": (1, {"b": None})}),
    ],
)
def test_every_setting_can_be_changed_and_changing_it_again_is_no_event(
    table: Table, setting: str, value: Any
) -> None:
    table.act("olga", Update(**{setting: value}))
    assert getattr(table.state.settings, setting) == value
    head = table.seq
    table.act("olga", Update(**{setting: value}))
    table.restart()
    table.act("olga", Update(**{setting: value}))
    assert table.seq == head


def test_a_place_is_taken_away_by_an_empty_map(table: Table) -> None:
    table.act("olga", Update(location={"lat": 1, "lon": 2}))
    table.act("olga", Update(location={}))
    assert changes(table) == {"location": None}
    assert "location" not in table.act("mia", Info())
    head = table.seq
    table.act("olga", Update(location={}))
    assert table.seq == head


def test_texts_and_data_are_taken_away_by_empty_ones(table: Table) -> None:
    texts = {"picture": "p", "description": "d", "category": "c"}
    maps = {"data": {"a": 1}, "conditions": {"claim": "level", "at_least": 3}}
    table.act("olga", Update.parse({**texts, **maps}))
    table.act("olga", Update.parse({**dict.fromkeys(texts, ""), **{name: {} for name in maps}}))
    shown = table.act("mia", Info())
    assert (shown["picture"], shown["description"], shown["category"]) == ("", "", "")
    assert (shown["settings"]["data"], shown["settings"]["conditions"]) == ({}, {})
    head = table.seq
    table.act("olga", Update(data={}, conditions={}))
    assert table.seq == head


def test_the_name_cannot_be_taken_away() -> None:
    for name in ("", "  "):
        with pytest.raises(Rejected) as caught:
            Update(name=name)
        assert caught.value.details == {"field": "name"}


def test_one_and_true_differ_although_python_calls_them_equal(table: Table) -> None:
    for value in (1, True, 1.0):
        table.act("olga", Update(data={"a": [value]}))
        assert [type(item) for item in changes(table)["data"]["a"]] == [type(value)]


def test_the_order_of_a_map_is_no_difference(table: Table) -> None:
    table.act("olga", Update(data={"a": 1, "b": {"c": 1, "d": 2}}))
    head = table.seq
    table.act("olga", Update(data={"b": {"d": 2, "c": 1}, "a": 1}))
    assert table.seq == head


def test_a_category_that_is_not_configured_is_refused(table: Table) -> None:
    table.world.categories = ("读书",)
    assert table.refuse("olga", Update(category="钓鱼")).details == {"field": "category"}
    table.act("olga", Update(category="读书"))
    table.act("olga", Update(category=""))


def test_an_unknown_time_zone_is_refused() -> None:
    for zone in ("Mars/Base", "../../etc/passwd", "/etc/passwd", "", "UTC\0", "Asia", 8, "x" * 200):
        with pytest.raises(Rejected) as caught:
            Update(time_zone=zone)  # type: ignore[arg-type]
        assert caught.value.details == {"field": "time_zone"}


def test_a_setting_of_a_later_version_is_ignored(table: Table) -> None:
    table.happen(Updated({"colour": "red", "name": "红"}))
    assert table.state.settings.name == "红"


def test_the_index_learns_what_it_shows(table: Table) -> None:
    shown = {
        "name": "红",
        "discoverable": False,
        "category": "c",
        "description": "d",
        "location": {"lat": 1.5, "lon": 2.5},
        "join_policy": "approval",
    }
    table.act("olga", Update.parse({**shown, "history": "joined"}))
    record = table.book.records[-1]
    assert table.book.event().project(record) == (PutCard(shown),)
    table.act("olga", Update(time_zone="Asia/Shanghai", public_stats=True))
    assert table.book.event().project(table.book.records[-1]) == ()


# --- what is seen of a group


def test_strangers_see_in_words_what_a_group_asks_of_them(table: Table) -> None:
    assert "condition" not in table.act("sam", Info())
    condition = {"all": [{"claim": "level", "at_least": 3}, {"claim": "region", "is": "CN"}]}
    table.act("olga", Update(conditions=condition))
    shown = table.act("sam", Info())
    assert shown["condition"] == "level at least 3 and region is CN"
    assert "settings" not in shown
    shown = table.act("mia", Info())
    assert shown["settings"]["conditions"] == condition


def test_strangers_see_the_statistics_where_the_group_says_so(table: Table) -> None:
    table.act("mia", Post(text="hi"))
    assert "stats" not in table.act("sam", Info())
    table.act("olga", Update(public_stats=True))
    shown = table.act("mia", Info())
    assert table.act("sam", Info())["stats"] == shown["stats"]
    assert shown["stats"].items() >= {"members": 3, "messages": 1}.items()
    assert shown["settings"]["public_stats"] is True


def test_admins_see_how_many_wait(table: Table) -> None:
    now_ms = table.world.now_ms
    table.state.requests["sam"] = JoinRequest(1, now_ms, "", "", "search")
    for user in ("olga", "adam"):
        assert table.act(user, Info())["requests"] == 1
    assert "requests" not in table.act("mia", Info())


def test_members_see_whether_they_may_speak(table: Table) -> None:
    shown = table.act("mia", Info())
    assert (shown["all_muted"], shown["slow_mode_ms"]) == (False, 0)
    assert not {"muted_until_ms", "nickname", "offer", "direct"} & shown.keys()
    assert not {"all_muted", "slow_mode_ms"} & table.act("sam", Info()).keys()


def test_a_direct_chat_names_its_two(world: World) -> None:
    table = world.found("ann", members=["bob"])
    table.happen(Created(direct=("ann", "bob")), "ann")
    shown = table.act("bob", Info())
    assert (shown["direct"], shown["owner"]) == (["ann", "bob"], "")


# --- the end


def test_the_owner_dissolves_the_group(table: Table) -> None:
    assert table.act("olga", Dissolve()) == {"seq": table.seq}
    assert table.book.event() == Dissolved()
    assert table.state.dissolved


def test_the_last_members_of_a_dissolved_group_keep_its_info(table: Table) -> None:
    table.act("olga", Dissolve())
    shown = table.act("mia", Info())
    assert (shown["dissolved"], shown["members"], shown["role"]) == (True, 3, "member")


def test_a_dissolved_group_takes_nobody_in(table: Table) -> None:
    table.act("olga", Dissolve())
    assert outcome(table.refuse("sam", Join())) == "conflict: state"


def test_a_group_is_dissolved_once(table: Table) -> None:
    table.act("olga", Dissolve())
    assert outcome(table.refuse("olga", Dissolve())) == "conflict: state"
