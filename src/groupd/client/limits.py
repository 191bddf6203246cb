"""The named bound of every queue, wait and repetition in the SDK."""

from __future__ import annotations

import attrs

from groupd.client.backoff import Backoff
from groupd.errors import ConfigError


@attrs.frozen
class ClientLimits:
    """What a client holds, waits for and tries again, at most."""

    read_size_bytes: int = 65_536
    requests_max: int = 256
    """Requests under way on a connection; further calls wait for their turn."""
    events_max: int = 10_000
    """Pushed events waiting in a stream; what comes on top is fetched when they are taken."""

    dial_timeout_ms: int = 10_000
    hello_timeout_ms: int = 20_000
    """For ``hello`` and for listing all groups."""

    backoff: Backoff = attrs.field(factory=Backoff)
    stable_ms: int = 10_000
    """A connection that held this long begins the back-off anew when it is lost."""
    retry_after_max_ms: int = 300_000
    """The longest wait that a server can ask for."""

    sends_max: int = 8
    """Connections that may be lost under one call before it raises Disconnected."""
    unavailable_retries_max: int = 5

    renew_before_ms: int = 60_000
    """How long before its expiry a token is renewed; at half of its time, if that is later."""
    renew_min_ms: int = 1_000
    """The shortest time between two renewals."""

    def __attrs_post_init__(self) -> None:
        for field in attrs.fields(ClientLimits):
            value = getattr(self, field.name)
            if isinstance(value, int) and value <= 0:
                raise ConfigError(f"{field.name}: expected a number above 0, got {value}")
