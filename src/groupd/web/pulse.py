"""Asks WebSockets that are silent whether somebody is there, and ends those that do not answer.

A browser cannot ask by itself, a proxy on the way closes what is silent, and a phone that has left
its network says nothing.
"""

from __future__ import annotations

from typing import Final

import trio

from groupd.server.websocket import WebSocketLink

SLICE: Final = 250
"""Links that are asked before others get their turn."""


class Pulse:
    """All WebSockets of a process; ``run`` is its task."""

    def __init__(self, every_ms: int) -> None:
        self._every_ms = every_ms
        self._links: dict[WebSocketLink, None] = {}

    @property
    def links(self) -> int:
        """Count those that are open, about."""
        return len(self._links)

    def add(self, link: WebSocketLink) -> None:
        """Ask this one, too, from now on until it is closed."""
        self._links[link] = None

    async def run(self) -> None:
        """Ask until cancelled."""
        while True:
            await trio.sleep(self._every_ms / 1_000)
            links = tuple(self._links)
            for start in range(0, len(links), SLICE):
                for link in links[start : start + SLICE]:
                    if link.is_over:
                        del self._links[link]
                    else:
                        link.ask()
                await trio.lowlevel.checkpoint()
