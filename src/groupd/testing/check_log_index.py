"""The half of ``check_log`` that is about the index: cards, members, numbers, rebuilding."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from groupd.domain.base import GROUP, Record, StreamKey
from groupd.domain.projection import (
    EVERYBODY,
    Change,
    DropMember,
    MemberRow,
    Mention,
    Numbers,
    PutCard,
    Spoke,
)
from groupd.storage.port import (
    AdvanceCursor,
    Store,
)
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


def _check_members(store: Store) -> None:
    do(
        store,
        append(HALL, 3, changes=[PutCard({"name": "Hall"}), member("bo", joined_seq=2)]),
        append(YARD, 1, changes=[PutCard({"name": "Yard", "picture": "p"}), member("bo")]),
        append(HALL, 1, after=3, changes=[member("ann", role=3), member("cy")]),
        append(HALL, 1, after=4, changes=[member("di"), DropMember("di"), DropMember("cy")]),
        AdvanceCursor(HALL, "bo", 3),
    )
    assert [row.user for row in store.members(TENANT, "hall", "", 10)] == ["ann", "bo"], (
        "members are listed by user id, without those who left"
    )
    assert list(store.members(TENANT, "hall", "ann", 1)) == [MemberRow("bo", "Bo", 1, 1_000)], (
        "a page begins after a user and says name, role and time"
    )
    mine = store.memberships(TENANT, "bo", "", 10)
    assert [(row.group, row.name, row.picture, row.head) for row in mine] == [
        ("hall", "Hall", "", 5),
        ("yard", "Yard", "p", 1),
    ], "memberships are listed by group, with the group's name, picture and head"
    assert [row.group for row in store.memberships(TENANT, "bo", "hall", 10)] == ["yard"], (
        "a page begins after a group"
    )
    assert len(store.memberships(TENANT, "bo", "", 1)) == 1, "and is no longer than asked for"
    place = store.membership(TENANT, "bo", "hall")
    assert place is not None, "a member has a membership"
    assert (place.role, place.joined_seq, place.floor) == (1, 2, 1), "with role, joining, floor"
    assert store.membership(TENANT, "cy", "hall") is None, "who left has none"
    assert store.membership("another", "bo", "hall") is None, "tenants are apart"
    do(store, append(HALL, 1, after=5, changes=[member("bo", role=2, joined_seq=2)]))
    place = store.membership(TENANT, "bo", "hall")
    assert place is not None, "a changed member is still one"
    assert place.role == 2, "PutMember replaces a row"
    do(store, append(HALL, 1, after=6, changes=[DropMember("bo")]))
    assert store.membership(TENANT, "bo", "hall") is None, "DropMember takes the row"
    assert store.cursors(TENANT, "hall") == {"bo": 3}, "and leaves the cursor"


def _check_dissolved_groups(store: Store) -> None:
    changes: list[Change] = [PutCard({"name": "Hall"}), member("ann"), member("bo")]
    do(store, append(HALL, 1, changes=changes))
    do(store, append(HALL, 1, after=1, changes=[PutCard({"dissolved": True, "ref": None})]))
    assert list(store.memberships(TENANT, "ann", "", 9)) == [], "dissolved groups are not listed"
    place = store.membership(TENANT, "ann", "hall")
    assert place is not None, "a membership of a dissolved group is still found"
    assert place.dissolved, "and says that it is dissolved"
    assert len(store.members(TENANT, "hall", "", 9)) == 2, "its members are still listed"
    assert "hall" in store.numbers(TENANT, "ann", {"hall": 2}), "and it still has numbers"
    known = [row.user for row in store.acquainted(TENANT, "ann", ["bo", "ann"])]
    assert known == ["ann"], "a dissolved group makes nobody acquainted"


def _check_acquaintance(store: Store) -> None:
    hall: list[Change] = [
        PutCard({}),
        member("ann"),
        member("bo", name="Old", joined_ms=1),
        member("cy"),
    ]
    yard: list[Change] = [
        PutCard({}),
        member("ann"),
        member("bo", name="New", joined_ms=2),
    ]
    hers: list[Change] = [
        PutCard({}),
        member("bo", name="Secret", joined_ms=3),
        member("di"),
    ]
    do(
        store,
        append(HALL, 1, changes=hall),
        append(YARD, 1, changes=yard),
        append(StreamKey(GROUP, TENANT, "hers"), 1, changes=hers),
        append(StreamKey(GROUP, "another", "hall"), 1, changes=[PutCard({}), member("ann")]),
    )
    asked = ["di", "cy", "bo", "nobody", "ann", "bo"]
    assert list(store.acquainted(TENANT, "ann", asked)) == [
        MemberRow("ann", "Ann", 0, 0),
        MemberRow("bo", "New", 0, 0),
        MemberRow("cy", "Cy", 0, 0),
    ], (
        "acquainted gives, by user id and once each, those who share a live group, with the name "
        "from their latest joining of a shared one"
    )
    assert [row.user for row in store.acquainted(TENANT, "zoe", ["zoe", "ann"])] == ["zoe"], (
        "everybody knows themselves, and strangers nobody else"
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
        (HALL, 5): [PutCard({"ref": "a"})],
    }
    assert list(store.dump_index()) == [], "an index begins empty"
    for (stream, seq), made in changes.items():
        do(store, append(stream, 1, after=seq - 1, changes=made))
    do(store, AdvanceCursor(HALL, "ann", 1))
    before = list(store.dump_index())
    assert {row[0] for row in before} == {"card", "member", "mention", "spoke"}, "dump shows all"

    def project(stream: StreamKey, record: Record) -> Sequence[Change]:
        return changes[stream, record.seq]

    assert store.rebuild_index(lambda _stream, _record: ()) == 7, "rebuild counts the records read"
    assert list(store.dump_index()) == [], "a rebuild throws away what no record makes"
    store.rebuild_index(project)
    assert list(store.dump_index()) == before, "a rebuild makes the same index again"
    assert store.cursors(TENANT, "hall") == {"ann": 1}, "and leaves the cursors alone"
    card = store.group_of_ref(TENANT, "a")
    assert card is not None, "refs are found after a rebuild"
    assert card.group == "hall", "with the group that has them now"
    outcome = outcome_of(store, append(YARD, 1, after=2, changes=[PutCard({"ref": "a"})]))
    assert is_conflict(outcome), "and are still unique"


INDEX_CHECKS: Final[Sequence[Callable[[Store], None]]] = (
    _check_cards,
    _check_refs,
    _check_members,
    _check_dissolved_groups,
    _check_acquaintance,
    _check_cursors,
    _check_numbers,
    _check_rebuilding,
)
