"""The part of ``check_log`` about messages: what is new, and what others have done to them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from groupd.domain.base import ACCOUNT, Card, StreamKey
from groupd.domain.projection import (
    EVERYBODY,
    Change,
    DropMember,
    Edit,
    Mention,
    Numbers,
    PutCard,
    PutProfile,
    React,
    Recall,
    Reply,
    Spoke,
    Statistics,
    Unreact,
)
from groupd.storage.port import AdvanceCursor, Store
from groupd.testing.log_samples import (
    ANN,
    HALL,
    NOWHERE,
    TENANT,
    YARD,
    append,
    do,
    member,
    sample_records,
)


def _check_cursors(store: Store) -> None:
    do(store, append(HALL, 9))
    assert store.cursors(TENANT, "hall") == {}, "a group begins without cursors"
    assert store.cursors(TENANT, "nowhere") == {}, "a group that does not exist has none"
    do(store, AdvanceCursor(HALL, "ann", 5), AdvanceCursor(HALL, "bo", 2))
    do(store, AdvanceCursor(HALL, "ann", 3), AdvanceCursor(HALL, "bo", 4))
    assert store.cursors(TENANT, "hall") == {"ann": 5, "bo": 4}, "cursors rise and never fall"


def _check_numbers(store: Store) -> None:
    # Of the nine records every third one is no message: n is 1, 2, 2, 3, 4, 4, 5, 6, 6.
    changes: list[Change] = [
        PutCard({}),
        member("ann", joined_seq=1),
        member("bo", joined_seq=6),
        Spoke("ann", 4),
        Mention(("bo", "ann"), 5),
        Mention(("ann", EVERYBODY), 7),
        Mention((EVERYBODY,), 8),
    ]
    do(store, append(HALL, 9, changes=changes, users={8: "bo"}))

    def numbers(user: str, upto: int) -> Numbers:
        return store.numbers(TENANT, user, {"hall": upto, "nowhere": 3})["hall"]

    assert numbers("ann", 9) == Numbers(read=4, unread=3, mentions=3, last_seq=8), (
        "what is after the own newest message is unread, a message mentions once"
    )
    assert numbers("bo", 9) == Numbers(read=6, unread=2, mentions=1, last_seq=8), (
        "what is before joining is not unread, and nobody mentions themselves"
    )
    assert numbers("ann", 6) == Numbers(read=4, unread=1, mentions=1, last_seq=5), (
        "nothing after the given head counts"
    )
    assert numbers("ann", 3) == Numbers(read=3, unread=0, mentions=0, last_seq=2), (
        "a point beyond the given head is taken as that head"
    )
    assert numbers("ann", 99) == numbers("ann", 9), "a head beyond the end is taken as the end"
    do(store, AdvanceCursor(HALL, "ann", 7))
    assert numbers("ann", 9) == Numbers(read=7, unread=1, mentions=1, last_seq=8), (
        "what is at or before the cursor is read"
    )
    assert set(store.numbers(TENANT, "cy", {"hall": 9})) == set(), "only members have numbers"
    do(
        store,
        append(YARD, 1, changes=[member("ann", joined_seq=1)], users={1: "ann"}),
    )
    do(store, append(ANN, 3))
    do(store, append(YARD, 2, after=1, changes=[Spoke("ann", 2)]))
    found = store.numbers(TENANT, "ann", {"hall": 9, "yard": 3})
    assert found["yard"] == Numbers(read=2, unread=0, mentions=0, last_seq=2), (
        "groups have numbers of their own"
    )


def _check_recalled_messages_are_not_unread(store: Store) -> None:
    changes: list[Change] = [PutCard({}), member("ann"), Recall(2, 9), Recall(5, 9), Recall(8, 12)]
    do(store, append(HALL, 12, changes=changes))

    def unread(upto: int) -> int:
        return store.numbers(TENANT, "ann", {"hall": upto})["hall"].unread

    assert unread(12) == 7 - 3, "a recalled message is not unread"
    assert unread(11) == 7 - 2, "one that is recalled after the given head still is"
    do(store, AdvanceCursor(HALL, "ann", 5))
    assert unread(12) == 4 - 1, "one that was read before is not taken off again"
    do(store, append(HALL, 0, after=12, changes=[Recall(8, 12)]))
    assert unread(12) == 4 - 1, "and a message can only be recalled once"


def _check_cards_of_messages(store: Store) -> None:
    do(store, append(HALL, 9, users={2: "ann"}), append(YARD, 3))
    assert store.messages(HALL, [2, 99, 0]) == {2: Card("ann", 1_002, "posted")}, (
        "messages gives what exists of the seqs, with author, time and kind"
    )
    assert store.messages(NOWHERE, [1]) == {}, "and nothing where there is no stream"
    changes: list[Change] = [Edit(2, 8), Edit(2, 7), Reply(2, 9), Reply(2, 4), Reply(5, 6)]
    reactions: list[Change] = [
        React(2, "ann", "+", 5),
        React(2, "bo", "+", 6),
        React(2, "bo", "x", 7),
    ]
    do(store, append(HALL, 0, after=9, changes=[*changes, *reactions]))
    card = Card("ann", 1_002, "posted", edits=[7, 8], reactions={"+": 2, "x": 1}, replies=2)
    found = store.messages(HALL, [2])
    assert found == {2: card}, "and with its edits in order, its reactions and replies counted"
    found[2].edits.append(99)
    found[2].reactions["+"] = 99
    found[2].recalled = 99
    assert store.messages(HALL, [2]) == {2: card}, "each answer is the caller's own to change"
    assert store.messages(YARD, [2])[2].replies == 0, "streams are apart"
    do(store, append(HALL, 1, after=9, changes=[Recall(2, 10), React(2, "cy", "+", 11)]))
    recalled = Card("ann", 1_002, "posted", recalled=10, edits=[7, 8], replies=2)
    assert store.messages(HALL, [2]) == {2: recalled}, (
        "a recalled message says by which event, and has lost its reactions and takes no new one"
    )
    do(store, append(HALL, 0, after=10, changes=[Recall(2, 11), React(2, "di", "+", 11)]))
    do(store, append(HALL, 0, after=10, changes=[React(2, "eve", "+", 11)]))
    assert store.messages(HALL, [2]) == {2: recalled}, "also later, and it is recalled once"
    do(store, append(HALL, 0, after=10, erase=[7, 9]))
    card = store.messages(HALL, [2])[2]
    assert (card.edits, card.replies) == ([8], 1), "erasing an edit or a reply takes it away"


def _check_last_edits(store: Store) -> None:
    changes: list[Change] = [PutCard({}), member("ann"), Edit(5, 6), Edit(4, 6), Edit(5, 9)]
    do(store, append(HALL, 9, changes=changes))
    # The sixth record is no message.
    for head, last, edit in ((5, 5, 0), (6, 5, 6), (7, 7, 0)):
        number = store.numbers(TENANT, "ann", {"hall": head})["hall"]
        assert (number.last_seq, number.last_edit) == (last, edit), (
            "the last message comes with its newest edit at or before the head"
        )


def _check_reactions(store: Store) -> None:
    def tally(message: int = 1) -> dict[str, int]:
        return store.messages(HALL, [message])[message].reactions

    first: list[Change] = [React(1, user, "+", 2) for user in ("cy", "ann", "bo")]
    do(store, append(HALL, 5, changes=[*first, React(1, "ann", "x", 3), React(2, "ann", "+", 4)]))
    assert store.reactions_of(HALL, "ann", [1, 2, 3]) == {1: {"+": 2, "x": 3}, 2: {"+": 4}}, (
        "a user's reactions are given with the events they came by, and no empty ones"
    )
    assert store.reactions_of(HALL, "ann", [2]) == {2: {"+": 4}}, "of the messages asked for"
    assert store.reactions_of(YARD, "ann", [1]) == {}, "streams are apart"
    assert list(store.reactors(HALL, 1, "+", "", 9)) == ["ann", "bo", "cy"], (
        "who has reacted is listed by user id"
    )
    assert list(store.reactors(HALL, 1, "+", "ann", 1)) == ["bo"], "in pages"
    assert list(store.reactors(HALL, 1, "x", "", 9)) == ["ann"], "each reaction has its own"
    assert list(store.reactors(NOWHERE, 1, "+", "", 9)) == [], "where there is no stream, nobody"
    do(store, append(HALL, 0, after=5, changes=[React(1, "ann", "+", 5)]))
    assert store.reactions_of(HALL, "ann", [1])[1]["+"] == 2, "a second one changes nothing"
    assert tally() == {"+": 3, "x": 1}, "and is not counted"
    gone: list[Change] = [Unreact(1, "ann", "x"), Unreact(1, "bo", "+"), Unreact(1, "zoe", "+")]
    do(store, append(HALL, 0, after=5, changes=gone))
    assert tally() == {"+": 2}, "who takes a reaction back is counted no more, nor is 0 told"
    assert list(store.reactors(HALL, 1, "+", "", 9)) == ["ann", "cy"], "nor listed"
    again: list[Change] = [Unreact(1, "ann", "+"), React(1, "ann", "+", 5)]
    do(store, append(HALL, 0, after=5, changes=again))
    assert store.reactions_of(HALL, "ann", [1]) == {1: {"+": 5}}, "reacting again is a new one"
    assert tally() == {"+": 2}, "and counted once"
    do(store, append(HALL, 0, after=5, changes=[React(1, "eve", "x", 5), Recall(1, 5)]))
    assert (tally(), tally(2)) == ({}, {"+": 1}), "recalling a message takes its reactions only"
    assert list(store.reactors(HALL, 1, "+", "", 9)) == [], "all of them"
    assert store.reactions_of(HALL, "ann", [1]) == {}, "and whose they were"


def _check_replies(store: Store) -> None:
    changes = [Reply(1, 9), Reply(1, 2), Reply(1, 5), Reply(3, 4)]
    do(store, append(HALL, 9, changes=changes), append(YARD, 9))
    records = sample_records(HALL, 9)
    assert list(store.replies(HALL, 1, 0, 9)) == [records[1], records[4], records[8]], (
        "the replies to a message are whole records, in order"
    )
    assert list(store.replies(HALL, 1, 2, 1)) == [records[4]], "a page begins after a seq"
    assert list(store.replies(YARD, 1, 0, 9)) == [], "streams are apart"
    assert list(store.replies(NOWHERE, 1, 0, 9)) == [], "where there is no stream, there is none"
    do(store, append(HALL, 0, after=9, erase=[5]))
    assert [record.seq for record in store.replies(HALL, 1, 0, 9)] == [2, 9], (
        "an erased reply is one no more"
    )


def _check_statistics(store: Store) -> None:
    def statistics(active_since: int = 0, begin: int = 0, end: int = 99) -> Statistics:
        return store.statistics(
            TENANT,
            "hall",
            active_since_ms=1_000 + active_since,
            from_ms=1_000 + begin,
            until_ms=1_000 + end,
        )

    nothing = Statistics(0, 0, 0, 0, 0, 0)
    assert statistics() == nothing, "of no group, all is 0"
    # n is 1, 2, 2, 3, 4, 4, 5, 6, 6, and the time of a record 1,000 ms more than its seq.
    people: list[Change] = [member(user) for user in ("ann", "bo", "cy", "di")]
    spoke: list[Change] = [Spoke("ann", 4), Spoke("bo", 8), Spoke("di", 8), DropMember("di")]
    do(store, append(HALL, 9, changes=[PutCard({}), *people, *spoke]))
    women = {"ann": ("female", 1990), "bo": ("male", 2000), "di": ("female", 1950)}
    for user, (gender, year) in women.items():
        account = StreamKey(ACCOUNT, TENANT, user)
        do(store, append(account, 1, changes=[PutProfile(user, "", "", gender, year)]))
    assert statistics() == Statistics(3, 1, 2, 2, 3_990, 6), (
        "members, women, active ones, years of birth and messages are counted, of members only"
    )
    assert [statistics(since).active for since in (4, 5, 8, 9)] == [2, 1, 1, 0], (
        "active is whose newest message is not before the time"
    )
    spans = {(1, 2): 1, (1, 9): 6, (2, 5): 2, (3, 4): 0, (5, 5): 0, (8, 2): 0, (9, 99): 0}
    assert {span: statistics(0, *span).messages for span in spans} == spans, (
        "messages are counted from the beginning of the span, and until before its end"
    )
    do(store, append(HALL, 0, after=9, changes=[Recall(4, 9)]))
    assert [statistics(0, 4, end).messages for end in (4, 5, 99)] == [0, 0, 3], (
        "a recalled one is not counted, whenever it was recalled"
    )
    assert statistics(0, 5, 99).messages == 3, "nor taken off where it was not counted"


MESSAGE_CHECKS: Final[Sequence[Callable[[Store], None]]] = (
    _check_cursors,
    _check_numbers,
    _check_recalled_messages_are_not_unread,
    _check_cards_of_messages,
    _check_last_edits,
    _check_reactions,
    _check_replies,
    _check_statistics,
)
