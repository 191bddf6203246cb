"""What the metrics listener answers: ``/metrics``, ``/healthz`` and ``/readyz``.

- ``/healthz`` says that this process runs its tasks. Restart it where that does not answer.
- ``/readyz`` says that it can serve: the store answers, and it is not about to stop. Send nobody
  there while it says 503; a restart would help nothing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

import trio

from groupd.errors import LogError
from groupd.server.http import HttpRequest, HttpResponse, plain
from groupd.storage.log import Log

STORE_ANSWERS_WITHIN_S: Final = 1.0
"""How long the store may take; for a probe it is not ready then, a metric of it is left out."""
METRICS_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


async def why_not_ready(log: Log, *, is_stopping: bool) -> str | None:
    """Say why this process cannot serve now, in a few words; None where it can."""
    if is_stopping:
        return "draining"
    with trio.move_on_after(STORE_ANSWERS_WITHIN_S):
        try:
            await log.read(lambda store: store.next_deadline_ms())
        except LogError as error:
            return f"the store refuses: {error}"
        return None
    return f"the store has not answered within {STORE_ANSWERS_WITHIN_S:g} s"


class Probes:
    """The handler of the metrics listener."""

    def __init__(
        self,
        log: Log,
        *,
        is_stopping: Callable[[], bool],
        collect: Callable[[], Awaitable[str]],
    ) -> None:
        self._log = log
        self._is_stopping = is_stopping
        self._collect = collect

    async def handle(self, request: HttpRequest) -> HttpResponse:
        """Answer a request."""
        if request.path not in ("/metrics", "/healthz", "/readyz"):
            return plain(404, "there are /metrics, /healthz and /readyz")
        if request.method not in ("GET", "HEAD"):
            return plain(405, "only GET and HEAD are understood", allow="GET, HEAD")
        if request.path == "/metrics":
            return HttpResponse(200, (await self._collect()).encode(), METRICS_TYPE)
        if request.path == "/healthz":
            return plain(200, "ok")
        reason = await why_not_ready(self._log, is_stopping=self._is_stopping())
        return plain(200, "ready") if reason is None else plain(503, reason)
