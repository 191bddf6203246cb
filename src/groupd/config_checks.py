"""What several settings are checked for."""

from __future__ import annotations

from typing import Final

import attrs

from groupd.errors import ConfigError

NUMBER_MAX: Final = 2**53 - 1
"""The largest setting: some are told to clients, for whom a number ends here."""
C_INT_MAX: Final = 2**31 - 1
"""The largest that the kernel takes as an ``int``."""


def positive(instance: object, attribute: attrs.Attribute[int], value: int) -> None:
    """Refuse what is not above 0."""
    if value <= 0:
        raise ConfigError(f"{attribute.name}: expected a number above 0, got {value}")
    _not_too_large(attribute, value)


def positive_int(instance: object, attribute: attrs.Attribute[int], value: int) -> None:
    """Refuse what is not above 0, or no ``int`` of the kernel's."""
    positive(instance, attribute, value)
    _not_too_large(attribute, value, C_INT_MAX)


def not_negative(instance: object, attribute: attrs.Attribute[int], value: int) -> None:
    """Refuse what is below 0."""
    if value < 0:
        raise ConfigError(f"{attribute.name}: expected 0 or more, got {value}")
    _not_too_large(attribute, value)


def _not_too_large(attribute: attrs.Attribute[int], value: int, most: int = NUMBER_MAX) -> None:
    if value > most:
        raise ConfigError(f"{attribute.name}: expected at most {most}, got {value}")
