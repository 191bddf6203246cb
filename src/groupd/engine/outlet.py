"""What a stream has published, and to whom.

Placement rules:
- An outlet outlives its actor: it is there as long as somebody reads or the actor runs.
- A send is one synchronous step (or, for very many subscribers, one detached round): the
  frames are joined once and the same bytes go to everybody. Nothing here awaits a
  reader, and nothing is done per delivery but one ``Peer.push``.
- A busy stream keeps small batches of messages for its next send (``gathering.py``); they are
  answered before. Whoever comes, goes, reads or types has them sent before that (``let_go``).
- A batch that changes who reads what gives those users a cut of their own: a leaver's ends with
  the event that takes them out, a joiner's begins with the one that lets them in. So no backlog
  ever holds anything that its session may not read.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Final

import structlog
import trio

from groupd.config import Limits
from groupd.domain.base import Audience, StreamKey
from groupd.engine.counts import Counts
from groupd.engine.gathering import Gathering
from groupd.engine.peer import Peer, push_all
from groupd.engine.publication import Publication
from groupd.engine.roster import Roster

log = structlog.get_logger()

RETRY_S: Final = 1.0
"""When something is sent again that could not be, by a bug. Who has it gets it twice."""
GIVE_WAY_S: Final = 0.001
"""How long a round rests where others need the processor: about what a commit takes. As long as
this thread worked on, one waited 5 ms for Python's lock or a core, with all who wait for it."""


class Outlet:
    """One stream's publishing side. ``published_seq`` is what every subscriber has been sent."""

    def __init__(
        self,
        stream: StreamKey,
        published_seq: int,
        *,
        roster: Roster,
        limits: Limits,
        start_soon: Callable[..., None],
        tidy: Callable[[Outlet], None] = lambda outlet: None,
        counts: Counts | None = None,
        others_wait: Callable[[], bool] = lambda: False,
    ) -> None:
        """``others_wait`` says whether somebody waits for the processor that rounds use."""
        self.stream = stream
        self.published_seq = published_seq
        self.has_actor = False
        self.is_expected = False
        """True while the first batch of the stream is being appended."""
        self._opened_seq = published_seq
        self._roster = roster
        self._limits = limits
        self._start_soon = start_soon
        self._tidy = tidy
        self._counts = Counts() if counts is None else counts
        self._others_wait = others_wait
        self._views: dict[Peer, Audience] = {}
        self._gathering = Gathering(limits)
        self._has_timer = False
        self._waiting: Publication | None = None
        self._round: Publication | None = None
        self._is_running = False
        # Those who have subscribed in the middle of a round.
        self._late: dict[Peer, None] = {}

    @property
    def idle(self) -> bool:
        """Say whether nobody needs this outlet any more."""
        is_busy = self._gathering.kept or self._waiting or self._round
        return not (self._views or self.has_actor or self.is_expected or is_busy)

    @property
    def has_published(self) -> bool:
        """Say whether more is published by now than when this outlet was opened."""
        return self.published_seq > self._opened_seq

    @property
    def subscribers(self) -> int:
        """Count the subscribers."""
        return len(self._views)

    @property
    def detached(self) -> bool:
        """Say whether publishing does not hold up the actor."""
        return (
            self._waiting is not None
            or self._round is not None
            or len(self._views) > self._limits.detach_above
        )

    @property
    def reached_seq(self) -> int:
        """Give the head for ``lagged``: what a session has missed may be under way already."""
        return self.published_seq if self._round is None else self._round.last_seq

    @property
    def accepted_seq(self) -> int:
        """Give how far it was given to publish: what waits for a round is under way, too."""
        last = self._gathering.kept or self._waiting
        return self.reached_seq if last is None else last.last_seq

    def subscribe(self, peer: Peer, view: Audience) -> int:
        """Let a session read from now on; gives the seq after which its pushes begin."""
        self.let_go()
        if self._round is not None and peer not in self._views:
            self._late[peer] = None
        self._views[peer] = view
        peer.streams.add(self.stream)
        return self.published_seq

    def unsubscribe(self, peer: Peer) -> None:
        """Send a session nothing more. Not being subscribed is not an error."""
        self.let_go()
        self._views.pop(peer, None)
        peer.streams.discard(self.stream)
        peer.forget(self.stream)

    def is_subscribed(self, peer: Peer) -> bool:
        """Say whether a session reads."""
        return peer in self._views

    def publish(self, publication: Publication) -> None:
        """Send a batch to everybody: now, with the next, or in a round of its own.

        With the next where many read and much is said; in rounds where very many do.
        """
        if self.detached:
            self._publish_in_rounds(publication)
        elif len(self._views) < self._limits.gather_above:
            self._deliver(publication, self._views)
            self._conclude(publication, ())
        elif (due := self._gathering.add(publication, trio.current_time())) is not None:
            self._send(due)
        elif not self._has_timer:
            self._has_timer = True
            self._start_soon(self._let_go_in_time)

    # --- sending

    def let_go(self) -> None:
        """Send now what is kept for the next send, if anything is.

        Whoever comes along calls this, and is not to suffer from a bug in it: then it is kept.
        """
        publication = self._gathering.take()
        if publication is None:
            return
        try:
            self._send(publication)
        except Exception:
            log.exception("send_failed", stream=tuple(self.stream))
            self._gathering.put_back(publication, until_s=trio.current_time() + RETRY_S)

    async def _let_go_in_time(self) -> None:
        """Let go at the end of each rest, for as long as something is kept by then."""
        while True:
            until_s = self._gathering.rests_until_s
            await trio.sleep_until(until_s)
            # Where something was sent in the meantime, another rest has begun.
            if self._gathering.rests_until_s <= until_s:
                if self._gathering.kept is None:
                    break
                self.let_go()
        self._has_timer = False
        self._tidy(self)

    def _send(self, publication: Publication) -> None:
        began_s = trio.current_time()
        self._deliver(publication, self._views)
        self._conclude(publication, ())
        ended_s = trio.current_time()
        self._gathering.sent(len(self._views), began_s=began_s, ended_s=ended_s)

    def signal(self, frame: bytes, *, except_: Collection[Peer]) -> None:
        """Show something of the moment to the subscribers that are up to date.

        One that has anything waiting is passed over: it is no longer of the moment by the time
        that it would leave, and must not push events out of a full backlog.
        """
        self.let_go()
        for peer in self._views:
            if not peer.waiting_bytes and not peer.lags(self.stream) and peer not in except_:
                peer.push(self.stream, frame)

    def _deliver(self, publication: Publication, peers: dict[Peer, Audience]) -> None:
        stream, counts, readers = self.stream, self._counts, len(peers)
        counts.deliveries += readers * len(publication.frames)
        if publication.is_same_for_all:
            chunk = b"".join(publication.frames)
            counts.delivered_bytes += readers * len(chunk)
            push_all(peers, stream, chunk)
            return
        counts.delivered_bytes += readers * sum(map(len, publication.frames))
        moved = set(self._moved(publication))
        chunks = [publication.chunk(view) for view in Audience]
        for peer, view in peers.items():
            if peer not in moved:
                peer.push(stream, chunks[view])

    def _conclude(self, publication: Publication, late: Iterable[Peer]) -> None:
        """Serve those whose view has changed, and make the publication history."""
        moved = set()
        for user, last in {move.user: move.view for move in publication.moves}.items():
            for peer in tuple(self._roster.peers((self.stream.tenant, user))):
                moved.add(peer)
                chunk, view = publication.cut(user, self._views.get(peer))
                if chunk:
                    peer.push(self.stream, chunk)
                if view is None:
                    lags = peer.lags(self.stream)
                    self.unsubscribe(peer)
                    if lags:
                        peer.forget_with(self.stream, publication.farewell(self.stream, user))
                else:
                    self._views[peer] = view
                    peer.streams.add(self.stream)
                self._roster.note(peer, self.stream, last)
        for peer in late:
            if peer not in moved and peer in self._views:
                peer.push(self.stream, publication.chunk(self._views[peer]))
        self.published_seq = publication.last_seq

    def _moved(self, publication: Publication) -> Iterator[Peer]:
        for move in publication.moves:
            yield from self._roster.peers((self.stream.tenant, move.user))

    def _publish_in_rounds(self, publication: Publication) -> None:
        if self._waiting is not None:
            self._waiting.merge(publication)
            return
        self._waiting = publication
        if not self._is_running:
            self._is_running = True
            self._start_soon(self._run_rounds)

    async def _run_rounds(self) -> None:
        """Publish what has come, slice by slice, until nothing waits.

        The pause after a round is a multiple of its length, so a busy circle batches itself and
        takes no more than its share of the process. A round that fails by a bug is run again later,
        with what has come since: it must not end the other streams.
        """
        while self._waiting is not None:
            self._round, self._waiting = self._waiting, None
            try:
                worked_s = await self._run_round(self._round)
            except Exception:
                log.exception("send_failed", stream=tuple(self.stream))
                failed, self._round = self._round, None
                if self._waiting is not None:
                    failed.merge(self._waiting)
                self._waiting = failed
                await trio.sleep(RETRY_S)
                continue
            self._round = None
            self._tidy(self)
            await trio.sleep(worked_s * self._limits.detached_rest_factor)
        self._is_running = False

    async def _run_round(self, publication: Publication) -> float:
        """Deliver to all, slice by slice; gives how many seconds that took, without giving way.

        A session that subscribes meanwhile is served at the end: ``published_seq`` rises only then.
        """
        began_s, gave_way_s = trio.current_time(), 0.0
        # Without their views: a pair for each would be work for the collector of cycles.
        peers = list(self._views)
        for start in range(0, len(peers), self._limits.detached_slice):
            if start:
                await trio.lowlevel.checkpoint()
                worked_s = trio.current_time() - began_s - gave_way_s
                # So a log that is always busy makes a round twice as long, and no more.
                if gave_way_s <= worked_s and self._others_wait():
                    await trio.sleep(GIVE_WAY_S)
                    gave_way_s = trio.current_time() - began_s - worked_s
            part = peers[start : start + self._limits.detached_slice]
            # Who has gone and come back in the meantime is late.
            views, late = self._views, self._late
            still = {p: views[p] for p in part if p in views and p not in late}
            self._deliver(publication, still)
        came, self._late = self._late, {}
        self._conclude(publication, came)
        return max(0.0, trio.current_time() - began_s - gave_way_s)


class Outlets:
    """All outlets of a process. ``dropped`` counts those let go, so that a greeting can tell."""

    def __init__(
        self,
        *,
        roster: Roster,
        limits: Limits,
        start_soon: Callable[..., None],
        counts: Counts | None = None,
        others_wait: Callable[[], bool] = lambda: False,
    ) -> None:
        """``others_wait`` says whether somebody waits for the processor that rounds use."""
        self.roster = roster
        self._counts = counts
        self._others_wait = others_wait
        self.dropped = 0
        self._limits = limits
        self._start_soon = start_soon
        self._outlets: dict[StreamKey, Outlet] = {}

    def get(self, stream: StreamKey) -> Outlet | None:
        """Give a stream's outlet, if it has one now."""
        return self._outlets.get(stream)

    def open(self, stream: StreamKey, head: int) -> Outlet:
        """Give a stream's outlet; a new one has published all up to ``head``."""
        outlet = self._outlets.get(stream)
        if outlet is None:
            outlet = self._outlets[stream] = Outlet(
                stream,
                head,
                roster=self.roster,
                limits=self._limits,
                start_soon=self._start_soon,
                tidy=self.tidy,
                counts=self._counts,
                others_wait=self._others_wait,
            )
        return outlet

    def attach(self, stream: StreamKey, head: int) -> Outlet:
        """Give the outlet of a stream whose actor has come."""
        outlet = self.open(stream, head)
        outlet.has_actor = True
        return outlet

    def detach(self, stream: StreamKey) -> None:
        """Note that a stream's actor has gone."""
        outlet = self._outlets.get(stream)
        if outlet is not None:
            outlet.has_actor = False
            self.tidy(outlet)

    def expect(self, stream: StreamKey) -> None:
        """Note that a stream is about to be founded; ``found`` follows in any case."""
        self.open(stream, 0).is_expected = True

    def found(self, stream: StreamKey, publication: Publication | None) -> None:
        """Publish the first batch of a new stream; None where it came to nothing."""
        outlet = self.open(stream, 0)
        outlet.is_expected = False
        # An actor that has come in the meantime has published it already.
        if publication is not None and not outlet.accepted_seq:
            outlet.publish(publication)
        self.tidy(outlet)

    def tidy(self, outlet: Outlet) -> None:
        """Let an outlet go if nobody needs it."""
        if outlet.idle and self._outlets.get(outlet.stream) is outlet:
            del self._outlets[outlet.stream]
            self.dropped += outlet.has_published

    def settled_seq(self, stream: StreamKey) -> int | None:
        """Give how far a stream is published, or None where nobody reads or writes it.

        What is kept is sent by this, so a read has all that was answered a moment ago.
        """
        outlet = self._outlets.get(stream)
        if outlet is None:
            return None
        outlet.let_go()
        return outlet.published_seq

    def published(self, stream: StreamKey, head: int) -> int:
        """Give how far a stream is published: all of it where it has no outlet."""
        published = self.settled_seq(stream)
        return head if published is None else published

    def let_go(self) -> None:
        """Send now whatever is kept for a next send."""
        for outlet in tuple(self._outlets.values()):
            outlet.let_go()

    def reached(self, stream: StreamKey) -> int:
        """Give how far a stream is published, for ``lagged``; 0 where nobody reads it."""
        outlet = self._outlets.get(stream)
        return 0 if outlet is None else outlet.reached_seq
