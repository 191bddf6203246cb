"""How a command ends that cannot do what it was asked for."""

from __future__ import annotations

import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

import trio
from rich.console import Console
from rich.markup import escape

from groupd.errors import GroupdError, LogBroken


def run_or_fail(function: Callable[[], Coroutine[Any, Any, bool]]) -> None:
    """Run what a command does; exit with 1 where it gives False."""
    if not trio.run(function):
        sys.exit(1)


@contextmanager
def errors_as_lines() -> Iterator[None]:
    """Say an expected error in one line and exit with 1; with 130 at Ctrl-C."""
    try:
        yield
    except GroupdError as error:
        _fail(error)
    except BaseExceptionGroup as group:
        expected, rest = group.split(GroupdError)
        if rest is not None or expected is None:
            raise
        for leaf in _leaves(expected):
            _fail(leaf)
    except KeyboardInterrupt:
        sys.exit(130)


def _leaves(group: BaseExceptionGroup[Any]) -> list[BaseException]:
    found: list[BaseException] = []
    for error in group.exceptions:
        found += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found


def _fail(error: BaseException) -> None:
    # Of what was being written nobody knows; all that was answered is there.
    advice = "; see to the disk, then start again and run `groupd check`"
    text = f"{error}{advice if isinstance(error, LogBroken) else ''}"
    Console(stderr=True, emoji=False).print(f"[bold red]groupd:[/] {escape(text)}", soft_wrap=True)
    sys.exit(1)
