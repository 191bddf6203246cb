"""All targets by name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from tests.fuzz import handed_back, received, served, stored, tokens
from tests.fuzz.target import Target

TARGETS: Final[Mapping[str, Target]] = MappingProxyType(
    {
        target.name: target
        for target in (
            *received.TARGETS,
            *tokens.TARGETS,
            *handed_back.TARGETS,
            *stored.TARGETS,
            *served.TARGETS,
        )
    }
)
