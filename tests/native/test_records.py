"""The compiled records are those of Python, byte for byte."""

from __future__ import annotations

import _hashlib
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groupd import native
from groupd.domain import fields
from groupd.domain.base import ACCOUNT, GROUP, Event, Record, Request, StreamKey, Unknown
from groupd.domain.catalog import REQUESTS
from groupd.domain.group.messages import Post, Posted
from groupd.storage import memory_rows
from groupd.wire import codec, rpc
from tests import strategies
from tests.strategies import NOW_MS, request_ids, uuid7

pytestmark = pytest.mark.skipif(not native.IS_COMPILED, reason="nothing is compiled here")

SEQS = st.integers(1, 2**53 - 1)
HASHES = st.binary(max_size=16)
UNKNOWN = st.builds(
    Unknown,
    kind=st.sampled_from(["wide", "posted"]),
    fields=st.dictionaries(strategies.words(min_chars=1, max_chars=9), strategies.values()),
)
GIVEN: Final[dict[str, Any]] = {
    "seq": 7,
    "time_ms": NOW_MS,
    "user": "mia",
    "request_id": uuid7(NOW_MS),
    "n": 5,
    "forget": 1,
    "salt": b"s" * 16,
    "request_hash": b"h" * 16,
    "previous": bytes(32),
}
EVENTS = st.sampled_from([GROUP, ACCOUNT]).flatmap(
    lambda kind: st.tuples(st.just(kind), strategies.all_events(kind) | UNKNOWN)
)


def written(event: Event, stream: StreamKey, compiled: bool, **given: Any) -> Record:
    writer = codec.writer_of(stream) if compiled else codec.RecordWriter(stream)
    assert (type(writer) is codec.RecordWriter) is not compiled
    return writer.write(event, **given)


@given(
    kind_and_event=EVENTS,
    seq=SEQS,
    time_ms=st.integers(0, 2**53 - 1),
    user=st.just("") | strategies.users(),
    request_id=st.just("") | st.just(uuid7(NOW_MS)),
    n=st.integers(0, 2**53),
    forget=st.integers(0, 2),
    salt=HASHES,
    request_hash=HASHES,
    previous=st.binary(min_size=32, max_size=32),
)
def test_a_record_is_the_same(kind_and_event: tuple[str, Event], **given: Any) -> None:
    kind, event = kind_and_event
    stream = StreamKey(kind, "", "G" * 16)
    made = written(event, stream, compiled=True, **given)
    assert made == written(event, stream, compiled=False, **given)
    assert type(made) is Record


@pytest.mark.parametrize("chars", [*range(985, 1_030), 5_000])
@pytest.mark.parametrize("mentions", [(), tuple(f"user{number}" for number in range(50))])
def test_long_texts_and_lists_are_written_the_same(chars: int, mentions: tuple[str, ...]) -> None:
    stream, text = StreamKey(GROUP, "", "G" * 16), "x" * chars
    event = Posted(text=text, mentions=mentions)
    compiled = written(event, stream, True, **GIVEN)
    assert compiled == written(event, stream, False, **GIVEN)
    given_ = GIVEN | {"user": text, "seq": 2**53 - 1}
    assert written(event, stream, True, **given_) == written(event, stream, False, **given_)
    post = Post(text=text, mentions=mentions)
    head, parameters = codec._hashed_parts_of(Post)  # type: ignore[arg-type]
    expected = codec._request_hash_in_python(head, post, parameters, codec._pack_ordered)
    assert codec.request_hash(post) == expected


@given(st.lists(st.tuples(SEQS, st.integers(NOW_MS, NOW_MS + 2)), max_size=5))
def test_a_header_does_not_depend_on_those_before_it(given: list[tuple[int, int]]) -> None:
    stream = StreamKey(GROUP, "", "G" * 16)
    compiled = codec.writer_of(stream)
    for seq, time_ms in given:
        header = codec.RecordWriter(stream).header(seq, time_ms, "mia", "posted", "")
        assert compiled.header(seq, time_ms, "mia", "posted", "") == header


@given(
    st.sampled_from(sorted(REQUESTS.values(), key=lambda cls: cls.method)).flatmap(
        strategies.requests
    )
)
def test_a_request_hash_is_the_same(request_: Request) -> None:
    head, parameters = codec._hashed_parts_of(type(request_))  # type: ignore[arg-type]
    expected = codec._request_hash_in_python(head, request_, parameters, codec._pack_ordered)
    assert codec.request_hash(request_) == expected


@given(st.lists(EVENTS, max_size=4), st.sampled_from([b"", codec.EVENT_PREFIX]))
def test_frames_are_the_same_also_of_what_is_erased(
    given: list[tuple[str, Event]], prefix: bytes
) -> None:
    records = []
    for seq, (kind, event) in enumerate(given, start=1):
        writer = codec.RecordWriter(StreamKey(kind, "", "G" * 16))
        record = writer.write(event, seq, NOW_MS, "mia", "", seq, 0, b"", b"", bytes(32))
        records += [record, record._replace(body=None)]
    assert codec.frames_of(records, prefix) == codec._frames_in_python(records, prefix)


@given(
    st.builds(
        Record,
        seq=st.just(1),
        time_ms=st.integers(-(2**63), 2**63 - 1),
        kind=st.text(max_size=20),
        user=st.text(max_size=64),
        request_id=st.text(max_size=36),
        audience=st.integers(0, 1),
        n=st.integers(0, 2**64 - 1),
        forget=st.integers(0, 2),
        followed=st.booleans(),
        header=st.binary(max_size=300),
        salt=HASHES,
        request_hash=HASHES,
        body=st.none() | st.binary(max_size=70_000),
        inner=st.binary(max_size=32),
        chain=st.binary(max_size=32),
    )
)
def test_a_row_is_the_same_and_gives_its_record_again(record: Record) -> None:
    row = memory_rows.row_of(record)
    assert row == memory_rows._row_in_python(record)
    assert memory_rows.record_of(1, row) == record


@given(
    request_ids(NOW_MS)
    | st.text(max_size=40)
    | st.tuples(request_ids(NOW_MS), st.integers(0, 35), st.characters()).map(
        lambda spoilt: spoilt[0][: spoilt[1]] + spoilt[2] + spoilt[0][spoilt[1] + 1 :]
    )
)
def test_the_time_in_a_request_id_is_the_same(value: str) -> None:
    assert fields.embedded_ms(value) == fields._embedded_ms_in_python(value)


@given(st.text(max_size=40) | st.text(st.characters(max_codepoint=0x7F), max_size=40))
def test_plain_texts_are_the_same(text: str) -> None:
    assert fields.is_plain(text) == fields._is_plain_in_python(text)


@pytest.mark.parametrize("path", ["/no/such/library.so", "groupd"])
def test_where_openssl_is_not_found_hashlib_hashes_the_same(path: str) -> None:
    assert native.records is not None
    head, parameters = codec._hashed_parts_of(Post)  # type: ignore[arg-type]
    hashed = codec._request_hash_in_python(head, Post(text="hi"), parameters, codec._pack_ordered)
    try:
        assert native.records.find_sha256(path) is False
        assert codec.request_hash(Post(text="hi")) == hashed
    finally:
        native.records.find_sha256(getattr(_hashlib, "__file__", ""))
    assert codec.request_hash(Post(text="hi")) == hashed


@pytest.mark.parametrize("wrong", [None, (), ("too", "few"), 5])
def test_what_is_no_record_is_refused(wrong: Any) -> None:
    assert native.records is not None
    with pytest.raises(TypeError):
        native.records.row_of(wrong)
    with pytest.raises(TypeError):
        native.records.frames([wrong], b"", codec.event_map)


@pytest.mark.parametrize("spoilt", [{"header": b""}, {"body": b""}])
def test_a_record_without_its_counts_is_an_error_and_no_frame(spoilt: dict[str, bytes]) -> None:
    writer = codec.RecordWriter(StreamKey(GROUP, "", "G" * 16))
    record = writer.write(Posted(text="hi"), 1, NOW_MS, "mia", "", 1, 0, b"", b"", bytes(32))
    for frames in (codec.frames_of, codec._frames_in_python):
        with pytest.raises(IndexError):
            frames([record._replace(**spoilt)], b"")


def test_a_limit_may_be_larger_than_any_frame() -> None:
    limits = rpc.FrameLimits(2**40, 2**40, 2**40)
    (message,) = rpc.Unframer(limits).feed(rpc.encode_request(1, "ping", {}))
    assert message == rpc.Request(1, "ping", {})


def test_none_is_refused_where_a_text_belongs() -> None:
    assert native.records is not None
    for function in (native.records.embedded_ms, native.records.is_plain):
        with pytest.raises(TypeError):
            function(None)
