"""The part of ``check_log`` about people: members, profiles, preferences, blocks, limits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from groupd.domain.base import ACCOUNT, GROUP, StreamKey
from groupd.domain.projection import (
    Change,
    Chat,
    DropBlock,
    DropChat,
    DropMember,
    DropRequest,
    Holdings,
    MemberRow,
    Profile,
    PutBlock,
    PutCard,
    PutChat,
    PutProfile,
    PutRequest,
    PutRevocation,
    SetMember,
)
from groupd.storage.port import AdvanceCursor, Store
from groupd.testing.log_samples import ANN, HALL, TENANT, YARD, append, do, member

BO: Final = StreamKey(ACCOUNT, TENANT, "bo")
FOREIGN_ANN: Final = StreamKey(ACCOUNT, "another", "ann")


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


def _check_member_rows(store: Store) -> None:
    def row(user: str) -> MemberRow:
        return next(row for row in store.members(TENANT, "hall", "", 9) if row.user == user)

    changes: list[Change] = [
        PutCard({}),
        member("ann"),
        member("bo"),
        SetMember("zoe", {"role": 3}),
    ]
    do(store, append(HALL, 1, changes=changes))
    assert store.membership(TENANT, "zoe", "hall") is None, "SetMember makes nobody a member"
    values = {"role": 2, "nickname": "Bobby", "muted_until_ms": 7}
    do(store, append(HALL, 1, after=1, changes=[SetMember("bo", values)]))
    assert row("bo") == MemberRow("bo", "Bo", 2, 1_000, nickname="Bobby", muted_until_ms=7), (
        "SetMember changes role, nickname and mute"
    )
    place = store.membership(TENANT, "bo", "hall")
    assert place is not None, "and the member stays one"
    assert (place.role, place.muted_until_ms) == (2, 7), "a membership says so too"
    do(store, append(HALL, 1, after=2, changes=[SetMember("bo", {"nickname": ""})]))
    assert (row("bo").role, row("bo").nickname) == (2, ""), (
        "SetMember changes the values that it names and no others"
    )
    assert row("ann") == MemberRow("ann", "Ann", 1, 1_000), "and nobody else's"
    do(store, append(HALL, 1, after=3, changes=[SetMember("bo", values), member("bo")]))
    assert row("bo") == MemberRow("bo", "Bo", 1, 1_000), "PutMember leaves nothing of an old row"
    do(store, append(HALL, 0, after=4, changes=[SetMember("bo", values)]))
    do(store, append(HALL, 0, after=4, changes=[member("bo")]))
    assert row("bo") == MemberRow("bo", "Bo", 1, 1_000), "however old that is"
    again: list[Change] = [DropMember("bo"), member("bo"), SetMember("bo", {"role": 3})]
    do(store, append(HALL, 1, after=4, changes=again))
    assert row("bo").role == 3, "changes take effect in their order"


def _check_profiles(store: Store) -> None:
    assert store.profile(TENANT, "ann") is None, "who was never seen has no profile"
    do(store, append(HALL, 1, changes=[PutCard({}), member("ann"), member("bo"), member("cy")]))
    do(store, append(ANN, 1, changes=[PutProfile("Anna", "face", "circle", "female", 1990)]))
    do(store, append(FOREIGN_ANN, 1, changes=[PutProfile("Other", "", "", "", None)]))
    do(store, append(BO, 1, changes=[PutProfile("", "", "ordinary", "", None)]))
    assert store.profile(TENANT, "ann") == Profile("Anna", "face", "circle", "female", 1990), (
        "a profile is read as it was put"
    )
    assert store.profile("another", "ann") == Profile(name="Other"), "tenants are apart"
    rows = [(row.user, row.name, row.picture) for row in store.members(TENANT, "hall", "", 9)]
    assert rows == [("ann", "Anna", "face"), ("bo", "Bo", ""), ("cy", "Cy", "")], (
        "a list of members has name and picture of the profile, and the name from joining where "
        "there is none"
    )
    known = [(row.user, row.name, row.picture) for row in store.acquainted(TENANT, "cy", ["ann"])]
    assert known == [("ann", "Anna", "face")], "acquaintances go by their profile too"
    assert [row.name for row in store.acquainted(TENANT, "cy", ["bo"])] == ["Bo"], (
        "or by the name from joining, where the profile has none"
    )
    do(store, append(ANN, 1, after=1, changes=[PutProfile("Ann", "", "ordinary", "", None)]))
    assert store.profile(TENANT, "ann") == Profile("Ann", plan="ordinary"), (
        "a new profile leaves nothing of the old one"
    )


def _check_preferences(store: Store) -> None:
    def chat(group: str = "hall") -> Chat:
        place = store.membership(TENANT, "ann", group)
        assert place is not None, "a member has a membership"
        assert place in store.memberships(TENANT, "ann", "", 9), "the same one as in the list"
        return place.chat

    live = {"discoverable": True}
    do(store, append(HALL, 1, changes=[PutCard(live), member("ann"), member("bo")]))
    do(store, append(YARD, 1, changes=[PutCard({**live, "direct": True}), member("ann")]))
    assert chat() == Chat(), "who has said nothing has the usual preferences"
    assert [row.direct for row in store.memberships(TENANT, "ann", "", 9)] == [False, True], (
        "direct chats are among the memberships, and say that they are"
    )
    changes = [PutChat("hall", {"pinned_ms": 5}), PutChat("hall", {"do_not_disturb": True})]
    do(store, append(ANN, 1, changes=changes))
    assert chat() == Chat(pinned_ms=5, do_not_disturb=True), (
        "PutChat changes the values that it names and no others"
    )
    assert chat("yard") == Chat(), "for that group alone"
    place = store.membership(TENANT, "bo", "hall")
    assert place is not None, "a member has a membership"
    assert place.chat == Chat(), "and for that user alone"
    anew: list[Change] = [DropChat("hall"), PutChat("hall", {"marked_unread": True, "shown": True})]
    do(store, append(ANN, 1, after=1, changes=anew))
    assert chat() == Chat(marked_unread=True, shown=True), "DropChat leaves nothing"
    do(store, append(ANN, 1, after=2, changes=[DropChat("hall"), DropChat("nowhere")]))
    assert chat() == Chat(), "nor is anything left after it"


def _check_shown_groups(store: Store) -> None:
    def shown(tenant: str = TENANT) -> list[str]:
        return [card.group for card in store.shown(tenant, "ann")]

    keys = ("hall", "yard", "hidden", "left", "quiet")
    for key in keys:
        stream = StreamKey(GROUP, TENANT, key)
        card = PutCard({"name": key, "discoverable": key != "hidden"})
        do(store, append(stream, 1, changes=[card, member("ann"), member("bo")]))
    do(store, append(StreamKey(GROUP, TENANT, "left"), 1, after=1, changes=[DropMember("ann")]))
    put = [PutChat(key, {"shown": key != "quiet"}) for key in reversed((*keys, "nowhere"))]
    do(store, append(ANN, 1, changes=put))
    assert shown() == ["hall", "yard"], (
        "a profile shows, by group, what is chosen for it, discoverable, and the user still in"
    )
    assert store.shown(TENANT, "ann")[0] == store.group(TENANT, "hall"), "with the whole card"
    assert list(store.shown(TENANT, "bo")) == [], "another's choice counts for nobody else"
    assert shown("another") == [], "tenants are apart"
    do(store, append(HALL, 1, after=1, changes=[PutCard({"dissolved": True})]))
    assert shown() == ["yard"], "a dissolved group is not shown"


def _check_blocks(store: Store) -> None:
    do(store, append(ANN, 1, changes=[PutBlock("bo"), PutBlock("cy"), PutBlock("bo")]))
    assert list(store.blockers(TENANT, "ann", "bo")) == ["ann"], "who has blocked is said"
    assert list(store.blockers(TENANT, "bo", "ann")) == ["ann"], "whoever is named first"
    assert list(store.blockers(TENANT, "bo", "cy")) == [], "a block is between two"
    assert list(store.blockers("another", "ann", "bo")) == [], "tenants are apart"
    do(store, append(BO, 1, changes=[PutBlock("ann")]))
    assert list(store.blockers(TENANT, "bo", "ann")) == ["ann", "bo"], "both may have, sorted"
    assert list(store.blocks(TENANT, "ann", "", 9)) == ["bo", "cy"], "blocks are listed by user"
    assert list(store.blocks(TENANT, "ann", "bo", 9)) == ["cy"], "a page begins after a user"
    assert list(store.blocks(TENANT, "ann", "", 1)) == ["bo"], "and is no longer than asked for"
    do(store, append(ANN, 1, after=1, changes=[DropBlock("bo"), DropBlock("zoe")]))
    assert list(store.blocks(TENANT, "ann", "", 9)) == ["cy"], "DropBlock ends a block"
    assert list(store.blockers(TENANT, "ann", "bo")) == ["bo"], "and not the other's"


def _check_revocations(store: Store) -> None:
    assert store.revoked_before_ms(TENANT, "ann") == 0, "nothing is revoked at first"
    do(store, append(ANN, 1, changes=[PutRevocation(5), PutRevocation(9), PutRevocation(7)]))
    assert store.revoked_before_ms(TENANT, "ann") == 9, "the latest time holds"
    assert store.revoked_before_ms("another", "ann") == 0, "tenants are apart"
    assert store.revoked_before_ms(TENANT, "bo") == 0, "and so are users"
    do(store, append(ANN, 1, after=1, changes=[PutRevocation(8)]))
    assert store.revoked_before_ms(TENANT, "ann") == 9, "an earlier one changes nothing"
    do(store, append(ANN, 1, after=2, changes=[PutRevocation(10)]))
    assert store.revoked_before_ms(TENANT, "ann") == 10, "a later one takes its place"


def _check_holdings(store: Store) -> None:
    def holdings(tenant: str = TENANT) -> Holdings:
        found = store.holdings(tenant, "ann")
        return Holdings(tuple(found.owned), found.joined, found.directs)

    assert holdings() == Holdings((), 0), "a stranger has nothing"
    mine: list[Change] = [PutCard({"owner": "ann"}), member("ann", role=3)]
    do(store, append(YARD, 1, changes=mine), append(HALL, 1, changes=mine))
    assert holdings() == Holdings(("hall", "yard"), 2), "owned groups are listed by group"
    assert holdings("another") == Holdings((), 0), "tenants are apart"
    theirs: list[Change] = [PutCard({"owner": "bo"}), PutRequest("ann"), PutRequest("ann")]
    park, direct = (StreamKey(GROUP, TENANT, key) for key in ("park", "direct"))
    do(store, append(park, 1, changes=theirs))
    assert holdings() == Holdings(("hall", "yard"), 3), "an open join request counts as one place"
    changes: list[Change] = [PutCard({"owner": "ann", "direct": True}), member("ann")]
    do(store, append(direct, 1, changes=changes))
    assert holdings() == Holdings(("hall", "yard"), 3, 1), (
        "a direct chat takes no place among the groups, and is counted for itself"
    )
    do(store, append(park, 1, after=1, changes=[DropRequest("ann"), DropRequest("zoe")]))
    assert holdings().joined == 2, "a request that is decided takes none any more"
    do(store, append(park, 1, after=2, changes=[member("ann")]))
    assert holdings().joined == 3, "and joining takes one"
    do(store, append(HALL, 1, after=1, changes=[PutCard({"owner": "bo"})]))
    assert holdings() == Holdings(("yard",), 3, 1), "a group that is handed over is the new owner's"
    assert list(store.holdings(TENANT, "bo").owned) == ["hall", "park"], "and no longer the old's"
    do(store, append(park, 1, after=3, changes=[PutCard({"dissolved": True}), PutRequest("bo")]))
    do(store, append(YARD, 1, after=1, changes=[PutCard({"dissolved": True})]))
    assert holdings() == Holdings((), 1, 1), "a dissolved group takes no place"
    assert store.holdings(TENANT, "bo") == Holdings(["hall"], 0), "nor does a request to one"
    do(store, append(HALL, 1, after=2, changes=[DropMember("ann")]))
    assert holdings() == Holdings((), 0, 1), "nor does one that was left"


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


PEOPLE_CHECKS: Final[Sequence[Callable[[Store], None]]] = (
    _check_members,
    _check_member_rows,
    _check_dissolved_groups,
    _check_acquaintance,
    _check_profiles,
    _check_preferences,
    _check_shown_groups,
    _check_blocks,
    _check_revocations,
    _check_holdings,
)
