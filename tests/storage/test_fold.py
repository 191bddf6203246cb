"""A fold comes to the same as its changes one by one, whatever was there before."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from groupd.domain.base import StreamKey
from groupd.domain.projection import (
    Change,
    DropChat,
    DropMember,
    PutChat,
    React,
    Recall,
    SetMember,
    Unreact,
)
from groupd.storage.fold import AccountFold, GroupFold
from groupd.storage.memory_index import MemoryIndex
from groupd.storage.sqlite import SqliteStore
from groupd.testing.log_samples import ANN, HALL, append, do, member
from tests.storage.strategies import account_changes, changes


@pytest.mark.parametrize(("stream", "kinds"), [(HALL, changes), (ANN, account_changes)])
def test_writing_many_changes_at_once_loses_nothing_that_is_left_in_the_end(
    stream: StreamKey, kinds: st.SearchStrategy[Change]
) -> None:
    many = st.lists(kinds, max_size=30)

    @given(many, many)
    @settings(deadline=None, max_examples=60)
    def check(before: Sequence[Change], made: Sequence[Change]) -> None:
        one_by_one = MemoryIndex()
        one_by_one.apply(stream, [*before, *made])
        with tempfile.TemporaryDirectory() as directory:
            store = SqliteStore.open(Path(directory), new_id=lambda: "one")
            do(store, append(stream, 1, changes=before))
            do(store, append(stream, 1, after=1, changes=made))
            at_once = list(store.dump_index())
            store.close()
        assert at_once == list(one_by_one.dump())

    check()


def test_a_recalled_message_takes_no_reaction_any_more() -> None:
    fold = GroupFold()
    fold.add([React(1, "ann", "+", 2), Recall(1, 3), Recall(1, 4), React(1, "bo", "+", 5)])
    assert fold.recalls == {1: 3}
    assert fold.reacted.get(1, {}) == {}


def test_a_reaction_that_is_gone_can_come_again() -> None:
    fold = GroupFold()
    fold.add([React(1, "ann", "+", 2), React(1, "ann", "+", 3)])
    assert fold.reacted == {1: {("+", "ann"): 2}}
    fold.add([Unreact(1, "ann", "+"), React(1, "ann", "+", 4)])
    assert fold.unreacted == {(1, "+", "ann")}
    assert fold.reacted == {1: {("+", "ann"): 4}}


def test_who_joins_again_has_nothing_of_their_old_row() -> None:
    fold = GroupFold()
    fold.add([SetMember("ann", {"nickname": "A"}), member("ann")])
    row = fold.members["ann"]
    assert row is not None
    assert (row.nickname, fold.set_members) == ("", {})
    fold.add([SetMember("ann", {"role": 2}), DropMember("ann"), SetMember("ann", {"role": 3})])
    assert (fold.members, fold.set_members) == ({"ann": None}, {})
    fold.add([SetMember("bo", {"role": 2}), DropMember("bo")])
    assert fold.set_members == {}


def test_preferences_after_they_were_dropped_begin_anew() -> None:
    fold = AccountFold()
    fold.add(
        [PutChat("hall", {"shown": True}), DropChat("hall"), PutChat("hall", {"pinned_ms": 1})]
    )
    assert (fold.dropped_chats, fold.chats) == ({"hall"}, {"hall": {"pinned_ms": 1}})
