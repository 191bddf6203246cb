"""Logs that were written long ago still read: see the docstring of this package."""

from __future__ import annotations

import json
from typing import Any

import attrs
import pytest

from groupd.domain.base import Event, Record, StreamKey
from groupd.domain.catalog import EVENTS
from groupd.wire import codec
from tests.golden.add import EXAMPLES, FILE, entry_for, meaning_of

ENTRIES: list[dict[str, Any]] = json.loads(FILE.read_text("utf-8"))


def decoded(entry: dict[str, Any]) -> Event:
    """Give the event as it is read from a stored record."""
    kind = codec.decode_entries(bytes.fromhex(entry["header_hex"]))["kind"]
    record = Record(
        **entry["header"] | {"kind": kind},
        audience=0,
        n=0,
        forget=0,
        followed=False,
        header=bytes.fromhex(entry["header_hex"]),
        salt=b"",
        request_hash=b"",
        body=bytes.fromhex(entry["body_hex"]),
        inner=b"",
        chain=b"",
    )
    return codec.decode_event(EVENTS[entry["stream"][0]], record)


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry["name"])
def test_stored_bytes_mean_what_they_meant(entry: dict[str, Any]) -> None:
    event = decoded(entry)
    assert type(event) is EVENTS[entry["stream"][0]][entry["header"]["kind"]]
    # A field that was added since has its default.
    added = {field.name for field in attrs.fields(type(event))} - entry["event"].keys()
    meaning = meaning_of(event)
    assert {name: meaning[name] for name in meaning if name not in added} == entry["event"]
    assert added.isdisjoint(codec.decode_entries(codec.encode_body(event)))


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry["name"])
def test_the_same_event_is_stored_in_the_same_bytes(entry: dict[str, Any]) -> None:
    assert codec.encode_body(decoded(entry)).hex() == entry["body_hex"]
    header = codec.RecordWriter(StreamKey(*entry["stream"])).header(**entry["header"])
    assert header.hex() == entry["header_hex"]


def test_every_kind_of_event_has_an_entry() -> None:
    kinds = {(stream, kind) for stream, kinds in EVENTS.items() for kind in kinds}
    assert {(entry["stream"][0], entry["header"]["kind"]) for entry in ENTRIES} == kinds


def test_every_field_of_an_event_has_an_entry_that_holds_it() -> None:
    held = {
        (entry["stream"][0], entry["header"]["kind"], field)
        for entry in ENTRIES
        for field in codec.decode_entries(bytes.fromhex(entry["body_hex"]))
    }
    for stream, kinds in EVENTS.items():
        for kind, cls in kinds.items():
            for field in attrs.fields(cls):  # type: ignore[arg-type]
                assert (stream, kind, field.name) in held


def test_every_example_was_added_once_and_has_not_changed_since() -> None:
    assert sorted(entry["name"] for entry in ENTRIES) == sorted(EXAMPLES)
    for number, entry in enumerate(ENTRIES):
        made = entry_for(entry["name"], EXAMPLES[entry["name"]], number)
        for part in ("stream", "header", "header_hex", "body_hex"):
            assert made[part] == entry[part]
