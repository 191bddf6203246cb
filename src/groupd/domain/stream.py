"""What every stream's state has in common: its head, and the requests that it remembers.

Placement rules: what is true of groups and accounts alike stands here; the engine runs streams and
knows no more of them than this.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, ClassVar, Final, Self, TypeAlias

import attrs
import msgpack

from groupd.domain.base import (
    Context,
    Event,
    Receipt,
    Record,
    Request,
    Rule,
)
from groupd.domain.exactly_once import RequestMemory
from groupd.errors import Rejected

Refuse: TypeAlias = Callable[[Any, Context, Any], Rejected | None]


@attrs.define
class Stream:
    """The state of one stream: the sum of its records, and nothing else."""

    kind: ClassVar[str]
    """``group`` or ``account``."""
    version: ClassVar[int]
    """Of the snapshot's layout; another one means a full replay."""

    seq: int = 0
    n: int = 0
    time_ms: int = 0
    memory: RequestMemory = attrs.field(factory=RequestMemory)

    def apply(self, record: Record, event: Event) -> Receipt:
        """Take in one more record, and give its receipt. Total and deterministic."""
        self.seq = record.seq
        self.n = record.n
        self.time_ms = record.time_ms
        if record.forget:
            self.memory.forget(record.forget)
        # Made as a plain tuple is: in half the time of a named one.
        made = (record.request_hash, record.seq, record.time_ms, event.receipt_value())
        receipt = tuple.__new__(Receipt, made)
        if record.request_id:
            self.memory.remember(record.user, record.request_id, receipt)
        event.apply(self, record)
        return receipt

    @staticmethod
    def rules_of(request: type[Request]) -> Sequence[Rule]:
        """Give all rules of a kind of request, in the order in which they are checked."""
        return request.rules

    def guard(self, request: Request, context: Context) -> None:
        """Refuse what the rules of a request do not allow; the first that fails says why."""
        for refuse in _refusals_of(self.__class__, request.__class__):
            refusal = refuse(self, context, request)
            if refusal is not None:
                raise refusal

    def dump(self, *, erasable: bool = True) -> Any:
        """Give the state as plain values; ``load`` reverses it.

        Without ``erasable``, what erasing a record takes away is left out.
        """
        raise NotImplementedError

    @classmethod
    def load(cls, plain: Any) -> Self:
        """Rebuild a state from ``dump``, whose tuples may have become lists on the way."""
        raise NotImplementedError

    def hash(self) -> bytes:
        """Hash the state: equal for a live stream and its replay, whatever has been erased."""
        packed: bytes = msgpack.packb(self.dump(erasable=False))
        return hashlib.sha256(packed).digest()


def _make_refusals(state: type[Stream], request: type[Request]) -> tuple[Refuse, ...]:
    return tuple(rule.refuse for rule in state.rules_of(request))


_refusals_of: Final[Callable[[Any, Any], tuple[Refuse, ...]]] = cache(_make_refusals)
"""Gives what the rules of a kind of request do, for streams of a kind."""
