"""What a stream remembers of the requests that changed it, in bounded memory (DESIGN section 4).

An id is remembered for ``ids_window_ms`` and at most ``ids_max`` are. For each user, ``forgotten``
has the newest time embedded in any of their ids that was ever forgotten: one at or below it might
be a retry, so it is refused as stale and never taken for new. It is kept by user, because ids may
be some minutes ahead of the clock: with one time for the whole group, somebody whose clock is ahead
could make everybody's ids stale. ``forgotten_ms`` is that time for the users whose own was dropped.

How many ids are forgotten is a choice that depends on configured limits, so it is made when a
record is (``overdue``) and stored in it (``Record.forget``); replaying reads no configuration.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection
from typing import TYPE_CHECKING, Any, Final, Self, TypeAlias

from groupd import native
from groupd.config import Limits
from groupd.domain.base import Receipt
from groupd.domain.fields import embedded_ms, not_a_request_id
from groupd.domain.receipts import Receipts
from groupd.errors import Rejected

FORGOTTEN_USERS_MAX: Final = 10_000
"""Users whose forgotten time is their own. Fixed, since ``apply`` depends on it."""


class _MemoryInPython:
    """What each request of a stream asks of its memory; ``native/receipts.pyx`` does the same."""

    __slots__ = ("forgotten", "forgotten_ms", "receipts")

    def __init__(
        self,
        receipts: Receipts | None = None,
        forgotten: OrderedDict[str, int] | None = None,
        forgotten_ms: int = 0,
    ) -> None:
        self.receipts = Receipts() if receipts is None else receipts
        self.forgotten: OrderedDict[str, int] = OrderedDict() if forgotten is None else forgotten
        """User -> time; those who lost an id last are last."""
        self.forgotten_ms = forgotten_ms

    def recall(
        self, user: str, request_id: str, request_hash: bytes, now_ms: int, limits: Limits
    ) -> Receipt | None:
        """Give what is remembered of this request, or None where it is new.

        Raises Rejected ``conflict {id_reused}`` for other content under the same id, and
        ``stale_id`` for an id that is too old, or too far ahead, to be told from a duplicate.
        """
        receipt: Receipt | None = self.receipts.find(user, request_id)
        if receipt is not None:
            # An erased record has lost its hash, and with it the means to tell the contents apart.
            if receipt.request_hash not in (request_hash, b""):
                raise id_reused()
            return receipt
        time_ms = embedded_ms(request_id)
        if time_ms < 0:
            raise not_a_request_id()
        oldest_ms = now_ms - limits.ids_window_ms + 1
        if self.forgotten_ms >= oldest_ms:
            oldest_ms = self.forgotten_ms + 1
        forgotten_ms = self.forgotten.get(user, 0)
        if forgotten_ms >= oldest_ms:
            oldest_ms = forgotten_ms + 1
        if not oldest_ms <= time_ms <= now_ms + limits.ids_ahead_ms:
            raise stale_id(now_ms, oldest_ms)
        return None

    def overdue(self, now_ms: int, limits: Limits) -> int:
        """Say how many of the oldest are to be forgotten as of now. At most two at once.

        Two, because a record adds at most one: so the memory shrinks to its bound again after
        the bound was lowered, and no record has to forget many.
        """
        receipts = self.receipts
        kept = len(receipts)
        excess = kept + 1 - limits.ids_max
        if excess > 0:
            return 1 if excess == 1 else 2
        until_ms = now_ms - limits.ids_window_ms
        if not kept or receipts.time_ms(0) > until_ms:
            return 0
        return 1 if kept == 1 or receipts.time_ms(1) > until_ms else 2

    def remember(self, user: str, request_id: str, receipt: Receipt) -> None:
        """Keep the receipt of a request's first event; further events change nothing."""
        self.receipts.add(user, request_id, receipt)

    def forget(self, count: int) -> None:
        """Drop the ``count`` oldest."""
        receipts, forgotten = self.receipts, self.forgotten
        for _ in range(min(count, len(receipts))):
            user, time_ms = receipts.drop()
            before_ms = forgotten.get(user)
            if before_ms is None or time_ms > before_ms:
                forgotten[user] = time_ms
            forgotten.move_to_end(user)
            # There is one more only where that user had none.
            if before_ms is None and len(forgotten) > FORGOTTEN_USERS_MAX:
                _user, time_ms = forgotten.popitem(last=False)
                self.forgotten_ms = max(self.forgotten_ms, time_ms)


if TYPE_CHECKING or native.receipts is None:
    _Memory: TypeAlias = _MemoryInPython
else:
    _Memory = native.receipts.Memory


class RequestMemory(_Memory):
    """Remembered requests, and how far those that are forgotten reach."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return self.dump() == other.dump() if isinstance(other, RequestMemory) else NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"{self.__class__.__name__}.load({self.dump()!r})"

    def erase(self, seqs: Collection[int]) -> None:
        """Drop the request hashes of erased records: that of a short text could be guessed.

        Retries get the first answer all the same.
        """
        self.receipts.erase(seqs)

    def dump(self, *, erasable: bool = True) -> list[Any]:
        """Give it as plain values; without the erasable ones, request hashes are left out."""
        forgotten = [list(item) for item in self.forgotten.items()]
        return [self.forgotten_ms, forgotten, self.receipts.dump(erasable=erasable)]

    @classmethod
    def load(cls, plain: Any) -> Self:
        """Rebuild it from ``dump``."""
        forgotten_ms, forgotten, receipts = plain
        known = OrderedDict((user, ms) for user, ms in forgotten)
        return cls(Receipts.load(receipts), known, forgotten_ms)


# --- refusals


def id_reused() -> Rejected:
    """Make the refusal for other content under an id that is remembered."""
    return Rejected(
        "conflict", "this request id was used before, with other content", reason="id_reused"
    )


def stale_id(now_ms: int, oldest_ms: int) -> Rejected:
    """Make the refusal for an id from before ``oldest_ms``, or from too far ahead of ``now_ms``."""
    return Rejected(
        "stale_id",
        "this request id is too old or too far ahead; make a new one on the server's clock",
        time_ms=now_ms,
        oldest_ms=oldest_ms,
    )
