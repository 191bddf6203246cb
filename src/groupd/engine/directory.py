"""Which streams are awake: stream -> running actor, activated on demand, retired when idle."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import trio

from groupd.domain.base import Identity, LiveQuery, StreamKey
from groupd.domain.stream import Stream
from groupd.engine.actor import Actor
from groupd.engine.mail import Entry, refuse_all
from groupd.engine.shared import Shared
from groupd.engine.waiting import Waiter

SWEEPS_PER_IDLE: Final = 4
"""How often, within the idle time, the directory looks for idle actors."""


class Directory:
    """All running actors, and what they share."""

    def __init__(self, shared: Shared, *, start_soon: Callable[..., None]) -> None:
        self.shared = shared
        self._start_soon = start_soon
        self._actors: dict[StreamKey, Actor] = {}
        self._emptied = trio.Event()
        self._is_emptying = False

    def tell(self, stream: StreamKey, entry: Entry) -> None:
        """Put a request into a stream's mailbox; activates the stream."""
        actor = self._actors.get(stream)
        if actor is None:
            refusal = self.shared.quarantine.refusal(stream)
            if refusal is not None:
                refuse_all([entry], refusal)
                return
            actor = self._activate(stream)
        actor.tell(entry)

    def get(self, stream: tuple[str, str, str]) -> Actor | None:
        """Give the actor of a stream, if it is awake; a plain tuple is as good as its key."""
        return self._actors.get(stream)  # type: ignore[call-overload, no-any-return]

    async def ask(self, stream: StreamKey, caller: Identity, query: LiveQuery) -> dict[str, Any]:
        """Ask a stream's live state; raises Rejected."""
        waiter = Waiter()
        self.tell(stream, Entry(caller, query, "", waiter, 0))
        return dict(await waiter.wait())

    def wake(self, stream: StreamKey) -> None:
        """Let a stream look at its deadlines; activates it, unless it is damaged."""
        actor = self._actors.get(stream)
        if actor is None:
            if stream in self.shared.quarantine:
                return
            actor = self._activate(stream)
        actor.wake()

    def _activate(self, stream: StreamKey) -> Actor:
        actor = self._actors[stream] = Actor(stream, self.shared, dismiss=self._dismiss)
        if self._is_emptying:
            actor.retire(firmly=True)
        self._start_soon(actor.run)
        return actor

    def _dismiss(self, actor: Actor) -> None:
        del self._actors[actor.stream]
        self.shared.outlets.detach(actor.stream)
        if not self._actors:
            self._emptied.set()
            self._emptied = trio.Event()

    @property
    def awake(self) -> int:
        """Count the running actors."""
        return len(self._actors)

    @property
    def mailbox_max(self) -> int:
        """Count the requests that wait for the stream for which most do."""
        return max((actor.waiting for actor in self._actors.values()), default=0)

    def is_awake(self, stream: StreamKey) -> bool:
        """Say whether a stream has an actor now."""
        return stream in self._actors

    def state_of(self, stream: StreamKey) -> Stream | None:
        """Give the state that a stream's actor has in memory, to look at; None without an actor."""
        actor = self._actors.get(stream)
        return None if actor is None else actor.state

    async def sweep(self) -> None:
        """Retire actors that have been idle; runs until cancelled."""
        idle_s = self.shared.rules.limits.actor_idle_ms / 1_000
        while True:
            await trio.sleep(idle_s / SWEEPS_PER_IDLE)
            for actor in list(self._actors.values()):
                actor.quiet_sweeps += 1
                if actor.quiet_sweeps > SWEEPS_PER_IDLE:
                    actor.retire()

    async def retire_all(self) -> None:
        """Retire every actor, also those that come meanwhile, and wait until none is left."""
        self._is_emptying = True
        try:
            for actor in list(self._actors.values()):
                actor.retire(firmly=True)
            while self._actors:
                await self._emptied.wait()
        finally:
            self._is_emptying = False
