"""What several settings are checked for."""

from __future__ import annotations

import attrs

from groupd.errors import ConfigError


def positive(instance: object, attribute: attrs.Attribute[int], value: int) -> None:
    """Refuse what is not above 0."""
    if value <= 0:
        raise ConfigError(f"{attribute.name}: expected a number above 0, got {value}")


def not_negative(instance: object, attribute: attrs.Attribute[int], value: int) -> None:
    """Refuse what is below 0."""
    if value < 0:
        raise ConfigError(f"{attribute.name}: expected 0 or more, got {value}")
