"""What all indexes share: the newest message, the first one since, and claims on refs."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groupd.domain.base import GROUP, StreamKey
from groupd.domain.projection import DropMember, PutCard, PutMember
from groupd.storage.index import StoredCard, first_since, last_countable, taken_ref
from groupd.storage.memory_index import MemoryIndex
from groupd.storage.port import Append
from groupd.testing.log_samples import HALL, YARD, append, member


@given(st.lists(st.booleans(), max_size=200))
def test_the_newest_message_is_the_last_record_that_counts(countable: Sequence[bool]) -> None:
    counts = [0]
    for counts_too in countable:
        counts.append(counts[-1] + counts_too)
    for upto in range(len(counts)):
        messages = [seq for seq in range(1, upto + 1) if countable[seq - 1]]
        assert last_countable(counts.__getitem__, upto) == max(messages, default=0)


def test_the_newest_message_is_found_in_few_steps() -> None:
    asked = []

    def n_at(seq: int) -> int:
        asked.append(seq)
        return 1 if seq >= 5 else 0

    assert last_countable(n_at, 1_000_000) == 5
    assert len(asked) < 50


@given(st.lists(st.integers(0, 9), max_size=30).map(sorted), st.integers(-1, 11))
def test_the_first_record_since_a_time_is_the_lowest_that_is_not_before_it(
    times: Sequence[int], since_ms: int
) -> None:
    late = [seq for seq, time_ms in enumerate(times, 1) if time_ms >= since_ms]
    first = first_since(lambda seq: times[seq - 1], head=len(times), since_ms=since_ms)
    assert first == min(late, default=len(times) + 1)


def claims(*wanted: tuple[StreamKey, str | None], held: str | None = None) -> str | None:
    """Ask whether groups may have these refs; ``held`` is the hall's one before."""
    appends = [
        append(stream, 1, changes=[PutCard({"ref": ref})]).appends[0] for stream, ref in wanted
    ]
    return taken_ref(
        appends,
        lambda stream: StoredCard(ref=held) if stream == HALL else None,
        lambda _tenant, ref: HALL.key if ref == held else None,
    )


def test_a_ref_that_nobody_has_is_free() -> None:
    assert claims((HALL, "a")) is None


def test_a_ref_of_another_group_is_taken() -> None:
    assert claims((YARD, "a"), held="a") == "a"


def test_a_group_keeps_its_own_ref() -> None:
    assert claims((HALL, "a"), held="a") is None


def test_two_groups_of_one_write_cannot_both_have_a_ref() -> None:
    assert claims((HALL, "a"), (YARD, "a")) == "a"


def test_a_ref_passes_on_within_one_write() -> None:
    assert claims((HALL, None), (YARD, "a"), held="a") is None


def test_a_ref_does_not_pass_on_before_it_is_freed() -> None:
    assert claims((YARD, "a"), (HALL, None), held="a") == "a"


def test_a_dissolved_group_claims_nothing() -> None:
    assert StoredCard(ref="a").claim == "a"
    assert StoredCard(ref="a", dissolved=True).claim is None


@pytest.mark.parametrize("seqs", [(2, 3), (1, 3), (2,)])
def test_records_with_a_gap_are_no_append(seqs: tuple[int, ...]) -> None:
    records = [append(HALL, seq + 1).appends[0].records[seq - 1] for seq in seqs]
    with pytest.raises(AssertionError):
        Append(HALL, 0, records)


def test_a_stream_does_not_begin_without_a_record() -> None:
    with pytest.raises(AssertionError):
        Append(StreamKey(GROUP, "", "new"), 0, ())


def test_a_member_who_left_is_in_no_group() -> None:
    index = MemoryIndex()
    index.apply(HALL, [member("ann"), DropMember("ann"), DropMember("ann")])
    assert index.groups_of == {(HALL.tenant, "ann"): set()}
    assert isinstance(member("ann"), PutMember)
