"""What a target is. The targets themselves: ``received.py``, ``stored.py``, ``served.py``."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import attrs

from groupd.errors import CODES, Rejected
from groupd.wire import codec


@attrs.frozen
class Target:
    """A function that is called with bytes, and raises nothing whatever they are."""

    name: str
    about: str
    make: Callable[[Random], bytes]
    """Makes an input."""
    run: Callable[[bytes], None]
    """Tries an input. Whatever it raises is a finding."""
    in_ci: int = 2_000
    """Executions in the tests: what takes about two seconds."""


def check_refusal(refusal: Rejected) -> None:
    """Check that a refusal can go to the caller and carries what its code promises."""
    assert refusal.code in CODES
    missing = [name for name in CODES[refusal.code] if name not in refusal.details]
    # A field that concerns several parameters is named all the same.
    assert not missing, f"{refusal}: without {missing}"
    assert len(codec.pack(refusal.to_wire())) < 4_096, "a refusal repeats what was sent"


def text_of(value: Any) -> str:
    """Give a value as text, for comparing: NaN is not equal to itself, and True is equal to 1."""
    try:
        return repr(value)
    except RecursionError:
        parts, waiting = [], [value]
        while waiting:
            item = waiting.pop()
            if isinstance(item, dict):
                waiting += [part for pair in item.items() for part in pair]
            elif isinstance(item, list | tuple):
                waiting += item
            parts.append(f"{type(item).__name__} {item if isinstance(item, str | int) else ''}")
        return " ".join(parts)
