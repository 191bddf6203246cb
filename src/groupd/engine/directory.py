"""Which streams are awake: stream -> running actor, activated on demand, retired when idle."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import trio

from groupd.domain.base import Rules, StreamKey
from groupd.domain.links import LinkKeys
from groupd.engine.actor import Actor, Entry
from groupd.engine.outlet import Outlets
from groupd.engine.ports import Ports
from groupd.engine.timers import Timers
from groupd.storage.log import Log

SWEEPS_PER_IDLE: Final = 4
"""How often, within the idle time, the directory looks for idle actors."""


class Directory:
    """All running actors, and what they share."""

    def __init__(
        self,
        *,
        log: Log,
        ports: Ports,
        rules: Rules,
        links: LinkKeys,
        outlets: Outlets,
        timers: Timers,
        start_soon: Callable[..., None],
        rouse_reactors: Callable[[], None],
    ) -> None:
        self.log = log
        self.ports = ports
        self.rules = rules
        self.links = links
        self.outlets = outlets
        self.timers = timers
        self.rouse_reactors = rouse_reactors
        self._start_soon = start_soon
        self._actors: dict[StreamKey, Actor] = {}
        self._emptied = trio.Event()

    def tell(self, stream: StreamKey, entry: Entry) -> None:
        """Put a request into a stream's mailbox; activates the stream."""
        self._actor(stream).tell(entry)

    def wake(self, stream: StreamKey) -> None:
        """Let a stream look at its deadlines; activates it."""
        self._actor(stream).wake()

    def _actor(self, stream: StreamKey) -> Actor:
        actor = self._actors.get(stream)
        if actor is None:
            actor = self._actors[stream] = Actor(stream, self)
            self._start_soon(actor.run)
        return actor

    def dismiss(self, actor: Actor) -> bool:
        """Forget an actor that is about to end. Part of its last synchronous step."""
        del self._actors[actor.stream]
        self.outlets.detach(actor.stream)
        if not self._actors:
            self._emptied.set()
            self._emptied = trio.Event()
        return True

    @property
    def awake(self) -> int:
        """Count the running actors."""
        return len(self._actors)

    def is_awake(self, stream: StreamKey) -> bool:
        """Say whether a stream has an actor now."""
        return stream in self._actors

    async def sweep(self) -> None:
        """Retire actors that have been idle; runs until cancelled."""
        idle_s = self.rules.limits.actor_idle_ms / 1_000
        while True:
            await trio.sleep(idle_s / SWEEPS_PER_IDLE)
            before = trio.current_time() - idle_s
            for actor in list(self._actors.values()):
                if actor.last_active <= before:
                    actor.retire()

    async def retire_all(self) -> None:
        """Retire every actor and wait until all have left, each with its snapshot."""
        while self._actors:
            emptied = self._emptied
            for actor in list(self._actors.values()):
                actor.retire()
            await emptied.wait()
