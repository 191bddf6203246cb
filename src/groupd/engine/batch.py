"""Deciding a batch: from entries to records and answers, synchronously.

Placement rules: no task, no store and no session in here. A batch changes the ledger that it is
given; until its appends are durable, nothing of it may leave the process, and if they fail the
ledger must be loaded again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import attrs
import structlog

from groupd.config import Limits
from groupd.domain.base import (
    SERVER,
    Context,
    Event,
    Founding,
    Identity,
    LiveQuery,
    Receipt,
    Record,
    StreamKey,
    Unchanged,
)
from groupd.domain.catalog import AGGREGATES
from groupd.domain.projection import Change, Spoke
from groupd.engine.ledger import Ledger
from groupd.engine.mail import Behalf, Entry
from groupd.engine.publication import Move, Publication
from groupd.engine.shared import Shared
from groupd.errors import Rejected
from groupd.storage.audit_port import AuditEntry
from groupd.storage.port import Append
from groupd.wire import codec

log = structlog.get_logger()


NOBODY: Final = Identity("")


class RuleFailed(Exception):
    """A rule raised something that is not a refusal: a bug, and the ledger is not to be trusted."""


@attrs.define
class Batch:
    """What a batch of entries has come to, until it is durable."""

    ledger: Ledger
    shared: Shared
    now_ms: int
    after_seq: int = attrs.field(init=False)
    size_bytes: int = 0
    records: list[Record] = attrs.field(factory=list)
    events: list[Event] = attrs.field(factory=list)
    answers: list[tuple[Entry, Mapping[str, Any] | Rejected]] = attrs.field(factory=list)
    founded: list[tuple[Append, Publication]] = attrs.field(factory=list)
    audit: list[AuditEntry] = attrs.field(factory=list)
    is_followed: bool = False
    """Whether reactors have something to look at."""

    _limits: Limits = attrs.field(init=False)
    _draw: Callable[[int], bytes] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.after_seq = self.ledger.state.seq
        self._limits = self.shared.rules.limits
        self._draw = self.shared.ports.randomness.token_bytes

    # --- deciding

    def decide(self, entries: Sequence[Entry], *, woken: bool) -> int:
        """Decide and apply, in order; first what is due, if the stream was woken for that.

        Gives how many entries were decided: the rest are for the next batch, since this one has
        come to ``batch_max_bytes``.
        """
        max_bytes = self._limits.batch_max_bytes
        context = self._context()
        try:
            if woken:
                due = AGGREGATES[self.ledger.stream.kind].due
                for event in due(self.ledger.state, self.now_ms):
                    self._write(event, SERVER, "", b"")
            for count, entry in enumerate(entries):
                if self.size_bytes >= max_bytes:
                    return count
                try:
                    answer = self._decide_one(entry, context)
                except Rejected as refusal:
                    # Its traceback would lead back here, and make a cycle of the batch.
                    self.answers.append((entry, refusal.with_traceback(None)))
                else:
                    self.answers.append((entry, answer))
        except Exception as error:
            log.exception("rule_failed", stream=tuple(self.ledger.stream))
            raise RuleFailed from error
        return len(entries)

    def _context(self) -> Context:
        """Make the context of all decisions; who asks is set before each."""
        ledger, shared = self.ledger, self.shared
        return Context(
            stream=ledger.stream,
            caller=NOBODY,
            now_ms=self.now_ms,
            rules=shared.rules,
            links=shared.links,
            new_group=shared.ports.new_group,
            fetched=ledger.fetched,
        )

    def _decide_one(self, entry: Entry, context: Context) -> Mapping[str, Any]:
        state, request, request_id = self.ledger.state, entry.request, entry.request_id
        context.caller = caller = entry.caller
        context.request_id, context.holdings = request_id, entry.holdings
        context.answers = entry.answers
        if isinstance(request, LiveQuery):
            state.guard(request, context)
            return request.ask(state, context)
        user, request_hash = caller.user, b""
        if request_id:
            request_hash = codec.request_hash(request)
            receipt = state.memory.recall(user, request_id, request_hash, self.now_ms, self._limits)
            if receipt is not None:
                return request.answer(receipt, context)
        state.guard(request, context)
        decision = request.decide(state, context)
        if isinstance(decision, Unchanged):
            return decision.result
        first: Receipt | None = None
        for item in decision:
            if isinstance(item, Founding):
                self._found(item, user, request_id, request_hash)
                continue
            receipt = self._write(item, user, request_id, request_hash)
            if first is None:
                first = receipt
        assert first is not None, "a decision of no event is Unchanged"
        if entry.behalf is not None:
            self._note(entry.behalf, entry, decision, first)
        return request.answer(first, context)

    def _note(
        self, behalf: Behalf, entry: Entry, decision: Sequence[Event | Founding], first: Receipt
    ) -> None:
        """Have the append say with whose key this was done. Of a founding, it is the new stream."""
        stream, seq = self.ledger.stream, first.seq
        for item in decision:
            if isinstance(item, Founding):
                stream, seq = item.stream, 1
        about = getattr(entry.request, "user", "")
        self.audit.append(
            behalf.entry(
                stream,
                time_ms=first.time_ms,
                user=entry.caller.user,
                seq=seq,
                about=about if type(about) is str else "",
            )
        )

    def _write(self, event: Event, user: str, request_id: str, request_hash: bytes) -> Receipt:
        """Write one record of the stream; gives its receipt."""
        if event.followed:
            self.is_followed = True
        record, receipt = self.ledger.write(
            event,
            user,
            request_id,
            request_hash,
            self._draw(codec.SALT_BYTES),
            now_ms=self.now_ms,
            limits=self._limits,
        )
        self.records.append(record)
        self.events.append(event)
        body = record.body
        assert body is not None, "only the store erases"
        self.size_bytes += len(record.header) + len(body)
        return receipt

    def _found(self, founding: Founding, user: str, request_id: str, request_hash: bytes) -> None:
        """Make the first records of a stream that has no actor yet."""
        ledger = Ledger.empty(founding.stream)
        records = []
        for event in founding.events:
            salt = self._draw(codec.SALT_BYTES)
            record, _receipt = ledger.write(
                *(event, user, request_id, request_hash, salt),
                now_ms=self.now_ms,
                limits=self._limits,
            )
            records.append(record)
            self.is_followed |= event.followed
        append = _append(ledger, 0, records, founding.events)
        self.founded.append((append, publication_of(founding.stream, records, founding.events)))

    # --- what comes of it

    def appends(self) -> list[Append]:
        """Give what must become durable together; nothing, where nothing has changed."""
        if not self.records:
            return []
        own = _append(self.ledger, self.after_seq, self.records, self.events, self.audit)
        return [own, *(append for append, _ in self.founded)]

    def publication(self) -> Publication:
        """Frame the stream's own records."""
        return publication_of(self.ledger.stream, self.records, self.events)


def _append(
    ledger: Ledger,
    after_seq: int,
    records: Sequence[Record],
    events: Sequence[Event],
    audit: Sequence[AuditEntry] = (),
) -> Append:
    stream = ledger.stream
    changes = changes_of(records, events)
    deadline_ms = AGGREGATES[stream.kind].deadline_ms(ledger.state)
    erase = [seq for event in events if event.touches for seq in event.erases()]
    return Append(stream, after_seq, records, changes, deadline_ms, erase, audit)


def changes_of(records: Sequence[Record], events: Sequence[Event]) -> list[Change]:
    """Give what a batch changes in the index; of all that one member said, only the last."""
    changes: list[Change] = []
    spoke: dict[str, int] = {}
    for record, event in zip(records, events, strict=True):
        if event.countable:
            spoke[record.user] = record.seq
        changes += event.project(record)
    changes += [Spoke(user, seq) for user, seq in spoke.items()]
    return changes


def publication_of(
    stream: StreamKey, records: Sequence[Record], events: Sequence[Event]
) -> Publication:
    """Frame the records of a batch for everybody."""
    prefix = codec.frame_prefix(stream)
    publication = Publication(records[-1].seq, codec.frames_of(records, prefix), can_wait=True)
    for index, (record, event) in enumerate(zip(records, events, strict=True)):
        # The record's, since an event of a kind that is not known here does not have it.
        if record.audience:
            publication.masked[index] = prefix + codec.hidden_map(record)
        if event.moves:
            for user, view in event.views(record):
                publication.moves.append(Move(index, user, view, event.lets_in))
        if not event.can_wait:
            publication.can_wait = False
    return publication
