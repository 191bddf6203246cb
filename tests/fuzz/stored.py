"""Targets that take what is stored, as a disk or a hand may have changed it.

A record whose bytes make no sense must be LogCorrupt, so that its group is set apart and the others
run on; one that still makes sense is found by its hashes (``storage/verify.py``).
"""

from __future__ import annotations

from functools import cache
from random import Random
from typing import Final

from groupd.domain.base import ACCOUNT, GROUP, Record, StreamKey
from groupd.domain.catalog import EVENTS
from groupd.engine.ledger import Ledger, project
from groupd.errors import LogCorrupt
from groupd.storage.memory import MemoryStore
from groupd.storage.port import Append, AppendAll
from groupd.storage.verify import verify
from groupd.testing.log_samples import do
from groupd.wire import codec
from tests.fuzz.corpus import NOW_MS, VALUES
from tests.fuzz.mutate import malform, spoil
from tests.fuzz.target import Target
from tests.golden.add import EXAMPLES
from tests.strategies import uuid7

ACCOUNT_OF_ANN: Final = StreamKey(ACCOUNT, "", "ann")
HALL: Final = StreamKey(GROUP, "", "G" * 16)

NO_SENSE: Final = (
    LogCorrupt,
    # As of now the code says so with whatever msgpack, or a class, says of such bytes. Once
    # ``test_bytes_that_make_no_sense_are_log_corrupt`` passes, only LogCorrupt stays.
    ValueError,
    TypeError,
    AttributeError,
    LookupError,
    OverflowError,
)
"""What a record that makes no sense may end in."""


@cache
def sample(kind: str) -> tuple[StreamKey, tuple[Record, ...]]:
    """Give a stream with every kind of event in it, true hashes included."""
    stream = HALL if kind == GROUP else ACCOUNT_OF_ANN
    writer, chain, n = codec.RecordWriter(stream), codec.GENESIS, 0
    records: list[Record] = []
    for event in EXAMPLES.values():
        if EVENTS[kind].get(event.kind) is not type(event):
            continue
        seq = len(records) + 1
        n += event.countable
        user, request_id = ("", "") if kind == ACCOUNT else ("ann", uuid7(NOW_MS, seq))
        salt, request_hash = bytes((seq,)) * 16, b"h" * 16
        record = writer.write(
            event, seq, NOW_MS + seq, user, request_id, n, 0, salt, request_hash, chain
        )
        records.append(record)
        chain = record.chain
    return stream, tuple(records)


def _chosen(data: bytes) -> tuple[StreamKey, tuple[Record, ...], int]:
    """Give the stream and the record that the first byte of an input names."""
    every = [*((GROUP, at) for at in range(len(sample(GROUP)[1])))]
    every += ((ACCOUNT, at) for at in range(len(sample(ACCOUNT)[1])))
    kind, at = every[(data[0] if data else 0) % len(every)]
    return *sample(kind), at


def make_stored(random: Random) -> bytes:
    """Make a record's new bytes: which record, which part of it, and what stands there now."""
    selector = bytes((random.randrange(256), random.randrange(256)))
    _stream, records, at = _chosen(selector)
    record = records[at]
    assert record.body is not None
    part = record.header if _is_header(selector) else record.body
    if random.random() < 0.4:
        return selector + spoil(random, part)
    values = codec.decode_entries(part)
    data = malform(random, values, (*VALUES, *values.values()))
    # A map's head takes one byte, or three of which the last one counts.
    return selector + (
        data[2:] if data[:1] == b"\xde" else bytes((data[0] & 15,)) + data[1:] if data else b""
    )


def _is_header(data: bytes) -> bool:
    return len(data) > 1 and data[1] % 4 == 0


def _changed(record: Record, data: bytes) -> Record:
    return record._replace(header=data[2:]) if _is_header(data) else record._replace(body=data[2:])


def run_record(data: bytes) -> None:
    stream, records, at = _chosen(data)
    record = _changed(records[at], data)
    try:
        event = codec.decode_event(EVENTS[stream.kind], record)
        assert codec.hidden_map(record)
        assert codec.frames_of([record], b"x") == [codec.event_map(record, b"x")]
        # What can be read can be written again, and then reads the same.
        body = codec.encode_body(event)
        again = codec.decode_event(EVENTS[stream.kind], record._replace(body=body))
        assert codec.encode_body(again) == body
    except NO_SENSE:
        return


def run_replay(data: bytes) -> None:
    stream, records, at = _chosen(data)
    ledger = Ledger.empty(stream)
    try:
        for record in records:
            ledger.replay(_changed(record, data) if record is records[at] else record)
            project(stream, record)
        ledger.state.hash()
    except NO_SENSE:
        return
    assert ledger.state.seq == len(records)


def run_verify(data: bytes) -> None:
    stream, records, at = _chosen(data)
    changed = _changed(records[at], data)
    store = MemoryStore("one")
    do(store, AppendAll((Append(stream, 0, [*records[:at], changed, *records[at + 1 :]]),)))
    problems = list(verify(store, stream))
    assert bool(problems) is (changed != records[at]), "a change was not found"
    assert all(problem.seq in (at + 1, at + 2) for problem in problems)


TARGETS: Final = (
    Target("records", "stored bytes to events", make_stored, run_record, in_ci=6_000),
    Target("replay", "a log with a damaged record", make_stored, run_replay, in_ci=1_500),
    Target("verify", "what a check of a damaged log finds", make_stored, run_verify, in_ci=1_500),
)
