"""What the classes of requests take, read off their fields once for each class."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, Final, NamedTuple

import attrs

from groupd.domain.fields import CHECK


class Parameter(NamedTuple):
    """One parameter of a request: its name in the class and on the wire, and its default."""

    name: str
    alias: str
    default: Any


class Slot(NamedTuple):
    """Where one parameter of a request goes that is read from the wire."""

    alias: str
    default: Any
    check: Callable[[Any, str], Any]
    """Takes a value and ``alias``; gives what the constructor would keep, or raises Rejected."""
    put: Callable[[Any, Any], None]
    """Puts what was converted into a request."""


def _parameters_of(cls: type[attrs.AttrsInstance]) -> tuple[Parameter, ...]:
    return tuple(
        Parameter(field.name, field.alias or field.name, field.default)
        for field in attrs.fields(cls)
    )


def _slots_of(cls: type[attrs.AttrsInstance]) -> tuple[tuple[Any, ...], ...]:
    slots = (
        Slot(
            field.alias or field.name,
            field.default,
            field.metadata[CHECK],
            getattr(cls, field.name).__set__,
        )
        for field in attrs.fields(cls)
    )
    # A plain tuple is taken apart in half the time of a named one.
    return tuple(map(tuple, slots))


parameters_of: Final[Callable[[Any], tuple[Parameter, ...]]] = cache(_parameters_of)
"""Gives the parameters of a request class."""

slots_of: Final[Callable[[Any], tuple[tuple[Any, ...], ...]]] = cache(_slots_of)
"""Gives the slots of a request class, each as a plain tuple. Its fields are made in ``fields``."""
