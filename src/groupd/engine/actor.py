"""The actor of a stream: the one task that changes it.

Placement rules and theory of operation:
- Commands wait in the mailbox while an append is under way; the next batch takes them all
  (bounded), so batching what is decided needs no timer.
- A batch: fetch what its decisions need; decide and apply each command, in order, synchronously
  (``batch.py``); one append; then publish and answer. Refusals and reads of live state are
  answered after the commit of the batch that they saw, too.
- If the append fails, memory is ahead of the log: the ledger is loaded again.
- An entry carries where its answer goes; a request from a socket is not a task.
- Most batches need no waiting but for the log, which calls back. They are served in ``turn``, a
  plain call, while the task rests. The task is for what has to be waited for: loading, fetching,
  accounts, snapshots, trouble.
- What happens to sessions is the outlet's; which commands exist is the domain's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import structlog
import trio

from groupd.domain.base import NOTHING, Needs, StreamKey
from groupd.domain.stream import Stream
from groupd.engine.batch import Batch
from groupd.engine.ledger import Ledger
from groupd.engine.loading import load, publish_missed
from groupd.engine.mail import RETRY_AFTER_MS, Entry, Trouble, bug, flush, refuse_all, unavailable
from groupd.engine.shared import Shared
from groupd.engine.waiting import Waiter
from groupd.errors import LogBroken, LogConflict, LogCorrupt, LogUnavailable, Rejected
from groupd.storage.port import AppendAll, PutSnapshot
from groupd.wire import codec

log = structlog.get_logger()


class Actor:
    """The one writer of a stream. ``run`` is its task; ``tell`` puts a request into its mailbox.

    ``dismiss`` is called in the actor's last synchronous step.
    """

    def __init__(
        self, stream: StreamKey, shared: Shared, *, dismiss: Callable[[Actor], None]
    ) -> None:
        self.stream = stream
        self.quiet_sweeps = 0
        """How often the directory has found it idle, one after the other."""
        self._shared = shared
        self._dismiss = dismiss
        self._limits = shared.rules.limits
        self._mailbox: list[Entry] = []
        # When the oldest entry has come, of the mailbox and of the batch under way.
        self._first_s = self._oldest_s = 0.0
        self._lot = trio.lowlevel.ParkingLot()
        self._woken = self._retiring = self._retiring_firmly = False
        # The task waits, and turns may serve; but not while an append is under way.
        self._is_resting = self._is_appending = self._is_due = False
        # Something for the task to do before, or with, the next batch.
        self._has_errand = self._has_gone = False
        self._trouble: Trouble | None = None
        self._snapshot_seq = self._snapshot_tried_seq = self._answered = 0
        self._counted = 0  # Countable messages that the metrics know of.
        self._ledger = Ledger.empty(stream)

    @property
    def state(self) -> Stream:
        """The state as decided so far; what of it is not durable yet may still be taken back."""
        return self._ledger.state

    @property
    def waiting(self) -> int:
        """Count the requests in the mailbox."""
        return len(self._mailbox)

    # --- from outside

    def tell(self, entry: Entry) -> None:
        """Queue a request; a full mailbox answers ``unavailable`` at once."""
        if len(self._mailbox) >= self._limits.mailbox_max:
            refuse_all([entry], unavailable("the group is overloaded"))
            return
        if not self._mailbox:
            self._first_s = trio.current_time()
        self._mailbox.append(entry)
        if entry.onward is not None:
            self._has_errand = True
        if self._is_resting and not self._is_appending and not self._is_due:
            self._be_due()

    def wake(self) -> None:
        """Let the stream look at its deadlines."""
        self._woken = self._has_errand = True
        self._lot.unpark_all()

    def retire(self, *, firmly: bool = False) -> None:
        """Let the actor leave memory when its mailbox is empty, after a snapshot.

        If mail comes in between it serves that, and then stays unless ``firmly`` told.
        """
        self._retiring = self._has_errand = True
        self._retiring_firmly |= firmly
        self._lot.unpark_all()

    def turn(self) -> None:
        """Serve one batch of what waits; called when the actor has said that it is due.

        Whatever has to be waited for is left to the task.
        """
        self._is_due = False
        if not self._is_resting or self._is_appending or not self._mailbox:
            return
        if self._has_errand or self._has_to_fetch:
            self._lot.unpark_all()
        else:
            self._begin(self._take_batch())

    @property
    def _has_to_fetch(self) -> bool:
        try:
            return self._missing(self._mailbox[: self._limits.batch_max]) != NOTHING
        except Exception:
            return True  # A bug in a request's needs: the task meets it again, and answers for it.

    def _be_due(self) -> None:
        self._is_due = True
        self._shared.turns.add(self)

    # --- the task

    async def run(self) -> None:
        """Load the stream, serve until retired, and leave."""
        self._shared.counts.loading += 1
        try:
            refusal = await self._load()
        finally:
            self._shared.counts.loading -= 1
        if refusal is not None:
            self._refuse_mailbox(refusal)
            self._dismiss(self)
            return
        try:
            await self._serve()
        finally:
            # Cancelled: an append under way may become durable, but nobody is told any more.
            self._has_gone = True

    async def _serve(self) -> None:
        """Do what has to be waited for, until retired."""
        while True:
            if self.stream in self._shared.quarantine:
                self._dismiss(self)
                return
            if self._is_appending:
                await self._rest()
            elif self._trouble is not None:
                await self._recover(self._trouble)
            elif self._is_snapshot_due:
                await self._snapshot()
            elif self._woken:
                await self._prepare()
            elif self._mailbox:
                if self._mailbox[0].onward is not None:
                    await self._pass_on(self._mailbox.pop(0))
                else:
                    await self._prepare()
            elif self._retiring or self._ledger.state.seq == 0:
                if await self._leave():
                    return
            else:
                self._has_errand = False
                await self._rest()

    async def _rest(self) -> None:
        """Wait for an errand; meanwhile the turns serve what comes."""
        self._is_resting = True
        try:
            await self._lot.park()
        finally:
            self._is_resting = False

    def _take_batch(self) -> list[Entry]:
        """Give the next entries; what passes through an account waits for those before it."""
        self.quiet_sweeps, self._oldest_s = 0, self._first_s
        size = self._limits.batch_max
        if not self._has_errand and len(self._mailbox) <= size:
            batch, self._mailbox = self._mailbox, []
            return batch
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
        onward, waiter = entry.onward, Waiter()
        assert onward is not None
        _kind, tenant, user = self.stream
        try:
            holdings = await self._shared.log.read(lambda store: store.holdings(tenant, user))
            self._shared.tell(onward, entry.passed_on(waiter, holdings))
            entry.replies.respond(entry.tag, await waiter.wait())
        except Rejected as refusal:
            entry.replies.refuse(entry.tag, refusal)
        except LogUnavailable as error:
            entry.replies.refuse(entry.tag, unavailable(str(error)))
        except LogCorrupt:
            reference = self._shared.ports.new_reference()
            log.exception("holdings_unreadable", stream=tuple(self.stream), reference=reference)
            entry.replies.refuse(entry.tag, bug(reference))
        entry.replies.flush()

    # --- loading

    async def _load(self) -> Rejected | None:
        """Rebuild the ledger from snapshot and log; gives why that cannot be done, or None.

        A stream whose log makes no sense is in quarantine from then on.
        """
        try:
            ledger, snapshot_seq = await load(
                self._shared.log, self.stream, cards_max=self._limits.cards_max
            )
            outlet = self._shared.outlets.attach(self.stream, ledger.state.seq)
            await publish_missed(
                self._shared.log, outlet, ledger.state.seq, at_once=self._limits.batch_max
            )
        except LogUnavailable:
            return unavailable("the group's log cannot be read")
        except LogBroken:
            raise
        except Exception:
            # LogCorrupt, or bytes that make no sense: they must not end the other streams.
            reference = self._shared.ports.new_reference()
            log.exception("stream_quarantined", stream=tuple(self.stream), reference=reference)
            return self._shared.quarantine.add(self.stream, reference)
        self._ledger = ledger
        self._counted = ledger.state.n
        self._snapshot_seq = self._snapshot_tried_seq = snapshot_seq
        return None

    async def _reload(self) -> Rejected | None:
        """Load again, however long it takes; whoever asks meanwhile is told to come back.

        Gives the refusal of a stream that is in quarantine by now, and None of any other.
        """
        while (refusal := await self._load()) is not None:
            self._refuse_mailbox(refusal)
            if self.stream in self._shared.quarantine:
                return refusal
            await trio.sleep(RETRY_AFTER_MS / 1_000)
        return None

    # --- a batch

    async def _prepare(self) -> None:
        """Fetch what the next batch needs of older messages and other streams, and begin it."""
        await self._attempt(self._take_batch(), attempt=1)

    async def _attempt(self, entries: list[Entry], *, attempt: int) -> None:
        try:
            missing = self._missing(entries)
            if missing != NOTHING:
                ledger = self._ledger
                await self._shared.log.read(lambda store: ledger.fetch(store, missing))
        except LogBroken:
            raise
        except Exception as error:
            self._hear(entries, error)
        else:
            self._begin(entries, attempt=attempt)

    def _missing(self, entries: Sequence[Entry]) -> Needs:
        """Say what has to be fetched before these can be decided."""
        state = self._ledger.state
        needs = [
            need
            for entry in entries
            if (need := entry.request.needs(state, entry.caller)) is not NOTHING
        ]
        return self._ledger.missing(needs) if needs else NOTHING

    def _begin(self, entries: list[Entry], *, attempt: int = 1) -> None:
        """Decide a batch and hand it to the log. What does not fit goes back into the mailbox."""
        self._answered = 0
        try:
            batch = self._decide(entries)
            appends = batch.appends()
        except Exception as error:
            self._hear(entries, error)
            return
        if not appends:
            self._conclude(entries, batch)
            return
        # Before it can be read: a greeting in between must see that nothing is published yet.
        for append in appends[1:]:
            self._shared.outlets.expect(append.stream)

        def done(error: BaseException | None) -> None:
            self._is_appending = False
            if self._has_gone:
                return
            if error is None:
                self._shared.note_deadline(appends[0].deadline_ms)
                self._conclude(entries, batch)
                return
            for append in appends[1:]:
                self._shared.outlets.found(append.stream, None)
            self._hear(entries, error, attempt=attempt)

        self._is_appending = True
        self._shared.log.begin(AppendAll(appends), done)

    def _conclude(self, entries: list[Entry], batch: Batch) -> None:
        """Publish and answer a batch that is durable, and go on."""
        try:
            self._publish(batch)
        except Exception as error:
            self._hear(entries[self._answered :], error)
            return
        if not self._is_resting:
            return  # The task is there, and goes on by itself.
        if self._is_snapshot_due or self._ledger.state.seq == 0:
            self._has_errand = True
        if self._has_errand:
            self._lot.unpark_all()
        elif self._mailbox and not self._is_due:
            self._be_due()

    # --- trouble

    def _hear(self, entries: list[Entry], error: BaseException, *, attempt: int = 1) -> None:
        """Leave to the task what went wrong."""
        self._trouble = Trouble(entries, error, attempt)
        self._has_errand = True
        self._lot.unpark_all()

    async def _recover(self, trouble: Trouble) -> None:
        """Answer each entry once, and come to a state that equals the log again."""
        self._trouble = None
        entries, error = trouble.entries, trouble.error
        if isinstance(error, LogConflict):
            # Somebody else wrote, or claimed a name first: look again, decide again.
            lost = await self._reload()
            if lost is not None:
                refuse_all(entries, lost)
            elif trouble.attempt < self._limits.conflict_retries_max:
                await self._attempt(entries, attempt=trouble.attempt + 1)
            else:
                refuse_all(entries, unavailable("others were faster, several times"))
            return
        if isinstance(error, LogUnavailable):
            refuse_all(entries, unavailable(str(error)))
        elif isinstance(error, LogBroken) or not isinstance(error, Exception):
            raise error
        else:
            # A bug, or a log that cannot be read. What is durable stays so; memory is not trusted.
            reference = self._shared.ports.new_reference()
            log.error(
                "batch_failed", stream=tuple(self.stream), reference=reference, exc_info=error
            )
            refuse_all(entries, bug(reference))
        await self._reload()

    # --- deciding and publishing: nothing of this may await

    def _decide(self, entries: list[Entry]) -> Batch:
        now_ms = max(self._shared.ports.clock.now_ms(), self._ledger.state.time_ms)
        batch = Batch(self._ledger, self._shared, now_ms)
        woken, self._woken = self._woken, False
        decided = batch.decide(entries, woken=woken)
        self._mailbox[:0] = entries[decided:]
        del entries[decided:]
        return batch

    def _publish(self, batch: Batch) -> None:
        """Answer and publish."""
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
                flush(batch.answers)
        finally:
            for append, publication in batch.founded:
                outlets.found(append.stream, publication)
        if batch.records:
            self._counted = self._shared.counts.take(batch.records, self._counted, self._oldest_s)
            outlet.publish(batch.publication())
        flush(batch.answers)
        self._ledger.trim(self._limits.cards_max)
        self._shared.rouse(batch.is_followed)

    # --- snapshots and leaving

    @property
    def _is_snapshot_due(self) -> bool:
        return self._ledger.state.seq - self._snapshot_tried_seq >= self._limits.snapshot_every

    async def _snapshot(self) -> None:
        state = self._ledger.state
        self._snapshot_tried_seq = state.seq
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
        refuse_all(entries, refusal)
