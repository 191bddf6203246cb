"""Whose turn it is: actors that have mail, and who lets them serve it.

Theory of operation. An actor that only needs its memory and the log serves a batch in one plain
call (``Actor.turn``), so many small groups cost no task switches. Whoever brings much mail at once
(a round of reads) holds the turns back and takes them itself at the end, so that what has come
together is served together; for all others a task takes them, one step of trio later.
"""

from __future__ import annotations

from typing import Protocol

import trio


class Due(Protocol):
    """An actor, as it is seen here."""

    def turn(self) -> None:
        """Serve what waits, as far as that takes no waiting. Never raises."""


class Turns:
    """The actors that are due. Each adds itself, once, when mail comes."""

    def __init__(self) -> None:
        self._due: list[Due] = []
        self._is_held = False
        self._lot = trio.lowlevel.ParkingLot()

    def add(self, actor: Due) -> None:
        """Give an actor its turn soon."""
        self._due.append(actor)
        if not self._is_held:
            self._lot.unpark()

    def hold(self) -> None:
        """Let nobody have a turn until ``take``, which must follow in the same step of trio."""
        self._is_held = True

    def take(self) -> None:
        """Give a turn to all that are due. Whoever is due again by then has it a step later."""
        self._is_held = False
        due, self._due = self._due, []
        for actor in due:
            actor.turn()
        if self._due:
            self._lot.unpark()

    async def run(self) -> None:
        """Give turns until cancelled."""
        while True:
            if self._due:
                self.take()
                await trio.lowlevel.checkpoint()
            else:
                await self._lot.park()
