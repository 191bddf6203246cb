"""A user of the load: one connection, which posts, reads, and comes back when it is lost.

The connection is the SDK's ``Uplink``; what is pushed is looked at here, without the SDK's streams
of events, which would cost more than all the rest.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

import attrs
import trio

from groupd.client import ids
from groupd.client.limits import ClientLimits
from groupd.client.ports import Ports
from groupd.client.tokens import TokenSource
from groupd.client.uplink import Uplink, Welcome
from groupd.config import CONTENT, Limits
from groupd.domain.base import Request
from groupd.domain.group.messages import Post
from groupd.domain.queries import History
from groupd.errors import AuthError, Disconnected, GroupdError, Rejected, RemoteProtocolError
from groupd.loadtest.figures import DISCONNECTED, HELD, Figures, kind_of
from groupd.loadtest.plan import Ticket
from groupd.loadtest.reading import NO_POST, GroupLog, Problems, Reading
from groupd.loadtest.text import Stamp, Texts
from groupd.wire import rpc

CLIENT_NAME: Final = "groupd-bench/0.1.0"
LIMITS: Final = ClientLimits(requests_max=100_000)
"""A client's own bounds, but that it never holds a request back: that would make it wait for
answers. What is under way is bounded for all users together, by ``run.UNDER_WAY_MAX``."""
PAGES_MAX: Final = 10_000
"""Pages that a member fetches without a break before it counts as lost."""
REFUSALS_MAX: Final = 100
"""How often what is asked before and after the posting may be refused as ``rate_limited``."""


@attrs.define(eq=False)
class Shared:
    """What all users of a run have in common."""

    url: str
    ports: Ports
    texts: Texts
    frames: rpc.FrameLimits = attrs.field(factory=lambda: rpc.FrameLimits.for_client(Limits()))
    figures: Figures = attrs.field(factory=Figures)
    problems: Problems = attrs.field(factory=Problems)
    began_s: float = 0.0
    """When the run began, on trio's clock."""
    acknowledged: array[int] = attrs.field(factory=lambda: array("q"))
    """Number of a post -> its seq as its sender was told, 0 before that."""

    def now_us(self) -> int:
        """Give the time since the run began."""
        return int((trio.current_time() - self.began_s) * 1e6)


class Member:
    """One user. ``run`` must be running; it is the ``Listener`` of its own uplink."""

    def __init__(self, ticket: Ticket, shared: Shared) -> None:
        self.ticket = ticket
        self.user = ""
        """Known once it is connected."""
        self.was_in: frozenset[str] = frozenset()
        """The groups that it was in when it came first."""
        self.limits: dict[str, Any] = {}
        """What the server says of its limits."""
        self.readings: dict[str, Reading] = {}
        self._shared = shared
        self._uplink = Uplink(
            shared.url,
            tokens=TokenSource(ticket.token),
            ports=shared.ports,
            limits=LIMITS,
            events=True,
            name=CLIENT_NAME,
            # Until it was connected once: then who is not let in is told at once.
            reconnect=False,
            listener=self,
            frames=shared.frames,
        )
        self._ids = ids.RisingIds()
        self._is_welcomed = False
        self._store = ""
        self._under_way = 0
        self._heads: dict[str, int] = {}
        # Of the groups that it is in and does not follow yet.
        self._listed: set[str] = set()
        self._is_behind = trio.Event()
        self._is_leaving = False

    # --- being there

    async def run(self) -> None:
        """Keep connected, and fetch what was missed, until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._catch_up)
            nursery.start_soon(self._count)
            await self._uplink.run()
            nursery.cancel_scope.cancel()

    async def _count(self) -> None:
        """Keep count of the connections that are open."""
        with suppress(GroupdError):
            while True:
                await self._uplink.until(connected=True)
                self._shared.figures.connected += 1
                try:
                    await self._uplink.until(connected=False)
                finally:
                    self._shared.figures.connected -= 1

    async def until_connected(self) -> None:
        """Wait for the first connection.

        Raises AuthError where the token is refused, Disconnected where there is no connection for
        another reason; both name the token's line.
        """
        where = f"the token of line {self.ticket.line}"
        try:
            await self._uplink.connected()
        except Rejected as refusal:
            if refusal.code == "unauthenticated":
                raise AuthError(f"{where} is refused: {refusal.message}") from refusal
            advice = ""
            if refusal.code == "rate_limited":
                advice = (
                    "; groupd serve --no-rate-limits lifts that, or connections_per_address_max "
                    "and connections_per_user_max under [limits]"
                )
            raise Disconnected(
                f"{where} was not let in: {refusal.code}: {refusal.message}{advice}"
            ) from refusal
        except Disconnected as error:
            raise Disconnected(f"{where}: {error}") from error
        self._uplink.reconnect = True

    def follow(self, log: GroupLog) -> Reading:
        """Read a group from now on, and give how far that has come."""
        group = log.group
        reading = self.readings[group] = Reading(self.user, log)
        if group in self._heads:
            reading.listed(self._heads.pop(group))
        return reading

    def leave(self) -> None:
        """Know that what comes from now on is no problem: the run is over."""
        self._is_leaving = True

    # --- what it asks

    async def ask(self, request: Request, group: str | None = None) -> dict[str, Any]:
        """Have a request served that is not measured, however long that takes.

        ``rate_limited`` and lost connections are tried again. Raises Rejected, Disconnected.
        """
        params = request.params() | ({} if group is None else {"group": group})
        if request.takes_id:
            params["id"] = self._new_id()
        refusals = losses = 0
        while True:
            connection = await self._uplink.connected()
            try:
                return await connection.request(request.method, params)
            except Disconnected:
                losses += 1
                if losses >= LIMITS.sends_max:
                    raise
            except Rejected as refusal:
                refusals += 1
                if refusal.code != "rate_limited" or refusals >= REFUSALS_MAX:
                    raise
                await trio.sleep(self._uplink.retry_after_ms(refusal.details) / 1_000)

    async def post(self, log: GroupLog, number: int, due_us: int) -> None:
        """Post what is due, and count what comes of it."""
        shared, figures = self._shared, self._shared.figures
        is_alone = not self._under_way
        self._under_way += 1
        try:
            stamp, result = await self._post(log.group, number, due_us, is_alone=is_alone)
            kind = "" if result.get("status") == "posted" else HELD
            seq = 0 if kind else _seq_of(result)
        except Rejected as refusal:
            kind = kind_of(refusal)
        except GroupdError:
            kind = DISCONNECTED
        finally:
            self._under_way -= 1
        if self._is_leaving:
            # Too late for the report.
            return
        if kind:
            figures.refuse(kind)
            return
        figures.counts.acknowledged += 1
        figures.acknowledgement.record(
            shared.now_us(), due_us=due_us, sent_us=stamp.sent_us, is_alone=is_alone
        )
        shared.acknowledged[number] = seq
        log.last_acknowledged = max(log.last_acknowledged, seq)

    async def _post(
        self, group: str, number: int, due_us: int, *, is_alone: bool
    ) -> tuple[Stamp, dict[str, Any]]:
        shared = self._shared
        connection = await self._uplink.connected()
        stamp = Stamp(number, due_us, shared.now_us(), is_alone)
        # Written once: a retry is the same request, with the same id.
        params = {"group": group, "text": shared.texts.write(stamp), "id": self._new_id()}
        shared.figures.counts.sent += 1
        for losses_left in reversed(range(LIMITS.sends_max)):
            try:
                return stamp, await connection.request(Post.method, params)
            except Disconnected:
                if not losses_left:
                    raise
            connection = await self._uplink.connected()
        raise AssertionError("the last loss is raised")

    def _new_id(self) -> str:
        draw = self._shared.ports.randomness.token_bytes(ids.DRAW_BYTES)
        return self._ids.make(self._uplink.clock.now_ms(), draw)

    # --- what the uplink tells

    def welcomed(self, welcome: Welcome) -> None:
        """Take the answer to the hello of a new connection."""
        figures = self._shared.figures
        if not self._is_welcomed:
            self._is_welcomed = True
            self.user, self.limits, self._store = welcome.user, welcome.limits, welcome.store
        else:
            figures.counts.reconnects += 1
            if welcome.store != self._store:
                self._shared.problems.add(f"{self.user}: the server has another store than before")
                self._store = welcome.store
        self._listed.clear()
        for reading in self.readings.values():
            reading.reconnected()

    def listed(self, groups: Sequence[dict[str, Any]]) -> None:
        """Take a page of the groups that the user is in."""
        for entry in groups:
            group, head = str(entry.get("group")), int(entry.get("head", 0))
            self._listed.add(group)
            reading = self.readings.get(group)
            if reading is not None:
                reading.listed(head)
                self._look(reading)
            else:
                self._heads[group] = head

    def listed_all(self) -> None:
        """Know that there are no more pages."""
        if not self.readings:
            self.was_in = frozenset(self._listed)
        for group, reading in self.readings.items():
            is_gone = group not in self._listed and not reading.pushed
            if is_gone and reading.taken and not self._is_leaving:
                reading.wrong("is not in the group any more")

    def notified(self, method: str, params: dict[str, Any]) -> None:
        """Take a push."""
        group = params.get("group", "")
        reading = self.readings.get(group)
        if method == "event":
            seq = _seq_of(params)
            if reading is None:
                self._heads[group] = seq
            elif reading.push(seq):
                self._take(reading, params)
            else:
                self._look(reading)
        elif method == "lagged" and reading is not None:
            self._shared.figures.counts.lagged += 1
            reading.lagged(int(params.get("head", 0)))
            self._look(reading)

    def ended(self, error: GroupdError | None) -> None:
        """Know that there will be no more connections."""
        if error is not None and self.readings and not self._is_leaving:
            self._shared.problems.add(f"{self.user} has lost its connection for good: {error}")

    # --- reading

    def _take(self, reading: Reading, event: dict[str, Any], *, is_fetched: bool = False) -> None:
        if self._is_leaving:
            return
        shared, number = self._shared, NO_POST
        stamp = shared.texts.read(event.get("text")) if event.get("kind") == "posted" else None
        if stamp is not None:
            number, counts = stamp.number, shared.figures.counts
            counts.delivered += 1
            counts.fetched += is_fetched
            shared.figures.delivery.record(
                shared.now_us(),
                due_us=stamp.due_us,
                sent_us=stamp.sent_us,
                is_alone=stamp.is_alone,
            )
        reading.log.take(self.user, reading.taken, number)

    def _look(self, reading: Reading) -> None:
        if reading.is_behind:
            self._is_behind.set()

    async def _catch_up(self) -> None:
        """Fetch whatever is behind, whenever something is."""
        while True:
            await self._is_behind.wait()
            self._is_behind = trio.Event()
            for reading in list(self.readings.values()):
                try:
                    await self._fetch(reading)
                except GroupdError as error:
                    if not self._is_leaving:
                        reading.wrong(f"could not fetch what it had missed: {error}")

    async def _fetch(self, reading: Reading) -> None:
        for _ in range(PAGES_MAX):
            if not reading.is_behind:
                return
            query = History(after=reading.taken, limit=CONTENT.history_page_max)
            page = await self.ask(query, reading.log.group)
            events = page.get("events", ())
            for event in events:
                if reading.fetched(_seq_of(event)):
                    self._take(reading, event, is_fetched=True)
            if not events:
                break
        reading.wrong(f"was given nothing after {reading.taken}, and the head is {reading.head}")


def _seq_of(fields: dict[str, Any]) -> int:
    seq = fields.get("seq")
    if type(seq) is not int or seq < 1:
        raise RemoteProtocolError("bad_request", f"expected a seq, got {seq!r}")
    return seq
