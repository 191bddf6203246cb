"""What a simulated network does wrong, and how much: the settings of one run, and their draw.

Placement rules: values only. What they do to bytes stands in ``sim_link.py`` and ``network.py``.

Theory of operation: settings are drawn for a run as a whole, and each fault is left out of every
second run (swarm testing; A. Groce et al., ISSTA 2012). Faults that are always there hide each
other: where every link is cut soon, no queue ever grows long.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any, Final, Self

import attrs

from groupd.errors import ConfigError

LATENCY_MAX_MS: Final = 2_000.0
CHUNK_MAX_BYTES: Final = 65_536
CAPACITY_MAX_BYTES: Final = 1_048_576
CUT_AFTER_MAX_BYTES: Final = 1_000_000_000
STALL_MAX_MS: Final = 20_000.0
HALF_OPEN_MAX_MS: Final = 60_000.0
"""As long as a real server's kernel waits for an acknowledgement (``server/link.py``)."""


def _chance() -> Any:
    return attrs.field(default=0.0, validator=_within(0.0, 1.0))


def _within(low: float, high: float) -> Callable[[Any, attrs.Attribute[Any], float], None]:
    def validate(_instance: Any, attribute: attrs.Attribute[Any], value: float) -> None:
        if not low <= value <= high:
            raise ConfigError(f"{attribute.name}: expected {low} to {high}, got {value}")

    return validate


def _range_within(low: float, high: float) -> Callable[[Any, attrs.Attribute[Any], Any], None]:
    def validate(_instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
        if not (len(value) == 2 and low <= value[0] <= value[1] <= high):
            expected = f"two numbers that rise, from {low} to {high}"
            raise ConfigError(f"{attribute.name}: expected {expected}, got {value}")

    return validate


@attrs.frozen
class NetworkFaults:
    """What a network does to each link. The defaults are a good network: near, and without faults.

    Ranges are (lowest, highest), both included; what is drawn in one is uniform. Chances are from
    0 to 1. Raises ConfigError where a value is out of bounds.
    """

    latency_ms: tuple[float, float] = attrs.field(
        default=(0.05, 0.5), validator=_range_within(0.0, LATENCY_MAX_MS)
    )
    """How long each chunk is on its way, one way. Chunks never overtake each other."""
    chunk_max_bytes: int = attrs.field(default=16_384, validator=_within(1, CHUNK_MAX_BYTES))
    """What is sent arrives in chunks of 1 to so many bytes."""
    capacity_bytes: int = attrs.field(default=65_536, validator=_within(1, CAPACITY_MAX_BYTES))
    """Bytes that may be on their way or unread, for each direction of a link."""

    cut_after_bytes: tuple[int, int] | None = attrs.field(
        default=None,
        validator=attrs.validators.optional(_range_within(1, CUT_AFTER_MAX_BYTES)),
    )
    """After how many bytes, of both directions together, a link is cut; None for never."""
    half_open_chance: float = _chance()
    """That a side learns late of a cut or a crash. The chance is drawn for each side."""
    half_open_ms: tuple[float, float] = attrs.field(
        default=(0.0, 0.0), validator=_range_within(0.0, HALF_OPEN_MAX_MS)
    )
    """How late that is."""
    loss_chance: float = _chance()
    """That a reset destroys what has arrived and is not read; that closing with unread bytes
    destroys what was sent last."""

    stall_chance: float = _chance()
    """That a receiver reads nothing for a while, drawn for each chunk."""
    stall_ms: tuple[float, float] = attrs.field(
        default=(0.0, 0.0), validator=_range_within(0.0, STALL_MAX_MS)
    )

    refuse_chance: float = _chance()
    """That a dial is refused although a server listens."""
    silence_chance: float = _chance()
    """That a dial is answered by nobody, until the dialler gives up or the network is healed."""

    @classmethod
    def drawn(cls, randomness: Random) -> Self:
        """Draw the settings of one run. Each fault is off in about half of the runs."""

        def sometimes(value: Any, otherwise: Any) -> Any:
            # The value was drawn already: so one fault's presence does not change the others.
            return value if randomness.random() < 0.5 else otherwise

        def spread(low: float, high: float) -> float:
            """Draw so that each order of magnitude is as likely."""
            return float(low * (high / low) ** randomness.random())

        good = cls()
        cut_low = round(spread(300, 3_000))
        return cls(
            latency_ms=sometimes((0.0, round(spread(0.5, 200), 3)), good.latency_ms),
            chunk_max_bytes=sometimes(round(spread(8, 4_096)), good.chunk_max_bytes),
            capacity_bytes=sometimes(round(spread(128, 16_384)), good.capacity_bytes),
            cut_after_bytes=sometimes((cut_low, round(spread(4_000, 20_000))), None),
            half_open_chance=sometimes(randomness.random(), 0.0),
            half_open_ms=(0.0, round(spread(10, 15_000), 3)),
            loss_chance=sometimes(randomness.random(), 0.0),
            stall_chance=sometimes(round(spread(0.001, 0.05), 6), 0.0),
            stall_ms=(0.0, round(spread(10, 15_000), 3)),
            refuse_chance=sometimes(randomness.random() * 0.5, 0.0),
            silence_chance=sometimes(randomness.random() * 0.3, 0.0),
        )
