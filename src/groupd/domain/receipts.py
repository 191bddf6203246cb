"""The receipts of the requests that a stream remembers, in the order in which they came.

There may be 20,000 in each busy group, and each post adds one, drops one and looks for one: so
their layout decides how much memory a group takes, and how much of it lies in the processor's
caches. ``native/receipts.pyx`` has them in rows of 72 bytes; what is here does the same with
Python's own objects, which take 450.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final, Self, TypeAlias

from groupd import native
from groupd.domain.base import Receipt
from groupd.domain.fields import embedded_ms

HASH_BYTES: Final = 16
NO_HASH: Final = bytes(HASH_BYTES)
"""What stands in a snapshot for a hash that was dropped."""

_Key: TypeAlias = tuple[str, str]


class _ReceiptsInPython:
    """Receipts by ``(user, request id)``, the oldest first. An id is the same in either case."""

    __slots__ = ("_known", "_order", "_times")

    def __init__(self) -> None:
        self._known: dict[_Key, Receipt] = {}
        # Beside the dict, which would walk over all that was ever deleted to find its first key.
        self._order: deque[_Key] = deque()
        # Within the ids, in the same order.
        self._times: deque[int] = deque()

    def __len__(self) -> int:
        return len(self._known)

    def __iter__(self) -> Iterator[tuple[str, str, Receipt]]:
        """Give user, id in lower case, and receipt, the oldest first."""
        return ((*key, self._known[key]) for key in self._order)

    def __eq__(self, other: object) -> bool:
        return list(self) == list(other) if isinstance(other, self.__class__) else NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def find(self, user: str, request_id: str) -> Receipt | None:
        """Give the receipt of a request, if it is here."""
        return self._known.get((user, _folded(request_id)))

    def add(self, user: str, request_id: str, receipt: Receipt) -> None:
        """Add a receipt as the newest; where the request has one, keep that.

        Raises ValueError for what is no request id.
        """
        key, time_ms = (user, _folded(request_id)), embedded_ms(request_id)
        if time_ms < 0:
            raise ValueError(f"{request_id!r} is no request id")
        if key not in self._known:
            self._known[key] = receipt
            self._order.append(key)
            self._times.append(time_ms)

    def drop(self) -> tuple[str, int]:
        """Drop the oldest; give whose it was and the time within its id. There must be one."""
        key = self._order.popleft()
        del self._known[key]
        return key[0], self._times.popleft()

    def time_ms(self, place: int) -> int:
        """Give the time of a receipt: 0 is the oldest. It must be there."""
        return self._known[self._order[place]].time_ms

    def erase(self, seqs: Collection[int]) -> None:
        """Drop the request hashes of these seqs; the receipts stay."""
        known, order = self._known, self._order
        if not seqs or not order or max(seqs) < known[order[0]].seq:
            return
        first = min(seqs)
        # From the newest, since what is recalled was mostly said just now.
        for key in reversed(order):
            receipt = known[key]
            if receipt.seq < first:
                return
            if receipt.seq in seqs:
                known[key] = receipt._replace(request_hash=b"")

    def dump(self, *, erasable: bool) -> list[Any]:
        """Give plain values, a column each; without the erasable ones, hashes are left out.

        Users, for each receipt which of them, ids, hashes, seqs, times, values.
        """
        users: dict[str, int] = {}
        whose = [users.setdefault(user, len(users)) for user, _request_id in self._order]
        receipts = [self._known[key] for key in self._order]
        digits = "".join([request_id for _user, request_id in self._order]).replace("-", "")
        hashes = (receipt.request_hash or NO_HASH for receipt in receipts) if erasable else ()
        return [
            list(users),
            whose,
            bytes.fromhex(digits),
            b"".join(hashes),
            [receipt.seq for receipt in receipts],
            [receipt.time_ms for receipt in receipts],
            [receipt.value for receipt in receipts],
        ]

    @classmethod
    def load(cls, plain: Iterable[Any]) -> Self:
        """Rebuild them from ``dump``."""
        users, whose, ids, hashes, seqs, times, values = plain
        if not len(whose) * HASH_BYTES == len(ids) == len(hashes):
            raise ValueError("the columns are not of one length")
        made = cls()
        for place, row in enumerate(zip(whose, seqs, times, values, strict=True)):
            part = slice(place * HASH_BYTES, (place + 1) * HASH_BYTES)
            request_hash = hashes[part]
            kept = b"" if request_hash == NO_HASH else request_hash
            made.add(users[row[0]], _text_of(ids[part]), Receipt(kept, *row[1:]))
        return made


def _text_of(number: bytes) -> str:
    digits = number.hex()
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def _folded(request_id: str) -> str:
    # A UUID is the same in either case, and a client may change it. Mostly it is in lower case,
    # and then there is no second string to keep.
    return request_id if request_id.islower() else request_id.lower()


if TYPE_CHECKING or native.receipts is None:
    Receipts: TypeAlias = _ReceiptsInPython
else:
    Receipts = native.receipts.Receipts
