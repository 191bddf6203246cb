"""Logs: one line of JSON per entry, or readable lines where somebody watches a terminal.

Message content is never logged: no texts, names, cards or tokens; ids, kinds, codes, sizes and
durations only. One line per request at most, and none per delivered message.

Some of what is logged comes from the network (a user id, a client's name). So every value is made
printable first: a newline cannot begin a line of its own, and an escape sequence reaches no
terminal. Tracebacks on a terminal are indented behind a bar, which no entry begins with.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Mapping
from typing import Any, Final, Literal, TextIO

import orjson
import structlog
from structlog.typing import EventDict, ExcInfo, Processor, WrappedLogger

from groupd.errors import ConfigError

LEVELS: Final = ("debug", "info", "warning", "error", "critical")

_JSON_INT_BITS: Final = 63
_DEPTH_MAX: Final = 4
_BAR: Final = "  | "


def configure_logging(
    level: str, *, stream: Literal["stderr", "stdout"] = "stderr", json: bool | None = None
) -> None:
    """Set up structlog for this process. With ``json`` None, a terminal gets readable lines.

    Raises ConfigError for an unknown level.
    """
    if level not in LEVELS:
        raise ConfigError(f"log_level: expected one of {', '.join(LEVELS)}, got {level!a}")
    output = sys.stderr if stream == "stderr" else sys.stdout
    if json is None:
        json = not output.isatty()
    processors: list[Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        make_printable,
    ]
    factory: structlog.BytesLoggerFactory | structlog.PrintLoggerFactory
    if json:
        processors += [structlog.processors.format_exc_info, _render_json]
        factory = structlog.BytesLoggerFactory(output.buffer)
    else:
        colors = output.isatty()
        processors.append(
            structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=_write_traceback)
        )
        factory = structlog.PrintLoggerFactory(output)
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=factory,
        cache_logger_on_first_use=True,
    )


def make_printable(logger: WrappedLogger, method: str, entry: EventDict) -> EventDict:
    """Escape what a terminal, or a reader of lines, would act on; exceptions come later."""
    return {
        _escape(key): value if key == "exc_info" else _printable(value)
        for key, value in entry.items()
    }


def _printable(value: object, depth: int = 0) -> Any:
    if isinstance(value, str):
        return _escape(value)
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, int):
        return value if value.bit_length() <= _JSON_INT_BITS else str(value)
    if depth < _DEPTH_MAX:
        if isinstance(value, Mapping):
            return {_escape(str(key)): _printable(item, depth + 1) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [_printable(item, depth + 1) for item in value]
    return _escape(repr(value))


def _escape(text: str) -> str:
    """Write what is not printable (Unicode: control, format, line separator, surrogate) as repr."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def _render_json(logger: WrappedLogger, method: str, entry: EventDict) -> bytes:
    if "exception" in entry:  # Of several lines, which JSON writes as one.
        entry["exception"] = "\n".join(map(_escape, str(entry["exception"]).splitlines()))
    return orjson.dumps(entry)


def _write_traceback(output: TextIO, exc_info: ExcInfo) -> None:
    lines = "".join(traceback.format_exception(*exc_info)).splitlines()
    output.writelines(f"\n{_BAR}{_escape(line)}" for line in lines)
