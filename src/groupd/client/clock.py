"""The server's clock, as far as a client knows it."""

from __future__ import annotations

import trio

from groupd.engine.ports import Clock


class ServerClock:
    """Goes on from the last time that the server has told.

    It adds what has passed on trio's clock or on the wall's, whichever is more: trio's stands
    still while the machine sleeps. A wall clock that jumps ahead makes ids that the server
    refuses as stale; its refusal tells the time again.
    """

    def __init__(self, wall: Clock) -> None:
        self._wall = wall
        self.set(wall.now_ms())

    def set(self, server_ms: int) -> None:
        """Take the server's time as of now."""
        self._server_ms = server_ms
        self._set_at_s = trio.current_time()
        self._wall_ms = self._wall.now_ms()

    def now_ms(self) -> int:
        """Give the server's time."""
        passed_ms = int((trio.current_time() - self._set_at_s) * 1_000)
        return self._server_ms + max(passed_ms, self._wall.now_ms() - self._wall_ms)
