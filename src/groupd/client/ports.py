"""What the SDK needs of the outside world and does not reach for itself."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import attrs

from groupd.engine.ports import Clock, Randomness

if TYPE_CHECKING:
    from groupd.server.link import Link


@attrs.frozen
class Ports:
    """The ports of a client."""

    clock: Clock
    randomness: Randomness
    dial: Callable[[str], Awaitable[Link]]
    """Opens a link to a URL.

    Raises OSError or ``trio.BrokenResourceError`` where nobody answers there, and ConfigError where
    trying again would not help, as with a certificate that is not trusted.
    """
