"""Events as bytes: every kind goes into a record and comes back, whatever version wrote it."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from groupd.domain.base import ACCOUNT, GROUP, Audience, Event, Record, StreamKey, Unknown
from groupd.domain.catalog import EVENTS
from groupd.domain.group.board import Acknowledged, Pinned
from groupd.domain.group.links import LinkMade
from groupd.domain.group.messages import Posted
from groupd.domain.group.settings import Updated
from groupd.wire import codec
from tests import strategies
from tests.domain.bench import World, erased, verify_chain
from tests.strategies import NOW_MS, uuid7

KINDS = [(stream, kind) for stream, kinds in EVENTS.items() for kind in kinds]


def recorded(event: Event, *, user: str = "mia", request_id: str = "") -> Record:
    world = World()
    book = world.book(StreamKey(event.stream_kind, "", "G" * 16))
    return world.write(book, event, user, request_id)


def shown(record: Record, audience: Audience = Audience.ADMINS) -> Any:
    return codec.unpack(codec.shown_map(record, audience))


@pytest.mark.parametrize(("stream", "kind"), KINDS)
@settings(max_examples=40)
@given(data=st.data())
def test_an_event_comes_back_from_its_record_as_it_was(
    stream: str, kind: str, data: st.DataObject
) -> None:
    event = data.draw(strategies.events(EVENTS[stream][kind]))
    record = recorded(event)
    assert codec.decode_event(EVENTS[stream], record) == event
    body = codec.decode_entries(record.body or b"")
    for name, _key, default in codec.fields_of(type(event)):
        assert (name in body) == (getattr(event, name) != default)


@pytest.mark.parametrize(("stream", "kind"), KINDS)
@settings(max_examples=20)
@given(data=st.data())
def test_a_reader_gets_the_header_and_the_fields_in_one_map(
    stream: str, kind: str, data: st.DataObject
) -> None:
    event = data.draw(strategies.events(EVENTS[stream][kind]))
    request_id = data.draw(st.sampled_from(("", uuid7(NOW_MS))))
    record = recorded(event, request_id=request_id)
    given = {f.name: getattr(event, f.name) for f in attrs.fields(type(event))}
    whole = strategies.tuples_in(shown(record))
    assert whole.items() >= {"seq": 1, "time_ms": NOW_MS, "kind": kind}.items()
    assert whole.get("id", "") == request_id
    if stream == GROUP:
        assert (whole["group"], whole["user"]) == ("G" * 16, "mia")
    else:
        assert "user" not in whole
    assert all(given[name] == value for name, value in whole.items() if name in given)


def test_fields_that_equal_their_defaults_are_not_written() -> None:
    assert codec.encode_body(Posted(text="", card=None, reply_to=0, mentions=())) == b"\x00"
    assert codec.encode_body(Updated({})) == b"\x00"
    assert codec.decode_entries(codec.encode_body(Posted(text="hi"))) == {"text": "hi"}


def test_values_that_only_look_like_defaults_are_written() -> None:
    made = LinkMade(link=1, expires_at_ms=0, uses_max=0)
    assert codec.decode_entries(codec.encode_body(made)) == {
        "link": 1,
        "expires_at_ms": 0,
        "uses_max": 0,
    }
    assert codec.decode_event(EVENTS[GROUP], recorded(made)) == made
    empty = Posted(card={})
    assert codec.decode_event(EVENTS[GROUP], recorded(empty)) == empty


@given(strategies.maps(strategies.values()).map(strategies.tuples_in))
def test_an_event_of_an_unknown_kind_is_kept_with_all_its_fields(fields: dict[str, Any]) -> None:
    fields.pop("user", None)  # The header's.
    event = Unknown(kind="red_packet_opened", fields=fields)
    record = recorded(event)
    assert codec.decode_event(EVENTS[GROUP], record) == event
    assert codec.encode_body(codec.decode_event(EVENTS[GROUP], record)) == record.body
    assert strategies.tuples_in(shown(record)).items() >= fields.items()


def test_fields_of_a_later_version_are_ignored_and_stay_in_the_bytes() -> None:
    later = Unknown(kind="pinned", fields={"message": 3, "colour": "red"})
    record = recorded(later)
    assert codec.decode_event(EVENTS[GROUP], record) == Pinned(3)
    assert shown(record)["colour"] == "red"


def test_fields_that_an_earlier_version_did_not_write_have_their_defaults() -> None:
    record = recorded(Unknown(kind="posted", fields={}))
    assert codec.decode_event(EVENTS[GROUP], record) == Posted()


def test_a_header_does_not_depend_on_those_before_it() -> None:
    stream = StreamKey(GROUP, "", "G" * 16)
    headers = codec.RecordWriter(stream)
    for seq, time_ms in enumerate((NOW_MS, NOW_MS, NOW_MS + 1, NOW_MS), start=1):
        header = headers.header(seq, time_ms, "mia", "posted", "")
        assert header == codec.RecordWriter(stream).header(seq, time_ms, "mia", "posted", "")
        assert codec.decode_entries(header)["time_ms"] == time_ms


# --- what others see


def test_to_members_an_event_for_admins_is_hidden() -> None:
    record = recorded(Acknowledged(5), request_id=uuid7(NOW_MS))
    assert shown(record)["message"] == 5
    assert shown(record, Audience.MEMBERS) == {
        "group": "G" * 16,
        "seq": 1,
        "time_ms": NOW_MS,
        "kind": "hidden",
    }


@pytest.mark.parametrize("audience", Audience)
def test_an_erased_post_shows_who_and_when_and_nothing_else(audience: Audience) -> None:
    record = erased(recorded(Posted(text="secret"), request_id=uuid7(NOW_MS)))
    assert shown(record, audience) == {
        "group": "G" * 16,
        "seq": 1,
        "time_ms": NOW_MS,
        "user": "mia",
        "kind": "erased",
    }
    assert codec.decode_event(EVENTS[GROUP], record) == Posted()


def test_an_erased_event_for_admins_is_hidden_to_members() -> None:
    record = erased(recorded(Acknowledged(5)))
    assert shown(record, Audience.MEMBERS)["kind"] == "hidden"
    assert shown(record)["kind"] == "erased"


def test_an_erased_event_of_an_account_shows_its_place_alone() -> None:
    record = erased(recorded(EVENTS[ACCOUNT]["added"]()))
    assert shown(record) == {"seq": 1, "time_ms": NOW_MS, "kind": "erased"}


@pytest.mark.parametrize("count", [0, 1, 9, 10, 11, 15, 16, 200, 249])
def test_a_map_of_any_count_of_fields_can_be_read(count: int) -> None:
    fields = {f"f{number}": number for number in range(count)}
    whole = shown(recorded(Unknown(kind="wide", fields=fields), request_id=uuid7(NOW_MS)))
    assert len(whole) == 6 + count
    assert whole.items() >= fields.items()


@pytest.mark.parametrize("count", [0, 15, 16, 65_535, 65_536])
def test_arrays_and_maps_of_any_length_can_be_read(count: int) -> None:
    assert codec.unpack(codec.encode_array([b"\x01"] * count)) == [1] * count
    entries = ((f"{number}", b"\x01") for number in range(count))
    assert len(codec.unpack(codec.encode_map(entries))) == count


# --- the chain


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("header", b"\x00"), ("body", b"\x00"), ("salt", b"0" * 16), ("request_hash", b"1" * 16),
        ("inner", b"2" * 32), ("chain", b"3" * 32), ("n", 9), ("audience", 1), ("forget", 1),
    ],
)  # fmt: skip
def test_a_changed_record_breaks_the_chain(field: str, value: Any) -> None:
    world = World()
    table = world.found("ann", members=["bob"])
    records = table.book.records
    verify_chain(records)
    records[1] = records[1]._replace(**{field: value})
    with pytest.raises(AssertionError):
        verify_chain(records)


def test_a_missing_or_moved_record_breaks_the_chain() -> None:
    records = World().found("ann", members=["bob", "cem"]).book.records
    for wrong in (records[1:], records[:1] + records[2:], [records[0], *records[:0:-1]]):
        with pytest.raises(AssertionError):
            verify_chain(wrong)


def test_two_records_of_the_same_event_have_different_inner_hashes() -> None:
    world = World()
    book = world.found("ann").book
    one, other = (world.write(book, Posted(text="yes"), "mia") for _ in range(2))
    assert one.body == other.body
    assert one.inner != other.inner
