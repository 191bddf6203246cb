"""The checks of parameters: what passes, in which form, and how anything else is refused."""

from __future__ import annotations

import math
import time
import unicodedata
from collections.abc import Mapping
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from groupd.config import CONTENT
from groupd.domain import fields
from groupd.domain.account.create import Create
from groupd.domain.base import Query, Request, Role
from groupd.domain.catalog import REQUESTS
from groupd.domain.group.messages import Post
from groupd.domain.queries import History, OperatorCheck, Sync
from groupd.domain.watching import OperatorConsumers
from groupd.errors import Rejected
from groupd.wire import codec
from tests import strategies

CLASSES = list(REQUESTS.values())


@attrs.frozen
class Sample(Query):
    """One field of each sort, some with defaults that could be taken for other values."""

    method = "sample"

    count: int = fields.integer(default=0)
    one: int = fields.integer(default=1)
    on: bool = fields.boolean(default=True)
    off: bool = fields.boolean(default=False)
    note: str = fields.text(10, default="")
    of: str = fields.name(10, default="x")
    data: Mapping[str, Any] | None = fields.value_map(50, default=None)
    users: tuple[str, ...] = fields.users(2, default=())


def refused(call: Any, *args: Any, **kwargs: Any) -> Rejected:
    with pytest.raises(Rejected) as caught:
        call(*args, **kwargs)
    assert caught.value.code == "bad_request"
    assert caught.value.details.keys() == {"field"}
    return caught.value


# --- every request


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.method)
@settings(max_examples=30)
@given(data=st.data())
def test_every_request_survives_the_wire(cls: type[Request], data: st.DataObject) -> None:
    request = data.draw(strategies.requests(cls))
    sent = codec.unpack(codec.pack(request.params()))
    assert cls.parse(sent) == cls(**sent) == request
    assert cls.parse({"a_later_field": 1, "id": "x", **sent}) == request


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.method)
@settings(max_examples=30)
@given(data=st.data())
def test_no_value_of_a_parameter_ends_in_anything_but_a_request_or_a_refusal(
    cls: type[Request], data: st.DataObject
) -> None:
    known = [field.name for field in attrs.fields(cls)]  # type: ignore[arg-type]
    params = data.draw(strategies.params_of(cls))
    if known:
        params[data.draw(st.sampled_from(known))] = data.draw(strategies.junk())
    try:
        request = cls.parse(params)
    except Rejected as error:
        refusal = error.to_wire()
    else:
        refusal = None
        assert cls.parse(codec.unpack(codec.pack(request.params()))) == request
    if refusal is not None:
        assert refusal["code"] in ("bad_request", "too_large")
        codec.pack(refusal)


@pytest.mark.parametrize(
    ("cls", "after"), [(OperatorConsumers, "\ud800"), (OperatorCheck, ["group", "", "\ud800"])]
)
def test_half_a_character_is_no_place_in_a_list(cls: type[Request], after: Any) -> None:
    with pytest.raises(Rejected, match="after"):
        cls.parse({"after": after})


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.method)
def test_a_missing_parameter_is_named(cls: type[Request]) -> None:
    required = [f.alias for f in attrs.fields(cls) if f.default is attrs.NOTHING]  # type: ignore[arg-type]
    for params in ({}, dict.fromkeys(required)):
        if required:
            assert refused(cls.parse, params).details["field"] == required[0]


# --- defaults


def test_parameters_that_equal_their_defaults_are_left_out() -> None:
    assert Sample().params() == {}
    spelt = Sample(count=0, one=1, on=True, off=False, note="", of="x", data=None, users=[])
    assert spelt.params() == {}


def test_parameters_that_differ_from_their_defaults_are_all_there() -> None:
    given = {"count": 1, "one": 0, "on": False, "off": True, "of": "y", "data": {}, "users": ["a"]}
    sample = Sample.parse(given)
    assert sample.params() == {**given, "users": ("a",)}
    assert Sample.parse(sample.params()) == sample


def test_one_is_not_taken_for_true_nor_zero_for_false() -> None:
    for params in ({"count": False}, {"one": True}, {"on": 1}, {"off": 0}, {"one": 1.0}):
        assert refused(Sample.parse, params).details["field"] == next(iter(params))


def test_nil_stands_for_not_given() -> None:
    nothing = dict.fromkeys(("count", "one", "on", "off", "note", "of", "data", "users"))
    assert Sample.parse(nothing) == Sample()
    assert refused(Sample, count=None).details["field"] == "count"


def test_unknown_parameters_are_ignored() -> None:
    assert Sample.parse({"count": 3, "colour": "red", "id": 7}) == Sample(count=3)


def test_a_request_does_not_change_with_the_map_it_was_made_from() -> None:
    given: dict[str, Any] = {"a": [{"b": 1}]}
    sample = Sample(data=given)
    given["a"][0]["b"] = 2
    assert sample.data == {"a": ({"b": 1},)}


# --- texts and names


@given(strategies.texts(), strategies.names())
def test_texts_and_names_come_in_nfc_and_cleaning_twice_changes_nothing(
    text: str, name: str
) -> None:
    text = fields.clean_text(text, "t", max_chars=500)
    name = fields.clean_name(name, "n", max_chars=60)
    for cleaned in (text, name):
        assert unicodedata.is_normalized("NFC", cleaned)
    assert fields.clean_text(text, "t", max_chars=500) == text
    assert fields.clean_name(name, "n", max_chars=60) == name == name.strip()


@pytest.mark.parametrize("char", ["\x00", "\x07", "\x1b", "\x7f", "\x85", "\x9f", "\ud800"])
def test_control_characters_and_surrogates_stand_in_no_text_and_no_name(char: str) -> None:
    refused(fields.clean_text, f"a{char}b", "t", max_chars=9)
    refused(fields.clean_name, f"a{char}b", "n", max_chars=9)
    refused(fields.clean_user, f"a{char}b", "u")


@pytest.mark.parametrize("char", ["\n", "\t", "\u2028", "\u202e", "\u2066"])
def test_line_breaks_and_turned_directions_stand_in_texts_only(char: str) -> None:
    assert fields.clean_text(f"a{char}b", "t", max_chars=9) == f"a{char}b"
    refused(fields.clean_name, f"a{char}b", "n", max_chars=9)
    refused(fields.clean_user, f"a{char}b", "u")


def test_lengths_are_counted_in_code_points_of_nfc() -> None:
    assert fields.clean_name("e\u0301" * 3, "n", max_chars=3) == "ééé"
    assert fields.clean_name("  三个字  ", "n", max_chars=3) == "三个字"
    refused(fields.clean_name, "四个字的", "n", max_chars=3)
    assert fields.clean_text("👩‍👩‍👧", "t", max_chars=5)
    refused(fields.clean_text, "👩‍👩‍👧", "t", max_chars=4)


def test_what_is_empty_after_trimming_is_refused() -> None:
    for empty in ("", " ", "\u3000\u00a0", "\n", "\u200b", "\u2060 \ufe0f", "\u3164\U000e0061"):
        refused(fields.clean_text, empty, "t", max_chars=9)
        refused(fields.clean_name, empty, "n", max_chars=9)


@pytest.mark.parametrize("marks", ["\u0301", "\u0301\u0316", "\u05b0", "\u0f72"])
def test_thirty_combining_marks_in_a_row_are_taken_and_one_more_is_not(marks: str) -> None:
    most = (marks * 30)[:30]
    assert fields.clean_text("a" + most, "t", max_chars=99)
    assert fields.clean_name("a" + most, "n", max_chars=99)
    refused(fields.clean_text, "a" + most + marks[0], "t", max_chars=99)
    refused(fields.clean_name, "a" + most + marks[0], "n", max_chars=99)


@pytest.mark.parametrize("before", range(0, 70, 5))
def test_too_many_combining_marks_are_found_wherever_they_stand(before: int) -> None:
    for after in ("", "c" * before):
        text = "a" * before + "\u0301" * 31 + after
        refused(fields.clean_text, text, "t", max_chars=999)


@pytest.mark.parametrize(
    "text",
    ["a" + "\u0301" * 16_000 + "\u0316" * 16_000, "가\u0301\u0316" * 9_000],
    ids=["one run", "many runs"],
)
def test_no_frame_of_combining_marks_takes_long(text: str) -> None:
    start = time.process_time()
    refused(fields.clean_text, text, "t", max_chars=CONTENT.text_max)
    refused(fields.clean_name, text, "n", max_chars=CONTENT.name_max)
    # It was 2 s where marks were not counted first.
    assert time.process_time() - start < 0.5


@pytest.mark.parametrize("wrong", [b"a", 1, True, None, ["a"], {"a": 1}, 1.5])
def test_nothing_but_a_string_is_a_text_a_name_or_a_user(wrong: Any) -> None:
    refused(fields.clean_text, wrong, "t", max_chars=9)
    refused(fields.clean_name, wrong, "n", max_chars=9)
    refused(fields.clean_user, wrong, "u")
    refused(fields.clean_group, wrong, "g")


# --- users


def test_a_user_has_1_to_64_bytes_and_stays_as_it_is() -> None:
    for user in ("a", "a" * 64, "字" * 21, "e\u0301", " a ", "a/b?c=d"):
        assert fields.clean_user(user, "u") == user
    for user in ("", "a" * 65, "字" * 22, "*"):
        refused(fields.clean_user, user, "u")


def test_a_user_that_nobody_can_see_is_none() -> None:
    for user in (" ", "   ", "\u3000", "\u200b", "\u2060 \ufeff", "\u3164"):
        refused(fields.clean_user, user, "u")
    for user in ("a\u200db", "👩\u200d👧"):
        assert fields.clean_user(user, "u") == user


def test_a_list_of_users_counts_each_once_and_is_bounded_as_sent() -> None:
    assert Sample(users=["b", "b"]).users == ("b",)
    for wrong in (["a", "b", "c"], ["a", "a", "a"], "ab", {"a": 1}, [["a"]], [None]):
        assert refused(Sample, users=wrong).details["field"] == "users"


# --- numbers


@pytest.mark.parametrize("wrong", [True, False, 1.0, "1", None, b"1", math.nan, [1], Role.ADMIN])
def test_nothing_but_an_integer_is_an_integer(wrong: Any) -> None:
    refused(fields.clean_int, wrong, "i")


def test_integers_stay_within_their_bounds_and_below_2_to_the_53() -> None:
    assert fields.clean_int(2**53 - 1, "i") == 2**53 - 1
    for wrong in (-1, 2**53, 2**64, 10**5_000, -(10**5_000)):
        refused(fields.clean_int, wrong, "i")


@pytest.mark.parametrize(
    "wrong",
    [
        {}, {"lat": 1}, {"lat": 91, "lon": 0}, {"lat": 0, "lon": -180.1}, {"lat": True, "lon": 0},
        {"lat": "1", "lon": 1}, {"lat": math.nan, "lon": 0}, {"lat": math.inf, "lon": 0},
        {"lat": 10**5_000, "lon": 0}, {"lat": None, "lon": 0}, [1, 2], "1,2", None, 1,
    ],
    ids=lambda wrong: type(wrong).__name__,
)  # fmt: skip
def test_what_is_no_place_is_refused(wrong: Any) -> None:
    refused(fields.location_of, wrong, "location")


def test_a_place_has_two_floats_and_no_more() -> None:
    place = fields.location_of({"lat": -90, "lon": 180, "alt": 7}, "location")
    assert place == {"lat": -90.0, "lon": 180.0}
    assert {type(number) for number in place.values()} == {float}


# --- maps of the host's own


def nested(levels: int, *, list_of: bool = False) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value] if list_of else {"a": value}
    return value


@given(strategies.values())
def test_a_value_of_the_hosts_own_comes_back_as_it_was_sent(value: Any) -> None:
    cleaned = fields.clean_value(value, "v")
    assert cleaned == strategies.tuples_in(value)
    assert strategies.tuples_in(codec.unpack(codec.pack(cleaned))) == cleaned
    assert len(codec.pack(cleaned)) <= fields.size_of(cleaned)


@pytest.mark.parametrize(
    "wrong",
    [
        b"x", math.nan, math.inf, 2**53, -(2**53), 10**5_000, "\ud800", object(), {1, 2},
        Role.ADMIN, {1: "a"}, {b"a": 1}, {None: 1}, {True: 1}, {("a",): 1}, {"\udc00": 1},
        {"a": {1: 1}}, [[b""]],
    ],
    ids=lambda wrong: type(wrong).__name__,
)  # fmt: skip
def test_what_not_every_client_could_read_is_refused(wrong: Any) -> None:
    refused(fields.clean_value, wrong, "v")
    refused(fields.clean_value, {"a": wrong}, "v")


@pytest.mark.parametrize("list_of", [False, True])
def test_values_go_eight_levels_deep(list_of: bool) -> None:
    assert fields.clean_value(nested(8, list_of=list_of), "v")
    refused(fields.clean_value, nested(9, list_of=list_of), "v")
    refused(fields.clean_value, nested(900, list_of=list_of), "v")


def test_a_map_over_its_limit_is_too_large() -> None:
    assert Sample(data={"a": "b" * 20})
    with pytest.raises(Rejected) as caught:
        Sample(data={"a": "b" * 50})
    assert (caught.value.code, caught.value.details) == ("too_large", {"limit_bytes": 50})


@given(strategies.values(), strategies.values())
def test_two_values_are_the_same_if_their_clients_read_the_same(one: Any, other: Any) -> None:
    one, other = (fields.clean_value(value, "v") for value in (one, other))
    alike = codec.pack(fields.ordered(one)) == codec.pack(fields.ordered(other))
    assert fields.same(one, other) == alike
    assert fields.same(one, codec.unpack(codec.pack(one)))


def test_the_order_of_keys_is_no_difference_and_the_order_of_a_list_is() -> None:
    assert fields.same({"a": [{"b": 1, "c": 2}]}, {"a": ({"c": 2, "b": 1},)})
    assert not fields.same([1, 2], [2, 1])
    for one, other in ((1, True), (0, False), (1, 1.0), ("", None), ({}, None), ((), {})):
        assert not fields.same(one, other)


# --- queries


def test_sync_takes_groups_and_seqs() -> None:
    assert Sync(cursors={"G": 0}).cursors == {"G": 0}
    many = {str(number): 1 for number in range(CONTENT.sync_groups_max + 1)}
    wrong: list[Any] = [{1: 1}, {"G": -1}, {"G": None}, {"G": True}, {"x" * 129: 1}, many, [], "G"]
    for cursors in wrong:
        assert refused(Sync, cursors=cursors).details["field"] == "cursors"


def test_history_goes_one_way_at_a_time() -> None:
    assert refused(History, after=1, before=2).details["field"] == "before"
    assert History(after=0).params() == {"after": 0}


def test_an_error_names_the_field_and_not_the_value() -> None:
    error = refused(Post, text="secret" * 1_000)
    assert error.details["field"] == "text"
    assert "secret" not in str(error)


@pytest.mark.parametrize(
    "url",
    ["javascript:alert(1)", " JavaScript:x", "java\tscript:x", "data:text/html,x", "vbscript :x"],
)
def test_a_picture_is_no_script(url: str) -> None:
    with pytest.raises(Rejected) as caught:
        Create("Tea", picture=url)
    assert caught.value.details == {"field": "picture"}


def test_pictures_of_all_hosts_are_taken() -> None:
    for url in ("", "https://example.com/a.png", "database/7", "app+img:7", "data"):
        assert Create("Tea", picture=url).picture == url


def test_texts_are_bounded_in_bytes_too() -> None:
    most = CONTENT.text_max_bytes
    assert fields.clean_text("\U0001f44b" * (most // 4), "t", max_chars=5_000)
    with pytest.raises(Rejected) as caught:
        fields.clean_text("\U0001f44b" * (most // 4 + 1), "t", max_chars=5_000)
    assert caught.value.details == {"limit_bytes": most}
