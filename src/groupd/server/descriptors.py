"""How many connections this process may have."""

from __future__ import annotations

import resource
from typing import Final

import attrs
import structlog

from groupd.config import Config

log = structlog.get_logger()

RESERVED_DESCRIPTORS: Final = 64
"""Left for files, listeners and turning connections away."""


def within_descriptors(config: Config) -> Config:
    """Raise the process's descriptor limit, and take no more connections than it allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = config.limits.connections_max + RESERVED_DESCRIPTORS
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
        soft = most
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return config
    log.debug("few_descriptors", allowed=soft, wanted=wanted)
    room = max(1, soft - RESERVED_DESCRIPTORS)
    return attrs.evolve(config, limits=attrs.evolve(config.limits, connections_max=room))
