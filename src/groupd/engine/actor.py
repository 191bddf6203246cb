"""The actor of a stream: the one task that changes it.

Placement rules and theory of operation:
- Commands wait in the mailbox while an append is under way; the next batch takes them all
  (bounded), so batching needs no timer.
- A batch: fetch what its decisions need; decide and apply each command, in order, synchronously
  (``batch.py``); one append; then publish and answer. Refusals and reads of live state are
  answered after the commit of the batch that they saw, too.
- If the append fails, memory is ahead of the log: the ledger is loaded again.
- An entry carries where its answer goes; a request from a socket is not a task.
- What happens to sessions is the outlet's; which commands exist is the domain's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import structlog
import trio

from groupd.domain.base import NOTHING, StreamKey
from groupd.domain.catalog import AGGREGATES, EVENTS
from groupd.engine.batch import Batch, publication_of
from groupd.engine.ledger import Ledger
from groupd.engine.mail import RETRY_AFTER_MS, Entry, unavailable
from groupd.engine.outlet import Outlet
from groupd.engine.shared import Shared
from groupd.engine.waiting import Waiter
from groupd.errors import LogBroken, LogConflict, LogCorrupt, LogUnavailable, Rejected
from groupd.storage.port import PutSnapshot, Slice
from groupd.wire import codec

log = structlog.get_logger()

LOAD_PAGE: Final = 2_000
"""Records read at once when a stream is loaded."""


class Actor:
    """The one writer of a stream. ``run`` is its task; ``tell`` puts a request into its mailbox.

    ``dismiss`` is called in the actor's last synchronous step.
    """

    def __init__(
        self, stream: StreamKey, shared: Shared, *, dismiss: Callable[[Actor], None]
    ) -> None:
        self.stream = stream
        self.last_active = trio.current_time()
        self._shared = shared
        self._dismiss = dismiss
        self._limits = shared.rules.limits
        self._mailbox: list[Entry] = []
        self._lot = trio.lowlevel.ParkingLot()
        self._woken = False
        self._retiring = self._retiring_firmly = False
        self._snapshot_seq = 0
        self._answered = 0
        self._ledger = Ledger.empty(stream)

    # --- from outside

    def tell(self, entry: Entry) -> None:
        """Queue a request; a full mailbox answers ``unavailable`` at once."""
        if len(self._mailbox) >= self._limits.mailbox_max:
            _refuse_all([entry], unavailable("the group is overloaded"))
            return
        self._mailbox.append(entry)
        if self._lot:
            self._lot.unpark_all()

    def wake(self) -> None:
        """Let the stream look at its deadlines."""
        self._woken = True
        self._lot.unpark_all()

    def retire(self, *, firmly: bool = False) -> None:
        """Let the actor leave memory when its mailbox is empty, after a snapshot.

        If mail comes in between it serves that, and then stays unless ``firmly`` told.
        """
        self._retiring = True
        self._retiring_firmly |= firmly
        self._lot.unpark_all()

    # --- the task

    async def run(self) -> None:
        """Load the stream, serve until retired, and leave."""
        refusal = await self._load()
        if refusal is not None:
            self._refuse_mailbox(refusal)
            self._dismiss(self)
            return
        while True:
            if self._mailbox or self._woken:
                self.last_active = trio.current_time()
                if self._mailbox and self._mailbox[0].onward is not None and not self._woken:
                    await self._pass_on(self._mailbox.pop(0))
                else:
                    await self._supervise(self._take_batch())
            elif self._retiring or self._ledger.state.seq == 0:
                if await self._leave():
                    return
            else:
                await self._lot.park()

    def _take_batch(self) -> list[Entry]:
        """Give the next entries; what passes through an account waits for those before it."""
        size = self._limits.batch_max
        for count, entry in enumerate(self._mailbox[:size]):
            if entry.onward is not None:
                size = count
                break
        batch, self._mailbox = self._mailbox[:size], self._mailbox[size:]
        return batch

    async def _pass_on(self, entry: Entry) -> None:
        """Let a request that is limited for each user go to its group, and wait for the answer.

        One at a time: so what the user holds, as of now, is what they hold when the group decides.
        An account may wait for a group; a group waits for nobody.
        """
        caller, onward, waiter = entry.caller, entry.onward, Waiter()
        assert onward is not None
        _kind, tenant, user = self.stream
        try:
            holdings = await self._shared.log.read(lambda store: store.holdings(tenant, user))
            passed = Entry(caller, entry.request, entry.request_id, waiter, 0, holdings=holdings)
            self._shared.tell(onward, passed)
            entry.replies.respond(entry.tag, await waiter.wait())
        except Rejected as refusal:
            entry.replies.refuse(entry.tag, refusal)
        except LogUnavailable as error:
            entry.replies.refuse(entry.tag, unavailable(str(error)))
        except LogCorrupt:
            reference = self._shared.ports.new_reference()
            log.exception("holdings_unreadable", stream=tuple(self.stream), reference=reference)
            entry.replies.refuse(entry.tag, _bug(reference))
        entry.replies.flush()

    async def _supervise(self, entries: list[Entry]) -> None:
        """Serve a batch; whatever fails, each entry is answered once and the actor goes on.

        What does not fit the batch goes back into the mailbox, and out of ``entries``.
        """
        self._answered = 0
        try:
            await self._serve(entries)
        except LogBroken:
            raise
        except LogUnavailable as error:
            _refuse_all(entries, unavailable(str(error)))
            await self._reload()
        except Exception:
            # A bug, or a log that cannot be read. What is durable stays so; memory is not trusted.
            reference = self._shared.ports.new_reference()
            log.exception("batch_failed", stream=tuple(self.stream), reference=reference)
            _refuse_all(entries[self._answered :], _bug(reference))
            await self._reload()

    async def _serve(self, entries: list[Entry]) -> None:
        """Take a batch through decide, append, publish and answer."""
        for _attempt in range(self._limits.conflict_retries_max):
            try:
                await self._fetch(entries)
                batch = self._decide(entries)
                await self._append(batch)
            except LogConflict:
                # Somebody else wrote, or claimed a name first: look again, decide again.
                await self._reload()
            else:
                self._publish(batch)
                await self._snapshot_if_due()
                return
        _refuse_all(entries, unavailable("others were faster, several times"))

    # --- loading

    async def _load(self) -> Rejected | None:
        """Rebuild the ledger from snapshot and log; gives why that cannot be done, or None."""
        try:
            ledger = await self._loaded()
            outlet = self._shared.outlets.attach(self.stream, ledger.state.seq)
            await self._publish_missed(outlet, ledger.state.seq)
        except LogUnavailable:
            return unavailable("the group's log cannot be read")
        except LogBroken:
            raise
        except Exception:
            # LogCorrupt, or bytes that make no sense: they must not end the other streams.
            reference = self._shared.ports.new_reference()
            log.exception("stream_corrupt", stream=tuple(self.stream), reference=reference)
            return _bug(reference)
        self._ledger = ledger
        return None

    async def _loaded(self) -> Ledger:
        stream, state_class = self.stream, AGGREGATES[self.stream.kind].state
        ledger = Ledger.empty(stream)
        snapshot = await self._shared.log.read(lambda store: store.snapshot(stream))
        if snapshot is not None and snapshot.version == state_class.version:
            last = (await self._read_after(snapshot.seq - 1, 1)).records
            try:
                ledger.state = state_class.load(codec.unpack(snapshot.state))
                ledger.chain = last[0].chain
            except Exception:
                log.exception("snapshot_unreadable", stream=tuple(stream))
                ledger = Ledger.empty(stream)
            self._snapshot_seq = ledger.state.seq
        more = True
        while more:
            piece = await self._read_after(ledger.state.seq, LOAD_PAGE)
            for record in piece.records:
                ledger.replay(record)
            more = piece.more
            ledger.trim(self._limits.cards_max)
        return ledger

    async def _read_after(self, after: int, limit: int) -> Slice:
        stream = self.stream
        return await self._shared.log.read(lambda store: store.read(stream, after, limit))

    async def _publish_missed(self, outlet: Outlet, head: int) -> None:
        """Publish what is in the log and was not published, after a failure between the two."""
        kinds = EVENTS[self.stream.kind]
        while outlet.accepted_seq < head:
            after = outlet.accepted_seq
            records = (await self._read_after(after, self._limits.batch_max)).records
            if outlet.accepted_seq == after:
                events = [codec.decode_event(kinds, record) for record in records]
                outlet.publish(publication_of(self.stream, records, events))

    async def _reload(self) -> None:
        """Load again, however long it takes; whoever asks meanwhile is told to come back."""
        while (refusal := await self._load()) is not None:
            self._refuse_mailbox(refusal)
            await trio.sleep(RETRY_AFTER_MS / 1_000)

    # --- a batch

    async def _fetch(self, entries: Sequence[Entry]) -> None:
        """Read what the decisions of this batch need of older messages and of other streams."""
        ledger = self._ledger
        needs = [
            need
            for entry in entries
            if (need := entry.request.needs(ledger.state, entry.caller)) is not NOTHING
        ]
        missing = ledger.missing(needs) if needs else NOTHING
        if missing != NOTHING:
            await self._shared.log.read(lambda store: ledger.fetch(store, missing))

    def _decide(self, entries: list[Entry]) -> Batch:
        now_ms = max(self._shared.ports.clock.now_ms(), self._ledger.state.time_ms)
        batch = Batch(self._ledger, self._shared, now_ms)
        woken, self._woken = self._woken, False
        decided = batch.decide(entries, woken=woken)
        self._mailbox[:0] = entries[decided:]
        del entries[decided:]
        return batch

    async def _append(self, batch: Batch) -> None:
        appends, outlets = batch.appends(), self._shared.outlets
        if not appends:
            return
        # Before it can be read: a greeting in between must see that nothing is published yet.
        for append in appends[1:]:
            outlets.expect(append.stream)
        try:
            await self._shared.log.append(*appends)
        except BaseException:
            for append in appends[1:]:
                outlets.found(append.stream, None)
            raise
        self._shared.note_deadline(appends[0].deadline_ms)

    def _publish(self, batch: Batch) -> None:
        """Answer and publish: nothing of this may await."""
        outlets = self._shared.outlets
        outlet = outlets.get(self.stream)
        assert outlet is not None, "an actor has its outlet"
        try:
            for entry, answer in batch.answers:
                if isinstance(answer, Rejected):
                    entry.replies.refuse(entry.tag, answer)
                else:
                    entry.replies.respond(entry.tag, answer)
                self._answered += 1
            if outlet.detached:
                _flush(batch)
        finally:
            for append, publication in batch.founded:
                outlets.found(append.stream, publication)
        if batch.records:
            outlet.publish(batch.publication())
        _flush(batch)
        self._ledger.trim(self._limits.cards_max)
        if batch.is_followed:
            self._shared.rouse_reactors()

    # --- snapshots and leaving

    async def _snapshot_if_due(self) -> None:
        if self._ledger.state.seq - self._snapshot_seq >= self._limits.snapshot_every:
            await self._snapshot()

    async def _snapshot(self) -> None:
        state = self._ledger.state
        if state.seq == self._snapshot_seq:
            return
        snapshot = PutSnapshot(self.stream, state.seq, state.version, codec.pack(state.dump()))
        try:
            await self._shared.log.write(snapshot)
        except LogUnavailable:
            return  # Without it the next activation only takes longer.
        self._snapshot_seq = snapshot.seq

    async def _leave(self) -> bool:
        """Snapshot, then go in one synchronous step if nothing has come in between."""
        if self._ledger.state.seq:
            await self._snapshot()
        if self._mailbox or self._woken:
            self._retiring = self._retiring_firmly
            return False
        self._dismiss(self)
        return True

    def _refuse_mailbox(self, refusal: Rejected) -> None:
        entries, self._mailbox = self._mailbox, []
        _refuse_all(entries, refusal)


def _bug(reference: str) -> Rejected:
    return Rejected("internal", "a bug, or a damaged log; it was logged", reference=reference)


def _refuse_all(entries: Sequence[Entry], refusal: Rejected) -> None:
    for entry in entries:
        entry.replies.refuse(entry.tag, refusal)
        entry.replies.flush()


def _flush(batch: Batch) -> None:
    for replies in {id(entry.replies): entry.replies for entry, _ in batch.answers}.values():
        replies.flush()
