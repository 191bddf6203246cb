"""The library's front door: groups, actors and logs in one process, with no socket at all.

    async with open_hub(log=..., ports=...) as hub:
        alice = hub.act_as("alice")
        group = (await alice.create(name="Tea"))["group"]
        async with alice.events() as events:
            await alice.post(group, text="hello")
            async for event in events: ...

``groupd.open_hub`` (in ``app.py``) is the same with the real clock, randomness and store.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from copy import copy
from typing import Any, Final

import attrs
import structlog
import trio

from groupd.config import Config
from groupd.domain.account.profile import Introduce, profile_of
from groupd.domain.account.revocation import Revoke
from groupd.domain.base import (
    GROUP,
    SERVER,
    Command,
    Identity,
    LiveQuery,
    Query,
    Request,
    Rules,
    StreamKey,
)
from groupd.domain.catalog import REQUESTS
from groupd.domain.fields import request_id_ms
from groupd.domain.links import LinkKeys
from groupd.domain.projection import Profile
from groupd.domain.queries import Ping
from groupd.domain.stream import Stream
from groupd.domain.word_list import WordList
from groupd.engine.asking import Asking
from groupd.engine.audit import keep_audit
from groupd.engine.calls import Calls
from groupd.engine.counts import Counts
from groupd.engine.directory import Directory
from groupd.engine.events import Events
from groupd.engine.feed import Feed, Reading
from groupd.engine.greeting import Greeting, greet, relist
from groupd.engine.mail import Behalf, Entry, Replies, unavailable
from groupd.engine.nursery import open_hidden_nursery
from groupd.engine.outlet import Outlets
from groupd.engine.peer import Backlogs, Peer
from groupd.engine.ports import Ports
from groupd.engine.quarantine import Quarantine
from groupd.engine.reactors import AccountReactor
from groupd.engine.reads import READS, Result
from groupd.engine.roster import Roster
from groupd.engine.shared import Shared
from groupd.engine.timers import Timers
from groupd.engine.turns import Turns
from groupd.engine.waiting import Waiter
from groupd.errors import LogCorrupt, LogUnavailable, Rejected
from groupd.storage.log import Log
from groupd.wire.codec import Encoded
from groupd.wire.rpc import FrameLimits

logger = structlog.get_logger()

TO_GROUPS: Final = frozenset(
    request
    for request in REQUESTS.values()
    if request.address is Request.address
    and request.addressed == GROUP
    and not request.through_account
)
"""Requests that go to the stream of the group that they name, and nowhere else on their way."""


class Hub:
    """All of the engine. Made by ``open_hub``; it runs as long as that context is open."""

    def __init__(
        self, *, log: Log, ports: Ports, rules: Rules, links: LinkKeys, nursery: trio.Nursery
    ) -> None:
        self.log = log
        self.ports = ports
        self.rules = rules
        self.behalf: Behalf | None = None
        """With whose key all is done that is done here; see ``on_behalf``."""
        self.turns = Turns()
        """For whoever brings many requests at once: see there."""
        self.counts = Counts()
        self.outlets = Outlets(
            roster=Roster(),
            limits=rules.limits,
            start_soon=nursery.start_soon,
            counts=self.counts,
            others_wait=lambda: log.is_busy,
        )
        self.backlogs = Backlogs(rules.limits.backlogs_max_bytes)
        """What waits for sessions: each of them is to be made with it."""
        self.frame_limits = FrameLimits.for_client(rules.limits)
        self.quarantine = Quarantine()
        self._timers = Timers(
            log=log, clock=ports.clock, limits=rules.limits, quarantine=self.quarantine
        )
        self._reactor = AccountReactor(log=log, limits=rules.limits, quarantine=self.quarantine)
        self.feed = Feed(log=log, limits=rules.limits)
        """All that happens, for consumers outside."""
        self._shared = Shared(
            log=log,
            ports=ports,
            rules=rules,
            links=links,
            outlets=self.outlets,
            turns=self.turns,
            note_deadline=self._timers.note,
            rouse=self._rouse,
            tell=self._tell,
            feed=self.feed,
            counts=self.counts,
            quarantine=self.quarantine,
        )
        self._directory = Directory(self._shared, start_soon=nursery.start_soon)
        self.asking = Asking(self._directory, start_soon=nursery.start_soon)
        self._followers = trio.CancelScope()

    def decide_by(self, rules: Rules) -> None:
        """Decide by other rules from the next request on. Their limits stay those of the start."""
        # Much is as large as the limits say, so they are no matter of decisions alone.
        self.rules = self._shared.rules = attrs.evolve(rules, limits=self.rules.limits)

    def on_behalf(self, behalf: Behalf) -> Hub:
        """Give this same hub, for who has a key: what is changed by way of it is in the audit."""
        hub = copy(self)
        hub.behalf = behalf
        return hub

    # --- requests

    def submit(
        self,
        caller: Identity,
        request: Command | LiveQuery,
        *,
        group: str | None,
        request_id: str,
        replies: Replies,
        tag: int,
    ) -> None:
        """Put a request into the mailbox of the stream that it is for; the actor answers it.

        Raises Rejected where the request has no address.
        """
        entry = Entry(caller, request, request_id, replies, tag, behalf=self.behalf)
        if type(request) in TO_GROUPS and type(group) is str:
            # Most requests are to a group that is awake: then its key needs no check.
            actor = self._directory.get((GROUP, caller.tenant, group))
            if actor is not None:
                actor.tell(entry)
                return
        stream = request.address(group, caller)
        if request.through_account and stream.kind == GROUP:
            entry.onward, stream = stream, request.counted(caller)
            if self.asking.takes(entry, stream):
                return
        self._directory.tell(stream, entry)

    async def ask(
        self,
        caller: Identity,
        request: Command | LiveQuery,
        *,
        group: str | None,
        request_id: str = "",
    ) -> Mapping[str, Any]:
        """Submit a request and wait for its answer; raises Rejected.

        Cancelled, a command may still take effect.
        """
        waiter = Waiter()
        self.submit(caller, request, group=group, request_id=request_id, replies=waiter, tag=0)
        return await waiter.wait()

    def _rouse(self, is_followed: bool) -> None:
        self.feed.rouse()
        if is_followed:
            self._reactor.rouse()

    def _tell(self, stream: StreamKey, entry: Entry) -> None:
        self._directory.tell(stream, entry)

    async def read(
        self, caller: Identity, query: Query, *, group: str | None, peer: Peer | None = None
    ) -> Result:
        """Serve a query; raises Rejected. ``peer`` is the session that asks, if it is one."""
        reader = READS.get(type(query))
        if reader is None:
            raise Rejected("unknown_method", f"{query.method} is not served here")
        stream = query.address(group, caller)
        refusal = self.quarantine.refusal(stream)
        if refusal is not None:
            raise refusal
        try:
            return await reader(self._directory, caller, stream, query, peer)
        except LogUnavailable as error:
            raise unavailable(str(error)) from error

    # --- sessions

    async def greet(self, peer: Peer, caller: Identity) -> Greeting:
        """Subscribe a session to all that its user reads; see ``greeting.py``."""
        await self.introduce(caller)
        return await greet(self._shared, peer, caller)

    async def relist(self, peer: Peer, caller: Identity) -> Greeting:
        """Give the groups again, to a session that is subscribed already or wants no events."""
        await self.introduce(caller)
        return await relist(self._shared, peer, caller)

    async def introduce(self, caller: Identity) -> None:
        """Let the caller's account learn who they are, where their token says something new.

        What a token leaves out stays as it was. A failure is logged, and not the caller's concern.
        """
        if caller.account in self.quarantine:
            return
        try:
            known = await self.log.read(lambda store: store.profile(caller.tenant, caller.user))
            profile = profile_of(caller, known or Profile())
            # Who has the default plan and says nothing else of themselves needs no account.
            if profile == (known or Profile(plan=self.rules.default_plan)):
                return
            waiter = Waiter()
            entry = Entry(caller, Introduce(profile), "", waiter, 0, behalf=self.behalf)
            self._directory.tell(caller.account, entry)
            await waiter.wait()
        except (LogUnavailable, LogCorrupt, Rejected) as error:
            logger.warning("introduction_failed", user=caller.user, error=str(error))

    def part(self, peer: Peer, caller: Identity) -> None:
        """End a session's subscriptions. Doing it twice is not an error."""
        self.outlets.roster.remove((caller.tenant, caller.user), peer)
        for stream in tuple(peer.streams):
            outlet = self.outlets.get(stream)
            if outlet is not None:
                outlet.unsubscribe(peer)
                self.outlets.tidy(outlet)

    # --- tokens

    def revoke(self, account: StreamKey, before_ms: int | None, replies: Replies) -> None:
        """Revoke a user's tokens from before a time, by default now; the account answers.

        With ``{before_ms}``, the time that holds, once that is durable.
        """
        caller = Identity(user=SERVER, tenant=account.tenant)
        entry = Entry(caller, Revoke(before_ms), "", replies, 0, behalf=self.behalf)
        self._directory.tell(account, entry)

    async def revoked_before_ms(self, caller: Identity) -> int:
        """Give before which time a user's tokens are revoked; 0 for none. Wakes no account.

        Raises LogUnavailable where the store cannot say.
        """
        return await self.log.read(
            lambda store: store.revoked_before_ms(caller.tenant, caller.user)
        )

    # --- library callers

    def act_as(
        self, user: str, *, plan: str | None = None, tenant: str = "", name: str = "", **claims: Any
    ) -> Caller:
        """Give the calls of a user. There is no token: the embedding program vouches for them.

        ``claims`` are the other fields of ``Identity``.
        """
        # Compiled code takes plain strings alone, and an id may be one of an enum's.
        plain = str.__str__(user)
        identity = Identity(
            user=plain, tenant=tenant, name=name, plan=plan or self.rules.default_plan, **claims
        )
        return Caller(self, identity)

    def changes(self, consumer: str, *, tenant: str = "") -> Reading:
        """Iterate all that happens in a tenant, in the store's order, from where it was left.

        ``consumer`` names a durable position; a new one begins with the oldest record. A page is
        acknowledged when the next one is asked for, so what was under way at a crash comes again:
        at least once, to be told apart by ``stream`` and ``seq``. Iterating raises Rejected and
        LogUnavailable, and may be gone on with.
        """
        return Reading(self.feed, tenant, consumer)

    # --- life

    @property
    def awake(self) -> int:
        """Count the streams that have an actor now."""
        return self._directory.awake

    @property
    def mailbox_max(self) -> int:
        """Count the requests that wait for the stream for which most do."""
        return self._directory.mailbox_max

    @property
    def reactor_position(self) -> int:
        """Give up to which place in the global order accounts have heard."""
        return self._reactor.position

    def is_awake(self, stream: StreamKey) -> bool:
        """Say whether a stream has an actor now."""
        return self._directory.is_awake(stream)

    def state_of(self, stream: StreamKey) -> Stream | None:
        """Give the state that a stream has in memory now, to look at; None where it has none."""
        return self._directory.state_of(stream)

    async def passivate(self) -> None:
        """Let every actor leave memory, each with a snapshot. New requests activate them again."""
        await self._directory.retire_all()

    async def run(self) -> None:
        """Run what is always running: timers, reactors, the sweep of idle actors."""
        with self._followers:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._timers.run, self._directory.wake)
                nursery.start_soon(self._reactor.run, self._directory.tell)
                nursery.start_soon(self._directory.sweep)
                nursery.start_soon(self.log.watch)
                nursery.start_soon(keep_audit, self.log, self.ports.clock, self.rules.limits)

    async def close(self) -> None:
        """Stop what runs on its own, and let every actor leave with a snapshot."""
        self._followers.cancel()
        await self.asking.settle(self.rules.limits.drain_deadline_ms / 1_000)
        await self._directory.retire_all()
        self.outlets.let_go()
        with suppress(LogUnavailable):
            await self._reactor.save()


@asynccontextmanager
async def open_hub(
    *,
    log: Log,
    ports: Ports,
    links: LinkKeys,
    config: Config | None = None,
    words: WordList | None = None,
) -> AsyncIterator[Hub]:
    """Run a hub on an open log. ``words`` are what stands in the word lists of ``config``.

    The log stays the caller's to close. At the end of the block every actor leaves with a
    snapshot; cancelled, it ends at once and loses nothing that was answered.

    Raises LogBroken when the store fails with an unknown outcome.
    """
    rules = rules_of(config or Config(), words)
    async with open_hidden_nursery() as nursery:
        hub = Hub(log=log, ports=ports, rules=rules, links=links, nursery=nursery)
        nursery.start_soon(hub.turns.run)
        nursery.start_soon(hub.run)
        yield hub
        await hub.close()
        nursery.cancel_scope.cancel()


def rules_of(config: Config, words: WordList | None = None) -> Rules:
    """Take from a configuration, and from its word lists, what the rules may read."""
    return Rules(
        limits=config.limits,
        plans=config.plans,
        default_plan=config.default_plan,
        categories=config.categories,
        link_url=config.link_url,
        owner_leaves=config.owner_leaves,
        words=words,
    )


class Caller(Calls):
    """One user's calls on a hub in the same process. Made by ``Hub.act_as``."""

    def __init__(self, hub: Hub, identity: Identity) -> None:
        self.identity = identity
        self._hub = hub
        self._is_introduced = False

    async def call(
        self, request: Request, *, group: str | None = None, id: str | None = None
    ) -> dict[str, Any]:
        """Make a request; raises Rejected. Cancelled, a command may still take effect."""
        if isinstance(request, Ping):
            return {"time_ms": self._hub.ports.clock.now_ms()}
        if not self._is_introduced:
            await self._hub.introduce(self.identity)
            self._is_introduced = True
        if isinstance(request, Command) or type(request) not in READS:
            assert isinstance(request, Command | LiveQuery)
            if id is not None:
                request_id_ms(id)
            return dict(
                await self._hub.ask(self.identity, request, group=group, request_id=id or "")
            )
        assert isinstance(request, Query)
        result = await self._hub.read(self.identity, request, group=group)
        return result.decode() if isinstance(result, Encoded) else dict(result)

    @asynccontextmanager
    async def events(self) -> AsyncIterator[Events]:
        """Subscribe to all groups of this user, from now on.

        Gives an async iterator of notifications: ``Notification("event", {...})`` and so on, as
        a client would get them. A reader that is too slow gets ``lagged`` and reads ``history``.
        """
        events = Events(self._hub)
        try:
            events.peer.hold()
            events.greeting = await self._hub.greet(events.peer, self.identity)
            events.peer.release(b"")
            yield events
        finally:
            self._hub.part(events.peer, self.identity)
            events.peer.close()
