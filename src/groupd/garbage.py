"""The collector of cycles, made fit for a server whose objects live for long.

Theory of operation. Python looks for cycles among all objects that may have one, again and again:
among the youngest often, among all of them rarely. What a server keeps is no garbage: sessions,
members, remembered requests, in memory mode the log. Looking through all of it took 160 ms where
15,000 were connected, and everybody waited. So whatever has survived two looks is set aside for
ever (``gc.freeze``), and is freed when nobody refers to it any more, like most objects in Python.
A pause is then bounded by what is young: a few milliseconds at most.

This asks one thing of the code: what is set aside must not end as a cycle. A session breaks its
own when it is closed (``tests/server/test_session_garbage.py``); what else has cycles, a refusal
with its traceback for instance, is gone before it is old.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import attrs

YOUNG_MAX: Final = 4_000
"""New objects after which the young are looked at: about half a millisecond."""
LOOKS: Final = 3
"""Looks at the young before what has survived them is looked at once more, and set aside."""
NEVER: Final = 1_000_000
"""More looks at the middle-aged than there will be: none of them lives to be old."""


@contextmanager
def pauses_bounded() -> Iterator[None]:
    """Bound the pauses of the collector while a server runs; for the whole process.

    Afterwards the collector is as it was, for a program that goes on without its server. Servers
    of one process may overlap: the last to leave sets it back.
    """
    others = [each for each in gc.callbacks if isinstance(each, _Freezer)]
    freezer = _Freezer(others[0].thresholds if others else gc.get_threshold())
    gc.callbacks.append(freezer)
    try:
        gc.collect()
        gc.freeze()
        gc.set_threshold(YOUNG_MAX, LOOKS, NEVER)
        yield
    finally:
        gc.callbacks.remove(freezer)
        if not any(isinstance(each, _Freezer) for each in gc.callbacks):
            gc.set_threshold(*freezer.thresholds)
            gc.unfreeze()


@attrs.frozen(eq=False)
class _Freezer:
    """Sets survivors aside; one a server, among ``gc.callbacks``, which is the only state here."""

    thresholds: tuple[int, int, int]
    """The program's own, from before its first server."""

    def __call__(self, phase: str, info: dict[str, Any]) -> None:
        if phase == "stop" and info["generation"] >= 1:
            gc.freeze()
