"""How a command ends that cannot do what it was asked for."""

from __future__ import annotations

import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import trio
from rich.console import Console
from rich.markup import escape

from groupd.errors import GroupdError, LogBroken, Rejected


def run_or_fail(function: Callable[[], Coroutine[Any, Any, bool]]) -> None:
    """Run what a command does; exit with 1 where it gives False."""
    if not trio.run(function):
        sys.exit(1)


@contextmanager
def errors_as_lines() -> Iterator[None]:
    """Say an expected error in one line and exit with 1; with 130 at Ctrl-C."""
    try:
        yield
    except (GroupdError, KeyboardInterrupt) as error:
        _end(error)
    except BaseExceptionGroup as group:
        if group.split((GroupdError, KeyboardInterrupt))[1] is not None:
            raise
        _end(_leaf(group.split(KeyboardInterrupt)[0] or group))


def _leaf(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _end(error: BaseException) -> NoReturn:
    if isinstance(error, KeyboardInterrupt):
        sys.exit(130)
    text = in_words(error)
    Console(stderr=True, emoji=False).print(f"[bold red]groupd:[/] {escape(text)}", soft_wrap=True)
    sys.exit(1)


def in_words(error: BaseException) -> str:
    """Say an error to a person, who has no use for the details that programs look at."""
    match error:
        case Rejected(code="internal"):
            return f"{error.message}; its log has the reference {error.details.get('reference')!r}"
        case Rejected():
            return error.message
        case LogBroken():
            # Of what was being written nobody knows; all that was answered is there.
            return f"{error}; see to the disk, then start again and run `groupd check`"
        case _:
            return str(error)
