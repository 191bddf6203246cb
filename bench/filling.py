"""Groups that are written to a store, as their actors would: real events, real hashes, no actor."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from groupd.config import Limits
from groupd.domain.base import GROUP, Event, Role, StreamKey
from groupd.domain.group.membership import Joined
from groupd.domain.group.messages import Posted
from groupd.domain.group.settings import Created
from groupd.engine.batch import changes_of
from groupd.engine.ledger import Ledger
from groupd.storage.port import Append, AppendAll, PutPosition, Store
from groupd.storage.rounds import Job, Rounds

OWNER: Final = "u0"
TEXT: Final = "x" * 100
POSTERS: Final = 10
"""Of each group, in turns."""
BEGAN_MS: Final = 1_750_000_000_000
REQUEST_ID: Final = "01977420-8000-7000-8000-{:012x}"
LIMITS: Final = Limits()

FILL_ROUND: Final = 500
"""Groups that are written to in one transaction."""
FILL_MESSAGES: Final = 20
"""Records in each of these appends."""
GROUPS_OF_ONE: Final = 20
"""How many groups of a filled store have the same owner."""


def group_key(number: int) -> StreamKey:
    """Name a group."""
    return StreamKey(GROUP, "", f"g{number:07}")


class Group:
    """A group that is written to: events in, appends out, as an actor makes them."""

    def __init__(self, number: int, *, owner: str = OWNER, with_ids: bool = True) -> None:
        self._ledger = Ledger.empty(group_key(number))
        self._owner = owner
        self._with_ids = with_ids
        self._written = 0

    def found(self) -> Append:
        """Found the group; its owner is its first member."""
        created = Created(name=f"Group {self._ledger.stream.key}", plan="default")
        joined = Joined(via="created", name=self._owner, role=Role.OWNER.label)
        return self._append([(self._owner, created), (self._owner, joined)])

    def post(self, count: int) -> Append:
        """Post so many texts, one poster after the other."""
        return self._append(
            [
                (f"u{(self._written + number) % POSTERS}", Posted(text=TEXT))
                for number in range(count)
            ]
        )

    def _append(self, events: Sequence[tuple[str, Event]]) -> Append:
        after = self._ledger.state.seq
        records = []
        for user, event in events:
            self._written += 1
            record, _receipt = self._ledger.write(
                event,
                user=user,
                request_id=REQUEST_ID.format(self._written) if self._with_ids else "",
                request_hash=bytes(16),
                salt=bytes(16),
                now_ms=BEGAN_MS,
                limits=LIMITS,
            )
            records.append(record)
        self._ledger.trim(0)
        changes = changes_of(records, [event for _user, event in events])
        return Append(self._ledger.stream, after, records, changes)


def commit(store: Store, appends: Sequence[Append]) -> None:
    """Commit appends in one round; raises what befell one of them."""
    rounds = Rounds(store)
    for append in appends:
        rounds.add(Job(AppendAll((append,))))
    while rounds.busy:
        for job in rounds.step():
            if job.error is not None:
                raise job.error


def fill(store: Store, *, groups: int, messages: int, advance: Callable[[int], None]) -> None:
    """Found groups and post to them in turns, so that their records lie mixed as in life."""
    # Without request ids: remembering those of all groups would take more memory than they are.
    owners = max(1, groups // GROUPS_OF_ONE)
    written = [
        Group(number, owner=f"u{number % owners}", with_ids=False) for number in range(groups)
    ]
    left = messages
    for first in range(0, groups, FILL_ROUND):
        commit(store, [group.found() for group in written[first : first + FILL_ROUND]])
    while left > 0:
        for first in range(0, groups, FILL_ROUND):
            some = written[first : first + FILL_ROUND]
            size = min(FILL_MESSAGES, -(-left // len(some)))
            commit(store, [group.post(size) for group in some])
            left -= size * len(some)
            advance(size * len(some))
            if left <= 0:
                break
    # The accounts have heard of everything long ago.
    store.commit([PutPosition("accounts", messages + 3 * groups)])
