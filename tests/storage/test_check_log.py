"""Every backend passes the shipped suite, and the suite finds the backends that it is for."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import pytest

from groupd.domain.base import Card, Record, StreamKey
from groupd.domain.projection import (
    DropTies,
    Found,
    GroupCard,
    Holdings,
    Membership,
    Numbers,
    PutCard,
    PutMember,
    React,
    Statistics,
)
from groupd.storage.audit_port import Audited, DropAudit
from groupd.storage.memory import MemoryStore
from groupd.storage.memory_registers import MemoryAudit
from groupd.storage.port import Append, AppendAll, Head, Outcome, Slice, Store, Write
from groupd.storage.sqlite import SqliteStore
from groupd.testing import check_log
from groupd.testing.log_samples import TENANT


def test_the_memory_store_keeps_every_promise() -> None:
    check_log(lambda: MemoryStore("one"))


def test_the_sqlite_store_keeps_every_promise(tmp_path: Path) -> None:
    numbers = itertools.count()
    directories: dict[int, Path] = {}

    def open_in(directory: Path) -> SqliteStore:
        store = SqliteStore.open(directory, new_id=lambda: f"id of {directory.name}")
        directories[id(store)] = directory
        return store

    def reopen(store: Store) -> Store:
        store.close()
        return open_in(directories[id(store)])

    check_log(lambda: open_in(tmp_path / str(next(numbers))), reopen=reopen)


# --- stores that break one promise each


class OneConflictFailsTheRound(MemoryStore):
    def commit(self, writes: Sequence[Write]) -> Sequence[Outcome]:
        outcomes = super().commit(writes)
        failed = next((outcome for outcome in outcomes if outcome is not None), None)
        return [failed for _ in outcomes] if failed is not None else outcomes


class HalfOfAPairIsWritten(MemoryStore):
    def _append_all(self, appends: Sequence[Any]) -> Outcome:
        for append in appends:
            outcome = super()._append_all([append])
            if outcome is not None:
                return outcome
        return None


class NothingIsErased(MemoryStore):
    def commit(self, writes: Sequence[Write]) -> Sequence[Outcome]:
        return super().commit(
            [
                AppendAll([attrs.evolve(append, erase=()) for append in write.appends])
                if isinstance(write, AppendAll)
                else write
                for write in writes
            ]
        )


class SnapshotsOutliveErasing(MemoryStore):
    def _append(self, append: Append) -> None:
        known = self._streams.get(append.stream)
        snapshot = known.snapshot if known is not None else None
        super()._append(append)
        self._streams[append.stream].snapshot = snapshot


class RefsAreNotUnique(MemoryStore):
    def _holder_of(self, tenant: str, ref: str) -> str | None:
        return None


class MoreIsAlwaysTrue(MemoryStore):
    def read(self, *args: Any) -> Slice:
        return attrs.evolve(super().read(*args), more=True)


class BackwardsIsFalling(MemoryStore):
    def read_back(self, *args: Any) -> Slice:
        piece = super().read_back(*args)
        return attrs.evolve(piece, records=piece.records[::-1])


class SizesAreIgnored(MemoryStore):
    def read(
        self, stream: StreamKey, after: int, limit: int, max_bytes: int | None = None
    ) -> Slice:
        return super().read(stream, after, limit)


class DeadlinesStay(MemoryStore):
    def head(self, stream: StreamKey) -> Head | None:
        head = super().head(stream)
        return attrs.evolve(head, deadline_ms=None) if head is not None else None


class DissolvedGroupsAreListed(MemoryStore):
    def memberships(self, tenant: str, user: str, after: str, limit: int) -> Sequence[Membership]:
        streams = self._index.groups_of.get((tenant, user), set())
        rows = [self.membership(tenant, user, key.key) for key in sorted(streams)]
        return [row for row in rows if row is not None and row.group > after][:limit]


class OwnMessagesAreUnread(MemoryStore):
    def numbers(self, tenant: str, user: str, upto: Mapping[str, int]) -> Mapping[str, Numbers]:
        for group in self._index.groups.values():
            group.spoke.clear()
        return super().numbers(tenant, user, upto)


class CursorsFall(MemoryStore):
    def _write(self, write: Write) -> Outcome:
        stream = self._streams.get(getattr(write, "stream", None))  # type: ignore[arg-type]
        if stream is not None:
            stream.cursors.pop(getattr(write, "user", ""), None)
        return super()._write(write)


class RebuildingKeepsOldRows(MemoryStore):
    def rebuild_index(self, project: Callable[[StreamKey, Record], Sequence[Any]]) -> int:
        old = self._index
        count = super().rebuild_index(project)
        self._index = old
        return count


class OldRowsShineThrough(MemoryStore):
    def _append(self, append: Any) -> None:
        group = self._index.groups.get(append.stream)
        before = dict(group.members) if group is not None else {}
        super()._append(append)
        for change in append.changes:
            if isinstance(change, PutMember) and change.user in before:
                rows = self._index.groups[append.stream].members
                nickname = before[change.user].nickname
                rows[change.user] = attrs.evolve(rows[change.user], nickname=nickname)


class MembersAreMiscounted(MemoryStore):
    def group(self, tenant: str, group: str) -> GroupCard | None:
        card = super().group(tenant, group)
        joinings = sum(
            isinstance(change, PutMember) for change in self.made.get((tenant, group), ())
        )
        return attrs.evolve(card, members=joinings) if card is not None else None

    @property
    def made(self) -> dict[tuple[str, str], list[Any]]:
        return self.__dict__.setdefault("_made", {})

    def _append(self, append: Any) -> None:
        super()._append(append)
        self.made.setdefault(append.stream[1:], []).extend(append.changes)


class RecalledMessagesAreUnread(MemoryStore):
    def numbers(self, tenant: str, user: str, upto: Mapping[str, int]) -> Mapping[str, Numbers]:
        for group in self._index.groups.values():
            group.recalls.clear()
        return super().numbers(tenant, user, upto)


class RecalledMessagesTakeReactions(MemoryStore):
    def _append(self, append: Any) -> None:
        super()._append(append)
        for change in append.changes:
            if isinstance(change, React):
                to_it = self._index.groups[append.stream].reactions.setdefault(change.message, {})
                to_it.setdefault(change.reaction, {}).setdefault(change.user, change.seq)


class AnswersAreShared(MemoryStore):
    def messages(self, stream: StreamKey, seqs: Sequence[int]) -> Mapping[int, Card]:
        known: dict[Any, Any] = self.__dict__.setdefault("_known", {})
        for seq, card in super().messages(stream, seqs).items():
            if (stream, seq, len(card.edits)) not in known:
                known[stream, seq, len(card.edits)] = card
        return {
            seq: known[stream, seq, len(card.edits)]
            for seq, card in super().messages(stream, seqs).items()
        }


class RequestsTakeNoPlace(MemoryStore):
    def holdings(self, tenant: str, user: str) -> Holdings:
        waiting = self._index.requests_of.pop((tenant, user), set())
        found = super().holdings(tenant, user)
        self._index.requests_of[tenant, user] = waiting
        return found


class HiddenGroupsAreShown(MemoryStore):
    def shown(self, tenant: str, user: str) -> Sequence[GroupCard]:
        places = self.memberships(tenant, user, "", 99)
        cards = [self.group(tenant, place.group) for place in places if place.chat.shown]
        return [card for card in cards if card is not None]


class EverybodyIsActive(MemoryStore):
    def statistics(self, tenant: str, group: str, **span: Any) -> Statistics:
        found = super().statistics(tenant, group, **span)
        return attrs.evolve(found, active=found.members)


class SearchLeavesTheTenant(MemoryStore):
    def search(self, tenant: str, **wanted: Any) -> Sequence[Found]:
        found = [*super().search(tenant, **wanted)]
        if tenant != "another":
            found += super().search("another", **wanted)
        return found[: wanted["limit"]]


class EqualNamesComeAnywhere(MemoryStore):
    def search(self, tenant: str, **wanted: Any) -> Sequence[Found]:
        found = super().search(tenant, **{**wanted, "after": None, "limit": 9_999})
        if wanted["near"] is None:
            found = sorted(found, key=lambda one: -one.number)
            after = wanted["after"]
            found = [one for one in found if after is None or one.number < after.number]
        return found[: wanted["limit"]]


class TheEarthIsFlat(MemoryStore):
    def search(self, tenant: str, **wanted: Any) -> Sequence[Found]:
        near, after = wanted["near"], wanted["after"]
        if near is None:
            return super().search(tenant, **wanted)
        inside = []
        everywhere = {**wanted, "near": None, "after": None, "limit": 999}
        for found in super().search(tenant, **everywhere):
            place = found.card.location
            if place is not None:
                away = 111_195 * math.dist((place["lat"], place["lon"]), (near.lat, near.lon))
                if away <= near.radius_m:
                    inside.append(attrs.evolve(found, distance_m=away))
        inside.sort(key=lambda one: (one.distance_m or 0.0, -one.number))
        keys = [one.number for one in inside]
        begin = keys.index(after.number) + 1 if after is not None else 0
        return inside[begin : begin + wanted["limit"]]


class EveryTenantIsOne(MemoryStore):
    def group(self, tenant: str, group: str) -> Any:
        return super().group("tenant", group)


class ClosingIsNotNoticed(MemoryStore):
    def close(self) -> None:
        pass


class EntriesOutliveTheirAppend(MemoryStore):
    def _append_all(self, appends: Sequence[Any]) -> Outcome:
        outcome = super()._append_all(appends)
        if outcome is not None:
            self.audit.add(appends[0].audit)
        return outcome


class EntriesAreOfEverybody(MemoryStore):
    def __init__(self, id: str) -> None:
        super().__init__(id)
        self._registers.audit = _OfEverybody()


class _OfEverybody(MemoryAudit):
    def latest(self, tenant: str, *wanted: Any) -> Sequence[Audited]:
        found = [*super().latest(tenant, *wanted), *super().latest("other", *wanted)]
        return sorted(found, key=lambda item: -item.n)


class NumbersComeAgain(MemoryStore):
    def _write(self, write: Write) -> Outcome:
        outcome = super()._write(write)
        if isinstance(write, DropAudit):
            self.audit._count = self.audit.last_n()
        return outcome


class PutCardForgetsTheRest(MemoryStore):
    def _append(self, append: Any) -> None:
        group = self._index.groups.get(append.stream)
        if group is not None and any(isinstance(change, PutCard) for change in append.changes):
            group.card = None
        super()._append(append)


class BindingsOutliveTheirEnd(MemoryStore):
    def _append(self, append: Any) -> None:
        kept = [change for change in append.changes if not isinstance(change, DropTies)]
        super()._append(attrs.evolve(append, changes=kept))


class TiesLeaveTheTenant(MemoryStore):
    def _append(self, append: Any) -> None:
        super()._append(append)
        for tenant, kind, name in list(self._index.tied):
            everywhere = self._index.tied.setdefault((TENANT, kind, name), set())
            everywhere |= self._index.tied[tenant, kind, name]


@pytest.mark.parametrize(
    "broken",
    [
        OneConflictFailsTheRound,
        HalfOfAPairIsWritten,
        NothingIsErased,
        SnapshotsOutliveErasing,
        RefsAreNotUnique,
        MoreIsAlwaysTrue,
        BackwardsIsFalling,
        SizesAreIgnored,
        DeadlinesStay,
        DissolvedGroupsAreListed,
        OwnMessagesAreUnread,
        CursorsFall,
        RebuildingKeepsOldRows,
        EveryTenantIsOne,
        ClosingIsNotNoticed,
        PutCardForgetsTheRest,
        EntriesOutliveTheirAppend,
        EntriesAreOfEverybody,
        NumbersComeAgain,
        BindingsOutliveTheirEnd,
        TiesLeaveTheTenant,
        OldRowsShineThrough,
        MembersAreMiscounted,
        RecalledMessagesAreUnread,
        RecalledMessagesTakeReactions,
        AnswersAreShared,
        RequestsTakeNoPlace,
        HiddenGroupsAreShown,
        EverybodyIsActive,
        SearchLeavesTheTenant,
        EqualNamesComeAnywhere,
        TheEarthIsFlat,
    ],
)
def test_a_store_that_breaks_a_promise_is_found_out(broken: type[MemoryStore]) -> None:
    with pytest.raises(AssertionError) as found:
        check_log(lambda: broken("one"))
    assert str(found.value), "an assertion without a message"


def test_a_store_that_forgets_is_found_out_by_reopening() -> None:
    with pytest.raises(AssertionError, match="after reopening"):
        check_log(lambda: MemoryStore("one"), reopen=lambda _store: MemoryStore("one"))
