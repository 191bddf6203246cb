"""The actor of a stream: the one task that changes it.

Placement rules and theory of operation:
- Commands wait in the mailbox while an append is under way; the next batch takes them all
  (bounded), so batching needs no timer.
- A batch: fetch what its decisions need; decide and apply each command, in order, synchronously;
  one append; then publish and answer. Refusals and reads of live state are answered after the
  commit of the batch that they saw, too.
- If the append fails, memory is ahead of the log: the ledger is loaded again.
- An entry carries where its answer goes; a request from a socket is not a task.
- What happens to sessions is the outlet's; which commands exist is the domain's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Protocol

import attrs
import structlog
import trio

from groupd.domain.base import (
    GROUP,
    SERVER,
    Audience,
    Command,
    Context,
    Event,
    Founding,
    Identity,
    LiveQuery,
    Needs,
    Receipt,
    Record,
    StreamKey,
    Unchanged,
)
from groupd.domain.catalog import EVENTS, STATES
from groupd.domain.projection import Change
from groupd.engine.ledger import Ledger
from groupd.engine.outlet import Outlet, Publication
from groupd.errors import LogBroken, LogConflict, LogCorrupt, LogUnavailable, Rejected
from groupd.storage.port import Append, PutSnapshot, Slice, Store
from groupd.wire import codec

if TYPE_CHECKING:
    from groupd.engine.directory import Directory

log = structlog.get_logger()

RETRY_AFTER_MS: Final = 1_000
"""What ``unavailable`` advises."""
LOAD_PAGE: Final = 2_000
"""Records read at once when a stream is loaded."""


class Replies(Protocol):
    """Where answers go. Both calls are synchronous; ``flush`` ends a batch's answers."""

    def respond(self, tag: int, result: Mapping[str, Any]) -> None:
        """Answer the request ``tag``."""
        ...

    def refuse(self, tag: int, error: Rejected) -> None:
        """Refuse the request ``tag``."""
        ...

    def flush(self) -> None:
        """Send what has been answered."""
        ...


@attrs.frozen
class Entry:
    """One request in a mailbox, and where its answer goes."""

    caller: Identity
    request: Command | LiveQuery
    request_id: str
    replies: Replies
    tag: int


@attrs.define
class _Batch:
    """What a batch of entries has come to, until it is durable."""

    after_seq: int
    records: list[Record] = attrs.field(factory=list)
    events: list[Event] = attrs.field(factory=list)
    answers: list[tuple[Entry, Mapping[str, Any] | Rejected]] = attrs.field(factory=list)
    founded: list[tuple[Append, Publication]] = attrs.field(factory=list)


class Actor:
    """The one writer of a stream. ``run`` is its task; ``tell`` puts a request into its mailbox."""

    def __init__(self, stream: StreamKey, directory: Directory) -> None:
        self.stream = stream
        self.last_active = trio.current_time()
        self._directory = directory
        self._limits = directory.rules.limits
        self._mailbox: list[Entry] = []
        self._parked = False
        self._lot = trio.lowlevel.ParkingLot()
        self._woken = False
        self._retiring = False
        self._snapshot_seq = 0
        self._answered = 0
        self._ledger = Ledger.empty(stream)

    # --- from outside

    def tell(self, entry: Entry) -> None:
        """Queue a request; a full mailbox answers ``unavailable`` at once."""
        if len(self._mailbox) >= self._limits.mailbox_max:
            entry.replies.refuse(entry.tag, _unavailable("the group is overloaded"))
            entry.replies.flush()
            return
        self._mailbox.append(entry)
        self._rouse()

    def wake(self) -> None:
        """Let the stream look at its deadlines."""
        self._woken = True
        self._rouse()

    def retire(self) -> None:
        """Let the actor leave memory when its mailbox is empty, after a snapshot."""
        self._retiring = True
        self._rouse()

    def _rouse(self) -> None:
        if self._parked:
            self._parked = False
            self._lot.unpark()

    # --- the task

    async def run(self) -> None:
        """Load the stream, serve until retired, and leave."""
        while not await self._load():
            self._refuse_all(self._mailbox, _unavailable("the group's log cannot be read"))
            self._mailbox = []
            if self._directory.dismiss(self):
                return
        while True:
            if not self._mailbox and not self._woken:
                if self._retiring or self._ledger.state.seq == 0:
                    if await self._leave():
                        return
                    continue
                self._parked = True
                await self._lot.park()
                continue
            size = self._limits.batch_max
            batch, self._mailbox = self._mailbox[:size], self._mailbox[size:]
            self.last_active = trio.current_time()
            self._answered = 0
            try:
                await self._serve(batch)
            except LogBroken:
                raise
            except Exception:
                # A bug, in publishing say. What is durable stays so; memory is not trusted.
                log.exception("actor_failed", stream=tuple(self.stream))
                self._fail_all(batch[self._answered :])
                await self._reload()

    async def _load(self) -> bool:
        """Rebuild the ledger from snapshot and log; gives False where the log cannot be read."""
        stream, state_class = self.stream, STATES[self.stream.kind]
        ledger = Ledger.empty(stream)
        store = self._directory.log
        try:
            snapshot = await store.read(lambda store: store.snapshot(stream))
            if snapshot is not None and snapshot.version == state_class.version:
                ledger.state = state_class.load(codec.unpack(snapshot.state))
                self._snapshot_seq = snapshot.seq
                last = await store.read(lambda store: store.pick(stream, (snapshot.seq,)))
                ledger.chain = last[0].chain
            more = True
            while more:
                piece = await self._read_after(ledger.state.seq, LOAD_PAGE)
                for record in piece.records:
                    ledger.replay(record)
                more = piece.more
                ledger.trim(self._limits.cards_max)
            outlet = self._directory.outlets.attach(stream, ledger.state.seq)
            if outlet.published_seq < ledger.state.seq and not outlet.detached:
                await self._publish_missed(outlet, ledger.state.seq)
        except LogUnavailable:
            return False
        except LogCorrupt:
            log.exception("stream_corrupt", stream=tuple(stream))
            return False
        self._ledger = ledger
        return True

    async def _read_after(self, after: int, limit: int) -> Slice:
        stream = self.stream
        return await self._directory.log.read(lambda store: store.read(stream, after, limit))

    async def _publish_missed(self, outlet: Outlet, head: int) -> None:
        """Publish what is in the log and was not published, after a failure between the two."""
        stream = self.stream
        while outlet.published_seq < head:
            piece = await self._read_after(outlet.published_seq, self._limits.batch_max)
            events = [codec.decode_event(EVENTS[stream.kind], record) for record in piece.records]
            outlet.publish(publication_of(stream, piece.records, events))

    async def _serve(self, entries: Sequence[Entry]) -> None:
        """Take a batch through decide, append, publish and answer."""
        for _attempt in range(self._limits.conflict_retries_max):
            try:
                await self._fetch(entries)
                batch = self._decide(entries)
                await self._append(batch)
            except LogConflict:
                # Somebody else wrote, or claimed a name first: look again, decide again.
                await self._reload()
            except LogUnavailable as error:
                await self._reload()
                self._refuse_all(entries, _unavailable(str(error)))
                return
            except LogCorrupt:
                self._fail_all(entries)
                return
            except _Failed:
                await self._reload()
                self._fail_all(entries)
                return
            else:
                self._publish(batch)
                await self._snapshot_if_due()
                return
        self._refuse_all(entries, _unavailable("others were faster, several times"))

    async def _reload(self) -> None:
        while not await self._load():
            self._refuse_all(self._mailbox, _unavailable("the group's log cannot be read"))
            self._mailbox = []
            await trio.sleep(RETRY_AFTER_MS / 1_000)

    async def _fetch(self, entries: Sequence[Entry]) -> None:
        """Read what the decisions of this batch need of older messages and of other streams."""
        ledger, stream = self._ledger, self.stream
        needs = [
            entry.request.needs(ledger.state)
            for entry in entries
            if isinstance(entry.request, Command)
        ]
        missing = ledger.missing([need for need in needs if need is not _NOTHING])
        if missing == _NOTHING:
            return

        def read(store: Store) -> None:
            ledger.learn(store.pick(stream, missing.messages))
            tenant, fetched = stream.tenant, ledger.fetched
            fetched.groups = {group: store.group(tenant, group) for group in missing.groups}
            fetched.refs = {ref: store.group_of_ref(tenant, ref) for ref in missing.refs}

        await self._directory.log.read(read)

    # --- deciding: synchronous

    def _decide(self, entries: Sequence[Entry]) -> _Batch:
        batch = _Batch(after_seq=self._ledger.state.seq)
        now_ms = max(self._directory.ports.clock.now_ms(), self._ledger.state.time_ms)
        try:
            if self._woken:
                self._woken = False
                for event in self._ledger.state.wake(now_ms):
                    self._write(batch, event, now_ms, SERVER, "", b"")
            for entry in entries:
                try:
                    answer = self._decide_one(batch, entry, now_ms)
                except Rejected as refusal:
                    batch.answers.append((entry, refusal))
                else:
                    batch.answers.append((entry, answer))
        except Exception as error:
            # A rule that raises is a bug; its half-applied batch must not be kept.
            log.exception("rule_failed", stream=tuple(self.stream))
            raise _Failed from error
        return batch

    def _decide_one(self, batch: _Batch, entry: Entry, now_ms: int) -> Mapping[str, Any]:
        ledger, caller, request_id = self._ledger, entry.caller, entry.request_id
        state, command = ledger.state, entry.request
        context = Context(
            stream=self.stream,
            caller=caller,
            now_ms=now_ms,
            rules=self._directory.rules,
            links=self._directory.links,
            new_group=self._directory.ports.new_group,
            fetched=ledger.fetched,
            request_id=request_id,
        )
        if isinstance(command, LiveQuery):
            state.guard(command, context)
            return command.ask(state, context)
        request_hash = b""
        if request_id:
            request_hash = codec.request_hash(command)
            receipt = state.memory.recall(
                caller.user, request_id, request_hash, now_ms=now_ms, limits=self._limits
            )
            if receipt is not None:
                return command.answer(receipt, context)
        decision = state.decide(command, context)
        if isinstance(decision, Unchanged):
            return decision.result
        first: Record | None = None
        value: str | int | None = None
        for item in decision:
            if isinstance(item, Founding):
                self._found(batch, item, entry, now_ms, request_hash)
                continue
            record = self._write(batch, item, now_ms, caller.user, request_id, request_hash)
            if first is None:
                first, value = record, item.receipt_value()
        assert first is not None, "a decision of no event is Unchanged"
        return command.answer(_receipt(first, value), context)

    def _write(
        self,
        batch: _Batch,
        event: Event,
        now_ms: int,
        user: str,
        request_id: str,
        request_hash: bytes,
    ) -> Record:
        record = self._ledger.write(
            event,
            user=user,
            request_id=request_id,
            request_hash=request_hash,
            salt=self._directory.ports.randomness.token_bytes(codec.SALT_BYTES),
            now_ms=now_ms,
            limits=self._limits,
        )
        batch.records.append(record)
        batch.events.append(event)
        return record

    def _found(
        self, batch: _Batch, founding: Founding, entry: Entry, now_ms: int, request_hash: bytes
    ) -> None:
        """Make the first records of a stream that has no actor yet."""
        ledger = Ledger.empty(founding.stream)
        records = [
            ledger.write(
                event,
                user=entry.caller.user,
                request_id=entry.request_id,
                request_hash=request_hash,
                salt=self._directory.ports.randomness.token_bytes(codec.SALT_BYTES),
                now_ms=now_ms,
                limits=self._limits,
            )
            for event in founding.events
        ]
        append = Append(
            stream=founding.stream,
            after_seq=0,
            records=records,
            changes=_changes(founding.stream, records, founding.events),
            deadline_ms=ledger.state.deadline_ms(),
        )
        batch.founded.append((append, publication_of(founding.stream, records, founding.events)))

    # --- committing

    async def _append(self, batch: _Batch) -> None:
        if not batch.records:
            return
        own = Append(
            stream=self.stream,
            after_seq=batch.after_seq,
            records=batch.records,
            changes=_changes(self.stream, batch.records, batch.events),
            deadline_ms=self._ledger.state.deadline_ms(),
        )
        await self._directory.log.append(own, *(append for append, _ in batch.founded))
        self._directory.timers.note(own.deadline_ms)

    def _publish(self, batch: _Batch) -> None:
        """Answer and publish: nothing of this may await or raise."""
        outlets = self._directory.outlets
        outlet = outlets.get(self.stream)
        assert outlet is not None, "an actor has its outlet"
        for entry, answer in batch.answers:
            if isinstance(answer, Rejected):
                entry.replies.refuse(entry.tag, answer)
            else:
                entry.replies.respond(entry.tag, answer)
            self._answered += 1
        if outlet.detached:
            _flush(batch.answers)
        for append, publication in batch.founded:
            outlets.found(append.stream, publication)
        if batch.records:
            outlet.publish(publication_of(self.stream, batch.records, batch.events))
        _flush(batch.answers)
        self._ledger.trim(self._limits.cards_max)
        if any(record.followed for record in batch.records) or any(
            record.followed for append, _ in batch.founded for record in append.records
        ):
            self._directory.rouse_reactors()

    # --- snapshots and leaving

    async def _snapshot_if_due(self) -> None:
        if self._ledger.state.seq - self._snapshot_seq >= self._limits.snapshot_every:
            await self._snapshot()

    async def _snapshot(self) -> bool:
        state = self._ledger.state
        if state.seq == self._snapshot_seq:
            return True
        snapshot = PutSnapshot(self.stream, state.seq, state.version, codec.pack(state.dump()))
        try:
            await self._directory.log.write(snapshot)
        except LogUnavailable:
            # Without it the next activation only takes longer.
            return False
        self._snapshot_seq = snapshot.seq
        return True

    async def _leave(self) -> bool:
        """Snapshot, then go in one synchronous step if nothing has come in between."""
        if self._ledger.state.seq:
            await self._snapshot()
        if self._mailbox or self._woken:
            self._retiring = False
            return False
        return self._directory.dismiss(self)

    # --- failing

    def _refuse_all(self, entries: Sequence[Entry], refusal: Rejected) -> None:
        for entry in entries:
            entry.replies.refuse(entry.tag, refusal)
            entry.replies.flush()

    def _fail_all(self, entries: Sequence[Entry]) -> None:
        reference = self._directory.ports.new_reference()
        log.error("batch_failed", stream=tuple(self.stream), reference=reference)
        self._refuse_all(entries, Rejected("internal", "a bug; it was logged", reference=reference))


class _Failed(Exception):
    """A rule raised something that is not a refusal."""


_NOTHING: Final = Needs()


def _flush(answers: Sequence[tuple[Entry, object]]) -> None:
    for replies in {id(entry.replies): entry.replies for entry, _ in answers}.values():
        replies.flush()


def _receipt(record: Record, value: str | int | None) -> Receipt:
    return Receipt(record.request_hash, record.seq, record.time_ms, value)


def _unavailable(message: str) -> Rejected:
    return Rejected("unavailable", message, retry_after_ms=RETRY_AFTER_MS)


def _changes(
    stream: StreamKey, records: Sequence[Record], events: Sequence[Event]
) -> Sequence[Change]:
    if stream.kind != GROUP:
        return ()
    return [
        change
        for record, event in zip(records, events, strict=True)
        for change in event.project(record)
    ]


def publication_of(
    stream: StreamKey, records: Sequence[Record], events: Sequence[Event]
) -> Publication:
    """Frame the records of a batch for everybody."""
    prefix = codec.frame_prefix(stream)
    publication = Publication(
        last_seq=records[-1].seq, frames=[prefix + codec.event_map(record) for record in records]
    )
    for index, (record, event) in enumerate(zip(records, events, strict=True)):
        if record.audience > Audience.MEMBERS:
            publication.masked[index] = prefix + codec.hidden_map(record)
        for user, view in event.views(record):
            publication.moves.append((index, user, view))
    return publication
