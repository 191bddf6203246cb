"""Webhooks: consumers of the feed that tell endpoints over HTTP, signed and in order.

The headers and the signature are those of the Standard Webhooks specification. One message is
under way at a time, so an endpoint sees events in their order; one that does not answer is tried
again, with pauses that grow, for as long as it takes, and holds up nobody else. What was told and
not yet acknowledged in the feed is told again after a crash, with the same ``webhook-id``.
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import b64encode
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Final, TypeAlias

import orjson
import structlog
import trio

from groupd.config import WebhookConfig
from groupd.domain.base import ACCOUNT
from groupd.domain.feeding import FEED_WAIT_MS
from groupd.engine.feed import Change, Feed
from groupd.engine.ports import Ports
from groupd.errors import LogUnavailable, Rejected

log = structlog.get_logger()

CONSUMER: Final = "webhook."
"""What the names of their consumers begin with."""
PAGE: Final = 20
"""Events that are told before the feed is told so: what may be told again after a crash."""
BACKOFF_MS: Final = 1_000
"""The first pause; each further one is twice as long."""
DOUBLINGS_MAX: Final = 30
RETRY_S: Final = 1.0
"""How long it waits where the store cannot be read."""

Post: TypeAlias = Callable[[str, Mapping[str, str], bytes], Awaitable[int]]
"""Posts a body with headers to a URL and gives the status of the answer; raises OSError."""


class Webhook:
    """Tells one endpoint. ``run`` is its task."""

    def __init__(self, config: WebhookConfig, *, feed: Feed, ports: Ports, post: Post) -> None:
        self._config = config
        self._feed = feed
        self._ports = ports
        self._post = post
        self._name = CONSUMER + config.name
        assert config.key is not None, "checked with the configuration"
        self._key = config.key

    async def run(self) -> None:
        """Tell of what happens, until cancelled."""
        tenant, name = self._config.tenant, self._name
        self._feed.hold(tenant, name)
        while True:
            try:
                page = await self._feed.read(tenant, name, limit=PAGE, wait_ms=FEED_WAIT_MS)
                for change in page.changes:
                    if not self._config.kinds or change.kind in self._config.kinds:
                        await self._tell(change)
                if page.cursor is not None:
                    await self._feed.ack(tenant, name, page.cursor, is_holder=True)
            except (LogUnavailable, Rejected) as error:
                self._feed.note_error(tenant, name, str(error))
                log.warning("webhook_waits", webhook=self._config.name, error=str(error))
                await trio.sleep(RETRY_S)

    async def _tell(self, change: Change) -> None:
        """Tell of one event, until the endpoint has taken it."""
        config, attempt = self._config, 0
        id_, body = f"{change.stream.kind}/{change.stream.key}/{change.seq}", body_of(change)
        while True:
            fault = await self._attempt(id_, body)
            self._feed.note_error(config.tenant, self._name, fault)
            if fault is None:
                return
            log.warning("webhook_failed", webhook=config.name, id=id_, error=fault, attempt=attempt)
            longest_ms = BACKOFF_MS << min(attempt, DOUBLINGS_MAX)
            await trio.sleep(self._drawn_s(min(longest_ms, config.backoff_max_ms)))
            attempt += 1

    async def _attempt(self, id_: str, body: bytes) -> str | None:
        """Post once; says what went wrong, or None."""
        now_s = self._ports.clock.now_ms() // 1_000
        headers = {
            "content-type": "application/json",
            "webhook-id": id_,
            "webhook-timestamp": str(now_s),
            "webhook-signature": signature(self._key, id_, now_s, body),
        }
        try:
            with trio.fail_after(self._config.timeout_ms / 1_000):
                status = await self._post(self._config.url, headers, body)
        except trio.TooSlowError:
            return f"no answer within {self._config.timeout_ms} ms"
        except OSError as error:
            return str(error) or type(error).__name__
        return None if 200 <= status < 300 else f"the answer is {status}"

    def _drawn_s(self, longest_ms: int) -> float:
        """Draw a pause between half of the longest and the whole."""
        share = int.from_bytes(self._ports.randomness.token_bytes(2)) / 65_536
        return longest_ms * (0.5 + share / 2) / 1_000


def body_of(change: Change) -> bytes:
    """Give what is posted: the kind of event, when, whose, and the event as clients see it."""
    event = change.event()
    whose = "user" if change.stream.kind == ACCOUNT else "group"
    when = datetime.fromtimestamp(event["time_ms"] / 1_000, UTC)
    return orjson.dumps(
        {
            "type": f"{change.stream.kind}.{change.kind}",
            "timestamp": when.isoformat(timespec="milliseconds"),
            "data": {"stream": change.stream.kind, whose: change.stream.key, "event": event},
        }
    )


def signature(key: bytes, id_: str, timestamp_s: int, body: bytes) -> str:
    """Give the ``webhook-signature`` of a message: version 1, HMAC-SHA256."""
    signed = b".".join((id_.encode(), str(timestamp_s).encode(), body))
    return "v1," + b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
