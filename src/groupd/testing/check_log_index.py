"""The half of ``check_log`` that is about the index: cards, refs, rebuilding, and its parts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from groupd.domain.base import GROUP, Record, StreamKey
from groupd.domain.projection import (
    EVERYBODY,
    Change,
    DropMember,
    Edit,
    Mention,
    Near,
    PutBlock,
    PutCard,
    PutChat,
    PutProfile,
    PutRequest,
    PutRevocation,
    PutTie,
    React,
    Recall,
    Reply,
    SetMember,
    Spoke,
)
from groupd.storage.port import (
    AdvanceCursor,
    Store,
)
from groupd.testing.check_log_messages import MESSAGE_CHECKS
from groupd.testing.check_log_people import PEOPLE_CHECKS
from groupd.testing.check_log_search import SEARCH_CHECKS
from groupd.testing.check_log_ties import TIE_CHECKS
from groupd.testing.log_samples import (
    ANN,
    HALL,
    TENANT,
    YARD,
    append,
    do,
    is_conflict,
    member,
    outcome_of,
)

ROW_KINDS: Final = (
    *("card", "member", "request", "mention", "spoke", "reply", "edit", "recall", "reaction"),
    *("tie", "profile", "chat", "block", "revocation", "word", "place"),
)


def _check_cards(store: Store) -> None:
    do(store, append(HALL, 2, changes=[PutCard({"name": "Hall", "owner": "ann"})]))
    card = store.group(TENANT, "hall")
    assert card is not None, "a group with a card is found"
    assert (card.group, card.name, card.owner, card.head) == ("hall", "Hall", "ann", 2), (
        "a card has the values that were put, and the stream's head"
    )
    assert (card.picture, card.ref, card.dissolved, card.discoverable) == (
        "",
        None,
        False,
        False,
    ), "what was not put is empty"
    assert (card.category, card.description, card.location, card.join_policy) == (
        "",
        "",
        None,
        "open",
    ), "also category, description and place, and the group is open"
    assert (card.created_ms, card.direct, card.members) == (0, False, 0), (
        "and it is no direct chat, of no time and with no members"
    )
    changes = [PutCard({"discoverable": True}), PutCard({"name": "Great Hall"})]
    do(store, append(HALL, 1, after=2, changes=changes))
    card = store.group(TENANT, "hall")
    assert card is not None, "the group is still found"
    assert (card.name, card.owner, card.discoverable, card.head) == (
        "Great Hall",
        "ann",
        True,
        3,
    ), "PutCard changes the values that it names and no others"
    assert store.group("another", "hall") is None, "tenants are apart"
    assert store.group(TENANT, "nowhere") is None, "a group that does not exist has no card"
    values = {
        "category": "fun",
        "description": "Come in",
        "location": {"lat": 30, "lon": -120.5},
        "join_policy": "approval",
        "created_ms": 1_700_000_000_000,
        "direct": True,
    }
    do(store, append(HALL, 1, after=3, changes=[PutCard(values)]))
    card = store.group(TENANT, "hall")
    assert card is not None, "the group is still found"
    assert {name: getattr(card, name) for name in values} == values, (
        "a card keeps every value that PutCard knows"
    )
    do(store, append(HALL, 1, after=4, changes=[PutCard({"location": None})]))
    card = store.group(TENANT, "hall")
    assert card is not None, "the group is still found"
    assert card.location is None, "None takes the place away"


def _check_member_counts(store: Store) -> None:
    def count(group: str = "hall") -> int:
        card = store.group(TENANT, group)
        assert card is not None, "a group with a card is found"
        return card.members

    do(store, append(HALL, 1, changes=[member("ann"), member("bo")]))
    do(store, append(HALL, 1, after=1, changes=[PutCard({"name": "Hall"}), member("cy")]))
    assert count() == 3, "a card counts all members, also those from before it"
    do(store, append(HALL, 1, after=2, changes=[member("bo"), member("di"), DropMember("zoe")]))
    assert count() == 4, "who joins again is counted once, and who was no member not at all"
    do(store, append(HALL, 1, after=3, changes=[DropMember("ann"), member("ann")]))
    do(store, append(HALL, 1, after=4, changes=[member("eve"), DropMember("eve")]))
    do(store, append(HALL, 1, after=5, changes=[DropMember("bo"), SetMember("cy", {"role": 2})]))
    assert count() == 3, "who leaves is not counted any more"
    do(store, append(YARD, 1, changes=[PutCard({}), member("ann")]))
    assert (count("yard"), count()) == (1, 3), "groups are counted apart"


def _check_refs(store: Store) -> None:
    def holder(ref: str, tenant: str = TENANT) -> str | None:
        card = store.group_of_ref(tenant, ref)
        return card.group if card is not None else None

    foreign = StreamKey(GROUP, "another", "hall")
    do(store, append(HALL, 1, changes=[PutCard({"ref": "a"})]))
    assert holder("a") == "hall", "a group is found by its ref"
    assert is_conflict(outcome_of(store, append(YARD, 1, changes=[PutCard({"ref": "a"})]))), (
        "a ref that another live group has is a LogConflict"
    )
    assert store.head(YARD) is None, "and then nothing of that write is written"
    do(store, append(foreign, 1, changes=[PutCard({"ref": "a"})]))
    assert holder("a", "another") == "hall", "another tenant's group may have the same ref"
    assert holder("a") == "hall", "and takes it from nobody"
    do(store, append(HALL, 1, after=1, changes=[PutCard({"ref": "a", "name": "same"})]))
    do(
        store,
        append(HALL, 1, after=2, changes=[PutCard({"ref": None})]),
        append(YARD, 1, changes=[PutCard({"ref": "a"})]),
    )
    assert holder("a") == "yard", "a ref that was set to None is free, also within a round"
    do(store, append(YARD, 1, after=1, changes=[PutCard({"dissolved": True})]))
    assert holder("a") is None, "dissolving frees a ref"
    do(store, append(HALL, 1, after=3, changes=[PutCard({"ref": "a"})]))
    assert holder("a") == "hall", "and another group may take it"
    taking_back = [PutCard({"dissolved": False})]
    assert is_conflict(outcome_of(store, append(YARD, 1, after=2, changes=taking_back))), (
        "a group cannot come back with a ref that another has by now"
    )


def _check_rebuilding(store: Store) -> None:
    changes: dict[tuple[StreamKey, int], Sequence[Change]] = {
        (HALL, 1): [
            PutCard({"name": "Hall", "ref": "a"}),
            member("ann"),
            member("bo"),
        ],
        (HALL, 2): [Spoke("ann", 2), Mention(("bo", EVERYBODY), 2)],
        (HALL, 3): [PutCard({"ref": None, "discoverable": True}), DropMember("bo")],
        (YARD, 1): [PutCard({"name": "Yard", "ref": "a"}), member("bo"), Spoke("bo", 1)],
        (HALL, 4): [member("bo", role=2, joined_seq=4), Spoke("bo", 4)],
        (YARD, 2): [PutCard({"ref": None})],
        (HALL, 5): [
            PutCard({"ref": "a", "category": "fun", "location": {"lat": 1.5, "lon": 2.5}}),
            SetMember("ann", {"nickname": "A"}),
            PutRequest("cy"),
        ],
        (HALL, 6): [Reply(2, 6), React(2, "ann", "+", 6), React(4, "bo", "+", 6)],
        (HALL, 7): [Edit(2, 7), Recall(4, 7), PutTie("binding", "shop", 7, "", "note")],
        (ANN, 1): [PutProfile("Ann", "face", "ordinary", "female", 1990)],
        (ANN, 2): [PutChat("hall", {"shown": True}), PutBlock("bo"), PutRevocation(7)],
    }
    assert list(store.dump_index()) == [], "an index begins empty"
    assert store.index_is_stale is False, "and is not stale"
    for (stream, seq), made in changes.items():
        do(store, append(stream, 1, after=seq - 1, changes=made))
    do(store, AdvanceCursor(HALL, "ann", 1))
    before = list(store.dump_index())
    assert list(dict.fromkeys(row[0] for row in before)) == list(ROW_KINDS), (
        "dump_index shows all kinds of rows, in their order"
    )
    for kind in ROW_KINDS:
        rows: list[Any] = [row for row in before if row[0] == kind]
        assert rows == sorted(rows), "and those of a kind come sorted"
    answers = _answers(store)

    def project(stream: StreamKey, record: Record) -> Sequence[Change]:
        return changes[stream, record.seq]

    assert store.rebuild_index(lambda _stream, _record: ()) == 11, "rebuild counts the records read"
    assert list(store.dump_index()) == [], "a rebuild throws away what no record makes"
    store.rebuild_index(project)
    assert list(store.dump_index()) == before, "a rebuild makes the same index again"
    assert _answers(store) == answers, "and it answers the same"
    assert store.index_is_stale is False, "a rebuilt index is not stale"
    assert store.cursors(TENANT, "hall") == {"ann": 1}, "and leaves the cursors alone"
    card = store.group_of_ref(TENANT, "a")
    assert card is not None, "refs are found after a rebuild"
    assert card.group == "hall", "with the group that has them now"
    outcome = outcome_of(store, append(YARD, 1, after=2, changes=[PutCard({"ref": "a"})]))
    assert is_conflict(outcome), "and are still unique"


def _answers(store: Store) -> list[object]:
    searches: list[tuple[str, str, Near | None]] = [
        ("hall", "", None),
        ("", "fun", None),
        ("", "", Near(1.5, 2.5, 10)),
    ]
    return [
        store.group(TENANT, "hall"),
        store.messages(HALL, range(9)),
        store.holdings(TENANT, "cy"),
        list(store.members(TENANT, "hall", "", 9)),
        [
            list(
                store.search(TENANT, query=query, category=category, near=near, after=None, limit=9)
            )
            for query, category, near in searches
        ],
    ]


INDEX_CHECKS: Final[Sequence[Callable[[Store], None]]] = (
    _check_cards,
    _check_member_counts,
    _check_refs,
    *PEOPLE_CHECKS,
    *MESSAGE_CHECKS,
    *SEARCH_CHECKS,
    *TIE_CHECKS,
    _check_rebuilding,
)
