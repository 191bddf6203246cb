"""A network without sockets, for whole servers and clients in one process and in virtual time.

Placement rules:
- No socket, no descriptor, no thread. What happens is decided by the randomness that it is given
  and by trio's clock: two runs with one seed are the same.
- What a run may meet stands in ``network_faults.py``; how bytes travel, in ``sim_link.py``; the
  order in which things happen, in ``medium.py``.

One server listens at a time, whatever the URL says. Each dial comes from an address of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from random import Random
from typing import Final
from urllib.parse import urlsplit

import attrs
import trio

from groupd.server.link import Link, LinkBroken
from groupd.testing.simulation.medium import Medium, NetworkCounters, ignore
from groupd.testing.simulation.network_faults import NetworkFaults
from groupd.testing.simulation.sim_link import Path, SimLink

__all__ = ["NetworkCounters", "NetworkFaults", "SimLink", "SimNetwork"]

DIAL_TIMEOUT_S: Final = 127.0
"""After which a dial that nobody answers fails by itself, as it does on Linux."""
DIALS_MAX: Final = 10_000
"""Links that exist at a time, and dials that wait."""


@attrs.define(eq=False)
class _Dial:
    """A client's attempt to connect."""

    url: str
    number: int
    done: trio.Event = attrs.field(factory=trio.Event)
    link: SimLink | None = None
    failure: str = ""
    is_answered: bool = False

    def fail(self, why: str) -> None:
        if self.link is None and not self.done.is_set():
            self.failure = why
            self.done.set()


class SimNetwork:
    """A network between clients and one server at a time. ``run`` must run for it to get on.

    ``trace`` hears of each delivery, cut, dial and crash, in a short text without the time; it must
    not wait or raise. ``counters`` say how much has happened.
    """

    def __init__(self, randomness: Random, faults: NetworkFaults) -> None:
        self._medium = Medium(randomness, faults)
        self._accept: Callable[[Link], None] | None = None
        self._paths: dict[int, Path] = {}
        self._dials: dict[int, _Dial] = {}
        self._unanswered: dict[int, _Dial] = {}

    @property
    def faults(self) -> NetworkFaults:
        """What it does wrong now."""
        return self._medium.faults

    @property
    def counters(self) -> NetworkCounters:
        """What has happened so far."""
        return self._medium.counters

    @property
    def trace(self) -> Callable[[str], None]:
        """Who hears of what happens."""
        return self._medium.trace

    @trace.setter
    def trace(self, listener: Callable[[str], None]) -> None:
        self._medium.trace = listener

    @property
    def links(self) -> int:
        """How many links have an end that is not closed and does not know that it is broken."""
        return len(self._paths)

    @property
    def held_bytes(self) -> int:
        """How many bytes are on their way or unread, on all links."""
        return sum(path.held_bytes for path in self._paths.values())

    async def run(self) -> None:
        """Let bytes arrive and watched links be called until cancelled. One task at a time."""
        await self._medium.run()

    # --- the server's side

    def listen(
        self,
        accept: Callable[[Link], None],
        *,
        begin: Callable[[], None] = ignore,
        settle: Callable[[], None] = ignore,
    ) -> None:
        """Give each new link to ``accept``, which owns it from there on and must not wait.

        ``begin`` and ``settle`` are called before and after the watched links of a round are, as
        ``server.poller.Poller`` does it.
        """
        assert self._accept is None, "a server listens already"
        self._accept = accept
        self._medium.begin, self._medium.settle = begin, settle

    def unlisten(self) -> None:
        """Accept nothing more; links that exist stay. May be repeated."""
        self._accept = None
        self._medium.begin = self._medium.settle = ignore

    def crash_server(self) -> None:
        """Take away the present server: at once, for ever, and in the middle of anything.

        On its ends of all links nothing is received, nothing is taken, and everything raises
        LinkBroken. What it has sent arrives or is lost; clients learn of the crash at drawn times.
        Dials fail until the next ``listen``.
        """
        self.unlisten()
        self.counters.crashes += 1
        self.trace("crash")
        for path in tuple(self._paths.values()):
            path.crash()

    # --- the clients' side

    async def dial(self, url: str) -> Link:
        """Connect; takes a round trip. Whoever gets the link owns it. Cancelled, there is none.

        Raises:
            LinkBroken: nobody listens, the dial was refused, or nobody answered for long.

        """
        medium, faults = self._medium, self.faults
        assert len(self._dials) + len(self._paths) < DIALS_MAX, "more links than it may hold"
        self.counters.dials += 1
        dial = self._dials[self.counters.dials] = _Dial(url, self.counters.dials)
        self.trace(f"{dial.number} dial")
        try:
            if medium.chance(faults.silence_chance):
                self.counters.silences += 1
                self._unanswered[dial.number] = dial
                medium.after(DIAL_TIMEOUT_S, partial(dial.fail, "nobody answers"))
            else:
                is_refused = medium.chance(faults.refuse_chance)
                medium.after(medium.latency_s(), partial(self._answer, dial, is_refused=is_refused))
            await dial.done.wait()
        except trio.Cancelled:
            dial.fail("given up")
            if dial.link is not None:
                dial.link.close()
            raise
        finally:
            del self._dials[dial.number]
            self._unanswered.pop(dial.number, None)
        if dial.link is None:
            raise LinkBroken(f"{url}: {dial.failure}")
        return dial.link

    def _answer(self, dial: _Dial, *, is_refused: bool) -> None:
        """Let a dial reach the server."""
        if dial.done.is_set():
            return  # Whoever dialled has given up.
        medium = self._medium
        if is_refused or self._accept is None:
            self.counters.refusals += 1
            self.trace(f"{dial.number} refused")
            medium.after(medium.latency_s(), partial(dial.fail, "connection refused"))
            return
        number = dial.number
        path = Path(
            medium,
            number,
            client_address=f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}",
            server_address=urlsplit(dial.url).hostname or "server",
            forget=self._forget,
        )
        self._paths[number] = path
        dial.link = path.client
        self.trace(f"{number} accepted")
        self._accept(path.server)
        medium.after(medium.latency_s(), dial.done.set)

    def _forget(self, path: Path) -> None:
        self._paths.pop(path.number, None)

    # --- the end of all faults

    def heal(self) -> None:
        """Do nothing wrong from now on: small latency, full capacity, no cuts.

        Links stay. Those that are cut already are noticed soon; dials that nobody answered are
        answered now; a stall that has begun ends in its time.
        """
        self._medium.faults = NetworkFaults()
        self.trace("heal")
        for path in tuple(self._paths.values()):
            path.heal()
        for dial in self._unanswered.values():
            self._medium.after(
                self._medium.latency_s(), partial(self._answer, dial, is_refused=False)
            )
        self._unanswered.clear()
